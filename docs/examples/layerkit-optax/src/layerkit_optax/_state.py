"""The state of an optax transformation, taken apart into slots, and put together again.

optax keeps one state for all weights: named tuples with counts, and inside them trees like that of the weights.
layerkit keeps slots with each weight, as plain trees of arrays, which checkpoints store by name. Here a weight's slots
are a dict from where something stands in the state ("0.mu") to an array:

- of a tree like that of the weights, every weight gets its own part;
- a single number that all share, such as a count of steps, is kept with every weight;
- an array that belongs to no weight is kept with the first one alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from layerkit import LayerkitError

__all__ = ["from_slots", "is_masked", "to_slots"]

Slots = dict[str, Any]


def to_slots(state: Any, form: Any, weights: Any, what: str) -> list[Slots]:
    """The slots of each trained weight, from left to right.

    Args:
        state: a state of the transformation.
        form: what its ``init`` gives for these weights, as shapes and dtypes.
        weights: the tree of weights; those that are not trained are an ``optax.MaskedNode()``.
        what: what an error calls the transformation.

    Raises:
        LayerkitError: the state is not of the form that it had at first.
    """
    if jax.tree.structure(state) != jax.tree.structure(form):
        raise LayerkitError(
            f"{what}: its state changes its form, from {_outline(form)} to {_outline(state)}: "
            "a transformation whose state keeps one form can be compiled"
        )
    slots: list[Slots] = [{} for _ in _trained(weights)]
    for (name, part, is_tree), (_, wanted, _) in zip(_parts(state, weights), _parts(form, weights), strict=True):
        if is_tree:
            for slot, leaf, like in zip(slots, _trained(part, weights), _trained(wanted, weights), strict=True):
                if not is_masked(leaf):
                    slot[name] = _stored(leaf, like, f"{what}: {name}")
        else:
            for slot in slots if wanted.shape == () and not _is_key(wanted) else slots[:1]:
                slot[name] = _stored(part, wanted, f"{what}: {name}")
    return slots


def from_slots(slots: list[Slots], form: Any, weights: Any, what: str) -> Any:
    """The state that ``to_slots`` took apart.

    Raises:
        LayerkitError: the slots are another transformation's.
    """

    def taken(name: str, index: int, like: Any) -> Any:
        try:
            stored = slots[index][name]
        except (KeyError, TypeError, IndexError) as error:
            raise LayerkitError(
                f"{what}: the slots of weight {index} have no {name!r}: take those of tree_init(weights)"
            ) from error
        return _restored(stored, like)

    numbers, kept = itertools.count(), jax.tree.leaves(weights, is_leaf=is_masked)
    places = [-1 if is_masked(weight) else next(numbers) for weight in kept]
    rebuilt = []
    for name, part, is_tree in _parts(form, weights):
        if not is_tree:
            rebuilt.append(taken(name, 0, part))
            continue
        leaves, structure = jax.tree.flatten(part, is_leaf=is_masked)
        pairs = zip(leaves, places, strict=True)
        values = [leaf if is_masked(leaf) else taken(name, place, leaf) for leaf, place in pairs]
        rebuilt.append(jax.tree.unflatten(structure, values))
    structure = jax.tree.structure(form, is_leaf=_like(weights))
    return jax.tree.unflatten(structure, rebuilt)


def is_masked(node: Any) -> bool:
    """Whether optax is to leave out what would stand here."""
    return isinstance(node, optax.MaskedNode)


def _parts(state: Any, weights: Any) -> Iterator[tuple[str, Any, bool]]:
    """(name, part, whether it is a tree like that of the weights) for all there is in a state."""
    is_like = _like(weights)
    for path, part in jax.tree_util.tree_flatten_with_path(state, is_leaf=is_like)[0]:
        yield jax.tree_util.keystr(path, simple=True, separator=".") or "state", part, is_like(part)


def _like(weights: Any) -> Any:
    """Whether something has the form of the weights; optax may have masked some of them."""
    structure = jax.tree.structure(weights, is_leaf=is_masked)
    return lambda part: jax.tree.structure(part, is_leaf=is_masked) == structure


def _trained(tree: Any, weights: Any = None) -> list[Any]:
    """The leaves of ``tree`` that stand where the weights are trained."""
    leaves = jax.tree.leaves(tree, is_leaf=is_masked)
    kept = leaves if weights is None else jax.tree.leaves(weights, is_leaf=is_masked)
    return [leaf for leaf, weight in zip(leaves, kept, strict=True) if not is_masked(weight)]


def _is_key(like: Any) -> bool:
    return bool(jnp.issubdtype(like.dtype, jax.dtypes.prng_key))


def _stored(leaf: Any, like: Any, name: str) -> Any:
    """An array as a checkpoint can store it: of a random key, its bits."""
    # A copy: a step overwrites its slots, and optax may have put one array in two places, or a weight into its state.
    array = jnp.array(leaf, copy=True)
    if array.shape != like.shape or array.dtype != like.dtype:
        raise LayerkitError(
            f"{name} in its state changes from {like.dtype}{list(like.shape)} to {array.dtype}{list(array.shape)}: "
            "a transformation whose state keeps one form can be compiled"
        )
    # astype takes away that a number began as Python's, which would cost a second compilation.
    return jax.random.key_data(array) if _is_key(like) else array.astype(like.dtype)


def _restored(leaf: Any, like: Any) -> Any:
    array = jnp.asarray(leaf)
    if not _is_key(like):
        return array
    # jax tells the kind of a key, of which a dtype is all there is here, while it traces.
    kinds: list[Any] = []
    jax.eval_shape(lambda key: kinds.append(jax.random.key_impl(key)), like)
    return jax.random.wrap_key_data(array, impl=kinds[0])


def _outline(state: Any) -> str:
    return " ".join(str(jax.tree.structure(state)).removeprefix("PyTreeDef").split())[:120]
