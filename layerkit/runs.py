"""Training a recipe by name, and loading what it made: ``lk.train``, ``lk.load``, ``lk.predict``."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from layerkit.errors import LayerkitError, UsageError, os_reason, shown, warn
from layerkit.files import DamagedError, disk
from layerkit.files.lock import NAME as LOCK
from layerkit.files.lock import InUseError, locked
from layerkit.recipe import Recipe, Run
from layerkit.run_file import NAME, REMEDY, RunFile, as_metrics, read_in, read_run_file, write_run_file
from layerkit.settings import as_json, make_settings, settings_of

__all__ = ["RunFile", "load", "predict", "prediction_backend", "read_run_file", "recipe_of", "save", "train"]


def train(
    recipe: str,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    backend: str | None = None,
    **settings: Any,
) -> Run:
    """Trains the recipe of that name, and returns the run.

    Args:
        recipe: a registered recipe's name: ``"sentiment"``.
        output: the folder to keep the run in, made if need be; without it nothing is written. A run that was begun
            there with the same settings is continued. Only one process at a time may train there.
        overwrite: train anew where ``output`` holds a run; it is replaced at the end, and stays if training fails. The
            same call goes on with a training that was interrupted.
        backend: the backend to compute on, instead of the active one.
        settings: the recipe's own settings; ``layerkit train RECIPE --help`` lists them.

    Raises:
        UsageError: no recipe or backend has that name, a setting is unknown or does not fit, or ``output`` holds
            something else.
        LayerkitError: training fails, or another process has ``output``.

    Example::

        run = lk.train("sentiment", steps=500, output="runs/first", backend="numpy", seed=0)
        run.predict("I hated my day").label
    """
    from layerkit.fastmath import use_backend

    maker = recipe_of(recipe)
    made = make_settings(recipe, maker.Settings, settings)
    with use_backend(backend) if backend else contextlib.nullcontext():
        if output is None:
            return _trained(recipe, maker, made, None)
        about = _about(recipe, made)
        may_change = {name for name, rule in settings_of(recipe, maker.Settings).items() if rule.may_change}
        folder = disk.folder_of("output", output)
        folder = Path(os.path.realpath(folder)) if overwrite else folder
        _recover(folder)
        is_replaced = overwrite and os.path.exists(folder / NAME)
        place = _replacing(folder, about) if is_replaced else contextlib.nullcontext(folder)
        with place as folder, _in_folder(folder, about, may_change) as about:
            run = _trained(about.recipe, maker, made, folder)
            write_run_file(folder, replace(about, complete=True, metrics=as_metrics(run.metrics)))
            return run


def save(
    recipe: str,
    settings: Any,
    metrics: Mapping[str, Any],
    output: str | os.PathLike[str],
    write: Callable[[Path], Any],
) -> None:
    """Keeps a run that was trained without an ``output``: for a recipe whose runs have a ``save`` method.

    Args:
        recipe: the recipe's name.
        settings: its settings, as its ``train`` was given them.
        metrics: the run's.
        output: the folder to keep it in, made if need be.
        write: writes into a folder what the recipe's ``load`` will need.

    Raises:
        UsageError: ``output`` holds a run, or something else.
        LayerkitError: a file cannot be written, or another process has ``output``.
    """
    folder = disk.folder_of("output", output)
    if (folder / NAME).exists() and read_run_file(folder).complete:
        raise UsageError(f"output {str(folder)!r} holds a run already: give a new or empty folder")
    with _in_folder(folder, _about(recipe, settings), set()) as about:
        write(folder)
        write_run_file(folder, replace(about, complete=True, metrics=as_metrics(metrics)))


def load(path: str | os.PathLike[str]) -> Run:
    """The run in the folder ``path``, ready to predict.

    Raises:
        UsageError: there is no such folder, it is no run, or its recipe is not installed.
        DamagedError: a file of the run has changed since it was written, or is missing.
        LayerkitError: the run was not finished, or cannot be read.
    """
    from layerkit.plugins.discovery import discover
    from layerkit.plugins.selection import canonical

    about = read_run_file(path)
    folder = Path(os.path.expanduser(path))
    if not about.complete:
        raise LayerkitError(f"the run in {str(folder)!r} was not finished: train it again with the same settings")
    try:
        recipe = recipe_of(about.recipe if about.distribution == "layerkit" else about.qualified)
    except UsageError as error:
        made_by = f"{str(folder)!r} was made by the recipe {about.recipe!r} of {about.distribution} {about.version}"
        if any(canonical(entry.distribution) == canonical(about.distribution) for entry in discover().entries):
            raise UsageError(f"{made_by}: {error}") from error
        raise UsageError(f"{made_by}, which is not installed: pip install {about.distribution}") from error
    try:
        return recipe.load(folder)
    except DamagedError as error:
        raise DamagedError(f"{error}: {REMEDY}") from error


def predict(run: str | os.PathLike[str], texts: Any, *, backend: str | None = None) -> Any:
    """What the run in the folder ``run`` says of a text, or of several: ``lk.load(run).predict(texts)``.

    Args:
        run: the folder that training wrote.
        texts: a text, or several.
        backend: the backend to compute on; LAYERKIT_BACKEND, or NumPy, unless given.

    Raises:
        UsageError: there is no such run, or something is no text.
        LayerkitError: the run cannot be read.

    Example::

        lk.predict("runs/first", "I hated my day").label
    """
    from layerkit.fastmath import use_backend

    read_run_file(run)  # before any backend is started
    with use_backend(prediction_backend(backend)):
        return load(run).predict(texts)


def prediction_backend(chosen: str | None) -> str:
    """The backend to predict on: the one chosen, LAYERKIT_BACKEND, or NumPy.

    A text or two do not pay for starting a compiler: the reference backend answers sooner.
    """
    return chosen or os.environ.get("LAYERKIT_BACKEND") or "numpy"


def recipe_of(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.
    """
    from layerkit.plugins.registry import recipes

    recipe: Recipe = recipes.get(name)()
    settings_of(name, getattr(recipe, "Settings", None))  # says so if it is not one
    return recipe


def _about(recipe: str, settings: Any) -> RunFile:
    from layerkit.plugins.registry import recipes

    offer = recipes.offer(recipe)
    return RunFile(offer.name, offer.distribution, offer.version, "", as_json(settings))


def _trained(name: str, maker: Recipe, settings: Any, folder: Path | None) -> Run:
    run = maker.train(settings, folder)
    if not hasattr(run, "metrics"):
        raise LayerkitError(f"recipe {name!r}: its train returned {shown(run)}, which is no run: it has no metrics")
    return run


@contextlib.contextmanager
def _in_folder(folder: Path, about: RunFile, may_change: set[str]) -> Iterator[RunFile]:
    """Keeps others out of a run's folder; if nothing but ``run.json`` was written there when it fails, no trace stays.

    What it gives is what ``run.json`` says: of a run that is not complete.
    """
    from layerkit.fastmath import backend_name

    begun = _holds_run(folder, about, may_change)
    about = replace(about, backend=backend_name())  # starts it, so not before the folder is looked at
    made = _make_folder(folder)
    try:
        with locked(folder):
            disk.remove_drafts(folder)
            if not begun:
                write_run_file(folder, about)
            yield about
    except InUseError:
        raise
    except BaseException:
        if not begun:
            _clear(folder, made)
        raise


def _holds_run(folder: Path, about: RunFile, may_change: set[str]) -> bool:
    """Whether the folder holds an earlier part of this run; refuses one that holds anything else."""
    if not os.path.exists(folder):
        return False
    if not folder.is_dir():
        raise UsageError(f"output {str(folder)!r} is a file: give a folder")
    if all(path.name == LOCK or disk.is_draft(path.name) for path in folder.iterdir()):
        return False
    if not (folder / NAME).exists():
        raise UsageError(f"output {str(folder)!r} holds something that is no run: give a new or empty folder")
    try:
        earlier = read_in(folder)
    except DamagedError as error:
        # What it says is known again: the settings are given, and checkpoints tell whether they are of this run.
        warn(f"{error}; it is written anew")
        return False
    if earlier.qualified != about.qualified:
        raise UsageError(f"output {str(folder)!r} holds a run of the recipe {earlier.recipe!r}: give another folder")
    for name, value in about.settings.items():
        if name in earlier.settings and earlier.settings[name] != value and name not in may_change:
            raise UsageError(
                f"output {str(folder)!r} holds a run with {name}={earlier.settings[name]!r}, not {value!r}: "
                "give another folder, the same settings to continue it, or overwrite it"
            )
    return True


@contextlib.contextmanager
def _replacing(folder: Path, about: RunFile) -> Iterator[Path]:
    """A folder beside the run's own, to be trained in meanwhile; at the end it takes the other's place.

    What an interrupt or a crash leaves there is continued by whoever replaces the run with the same settings.
    """
    new, old = _beside(folder)
    with locked(folder):
        if os.path.ismount(folder):
            raise LayerkitError(
                f"output {str(folder)!r} cannot be replaced: it is a disk of its own, name a folder in it"
            )
        if os.path.exists(new / NAME):
            try:
                _holds_run(new, about, set())
            except LayerkitError:  # of other settings
                _discard(new, old)
        try:
            yield new
        except (KeyboardInterrupt, SystemExit, InUseError):
            raise
        except BaseException:
            if os.path.exists(new / NAME):
                _discard(new, old)
            raise
        try:
            try:
                os.rename(folder, old)
                os.rename(new, folder)
                disk.sync(folder.parent)
            finally:
                _recover(folder)
        except OSError as error:
            raise LayerkitError(
                f"output {str(folder)!r} cannot be replaced: {os_reason(error)}; the new run is in {str(new)!r}"
            ) from error


def _beside(folder: Path) -> tuple[Path, Path]:
    """Where the run that replaces the one in a folder is trained, and where the replaced one goes."""
    place = Path(os.path.realpath(folder))
    return place.parent / f".{place.name}.new", place.parent / f".{place.name}.old"


def _recover(folder: Path) -> None:
    """Ends what a process was at that was killed, or broken off, while a run took another's place."""
    old = _beside(folder)[1]
    if not os.path.exists(old / NAME):
        return
    if os.path.exists(folder):
        _remove(old)
        return
    try:
        os.rename(old, folder)
    except OSError as error:
        raise LayerkitError(f"output {str(folder)!r} is in {str(old)!r}: {os_reason(error)}") from error


def _discard(new: Path, old: Path) -> None:
    """Removes a run that will not take another's place: at once, so that nobody goes on with half of it."""
    with contextlib.suppress(OSError):
        os.rename(new, old)
        _remove(old)


def _remove(run: Path) -> None:
    """Removes a run. What makes it one goes last: whoever comes after a crash knows it again."""
    with contextlib.suppress(OSError):
        for path in sorted(run.iterdir(), key=lambda path: path.name == NAME):
            disk.remove(path)
        run.rmdir()


def _make_folder(folder: Path) -> list[Path]:
    """Makes the folder and those above it; returns what was made, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            made.insert(0, path)
    except (OSError, ValueError) as error:
        _take_back(made)
        if isinstance(error, FileExistsError):
            why = "is a link that leads nowhere: remove it, or give another folder"
        else:
            why = f"cannot be made: {os_reason(error)}"
        raise LayerkitError(f"output {str(folder)!r} {why}") from error
    return made


def _clear(folder: Path, made: list[Path]) -> None:
    """Takes back ``run.json`` and the folders beside it, if no other file is there, and the folders made for it."""
    with contextlib.suppress(OSError):
        if [path for path in folder.rglob("*") if not path.is_dir()] == [folder / NAME]:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        _take_back(made)


def _take_back(made: list[Path]) -> None:
    """Removes the folders that were made, unless somebody has put something there."""
    with contextlib.suppress(OSError):
        for path in made:
            path.rmdir()
