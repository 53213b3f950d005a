"""A published BERT: its tensors, by the names that Hugging Face's BertModel gives them, as weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layerkit as lk
from layerkit import fastmath
from layerkit.errors import LayerkitError, shown
from layerkit.files import tensors

__all__ = ["PretrainedBERT"]

# The layers of a block that have weights, in order.
_BLOCK = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)


class PretrainedBERT(lk.Serial):
    """The layers of ``BERT``, whose ``init`` takes the weights from a file."""

    def __init__(self, body: Any, n_layers: int, init_checkpoint: str | os.PathLike[str]) -> None:
        super().__init__(body, name="BERT")
        self.n_layers = n_layers
        if not isinstance(init_checkpoint, (str, os.PathLike)):
            raise lk.LayerError(
                f"BERT: init_checkpoint must be the path of a safetensors file, got {shown(init_checkpoint)}"
            )
        self.path = Path(init_checkpoint)

    @property
    def kind(self) -> str:
        """That of a plain Serial: a BERT trained further is loaded without the file it began with."""
        return "Serial"

    def init_in_frame(self, frame: Any, inputs: Any) -> tuple[Any, Any, Any]:
        """(weights, state, output signature), the weights those of the file."""
        weights, state, outputs = super().init_in_frame(frame, inputs)
        found = self._tensors()
        leaves = zip(_names(self.n_layers), fastmath.tree_leaves(weights), strict=True)
        return fastmath.tree_unflatten([self._fitting(found, *leaf) for leaf in leaves], weights), state, outputs

    def _tensors(self) -> dict[str, Any]:
        try:
            found, _ = tensors.read(self.path, need_seal=False, follow=True)
        except LayerkitError as error:
            raise lk.LayerError(str(error)) from error
        found = {_plain(name): array for name, array in found.items()}
        n_blocks = len({name.split(".")[2] for name in found if name.startswith("encoder.layer.")})
        if n_blocks != self.n_layers:
            raise lk.LayerError(
                f"{self.path} is a BERT of {n_blocks} layers, and this one has n_layers={self.n_layers}"
            )
        return found

    def _fitting(self, found: dict[str, Any], name: str, wanted: Any) -> Any:
        if name not in found:
            raise lk.LayerError(f"{self.path} has no tensor {name}: it is no BERT, or names its tensors otherwise")
        # Its kernels stand the other way round: (out, in).
        array = found[name] if name.startswith("embeddings.") else found[name].T
        if array.shape != tuple(wanted.shape):
            raise lk.LayerError(f"{self.path}: {name} makes {array.shape}, and this BERT needs {tuple(wanted.shape)}")
        return fastmath.to_device(array.astype(wanted.dtype))


def _plain(name: str) -> str:
    """The name as newer files of the body alone have it."""
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _names(n_layers: int) -> Iterator[str]:
    """The tensors in the order of the body's weights."""
    for table in ("word", "token_type", "position"):
        yield f"embeddings.{table}_embeddings.weight"
    blocks = [f"encoder.layer.{block}.{part}" for block in range(n_layers) for part in _BLOCK]
    for layer in ("embeddings.LayerNorm", *blocks, "pooler.dense"):
        yield from (f"{layer}.weight", f"{layer}.bias")
