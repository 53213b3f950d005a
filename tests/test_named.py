"""Named tuples whose classes are made at once are what NamedTuple makes, to whoever uses one."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from layerkit import fastmath
from layerkit.named import Named


class Point(Named):
    """A place."""

    x: Any
    y: Any = 0
    name: str = ""

    def moved(self, by: Any) -> Point:
        return self._replace(x=self.x + by)


class Usual(NamedTuple):
    x: Any
    y: Any = 0
    name: str = ""


@pytest.mark.parametrize(
    "use",
    [
        lambda kind: kind(1, 2, "a"),
        lambda kind: kind(1),
        lambda kind: kind(1, name="a"),
        lambda kind: kind(name="a", x=1),
        lambda kind: kind(1)._replace(y=3, name="b"),
        lambda kind: kind(1)._asdict(),
        lambda kind: kind(1).y,
        lambda kind: kind(1)[:2],
        lambda kind: sorted([kind(2), kind(1, 5), kind(1, 2)]),
        lambda kind: {kind(1), kind(1, 0), (1, 0, "")},
        lambda kind: kind._fields,
        lambda kind: kind._make([1, 2, "a"]),
        lambda kind: copy.deepcopy(kind([1])),
        lambda kind: pickle.loads(pickle.dumps(kind(1, [2]))),
        lambda kind: fastmath.nested_map(lambda leaf: leaf * 2, kind(1, (2, 3), "a")),
        lambda kind: repr(kind(1, "z")).partition("(")[2],
    ],
)
def test_it_does_what_a_named_tuple_does(use: Callable[[Any], Any]) -> None:
    assert use(Point) == use(Usual)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: Point(), r"Point: x is missing"),
        (lambda: Point(1, 2, "a", 4), r"Point: the fields are x, y, name, each once"),
        (lambda: Point(1, x=2), r"each once"),
        (lambda: Point(1)._replace(z=3), r"each once"),
        (lambda: Point(1, z=3), r"each once"),
    ],
)
def test_arguments_that_do_not_fit(use: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        use()


def test_it_has_its_fields_and_no_others() -> None:
    point = Point(1)
    assert (type(point.moved(2)), point.moved(2)) == (Point, (3, 0, ""))
    for name in ("x", "other"):
        with pytest.raises(AttributeError):
            setattr(point, name, 5)
    match point:
        case Point(x, y, _):
            assert (x, y) == (1, 0)
