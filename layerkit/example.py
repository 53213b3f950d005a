"""What a layer is tried on: the inputs that tests, the kit, the bench and the docs use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from layerkit.errors import UsageError, shown
from layerkit.shapes import ShapeDtype, signature

__all__ = ["Example", "example", "example_of"]

Constructor = TypeVar("Constructor", bound=Callable[..., Any])


class Example(NamedTuple):
    """One way to try a constructor: its arguments, and the signature of the inputs.

    ``rows_independent`` says that a row of the output depends on the same row of the inputs alone;
    ``expected_failures`` names checks of ``layerkit.testing`` that do not hold for it, each with the reason.
    """

    inputs: tuple[ShapeDtype, ...]
    rows_independent: bool = True
    arguments: Mapping[str, Any] = {}
    expected_failures: Mapping[str, str] = {}

    @property
    def signature(self) -> Any:
        """What ``init`` takes: one signature bare, several as a tuple."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs


def example(
    *inputs: Any, rows_independent: bool = True, expected_failures: Mapping[str, str] | None = None, **arguments: Any
) -> Callable[[Constructor], Constructor]:
    """Decorates a layer's constructor (a class or a function) with inputs to try it on.

    Args:
        inputs: signatures, ``lk.f32(4, 8)`` or ``lk.i32(4, 8, max=10)``, one for each array the layer takes.
        rows_independent: whether a row of the output depends on its own row of the inputs alone.
        expected_failures: checks of ``layerkit plugins check`` that fail by intention: {name of the check: reason}.
        arguments: arguments for the constructor.

    Raises:
        UsageError: an input is neither a signature nor an array.

    >>> from layerkit import Fn, f32
    >>> @example(f32(4, 8))
    ... def Double():
    ...     return Fn("Double", lambda x: 2 * x)
    >>> example_of(Double).signature
    float32[4,8]
    """
    signatures = tuple(map(signature, inputs))
    for given, of in zip(inputs, signatures, strict=True):
        if callable(given) or not isinstance(of, ShapeDtype):
            raise UsageError(f"lk.example takes signatures, as in @lk.example(lk.f32(4, 8)), got {shown(given)}")
    made = Example(signatures, rows_independent, arguments, dict(expected_failures or {}))

    def decorate(constructor: Constructor) -> Constructor:
        constructor.layerkit_example = made  # type: ignore[attr-defined]
        return constructor

    return decorate


def example_of(constructor: Callable[..., Any]) -> Example | None:
    """The example of a constructor; a class does not inherit its base's."""
    return vars(constructor).get("layerkit_example")
