"""What a function did, call by call, and how it is done again with other numbers.

A record is played on one list of values: the inputs, then constants, then the results of the calls. Calls whose result
nobody needs are left out, and a result takes the place of one that is not needed any more, so that no more arrays live
at a time than when the function itself runs.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

import numpy as onp

from layerkit.fastmath import recording, tree_unflatten
from layerkit_plugins.backends.numpy.recording import Slot, Step, Tape, Unrecordable, map_parts
from layerkit_plugins.backends.numpy.silence import fall_silent

__all__ = ["Record", "recorded"]

_Function = Callable[..., Any]


def recorded(function: _Function, args: tuple[Any, ...], leaves: list[Any]) -> Record | str:
    """A record of the function, made while it computes with stand-ins for these arguments; or why there can be none."""
    try:
        return copy_context().run(_recorded, function, args, leaves)  # one that is broken off is over, too
    except Unrecordable as reason:
        return str(reason)
    except Exception as error:
        return f"it raises {type(error).__name__} when it is recorded"


def _recorded(function: _Function, args: tuple[Any, ...], leaves: list[Any]) -> Record:
    tape = Tape()
    stand_ins = [tape.given(leaf) for leaf in leaves]
    with recording(tape.give_up):
        result = tape.slots_of(function(*tree_unflatten(stand_ins, args)))
    del stand_ins
    if tape.kept():
        raise tape.refuse("somebody kept a value of it")
    if tape.reason:
        raise Unrecordable(tape.reason)  # whoever caught it went on otherwise
    record = Record(tape.steps, result, len(leaves))
    held = {id(leaf) for leaf in leaves if isinstance(leaf, onp.ndarray)}
    if any(id(constant) in held for constant in record.constants):
        raise Unrecordable("it reaches one of its arguments by another way")
    return record


class Record:
    """The calls that a function makes, in their order.

    Args:
        steps: as a tape noted them: the inputs have the first slots, and each step the next.
        result: what the function returned, a tree with slots.
        n_inputs: how many inputs there are.

    Attributes:
        trusted: whether another call said the same.
        constants: what steps are given that no step computed; of one that is not trusted yet.
    """

    def __init__(self, steps: list[Step], result: Any, n_inputs: int) -> None:
        self.trusted = False
        self.constants: list[Any] = []
        map_parts(self.constants.append, [(step.args, step.kwargs) for step in steps])
        self._said: Any = steps, result
        self._calls: list[tuple[_Function, int, Any, Any, int]] = []
        """Each with its operands, as ``_operands`` gives them, and the place of its result."""
        self._rest: list[Any] = []
        """What stands behind the inputs before the first call: constants, and ``None`` where a result will be."""
        places = self._lay_out(*_needed(steps, result, n_inputs), n_inputs)
        self._result = _map_slots(lambda slot: Slot(places[slot.index]), result)

    def _lay_out(self, live: list[tuple[int, Step]], last_use: dict[int, int], n_inputs: int) -> dict[int, int]:
        """Which place in the list each slot has; a place is given again once its value was used for the last time."""
        places = {slot: slot for slot in range(n_inputs)}
        free: list[int] = []
        for slot, step in live:
            function, operands = _as_call(step)
            used = []
            for operand in operands:
                if type(operand) is Slot:
                    used.append(places[operand.index])
                else:
                    used.append(n_inputs + len(self._rest))
                    self._rest.append(operand)
            for index in {operand.index for operand in operands if type(operand) is Slot}:
                if last_use[index] == slot:
                    free.append(places[index])
            if not free:
                free.append(n_inputs + len(self._rest))
                self._rest.append(None)
            places[slot] = free.pop()
            self._calls.append((function, *_operands(used), places[slot]))
        return places

    def trust(self, before: Record) -> bool:
        """Whether a record of another call says the same; it is trusted then."""
        self.trusted = _same(self._said, before._said)
        self._said, self.constants = (), []
        return self.trusted

    def gives(self, result: Any, inputs: list[Any]) -> bool:
        """Whether it gives this result for these inputs."""
        try:
            return _same(self.play(inputs), result)
        except Exception:
            return False

    def play(self, inputs: list[Any]) -> Any:
        """The result for other inputs."""
        return _SILENT.copy().run(self._play, inputs + self._rest)

    def _play(self, values: list[Any]) -> Any:
        for function, count, first, second, place in self._calls:
            if count == 2:
                values[place] = function(values[first], values[second])
            elif count == 1:
                values[place] = function(values[first])
            else:
                values[place] = function(*first(values))
        result = self._result
        return values[result.index] if type(result) is Slot else _filled(result, values)


def _needed(steps: list[Step], result: Any, n_inputs: int) -> tuple[list[tuple[int, Step]], dict[int, int]]:
    """The steps that have to be played, each with its slot; and for every slot in use the step that uses it last."""
    last_use = dict.fromkeys(_slots_in(result), -1)  # the result needs them when all steps are done
    live: list[tuple[int, Step]] = []
    for slot, step in reversed(list(enumerate(steps, n_inputs))):
        if slot in last_use or step.always:
            live.append((slot, step))
            for used in _slots_in((step.args, step.kwargs)):
                last_use.setdefault(used, slot)
    return live[::-1], last_use


# Entering a context is ten times as fast as setting what NumPy warns of.
_SILENT = Context()
_SILENT.run(fall_silent)


def _operands(places: list[int]) -> tuple[int, Any, Any]:
    """How many operands there are, and their places; of more than two, what takes them out of the list of values."""
    if 0 < len(places) < 3:
        return len(places), places[0], places[-1]
    return 0, operator.itemgetter(*places) if places else operator.itemgetter(slice(0)), None


def _as_call(step: Step) -> tuple[_Function, list[Any]]:
    """A function of positional arguments, and those: values and slots."""
    function, args, kwargs, _ = step
    if not _slots_in([kwargs, *(arg for arg in args if type(arg) is not Slot)]):
        return (functools.partial(function, **kwargs) if kwargs else function), list(args)
    slots = [Slot(index) for index in _slots_in((args, kwargs))]
    index_of = {slot.index: place for place, slot in enumerate(slots)}
    args, kwargs = _map_slots(lambda slot: Slot(index_of[slot.index]), (args, kwargs))

    def call(*values: Any) -> Any:
        given, options = _map_slots(lambda slot: values[slot.index], (args, kwargs))
        return function(*given, **options)

    return call, slots


def _slots_in(tree: Any) -> list[int]:
    found: list[int] = []
    _map_slots(lambda slot: found.append(slot.index), tree)
    return found


def _map_slots(f: Callable[[Slot], Any], tree: Any) -> Any:
    return map_parts(lambda part: f(part) if type(part) is Slot else part, tree)


def _filled(result: Any, values: list[Any]) -> Any:
    """What a function returned, with the values of this call; an array that is always the same is copied."""

    def at(part: Any) -> Any:
        if type(part) is Slot:
            return values[part.index]
        return part.copy() if isinstance(part, onp.ndarray) else part

    return map_parts(at, result)


def _same(one: Any, other: Any) -> bool:
    """Whether two trees are the same to the bit."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, (onp.ndarray, onp.generic)):
        return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, slice):
        return _same((one.start, one.stop, one.step), (other.start, other.stop, other.step))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)
