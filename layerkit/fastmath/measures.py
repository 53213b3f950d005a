"""What a backend may tell about itself, so that ``layerkit bench`` can show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["Measures", "compile_seconds", "environment", "memory_stats", "program_cost"]


class Measures(Protocol):
    """Members of a backend that are not needed to compute. Each is optional: what is not there is not measured."""

    def compile_seconds(self) -> Mapping[str, float]:
        """Seconds spent so far in this process on making programs: ``trace`` (from Python to a program), ``compile``.

        They only grow, as ``compilations`` does; a stage inside another one is counted once.
        """

    def program_cost(self, program: Callable[..., Any], *args: Any) -> Mapping[str, float]:
        """What one call of ``program``, made by ``jit``, takes for arguments like these.

        ``flops``: floating-point operations. ``bytes``: memory read and written. ``memory``: bytes of arguments,
        results and what lies between, at the worst moment. Any of them may be left out.
        """

    def memory_stats(self) -> Mapping[str, float]:
        """Bytes on the default device: ``limit``, ``in_use``, ``peak`` since the process began.

        Empty where the device computes in the machine's own memory.
        """

    def environment(self) -> Mapping[str, str]:
        """Versions of libraries and drivers, and settings that change numbers or times, by name."""


def _asked(backend: Any, member: str, *args: Any) -> dict[str, Any]:
    answer = getattr(backend, member, None)
    return dict(answer(*args)) if callable(answer) else {}


def compile_seconds(backend: Any) -> dict[str, float]:
    """``backend.compile_seconds()``; empty where it has none."""
    return _asked(backend, "compile_seconds")


def program_cost(backend: Any, program: Callable[..., Any], *args: Any) -> dict[str, float]:
    """``backend.program_cost(program, *args)``; empty where it has none."""
    return _asked(backend, "program_cost", program, *args)


def memory_stats(backend: Any) -> dict[str, float]:
    """``backend.memory_stats()``; empty where it has none."""
    return _asked(backend, "memory_stats")


def environment(backend: Any) -> dict[str, str]:
    """``backend.environment()``; empty where it has none.

    >>> from layerkit.fastmath import use_backend
    >>> with use_backend("numpy") as backend:
    ...     "numpy" in environment(backend)
    True
    """
    return {name: str(value) for name, value in _asked(backend, "environment").items()}
