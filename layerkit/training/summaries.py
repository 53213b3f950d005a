"""What layers leave for the run's log: numbers, and images."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.errors import LayerkitError, UsageError
from layerkit.fastmath import to_host
from layerkit.layer import Layer

__all__ = ["images_of", "numbers_of", "summaries_of", "write_images"]


def summaries_of(layers: Sequence[tuple[Layer, Any]], taken: Collection[str] = ()) -> dict[str, Any]:
    """What the layers, each with its state, have for the log, by name.

    Args:
        layers: layers, each with its state.
        taken: names that mean something else in the log.

    Raises:
        UsageError: two of them have the same name, or one that is taken.
    """
    found: dict[str, Any] = {}
    for layer, state in layers:
        for name, value in _within(layer, state):
            if name in found or name in taken:
                raise UsageError(f"the log has two summaries named {name!r}: give one of them another name")
            found[name] = value
    return found


def _within(layer: Layer, state: Any) -> Iterator[tuple[str, Any]]:
    if layer.sublayers:
        for sublayer, part in zip(layer.sublayers, state, strict=False):
            yield from _within(sublayer, part)
    elif not (isinstance(state, tuple) and state == ()):
        yield from layer.summaries(state).items()


def numbers_of(summaries: Mapping[str, Any]) -> dict[str, float]:
    """Those that are one number."""
    return {name: float(to_host(value)) for name, value in summaries.items() if not value.shape}


def images_of(summaries: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are images (n, h, w, c), as NumPy's arrays."""
    return {name: to_host(value) for name, value in summaries.items() if value.shape}


def write_images(folder: Path, step: int, images: Mapping[str, Any]) -> None:
    """Writes each image to ``images/NAME-STEP-NUMBER.png`` in a folder.

    Raises:
        LayerkitError: it cannot be written.
    """
    for name, batch in images.items():
        for number, image in enumerate(batch):
            path = folder / "images" / f"{re.sub(r'[^0-9A-Za-z_.-]+', '_', name)}-{step}-{number}.png"
            try:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(_png(image))
            except OSError as error:
                raise LayerkitError(f"{path} cannot be written: {error.strerror or error}") from error


def _png(image: Any) -> bytes:
    """An image (h, w, c) of numbers from 0 to 1 in the Portable Network Graphics format (ISO/IEC 15948)."""
    height, width, channels = image.shape
    pixels = np.round(np.nan_to_num(np.clip(image, 0, 1)) * 255).astype(np.uint8).reshape(height, -1)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels], axis=1)  # each row begins with its filter, none
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    chunks = (struct.pack(">I", len(p)) + k + p + struct.pack(">I", zlib.crc32(k + p)) for k, p in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
