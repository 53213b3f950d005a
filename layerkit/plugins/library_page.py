"""The page ``docs/library.md``: every bundled layer, model and optimizer with its arguments, from the code.

``python -m layerkit.plugins.library_page docs/library.md`` writes it, ``--check`` says whether it is stale (exit code
1).
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from layerkit.plugins.registry import layers, models, optimizers
from layerkit.plugins.written import write_page

__all__ = ["main", "page"]

_HEAD = """# What is in the box

<!-- Written by `python -m layerkit.plugins.library_page docs/library.md`: change the docstrings, then run it again. -->

Layers are `from layerkit import layers as tl`, models `from layerkit import models`, optimizers
`from layerkit import optimizers`. `help(tl.Dense)` tells what each argument is, what is refused, where the formula
comes from, and has an example. Plugins add more.
"""


def page() -> str:
    """The text of the page."""
    made = [(name, thing) for name, thing in layers.core().items() if _is_offered(thing)]
    made += [(offer.name, offer.constructor) for offer in layers.own().values()]
    sections = [_HEAD, *_section(f"Layers, and what goes with them: {len(made)}", made)]
    for title, registry in (("Models", models), ("Optimizers", optimizers)):
        found = [(offer.name, offer.constructor) for offer in registry.own().values()]
        sections += _section(f"{title}: {len(found)}", found)
    return "\n".join(sections).rstrip() + "\n"


def _is_offered(thing: Any) -> bool:
    return inspect.isroutine(thing) or (inspect.isclass(thing) and not issubclass(thing, Exception))


def _family(constructor: Callable[..., Any]) -> str:
    """The name of its module, in words."""
    return str(constructor.__module__).rpartition(".")[2].replace("_", " ").capitalize()


def _what_it_is(constructor: Callable[..., Any]) -> str:
    """The first sentence of its module's docstring."""
    doc = inspect.getdoc(importlib.import_module(constructor.__module__)) or ""
    return " ".join(re.split(r"\.\s|\.$|\n\n", doc)[0].split()).replace("``", "`")


def _section(title: str, found: list[tuple[str, Callable[..., Any]]]) -> list[str]:
    lines = [f"## {title}", ""]
    by_family = sorted(found, key=lambda one: (_family(one[1]), one[1].__module__, one[0]))
    for family, grouped in itertools.groupby(by_family, lambda one: _family(one[1])):
        members = list(grouped)
        lines += [f"### {family}", "", f"{_what_it_is(members[0][1])}.", "", "| | |", "|---|---|"]
        lines += [f"| `{name}({_arguments(thing)})` | {_about(thing)} |" for name, thing in members]
        lines.append("")
    return lines


def _arguments(constructor: Callable[..., Any]) -> str:
    """What it is called with, without types; functions and objects among the defaults by their names."""
    parameters = list(inspect.signature(constructor).parameters.values())
    if inspect.isclass(constructor):
        home: Any = next(base for base in constructor.__mro__ if "__init__" in vars(base))
        # What the base class of all layers takes is for subclasses.
        parameters = [] if home.__name__ == "Layer" else list(inspect.signature(home.__init__).parameters.values())[1:]
    written = []
    stars: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    for parameter in parameters:
        star = stars.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        written.append(f"{star}{parameter.name}{default}")
    return ", ".join(written).replace("|", "\\|")


def _default(value: Any) -> str:
    return value.__name__ if inspect.isroutine(value) or inspect.isclass(value) else repr(value)


def _about(constructor: Callable[..., Any]) -> str:
    """The first paragraph of its docstring, without the shapes after it."""
    paragraph = (inspect.getdoc(constructor) or "").partition("\n\n")[0]
    return " ".join(re.split(r"    ", paragraph)[0].split()).replace("``", "`").replace("|", "\\|")


def main(arguments: Sequence[str]) -> int:
    """Writes the page to the path given, or with ``--check`` says whether it is stale; returns the exit code."""
    return write_page(arguments, page(), "python -m layerkit.plugins.library_page [--check] docs/library.md")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
