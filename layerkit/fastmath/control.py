"""Loops and branches that every backend can differentiate and compile.

Each body runs inside a ``region``, in which a layer's state cannot be written: what a body changes it must return.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from layerkit.fastmath.backend import active, region

__all__ = ["cond", "map", "remat", "scan", "while_loop"]


def _body(name: str, f: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        with region(name):
            return f(*args, **kwargs)

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
    return active().scan(_body("scan", f), init, xs, length, reverse)


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
    """
    return active().remat(_body("remat", f))
