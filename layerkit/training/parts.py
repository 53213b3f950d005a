"""An optimizer for each part of a model; a part that has none stays as it is."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from layerkit.errors import UsageError, suggest
from layerkit.fastmath import tree_leaves, tree_unflatten
from layerkit.optimizer import Optimizer

__all__ = ["Parts"]


class Parts(Optimizer):
    """Several optimizers, each of which trains the weights whose paths begin with its name.

    Args:
        given: for the path of a layer or of a weight, from the outermost layer, its optimizer; ``None`` for a part that
            is not trained. The longest name that fits counts; ``""`` fits all.
    """

    def __init__(self, given: Mapping[str, Optimizer | None]) -> None:
        self.given = dict(given)
        self._members = list({id(own): own for own in self.given.values() if own is not None}.values())
        self._paths: list[str] = []
        self._owners: list[int | None] = []
        if not self._members:
            raise UsageError("optimizer: no part has one, so nothing would be trained")

    def bind(self, paths: list[str]) -> None:
        """Finds out which optimizer each weight has; ``paths`` are those of the weights.

        Raises:
            UsageError: a weight has none, a name is no weight's, or it has trained another model.
        """
        if self._paths and self._paths != paths:
            raise UsageError("optimizer: its parts are those of another model: make a TrainTask for each model")
        known = list(dict.fromkeys(name for path in paths for name in _names(path)))
        for name in self.given:
            if name and name not in known:
                raise UsageError(f"optimizer: no weight's path begins with {name!r}: {suggest(name, known)}")
        numbers = {id(member): number for number, member in enumerate(self._members)}
        self._owners = [numbers.get(id(self._of(path))) for path in paths]
        self.fixed_places = frozenset(place for place, owner in enumerate(self._owners) if owner is None)
        self._paths = paths

    def _of(self, path: str) -> Optimizer | None:
        for name in (*_names(path), ""):
            if name in self.given:
                return self.given[name]
        raise UsageError(f"optimizer: {path} has none: name it, or give '' one, which is for all that is not named")

    def members(self) -> list[Optimizer]:
        return self._members

    def identity(self) -> str:
        return ", ".join(f"{path or 'the rest'}: {own and own.identity()}" for path, own in self.given.items())

    def cannot_skip(self) -> str:
        return "parts of the model have optimizers of their own"

    def cannot_schedule(self) -> str:
        return "lr_schedule is for one optimizer: give each part's its own, Adam(lr_schedule)"

    def learning_rate_at(self, step: Any) -> Any:
        raise UsageError("optimizer: each part has a learning rate of its own")

    def tree_init(self, weights: Any) -> tuple[Any, Any]:
        leaves = tree_leaves(weights)
        made = [iter(member.tree_init(self._own(n, leaves))[0]) for n, member in enumerate(self._members)]
        slots = list(self._merged(made, [()] * len(leaves)))
        return tree_unflatten(slots, weights), tuple(member.opt_params for member in self._members)

    def tree_update(
        self, step: Any, grads: Any, weights: Any, slots: Any, opt_params: Any, stats: bool = False
    ) -> tuple[Any, Any, dict[str, Any]]:
        """As an optimizer's, of lists with an entry for each weight, and without figures."""
        updates: list[Iterator[Any]] = []
        for n, member in enumerate(self._members):
            own = functools.partial(self._own, n)
            new, new_slots, _ = member.tree_update(step, own(grads), own(weights), own(slots), opt_params[n])
            updates.append(zip(new, new_slots, strict=True))
        merged = list(self._merged(updates, zip(weights, slots, strict=True)))
        return [weight for weight, _ in merged], [slot for _, slot in merged], {}

    def overwrite_all(
        self, step: Any, grads: list[Any], params: list[Any], slots: list[Any], opt_params: Any
    ) -> Iterator[tuple[Any, Any]]:
        updates = []
        for n, member in enumerate(self._members):
            own = functools.partial(self._own, n)
            updates.append(member.overwrite_all(step, own(grads), own(params), own(slots), opt_params[n]))
        return self._merged(updates, zip(params, slots, strict=True))

    def _own(self, number: int, values: Sequence[Any]) -> list[Any]:
        """Those of the values, one for each weight, that belong to one of the optimizers."""
        return [value for value, owner in zip(values, self._owners, strict=True) if owner == number]

    def _merged(self, of_members: Sequence[Iterator[Any]], fixed: Iterable[Any]) -> Iterator[Any]:
        """For each weight the next of what its optimizer made, or what stands in ``fixed`` where it has none."""
        for owner, value in zip(self._owners, fixed, strict=True):
            yield value if owner is None else next(of_members[owner])

    def __repr__(self) -> str:
        return repr(self.given)


def _names(path: str) -> list[str]:
    """What a weight may be called: its path, and those of the layers around it, the innermost first.

    >>> _names("1.Branch/0.Embedding/table")
    ['1.Branch/0.Embedding/table', '1.Branch/0.Embedding', '1.Branch']
    """
    words = path.split("/")
    return ["/".join(words[:count]) for count in range(len(words), 0, -1)]
