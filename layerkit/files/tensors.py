"""Arrays in a safetensors file, each with a checksum; read without believing a word of it.

The format is 8 bytes with the length of a JSON header, the header, and the bytes of the arrays one after the other
(https://huggingface.co/docs/safetensors). Its library reads flipped bits in silence, has the whole file in memory to
write it, and follows links. What is written here begins with a seal in the place the format has for remarks, so that
every other program reads these files too; files without a seal are read where they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from layerkit.errors import LayerkitError, shown
from layerkit.files import disk, sealed
from layerkit.files.disk import DamagedError

__all__ = ["Header", "Outline", "about_of", "header_size", "read", "to_bytes"]

VERSION = 1

_CODES = {
    "bool": "BOOL",
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}
_NAMES = {code: name for name, code in _CODES.items()}
_HEADER = b'{"__metadata__":{'
_LONGEST_HEADER = 100_000_000  # that of the safetensors library
_LONGEST_NAME = 1 << 16
_MOST_AXES = 64  # NumPy's limit


class Outline(NamedTuple):
    """What a file says of one array before it is read."""

    dtype: str
    shape: tuple[int, ...]
    size: int
    """Its bytes."""
    sha256: str
    """Empty in a file without a seal."""

    def to_json(self) -> dict[str, Any]:
        """As a manifest lists it."""
        return {"shape": list(self.shape), "dtype": self.dtype, "sha256": self.sha256}


class Header(NamedTuple):
    """What a file says before its arrays: their outlines in order, and what was written ``about`` them."""

    outlines: dict[str, Outline]
    about: Any
    is_sealed: bool


def to_bytes(path: Path, arrays: Mapping[str, Any], about: Any = None) -> tuple[dict[str, Outline], list[Any]]:
    """(outlines, pieces): the pieces are the bytes of a sealed file of NumPy arrays, mostly the arrays' own memory.

    Args:
        path: what errors call the file.
        about: anything that JSON can hold, to be kept with them.

    Raises:
        LayerkitError: an array has a dtype that the format does not know, or a name that no reader takes.
    """
    outlines, pieces = {}, []
    for name, array in arrays.items():
        if array.dtype.name not in _CODES:
            raise LayerkitError(f"{path}: {name} has dtype {array.dtype}, which a safetensors file cannot hold")
        if fault := _fault_of_name(name):
            raise LayerkitError(f"{path}: the array {shown(name)} cannot be kept: its name {fault}")
        data = np.asarray(array, order="C").reshape(-1).view(np.uint8).data
        outlines[name] = Outline(array.dtype.name, tuple(array.shape), data.nbytes, sealed.digest(data))
        pieces.append(data)
    return outlines, [_header_text(outlines, about), *pieces]


def header_size(arrays: Mapping[str, Any]) -> int:
    """Where the first array lies in a file of such arrays: checksums are all of one length."""
    nothing = sealed.digest(b"")
    outlines = {name: Outline(a.dtype.name, tuple(a.shape), a.nbytes, nothing) for name, a in arrays.items()}
    return len(_header_text(outlines, None))


def _header_text(outlines: Mapping[str, Outline], about: Any) -> bytes:
    """The file's first bytes, up to the arrays."""
    end, entries = 0, b""
    for name, outline in outlines.items():
        offsets = [end, end := end + outline.size]
        entry = {"dtype": _CODES[outline.dtype], "shape": outline.shape, "data_offsets": offsets}
        entries += b"," + sealed.dump(name) + b":" + sealed.dump(entry)
    digests = {name: outline.sha256 for name, outline in outlines.items()}
    ours = sealed.dump({"format": VERSION, "tensors": digests, "about": about}).decode()
    after = b',"layerkit":' + sealed.dump(ours) + b"}" + entries + b"}"
    length = len(sealed.seal(_HEADER, after))
    after += b" " * (-length % 8)  # the arrays then lie as NumPy likes them
    text = sealed.seal(_HEADER, after)
    return len(text).to_bytes(8, "little") + text


def read(path: Path, need_seal: bool = True, follow: bool = False) -> tuple[dict[str, Any], Header]:
    """(NumPy arrays by name, the header); every size is checked against the file before there is room made for it.

    Args:
        need_seal: whether a file that has no seal is refused.
        follow: whether ``path`` may be a link.

    Raises:
        DamagedError: the file is missing, unsound, or an array in it has changed.
    """
    with disk.opened(path, follow) as (handle, size):
        header = _read_header(path, handle, size, need_seal)
        arrays = {}
        for name, outline in header.outlines.items():
            array = np.empty(outline.shape, _dtype(path, outline.dtype))
            data = array.reshape(-1).view(np.uint8).data
            disk.read_into(path, handle, data)
            if header.is_sealed and sealed.digest(data) != outline.sha256:
                raise DamagedError(f"{path} is damaged: the array {name} has another checksum than when it was written")
            if outline.dtype == "bool" and data.nbytes and np.frombuffer(data, np.uint8).max() > 1:
                raise DamagedError(f"{path} is damaged: the array {name} of booleans has other values than 0 and 1")
            arrays[name] = array
        return arrays, header


def about_of(path: Path) -> Any:
    """What was written about a sealed file's arrays, without reading these.

    Raises:
        DamagedError: the file is missing, unsound, or has no seal.
    """
    with disk.opened(path) as (handle, size):
        return _read_header(path, handle, size, need_seal=True).about


def _dtype(path: Path, name: str) -> Any:
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError as error:
        raise LayerkitError(f"{path} has numbers in bfloat16: pip install ml_dtypes") from error
    return np.dtype(ml_dtypes.bfloat16)


def _read_header(path: Path, handle: int, size: int, need_seal: bool) -> Header:
    start = bytearray(8)
    if size < len(start):
        raise DamagedError(f"{path} is damaged: {size} bytes are no safetensors file")
    disk.read_into(path, handle, start)
    length = int.from_bytes(start, "little")
    if length > min(_LONGEST_HEADER, size - len(start)):
        raise DamagedError(f"{path} is damaged: its header has {length:,} bytes, the file {size:,}")
    text = bytearray(length)
    disk.read_into(path, handle, text)
    whole = sealed.check_seal(bytes(text), _HEADER)
    try:
        if need_seal and not whole:
            raise ValueError("the checksum of its header is another")
        return _parsed(sealed.parse(bytes(text)), size - len(start) - length, whole)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}") from error


def _parsed(contents: Any, room: int, is_sealed: bool) -> Header:
    remarks = contents.pop("__metadata__", {}) if isinstance(contents, dict) else None
    if remarks is None:
        raise ValueError("its header is no JSON object")
    if not isinstance(remarks, dict) or not all(isinstance(text, str) for text in remarks.values()):
        raise ValueError("its remarks are no texts")
    ours = sealed.parse(remarks["layerkit"].encode()) if is_sealed and "layerkit" in remarks else {}
    digests = ours.get("tensors", {}) if isinstance(ours, dict) else {}
    if is_sealed and (not isinstance(digests, dict) or digests.keys() != contents.keys()):
        raise ValueError("its checksums are of other arrays")
    places = {name: _place(name, entry, digests.get(name, "")) for name, entry in contents.items()}
    end = 0
    outlines = {}
    for name, (begin, outline) in sorted(places.items(), key=lambda item: (item[1][0], item[1][1].size)):
        if begin != end:
            raise ValueError(f"the array {name} begins at byte {begin}, and the one before ends at {end}")
        end += outline.size
        outlines[name] = outline
    if end != room:
        raise ValueError(f"its arrays have {end:,} bytes, and there are {room:,}")
    return Header(outlines, ours.get("about") if is_sealed else None, is_sealed)


def _place(name: str, entry: Any, digest: Any) -> tuple[int, Outline]:
    """(the first byte, the outline) of an array."""
    if fault := _fault_of_name(name):
        raise ValueError(f"the name {name!r:.60} {fault}")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the array {name} is described by {shown(entry)}")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _NAMES:
        raise ValueError(f"the array {name} has the unknown dtype {shown(code)}")
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < 1 << 63 for n in numbers):
            raise ValueError(f"the array {name} has shape {shown(shape)} and lies at {shown(offsets)}")
    dtype = _NAMES[code]
    size = math.prod(shape) * (2 if dtype == "bfloat16" else np.dtype(dtype).itemsize)
    too_large = len(shape) > _MOST_AXES or math.prod(max(n, 1) for n in shape) >= 1 << 59
    if too_large or len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise ValueError(f"the array {name} is {dtype}{shown(shape)}, and lies at bytes {shown(offsets)}")
    return offsets[0], Outline(dtype, tuple(shape), size, str(digest))


def _fault_of_name(name: str) -> str:
    """What is wrong with an array's name; empty if nothing is. A name is never used as a path all the same."""
    if not name or len(name) > _LONGEST_NAME:
        return f"has {len(name):,} characters"
    if any(ord(character) < 32 for character in name):
        return "has a control character"
    return "has '..' in it" if ".." in name.split("/") else ""
