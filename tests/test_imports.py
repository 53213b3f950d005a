"""Who may import whom, read from the source; and what a start of layerkit imports, seen in a new process."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributions import Site

import layerkit
from layerkit.plugins import stubs

ROOT = Path(layerkit.__file__).parent.parent

# The rooms of the house: the modules in each, and the rooms that each may import from. A new module needs a room.
ROOMS = {
    "errors": "elsewhere errors faces numbers",
    "cache": "cache_folder",
    "files": "files",
    "shapes": "shapes",
    "fastmath": "fastmath",
    "layer": "accelerate arguments assertions densities engine initializers layer pure_layer reversible tensor_names "
    "weights_file",
    "combinators": "combinators",
    "examples": "example summary",
    "decoding": "decoding",
    "optimizer": "clipping missed_steps optimizer optimizer_options pieces",
    "plugins": "plugins",
    "registered": "layers models optimizers",
    "data": "data",
    "training": "training",
    "recipe": "recipe run_file runs settings",
    "testing": "testing",
    "bench": "bench",
    "cli": "cli __main__",
}
ARROWS = {
    "errors": "",
    "cache": "",
    "files": "errors",
    "shapes": "errors",
    "fastmath": "errors shapes plugins",
    "layer": "errors shapes fastmath files",
    "combinators": "errors shapes fastmath layer",
    "examples": "errors shapes fastmath layer",
    "decoding": "errors shapes fastmath layer",
    "optimizer": "errors shapes fastmath",
    "plugins": "errors",
    "registered": "plugins",
    "data": "errors",
    "training": "errors files shapes fastmath layer optimizer plugins data",
    "recipe": "errors files fastmath plugins",
    "testing": " ".join(room for room in ROOMS if room not in ("bench", "cli")),
    "bench": " ".join(room for room in ROOMS if room != "cli"),
    "cli": " ".join(ROOMS),
}
ROOM_OF = {f"layerkit.{module}": room for room, modules in ROOMS.items() for module in modules.split()}

# Other people's packages, and the modules that may import each.
LIBRARIES = {
    "numpy": ("layerkit.", "layerkit_plugins."),
    "ml_dtypes": ("layerkit.files.tensors", "layerkit.shapes", "layerkit.testing."),
    "jax": ("layerkit_plugins.backends.jax",),
    "jaxlib": ("layerkit_plugins.backends.jax",),
    "autograd": ("layerkit_plugins.backends.numpy",),
    "scipy": ("layerkit_plugins.backends.numpy",),
    "pytest": ("layerkit.testing.decorator",),
    "pluggy": ("layerkit.plugins.",),
    "nltk": ("layerkit_plugins.sentiment.",),
    "click": ("layerkit.cli",),
    "rich": ("layerkit.summary", "layerkit.training."),
    "matplotlib": ("layerkit.training.",),
    "tensorboardX": ("layerkit.training.",),
    "tokenizers": ("layerkit.data.tokenize",),
}

# What a plugin may use: these modules and their public names.
PUBLIC = {
    *"arguments cache_folder data decoding errors example fastmath files initializers layers models".split(),
    *"optimizers plugins recipe runs settings shapes training".split(),
}


def sources(package: str) -> dict[str, Path]:
    """Every module of a package, by name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str, path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) for everything a source file imports, wherever in it; the name is empty for a plain import."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            yield from ((source, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((str(a.value), "") for a in node.args[:1] if isinstance(a, ast.Constant))


def imported_modules(module: str, path: Path) -> set[str]:
    """The modules of layerkit, down to the second part of their names, and the packages of others."""
    found = set()
    for source, name in imports(module, path):
        if source == "layerkit" and name:
            source = dict(layerkit._HOME).get(name, f"layerkit.{name}")
        parts = source.split(".")
        found.add(".".join(parts[:2]) if parts[0] == "layerkit" else parts[0])
    return found - {"layerkit"}


def arrow_problems(module: str, path: Path) -> list[str]:
    """What a module of the core imports and must not."""
    own = ".".join(module.split(".")[:2])
    problems = []
    for other in imported_modules(module, path):
        if other == "layerkit_plugins":
            problems.append(f"{module} imports {other}")
        elif other.startswith("layerkit.") and other != own:
            room = ROOM_OF[own]
            if ROOM_OF[other] not in {room, *ARROWS[room].split()}:
                problems.append(f"{module} imports {other}, though {room} may not import from {ROOM_OF[other]}")
    return problems


CORE = {name: path for name, path in sources("layerkit").items() if name != "layerkit"}
PLUGINS = sources("layerkit_plugins")


def test_every_module_has_a_room() -> None:
    assert {".".join(name.split(".")[:2]) for name in CORE} == set(ROOM_OF)


@pytest.mark.parametrize("module", CORE)
def test_arrows(module: str) -> None:
    assert arrow_problems(module, CORE[module]) == []


@pytest.mark.parametrize(
    ("module", "text", "problem"),
    [
        ("layerkit.shapes", "from layerkit import fastmath", "may not import from fastmath"),
        ("layerkit.layer", "def f():\n    import layerkit.combinators", "may not import from combinators"),
        ("layerkit.fastmath.ops", "from ..layer import Layer", "may not import from layer"),
        ("layerkit.fastmath.ops", "from layerkit import Serial", "may not import from combinators"),
        ("layerkit.cli.train", "from layerkit_plugins.sentiment import x", "imports layerkit_plugins"),
        (
            "layerkit.data",
            "import importlib\nimportlib.import_module('layerkit_plugins.layers')",
            "imports layerkit_plugins",
        ),
    ],
)
def test_a_wrong_arrow_is_seen(tmp_path: Path, module: str, text: str, problem: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    (found,) = arrow_problems(module, path)
    assert problem in found


@pytest.mark.parametrize("module", [*CORE, *PLUGINS])
def test_libraries_stay_where_they_belong(module: str) -> None:
    for package in imported_modules(module, {**CORE, **PLUGINS}[module]):
        if package.partition(".")[0] in ("layerkit", "layerkit_plugins") or package in sys.stdlib_module_names:
            continue
        assert package in LIBRARIES, f"{module} imports {package}, which is no dependency"
        assert f"{module}.".startswith(LIBRARIES[package]), f"{module} must not import {package}"


@pytest.mark.parametrize("module", PLUGINS)
def test_plugins_use_public_names_only(module: str) -> None:
    for source, name in imports(module, PLUGINS[module]):
        parts = source.split(".")
        if parts[0] != "layerkit":
            continue
        if source == "layerkit":
            assert not name or name in {*layerkit.__all__, *PUBLIC}, f"{module} imports {name} from layerkit"
            continue
        assert parts[1] in PUBLIC, f"{module} imports {source}, which is not public"
        assert not name.startswith("_"), f"{module} imports {name} from {source}"
    tree = ast.parse(PLUGINS[module].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lk":
            assert node.attr in layerkit.__all__, f"{module} uses lk.{node.attr}"


# -------------------- what a start imports

HEAVY = {"numpy", "jax", "nltk", "autograd", "scipy", "rich", "matplotlib", "pluggy"}


def loaded(site: Site, code: str) -> set[str]:
    """The modules that are there after ``code`` has run in a new process."""
    done = site.python(code + "\nimport sys, json\nprint()\nprint(json.dumps(sorted(sys.modules)))")
    assert done.code == 0, done.err
    return set(json.loads(done.out.splitlines()[-1]))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site")
    site.add("telltale", entry_points="layers = telltale\nother = telltale", telltale="raise SystemExit")
    return site


CLI = "from layerkit.cli import main; assert main({}) == 0"
SAVED = """
import layerkit as lk, numpy
from layerkit import layers as tl, optimizers
from layerkit.data import ArrayBatches
with lk.use_backend("numpy"):
    batches = ArrayBatches(numpy.ones((4, 2), "float32"), numpy.zeros(4, "int32"), batch_size=2)
    task = lk.TrainTask(batches, tl.CrossEntropyLoss(), optimizers.Adam(0.1))
    lk.Loop(tl.Serial(tl.Dense(2), tl.LogSoftmax()), task, output_dir="run", learning_curve=False, log=None).run(1)
"""


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import layerkit", {*HEAVY, "click", "importlib.metadata", "typing"}),
        ("import layerkit as lk; dir(lk); lk.__all__", HEAVY),
        (CLI.format(["--help"]), {*HEAVY, "importlib.metadata"}),
        (CLI.format(["plugins", "list"]), HEAVY),
        (CLI.format(["plugins", "list", "--json"]), HEAVY),
        (CLI.format(["plugins", "--help"]), {*HEAVY, "importlib.metadata"}),
        (CLI.format(["predict", "--help"]), HEAVY),
        (CLI.format(["evaluate", "--help"]), HEAVY),
        (CLI.format(["bench", "--help"]), HEAVY),
        ("from layerkit import recipe, runs, settings, errors", HEAVY),
        ("from layerkit.plugins import hookimpl", HEAVY),
        ("import layerkit as lk; lk.Layer, lk.Serial, lk.f32(2)", HEAVY - {"numpy"}),
        ("from layerkit import layers as tl; tl.Dense(3), tl.Serial", HEAVY - {"numpy"}),
        (
            "from layerkit import layers as tl; tl.Embedding(9, 4)",
            {
                "layerkit_plugins.models",
                "layerkit_plugins.optimizers",
                "layerkit.densities",
                "layerkit.combinators.axes",
            },
        ),
        ("import layerkit as lk\nwith lk.use_backend('numpy'): pass", HEAVY - {"numpy"}),
        ("from layerkit.plugins.registry import recipes; recipes.get('sentiment')", HEAVY),
        pytest.param(SAVED, {"jax", "nltk", "matplotlib", "importlib.metadata"}, id="a checkpoint"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_start_imports_only_what_it_needs(site: Site, code: str, absent: set[str]) -> None:
    assert not loaded(site, code) & {*absent, "telltale", "layerkit_plugins.sentiment.recipe"}


# -------------------- the face


def test_every_name_of_the_face_is_there() -> None:
    for name in layerkit.__all__:
        assert getattr(layerkit, name) is not None
    assert dir(layerkit) == layerkit.__all__ == sorted(layerkit.__all__)
    with pytest.raises(AttributeError, match="module 'layerkit' has no attribute 'Serail'"):
        layerkit.Serail  # noqa: B018


@pytest.mark.parametrize("module", ["combinators", "shapes"])
def test_the_face_has_all_names_of(module: str) -> None:
    for name in importlib.import_module(f"layerkit.{module}").__all__:
        assert layerkit._HOME.get(name) == f"layerkit.{module}"


def test_a_function_stays_one_though_its_module_has_its_name(site: Site) -> None:
    done = site.python(
        """
        import layerkit.summary, layerkit.example
        from layerkit.summary import summary_rows
        import layerkit as lk
        assert callable(lk.summary) and callable(lk.example)
        """
    )
    assert done.code == 0, done.err


def test_every_subpackage_can_be_reached() -> None:
    for found in pkgutil.iter_modules(layerkit.__path__):
        if found.ispkg and found.name != "cli":
            assert getattr(layerkit, found.name).__name__ == f"layerkit.{found.name}"


@pytest.mark.parametrize(
    "package",
    ["layerkit.engine", "layerkit.training", "layerkit.plugins", "layerkit.bench", "layerkit_plugins.backends.numpy"],
)
def test_a_package_says_in_which_order_to_read_it(package: str) -> None:
    """Its docstring names every module."""
    home = importlib.import_module(package)
    named = re.findall(r"``(\w+)``", home.__doc__ or "")
    assert {module.name for module in pkgutil.iter_modules(home.__path__)} <= set(named)


def test_stubs_are_up_to_date() -> None:
    stale = [path.name for path in stubs.stale()]
    assert stale == [], "run: python -m layerkit.plugins.stubs"


def test_a_stale_stub_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("combinators", "data", "plugins", "training"):
        (tmp_path / package).mkdir()
    monkeypatch.setattr(stubs, "_FOLDER", tmp_path)
    assert stubs.main(["--check"]) == 1
    assert capsys.readouterr().out.count("stale: ") == 8
    assert stubs.main([]) == 0
    assert stubs.main(["--check"]) == 0
    layers = tmp_path / "layers.pyi"
    assert "from layerkit_plugins.layers.dense import Dense as Dense\n" in layers.read_text()
    layers.write_text(layers.read_text().replace("Dense", "Dnse"))
    assert stubs.stale() == [layers]
