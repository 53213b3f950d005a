"""What jax is told once, before it computes: where to keep programs, which device to use, what it need not say."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import platform
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import jax

from layerkit.cache_folder import cache_folder
from layerkit.errors import UsageError
from layerkit.fastmath import random
from layerkit_plugins.backends.jax import measures

__all__ = ["compilations", "device_words", "find_device", "on_cpu", "program_folder", "quiet_donation", "set_up"]


@functools.cache
def set_up() -> None:
    """Settings that hold for the process: the environment's, no chatter, a count of compilations."""
    random.stream()  # says so where LAYERKIT_THREEFRY names none, before a layer draws
    logging.getLogger("jax._src.xla_bridge").addFilter(_is_news)
    _repeat_bits()
    _require_platforms()
    wanted = os.environ.get("LAYERKIT_DEVICE")
    if wanted:
        _choose(wanted)
    _keep_programs()
    jax.monitoring.register_event_duration_secs_listener(_count)


def _repeat_bits() -> None:
    """LAYERKIT_DETERMINISTIC=1: on a GPU, no kernel whose order of additions changes, and none chosen by the clock.

    Source: https://openxla.org/xla/determinism. XLA reads its flags when jax first looks for devices.
    """
    wanted = os.environ.get("LAYERKIT_DETERMINISTIC", "0")
    if wanted not in ("", "0", "1"):
        raise UsageError(f"LAYERKIT_DETERMINISTIC is 1 or 0, got {wanted!r}")
    if wanted == "1":
        flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join([*flags, "--xla_gpu_deterministic_ops=true"])


def _is_news(record: logging.LogRecord) -> bool:
    # That a machine with a GPU runs the CPU build of jax is for `layerkit backends` to say, not for every run.
    return "may be present on this machine" not in record.getMessage()


# -- compiled programs on disk ----------------------------------------------------------------------------------------


def program_folder() -> Path | None:
    """Where compiled programs are kept: ``xla`` in layerkit's cache folder.

    Programs hold instructions of the processor they were compiled on, and a home folder may be shared by several kinds
    of them, so each kind has a folder of its own.
    """
    folder = cache_folder("xla")
    return None if folder is None else folder / _processor()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            features = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        features = platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:8]}"


def _keep_programs() -> None:
    if jax.config.jax_compilation_cache_dir is not None:
        return
    # A home that is missing or cannot be written only means that programs are compiled again next time.
    with contextlib.suppress(OSError):
        folder = program_folder()
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        warnings.filterwarnings("ignore", "Error writing persistent compilation cache entry", UserWarning)


# -- devices ----------------------------------------------------------------------------------------------------------


def _require_platforms() -> None:
    """Where jax was told what to compute on, that is there: else the first layer would fail, as if it were at fault."""
    wanted = jax.config.jax_platforms
    if not wanted:
        return
    try:
        jax.local_devices()
    except Exception as error:  # one of jax's is an AssertionError without a word
        reason = " ".join(str(error).split()) or "there is no such device"
        raise UsageError(
            f"JAX_PLATFORMS is {wanted!r}, where jax cannot start: {reason}: unset it, or install a jax that can"
        ) from error


def _choose(wanted: str) -> None:
    # Asking jax for its devices starts every platform it has: a GPU nobody wants would take seconds and memory.
    if wanted.partition(":")[0].lower() == "cpu" and not jax.config.jax_platforms:
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_default_device", find_device(wanted, "LAYERKIT_DEVICE"))


def find_device(wanted: str, who: str) -> Any:
    """The device that ``cpu``, ``gpu``, ``tpu`` or ``gpu:1`` names.

    Raises:
        UsageError: there is no such device; the message lists those there are.
    """
    kind, _, number = wanted.partition(" ")[0].lower().partition(":")
    if kind and (number or "0").isdecimal():
        with contextlib.suppress(RuntimeError, IndexError):
            return jax.local_devices(backend=kind)[int(number or 0)]
    raise UsageError(f"{who}: there is no device {wanted!r}; known: {', '.join(device_words())}")


def on_cpu() -> bool:
    """Whether programs are compiled for a CPU."""
    device = jax.config.jax_default_device
    return (jax.default_backend() if device is None else getattr(device, "platform", device)) == "cpu"


def device_words() -> list[str]:
    """The devices of this process, the default one first: ``gpu:0 NVIDIA H200``."""
    devices = jax.local_devices()
    with contextlib.suppress(RuntimeError):
        devices = devices + [device for device in jax.local_devices(backend="cpu") if device not in devices]
    return [_in_words(device) for device in sorted(devices, key=lambda d: d != jax.config.jax_default_device)]


def _in_words(device: Any) -> str:
    number = jax.local_devices(backend=device.platform).index(device)
    name = f"{device.platform}:{number}"
    return name if device.device_kind.lower() == device.platform else f"{name} {device.device_kind}"


# -- what jax says ----------------------------------------------------------------------------------------------------


def quiet_donation() -> None:
    """On a CPU, no warning about a donated buffer that no result could use: there it costs a little memory and no more.

    Called for each program, since ``warnings.catch_warnings`` (around a test, say) forgets filters set before.
    """
    if jax.default_backend() == "cpu":
        warnings.filterwarnings("ignore", "Some donated buffers were not usable", UserWarning)


_counting = threading.Lock()
_compiled = 0


def _count(event: str, seconds: float, **_about: Any) -> None:
    global _compiled
    measures.note(event, seconds)
    if event == "/jax/core/compile/backend_compile_duration":
        with _counting:
            _compiled += 1


def compilations() -> int:
    """How many programs were made ready in this process, whether compiled or read from disk."""
    return _compiled
