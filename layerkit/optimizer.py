"""What an optimizer is: how one weight moves against its gradient, and from that how all weights of a model do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as onp

from layerkit.clipping import clipped, in_dtype, is_trained, norm_of, wide
from layerkit.errors import LayerkitError, UsageError
from layerkit.fastmath import is_traced, nested_map, tree_leaves, tree_unflatten
from layerkit.fastmath.trees import tree_parts
from layerkit.missed_steps import MissedSteps
from layerkit.optimizer_options import as_code, by_name, number, record
from layerkit.pieces import by_pieces, has_pieces

__all__ = ["Optimizer"]


class Optimizer:
    """Moves weights against their gradients, and remembers what it needs for that in slots.

    An optimizer of your own overrides ``update``, and ``init`` if it has slots. Both are about one weight: the base
    class does trees of weights, clipping, weight decay and learning rates that change. Numbers that ``update`` needs
    are handed to ``super().__init__`` by name; they come back as ``opt_params``, a record of float32 scalars that is
    read by name or unpacked in the order in which they were declared, the learning rate first.

    Args:
        learning_rate: a number, or a function of the step (such as those of ``layerkit.training.lr_schedules``).
        clip_grad_norm: gradients whose norm, taken over all weights together, is larger are scaled down to it.
        weight_decay_rate: before each update every weight is multiplied by 1 - learning_rate * weight_decay_rate:
            decay decoupled from the gradient, as in AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101). It is off
            unless asked for, and follows the learning rate. (Trax decays by default, at a rate of its own:
            w * (1 - rate), whatever the learning rate is.)
        opt_params: the optimizer's own numbers.

    Raises:
        UsageError: an argument is no number, outside of what ``limits`` says, or unknown.

    >>> from layerkit.fastmath import numpy as np
    >>> class SignDescent(Optimizer):
    ...     def update(self, step, grads, param, slots, opt_params):
    ...         return param - opt_params.learning_rate * np.sign(grads), slots
    >>> optimizer = SignDescent(0.5)
    >>> optimizer
    SignDescent(learning_rate=0.5)
    >>> weights = (np.array([1.0, 2.0]), ())
    >>> slots, opt_params = optimizer.tree_init(weights)
    >>> weights, slots, _ = optimizer.tree_update(0, (np.array([7.0, -7.0]), ()), weights, slots, opt_params)
    >>> weights[0].tolist()
    [0.5, 2.5]
    """

    limits: ClassVar[Mapping[str, str]] = {}
    """The interval that each of ``opt_params`` must lie in: ``{"b1": "[0, 1)", "eps": "(0, inf)"}``."""

    backends: ClassVar[Sequence[str] | None] = None
    """Names of the backends it runs on, where that is not all of them; the kit tries it on no other."""

    skips_at_any_rate: ClassVar[bool] = False
    """Whether its ``skip_rows`` asks ``missed_steps``, and so knows learning rates that change and weight decay."""

    # Defaults live on the class: a subclass need not call super().__init__().
    learning_rate: Any = 0.01
    clip_grad_norm: float | None = None
    weight_decay_rate: float = 0.0
    _options: Mapping[str, onp.float32] = {}
    _arguments: Mapping[str, Any] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        optimizer = object.__new__(cls)
        optimizer._arguments = by_name(cls, args, kwargs)
        return optimizer

    def __init__(
        self,
        learning_rate: Any = 0.01,
        clip_grad_norm: float | None = None,
        weight_decay_rate: float = 0.0,
        **opt_params: float,
    ) -> None:
        self.learning_rate = learning_rate
        self.clip_grad_norm = clip_grad_norm
        self.weight_decay_rate = weight_decay_rate
        if not callable(learning_rate):
            number(type(self), "learning_rate", learning_rate, "[0, inf)")
        if clip_grad_norm is not None:
            number(type(self), "clip_grad_norm", clip_grad_norm, "(0, inf)")
        number(type(self), "weight_decay_rate", weight_decay_rate, "[0, inf)")
        self._options = {
            name: number(type(self), name, value, self.limits.get(name, "(-inf, inf)"))
            for name, value in opt_params.items()
        }

    # -- what a subclass writes ---------------------------------------------------------------------------------------

    def init(self, param: Any) -> Any:
        """The slots for one weight before the first step: a tree of arrays, ``()`` for none."""
        return ()

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        """One weight and its slots after one step; what it is given stays as it is.

        Args:
            step: how many updates came before this one: 0 at the first.
            grads: the gradient of the weight.
            param: the weight.
            slots: what ``init``, or the update before, returned for it.
            opt_params: the record of numbers.
        """
        if type(self).overwrite is Optimizer.overwrite:
            raise LayerkitError(
                f"{type(self).__name__} has no update method: an optimizer defines "
                "update(self, step, grads, param, slots, opt_params)"
            )
        param, slots = nested_map(_own, (param, slots))
        return self.overwrite(step, grads, param, slots, opt_params)

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        """``update`` of a weight and slots that are given up: it may write into them, as ``param -= ...`` does.

        An optimizer may have this in place of ``update``, which then works on copies. It saves a backend whose arrays
        can be written into (NumPy's) the making of others; gradients it must leave as they are.
        """
        return self.update(step, grads, param, slots, opt_params)

    def missed_steps(self, step: Any, last: Any, opt_params: Any, like: Any) -> MissedSteps:
        """In ``skip_rows``: the steps that rows missed, with the learning rates and the weight decay of each.

        An optimizer whose updates leave each row of a table to itself may have a method ``skip_rows(step, last,
        param_rows, slot_rows, opt_params) -> (param_rows, slot_rows)``: rows and slots after the steps ``last + 1`` to
        ``step - 1``, all with a gradient of zero, in one go. Tables of which a batch touches few rows are then trained
        by those rows alone. ``last`` is int32 (rows,), -1 before the first update. The rows are given up, as in
        ``overwrite``.
        """
        return MissedSteps(step, last, opt_params.learning_rate, self.weight_decay_rate, like)

    def cannot_skip(self) -> str:
        """Why rows have to be updated at every step; empty where they may wait."""
        name = type(self).__name__
        if not hasattr(self, "skip_rows"):
            return f"{name} has no skip_rows"
        if not self.skips_at_any_rate and (callable(self.learning_rate) or self.weight_decay_rate):
            return f"the skip_rows of {name} knows neither changing learning rates nor weight decay"
        if not callable(self.learning_rate) and float(self.learning_rate) * float(self.weight_decay_rate) >= 1:
            return f"the weight decay of {name} leaves nothing of a weight"
        return ""

    # -- what a training loop calls -----------------------------------------------------------------------------------

    @property
    def opt_params(self) -> Any:
        """The record of numbers that ``update`` takes, with the learning rate of step 0."""
        make = record(type(self).__name__, ("learning_rate", *self._options))
        return make(self.learning_rate_at(0), *self._options.values())

    def learning_rate_at(self, step: Any) -> Any:
        """The learning rate of a step, a float32 scalar; steps are counted from 0.

        Raises:
            UsageError: the schedule gives a negative number, or none at all, or cannot be compiled.
        """
        value = self._scheduled(step) if callable(self.learning_rate) else self.learning_rate
        if hasattr(value, "dtype") and is_traced(value):
            return value.astype(onp.float32)
        name = f"learning_rate of step {step}" if callable(self.learning_rate) else "learning_rate"
        return number(type(self), name, value, "[0, inf)")

    def _scheduled(self, step: Any) -> Any:
        try:
            return self.learning_rate(step)
        except TypeError as error:
            if not (hasattr(step, "dtype") and is_traced(step)):
                raise
            raise UsageError(
                f"{type(self).__name__}: its learning rate, a function of the step, asks what number the step is, "
                "which a compiled step does not know: write it with layerkit.fastmath.numpy (np.minimum, np.where), or "
                "give it to the TrainTask as lr_schedule"
            ) from error

    def tree_init(self, weights: Any) -> tuple[Any, Any]:
        """(slots, opt_params) for a tree of weights; slots have its structure, with those of a weight in its place.

        Slots of weights in bfloat16 and float16 are float32. Whole numbers and booleans among the weights are not
        trained, and have no slots.
        """
        return nested_map(
            lambda w: self.init(in_dtype(w, wide(w.dtype))) if is_trained(w) else (), weights
        ), self.opt_params

    def tree_update(
        self, step: Any, grads: Any, weights: Any, slots: Any, opt_params: Any, stats: bool = False
    ) -> tuple[Any, Any, dict[str, Any]]:
        """(weights, slots, figures) after one step: pure, and safe to compile.

        Weights in bfloat16 and float16 are computed in float32, and rounded at the end.

        Args:
            step: how many updates came before this one: 0 at the first.
            grads: the gradients, a tree like ``weights``.
            weights: a tree of arrays.
            slots: what ``tree_init``, or the update before, returned.
            opt_params: the record ``tree_init`` returned; ``opt_params._replace(learning_rate=0.1)`` changes it. An
                optimizer whose learning rate is a schedule sets the learning rate itself.
            stats: whether to compute the figures ``gradients_l2`` (before clipping) and ``weights_l2`` (before the
                update), the norms over all trained weights; without it the figures are an empty dict.

        Raises:
            LayerkitError: gradients or slots do not belong to these weights.
        """
        params, gradients, old_slots = self._leaves(weights, grads, slots)
        figures: dict[str, Any] = {}
        if stats:
            figures = {"gradients_l2": norm_of(gradients), "weights_l2": norm_of(params)}
        norm = figures.get("gradients_l2")
        new = list(self._update_all(step, gradients, params, old_slots, opt_params, norm))
        return tree_unflatten([p for p, _ in new], weights), tree_unflatten([s for _, s in new], weights), figures

    def overwrite_all(
        self, step: Any, grads: list[Any], params: list[Any], slots: list[Any], opt_params: Any
    ) -> Iterator[tuple[Any, Any]]:
        """Each weight with its slots after one step, as ``tree_update`` gives them: they may be written into.

        Nothing is checked: gradients and slots are those of the weights. A weight is updated when it is asked for.
        """
        gradients = _as_updated(grads, params)
        return self._update_all(step, gradients, params, slots, opt_params, given_up=_overwrites(type(self)))

    def _update_all(
        self,
        step: Any,
        gradients: list[Any],
        params: list[Any],
        slots: list[Any],
        opt_params: Any,
        norm: Any = None,
        given_up: bool = False,
    ) -> Iterator[tuple[Any, Any]]:
        step = _plain(step)
        if callable(self.learning_rate):
            opt_params = opt_params._replace(learning_rate=self.learning_rate_at(step))
        if self.clip_grad_norm is not None:
            gradients = clipped(gradients, self.clip_grad_norm, norm)
        keep = 1 - opt_params.learning_rate * self.weight_decay_rate if self.weight_decay_rate else None
        for g, param, s in zip(gradients, params, slots, strict=True):
            yield self._update_one(step, g, param, s, opt_params, keep, given_up)

    def _update_one(
        self, step: Any, grads: Any, weight: Any, slots: Any, opt_params: Any, keep: Any, given_up: bool
    ) -> tuple[Any, Any]:
        if grads is None:
            return weight, slots
        param = in_dtype(weight, wide(weight.dtype))
        if keep is not None and given_up:
            param *= keep
        elif keep is not None:
            param = keep * param

        def update(g: Any, p: Any, s: Any) -> tuple[Any, Any]:
            made = (self.overwrite if given_up else self.update)(step, g, p, s, opt_params)
            return self.moved("update", made, p.shape)

        if hasattr(self, "skip_rows") and has_pieces(param, grads, slots):
            whole = (param, slots) if given_up else nested_map(onp.empty_like, (param, slots))
            new, slots = by_pieces(update, grads, param, slots, whole)
        else:
            new, slots = update(grads, param, slots)
        return in_dtype(new, weight.dtype), slots

    def moved(self, method: str, made: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """What ``update`` or ``skip_rows`` made of a weight, or rows, of a shape, and of slots, if it made both."""
        name = f"{type(self).__name__}: {method}"
        if not isinstance(made, (tuple, list)) or len(made) != 2:
            raise LayerkitError(f"{name} returns two things, a weight and its slots")
        if (new_shape := getattr(made[0], "shape", None)) != shape:
            raise LayerkitError(f"{name} makes {new_shape} of a weight of shape {shape}")
        return made[0], made[1]

    # -- where several optimizers stand for one, they say otherwise ---------------------------------------------------

    fixed_places: frozenset[int] = frozenset()
    """The places, among the leaves of all weights, of those that are not trained."""

    def members(self) -> list[Optimizer]:
        """The optimizers that are at work."""
        return [self]

    def identity(self) -> str:
        """What must be the same where a run goes on."""
        return type(self).__name__

    def bind(self, paths: list[str]) -> None:
        """Learns the paths of all weights, before their slots are made."""

    def cannot_schedule(self) -> str:
        """Why a task cannot have an ``lr_schedule`` beside it; empty where it can."""
        own = callable(self.learning_rate)
        return f"lr_schedule and {type(self).__name__}'s own schedule are both given" if own else ""

    # -- checks -------------------------------------------------------------------------------------------------------

    def _leaves(self, weights: Any, grads: Any, slots: Any) -> tuple[list[Any], list[Any], list[Any]]:
        """Weights, gradients (in 32 bits; ``None`` where the weight is not trained) and slots, side by side."""
        params = tree_leaves(weights)
        gradients = self._matched("gradients", grads, weights, "take the gradients of these weights")
        for index, (gradient, param) in enumerate(zip(gradients, params, strict=True)):
            shape = getattr(gradient, "shape", None)
            if shape != param.shape:
                got = type(gradient).__name__ if shape is None else tuple(shape)
                raise LayerkitError(
                    f"{type(self).__name__}: weight {index} has shape {tuple(param.shape)}, its gradient {got}: "
                    "take the gradients of these weights"
                )
        gradients = _as_updated(gradients, params)
        return params, gradients, self._matched("slots", slots, weights, "take those of tree_init(weights)")

    def _matched(self, what: str, tree: Any, weights: Any, remedy: str) -> list[Any]:
        """The parts of ``tree`` that stand where ``weights`` has leaves."""
        try:
            return tree_parts(tree, weights)
        except ValueError as error:
            raise LayerkitError(
                f"{type(self).__name__}: {what} do not belong to the weights ({error}): {remedy}"
            ) from error

    def __repr__(self) -> str:
        return as_code(type(self), self.learning_rate, self._arguments)


# -- single weights --------------------------------------------------------------------------------------------------


def _as_updated(gradients: list[Any], params: list[Any]) -> list[Any]:
    """The gradients in the dtype that their weights are updated in; ``None`` for a weight that is not trained."""
    pairs = zip(gradients, params, strict=True)
    return [in_dtype(g, wide(p.dtype)) if is_trained(p) else None for g, p in pairs]


def _own(array: Any) -> Any:
    """An array that may be written into: a copy where that is possible."""
    return array.copy() if type(array) is onp.ndarray else array


def _overwrites(cls: type[Optimizer]) -> bool:
    """Whether ``overwrite`` says what an update is: a class that has an ``update`` of its own means that one."""
    names = next(vars(base) for base in cls.__mro__ if "update" in vars(base) or "overwrite" in vars(base))
    return "overwrite" in names and cls.overwrite is not Optimizer.overwrite


def _plain(step: Any) -> Any:
    """A known step as Python's own int: NumPy's would make float64 of float32 ** (step + 1)."""
    return step if hasattr(step, "dtype") and is_traced(step) else int(step)
