"""What the JAX backend can tell about itself: time spent compiling, XLA's own figures for a program, versions."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jaxlib

__all__ = ["compile_seconds", "environment", "memory_stats", "note", "program_cost"]

_STAGES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "trace",
    "/jax/core/compile/backend_compile_duration": "compile",
}
_COSTS = {"flops": "flops", "bytes": "bytes accessed"}
_DRIVER = Path("/proc/driver/nvidia/version")

_lock = threading.Lock()
_spent: dict[tuple[int, str], list[tuple[float, float]]] = {}


def note(event: str, seconds: float) -> None:
    """Takes in what jax says about a stage that has just ended."""
    stage = _STAGES.get(event)
    if stage is None:
        return
    end = time.perf_counter()
    with _lock:
        # A program traced inside of another was told of before: the outer one's time holds it.
        before = _spent.setdefault((threading.get_ident(), stage), [])
        while before and before[-1][0] >= end - seconds:
            before.pop()
        before.append((end - seconds, end))


def compile_seconds() -> dict[str, float]:
    """Seconds spent so far on tracing (with lowering) and on compiling."""
    with _lock:
        return {
            name: sum(end - start for (_, stage), times in _spent.items() if stage == name for start, end in times)
            for name in ("trace", "compile")
        }


def program_cost(program: Callable[..., Any], *args: Any) -> dict[str, float]:
    """Floating-point operations, bytes and memory, as XLA states them for the compiled program."""
    compiled = program.lower(*args).compile()  # type: ignore[attr-defined]
    stated = compiled.cost_analysis() or {}
    found = {ours: float(stated[theirs]) for ours, theirs in _COSTS.items() if stated.get(theirs, -1) >= 0}
    with contextlib.suppress(AttributeError, NotImplementedError, RuntimeError):
        sizes = compiled.memory_analysis()
        parts = (sizes.argument_size_in_bytes, sizes.output_size_in_bytes, sizes.temp_size_in_bytes)
        found["memory"] = float(sum(parts) - sizes.alias_size_in_bytes)
    return found


def memory_stats() -> dict[str, float]:
    """What the default device says of its memory; a CPU says nothing."""
    device = jax.config.jax_default_device or jax.local_devices()[0]
    stated = device.memory_stats() or {}
    names = {"limit": "bytes_limit", "in_use": "bytes_in_use", "peak": "peak_bytes_in_use"}
    return {ours: float(stated[theirs]) for ours, theirs in names.items() if theirs in stated}


def environment() -> dict[str, str]:
    """Versions of jax, jaxlib and the device's driver; settings in the environment."""
    found = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
    device = jax.config.jax_default_device or jax.local_devices()[0]
    if device.platform != "cpu":
        found["platform"] = " ".join(device.client.platform_version.split())
        with contextlib.suppress(OSError):
            found["driver"] = _DRIVER.read_text("utf-8").splitlines()[0].partition(":")[2].strip()
    precision = jax.config.jax_default_matmul_precision
    if precision is not None:
        found["matmul precision"] = str(precision)
    return found | {name: value for name, value in sorted(os.environ.items()) if name.startswith(("XLA_", "JAX_"))}
