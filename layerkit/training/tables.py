"""Which tables of a model can be trained by their rows: found by looking on while the model is run on shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as onp

from layerkit.errors import UsageError
from layerkit.fastmath import abstract_eval, take_rows, tree_leaves, tree_unflatten
from layerkit.fastmath.backend import current_region
from layerkit.fastmath.ops import on_cpu
from layerkit.fastmath.rows import OtherUse, RowTable, has_put_rows, observing_reads
from layerkit.layer import Layer
from layerkit.tensor_names import leaf_layers, tensor_paths

__all__ = ["Run", "Table", "find_tables", "paths_of", "with_tables"]

_FEWEST_ROWS = 512
"""Smaller tables are not worth a look unless they are said to be lazy."""
_MOST_TOUCHED = 0.2
"""The share of a table's rows that a batch may touch; above it all rows at once are faster (docs/lazy_rows.md)."""
_FEWEST_BYTES_ELSEWHERE = 64 << 20
"""On a device with fast memory of its own, updating a smaller table whole takes no longer than starting programs."""

_COMPUTED, _COMPUTED_IDS = -1, "ids of its rows are computed inside the model"


class Table(NamedTuple):
    """A table whose rows are trained as they are read."""

    place: int
    """Which of the leaves of (model's weights, loss's weights) it is."""
    path: str
    shape: tuple[int, ...]
    arrays: tuple[int, ...]
    """Which arrays of a batch hold its ids."""


class Run(NamedTuple):
    """Something that reads weights: ``call(trained, batch)``, with signatures of both."""

    call: Callable[[Any, Any], Any]
    trained: Any
    batch: Any


def with_tables(trained: Any, tables: dict[int, Any]) -> Any:
    """A tree with other leaves in some places."""
    leaves = tree_leaves(trained)
    return tree_unflatten([tables.get(place, leaf) for place, leaf in enumerate(leaves)], trained)


def paths_of(layers: tuple[Layer, Layer], trained: Any) -> list[str]:
    """A name for each leaf of (model's weights, loss's weights)."""
    return [*tensor_paths(layers[0], trained[0]), *(f"loss/{path}" for path in tensor_paths(layers[1], trained[1]))]


def find_tables(
    layers: tuple[Layer, Layer],
    run: Run,
    evaluations: Iterable[Run],
    sample: tuple[Any, ...],
    obstacle: Callable[[], str],
) -> tuple[list[Table], list[dict[int, tuple[int, ...]]]]:
    """The tables to train by rows; and for each evaluation which arrays of its batches hold each table's ids.

    Args:
        layers: the model and the loss.
        run: a training step's loss.
        evaluations: what else reads the model's weights meanwhile.
        sample: a batch, from which the share of touched rows is measured.
        obstacle: says why no table at all can be, if there is a reason.

    Raises:
        UsageError: a layer says ``update="lazy"``, and its table cannot be.
    """
    wanted = _wanted(layers[0], run.trained[0])
    if not wanted:
        return [], [{} for _ in evaluations]
    paths = paths_of(layers, run.trained)
    reason = obstacle() or ("" if has_put_rows() else "this backend has no put_rows")
    refused = dict.fromkeys(wanted, reason) if reason else {}
    candidates = set(wanted) - set(refused)
    if len(candidates) > 1:
        # Every other use is found by a look of its own: one at all reads spares most of those.
        candidates &= _read_at_all(run)
    found, why = _read_by_row(run, candidates, paths)
    refused.update(why)
    leaves = tree_leaves(run.trained)
    for place, update in wanted.items():
        arrays = found.get(place)
        if not arrays:
            refused.setdefault(place, "no row of it is read by fastmath.take_rows")
        elif update != "lazy" and not _is_worth_it(leaves[place], [sample[array] for array in arrays]):
            refused[place] = "a batch touches many of its rows"
    of_evaluations = []
    for evaluation in evaluations:
        there, why = _read_by_row(evaluation, set(wanted) - set(refused), paths)
        refused.update(why)
        of_evaluations.append(there)
    for place, update in wanted.items():
        if update == "lazy" and place in refused:
            raise UsageError(f"{paths[place]} cannot be updated lazily: {refused[place]}; take update='auto'")
    tables = [Table(p, paths[p], tuple(leaves[p].shape), found[p]) for p in sorted(wanted) if p not in refused]
    return tables, of_evaluations


def _wanted(model: Layer, weights: Any) -> dict[int, str]:
    """The leaves of a model's weights that may be tables, and how each is to be updated."""
    wanted = {}
    for place, (leaf, owner) in enumerate(zip(tree_leaves(weights), leaf_layers(model, weights), strict=True)):
        # Sixteen bits round at every step, which many steps at once cannot repeat.
        is_table = len(leaf.shape) >= 2 and leaf.dtype.kind == "f" and leaf.dtype.itemsize >= 4
        if owner.row_update == "lazy" and not is_table:
            raise UsageError(f"{owner.name} cannot be updated lazily: its weights are {leaf.dtype}; take float32")
        if owner.row_update == "lazy" or (is_table and owner.row_update == "auto" and leaf.shape[0] >= _FEWEST_ROWS):
            wanted[place] = owner.row_update
    return wanted


def _is_worth_it(table: Any, ids: list[Any]) -> bool:
    # numpy.unique imports numpy.ma, which takes longer than everything else here.
    touched = len(set(onp.concatenate([onp.asarray(array).reshape(-1) for array in ids]).tolist()))
    if touched > _MOST_TOUCHED * table.shape[0]:
        return False
    return on_cpu() or bool(onp.prod(table.shape) * table.dtype.itemsize >= _FEWEST_BYTES_ELSEWHERE)


def _read_at_all(run: Run) -> set[int]:
    """The leaves that ``take_rows`` reads, whatever else becomes of them."""
    found: set[int] = set()

    def look(trained: Any, batch: Any) -> Any:
        places = {id(leaf): place for place, leaf in enumerate(tree_leaves(trained))}
        with observing_reads(lambda table, ids: found.add(places.get(id(table), -1))):
            return run.call(trained, batch)

    abstract_eval(look, run.trained, run.batch)
    return found


def _array_of(ids: Any, batch: Any) -> int:
    return next((index for index, array in enumerate(batch) if array is ids), _COMPUTED)


def _read_by_row(run: Run, candidates: set[int], paths: list[str]) -> tuple[dict[int, tuple[int, ...]], dict[int, str]]:
    """Which arrays hold the ids of each table that is read by row and used in no other way; why the others are not."""
    refused: dict[int, str] = {}
    while candidates - set(refused):
        places = sorted(candidates - set(refused))
        found: dict[int, set[int]] = {place: set() for place in places}
        stand_ins: dict[int, RowTable] = {}

        def look(trained: Any, batch: Any, found: Any = found, stand_ins: Any = stand_ins) -> Any:
            stand_ins.update(_stand_ins(trained, batch, found, paths))
            return run.call(with_tables(trained, stand_ins), batch)

        try:
            abstract_eval(look, run.trained, run.batch)
        except OtherUse as use:
            refused[next(place for place in places if stand_ins[place] is use.table)] = use.how
        except Exception:
            # A backend's own words for what is no array: the table is an argument of a loop, or of remat.
            refused.update(dict.fromkeys(places, "the model hands it on as an array"))
        else:
            return {place: tuple(sorted(arrays)) for place, arrays in found.items()}, refused
    return {}, refused


def _stand_ins(trained: Any, batch: Any, found: dict[int, set[int]], paths: list[str]) -> dict[int, RowTable]:
    """What stands in for each table, and notes where its ids come from."""
    leaves, outside = tree_leaves(trained), current_region.get()

    def stand_in(place: int) -> RowTable:
        def read(ids: Any) -> Any:
            array = _array_of(ids, batch)
            if current_region.get() is not outside:
                raise OtherUse(table, "it is read inside a loop, a branch or remat")
            if array == _COMPUTED:
                raise OtherUse(table, _COMPUTED_IDS)
            found[place].add(array)
            return take_rows(leaves[place], ids)

        table = RowTable(paths[place], leaves[place].shape, leaves[place].dtype, read)
        return table

    return {place: stand_in(place) for place in found}
