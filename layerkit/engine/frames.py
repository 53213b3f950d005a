"""Frames: what makes ``self.weights`` inside ``forward`` mean the weights of this call.

Every call of a layer opens a frame with the weights, state, random key and training flag it runs with. Frames are
linked to the frame of the layer that called, and the innermost one is held in a ContextVar: nothing is stored on the
layer during a call, so threads do not meet and nothing has to be put back after an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from layerkit.fastmath import random, transforms
from layerkit.fastmath.backend import current_region
from layerkit.fastmath.contexts import holding

if TYPE_CHECKING:
    from layerkit.engine.sharing import Cell
    from layerkit.engine.sources import Trail
    from layerkit.layer import Layer

__all__ = ["Frame", "Observer", "current_frame", "in_frame", "observing"]

T = TypeVar("T")

current_frame: ContextVar[Frame | None] = ContextVar("layerkit_frame", default=None)
"""The innermost open frame."""
_observer: ContextVar[Observer | None] = ContextVar("layerkit_observer", default=None)


class Frame:
    """One running call of one layer.

    ``key`` is a random key, or a function or a frame that has it (nothing is folded before somebody reads it); ``fold``
    is the number folded into it, ``None`` for a key that is used as it is. ``shared`` maps the layers that stand in
    several places of the model to their cell; every frame of one outermost call has the same dict, or
    ``None``. ``trail`` is there while the layer is initialized.
    """

    __slots__ = (
        "fold",
        "key",
        "layer",
        "observer",
        "parent",
        "position",
        "region",
        "shared",
        "state",
        "trail",
        "training",
        "weights",
    )

    def __init__(
        self,
        layer: Layer,
        weights: Any,
        state: Any,
        key: Any = None,
        fold: int | None = None,
        parent: Frame | None = None,
        position: int | None = None,
    ) -> None:
        self.layer = layer
        self.weights = weights
        self.state = state
        self.key = key
        self.fold = fold
        self.parent = parent
        self.position = position
        self.region = current_region.get()
        self.trail: Trail | None = None
        if parent is None:
            self.shared: dict[Layer, Cell] | None = None
            self.training = False
            self.observer: Observer | None = _observer.get()
        else:
            self.shared = parent.shared
            self.training = parent.training
            self.observer = parent.observer

    def of_sublayer(self, index: int, weights: Any, state: Any) -> Frame:
        """A frame for a call of the sublayer at ``index`` from this one, with a key of its own."""
        return Frame(self.layer.sublayers[index], weights, state, self, index, self, index)

    def again(self, weights: Any, state: Any) -> Frame:
        """A frame for the same call, with other weights and state."""
        twin = Frame(self.layer, weights, state, self.key, self.fold, self.parent, self.position)
        twin.training, twin.shared = self.training, self.shared
        return twin

    def rng(self) -> Any:
        """The random key of this call, ``None`` if none was given.

        It is folded anew each time: a key folded inside a compiled loop must not leave it.
        """
        base = self.key
        if isinstance(base, Frame):
            base = base.rng()
        elif callable(base):
            base = base()
        return base if base is None or self.fold is None else random.fold_in(base, self.fold)

    def path(self) -> str:
        """Where the layer stands below the outermost one, as in paths of tensors: ``1.Branch/0.Dense``, or ``""``."""
        steps = [f"{f.position}.{f.layer.kind}" for f in self.ancestry() if f.position is not None]
        return "/".join(reversed(steps))

    def ancestry(self) -> Iterator[Frame]:
        """This frame, then its caller's, and so on out to the outermost."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent


def in_frame(frame: Frame, work: Callable[..., T], *args: Any) -> T:
    """What ``work(*args)`` gives with ``frame`` as the innermost one."""
    before = current_frame.get()
    try:
        current_frame.set(frame)  # not before the try: Ctrl-C may come right after it
        return work(*args)
    finally:
        current_frame.set(before)


class Observer:
    """Stands beside every layer's call: it sees what goes in and what comes out, and may put something else there."""

    def enter(self, frame: Frame, inputs: Any) -> Any:
        """What the layer gets in place of ``inputs``."""
        return inputs

    def leave(self, frame: Frame, inputs: Any, outputs: Any) -> Any:
        """What the caller gets in place of ``outputs``."""
        return outputs


class _Look(Observer):
    def __init__(self, look: Callable[[Frame, Any, Any], None]) -> None:
        self._look = look

    def leave(self, frame: Frame, inputs: Any, outputs: Any) -> Any:
        self._look(frame, inputs, outputs)
        return outputs


def observing(observer: Observer | Callable[[Frame, Any, Any], None]) -> AbstractContextManager[None]:
    """Inside the ``with`` block the observer stands beside every layer's call.

    A function ``look(frame, inputs, outputs)`` is told of each when it ends, and changes nothing.
    """
    return holding(_observer, observer if isinstance(observer, Observer) else _Look(observer))


def _training_flag() -> bool:
    frame = current_frame.get()
    return frame is not None and frame.training


transforms.mode = _training_flag
