"""The array language: NumPy's names, computed by whichever backend is active.

``from layerkit.fastmath import numpy as np`` and write layers as you would write NumPy. Dtypes and constants are
NumPy's own on every backend; every function asks the active backend at the time it is called.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.errors import suggest
from layerkit.fastmath import backend as _backend
from layerkit.fastmath.backend import ArrayError

NAMES = tuple(
    """
    abs add all amax amin any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort
    array array_equal array_split asarray atleast_1d atleast_2d atleast_3d average broadcast_arrays broadcast_to
    cbrt ceil clip column_stack concatenate conj copy cos cosh count_nonzero cross cumprod cumsum diag diagonal diff
    divide divmod dot einsum empty empty_like equal exp exp2 expand_dims expm1 eye flip floor floor_divide fmax fmin
    full full_like greater greater_equal hstack hypot identity inner invert isclose isfinite isinf isnan kron less
    less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul max
    maximum mean median meshgrid min minimum mod moveaxis multiply nan_to_num ndim negative nonzero not_equal
    ones ones_like outer pad positive power prod ravel reciprocal remainder repeat reshape roll rot90 round
    searchsorted select shape sign sin sinc sinh size sort split sqrt square squeeze stack std subtract sum
    swapaxes take take_along_axis tan tanh tensordot tile trace transpose tril triu true_divide trunc var vdot
    vstack where zeros zeros_like
    """.split()
)
"""Functions that every backend's ``numpy`` namespace has."""

_DTYPES = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64".split()

__all__ = [*NAMES, *_DTYPES, "NAMES", "dtype", "e", "finfo", "iinfo", "inf", "nan", "ndarray", "newaxis", "pi"]

e, inf, nan, newaxis, pi = onp.e, onp.inf, onp.nan, None, onp.pi
dtype, finfo, iinfo, ndarray = onp.dtype, onp.finfo, onp.iinfo, onp.ndarray


def _dispatch(name: str) -> Callable[..., Any]:
    # Both context reads are spelled out: a call through active() would double the cost of a look-up.
    entered = _backend.entered.get

    def call(*args: Any, **kwargs: Any) -> Any:
        innermost = entered()
        numpy = (_backend.active() if innermost is None else innermost.backend).numpy
        try:
            return getattr(numpy, name)(*args, **kwargs)
        except (TypeError, ValueError, IndexError) as error:
            _explain(name, args, kwargs, error)
            raise

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``numpy.{name}`` on the active backend."
    return call


_OF_SHAPES = (
    "shape broadcast align dimension dims axis axes size division out_of_range out_of_bounds Size subscript".split()
)


def _explain(name: str, args: tuple[Any, ...], options: dict[str, Any], error: Exception) -> None:
    """Raises one plain sentence, the same on every backend, where arguments do not fit the shapes they are for."""
    # By the time this runs, `any` is the array language's.
    if isinstance(error, ArrayError) or not builtins.any(word.replace("_", " ") in str(error) for word in _OF_SHAPES):
        return
    listed = builtins.bool(args) and isinstance(args[0], (tuple, list))
    arrays = [a for a in (args[0] if listed else args) if hasattr(a, "shape") and hasattr(a, "dtype")]
    others = [repr(a) for a in args[listed:] if not hasattr(a, "dtype")]
    others += [f"{key}={value!r}" for key, value in options.items() if not hasattr(value, "dtype")]
    if not arrays or (len(arrays) == 1 and not others):
        return
    shapes = " and ".join(str(tuple(a.shape)) for a in arrays)
    if len(arrays) > 1:
        fault = f"shapes {shapes} do not fit together" + (f" with {', '.join(others)}" if others else "")
    else:
        fault = f"shape {shapes} does not fit {', '.join(others)}"
    raise ArrayError(f"np.{name}: {fault}") from error


globals().update({_name: _dispatch(_name) for _name in NAMES})
globals().update({_name: getattr(onp, _name) for _name in _DTYPES})


def __getattr__(name: str) -> Any:
    """Says of a name of NumPy's that is not here what is."""
    hint = ""
    if name == "random":
        hint = ": layerkit.fastmath.random draws numbers, each from a key such as self.rng"
    elif not name.startswith("_"):
        hint = ": " + suggest(name, NAMES, "it has the names of NumPy that every backend has, see dir()")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
