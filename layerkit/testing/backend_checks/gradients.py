"""Whether a backend's gradients are right, and have their arguments' structure and dtypes."""

from __future__ import annotations

import functools
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.errors import an
from layerkit.fastmath import nested_map, tree_leaves, use_backend
from layerkit.fastmath import numpy as np
from layerkit.testing.backend_case import TABLES, BackendCase, Pair, as_arrays, check, demand_like, difference
from layerkit.testing.blame import demand, installed_backends
from layerkit.testing.operations import Row
from layerkit.testing.suite import Fault
from layerkit.testing.trees import structure

__all__: list[str] = []

# What has a slope everywhere near the example arguments, so that it can be measured.
_SMOOTH = frozenset(
    """
    concatenate conv cumsum divide einsum erf exp log logsumexp map matmul mean power remat scan segment_sum sin softmax
    std take_rows tanh where
    """.split()
)
_STEP = 1e-5


def _places(row: Row) -> tuple[int, ...]:
    """The positions of arguments that hold arrays of floats."""

    def holds_floats(argument: Any) -> bool:
        leaves = tree_leaves(argument)
        return any(isinstance(leaf, onp.ndarray) and leaf.dtype.kind == "f" for leaf in leaves)

    return tuple(place for place, argument in enumerate(row.args) if holds_floats(argument))


def _rows() -> list[Row]:
    return [row for rows in TABLES.values() for row in rows if _places(row)]


def _loss(row: Row, args: Any) -> Any:
    """A weighted sum of all that the row gives, as a function of its arguments of floats."""
    kwargs = as_arrays(row.kwargs)

    def loss(*chosen: Any) -> Any:
        filled = list(args)
        for place, value in zip(_places(row), chosen, strict=True):
            filled[place] = value
        total: Any = np.zeros(())
        for leaf in tree_leaves(row.function(*filled, **kwargs)):
            if getattr(leaf, "dtype", None) == total.dtype:
                weights = onp.cos(onp.arange(leaf.size)).reshape(leaf.shape)
                total = total + np.sum(leaf * np.asarray(weights.astype(total.dtype)))
        return total

    return loss


def _gradient(row: Row, args: Any) -> list[Any]:
    gradient = fastmath.grad(_loss(row, args), argnums=tuple(range(len(_places(row)))))
    chosen = [args[place] for place in _places(row)]
    return tree_leaves(fastmath.to_host((fastmath.jit(gradient) if row.traceable else gradient)(*chosen)))


def _all_gradients(name: str) -> list[list[Any] | str]:
    found: list[list[Any] | str] = []
    with use_backend(name):
        for row in _rows():
            try:
                found.append(_gradient(row, as_arrays(row.args)))
            except Exception as error:
                found.append(f"it raises {type(error).__name__}: {' '.join(str(error).split()):.120}")
    return found


_kept_gradients = functools.cache(_all_gradients)


@check("gradients")
def gradients_agree(case: BackendCase) -> None:
    """The gradient of every operation that has one is the reference backend's, in shape, dtype and numbers."""
    got = (_kept_gradients if case.name in installed_backends() else _all_gradients)(case.name)
    faults = []
    for row, ours, theirs in zip(_rows(), got, _kept_gradients(case.reference), strict=True):
        fault = ours if isinstance(ours, str) else "" if isinstance(theirs, str) else difference(ours, theirs)
        if fault:
            faults.append(f"{row}: {fault}")
    case.figures.update(rows=len(got), wrong=len(faults))
    if faults:
        raise Fault(f"the gradients of {len(faults)} of {len(got)} rows differ: {'; '.join(faults[:3])}")


@check("gradients")
def gradients_are_slopes(case: BackendCase) -> None:
    """In float64, gradients of smooth operations are the slopes measured along a random direction."""
    generator, tried = onp.random.default_rng(5), set()
    for row in _rows():
        if row.name not in _SMOOTH or row.name in tried:
            continue
        tried.add(row.name)
        wide = nested_map(lambda x: x.astype("float64") if getattr(x, "dtype", None) == "float32" else x, row.args)
        along = nested_map(lambda x: generator.normal(size=onp.shape(x)), [wide[place] for place in _places(row)])
        with fastmath.float64():
            slope, measured = _slopes(row, wide, along)
        off = abs(slope - measured) / max(1.0, abs(measured))
        case.figures["most_off"] = max(off, case.figures.get("most_off", 0.0))
        demand(off < 1e-6, f"the gradient of {row} is {slope:.8g} along a direction whose slope is {measured:.8g}")
    case.figures["operations"] = len(tried)


def _slopes(row: Row, args: Any, along: Any) -> tuple[float, float]:
    """What the gradient says of a direction, and what two values a little apart say."""
    loss = _loss(row, as_arrays(args))
    chosen = [args[place] for place in _places(row)]
    gradient = fastmath.to_host(fastmath.grad(loss, argnums=tuple(range(len(chosen))))(*as_arrays(chosen)))
    pairs = zip(tree_leaves(gradient), tree_leaves(along), strict=True)
    slope = sum(float((g * direction).sum()) for g, direction in pairs if g.dtype.kind == "f")
    ends = [
        float(loss(*as_arrays(nested_map(lambda x, d, sign=sign: x + sign * _STEP * d, chosen, along))))
        for sign in (1, -1)
    ]
    return slope, (ends[0] - ends[1]) / (2 * _STEP)


@check("gradients")
def gradients_have_their_arguments_form(case: BackendCase) -> None:
    """The gradient for a tree has its structure, shapes and dtypes: tuples, records, lists, dicts, ``()`` and None."""
    tree = {"b": [np.ones(2), ()], "a": Pair(np.ones((2, 2)), None), "c": (np.array(3.0),)}
    value, gradient = fastmath.value_and_grad(lambda t: np.sum(t["b"][0] ** 2) * t["c"][0] + np.sum(t["a"].left) * 2)(
        tree
    )
    demand(structure(gradient) == structure(tree), f"the gradient for {structure(tree)} is {structure(gradient)}")
    wanted = (onp.full((2, 2), 2, "float32"), onp.full(2, 6, "float32"), onp.array(2, "float32"))
    demand_like("a value, and its gradient for a tree", (value, gradient), (onp.array(14, "float32"), *wanted))


@check("gradients")
def what_stands_beside_the_value_comes_back(case: BackendCase) -> None:
    """With ``has_aux`` the second thing a function returns comes back as plain arrays, in any structure."""
    (value, aux), gradient = fastmath.value_and_grad(lambda x: (x**2, {"x": (x * 3, None)}), has_aux=True)(
        np.array(3.0)
    )
    demand_like("value and gradient", (value, gradient), (onp.array(9, "float32"), onp.array(6, "float32")))
    demand(structure(aux) == "{x: (array, None)}", f"aux comes back as {structure(aux)}")
    kept = np.array(0.0) + aux["x"][0]
    demand_like("aux, computed with", kept, onp.array(9, "float32"))
    again = fastmath.grad(lambda x: x * aux["x"][0])(np.array(1.0))
    demand_like("a gradient of what aux is a constant in", again, onp.array(9, "float32"))


@check("gradients")
def whole_numbers_get_zeros(case: BackendCase) -> None:
    """Whole numbers and truths in a tree get gradients of zeros, of their shape and dtype."""
    pair = Pair(np.array([1.0, 2.0]), {"n": np.array([3, 4]), "on": np.array([True, False])})
    loss = lambda pair: np.sum(pair.left * pair.right["n"] * pair.right["on"])
    wanted = (onp.array([3, 0], "float32"), onp.zeros(2, "int32"), onp.zeros(2, "bool"))
    demand_like("the gradient for floats, ints and truths", fastmath.grad(loss)(pair), wanted)


@check("gradients")
def several_arguments_have_gradients(case: BackendCase) -> None:
    """``argnums`` asks for one argument's gradient or, in a tuple, for several; the others are constants."""
    f = lambda x, y, z: x * y**2 * z
    x, y, z = np.array(2.0), np.array(3.0), np.array(5.0)
    demand_like("argnums=1", fastmath.grad(f, argnums=1)(x, y, z), onp.array(60, "float32"))
    both: Any = fastmath.grad(f, argnums=(0, 2))(x, y, z)
    demand(isinstance(both, tuple), f"argnums=(0, 2) gives {an(type(both).__name__)}: a tuple is due")
    demand_like("argnums=(0, 2)", both, (onp.array(45, "float32"), onp.array(18, "float32")))


@check("gradients")
def vjp_takes_gradients_back(case: BackendCase) -> None:
    """``vjp`` gives the value, and a function that takes a gradient of any shape back to every argument, repeatedly."""
    x, w = onp.array([[1.0, 2.0]], "float32"), onp.array([[3.0], [4.0]], "float32")
    y, back = fastmath.vjp(lambda x, w: {"y": np.matmul(x, w)}, np.asarray(x), np.asarray(w))
    demand_like("the value", y, onp.array([[11.0]], "float32"))
    for scale in (1.0, 2.0):
        of_x, of_w = back({"y": np.asarray(onp.array([[scale]], "float32"))})
        demand_like(f"the gradients for {scale}", (of_x, of_w), (onp.float32(scale) * w.T, onp.float32(scale) * x.T))


@check("gradients")
def own_gradients_are_used(case: BackendCase) -> None:
    """``custom_vjp`` computes ``f``, and where a gradient is asked for, ``forward`` and ``backward`` in its place."""
    f = fastmath.custom_vjp(lambda x: x * 2, lambda x: (x * 2, (x,)), lambda kept, dy: (np.clip(dy, -1, 1) + kept[0],))
    x = np.array([10.0, 20.0])
    demand_like("the value", f(x), onp.array([20, 40], "float32"))
    for what, wrap in (("eager", lambda g: g), ("compiled", fastmath.jit)):
        gradient = wrap(fastmath.grad(lambda x: np.sum(5 * f(x))))(x)
        demand_like(f"the {what} gradient", gradient, onp.array([11, 21], "float32"))


@check("gradients")
def remat_changes_nothing(case: BackendCase) -> None:
    """``remat`` leaves values and gradients as they are."""
    f = lambda x, w: np.tanh(np.matmul(x, w))
    x, w = np.asarray(onp.array([[0.1, -0.2]], "float32")), np.asarray(onp.eye(2, dtype="float32"))
    for g in (f, fastmath.remat(f)):
        found = fastmath.value_and_grad(lambda x, w, g=g: np.sum(g(x, w) ** 2), argnums=(0, 1))(x, w)
        if g is f:
            wanted = fastmath.to_host(found)
    demand_like("value and gradients under remat", found, wanted, 1e-6, 1e-7)


@check("gradients")
def stop_gradient_stops_it(case: BackendCase) -> None:
    """``stop_gradient`` hands a tree through, as a constant to differentiation."""
    x = np.array([1.0, 2.0])

    def f(x: Any) -> Any:
        return np.sum(x * fastmath.stop_gradient({"a": (x**2, ())})["a"][0])

    demand_like("a value with stop_gradient in it", f(x), onp.array(9, "float32"))
    demand_like("its gradient", fastmath.grad(f)(x), onp.array([1, 4], "float32"))


@check("gradients")
def gradients_pass_compiled_functions(case: BackendCase) -> None:
    """A gradient goes through a compiled function, and a gradient can be compiled."""
    x = np.array([0.5, 1.0])
    inner = fastmath.grad(lambda x: np.sum(fastmath.jit(lambda x: x**3)(x)))(x)
    outer = fastmath.jit(fastmath.grad(lambda x: np.sum(x**3)))(x)
    demand_like("through a compiled function, and compiled", (inner, outer), (onp.array([0.75, 3], "float32"),) * 2)


@check("gradients")
def repeated_rows_add_up(case: BackendCase) -> None:
    """The gradient of ``take_rows`` for a table adds up over repeated ids, and is 0 for rows that were not read."""
    table, ids = np.ones((4, 2)), np.array([[1, 3], [1, 1]])
    gradient = fastmath.grad(lambda table: np.sum(fastmath.take_rows(table, ids) * 2))(table)
    demand_like("the gradient for a table", gradient, onp.array([[0, 0], [6, 6], [0, 0], [2, 2]], "float32"))
