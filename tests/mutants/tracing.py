"""Broken when they are traced, in memory, and in what they refuse."""

from __future__ import annotations

import sys
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np
from mutants.construction import Counter, Scale
from mutants.table import breaks

# -- tracing ----------------------------------------------------------------------------------------------------------


@breaks("compiled_is_as_uncompiled", "compiled and not, in evaluation, are 0.001 apart")
class OtherWhenCompiled(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x * (1.001 if fastmath.is_traced(x) else 1.0)


@breaks("second_step_compiles_nothing", "the second step compiles 1 programs on jax and runs forward 2 times")
class GrowingState(Counter):
    start = onp.zeros(1, onp.float32)

    def next(self, state: Any) -> Any:
        return np.concatenate([state, state])


@breaks("forward_keeps_nothing_on_the_layer", "calling it sets or changes self.x")
class StoresItsInput(lk.Layer):
    def forward(self, x: Any) -> Any:
        self.x = x
        return x * 2


@breaks("forward_keeps_nothing_on_the_layer", "calling it sets or changes self.seen")
class AppendsToAList(lk.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def forward(self, x: Any) -> Any:
        self.seen.append(x.shape)
        return x


@breaks("init_keeps_nothing_but_weights", "init keeps something in self.rows")
class KeepsItsRows(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.rows = signature.shape[0]
        super().init_weights_and_state(signature)


@breaks("init_keeps_nothing_but_weights", "init keeps something in self.width")
class KeepsItsWidth(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.width = signature.shape[-1]
        super().init_weights_and_state(signature)


_seen: list[Any] = []


@breaks("no_tracer_outlives_its_trace", "are still kept somewhere")
class KeepsTracers(lk.Layer):
    def forward(self, x: Any) -> Any:
        _seen.append(x)
        return x * 2


@breaks("pure_fn_leaves_the_layer_alone", "puts other arrays into the layer's weights or state")
class KeepsStateInPureFn(Counter):
    def pure_fn(self, x: Any, weights: Any, state: Any, rng: Any = None, training: bool | None = None) -> Any:
        y, new_state = super().pure_fn(x, weights, state, rng, training)
        self.state = new_state
        return y, new_state


# -- memory -----------------------------------------------------------------------------------------------------------


@breaks("inputs_are_not_mutated", "its inputs before and after a call in evaluation")
class WritesIntoItsInput(lk.Layer):
    def forward(self, x: Any) -> Any:
        x[x < 0] = 0
        return x


@breaks("weights_and_state_are_not_mutated", "its weights before and after a call in training")
class WritesIntoItsWeights(Scale):
    def forward(self, x: Any) -> Any:
        weights = self.weights
        if self.training:
            weights *= 2
        return x * weights


@breaks("weights_and_state_are_not_mutated", "its state before and after a call in training")
class WritesIntoItsState(Counter):
    start = onp.zeros(2, onp.float32)

    def next(self, state: Any) -> Any:
        state += 1
        return state


@breaks("takes_read_only_arrays", "read-only arrays are refused")
class BorrowsItsInput(lk.Layer):
    def forward(self, x: Any) -> Any:
        x *= 2
        y = x + 1
        x /= 2
        return y


@breaks("takes_strided_arrays", "for strided and for plain arrays")
class ReadsMemoryOrder(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.reshape(np.ravel(x, order="K"), x.shape)


_buffer = onp.zeros((64, 3), onp.float32)


@breaks("outputs_stay_as_they_were", "its outputs before and after another call")
class UsesOneBuffer(lk.Layer):
    def forward(self, x: Any) -> Any:
        return onp.multiply(x, 2, out=_buffer[: len(x)])


# -- refusals ---------------------------------------------------------------------------------------------------------


@breaks("wrong_number_of_inputs_is_refused", "0 of its 1 inputs, it is not refused")
class TakesTheFirst(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x

    def accept_inputs(self, x: Any) -> Any:
        return x[0] if x else onp.zeros((1, 3), onp.float32)


@breaks("wrong_rank_is_refused_or_told", "it calls sys.exit('two axes, please')")
class ExitsOnWrongRank(lk.Layer):
    def forward(self, x: Any) -> Any:
        if x.ndim != 2:
            sys.exit("two axes, please")
        return x


@breaks("wrong_rank_is_refused_or_told", "and output_signature says")
class HonestForTwoAxesAlone(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.reshape(x, (-1, 3))

    def output_signature(self, signature: Any) -> Any:
        return lk.signature(signature)


@breaks("wrong_width_is_refused", "(4, 4) where (4, 3) were there at init, it is not refused")
class SwallowsErrors(Scale):
    def forward(self, x: Any) -> Any:
        try:
            return x * self.weights
        except Exception:
            return x


@breaks("wrong_dtype_is_refused_or_told", "it calls sys.exit")
class ExitsOnWrongDtype(lk.Layer):
    def forward(self, x: Any) -> Any:
        if x.dtype != onp.float32:
            sys.exit("float32, please")
        return x


@breaks("wrong_dtype_is_refused_or_told", "text for its first input, it is not refused")
class TakesAnything(lk.Layer):
    def pure_fn(self, x: Any, weights: Any, state: Any, rng: Any = None, training: bool | None = None) -> Any:
        return x, state

    def forward(self, x: Any) -> Any:
        return x


@breaks("errors_name_the_whole_path", "the path of its error is 'Mine'")
class NamesItselfAlone(lk.Layer):
    def forward(self, x: Any) -> Any:
        if x.ndim != 2:
            raise lk.LayerError("expected 2 axes", path="Mine")
        return x


@breaks("recovers_from_an_error", "its outputs before and after a call that was refused")
class HalfDone(lk.Layer):
    factor = 1

    def forward(self, x: Any) -> Any:
        if x.ndim != 2:
            self.factor = 2
            raise lk.LayerError(f"expected 2 axes, got {x.shape}")
        return x * self.factor
