"""What a layer may be made with: its mode, its name, and how much stands inside one another."""

from __future__ import annotations

from layerkit.engine.layer_error import LayerError
from layerkit.errors import shown

__all__ = ["check_depth", "check_mode", "check_name"]

_MAX_DEPTH = 100  # up to seven Python frames a level while it is initialized, of the usual 1,000


def check_mode(layer: str, mode: str | None) -> str | None:
    """``mode`` itself, if it is one."""
    if mode not in (None, "train", "eval", "predict"):
        raise LayerError(f"{layer}: mode is 'train', 'eval', 'predict' or None, got {shown(mode)}")
    return mode


def check_name(name: str | None) -> str | None:
    """``name`` itself, if errors, files and printouts can carry it."""
    if name is not None and (
        not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable() or "/" in name or ".." in name
    ):
        raise LayerError(f"a layer's name has 1 to 100 printable characters, without / and .., got {shown(name)}")
    return name


def check_depth(layer: str, depth: int) -> int:
    """``depth`` itself, if Python's stack can hold so many levels."""
    if depth > _MAX_DEPTH:
        raise LayerError(
            f"{layer}: layers nested more than {_MAX_DEPTH} deep, which Python's stack may not hold; "
            "a Serial takes any number of layers side by side"
        )
    return depth
