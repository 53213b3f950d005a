"""Ways to damage files, and to change them so that their seal is right again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from layerkit.files import sealed, tensors

__all__ = ["cut", "flip", "forge", "forge_about", "forge_arrays", "write_sealed"]


def flip(path: Path, bit: int) -> None:
    """Turns one bit of a file round, counted from its beginning, or from its end where it is negative."""
    data = bytearray(path.read_bytes())
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def cut(path: Path, keep: float) -> None:
    """Leaves the first bytes of a file: so many, or that share of them."""
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])


def forge(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes what a sealed file of JSON says, and seals it again."""
    contents = json.loads(path.read_text())
    del contents["sha256"]
    change(contents)
    kind, version = contents.pop("kind", None), contents.pop("format", None)
    path.write_bytes(sealed.text_of(kind, version, contents))


def write_sealed(path: Path, arrays: dict[str, Any], about: Any = None) -> None:
    """Writes a sealed file of arrays."""
    path.write_bytes(b"".join(bytes(piece) for piece in tensors.to_bytes(path, arrays, about)[1]))


def forge_arrays(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes the arrays of a sealed file, and seals it again."""
    arrays, header = tensors.read(path)
    change(arrays)
    write_sealed(path, arrays, header.about)


def forge_about(path: Path, change: Callable[[Any], Any]) -> None:
    """Changes what is said about the arrays of a sealed file, and seals it again."""
    arrays, header = tensors.read(path)
    change(header.about)
    write_sealed(path, arrays, header.about)
