"""Layers that let everything through, and leave something of it for the run's log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.errors import shown
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import as_float

__all__ = ["SummaryImage", "SummaryScalar"]


def _name(layer: str, name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise lk.LayerError(f"{layer}: name is what the log calls it, got {shown(name)}")
    return name


@lk.example(lk.f32(4, 8), name="size")
class SummaryScalar(lk.Layer):
    """y = x; a training call keeps aggregation_fun(x), a number, for the run's log.    x, y: (...)

    ``Loop`` records the number of the last step wherever it logs the loss: a line, the history, TensorBoard. An empty
    batch leaves it as it was.

    Args:
        name: what the log calls it.
        aggregation_fun: function from x to one number; the mean unless given.

    Raises:
        LayerError: an argument is of the wrong kind, or the function gives no single number.

    >>> layer = SummaryScalar("size")
    >>> weights, state = layer.init(lk.f32(2))
    >>> layer([1.0, 3.0], training=True).tolist(), float(layer.state)
    ([1.0, 3.0], 2.0)
    """

    def __init__(self, name: str, aggregation_fun: Callable[[Any], Any] = np.mean) -> None:
        super().__init__()
        self.summary_name = _name("SummaryScalar", name)
        self.aggregation_fun = arguments.function("SummaryScalar", "aggregation_fun", aggregation_fun, "an array")

    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros((), np.float32)

    def forward(self, x: Any) -> Any:
        if self.training and 0 not in x.shape:
            number = np.asarray(self.aggregation_fun(fastmath.stop_gradient(as_float(x))))
            if number.shape:
                raise lk.LayerError(f"its aggregation_fun gave the shape {tuple(number.shape)}, and one number is due")
            self.state = number.astype(np.float32)
        return x

    def summaries(self, state: Any) -> dict[str, Any]:
        return {self.summary_name: state}


@lk.example(lk.f32(4, 3, 2, 1), name="strokes", n_in=1, num_summaries=2)
class SummaryImage(lk.Layer):
    """y = x; a training call keeps the first images of the first input for the run's log.    images: (b, h, w, c)

    Numbers from 0 (black) to 1 (white), c = 1 for grey, 3 for red, green and blue, 4 with opacity. ``Loop`` writes
    those of the last step wherever it logs the loss: PNG files in ``images/`` of its ``output_dir``, TensorBoard.

    Args:
        name: what the log calls them.
        n_in: how many arrays it lets through.
        num_summaries: how many images to keep, fewer where a batch has fewer.
        recover_fn: function that makes images of the first input; itself unless given.

    Raises:
        LayerError: an argument is of the wrong kind, or there are no images of the shape (b, h, w, c).

    >>> SummaryImage("digits", 1).init(lk.f32(8, 28, 28, 1))[1].shape
    (5, 28, 28, 1)
    """

    def __init__(
        self,
        name: str,
        n_in: int,
        num_summaries: int = 5,
        recover_fn: Callable[[Any], Any] | None = None,
    ) -> None:
        count = arguments.whole_number("SummaryImage", "n_in", n_in)
        super().__init__(n_in=count, n_out=count)
        self.summary_name = _name("SummaryImage", name)
        self.num_summaries = arguments.whole_number("SummaryImage", "num_summaries", num_summaries)
        self.recover_fn = recover_fn and arguments.function("SummaryImage", "recover_fn", recover_fn, "an array")

    def init_weights_and_state(self, signature: Any) -> None:
        first = signature if self.n_in == 1 else signature[0]
        shape = fastmath.abstract_eval(self._images, first).shape
        self.state = np.zeros((min(self.num_summaries, shape[0]), *shape[1:]), np.float32)

    def forward(self, x: Any) -> Any:
        if self.training:
            images, kept = self._images(x if self.n_in == 1 else x[0]), self.state
            count = min(images.shape[0], kept.shape[0])
            self.state = np.concatenate([images[:count], kept[count:]])
        return x

    def _images(self, x: Any) -> Any:
        x = fastmath.stop_gradient(x)
        images = as_float(x if self.recover_fn is None else self.recover_fn(x))
        if len(images.shape) != 4 or images.shape[-1] not in (1, 3, 4):
            raise lk.LayerError(f"expected images (b, h, w, c) with c = 1, 3 or 4, got {tuple(images.shape)}")
        return images.astype(np.float32)

    def summaries(self, state: Any) -> dict[str, Any]:
        return {self.summary_name: state}
