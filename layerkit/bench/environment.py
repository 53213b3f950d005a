"""The machine and what is installed on it, recorded beside every figure; and whether somebody else is using it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["Load", "cores", "machine", "same_machine", "software"]

_VARIABLES = ("LAYERKIT_", "OMP_", "OPENBLAS_", "MKL_", "XLA_", "JAX_", "CUDA_VISIBLE", "PYTHONMALLOC")


def cores() -> int:
    """How many processors this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """What times depend on and no installation changes: processor, cores, memory, system."""
    memory = None
    with contextlib.suppress(AttributeError, ValueError, OSError):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": cores(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def same_machine(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """What is different between two machines, in words; empty if times of both can be compared.

    >>> same_machine({"processor": "A", "cores": 2}, {"processor": "B", "cores": 2})
    "processor 'A' there, 'B' here"
    """
    names = ("processor", "architecture", "cores")
    parts = [
        f"{name} {one.get(name)!r} there, {other.get(name)!r} here"
        for name in names
        if one.get(name) != other.get(name)
    ]
    return "; ".join(parts)


def software() -> dict[str, Any]:
    """Python, layerkit, and the environment variables that may change a time."""
    own = "unknown"
    with contextlib.suppress(metadata.PackageNotFoundError):
        own = metadata.version("layerkit")
    variables = {name: value for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)}
    return {"python": platform.python_version(), "layerkit": own, "variables": variables}


class Load:
    """How busy the machine is with other things, from when this is made until ``others`` is asked for."""

    def __init__(self) -> None:
        self.before = self._average()
        self._busy, self._own = self._ticks(), self._mine()

    def others(self) -> float | None:
        """Processors that others kept busy meanwhile, on average; ``None`` where the system does not say."""
        now = self._ticks()
        if now is None or self._busy is None:
            return None
        elapsed = now[1] - self._busy[1]
        own = self._mine() - self._own
        return max(0.0, (now[0] - self._busy[0]) - own) / elapsed if elapsed > 0 else 0.0

    @staticmethod
    def _average() -> float | None:
        with contextlib.suppress(OSError, AttributeError):
            return os.getloadavg()[0]
        return None

    @staticmethod
    def _mine() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    @staticmethod
    def _ticks() -> tuple[float, float] | None:
        """Seconds that all processors were busy since the machine started, and seconds since then."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            numbers = [float(n) for n in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]]
            idle = numbers[3] + numbers[4]
            tick = os.sysconf("SC_CLK_TCK")
            return (sum(numbers) - idle) / tick, float(Path("/proc/uptime").read_text("ascii").split()[0])
        return None
