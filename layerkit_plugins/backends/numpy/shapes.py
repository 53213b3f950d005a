"""Gradients of the functions that reshape, join and part arrays, or make them from others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit_plugins.backends.numpy.boxes import defvjp, defvjp_argnum, is_box, primitive
from layerkit_plugins.backends.numpy.elementwise import astype, fit
from layerkit_plugins.backends.numpy.namespace import differentiable, has_box, known, np
from layerkit_plugins.backends.numpy.precision import narrow_dtype

__all__: list[str] = []

_reshape = primitive(lambda x, shape: np.reshape(x, shape), "reshape")
_transpose = primitive(lambda x, axes: np.transpose(x, axes), "transpose")
_broadcast_to = primitive(lambda x, shape: np.broadcast_to(x, shape), "broadcast_to")
_concatenate = primitive(lambda axis, *arrays: np.concatenate(arrays, axis), "concatenate")
_stack = primitive(lambda axis, *arrays: np.stack(arrays, axis), "stack")


def _transpose_gradient(ans: Any, x: Any, axes: Any) -> Callable[[Any], Any]:
    back = None if axes is None else tuple(onp.argsort(axes))
    return lambda g: np.transpose(g, back)


def _concatenate_gradient(argnum: int, ans: Any, args: tuple[Any, ...], kwargs: Any) -> Callable[[Any], Any]:
    axis, arrays = args[0], args[1:]
    start = sum(array.shape[axis] for array in arrays[: argnum - 1])
    place = (slice(None),) * (axis % ans.ndim) + (slice(start, start + arrays[argnum - 1].shape[axis]),)
    return lambda g: g[place]


def _stack_gradient(argnum: int, ans: Any, args: tuple[Any, ...], kwargs: Any) -> Callable[[Any], Any]:
    place = (slice(None),) * (args[0] % ans.ndim) + (argnum - 1,)
    return lambda g: g[place]


defvjp(_reshape, lambda ans, x, shape: lambda g: np.reshape(g, x.shape))
defvjp(_transpose, _transpose_gradient)
defvjp(_broadcast_to, lambda ans, x, shape: lambda g: fit(g, x.shape))
defvjp_argnum(_concatenate, _concatenate_gradient)
defvjp_argnum(_stack, _stack_gradient)


def _an_array(a: Any) -> Any:
    return a if is_box(a) else np.asarray(a)


# Shapes


def reshape(a: Any, shape: Any, order: str = "C", *, copy: Any = None) -> Any:
    a = _an_array(a)
    if order == "F":
        sizes = onp.broadcast_to(onp.empty(()), a.shape).reshape(shape).shape
        return np.transpose(_reshape(np.transpose(a), sizes[::-1]))
    return _reshape(a, shape)


def ravel(a: Any, order: str = "C") -> Any:
    return reshape(a, -1, order)


def transpose(a: Any, axes: Any = None) -> Any:
    a = _an_array(a)
    return _transpose(a, None if axes is None else tuple(int(axis) % a.ndim for axis in axes))


def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    a = _an_array(a)
    # Axis i has size i + 1 in an array without memory of its own; moved, the sizes tell the axes.
    sizes = onp.moveaxis(onp.broadcast_to(0, tuple(range(1, a.ndim + 1))), source, destination).shape
    return _transpose(a, tuple(size - 1 for size in sizes))


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    a = _an_array(a)
    axes = list(range(a.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return _transpose(a, tuple(axes))


def expand_dims(a: Any, axis: Any) -> Any:
    a = _an_array(a)
    return _reshape(a, onp.expand_dims(onp.broadcast_to(0, a.shape), axis).shape)


def squeeze(a: Any, axis: Any = None) -> Any:
    a = _an_array(a)
    return _reshape(a, onp.squeeze(onp.broadcast_to(0, a.shape), axis).shape)


def _at_least(name: str) -> Callable[..., Any]:
    plain = getattr(onp, name)

    def raise_rank(*arrays: Any) -> Any:
        raised = [_reshape(a, plain(onp.broadcast_to(0, a.shape)).shape) for a in map(_an_array, arrays)]
        return raised[0] if len(raised) == 1 else tuple(raised)

    return raise_rank


def broadcast_to(array: Any, shape: Any) -> Any:
    return _broadcast_to(_an_array(array), shape)


def broadcast_arrays(*arrays: Any) -> Any:
    shape = onp.broadcast_shapes(*(onp.shape(known(a)) for a in arrays))
    return tuple(broadcast_to(a, shape) for a in arrays)


def meshgrid(*arrays: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    count = len(arrays)
    grids = [np.reshape(a, tuple(-1 if i == axis else 1 for i in range(count))) for axis, a in enumerate(arrays)]
    if indexing == "xy" and count > 1:
        grids = [np.swapaxes(grid, 0, 1) for grid in grids]
    return tuple(grids) if sparse else broadcast_arrays(*grids)


# Joining and parting


def concatenate(arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    parts = [_an_array(a) for a in arrays]
    if axis is None:
        parts, axis = [np.ravel(part) for part in parts], 0
    joined = _concatenate(axis, *parts)
    return joined if dtype is None else astype(joined, narrow_dtype(dtype))


def stack(arrays: Any, axis: int = 0, dtype: Any = None) -> Any:
    stacked = _stack(axis, *map(_an_array, arrays))
    return stacked if dtype is None else astype(stacked, narrow_dtype(dtype))


def vstack(tup: Any) -> Any:
    return concatenate([np.atleast_2d(part) for part in tup], 0)


def hstack(tup: Any) -> Any:
    parts = [np.atleast_1d(part) for part in tup]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


def column_stack(tup: Any) -> Any:
    parts = map(_an_array, tup)
    return concatenate([np.reshape(part, (-1, 1)) if part.ndim < 2 else part for part in parts], 1)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    ary = _an_array(ary)
    axis %= ary.ndim
    count = ary.shape[axis]
    if isinstance(indices_or_sections, int):
        cuts = onp.cumsum([len(piece) for piece in onp.array_split(range(count), indices_or_sections)]).tolist()[:-1]
    else:
        cuts = list(known(indices_or_sections))
    return [
        ary[(slice(None),) * axis + (slice(start, stop),)]
        for start, stop in zip([0, *cuts], [*cuts, count], strict=True)
    ]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    if isinstance(indices_or_sections, int) and ary.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return array_split(ary, indices_or_sections, axis)


# Making


def array(a: Any, dtype: Any = None, copy: bool = True, order: Any = "K", ndmin: int = 0) -> Any:
    a = asarray(a, dtype)
    return _reshape(a, (1,) * (ndmin - a.ndim) + a.shape) if ndmin > a.ndim else a


def asarray(a: Any, dtype: Any = None, order: Any = None, copy: Any = None) -> Any:
    """Nested lists and tuples with boxes in them are stacked level by level."""
    if isinstance(a, (list, tuple)) and has_box(a):
        a = stack([asarray(part) for part in a])
    return _an_array(a) if dtype is None else astype(_an_array(a), narrow_dtype(dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    return broadcast_to(asarray(fill_value, dtype), shape)


def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    a = known(a)
    return full(a.shape if shape is None else shape, fill_value, a.dtype if dtype is None else dtype)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    start, stop = np.broadcast_arrays(asarray(start), asarray(stop))
    steps = max(num - 1 if endpoint else num, 1)
    shares = (np.arange(num) / steps).astype(start.dtype)
    shares = np.reshape(shares, (num,) + (1,) * start.ndim)
    values = np.moveaxis(start * (1 - shares) + stop * shares, 0, axis)
    values = values if dtype is None else astype(values, narrow_dtype(dtype))
    return (values, (stop - start) / steps) if retstep else values


differentiable.update(
    reshape=reshape, ravel=ravel, transpose=transpose, moveaxis=moveaxis, swapaxes=swapaxes, expand_dims=expand_dims,
    squeeze=squeeze, broadcast_to=broadcast_to, broadcast_arrays=broadcast_arrays, meshgrid=meshgrid,
    concatenate=concatenate, stack=stack, vstack=vstack, hstack=hstack, column_stack=column_stack,
    array_split=array_split, split=split, array=array, asarray=asarray, copy=asarray, full=full, full_like=full_like,
    linspace=linspace, **{name: _at_least(name) for name in ("atleast_1d", "atleast_2d", "atleast_3d")},
)  # fmt: skip
