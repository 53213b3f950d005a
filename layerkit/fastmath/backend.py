"""What a backend is, and which one is active."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from layerkit.errors import LayerkitError, UsageError, shown, warn
from layerkit.fastmath.contexts import holding, inside

__all__ = [
    "ArrayError",
    "Backend",
    "active",
    "backend_name",
    "current_region",
    "entered",
    "float64",
    "float64_enabled",
    "region",
    "use_backend",
]

P = ParamSpec("P")
T = TypeVar("T")


class ArrayError(LayerkitError, ValueError):
    """Arrays that do not fit an operation. The text is the same on every backend."""


class Backend(Protocol):
    """The one thing a backend plugin provides: an array language.

    Arrays carry ``shape``, ``dtype`` (NumPy's own dtype objects), ``astype``, ``reshape``, indexing and the arithmetic
    operators, also beside NumPy's arrays (a class with ``__array_ufunc__ = None`` is asked first). Numbers are float32
    and int32 unless the caller asks for others, also inside ``numpy``; within ``layerkit.fastmath.float64()`` they are
    float64 and int32. Trees are nested tuples, named tuples, lists and dicts of arrays; ``()`` and ``None`` are trees
    without leaves. Every function here is safe to call from several threads at once.
    """

    name: str
    """The name it is asked for by, in lower case: ``numpy``."""

    numpy: Any
    """A namespace with every name in ``layerkit.fastmath.numpy.NAMES``, behaving as NumPy's.

    Arguments that do not fit raise TypeError, ValueError or IndexError, whose message speaks of shapes, sizes, axes or
    dimensions: layerkit makes an ``ArrayError`` of it. Where there is no one slope, the gradient is this: equal numbers
    share that of ``maximum``, ``minimum``, ``fmax``, ``fmin``, ``clip`` and of the reductions ``max`` and ``min``;
    ``abs`` has slope 1 at 0.
    """

    random: Any
    """A namespace with every name in ``layerkit.fastmath.random.NAMES``; the bits are those of threefry-2x32.

    Arguments come checked: a key is uint32 (2,), a shape a tuple, a dtype one that the function draws. ``uniform``,
    ``bernoulli``, ``randint`` and ``permutation`` are equal to the bit on all backends (``low + u * span`` is rounded
    once); ``normal``, ``truncated_normal`` and ``gumbel`` to 3 units in the last place, for which the logarithm and the
    inverse of erf must be those of the reference, to the polynomial.
    """

    def jit(
        self, f: Callable[..., Any], static_argnums: Sequence[int] = (), donate_argnums: Sequence[int] = ()
    ) -> Callable[..., Any]:
        """``f`` compiled, where the backend compiles; a donated argument's buffers may be reused for the result."""

    def value_and_grad(
        self, f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
    ) -> Callable[..., Any]:
        """A function that returns ``f``'s value and its gradient with respect to the arguments ``argnums`` (trees).

        ``f`` returns one scalar, or (scalar, aux) with ``has_aux``; aux comes back as plain arrays. Gradients have
        their argument's structure, shapes and dtypes; integer leaves get zeros. Inside of another function that is
        being differentiated value, aux and gradient are differentiable themselves.
        """

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        """``f(*primals)``, and a function from the gradient of that to the gradients of the primals."""

    def vmap(self, f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
        """``f`` mapped over an axis of its arguments (``None``: not mapped); results are stacked."""

    def scan(
        self, f: Callable[..., Any], init: Any, xs: Any, length: int | None = None, reverse: bool = False
    ) -> tuple[Any, Any]:
        """Loops ``carry, y = f(carry, x)`` over the first axis of ``xs``; returns the last carry and the stacked ys."""

    # A backend may have ``scan_over(f, init, over, xs, reverse)`` as well, ``layerkit.fastmath.scan_over``, whose loop
    # writes on the arrays it reads. Without it, ``scan`` does that work.

    def cond(self, pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
        """``true_fn(*operands)`` where the scalar ``pred`` holds, else ``false_fn(*operands)``."""

    def while_loop(self, cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any) -> Any:
        """Applies ``body_fn`` to ``init`` as long as ``cond_fn`` holds."""

    def map(self, f: Callable[[Any], Any], xs: Any) -> Any:
        """``f`` of each slice along the first axis of ``xs``, one after the other, stacked."""

    def stop_gradient(self, x: Any) -> Any:
        """``x``, as a constant to differentiation."""

    def custom_vjp(
        self, f: Callable[..., Any], forward: Callable[..., Any], backward: Callable[..., Any]
    ) -> Callable[..., Any]:
        """``f`` with its own gradient: ``forward(*args) -> (y, residuals)``, ``backward(residuals, dy) -> d args``.

        ``y``, ``residuals`` and each argument are trees. ``backward`` returns a tuple, one entry an argument, in which
        ``None`` stands for no gradient; what it returns for integers is not looked at.
        """

    def remat(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """``f``, whose intermediate results are computed again for the gradient rather than kept."""

    def take_rows(self, table: Any, ids: Any) -> Any:
        """``table[ids]`` for a table (rows, ...) and integer ids of any shape.

        An id outside ``0 .. rows - 1`` raises ``ArrayError`` where the ids are known, and gives rows of NaN inside
        ``jit``.
        """

    # A backend may have ``put_rows(table, ids, rows)`` as well: the table with rows in the places ``ids`` (rising, each
    # once; those beyond the table are left out), which may overwrite ``table``. Without it all tables are trained
    # densely. And ``rarely(truths)``: whether one of them holds, for a backend that records functions.

    def segment_sum(self, values: Any, segment_ids: Any, num_segments: int) -> Any:
        """Sums ``values`` (n, ...) that carry the same id: (num_segments, ...)."""

    def logsumexp(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """log(sum(exp(x))), without overflow."""

    def erf(self, x: Any) -> Any:
        """The error function."""

    def top_k(self, x: Any, k: int) -> tuple[Any, Any]:
        """The k largest values along the last axis, in falling order, and their positions."""

    def update_slice(self, x: Any, part: Any, start: Any, axis: int) -> Any:
        """``x`` with ``part`` in place of what lies from ``start`` on along ``axis``; all other axes are as long.

        A ``start`` from which ``part`` does not fit raises ``ArrayError`` where it is known; inside ``jit`` it is moved
        to the nearest from which it does.
        """

    def conv(
        self, x: Any, kernel: Any, strides: Any, padding: Any, input_dilation: Any, kernel_dilation: Any, groups: int
    ) -> Any:
        """y[n, i, f] = sum of x[n, i s + t d, c] kernel[t, c, f] over t and c, along any number of axes.

        Arguments come checked, two arrays of one floating-point dtype: x (n, lengths..., c), kernel (widths...,
        c / groups, f). ``padding`` has a pair of numbers of zeros for each axis, the others have one number each.
        """

    def to_host(self, tree: Any) -> Any:
        """The tree with every leaf a NumPy array."""

    def to_device(self, tree: Any, device: Any = None) -> Any:
        """The tree with every leaf an array of this backend, on ``device``."""

    def devices(self) -> list[str]:
        """The devices it computes on, in words; the first is the default."""

    def block_until_ready(self, tree: Any) -> Any:
        """Waits until the arrays are computed, and returns them."""

    def abstract_eval(self, f: Callable[..., Any], *signatures: Any) -> Any:
        """The signature (tree of ``ShapeDtype``) of ``f``'s result for arguments of these signatures."""

    def canonical(self, x: Any) -> Any:
        """A layer's output with float64 and int64 narrowed to 32 bits (outside ``float64()``); others unchanged."""

    def is_traced(self, x: Any) -> bool:
        """Whether ``x`` stands for a value that is not known yet (so that it cannot be looked at).

        It is true of the arguments inside ``abstract_eval`` in any case, also where that runs ``f`` on zeros.
        """

    def float64(self) -> contextlib.AbstractContextManager[Any]:
        """What the backend itself must switch while 64-bit numbers are on."""

    def compilations(self) -> int:
        """How many programs the backend has compiled in this process."""


class Entered(NamedTuple):
    """A ``use_backend`` that was entered."""

    backend: Backend
    by: UseBackend
    before: Entered | None


entered: ContextVar[Entered | None] = ContextVar("layerkit_backend", default=None)
"""The innermost one."""
_float64: ContextVar[bool] = ContextVar("layerkit_float64", default=False)
current_region: ContextVar[region | None] = ContextVar("layerkit_region", default=None)
_default: Backend | None = None


def active() -> Backend:
    """The backend that computes now: that of the innermost ``use_backend``, else the default one."""
    innermost = entered.get()
    return innermost.backend if innermost is not None else _default or _resolve_default()


def backend_name() -> str:
    """The active backend's name.

    >>> with use_backend("numpy"):
    ...     backend_name()
    'numpy'
    """
    return active().name


def _resolve_default() -> Backend:
    global _default
    from layerkit.plugins import registry

    _default = registry.make_backend(os.environ.get("LAYERKIT_BACKEND") or registry.default_backend_name())
    return _default


def use_backend(name: str | Backend) -> UseBackend:
    """Computes with the backend ``name`` inside the ``with`` block, in this thread or task alone.

    Above a function, ``@use_backend("numpy")``, it holds for each call of it.

    Args:
        name: a registered backend's name, such as ``"numpy"`` or ``"jax"``; or a backend.

    Raises:
        UsageError: no backend has that name, or what it needs is not installed.

    >>> from layerkit.fastmath import numpy as np
    >>> with use_backend("numpy"):
    ...     type(np.zeros(2)).__name__
    'ndarray'
    """
    from layerkit.plugins import registry

    if isinstance(name, str):
        return UseBackend(registry.make_backend(name))
    if not isinstance(getattr(name, "name", None), str):
        raise UsageError(f"use_backend takes the name of a backend, such as 'numpy', got {shown(name)}")
    return UseBackend(name)


class UseBackend(contextlib.AbstractContextManager[Backend]):
    """What ``use_backend`` gives."""

    _used = True  # of one whose making was interrupted

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._used = False

    def __enter__(self) -> Backend:
        self._used = True
        before = entered.get()
        try:
            entered.set(Entered(self._backend, self, before))
        except BaseException:  # Ctrl-C may come right after it
            entered.set(before)
            raise
        return self._backend

    def __exit__(self, *error: object) -> None:
        mine = entered.get()
        while mine is not None and mine.by is not self:  # inside it, one whose end was interrupted
            mine = mine.before
        if mine is None:
            raise UsageError(
                f"use_backend({self._backend.name!r}) ends in another thread, task or generator than it began in: "
                "end the with block where it began"
            )
        entered.set(mine.before)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        self._used = True

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return inside(entered, Entered(self._backend, self, entered.get()), function, *args, **kwargs)

        return call

    def __del__(self) -> None:
        if not self._used:
            text = f"use_backend({self._backend.name!r}) by itself changes nothing: write with lk.use_backend(...), or "
            warn(f"{text}set LAYERKIT_BACKEND={self._backend.name}")


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """Computes in float64 inside the ``with`` block; for gradient checks, not for training.

    >>> from layerkit.fastmath import numpy as np
    >>> with use_backend("numpy"), float64():
    ...     np.zeros(2).dtype.name
    'float64'
    """
    with holding(_float64, True), active().float64():
        yield


def float64_enabled() -> bool:
    """Whether this code runs inside ``float64()``.

    >>> float64_enabled()
    False
    """
    return _float64.get()


class region:
    """The body of a scan, cond, map, remat or jit, where a layer's state cannot be written.

    ``current_region`` holds a new object for each body being run or traced, ``None`` outside of them.
    """

    __slots__ = ("name", "outer")

    def __init__(self, name: str) -> None:
        self.name = name
        self.outer = current_region.get()

    def run(self, f: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``f(*args, **kwargs)`` in it."""
        return inside(current_region, self, f, *args, **kwargs)
