"""Recording which NumPy calls a function makes: its arguments are stand-ins that compute, and note what they computed.

A stand-in has shape and dtype, and no value that anybody could look at: whatever would look (a truth test, ``float``,
``print``, an in-place write, a function whose result has another shape for other numbers) ends the recording. So what
is recorded is what the function does for *every* call with such arguments; a stand-in is no ndarray, and NumPy itself
cannot reach its numbers but by the calls that are noted here.
"""

from __future__ import annotations

import gc
import operator
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp

from layerkit.errors import an
from layerkit_plugins.backends.numpy.constants import with_arrays
from layerkit_plugins.backends.numpy.stand_ins import Attributes, box_types, has_stand_in, stand_in_types

__all__ = ["Slot", "StandIn", "Step", "Tape", "Unrecordable", "map_parts"]

_Function = Callable[..., Any]

_MOST_STEPS = 4096
"""A loop of Python's is recorded turn by turn: a longer one takes long enough for overhead not to matter."""


class Unrecordable(BaseException):
    """Ends a recording. No Exception, so that no layer's ``except`` takes it for its own."""


class Slot:
    """Where a value is during a replay: the inputs come first, then the result of each step."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __eq__(self, other: object) -> bool:
        return type(other) is Slot and other.index == self.index


class Step(NamedTuple):
    """One call: ``function(*args, **kwargs)``, with a ``Slot`` for every value that is not known before the call."""

    function: _Function
    args: Any
    kwargs: Any
    always: bool
    """Whether it is played even if it seems to do nothing: it refuses some numbers, or asks how they lie in memory."""


class Tape:
    """The steps of one call."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.reason = ""
        """Why it is no good after all."""
        self._n_slots = 0
        self.n_given = 0
        """How many slots the arguments have."""
        self._made: list[weakref.ref[StandIn]] = []

    def given(self, leaf: Any) -> Any:
        """What takes the place of one leaf of the arguments: a stand-in for an array, itself for anything else."""
        self.n_given += 1
        if isinstance(leaf, (onp.ndarray, onp.generic)):
            return self._stand_in(leaf)
        self._n_slots += 1
        return leaf

    def _stand_in(self, value: Any) -> StandIn:
        if type(value) is not onp.ndarray and not isinstance(value, onp.generic):
            raise self.refuse(f"a result is {an(type(value).__name__)}")
        made = StandIn(self, value, self._n_slots)
        self._n_slots += 1
        self._made.append(weakref.ref(made))
        return made

    def refuse(self, reason: str) -> Unrecordable:
        """The exception to raise; it counts even if somebody catches it."""
        self.reason = self.reason or reason
        return Unrecordable(self.reason)

    def give_up(self, reason: str) -> None:
        """Ends the recording."""
        raise self.refuse(reason)

    def call(self, function: _Function, args: tuple[Any, ...], kwargs: Any, always: bool = False) -> Any:
        """The result of a call, noted as a step."""
        if len(self.steps) >= _MOST_STEPS:
            raise self.refuse("it makes too many calls")
        values = self.values_of(args)
        try:
            value = function(*values, **self.values_of(kwargs))
        except BaseException:
            # Somebody may catch it and go on, with other numbers otherwise.
            self.reason = self.reason or "a call in it raised an exception"
            raise
        for given in args:
            # asarray, astype(copy=False): for such arguments they do nothing. (There is but one True, so not scalars.)
            if type(given) is StandIn and given._value is value and type(value) is onp.ndarray and not always:
                return given
        args = args if kwargs else with_arrays(function, args, values)
        self.steps.append(Step(function, self.slots_of(args), self.slots_of(kwargs), always))
        if type(value) is not tuple and type(value) is not list:
            return self._stand_in(value)
        whole = StandIn(self, value, self._n_slots)
        self._n_slots += 1
        return type(value)([self.call(operator.getitem, (whole, i), {}) for i in range(len(value))])

    def values_of(self, tree: Any) -> Any:
        """The tree with the array in place of every stand-in."""
        return self._map(tree, _value)

    def slots_of(self, tree: Any) -> Any:
        """The tree with a ``Slot`` in place of every stand-in."""
        return self._map(tree, _slot)

    def kept(self) -> bool:
        """Whether somebody kept a stand-in: what was kept of this call would not be that of a later one."""
        if any(made() is not None for made in self._made):
            gc.collect()  # functions that call themselves hold what they know until somebody sweeps
        return any(made() is not None for made in self._made)

    def _map(self, tree: Any, what: Callable[[StandIn], Any]) -> Any:
        def at(leaf: Any) -> Any:
            if type(leaf) is not StandIn:
                return leaf
            if leaf._tape is not self:
                raise self.refuse("it uses a value of another call")
            return what(leaf)

        return map_parts(at, tree)


def map_parts(f: Callable[[Any], Any], tree: Any) -> Any:
    """Arguments or results with ``f`` of every part in place of it; containers are made anew."""
    kind = type(tree)
    if kind is tuple or kind is list:
        return kind([map_parts(f, part) for part in tree])
    if kind is StandIn or kind is Slot:
        return f(tree)
    if kind is dict:
        return {key: map_parts(f, value) for key, value in tree.items()}
    if kind is slice:
        return slice(*[map_parts(f, part) for part in (tree.start, tree.stop, tree.step)])
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return kind(*[map_parts(f, part) for part in tree])
    return f(tree)


def _value(stand_in: StandIn) -> Any:
    return stand_in._value


def _slot(stand_in: StandIn) -> Slot:
    return Slot(stand_in._slot)


class StandIn(Attributes):
    """Stands for an array of a call that is being recorded."""

    __slots__ = ("__weakref__", "_slot", "_tape", "_value")

    def __init__(self, tape: Tape, value: Any, slot: int) -> None:
        self._tape, self._value, self._slot = tape, value, slot

    T = property(lambda self: self.transpose())
    # What asks for an array takes it for one. NumPy itself does not ask that way.
    __class__ = property(lambda self: type(self._value))  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]  # as that of an array

    def __len__(self) -> int:
        return len(self._value)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getattr__(self, name: str) -> Any:
        if hasattr(self._value, name):
            raise self._tape.refuse("it looks at a value, or how it lies in memory")
        raise AttributeError(f"an array has no attribute {name!r}")

    def __getitem__(self, index: Any) -> Any:
        picked = False
        for part in index if type(index) is tuple else (index,):
            if type(part) is StandIn:
                picked = True
                if part.dtype.kind == "b":
                    raise self._tape.refuse("it picks numbers by truths that are computed")
        return self._tape.call(operator.getitem, (self, index), {}, always=picked)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        result = self._method("reshape", shape, {"order": order} if order != "C" else {})
        # The same numbers once more; but what is made of an argument must not be the argument itself.
        return self if result.shape == self.shape and self._slot >= self._tape.n_given else result

    def __array_ufunc__(self, ufunc: onp.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(type(value) in box_types for value in inputs):
            return NotImplemented
        if method == "at" or "out" in kwargs or (method == "__call__" and "where" in kwargs):
            raise self._tape.refuse("it writes into an array")
        if method == "__call__":
            return self._tape.call(ufunc, inputs, kwargs)
        if method == "reduce":
            inputs, kwargs = _in_places(inputs, kwargs)
        return self._tape.call(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function: _Function, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _OF_SHAPE:
            return function(*self._tape.values_of(args), **self._tape.values_of(kwargs))
        arrays = _ARRAYS.get(function, -1)
        if arrays < 0 or (function is onp.where and len(args) != 3):
            raise self._tape.refuse(f"the shape of what numpy.{function.__name__} gives may depend on the numbers")
        if function in _METHOD_OF and type(args[0]) is StandIn:
            return getattr(args[0], _METHOD_OF[function])(*args[1:], **kwargs)
        return self._tape.call(function, *self._of_arrays(arrays, args, kwargs), always=function in _MAY_RAISE)

    def _method(self, name: str, args: tuple[Any, ...], kwargs: Any) -> Any:
        args, kwargs = self._of_arrays(_ARRAYS_OF_METHODS.get(name, 1), (self, *args), kwargs)
        return self._tape.call(getattr(type(self._value), name), args, kwargs, always=name == "take")

    def _of_arrays(self, count: int, args: tuple[Any, ...], kwargs: Any) -> tuple[tuple[Any, ...], Any]:
        """The arguments of a call, if only the first ``count`` are arrays: another would be a shape, or be written."""
        for value in (*args[count:], *kwargs.values()):
            if isinstance(value, onp.ndarray) or has_stand_in(value):
                raise self._tape.refuse("it computes shapes, or writes into an array")
        return args, kwargs

    def _look(self, *args: Any, **kwargs: Any) -> Any:
        raise self._tape.refuse("it looks at a value, or writes one")


def _in_places(inputs: tuple[Any, ...], kwargs: Any) -> Any:
    """A reduction's arguments in their places as far as that goes, which NumPy takes apart faster than names."""
    kwargs = {name: value for name, value in kwargs.items() if name != "where" or value is not True}
    if "axis" not in kwargs:
        return inputs, kwargs
    placed = [kwargs.pop("axis"), kwargs.pop("dtype", None), None, kwargs.pop("keepdims", False)]
    if "initial" in kwargs:
        placed.append(kwargs.pop("initial"))
    return (*inputs, *placed), kwargs


_OF_SHAPE = {onp.iscomplexobj, onp.ndim, onp.shape, onp.size, onp.result_type}

# How many of a function's first arguments are arrays; the others decide on the shape of the result, or how it is made.
# Only functions whose result has the same shape and dtype for any numbers are here.
_ARRAYS: dict[Any, int] = {
    getattr(onp, name): count
    for count, names in {
        1: """all amax amin any argmax argmin argpartition argsort around array_split atleast_1d atleast_2d atleast_3d
            average broadcast_to column_stack concatenate copy cumprod cumsum diag diagonal expand_dims flip hstack max
            mean median min moveaxis nan_to_num ones_like pad partition prod ravel repeat reshape roll rot90 round sinc
            sort split squeeze stack std sum swapaxes tile trace transpose tril triu var vstack zeros_like""",
        2: """cross dot inner isclose kron linspace outer searchsorted take take_along_axis tensordot vdot""",
        3: "clip select where",
        99: "broadcast_arrays meshgrid",
    }.items()
    for name in names.split()
}
# What NumPy itself hands to the array's method, which is sooner there.
_METHOD_OF: dict[Any, str] = {
    getattr(onp, name): name for name in "ravel repeat reshape squeeze swapaxes take transpose".split()
}
_MAY_RAISE = {onp.take, onp.take_along_axis}

_ARRAYS_OF_METHODS = {"clip": 3, "dot": 2, "searchsorted": 2, "take": 2}
_METHODS = """
    all any argmax argmin argsort astype clip conj copy cumprod cumsum diagonal dot flatten max mean min prod ravel
    repeat round searchsorted squeeze std sum swapaxes take trace transpose var view
""".split()
_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
_COMPARE = "eq ne lt le gt ge".split()
_LOOKS = """
    bool int float complex index array str repr format setitem delitem contains
    reduce reduce_ex copy deepcopy round trunc dlpack iadd isub imul itruediv ifloordiv imod ipow imatmul iand ior ixor
    ilshift irshift
""".split()


def _define_binary(name: str, plain: _Function, mirrored: str) -> None:
    def forth(self: StandIn, other: Any) -> Any:
        return NotImplemented if type(other) in box_types else self._tape.call(plain, (self, other), {})

    def back(self: StandIn, other: Any) -> Any:
        return NotImplemented if type(other) in box_types else self._tape.call(plain, (other, self), {})

    setattr(StandIn, f"__{name}__", forth)
    if mirrored:
        setattr(StandIn, mirrored, back)


def _define_unary(name: str, plain: _Function) -> None:
    setattr(StandIn, f"__{name}__", lambda self: self._tape.call(plain, (self,), {}))


def _define_method(name: str) -> None:
    setattr(StandIn, name, lambda self, *args, **kwargs: self._method(name, args, kwargs))


for _name in _BINARY:
    _define_binary(_name, getattr(operator, f"{_name}_" if _name in ("and", "or") else _name), f"__r{_name}__")
_define_binary("divmod", divmod, "__rdivmod__")
for _name in _COMPARE:
    _define_binary(_name, getattr(operator, _name), "")
for _name in ("neg", "pos", "abs", "invert"):
    _define_unary(_name, getattr(operator, _name))
for _name in _METHODS:
    _define_method(_name)
for _name in _LOOKS:
    setattr(StandIn, f"__{_name}__", StandIn._look)
stand_in_types.add(StandIn)
