"""Gradients of cutting an array into windows and of adding windows up, each the other."""

from __future__ import annotations

from layerkit_plugins.backends.numpy.boxes import defvjp, primitive
from layerkit_plugins.backends.numpy.convolution import plain_fold, plain_windows
from layerkit_plugins.backends.numpy.namespace import differentiable

__all__: list[str] = []

_windows = primitive(plain_windows, "windows")
_fold = primitive(plain_fold, "fold")
defvjp(_windows, lambda ans, x, plan: lambda g: _fold(g, plan))
defvjp(_fold, lambda ans, w, plan: lambda g: _windows(g, plan))

differentiable.update(windows=_windows, fold=_fold)
