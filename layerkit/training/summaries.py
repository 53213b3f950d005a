"""What layers leave for the run's log: numbers, and images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.errors import UsageError
from layerkit.fastmath import to_host
from layerkit.layer import Layer
from layerkit.training.variables import Variables

if TYPE_CHECKING:
    from pathlib import Path

    from layerkit.training.scalars import Scalars

__all__ = ["Summaries", "write_images"]


class Summaries:
    """What the layers of a run leave for its log, and where it goes.

    Args:
        layers: the model, and the loss layer of each task.
        loss_names: what the log calls the losses.
        folder: where images are written; nowhere for ``None``.
        scalars: what writes for TensorBoard, if anything does.
    """

    def __init__(
        self, layers: list[Layer], loss_names: list[list[str]], folder: Path | None, scalars: Scalars | None
    ) -> None:
        self._layers, self._folder, self._scalars = layers, folder, scalars
        self._taken = {name for names in loss_names for name in names}

    def numbers(self, variables: Variables) -> dict[str, Any]:
        """The single numbers, by name.

        Raises:
            UsageError: two have the same name, or one has that of a loss.
        """
        return {name: value for name, value in self._all(variables).items() if not value.shape}

    def numbers_on_host(self, variables: Variables) -> dict[str, float]:
        """The single numbers as such, by name."""
        return {name: float(to_host(value)) for name, value in self.numbers(variables).items()}

    def show_images(self, variables: Variables, step: int) -> None:
        """Writes the images.

        Raises:
            LayerkitError: one cannot be written.
        """
        images = {name: to_host(value) for name, value in self._all(variables).items() if value.shape}
        if self._folder is not None:
            write_images(self._folder, step, images)
        if self._scalars is not None:
            self._scalars.add_images("train", step, images)

    def _all(self, variables: Variables) -> dict[str, Any]:
        states = [variables.state, *(own.loss_state for own in variables.tasks)]
        found: dict[str, Any] = {}
        for layer, state in zip(self._layers, states, strict=True):
            for name, value in _within(layer, state):
                if name in found or name in self._taken:
                    raise UsageError(f"the log has two summaries named {name!r}: give one of them another name")
                found[name] = value
        return found


def _within(layer: Layer, state: Any) -> Iterator[tuple[str, Any]]:
    if layer.sublayers:
        for sublayer, part in zip(layer.sublayers, state, strict=False):
            yield from _within(sublayer, part)
    elif not (isinstance(state, tuple) and state == ()):
        yield from layer.summaries(state).items()


def write_images(folder: Path, step: int, images: Mapping[str, Any]) -> None:
    """Writes each image to ``images/NAME-STEP-NUMBER.png`` in a folder.

    Raises:
        LayerkitError: it cannot be written.
    """
    from layerkit.files import disk  # a run without images writes none

    for name, batch in images.items():
        for number, image in enumerate(batch):
            path = folder / "images" / f"{re.sub(r'[^0-9A-Za-z_.-]+', '_', name)}-{step}-{number}.png"
            with disk.writing(path):
                path.parent.mkdir(exist_ok=True)
                disk.replace(path, [_png(image)])


def _png(image: Any) -> bytes:
    """An image (h, w, c) of numbers from 0 to 1 in the Portable Network Graphics format (ISO/IEC 15948)."""
    import struct
    import zlib  # the library behind it is loaded for whoever has pictures

    height, width, channels = image.shape
    pixels = np.round(np.nan_to_num(np.clip(image, 0, 1)) * 255).astype(np.uint8).reshape(height, -1)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels], axis=1)  # each row begins with its filter, none
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    chunks = (struct.pack(">I", len(p)) + k + p + struct.pack(">I", zlib.crc32(k + p)) for k, p in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
