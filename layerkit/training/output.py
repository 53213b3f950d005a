"""Where a run is kept: its folder, for one process at a time, and the checkpoints there."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from layerkit.errors import UsageError
from layerkit.layer import Layer
from layerkit.training.keeping import Keeping
from layerkit.training.task import TrainTask
from layerkit.training.variables import Variables

if TYPE_CHECKING:
    from pathlib import Path

    from layerkit.training.saving import Loaded, Progress, Saver

__all__ = ["Folder", "Output", "prepared"]

# What writes to disk is imported by the functions that do: a Loop without an output_dir starts without it.

Folder = str | os.PathLike[str]


def prepared(output_dir: Folder | None, **needs_it: Any) -> Path | None:
    """The folder, made if it is not there; ``None`` for none.

    Args:
        needs_it: arguments that mean nothing without a folder.

    Raises:
        UsageError: it is a file, or there is none, and one of the arguments is given.
        LayerkitError: it cannot be made, or nothing can be written there.
    """
    if output_dir is not None:
        from layerkit.training.saving import prepare_folder

        return prepare_folder(output_dir)
    for name, value in needs_it.items():
        if value:
            raise UsageError(f"{name} needs an output_dir to write to")
    return None


class Output:
    """The checkpoints of a run; without a folder there are none, and others' can be loaded all the same.

    Args:
        folder: as ``prepared`` gives it.
        model: the model.
        tasks: its training tasks.
        identity: what else must be the same where a run goes on.
        keeping: which checkpoints stay, and how they are written.
    """

    def __init__(
        self,
        folder: Path | None,
        model: Layer,
        tasks: list[TrainTask],
        identity: Mapping[str, Any] | None,
        keeping: Keeping,
    ) -> None:
        self.folder = folder
        self._model, self._tasks, self._identity, self._keeping = model, tasks, identity or {}, keeping
        if identity is not None:
            from layerkit.training.identity import check_identity

            check_identity(identity)

    @functools.cached_property
    def _saver(self) -> Saver:
        from layerkit.training.identity import identity_of
        from layerkit.training.saving import Saver

        identity = identity_of(self._model, self._tasks, self._identity)
        return Saver(self._model, self._tasks, identity, self._keeping)

    def begun(self, variables: Variables) -> bool:
        """Whether there is a checkpoint to go on from; else there is room for what will be written.

        Raises:
            LayerkitError: the disk cannot hold the checkpoints of these variables, or another process has the folder.
        """
        if self.folder is None:
            return False
        from layerkit.training.saving import recovered

        begun = recovered(self.folder)
        self._saver.check_disk(self.folder, variables)
        return begun

    @contextmanager
    def alone(self, step: int) -> Iterator[None]:
        """Keeps other processes out of the folder, until everything is written; the run is at this step.

        Raises:
            LayerkitError: another process or Loop has the folder, or has brought it further than this run.
        """
        if self.folder is None:
            yield
            return
        from layerkit.files.lock import locked

        with locked(self.folder, self._saver), self._saver.finishing():
            self._saver.check_later(self.folder, step)
            yield

    def check(self) -> None:
        """Raises what went wrong in the background."""
        if self.folder is not None:
            self._saver.check()

    def save(self, variables: Variables, progress: Callable[[], Progress], wait: bool) -> Path:
        """Writes a checkpoint, and returns its folder; as ``Saver.save``."""
        return self._saver.save(cast("Path", self.folder), variables, progress, wait)

    def load(self, directory: Folder | None, variables: Variables, random_seed: int) -> Loaded:
        """The last sound checkpoint in ``directory``, or in the run's own folder; as ``Saver.load``."""
        folder = self.folder if directory is None else directory
        if folder is None:
            raise UsageError("load_checkpoint: say which directory; the Loop has no output_dir")
        loaded = self._saver.load(folder, variables, random_seed)
        if self.folder is not None:
            self._saver.went_to(self.folder, loaded.progress.step)
        return loaded
