"""`layerkit plugins new`: what it writes works untouched, and what it refuses leaves no trace."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributions import Done, Site

from layerkit.errors import LayerkitError, UsageError
from layerkit.plugins.scaffold import KINDS, scaffold

ROOT = Path(__file__).parent.parent
NAMES = {kind: f"acme-{kind}" for kind in KINDS}
CALLED = {"layer": "AcmeLayer", "optimizer": "AcmeOptimizer", "backend": "acme_backend", "recipe": "acme-recipe"}


class Project:
    """A distribution that `layerkit plugins new` wrote, installed by its metadata alone."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.home = Site(folder)
        self.written = self.home.layerkit("plugins", "new", NAMES[kind], f"--{kind}")
        assert self.written.code == 0, self.written.err
        self.folder = folder / NAMES[kind]
        self.about = tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))
        project = self.about["project"]
        lines = [f"{name} = {value}" for name, value in project["entry-points"]["layerkit"].items()]
        self.site = Site(self.folder / "src")
        self.site.add(project["name"], project["version"], "\n".join(lines))

    def files(self) -> dict[str, str]:
        """The text of every file, by its path."""
        paths = [path for path in self.folder.rglob("*") if path.is_file() and ".dist-info" not in str(path)]
        return {path.relative_to(self.folder).as_posix(): path.read_text("utf-8") for path in paths}


@pytest.fixture(scope="module", params=KINDS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp(request.param), request.param)


# -------------------- what is written


def test_what_is_written_is_told_with_the_next_three_commands(project: Project) -> None:
    name = NAMES[project.kind]
    lines = project.written.out.splitlines()
    assert project.written.err == ""
    assert lines[0] == f"written to {name}:"
    after = lines.index("")
    assert {line.strip() for line in lines[1:after]} == project.files().keys()
    assert lines[after + 1 :] == [
        "next:",
        f"  pip install -e './{name}[test]'",
        f"  pytest ./{name}",
        f"  layerkit plugins check {name}",
    ]
    assert max(map(len, lines)) <= 80
    assert [path.name for path in project.home.folder.iterdir()] == [name]


def test_nothing_is_left_to_fill_in(project: Project) -> None:
    package = NAMES[project.kind].replace("-", "_")
    files = project.files()
    expected = {".github/workflows/tests.yml", ".gitignore", "README.md", "pyproject.toml", f"tests/test_{package}.py"}
    assert expected | {f"src/{package}/__init__.py"} <= files.keys()
    for path, text in files.items():
        assert not re.search(r"TODO|\$(?!\{\{)\w|package\.", text), path
        assert "://" not in text, f"{path} names a host"
        assert text.endswith("\n")
        assert "\r" not in text
    assert "python-version: ${{ matrix.python }}" in files[".github/workflows/tests.yml"]
    assert f"layerkit plugins check {NAMES[project.kind]}" in files[".github/workflows/tests.yml"]
    assert project.about["project"]["entry-points"] == {"layerkit": {package: package}}


def test_only_what_is_declared_is_imported(project: Project) -> None:
    declared = {re.split(r"[\[<>=]", name)[0] for name in project.about["project"]["dependencies"]}
    declared |= {"numpy", "pytest", NAMES[project.kind].replace("-", "_")}  # layerkit needs numpy, the tests pytest
    for path, text in project.files().items():
        if not path.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= {*declared, *sys.stdlib_module_names}, path


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_it_is_in_good_style(project: Project) -> None:
    rules = ["--isolated", "--line-length=120", "--target-version=py311"]
    select = "--select=E,F,W,I,UP,B,SIM,C4,PIE,PT,RET"
    for command in (["check", select], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *rules, "."], cwd=project.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_its_layer_optimizer_backend_or_recipe_is_found(project: Project) -> None:
    name = CALLED[project.kind]
    done = project.site.python(
        f"""
        from layerkit.plugins.registry import registries
        offer = registries["{project.kind}s"].offer({name!r})
        print(offer.distribution, offer.name)
        """
    )
    assert (done.out, done.err) == (f"{NAMES[project.kind]} {name}\n", "")


def test_its_own_tests_pass(project: Project) -> None:
    done = run_pytest(project.folder, [sys.executable], PYTHONPATH=project.site.path)
    assert done.code == 0, done.out


def test_the_kit_finds_no_fault(project: Project) -> None:
    name = NAMES[project.kind]
    done = project.site.layerkit("plugins", "check", name)
    assert (done.code, done.err) == (0, ""), done.out + done.err
    last = done.out.splitlines()[-1]
    assert last.startswith(f"{name} 0.1.0: ")
    assert last.endswith(f"1 {project.kind}; all passed")


def run_pytest(folder: Path, python: list[str], **environment: str) -> Done:
    """Runs a distribution's own tests, from another folder, as the printed command does."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("LAYERKIT_", "PYTEST_"))}
    variables |= {"LAYERKIT_BACKEND": "numpy", **environment}
    command = [*python, "-m", "pytest", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, cwd=folder.parent, env=variables, capture_output=True, text=True, timeout=600)
    return Done(done.returncode, done.stdout, done.stderr)


# -------------------- names


@pytest.mark.parametrize(
    ("name", "kind", "package", "called"),
    [
        ("layerkit-scale", "layer", "layerkit_scale", "class Scale("),
        ("Layerkit_Scale", "layer", "layerkit_scale", "class Scale("),
        ("MyLayers", "layer", "mylayers", "class MyLayers("),
        ("a", "layer", "a", "class A("),
        ("layerkit-2d", "layer", "layerkit_2d", "class Layerkit2d("),
        ("layerkit-path", "recipe", "layerkit_path", "class Path:"),
        ("layerkit-my-words", "recipe", "layerkit_my_words", "layerkit train my-words"),
        ("layerkit-Torch-CPU", "backend", "layerkit_torch_cpu", "def torch_cpu("),
        ("x" * 50, "optimizer", "x" * 50, "class X" + "x" * 49),
    ],
)
def test_names_that_come_of_a_name(tmp_path: Path, name: str, kind: str, package: str, called: str) -> None:
    scaffold(name, kind, tmp_path / "new")
    sources = list((tmp_path / "new" / "src" / package).glob("*.py"))
    assert any(called in path.read_text() for path in sources)
    for path in sources:
        compile(path.read_text(), path.name, "exec")
    assert tomllib.loads((tmp_path / "new" / "pyproject.toml").read_text())["project"]["name"] == (
        name.lower().replace("_", "-")
    )


NO_NAME = "cannot be the name of a package: it is a letter, then letters and digits, with single '-' or '_'"
REFUSED = [
    *((name, "layer", NO_NAME) for name in ("", " ", "my layers", "1st", "_a", "a-", "a--b", "a.b", "naïve", "a\nb")),
    *(
        (name, "layer", NO_NAME)
        for name in ("../x", "/tmp/x", "x/y", "..", ".", "~", "a\\b", "a;b", "$package", "a\0b")
    ),
    ("x" * 51, "layer", "has 51 characters: 50 are the most"),
    ("class", "layer", "'class' is a word of Python's own"),
    ("layerkit", "layer", "'layerkit' is layerkit itself"),
    ("LayerKit", "layer", "'layerkit' is layerkit itself"),
    ("layerkit-plugins", "layer", "'layerkit_plugins' is layerkit itself"),
    ("json", "layer", "'json' is a module of Python's standard library"),
    ("JSON", "recipe", "'json' is a module of Python's standard library"),
    ("NumPy", "backend", "'numpy' is a package that is here already ("),
    ("tests", "layer", "'tests' is reserved"),
    ("None", "layer", "'none' is reserved"),
    ("com1", "layer", "'com1' is reserved"),
    ("dense", "layer", "would name its layer 'Dense', which is layerkit's own: take another name"),
    ("layerkit-serial", "layer", "would name its layer 'Serial', which is layerkit's own: take another name"),
    ("layerkit-adam", "optimizer", "would name its optimizer 'Adam', which is layerkit's own: take another name"),
    ("layerkit-numpy", "backend", "would name its backend 'numpy', which is layerkit's own: take another name"),
    ("sentiment", "recipe", "would name its recipe 'sentiment', which is layerkit's own: take another name"),
    ("layerkit-true", "layer", "would name its layer 'True', a word of Python or of the plugin: take another name"),
    (
        "layerkit-lambda",
        "backend",
        "would name its backend 'lambda', a word of Python or of the plugin: take another name",
    ),
    ("layerkit-map", "backend", "would name its backend 'map', a word of Python or of the plugin: take another name"),
    ("OSError", "recipe", "would name its recipe 'OSError', a word of Python or of the plugin: take another name"),
    ("layerkit-lk", "backend", "would name its backend 'lk', a word of Python or of the plugin: take another name"),
    ("mine", "model", "a plugin starts with one of layer, optimizer, backend, recipe, not 'model'"),
]


@pytest.mark.parametrize(("name", "kind", "said"), REFUSED)
def test_a_name_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        scaffold(name, kind)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_an_installed_distribution_is_refused(tmp_path: Path) -> None:
    """Its package is named otherwise, so nothing would be hidden; but pip would put the new one in its place."""
    site = Site(tmp_path / "site")
    site.add("acme-tools", "1.0", "", tools="")
    done = site.layerkit("plugins", "new", "Acme_Tools")
    assert done.code == 2
    assert "'acme-tools' is the name of a distribution that is installed already; take another name" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["my layers"], f"'my layers' {NO_NAME}"),
        (["../x"], f"'../x' {NO_NAME}"),
        ([], "Missing argument 'NAME'"),
        (["a", "b"], "unexpected extra argument"),
        (["a", "--model"], "No such option"),
        (
            ["a", "--layer", "--recipe"],
            "a plugin begins with one thing, not with layer and recipe: add the other",
        ),
        (["a", "--output", ""], "'--output': a path is due, got ''"),
        (["a", "--output", "."], "'.' exists already: give another folder with --output"),
        (["a", "--output", "no/such/a"], "there is no folder 'no/such' to write into: make it first"),
    ],
)
def test_a_command_that_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = Site(tmp_path).layerkit("plugins", "new", *arguments)
    assert (done.code, done.out, len(done.errors)) == (2, "", 1), done.err
    assert done.errors[0].startswith("layerkit: ")
    assert said in done.errors[0]
    assert list(tmp_path.iterdir()) == []


# -------------------- folders


def test_another_folder(tmp_path: Path) -> None:
    site = Site(tmp_path)
    done = site.layerkit("plugins", "new", "acme", "--output", "my plugins")
    assert done.code == 0, done.err
    assert done.out.startswith("written to my plugins:\n")
    assert "pip install -e './my plugins[test]'" in done.out
    assert (tmp_path / "my plugins" / "src" / "acme" / "__init__.py").is_file()
    absolute = site.layerkit("plugins", "new", "acme", "--output", str(tmp_path / "b"))
    assert f"pytest {tmp_path / 'b'}\n" in absolute.out
    at_home = site.layerkit("plugins", "new", "acme", "--output=~/c", HOME=str(tmp_path))
    assert f"pytest {tmp_path / 'c'}\n" in at_home.out


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        lambda path: path.write_text("mine"),
        lambda path: path.symlink_to("nowhere"),
    ],
    ids=["folder", "file", "dangling link"],
)
def test_what_exists_is_never_touched(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make(tmp_path / "acme")
    before = os.lstat(tmp_path / "acme")[:7]
    done = Site(tmp_path).layerkit("plugins", "new", "acme")
    assert (done.code, done.err) == (
        2,
        "layerkit: 'acme' exists already: give another folder with --output\n",
    )
    after = os.lstat(tmp_path / "acme")
    assert after[:7] == before  # all but the times, of which looking at it changes one
    assert [path.name for path in tmp_path.iterdir()] == ["acme"]


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [
        (OSError(28, "No space left on device"), LayerkitError, "acme': no space left on device"),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
    ],
    ids=["full", "interrupted"],
)
@pytest.mark.parametrize("step", ["write_text", "rename"])
def test_nothing_is_left_half_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
    raised: type[BaseException],
    said: str,
) -> None:
    real, calls = getattr(Path, step), []

    def third_time(path: Path, *args: Any, **options: Any) -> Any:
        calls.append(path)
        if len(calls) == 3 or step == "rename":
            raise error
        return real(path, *args, **options)

    monkeypatch.setattr(Path, step, third_time)
    with pytest.raises(raised) as caught:
        scaffold("acme", "layer", tmp_path / "acme")
    assert said in str(caught.value)
    assert calls
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the path of a folder"):
        scaffold("acme", "layer", "a\0b")
    with pytest.raises(LayerkitError, match="cannot write"):
        scaffold("acme", "layer", tmp_path / ("x" * 300))
    assert list(tmp_path.iterdir()) == []


# -------------------- really installed


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Python in an environment of its own, which sees the packages that the tests run with."""
    folder = tmp_path_factory.mktemp("venv") / "venv"
    venv.create(folder, symlinks=os.name != "nt")
    scripts = "Scripts" if os.name == "nt" else "bin"
    executable = str(folder / scripts / "python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    Path(packages, "tests.pth").write_text(f"{line}\n{ROOT}\n")
    done = subprocess.run([executable, "-c", "import hatchling, pip, pytest"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot install here without a network: {done.stderr.strip().splitlines()[-1]}")
    return [executable]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_installed_by_pip(tmp_path: Path, python: list[str], kind: str) -> None:
    name = NAMES[kind]
    scaffold(name, kind, tmp_path / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    installed = subprocess.run(
        [*python, "-m", "pip", "install", *options, "-e", str(tmp_path / name)], capture_output=True, text=True
    )
    assert installed.returncode == 0, installed.stderr
    done = run_pytest(tmp_path / name, python)
    assert done.code == 0, done.out
    checked = subprocess.run([*python, "-m", "layerkit", "plugins", "check", name], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.splitlines()[-1].endswith(f"1 {kind}; all passed")


def test_the_templates_are_packed() -> None:
    """What is read at run time lies in the folders that the wheel is made of, and none of it is ignored."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "layerkit" in about["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    templates = ROOT / "layerkit" / "plugins" / "templates"
    assert {path.name for path in templates.iterdir()} == {"shared", *KINDS}
    assert all(path.suffix == ".txt" for path in templates.rglob("*") if path.is_file())
