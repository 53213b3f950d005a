"""The command line: exit codes, messages of one line, and what is printed where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from distributions import Done, Site, majority_recipe

from layerkit.cli import main
from layerkit.cli.group import LazyGroup
from layerkit.cli.root import root
from layerkit.cli.table import table

LINES = "good fine day\ngood day\nbad day\n"

# Commands that plugins add, one for each way to end.
COMMANDS = """
    import sys, click
    import layerkit as lk
    @lk.hookimpl
    def layerkit_commands(cli):
        @cli.command()
        @click.argument("how")
        def end(how):
            "End in one way or another."
            click.echo("begun")
            if how == "broken": raise RuntimeError("two\\nlines")
            if how == "mute": raise RuntimeError
            if how == "usage": raise lk.UsageError("asked for wrongly")
            if how == "error": raise lk.LayerkitError("went\\nwrong")
            if how == "os": open("/no/such/file")
            if how == "interrupt": raise KeyboardInterrupt
            if how == "abort": raise click.Abort
            if how == "exit": sys.exit(7)
            if how == "exit-text": sys.exit("text")
            if how == "context": click.get_current_context().exit(5)
        @cli.command()
        def late():
            print("written when the process ends")
        @cli.command()
        def train():
            "Not layerkit's."
            click.echo("mine")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An installed recipe and an installed set of commands, and a run."""
    site = Site(tmp_path_factory.mktemp("cli") / "site")
    site.add("acme", "1.5", "majority = majority", majority=majority_recipe())
    site.add("beta", "2.0", "commands = beta_commands", beta_commands=COMMANDS)
    (site.folder / "lines.txt").write_text(LINES)
    done = site.layerkit("train", "majority", "--data", "lines.txt", "--output", "run")
    assert done.code == 0, done.err
    return site


def fails(done: Done, code: int, *said: str) -> None:
    """Checks that a command failed with this code and one line that says all this."""
    lines = [line for line in done.errors if "plugin beta 2.0 offers a command 'train'" not in line]
    assert (done.code, len(lines)) == (code, 1), done.err
    assert lines[0].startswith("layerkit: ")
    for part in said:
        assert part in lines[0]


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


# -------------------- asked for wrongly


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], ["unknown command 'trian': did you mean 'train'?"]),
        (["xyzzy"], ["unknown command 'xyzzy': known: backends, beta:train, end, evaluate, "]),
        (["plugins", "lst"], ["unknown command 'lst': did you mean 'list'?"]),
        (["--versoin"], ["No such option", "--versoin", "--version", "(see: layerkit --help)"]),
        (["plugins", "list", "--jsn"], ["--jsn", "--json", "(see: layerkit plugins list --help)"]),
        (["train"], ["train what? known: ", "majority"]),
        (["train", "majorty"], ["unknown recipe 'majorty': did you mean 'majority'?"]),
        (["train", "majority"], ["Missing option", "--data", "(see: layerkit train majority --help)"]),
        (["train", "majority", "--data", "x", "--stesp", "3"], ["--stesp", "--steps"]),
        (["train", "majority", "--data", "x", "--steps", "many"], ["'--steps'", "'many'"]),
        (["train", "majority", "--data", "x", "--steps", "0"], ["recipe 'majority': steps is at least 1, got 0"]),
        (["train", "majority", "--data", "", "--output", "new"], ["data is a path, got"]),
        (["train", "majority", "--data", "x", "--output", ""], ["output is the path of a folder, got"]),
        (["train", "majority", "--data", "x", "--backend", "nump"], ["unknown backend 'nump': did you mean 'numpy'?"]),
        (
            ["train", "majority", "--data", "x", "--output", "lines.txt"],
            ["output 'lines.txt' is a file: give a folder"],
        ),
        (["train", "majority", "--data", "x", "--output", "."], ["output '.' holds something that is no run"]),
        (["train", "majority", "--data", "x", "--output", "run"], ["holds a run with data=", "give another folder"]),
        (["predict"], ["Missing argument", "(see: layerkit predict --help)"]),
        (["predict", "nowhere", "text"], ["there is no run at 'nowhere': no such folder"]),
        (["predict", "lines.txt", "text"], ["'lines.txt' is a file: a run is the folder that training wrote"]),
        (["predict", ".", "text"], ["'.' is no run: it has no run.json"]),
        (["predict", "run", "text", "--file", "lines.txt"], ["predict takes TEXT or --file, not both"]),
        (["predict", "run", "--file", "nothing.txt"], ["file 'nothing.txt' cannot be read: no such file"]),
        (["predict", "run", "--file", "."], ["file '.' cannot be read: is a directory"]),
        (["predict", "run"], ["standard input holds no text"]),
        (["predict", "run", "text", "--backend", "nump"], ["unknown backend 'nump': did you mean 'numpy'?"]),
        (["evaluate", "nowhere"], ["there is no run at 'nowhere'"]),
        (["evaluate", "run", "--backend", "nump"], ["unknown backend 'nump'"]),
        (["summary", "majority"], ["'majority' is a recipe: train it, and give the folder of the run"]),
        (["summary", "run"], ["the run in 'run' has no model and signature to show"]),
        (["summary", "Serail"], ["no run, model or layer 'Serail'"]),
        (["summary", "Serial"], ["'Serial' has no example to show it on", "lk.summary(Serial(...), signature)"]),
        (["summary", "nowhere/at/all"], ["no run, model or layer 'nowhere/at/all'"]),
    ],
    ids=" ".join,
)
def test_asked_for_wrongly(site: Site, arguments: list[str], said: list[str]) -> None:
    done = site.layerkit(*arguments)
    fails(done, 2, *said)
    assert done.out == ""
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
        ("os", 1, "layerkit: /no/such/file: No such file or directory"),
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


@pytest.mark.parametrize(("how", "code"), [("broken", 1), ("usage", 2)])
def test_debug_shows_the_traceback_and_keeps_the_code(site: Site, how: str, code: int) -> None:
    done = site.layerkit("end", how, LAYERKIT_DEBUG="1")
    assert done.code == code
    assert "Traceback (most recent call last)" in done.err
    assert "beta_commands.py" in done.err


def close(stream: str, *arguments: str, site: Site) -> Done:
    """Runs a command with a stream that is closed, full or abandoned, as a shell does."""
    command = " ".join([sys.executable, "-m", "layerkit", *arguments])
    environment = {**os.environ, "PYTHONPATH": site.path, "LAYERKIT_BACKEND": "numpy", "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {stream}"],
        capture_output=True, text=True, env=environment, cwd=site.folder,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("arguments", [["plugins", "list"], ["predict", "run", "a", "b"], ["--help"], ["train"]])
def test_standard_output_closed(site: Site, arguments: list[str]) -> None:
    done = close(">&-", *arguments, site=site)
    assert (done.code, done.out) == (2 if arguments == ["train"] else 0, "")
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("command", "where"), [("plugins list", ""), ("late", "standard output: ")])
def test_standard_output_full(site: Site, command: str, where: str) -> None:
    done = close("> /dev/full", *command.split(), site=site)
    told = [line for line in done.errors if "plugin beta 2.0" not in line]
    assert (done.code, told) == (1, [f"layerkit: {where}No space left on device"])


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
    assert close("2>&-", "trian", site=site).code == 2


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


# -------------------- train, evaluate, predict


def test_train_help_has_the_settings(site: Site) -> None:
    done = site.layerkit("train", "majority", "--help")
    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.split())
    assert "Guesses the label it met most often." in text
    assert "--data PATH a file with a label at the start of each line [required]" in text
    assert "--steps N lines to look at [default: 100]" in text
    assert "--output RUN" in text
    assert "[default: runs/majority]" in text
    listed = site.layerkit("train", "--help").out
    assert "majority   Guesses the label it met most often." in listed


def test_train_then_evaluate_and_predict(site: Site) -> None:
    done = site.layerkit(
        "train", "majority", "--data", "lines.txt", "--steps", "2", "--output", "deep/down", "--backend", "numpy"
    )
    assert (done.code, done.err) == (0, "")
    assert done.out == "accuracy 1.0000\nkept in deep/down; try: layerkit predict deep/down TEXT\n"
    written = json.loads((site.folder / "deep/down/run.json").read_text())
    assert written == {
        "format": 1,
        "recipe": "majority",
        "distribution": "acme",
        "version": "1.5",
        "backend": "numpy",
        "settings": {"data": str(site.folder / "lines.txt"), "steps": 2},
        "complete": True,
        "metrics": {"accuracy": 1.0},
    }
    assert site.layerkit("evaluate", "deep/down", "--json").out == '{"accuracy": 1.0}\n'
    assert site.layerkit("evaluate", "deep/down").out.splitlines()[2].split() == ["accuracy", "1.0000"]
    assert site.layerkit("predict", "deep/down", "a text").out == "good  1.000  a text\n"


def test_a_run_is_continued_with_the_same_settings_and_replaced_on_request(site: Site) -> None:
    first = ["train", "majority", "--data", "lines.txt", "--output", "again"]
    assert site.layerkit(*first).code == 0
    done = site.layerkit(*first, "--steps", "1")  # may change
    assert done.out.startswith("accuracy 1.0000")
    assert json.loads((site.folder / "again/run.json").read_text())["settings"]["steps"] == 1
    (site.folder / "others.txt").write_text("bad day\n")
    other = ["train", "majority", "--data", "others.txt", "--output", "again"]
    fails(site.layerkit(*other), 2, "holds a run with data=", "others.txt")
    (site.folder / "again/left over").write_text("")
    assert site.layerkit(*other, "--overwrite").code == 0
    assert sorted(path.name for path in (site.folder / "again").iterdir()) == ["label.json", "run.json"]
    assert site.layerkit("predict", "again", "x").out.startswith("bad")
    assert not list(site.folder.glob("again.replaced*"))


def test_training_that_fails_leaves_nothing_and_spoils_nothing(site: Site) -> None:
    (site.folder / "empty.txt").write_text("")
    assert site.layerkit("train", "majority", "--data", "empty.txt", "--output", "x/y").code == 1
    assert not (site.folder / "x").exists()
    before = {path.name: path.read_bytes() for path in (site.folder / "run").iterdir()}
    assert site.layerkit("train", "majority", "--data", "empty.txt", "--output", "run", "--overwrite").code == 1
    assert {path.name: path.read_bytes() for path in (site.folder / "run").iterdir()} == before
    assert not list(site.folder.glob("run.replaced*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = site.layerkit("train", "majority", "--data", "lines.txt", "--output", str(tmp_path / "new"))
    fails(done, 1, "cannot be made: permission denied")


def test_a_folder_under_a_file_cannot_be_made(site: Site) -> None:
    done = site.layerkit("train", "majority", "--data", "lines.txt", "--output", "lines.txt/new")
    fails(done, 1, "output 'lines.txt/new' cannot be made: not a directory")


@pytest.mark.parametrize(
    ("contents", "code", "said"),
    [
        ("", 1, "is damaged, it is no JSON"),
        ("{", 1, "is damaged, it is no JSON"),
        ("[" * 100_000, 1, "is damaged, it is no JSON"),
        ("[]", 1, "is no run file of layerkit (format None, not 1)"),
        ('{"format": 2}', 1, "has format 2, this layerkit reads up to 1: upgrade layerkit"),
        ('{"format": "x"}', 1, "is no run file of layerkit (format 'x', not 1)"),
        ('{"format": 1, "recipe": 3}', 1, "is damaged, its 'recipe' is 3: train the run again"),
        ({"complete": False}, 1, "was not finished: train it again with the same settings"),
        (
            {"distribution": "omega"},
            2,
            "was made by the recipe 'majority' of omega 1.5, which is not installed: pip install omega",
        ),
        ({"recipe": "gone"}, 2, "was made by the recipe 'gone' of acme 1.5: unknown recipe 'acme:gone'"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_run_that_cannot_be_read(
    site: Site, command: str, contents: str | dict[str, object], code: int, said: str
) -> None:
    folder = site.folder / "spoilt"
    folder.mkdir(exist_ok=True)
    if isinstance(contents, dict):
        contents = json.dumps({**json.loads((site.folder / "run/run.json").read_text()), **contents})
    (folder / "run.json").write_text(contents)
    fails(site.layerkit(command, "spoilt", stdin="a text\n"), code, said)


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["one", "two three"], None),
        (["--file", "two.txt"], None),
        (["--file", "-"], "one\ntwo three"),
        (["-"], "one\r\ntwo three\r\n"),
        ([], "one\ntwo three\n"),
        ([], "\ufeffone\ntwo three"),
    ],
)
def test_where_texts_come_from(site: Site, arguments: list[str], stdin: str | None) -> None:
    (site.folder / "two.txt").write_text("one\ntwo three\n")
    done = site.layerkit("predict", "run", *arguments, "--json", stdin=stdin)
    assert (done.code, done.err) == (0, "")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"text": "one", "label": "good", "score": 1.0},
        {"text": "two three", "label": "good", "score": 1.0},
    ]


def test_one_line_in_one_line_out(site: Site) -> None:
    texts = [
        "",
        " ",
        "tab\there",
        "\u2028 separator",
        "nel\x85",
        "carriage\rreturn",
        "\x00",
        "😀 👩‍👩‍👧",
        "é" * 500,
        "last",
    ]
    done = site.layerkit("predict", "run", "--json", stdin="\n".join(texts))
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == texts
    assert done.out.isascii()
    plain = site.layerkit("predict", "run", stdin="\n".join(texts))
    assert plain.code == 0
    assert len(plain.out.split("\n")) == len(texts) + 1


def test_many_lines_come_in_order(site: Site) -> None:
    texts = [f"text {i}" for i in range(3000)]
    done = site.layerkit("predict", "run", "--json", stdin="\n".join(texts))
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == texts


def test_a_slow_writer_is_answered_line_by_line(site: Site) -> None:
    command = [sys.executable, "-m", "layerkit", "predict", "run"]
    environment = {**os.environ, "PYTHONPATH": site.path}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=site.folder
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("one", "two"):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"good  1.000  {text}\n"
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (b"fine\nna\xefve\n", "standard input, line 2 is not UTF-8 (byte 0xef at 3): convert it first"),
        ("one\n".encode("utf-16"), "standard input, line 1 is not UTF-8 (byte 0xff at 1)"),
        (b"x" * (17 << 20), "standard input has a line of more than 16 MB: give one text a line"),
    ],
    ids=["latin-1", "utf-16", "endless line"],
)
def test_what_is_no_text(site: Site, stdin: bytes, said: str) -> None:
    fails(site.layerkit("predict", "run", stdin=stdin), 1, said)


def test_texts_that_look_odd_on_the_command_line(site: Site) -> None:
    done = site.layerkit("predict", "run", "--", "-_-", "--json")
    assert done.out == "good  1.000  -_-\ngood  1.000  --json\n"
    half = os.fsdecode(b"half \xf0\x9f")
    for encoding in ("utf-8", "ascii"):
        done = site.layerkit("predict", "run", half, "é", PYTHONIOENCODING=encoding)
        assert (done.code, done.err) == (0, "")
        assert "half" in done.out


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
    from test_plugins import BROKEN, BROKEN_HOOKS, add_broken

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
