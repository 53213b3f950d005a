"""``layerkit plugins check`` on distributions that are right, wrong, noisy, broken or missing; the list of checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from distributions import Site
from test_plugins import BROKEN, BROKEN_HOOKS, add_broken

from layerkit.plugins import library_page
from layerkit.testing import SUITES, page

ROOT = Path(__file__).parent.parent

SCALE = '''
import layerkit as lk
from layerkit.fastmath import numpy as np

@lk.example(lk.f32(4, 8))
class Scale(lk.Layer):
    """y = x * s, one trainable s per feature.    x: (..., d)    s: (d,)"""

    def init_weights_and_state(self, signature):
        self.weights = np.ones(signature.shape[-1], signature.dtype)

    def forward(self, x):
        return x * self.weights

@lk.hookimpl
def layerkit_layers():
    return [Scale]
'''

WRONG = """
import layerkit as lk

class NeedsWidth(lk.Layer):
    def __init__(self, width):
        super().__init__()

@lk.example(lk.f32(4, 8))
class Writes(lk.Layer):
    def forward(self, x):
        x *= 2
        return x

@lk.hookimpl
def layerkit_layers():
    return [NeedsWidth, Writes]
"""

NOTHING = """
import layerkit as lk
@lk.hookimpl
def layerkit_layers():
    return []
"""

WRONG_AXIS = """
import layerkit as lk
from layerkit.fastmath import numpy as np

@lk.example(lk.f32(4, 8))
class Wide(lk.Layer):
    def init_weights_and_state(self, signature):
        self.weights = np.ones(signature.shape[0])

    def forward(self, x):
        return x * self.weights

@lk.hookimpl
def layerkit_layers():
    return [Wide]
"""

COMMANDS = """
import layerkit as lk
@lk.hookimpl
def layerkit_commands(cli):
    pass
"""

QUICK = ("--only", "repr_is_plain")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site")
    site.add("acme-scale", "1.2", "main = acme_scale", acme_scale=SCALE)
    return site


@pytest.mark.slow
def test_a_right_plugin_passes_every_check(site: Site) -> None:
    done = site.layerkit("plugins", "check", "acme-scale")
    assert (done.code, done.errors) == (0, [])
    *report, summary = done.out.splitlines()
    assert report[0].startswith("layer Scale: ran 7")
    assert "because it keeps no state" in " ".join(report)
    assert max(map(len, report)) <= 80
    assert summary == "acme-scale 1.2: 1 layer; all passed"


@pytest.mark.parametrize("name", ["acme-scale", "Acme_Scale", "acme_scale"])
def test_a_distribution_is_found_by_its_name_or_module(site: Site, name: str) -> None:
    done = site.layerkit("plugins", "check", name, *QUICK, "--all")
    assert (done.code, done.errors) == (0, [])
    assert done.out.splitlines()[0] == "repr_is_plain: passed"


def test_a_wrong_layer_is_named_with_the_check_and_its_sentence(site: Site) -> None:
    site.add("wrong", entry_points="main = wrong", wrong=WRONG)
    done = site.layerkit("plugins", "check", "wrong", "--only", "inputs_are_not_mutated")
    assert (done.code, done.errors) == (1, [])
    assert "runs_on_its_example: failed" in done.out
    assert "NeedsWidth(): TypeError" in done.out
    assert "inputs_are_not_mutated: failed" in done.out
    assert done.out.splitlines()[-1] == "wrong 1.0: 2 layers; 2 failed: NeedsWidth, Writes"
    assert max(map(len, done.out.splitlines()[:4])) <= 80


def test_a_layer_that_does_not_run_is_told_once_and_not_for_every_check_that_is_skipped(site: Site) -> None:
    site.add("wide", entry_points="main = wide", wide=WRONG_AXIS)
    done = site.layerkit("plugins", "check", "wide")
    first, *message, report, rest, summary = done.out.splitlines()
    assert (done.code, first, len(message)) == (1, "runs_on_its_example: failed", 2)
    assert " ".join(line.strip() for line in message) == (
        "it does not run on float32[4,8]: Wide: shapes (4, 8) and (4,) do not broadcast together "
        "(layer made in layerkit)"
    )
    others = len(SUITES["layer"].checks) - 1
    assert f"skipped {others}, because runs_on_its_example failed" in f"{report} {rest.strip()}"
    assert summary == "wide 1.0: 1 layer; 1 failed: Wide"


def test_json_is_one_object_a_line(site: Site) -> None:
    site.add("wrong", entry_points="main = wrong", wrong=WRONG)
    done = site.layerkit("plugins", "check", "wrong", "--json", "--only", "inputs_are_not_mutated")
    whole, *reports = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 1
    assert (whole["subject"], whole["ok"], whole["faults"]) == ("wrong", False, [])
    assert [report["subject"] for report in reports] == ["NeedsWidth", "Writes"]
    assert not any(report["ok"] for report in reports)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("acme-scael", (), "no distribution 'acme-scael' is installed: did you mean 'acme-scale'?"),
        ("numpy", (), "is no plugin: it has no entry point in the group 'layerkit'; write"),
        ("empty", (), "distribution 'empty' 1.0 is no plugin"),
        ("acme-scale", ("--only", "repr_is_plan"), "unknown check 'repr_is_plan': did you mean 'repr_is_plain'?"),
        ("acme-scale", ("--only", "x"), "unknown check 'x': docs/checks.md lists the"),
        ("acme-scale", ("--only", "it_starts"), "check 'it_starts' tries backends: acme-scale offers none"),
        ("acme-scale", ("--only", "threads_do_not_disturb_each_other"), "tries optimizers and backends: acme-scale"),
        ("", (), "no distribution '' is installed"),
    ],
)
def test_what_cannot_be_checked_is_one_line(site: Site, name: str, options: tuple[str, ...], says: str) -> None:
    site.add("empty")
    done = site.layerkit("plugins", "check", name, *options)
    assert done.code == 2
    assert len(done.errors) == 1
    assert says in done.errors[0]


def test_a_plugin_that_is_turned_off_is_not_checked(site: Site) -> None:
    done = site.layerkit("plugins", "check", "acme-scale", LAYERKIT_PLUGINS="-acme-scale")
    assert done.code == 2
    assert done.errors == ["layerkit: distribution 'acme-scale' is turned off by LAYERKIT_PLUGINS: change it there"]


@pytest.mark.parametrize("name", [*BROKEN, *BROKEN_HOOKS])
def test_a_plugin_that_cannot_be_used_fails_with_its_one_line(site: Site, name: str) -> None:
    said = add_broken(site, name)
    done = site.layerkit("plugins", "check", name)
    assert done.code == 1
    assert len(done.errors) == 1
    for part in said:
        assert part in done.errors[0]
    assert "it cannot be used as it is" in done.out


@pytest.mark.parametrize(
    ("before", "noise"),
    [
        ("print('hello there')", "it prints 'hello there'"),
        ("import sys; print('hello there', file=sys.stderr)", "it prints 'hello there'"),
        ("import warnings; warnings.warn('old')", "it warns: UserWarning: old"),
    ],
)
def test_noise_at_import_fails_with_strict_alone(site: Site, before: str, noise: str) -> None:
    site.add("noisy", entry_points="main = noisy", noisy=before + SCALE)
    done = site.layerkit("plugins", "check", "noisy", *QUICK)
    assert done.code == 0
    assert f"while it is imported, {noise} (fails with --strict)" in done.out
    strict = site.layerkit("plugins", "check", "noisy", "--strict", *QUICK)
    assert strict.code == 1
    assert f"while it is imported, {noise}\n" in strict.out
    about = json.loads(site.layerkit("plugins", "check", "noisy", "--json", "--strict", *QUICK).out.splitlines()[0])
    assert about["noise"] == [noise]
    assert about["ok"] is False


def test_a_quiet_plugin_passes_with_strict(site: Site) -> None:
    assert site.layerkit("plugins", "check", "acme-scale", "--strict", *QUICK).code == 0


def test_a_name_of_layerkits_own_fails_with_strict_alone(site: Site) -> None:
    site.add("shadow", entry_points="main = shadow", shadow=SCALE.replace("Scale", "Dense"))
    assert site.layerkit("plugins", "check", "shadow", *QUICK).code == 0
    done = site.layerkit("plugins", "check", "shadow", "--strict", *QUICK)
    assert done.code == 1
    assert "'Dense' stays layerkit's" in done.errors[0]


def test_a_plugin_that_offers_nothing_fails_and_one_with_commands_does_not(site: Site) -> None:
    site.add("nothing", entry_points="main = nothing", nothing=NOTHING)
    site.add("commands", entry_points="main = commands", commands=COMMANDS)
    done = site.layerkit("plugins", "check", "nothing")
    assert (done.code, done.out) == (1, "nothing 1.0: nothing that was checked; it cannot be used as it is\n")
    assert "offers nothing: none of its hooks returns a constructor" in done.errors[0]
    done = site.layerkit("plugins", "check", "commands")
    assert (done.code, done.out) == (0, "commands 1.0: nothing that was checked\n")


def test_a_model_with_an_example_is_tried_as_the_layer_it_is(site: Site) -> None:
    models = """
import layerkit as lk

@lk.example(lk.f32(4, 8), factor=2)
def Good(factor):
    return lk.Fn("Times", lambda x: factor * x)

def NeedsToBeTold(vocabulary):
    return lk.Serial()

@lk.hookimpl
def layerkit_models():
    return [Good, NeedsToBeTold]
"""
    site.add("models", entry_points="main = models", models=models)
    done = site.layerkit("plugins", "check", "models", *QUICK)
    assert (done.code, done.out.splitlines()[-1]) == (0, "models 1.0: 1 layer; all passed")


def test_no_other_plugin_is_imported(site: Site) -> None:
    site.add("other", entry_points="main = other", other="raise SystemExit('imported')")
    done = site.layerkit("plugins", "check", "acme-scale", *QUICK)
    assert (done.code, done.errors) == (0, [])


# -- pages written from the code --------------------------------------------------------------------------------------

PAGES = {"checks.md": page, "library.md": library_page}


@pytest.mark.parametrize("name", PAGES)
def test_a_written_page_is_up_to_date(name: str) -> None:
    stale = PAGES[name].main(["--check", str(ROOT / "docs" / name)])
    assert stale == 0, "run: make stubs"


@pytest.mark.parametrize(("name", "word"), [("checks.md", "repr_is_plain"), ("library.md", "Dropout")])
def test_a_stale_page_is_seen(name: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, written = tmp_path / name, PAGES[name]
    assert written.main(["--check", str(path)]) == 1
    assert not path.exists()
    assert written.main([str(path)]) == 0
    assert written.main(["--check", str(path)]) == 0
    path.write_text(path.read_text().replace(word, "another"))
    assert written.main(["--check", str(path)]) == 1
    assert written.main([]) == 2
    assert f"usage: python -m {written.__name__} [--check] docs/{name}" in capsys.readouterr().err


def test_every_check_is_on_the_list() -> None:
    text = page.page(SUITES.values())
    for suite in SUITES.values():
        assert all(f"| `{name}` |" in text for name in suite.names())
