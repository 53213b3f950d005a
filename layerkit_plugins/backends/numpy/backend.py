"""The reference backend: NumPy, gradients recorded as ``autograd`` does. What the other backends are held to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as onp

from layerkit.errors import UsageError
from layerkit.fastmath import nested_map
from layerkit.fastmath import random as language
from layerkit_plugins.backends.numpy import (
    control,
    measures,
    namespace,
    random,
    replaying,
    rows,
    special,
    stand_ins,
)
from layerkit_plugins.backends.numpy.precision import narrow

__all__ = ["NumpyBackend"]

_Function = Callable[..., Any]


def _gradients() -> Any:
    # A program that never differentiates never imports what does.
    from layerkit_plugins.backends.numpy import gradients

    return gradients


class NumpyBackend:
    """Computes with NumPy: nothing is compiled, and every value can be looked at."""

    name = "numpy"
    numpy = namespace.np
    random = random

    take_rows = staticmethod(rows.take_rows)
    put_rows = staticmethod(rows.put_rows)
    segment_sum = staticmethod(rows.segment_sum)
    logsumexp = staticmethod(special.logsumexp)
    erf = staticmethod(special.erf)
    rarely = staticmethod(stand_ins.rarely)
    top_k = staticmethod(special.top_k)
    update_slice = staticmethod(special.update_slice)
    scan = staticmethod(control.scan)
    cond = staticmethod(control.cond)
    while_loop = staticmethod(control.while_loop)
    map = staticmethod(control.map_slices)
    vmap = staticmethod(control.vmap)
    abstract_eval = staticmethod(control.abstract_eval)
    canonical = staticmethod(narrow)
    program_cost = staticmethod(measures.program_cost)
    memory_stats = staticmethod(measures.memory_stats)
    environment = staticmethod(measures.environment)

    def __init__(self) -> None:
        # What the environment asks for wrongly is said here, and not by the first layer that draws or computes.
        language.stream()
        replaying.is_on()

    def jit(self, f: _Function, static_argnums: Sequence[int] = (), donate_argnums: Sequence[int] = ()) -> _Function:
        """``f``, whose NumPy calls are recorded and played where that can be; no memory is taken over."""
        return replaying.jit(f, static_argnums, donate_argnums)

    def value_and_grad(self, f: _Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> _Function:
        return _gradients().value_and_grad(f, argnums, has_aux)

    def vjp(self, f: _Function, *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        return _gradients().vjp(f, *primals)

    def conv(self, *args: Any) -> Any:
        from layerkit_plugins.backends.numpy import convolution  # few models have one

        return convolution.conv(*args)

    def stop_gradient(self, x: Any) -> Any:
        return nested_map(namespace.known, x)

    def custom_vjp(self, f: _Function, forward: _Function, backward: _Function) -> _Function:
        return _gradients().custom_vjp(f, forward, backward)

    def remat(self, f: _Function) -> _Function:
        return _gradients().remat(f)

    def to_host(self, tree: Any) -> Any:
        return nested_map(lambda leaf: onp.asarray(namespace.known(leaf)), tree)

    def to_device(self, tree: Any, device: Any = None) -> Any:
        if device is not None and str(device).lower() not in ("cpu", "cpu:0"):
            raise UsageError(f"the numpy backend computes on the CPU alone, not on {str(device)!r}: use device 'cpu'")
        return nested_map(namespace.np.asarray, tree)

    def devices(self) -> list[str]:
        return ["cpu:0"]

    def block_until_ready(self, tree: Any) -> Any:
        return tree

    def is_traced(self, x: Any) -> bool:
        """Inside ``abstract_eval`` alone: a box's value is known."""
        return control.is_abstract()

    def float64(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def compilations(self) -> int:
        return 0
