"""Arrays that lie in memory as they lie in their file."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.files import disk, tensors
from layerkit.files.tensors import Outline

__all__ = ["Image"]

_AT_ONCE: int = getattr(mmap, "MAP_POPULATE", 0)


class Image:
    """Room for a copy of NumPy arrays, in one piece of memory that is laid out as a file of them.

    It is filled again and again, since new memory costs more than the copy, and written as it is.

    Args:
        arrays: arrays of the names, shapes and dtypes of those to come.

    Attributes:
        copies: the copies by name.
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        start = tensors.header_size(arrays)
        self._size = start + sum(array.nbytes for array in arrays.values())
        self._pages = _pages(self._size)
        self.copies: dict[str, Any] = {}
        for name, array in arrays.items():
            data = self._pages[start : start + array.nbytes]
            self.copies[name] = data.view(array.dtype).reshape(array.shape)
            start += array.nbytes

    def fits(self, arrays: Mapping[str, Any]) -> bool:
        """Whether there is room for exactly these arrays."""
        return _kinds(self.copies) == _kinds(arrays)

    def fill(self, arrays: Mapping[str, Any]) -> None:
        """Copies arrays that it fits."""
        for name, copy in self.copies.items():
            np.copyto(copy, arrays[name])

    def write(self, path: Path) -> dict[str, Outline]:
        """Writes a new file of the copies, and returns their outlines."""
        outlines, (header, *_) = tensors.to_bytes(path, self.copies)
        self._pages[: len(header)] = np.frombuffer(header, np.uint8)
        disk.write_pages(path, self._pages.data, self._size)
        return outlines


def _pages(size: int) -> Any:
    """Memory for so many bytes that begins at a page, and ends with one.

    Taken from the system page by page, and all at once where it can: NumPy asks for huge pages, and the first touch of
    28 MB of those takes 70 ms on virtual machines, of these 10.
    """
    options: dict[str, Any] = {} if os.name == "nt" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _AT_ONCE}
    return np.frombuffer(mmap.mmap(-1, -(-size // disk.PAGE) * disk.PAGE, **options), np.uint8)


def _kinds(arrays: Mapping[str, Any]) -> dict[str, tuple[Any, tuple[int, ...]]]:
    return {name: (array.dtype, tuple(array.shape)) for name, array in arrays.items()}
