"""Broken in their numbers: gradients, dtypes, shapes, NaN, and what differs between backends."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np
from mutants.construction import Counter, Scale
from mutants.table import breaks


def on_jax() -> bool:
    return fastmath.backend_name() == "jax"


# -- gradients --------------------------------------------------------------------------------------------------------


class OwnGradient(Scale):
    """y = x * s, with a gradient of its own.    x: (..., d)    s: (d,)"""

    has_backward = True

    def backward(self, inputs: Any, output: Any, grad: Any, weights: Any, *rest: Any) -> Any:
        return grad * weights, np.sum(grad * inputs, axis=0)


@breaks("gradient_of_weights_is_right", "along a random direction of its weights")
class WrongGradientOfWeights(OwnGradient):
    def backward(self, inputs: Any, output: Any, grad: Any, weights: Any, *rest: Any) -> Any:
        return grad * weights, 2 * np.sum(grad * inputs, axis=0)


@breaks("gradient_of_inputs_is_right", "along a random direction of its inputs")
class WrongGradientOfInputs(OwnGradient):
    def backward(self, inputs: Any, output: Any, grad: Any, weights: Any, *rest: Any) -> Any:
        return grad, np.sum(grad * inputs, axis=0)


@breaks("gradient_of_inputs_is_right", "in training, along")
class NoGradientInTraining(lk.Layer):
    def forward(self, x: Any) -> Any:
        return fastmath.stop_gradient(x) if self.training else x


@breaks("gradients_have_the_form_of_their_arrays", "gradient")
class GradientOfOtherShape(OwnGradient):
    def backward(self, inputs: Any, output: Any, grad: Any, weights: Any, *rest: Any) -> Any:
        return grad * weights, np.sum(grad * inputs, axis=0, keepdims=True)


@breaks("gradients_are_finite", "numbers of the gradient of its inputs are not finite")
class RootOfRelu(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.sqrt(np.maximum(x, 0))


@breaks("every_weight_counts", "array 1 of its weights is zero")
class UnusedWeights(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = (np.ones(signature.shape[-1]), np.ones(signature.shape[-1]))

    def forward(self, x: Any) -> Any:
        return x * self.weights[0]


# -- backends ---------------------------------------------------------------------------------------------------------


@breaks("runs_on_every_backend", "on jax it does not run: LooksAtValues: Python looks at the value of an array")
class LooksAtValues(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x if np.sum(x) > 0 else -x


@breaks("outputs_are_the_same_on_every_backend", "its outputs on jax and numpy, in evaluation, are 0.001 apart")
class OffOnJax(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x * (1.001 if on_jax() else 1.0)


@breaks("new_state_is_the_same_on_every_backend", "its new state on jax and numpy, in training")
class StateOffOnJax(Counter):
    def next(self, state: Any) -> Any:
        return state + (1.001 if on_jax() else 1.0)


@breaks("gradients_are_the_same_on_every_backend", "its gradients on jax and numpy")
class GradientOffOnJax(OwnGradient):
    def backward(self, inputs: Any, output: Any, grad: Any, weights: Any, *rest: Any) -> Any:
        return grad * weights * (1.001 if on_jax() else 1.0), np.sum(grad * inputs, axis=0)


@breaks("infinities_are_the_same_on_every_backend", "its outputs for infinite inputs on jax and numpy are inf apart")
class CleansOnJax(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.where(np.isfinite(x), x, 0) if on_jax() else x


@breaks("refusals_read_the_same_on_every_backend", "numpy says")
class NamesItsBackend(lk.Layer):
    def forward(self, x: Any) -> Any:
        if x.shape[-1] != 3:
            raise lk.LayerError(f"{fastmath.backend_name()} takes 3 features, got {x.shape}")
        return x


# -- dtypes -----------------------------------------------------------------------------------------------------------


@breaks("everything_has_32_bits", "its first weights on numpy is float64")
class WideWeights(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = onp.ones(signature.shape[-1])


@breaks("everything_has_32_bits", "its new state in training on numpy is float64")
class WideState(Counter):
    def next(self, state: Any) -> Any:
        return onp.float64(1.0) * onp.ones(())


@breaks("computes_in_float64_on_request", "output 0 is float32 inside float64()")
class NarrowsItsInput(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.tanh(x.astype(onp.float32))


@breaks("takes_bfloat16", "output 0 for bfloat16 and float32 are")
class OtherForHalf(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x + (1 if x.dtype.itemsize == 2 else 0)


class Bypass(lk.Layer):
    """y = 2 x, past what every call goes through.    x: (...)"""

    def pure_fn(self, x: Any, weights: Any, state: Any, rng: Any = None, training: bool | None = None) -> Any:
        return self.forward(x), state

    def forward(self, x: Any) -> Any:
        return x * 2


@breaks("wide_inputs_are_narrowed", "float64[4,3] and float32[4,3]")
class KeepsWideInputs(Bypass):
    pass


@breaks("lists_are_taken", "its outputs for lists and for arrays")
class DoublesLists(Bypass):
    pass


# -- shapes -----------------------------------------------------------------------------------------------------------


@breaks("takes_an_empty_batch", "its outputs or its state in training are not finite")
class MeanOfNothing(Counter):
    def forward(self, x: Any) -> Any:
        if self.training:
            self.state = np.mean(x)
        return x


@breaks("takes_no_length", "for float32[4,0,3], its outputs or its state in evaluation are not finite", lk.f32(4, 5, 3))
class MeanOverLength(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.mean(x, axis=1)


@breaks("takes_a_batch_of_one", "the outputs of a row alone and in its batch")
class Squeezes(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.squeeze(x)


@breaks("takes_other_batch_sizes", "initialized for 4 rows, it refuses 7")
class WeightsOfTheBatch(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.ones(signature.shape, signature.dtype)


@breaks("rows_are_independent", "with other rows around it")
class CentersOverBatch(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x - np.mean(x, axis=0)


@breaks("rows_are_independent", "declare @lk.example(..., rows_independent=False)")
class SumsOverBatch(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.sum(x)


@breaks("warns_of_nothing", "deprecated")
class Warns(lk.Layer):
    def forward(self, x: Any) -> Any:
        warnings.warn("deprecated", DeprecationWarning, stacklevel=2)
        return x


# -- NaN and infinity -------------------------------------------------------------------------------------------------


@breaks("nan_is_not_swallowed", "input 0 is NaN throughout, and no output is")
class SwallowsNaN(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.where(x > 0, x, 0.0)


@breaks("nan_stays_in_its_row", "with and without NaN in row 0")
class SpreadsNaN(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x + 0 * np.sum(x)


class Table(lk.Layer):
    """y = table[ids], with a table of ten rows.    ids: int32 (...)    y: (..., 2)"""

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = fastmath.random.normal(self.rng, (10, 2))

    def forward(self, ids: Any) -> Any:
        return fastmath.take_rows(self.weights, ids)


@breaks("ids_outside_show_when_compiled", "reads something in a compiled function on jax", lk.i32(4, 6, max=10))
class IndexesItsTable(Table):
    def forward(self, ids: Any) -> Any:
        return self.weights[ids]
