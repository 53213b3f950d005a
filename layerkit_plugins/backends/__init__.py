"""The bundled backends: ``numpy``, the reference, and ``jax``. Neither is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit import hookimpl

__all__ = ["layerkit_backends"]


def numpy() -> Any:
    """The reference backend: NumPy arrays, gradients by ``autograd``."""
    from layerkit_plugins.backends.numpy.backend import NumpyBackend

    return NumpyBackend()


def jax() -> Any:
    """The compiling backend: CPU, GPU and TPU."""
    from layerkit_plugins.backends.jax import JaxBackend

    return JaxBackend()


numpy.requires, numpy.preference, numpy.remedy = ("autograd",), 0, "pip install autograd"  # type: ignore[attr-defined]
jax.requires, jax.preference, jax.remedy = ("jax",), 10, 'pip install "layerkit[jax]"'  # type: ignore[attr-defined]

# Kept here, because importing the submodule of the same name puts a module in the function's place.
_BACKENDS = (numpy, jax)


@hookimpl
def layerkit_backends() -> Sequence[Callable[[], Any]]:
    """The constructors of ``numpy`` and ``jax``."""
    return _BACKENDS
