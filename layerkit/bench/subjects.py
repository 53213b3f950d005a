"""What is measured: names as people type them, the constructors they stand for, and what those are tried on."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from layerkit.bench.sizes import CaseName, Size, resized, size_of
from layerkit.errors import UsageError, suggest
from layerkit.example import example_of
from layerkit.plugins import registry
from layerkit.plugins.kind import Offer, Registry, UnknownName
from layerkit.plugins.problems import one_line
from layerkit.shapes import ShapeDtype, f32

__all__ = ["MODES", "Case", "Subject", "cases_of", "everything", "find"]

MODES = ("forward", "train")
"""What is measured of a layer, model or recipe; of an optimizer it is always ``update``."""

_REGISTRIES: dict[str, Registry] = {
    "layer": registry.layers,
    "model": registry.models,
    "optimizer": registry.optimizers,
    "recipe": registry.recipes,
}

_WEIGHT = f32(1024, 256)
"""What an optimizer moves unless sizes are given."""


@dataclass(frozen=True)
class Subject:
    """A registered constructor and the arguments it is called with: ``Dense(n_units=512)``."""

    kind: str
    text: str
    """What was typed, and what finds it again in another process."""
    constructor: Callable[..., Any]
    owner: str = "layerkit"
    inputs: tuple[ShapeDtype, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    """The arguments that were typed: no size changes these."""


@dataclass(frozen=True)
class Case:
    """A subject at one size, in one mode."""

    subject: Subject
    mode: str
    asked: Size
    """The size that was asked for."""
    size: Size
    """How long the axes are that it has."""
    inputs: tuple[ShapeDtype, ...]
    arguments: dict[str, Any]

    @property
    def name(self) -> CaseName:
        """What tells it from other cases."""
        return CaseName(self.subject.kind, self.subject.text, self.size, self.mode)

    @property
    def label(self) -> str:
        """What is measured: ``Dense 16x-x256``."""
        return self.name.label


def find(text: str) -> list[Subject]:
    """Everything that is registered under a name, or under the name in ``Name(arguments)``.

    Raises:
        UsageError: nobody offers that name, the arguments are no plain values, or it has no example to be tried on.
    """
    name, given = _parse(text)
    found = []
    for kind, offers in _REGISTRIES.items():
        try:
            found.append((kind, offers.offer(name)))
        except UnknownName:
            continue
    if not found:
        known = {known for offers in _REGISTRIES.values() for known in offers.names()}
        hint = suggest(name, known, "dir(layerkit.layers), dir(layerkit.models) and dir(layerkit.optimizers) list them")
        raise UsageError(f"no layer, model, optimizer or recipe {name!r}: {hint}")
    return [_subject(kind, text, offer, given) for kind, offer in found]


def everything() -> tuple[list[Subject], list[str]]:
    """Every layer and model that has an example, every optimizer; and the names of those without an example."""
    subjects, without = [], []
    for kind in ("layer", "model", "optimizer"):
        for offer in sorted(_REGISTRIES[kind].offers(), key=lambda offer: offer.name):
            if kind != "optimizer" and example_of(offer.constructor) is None:
                without.append(offer.name)
            else:
                name = offer.name if offer.distribution == "layerkit" else offer.qualified
                subjects.append(_subject(kind, name, offer, {}))
    return subjects, without


def cases_of(subjects: Iterable[Subject], sizes: Sequence[Size], mode: str) -> list[Case]:
    """Each subject at each size that makes a difference to it.

    >>> [case.label for case in cases_of(find("Relu"), [Size(2, 5), Size(2, 7)], "forward")]
    ['Relu 2x-x8']
    """
    cases: dict[tuple[str, str, Any], Case] = {}
    for subject in subjects:
        for size in sizes:
            inputs, arguments = resized(subject.inputs, subject.arguments, size)
            has = size_of(inputs)
            width = has.width or (size.width if arguments != subject.arguments else None)
            own = has._replace(width=width)
            own_mode = "update" if subject.kind == "optimizer" else mode
            made = Case(subject, own_mode, size, own, inputs, {**arguments, **subject.given})
            cases.setdefault((subject.kind, subject.text, (own, inputs)), made)
    return list(cases.values())


def _subject(kind: str, text: str, offer: Offer, given: dict[Any, Any]) -> Subject:
    made = _by_name(offer, given)
    if kind == "recipe":
        if made:
            raise UsageError(f"{text}: a recipe is measured with its own quick settings, give its name alone")
        return Subject(kind, text, offer.constructor, offer.distribution)
    if kind == "optimizer":
        return Subject(kind, text, offer.constructor, offer.distribution, (_WEIGHT,), {}, made)
    example = example_of(offer.constructor)
    if example is None:
        raise UsageError(
            f"{kind} {offer.name!r} has no example to measure it on: write @lk.example(lk.f32(4, 8)) above it"
        )
    return Subject(kind, text, offer.constructor, offer.distribution, example.inputs, dict(example.arguments), made)


def _parse(text: str) -> tuple[str, dict[Any, Any]]:
    """The name, and the arguments by name or place."""
    owner, colon, rest = text.rpartition(":") if "(" not in text.partition(":")[0] else ("", "", text)
    if "(" not in rest:
        return text, {}
    try:
        call = ast.parse(rest.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError(rest)  # noqa: TRY004
        arguments: dict[Any, Any] = dict(enumerate(map(ast.literal_eval, call.args)))
        arguments |= {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{text!r} is not understood: give a name, or one with plain values, Dense(512)") from error
    return f"{owner}{colon}{call.func.id}", arguments


def _by_name(offer: Offer, given: dict[Any, Any]) -> dict[str, Any]:
    """Arguments by name, where the constructor has names for them."""
    if not given:
        return {}
    places = [value for name, value in given.items() if isinstance(name, int)]
    names = {name: value for name, value in given.items() if isinstance(name, str)}
    try:
        signature = inspect.signature(offer.constructor)
        signature.bind_partial(*places, **names)  # a name that is not known, or given twice
        return {**signature.bind_partial(*places).arguments, **names}
    except (TypeError, ValueError) as error:
        raise UsageError(f"{offer.name} does not take these arguments: {one_line(error)}") from error
