"""The Python environments that the peers live in: made once with venv and pip, in a folder outside of the checkout."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from frameworks import HERE

__all__ = ["default_folder", "python_of"]

_READY = "ready"


def default_folder() -> Path:
    """The user's cache folder has room for them: two gigabytes and more, with PyTorch's CUDA libraries six."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "layerkit" / "peers"


def python_of(environment: str, folder: Path, torch: str, pip_arguments: list[str]) -> str:
    """The Python of an environment, which is made if it is not there yet; ``torch`` is PyTorch's requirement for pip.

    JAX and NumPy have the versions that this Python has, so that a difference between rows is one between frameworks.
    """
    if environment == HERE:
        return sys.executable
    place = folder / environment
    python = place / "bin" / "python"
    if (place / _READY).exists():
        return str(python)
    same = [f"{name}=={importlib.metadata.version(name)}" for name in ("jax", "numpy")]
    requirements = {
        "jax": ["flax", "optax", "equinox", "dm-haiku", "keras", *same],
        "torch": [torch, same[1]],
        "thinc": ["thinc"],
    }
    print(f"installing {', '.join(requirements[environment])} into {place}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", *pip_arguments]
    subprocess.run([*pip, *requirements[environment]], check=True)
    (place / _READY).touch()
    return str(python)
