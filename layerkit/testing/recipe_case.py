"""What checks of a recipe share: its quick settings, and what it trained on each backend, in a folder that goes."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerkit import runs
from layerkit.errors import LayerkitError, an, shown
from layerkit.fastmath import use_backend
from layerkit.plugins import registry
from layerkit.plugins.problems import one_line
from layerkit.settings import settings_of
from layerkit.testing.blame import demand, faults_of, installed_backends
from layerkit.testing.suite import Fault, Skip, Suite

__all__ = ["RECIPES", "RecipeCase", "check", "silently"]

_STEPS = 30

TEXTS = ("I loved it, what a great day!", "this was bad :(", "it is a Tuesday", "good bad good", "bad", "x")
"""Texts that every recipe has to say something of."""


@dataclass
class RecipeCase:
    """A recipe: its name, or its class, which is registered if it is not yet.

    Raises:
        UsageError: no recipe has that name.
    """

    subject: Any
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings to try it with, besides its own ``quick`` ones."""

    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = self.subject if isinstance(self.subject, str) else _registered(self.subject)
        registry.recipes.get(self.name)
        self.folder = Path(tempfile.mkdtemp(prefix="layerkit-check-"))
        weakref.finalize(self, shutil.rmtree, self.folder, True)
        self._trained: dict[str, Any] = {}
        self.here = frozenset(os.listdir())
        """What was in the working folder before anything was trained."""
        self.problem = ""
        try:
            _ = settings_of(self.name, getattr(self.recipe, "Settings", None))
        except (Fault, LayerkitError) as fault:
            self.problem = str(fault)

    @functools.cached_property
    def recipe(self) -> Any:
        """The recipe, made by its constructor without arguments."""
        try:
            return registry.recipes.get(self.name)()
        except Exception as error:
            raise Fault(f"recipe {self.name} cannot be made without arguments: {one_line(error)}") from error

    @functools.cached_property
    def backends(self) -> list[str]:
        return installed_backends()

    @functools.cached_property
    def quick(self) -> dict[str, Any]:
        """Settings with which it trains in seconds: its own ``quick``, else few steps if it counts steps."""
        own = getattr(self.recipe, "quick", None)
        if callable(own):
            (self.folder / "data").mkdir(exist_ok=True)
            with faults_of(f"{self.name}.quick"):
                own = own(self.folder / "data")
        if own is None:
            own = {"steps": _STEPS} if "steps" in settings_of(self.name, self.recipe.Settings) else {}
        return {**own, **self.settings}

    def output(self, backend: str) -> Path:
        """The folder of what was trained on a backend."""
        return self.folder / f"on-{backend}"

    def train(self, backend: str, output: Path | None) -> Any:
        """A run of the quick settings."""
        with silently(), faults_of(f"training {self.name}", backend):
            return runs.train(self.name, output=output, backend=backend, **self.quick)

    def trial(self, backend: str) -> Any:
        """The run trained on a backend, or the fault why there is none; trained once."""
        if backend not in self._trained:
            try:
                self._trained[backend] = self.train(backend, self.output(backend))
            except Fault as fault:
                self._trained[backend] = fault
        return self._trained[backend]

    def run(self, backend: str | None = None) -> Any:
        """The run trained on a backend, the default one unless said.

        Raises:
            Skip: it does not train.
        """
        found = self.trial(backend or self.backends[0])
        if isinstance(found, Fault):
            raise Skip("it does not train with its quick settings")
        return found

    def loaded(self, backend: str) -> Any:
        """What was trained on the default backend, loaded on this one."""
        self.run()
        with use_backend(backend), faults_of(f"loading a run of {self.name}", backend):
            return runs.load(self.output(self.backends[0]))

    def predict(self, run: Any, texts: Any, backend: str | None = None) -> Any:
        """What a run says of texts, on a backend."""
        where = backend or self.backends[0]
        with use_backend(where), faults_of("predict", where):
            found = run.predict(texts)
        if isinstance(texts, str):
            demand(_is_prediction(found), f"the prediction of {texts!r:.40} is {shown(found)}: {_DUE}")
            return found
        demand(isinstance(found, list), f"predict of a list gives {an(type(found).__name__)}: a list is due")
        demand(len(found) == len(texts), f"predict gives {len(found)} predictions of {len(texts)} texts")
        demand(all(map(_is_prediction, found)), f"predict of a list gives {shown(found)}: {_DUE}")
        return found


_DUE = "a layerkit.recipe.Prediction, with label and score, is due"


def _is_prediction(found: Any) -> bool:
    return hasattr(found, "label") and hasattr(found, "score")


RECIPES = Suite("recipe", "Recipes", RecipeCase, minimum=10)


def check(group: str) -> Callable[[Callable[[RecipeCase], None]], Any]:
    """Adds a check."""

    def add(function: Callable[[RecipeCase], None]) -> Any:
        @functools.wraps(function)
        def run(case: RecipeCase) -> None:
            with faults_of(f"recipe {case.name}"):
                function(case)

        return RECIPES.check(group)(run)

    return add


@contextlib.contextmanager
def silently() -> Iterator[io.StringIO]:
    """Keeps what is printed from the screen, and gives it."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield printed


def _registered(constructor: Any) -> str:
    """The name under which a recipe's class can be asked for."""
    offers = registry.recipes.offers()
    if not any(offer.constructor is constructor for offer in offers):
        registry.recipes.register(constructor)
        offers = registry.recipes.offers()
    (offer, *_) = [offer for offer in offers if offer.constructor is constructor]
    if offer.distribution == "layerkit" or not offer.version:
        return offer.name
    return offer.qualified
