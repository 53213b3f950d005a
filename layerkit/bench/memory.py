"""Memory: what a case needs at least, and how far a process grew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.bench.subjects import Case
from layerkit.engine.initializing import init_outermost
from layerkit.errors import UsageError
from layerkit.fastmath import random, use_backend
from layerkit.fastmath.memory import free_memory, in_words
from layerkit.plugins import registry
from layerkit.shapes import ShapeDtype, signature
from layerkit.testing.recipe_case import silently

__all__ = ["Growth", "check_fits", "growth"]

_CREATES = ("zeros", "ones", "full")
_DRAWS = ("uniform", "normal", "truncated_normal", "bernoulli", "randint", "gumbel")


# -- what a case needs ------------------------------------------------------------------------------------------------


def check_fits(case: Case, n_backends: int, free: float | None = None) -> None:
    """Refuses a case whose arrays alone do not fit; nothing of that size is made.

    Counted are inputs, weights, state and outputs, once on NumPy for the comparison and once for each backend, and in
    training the gradients. What a layer needs in between is not known before it runs.

    Args:
        case: what is to be measured.
        n_backends: on how many backends.
        free: bytes that may be used; what is free now unless given.

    Raises:
        UsageError: it does not fit; the message has the estimate.
    """
    room = free_memory() if free is None else free
    if case.subject.kind == "recipe" or room is None:
        return
    times = (1 + n_backends) * (2 if case.mode == "train" else 1)
    needed = times * _bytes_of(case, room / times)
    if needed > room:
        raise UsageError(
            f"{case.label}: does not fit memory: it needs at least {in_words(needed)}, {in_words(room)} are free: "
            "give smaller sizes"
        )


class _TooLarge(Exception):
    """Arrays were asked for that do not fit."""


def _bytes_of(case: Case, room: float) -> float:
    """Bytes of inputs, weights, state and outputs; of those that were asked for until there was no room left."""
    counted = sum(float(of.nbytes) for of in case.inputs)
    if case.subject.kind == "optimizer":
        return 4 * counted  # the weight, its gradient and two slots
    if counted > room:
        return counted
    backend = _Counting(counted, room)
    with use_backend(backend), silently():
        inputs = case.inputs[0] if len(case.inputs) == 1 else case.inputs
        try:
            layer = case.subject.constructor(**case.arguments)
            weights, state, outputs = init_outermost(layer, inputs, random.get_prng(0))
        except (Exception, SystemExit):  # a plugin that ends the process would end the command without a word
            # What is wrong with it otherwise goes wrong again when it is measured, and is said there.
            return backend.counted
    return counted + sum(float(of.nbytes) for of in fastmath.tree_leaves(signature((weights, state, outputs))))


class _Counting:
    """The NumPy backend, which adds up what is asked of it in new arrays, and refuses beyond ``room``."""

    def __init__(self, counted: float, room: float) -> None:
        self._base = registry.make_backend("numpy")
        self.counted, self._room = counted, room
        self.numpy = self._watched(self._base.numpy, _CREATES, 0)
        self.random = self._watched(self._base.random, _DRAWS, 1)

    def devices(self) -> list[str]:
        """None that has this machine's memory: what is asked for is counted here, not refused piece by piece."""
        return ["counting"]

    def __getattr__(self, member: str) -> Any:
        return getattr(self._base, member)

    def _watched(self, namespace: Any, names: tuple[str, ...], place: int) -> SimpleNamespace:
        """The namespace, with a look at the shape (the argument at ``place``) before each of these functions."""
        functions = {name: getattr(namespace, name) for name in dir(namespace) if not name.startswith("_")}
        return SimpleNamespace(**functions | {name: self._watching(functions[name], place) for name in names})

    def _watching(self, function: Callable[..., Any], place: int) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            shape = kwargs.get("shape", args[place] if len(args) > place else ())
            # As Python's whole numbers: NumPy's overflow.
            self.counted += 4.0 * ShapeDtype(shape if onp.ndim(shape) else (int(shape or 0),)).size
            if self.counted > self._room:
                raise _TooLarge
            return function(*args, **kwargs)

        return call


# -- how far a process grew -------------------------------------------------------------------------------------------


class Growth:
    """How many bytes more than before the process held at its worst moment; ``None`` where that is not known."""

    peak: float | None = None


@contextlib.contextmanager
def growth() -> Iterator[Growth]:
    """Watches the process inside the ``with`` block (on Linux, which lets a process forget its largest size)."""
    found = Growth()
    before = None
    with contextlib.suppress(OSError):
        with open("/proc/self/clear_refs", "w", encoding="ascii") as forget:
            forget.write("5")
        before = _from_proc("/proc/self/status", "VmRSS")
    yield found
    after = _from_proc("/proc/self/status", "VmHWM")
    if before is not None and after is not None:
        found.peak = max(0.0, after - before)


def _from_proc(path: str, name: str) -> float | None:
    with contextlib.suppress(OSError, ValueError, IndexError), open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(f"{name}:"):
                return 1024 * float(line.split()[1])
    return None
