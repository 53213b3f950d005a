"""``Optax``: the optimizer that any optax transformation makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

import layerkit as lk
from layerkit.fastmath import backend_name, tree_leaves, tree_unflatten
from layerkit_optax._state import from_slots, to_slots

__all__ = ["Optax"]


class Optax(lk.Optimizer):
    """u <- transformation(g);  w <- w + learning_rate * u.

    The transformation sees all weights at once, so that one which needs the norm of all gradients together is right. It
    counts its steps in its state; the state is kept in slots, and so in checkpoints. Whole numbers and booleans among
    the weights are not trained: optax sees an ``optax.MaskedNode()`` in their place. Weights in bfloat16 and float16
    are updated in float32. It runs on the backend ``jax`` alone.

    Args:
        transformation: what an optax function such as ``optax.adamw(1e-3)`` or ``optax.chain`` gives.
        learning_rate: what optax's update is multiplied by: a number, or a function of the step. Learning rates and
            schedules inside the transformation hold as they are while it is 1; otherwise the two are multiplied.
        clip_grad_norm: gradients are clipped before optax sees them, as ``lk.Optimizer`` does.
        weight_decay_rate: weights are multiplied by 1 - learning_rate * weight_decay_rate before each step, as
            ``lk.Optimizer`` does. optax's own decay is part of the transformation.

    Raises:
        UsageError: ``transformation`` is none, needs more than gradients and weights, or the backend is another one.

    Hessel et al., "Optax", https://optax.readthedocs.io.

    >>> weights = (jnp.array([1.0, 2.0]), (), jnp.array([3]))
    >>> optimizer = Optax(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.5)))
    >>> with lk.use_backend("jax"):
    ...     slots, opt_params = optimizer.tree_init(weights)
    ...     grads = (jnp.array([30.0, 40.0]), (), jnp.array([0]))
    ...     weights, slots, _ = optimizer.tree_update(0, grads, weights, slots, opt_params)
    >>> [round(w, 4) for w in weights[0].tolist()], weights[2].tolist()
    ([0.7, 1.6], [3])
    """

    backends: ClassVar = ("jax",)

    def __init__(
        self,
        transformation: Any,
        learning_rate: Any = 1.0,
        clip_grad_norm: float | None = None,
        weight_decay_rate: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, clip_grad_norm, weight_decay_rate)
        parts = [getattr(transformation, name, None) for name in ("init", "update")]
        if isinstance(transformation, type) or not all(map(callable, parts)):
            raise lk.UsageError(
                f"{type(self).__name__}: a transformation such as optax.adamw(1e-3) is due, got {transformation!r}"
            )
        self._given = transformation

    def transformation(self, opt_params: Any) -> Any:
        """The optax transformation, for the numbers of the moment."""
        return self._given

    # -- one weight ---------------------------------------------------------------------------------------------------

    def init(self, param: Any) -> Any:
        self._check_backend()
        return self._fresh(jnp.asarray(param))[0]

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        self._check_backend()
        param, new = self._moved(jnp.asarray(grads), jnp.asarray(param), [slots], opt_params)
        return param, new[0]

    # -- all weights --------------------------------------------------------------------------------------------------

    def tree_init(self, weights: Any) -> tuple[Any, Any]:
        self._check_backend()
        found: list[Any] = []

        def collect(param: Any) -> int:
            found.append(jnp.asarray(param))
            return len(found) - 1

        places, opt_params = lk.Optimizer.tree_init(self._with(init=collect), weights)
        slots = self._fresh(_filled(weights, places, found)) if found else []
        return _replaced(weights, places, slots), opt_params

    def tree_update(
        self, step: Any, grads: Any, weights: Any, slots: Any, opt_params: Any, stats: bool = False
    ) -> tuple[Any, Any, dict[str, Any]]:
        self._check_backend()
        found: list[_Weight] = []

        def collect(step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, int]:
            found.append(_Weight(jnp.asarray(grads), jnp.asarray(param), slots, opt_params))
            return param, len(found) - 1

        # The base class says what is trained, clips, decays, widens 16 bits and knows the learning rate of the step.
        walk = self._with(update=collect)
        kept, places, figures = lk.Optimizer.tree_update(walk, step, grads, weights, slots, opt_params, stats)
        if not found:
            return kept, slots, figures
        gradients, params = (_filled(weights, places, [w[i] for w in found]) for i in (0, 1))
        params, new_slots = self._moved(gradients, params, [w.slots for w in found], found[0].opt_params)
        new = _replaced(weights, places, jax.tree.leaves(params), tree_leaves(weights))
        return new, _replaced(weights, places, new_slots), figures

    def _with(self, **methods: Callable[..., Any]) -> lk.Optimizer:
        """An optimizer with the same settings and these methods in the place of its own."""
        other: lk.Optimizer = object.__new__(type(self))
        vars(other).update(vars(self), **methods)
        return other

    # -- optax --------------------------------------------------------------------------------------------------------

    def _fresh(self, weights: Any) -> list[Any]:
        transformation = self.transformation(self.opt_params)
        form = jax.eval_shape(transformation.init, weights)
        return to_slots(transformation.init(weights), form, weights, type(self).__name__)

    def _moved(self, grads: Any, weights: Any, slots: list[Any], opt_params: Any) -> tuple[Any, list[Any]]:
        """The weights, a tree as optax takes it, and the slots of each, after one step."""
        name, transformation = type(self).__name__, self.transformation(opt_params)
        form = jax.eval_shape(transformation.init, weights)
        state = from_slots(slots, form, weights, name)
        try:
            updates, state = transformation.update(grads, state, weights)
        except TypeError as error:
            if "required keyword-only argument" not in str(error):
                raise
            raise lk.UsageError(
                f"{name}: {error}: a layerkit step hands over gradients and weights alone; take another transformation"
            ) from error
        rate = opt_params.learning_rate
        moved = jax.tree.map(lambda w, u: (w + rate * u).astype(w.dtype), weights, updates)
        return moved, to_slots(state, form, weights, name)

    def _check_backend(self) -> None:
        if backend_name() != "jax":
            raise lk.UsageError(
                f"{type(self).__name__} runs on the backend 'jax' alone, and the active one is {backend_name()!r}: "
                "choose it with use_backend('jax') or LAYERKIT_BACKEND=jax"
            )

    def __repr__(self) -> str:
        kind = getattr(self._given.init, "__qualname__", type(self._given).__name__).partition(".")[0]
        return super().__repr__().replace(f"transformation={self._given!r}", f"transformation=<optax {kind}>")


class _Weight(NamedTuple):
    """What the update of one weight is given."""

    grads: Any
    param: Any
    slots: Any
    opt_params: Any


# ``places`` has the form of the weights: the number of each that is trained, and () for the others.


def _numbers(weights: Any, places: Any) -> list[Any]:
    found: list[Any] = []
    lk.fastmath.nested_map(lambda _, place: found.append(place), weights, places)
    return found


def _filled(weights: Any, places: Any, values: list[Any]) -> Any:
    """``values`` where the weights are trained, and what optax leaves out elsewhere."""
    numbers = _numbers(weights, places)
    return tree_unflatten([optax.MaskedNode() if n == () else values[n] for n in numbers], weights)


def _replaced(weights: Any, places: Any, values: list[Any], others: list[Any] | None = None) -> Any:
    """``values`` where the weights are trained, elsewhere ``others``, or ``()``; weights keep their dtype."""
    new: list[Any] = []
    for index, number in enumerate(_numbers(weights, places)):
        if others is None:
            new.append(() if number == () else values[number])
        else:
            new.append(others[index] if number == () else values[number].astype(others[index].dtype))
    return tree_unflatten(new, weights)
