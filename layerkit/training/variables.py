"""Everything that training changes, and the name that each array of it has on disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from layerkit.errors import LayerkitError
from layerkit.fastmath import nested_map, tree_leaves, tree_unflatten
from layerkit.layer import Layer
from layerkit.tensor_names import names_within, tensor_paths
from layerkit.training.own import copy

__all__ = ["FILES", "OfTask", "Variables"]

FILES = ("weights", "slots", "state")
"""The kinds of arrays; each has a file of its own in a checkpoint."""

Arrays = dict[str, dict[str, Any]]

_WAITING = "/waiting/"  # in the names of what is known of rows that wait


class OfTask(NamedTuple):
    """What belongs to one training task: its loss layer's weights and state, its optimizer's slots.

    The slots are those of the tree (model's weights, loss's weights); ``waiting`` is what is known of rows that wait.
    """

    loss_weights: Any
    loss_state: Any
    slots: Any
    waiting: Any = ()


class Variables:
    """The arrays of a run: the model's weights and state, and what belongs to each task.

    ``alive`` is a boolean scalar: once a loss was not finite it is false, and no step changes anything.
    """

    def __init__(
        self, weights: Any, state: Any, tasks: list[OfTask], alive: Any, waiting: Mapping[str, Any] | None = None
    ) -> None:
        self.weights, self.state, self.tasks, self.alive = weights, state, tasks, alive
        self.waiting: Mapping[str, Any] = waiting or {}
        """What a checkpoint says of rows that wait, by name, until the steps have taken it over."""

    def own(self, private: Collection[int] = ()) -> None:
        """Copies weights and state where steps give away what they replace, so that others may keep theirs.

        Args:
            private: which leaves of the weights nobody else has.
        """
        shared = [leaf for place, leaf in enumerate(tree_leaves(self.weights)) if place not in private]
        losses = [(task.loss_weights, task.loss_state) for task in self.tasks]
        shared, self.state, losses = copy((shared, self.state, losses))
        copies = iter(shared)
        leaves = [leaf if i in private else next(copies) for i, leaf in enumerate(tree_leaves(self.weights))]
        self.weights = tree_unflatten(leaves, self.weights)
        self.tasks = [
            task._replace(loss_weights=w, loss_state=s) for task, (w, s) in zip(self.tasks, losses, strict=True)
        ]

    def named(self, model: Layer, losses: list[Layer]) -> Arrays:
        """Every array under its name, for each of ``FILES``: ``named["weights"]["2.Dense/kernel"]``.

        A loss layer's arrays stand behind ``loss.0/``, slots behind the number of their task.
        """
        arrays: Arrays = {kind: {} for kind in FILES}
        for label, leaf in zip(tree_leaves(self._labels(model, losses)), tree_leaves(self._tree()), strict=True):
            kind, _, name = label.partition(":")
            arrays[kind][name] = leaf
        return arrays

    def replaced(self, arrays: Mapping[str, Mapping[str, Any]], model: Layer, losses: list[Layer]) -> Variables:
        """The same variables with other values: arrays by name, as ``named`` gives them.

        Raises:
            LayerkitError: an array is missing, left over, or of another shape or dtype; the message names it.
        """
        for kind, wanted in self.named(model, losses).items():
            _check(f"{kind}.safetensors", _without_waiting(wanted), _without_waiting(arrays[kind]))

        def value(label: str) -> Any:
            kind, _, name = label.partition(":")
            return arrays[kind][name] if _WAITING not in name else ()

        weights, state, tasks = nested_map(value, self._labels(model, losses))
        waiting = {name.partition(_WAITING)[2]: a for name, a in arrays["slots"].items() if _WAITING in name}
        return Variables(weights, state, [task._replace(waiting=()) for task in tasks], self.alive, waiting)

    def _tree(self) -> Any:
        return self.weights, self.state, self.tasks

    def _labels(self, model: Layer, losses: list[Layer]) -> Any:
        """A tree like that of the arrays with ``kind:name`` in the place of each."""
        weights = _labelled(model, self.weights, "weights", "")
        tasks = []
        for number, (loss, own) in enumerate(zip(losses, self.tasks, strict=True)):
            loss_weights = _labelled(loss, own.loss_weights, "weights", f"loss.{number}/")
            loss_state = _labelled(loss, own.loss_state, "state", f"loss.{number}/")
            slots = nested_map(
                lambda label, part, number=number: _slot_labels(f"{number}/{label.partition(':')[2]}", part),
                (weights, loss_weights),
                own.slots,
            )
            waiting = _slot_labels(f"{number}{_WAITING}"[:-1], own.waiting)
            tasks.append(OfTask(loss_weights, loss_state, slots, waiting))
        return weights, _labelled(model, self.state, "state", ""), tasks


def _labelled(layer: Layer, tree: Any, kind: str, prefix: str) -> Any:
    return tree_unflatten([f"{kind}:{prefix}{path}" for path in tensor_paths(layer, tree, kind)], tree)


def _slot_labels(path: str, slots: Any) -> Any:
    return tree_unflatten([f"slots:{path}/{name or 'slot'}" for name in names_within(slots)], slots)


def _without_waiting(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays but for what is known of rows that wait, which may change from run to run."""
    return {name: array for name, array in arrays.items() if _WAITING not in name}


def _check(file: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Makes sure that ``found`` has the names, shapes and dtypes of ``wanted``."""
    for name, leaf in wanted.items():
        array = found.get(name)
        if array is None:
            raise LayerkitError(f"{file}: the array {name} of this model is missing")
        if tuple(array.shape) != tuple(leaf.shape) or array.dtype != leaf.dtype:
            raise LayerkitError(
                f"{file}: {name} is {array.dtype}{list(array.shape)}, and this model has {leaf.dtype}{list(leaf.shape)}"
            )
    for name in found:
        if name not in wanted:
            raise LayerkitError(f"{file}: the array {name} has no place in this model")
