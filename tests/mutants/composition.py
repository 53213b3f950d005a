"""Broken inside other layers, in threads and in files."""

from __future__ import annotations

import time
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from mutants.table import breaks


@breaks("works_in_serial", "its outputs in a Serial and alone")
@breaks("works_in_branch", "its outputs in a Branch and alone")
@breaks("works_in_parallel", "its outputs in a Parallel and alone")
@breaks("works_in_residual", "its outputs in a Residual and x + f(x)")
@breaks("works_in_scan", "its outputs in a Scan and alone")
@breaks("works_in_map", "its outputs in a Map and alone")
@breaks("gives_the_same_when_shared", "its outputs in two places and alone")
class OverridesPureFn(lk.Layer):
    """Only the outermost call goes through its pure_fn."""

    def forward(self, x: Any) -> Any:
        return x * 2

    def pure_fn(self, x: Any, weights: Any, state: Any, rng: Any = None, training: bool | None = None) -> Any:
        y, state = super().pure_fn(x, weights, state, rng, training)
        return y + 1, state


@breaks("works_in_scan", "Python looks at")
class KnowsItsLength(lk.Layer):
    def forward(self, x: Any) -> Any:
        if x.shape[0] != 4 or not isinstance(x, onp.ndarray) or x.base is not None:
            raise lk.LayerError("Python looks at the array itself")
        return x


@breaks("is_safe_in_threads", "its outputs on numpy in four threads and in one")
class ComputesOnItself(lk.Layer):
    def forward(self, x: Any) -> Any:
        self.x = x
        time.sleep(0.001)
        return self.x * 2


@breaks("comes_back_from_a_file", "something lies neither in weights nor in state")
class KeepsNumbersOutsideWeights(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.ones(signature.shape[-1:])
        self.hidden = random.normal(self.rng, signature.shape[-1:])

    def forward(self, x: Any) -> Any:
        return self.weights * x + self.hidden


@breaks("tensors_have_names_of_their_own", "2 of its arrays are called 'a.b'")
class NamesakesInside(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        one = np.ones(signature.shape[-1])
        self.weights = {"a.b": one, "a": {"b": one}}

    def forward(self, x: Any) -> Any:
        return x * self.weights["a.b"] * self.weights["a"]["b"]


@breaks("is_safe_in_threads", "on jax")
class ComputesOnItselfOnJax(lk.Layer):
    def forward(self, x: Any) -> Any:
        if fastmath.backend_name() != "jax":
            return x * 2
        self.x = x
        time.sleep(0.001)
        return self.x * 2


@breaks("takes_an_empty_batch", "output_signature differs between backends")
class OtherWhenEmptyOnJax(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x[:, :1] if fastmath.backend_name() == "jax" and not len(x) else x
