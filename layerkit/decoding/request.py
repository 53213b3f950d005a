"""What is to be written, and whether it can be: ids, inputs, lengths and vocabularies that fit together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as onp

from layerkit import arguments, fastmath
from layerkit.decoding.following import follower
from layerkit.engine.naming import count
from layerkit.errors import shown
from layerkit.layer import Layer, LayerError

__all__ = ["Limits", "Request", "check_vocabulary", "checked_request", "refuse_what_is_not_finite"]


class Limits(NamedTuple):
    """Where texts begin and end."""

    start_id: int
    eos_id: int | None
    max_length: int


class Request(NamedTuple):
    """What the texts to be written begin with."""

    inputs: Any
    """Whole texts that the model reads first, (b, l), for a model of two inputs; else None."""
    prefix: Any
    """The ids that are there already, (b, p)."""


def checked_request(
    function: str, model: Any, inputs: Any, prefix: Any, batch_size: Any, start_id: Any, eos_id: Any, max_length: Any
) -> tuple[Request, Limits]:
    """What is to be written, if the model can."""
    limits = Limits(
        arguments.whole_number(function, "start_id", start_id, at_least=0),
        None if eos_id is None else arguments.whole_number(function, "eos_id", eos_id, at_least=0),
        arguments.whole_number(function, "max_length", max_length),
    )
    request = _request(function, _checked_model(function, model), inputs, prefix, batch_size)
    return request, limits


def _checked_model(function: str, model: Any) -> Layer:
    if not isinstance(model, Layer):
        raise LayerError(f"{function}: the model must be a layer, got {shown(model)}")
    if model.n_in not in (1, 2):
        raise LayerError(f"{function}: {model.name} takes {model.n_in} inputs; expected ids, or (inputs, ids)")
    if not fastmath.tree_leaves(model.weights):
        raise LayerError(f"{function}: {model.name} has no weights: init it, or give it those of a trained model")
    return model


def _request(function: str, model: Layer, inputs: Any, prefix: Any, batch_size: Any) -> Request:
    if model.n_in == 1 and inputs is not None:
        if prefix is not None:
            raise LayerError(f"{function}: {model.name} takes one input: inputs are its prefix, so give one of the two")
        inputs, prefix = None, inputs
    if model.n_in == 2 and inputs is None:
        raise LayerError(f"{function}: {model.name} takes (inputs, ids): give inputs, ids (batch, length)")
    given = {
        name: _ids(function, name, value)
        for name, value in (("inputs", inputs), ("prefix", prefix))
        if value is not None
    }
    rows = {name: value.shape[0] for name, value in given.items()}
    if batch_size is not None:
        rows["batch_size"] = arguments.whole_number(function, "batch_size", batch_size)
    if len(set(rows.values())) > 1:
        said = ", ".join(f"{name} {number}" for name, number in rows.items())
        raise LayerError(f"{function}: these speak of different batches: {said}")
    n = max(rows.values(), default=1)
    return Request(given.get("inputs"), given.get("prefix", onp.zeros((n, 0), onp.int32)))


def _ids(function: str, name: str, value: Any) -> Any:
    try:
        ids = onp.asarray(value)
    except ValueError:
        remedy = "pad the shorter ones" if name == "inputs" else "write those of each length by themselves"
        raise LayerError(f"{function}: {name} has rows of different lengths: {remedy}") from None
    if ids.ndim != 2 or not ids.shape[0] or (ids.size and ids.dtype.kind not in "iu"):
        raise LayerError(
            f"{function}: {name} must be whole numbers (batch, length), got {ids.dtype.name} of shape {ids.shape}"
        )
    for extreme in (ids.min(initial=0), ids.max(initial=0)):
        if not 0 <= extreme < 2**31:
            raise LayerError(f"{function}: {name} must be ids of at least 0, below 2**31, got {extreme}")
    return ids.astype(onp.int32)


def check_vocabulary(function: str, model: Layer, limits: Limits, scores: Any) -> None:
    """Refuses a start or an end that is none of the ids that have scores (b, v)."""
    for name, value in (("start_id", limits.start_id), ("eos_id", limits.eos_id)):
        if value is not None and value >= scores.shape[-1]:
            raise LayerError(f"{function}: {name}={value} is no id: {model.name} has scores for {scores.shape[-1]} ids")


def refuse_what_is_not_finite(function: str, model: Layer, request: Request, limits: Limits, first: int) -> None:
    """Says that the scores of id number ``first`` were no numbers, as a compiled program cannot.

    Outside of one the ids are known: the first call, made again, names the layer that cannot take them.
    """
    inputs, prefix = request
    n = prefix.shape[1] + first + 1
    if not first:
        follower(model, prefix.shape[0], n).start(model.weights, model.state, inputs, limits.start_id, prefix)
    raise LayerError(
        f"{function}: the scores of id {first} are not finite: {count(n, 'position')} may be more than {model.name} "
        "has room for (max_len), an id may be beyond its vocabulary, or a weight not finite"
    )
