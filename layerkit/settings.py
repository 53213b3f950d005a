"""A recipe's settings: a dataclass whose fields say what they mean, what may stand there, and what is assumed."""

from __future__ import annotations

import dataclasses
import functools
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from layerkit.errors import LayerkitError, UsageError, shown, suggest
from layerkit.numbers import as_real, as_whole

__all__ = ["RESERVED", "Setting", "as_json", "make_settings", "setting", "settings_of"]

RESERVED = ("backend", "output", "overwrite", "recipe")
"""Names that layerkit itself answers for."""

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", Path: "a path"}


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help: str = "",
    least: float | None = None,
    most: float | None = None,
    metavar: str = "",
    may_change: bool = False,
) -> Any:
    """A field of a recipe's settings.

    Args:
        default: what is assumed; without it the setting must be given.
        help: what it means, in a few words, for ``--help``.
        least: the smallest number allowed.
        most: the largest number allowed.
        metavar: what stands for the value in ``--help``: ``FILE``.
        may_change: whether a run may be continued with another value (true of the number of steps).

    >>> @dataclasses.dataclass
    ... class Settings:
    ...     steps: int = setting(500, help="training steps", least=1, may_change=True)
    >>> Settings().steps
    500
    """
    about = {"help": help, "least": least, "most": most, "metavar": metavar, "may_change": may_change}
    return dataclasses.field(default=default, metadata=about)


class Setting(NamedTuple):
    """One field of a recipe's settings, read."""

    name: str
    type: type
    """int, float, str, bool or Path; of the items, if there are several."""
    default: Any
    """``dataclasses.MISSING`` where the setting must be given."""
    choices: tuple[Any, ...]
    optional: bool
    several: bool
    help: str
    least: float | None
    most: float | None
    metavar: str
    may_change: bool

    def checked(self, value: Any) -> Any:
        """``value`` as this setting's type.

        Raises:
            ValueError: it is not of that type, not one of the choices, or out of range; says so without the name.
        """
        if value is None and self.optional:
            return None
        if self.several:
            if isinstance(value, str) or not isinstance(value, list | tuple):
                raise ValueError(f"is a list, each {_WORDS[self.type]}, got {shown(value)}")
            return tuple(self._checked_one(item) for item in value)
        return self._checked_one(value)

    def _checked_one(self, value: Any) -> Any:
        if self.choices:
            if value not in self.choices:
                raise ValueError(f"cannot be {shown(value)}: {suggest(str(value), map(str, self.choices))}")
            return value
        value = _as(self.type, value)
        if self.least is not None and value < self.least:
            raise ValueError(f"is at least {self.least}, got {value}")
        if self.most is not None and value > self.most:
            raise ValueError(f"is at most {self.most}, got {value}")
        return value


def settings_of(recipe: str, settings: Any) -> dict[str, Setting]:
    """The fields of a recipe's dataclass of settings, by name.

    Raises:
        LayerkitError: it is no dataclass, or a field has a name or type that cannot be a setting.
    """
    if not (isinstance(settings, type) and dataclasses.is_dataclass(settings)):
        raise LayerkitError(f"recipe {recipe!r} has no dataclass named Settings: ask its author")
    hints = _hints(settings)
    found = {}
    for field in dataclasses.fields(settings):
        if not field.init:
            continue
        if field.name in RESERVED:
            raise LayerkitError(
                f"recipe {recipe!r} has a setting {field.name!r}, which is layerkit's own: rename it there"
            )
        found[field.name] = _read(recipe, field, hints[field.name])
    return found


def make_settings(recipe: str, settings: Any, values: Mapping[str, Any]) -> Any:
    """The dataclass ``settings`` with ``values``, each checked.

    Raises:
        UsageError: a name is unknown, a value does not fit, or one that must be given is not.
    """
    known = settings_of(recipe, settings)
    for name in values:
        if name not in known:
            raise UsageError(f"recipe {recipe!r} has no setting {name!r}: {suggest(name, [*known, *RESERVED])}")
    checked = {}
    for name, rule in known.items():
        if name in values:
            try:
                checked[name] = rule.checked(values[name])
            except ValueError as error:
                raise UsageError(f"recipe {recipe!r}: {name} {error}") from error
        elif rule.default is dataclasses.MISSING:
            raise UsageError(f"recipe {recipe!r} needs {name!r}: {rule.help or 'it has no default'}")
    try:
        return settings(**checked)
    except (TypeError, ValueError) as error:
        raise UsageError(f"recipe {recipe!r}: {error}") from error


def as_json(settings: Any) -> dict[str, Any]:
    """Settings as they are written to a file: paths absolute, so that they mean the same from everywhere."""
    return {f.name: _plain(getattr(settings, f.name)) for f in dataclasses.fields(settings) if f.init}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return os.path.abspath(value) if isinstance(value, Path) else value


# The hints are text that Python evaluates: once, when the recipe is met, and not whenever a run is loaded.
_hints = functools.cache(typing.get_type_hints)


def _read(recipe: str, field: Any, hint: Any) -> Setting:
    optional = several = False
    kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if kind in (types.UnionType, typing.Union) and len(arguments) == 2 and type(None) in arguments:
        optional = True
        hint = arguments[0] if arguments[1] is type(None) else arguments[1]
        kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if kind is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        several, hint = True, arguments[0]
        kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    choices = arguments if kind is Literal else ()
    base = type(choices[0]) if choices else hint
    if base not in _WORDS:
        raise LayerkitError(
            f"recipe {recipe!r}: setting {field.name!r} cannot be {hint!r}: "
            "int, float, str, bool, Path, Literal[...], tuple[..., ...] or one of them | None can"
        )
    default = field.default
    if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    about = {"help": "", "least": None, "most": None, "metavar": "", "may_change": False, **field.metadata}
    return Setting(
        field.name,
        base,
        default,
        choices,
        optional,
        several,
        *(about[key] for key in ("help", "least", "most", "metavar", "may_change")),
    )


def _as(kind: type, value: Any) -> Any:
    """``value`` as ``kind``, where nothing is lost or guessed: 2 is a number, "2" is not."""
    found = value if isinstance(value, kind) else None
    if kind is int:
        found = as_whole(value)
    elif kind is float:
        found = as_real(value)
    elif kind is Path and isinstance(value, str | os.PathLike) and str(value):
        found = Path(os.path.expanduser(value))
    if found is None or found != found:
        raise ValueError(f"is {_WORDS[kind]}, got {shown(value)}")
    return found
