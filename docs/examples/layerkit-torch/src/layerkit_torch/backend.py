"""The backend: every member of ``layerkit.fastmath.Backend``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as onp
import torch

from layerkit.errors import UsageError
from layerkit.fastmath import nested_map
from layerkit_torch import control, gradients, random, rows
from layerkit_torch.array import Array, as_array, detached, to_numpy
from layerkit_torch.convolution import conv
from layerkit_torch.dtypes import narrow_dtype
from layerkit_torch.elementwise import floats
from layerkit_torch.namespace import np
from layerkit_torch.reductions import logsumexp

__all__ = ["TorchBackend"]

_Function = Callable[..., Any]


class TorchBackend:
    """Computes with PyTorch on the CPU: nothing is compiled, and every value can be looked at."""

    name = "torch"
    numpy = np
    random = random

    value_and_grad = staticmethod(gradients.value_and_grad)
    vjp = staticmethod(gradients.vjp)
    custom_vjp = staticmethod(gradients.custom_vjp)
    remat = staticmethod(gradients.remat)
    stop_gradient = staticmethod(detached)
    vmap = staticmethod(control.vmap)
    scan = staticmethod(control.scan)
    cond = staticmethod(control.cond)
    while_loop = staticmethod(control.while_loop)
    map = staticmethod(control.map_slices)
    abstract_eval = staticmethod(control.abstract_eval)
    take_rows = staticmethod(rows.take_rows)
    segment_sum = staticmethod(rows.segment_sum)
    top_k = staticmethod(rows.top_k)
    update_slice = staticmethod(rows.update_slice)
    logsumexp = staticmethod(logsumexp)
    conv = staticmethod(conv)

    def jit(self, f: _Function, static_argnums: Sequence[int] = (), donate_argnums: Sequence[int] = ()) -> _Function:
        """``f`` itself: torch runs each operation as it is asked for."""
        return f

    def erf(self, x: Any) -> Array:
        return Array(torch.erf(floats(x)[1][0]))

    def to_host(self, tree: Any) -> Any:
        return nested_map(to_numpy, tree)

    def to_device(self, tree: Any, device: Any = None) -> Any:
        if device is not None and str(device).lower() not in ("cpu", "cpu:0"):
            raise UsageError(f"the torch backend computes on the CPU alone, not on {str(device)!r}: use device 'cpu'")
        return nested_map(as_array, tree)

    def devices(self) -> list[str]:
        return ["cpu"]

    def block_until_ready(self, tree: Any) -> Any:
        return tree

    def canonical(self, x: Any) -> Any:
        if not isinstance(x, (Array, onp.ndarray, onp.generic)) or narrow_dtype(x.dtype) == x.dtype:
            return x
        return x.astype(narrow_dtype(x.dtype))

    def is_traced(self, x: Any) -> bool:
        """Inside ``abstract_eval`` alone: while a gradient is computed, values are known."""
        return control.is_abstract()

    def float64(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def compilations(self) -> int:
        return 0
