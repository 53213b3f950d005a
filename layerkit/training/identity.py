"""What must be the same where a run goes on: the model, layer by layer, and what else its maker names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from layerkit.engine.sharing import walk
from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.files import sealed
from layerkit.layer import Layer
from layerkit.plugins.discovery import discover
from layerkit.training.task import TrainTask

__all__ = ["check_identity", "compare", "describe", "distributions", "identity_of"]

# What says where a layer was made or what it has learned, not what it computes.
_ASIDE = {"made_at", "sublayers", "depth", "mode", "n_in", "n_out", "row_update"}
_LONGEST = 200
_OWN = ("model", "loss", "optimizer")


def identity_of(model: Layer, tasks: list[TrainTask], more: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a run, as JSON can hold it: model, losses and optimizers, and what the caller adds."""
    return {
        "model": list(describe(model)),
        "loss": [line for task in tasks for line in describe(task.loss_layer)],
        "optimizer": [task.optimizer.identity() for task in tasks],
        **check_identity(more),
    }


def check_identity(more: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller adds to the identity of a run, as JSON gives it back.

    Raises:
        UsageError: it is no mapping, JSON cannot hold it, or it takes one of the names of ``identity_of``.
    """
    if not isinstance(more, Mapping):
        raise UsageError(f"identity maps names to values, such as {{'labels': ['no', 'yes']}}, got {shown(more)}")
    for name in more:
        if name in _OWN:
            raise UsageError(f"identity: {name!r} is there already, call it something else")
    try:
        return dict(sealed.parse(sealed.dump(more)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"identity: values that JSON can hold are due ({error})") from error


def describe(layer: Layer, path: str = "") -> Iterator[str]:
    """A line for each layer: its path, its name, and the plain values it was made with.

    What a function computes cannot be told from outside: two layers made with ``Fn`` differ by their names, and by the
    plain values that their functions have around them.

    >>> from layerkit import Serial, layers as tl
    >>> list(describe(Serial(tl.Dropout(0.5))))[1]
    'Serial/0.Dropout: Dropout, rate=0.5, shared_axes=()'
    """
    path = path or layer.kind
    values = {name: value for name, value in vars(layer).items() if name[0] != "_" and name not in _ASIDE}
    values.update(_around(vars(layer).get("_forward_fn")))
    said = [f"{name}={text}" for name, value in sorted(values.items()) if (text := _text(value))]
    arity = "" if (layer.n_in, layer.n_out) == (1, 1) else f" {layer.n_in} to {layer.n_out}"
    yield ", ".join([f"{path}: {layer.name}{arity}", *said])
    for index, sublayer in enumerate(layer.sublayers):
        yield from describe(sublayer, f"{path}/{index}.{sublayer.kind}")


def _around(function: Any) -> dict[str, Any]:
    """The values that a function finds around it, by name."""
    cells, code = getattr(function, "__closure__", None), getattr(function, "__code__", None)
    if not cells or code is None:
        return {}
    return {name: _content(cell) for name, cell in zip(code.co_freevars, cells, strict=True)}


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _text(value: Any) -> str:
    """A plain value as text that is the same in every process; empty for anything else."""
    if isinstance(value, (np.generic, np.dtype)):
        value = value.item() if isinstance(value, np.generic) else value.name
    if isinstance(value, (tuple, list)):
        inner = [_text(item) for item in value]
        text = f"({', '.join(inner)})" if all(inner) else ""
    elif isinstance(value, (bool, int, float, str)):
        text = repr(value)
    else:
        text = ""
    return text if len(text) <= _LONGEST else f"{text[:40]}... {sealed.digest(text.encode())}"


def compare(place: Any, saved: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Makes sure that a checkpoint was saved by a run of our identity.

    Raises:
        LayerkitError: it was not; the message says in what they differ.
    """
    for name, value in ours.items():
        if name not in saved or saved[name] != value:
            raise LayerkitError(
                f"{place} does not fit this run's {name} ({_difference(saved.get(name), value)}): it belongs to "
                "another run; take what it was trained with, or another output_dir"
            )


def _difference(theirs: Any, ours: Any) -> str:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        name = next(name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name))
        return f"{name}: {_difference(theirs.get(name), ours.get(name))}"
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        theirs, ours = next((a, b) for a, b in zip(theirs, ours, strict=True) if a != b)
    return f"{_shown(theirs)}, not {_shown(ours)}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST else shown(value)


def distributions(model: Layer, tasks: Iterable[TrainTask]) -> dict[str, str]:
    """{distribution: version} of the plugins that a run is made of; layerkit's own is always there."""
    parts = [
        *walk(model),
        *(part for task in tasks for part in (*walk(task.loss_layer), *task.optimizer.members())),
    ]
    modules = {type(part).__module__.partition(".")[0] for part in parts}
    entries = [e for e in discover().entries if e.bundled or e.value.partition(":")[0].partition(".")[0] in modules]
    return {entry.distribution: entry.version for entry in entries}
