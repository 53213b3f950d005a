"""What the checks of a layer share: the layer, what it is tried on, and its trials on the backends."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as onp

from layerkit.errors import LayerkitError, UsageError, an, shown
from layerkit.example import Example, example_of
from layerkit.layer import Layer
from layerkit.plugins import registry
from layerkit.plugins.problems import one_line
from layerkit.shapes import ShapeDtype, f32, signature
from layerkit.testing.arrays import DOMAINS, draw, narrow, shuffled
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import is_float, leaves
from layerkit.testing.trial import MODES, REFERENCE, Trial, blaming

__all__ = ["LayerCase"]


class LayerCase:
    """A layer, the inputs it is tried on, and its trials.

    Args:
        thing: a constructor of layers (a class or a function), or a layer.
        inputs: signatures or arrays, one for each array the layer takes; those of ``@lk.example`` unless given.
        arguments: the constructor's arguments; those of ``@lk.example`` unless given (or inputs are).
        rows_independent: whether a row of the output depends on its own row of the inputs alone.
        tolerance: how far backends may be apart, relative to the largest number; gradients ten times as far.
        backends: the names of the backends it is tried on, besides NumPy, which is the reference.
    """

    def __init__(
        self,
        thing: Any,
        *inputs: Any,
        arguments: Mapping[str, Any] | None = None,
        rows_independent: bool | None = None,
        tolerance: float = 2e-6,
        backends: Sequence[str] | None = None,
    ) -> None:
        for part in inputs:
            if type(part) is tuple:
                raise UsageError(f"inputs are signatures, as in check_layer(Scale, lk.f32(4, 8)), got {shown(part)}")
        given = example_of(thing) if hasattr(thing, "__dict__") and not isinstance(thing, Layer) else None
        example = given or Example((), arguments={})
        self.thing, self.tolerance = thing, tolerance
        self.has_example = given is not None or bool(inputs)
        self.arguments = dict(arguments if arguments is not None else {} if inputs else example.arguments)
        self.rows_independent = example.rows_independent if rows_independent is None else rows_independent
        self.expected_failures = dict(example.expected_failures)
        self.given = tuple(part if isinstance(part, ShapeDtype) else narrow(part) for part in inputs)
        self.signatures: tuple[ShapeDtype, ...] = tuple(map(signature, self.given)) or example.inputs
        self.figures: dict[str, float] = {}
        self.domain = DOMAINS[0]
        self.backends, self.missing = _backends(backends)
        self._trials: dict[str, Trial | Fault] = {}
        self.problem = self._find_problem()

    @property
    def name(self) -> str:
        """What the layer is called: the constructor's name, or the layer's own."""
        if isinstance(self.thing, Layer):
            return self.thing.name
        name = str(getattr(self.thing, "__name__", type(self.thing).__name__))
        made = self._trials.get(REFERENCE)
        return made.layer.name if name == "<lambda>" and isinstance(made, Trial) else name

    @property
    def ready_made(self) -> bool:
        """Whether a layer was given, and not what makes one."""
        return isinstance(self.thing, Layer)

    @property
    def constructor(self) -> Callable[..., Any]:
        """What makes the layer."""
        return type(self.thing) if self.ready_made else self.thing

    def make(self) -> Layer:
        """The layer, a new one each time.

        Raises:
            Fault: the constructor cannot be called, or makes something else.
        """
        if self.ready_made:
            with blaming("copy.deepcopy of it"):
                twin: Layer = copy.deepcopy(self.thing)
                return twin
        try:
            layer: Any = self.thing(**self.arguments)
        except (LayerkitError, KeyboardInterrupt):
            raise
        except BaseException as error:  # sys.exit in a constructor must not end the kit
            raise Fault(self._not_made(error)) from error
        if not isinstance(layer, Layer):
            raise Fault(f"{self.name}({_code(self.arguments)}) gives {an(type(layer).__name__)}, which is no layer")
        return layer

    def _not_made(self, error: BaseException) -> str:
        text = f"{self.name}({_code(self.arguments)}): {one_line(error)}"
        missing = [name for name in _required(self.thing) if name not in self.arguments]
        if missing:
            return f"{text}; say what it is made with: @lk.example(lk.f32(4, 8), {missing[0]}=...)"
        return text

    def arrays(self, seed: int = 0) -> tuple[Any, ...]:
        """Inputs to try it on: other ones for every seed, or the given ones in another order of rows."""
        if self.given and not any(isinstance(part, ShapeDtype) for part in self.given):
            return shuffled(self.given, seed)
        return draw(self.signatures, seed, self.domain)

    # -- trials -------------------------------------------------------------------------------------------------------

    @property
    def reference(self) -> Trial:
        """The trial on NumPy, of a case without a problem."""
        trial = self._trials[REFERENCE]
        assert isinstance(trial, Trial)
        return trial

    @property
    def others(self) -> list[Trial]:
        """The trials on the other backends.

        Raises:
            Skip: there are none here, or the layer runs on none of them.
        """
        reference = self.reference
        if len(self.backends) == 1:
            raise Skip("; ".join(self.missing.values()) or f"it is tried on {reference.backend} alone")
        found = [self.trial(name) for name in self.backends[1:]]
        trials = [trial for trial in found if isinstance(trial, Trial)]
        if not trials:
            raise Skip(f"it does not run on {' and '.join(self.backends[1:])}")
        return trials

    @property
    def trials(self) -> list[Trial]:
        """The trials on all backends where the layer runs, the reference first."""
        try:
            return [self.reference, *self.others]
        except Skip:
            return [self.reference]

    def trial(self, backend: str) -> Trial | Fault:
        """The trial on a backend, or why there is none."""
        if backend not in self._trials:
            try:
                trial = Trial(backend, self.make, self.arrays())
                if backend == REFERENCE:
                    for training, mode in MODES:
                        with blaming(f"its forward in {mode}"):
                            trial.eager(training)
                else:
                    _ = trial.steps  # here, so that what does not compile is no trial
                self._trials[backend] = trial
            except (LayerkitError, Fault) as error:
                self._trials[backend] = Fault(str(error))
        return self._trials[backend]

    def _find_problem(self) -> str:
        """Why the layer does not run on NumPy; empty if it does."""
        try:
            if not self.has_example:
                self.signatures = (f32(4, 8),) * self.make().n_in
        except (LayerkitError, Fault) as error:
            return str(error)
        found = self.trial(REFERENCE)
        if isinstance(found, Fault):
            return self._not_run(str(found))
        if not self.given and not _finite(found.eager()[0]):
            # A logarithm of numbers below zero tells nothing about the layer.
            self.domain = DOMAINS[1]
            del self._trials[REFERENCE]
            found = self.trial(REFERENCE)
            if isinstance(found, Fault) or not _finite(found.eager()[0]):
                self.domain = DOMAINS[0]
                del self._trials[REFERENCE]
                self.trial(REFERENCE)
        return ""

    def _not_run(self, fault: str) -> str:
        shapes = ", ".join(map(str, self.signatures)) or "no arrays"
        if not self.has_example:
            return f"it has no example, and does not run on {shapes}: write @lk.example(...) above it ({fault})"
        return f"it does not run on {shapes}: {fault}"


def _backends(names: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """The backends to try, NumPy first, and why those that are wanted are not there."""
    wanted = [names] if isinstance(names, str) else list(registry.backends.own()) if names is None else list(names)
    found, missing = [REFERENCE], {}
    for name in wanted:
        constructor = registry.backends.get(name)
        if lacking := registry.missing_modules(constructor):
            missing[name] = f"{', '.join(lacking)} is not installed ({registry.remedy(constructor)})"
        elif name not in found:
            found.append(name)
    return found, missing


def _required(constructor: Any) -> list[str]:
    """The arguments a constructor cannot be called without."""
    try:
        parameters = inspect.signature(constructor).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _code(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r:.40}" for name, value in arguments.items())


def _finite(y: Any) -> bool:
    return all(bool(onp.isfinite(leaf).all()) for leaf in leaves(y) if is_float(leaf))
