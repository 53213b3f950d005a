"""Loops and branches that every backend can differentiate and compile.

Each body runs inside a ``region``, in which a layer's state cannot be written: what a body changes it must return.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from layerkit.fastmath.backend import ArrayError, active, region
from layerkit.fastmath.trees import tree_leaves

__all__ = ["cond", "map", "remat", "scan", "scan_over", "while_loop"]


def _body(name: str, f: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        return region(name).run(f, *args, **kwargs)

    return run


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Loops ``carry, y = f(carry, x)`` along the first axis of ``xs``; returns the last carry and the stacked ys.

    Args:
        f: the step; its carry has the same structure, shapes and dtypes each time.
        init: the first carry, a tree.
        xs: a tree of arrays (n, ...), or ``None`` with ``length=n``.
        length: n, where ``xs`` does not say.
        reverse: goes from the last x to the first; ys stay in the order of xs.

    >>> from layerkit.fastmath import numpy as np
    >>> total, sums = scan(lambda c, x: (c + x, c + x), np.array(0.0), np.array([1.0, 2.0, 3.0]))
    >>> float(total), sums.tolist()
    (6.0, [1.0, 3.0, 6.0])
    """

    def step(carry: Any, x: Any) -> Any:
        result = region("scan").run(f, carry, x)
        returned = len(result) if isinstance(result, (tuple, list)) else 1
        if returned != 2:
            raise ArrayError(f"scan: the step returns two things, the next carry and a y, but this one gave {returned}")
        return result

    return active().scan(step, init, xs, length, reverse)


def scan_over(
    f: Callable[[Any, Any, Any], tuple[Any, Any, Any]], init: Any, over: Any, xs: Any, reverse: bool = False
) -> tuple[Any, Any, Any]:
    """Loops ``carry, z, y = f(carry, z, x)`` along the first axis of ``over``; each z gives way to the new one.

    It is a ``scan`` over ``(over, xs)`` that returns the last carry, all z and all y. But what takes the place of
    something needs no memory of its own, and a backend that compiles makes use of that: large arrays that are read once
    are written on. A gradient through it would keep all of ``over`` for every turn; it is meant for the two directions
    of a ``custom_vjp``.

    Args:
        f: the step; the z it returns has the structure, shapes and dtypes of the one it is given.
        init: the first carry, a tree.
        over: a tree of arrays (n, ...), read and replaced.
        xs: a tree of arrays (n, ...), read only.
        reverse: goes from the last place to the first.

    >>> from layerkit.fastmath import numpy as np
    >>> step = lambda total, z, x: (total + z, total + z, z * x)
    >>> total, sums, products = scan_over(step, np.array(0.0), np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> float(total), sums.tolist(), products.tolist()
    (3.0, [1.0, 3.0], [3.0, 8.0])
    """

    def step(carry: Any, z: Any, x: Any) -> tuple[Any, Any, Any]:
        carry, new, y = f(carry, z, x)
        if _shapes(new) != _shapes(z):
            raise ArrayError(f"scan_over: what replaces arrays of shapes {_shapes(z)} has shapes {_shapes(new)}")
        return carry, new, y

    def as_scan(carry: Any, both: Any) -> tuple[Any, Any]:
        carry, z, y = step(carry, *both)
        return carry, (z, y)

    own = getattr(active(), "scan_over", None)
    # A loop over nothing has no place to write on, not even in the program made of it.
    if own is not None and all(tuple(leaf.shape[:1]) != (0,) for leaf in tree_leaves(over)):
        last, over, ys = own(_body("scan", step), init, over, xs, reverse)
        return last, over, ys
    last, (over, ys) = scan(as_scan, init, (over, xs), reverse=reverse)
    return last, over, ys


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in tree_leaves(tree)]


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
    """``true_fn(*operands)`` where the scalar ``pred`` holds, else ``false_fn(*operands)``.

    >>> from layerkit.fastmath import numpy as np
    >>> float(cond(np.array(True), lambda x: x + 1, lambda x: x - 1, np.array(5.0)))
    6.0
    """
    return active().cond(pred, _body("cond", true_fn), _body("cond", false_fn), *operands)


def while_loop(cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any) -> Any:
    """Applies ``body_fn`` to ``init`` as long as ``cond_fn`` holds.

    It has no gradient: the number of turns is not known beforehand.

    >>> from layerkit.fastmath import numpy as np
    >>> int(while_loop(lambda n: n < 10, lambda n: n * 2, np.array(1)))
    16
    """
    return active().while_loop(_body("while_loop", cond_fn), _body("while_loop", body_fn), init)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """``f`` of each slice along the first axis of ``xs``, one after the other, stacked.

    >>> from layerkit.fastmath import numpy as np
    >>> map(lambda x: x * x, np.array([1.0, 2.0])).tolist()
    [1.0, 4.0]
    """
    return active().map(_body("map", f), xs)


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, whose intermediate results are computed again for the gradient rather than kept in memory.

    Everything that is differentiated must come in as an argument.

    >>> from layerkit.fastmath import grad
    >>> from layerkit.fastmath import numpy as np
    >>> float(grad(remat(lambda x: x**3))(np.array(2.0)))
    12.0
    """
    return active().remat(_body("remat", f))
