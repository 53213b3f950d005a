"""What a recipe is: a whole task, from data to predictions, that anybody can train with one command.

A recipe is a class with a dataclass of settings and two methods. This one guesses the label it met most often; it is
complete, and offered by the hook ``layerkit_recipes``::

    import json
    from collections import Counter
    from dataclasses import dataclass
    from pathlib import Path

    import layerkit as lk
    from layerkit.recipe import Prediction, setting

    @dataclass(frozen=True)
    class Settings:
        data: Path = setting(help="a file with a label at the start of each line")
        steps: int = setting(100, help="lines to look at", least=1, may_change=True)

    class MajorityRun:
        def __init__(self, label, metrics):
            self.label, self.metrics = label, metrics

        def predict(self, texts):
            if isinstance(texts, str):
                return Prediction(self.label, 1.0)
            return [Prediction(self.label, 1.0) for text in texts]

        def evaluate(self, data=None):
            return self.metrics

    class Majority:
        '''Guesses the label it met most often.'''

        Settings = Settings

        def train(self, settings, output):
            lines = settings.data.read_text("utf-8").splitlines()[: settings.steps]
            label, count = Counter(line.split()[0] for line in lines).most_common(1)[0]
            if output is not None:
                (output / "label.json").write_text(json.dumps(label))
            return MajorityRun(label, {"accuracy": count / len(lines)})

        def load(self, path):
            try:
                label = json.loads((path / "label.json").read_text())
            except (OSError, ValueError) as error:
                raise lk.LayerkitError(f"{str(path / 'label.json')!r} cannot be read: train the run again") from error
            return MajorityRun(label, lk.runs.read_run_file(path).metrics)

    @lk.hookimpl
    def layerkit_recipes():
        return [Majority]

What its author gets for that: ``lk.train("majority", data="tweets.txt", output="runs/first")``,
``lk.load("runs/first")``, and the commands ``layerkit train majority --data tweets.txt --output runs/first``,
``layerkit evaluate runs/first`` and ``layerkit predict runs/first TEXT``, with options, types, defaults and help taken
from the settings.

**Who does what.** layerkit checks the settings, makes the folder, activates the backend that was asked for,
calls ``train``, and writes ``run.json`` (recipe, settings, backend, metrics) into the folder: a recipe writes
everything else, and never that file. ``output``, ``overwrite`` and ``backend`` are layerkit's, not fields of
the settings. A recipe raises ``layerkit.UsageError`` for a request that is off (no such column) and
``layerkit.LayerkitError`` for what went wrong, one line each; it prints what it likes while training, and
nothing in ``load``, ``predict`` and ``evaluate``. Where ``train`` fails before the recipe wrote anything,
layerkit takes the folder back: check the data before writing.

**What the kit tries.** ``layerkit.testing.check_recipe("majority")`` trains it in a temporary folder. Settings with
which that takes seconds are the recipe's attribute ``quick``: ``quick = {"steps": 60}``, or a static method that writes
the data it needs into a folder and returns them, ``quick(folder) -> {"data": folder / "lines.txt"}``. A run that has
``held_out() -> (texts, labels)``, the examples it was not trained on, is measured on those against who always says the
most frequent label.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, overload

from layerkit.settings import setting

__all__ = ["Prediction", "Recipe", "Run", "setting"]


class Prediction(NamedTuple):
    """What a run says about one text: the label, how sure it is, and the log-probability of every label.

    >>> Prediction("positive", 0.98).label
    'positive'
    """

    label: str
    score: float
    """The label's probability, between 0 and 1."""
    log_probs: Any = ()
    """One number for each label, in the order of the run's own labels."""
    note: str = ""
    """Anything a person should know about this prediction: "no word of it is known"."""


class Run(Protocol):
    """A trained recipe: what ``lk.train`` and ``lk.load`` return.

    It computes on whichever backend is active when it is called. A run may have more, such as ``model`` (a layer) and
    ``signature`` (of a batch): ``layerkit summary RUN`` shows those.
    """

    @property
    def metrics(self) -> Mapping[str, float]:
        """How good it was at the end of training, by name; ``run.json`` keeps them."""

    @overload
    def predict(self, texts: str) -> Prediction: ...
    @overload
    def predict(self, texts: list[str]) -> list[Prediction]: ...
    def predict(self, texts: str | list[str]) -> Prediction | list[Prediction]:
        """A prediction for one text, a list of them for several; also for an empty text."""

    def evaluate(self, data: Path | None = None) -> Mapping[str, float]:
        """Metrics on the file ``data``, or on the data that was held out in training."""


class Recipe(Protocol):
    """A task: the module's docstring shows a complete one. Constructed without arguments.

    Its name is its class's in lower case (``class NamedEntities``: ``named-entities``); the first line of its
    docstring is its help on the command line.
    """

    Settings: type
    """A dataclass: fields are int, float, str, bool, Path, Literal[...] or tuple[..., ...], or one of them ``| None``.

    Make each with ``setting``. A field without a default must be given.
    """

    def train(self, settings: Any, output: Path | None) -> Run:
        """Trains, and returns the run; with an ``output`` folder, also writes into it what ``load`` will need.

        The folder exists, and no other process trains there. It is empty (but for ``run.json`` and names that begin
        with a dot), or holds what this recipe wrote there when it ran with the same settings, those marked
        ``may_change`` excepted: continue from that, or start again in its place. What
        ``load`` reads is best written last, so that an earlier run stays whole until then.
        """

    def load(self, path: Path) -> Run:
        """The run that ``train`` wrote to the folder ``path``; it came to its end.

        ``layerkit.runs.read_run_file(path)`` has its settings and metrics. Raise ``LayerkitError``, one line with the
        file's name, where a file is missing or damaged.
        """
