"""Shapes said in letters, and checked: ``'bld,b11l->bld'``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from layerkit.errors import shown
from layerkit.layer import Layer, LayerError

__all__ = ["AssertFunction", "AssertShape", "assert_shape"]

T = TypeVar("T", bound=Callable[..., Any])


def assert_shape(specification: str) -> Callable[[T], T]:
    """Decorates a layer class, or a function that makes a layer: every call checks the shapes of inputs and outputs.

    A term stands for each array, commas between, ``->`` between inputs and outputs. A letter is the size of an axis,
    the same wherever it stands; a digit is that size; ``...`` is any number of axes, the same ones wherever it stands.

    Args:
        specification: such as ``"bld->bld"``, or ``"...a,b1->...b"``.

    Raises:
        LayerError: the specification cannot be read; in a call, a shape is another one.

    >>> import layerkit as lk
    >>> @assert_shape("bld->bd")
    ... def SumOfLengths():
    ...     return lk.Fn("SumOfLengths", lambda x: x.sum(axis=1))
    >>> SumOfLengths().output_signature(lk.f32(2, 3, 4)).shape
    (2, 4)
    """
    spec = _Spec(specification)

    def decorate(made: T) -> T:
        if not isinstance(made, type):

            @functools.wraps(made)
            def make(*args: Any, **kwargs: Any) -> Any:
                return AssertFunction(specification, made(*args, **kwargs))

            return make  # type: ignore[return-value]
        if not issubclass(made, Layer):
            raise LayerError(f"assert_shape decorates a layer class or a function, got {shown(made)}")
        forward = made.forward

        @functools.wraps(forward)
        def checked(self: Layer, x: Any) -> Any:
            return spec.call(self, functools.partial(forward, self), x)

        made.forward = checked  # type: ignore[method-assign]
        return made

    return decorate


class AssertFunction(Layer):
    """``layer``, whose inputs and outputs have to have these shapes: see ``assert_shape``.

    Args:
        specification: such as ``"bld->bld"``.
        layer: the layer.
        message: what errors begin with.

    Raises:
        LayerError: the specification cannot be read, or speaks of other numbers of arrays than the layer has; in a
            call, a shape is another one.

    >>> import layerkit as lk
    >>> checked = AssertFunction("bd->b", lk.Fn("Sum", lambda x: x.sum(axis=-1)))
    >>> checked.output_signature(lk.f32(2, 3)).shape
    (2,)
    """

    def __init__(self, specification: str, layer: Layer, message: str | None = None) -> None:
        if not isinstance(layer, Layer):
            raise LayerError(f"AssertFunction: layer is a layer, got {shown(layer)}")
        super().__init__(layer.n_in, layer.n_out, sublayers=[layer])
        self._spec = _Spec(specification, message)
        self._spec.terms(layer)

    def forward(self, x: Any) -> Any:
        return self._spec.call(self, self.sublayers[0], x)


class AssertShape(Layer):
    """y = x, with the shapes that a specification says: one term an array, as in ``assert_shape``, without ``->``.

    Args:
        spec: such as ``"bld"``, or ``"bld,bl"`` for two arrays.
        message: what errors begin with.
        visible_layer: accepted; the layer is printed in any case.

    Raises:
        LayerError: the specification cannot be read; in a call, a shape is another one.

    >>> import layerkit as lk
    >>> AssertShape("b3").output_signature(lk.f32(2, 3)).shape
    (2, 3)
    """

    def __init__(self, spec: str, message: str | None = None, visible_layer: bool = False) -> None:
        if "->" in str(spec):
            raise LayerError(
                f"AssertShape takes the shapes of its inputs alone, got {shown(spec)}: AssertFunction takes both"
            )
        self._spec = _Spec(f"{spec}->{spec}" if isinstance(spec, str) else spec, message)
        count = self._spec.ins.count(",") + 1
        super().__init__(count, count)
        self.visible_layer = visible_layer

    def forward(self, x: Any) -> Any:
        self._spec.check(self._spec.terms(self)[0], _several(x, self.n_in), "input", {})
        return x


class _Spec:
    """A specification, taken apart."""

    def __init__(self, text: str, message: str | None = None) -> None:
        sides = text.split("->") if isinstance(text, str) else []
        letters = "".join(sides).replace(",", "").replace("...", "")
        terms = ",".join(sides).split(",")
        if len(sides) != 2 or (letters and not letters.isalnum()) or any(term.count("...") > 1 for term in terms):
            raise LayerError(
                f"a specification of shapes has a letter or a digit for each axis, such as 'bld,b1l->bd', got "
                f"{shown(text)}"
            )
        self.text, (self.ins, self.outs) = text, sides
        self._message = f"{message}: " if message else ""

    def terms(self, layer: Layer) -> tuple[list[str], list[str]]:
        """The terms of the layer's inputs and outputs.

        Raises:
            LayerError: it has other numbers of them.
        """
        ins, outs = (
            [] if not side and not count else side.split(",")
            for side, count in ((self.ins, layer.n_in), (self.outs, layer.n_out))
        )
        if (len(ins), len(outs)) != (layer.n_in, layer.n_out):
            raise LayerError(
                f"{self._message}{self.text!r} is for {len(ins)} inputs and {len(outs)} outputs, and {layer.name} has "
                f"{layer.n_in} and {layer.n_out}"
            )
        return ins, outs

    def call(self, layer: Layer, f: Callable[[Any], Any], x: Any) -> Any:
        """f(x), checked on both sides."""
        ins, outs = self.terms(layer)
        sizes: dict[str, Any] = {}
        self.check(ins, _several(x, layer.n_in), "input", sizes)
        y = f(x)
        self.check(outs, _several(y, layer.n_out), "output", sizes)
        return y

    def check(self, terms: Sequence[str], arrays: Sequence[Any], side: str, sizes: dict[str, Any]) -> None:
        """Holds shapes to terms, and adds the sizes of their letters to ``sizes``.

        Raises:
            LayerError: one does not fit.
        """
        for number, (term, array) in enumerate(zip(terms, arrays, strict=True)):
            shape = tuple(array.shape)
            where = f"{self._message}{side} {number} of {self.text!r} is {shape}"
            head, dots, tail = term.partition("...")
            n_between = len(shape) - len(head) - len(tail)
            if n_between < 0 or (n_between and not dots):
                due = f"{len(head + tail)}{' or more' if dots else ''}"
                raise LayerError(f"{where}, and {term!r} has {due} axes")
            found: list[tuple[str, Any]] = [*zip(head, shape, strict=False)]
            found += zip(tail, shape[len(shape) - len(tail) :], strict=True)
            found += [("...", shape[len(head) : len(head) + n_between])] if dots else []
            for letter, size in found:
                due_size = int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
                if size != due_size:
                    raise LayerError(f"{where}: {letter} is {size} there, and {due_size} is due")


def _several(x: Any, count: int) -> tuple[Any, ...]:
    return (x,) if count == 1 else tuple(x)
