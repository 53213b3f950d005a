"""How fast a device multiplies matrices and moves memory: measured, and what a roofline is drawn from."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import Backend

__all__ = ["device_of", "measured_limits"]

_SECONDS = 0.2
_LEAST_TIMES = 3


def device_of(backend: Backend) -> str:
    """The device a backend computes on, in lower case; any processor of this machine is ``cpu``."""
    name = str(backend.devices()[0]).lower()
    return "cpu" if name.partition(":")[0] == "cpu" else name


def measured_limits(backend: Backend, seconds: float = _SECONDS) -> dict[str, float]:
    """The best rates seen on the active backend: ``flops`` and ``bytes`` in a second.

    The product of two square matrices, 2 n^3 operations; a number added to every element of an array that no cache
    holds, which is read and written once. Both in float32.
    """
    small = device_of(backend) == "cpu"
    n, length = (1024, 1 << 24) if small else (8192, 1 << 28)
    if seconds < _SECONDS:  # somebody is in a hurry
        n, length = n // 4, length // 4
    multiply = backend.jit(lambda a, b: np.matmul(a, b))
    move = backend.jit(lambda x: x + 1)
    matrix = backend.to_device(onp.full((n, n), 0.5, onp.float32))
    array = backend.to_device(onp.ones(length, onp.float32))
    wait = backend.block_until_ready
    return {
        "flops": 2.0 * n**3 / _best(lambda: wait(multiply(matrix, matrix)), seconds),
        "bytes": 8.0 * length / _best(lambda: wait(move(array)), seconds),
    }


def _best(call: Callable[[], Any], seconds: float) -> float:
    """The shortest time of a call."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_TIMES or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
