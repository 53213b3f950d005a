"""Whether a backend's operations give what NumPy's give, in 32 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.fastmath import ArrayError
from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import active
from layerkit.testing.backend_case import BackendCase, as_arrays, check, demand_like, difference
from layerkit.testing.blame import demand
from layerkit.testing.suite import Fault

__all__: list[str] = []


def _hold_to_table(case: BackendCase, table: str, forms: bool) -> None:
    """Compares every row of a table, and names the first of those that differ."""
    faults = []
    for (row, got), wanted in zip(case.results(table), case.wanted(table), strict=True):
        found = got if isinstance(got, str) else difference(got, wanted, forms)
        if found:
            faults.append(f"{table}.{row}: {found}")
    total = len(case.results(table))
    case.figures.update(rows=total, wrong=len(faults))
    if faults:
        raise Fault(f"{len(faults)} of {total} rows differ: {'; '.join(faults[:3])}")


@check("operations")
def operations_give_numpys_numbers(case: BackendCase) -> None:
    """Every name of the array language gives the shapes and numbers that NumPy gives, up to rounding in 32 bits."""
    _hold_to_table(case, "np", forms=False)


@check("operations")
def operations_stay_in_32_bits(case: BackendCase) -> None:
    """Every name of the array language gives NumPy's dtypes, with 32 bits in place of 64."""
    _hold_to_table(case, "np", forms=True)


@check("operations")
def arrays_have_numpys_methods(case: BackendCase) -> None:
    """Methods, operators and indexing of its arrays give what NumPy's arrays give, in 32 bits."""
    _hold_to_table(case, "array", forms=True)


@check("operations")
def operations_beyond_numpy_agree(case: BackendCase) -> None:
    """Loops, gradients and the operations that NumPy lacks give what the reference backend gives."""
    _hold_to_table(case, "fastmath", forms=True)


@check("operations")
def dtypes_are_numpys_own(case: BackendCase) -> None:
    """The ``dtype`` of an array is NumPy's own object, whatever it holds, so that layers need not ask whose it is."""
    for name in ("float32", "float16", "int32", "uint32", "int8", "bool"):
        array = np.asarray(onp.ones(2, name))
        dtype = array.dtype
        fine = isinstance(dtype, onp.dtype) and dtype == name
        demand(fine, f"the dtype of {name} numbers is {dtype!r}, a {type(dtype).__module__}.{type(dtype).__name__}")
        demand_like(f"{name} numbers converted by astype", array.astype(onp.float32), onp.ones(2, "float32"))


@check("operations")
def numbers_beyond_all_bounds_pass(case: BackendCase) -> None:
    """NaN and infinity are computed with as NumPy does, and nothing is raised: a loop looks for them itself."""
    odd = onp.array([onp.nan, onp.inf, -onp.inf, 0.0, -1.0], "float32")
    with onp.errstate(all="ignore"):
        for name in ("log", "sqrt", "exp", "negative", "max", "sum", "tanh", "maximum", "minimum"):
            arguments = (odd, odd[::-1].copy()) if name in ("maximum", "minimum") else (odd,)
            wanted = getattr(onp, name)(*arguments)
            demand_like(f"np.{name} of NaN, inf, -inf, 0, -1", getattr(np, name)(*as_arrays(arguments)), wanted)
        demand_like("1 / 0, 0 / 0", np.asarray(odd[3:4] + 1) / np.asarray(odd[3:4]), onp.array([onp.inf], "float32"))


@check("operations")
def arguments_are_not_written_to(case: BackendCase) -> None:
    """Operations leave NumPy's arrays that they are given as they were."""
    x = onp.array([[3.0, -1.0], [2.0, 0.5]], "float32")
    kept = x.copy()
    x.setflags(write=False)
    for name in ("sort", "abs", "clip", "nan_to_num", "cumsum", "flip", "negative", "exp"):
        getattr(np, name)(np.asarray(x), *((-1.0, 1.0) if name == "clip" else ()))
    y = np.asarray(x)
    y = y + 1
    demand(onp.array_equal(x, kept), "an operation wrote to its argument")


_MISFITS: dict[str, Callable[[], Any]] = {
    "np.add of (2, 3) and (4,)": lambda: np.add(np.ones((2, 3)), np.ones(4)),
    "np.matmul of (2, 3) and (2, 3)": lambda: np.matmul(np.ones((2, 3)), np.ones((2, 3))),
    "np.concatenate of (2, 3) and (2, 4)": lambda: np.concatenate([np.ones((2, 3)), np.ones((2, 4))]),
    "np.reshape of (2, 3) to (4, 2)": lambda: np.reshape(np.ones((2, 3)), (4, 2)),
    "np.sum of (2, 3) over axis 2": lambda: np.sum(np.ones((2, 3)), axis=2),
    "top_k of 5 among 3": lambda: fastmath.top_k(np.ones(3), 5),
    "segment_sum of 3 values with 2 ids": lambda: fastmath.segment_sum(np.ones(3), np.zeros(2, onp.int32), 2),
}


@check("operations")
def misfits_are_refused_in_one_line(case: BackendCase) -> None:
    """Shapes that do not fit are refused with ``ArrayError``, one line that says which."""
    for what, call in _MISFITS.items():
        try:
            call()
        except ArrayError as error:
            demand("\n" not in str(error), f"{what}: the error has several lines: {str(error)!r:.100}")
        except Exception as error:
            raise Fault(f"{what} raises {type(error).__name__}, not ArrayError: {str(error)!r:.100}") from error
        else:
            raise Fault(f"{what} is computed: ArrayError is due")


@check("operations")
def canonical_narrows(case: BackendCase) -> None:
    """``canonical`` narrows float64 and int64 to 32 bits, and hands everything else through."""
    canonical = active().canonical
    for dtype, wanted in (("float64", "float32"), ("int64", "int32"), ("float32", "float32"), ("bool", "bool")):
        got = canonical(onp.ones(2, dtype)).dtype
        demand(got == wanted, f"canonical makes {got} of {dtype}: {wanted} is due")
    x = np.ones(2)
    demand(canonical(x) is x, "canonical copies an array of its own")
    demand(canonical("text") == "text", "canonical changes what is no array")


@check("operations")
def float64_on_request(case: BackendCase) -> None:
    """Inside ``float64()`` numbers and gradients are float64 (ids stay int32), and float32 again after it."""
    with fastmath.float64():
        x = np.array([1.0, 2.0])
        gradient = fastmath.grad(lambda x: np.sum(x**3 / 3))(x)
        kinds = [str(a.dtype) for a in (x, np.zeros(2), gradient, fastmath.jit(lambda x: x / 3)(x), np.arange(3))]
        demand(kinds == ["float64"] * 4 + ["int32"], f"inside float64() the dtypes are {', '.join(kinds)}")
        third = float((x / 3)[0])
        demand(abs(third - 1 / 3) < 1e-15, f"inside float64() 1 / 3 is {third!r}")
    after = str(np.array([1.0]).dtype)
    demand(after == "float32", f"after float64() numbers are {after}")
