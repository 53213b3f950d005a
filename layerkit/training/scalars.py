"""A run's numbers for TensorBoard, through the package tensorboardX."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from layerkit.errors import UsageError

__all__ = ["Scalars"]


class Scalars:
    """Writes values below ``folder``, those of each mode (``train``, ``eval``) into a folder of its own.

    Raises:
        UsageError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("tensorboardX") is None:
            raise UsageError('tensorboard=True needs tensorboardX: pip install "layerkit[tensorboard]"')
        self._folder = folder
        self._writers: dict[str, Any] = {}
        self._opened = 0

    def add(self, mode: str, metric: str, step: int, value: float) -> None:
        """Adds a value."""
        self._writer(mode).add_scalar(metric, value, step)

    def add_images(self, mode: str, step: int, images: Mapping[str, Any]) -> None:
        """Adds images (n, h, w, c) of numbers from 0 to 1."""
        for name, batch in images.items():
            self._writer(mode).add_images(name, batch, step, dataformats="NHWC")

    def _writer(self, mode: str) -> Any:
        if mode not in self._writers:
            from tensorboardX import SummaryWriter

            # Its files are named by the second, and one of the same name would be overwritten.
            self._opened += 1
            suffix = f".{os.getpid()}.{self._opened}"
            self._writers[mode] = SummaryWriter(str(self._folder / mode), filename_suffix=suffix)
        return self._writers[mode]

    def close(self) -> None:
        """Writes what is not written yet, and closes the files; more values open new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
