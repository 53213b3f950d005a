"""What NumPy and JAX say of a fault, in one line of plain words that are the same for both."""

from __future__ import annotations

import re
from collections.abc import Callable

from layerkit.errors import LayerkitError
from layerkit.fastmath.memory import shortage

__all__ = ["in_plain_words"]

_TOO_CURIOUS = (
    "TracerBoolConversionError",
    "ConcretizationTypeError",
    "TracerIntegerConversionError",
    "NonConcreteBooleanIndexError",
)


def in_plain_words(error: Exception) -> str:
    """The fault in one line: the first of the error's own, or what it means where every backend has its own words.

    >>> in_plain_words(ValueError("operands could not be broadcast together with shapes (4,8) (4,7) "))
    'shapes (4, 8) and (4, 7) do not broadcast together'
    >>> in_plain_words(KeyError("kernel"))
    "KeyError: 'kernel'"
    """
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, LayerkitError):
        return text
    if lacking := shortage(error):
        return f"out of memory: {lacking}"
    if type(error).__name__ in _TOO_CURIOUS:
        return "Python looks at the value of an array (an if, a while, float()); use np.where or fastmath.cond"
    if type(error).__name__ == "TracerArrayConversionError":
        return "plain NumPy cannot compute with this array; use layerkit.fastmath.numpy"
    for pattern, words in _WORDS:
        found = re.search(pattern, text)
        if found:
            return words(found)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shapes(text: str) -> list[str]:
    """The shapes in a text, written as Python writes tuples."""
    sizes = [re.findall(r"-?\d+", shape) for shape in re.findall(r"[(\[]((?:-?\d+,? ?)*)[)\]]", text)]
    return [f"({each[0]},)" if len(each) == 1 else f"({', '.join(each)})" for each in sizes]


def _reshape(found: re.Match[str]) -> str:
    (to,) = _shapes(f"({found[2].replace('newaxis', '-1')})")
    return f"{found[1]} elements cannot be reshaped to {to}"


def _product(found: re.Match[str]) -> str:
    return f"matrix product of shapes {' and '.join(_shapes(found[0])[:2])}, which do not fit together"


def _product_of_remapped(found: re.Match[str]) -> str:
    whole = re.findall(r"(\([\d,]+\))->", found[0])
    return f"matrix product of shapes {' and '.join(_shapes(' '.join(whole)))}, which do not fit together"


def _sizes(first: int, second: int) -> Callable[[re.Match[str]], str]:
    return lambda found: f"matrix product of sizes that do not match: {found[first]} and {found[second]}"


def _always(words: str) -> Callable[[re.Match[str]], str]:
    return lambda found: words


_WORDS: list[tuple[str, Callable[[re.Match[str]], str]]] = [
    (
        r"forward\(\) missing \d+ required positional argument",
        _always("forward takes one argument, a tuple of several inputs: super().__init__(n_in=2), and x, y = inputs"),
    ),
    (r"^an array that is being differentiated.*", lambda m: m[0]),
    (
        r"do not support in-place item assignment",
        _always("an array cannot be written into: make a new one with np.where"),
    ),
    (r"remapped shapes \[original->remapped\]: .*newaxis.*", _product_of_remapped),
    (r"matmul arguments: .*", _product),
    (
        r"(?i)(?:broadcast|broadcasting).*?([(\[].*)",
        lambda m: f"shapes {' and '.join(_shapes(m[1]))} do not broadcast together",
    ),
    (r"size (\d+) is different from (\d+)", _sizes(2, 1)),
    (r"contracting dimensions to have the same shape, got \((\d+),\) and \((\d+),\)", _sizes(1, 2)),
    (r"matmul.*(?:has 0,|has ndim 0)", _always("matrix product with a single number")),
    (r"reshape array of (?:shape .* \()?size (\d+)\)? into shape \(([^)]*)\)", _reshape),
    (
        r"axis (-?\d+) is out of bounds for array of dimension (\d+)",
        lambda m: f"there is no axis {m[1]} in an array of {m[2]} axes",
    ),
    (
        r"oo many indices.* is (\d+)-dimensional, but (\d+) were indexed",
        lambda m: f"{m[2]} indices for an array of {m[1]} axes",
    ),
    (r"(?:ind|Ind)\w+ must .*integer.*bool", _always("an index is a whole number or a boolean")),
    (
        r"numpy boolean |not supported for the input types|did not contain a loop|does not accept dtype"
        r"|unsupported operand type|Error interpreting argument",
        _always("an operation that is not defined for such arrays"),
    ),
    (
        r"(?:'numpy\.ndarray' object|Tracer|ArrayBox'? object|ArrayImpl'? object) has no attribute '?(\w+)",
        lambda m: f"an array has no attribute {m[1]!r}",
    ),
]
