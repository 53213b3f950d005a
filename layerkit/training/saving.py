"""A loop's progress as a checkpoint, and back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import layerkit
from layerkit.errors import LayerkitError, UsageError
from layerkit.fastmath import backend_name, to_device, to_host
from layerkit.layer import Layer
from layerkit.training import checkpoint
from layerkit.training.diagnose import NotFiniteError, first_not_finite
from layerkit.training.history import History
from layerkit.training.source import Source
from layerkit.training.variables import Variables

__all__ = ["Loaded", "Progress", "load", "newest_in", "prepare_folder", "save", "seek"]


class Progress(NamedTuple):
    """How far a loop has come, without the arrays: numbers, and what JSON can hold."""

    step: int
    evaluated: int
    """The last step that was evaluated."""
    rngs: int
    """How many keys ``new_rng`` gave."""
    random_seed: int
    sums: list[tuple[float, int]]
    """For each task the sum of the losses since the last log line, and their number."""
    history: dict[str, Any]
    positions: list[Any]
    """Where each source is."""


class Loaded(NamedTuple):
    """What a checkpoint holds."""

    progress: Progress
    variables: Variables


def prepare_folder(output_dir: str | os.PathLike[str]) -> Path:
    """The folder, made if it is not there.

    Raises:
        UsageError: it is a file.
        LayerkitError: it cannot be made, or nothing can be written there.
    """
    folder = Path(output_dir).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"output_dir {folder} is a file: name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise LayerkitError(f"output_dir {folder} cannot be written to: {error.strerror or error}") from error
    return folder


def newest_in(folder: Path) -> Path | None:
    """The last checkpoint of an output folder."""
    return checkpoint.newest(folder / checkpoint.FOLDER)


def save(
    output_dir: Path, progress: Progress, variables: Variables, layers: tuple[Layer, list[Layer]], keep: int
) -> Path:
    """Writes a checkpoint, removes all but the last ``keep``, and returns the new one's folder.

    Raises:
        NotFiniteError: a weight is not finite.
        LayerkitError: it cannot be written.
    """
    arrays = {kind: to_host(named) for kind, named in variables.named(*layers).items()}
    fault = first_not_finite(arrays["weights"])
    if fault is not None:
        raise NotFiniteError(
            f"step {progress.step}: the weight {fault}, though the loss was finite; no checkpoint is written: "
            "lower the learning rate, or clip gradients with clip_grad_norm",
            progress.step,
        )
    parent = output_dir / checkpoint.FOLDER
    folder = parent / checkpoint.folder_name(progress.step)
    about = {"layerkit": layerkit.__version__, "backend": backend_name()}
    data = {"positions": progress.positions}
    rest = {key: value for key, value in progress._asdict().items() if key != "positions"}
    checkpoint.write(folder, arrays, {**about, **rest, "data": data})
    checkpoint.prune(parent, keep)
    return folder


def load(folder: Path, variables: Variables, layers: tuple[Layer, list[Layer]], random_seed: int) -> Loaded:
    """The checkpoint in ``folder``, or the last one in it; ``variables`` are a model's own, which it must fit.

    Raises:
        LayerkitError: there is none, it is damaged, or another model's or seed's.
    """
    place = newest_in(folder) or folder
    manifest, arrays = checkpoint.read(place)
    seed = manifest["random_seed"]
    if seed != random_seed:
        raise LayerkitError(f"{place} was trained with random_seed {seed}, this Loop has {random_seed}")
    try:
        found = variables.replaced(arrays, *layers)
    except LayerkitError as error:
        raise LayerkitError(
            f"{place}/{error}: it belongs to another model; take that one, or another output_dir"
        ) from error
    try:
        values = {key: manifest[key] for key in ("step", "evaluated", "rngs", "random_seed", "history")}
        sums = [(float(total), int(count)) for total, count in manifest["sums"]]
        History.from_dict(values["history"])
        progress = Progress(**values, sums=sums, positions=list(manifest["data"]["positions"]))
    except (KeyError, TypeError, ValueError, LayerkitError) as error:
        reason = error if isinstance(error, LayerkitError) else f"{type(error).__name__} {error}"
        raise LayerkitError(f"{place / checkpoint.MANIFEST} is damaged: {reason}") from error
    weights, state, tasks = to_device((found.weights, found.state, found.tasks))
    return Loaded(progress, Variables(weights, state, tasks, found.alive))


def seek(sources: list[Source], positions: list[Any], say: Callable[[str], Any]) -> None:
    """Puts every source where it was; sources that are new since then stay at their start."""
    for source, position in zip(sources, positions, strict=False):
        source.seek(position, say)
