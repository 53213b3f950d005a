"""The array: a torch tensor that says its dtype in NumPy's words and cannot be written.

A class around the tensor rather than a subclass of it: a subclass would show torch's dtypes, rules of promotion and
methods wherever none of ours was in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import torch

from layerkit.fastmath import nested_map
from layerkit_torch.dtypes import NUMPY, SCALARS, TORCH, WIDE_UNSIGNED, common_dtype, narrow_dtype

__all__ = ["Array", "as_array", "detached", "in_signed", "operands", "refusing", "to_numpy", "wrapped"]


class Array:
    """A torch tensor with NumPy's manners; its operators and methods are attached in ``methods``."""

    __slots__ = ("tensor",)

    # NumPy's arrays leave their operators to ours.
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    dtype = property(lambda self: NUMPY[self.tensor.dtype])
    shape = property(lambda self: tuple(self.tensor.shape))
    ndim = property(lambda self: self.tensor.ndim)
    size = property(lambda self: self.tensor.numel())
    itemsize = property(lambda self: self.tensor.itemsize)
    nbytes = property(lambda self: self.tensor.nbytes)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return onp.array(self._known(), dtype, copy=copy or None)

    def _known(self) -> Any:
        if self.tensor.requires_grad:
            raise TypeError(
                "an array that is being differentiated is no plain number or NumPy array: "
                "compute with layerkit.fastmath.numpy, or take it out of the gradient with fastmath.stop_gradient"
            )
        return to_numpy(self)

    def item(self, *args: Any) -> Any:
        return self._known().item(*args)

    def tolist(self) -> Any:
        return self._known().tolist()

    def __float__(self) -> float:
        return float(self._known())

    def __int__(self) -> int:
        return int(self._known())

    def __complex__(self) -> complex:
        return complex(self._known())

    def __index__(self) -> int:
        return self._known().__index__()

    def __bool__(self) -> bool:
        return bool(to_numpy(self))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("an array of the torch backend cannot be written: make a new one with np.where")

    def __format__(self, how: str) -> str:
        return format(self.item(), how) if how and not self.ndim else str(self)

    def __repr__(self) -> str:
        return f"torch:{to_numpy(self)!r}"

    def __str__(self) -> str:
        return str(to_numpy(self))


def to_numpy(x: Any) -> Any:
    """The numbers of an array in NumPy's memory-sharing view of it, which cannot be written either."""
    if not isinstance(x, Array):
        return onp.asarray(x)
    tensor = x.tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        view = tensor.contiguous().view(torch.int16).numpy().view(NUMPY[torch.bfloat16])
    else:
        view = tensor.numpy()
    view.flags.writeable = False
    return view


def as_array(x: Any, dtype: Any = None) -> Array:
    """Numbers, NumPy's arrays, and lists of all of them (ours included) as an array, in 32 bits."""
    if not isinstance(x, Array):
        x = _from_list(x) if isinstance(x, (list, tuple)) else _from_host(x, dtype)
    wanted = narrow_dtype(x.dtype if dtype is None else dtype)
    return x if x.dtype == wanted else Array(x.tensor.to(TORCH[wanted]))


def _from_host(x: Any, dtype: Any = None) -> Array:
    # Copied: NumPy's array may be written later, or be one that torch cannot share.
    host = onp.array(x, None if dtype is None else onp.dtype(dtype), order="C")
    narrow = narrow_dtype(host.dtype)
    if narrow not in TORCH:
        raise TypeError(f"the torch backend holds numbers and truths, not {host.dtype}")
    host = host.astype(narrow, copy=False)
    if TORCH[narrow] == torch.bfloat16:
        return Array(torch.from_numpy(host.view(onp.int16)).view(torch.bfloat16))
    return Array(torch.from_numpy(host.astype(host.dtype.newbyteorder("="), copy=False)))


def _from_list(values: Any) -> Array:
    if not _holds_arrays(values):
        return _from_host(values)
    parts = [as_array(value) for value in values]
    dtype = TORCH[common_dtype(parts)]
    return Array(torch.stack([part.tensor.to(dtype) for part in parts]))


def _holds_arrays(values: Any) -> bool:
    return any(isinstance(v, Array) or (isinstance(v, (list, tuple)) and _holds_arrays(v)) for v in values)


def operands(*values: Any, dtype: Any = None) -> tuple[Any, list[torch.Tensor]]:
    """The dtype of what these values give together, and tensors to compute that with.

    Results in a dtype that torch does not compute in are computed in int64; ``wrapped`` brings them back.
    """
    known = [v if type(v) in SCALARS or isinstance(v, Array) else as_array(v) for v in values]
    dtype = common_dtype(known) if dtype is None else narrow_dtype(dtype)
    kind = TORCH[dtype]
    kind = torch.int64 if kind in WIDE_UNSIGNED else kind
    return dtype, [v.tensor.to(kind) if isinstance(v, Array) else torch.tensor(v, dtype=kind) for v in known]


def wrapped(tensor: torch.Tensor, dtype: Any) -> Array:
    """A tensor as an array of this dtype; whole numbers wrap around."""
    return Array(tensor.to(TORCH[dtype]))


def in_signed(f: Callable[[torch.Tensor], torch.Tensor], x: Any) -> Array:
    """``f``, which only moves numbers, of an array in whatever dtype: torch moves few unsigned ones."""
    tensor = as_array(x).tensor
    signed = WIDE_UNSIGNED.get(tensor.dtype)
    return Array(f(tensor) if signed is None else f(tensor.view(signed)).view(tensor.dtype))


def refusing(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, whose complaints are ValueErrors as NumPy's are, where torch has RuntimeErrors."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return f(*args, **kwargs)
        except RuntimeError as error:
            raise ValueError(str(error).partition("\n")[0]) from error

    call.__name__ = call.__qualname__ = f.__name__
    return call


def detached(tree: Any) -> Any:
    """The tree with arrays that are constants to differentiation."""
    return nested_map(lambda x: Array(x.tensor.detach()) if isinstance(x, Array) else x, tree)
