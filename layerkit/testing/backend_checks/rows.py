"""Whether ids outside of a table ever read, or add to, another row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.fastmath import ArrayError
from layerkit.fastmath import numpy as np
from layerkit.testing.backend_case import BackendCase, check, demand_like
from layerkit.testing.blame import demand
from layerkit.testing.suite import Fault

__all__: list[str] = []

_TABLE = onp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "float32")


@check("rows")
def ids_outside_are_refused(case: BackendCase) -> None:
    """``take_rows`` and ``segment_sum`` refuse known ids that are negative or beyond the end, and name the id."""
    table = np.asarray(_TABLE)
    for wrong in (3, -1, 1000):
        ids = np.array([0, wrong])
        calls: dict[str, Callable[[Any], Any]] = {
            "take_rows": lambda ids: fastmath.take_rows(table, ids),
            "segment_sum": lambda ids: fastmath.segment_sum(table[:2], ids, 3),
        }
        for what, call in calls.items():
            try:
                got = call(ids)
            except ArrayError as error:
                demand(str(wrong) in str(error), f"{what} with id {wrong} of 3 says {str(error)!r}, without the id")
            else:
                raise Fault(f"{what} with id {wrong} of 3 gives {fastmath.to_host(got).tolist()}: ArrayError is due")


@check("rows")
def ids_outside_read_no_row_when_compiled(case: BackendCase) -> None:
    """In a compiled function ``take_rows`` gives NaN for an id outside, or refuses it: never another row."""
    read = fastmath.jit(lambda table, ids: fastmath.take_rows(table, ids))
    for wrong in (3, -1):
        try:
            got = fastmath.to_host(read(np.asarray(_TABLE), np.array([1, wrong])))
        except ArrayError:
            continue
        demand_like("a row inside", got[0], _TABLE[1])
        demand(onp.isnan(got[1]).all(), f"id {wrong} of 3 reads {got[1].tolist()} in a compiled function: NaN is due")


@check("rows")
def ids_outside_add_to_no_row_when_compiled(case: BackendCase) -> None:
    """In a compiled function ``segment_sum`` leaves values with an id outside out, or refuses them."""
    add = fastmath.jit(lambda values, ids: fastmath.segment_sum(values, ids, 2))
    for wrong in (2, -1):
        try:
            got = add(np.asarray(_TABLE), np.array([0, wrong, 1]))
        except ArrayError:
            continue
        demand_like(f"sums without id {wrong} of 2", got, _TABLE[[0, 2]])


@check("rows")
def ids_of_any_shape_read_rows(case: BackendCase) -> None:
    """Ids of any shape and whole-number dtype read rows, none of them included; tables have any rank."""
    for shape in ((), (2,), (2, 0), (2, 1, 3)):
        for dtype in ("int32", "uint8", "int64"):
            ids: Any = onp.full(shape, 2, dtype)
            demand_like(f"ids {dtype}{shape}", fastmath.take_rows(np.asarray(_TABLE), np.asarray(ids)), _TABLE[ids])
    flat = fastmath.take_rows(np.asarray(_TABLE[:, 0]), np.array([2, 0]))
    demand_like("a table of single numbers", flat, onp.array([5, 1], "float32"))


@check("rows")
def largest_numbers_come_in_order(case: BackendCase) -> None:
    """``top_k`` gives falling values with their positions, the first of equal ones first, positions in int32."""
    values, places = fastmath.top_k(np.array([[1.0, 3.0, 3.0, 2.0]]), 3)
    wanted = (onp.array([[3, 3, 2]], "float32"), onp.array([[1, 2, 3]], "int32"))
    demand_like("the three largest", (values, places), wanted)
