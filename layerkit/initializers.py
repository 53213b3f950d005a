"""Initializers: functions of (shape, rng) that make the first values of weights, the same on every backend."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import arguments, fastmath
from layerkit.engine.layer_error import LayerError
from layerkit.errors import os_reason, shown
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

__all__ = [
    "GlorotNormalInitializer",
    "GlorotUniformInitializer",
    "Initializer",
    "InitializerFromFile",
    "KaimingNormalInitializer",
    "KaimingUniformInitializer",
    "LeCunNormalInitializer",
    "LeCunUniformInitializer",
    "OrthogonalInitializer",
    "RandomNormalInitializer",
    "RandomUniformInitializer",
    "ScaledInitializer",
]

Shape = tuple[int, ...]

# Standard deviation of a standard normal cut off at -2 and 2 (scipy.stats.truncnorm.std(-2, 2)).
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer:
    """A function from (shape, rng) to the first values of weights, float32; printed as it was written.

    Any other function of (shape, rng) serves as well.
    """

    def __init__(self, written: str, draw: Callable[[Shape, Any], Any]) -> None:
        self._written = written
        self._draw = draw

    def __call__(self, shape: Shape, rng: Any) -> Any:
        # Drawn in 32 bits, and widened inside float64(): the same weights in both precisions.
        dtype = np.float64 if fastmath.float64_enabled() else np.float32
        drawn = self._draw(tuple(shape), rng)
        return drawn if drawn.dtype == dtype else drawn.astype(dtype)

    def __repr__(self) -> str:
        return self._written


def RandomNormalInitializer(stddev: float = 0.01) -> Initializer:
    """Normal numbers: stddev * N(0, 1).

    Args:
        stddev: their standard deviation, at least 0.

    >>> RandomNormalInitializer(1.0)((2, 3), random.get_prng(1)).shape
    (2, 3)
    """
    sigma = arguments.number("RandomNormalInitializer", "stddev", stddev, at_least=0)
    return Initializer(f"RandomNormalInitializer({stddev})", lambda shape, rng: sigma * random.normal(rng, shape))


def RandomUniformInitializer(lim: float = 1.0) -> Initializer:
    """Numbers spread evenly over [-lim, lim).

    Args:
        lim: the bound, at least 0.

    >>> bool(np.all(np.abs(RandomUniformInitializer(0.1)((9,), random.get_prng(0))) <= 0.1))
    True
    """
    bound = arguments.number("RandomUniformInitializer", "lim", lim, at_least=0)
    return Initializer(
        f"RandomUniformInitializer({lim})",
        lambda shape, rng: random.uniform(rng, shape, minval=-bound, maxval=bound),
    )


def ScaledInitializer(out_dim: int, in_dim: int, scale: float, mode: str, distribution: str) -> Initializer:
    """Random numbers with the variance scale / fan, so that a layer keeps the variance of what passes through it.

    fan_in is the number of inputs of each output: the size of axis ``in_dim`` times those of all axes but the two
    (the receptive field of a convolution); fan_out the same with ``out_dim``; fan_avg their mean.

    Args:
        out_dim, in_dim: axes of the weights that count outputs and inputs.
        scale: a number above 0.
        mode: ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``.
        distribution: ``"normal"``, ``"uniform"``, or ``"truncated_normal"`` (nothing beyond two standard deviations).

    Raises:
        LayerError: one of the arguments is none of these.

    >>> initializer = ScaledInitializer(-1, -2, 1.0, "fan_in", "uniform")  # over [-sqrt(3 / 300), sqrt(3 / 300))
    >>> bool(np.all(np.abs(initializer((300, 2), random.get_prng(0))) < 0.1001))
    True
    """
    written = f"ScaledInitializer({out_dim}, {in_dim}, {scale}, {mode!r}, {distribution!r})"
    return _scaled("ScaledInitializer", written, out_dim, in_dim, scale, mode, distribution)


def _scaled(
    name: str, written: str, out_dim: int, in_dim: int, scale: float, mode: str, distribution: str
) -> Initializer:
    factor = arguments.number(name, "scale", scale, above=0)
    arguments.one_of(name, "mode", mode, ("fan_in", "fan_out", "fan_avg"))
    arguments.one_of(name, "distribution", distribution, ("normal", "uniform", "truncated_normal"))
    out_axis = arguments.whole_number(name, "out_dim", out_dim, at_least=None)
    in_axis = arguments.whole_number(name, "in_dim", in_dim, at_least=None)

    def draw(shape: Shape, rng: Any) -> Any:
        fan_in, fan_out = _fans(name, shape, in_axis, out_axis)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        stddev = math.sqrt(factor / max(fan, 1))
        if distribution == "uniform":
            bound = math.sqrt(3) * stddev
            return random.uniform(rng, shape, minval=-bound, maxval=bound)
        if distribution == "normal":
            return stddev * random.normal(rng, shape)
        return stddev / _TRUNCATED_STDDEV * random.truncated_normal(rng, -2.0, 2.0, shape)

    return Initializer(written, draw)


def _fans(name: str, shape: Shape, in_dim: int, out_dim: int) -> tuple[int, int]:
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    rank = len(shape)
    for dim in (in_dim, out_dim):
        if not -rank <= dim < rank:
            raise LayerError(f"{name}: weights of shape {shape} have no axis {dim}")
    field = math.prod(size for axis, size in enumerate(shape) if axis not in (in_dim % rank, out_dim % rank))
    return shape[in_dim] * field, shape[out_dim] * field


def _named(name: str, out_dim: int, in_dim: int, scale: float, mode: str, distribution: str) -> Initializer:
    return _scaled(name, _written(name, out_dim, in_dim, scale), out_dim, in_dim, scale, mode, distribution)


def GlorotNormalInitializer(out_dim: int = -1, in_dim: int = -2, scale: float = 1.0) -> Initializer:
    """Normal numbers of variance 2 scale / (fan_in + fan_out).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    The arguments are those of ``ScaledInitializer``.

    >>> GlorotNormalInitializer()((2, 3), random.get_prng(0)).shape
    (2, 3)
    """
    return _named("GlorotNormalInitializer", out_dim, in_dim, scale, "fan_avg", "normal")


def GlorotUniformInitializer(out_dim: int = -1, in_dim: int = -2, scale: float = 1.0) -> Initializer:
    """Numbers spread evenly, of variance 2 scale / (fan_in + fan_out); see ``GlorotNormalInitializer``.

    >>> GlorotUniformInitializer()
    GlorotUniformInitializer()
    """
    return _named("GlorotUniformInitializer", out_dim, in_dim, scale, "fan_avg", "uniform")


def LeCunNormalInitializer(out_dim: int = -1, in_dim: int = -2, scale: float = 1.0) -> Initializer:
    """Normal numbers of variance scale / fan_in.

    LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998. The arguments are those of ``ScaledInitializer``.

    >>> LeCunNormalInitializer()((2, 3), random.get_prng(0)).shape
    (2, 3)
    """
    return _named("LeCunNormalInitializer", out_dim, in_dim, scale, "fan_in", "normal")


def LeCunUniformInitializer(out_dim: int = -1, in_dim: int = -2, scale: float = 1.0) -> Initializer:
    """Numbers spread evenly, of variance scale / fan_in; see ``LeCunNormalInitializer``.

    >>> LeCunUniformInitializer()((2, 3), random.get_prng(0)).shape
    (2, 3)
    """
    return _named("LeCunUniformInitializer", out_dim, in_dim, scale, "fan_in", "uniform")


def KaimingNormalInitializer(out_dim: int = -1, in_dim: int = -2, param: float = 0.0) -> Initializer:
    """Normal numbers of variance 2 / ((1 + param^2) fan_in), for layers before a (leaky) rectifier.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015.

    Args:
        out_dim, in_dim: as in ``ScaledInitializer``.
        param: the rectifier's slope for negative numbers, 0 for ``Relu``.

    >>> KaimingNormalInitializer()((2, 3), random.get_prng(0)).shape
    (2, 3)
    """
    return _kaiming("KaimingNormalInitializer", out_dim, in_dim, param, "normal")


def KaimingUniformInitializer(out_dim: int = -1, in_dim: int = -2, param: float = 0.0) -> Initializer:
    """Numbers spread evenly, of variance 2 / ((1 + param^2) fan_in); see ``KaimingNormalInitializer``.

    >>> KaimingUniformInitializer()((2, 3), random.get_prng(0)).shape
    (2, 3)
    """
    return _kaiming("KaimingUniformInitializer", out_dim, in_dim, param, "uniform")


def _kaiming(name: str, out_dim: int, in_dim: int, param: float, distribution: str) -> Initializer:
    slope = arguments.number(name, "param", param)
    written = _written(name, out_dim, in_dim, param, 0.0)
    return _scaled(name, written, out_dim, in_dim, 2 / (1 + slope**2), "fan_in", distribution)


def _written(name: str, out_dim: Any, in_dim: Any, last: Any, default: float = 1.0) -> str:
    return f"{name}()" if (out_dim, in_dim, last) == (-1, -2, default) else f"{name}({out_dim}, {in_dim}, {last})"


def OrthogonalInitializer(stddev: float = 1.0) -> Initializer:
    """stddev times a matrix with orthonormal columns (or rows, whichever are fewer), uniform among such matrices.

    The Q of the QR decomposition of normal numbers, computed on the host in float64. Weights of more than two axes are
    the matrix (product of all but the last, last).

    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", ICLR 2014.

    Args:
        stddev: the factor, a number.

    Raises:
        LayerError: when it is called, for a shape of fewer than two axes, or with a key that is not known yet (in jit).

    >>> q = OrthogonalInitializer()((3, 3), random.get_prng(0))
    >>> bool(np.max(np.abs(q.T @ q - np.eye(3))) < 1e-6)
    True
    """
    factor = arguments.number("OrthogonalInitializer", "stddev", stddev)

    def draw(shape: Shape, rng: Any) -> Any:
        if len(shape) < 2:
            raise LayerError(f"OrthogonalInitializer: a shape of at least 2 axes is due, got {shape}")
        if fastmath.is_traced(rng):
            raise LayerError("OrthogonalInitializer: the key is not known inside jit; initialize outside of it")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        normal = fastmath.to_host(random.normal(rng, tall)).astype("float64")
        q, r = onp.linalg.qr(normal)
        q = q * onp.where(onp.diag(r) < 0, -1.0, 1.0)  # LAPACK's choice of signs is not uniform
        return np.array((factor * (q if rows >= columns else q.T)).reshape(shape))

    return Initializer(f"OrthogonalInitializer({stddev})", draw)


def InitializerFromFile(path: str | os.PathLike[str]) -> Initializer:
    """The array in a NumPy file (``numpy.save``), such as an embedding table that was trained elsewhere.

    Args:
        path: a ``.npy`` file with an array of numbers of the shape of the weights; pickled objects are refused.

    Raises:
        LayerError: when it is called: the file cannot be read, is no such file, or holds another shape.

    >>> import os, tempfile, numpy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "table.npy")
    ...     numpy.save(path, [[1.0, 2.0]])
    ...     InitializerFromFile(path)((1, 2), rng=None).tolist()
    [[1.0, 2.0]]
    """
    if not isinstance(path, (str, os.PathLike)):
        raise LayerError(f"InitializerFromFile: path must be the name of a file, got {shown(path)}")
    where = f"InitializerFromFile: {os.fspath(path)}"

    def draw(shape: Shape, rng: Any) -> Any:
        try:
            with open(path, "rb") as file:
                found = onp.lib.format.read_array(file, allow_pickle=False)
        except OSError as error:
            raise LayerError(f"{where}: cannot be read: {os_reason(error)}") from error
        except (ValueError, EOFError, MemoryError, OverflowError) as error:
            raise LayerError(f"{where}: is no .npy file of numbers, or a damaged one") from error
        if found.dtype.kind not in "biuf":
            raise LayerError(f"{where}: holds {found.dtype}; an array of real numbers is due")
        if found.shape != shape:
            raise LayerError(f"{where}: holds the shape {found.shape}, and the weights have {shape}")
        return np.array(found)

    return Initializer(f"InitializerFromFile({os.fspath(path)!r})", draw)
