"""Whether compiled functions are the functions they were, and arrays get in and out of a backend."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.errors import an
from layerkit.fastmath import numpy as np
from layerkit.fastmath import use_backend
from layerkit.fastmath.backend import active
from layerkit.shapes import ShapeDtype, f32, i32
from layerkit.testing.backend_case import TABLES, BackendCase, Pair, check, compute, demand_like, difference
from layerkit.testing.blame import demand, in_threads, installed_backends
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import structure

__all__: list[str] = []

_X = onp.array([[1.0, -2.0], [0.5, 3.0]], "float32")


def _model(pair: Any, x: Any) -> Any:
    y = np.tanh(np.matmul(x, pair.left)) + pair.right["b"]
    return {"y": (y, ()), "loss": np.mean(y**2), "pair": pair}


@check("programs")
def compiled_equals_eager(case: BackendCase) -> None:
    """A compiled function gives what it gives eagerly, for trees in and out, whose structure stays."""
    arguments = Pair(np.asarray(_X), {"b": np.ones(2), "none": None}), np.asarray(_X)
    eager = _model(*arguments)
    compiled = fastmath.jit(_model)
    for turn in ("first", "second"):
        got = compiled(*arguments)
        demand(structure(got) == structure(eager), f"{structure(eager)} comes out compiled as {structure(got)}")
        demand_like(f"the {turn} compiled call", got, fastmath.to_host(eager))


@check("programs")
def static_arguments_are_values(case: BackendCase) -> None:
    """An argument in ``static_argnums`` is a plain value inside a compiled function, at each call its own."""
    repeat = fastmath.jit(lambda n, x, mode: np.tile(x, n) if mode == "tile" else x, static_argnums=(0, 2))
    x = np.array([1.0, 2.0])
    for n in (2, 3):
        demand_like(f"tile by {n}", repeat(n, x, "tile"), onp.tile(onp.array([1, 2], "float32"), n))
    demand_like("another mode", repeat(3, x, "plain"), onp.array([1, 2], "float32"))


@check("programs")
def donated_arguments_give_the_same(case: BackendCase) -> None:
    """``donate_argnums`` changes no result, and leaves other arguments, and copies on the host, alone."""
    step = fastmath.jit(lambda weights, gradient: (weights[0] - gradient,), donate_argnums=(0,))
    gradient = np.ones(64)
    weights = (np.asarray(onp.arange(64, dtype="float32")),)
    kept = onp.array(fastmath.to_host(weights[0]))
    for turn in range(1, 4):
        weights = step(weights, gradient)
        demand_like(f"donated {turn} times", weights, onp.arange(64, dtype="float32") - turn)
    demand_like("the argument that was not donated", gradient, onp.ones(64, "float32"))
    demand_like("a copy on the host", kept, onp.arange(64, dtype="float32"))


@check("programs")
def compilations_are_counted(case: BackendCase) -> None:
    """``compilations`` is a number that never falls, and that a second call with the same shapes does not raise."""
    f, x = fastmath.jit(lambda x: np.sin(x) * 3.25 + 1.5), np.ones(7)
    fastmath.block_until_ready(x)
    counts: list[Any] = [fastmath.compilations()]
    for _ in range(2):
        fastmath.block_until_ready(f(x))
        counts.append(fastmath.compilations())
    demand(all(isinstance(n, int) for n in counts), f"compilations() is {counts[0]!r}: a whole number is due")
    fine = counts[0] <= counts[1] == counts[2]
    demand(fine, f"compilations() counts {counts[0]}, {counts[1]} after a call, {counts[2]} after another like it")


@check("programs")
def failures_leave_it_sound(case: BackendCase) -> None:
    """After an exception inside a compiled function, a gradient or a loop everything works as before."""

    class Trouble(Exception):
        pass

    def fail(*_: Any) -> Any:
        raise Trouble

    x = np.array([1.0, 2.0])
    calls: dict[str, Callable[[], Any]] = {
        "jit": lambda: fastmath.jit(fail)(x),
        "grad": lambda: fastmath.grad(fail)(x),
        "scan": lambda: fastmath.scan(fail, x, x),
        "abstract_eval": lambda: fastmath.abstract_eval(fail, f32(2)),
        "float64": lambda: _fail_in_float64(fail),
    }
    for what, call in calls.items():
        try:
            call()
        except Trouble:
            pass
        else:
            raise Fault(f"an exception raised inside {what} is lost")
        demand(not fastmath.is_traced(x), f"after an exception inside {what} arrays count as traced")
        gradient = fastmath.jit(fastmath.grad(lambda x: np.sum(x**2)))(x)
        demand_like(f"a gradient after an exception inside {what}", gradient, onp.array([2, 4], "float32"))


def _fail_in_float64(fail: Any) -> Any:
    with fastmath.float64():
        return fail()


@check("arrays")
def arrays_come_back_to_the_host(case: BackendCase) -> None:
    """``to_host`` gives NumPy arrays in the same structure, with the numbers and dtypes that went to the device."""
    tree = {"x": (_X, ()), "n": [onp.array([1, 2], "int32")], "on": Pair(onp.array(True), None)}
    back = fastmath.to_host(fastmath.to_device(tree))
    demand(structure(back) == structure(tree), f"{structure(tree)} comes back as {structure(back)}")
    for leaf in fastmath.tree_leaves(back):
        demand(isinstance(leaf, onp.ndarray), f"to_host gives {an(type(leaf).__name__)}: a NumPy array is due")
    demand_like("what comes back", back, tree)
    demand_like("arrays of NumPy's own", fastmath.to_host(tree), tree)
    with fastmath.float64():
        wide = fastmath.to_host(fastmath.to_device(onp.full(3, 1 / 3)))
    demand(wide.dtype == "float64" and (wide == 1 / 3).all(), f"1/3 comes back as {wide[0]!r} inside float64()")


@check("arrays")
def waiting_returns_the_tree(case: BackendCase) -> None:
    """``block_until_ready`` returns the tree it was given, computed."""
    tree = {"x": (np.asarray(_X) * 2, None)}
    ready = fastmath.block_until_ready(tree)
    demand(structure(ready) == structure(tree), f"block_until_ready gives {structure(ready)}")
    demand_like("what it gives", ready, _X * 2)


@check("arrays")
def signatures_without_computing(case: BackendCase) -> None:
    """``abstract_eval`` says shapes and dtypes of a result, for sizes that fit no memory too, and computes nothing."""
    pair = Pair(f32(2, 3), {"b": f32(3), "none": None})
    got = fastmath.abstract_eval(_model, pair, f32(5, 2))
    wanted = {"y": (f32(5, 3), ()), "loss": f32(), "pair": pair}
    demand(got == wanted, f"the signature of a result is {got}, not {wanted}")
    leaves = fastmath.tree_leaves(got)
    demand(all(isinstance(leaf, ShapeDtype) for leaf in leaves), "signatures are no ShapeDtypes")
    rows = fastmath.abstract_eval(lambda t, i: fastmath.take_rows(t, i), f32(1 << 20, 1 << 16), i32(4))
    demand(rows == f32(4, 1 << 16), f"rows of a table of 256 GB have the signature {rows}")


@check("arrays")
def unknown_values_are_known_as_such(case: BackendCase) -> None:
    """``is_traced`` is true of values inside ``abstract_eval``, and false of arrays outside, NumPy's and its own."""
    seen: list[bool] = []

    def look(x: Any) -> Any:
        seen.append(fastmath.is_traced(x))
        return x

    fastmath.abstract_eval(look, f32(2))
    demand(seen and all(seen), f"is_traced inside abstract_eval says {seen}")
    outside = [fastmath.is_traced(x) for x in (np.ones(2), onp.ones(2), 1.0)]
    demand(not any(outside), f"is_traced of arrays that are there says {outside}")


@check("threads")
def threads_do_not_disturb_each_other(case: BackendCase) -> None:
    """Four threads that run operations, loops and gradients all at once get what one gets alone, bit for bit."""
    rows = [row for table in TABLES.values() for row in table][::7]
    starts = [len(rows) * turn // 4 for turn in range(4)]

    def work(start: int) -> list[Any]:
        # From one row on, so that no two threads are at the same.
        with use_backend(case.name):
            found = [compute(row) for row in rows[start:] + rows[:start]]
        return found[len(rows) - start :] + found[: len(rows) - start]

    alone = work(0)
    for together in in_threads([functools.partial(work, start) for start in starts]):
        for row, ours, theirs in zip(rows, together, alone, strict=True):
            found = difference(ours, theirs, True, 0.0, 0.0)
            demand(not found, f"{row} beside three other threads: {found}")


@check("threads")
def float64_stays_in_its_thread(case: BackendCase) -> None:
    """``float64()`` in one thread leaves the numbers of another at 32 bits."""
    with fastmath.float64():
        (other,) = in_threads([lambda: _dtype_in(case.name)])
        own = str(np.zeros(2).dtype)
    demand((own, other) == ("float64", "float32"), f"inside float64() numbers are {own}, in another thread {other}")


def _dtype_in(name: str) -> str:
    with use_backend(name):
        return str(np.zeros(2).dtype)


@check("threads")
def backends_stand_side_by_side(case: BackendCase) -> None:
    """Another backend can be used inside, in turn, and at the same time in another thread."""
    other = next((name for name in installed_backends() if name != case.name), None)
    if other is None:
        raise Skip("no other backend is installed to stand beside")
    f = fastmath.jit(fastmath.grad(lambda x: np.sum(x**2)))
    wanted = onp.array([2, 4], "float32")

    def gradient(name: str) -> Any:
        with use_backend(name):
            return fastmath.to_host(f(np.array([1.0, 2.0])))

    for name in (other, case.name, other):
        demand_like(f"a gradient on {name}, inside {case.name}", gradient(name), wanted)
        demand(
            fastmath.backend_name() == active().name == case.name.rpartition(":")[2], "the active backend was changed"
        )
    both = in_threads([functools.partial(gradient, name) for name in (case.name, other)])
    demand_like(f"gradients on {case.name} and {other} at the same time", both, [wanted, wanted])
    with use_backend(other):
        foreign = np.array([1.0, 2.0])
        kept = fastmath.to_host(foreign)
    demand_like(f"arrays of {other}, brought over by the host", np.asarray(kept) * 2, wanted)
