"""What a recipe says of itself, and the settings it takes and refuses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from layerkit import runs
from layerkit.errors import LayerkitError, UsageError
from layerkit.plugins import registry
from layerkit.settings import make_settings, settings_of
from layerkit.testing.blame import demand
from layerkit.testing.recipe_case import RecipeCase, check, silently
from layerkit.testing.suite import Fault

__all__: list[str] = []


@check("settings")
def it_is_made_without_arguments(case: RecipeCase) -> None:
    """Its class is called without arguments, and has ``Settings``, ``train`` and ``load``: all others build on that."""
    if case.problem:
        raise Fault(case.problem)
    missing = [name for name in ("train", "load") if not callable(getattr(case.recipe, name, None))]
    demand(not missing, f"recipe {case.name} has no {' and no '.join(missing)}")


@check("settings")
def it_says_what_it_does(case: RecipeCase) -> None:
    """The first line of its docstring says what it does: it is the help of ``layerkit train``."""
    text = (getattr(registry.recipes.get(case.name), "__doc__", None) or "").strip()
    demand(text, f"recipe {case.name} has no docstring: its first line is the help of `layerkit train {case.name}`")
    first = text.splitlines()[0]
    demand(len(first) <= 120, f"the first line of its docstring has {len(first)} characters: 120 fit into a list")


@check("settings")
def settings_have_help(case: RecipeCase) -> None:
    """Its settings are a dataclass of kinds that can be written to a file, and each has a help text."""
    known = settings_of(case.name, getattr(case.recipe, "Settings", None))
    bare = [name for name, rule in known.items() if not rule.help.strip()]
    demand(not bare, f"{len(bare)} of {len(known)} settings have no help: {', '.join(bare)}: setting(..., help=...)")
    case.figures["settings"] = len(known)


@check("settings")
def quick_settings_fit(case: RecipeCase) -> None:
    """Its ``quick`` settings are settings it has, and enough to train it with."""
    try:
        make_settings(case.name, case.recipe.Settings, case.quick)
    except UsageError as error:
        raise Fault(f"its quick settings do not do: {error}") from error


@check("settings")
def unknown_settings_are_refused(case: RecipeCase) -> None:
    """A setting that it does not have, or of another kind, is refused by name, in one line, before anything runs."""
    output = case.folder / "refused"
    wrong: dict[str, Any] = {"no_such_setting": 1}
    wrong |= {name: object() for name in list(settings_of(case.name, case.recipe.Settings))[:1]}
    for name, value in wrong.items():
        with silently():
            said = _refusal(functools.partial(runs.train, case.name, output=output, **{**case.quick, name: value}))
        demand(name in said, f"{name}={value!r:.30} is refused without its name: {said!r}")
    demand(not output.exists(), "a refused training leaves a folder behind")


def _refusal(call: Callable[[], Any]) -> str:
    try:
        call()
    except LayerkitError as error:
        demand("\n" not in str(error), f"a refusal has several lines: {str(error)!r:.100}")
        return str(error)
    raise Fault("a setting that it does not have is accepted")
