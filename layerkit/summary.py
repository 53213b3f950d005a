"""A table of a model: where each layer stands, its output shape, weights and bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from layerkit.engine.frames import Frame, observing
from layerkit.engine.initializing import signature_for
from layerkit.errors import shown
from layerkit.fastmath import abstract_eval, random, tree_leaves
from layerkit.layer import Layer, LayerError
from layerkit.shapes import signature as signature_of

__all__ = ["Row", "summary", "summary_rows"]


@dataclass(frozen=True)
class Row:
    """One layer of a model: where it stands (nowhere, if it is the model), what comes out of it, and what it holds."""

    path: str
    layer: str
    output: str
    weights: int
    nbytes: int


def summary_rows(model: Layer, signature: Any) -> list[Row]:
    """The rows of ``summary``: one for each call of a layer without sublayers, in the order of the calls.

    Weights of a layer that stands in several places are counted in the first.
    """
    rows: list[Row] = []
    counted: set[Layer] = set()

    def note(frame: Frame, inputs: Any, outputs: Any) -> None:
        layer = frame.layer
        if layer.sublayers:
            return
        leaves = [] if layer in counted else tree_leaves(signature_of(frame.weights))
        counted.add(layer)
        rows.append(
            Row(
                frame.path(),
                layer.name,
                _in_words(signature_of(outputs)),
                sum(leaf.size for leaf in leaves),
                sum(leaf.nbytes for leaf in leaves),
            )
        )

    inputs = signature_for(model, signature)
    weights, state = (model.weights, model.state) if model._initialized else model.signatures(inputs)
    key = random.get_prng(0)
    with observing(note):
        abstract_eval(
            lambda x, w, s: model.pure_fn(x, w, s, key)[0], inputs, signature_of(weights), signature_of(state)
        )
    return rows


def summary(model: Layer, signature: Any, file: IO[str] | None = None) -> None:
    """Prints a table of the model's layers: what each gives, its weights and their bytes; and the totals.

    A layer is indented below those around it: their numbers and its own are its path (``1.Branch/0.Dense``).

    Args:
        model: any layer; it need not be initialized, and stays as it is.
        signature: the signature of its inputs, or inputs like them; a tuple for several.
        file: where to print; standard output unless given.

    Raises:
        LayerError: it is no layer, or cannot take such inputs.
    """
    from rich.console import Console
    from rich.table import Table

    if not isinstance(model, Layer):
        raise LayerError(f"summary: model is a layer, got {shown(model)}{': call it' * callable(model)}")
    rows = summary_rows(model, signature)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("layer", "output"):
        table.add_column(heading, overflow="fold")
    for heading in ("weights", "bytes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for text, row in _indented(rows):
        cells = () if row is None else (row.output, *(f"{n:,}" if n else "-" for n in (row.weights, row.nbytes)))
        table.add_row(text, *cells)
    total, nbytes = sum(row.weights for row in rows), sum(row.nbytes for row in rows)
    table.add_section()
    table.add_row("total", "", f"{total:,}", f"{nbytes:,}", style="bold")
    console = Console(file=file, highlight=False, markup=False, soft_wrap=False)
    natural = console.measure(table, options=console.options.update(max_width=999)).maximum
    table.collapse_padding = natural > console.width  # one space between columns, before anything has to be wrapped
    console.print(table)


def _indented(rows: list[Row]) -> Iterator[tuple[str, Row | None]]:
    """Each row, and before it, once, those layers around it that the row before did not have."""
    above: list[str] = []
    for row in rows:
        *around, last = row.path.split("/")
        known = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(above, around, strict=False))))
        yield from (("  " * level + name, None) for level, name in enumerate(around) if level >= known)
        above = around
        position, dot, kind = last.partition(".")
        name = row.layer if row.layer.startswith(kind) else f"{kind} {row.layer}"
        yield "  " * len(around) + position + dot + name, row


def _in_words(of: Any) -> str:
    return ", ".join(map(repr, of)) if type(of) is tuple else repr(of)
