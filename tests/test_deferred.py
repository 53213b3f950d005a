"""Constructors that a plugin offers without importing them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
from distributions import Site
from plugin_modules import ask

import layerkit as lk
from layerkit.errors import LayerkitError
from layerkit.plugins import registry
from layerkit.plugins.deferral import Deferred

PLUGIN = """
import layerkit.plugins as lk
@lk.hookimpl
def layerkit_models():
    return [*lk.deferred("acme_good", "Good"), *lk.deferred("acme_bad", "Bad"), *lk.deferred("acme_good", "Absent")]
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site")
    bad = "print('noise')\nraise SystemExit(3)"
    site.add("acme", entry_points="m = acme", acme=PLUGIN, acme_good="def Good(): return 'good'", acme_bad=bad)
    return site


def test_a_deferred_constructor_is_found_under_its_name(site: Site) -> None:
    assert ask(site, "Good", "acme:Good") == ["good", "good"]


def test_listing_names_imports_no_deferred_module(site: Site) -> None:
    done = site.python(
        """
        import sys
        from layerkit.plugins.registry import models
        print({"Good", "Bad", "Absent"} <= set(models.names()), sorted(m for m in sys.modules if "acme_" in m))
        models.get("Good")
        print(sorted(m for m in sys.modules if "acme_" in m))
        """
    )
    assert done.out == "True []\n['acme_good']\n", done.err


def test_a_deferred_module_that_fails_is_one_line(site: Site) -> None:
    bad, absent, good = ask(site, "Bad", "Absent", "Good")
    assert bad == "LayerkitError Bad cannot be imported: it calls sys.exit(3): install or upgrade acme"
    assert absent == (
        "LayerkitError Absent cannot be imported: LayerkitError: module acme_good has no class or function "
        "'Absent' to offer: install or upgrade acme"
    )
    assert good == "good"
    quiet = site.python(
        """
        from layerkit.plugins.registry import models
        try: models.get("Bad")
        except Exception: print("only this")
        """
    )
    assert quiet.out == "only this\n"


def test_the_check_of_a_distribution_names_what_cannot_be_imported(site: Site) -> None:
    done = site.python(
        """
        from layerkit import testing
        from layerkit.testing.distributions import check_distribution
        report = check_distribution("acme", testing.SUITES, testing.CHECKERS)
        print(report.ok(), *report.faults, sep="\\n")
        """
    )
    assert "False\nacme 1.0: Bad cannot be imported: it calls sys.exit(3)" in done.out, done.err
    assert "acme 1.0: Absent cannot be imported" in done.out


def test_two_that_stand_for_one_constructor_are_one_offer(site: Site) -> None:
    hook = "def layerkit_models(): return 2 * lk.deferred('acme_good', 'Good')"
    twice = f"import layerkit.plugins as lk\n@lk.hookimpl\n{hook}"
    site.add("twice", entry_points="m = twice", twice=twice)
    assert ask(site, "twice:Good") == ["good"]


def test_a_deferred_constructor_is_one_itself() -> None:
    (dense,) = lk.deferred("layerkit_plugins.layers.dense", "Dense")
    assert dense(3).name == "Dense_3"
    assert dense == Deferred("layerkit_plugins.layers.dense", "Dense") != Deferred("layerkit_plugins.layers.dense", "x")
    assert len({dense, *lk.deferred("layerkit_plugins.layers.dense", "Dense")}) == 1
    with pytest.raises(LayerkitError, match=r"layers\.dense has no class or function 'Dnse'"):
        Deferred("layerkit_plugins.layers.dense", "Dnse").load()


@pytest.mark.parametrize("kind", ["layers", "models", "optimizers"])
def test_every_bundled_constructor_is_offered(kind: str) -> None:
    """The names stand in the package, the constructors in its modules: none may be forgotten."""
    package = importlib.import_module(f"layerkit_plugins.{kind}")
    written = set()
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        members = vars(importlib.import_module(module.name))
        for name in members["__all__"]:
            thing = members[name]
            is_optimizer = inspect.isclass(thing) and issubclass(thing, lk.Optimizer)
            if is_optimizer or hasattr(thing, "layerkit_example"):
                written.add(name)
    assert written <= set(registry.registries[kind].own())


@pytest.mark.parametrize(
    ("asked", "spared"),
    [("tl.Dense(3)", "activations losses metrics normalization"), ("tl.Relu()", "dense embedding losses metrics")],
)
def test_one_layer_imports_no_other_family(tmp_path: Path, asked: str, spared: str) -> None:
    done = Site(tmp_path / "site").python(
        f"""
        import sys
        from layerkit import layers as tl
        {asked}
        print(sorted(name for name in "{spared}".split() if f"layerkit_plugins.layers.{{name}}" in sys.modules))
        """
    )
    assert done.out == "[]\n", done.err
