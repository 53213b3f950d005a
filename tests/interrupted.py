"""Ctrl-C at each place where Python would take notice of it, one after the other."""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
import itertools
import linecache
import sys
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import layerkit as lk
from layerkit import fastmath

__all__ = ["AtPlace", "bits", "broken_off", "faults"]

_HOUSE = str(Path(lk.__file__).parent), str(Path(lk.__file__).parents[1] / "layerkit_plugins")
_LENT = {contextlib.__file__, inspect.getsourcefile(np.errstate)}  # what layerkit calls of others in `with` statements


@functools.cache
def _after_calls(code: CodeType) -> set[int]:
    """The instructions before which Python takes notice of a signal: those after a call, and the first of a turn."""
    entries = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined]
    handler = lambda offset: next((e.target for e in entries if e.start <= offset < e.end), None)
    found = set()
    steps = list(dis.get_instructions(code))
    for step, following in itertools.pairwise(steps):
        if step.opname.startswith("CALL") and handler(step.offset) == handler(following.offset):
            found.add(following.offset)
        elif step.opname == "JUMP_BACKWARD":
            found.add(step.argval)
    return found


class AtPlace:
    """A trace function that raises ``error`` at the n-th place in layerkit's code; with n = 0 it only counts them."""

    def __init__(self, n: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.n, self.error, self.seen, self.where = n, error, 0, ""

    def __call__(self, frame: FrameType, event: str, arg: Any) -> AtPlace | None:
        code, caller = frame.f_code, frame.f_back
        if not _is_ours(frame) or "__del__" in (code.co_name, caller and caller.f_code.co_name):
            return None
        if event == "call":
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            entered = not code.co_flags & inspect.CO_GENERATOR  # one that goes on may be inside of a try
            if entered:
                self._reach(frame)
        elif event == "opcode" and frame.f_lasti in _after_calls(code):
            self._reach(frame)
        return self

    def _reach(self, frame: FrameType) -> None:
        self.seen += 1
        if self.seen == self.n:
            file, line = frame.f_code.co_filename, frame.f_lineno
            self.where = f"{Path(file).name}:{line} {frame.f_code.co_name}: {linecache.getline(file, line).strip()}"
            sys.settrace(None)
            raise self.error


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename in _LENT:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_HOUSE)


def broken_off(run: Callable[[], Any], at: AtPlace) -> BaseException | None:
    """What the run raises with the trace function ``at``; its traceback lives on, as in a notebook."""
    before = sys.gettrace()
    sys.settrace(at)
    try:
        run()
    except BaseException as error:
        return error
    finally:
        sys.settrace(before)
    return None


def faults(
    begin: Callable[[], Any], run: Callable[[Any], Any], trials: int, error: type[BaseException] = KeyboardInterrupt
) -> tuple[int, int, list[str]]:
    """Where an interrupt of ``run(begin())`` leaves a context variable changed, or another result of running it again.

    Returns:
        How many places there are; how many interrupts were tried, about ``trials``; what is wrong, place by place.
    """
    run(begin())  # what is imported and remembered once
    counting, things = AtPlace(0), begin()
    broken_off(lambda: run(things), counting)
    wanted = bits(run(things))
    found = []
    tried = range(1, counting.seen + 1, max(1, counting.seen // trials))
    for n in tried:
        at, things = AtPlace(n, error), begin()
        before = dict(copy_context())
        context = copy_context()  # so that what is left behind does not spoil the next trial
        raised = context.run(broken_off, lambda things=things: run(things), at)
        left = [v.name for v, value in context.items() if v not in before or value is not before[v]]
        try:
            same = bits(context.run(run, things)) == wanted
        except BaseException as fault:
            same, left = False, [*left, f"{type(fault).__name__}: {fault}"]
        if error is KeyboardInterrupt and type(raised) is not KeyboardInterrupt:
            left.append(f"raised {type(raised).__name__}")
        if left or not same:
            found.append(f"{at.where}: {left if same else ['other bits', *left]}")
    return counting.seen, len(tried), found


def bits(tree: Any) -> Any:
    """Results that can be compared to the bit."""
    leaves = fastmath.tree_leaves(fastmath.to_host(tree))
    return [(leaf.dtype.name, leaf.shape, leaf.tobytes()) for leaf in map(np.asarray, leaves)]
