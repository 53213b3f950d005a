"""Numbers of other widths than the usual 32 bits."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.engine.bare import as_tuple, bare
from layerkit.errors import LayerkitError
from layerkit.fastmath import tree_leaves
from layerkit.shapes import ShapeDtype, signature
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import apart, is_float, leaves, map_host, require_close
from layerkit.testing.trial import MODES, Trial

__all__: list[str] = []

check = LAYERS.check("dtypes")

_HALF_TOLERANCE = 0.1  # bfloat16 has 8 bits, so 0.4 % a rounding; a layer rounds a few times


@check
def everything_has_32_bits(case: LayerCase) -> None:
    """Weights, state, outputs and gradients stay within 32 bits: NumPy widens silently, and then everything does."""
    for trial in case.trials:
        parts: list[tuple[str, Any]] = [("first weights", trial.init_weights), ("first state", trial.init_state)]
        for training, mode in MODES:
            for name, part in zip(("outputs", "new state"), trial.step(training)[:2], strict=True):
                parts.append((f"{name} in {mode}", part))
            for name, part in zip(("weights", "inputs"), trial.step(training)[2:], strict=True):
                parts.append((f"gradient of its {name} in {mode}", part))
        if trial is case.reference:
            parts += [(f"plain call in {mode}", trial.eager(training)) for training, mode in MODES]
        for name, part in parts:
            for leaf in tree_leaves(part):
                if leaf.dtype.itemsize > 4:
                    raise Fault(f"its {name} on {trial.backend} is {leaf.dtype}: give dtypes, or use fastmath.numpy")


@check
def computes_in_float64_on_request(case: LayerCase) -> None:
    """Inside fastmath.float64() it computes in float64, without narrowing anything: gradient checks rely on it."""
    trial = case.reference
    plain = trial.eager()[0]
    if not any(is_float(leaf) for leaf in leaves(plain)):
        raise Skip("its outputs are no floating-point numbers")
    with trial.active(), fastmath.float64():
        y = _run_as(trial, "float64")
    for number, (one, two) in enumerate(zip(leaves(plain), leaves(y), strict=True)):
        if is_float(one) and two.dtype != onp.float64:
            raise Fault(f"output {number} is {two.dtype} inside float64(): it names a dtype, or narrows its inputs")
        if (far := apart(one, two)) > 1e-3:
            raise Fault(f"output {number} in float32 and in float64 are {far:.2g} apart")


@check
def takes_bfloat16(case: LayerCase) -> None:
    """bfloat16 inputs give outputs near those of float32 and within 32 bits, or a refusal."""
    trial = case.reference
    if not any(map(is_float, trial.inputs)):
        raise Skip("it takes no floating-point numbers")
    try:
        import ml_dtypes
    except ImportError:
        raise Skip("ml_dtypes, which has bfloat16, is not installed (pip install ml-dtypes)") from None
    try:
        y = _run_as(trial, ml_dtypes.bfloat16, weights_too=False)
    except LayerkitError as error:
        raise Skip("it refuses bfloat16") from error
    for number, (one, two) in enumerate(zip(leaves(trial.eager()[0]), leaves(y), strict=True)):
        if is_float(one) and (not is_float(two) or two.dtype.itemsize > 4):
            raise Fault(f"output {number} for bfloat16 is {two.dtype}")
        if is_float(one) and (far := apart(onp.asarray(two, "float32"), one)) > _HALF_TOLERANCE:
            raise Fault(f"output {number} for bfloat16 and float32 are {far:.2g} apart, more than {_HALF_TOLERANCE}")


@check
def wide_inputs_are_narrowed(case: LayerCase) -> None:
    """float64 and int64 arrays, which NumPy makes by default, give what the same numbers in 32 bits give."""
    trial = case.reference
    if not trial.inputs:
        raise Skip("it takes no inputs")
    wide = tuple(_widened(array) for array in trial.inputs)
    require_close("its outputs for inputs in 64 bits and in 32", trial.eager(inputs=wide)[0], trial.eager()[0], 1e-6)


@check
def lists_are_taken(case: LayerCase) -> None:
    """Python lists of numbers give what arrays of them give: it is tried by hand that way."""
    trial = case.reference
    if not trial.inputs or not all(array.size for array in trial.inputs):
        raise Skip("it takes no inputs")
    if any(array.dtype.kind == "u" for array in trial.inputs):
        raise Skip("it takes unsigned numbers, which a list cannot say")
    lists = tuple(array.tolist() for array in trial.inputs)
    require_close("its outputs for lists and for arrays", trial.eager(inputs=lists)[0], trial.eager()[0], 1e-6)


def _run_as(trial: Trial, dtype: Any, weights_too: bool = True) -> Any:
    """The outputs of a new layer for the trial's numbers in another dtype, from the trial's weights."""

    def cast(array: Any) -> Any:
        return array.astype(dtype) if is_float(array) else array

    inputs = tuple(map(cast, trial.inputs))
    with trial.active():
        layer = trial.make()
        layer.init(bare(tuple(_signature(array) for array in inputs)), trial.key(0))
        weights, state = (map_host(cast, tree) if weights_too else tree for tree in (trial.weights, trial.state))
        return as_tuple(layer.pure_fn(bare(inputs), weights, state, trial.key(0), False)[0])


def _signature(array: Any) -> ShapeDtype:
    of: ShapeDtype = signature(array)
    return of


def _widened(array: Any) -> Any:
    kinds = {"f": "float64", "i": "int64", "u": "uint64"}
    return array.astype(kinds[array.dtype.kind]) if array.dtype.kind in kinds else array
