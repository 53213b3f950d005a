"""Weights and state between calls: each layer has its own arrays, a tree is put together from those and taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerkit.engine.layer_error import LayerError, misfit
from layerkit.engine.naming import as_code
from layerkit.engine.sharing import walk
from layerkit.fastmath.transforms import impure

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["OWN", "keep", "require_init", "stored"]

OWN = ("_weights", "_state", "_rng", "_initialized", "_trees")
"""The attributes of a layer in which what ``init`` made is kept."""

_latest = object()
"""Another one whenever a layer was given something: a tree that was put together since then is what the layers have."""


def keep(layer: Layer, **trees: Any) -> None:
    """Puts weights (``_weights``), state (``_state``) or both on the layer and those inside it; all of it, or nothing.

    Raises:
        LayerError: the tree has not the form of the layer.
    """
    global _latest
    impure("a layer is given weights or state")
    given: list[tuple[Layer, str, Any]] = []
    for slot, tree in trees.items():
        parts: dict[Layer, Any] = {}
        _take_apart(layer, slot, tree, parts)
        given += [(part, slot, own) for part, own in parts.items() if not part.sublayers]
    for part in parts:
        if part.sublayers:
            part._trees = {}  # lets go of the arrays that were there before
    _latest = object()
    any(map(setattr, *zip(*given, strict=True)))  # one call of C code, which nothing cuts in two
    _latest = object()  # another thread may have put a tree together meanwhile
    if "_weights" in trees:
        for part in parts:
            part._initialized = True


def _take_apart(layer: Layer, slot: str, tree: Any, parts: dict[Layer, Any]) -> None:
    """Fills ``parts`` with what the tree has for each layer; a later place of a layer is skipped."""
    if layer in parts:
        return
    parts[layer] = tree
    if not layer.sublayers:
        return
    if fault := misfit(layer, slot.strip("_"), tree):
        raise LayerError(f"{layer.name}: {fault}")
    for sublayer, part in zip(layer.sublayers, tree, strict=True):
        _take_apart(sublayer, slot, part, parts)


def stored(layer: Layer, slot: str) -> Any:
    """The tree of what the layer and those inside it have; ``()`` in every later place of a layer."""
    impure("a layer's weights or state are read outside of its call")
    if not layer.sublayers:
        return getattr(layer, slot)
    since, tree = layer._trees.get(slot, (None, None))
    if since is not _latest:
        since = _latest  # before it is put together: another thread may be giving weights meanwhile
        tree = _put_together(layer, slot, set())
        layer._trees = {**layer._trees, slot: (since, tree)}
    return tree


def _put_together(layer: Layer, slot: str, seen: set[Layer]) -> Any:
    if layer in seen:
        return ()
    seen.add(layer)
    if not layer.sublayers:
        return getattr(layer, slot)
    return tuple([_put_together(sublayer, slot, seen) for sublayer in layer.sublayers])


def require_init(layer: Layer, inputs: Any, remedy: str = "") -> None:
    """Refuses to go on with a layer that has no weights yet."""
    for part in walk(layer):
        if not (part._initialized or part.is_bare or part.sublayers):
            where = "" if part is layer else f" ({part.name} inside it has none)"
            raise LayerError(
                f"{layer.name} has no weights yet{where}: {remedy or f'call its init({as_code(inputs)}) first'}"
            )
