"""What a recipe trains, writes, and reads again."""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerkit import runs
from layerkit.errors import LayerkitError
from layerkit.fastmath import use_backend
from layerkit.run_file import NAME, as_metrics, read_run_file
from layerkit.settings import as_json, make_settings
from layerkit.testing.blame import demand, faults_of
from layerkit.testing.recipe_case import TEXTS, RecipeCase, check, silently
from layerkit.testing.suite import Fault, Skip

__all__: list[str] = []


@check("training")
def trains_on_every_backend(case: RecipeCase) -> None:
    """With its quick settings it trains on every installed backend, and gives a run with finite metrics."""
    for backend in case.backends:
        found = case.trial(backend)
        if isinstance(found, Fault):
            raise found
        metrics: Any = getattr(found, "metrics", None)
        demand(isinstance(metrics, Mapping) and metrics, f"metrics are {metrics!r:.60}: names with numbers are due")
        for name, value in as_metrics(metrics).items():
            demand(math.isfinite(value), f"the metric {name!r} is {value} on {backend}")
    case.figures.update({name: round(value, 6) for name, value in as_metrics(case.run().metrics).items()})


@check("training")
def beats_the_majority_class(case: RecipeCase) -> None:
    """On the examples it held out itself, it is right more often than who always says the most frequent label."""
    run = case.run()
    if not hasattr(run, "held_out"):
        raise Skip("its run has no held_out(), which gives (texts, labels)")
    with faults_of("held_out"):
        texts, labels = run.held_out()
    demand(len(texts) == len(labels) > 0, f"held_out() gives {len(texts)} texts and {len(labels)} labels")
    label, count = Counter(labels).most_common(1)[0]
    right = sum(one.label == due for one, due in zip(case.predict(run, list(texts)), labels, strict=True))
    accuracy, majority = right / len(labels), count / len(labels)
    case.figures.update(accuracy=accuracy, majority=majority)
    what = f"{right} of {len(labels)} held-out examples are right ({accuracy:.3f})"
    demand(accuracy > majority, f"{what}; always saying {label!r} makes {majority:.3f}")


@check("training")
def the_same_settings_give_the_same_run(case: RecipeCase) -> None:
    """Trained again with the same settings, without a folder, it predicts the same; and writes nothing."""
    backend = case.backends[-1]
    first = case.predict(case.run(backend), list(TEXTS), backend)
    again = case.predict(case.train(backend, None), list(TEXTS), backend)
    _demand_same("trained twice", again, first, 1e-6)
    new = sorted(set(os.listdir()) - case.here)
    demand(not new, f"training writes {', '.join(new)} into the working folder")


@check("files")
def run_json_is_complete(case: RecipeCase) -> None:
    """The run's ``run.json`` has recipe, distribution, backend, settings and metrics, and is marked as complete."""
    for backend in case.backends:
        run, about = case.run(backend), read_run_file(case.output(backend))
        demand(about.complete, f"{NAME} says that training did not come to its end")
        offer = case.name.rpartition(":")[2]
        demand((about.recipe, about.backend) == (offer, backend), f"{NAME} says {about.recipe!r} on {about.backend!r}")
        demand(about.distribution, f"{NAME} does not say which distribution the recipe is from")
        wanted = as_json(make_settings(case.name, case.recipe.Settings, case.quick))
        demand(about.settings == wanted, f"{NAME} has other settings than those of the training: {about.settings}")
        metrics = as_metrics(run.metrics)
        demand(about.metrics == metrics, f"{NAME} has the metrics {about.metrics}, the run {metrics}")


@check("files")
def loaded_runs_predict_the_same(case: RecipeCase) -> None:
    """A run that is loaded predicts what the trained one does, on the same backend to the last bit."""
    backend = case.backends[0]
    trained, loaded = case.run(), case.loaded(backend)
    _demand_same("loaded", case.predict(loaded, list(TEXTS)), case.predict(trained, list(TEXTS)), 0.0)
    demand(as_metrics(loaded.metrics) == as_metrics(trained.metrics), "a loaded run has other metrics")


@check("files")
def every_backend_predicts_the_same(case: RecipeCase) -> None:
    """A run trained on one backend can be loaded on every other, and predicts the same up to rounding."""
    if len(case.backends) < 2:
        raise Skip(f"one backend alone is installed, {case.backends[0]}")
    wanted = case.predict(case.run(), list(TEXTS))
    for backend in case.backends[1:]:
        got = case.predict(case.loaded(backend), list(TEXTS), backend)
        _demand_same(f"loaded on {backend}", got, wanted, 1e-4)


@check("files")
def a_run_can_be_moved(case: RecipeCase) -> None:
    """The folder of a run can be moved, and nothing in it points to where it was."""
    wanted = case.predict(case.run(), list(TEXTS))
    moved = case.folder / "elsewhere" / "run"
    shutil.copytree(case.output(case.backends[0]), moved)
    kept = case.output(case.backends[0]).rename(case.folder / "aside")
    try:
        with faults_of("loading a run that was moved"):
            run = runs.load(moved)
        _demand_same("moved", case.predict(run, list(TEXTS)), wanted, 0.0)
    finally:
        kept.rename(case.output(case.backends[0]))


@check("files")
def missing_files_are_named(case: RecipeCase) -> None:
    """Where a file of a run is missing or empty, loading works without it, or is refused in one line with its name."""
    case.run()
    original = case.output(case.backends[0])
    files = [path.relative_to(original) for path in sorted(original.rglob("*")) if path.is_file() and path.name != NAME]
    for number, file in enumerate(files):
        for emptied in (False, True):
            copy = case.folder / f"damaged-{number}-{emptied}"
            shutil.copytree(original, copy)
            (copy / file).write_bytes(b"") if emptied else (copy / file).unlink()
            _demand_named(copy, file, "is empty" if emptied else "is missing")


def _demand_named(folder: Path, file: Path, what: str) -> None:
    try:
        runs.load(folder)
    except LayerkitError as error:
        fine = file.name in str(error) and "\n" not in str(error)
        demand(fine, f"where {file} {what}, loading says {str(error)!r:.150}: one line with its name is due")
    except Exception as error:
        raise Fault(f"where {file} {what}, loading raises {type(error).__name__}: {str(error)!r:.100}") from error


@check("files")
def training_goes_on_in_its_folder(case: RecipeCase) -> None:
    """Trained once more into the folder of a finished run, with the same settings, it ends with the same run."""
    backend = case.backends[0]
    wanted = case.predict(case.run(), list(TEXTS))
    folder = case.folder / "again"
    shutil.copytree(case.output(backend), folder)
    again = case.train(backend, folder)
    _demand_same("trained once more into its folder", case.predict(again, list(TEXTS)), wanted, 1e-6)
    demand(read_run_file(folder).complete, f"after that {NAME} says that training did not come to its end")


@check("files")
def loading_and_predicting_print_nothing(case: RecipeCase) -> None:
    """``load``, ``predict`` and ``evaluate`` print nothing: what a command prints is the command's."""
    case.run()
    backend = case.backends[0]
    with silently() as printed, use_backend(backend):
        run = case.loaded(backend)
        case.predict(run, list(TEXTS))
        with faults_of("evaluate"):
            run.evaluate()
    demand(not printed.getvalue(), f"they print {printed.getvalue()!r:.100}")


@check("files")
def evaluating_gives_the_metrics_of_training(case: RecipeCase) -> None:
    """``evaluate()`` on the held-out data gives the metrics of the end of training, also of a loaded run."""
    wanted = as_metrics(case.run().metrics)
    for what, run in (("trained", case.run()), ("loaded", case.loaded(case.backends[0]))):
        with use_backend(case.backends[0]), faults_of("evaluate"):
            found = as_metrics(run.evaluate())
        for name, value in wanted.items():
            off = abs(found.get(name, math.inf) - value)
            demand(off <= 1e-5 * max(1, abs(value)), f"the {what} run's {name!r} is {found.get(name)}, not {value}")


def _demand_same(what: str, got: Any, wanted: Any, tolerance: float) -> None:
    for text, one, other in zip(TEXTS, got, wanted, strict=True):
        off = abs(float(one.score) - float(other.score))
        if one.label != other.label and off > tolerance or not off <= tolerance:
            raise Fault(
                f"{what}, it says {one.label!r} {one.score:.6g} of {text!r}, before {other.label!r} {other.score:.6g}"
            )
