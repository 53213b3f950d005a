"""What does not fit is refused by a LayerError: which layer, by its whole path, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.combinators import Serial
from layerkit.engine.bare import as_tuple, bare
from layerkit.layer import Layer, LayerError
from layerkit.plugins.problems import one_line
from layerkit.shapes import f32, signature
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import leaves, require_same
from layerkit.testing.trial import Trial

__all__: list[str] = []

check = LAYERS.check("refusals")


@check
def wrong_number_of_inputs_is_refused(case: LayerCase) -> None:
    """One input too few, and one too many of a bare layer, is a LayerError that names the layer."""
    trial = case.reference
    if type(trial.layer).accept_inputs.__module__.startswith("layerkit.combinators"):
        raise Skip("it is a combinator, which takes any number of inputs")
    n_in = trial.layer.n_in
    if n_in and len(trial.inputs) == n_in:
        _require_refusal(trial, f"{n_in - 1} of its {n_in} inputs", trial.inputs[:-1])
    if not trial.layer.sublayers:
        _require_refusal(trial, f"{n_in + 1} inputs instead of {n_in}", (*trial.inputs[:n_in], onp.ones(2, "float32")))


@check
def wrong_rank_is_refused_or_told(case: LayerCase) -> None:
    """Inputs with an axis more, or less, are refused by a LayerError, or give what output_signature says."""
    trial = case.reference
    if not any(array.ndim for array in trial.inputs):
        raise Skip("its inputs have no axes")
    for what, change in _RANKS:
        changed = tuple(change(array) if array.ndim else array for array in trial.inputs)
        _require_refusal_or_honesty(trial, what, changed)


@check
def wrong_width_is_refused(case: LayerCase) -> None:
    """Where weights depend on the last axis, another one is refused: weights must not be stretched over it silently."""
    trial = case.reference
    if not leaves(trial.weights):
        raise Skip("it has no weights")
    if not trial.inputs or not trial.inputs[0].ndim or trial.inputs[0].dtype.kind in "biu":
        raise Skip("its weights do not depend on the last axis")
    wider = (onp.concatenate([trial.inputs[0], trial.inputs[0][..., :1]], axis=-1), *trial.inputs[1:])
    try:
        with trial.active():
            other = trial.make().init(bare(wider), trial.key(0))[0]
    except LayerError:
        return
    if [leaf.shape for leaf in leaves(other)] == [leaf.shape for leaf in leaves(trial.weights)]:
        raise Skip("its weights do not depend on the last axis")
    _require_refusal(trial, f"{wider[0].shape} where {trial.inputs[0].shape} were there at init", wider)


@check
def wrong_dtype_is_refused_or_told(case: LayerCase) -> None:
    """Text, None, complex numbers and objects are refused; numbers of another kind too, or they give what is said."""
    trial = case.reference
    if not trial.inputs:
        raise Skip("it takes no inputs")
    first, *rest = trial.inputs
    wrong: list[tuple[str, Any]] = [
        ("text", onp.full(first.shape, "a")),
        ("None", None),
        ("complex numbers", onp.ones(first.shape, "complex64")),
        ("Python objects", onp.full(first.shape, None)),
    ]
    for what, array in wrong:
        _require_refusal(trial, f"{what} for its first input", (array, *rest))
    for dtype in ("bool", "int32", "float32"):
        if first.dtype != dtype:
            _require_refusal_or_honesty(trial, f"{dtype} for {first.dtype}", (first.astype(dtype), *rest))


@check
def errors_name_the_whole_path(case: LayerCase) -> None:
    """Inside a Serial, its refusals begin with the path from the outermost layer: Serial > 0:Name."""
    trial = case.reference
    if not trial.layer.n_in:
        raise Skip("it takes no inputs")
    for wrong in (f32(2, 3, 2, 3, 2), f32()):
        with trial.active():
            layer = trial.make()
            signatures = (wrong,) * layer.n_in
            try:
                layer.init(bare(signatures), trial.key(0))
            except LayerError:
                _require_path(Serial(layer), layer, bare(signatures))
                return
    raise Skip("it takes arrays of any shape")


@check
def recovers_from_an_error(case: LayerCase) -> None:
    """After a call that was refused, a good one gives what it gave before: nothing half-done stays behind."""
    trial = case.reference
    layer = trial.fresh()
    before = trial.eager(layer=layer)
    for inputs in ((), (onp.ones((), "float32"),) * max(1, trial.layer.n_in), (onp.ones((1, 1, 1, 1, 1)),) * 9):
        try:
            trial.eager(training=True, inputs=inputs, layer=layer)
        except LayerError:
            pass
        except Exception as error:
            raise Fault(f"inputs that do not fit raise {one_line(error)}, not a LayerError") from error
    require_same("its outputs before and after a call that was refused", before, trial.eager(layer=layer))


_RANKS: list[tuple[str, Callable[[Any], Any]]] = [
    ("an axis more", lambda array: array[None]),
    ("an axis less", lambda array: array[0] if len(array) else array.reshape(array.shape[1:] or ())),
    ("no axes", lambda array: array.reshape(-1)[0] if array.size else array),
]


def _attempt(trial: Trial, what: str, inputs: tuple[Any, ...]) -> Any:
    """The outputs for inputs; the LayerError if they are refused as they should be."""
    try:
        return trial.eager(inputs=inputs)[0]
    except LayerError as error:
        if "\n" in str(error) or not error.path:
            raise Fault(f"given {what}, its error has several lines or no path: {error}") from error
        return error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise Fault(f"given {what}, it is not refused by a LayerError: {one_line(error)}") from error


def _require_refusal(trial: Trial, what: str, inputs: tuple[Any, ...]) -> None:
    result = _attempt(trial, what, inputs)
    if not isinstance(result, LayerError):
        raise Fault(f"given {what}, it is not refused, but gives {signature(result)}")
    if trial.layer.name not in str(result):
        raise Fault(f"given {what}, its error does not name it: {result}")


def _require_refusal_or_honesty(trial: Trial, what: str, inputs: tuple[Any, ...]) -> None:
    result = _attempt(trial, what, inputs)
    if isinstance(result, LayerError):
        return
    with trial.active():
        try:
            said = trial.layer.output_signature(bare(tuple(map(signature, inputs))))
        except LayerError as error:
            raise Fault(f"given {what}, it gives {signature(result)}, and output_signature refuses: {error}") from error
    if said != signature(bare(as_tuple(result))):
        raise Fault(f"given {what}, it gives {signature(result)}, and output_signature says {said}")


def _require_path(model: Layer, layer: Layer, signatures: Any) -> None:
    try:
        model.init(signatures)
    except LayerError as error:
        if not error.path.startswith("Serial > ") or layer.name not in error.path:
            raise Fault(f"inside a Serial, the path of its error is {error.path!r}: {error}") from error
    else:
        raise Fault("it refuses inputs by itself, and takes them inside a Serial")
