"""The scores of the next id: from what a model remembers in predict mode, or from the beginning each time.

Scores are (b, m, v), behind each of the ids that a call brings: those of the next id are the last. The first call
brings the prefix too: an id of it that the model cannot read shows in the scores behind it, and perhaps only there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as onp

from layerkit import fastmath
from layerkit.engine.bare import as_tuple
from layerkit.engine.initializing import init_outermost
from layerkit.engine.sharing import walk
from layerkit.fastmath import numpy as np
from layerkit.layer import Layer, LayerError
from layerkit.shapes import signature

__all__ = ["Recomputing", "Remembering", "follower", "in_predict_mode"]


def in_predict_mode(model: Layer) -> bool:
    """Whether the model takes a text piece by piece: whether a layer in it was made with ``mode="predict"``."""
    return any(layer.mode == "predict" for layer in walk(model))


class Remembering(NamedTuple):
    """A model in predict mode: each call brings the ids that are new.

    ``rows`` is how many texts are written, in a batch.
    """

    model: Layer
    rows: int

    def start(self, weights: Any, state: Any, inputs: Any, start_id: int, prefix: Any) -> tuple[Any, Any]:
        """(scores behind ``start_id`` and each id of ``prefix`` (b, p), memory)"""
        first = np.concatenate([np.full((self.rows, 1), start_id, onp.int32), prefix], axis=1)
        return self._call(weights, self._beginning(inputs, first), inputs, first)

    def next(self, weights: Any, memory: Any, inputs: Any, ids: Any) -> tuple[Any, Any]:
        """(scores behind ``ids`` (b,), memory)"""
        return self._call(weights, memory, inputs, np.expand_dims(ids, 1))

    def reordered(self, memory: Any, order: Any) -> Any:
        """The memory in which text i goes on from text ``order[i]``."""
        return fastmath.nested_map(lambda leaf: self._rows_of(leaf, order), memory)

    def _rows_of(self, leaf: Any, order: Any) -> Any:
        if not leaf.shape:  # a count of positions, the same for all texts
            return leaf
        texts = np.reshape(leaf, (self.rows, -1))
        return np.reshape(np.take(texts, order, axis=0), leaf.shape)

    def _call(self, weights: Any, state: Any, inputs: Any, ids: Any) -> tuple[Any, Any]:
        y, state = self.model.pure_fn(_arguments(inputs, ids), weights, state, self.model.rng, False)
        return _scores_of(y), state

    def _beginning(self, inputs: Any, ids: Any) -> Any:
        """The state that ``init`` gives for these inputs, whatever the model was used for before."""
        of_inputs = signature(_arguments(inputs, ids))
        more = fastmath.nested_map(lambda s: s.replace(shape=(s.shape[0] + 1, *s.shape[1:])), of_inputs)
        state = init_outermost(self.model, of_inputs, None)[1]
        of_more = self.model.signatures(more)[1]
        for leaf, other in zip(fastmath.tree_leaves(state), fastmath.tree_leaves(of_more), strict=True):
            if leaf.shape and tuple(leaf.shape) == tuple(other.shape):
                raise LayerError(
                    f"{self.model.name} has state of training, {signature(leaf)}, which predict mode would lose: "
                    "decode with a model that is not made with mode='predict'"
                )
        return state


class Recomputing(NamedTuple):
    """A model that takes whole texts, with a ``ShiftRight`` in it: one call for each id, on all that was written.

    ``length`` is that of the longest text, prefix and all.
    """

    model: Layer
    length: int

    def start(self, weights: Any, state: Any, inputs: Any, start_id: int, prefix: Any) -> tuple[Any, Any]:
        """(scores behind ``start_id`` and each id of ``prefix`` (b, p), memory)"""
        if start_id:
            raise LayerError(
                f"{self.model.name} begins with the 0 that ShiftRight puts in, not with start_id={start_id}: "
                "make it with mode='predict'"
            )
        room = self.length - prefix.shape[1]
        ids = np.concatenate([prefix, np.zeros((prefix.shape[0], room), onp.int32)], axis=1)
        scores = self._scores(weights, ids, state, inputs)[:, : prefix.shape[1] + 1]
        return scores, (ids, np.array(prefix.shape[1], onp.int32), state)

    def next(self, weights: Any, memory: Any, inputs: Any, ids: Any) -> tuple[Any, Any]:
        """(scores behind ``ids`` (b,), memory)"""
        text, position, state = memory
        text = fastmath.update_slice(text, np.expand_dims(ids, 1), position, axis=1)
        here = np.reshape(position + 1, (1, 1, 1))
        scores = np.take_along_axis(self._scores(weights, text, state, inputs), here, axis=1)
        return scores, (text, position + 1, state)

    def reordered(self, memory: Any, order: Any) -> Any:
        """The memory in which text i goes on from text ``order[i]``."""
        text, position, state = memory
        return np.take(text, order, axis=0), position, state

    def _scores(self, weights: Any, text: Any, state: Any, inputs: Any) -> Any:
        y, _ = self.model.pure_fn(_arguments(inputs, text), weights, state, self.model.rng, False)
        return _scores_of(y)


def follower(model: Layer, rows: int, length: int) -> Remembering | Recomputing:
    """How the model is asked for the next id."""
    return Remembering(model, rows) if in_predict_mode(model) else Recomputing(model, length)


def _arguments(inputs: Any, ids: Any) -> Any:
    return ids if inputs is None else (inputs, ids)


def _scores_of(y: Any) -> Any:
    scores = as_tuple(y)[0]
    if len(scores.shape) != 3:
        raise LayerError(
            f"expected a model that gives scores (batch, length, vocabulary), got an output {tuple(scores.shape)}"
        )
    return scores
