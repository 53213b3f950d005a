"""``layerkit train``, ``evaluate`` and ``predict``, with a recipe of another distribution."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import LINES, command_site, fails
from distributions import Site

from layerkit.files import sealed
from layerkit.run_file import FORMAT, KIND


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return command_site(tmp_path_factory.mktemp("cli") / "site")


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
    assert len(written.pop("sha256")) == 64
    assert written == {
        "kind": "layerkit run",
        "format": 2,
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


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
def test_what_a_run_leaves_that_is_ended_before_it_trains_is_gone_after_the_next(site: Site) -> None:
    ended = site.python("""
        import os, signal
        import layerkit as lk
        os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGTERM)
        lk.train("majority", data="lines.txt", output="ended", backend="numpy")
    """)
    left = sorted(path.name for path in (site.folder / "ended").iterdir())
    assert (ended.code, left[0], [name[-6:] for name in left[1:]]) == (-15, ".lock", [".draft"])
    assert site.layerkit("train", "majority", "--data", "lines.txt", "--output", "ended").code == 0
    assert sorted(path.name for path in (site.folder / "ended").iterdir()) == ["label.json", "run.json"]


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


def test_a_link_that_leads_nowhere(site: Site) -> None:
    (site.folder / "link").symlink_to("nowhere")
    done = site.layerkit("train", "majority", "--data", "lines.txt", "--output", "link")
    fails(done, 1, "output 'link' is a link that leads nowhere: remove it, or give another folder")


def test_folders_that_cannot_all_be_made_are_taken_back(site: Site) -> None:
    done = site.layerkit("train", "majority", "--data", "lines.txt", "--output", f"outer/inner/{'x' * 300}")
    fails(done, 1, "cannot be made: file name too long")
    assert not (site.folder / "outer").exists()


def test_a_tilde_is_the_home_in_every_path(site: Site, tmp_path: Path) -> None:
    """The shell leaves it alone behind the sign of equality."""
    (tmp_path / "lines.txt").write_text(LINES)
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    done = site.layerkit("train", "majority", "--data=~/lines.txt", "--output=~/run", **home)
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "run/run.json").read_text())["settings"]["data"] == str(tmp_path / "lines.txt")
    assert site.layerkit("predict", "~/run", "--file=~/lines.txt", **home).out.count("\n") == 3
    assert site.layerkit("evaluate", "~/run", **home).code == 0
    assert not (site.folder / "~").exists()


@pytest.mark.parametrize(
    ("output", "shown"), [("two words", "'two words'"), ("-dash", "./-dash"), ("plain", "plain")], ids=str
)
def test_the_command_that_is_proposed_can_be_copied(site: Site, output: str, shown: str) -> None:
    done = site.layerkit("train", "majority", "--data", "lines.txt", f"--output={output}")
    assert done.out.splitlines()[-1] == f"kept in {output}; try: layerkit predict {shown} TEXT"
    assert site.layerkit("predict", *shlex.split(shown), "text").code == 0


def test_a_folder_under_a_file_cannot_be_made(site: Site) -> None:
    done = site.layerkit("train", "majority", "--data", "lines.txt", "--output", "lines.txt/new")
    fails(done, 1, "output 'lines.txt/new' cannot be made: not a directory")


@pytest.mark.parametrize(
    ("contents", "code", "said"),
    [
        ("", 1, "is damaged: it is no JSON"),
        ("{", 1, "is damaged: it is no JSON"),
        ("[" * 100_000, 1, "is damaged: it is nested too deep"),
        ("[]", 1, "is damaged: it is no JSON object"),
        ('{"format": 3}', 1, "has format 3, this layerkit reads 2: upgrade layerkit"),
        ('{"format": "x"}', 1, "has format 'x', this layerkit reads 2: train the run again"),
        ('{"format": 2, "recipe": "majority"}', 1, "is damaged: its checksum is another"),
        ({"recipe": 3}, 1, "is damaged: its 'recipe' is 3"),
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
        written = json.loads((site.folder / "run/run.json").read_text())
        own = {name: value for name, value in written.items() if name not in ("sha256", "kind", "format")}
        sealed.write(folder / "run.json", KIND, FORMAT, {**own, **contents})
    else:
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
