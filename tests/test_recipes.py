"""Recipes from Python: their settings, their runs, and the examples that their authors read."""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import numpy as onp
import pytest
from at_line import every_line
from distributions import Site, majority_recipe

import layerkit as lk
from layerkit import runs
from layerkit.cli.setting_options import options
from layerkit.plugins import hookspecs
from layerkit.plugins.registry import recipes
from layerkit.recipe import Prediction, setting
from layerkit.run_file import RunFile, read_run_file, write_run_file
from layerkit.settings import as_json, make_settings, settings_of


@dataclasses.dataclass(frozen=True)
class Settings:
    needed: int = setting(help="must be given", least=0, most=10)
    steps: int = setting(500, help="training steps", least=1, may_change=True)
    rate: float = setting(0.5, most=1.0)
    name: str = setting("x")
    shuffle: bool = setting(True)
    data: Path | None = setting(None, metavar="FILE")
    model: Literal["plain", "fancy"] = setting("plain")
    size: Literal[1, 2, 4] = 2
    widths: tuple[int, ...] = setting((3, 4), least=1)
    tags: tuple[str, ...] | None = None
    derived: int = dataclasses.field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.name == "cursed":
            raise ValueError("name and fate do not agree")


def made(**values: Any) -> Settings:
    settings: Settings = make_settings("toy", Settings, {"needed": 1, **values})
    return settings


def test_settings_take_what_fits() -> None:
    settings = made(steps=onp.int64(7), rate=1, data="a/b", widths=[1, 2], tags=["a"], size=4, shuffle=False)
    assert settings == Settings(1, 7, 1.0, "x", False, Path("a/b"), "plain", 4, (1, 2), ("a",))
    assert type(settings.steps) is int
    assert type(settings.rate) is float
    assert made(data=None, tags=None) == made() == Settings(1)
    assert made(data=Path("x")).data == Path("x")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stepz": 3}, "recipe 'toy' has no setting 'stepz': did you mean 'steps'?"),
        ({"otput": 3}, "recipe 'toy' has no setting 'otput': did you mean 'output'?"),
        ({"steps": 0}, "recipe 'toy': steps is at least 1, got 0"),
        ({"needed": 11}, "recipe 'toy': needed is at most 10, got 11"),
        ({"steps": 2.5}, "recipe 'toy': steps is a whole number, got 2.5"),
        ({"steps": "3"}, "recipe 'toy': steps is a whole number, got '3'"),
        ({"steps": True}, "recipe 'toy': steps is a whole number, got True"),
        ({"steps": None}, "recipe 'toy': steps is a whole number, got None"),
        ({"rate": "fast"}, "recipe 'toy': rate is a number, got 'fast'"),
        ({"rate": "0.5"}, "recipe 'toy': rate is a number, got '0.5'"),
        ({"rate": True}, "recipe 'toy': rate is a number, got True"),
        ({"rate": float("nan")}, "recipe 'toy': rate is a number, got nan"),
        ({"rate": float("inf")}, "recipe 'toy': rate is at most 1.0, got inf"),
        ({"rate": 10**400}, "recipe 'toy': rate is a number, got 1000"),
        ({"name": 3}, "recipe 'toy': name is a text, got 3"),
        ({"shuffle": 1}, "recipe 'toy': shuffle is True or False, got 1"),
        ({"data": 3}, "recipe 'toy': data is a path, got 3"),
        ({"data": ""}, "recipe 'toy': data is a path, got ''"),
        ({"model": "fancie"}, "recipe 'toy': model cannot be 'fancie': did you mean 'fancy'?"),
        ({"size": 3}, "recipe 'toy': size cannot be 3: known: 1, 2, 4"),
        ({"widths": 3}, "recipe 'toy': widths is a list, each a whole number, got 3"),
        ({"widths": [1, 0]}, "recipe 'toy': widths is at least 1, got 0"),
        ({"tags": "ab"}, "recipe 'toy': tags is a list, each a text, got 'ab'"),
        ({"name": "cursed"}, "recipe 'toy': name and fate do not agree"),
        ({"name": ["x" * 500]}, "recipe 'toy': name is a text, got ['xxx"),
    ],
)
def test_settings_refuse_what_does_not(values: dict[str, Any], said: str) -> None:
    with pytest.raises(lk.UsageError) as caught:
        made(**values)
    assert str(caught.value).startswith(said)
    assert len(str(caught.value)) < 150


def test_a_setting_without_a_default_must_be_given() -> None:
    with pytest.raises(lk.UsageError, match="recipe 'toy' needs 'needed': must be given"):
        make_settings("toy", Settings, {})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([("output", int)], "has a setting 'output', which is layerkit's own: rename it there"),
        ([("overwrite", bool)], "has a setting 'overwrite', which is layerkit's own"),
        ([("sizes", list[int])], "setting 'sizes' cannot be list\\[int\\]: int, float, str, bool, Path"),
        ([("what", Any)], "setting 'what' cannot be typing.Any"),
        ([("pair", tuple[int, int])], "setting 'pair' cannot be tuple\\[int, int\\]"),
        ([("either", int | str)], "setting 'either' cannot be int | str"),
    ],
)
def test_a_recipe_whose_settings_cannot_be(fields: list[tuple[str, Any]], said: str) -> None:
    with pytest.raises(lk.LayerkitError, match=said):
        settings_of("toy", dataclasses.make_dataclass("Settings", fields))


def test_a_recipe_without_settings() -> None:
    with pytest.raises(lk.LayerkitError, match="recipe 'toy' has no dataclass named Settings: ask its author"):
        settings_of("toy", None)


def test_settings_are_written_so_that_they_can_be_read_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = json.loads(json.dumps(as_json(made(data="a/b"))))
    assert written["data"] == str(tmp_path / "a/b")
    assert "derived" not in written
    assert make_settings("toy", Settings, written) == made(data=tmp_path / "a/b")


def command_line(*arguments: str) -> dict[str, Any]:
    """The settings that options made from them read from the command line."""
    command = click.Command("toy", params=[*options(settings_of("toy", Settings))])
    return dict(command.make_context("toy", list(arguments)).params)


def test_options_come_from_the_settings() -> None:
    read = command_line(
        "--needed", "1", "--no-shuffle", "--widths", "5", "--widths", "6", "--model", "fancy", "--data", "x"
    )
    assert (read["needed"], read["shuffle"], read["widths"], read["model"], read["data"]) == (
        1,
        False,
        (5, 6),
        "fancy",
        Path("x"),
    )
    assert read["steps"] == 500
    text = click.Command("toy", params=[*options(settings_of("toy", Settings))]).get_help(
        click.Context(click.Command("toy"))
    )
    text = " ".join(text.split())
    for part in (
        "--needed N must be given (from 0 to 10) [required]",
        "--steps N training steps [default: 500]",
        "--rate X [default: 0.5]",
        "--shuffle / --no-shuffle [default: shuffle]",
        "--data FILE",
        "--model [plain|fancy] [default: plain]",
        "--size [1|2|4] [default: 2]",
        "--widths N [default: 3, 4]",
        "--tags TEXT",
    ):
        assert part in text


@pytest.mark.parametrize("arguments", [["--needed", "x"], ["--needed", "1", "--model", "fancie"], []])
def test_options_refuse_what_cannot_be(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        command_line(*arguments)


# -------------------- runs

Train = Callable[..., Any]


@pytest.fixture
def seen() -> list[Any]:
    """What the recipe below was called with."""
    return []


@pytest.fixture
def train(seen: list[Any]) -> Train:
    """``lk.train`` of a recipe that writes down what it gets."""

    class Run:
        def __init__(self) -> None:
            self.metrics = {"accuracy": onp.float32(0.5), "loss": float("nan")}

    class Noted:
        Settings = Settings

        def train(self, settings: Settings, output: Path | None) -> Run:
            there = sorted(path.name for path in output.iterdir()) if output else None
            seen.append((lk.fastmath.backend_name(), settings, there))
            if settings.name == "fails":
                raise lk.LayerkitError("failed")
            if output:
                (output / "weights").write_text(str(settings.steps))
            if settings.name == "fails late":
                raise KeyboardInterrupt
            return Run()

        def load(self, path: Path) -> Any:
            return (path / "weights").read_text()

    recipes.register(Noted, owner="tests")
    return lambda **settings: lk.train("noted", **{"needed": 1, "backend": "numpy", **settings})


def test_training_without_a_folder_writes_nothing(
    train: Train, seen: list[Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train().metrics["accuracy"] == 0.5
    assert seen == [("numpy", Settings(1), None)]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", [None, "run"])
def test_a_recipe_that_forgets_to_return_its_run(output: str | None, tmp_path: Path, monkeypatch: Any) -> None:
    class Forgetful:
        Settings = dataclasses.make_dataclass("Settings", [])

        def train(self, settings: Any, output: Path | None) -> None:
            pass

    monkeypatch.chdir(tmp_path)
    recipes.register(Forgetful, owner="tests")
    with pytest.raises(lk.LayerkitError) as caught:
        lk.train("forgetful", output=output)
    assert str(caught.value) == "recipe 'forgetful': its train returned None, which is no run: it has no metrics"
    assert not list(tmp_path.iterdir())


def test_the_backend_is_the_one_asked_for_and_only_then(train: Train, seen: list[Any]) -> None:
    with lk.use_backend("jax"):
        train(backend="numpy")
        assert lk.fastmath.backend_name() == "jax"
        train(backend=None)
    assert [backend for backend, *_ in seen] == ["numpy", "jax"]


def test_a_run_keeps_its_metrics_and_settings(train: Train, tmp_path: Path) -> None:
    train(output=tmp_path / "a" / "run", steps=3)
    about = read_run_file(tmp_path / "a" / "run")
    assert (about.recipe, about.distribution, about.backend, about.complete) == ("noted", "tests", "numpy", True)
    assert about.metrics == {"accuracy": 0.5, "loss": None}
    assert make_settings("noted", Settings, about.settings) == Settings(1, 3)


def test_a_run_is_continued_and_an_earlier_one_stays_whole(train: Train, seen: list[Any], tmp_path: Path) -> None:
    train(output=tmp_path)
    train(output=tmp_path, steps=600)
    assert [name for name in seen[1][2] if name[0] != "."] == ["run.json", "weights"]
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(
        lk.UsageError, match=r"holds a run with rate=0.5, not 0.25: give another folder, the same settings"
    ):
        train(output=tmp_path, rate=0.25)
    assert len(seen) == 2
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_run_that_was_broken_off_can_be_continued(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(output=tmp_path, name="fails late")
    assert not read_run_file(tmp_path).complete
    with pytest.raises(lk.LayerkitError, match="was not finished: train it again with the same settings"):
        lk.load(tmp_path)


def test_a_run_that_fails_at_once_leaves_nothing(train: Train, tmp_path: Path) -> None:
    with pytest.raises(lk.LayerkitError, match="failed"):
        train(output=tmp_path / "a" / "b", name="fails")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", ["fails", "fails late"])
def test_overwriting_puts_back_what_was_there_if_it_fails(train: Train, tmp_path: Path, failure: str) -> None:
    folder = tmp_path / "run"
    train(output=folder, steps=3)
    with pytest.raises((lk.LayerkitError, KeyboardInterrupt)):
        train(output=folder, name=failure, overwrite=True)
    assert (folder / "weights").read_text() == "3"
    assert read_run_file(folder).complete
    train(output=folder, rate=0.25, overwrite=True)
    assert read_run_file(folder).settings["rate"] == 0.25
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_interrupt_at_any_line_of_a_replacement_leaves_a_run_and_nothing_in_the_way(
    train: Train, tmp_path: Path
) -> None:
    folder, former = tmp_path / "all" / "run", tmp_path / "former"
    train(output=former, steps=3)
    shutil.copytree(former, folder)
    replace = lambda: train(output=folder, steps=4, rate=0.25, overwrite=True)
    for where in every_line({runs.__file__, shutil.__file__}, replace):
        assert lk.load(folder) in ("3", "4"), where
        replace()
        assert (lk.load(folder), [path.name for path in folder.parent.iterdir()]) == ("4", ["run"]), where
        shutil.rmtree(folder)
        shutil.copytree(former, folder)


def test_overwriting_spares_a_folder_that_is_no_run(train: Train, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    with pytest.raises(lk.UsageError, match="holds something that is no run: give a new or empty folder"):
        train(output=tmp_path, overwrite=True)
    assert (tmp_path / "precious").exists()


def test_a_run_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = RunFile("toy", "tests", "1", "numpy", {})
    write_run_file(tmp_path, about)
    before = (tmp_path / "run.json").read_bytes()

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(lk.LayerkitError, match="cannot be written: no space left on device"):
        write_run_file(tmp_path, about)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"recipe": "ntoed"}, "unknown recipe 'ntoed': did you mean 'noted'"),
        ({"recipe": "noted", "backend": "nump"}, "unknown backend 'nump': did you mean 'numpy'"),
        ({"recipe": "noted", "stesp": 3}, "recipe 'noted' has no setting 'stesp': did you mean 'steps'"),
        ({"recipe": "noted", "output": ""}, "output is the path of a folder, got ''"),
        ({"recipe": "noted", "output": 5}, "output is the path of a folder, got 5"),
    ],
)
@pytest.mark.usefixtures("train")
def test_training_that_cannot_be(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(lk.UsageError, match=said):
        lk.train(**{"needed": 1, **arguments})


def test_what_is_no_path_holds_no_run() -> None:
    with pytest.raises(lk.UsageError, match="there is no run at '5': expected str"):
        lk.load(5)  # type: ignore[arg-type]


# -------------------- what authors read


def test_a_prediction_can_be_taken_apart() -> None:
    label, score, log_probs, note = Prediction("good", 0.5)
    assert (label, score, log_probs, note) == ("good", 0.5, (), "")


def test_the_recipe_in_the_docs_works_from_python(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.add("acme", entry_points="majority = majority", majority=majority_recipe())
    (site.folder / "lines.txt").write_text("good day\nbad day\ngood one\n")
    done = site.python(
        """
        import layerkit as lk
        run = lk.train("majority", data="lines.txt", output="runs/first")
        assert run.predict("x").label == "good" and abs(run.metrics["accuracy"] - 2 / 3) < 1e-6
        again = lk.load("runs/first")
        assert [p.score for p in again.predict(["x", "y"])] == [1.0, 1.0]
        assert again.evaluate() == run.metrics
        """
    )
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("hook", [name for name in hookspecs.__all__ if name.startswith("layerkit_")])
def test_every_hook_shows_a_plugin_that_works(tmp_path: Path, hook: str) -> None:
    text = textwrap.dedent((getattr(hookspecs, hook).__doc__ or "").partition("::\n\n")[2])
    names = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    site = Site(tmp_path / "site")
    site.add("acme", entry_points="main = acme", acme=text)
    (site.folder / "my_package").mkdir()
    (site.folder / "my_package/haiku.py").write_text("class Haiku: pass\n")
    if hook == "layerkit_commands":
        assert site.layerkit("shout", "hello").out == "HELLO\n"
        return
    name = "haiku" if hook == "layerkit_recipes" else names[0]
    kind = hook.removeprefix("layerkit_")
    found = f"registry.{kind}.owner({name!r}), {name!r} in registry.{kind}.names()"
    done = site.python(f"from layerkit.plugins import registry\nprint({found})")
    assert (done.out, done.err) == ("acme True\n", "")
