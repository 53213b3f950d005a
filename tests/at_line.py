"""Ctrl-C at one line after the other of some code, as a handler that raises wherever it is has it."""

from __future__ import annotations

import itertools
import linecache
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["AtLine", "every_line"]


class AtLine:
    """A trace function that raises KeyboardInterrupt at the n-th line of these files that it sees.

    Lines are those where Python looks for signals: not ``with``, ``try`` and ``finally``, at which nothing is called.
    """

    def __init__(self, n: int, files: Collection[str]) -> None:
        self.n, self.files, self.seen, self.where = n, files, 0, ""

    def __call__(self, frame: FrameType, event: str, arg: Any) -> AtLine | None:
        file, function = frame.f_code.co_filename, frame.f_code.co_name
        if file not in self.files or "__del__" in (function, frame.f_back and frame.f_back.f_code.co_name):
            return None
        if event == "line":
            line = linecache.getline(file, frame.f_lineno).strip()
            self.seen += not line.startswith(("with ", "try:", "finally:"))
            if self.seen == self.n and not self.where:
                self.where = f"{Path(file).name}:{frame.f_lineno} {line}"
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def every_line(files: Collection[str], work: Callable[[], Any]) -> Iterator[str]:
    """Does the work again and again, interrupted one line later each time, and says where; until it is done."""
    for n in itertools.count(1):
        at_line = AtLine(n, files)
        sys.settrace(at_line)
        try:
            work()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        if not at_line.where:
            return
        yield at_line.where
