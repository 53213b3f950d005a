"""``check_recipe``: does a recipe train, keep and predict as recipes do?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from layerkit.testing import recipe_checks
from layerkit.testing.recipe_case import RECIPES, RecipeCase
from layerkit.testing.report import Report

__all__ = ["check_recipe"]

_ = recipe_checks  # importing them has put them on the list


def check_recipe(
    recipe: Any,
    settings: Mapping[str, Any] | None = None,
    *,
    only: Collection[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Tries a recipe on every rule for recipes: it is trained with its quick settings, in a temporary folder.

    Args:
        recipe: a registered recipe's name, or its class, which is registered if it is not yet.
        settings: settings to try it with, besides those of its attribute ``quick`` (see ``layerkit.recipe``).
        only: names of checks, to try those alone.
        expected_failures: for each check that is known to fail, the reason.

    Raises:
        UsageError: no recipe has that name, or a check is named that there is not.

    >>> print(check_recipe("sentiment", only=["settings_have_help", "quick_settings_fit"]))
    recipe sentiment: ran 2 of 2; all passed
    """
    case = RecipeCase(recipe, settings or {})
    return RECIPES.run(case, case.name, only, expected_failures)
