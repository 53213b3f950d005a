"""Whether a backend has everything that ``layerkit.fastmath.Backend`` names."""

from __future__ import annotations

from typing import Any

from layerkit import fastmath
from layerkit.fastmath import Backend, random
from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import active
from layerkit.testing.backend_case import BackendCase, check
from layerkit.testing.blame import demand

__all__: list[str] = []


@check("protocol")
def it_starts(case: BackendCase) -> None:
    """What it needs is installed, it is made without arguments, and it can be made the active one."""
    demand(fastmath.backend_name(), "it is active, and has no name")


@check("protocol")
def has_every_member(case: BackendCase) -> None:
    """It has every member of the protocol ``layerkit.fastmath.Backend``, and those that are functions can be called."""
    members = [name for name in vars(Backend) if not name.startswith("_")]
    missing = [name for name in (*Backend.__annotations__, *members) if not hasattr(active(), name)]
    demand(not missing, f"it has no {', '.join(missing)}")
    mute = [name for name in members if not callable(getattr(active(), name))]
    demand(not mute, f"{', '.join(mute)} cannot be called")
    case.figures["members"] = len(members)


@check("protocol")
def answers_to_its_name(case: BackendCase) -> None:
    """Its ``name`` is the one it is asked for by, in lower case: compiled programs are kept by it."""
    name: Any = active().name
    wanted = case.name.rpartition(":")[2]
    demand(name == wanted == wanted.lower(), f"it is asked for as {wanted!r} and calls itself {name!r}")


@check("protocol")
def numpy_has_every_name(case: BackendCase) -> None:
    """Its ``numpy`` has every function in ``layerkit.fastmath.numpy.NAMES``."""
    _demand_functions("numpy", active().numpy, np.NAMES)
    case.figures["names"] = len(np.NAMES)


@check("protocol")
def random_has_every_name(case: BackendCase) -> None:
    """Its ``random`` has every function in ``layerkit.fastmath.random.NAMES``."""
    _demand_functions("random", active().random, random.NAMES)
    case.figures["names"] = len(random.NAMES)


def _demand_functions(of: str, namespace: Any, names: tuple[str, ...]) -> None:
    missing = [name for name in names if not callable(getattr(namespace, name, None))]
    what = f"{of} lacks {len(missing)} of {len(names)} functions: {', '.join(missing[:8])}"
    demand(not missing, what)


@check("protocol")
def devices_are_named(case: BackendCase) -> None:
    """It names at least one device, in words, and takes arrays there by that name."""
    devices: Any = fastmath.devices()
    fine = isinstance(devices, list) and devices and all(isinstance(device, str) for device in devices)
    demand(fine, f"devices() is {devices!r}: a list of words, the default first, is due")
    moved = fastmath.to_device({"x": [1.0, 2.0]}, devices[0])
    demand(fastmath.to_host(moved["x"]) is not None, f"nothing comes back from device {devices[0]!r}")
