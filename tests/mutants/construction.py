"""Broken in how they are made, initialized and named, in their randomness and in their modes."""

from __future__ import annotations

import itertools
import random as python_random
import threading
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from mutants.table import breaks

_numbers = itertools.count(1)


class Scale(lk.Layer):
    """y = x * s.    x: (..., d)    s: (d,)"""

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.ones(signature.shape[-1], signature.dtype)

    def forward(self, x: Any) -> Any:
        return x * self.weights


# -- construction -----------------------------------------------------------------------------------------------------


@breaks("runs_on_its_example", "NeedsArguments(): TypeError")
class NeedsArguments(lk.Layer):
    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.n_units = n_units

    def forward(self, x: Any) -> Any:
        return x


@breaks("runs_on_its_example", "it does not run on float32[4,3]")
class FitsNoExample(lk.Layer):
    def forward(self, x: Any) -> Any:
        return np.reshape(x, (5, 5))


@breaks("runs_on_its_example", "gives an int, which is no layer")
def NoLayer() -> Any:
    return 3


@breaks("runs_on_its_example", "its init: it calls sys.exit(0)")
class EndsTheProgram(lk.Layer):
    def forward(self, x: Any) -> Any:
        raise SystemExit(0)


_only = tl.Tanh()


@breaks("is_made_anew_each_time", "same object twice")
def Singleton() -> lk.Layer:
    return _only


@breaks("is_made_from_its_arguments_alone", "two made with the same arguments")
class CountsItsMakings(lk.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.factor = next(_numbers)

    def forward(self, x: Any) -> Any:
        return x * self.factor


@breaks("arguments_are_left_alone", "the argument sizes was", arguments={"sizes": list(range(1000))})
class TakesFromItsArguments(lk.Layer):
    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.size = sizes.pop()

    def forward(self, x: Any) -> Any:
        return x * 2


@breaks("repr_is_plain", "its repr differs")
class ShowsItsAddress(lk.Layer):
    __repr__ = object.__repr__

    def forward(self, x: Any) -> Any:
        return x


@breaks("repr_is_plain", "does not hold its name")
class Nameless(lk.Layer):
    def __repr__(self) -> str:
        return "layer"

    def forward(self, x: Any) -> Any:
        return x


@breaks("name_fits_into_paths", "its name is 'a/b'")
class NameWithSlash(lk.Layer):
    @property
    def name(self) -> str:
        return "a/b"

    def forward(self, x: Any) -> Any:
        return x


@breaks("docstring_tells_shapes", "has no docstring")
class Undocumented(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x


@breaks("docstring_tells_shapes", "says nothing about shapes")
class Shapeless(lk.Layer):
    """A nice layer (the best)."""

    def forward(self, x: Any) -> Any:
        return x


@breaks("arity_is_declared", "it says n_out=1, and gives 2 outputs")
class OneTooMany(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x, x

    def accept_outputs(self, y: Any) -> Any:
        return y


@breaks("inner_layers_are_sublayers", "it keeps Dense_3 as inner")
class HidesALayer(lk.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.inner = tl.Dense(3)

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = self.inner.init(signature, self.rng)[0]

    def forward(self, x: Any) -> Any:
        return self.inner.pure_fn(x, self.weights, ())[0]


@breaks("can_be_copied", "copy.deepcopy of it: TypeError")
class HoldsALock(lk.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, x: Any) -> Any:
        return x


@breaks("can_be_copied", "changes its own")
class CopiesToItself(Scale):
    def __deepcopy__(self, memo: Any) -> Any:
        return self


# -- initialization ---------------------------------------------------------------------------------------------------


@breaks("init_is_reproducible", "weights and state of two inits with one key")
class CountsItsInits(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.full(signature.shape[-1], next(_numbers), np.float32)


@breaks("init_is_reproducible", "weights and state of two inits with one key")
class DrawsWeightsGlobally(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.array(onp.random.normal(size=signature.shape[-1]), np.float32)


@breaks("init_follows_its_key", "is the same for two keys")
class BuiltInKey(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = random.normal(random.get_prng(0), signature.shape[-1:])


@breaks("init_takes_arrays_as_well", "from arrays and from their signatures")
class InitializedByData(Scale):
    def init(self, signature: Any, rng: Any = None) -> Any:
        weights, state = super().init(signature, rng)
        if not isinstance(signature, lk.ShapeDtype):
            self.weights = weights = weights * onp.mean(signature)
        return weights, state


@breaks("init_keeps_what_it_returns", "what init returned and what the layer keeps")
class ReturnsOtherWeights(Scale):
    def init(self, signature: Any, rng: Any = None) -> Any:
        weights, state = super().init(signature, rng)
        return weights * 2, state


@breaks("output_signature_is_honest", "output_signature says float32[4,3]")
class SaysItsInput(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x[:, :1]

    def output_signature(self, signature: Any) -> Any:
        return lk.signature(signature)


@breaks("output_signature_is_honest", "output_signature says")
class WidthDependsOnValues(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x[:, : 1 + int(np.any(x != 0))]


@breaks("weights_are_floats", "int32[3]: keep whole numbers in the state")
class WholeWeights(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.ones(signature.shape[-1], np.int32)


@breaks("init_is_finite", "3 of 3 numbers of array 0 are not finite")
class StartsAtNaN(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.full(signature.shape[-1], np.nan, np.float32)


@breaks("init_is_the_same_on_every_backend", "its first weights and state on jax and numpy")
class OtherWeightsOnJax(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.full(signature.shape[-1], len(fastmath.backend_name()), np.float32)


@breaks("refuses_to_run_before_init", "called before init it gives")
class InitializesItself(Scale):
    def __call__(self, x: Any, *args: Any, **options: Any) -> Any:
        if not self._initialized:
            self.init(x)
        return super().__call__(x, *args, **options)


# -- randomness -------------------------------------------------------------------------------------------------------


@breaks("same_key_gives_the_same", "two calls with the same key, in evaluation")
class CountsItsCalls(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x + next(_numbers)


@breaks("same_key_gives_the_same", "two calls with the same key, in training")
class GlobalNoise(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x + onp.random.normal(size=x.shape).astype("float32") if self.training else x


@breaks("different_keys_differ_where_it_draws", "four different keys give the same")
class AlwaysTheSameNoise(lk.Layer):
    def forward(self, x: Any) -> Any:
        if not self.training or self.rng is None:
            return x
        return x + random.normal(random.get_prng(0), x.shape)


@breaks("evaluation_needs_no_key", "in evaluation it needs a key")
class NoiseInEvaluation(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x + random.normal(self.rng, x.shape)


@breaks("global_random_state_is_untouched", "init changes NumPy's")
class SeedsNumpy(lk.Layer):
    def forward(self, x: Any) -> Any:
        onp.random.seed(0)
        return x


@breaks("global_random_state_is_untouched", "init changes Python's")
class DrawsFromPython(Scale):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.full(signature.shape[-1], python_random.random(), np.float32)


# -- training and state -----------------------------------------------------------------------------------------------


class Louder(lk.Layer):
    """y = 2 x in training, x in evaluation.    x: (...)"""

    def forward(self, x: Any) -> Any:
        return x * (2 if self.training else 1)


@breaks("evaluation_is_the_default", "with training=False and without a word")
class TrainsUnasked(Louder):
    def pure_fn(self, x: Any, weights: Any, state: Any, rng: Any = None, training: bool | None = None) -> Any:
        return super().pure_fn(x, weights, state, rng, training is not False)


@breaks("mode_overrides_the_call", "with mode='eval'")
class IgnoresItsMode(Louder):
    def __init__(self, mode: str | None = None) -> None:
        super().__init__()


class Counter(lk.Layer):
    """y = x; counts training calls.    x: (...)"""

    start: Any = onp.zeros((), onp.float32)

    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.array(self.start)

    def forward(self, x: Any) -> Any:
        if self.training:
            self.state = self.next(self.state)
        return x

    def next(self, state: Any) -> Any:
        return state + 1


@breaks("evaluation_leaves_the_state", "a call in evaluation changes its state")
class CountsEvaluations(Counter):
    def forward(self, x: Any) -> Any:
        self.state = self.state + 1
        return x


@breaks("state_keeps_its_form", "array int32[] to array float")
class StateOfOtherDtype(Counter):
    start = onp.zeros((), onp.int32)

    def next(self, state: Any) -> Any:
        return state + 0.5


@breaks("steps_follow_one_another", "is not finite")
class StateExplodes(Counter):
    def next(self, state: Any) -> Any:
        return (state + 1) * np.array(1e20, np.float32)


@breaks("call_keeps_the_state_of_pure_fn", "what layer(x) and pure_fn give, in training")
class ForgetsItsState(Counter):
    def __call__(
        self, x: Any, weights: Any = None, state: Any = None, rng: Any = None, training: bool | None = None
    ) -> Any:
        return self.pure_fn(x, self.weights, self.state, rng, training)[0]
