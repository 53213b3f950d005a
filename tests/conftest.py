"""What holds for every test: the backends it runs on, how long hypothesis looks, no pile of compiled programs."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import layerkit as lk

# How long an example takes says more about the machine than about the code.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("patient", _PATIENT)
settings.register_profile("fuzz", _PATIENT, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))

# A shell that starts the tests in the background has Ctrl-C ignored, and some of them press it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_STATM = Path("/proc/self/statm")
_MOST_GROWTH = 500 << 20
_last = 0


def _resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if _STATM.exists() else 0


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test once on each backend."""
    with lk.use_backend(request.param):
        yield request.param


@pytest.fixture
def on_numpy() -> Iterator[None]:
    """Runs a test on NumPy."""
    with lk.use_backend("numpy"):
        yield


@pytest.fixture(autouse=True)
def _programs_are_forgotten_now_and_then() -> Iterator[None]:
    """JAX would keep every program that it compiled: gigabytes by the end of the suite."""
    global _last
    yield
    if "jax" in sys.modules and _resident() > _last + _MOST_GROWTH:
        sys.modules["jax"].clear_caches()
        gc.collect()
        _last = _resident()
