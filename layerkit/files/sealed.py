"""JSON with a seal: the SHA-256 of all that follows it, so that any change is seen before anything is believed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from layerkit.errors import LayerkitError
from layerkit.files import disk
from layerkit.files.disk import DamagedError

__all__ = ["MOST", "SEAL", "check_seal", "digest", "dump", "parse", "plain", "read", "seal", "write"]

MOST = 128 << 20
"""The largest file of JSON, in bytes: room for the history of a million steps."""

SEAL = b'"sha256":"'
_HEX = 64


def seal(before: bytes, after: bytes) -> bytes:
    """``before``, the seal, ``after``: a JSON text in two halves with the digest of the second between them.

    >>> seal(b"{", b',"a":1}').startswith(b'{"sha256":"')
    True
    """
    return before + SEAL + digest(after).encode() + b'"' + after


def check_seal(text: bytes, before: bytes) -> bool:
    """Whether ``text`` is what ``seal(before, ...)`` made, to the last bit."""
    start = len(before) + len(SEAL)
    found, after = text[start : start + _HEX], text[start + _HEX + 1 :]
    return text == before + SEAL + found + b'"' + after and found == digest(after).encode()


def digest(data: Any) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def dump(value: Any) -> bytes:
    """JSON in ASCII, as short as it gets; numbers that JSON has no word for become text."""
    return json.dumps(plain(value), separators=(",", ":"), allow_nan=False).encode("ascii")


def plain(value: Any) -> Any:
    """The value as JSON gives it back: tuples as lists, names as text, ``nan`` and ``inf`` as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def parse(text: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON as the standard has it, or an object has one key twice; in a few words.
    """
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error.msg} at character {error.pos})") from None
    except UnicodeDecodeError:
        raise ValueError("it is no JSON, not even text") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has the key {next(n for n in names if names.count(n) > 1)!r:.60} twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which is no JSON")


def write(path: Path, kind: str, version: int, contents: Mapping[str, Any]) -> None:
    """Puts a sealed file at ``path``, whole or not at all; ``kind`` and ``version`` say what can read it.

    Raises:
        OSError: it cannot be written.
    """
    disk.replace(path, [text_of(kind, version, contents)])


def text_of(kind: str, version: int, contents: Mapping[str, Any]) -> bytes:
    """The bytes of a sealed file, one line for each of its parts.

    Raises:
        LayerkitError: they would be too many to be read again.
    """
    parts = {"kind": kind, "format": version, **contents}
    lines = b"".join(b",\n" + dump(name) + b":" + dump(value) for name, value in parts.items())
    if len(lines) > MOST:
        raise LayerkitError(f"a {kind} of {len(lines):,} bytes is too large: log and evaluate less often")
    return seal(b"{", lines + b"}\n")


def read(path: Path, kind: str, version: int) -> dict[str, Any]:
    """What a sealed file of this kind and version holds.

    Raises:
        DamagedError: it is missing, or was changed.
        LayerkitError: it is of another kind or version.
    """
    text = disk.read(path, MOST)
    whole = check_seal(text, b"{")
    try:
        contents = parse(text)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
    if not isinstance(contents, dict):
        raise DamagedError(f"{path} is damaged: it is no JSON object")
    found = contents.get("format")
    if found != version and (whole or "sha256" not in contents):
        newer = isinstance(found, int) and found > version
        remedy = "upgrade layerkit" if newer else "train the run again"
        raise LayerkitError(f"{path} has format {found!r:.60}, this layerkit reads {version}: {remedy}")
    if not whole:
        raise DamagedError(f"{path} is damaged: its checksum is another")
    if contents.get("kind") != kind:
        raise LayerkitError(f"{path} is not of a {kind}, but of {contents.get('kind')!r:.60}")
    return {name: value for name, value in contents.items() if name not in ("sha256", "kind", "format")}
