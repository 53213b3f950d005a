"""Whether loops, branches and maps of a backend do what Python's would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.errors import LayerkitError, an
from layerkit.fastmath import numpy as np
from layerkit.testing.backend_case import BackendCase, Pair, check, demand_like
from layerkit.testing.blame import demand
from layerkit.testing.suite import Skip
from layerkit.testing.trees import structure

__all__: list[str] = []

_XS = onp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "float32")


def _step(carry: Any, x: Any) -> Any:
    total = carry.left * 0.5 + x
    return Pair(total, carry.right + 1), {"total": total, "n": (carry.right,)}


def _scanned(xs: Any) -> tuple[Any, Any, Any, Any]:
    """What the loop gives, written in Python: the last carry, and what each turn gave."""
    total, totals = onp.zeros(2, "float32"), []
    for x in xs:
        total = onp.float32(0.5) * total + x
        totals.append(total)
    stacked = onp.array(totals, "float32").reshape(len(xs), 2)
    return total, onp.array(len(xs), "int32"), onp.arange(len(xs), dtype="int32"), stacked


def _scan(xs: Any, **options: Any) -> Any:
    return fastmath.scan(_step, Pair(np.zeros(2), np.array(0)), np.asarray(xs), **options)


def _ways(f: Callable[..., Any]) -> tuple[tuple[str, Callable[..., Any]], ...]:
    return ("eager", f), ("compiled", fastmath.jit(f))


@check("control flow")
def scan_is_a_loop(case: BackendCase) -> None:
    """``scan`` gives the last carry and the stacked results of a loop, for trees of arrays, eager and compiled."""
    for way, f in _ways(_scan):
        carry, ys = f(np.asarray(_XS))
        demand_like(f"the {way} scan", (carry, ys), _scanned(_XS))
        demand(isinstance(carry, Pair), f"the carry of the {way} scan is {an(type(carry).__name__)}, not a Pair")
        demand(structure(ys) == "{n: (array), total: array}", f"the results come out as {structure(ys)}")


@check("control flow")
def scan_goes_backwards(case: BackendCase) -> None:
    """With ``reverse`` the loop goes from the last x to the first, and results stay in the order of xs."""
    total, count, numbers, totals = _scanned(_XS[::-1])
    wanted = (total, count, numbers[::-1], totals[::-1])
    for way, f in _ways(lambda xs: _scan(xs, reverse=True)):
        demand_like(f"the {way} scan", f(np.asarray(_XS)), wanted)


@check("control flow")
def scan_of_nothing(case: BackendCase) -> None:
    """A scan of length 0 gives the first carry, and results of length 0 with their shapes and dtypes."""
    for way, f in _ways(_scan):
        demand_like(f"the {way} scan", f(np.asarray(_XS[:0])), _scanned(_XS[:0]))


@check("control flow")
def scan_counts(case: BackendCase) -> None:
    """Without xs a scan makes ``length`` turns; a step may give no result."""
    carry, ys = fastmath.scan(lambda c, _: (c * 2, None), np.array(1.0), None, length=5)
    demand(ys is None, f"the results of a step that gives None are {ys!r}")
    demand_like("five doublings", carry, onp.array(32, "float32"))


@check("control flow")
def scan_over_replaces(case: BackendCase) -> None:
    """``scan_over`` gives the last carry, what took the place of each z, and the results, in either direction."""
    z, x = np.array([1.0, 2.0, 3.0]), np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    step = lambda total, z, x: (total + z[0], (total + z[0],), {"product": x * z[0]})
    products = onp.array([[1.0, 0.0], [4.0, 0.0], [9.0, 0.0]], "float32")
    for reverse, sums in ((False, [1.0, 3.0, 6.0]), (True, [6.0, 5.0, 3.0])):
        wanted = (onp.array(6.0, "float32"), onp.array(sums, "float32"), products)
        for way, f in _ways(lambda z, x, way=reverse: fastmath.scan_over(step, np.array(0.0), (z,), x, reverse=way)):
            demand_like(f"the {way} loop", f(z, x), wanted)
    demand_like("what it went over, afterwards,", z, onp.array([1.0, 2.0, 3.0], "float32"))


@check("control flow")
def scan_has_a_gradient(case: BackendCase) -> None:
    """The gradient of a scan is that of the same loop written out."""

    def looped(w: Any, xs: Any) -> Any:
        return np.sum(fastmath.scan(lambda c, x: (np.tanh(c * w + x), c), np.zeros(2), xs)[0])

    def written_out(w: Any, xs: Any) -> Any:
        c = np.zeros(2)
        for i in range(3):
            c = np.tanh(c * w + xs[i])
        return np.sum(c)

    arguments = np.array([0.5, -0.4]), np.asarray(_XS / 10)
    wanted = fastmath.to_host(fastmath.grad(written_out, argnums=(0, 1))(*arguments))
    for way, f in _ways(fastmath.grad(looped, argnums=(0, 1))):
        demand_like(f"the {way} gradient", f(*arguments), wanted)


@check("control flow")
def cond_takes_one_branch(case: BackendCase) -> None:
    """``cond`` gives what the branch of its condition gives, gradient included, known beforehand or not.

    A branch that is not taken is not felt: where it makes NaN, value and gradient are those of the other.
    """

    def f(x: Any) -> Any:
        return fastmath.cond(np.sum(x) > 0, lambda x: (x * 2, x), lambda x: (np.sin(x), x * 0), x)

    for x, wanted in ((1.0, (2.0, 1.0)), (-1.0, (float(onp.sin(-1.0)), 0.0))):
        for way, g in _ways(f):
            demand_like(f"the {way} branch for {x}", g(np.array(x)), tuple(onp.array(w, "float32") for w in wanted))
        slope = onp.array(2.0 if x > 0 else onp.cos(x), "float32")
        for way, g in _ways(fastmath.grad(lambda x: f(x)[0])):
            demand_like(f"the {way} gradient of the branch for {x}", g(np.array(x)), slope)
    root = lambda x: fastmath.cond(x > 0, np.sqrt, lambda x: 3 * x, x)
    for way, g in _ways(fastmath.value_and_grad(root)):
        thrice = onp.array(-3.0, "float32"), onp.array(3.0, "float32")
        demand_like(f"the {way} branch beside the root of -1, and its gradient", g(np.array(-1.0)), thrice)


@check("control flow")
def while_loop_ends(case: BackendCase) -> None:
    """``while_loop`` applies its body as long as the condition holds, and not at all where it never does."""
    f = lambda n: fastmath.while_loop(lambda c: c[0] < 50, lambda c: (c[0] * 2, c[1] + 1), (n, np.array(0)))
    for start, wanted in ((3, (96, 5)), (70, (70, 0))):
        for way, g in _ways(f):
            demand_like(
                f"the {way} loop from {start}", g(np.array(start)), tuple(onp.array(w, "int32") for w in wanted)
            )


@check("control flow")
def map_goes_row_by_row(case: BackendCase) -> None:
    """``map`` stacks what a function gives for each slice of a tree, none included."""
    f = lambda pair: {"outer": np.outer(pair.left, pair.right), "sum": np.sum(pair.left)}
    for rows in (3, 1):
        xs = _XS[:rows]
        wanted = (onp.einsum("ni,nj->nij", xs, -xs), xs.sum(1))
        for way, g in _ways(lambda x: fastmath.map(f, Pair(x, -x))):
            demand_like(f"the {way} map of {rows} rows", g(np.asarray(xs)), wanted)


@check("control flow")
def vmap_equals_one_by_one(case: BackendCase) -> None:
    """``vmap`` gives what the function gives slice by slice, along the axes asked for; it may be refused."""
    try:
        plain = fastmath.vmap(lambda x, y: x @ y, in_axes=(0, None))(np.asarray(_XS), np.array([1.0, 10.0]))
    except (LayerkitError, NotImplementedError) as refusal:
        raise Skip(f"it has no vmap: {refusal}") from refusal
    demand_like("rows times a vector", plain, onp.array([21, 43, 65], "float32"))
    columns = fastmath.vmap(lambda x: (x * 2, np.sum(x)), in_axes=1, out_axes=(1, 0))(np.asarray(_XS))
    demand_like("columns", columns, (_XS * 2, _XS.sum(0)))
    inner = fastmath.grad(lambda x: np.sum(x**2))
    demand_like("gradients of rows", fastmath.vmap(inner)(np.asarray(_XS)), _XS * 2)


@check("control flow")
def bodies_see_what_they_close_over(case: BackendCase) -> None:
    """Loops and branches may use arrays from outside of them, and gradients reach those."""
    x = np.array([1.0, 2.0, 3.0])

    def f(w: Any) -> Any:
        total, _ = fastmath.scan(lambda c, x: (c + w * x, None), np.array(0.0), x)
        return fastmath.cond(total > 0, lambda t: t * w, lambda t: t, total)

    for way, g in _ways(fastmath.value_and_grad(f)):
        demand_like(f"the {way} value and gradient", g(np.array(2.0)), (onp.float32(24), onp.float32(24)))
