"""What a layer is: a function from n_in arrays to n_out arrays, with trainable weights and non-trainable state."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextvars import copy_context
from types import MappingProxyType
from typing import Any

import numpy as onp

from layerkit.engine.calls import check_reach, find, run, run_inside, run_sublayer, running
from layerkit.engine.frames import Frame, current_frame
from layerkit.engine.initializing import init, init_by_hook, init_described, init_outermost, signature_for
from layerkit.engine.layer_error import LayerError
from layerkit.engine.making import check_depth, check_mode, check_name
from layerkit.engine.naming import count, line_of_caller
from layerkit.engine.storing import keep, require_init
from layerkit.errors import shown
from layerkit.fastmath import abstract_eval, is_traced, random, stop_gradient, tree_leaves
from layerkit.fastmath.backend import current_region
from layerkit.numbers import whole
from layerkit.shapes import signature as signature_of  # methods have an argument of that name

__all__ = ["Layer", "LayerError"]


class Layer:
    """A function from ``n_in`` arrays to ``n_out`` arrays, with trainable weights and non-trainable state.

    One array travels bare, several as a tuple, none as ``()``. A layer of your own overrides ``forward``, and
    ``init_weights_and_state`` if it has weights or state; inside both, ``self.weights``, ``self.state``, ``self.rng``
    and ``self.training`` belong to the call that is running. Weights and state are trees: nested tuples of arrays.

    A layer made of others hands them to ``sublayers``, and calls them in ``forward``; its weights are then a tuple
    with one entry for each sublayer. The same layer object in two places has the same weights: they are stored with
    the first place, the later one holds ``()``.

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
    row_update: str = "auto"
    """How training updates a table among its weights: ``"dense"`` all of it at every step, ``"lazy"`` each row when it
    is read, ``"auto"`` whichever is faster; the weights come out the same."""
    stands_after: str = ""
    """The layer that a loss has to come after, if without it the loss can fall below 0: training then says so."""
    depth: int = 1
    _name: str | None = None
    _weights: Any = ()
    _state: Any = ()
    _rng: Any = None
    _initialized: bool = False
    _shares: bool | None = None
    _trees: Mapping[str, tuple[object, Any]] = MappingProxyType({})

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = object.__new__(cls)
        layer.made_at = line_of_caller()
        return layer

    def __init__(
        self,
        n_in: int = 1,
        n_out: int = 1,
        name: str | None = None,
        sublayers: Iterable[Layer] = (),
        mode: str | None = None,
    ) -> None:
        self.mode = check_mode(self.kind, mode)
        self._name = check_name(name)
        if isinstance(n_in, Layer) or isinstance(sublayers, Layer):
            raise LayerError(f"{self.name}: layers that it calls are given as a list: super().__init__(sublayers=[f])")
        self.n_in = whole(f"{self.name}: n_in", n_in, 0, LayerError)
        self.n_out = whole(f"{self.name}: n_out", n_out, 0, LayerError)
        self.sublayers = tuple(sublayers)
        for sublayer in self.sublayers:
            if not isinstance(sublayer, Layer):
                raise LayerError(f"{self.name}: {shown(sublayer)} is no layer; sublayers are Layer objects")
        self.depth = check_depth(self.name, 1 + max((sublayer.depth for sublayer in self.sublayers), default=0))

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
        """A gradient of the layer's own, used where ``has_backward`` is true: (of the inputs, of the weights)."""
        raise LayerError(f"{self.name} says has_backward, and has no backward method")

    def summaries(self, state: Any) -> dict[str, Any]:
        """What a run's log shows of the layer's state, by name: single numbers, or images (n, h, w, c)."""
        return {}

    # -- what a user calls --------------------------------------------------------------------------------------------

    def init(self, signature: Any, rng: Any = None) -> tuple[Any, Any]:
        """Makes new weights and state for inputs like ``signature``, keeps them on the layer, and returns both.

        Inside the ``init_weights_and_state`` of a layer around it, it is part of that, and nothing is kept.

        Args:
            signature: shapes and dtypes of the inputs (``lk.f32(16, 20)``), or arrays like them; a tuple for several.
            rng: the random key, uint32 (2,); ``fastmath.random.get_prng(0)`` unless given.

        Raises:
            LayerError: the layer, or one inside it, cannot take such inputs.
        """
        frame = current_frame.get()
        if frame is not None and frame.trail is not None and rng is None and self in frame.layer.sublayers:
            return frame.layer.init_sublayer(frame.layer.sublayers.index(self), signature)[:2]
        weights, state, _ = init_outermost(self, signature, rng)
        keep(self, _weights=weights, _state=state)
        self._rng = rng
        return weights, state

    def __call__(
        self, x: Any, weights: Any = None, state: Any = None, rng: Any = None, training: bool | None = None
    ) -> Any:
        """The output for ``x``. Inside another layer's ``forward``, a sublayer runs as part of that call, with its key.

        Args:
            x: an array, or a tuple of n_in arrays.
            weights: used instead of the layer's own, which stay as they are.
            state: used instead of the layer's own; its successor is then not kept.
            rng: random key for layers that draw numbers (Dropout while training).
            training: whether layers behave as in training; evaluation unless said.

        Raises:
            LayerError: the inputs do not fit, or the layer was not initialized.
        """
        return self.call_by(self.pure_fn, x, weights, state, rng, training)

    def call_by(
        self,
        pure_fn: Callable[..., tuple[Any, Any]],
        x: Any,
        weights: Any = None,
        state: Any = None,
        rng: Any = None,
        training: bool | None = None,
    ) -> Any:
        """A call, in which ``pure_fn`` computes: the layer's own, or a program that ``fastmath.jit`` made of it."""
        frame = current_frame.get()
        if frame is not None and weights is None:
            if state is not None or rng is not None:
                raise LayerError(
                    f"{self.name}: inside the forward of {frame.layer.name} it runs with that call's state and key; "
                    "call its pure_fn to give it others"
                )
            return run_inside(self, frame, x, training)
        if weights is None:
            if not self._initialized:
                require_init(self, x)
            weights = self.weights
        old_state = self.state if state is None else state
        y, new_state = pure_fn(x, weights, old_state, self._rng if rng is None else rng, training)
        if state is None and new_state is not old_state and not any(map(is_traced, tree_leaves(new_state))):
            self.state = stop_gradient(new_state)
        return y

    def pure_fn(
        self, x: Any, weights: Any, state: Any, rng: Any = None, training: bool | None = None
    ) -> tuple[Any, Any]:
        """(output, new state), with no effect on the layer: safe to differentiate, to compile, and in threads.

        ``training`` is that of the surrounding call unless given, and false in an outermost one; ``rng`` is a key, or a
        function that makes one where a layer asks for it.
        """
        parent = current_frame.get()
        position = None
        if parent is not None and self in parent.layer.sublayers:
            position = parent.layer.sublayers.index(self)
        # Infinity and NaN give their values without NumPy's warnings, as compiled code does.
        context = copy_context()
        context.run(onp.seterr, all="ignore")
        return context.run(run, Frame(self, weights, state, rng, None, parent, position), x, training)

    def output_signature(self, signature: Any) -> Any:
        """Shapes and dtypes of the outputs for inputs of this signature; nothing is kept."""
        if not self._initialized:
            return init_outermost(self, signature, self._rng)[2]
        inputs, weights, state = signature_for(self, signature), signature_of(self.weights), signature_of(self.state)
        return abstract_eval(lambda x, w, s: self.pure_fn(x, w, s, self.rng)[0], inputs, weights, state)

    def signatures(self, signature: Any) -> tuple[Any, Any]:
        """The signatures of the weights and state that ``init`` would make; nothing is kept."""
        return init_described(self, signature, self._rng)

    # -- weights, state, rng ------------------------------------------------------------------------------------------

    @property
    def weights(self) -> Any:
        """The trainable arrays: inside ``forward`` those of the call, outside what ``init`` or assignment left."""
        frame = current_frame.get()
        if frame is not None and frame.layer is self and frame.region is current_region.get():
            return frame.weights
        return find(self, frame, "weights")

    @weights.setter
    def weights(self, weights: Any) -> None:
        frame = current_frame.get()
        if frame is None:
            keep(self, _weights=weights)
        elif frame.layer is self and frame.trail is not None:
            frame.weights = weights
        else:
            raise LayerError(
                f"{self.name}: its weights cannot be set inside the forward of {frame.layer.name}: "
                "keep what a call changes in self.state"
            )

    @property
    def state(self) -> Any:
        """The arrays that calls change and training does not; as ``weights``."""
        frame = current_frame.get()
        if frame is not None and frame.layer is self and frame.region is current_region.get():
            return frame.state
        return find(self, frame, "state")

    @state.setter
    def state(self, state: Any) -> None:
        frame = current_frame.get()
        if frame is None:
            keep(self, _state=state)
        elif frame.layer is not self:
            raise LayerError(f"{self.name}: its state cannot be set inside the forward of {frame.layer.name}")
        elif frame.region is not current_region.get():
            raise LayerError(
                f"{self.name}: state set inside a {getattr(current_region.get(), 'name', 'loop')}; "
                "return it from the body as a carry, and set it after"
            )
        else:
            frame.state = state

    @property
    def rng(self) -> Any:
        """The random key, uint32 (2,): inside a call the call's own, outside the one given to ``init``."""
        frame = current_frame.get()
        if frame is None:
            return random.get_prng(0) if self._rng is None else self._rng
        if frame.layer is not self:
            raise LayerError(f"{self.name}.rng is read inside the forward of {frame.layer.name}, outside its own call")
        check_reach(frame, f"{self.name}.rng")
        key = frame.rng()
        if key is None:
            raise LayerError(
                f"{self.name}: draws random numbers and got no key: pass rng=fastmath.random.get_prng(seed)"
            )
        return key

    @property
    def training(self) -> bool:
        """Whether the running call is one of training; ``mode`` overrides it."""
        if self.mode is not None:
            return self.mode == "train"
        frame = current_frame.get()
        return frame is not None and frame.training

    @property
    def name(self) -> str:
        """What errors and printouts call the layer."""
        return self._name or type(self).__name__

    @property
    def kind(self) -> str:
        """What paths of tensors call the layer: its class, ``Dense`` for ``Dense_4``."""
        return type(self).__name__.lstrip("_")

    # -- files --------------------------------------------------------------------------------------------------------

    def save_to_file(self, path: str | os.PathLike[str], about: Any = None) -> None:
        """Writes weights and state to a safetensors file, each array under its path (``2.Dense/kernel``).

        Every array has a checksum, and the file is written whole or not at all. ``about`` is anything that JSON can
        hold, such as a vocabulary: ``layerkit.files.read_about(path)`` gives it back.

        Raises:
            LayerError: it cannot be written, or an array has a dtype that such a file cannot hold.
        """
        from layerkit.weights_file import save

        require_init(self, ())
        save(self, path, about)

    def init_from_file(self, path: str | os.PathLike[str], signature: Any = None) -> tuple[Any, Any]:
        """Takes weights and state from a file of ``save_to_file``.

        ``signature`` (of the inputs) is due where the layer was not initialized.

        Raises:
            LayerError: the file is missing or broken, or holds other arrays than this layer has.
        """
        from layerkit.weights_file import load

        if signature is None:
            require_init(self, (), "give init_from_file the signature of its inputs as well, such as lk.f32(16, 4)")
        load(self, path, *((self.weights, self.state) if signature is None else self.signatures(signature)))
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

    # -- what combinators build on ------------------------------------------------------------------------------------

    @property
    def n_positions(self) -> int:
        """How many places it takes in the flattened Serial around it, each with a random key of its own."""
        return 1

    @property
    def is_bare(self) -> bool:
        """Whether it has nothing to initialize: no weights, no state, no sublayers."""
        return not self.sublayers and not self._has_hook()

    def _has_hook(self) -> bool:
        return type(self).init_weights_and_state is not Layer.init_weights_and_state

    def run_sublayer(self, index: int, x: Any) -> Any:
        """In ``forward``: the output of the sublayer at ``index``, what ``self.sublayers[index](x)`` gives."""
        return run_sublayer(running(self, "run_sublayer belongs inside its forward"), index, x)

    def init_sublayer(self, index: int, signature: Any) -> tuple[Any, Any, Any]:
        """In ``init_weights_and_state``: (weights, state, output signature) of the sublayer at ``index``."""
        frame = running(self, "init_sublayer belongs inside its init_weights_and_state")
        return init(frame.of_sublayer(index, (), ()), signature)

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        """(weights, state, output signature); a combinator that knows its output from its parts overrides this."""
        return init_by_hook(frame, inputs)

    def accept_inputs(self, x: Any) -> Any:
        """Inputs that are not n_in arrays: refused here, taken by combinators that have a use for them."""
        got = len(x) if type(x) is tuple else 1
        remedy = ", in a tuple: give it bare" if got == self.n_in else ": give them in a tuple" * (got == 1 < self.n_in)
        raise LayerError(f"takes {count(self.n_in, 'input')}, got {got}{remedy}")

    def accept_outputs(self, y: Any) -> Any:
        """Outputs that are not n_out arrays: refused here."""
        got = len(y) if type(y) is tuple else 1
        raise LayerError(f"declares {count(self.n_out, 'output')}, and forward returned {got}")

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        """Where sublayer ``child`` gets its input number ``item``, for errors: (sublayer, number of its output).

        (None, n) is the layer's own input n; None by itself says that it is not known.
        """
        return None

    def maker_of(self, item: int) -> tuple[int | None, int] | None:
        """Where the output number ``item`` comes from, as in ``source_of``; None if the layer itself computes it."""
        return None
