"""A layer on one backend: its weights and state, arrays to try it on, and its step, compiled once for all checks."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as onp

from layerkit import fastmath
from layerkit.engine.bare import as_tuple, bare
from layerkit.errors import LayerkitError
from layerkit.fastmath import random
from layerkit.layer import Layer
from layerkit.plugins.problems import one_line
from layerkit.testing.arrays import perturbed
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import is_float, map_host

__all__ = ["MODES", "REFERENCE", "Step", "Trial", "blaming", "loss_of", "split"]

REFERENCE = "numpy"
"""The backend that the others are held to."""

MODES = ((False, "evaluation"), (True, "training"))
"""The two ways a layer is called, with their names."""


class Step(NamedTuple):
    """What one call gives, and the gradients of sum(outputs * cotangents)."""

    y: Any
    state: Any
    of_weights: Any
    of_inputs: Any


@contextlib.contextmanager
def blaming(what: str) -> Iterator[None]:
    """An exception inside is the layer's fault: "``what``: KeyError ...". Its own plain errors stay as they are."""
    try:
        yield
    except (LayerkitError, Fault, Skip, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit in a layer must not end the kit
        raise Fault(f"{what}: {one_line(error)}") from error


class Trial:
    """A layer that was initialized on one backend.

    Its inputs, weights and state are copies each time: what a layer writes into them is seen by the check of that, and
    spoils no other.

    Args:
        backend: the backend's name.
        make: makes the layer, a new one each time.
        inputs: the arrays it is tried on.

    Raises:
        LayerError: it cannot be initialized for them.
    """

    def __init__(self, backend: str, make: Callable[[], Layer], inputs: tuple[Any, ...]) -> None:
        self.backend, self._inputs, self.make = backend, inputs, make
        with self.active():
            self.layer = make()
            with blaming("its init"):
                self.init_weights, self.init_state = self._home(self.layer.init(bare(inputs), self.key(0)))
                self._weights = map_host(perturbed, self.init_weights)
                self._state = map_host(onp.array, self.init_state)
                signatures = as_tuple(self.layer.output_signature(bare(inputs)))
        generator = onp.random.default_rng(7)
        # The loss multiplies each output with numbers of its own, so that every one of them counts by itself.
        self.cotangents = tuple(generator.normal(size=of.shape).astype("float32") for of in signatures)
        self._program: Callable[..., Any] | None = None

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The arrays it is tried on."""
        return tuple(map(onp.array, self._inputs))

    @property
    def weights(self) -> Any:
        """Weights a little away from those of ``init``."""
        return map_host(onp.array, self._weights)

    @property
    def state(self) -> Any:
        """The state that ``init`` gave."""
        return map_host(onp.array, self._state)

    def active(self) -> contextlib.AbstractContextManager[Any]:
        """Makes the backend the active one."""
        return fastmath.use_backend(self.backend)

    def key(self, seed: int) -> Any:
        """The random key of a seed."""
        return random.get_prng(seed)

    def _home(self, tree: Any) -> Any:
        """The tree with NumPy's arrays; NumPy's own are left alone, so that one can see whose memory they are."""
        return tree if self.backend == REFERENCE else fastmath.to_host(tree)

    def step(self, training: bool) -> Step:
        """The step on the arrays of the trial, run once."""
        return self.steps[training]

    @functools.cached_property
    def steps(self) -> tuple[Step, Step]:
        """The step in evaluation and in training."""
        return self.run()

    def run(self, seed: int = 0, inputs: Any = None, weights: Any = None, state: Any = None) -> tuple[Step, Step]:
        """The step in evaluation and in training, by one compiled program: compiling is what takes the time."""
        floats, others = split(self.inputs if inputs is None else inputs)
        with self.active(), blaming("its gradient"):
            if self._program is None:
                both = [fastmath.value_and_grad(loss_of(self.layer, training), (0, 1), True) for training, _ in MODES]
                self._program = fastmath.jit(lambda *args: tuple([one(*args) for one in both]))
            results = self._program(
                self.weights if weights is None else weights,
                floats,
                others,
                self.state if state is None else state,
                self.key(seed),
                self.cotangents,
            )
            evaluated, trained = self._home(results)
        return _as_step(evaluated), _as_step(trained)

    def eager(self, training: bool = False, seed: int | None = 0, inputs: Any = None, layer: Any = None) -> Any:
        """(outputs, new state) by a plain call of ``pure_fn``; without a key where ``seed`` is None."""
        x = bare(self.inputs if inputs is None else inputs)
        with self.active(), blaming("its pure_fn"):
            key = None if seed is None else self.key(seed)
            runs = self.layer if layer is None else layer
            return self._home(runs.pure_fn(x, self.weights, self.state, key, training))

    def fresh(self, inputs: Any = None) -> Layer:
        """Another layer of the same make, initialized for ``inputs``."""
        with self.active():
            layer = self.make()
            layer.init(bare(self.inputs if inputs is None else inputs), self.key(0))
            return layer


def _as_step(result: Any) -> Step:
    (_, (y, state)), (of_weights, of_inputs) = result
    return Step(y, state, of_weights, of_inputs)


def loss_of(layer: Layer, training: bool) -> Callable[..., Any]:
    """(weights, floats, others, state, key, cotangents) -> sum(outputs * cotangents), (outputs, new state)."""

    def loss(weights: Any, floats: Any, others: Any, state: Any, key: Any, cotangents: Any) -> Any:
        y, new_state = layer.pure_fn(bare(merge(floats, others)), weights, state, key, training)
        pairs = zip(as_tuple(y), cotangents, strict=True)
        parts = [(one * cotangent).sum() for one, cotangent in pairs if is_float(one)]
        return sum(parts, fastmath.numpy.zeros(())), (y, new_state)

    return loss


def split(arrays: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arrays of floating-point numbers, and the others; ``()`` in their places."""
    return tuple(a if is_float(a) else () for a in arrays), tuple(() if is_float(a) else a for a in arrays)


def merge(floats: tuple[Any, ...], others: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arrays that ``split`` took apart."""
    return tuple(other if type(one) is tuple else one for one, other in zip(floats, others, strict=True))
