"""The command ``layerkit``: every message one line, every exit code meant.

0: done. 1: it went wrong. 2: it was asked for wrongly. 130: interrupted. 143: terminated. 129: hung up.
141: nobody reads the output any more. LAYERKIT_DEBUG=1 shows tracebacks.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import click

from layerkit.cli.root import root
from layerkit.errors import LayerkitError, LayerkitWarning, os_reason, printable

__all__ = ["main"]

_INTERRUPTED, _BROKEN_PIPE = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line, and returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character, or half a character in a name, is no reason to stop.
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("always", category=LayerkitWarning)
    warnings.showwarning = _shown_by_us(warnings.showwarning)
    if asked := os.environ.get("_LAYERKIT_COMPLETE"):
        return _complete(asked)
    code = _run(list(sys.argv[1:] if arguments is None else arguments))
    return _flush(code)


def _complete(asked: str) -> int:
    """Answers a shell that completes commands, and returns the exit code."""
    try:
        root.main(prog_name="layerkit")
    except LayerkitError:  # what stands there is wrong, and is said so when it is run
        return 0
    except SystemExit as end:
        if not end.code:
            return 0
    _say(f"_LAYERKIT_COMPLETE is bash_source, zsh_source or fish_source, got {asked!r}: the shell sets it, unset it")
    return 2


def _run(arguments: list[str]) -> int:
    try:
        with root.make_context("layerkit", arguments) as context:
            root.invoke(context)
        return 0
    except SystemExit as error:  # a plugin's command may end itself
        if isinstance(error.code, int | None):
            return error.code or 0
        _say(_one_line(error.code))
        return 1
    except click.exceptions.Exit as error:
        return error.exit_code
    except BaseException as error:
        if isinstance(error, BrokenPipeError):
            return _abandon(sys.stdout, _BROKEN_PIPE)
        if os.environ.get("LAYERKIT_DEBUG") == "1":
            traceback.print_exc()
        message, code = _explain(error)
        _say(message)
        return code


def _explain(error: BaseException) -> tuple[str, int]:
    """The line a person reads about an exception, and the exit code."""
    if isinstance(error, LayerkitError):
        return _one_line(error), error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" (see: {context.command_path} --help)" if context is not None else ""
        return _one_line(error.format_message()) + hint, error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "interrupted", _INTERRUPTED
    if isinstance(error, OSError) and error.strerror:
        where = error.filename or _stuck()
        return f"{where}: {os_reason(error)}" if where else os_reason(error), 1
    if words := _shortage(error):
        return words, 1
    text = f"{type(error).__name__}: {_one_line(error)}".rstrip(": ")
    return f"{text} (set LAYERKIT_DEBUG=1 for the traceback)", 1


def _stuck() -> str:
    """The name of standard output where it takes no more: an error in writing to it does not say so."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return "standard output"
    return ""


def _shortage(error: BaseException) -> str:
    """The sentence for memory that ran out, empty for anything else."""
    from layerkit.fastmath import memory

    words = memory.shortage(error)
    return f"out of memory: {words}; {memory.REMEDY}" if words else ""


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _say(message: str) -> None:
    if sys.stderr is None:
        return  # print would take standard output instead
    try:
        print(f"layerkit: {printable(message)}", file=sys.stderr)
    except OSError:
        _abandon(sys.stderr, 1)


def _flush(code: int) -> int:
    """Writes out what is left, while there is still somebody to tell; returns the exit code."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        return _abandon(sys.stdout, _BROKEN_PIPE)
    except OSError as error:
        if not code:  # else it was said already
            _say(f"standard output: {os_reason(error)}")
        return _abandon(sys.stdout, code or 1)
    return code


def _abandon(stream: object, code: int) -> int:
    """Sends the rest of a stream nowhere, or Python would try it again at exit and say so; returns ``code``."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        pass
    return code


def _shown_by_us(show: Callable[..., None]) -> Callable[..., None]:
    """Shows layerkit's warnings as messages of the command, and any other as before."""

    def shown(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, LayerkitWarning):
            _say(str(message))
        else:
            show(message, category, *where, **more)

    return shown
