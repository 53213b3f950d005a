"""Layers that run another layer on their inputs with the axes seen differently: merged, or backwards."""

from __future__ import annotations

import copy
import math
from typing import Any

from layerkit.arguments import whole_number
from layerkit.combinators.composing import as_layer
from layerkit.combinators.routing import Concatenate
from layerkit.engine.bare import as_tuple, bare
from layerkit.engine.frames import Frame
from layerkit.engine.sharing import walk
from layerkit.engine.storing import OWN
from layerkit.fastmath import numpy as np
from layerkit.layer import Layer, LayerError

__all__ = ["BatchLeadingAxes", "Bidirectional"]


class BatchLeadingAxes(Layer):
    """Runs a layer with all axes but the last few merged into one batch axis, and takes them apart again.

    x: (a, b, ..., d) -> (a * b * ..., d) -> layer -> (a * b * ..., e) -> (a, b, ..., e), for one last axis kept.

    Args:
        layer: a layer whose inputs and outputs have a batch axis first.
        n_last_axes_to_keep: how many axes of each input the layer sees behind the batch axis.

    Raises:
        LayerError: inputs with too few axes, or whose leading axes differ; an output without the batch axis.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> rows = BatchLeadingAxes(Fn("SumOfRow", lambda x: np.sum(x, axis=1)))
    >>> rows(np.ones((2, 3, 4))).shape
    (2, 3)
    """

    def __init__(self, layer: Any, n_last_axes_to_keep: int = 1) -> None:
        layer = as_layer(layer)
        super().__init__(layer.n_in, layer.n_out, None, [layer])
        if layer.n_in < 1:
            raise LayerError(f"{self.name}: {layer.name} takes no input whose axes could be merged")
        self.n_last_axes_to_keep = whole_number(self.name, "n_last_axes_to_keep", n_last_axes_to_keep, at_least=0)

    def _leading(self, parts: tuple[Any, ...]) -> tuple[int, ...]:
        """The axes to merge, the same in every input."""
        keep = self.n_last_axes_to_keep
        for part in parts:
            if len(part.shape) < keep:
                raise LayerError(f"keeps the last {keep} axes, got an input of shape {tuple(part.shape)}")
        leading = {tuple(part.shape[: len(part.shape) - keep]) for part in parts}
        if len(leading) > 1:
            shapes = " and ".join(str(tuple(part.shape)) for part in parts)
            raise LayerError(f"its inputs {shapes} differ in their leading axes (all but the last {keep})")
        return leading.pop()

    def _merged(self, shape: tuple[int, ...], leading: tuple[int, ...]) -> tuple[int, ...]:
        return (math.prod(leading), *shape[len(leading) :])

    def _apart(self, shape: tuple[int, ...], leading: tuple[int, ...]) -> tuple[int, ...]:
        if not shape or shape[0] != math.prod(leading):
            raise LayerError(
                f"0:{self.sublayers[0].name} gives shape {tuple(shape)}, whose first axis is not the batch of "
                f"{math.prod(leading)} merged from {leading}"
            )
        return (*leading, *shape[1:])

    def forward(self, x: Any) -> Any:
        parts = as_tuple(x)
        leading = self._leading(parts)
        y = self.run_sublayer(0, bare([np.reshape(p, self._merged(p.shape, leading)) for p in parts]))
        outputs = as_tuple(y)
        return bare([np.reshape(o, self._apart(o.shape, leading)) for o in outputs])

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        parts = as_tuple(inputs)
        leading = self._leading(parts)
        merged = bare([part.replace(shape=self._merged(part.shape, leading)) for part in parts])
        weights, state, y = self.init_sublayer(0, merged)
        outputs = as_tuple(y)
        return (weights,), (state,), bare([o.replace(shape=self._apart(o.shape, leading)) for o in outputs])

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return None, item


class _Bidirectional(Layer):
    """Sublayers: the layer that runs forwards, its copy that runs backwards, and the one that merges what they give."""

    def __init__(self, forward_layer: Layer, axis: int, merge_layer: Layer) -> None:
        layers = [forward_layer, fresh_copy(forward_layer), merge_layer]
        super().__init__(forward_layer.n_in, merge_layer.n_out, "Bidirectional", layers)
        self.axis = whole_number("Bidirectional", "axis", axis, at_least=None)
        if forward_layer.n_in < 1 or forward_layer.n_out != 1:
            raise LayerError(
                f"Bidirectional: {forward_layer.name} has {forward_layer.n_in} inputs and "
                f"{forward_layer.n_out} outputs; it must have 1 or more, and 1"
            )
        if merge_layer.n_in != 2:
            raise LayerError(f"Bidirectional: its merge layer {merge_layer.name} has {merge_layer.n_in} inputs, not 2")

    def _check(self, x: Any, whose: str) -> None:
        if not -len(x.shape) <= self.axis < len(x.shape):
            raise LayerError(f"walks along axis {self.axis}, which {whose} of shape {tuple(x.shape)} does not have")

    def _axes(self, parts: tuple[Any, ...]) -> list[int]:
        """The axis of each input along which it is walked; a mask (b, 1, 1, l) has its positions in the last one."""
        for part in parts:
            self._check(part, "an input")
        length = parts[0].shape[self.axis]
        axes = [-1 if part.shape[1:] == (1, 1, length) else self.axis for part in parts]
        if any(part.shape[axis] != length for part, axis in zip(parts, axes, strict=True)):
            shapes = " and ".join(str(tuple(part.shape)) for part in parts)
            raise LayerError(f"walks along axis {self.axis}, in which its inputs {shapes} differ in length")
        return axes

    def forward(self, x: Any) -> Any:
        parts = as_tuple(x)
        flipped = [np.flip(part, axis) for part, axis in zip(parts, self._axes(parts), strict=True)]
        forwards, backwards = self.run_sublayer(0, x), self.run_sublayer(1, bare(flipped))
        self._check(backwards, "an output")
        return self.run_sublayer(2, (forwards, np.flip(backwards, self.axis)))

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        self._axes(as_tuple(inputs))
        forwards, backwards = self.init_sublayer(0, inputs), self.init_sublayer(1, inputs)
        self._check(backwards[2], "an output")
        merged = self.init_sublayer(2, (forwards[2], backwards[2]))
        weights, state, outputs = zip(forwards, backwards, merged, strict=True)
        return weights, state, outputs[2]

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return (item, 0) if child == 2 else (None, item)


def Bidirectional(forward_layer: Any, axis: int = 1, merge_layer: Any = None) -> Layer:
    """Runs a layer along an axis, and a copy of it with weights of its own from the other end, and merges both.

    Args:
        forward_layer: a layer with one output, such as an LSTM; all its inputs have that axis, and the same length
            there. A mask may be (b, 1, 1, l), as ``PaddingMask`` gives it.
        axis: the axis it walks along.
        merge_layer: takes both outputs, in the order of the input; a new ``Concatenate()`` unless given.

    Raises:
        LayerError: layers with other numbers of inputs or outputs; an input without that axis.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> both = Bidirectional(Fn("RunningSum", lambda x: np.cumsum(x, axis=1)))
    >>> both(np.array([[[1.0], [2.0], [3.0]]])).tolist()
    [[[1.0, 6.0], [3.0, 5.0], [6.0, 3.0]]]
    """
    return _Bidirectional(
        as_layer(forward_layer), axis, Concatenate() if merge_layer is None else as_layer(merge_layer)
    )


def fresh_copy(layer: Layer) -> Layer:
    """A layer that is made like ``layer`` and shares nothing with it: not initialized, and no weights in common.

    A layer that stands in two places inside ``layer`` stands in the same two places inside the copy.

    Raises:
        LayerError: something that ``layer`` holds cannot be copied.
    """
    kept = [(part, {name: vars(part)[name] for name in OWN if name in vars(part)}) for part in walk(layer)]
    try:
        # Arrays that init made are not worth copying: they go to the copy by reference, and are dropped there.
        copied: Layer = copy.deepcopy(layer, {id(value): value for _, made in kept for value in made.values()})
    except Exception as error:
        raise LayerError(
            f"{layer.name} cannot be copied ({type(error).__name__}: {error}); build a second one"
        ) from error
    for part in walk(copied):
        for name in OWN:
            vars(part).pop(name, None)
    return copied
