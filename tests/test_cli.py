"""The command line: exit codes, messages of one line, and what is printed where."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from command_line import close, command_site, fails
from distributions import Site
from plugin_modules import BROKEN, BROKEN_HOOKS, add_broken

from layerkit.cli import main
from layerkit.cli.group import LazyGroup
from layerkit.cli.root import root
from layerkit.cli.table import table


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return command_site(tmp_path_factory.mktemp("cli") / "site")


# -------------------- help


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        ["plugins", "--help"],
        ["train", "--help"],
        ["predict", "-h"],
        ["evaluate", "-h"],
        ["summary", "-h"],
    ],
)
def test_help_fits_and_ends_well(site: Site, arguments: list[str]) -> None:
    done = site.layerkit(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: layerkit")
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [[], ["plugins"]])
def test_no_arguments_show_the_help_and_are_wrong(site: Site, arguments: list[str]) -> None:
    done = site.layerkit(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: layerkit")


def test_help_lines_are_the_commands_own() -> None:
    def check(group: click.Command, context: click.Context) -> None:
        if not isinstance(group, LazyGroup):
            return
        for name, (_, line) in group.lazy.items():
            command = group.get_command(context, name)
            assert command is not None
            assert (command.help or "").startswith(line.rstrip(".")), name
            check(command, click.Context(command, parent=context))

    check(root, click.Context(root))


def test_version(site: Site) -> None:
    import layerkit

    assert site.layerkit("--version").out == f"layerkit {layerkit.__version__}\n"


def test_the_console_script_is_the_same_command() -> None:
    script = Path(sys.executable).with_name("layerkit")
    done = subprocess.run([script, "trian"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.endswith("did you mean 'train'?\n")


# -------------------- completed by a shell


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["layerkit", ""], ["plain,train", "plain,predict", "plain,plugins"]),
        (["layerkit", "tr"], ["plain,train"]),
        (["layerkit", "train", ""], ["plain,majority", "plain,sentiment"]),
        (["layerkit", "train", "majority", "--st"], ["plain,--steps"]),
        (["layerkit", "train", "majority", "--data", ""], ["file,"]),
        (["layerkit", "train", "majority", "--output", ""], ["file,"]),
        (["layerkit", "train", "nothing", ""], []),
        (["layerkit", "predict", ""], ["file,"]),
        (["layerkit", "predict", "run", "--file", ""], ["file,"]),
        (["layerkit", "plugins", ""], ["plain,list", "plain,new"]),
        (["layerkit", "nothing", ""], []),
    ],
    ids=lambda given: " ".join(given),
)
def test_what_a_shell_may_complete(site: Site, typed: list[str], offered: list[str]) -> None:
    done = site.layerkit(_LAYERKIT_COMPLETE="bash_complete", COMP_WORDS=" ".join(typed), COMP_CWORD=str(len(typed) - 1))
    assert (done.code, done.err) == (0, "")
    assert set(offered) <= set(done.out.splitlines())
    assert offered or "Usage" not in done.out


def test_a_shell_that_is_none(site: Site) -> None:
    assert site.layerkit(_LAYERKIT_COMPLETE="bash_source").out.startswith("_layerkit_completion() {")
    assert site.layerkit("backends", _LAYERKIT_COMPLETE="").code == 0
    fails(site.layerkit("backends", _LAYERKIT_COMPLETE="csh_source"), 2, "zsh_source or fish_source, got 'csh_source'")


# -------------------- asked for wrongly

TOO_LONG = "x" * 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], ["unknown command 'trian': did you mean 'train'?"]),
        (["xyzzy"], ["unknown command 'xyzzy': known: backends, bench, beta:train, end, evaluate, "]),
        (["new", "acme"], ["unknown command 'new': did you mean 'layerkit plugins new'?"]),
        (["plugins", "lst"], ["unknown command 'lst': did you mean 'list'?"]),
        (["--versoin"], ["No such option", "--versoin", "--version", "(see: layerkit --help)"]),
        (["plugins", "list", "--jsn"], ["--jsn", "--json", "(see: layerkit plugins list --help)"]),
        (["train"], ["train what? known: ", "majority"]),
        (["train", "majorty"], ["unknown recipe 'majorty': did you mean 'majority'?"]),
        (["train", "majority"], ["Missing option", "--data", "(see: layerkit train majority --help)"]),
        (["train", "majority", "--data", "x", "--stesp", "3"], ["--stesp", "--steps"]),
        (["train", "majority", "--data", "x", "--steps", "many"], ["'--steps'", "'many'"]),
        (["train", "majority", "--data", "x", "--steps", "0"], ["recipe 'majority': steps is at least 1, got 0"]),
        (["train", "majority", "--data", "", "--output", "new"], ["'--data': a path is due, got ''"]),
        (["train", "majority", "--data", "x", "--output", ""], ["output is the path of a folder, got"]),
        (["train", "majority", "--data", "x", "--backend", "nump"], ["unknown backend 'nump': did you mean 'numpy'?"]),
        (
            ["train", "majority", "--data", "x", "--output", "lines.txt"],
            ["output 'lines.txt' is a file: give a folder"],
        ),
        (["train", "majority", "--data", "x", "--output", "."], ["output '.' holds something that is no run"]),
        (
            ["train", "majority", "--data", "x", "--output", "run"],
            ["holds a run with data=", "or overwrite it"],
        ),
        (["predict"], ["Missing argument", "(see: layerkit predict --help)"]),
        (["predict", "nowhere", "text"], ["there is no run at 'nowhere': no such folder"]),
        (["predict", "lines.txt", "text"], ["'lines.txt' is a file: give the folder that training wrote"]),
        (["predict", ".", "text"], ["'.' is no run: it has no run.json: give the folder that training wrote"]),
        (["predict", "run", "text", "--file", "lines.txt"], ["predict takes TEXT or --file, not both"]),
        (["predict", "run", "--file", "nothing.txt"], ["file 'nothing.txt' cannot be read: no such file"]),
        (["predict", "run", "--file", "."], ["file '.' cannot be read: is a directory"]),
        (["predict", "run"], ["standard input holds no text"]),
        (["predict", "run", "--file", ""], ["'--file': a path is due, got ''"]),
        (["predict", "", "text"], ["'RUN': a path is due, got ''"]),
        (["predict", TOO_LONG, "text"], ["there is no run at", "file name too long"]),
        (["predict", "lines.txt/run", "text"], ["there is no run at 'lines.txt/run': not a directory"]),
        (["predict", "run", "text", "--backend", "nump"], ["unknown backend 'nump': did you mean 'numpy'?"]),
        (["evaluate", "nowhere"], ["there is no run at 'nowhere'"]),
        (["evaluate", ""], ["'RUN': a path is due, got ''"]),
        (["evaluate", "run", "--data", ""], ["'--data': a path is due, got ''"]),
        (["evaluate", "run", "--backend", "nump"], ["unknown backend 'nump'"]),
        (["summary", "majority"], ["'majority' is a recipe: train it, and give the folder of the run"]),
        (["summary", "run"], ["the run in 'run' has no model and signature to show"]),
        (["summary", "Serail"], ["no run, model or layer 'Serail'"]),
        (["summary", "Linear"], ["no run, model or layer 'Linear': did you mean 'Dense'?"]),
        (["summary", "zzz"], ["no run, model or layer 'zzz': dir(layerkit.layers) and dir(layerkit.models) list them"]),
        (["summary", "Serial"], ["'Serial' has no example to show it on", "lk.summary(Serial(...), signature)"]),
        (["summary", ""], ["no run, model or layer ''"]),
        (["summary", TOO_LONG], ["no run, model or layer 'xxx"]),
        (["bench", "Relu", "--json", ""], ["'--json': a path is due, got ''"]),
        (["bench", "Relu", "--compare", ""], ["'--compare': a path is due, got ''"]),
        (["bench", "Relu", "--html", TOO_LONG], ["cannot be written: file name too long"]),
        (["summary", "nowhere/at/all"], ["no run, model or layer 'nowhere/at/all'"]),
    ],
    ids=lambda given: " ".join(given)[:60],
)
def test_asked_for_wrongly(site: Site, arguments: list[str], said: list[str]) -> None:
    done = site.layerkit(*arguments)
    fails(done, 2, *said)
    assert done.out == ""
    assert not (site.folder / "new").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LAYERKIT_BACKEND", "nump", "unknown backend 'nump': did you mean 'numpy'?"),
        ("LAYERKIT_THREEFRY", "x", "LAYERKIT_THREEFRY: there is no stream 'x'; known: original, partitionable"),
        ("LAYERKIT_REPLAY", "x", "LAYERKIT_REPLAY is 1 or 0, got 'x'"),
        ("LAYERKIT_PLUGINS", "none,x", "LAYERKIT_PLUGINS='none,x': 'none' stands alone"),
    ],
)
@pytest.mark.parametrize("command", ["predict run text", "train majority --data lines.txt --output new"])
def test_a_variable_that_makes_no_sense(site: Site, name: str, value: str, said: str, command: str) -> None:
    fails(site.layerkit(*command.split(), **{name: value}), 2, said)
    assert not (site.folder / "new").exists()


def test_a_backend_that_is_not_known_to_the_environment(site: Site) -> None:
    fails(site.layerkit("backends", LAYERKIT_BACKEND="nump"), 2, "unknown backend 'nump': did you mean 'numpy'?")


# -------------------- went wrong


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [
        ("broken", 1, "layerkit: RuntimeError: two lines (set LAYERKIT_DEBUG=1 for the traceback)"),
        ("mute", 1, "layerkit: RuntimeError (set LAYERKIT_DEBUG=1 for the traceback)"),
        ("usage", 2, "layerkit: asked for wrongly"),
        ("error", 1, "layerkit: went wrong"),
        ("os", 1, "layerkit: /no/such/file: no such file or directory"),
        ("interrupt", 130, "layerkit: interrupted"),
        ("abort", 130, "layerkit: interrupted"),
        ("exit", 7, ""),
        ("context", 5, ""),
        ("exit-text", 1, "layerkit: text"),
        ("well", 0, ""),
    ],
)
def test_every_end_has_its_code_and_its_line(site: Site, how: str, code: int, line: str) -> None:
    done = site.layerkit("end", how)
    lines = [line for line in done.errors if "plugin beta 2.0" not in line]
    assert (done.code, done.out, lines) == (code, "begun\n", [line] if line else [])


PRESSED = """
    import os, signal, sys
    class Pressed:
        def find_spec(self, name, *where):
            if name == "{module}":
                os.kill(os.getpid(), signal.SIGINT)
    sys.meta_path.insert(0, Pressed())
    sys.argv[1:] = ["train", "--help"]
    {start}
"""


@pytest.mark.parametrize("way", ["module", "script"])
@pytest.mark.parametrize("module", ["layerkit.cli", "click", "layerkit.cli.train"])
def test_ctrl_c_while_the_command_is_imported(site: Site, way: str, module: str) -> None:
    project = Path(__file__).parents[1] / "pyproject.toml"
    home, _, name = tomllib.loads(project.read_text("utf-8"))["project"]["scripts"]["layerkit"].partition(":")
    script = f"from {home} import {name}; sys.exit({name}())"
    start = script if way == "script" else "import runpy; runpy.run_module('layerkit', run_name='__main__')"
    done = site.python(PRESSED.format(module=module, start=start))
    assert (done.code, done.out, done.err) == (130, "", "layerkit: interrupted\n")


@pytest.mark.parametrize(("how", "code"), [("broken", 1), ("usage", 2)])
def test_debug_shows_the_traceback_and_keeps_the_code(site: Site, how: str, code: int) -> None:
    done = site.layerkit("end", how, LAYERKIT_DEBUG="1")
    assert done.code == code
    assert "Traceback (most recent call last)" in done.err
    assert "beta_commands.py" in done.err


@pytest.mark.parametrize("arguments", [["plugins", "list"], ["predict", "run", "a", "b"], ["--help"], ["train"]])
def test_standard_output_closed(site: Site, arguments: list[str]) -> None:
    done = close(">&-", *arguments, site=site)
    assert (done.code, done.out) == (2 if arguments == ["train"] else 0, "")
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["plugins list", "late"])
def test_standard_output_full(site: Site, command: str) -> None:
    done = close("> /dev/full", *command.split(), site=site)
    told = [line for line in done.errors if "plugin beta 2.0" not in line]
    assert (done.code, told) == (1, ["layerkit: standard output: no space left on device"])


def test_nobody_reads_on(site: Site) -> None:
    (site.folder / "many.txt").write_text("a text\n" * 30_000)
    done = close("| head -1", "predict", "run", "--file", "many.txt", site=site)
    assert (done.code, done.out, done.err) == (141, "good  1.000  a text\n", "")


@pytest.mark.parametrize("arguments", [["late"], ["end", "well"]])
def test_nobody_reads_at_all(site: Site, arguments: list[str]) -> None:
    done = close("| true", *arguments, site=site)
    assert (done.code, [line for line in done.errors if "plugin beta 2.0" not in line]) == (141, [])


def test_standard_input_closed(site: Site) -> None:
    fails(close("<&-", "predict", "run", site=site), 2, "standard input is closed: give TEXT or --file")


def test_standard_error_closed(site: Site) -> None:
    done = close("2>&-", "trian", site=site)
    assert (done.code, done.out) == (2, "")


# -------------------- plugins, backends


def test_plugins_list(site: Site) -> None:
    done = site.layerkit("plugins", "list")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["distribution", "version", "entry", "point", "module", "state"]
    assert ["acme", "1.5", "majority", "majority", "installed"] in [line.split() for line in lines]
    assert max(map(len, lines)) <= 80
    first = json.loads(site.layerkit("plugins", "list", "--json").out.splitlines()[0])
    assert first == {
        "distribution": "acme",
        "version": "1.5",
        "name": "majority",
        "value": "majority",
        "bundled": False,
        "state": "installed",
    }


def test_plugins_commands(site: Site) -> None:
    done = site.layerkit("plugins", "commands")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()[2:]]
    assert rows == [
        ["beta:train", "beta", "Not", "layerkit's."],
        ["end", "beta", *"End in one way or another.".split()],
        ["late", "beta"],
    ]
    assert "plugin beta 2.0 offers a command 'train', as layerkit does" in done.err
    assert site.layerkit("plugins", "commands", LAYERKIT_PLUGINS="none").out == "no plugin adds a command\n"


def test_a_plugins_command_never_takes_a_name_of_layerkits(site: Site) -> None:
    assert "mine" not in site.layerkit("train", "--help").out
    assert site.layerkit("beta:train").out == "mine\n"


def test_backends(site: Site) -> None:
    site.add("gamma", entry_points="x = gamma_backend", gamma_backend="""
        import layerkit as lk
        def gamma(): raise OSError("no device")
        def delta(): ...
        delta.requires = ("qubits",)
        delta.remedy = "pip install 'gamma[delta]'"
        @lk.hookimpl
        def layerkit_backends(): return [gamma, delta]
    """)  # fmt: skip
    done = site.layerkit("backends", "--json")
    assert (done.code, done.err) == (0, "")
    found = {about["name"]: about for about in map(json.loads, done.out.splitlines())}
    assert found["numpy"]["default"]
    assert found["numpy"]["available"]
    assert not found["gamma"]["default"]
    assert found["delta"] == {
        "name": "delta",
        "distribution": "gamma",
        "available": False,
        "missing": ["qubits"],
        "remedy": "pip install 'gamma[delta]'",
        "default": False,
        "problem": "",
    }
    plain = site.layerkit("backends").out
    assert "missing: pip install 'gamma[delta]'" in " ".join(plain.split())
    assert max(map(len, plain.splitlines())) <= 80
    asked = site.layerkit("backends", "--devices", "--json", LAYERKIT_PLUGINS="gamma")
    found = {about["name"]: about for about in map(json.loads, asked.out.splitlines())}
    assert found["numpy"]["devices"]
    assert found["gamma"]["problem"].startswith("backend 'gamma' does not start: OSError: no device")


# -------------------- all of it beside broken plugins


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"], ["--version"], ["plugins", "list"], ["plugins", "list", "--json"], ["plugins", "commands"],
        ["backends"], ["backends", "--json"], ["train", "--help"], ["train", "majority", "--help"], ["summary", "-h"],
        ["train", "majority", "--data", "lines.txt", "--output", "run", "--backend", "numpy"],
        ["evaluate", "run", "--backend", "numpy"], ["evaluate", "run", "--json"], ["predict", "run", "text", "--json"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_works_beside_broken_plugins(site: Site, tmp_path: Path, arguments: list[str]) -> None:
    broken = Site(tmp_path / "broken")
    for name in [*BROKEN, *BROKEN_HOOKS]:
        add_broken(broken, name)
    # Warnings as errors, the strictest a user may ask for: they must not stop a command either.
    done = Site(site.folder, broken).layerkit(*arguments, PYTHONWARNINGS="error")
    assert done.code == 0, done.err
    told = [line.split()[2] for line in done.errors if line.startswith("layerkit: plugin ")]
    assert len(told) == len(done.errors)
    # A run says which distribution it needs, so no other is loaded for it.
    silent = arguments[0] in ("--help", "--version", "summary", "evaluate", "predict") or arguments[1:2] == ["list"]
    loads = [] if silent else list(BROKEN)
    assert sorted(set(told) - {"beta"}) == sorted(loads)
    if "--json" in arguments:
        for line in done.out.splitlines():
            json.loads(line)


# -------------------- in this process


def test_main_returns_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["trian"]) == 2
    assert capsys.readouterr().err.startswith("layerkit: unknown command 'trian'")


def test_tables_fit() -> None:
    rows = [("x" * 30, "a sentence of several words that goes on and on and on"), ("y", "")]
    lines = table(("one", "two"), rows, width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert "".join("".join(lines).split()).count("x") == 30
    assert table(("a",), []) == "a\n-"


def test_tables_wrap_names_where_their_parts_meet() -> None:
    rows = [("layerkit-optimizers", "layerkit_plugins.optimizers:them"), ("numpy", "0.9 of it: a/b-c")]
    found = [line.split() for line in table(("one", "two"), rows, width=36).splitlines()[2:]]
    assert found == [
        ["layerkit-", "layerkit_plugins."],
        ["optimizers", "optimizers:them"],
        ["numpy", "0.9", "of", "it:", "a/b-c"],
    ]
