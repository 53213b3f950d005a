"""What goes wrong on the command line: the request, the files, the machine."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bad_inputs.case import Case
from layerkit.cli import main

__all__ = ["CASES", "Done", "Shell"]

QUICK = "--corpus starter --steps 2 --batch-size 2 --embedding-dim 4 --backend numpy".split()


class Done(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str


class Shell(NamedTuple):
    """Runs commands in this process, in a folder that holds the run ``run`` and the file ``lines.txt``."""

    folder: Path
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Done:
        self.capture.readouterr()
        with warnings.catch_warnings():
            code = main(arguments)
        return Done(code, *self.capture.readouterr())

    def process(self, *arguments: str, **environment: str | None) -> Done:
        """The same in a process of its own, whose environment is another."""
        changed = {**os.environ, "LAYERKIT_CACHE": "off", **environment}
        done = subprocess.run(
            [sys.executable, "-m", "layerkit", *arguments],
            env={name: value for name, value in changed.items() if value is not None},
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


def command(*arguments: str) -> Callable[[Shell], Done]:
    return lambda shell: shell(*arguments)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Without the superuser's rights, to whom every file is open."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def unreadable(shell: Shell) -> Done:
    (shell.folder / "lines.txt").chmod(0)
    with unprivileged():
        return shell("predict", "run", "--file", "lines.txt")


def unwritable(shell: Shell) -> Done:
    shell.folder.chmod(0o555)
    with unprivileged():
        return shell("train", "sentiment", *QUICK, "--output", "new")


def disk_full(shell: Shell) -> Done:
    """No file may grow beyond 4 KB: the system refuses as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        return shell("train", "sentiment", *QUICK, "--output", "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def no_corpus(shell: Shell) -> None:
    from layerkit_plugins.sentiment import nltk_corpora

    shell.patch.setattr(nltk_corpora, "_data_folders", lambda: [shell.folder / "nowhere"])


def fetching(download: Callable[..., Any] | None, *options: str) -> Callable[[Shell], Done]:
    """Trains where there is no corpus, and ``download`` is NLTK's way to fetch one."""

    def act(shell: Shell) -> Done:
        import nltk

        no_corpus(shell)
        if download is not None:
            shell.patch.setattr(nltk, "download", download)
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            shell.patch.setenv(name, "http://127.0.0.1:9")
        shell.patch.delenv("no_proxy", raising=False)
        return shell("train", "sentiment", "--steps", "1", "--batch-size", "2", "--backend", "numpy", *options)

    return act


def unreachable(*args: Any, **options: Any) -> bool:
    raise OSError("Network is unreachable")


def stream(name: str, make: Callable[[], Any], *arguments: str) -> Callable[[Shell], Done]:
    def act(shell: Shell) -> Done:
        shell.patch.setattr(sys, name, make())
        return shell(*arguments)

    return act


def nobody_reads() -> Any:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def latin(shell: Shell) -> Done:
    out = io.TextIOWrapper(io.BytesIO(), encoding="iso-8859-1")
    shell.patch.setattr(sys, "stdout", out)
    done = shell("predict", "run", "caf\xe9 \U0001f600 \udcff")
    assert r"café \U0001f600 \udcff".encode("iso-8859-1") in out.buffer.getvalue()
    return done


def plain(shell: Shell) -> Done:
    shell.patch.setenv("COLUMNS", "40")
    shell.patch.setenv("NO_COLOR", "1")
    done = shell("evaluate", "run")
    assert "\x1b" not in done.out
    assert max(map(len, done.out.splitlines())) <= 40
    return done


def not_installed(shell: Shell) -> Done:
    from layerkit.plugins import registry

    shell.patch.setattr(registry, "_importable", lambda module: module != "jax")
    shell.patch.setattr(registry, "_made", {})
    return shell("predict", "run", "text", "--backend", "jax")


def elsewhere(*arguments: str, **environment: str | None) -> Callable[[Shell], Done]:
    return lambda shell: shell.process(*arguments, **environment)


def interrupted(module: str, name: str, nth: int = 1) -> Callable[[Shell], Done]:
    """Ctrl-C while a function runs for the ``nth`` time; the same command then goes on, or begins anew, to the end."""

    def act(shell: Shell) -> Done:
        owner: Any = sys.modules[module.partition(":")[0]]
        for part in module.partition(":")[2].split("."):
            owner = getattr(owner, part) if part else owner
        real, calls = getattr(owner, name), []

        def pressed(*args: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == nth:
                os.kill(os.getpid(), signal.SIGINT)
            return real(*args, **options)

        arguments = ("train", "sentiment", *QUICK, "--output", "new")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, pressed)
            done = shell(*arguments)
        assert len(calls) >= nth
        again = shell(*arguments)
        assert again.code == 0, again.err
        assert shell("predict", "new", "text").code == 0
        return done

    return act


HOMELESS = {"HOME": None, "XDG_CACHE_HOME": None, "LAYERKIT_CACHE": None}
RECIPE = "layerkit_plugins.sentiment.train"

CASES: list[Case] = [
    Case("no arguments", command(), 2, "Usage: layerkit"),
    Case("unknown command", command("trian"), 2, "unknown command 'trian': did you mean 'train'?"),
    Case("unknown option", command("train", "sentiment", "--stesp", "3"), 2, "No such option"),
    Case("bad number", command("train", "sentiment", "--steps", "many"), 2, "'many' is not a valid integer"),
    Case("number out of range", command("train", "sentiment", "--steps", "0"), 2, "steps is at least 1, got 0"),
    Case("path missing", command("predict", "run", "--file", "none.txt"), 2, "'none.txt' cannot be read: no such file"),
    Case("run missing", command("predict", "nowhere", "text"), 2, "there is no run at 'nowhere': no such folder"),
    Case("path is a folder", command("predict", "run", "--file", "run"), 2, "'run' cannot be read: is a directory"),
    Case("no read permission", unreadable, 2, "'lines.txt' cannot be read: permission denied"),
    Case("no write permission", unwritable, 1, "output 'new' cannot be made: permission denied"),
    Case("output exists", command("train", "sentiment", "--output", "."), 2, "'.' holds something that is no run"),
    Case("output is a file", command("train", "sentiment", "--output", "lines.txt"), 2, "'lines.txt' is a file"),
    Case("disk full", disk_full, 1, "cannot be written: "),
    Case("read-only home", elsewhere("backends", "--devices", **{**HOMELESS, "HOME": "/proc"}), 0, "no cache is kept"),
    Case("no HOME", elsewhere("backends", "--devices", **HOMELESS), 0, "the user's home is looked up"),
    Case(
        "corpus missing",
        fetching(lambda *a, **o: False, "--corpus", "twitter_samples"),
        1,
        "choose the corpus 'starter'",
    ),
    Case("corpus missing, none asked for", fetching(lambda *a, **o: False), 0, "the starter corpus, with a note"),
    Case(
        "no network",
        fetching(unreachable, "--corpus", "twitter_samples"),
        1,
        "could not be fetched: run `python -m nltk",
    ),
    Case("proxy error", fetching(None, "--corpus", "twitter_samples"), 1, "could not be fetched: run `python -m nltk"),
    Case("stdin closed", stream("stdin", lambda: None, "predict", "run"), 2, "standard input is closed: give TEXT or"),
    Case("stdout closed", stream("stdout", lambda: None, "predict", "run", "text"), 0, "nobody wants the answer"),
    Case("nobody reads on", stream("stdout", nobody_reads, "predict", "run", "text"), 141, ""),
    Case("no terminal, NO_COLOR, 40 columns", plain, 0, "tables wrap, nothing is coloured"),
    Case("non-UTF-8 locale", latin, 0, "what cannot be shown is shown as an escape"),
    Case("Ctrl-C while the corpus is read", interrupted(RECIPE, "load_corpus"), 130, "interrupted"),
    Case("Ctrl-C while the loop is made", interrupted("layerkit.training.loop:Loop", "_prepare"), 130, "interrupted"),
    Case("Ctrl-C in a step", interrupted("layerkit.training.loop:Loop", "_train"), 130, "interrupted"),
    Case("Ctrl-C while saving", interrupted("layerkit.training.saving:Saver", "save"), 130, "interrupted"),
    Case(
        "Ctrl-C at the last measurement",
        interrupted("layerkit_plugins.sentiment.run:SentimentRun", "measure"),
        130,
        "interrupted",
    ),
    Case(
        "backend not installed",
        not_installed,
        2,
        "backend 'jax' needs the package jax, which is not installed: pip install",
    ),
    Case(
        "backend unknown",
        command("predict", "run", "text", "--backend", "jaxx"),
        2,
        "unknown backend 'jaxx': did you mean 'jax'?",
    ),
    Case(
        "backend without a device", elsewhere("backends", "--devices", LAYERKIT_DEVICE="gpu:99"), 0, "the table says so"
    ),
]
