"""A planted fault of each kind is caught by the property it breaks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import layer_properties as properties
import numpy as onp
import pytest
from layer_properties import Case
from layer_table import Row

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

_numbers = itertools.count()


class CountsItsInits(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.full((), next(_numbers), np.float32)

    def forward(self, x: Any) -> Any:
        return x * self.weights


class WidthDependsOnValues(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x[:, : 1 + int(np.any(x != 0))]


class OffOnJax(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x * (1.001 if fastmath.backend_name() == "jax" else 1.0)


class WrongGradient(lk.Layer):
    has_backward = True

    def forward(self, x: Any) -> Any:
        return x * x

    def backward(self, inputs: Any, output: Any, grad: Any, weights: Any, *rest: Any) -> Any:
        return grad * inputs, weights


class WrongGradientOfWeights(lk.Layer):
    has_backward = True

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.ones(signature.shape[-1])

    def forward(self, x: Any) -> Any:
        return x * self.weights

    def backward(self, inputs: Any, output: Any, grad: Any, weights: Any, *rest: Any) -> Any:
        return grad * weights, 2 * np.sum(grad * inputs, axis=0)


class OtherWhenCompiled(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x * (1.001 if fastmath.is_traced(x) else 1.0)


class LooksAtValues(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x if np.sum(x) > 0 else -x


class GrowingState(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros((1,))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.state = np.concatenate([self.state, self.state])
        return x


class StateOfOtherDtype(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros((), np.int32)

    def forward(self, x: Any) -> Any:
        if self.training:
            self.state = self.state + 0.5
        return x


class NoiseInEvaluation(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x + random.normal(self.rng, x.shape)


class CountsItsCalls(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x + next(_numbers)


class LouderInTraining(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x * (2 if self.training else 1)


class OtherGradientInTraining(lk.Layer):
    def forward(self, x: Any) -> Any:
        return fastmath.stop_gradient(x) if self.training else x


class StateInEvaluation(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros(())

    def forward(self, x: Any) -> Any:
        self.state = self.state + 1
        return x


class DividesByBatch(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros(())

    def forward(self, x: Any) -> Any:
        if self.training:
            self.state = np.mean(x)
        return x


class WideWeights(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = onp.ones(signature.shape[-1])

    def forward(self, x: Any) -> Any:
        return x * self.weights


class WideState(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros(())

    def forward(self, x: Any) -> Any:
        if self.training:
            self.state = onp.float64(1.0) * onp.ones(())
        return x


class WritesIntoItsInput(lk.Layer):
    def forward(self, x: Any) -> Any:
        x *= 2
        return x


class ReadsMemoryOrder(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.reshape(np.ravel(x, order="K"), x.shape)


class CentersOverBatch(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x - np.mean(x, axis=0)


class KeepsNumbersOutsideWeights(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.hidden = random.normal(self.rng, signature.shape[-1:])

    def forward(self, x: Any) -> Any:
        return x + self.hidden


class StoresItsInput(lk.Layer):
    def forward(self, x: Any) -> Any:
        self.x = x
        time.sleep(0.001)
        return self.x * 2


def caught(holds: Callable[[Case], None], layer: Callable[[], lk.Layer], backend: str = "numpy", **fields: Any) -> Any:
    return pytest.param(holds, Row(layer.__name__, layer, (lk.f32(4, 3),), **fields), backend, id=layer.__name__)


@pytest.mark.parametrize(
    ("holds", "row", "backend"),
    [
        caught(properties.init_twice_gives_the_same, CountsItsInits),
        caught(properties.output_signature_is_that_of_the_output, WidthDependsOnValues),
        caught(properties.both_backends_give_the_same, OffOnJax, "jax"),
        caught(properties.gradient_is_that_of_finite_differences, WrongGradient),
        caught(properties.gradient_is_that_of_finite_differences, WrongGradientOfWeights),
        caught(properties.compiled_and_eager_are_the_same, OtherWhenCompiled, "jax"),
        caught(properties.second_step_compiles_nothing, GrowingState, "jax", has_state=True),
        caught(properties.evaluation_is_deterministic, NoiseInEvaluation),
        caught(properties.evaluation_is_deterministic, CountsItsCalls),
        caught(properties.evaluation_is_deterministic, tl.ToFloat, always_draws=True),
        caught(properties.training_differs_only_where_it_should, LouderInTraining),
        caught(properties.training_differs_only_where_it_should, OtherGradientInTraining),
        caught(properties.training_differs_only_where_it_should, StateInEvaluation, has_state=True),
        caught(properties.training_differs_only_where_it_should, tl.Relu, trains_differently=True),
        caught(properties.empty_batch_gives_empty_outputs, DividesByBatch, has_state=True),
        caught(properties.state_keeps_structure_and_dtype, StateOfOtherDtype, has_state=True),
        caught(properties.everything_has_32_bits, WideWeights),
        caught(properties.everything_has_32_bits, WideState, has_state=True),
        caught(properties.inputs_are_not_mutated, WritesIntoItsInput),
        caught(properties.strided_inputs_give_the_same, ReadsMemoryOrder),
        caught(properties.a_row_depends_on_its_own_row_alone, CentersOverBatch),
        caught(properties.weights_come_back_from_a_file, KeepsNumbersOutsideWeights),
        caught(properties.pure_fn_is_safe_in_threads, StoresItsInput),
    ],
)
def test_a_planted_fault_is_caught(holds: Callable[[Case], None], row: Row, backend: str) -> None:
    case = Case(row, backend)
    with pytest.raises((AssertionError, lk.LayerError)):
        holds(case)


def test_a_layer_that_looks_at_values_is_refused_where_it_could_not_be_compiled() -> None:
    row = Row("LooksAtValues", LooksAtValues, (lk.f32(4, 3),))
    Case(row, "numpy")
    with pytest.raises(lk.LayerError, match="LooksAtValues: Python looks at the value of an array"):
        Case(row, "jax")


def test_every_property_catches_something() -> None:
    [marker] = test_a_planted_fault_is_caught.pytestmark  # type: ignore[attr-defined]
    tried = {parameters.values[0] for parameters in marker.args[1]}
    assert tried == {holds for holds, _ in properties.ALL}
