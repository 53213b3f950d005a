"""What ``jit`` means on NumPy: the calls that a function makes are written down once, and from then on made directly.

Layers, frames, dispatch and the tape of a gradient cost many times the arithmetic of a small model, and lead to the
same NumPy calls every time. The first time a function meets a kind of arguments it is run as it is. The second and the
third time it is recorded as well; if both records say the same, and played give the bits that the function gave, they
are trusted. What cannot be recorded is run as it is, for good; and so is a call whose replay raises, for the function
to say why.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as onp

from layerkit.errors import UsageError
from layerkit.fastmath import float64_enabled, tree_leaves
from layerkit_plugins.backends.numpy.control import is_abstract
from layerkit_plugins.backends.numpy.silence import silently

if TYPE_CHECKING:
    from layerkit_plugins.backends.numpy.records import Record

__all__ = ["Program", "is_on", "jit"]

_Function = Callable[..., Any]

_MOST_BYTES = 1 << 28
"""Larger results take so long that overhead does not matter, and should not be held twice, to be compared."""

_MOST_KINDS = 64
"""How many kinds of arguments a function remembers; those that were not met for the longest are forgotten."""


def jit(f: _Function, static_argnums: Sequence[int] = (), donate_argnums: Sequence[int] = ()) -> _Function:
    """``f``, recorded and played where that can be; one with static arguments, or that may overwrite some, as it is.

    So is one that is made inside ``float64()``: ``fastmath.jit`` has another for each precision.
    """
    plain = silently(f)
    return plain if static_argnums or donate_argnums or float64_enabled() or not is_on() else Program(plain)


def is_on() -> bool:
    """Whether LAYERKIT_REPLAY lets functions be recorded.

    Raises:
        UsageError: it says something else.
    """
    chosen = os.environ.get("LAYERKIT_REPLAY") or "1"
    if chosen not in ("0", "1"):
        raise UsageError(f"LAYERKIT_REPLAY is 1 or 0, got {chosen!r}")
    return chosen == "1"


class Program:
    """A function, and a record of it for each kind of arguments that it met."""

    def __init__(self, function: _Function) -> None:
        self.function = function
        self.kinds: OrderedDict[Any, Record | str | None] = OrderedDict()
        """By kind of arguments: the record; ``None`` after the first call, which makes none; why there can be none."""

        self._latest: tuple[Any, Any] = None, None
        """The kind of the last call that was played, and its record."""

    def __call__(self, *args: Any) -> Any:
        kind: list[Any] = []
        leaves: list[Any] = []
        if not _note_kind(args, kind, leaves):
            return self.function(*args)
        latest, record = self._latest
        if kind != latest:  # as a rule it is the same again, and comparing is sooner than hashing
            key = tuple(kind)
            record = self.kinds.get(key)
            if record is None or type(record) is str or not record.trusted:
                return self._learn(key, args, leaves)
            self._latest = kind, record
            self.kinds.pop(key, None)  # another thread may have forgotten it meanwhile
            self.kinds[key] = record
        try:
            return record.play(leaves)
        except Exception:
            return self.function(*args)

    def _learn(self, kind: Any, args: tuple[Any, ...], leaves: list[Any]) -> Any:
        before = self.kinds.get(kind)
        if type(before) is str or is_abstract() or (before is not None and before.trusted):  # since another thread did
            return self.function(*args)
        if kind not in self.kinds:
            result = self.function(*args)
            large = sum(getattr(leaf, "nbytes", 0) for leaf in tree_leaves(result)) > _MOST_BYTES
            self.kinds[kind] = "its result is large" if large else None
            if len(self.kinds) > _MOST_KINDS:
                self.kinds.popitem(last=False)
            return result
        from layerkit_plugins.backends.numpy import records  # a program that is called once never needs them

        record = records.recorded(self.function, args, leaves)
        # Last, so that whatever the function keeps is no stand-in; it may raise, and then nothing was learnt.
        result = self.function(*args)
        if type(record) is not str:
            if not record.gives(result, leaves):
                record = "played, it gives something else"
            elif before is not None and not record.trust(before):
                record = "it did something else than the time before"
        self.kinds[kind] = record
        return result


def _note_kind(nodes: Iterable[Any], kind: list[Any], leaves: list[Any]) -> bool:
    """Notes what a record depends on: structure, shapes, dtypes, and the values of what is no array. And the leaves.

    False where there is something that a record cannot take: a box, a stand-in, an object.
    """
    for node in nodes:
        form = type(node)
        if form is onp.ndarray:
            leaves.append(node)
            kind.append(node.shape)
            kind.append(node.dtype)
        elif isinstance(node, tuple):
            kind.append(form)
            kind.append(len(node))
            if node and not _note_kind(node, kind, leaves):
                return False
        elif not _note_rarer(node, form, kind, leaves):
            return False
    return True


def _note_rarer(node: Any, form: type, kind: list[Any], leaves: list[Any]) -> bool:
    kind.append(form)
    if isinstance(node, list):
        kind.append(len(node))
        return _note_kind(node, kind, leaves)
    if form is dict:
        keys = sorted(node)
        kind.append(tuple(keys))
        return _note_kind([node[key] for key in keys], kind, leaves)
    if isinstance(node, onp.generic):
        kind.append(node.dtype)
    elif form in (bool, int, float, str):
        kind.append(repr(node))
    else:
        return node is None
    leaves.append(node)
    return True
