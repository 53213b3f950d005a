"""What a layer is: a function from n_in arrays to n_out arrays, with trainable weights and non-trainable state."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from layerkit import frames
from layerkit.fastmath import abstract_eval, custom_vjp, is_traced, random, stop_gradient, tree_leaves
from layerkit.fastmath.backend import _region, active
from layerkit.frames import Frame
from layerkit.layer_error import LayerError, explain
from layerkit.shapes import ShapeDtype, signature

__all__ = ["Fn", "Layer", "LayerError", "PureLayer"]

_current = frames._current
_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_HOUSE = (_PACKAGE + os.sep, _PACKAGE + "_plugins" + os.sep, "<frozen")


class Layer:
    """A function from ``n_in`` arrays to ``n_out`` arrays, with trainable weights and non-trainable state.

    One array travels bare, several as a tuple, none as ``()``. A layer of your own overrides ``forward``, and
    ``init_weights_and_state`` if it has weights or state; inside both, ``self.weights``, ``self.state``, ``self.rng`` and
    ``self.training`` belong to the call that is running. Weights and state are trees: nested tuples of arrays.

    A layer made of others hands them to ``sublayers``, and calls them in ``forward``; its weights are then a tuple with one
    entry for each sublayer. The same layer object in two places has the same weights: they are stored with the first place, the later
    one holds ``()``.

    Args:
        n_in: number of arrays it takes.
        n_out: number of arrays it gives back.
        name: what errors and printouts call it; the class's name unless given.
        sublayers: the layers it calls.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes ``self.training``, whatever the call says.

    >>> from layerkit.fastmath import numpy as np
    >>> from layerkit.shapes import f32
    >>> class Scale(Layer):
    ...     def init_weights_and_state(self, signature):
    ...         self.weights = np.ones(signature.shape[-1], signature.dtype)
    ...     def forward(self, x):
    ...         return x * self.weights
    >>> scale = Scale()
    >>> weights, state = scale.init(f32(4, 2))
    >>> scale(np.array([[3.0, 4.0]]), weights=2 * weights).tolist()
    [[6.0, 8.0]]
    """

    # Defaults live on the class: a subclass need not call super().__init__().
    n_in: int = 1
    n_out: int = 1
    sublayers: tuple[Layer, ...] = ()
    mode: str | None = None
    made_at: str = "an unknown place"
    weight_name: str = "weights"
    state_name: str = "state"
    has_backward: bool = False
    _name: str | None = None
    _weights: Any = ()
    _state: Any = ()
    _rng: Any = None
    _initialized: bool = False
    _shares: bool | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = object.__new__(cls)
        layer.made_at = _caller()
        return layer

    def __init__(
        self,
        n_in: int = 1,
        n_out: int = 1,
        name: str | None = None,
        sublayers: Iterable[Layer] = (),
        mode: str | None = None,
    ) -> None:
        self.n_in = n_in
        self.n_out = n_out
        self.sublayers = tuple(sublayers)
        self.mode = check_mode(mode)
        self._name = check_name(name)
        for sublayer in self.sublayers:
            if not isinstance(sublayer, Layer):
                raise LayerError(f"{self.name}: {sublayer!r} is no layer; sublayers are Layer objects")

    # -- what a subclass writes ---------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Any:
        """The output for the input ``x`` (a tuple where n_in is not 1)."""
        raise LayerError(f"{self.name} has no forward method: a layer defines forward(self, x)")

    def init_weights_and_state(self, signature: Any) -> None:
        """Sets ``self.weights`` and ``self.state`` for inputs of this signature, with ``self.rng`` for random numbers.

        It may take the key as a second argument: ``init_weights_and_state(self, signature, rng)``.
        A layer with sublayers need not write it: its sublayers are initialized in the order its ``forward`` calls them.
        """

    def backward(
        self, inputs: Any, output: Any, grad: Any, weights: Any, state: Any, new_state: Any, rng: Any
    ) -> tuple[Any, Any]:
        """A gradient of the layer's own, used where ``has_backward`` is true: (gradient of inputs, gradient of weights)."""
        raise LayerError(f"{self.name} says has_backward, and has no backward method")

    # -- what a user calls --------------------------------------------------------------------------------------------

    def init(self, signature: Any, rng: Any = None) -> tuple[Any, Any]:
        """Makes new weights and state for inputs like ``signature``, keeps them on the layer, and returns both.

        Args:
            signature: shapes and dtypes of the inputs (``lk.f32(16, 20)``), or arrays like them; a tuple for several inputs.
            rng: the random key, uint32 (2,); ``fastmath.random.get_prng(0)`` unless given.

        Raises:
            LayerError: the layer, or one inside it, cannot take such inputs.
        """
        weights, state, _ = self._init_outermost(signature, rng)
        self._store(weights, state)
        self._rng = rng
        return weights, state

    def __call__(
        self, x: Any, weights: Any = None, state: Any = None, rng: Any = None, training: bool | None = None
    ) -> Any:
        """The output for ``x``. Inside another layer's ``forward``, a sublayer runs as part of that call.

        Args:
            x: an array, or a tuple of n_in arrays.
            weights: used instead of the layer's own, which stay as they are.
            state: used instead of the layer's own; its successor is then not kept.
            rng: random key for layers that draw numbers (Dropout while training).
            training: whether layers behave as in training; evaluation unless said.

        Raises:
            LayerError: the inputs do not fit, or the layer was not initialized.
        """
        frame = _current.get()
        if frame is not None and weights is None:
            return self._call_inside(frame, x)
        if weights is None:
            self._require_init(signature(x) if _plain(x) else x)
            weights = self.weights
        old_state = self.state if state is None else state
        y, new_state = self.pure_fn(x, weights, old_state, self._rng if rng is None else rng, training)
        if state is None and new_state is not old_state and not any(map(is_traced, tree_leaves(new_state))):
            self.state = stop_gradient(new_state)
        return y

    def pure_fn(
        self, x: Any, weights: Any, state: Any, rng: Any = None, training: bool | None = None
    ) -> tuple[Any, Any]:
        """(output, new state), with no effect on the layer: safe to differentiate, to compile, and in threads.

        ``training`` is that of the surrounding call unless given, and false in an outermost one.
        """
        parent = _current.get()
        position = None
        if parent is not None and self in parent.layer.sublayers:
            position = parent.layer.sublayers.index(self)
        return self._run(x, weights, state, rng, None, parent, position, training)

    def output_signature(self, signature: Any) -> Any:
        """Shapes and dtypes of the outputs for inputs of this signature; nothing is kept."""
        return self._init_outermost(signature, self._rng)[2]

    # -- weights, state, rng ------------------------------------------------------------------------------------------

    @property
    def weights(self) -> Any:
        """The trainable arrays: inside ``forward`` those of the running call, outside what ``init`` or assignment left."""
        frame = _current.get()
        if frame is None:
            return self._stored("_weights", set())
        return frame.weights if frame.layer is self else self._in_frame(frame, "weights")

    @weights.setter
    def weights(self, weights: Any) -> None:
        frame = _current.get()
        if frame is None:
            self._keep("_weights", weights, set())
            self._initialized = True
        elif frame.layer is self:
            frame.weights = weights
        else:
            raise LayerError(f"{self.name}: its weights cannot be set inside the forward of {frame.layer.name}")

    @property
    def state(self) -> Any:
        """The arrays that calls change and training does not; as ``weights``."""
        frame = _current.get()
        if frame is None:
            return self._stored("_state", set())
        return frame.state if frame.layer is self else self._in_frame(frame, "state")

    @state.setter
    def state(self, state: Any) -> None:
        frame = _current.get()
        if frame is None:
            self._keep("_state", state, set())
        elif frame.layer is not self:
            raise LayerError(f"{self.name}: its state cannot be set inside the forward of {frame.layer.name}")
        elif frame.region is not _region.get():
            raise LayerError(
                f"{self.name}: state set inside a {getattr(_region.get(), 'name', 'loop')}; "
                "return it from the body as a carry, and set it after"
            )
        else:
            frame.state = state

    @property
    def rng(self) -> Any:
        """The random key, uint32 (2,): inside a call the call's own, outside the one given to ``init``."""
        frame = _current.get()
        if frame is None:
            return random.get_prng(0) if self._rng is None else self._rng
        if frame.layer is not self:
            frame = self._own_frame(frame, "rng")
        key = frame.rng()
        if key is None:
            raise LayerError(f"{self.name} draws random numbers and got no key: pass rng=fastmath.random.get_prng(seed)")
        return key

    @property
    def training(self) -> bool:
        """Whether the running call is one of training; ``mode`` overrides it."""
        if self.mode is not None:
            return self.mode == "train"
        frame = _current.get()
        return frame is not None and frame.training

    @property
    def name(self) -> str:
        """What errors and printouts call the layer."""
        return self._name or type(self).__name__

    @property
    def kind(self) -> str:
        """What paths of tensors call the layer: its name without numbers, ``Dense`` for ``Dense_4``."""
        return type(self).__name__

    @property
    def n_positions(self) -> int:
        """How many places it takes in the flattened Serial around it, each with a random key of its own."""
        return 1

    def source_of(self, child: int, item: int) -> tuple[int | None, int]:
        """Where sublayer ``child`` gets its input number ``item``: (index of another sublayer, 0), or (None, own input)."""
        return None, item

    # -- files --------------------------------------------------------------------------------------------------------

    def save_to_file(self, path: str | os.PathLike[str]) -> None:
        """Writes weights and state to a safetensors file, each array under its path (``2.Dense/kernel``)."""
        from layerkit.weights_file import save

        self._require_init(())
        save(self, path)

    def init_from_file(self, path: str | os.PathLike[str], signature: Any = None) -> tuple[Any, Any]:
        """Takes weights and state from a file of ``save_to_file``; ``signature`` is due where the layer was not initialized.

        Raises:
            LayerError: the file is missing or broken, or holds other arrays than this layer has.
        """
        from layerkit.weights_file import load

        if signature is not None:
            self.init(signature)
        self._require_init(())
        load(self, path)
        return self.weights, self.state

    # -- printing -----------------------------------------------------------------------------------------------------

    def printed_sublayers(self) -> tuple[Layer, ...]:
        """The sublayers that ``repr`` shows."""
        return self.sublayers

    def __repr__(self) -> str:
        arity = ("" if self.n_in == 1 else f"_in{self.n_in}") + ("" if self.n_out == 1 else f"_out{self.n_out}")
        inner = self.printed_sublayers()
        if not inner:
            return self.name + arity
        lines = "\n".join(repr(sublayer) for sublayer in inner).splitlines()
        return f"{self.name}{arity}[\n" + "\n".join("  " + line for line in lines) + "\n]"

    # -- running ------------------------------------------------------------------------------------------------------

    def _run(
        self,
        x: Any,
        weights: Any,
        state: Any,
        key: Any,
        fold: int | None,
        parent: Frame | None,
        position: int | None,
        training: bool | None = None,
    ) -> tuple[Any, Any]:
        """Opens a frame and runs ``forward`` in it: every call of every layer comes through here."""
        frame = Frame(self, weights, state, key, fold, parent, position)
        if training is not None:
            frame.training = training
        cell = None
        token = _current.set(frame)
        try:
            if parent is None:
                x = _check_arrays(x)
                frame.shared = _shared_cells(self, weights, state)
            if frame.shared is not None:
                cell = frame.shared.get(self)
                if cell is not None:
                    frame.weights, frame.state = cell
            if self.n_in == 1 and type(x) is tuple or self.n_in != 1 and (type(x) is not tuple or len(x) != self.n_in):
                x = self._fit_inputs(x)
            y = self.forward(x) if not self.has_backward else self._forward_with_backward(x, frame)
            if not self.sublayers:
                y = _canonical(y)
            if self.n_out == 1 and type(y) is tuple or self.n_out != 1 and (type(y) is not tuple or len(y) != self.n_out):
                y = self._fit_outputs(y, x)
            if cell is not None:
                return y, self._share_state(frame, cell, state)
            if parent is None and frame.shared is not None:
                return y, _gather_shared(self, frame.state, frame.shared, set())
            return y, frame.state
        except RecursionError:
            if parent is not None:
                raise
            raise LayerError(f"{self.name}: layers nested too deep for Python's recursion limit; use one flat Serial") from None
        except Exception as error:
            wrapped = explain(frame, x, error)
            if wrapped is error:
                raise
            raise wrapped from error
        finally:
            _current.reset(token)

    def _fit_inputs(self, x: Any) -> Any:
        got = len(x) if isinstance(x, tuple) else 1
        raise LayerError(f"takes {_count(self.n_in, 'input')}, got {got}")

    def _fit_outputs(self, y: Any, x: Any) -> Any:
        if isinstance(y, list):
            y = tuple(y)
        if (len(y) if isinstance(y, tuple) else 1) == self.n_out:
            return y if self.n_out != 1 or not isinstance(y, tuple) else y[0]
        got = len(y) if isinstance(y, tuple) else 1
        raise LayerError(f"declares {_count(self.n_out, 'output')}, and forward returned {got}")

    def _share_state(self, frame: Frame, cell: list[Any], state: Any) -> Any:
        if frame.state is not cell[1]:
            if frame.region is not next(reversed(list(frame.ancestry()))).region:
                raise LayerError(f"{self.name} keeps state and is shared into a loop: its state cannot leave the loop")
            cell[1] = frame.state
        return state if state == () else frame.state

    def _forward_with_backward(self, x: Any, frame: Frame) -> Any:
        old_state, rng = frame.state, frame.rng()

        def in_frame(weights: Any, f: Callable[..., Any], *args: Any) -> Any:
            again = Frame(self, weights, old_state, frame.key, frame.fold, frame.parent, frame.position)
            again.training = frame.training
            token = _current.set(again)
            try:
                return f(*args), again.state
            finally:
                _current.reset(token)

        def run(x: Any, weights: Any) -> Any:
            return in_frame(weights, self.forward, x)

        def forward(x: Any, weights: Any) -> Any:
            y, new_state = run(x, weights)
            return (y, new_state), (x, weights, y, new_state)

        def backward(residuals: Any, gradients: Any) -> Any:
            x, weights, y, new_state = residuals
            return in_frame(weights, self.backward, x, y, gradients[0], weights, old_state, new_state, rng)[0]

        y, frame.state = custom_vjp(run, forward, backward)(x, frame.weights)
        return y

    def _call_inside(self, frame: Frame, x: Any) -> Any:
        """A call in somebody's ``forward``: with that call's weights, if this is one of its sublayers."""
        for outer in frame.ancestry():
            if self in outer.layer.sublayers:
                return outer.layer._run_sublayer(outer, outer.layer.sublayers.index(self), x)
        if self._is_bare():
            return self._run(x, (), (), None, None, frame, None)[0]
        raise LayerError(
            f"{self.name} is called inside {frame.layer.name}, which does not know it: "
            "hand it to super().__init__(sublayers=[...]), or call its pure_fn"
        )

    def _run_sublayer(self, frame: Frame, index: int, x: Any) -> Any:
        sublayer = self.sublayers[index]
        if frame.initializing and index not in frame.weights:
            raise _Uninitialized(index, signature(x))
        old = frame.state[index]
        y, new = sublayer._run(x, frame.weights[index], old, frame, index, frame, index)
        if new is not old:
            if frame.region is not _region.get():
                raise LayerError(f"{sublayer.name} keeps state and is called in a loop: use tl.Scan, which carries it")
            if frame.initializing:
                return y
            frame.state = (*frame.state[:index], new, *frame.state[index + 1 :])
        return y

    def _in_frame(self, frame: Frame, what: str) -> Any:
        """``self.weights`` or ``self.state`` read inside another layer's forward."""
        for outer in frame.ancestry():
            if outer.layer is self:
                return getattr(outer, what)
            if self in outer.layer.sublayers:
                if outer.shared is not None and self in outer.shared:
                    return outer.shared[self][what == "state"]
                return getattr(outer, what)[outer.layer.sublayers.index(self)]
        raise LayerError(
            f"{self.name}.{what} is read inside the forward of {frame.layer.name}, where it would be a stale constant: "
            f"make {self.name} a sublayer of it, or pass the arrays in"
        )

    def _own_frame(self, frame: Frame, what: str) -> Frame:
        for outer in frame.ancestry():
            if outer.layer is self:
                return outer
        raise LayerError(f"{self.name}.{what} is read inside the forward of {frame.layer.name}, outside its own call")

    # -- initializing -------------------------------------------------------------------------------------------------

    def _init_outermost(self, inputs: Any, rng: Any) -> tuple[Any, Any, Any]:
        key = random.get_prng(0) if rng is None else rng
        return self._init(signature(_check_arrays(inputs)), key, None, _current.get(), None)

    def _init(
        self, inputs: Any, key: Any, fold: int | None, parent: Frame | None, position: int | None
    ) -> tuple[Any, Any, Any]:
        """(weights, state, output signature) for an input signature, pure as ``_run`` is."""
        frame = Frame(self, (), (), key, fold, parent, position)
        frame.initializing = True
        if parent is None or frame.shared is None:
            frame.shared = {}
        token = _current.set(frame)
        try:
            if self.n_in == 1 and _is_tuple(inputs) or self.n_in != 1 and (
                not _is_tuple(inputs) or len(inputs) != self.n_in
            ):
                inputs = self._fit_inputs(inputs)
            known = frame.shared.get(self)
            if known is not None:
                return (), (), self._abstract_output(frame, inputs, *known)
            weights, state, outputs = self._init_in_frame(frame, inputs)
            frame.shared[self] = [weights, state]
            return weights, state, outputs
        except RecursionError:
            if parent is not None:
                raise
            raise LayerError(f"{self.name}: layers nested too deep for Python's recursion limit; use one flat Serial") from None
        except Exception as error:
            wrapped = explain(frame, inputs, error)
            if wrapped is error:
                raise
            raise wrapped from error
        finally:
            _current.reset(token)

    def _init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        if self.sublayers and type(self).init_weights_and_state is Layer.init_weights_and_state:
            return self._init_by_trying(frame, inputs)
        if _takes_rng(type(self)):
            self.init_weights_and_state(inputs, frame.rng())  # type: ignore[call-arg]
        else:
            self.init_weights_and_state(inputs)
        weights, state = frame.weights, frame.state
        return weights, state, self._abstract_output(frame, inputs, weights, state)

    def _init_by_trying(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        """Runs ``forward`` abstractly until it calls a sublayer that has no weights yet, makes them, and tries again."""
        made: dict[int, tuple[Any, Any]] = {}
        while True:
            frame.weights = {index: weights for index, (weights, _) in made.items()}
            frame.state = {index: state for index, (_, state) in made.items()}
            try:
                outputs = abstract_eval(lambda x: self.forward(x), inputs)
                break
            except _Uninitialized as sublayer:
                index = sublayer.index
                made[index] = self.init_sublayer(index, sublayer.inputs)[:2]
        missing = [sub.name for index, sub in enumerate(self.sublayers) if index not in made]
        if missing:
            raise LayerError(f"forward never calls its sublayer {missing[0]}, which therefore has no weights")
        order = range(len(self.sublayers))
        return tuple(made[i][0] for i in order), tuple(made[i][1] for i in order), outputs

    def init_sublayer(self, index: int, signature: Any) -> tuple[Any, Any, Any]:
        """(weights, state, output signature) of a sublayer for inputs of this signature; for use in initialization."""
        frame = _current.get()
        if frame is None or frame.layer is not self:
            raise LayerError(f"{self.name}.init_sublayer belongs inside its init_weights_and_state")
        return self.sublayers[index]._init(signature, frame, index, frame, index)

    def _abstract_output(self, frame: Frame, inputs: Any, weights: Any, state: Any) -> Any:
        """The signature of ``forward``'s output: what it returns is checked before the first step."""
        shared = frame.shared

        def run(x: Any, weights: Any, state: Any) -> Any:
            inner = Frame(self, weights, state, frame.key, frame.fold, frame.parent, frame.position)
            inner.shared = {k: v for k, v in (shared or {}).items() if k is not self} or None
            token = _current.set(inner)
            try:
                y = self.forward(x)
            finally:
                _current.reset(token)
            if self.n_out == 1 and type(y) is tuple or self.n_out != 1 and (type(y) is not tuple or len(y) != self.n_out):
                y = self._fit_outputs(y, x)
            return y if self.sublayers else _canonical(y)

        return abstract_eval(run, inputs, signature(weights), signature(state))

    def _require_init(self, inputs: Any) -> None:
        for layer in _walk(self, set()):
            if not layer._initialized and not layer._is_bare() and not layer.sublayers:
                example = f"lk.{_shorthand(inputs)}" if isinstance(inputs, ShapeDtype) else "signature"
                where = "" if layer is self else f" ({layer.name} inside it has none)"
                raise LayerError(f"{self.name} has no weights yet{where}: call its init({example}) first")

    def _is_bare(self) -> bool:
        """Whether it has nothing to initialize: no weights, no state, no sublayers."""
        return not self.sublayers and type(self).init_weights_and_state is Layer.init_weights_and_state

    # -- storing ------------------------------------------------------------------------------------------------------

    def _store(self, weights: Any, state: Any) -> None:
        self._keep("_weights", weights, set())
        self._keep("_state", state, set())

    def _keep(self, slot: str, tree: Any, seen: set[int]) -> None:
        if id(self) in seen:
            return
        seen.add(id(self))
        self._initialized = True
        if not self.sublayers:
            setattr(self, slot, tree)
            return
        if not isinstance(tree, (tuple, list)) or len(tree) != len(self.sublayers):
            got = len(tree) if isinstance(tree, (tuple, list)) else type(tree).__name__
            raise LayerError(
                f"{self.name}: {slot.strip('_')} are a tuple with one entry for each of its "
                f"{len(self.sublayers)} sublayers, got {got}"
            )
        for sublayer, part in zip(self.sublayers, tree, strict=True):
            sublayer._keep(slot, part, seen)

    def _stored(self, slot: str, seen: set[int]) -> Any:
        if not self.sublayers:
            return getattr(self, slot)
        parts = []
        for sublayer in self.sublayers:
            parts.append(() if id(sublayer) in seen else sublayer._stored(slot, seen))
            seen.add(id(sublayer))
        return tuple(parts)


class PureLayer(Layer):
    """A layer without weights or state: ``forward_fn`` of its inputs.

    Args:
        forward_fn: a function of n_in arrays, given as one argument each, that returns n_out.
        n_in: number of arrays it takes.
        n_out: number of arrays it gives back.
        name: its name.

    >>> from layerkit.fastmath import numpy as np
    >>> PureLayer(lambda x: x + 1, name="Increment")(np.array(1.0)).tolist()
    2.0
    """

    def __init__(
        self, forward_fn: Callable[..., Any], n_in: int = 1, n_out: int = 1, name: str = "PureLayer"
    ) -> None:
        super().__init__(n_in, n_out, name)
        self._forward_fn = forward_fn

    def forward(self, x: Any) -> Any:
        return self._forward_fn(x) if self.n_in == 1 else self._forward_fn(*x)

    @property
    def kind(self) -> str:
        return self.name


def Fn(name: str, f: Callable[..., Any], n_out: int = 1) -> PureLayer:
    """A weightless layer from a function; the number of its arguments is n_in.

    Args:
        name: the layer's name.
        f: a function of positional arguments, one for each input.
        n_out: number of arrays ``f`` returns (a tuple where it is not 1).

    Raises:
        LayerError: ``f`` has default, keyword-only or ``*`` arguments, so that n_in cannot be told.

    >>> from layerkit.fastmath import numpy as np
    >>> minus = Fn("Minus", lambda x, y: x - y)
    >>> minus
    Minus_in2
    >>> float(minus((np.array(5.0), np.array(3.0))))
    2.0
    """
    parameters = inspect.signature(f).parameters.values()
    remedy = f"wrap it: Fn({name!r}, lambda x: f(x, ...))"
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise LayerError(f"Fn {name!r}: variable arguments ({parameter}) leave n_in open; {remedy}")
        if parameter.kind is parameter.KEYWORD_ONLY:
            raise LayerError(f"Fn {name!r}: keyword argument {parameter.name} is no input; {remedy}")
        if parameter.default is not parameter.empty:
            raise LayerError(f"Fn {name!r}: default argument {parameter.name} leaves n_in open; {remedy}")
    return PureLayer(f, len(parameters), n_out, name)


class _Uninitialized(BaseException):
    """Ends an abstract run at a sublayer that has no weights yet. No Exception, so that no layer's ``except`` stops it."""

    def __init__(self, index: int, inputs: Any) -> None:
        self.index, self.inputs = index, inputs


def check_mode(mode: str | None) -> str | None:
    """``mode`` itself, if it is one."""
    if mode not in (None, "train", "eval", "predict"):
        raise LayerError(f"mode is 'train', 'eval', 'predict' or None, got {mode!r}")
    return mode


def check_name(name: str | None) -> str | None:
    """``name`` itself, if errors, files and printouts can carry it."""
    if name is not None and (
        not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable() or "/" in name or ".." in name
    ):
        shown = repr(name) if len(repr(name)) < 60 else repr(name)[:56] + "...'"
        raise LayerError(f"a layer's name has 1 to 100 printable characters, without / and .., got {shown}")
    return name


def _caller() -> str:
    """The line that makes a layer, outside of this library: ``model.py:12``."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_HOUSE):
        frame = frame.f_back
    return "layerkit" if frame is None else f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


@functools.cache
def _takes_rng(cls: type[Layer]) -> bool:
    parameters = inspect.signature(cls.init_weights_and_state).parameters
    return len(parameters) > 2


def _is_tuple(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and not isinstance(x, ShapeDtype)


def _plain(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _canonical(y: Any) -> Any:
    canonical = active().canonical
    return tuple([canonical(item) for item in y]) if type(y) is tuple else canonical(y)


def _check_arrays(x: Any) -> Any:
    """The outermost call's inputs: arrays of numbers; lists and Python numbers become arrays."""
    if isinstance(x, ShapeDtype):
        return x
    if type(x) is tuple:
        return tuple([_check_arrays(item) for item in x])
    if not _plain(x):
        from layerkit.fastmath import numpy as np

        try:
            x = np.array(x)
        except (TypeError, ValueError):
            raise LayerError(f"an input is an array of numbers, got {type(x).__name__}") from None
    if x.dtype.kind in "OSUMmcT":
        raise LayerError(f"an input is an array of real numbers, got dtype {x.dtype}")
    return active().canonical(x)


def _walk(layer: Layer, seen: set[int]) -> Iterable[Layer]:
    if id(layer) not in seen:
        seen.add(id(layer))
        yield layer
        for sublayer in layer.sublayers:
            yield from _walk(sublayer, seen)


def _occurrences(layer: Layer) -> int:
    return 1 + sum(map(_occurrences, layer.sublayers))


def _shared_cells(layer: Layer, weights: Any, state: Any) -> dict[Layer, list[Any]] | None:
    """The layers that stand in more than one place, with the weights and state of the first."""
    if layer._shares is None:
        layer._shares = bool(layer.sublayers) and _occurrences(layer) > sum(1 for _ in _walk(layer, set()))
    if not layer._shares:
        return None
    first: dict[Layer, list[Any]] = {}
    repeated: set[Layer] = set()

    def visit(layer: Layer, weights: Any, state: Any) -> None:
        if layer in first:
            repeated.add(layer)
            return
        first[layer] = [weights, state]
        for sublayer, w, s in zip(layer.sublayers, weights, state, strict=False):
            visit(sublayer, w, s)

    visit(layer, weights, state)
    return {layer: cell for layer, cell in first.items() if layer in repeated}


def _gather_shared(layer: Layer, state: Any, shared: dict[Layer, list[Any]], seen: set[Layer]) -> Any:
    """The new state tree, with what the last place of a shared layer left put in its first."""
    if layer in shared:
        if layer in seen:
            return ()
        seen.add(layer)
        return shared[layer][1]
    if not layer.sublayers:
        return state
    return tuple([_gather_shared(sub, part, shared, seen) for sub, part in zip(layer.sublayers, state, strict=True)])


def _shorthand(of: ShapeDtype) -> str:
    kind = {"float32": "f32", "int32": "i32"}.get(of.dtype.name)
    return f"{kind or 'ShapeDtype'}{of.shape}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
