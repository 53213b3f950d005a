"""Arrays in a safetensors file: written in one pass, without a second copy in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.errors import LayerkitError

__all__ = ["read_arrays", "write_arrays"]

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
"""The format's own names of dtypes (https://huggingface.co/docs/safetensors, "Format")."""


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes NumPy arrays by name, and flushes the file to the disk.

    The format is 8 bytes with the length of a JSON header, the header, and the bytes of the arrays one after the other.
    The safetensors library would build all of it in memory first, or write to a place of its own.

    Raises:
        LayerkitError: an array has a dtype that the format does not know.
        OSError: it cannot be written.
    """
    header: dict[str, Any] = {}
    end = 0
    for name, array in arrays.items():
        code = _CODES.get(array.dtype.name)
        if code is None:
            raise LayerkitError(f"{path}: {name} has dtype {array.dtype}, which a safetensors file cannot hold")
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the arrays then lie as NumPy likes them
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in arrays.values():
            file.write(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())


def read_arrays(path: Path) -> dict[str, Any]:
    """The NumPy arrays of a file, by name.

    Raises:
        LayerkitError: the file is missing, or no sound safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except OSError as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror or error}"
        raise LayerkitError(f"{path} {reason}") from error
    except SafetensorError as error:
        raise LayerkitError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
