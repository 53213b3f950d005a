"""A loop's progress as a checkpoint, and back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from layerkit.errors import LayerkitError, UsageError, os_reason, warn
from layerkit.fastmath import backend_name, to_device, to_host
from layerkit.fastmath.finite import first_not_finite
from layerkit.files import disk, sealed
from layerkit.files.disk import DamagedError
from layerkit.files.image import Image
from layerkit.files.lock import locked
from layerkit.layer import Layer
from layerkit.training import checkpoint
from layerkit.training.background import Background
from layerkit.training.diagnose import NotFiniteError
from layerkit.training.history import History
from layerkit.training.identity import compare, distributions
from layerkit.training.keeping import Keeping
from layerkit.training.limits import check_disk
from layerkit.training.task import TrainTask
from layerkit.training.variables import Variables

__all__ = ["Loaded", "Progress", "Saver", "prepare_folder", "recovered"]


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
        UsageError: it is a file, or has one where checkpoints would go.
        LayerkitError: it cannot be made, or nothing can be written there.
    """
    folder = disk.folder_of("output_dir", output_dir)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"output_dir {folder} is a file: name a folder")
    if os.path.isfile(inner := folder / checkpoint.FOLDER):
        raise UsageError(f"output_dir {folder} cannot hold checkpoints: {inner} is a file: move it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise LayerkitError(f"output_dir {folder} cannot be written to: {os_reason(error)}") from error
    return folder


class Saver:
    """Writes and reads the checkpoints of one model and its tasks.

    Args:
        model: the model.
        tasks: its training tasks.
        identity: what must be the same where a run goes on, as ``identity_of`` gives it.
        keeping: which checkpoints stay, and how they are written.
    """

    def __init__(self, model: Layer, tasks: list[TrainTask], identity: Mapping[str, Any], keeping: Keeping) -> None:
        self._model, self._tasks, self._keeping = model, tasks, keeping
        self._layers = model, [task.loss_layer for task in tasks]
        self._identity = identity
        self._background = Background()
        self._images: dict[str, Image] = {}
        self._superseded: list[int] = []

    def check_disk(self, output_dir: Path, variables: Variables) -> None:
        """Refuses a run whose checkpoints the disk cannot hold.

        Raises:
            LayerkitError: they take more than is free.
        """
        kept = self._keeping.last + (self._keeping.best is not None)
        check_disk(output_dir, list(variables.named(*self._layers).values()), kept)

    # -- others' checkpoints ------------------------------------------------------------------------------------------

    def went_to(self, output_dir: Path, step: int) -> None:
        """Has later checkpoints that are there now, damaged or of a run that went back, replaced by the next one."""
        self._superseded = _later(output_dir, step)

    def check_later(self, output_dir: Path, step: int) -> None:
        """Refuses to train beside checkpoints that came there since: they are further than this run.

        Raises:
            LayerkitError: there are some.
        """
        later = [other for other in _later(output_dir, step) if other not in self._superseded]
        if later:
            raise LayerkitError(
                f"{output_dir / checkpoint.FOLDER / checkpoint.folder_name(later[-1])} was written since this Loop was "
                f"made, which is at step {step}: load_checkpoint() goes on from there, or take another output_dir"
            )

    # -- writing ------------------------------------------------------------------------------------------------------

    def save(self, output_dir: Path, variables: Variables, progress: Callable[[], Progress], wait: bool = True) -> Path:
        """Writes a checkpoint, removes those that need not stay, and returns the new one's folder.

        Args:
            progress: says how far the run has come. It may take its time, and look at the variables: they are copied
                meanwhile.
            wait: whether it is written when this returns, though others are written in the background.

        Raises:
            NotFiniteError: a weight is not finite.
            LayerkitError: it cannot be written; or, unless it is waited for, the one before in the background.
        """
        arrays = {kind: to_host(named) for kind, named in variables.named(*self._layers).items()}
        if wait or not self._keeping.background:
            earlier = self._background.outcome()
            folder = self._write(output_dir, arrays, self._manifest(progress()))
            if earlier is not None:
                warn(f"{earlier}; {folder.name} was written since")
            return folder
        self._background.start(lambda: self._copy(arrays))  # once the checkpoint before is written
        manifest = self._manifest(progress())
        self._background.wait()
        self._background.start(lambda: self._write(output_dir, self._images, manifest))
        return _place(output_dir, manifest)

    def check(self) -> None:
        """Raises what went wrong in the background."""
        self._background.check()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Waits at the end of the ``with`` block until everything is written, and raises what went wrong."""
        try:
            yield
        except BaseException as error:
            try:
                self._background.wait()
            except Exception as other:
                error.add_note(f"besides, {other}")
            raise
        self._background.wait()

    def _copy(self, arrays: dict[str, dict[str, Any]]) -> None:
        """Copies the arrays, which the steps to come overwrite."""
        for kind, named in arrays.items():
            if kind not in self._images or not self._images[kind].fits(named):
                self._images[kind] = Image(named)
            self._images[kind].fill(named)

    def _write(self, output_dir: Path, arrays: checkpoint.Arrays, manifest: dict[str, Any]) -> Path:
        weights, step, keeping = arrays["weights"], manifest["step"], self._keeping
        fault = first_not_finite(weights.copies if isinstance(weights, Image) else weights)
        if fault is not None:
            raise NotFiniteError(
                f"step {step}: the weight {fault}, though the loss was finite; no checkpoint is written: "
                "lower the learning rate, or clip gradients with clip_grad_norm",
                step,
            )
        folder = _place(output_dir, manifest)
        with locked(output_dir, self):  # in the background as well, however the run ends meanwhile
            checkpoint.write(folder, arrays, manifest, self._superseded)
            self._superseded = []
            best = keeping.best_of(checkpoint.steps(folder.parent), manifest["history"])
            checkpoint.prune(folder.parent, keeping.last, best)
        return folder

    def _manifest(self, progress: Progress) -> dict[str, Any]:
        rest = {key: value for key, value in progress._asdict().items() if key != "positions"}
        needed = distributions(self._model, self._tasks)
        return {
            "layerkit": needed["layerkit"],
            "plugins": needed,
            "backend": backend_name(),
            "fingerprint": sealed.digest(sealed.dump(self._identity)),
            "identity": self._identity,
            "optimizers": [repr(task.optimizer) for task in self._tasks],
            **rest,
            "data": {"positions": progress.positions},
        }

    # -- reading ------------------------------------------------------------------------------------------------------

    def load(self, path: str | os.PathLike[str], variables: Variables, random_seed: int) -> Loaded:
        """The checkpoint in the folder ``path``, or the last sound one of those in an output folder.

        Args:
            variables: the model's own, which it must fit.

        Raises:
            DamagedError: there is none, or none that is sound; where the loop is strict, the last one is damaged.
            LayerkitError: it is another model's, seed's or version's.
        """
        folder = disk.folder_of("directory", path)
        parent = folder / checkpoint.FOLDER
        places = [parent / checkpoint.folder_name(step) for step in reversed(checkpoint.steps(parent))]
        if not places:
            return self._load(folder, variables, random_seed)
        first: DamagedError | None = None
        for place in places:
            try:
                loaded = self._load(place, variables, random_seed)
            except DamagedError as error:
                if self._keeping.strict and len(places) > 1:
                    remedy = "without strict, training goes on from the last one that is sound"
                    raise DamagedError(f"{error}; {remedy}") from error
                first = first or error
                continue
            if first is not None:
                warn(f"{first}; going on from {place.name}, the last one that is sound")
            return loaded
        remedy = "give another output_dir, or move that folder away to begin anew"
        raise DamagedError(f"{first}; no other checkpoint in {parent} is sound: {remedy}") from first

    def _load(self, place: Path, variables: Variables, random_seed: int) -> Loaded:
        manifest, arrays = checkpoint.read(place)
        seed = manifest["random_seed"]
        if seed != random_seed:
            raise LayerkitError(f"{place} was trained with random_seed {seed}, this Loop has {random_seed}")
        # Another optimizer's slots would be missed as arrays of the model, another vocabulary's words as rows.
        compare(place, manifest["identity"], {name: own for name, own in self._identity.items() if name != "model"})
        try:
            variables.replaced(arrays, *self._layers)
            found = variables.replaced(to_device(arrays), *self._layers)
        except LayerkitError as error:
            raise LayerkitError(
                f"{place}/{error}: it belongs to another model; take that one, or another output_dir"
            ) from error
        compare(place, manifest["identity"], self._identity)
        return Loaded(_progress(place, manifest), found)


def _place(output_dir: Path, manifest: Mapping[str, Any]) -> Path:
    return output_dir / checkpoint.FOLDER / checkpoint.folder_name(manifest["step"])


def _later(output_dir: Path, step: int) -> list[int]:
    return [other for other in checkpoint.steps(output_dir / checkpoint.FOLDER) if other > step]


def _progress(place: Path, manifest: dict[str, Any]) -> Progress:
    try:
        values = {key: manifest[key] for key in ("step", "evaluated", "rngs", "random_seed", "history")}
        sums = [(float(total), int(count)) for total, count in manifest["sums"]]
        History.from_dict(values["history"])
        return Progress(**values, sums=sums, positions=list(manifest["data"]["positions"]))
    except (KeyError, TypeError, ValueError, LayerkitError) as error:
        reason = error if isinstance(error, LayerkitError) else f"{type(error).__name__} {error}"
        raise DamagedError(f"{place / checkpoint.MANIFEST} is damaged: {reason}") from error


def recovered(output_dir: Path) -> bool:
    """Clears away what a killed process left in an output folder; whether it has a checkpoint.

    Raises:
        LayerkitError: another process or Loop has the folder, or it cannot be cleared or read.
    """
    parent = output_dir / checkpoint.FOLDER
    with locked(output_dir, object()):
        try:
            disk.remove_drafts(output_dir)
            checkpoint.recover(parent)
        except OSError as error:
            raise LayerkitError(f"{output_dir} holds what a killed process left: {os_reason(error)}") from error
    return checkpoint.newest(parent) is not None
