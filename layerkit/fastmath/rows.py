"""Tables that are read row by row: what stands in for one whose rows are elsewhere, and writing rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, NoReturn

import numpy as onp

from layerkit.fastmath.backend import active
from layerkit.fastmath.contexts import holding
from layerkit.shapes import ShapeDtype

__all__ = ["OtherUse", "RowTable", "has_put_rows", "observing_reads", "put_rows", "read_observer", "writes_in_place"]


_observer: ContextVar[Callable[[Any, Any], None] | None] = ContextVar("layerkit_reads", default=None)

read_observer = _observer.get
"""What is told of every ``take_rows``, ``None`` outside of ``observing_reads``."""


def observing_reads(observer: Callable[[Any, Any], None]) -> AbstractContextManager[None]:
    """Inside the ``with`` block, ``observer(table, ids)`` is told of every ``take_rows``."""
    return holding(_observer, observer)


class OtherUse(BaseException):
    """A table that stands for its rows alone was used in another way.

    It is no Exception, so that no layer's ``except`` stops it.
    """

    def __init__(self, table: RowTable, how: str = "it is also used in another way than by row") -> None:
        super().__init__(f"{table.path}: {how}")
        self.table, self.how = table.origin, how


class RowTable:
    """Stands in the weights where a table is, of which ``take_rows`` alone may be asked.

    A training step hands it to a model in place of a table that may have millions of rows: the rows that the step
    reads are computed, and differentiated, apart.

    Args:
        path: the table's name, as in paths of tensors.
        shape: the table's.
        dtype: the table's.
        read: from ids to rows.
        origin: the stand-in that it was made of.
    """

    __slots__ = ("_read", "dtype", "origin", "path", "shape")

    def __init__(
        self, path: str, shape: tuple[int, ...], dtype: Any, read: Callable[[Any], Any], origin: RowTable | None = None
    ) -> None:
        self.path, self.shape, self.dtype, self._read = path, tuple(shape), dtype, read
        self.origin: RowTable = self if origin is None else origin

    def read(self, ids: Any) -> Any:
        """The rows for ids of any shape."""
        return self._read(ids)

    def astype(self, dtype: Any) -> RowTable:
        """The same table, whose rows are read in another dtype."""
        return RowTable(self.path, self.shape, dtype, lambda ids: self._read(ids).astype(dtype), self.origin)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def signature(self) -> ShapeDtype:
        return ShapeDtype(self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"RowTable({self.path}, {self.signature})"

    def _other_use(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise OtherUse(self)

    def __getattr__(self, name: str) -> Any:
        # Names with two underscores are Python's own questions, such as whether an object can be copied.
        if name.startswith("__") and name not in ("__jax_array__", "__array_interface__"):
            raise AttributeError(name)
        raise OtherUse(self)

    __array__ = __array_ufunc__ = __array_function__ = __getitem__ = __len__ = __iter__ = __bool__ = _other_use
    __float__ = __int__ = __neg__ = __abs__ = __pos__ = __contains__ = _other_use
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _other_use
    __matmul__ = __rmatmul__ = __pow__ = __rpow__ = __lt__ = __le__ = __gt__ = __ge__ = _other_use


def has_put_rows() -> bool:
    """Whether the active backend can write rows in place."""
    return hasattr(active(), "put_rows")


def writes_in_place() -> bool:
    """Whether arrays of the active backend are NumPy's, which can be written into."""
    # np.zeros would be a program to compile where programs are.
    return type(active().to_device(onp.zeros(0, onp.float32))) is onp.ndarray


def put_rows(table: Any, ids: Any, rows: Any) -> Any:
    """The table with ``rows`` in the places ``ids``, each there once and in rising order; the caller gives it up.

    Rows whose id lies beyond the table are left out.

    >>> from layerkit.fastmath import numpy as np
    >>> put_rows(np.zeros((3, 1)), np.array([0, 2]), np.array([[1.0], [2.0]])).tolist()
    [[1.0], [0.0], [2.0]]
    """
    return active().put_rows(table, ids, rows)  # type: ignore[attr-defined]
