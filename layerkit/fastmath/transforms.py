"""Functions made from functions: compiled, differentiated, mapped."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from layerkit.errors import shown
from layerkit.fastmath.backend import ArrayError, active, float64_enabled, region
from layerkit.fastmath.contexts import holding

__all__ = ["custom_vjp", "grad", "impure", "jit", "recording", "value_and_grad", "vjp", "vmap"]

_recording: ContextVar[Callable[[str], None] | None] = ContextVar("layerkit_recording", default=None)


def _no_mode() -> Hashable:
    return None


mode: Callable[[], Hashable] = _no_mode
"""What else a compiled program depends on, besides its arguments: layers put their training flag here."""


def jit(
    fun: Callable[..., Any], static_argnums: int | Sequence[int] = (), donate_argnums: int | Sequence[int] = ()
) -> Callable[..., Any]:
    """``fun``, compiled where the active backend compiles; on NumPy, recorded and played.

    One program is kept for each backend, precision and training flag that it is called under. What ``fun`` reads
    besides its arguments may be taken as it was when the program was made. A layer is called as without ``jit``, and
    computes with the weights and state that it has at that moment.

    Args:
        fun: a function without side effects.
        static_argnums: positions of arguments that are compiled in (one or several); they must be hashable.
        donate_argnums: positions of arguments that the caller gives up, so that their memory can hold the result.

    >>> from layerkit.fastmath import numpy as np
    >>> float(jit(lambda x: x * 2)(np.array(3.0)))
    6.0
    """
    _check_function("jit", fun)
    static, donated = ((n,) if isinstance(n, int) else tuple(n) for n in (static_argnums, donate_argnums))
    if hasattr(fun, "call_by"):
        return _of_layer(fun, static, donated)
    programs: dict[Hashable, Callable[..., Any]] = {}

    @functools.wraps(fun)
    def call(*args: Any, **named: Any) -> Any:
        backend = active()
        key = backend.name, float64_enabled(), mode(), bool(named)
        program = programs.get(key)
        if program is None:
            program = programs[key] = backend.jit(_body(fun, bool(named)), static, donated)
        return program(*args, named) if named else program(*args)

    return call


def _of_layer(layer: Any, static: tuple[int, ...], donated: tuple[int, ...]) -> Callable[..., Any]:
    """The layer's call, in which a program computes: its weights and state are arguments of that."""

    @functools.cache
    def program(training: bool | None) -> Callable[..., Any]:
        return jit(lambda *args: layer.pure_fn(*args, training), static, donated)

    return functools.partial(layer.call_by, lambda *args: program(args[-1])(*args[:-1]))


def _check_function(name: str, f: Any) -> None:
    if not callable(f):
        raise ArrayError(f"{name} takes a function, as in {name}(f)(x), got {shown(f)}")


def impure(what: str) -> None:
    """Says that the running function does more than compute with its arguments: ``what``, in words.

    NumPy then runs a function inside ``jit`` anew at each call, instead of playing a record of it. A compiler cannot,
    so there nothing happens.

    >>> impure("it prints")
    """
    refuse = _recording.get()
    if refuse is not None:
        refuse(what)


def recording(refuse: Callable[[str], None]) -> AbstractContextManager[None]:
    """For a backend that records functions: inside the ``with`` block it is told of what is ``impure``."""
    return holding(_recording, refuse)


def _body(fun: Callable[..., Any], is_named: bool) -> Callable[..., Any]:
    """``fun`` in a region of its own; a new function each time, as a backend may remember traces by identity.

    A backend's programs take arguments by position: those that have names come last, as one dict.
    """

    @functools.wraps(fun)
    def run(*args: Any) -> Any:
        named = args[-1] if is_named else {}
        return region("jit").run(fun, *(args[:-1] if is_named else args), **named)

    return run


def value_and_grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the value of ``fun`` and its gradient with respect to the arguments ``argnums``.

    Args:
        fun: returns one scalar, or (scalar, aux) with ``has_aux``.
        argnums: a position, or several (then the gradient is a tuple); what is given by name is a constant.
        has_aux: whether ``fun`` returns something beside the scalar; it is handed through.

    >>> from layerkit.fastmath import numpy as np
    >>> value, gradient = value_and_grad(lambda x: x**2)(np.array(5.0))
    >>> float(value), float(gradient)
    (25.0, 10.0)
    """
    _check_function("value_and_grad", fun)

    def call(*args: Any, **named: Any) -> Any:
        f = functools.partial(fun, **named) if named else fun
        return active().value_and_grad(f, argnums, has_aux)(*args)

    return call


def grad(fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of ``fun``; with ``has_aux``, (gradient, aux).

    >>> from layerkit.fastmath import numpy as np
    >>> float(grad(lambda x: 3 * x**2 + x)(np.array(2.0)))
    13.0
    """
    _check_function("grad", fun)
    both = value_and_grad(fun, argnums, has_aux)

    def call(*args: Any, **named: Any) -> Any:
        value, gradient = both(*args, **named)
        return (gradient, value[1]) if has_aux else gradient

    return call


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """``f(*primals)``, and the function that takes the gradient of that back to the primals.

    >>> from layerkit.fastmath import numpy as np
    >>> y, back = vjp(lambda x: x * np.array([1.0, 2.0]), np.array(3.0))
    >>> y.tolist(), float(back(np.array([1.0, 1.0]))[0])
    ([3.0, 6.0], 3.0)
    """
    return active().vjp(f, *primals)


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """``f`` mapped over an axis of its arguments; ``None`` in ``in_axes`` hands an argument to every call whole.

    >>> from layerkit.fastmath import numpy as np
    >>> vmap(lambda x, y: x + y, in_axes=(0, None))(np.array([1.0, 2.0]), np.array(10.0)).tolist()
    [11.0, 12.0]
    """

    def call(*args: Any) -> Any:
        return active().vmap(f, in_axes, out_axes)(*args)

    return call


def custom_vjp(f: Callable[..., Any], forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` with a gradient of its own.

    Args:
        f: the function.
        forward: ``(*args) -> (f(*args), residuals)``, run when a gradient will be asked for.
        backward: ``(residuals, dy) -> (d arg0, d arg1, ...)``.

    >>> from layerkit.fastmath import numpy as np
    >>> clipped = custom_vjp(lambda x: x, lambda x: (x, ()), lambda _, dy: (np.clip(dy, -1, 1),))
    >>> float(grad(lambda x: 5 * clipped(x))(np.array(2.0)))
    1.0
    """

    def call(*args: Any) -> Any:
        return active().custom_vjp(f, forward, backward)(*args)

    return call
