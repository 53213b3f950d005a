"""The pages that list things list all of them: hooks, environment variables, members of a backend, pages."""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
from pathlib import Path

import pytest
from distributions import Site
from test_docs import PAGES, ROOT, blocks

import layerkit as lk
from layerkit import data
from layerkit.fastmath import Backend
from layerkit.fastmath.measures import Measures
from layerkit.plugins import hookspecs, selection
from layerkit.plugins.scaffold import KINDS
from layerkit.plugins.selection import Selection

DOCS = ROOT / "docs"


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every row of a page's tables, headings and rules left out."""
    lines = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    below = [*cells[1:], [""]]
    return [row for row, next_row in zip(cells, below, strict=True) if not _rule(row) and not _rule(next_row)]


def _rule(row: list[str]) -> bool:
    return set("".join(row)) == {"-"} or set("".join(row)) == {"-", "|"}


def test_the_index_has_every_page() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", text_of("README.md"))
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("[!.]*.md") if path != DOCS / "README.md"]
    pages = [page for page in pages if "/." not in page]  # what pytest leaves behind
    assert sorted(linked) == sorted(pages), "add the page to docs/README.md"
    assert "](docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_of_layerkit_are_there(page: Path) -> None:
    """``lk.shapes``, say, is not: it works only where something else has imported that module."""
    assert set(re.findall(r"\blk\.(\w+)", page.read_text(encoding="utf-8"))) <= set(lk.__all__)


def test_the_page_on_data_has_every_name() -> None:
    text = text_of("data.md")
    assert [name for name in data.__all__ if not re.search(rf"`{name}\b", text)] == []


# -------------------- hooks

HOOKS = [name for name in hookspecs.__all__ if name.startswith("layerkit_")]


def sections(text: str) -> dict[str, str]:
    """What stands under each ``## `heading` ``."""
    parts = re.split(r"^## `(.+)`$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_hook_reference_has_every_hook_with_its_arguments() -> None:
    signatures = [f"{name}({', '.join(inspect.signature(getattr(hookspecs, name)).parameters)})" for name in HOOKS]
    assert sorted(sections(text_of("hooks.md"))) == sorted(signatures)


@pytest.mark.parametrize("name", HOOKS)
def test_the_hook_reference_says_what_the_docstring_says(name: str) -> None:
    (section,) = [text for heading, text in sections(text_of("hooks.md")).items() if heading.startswith(f"{name}(")]
    about, example = inspect.getdoc(getattr(hookspecs, name)).split("::\n", 1)  # type: ignore[union-attr]
    about = about.rpartition("\n\n")[0]  # without the line that leads to the example
    words = " ".join(section.split())
    for sentence in re.split(r"(?<=\.)\s+", " ".join(about.replace("``", "`").split())):
        assert sentence in words
    (block,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block.strip() == textwrap.dedent(example).strip()


@pytest.mark.parametrize("name", HOOKS)
def test_each_block_of_the_hook_reference_is_a_complete_plugin(tmp_path: Path, name: str) -> None:
    (section,) = [text for heading, text in sections(text_of("hooks.md")).items() if heading.startswith(f"{name}(")]
    (block,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    site = Site(tmp_path)
    site.add("acme", "1.0", "it = my_package")
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text(block)
    (package / "haiku.py").write_text("class Haiku:\n    '''Writes haiku.'''\n")
    asked = {
        "layerkit_layers": ("layers", "Double"),
        "layerkit_optimizers": ("optimizers", "SignDescent"),
        "layerkit_backends": ("backends", "torch"),
        "layerkit_models": ("models", "Perceptron"),
        "layerkit_recipes": ("recipes", "haiku"),
    }
    if name == "layerkit_commands":
        done = site.layerkit("shout", "hello")
        assert (done.out, done.err) == ("HELLO\n", "")
    else:
        kind, offered = asked[name]
        done = site.python(f"from layerkit.plugins import registry; print(registry.{kind}.owner({offered!r}))")
        assert (done.out, done.err) == ("acme\n", "")


# -------------------- environment variables

VARIABLE = re.compile(r"(?<![A-Z])_?LAYERKIT_[A-Z]+(?:_[A-Z]+)*")


def variables_in_the_source() -> set[str]:
    folders = [ROOT / name for name in ("layerkit", "layerkit_plugins", "benchmarks")]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    paths += [ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "tests" / "seed_values.py"]
    return {name for path in paths if path.is_file() for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}


def test_the_table_of_environment_variables_is_that_of_the_source() -> None:
    table = [row[0].strip("`") for row in rows(text_of("environment.md"))]
    assert len(table) == len(set(table))
    assert set(table) == variables_in_the_source()


def test_pages_name_no_other_environment_variable() -> None:
    known = variables_in_the_source()
    for page in (ROOT / "README.md", *DOCS.rglob("*.md")):
        assert set(VARIABLE.findall(page.read_text(encoding="utf-8"))) <= known, page.name


def test_the_page_on_trust_knows_what_layerkit_plugins_takes() -> None:
    values = {row[0] for row in rows(text_of("trust.md").partition("| `LAYERKIT_PLUGINS` |")[2])}
    documented = {value.strip("`") for value in values if value.startswith("`")}
    assert {"none", "acme,beta", "-acme"} == documented
    for value in documented:
        Selection.parse(value)
        assert f"``{value}``" in (selection.__doc__ or "")


# -------------------- how to write one


def test_the_page_on_backends_names_every_member() -> None:
    table = [row[0] for row in rows(text_of("backend_plugin.md"))]
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    members = {name for name in (*vars(Backend), *Backend.__annotations__) if not name.startswith("_")}
    optional = {name for name in vars(Measures) if not name.startswith("_")}
    assert named == members | optional


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page_that_begins_with_the_scaffold(kind: str) -> None:
    code = "".join(code for _, code in blocks(DOCS / f"{kind}_plugin.md", "sh"))
    (line,) = [line for line in code.splitlines() if line.startswith("layerkit plugins new ")]
    name, *options = line.split()[3:]
    assert options == ([] if kind == "layer" else [f"--{kind}"])
    assert f'pip install -e "./{name}[test]"\npytest {name}\nlayerkit plugins check {name}\n' in code


def test_a_layer_by_hand_takes_25_lines_at_most(tmp_path: Path) -> None:
    page = DOCS / "layer_plugin.md"
    module, packaging = blocks(page, "python")[0][1], blocks(page, "toml")[0][1]
    commands = blocks(page, "sh")[1][1]
    n_lines = sum(text.count("\n") for text in (module, packaging, commands))
    assert f"two files and two commands: {n_lines} lines" in text_of("layer_plugin.md")
    assert n_lines <= 25
    about = tomllib.loads(packaging)["project"]
    ((name, value),) = about["entry-points"]["layerkit"].items()
    site = Site(tmp_path)
    site.add(about["name"], about["version"], f"{name} = {value}", **{value: module})
    done = site.python("from layerkit import layers as tl; print(tl.Scale())")
    assert (done.out, done.err) == ("Scale\n", "")
    checked = site.layerkit(*commands.splitlines()[-1].split()[1:])
    assert checked.code == 0, checked.out + checked.err
