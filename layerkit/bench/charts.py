"""The pictures of the page: bars with intervals, curves over sizes, and the roofline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit.bench.result import Result, Row, groups_by_axis
from layerkit.bench.sizes import AXES
from layerkit.bench.statistics import Estimate
from layerkit.bench.svg import Scale, element, log_scale, text
from layerkit.bench.words import amount, duration, mark

__all__ = ["bars", "curves", "legend", "rooflines"]

_WIDTH, _HEIGHT = 420, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 44
_BAR, _GAP, _NAME = 16, 10, 70
_MOST_NUMBERS = 40
"""Points in a roofline that are still numbered; with more, each says what it is where a pointer rests on it."""
_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b83280", "#718096")
"""For whatever draws the pictures without the page's style sheet, which has others for the dark."""


def _colour(backend: str, result: Result) -> int:
    """The number of a backend's colour, the same in every picture."""
    return list(result.backends).index(backend) % len(_COLOURS)


def _filled(number: int) -> dict[str, Any]:
    return {"class_": f"fill c{number}", "fill": _COLOURS[number]}


def _words(words: object, x: float, y: float, anchor: str = "start", size: int = 11, **look: str) -> str:
    return element("text", text(words), x=x, y=y, text_anchor=anchor, font_size=size, font_family="sans-serif", **look)


def _path(d: str, kind: str, *inside: str) -> str:
    dashes = {"stroke_dasharray": "3 3"} if kind == "dotted" else {}
    return element("path", *inside, d=d, class_=kind, fill="none", stroke=_STROKES[kind], **dashes)


_STROKES = {"axis": "#1c1c1c", "whisker": "#1c1c1c", "grid": "#e4e4e4", "dotted": "#666"}


def _picture(label: str, height: float, *inside: str) -> str:
    return element(
        "svg",
        element("title", text(label)),
        *inside,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height:g}",
        role="img",
    )


def _known(estimate: Estimate) -> tuple[float, float]:
    """The ends of the interval; the median itself where there is none."""
    low = estimate.median if estimate.low is None else estimate.low
    return low, estimate.median if estimate.high is None else estimate.high


# -- bars -------------------------------------------------------------------------------------------------------------


def bars(result: Result) -> list[tuple[str, str]]:
    """(caption, picture) for each case: one bar a backend, from zero, with its interval."""
    pictures = []
    for group in result.groups():
        timed = [(row, row.steady) for row in group if row.steady is not None]
        if timed:
            caption = f"{group[0].label} {group[0].mode}"
            pictures.append((caption, _bars(caption, timed, result)))
    return pictures


def _bars(caption: str, timed: Sequence[tuple[Row, Estimate]], result: Result) -> str:
    room = _WIDTH - _NAME - 110
    scale = room / max(_known(steady)[1] for _, steady in timed)
    inside = []
    for number, (row, steady) in enumerate(timed):
        top = float(_GAP + number * (_BAR + _GAP))
        middle = top + _BAR / 2
        low, high = (_NAME + scale * end for end in _known(steady))
        inside += [
            _words(row.backend, _NAME - 6, middle + 4, "end"),
            element(
                "rect",
                element("title", text(duration(*steady))),
                x=_NAME,
                y=top,
                width=scale * steady.median,
                height=_BAR,
                **_filled(_colour(row.backend, result)),
            ),
            *([_whisker(low, high, middle)] if steady.known else []),
            _words(duration(steady.median), high + 6, middle + 4),
        ]
    return _picture(caption, _GAP + len(timed) * (_BAR + _GAP), *inside)


def _whisker(low: float, high: float, y: float) -> str:
    return _path(f"M{low:.1f} {y - 4:.1f}v8M{low:.1f} {y:.1f}H{high:.1f}M{high:.1f} {y - 4:.1f}v8", "whisker")


# -- curves -----------------------------------------------------------------------------------------------------------


def curves(result: Result) -> list[tuple[str, str]]:
    """(caption, picture) for each case that was measured at several sizes: time over the first axis that varies."""
    for axis in AXES:
        families: dict[str, list[list[Row]]] = {}
        for series in groups_by_axis(result.rows, axis):
            row = series[0]
            fixed = row.size._replace(**{axis: None})
            rest = "".join(f", {name} {n}" for name, n in zip(AXES, fixed, strict=True) if n is not None)
            families.setdefault(f"{row.name} {row.mode}{rest}", []).append(series)
        if families:
            return [(caption, _curves(caption, family, axis, result)) for caption, family in families.items()]
    return []


def _curves(caption: str, family: Sequence[Sequence[Row]], axis: str, result: Result) -> str:
    place = AXES.index(axis)
    lines = [[(float(row.size[place] or 1), row.steady) for row in series if row.steady] for series in family]
    lengths = [x for line in lines for x, _ in line]
    ends = [end for line in lines for _, steady in line for end in _known(steady)]
    across = log_scale(min(lengths), max(lengths), _LEFT, _WIDTH - _RIGHT)
    across = Scale(across.place, tuple(sorted(set(lengths))))
    up = log_scale(min(ends), max(ends), _HEIGHT - _BOTTOM, _TOP)
    inside = [_axes(across, up, axis, "", lambda x: f"{x:,.0f}", mark)]
    room = min(80, (_WIDTH - _LEFT) / len(family))
    for number, (series, line) in enumerate(zip(family, lines, strict=True)):
        backend = series[0].backend
        points = [(across(x), up(steady.median)) for x, steady in line]
        own = _colour(backend, result)
        inside.append(_words(backend, _LEFT + number * room, _TOP - 3, **_filled(own)))  # beside curves they would meet
        inside.append(_line(points, f"line c{own}", _COLOURS[own]))
        for (x, y), (length, steady) in zip(points, line, strict=True):
            low, high = map(up, _known(steady))
            inside.append(_path(f"M{x:.1f} {low:.1f}V{high:.1f}", "whisker"))
            inside.append(_mark(x, y, own, f"{backend}, {axis} {length:,.0f}: {duration(*steady)}"))
    inside += _crossings(caption, family, across, axis, result)
    return _picture(f"{caption}: time over {axis}", _HEIGHT, *inside)


def _crossings(caption: str, family: Sequence[Sequence[Row]], across: Scale, axis: str, result: Result) -> list[str]:
    """A dotted line where one backend overtakes the other."""
    row = family[0][0]
    fixed = row.size._replace(**{axis: None})
    own = (row.name, row.mode, axis, fixed)
    marks = []
    for found in result.crossovers:
        if (found.name, found.mode, found.axis, found.fixed) == own and found.at is not None:
            x = across(found.at)
            marks.append(_path(f"M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}", "dotted", element("title", text(found))))
            marks.append(_words(f"{found.at:,.0f}", x + 4, _TOP + 8))
    return marks


def _mark(x: float, y: float, own: int, words: str) -> str:
    return element("circle", element("title", text(words)), cx=x, cy=y, r=3.5, **_filled(own))


def _line(points: Sequence[tuple[float, float]], kind: str, stroke: str) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=places, class_=kind, fill="none", stroke=stroke, stroke_width=2)


def _axes(
    across: Scale,
    up: Scale,
    x_title: str,
    y_title: str,
    x_words: Callable[[float], str],
    y_words: Callable[[float], str],
) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [_path(f"M{_LEFT} {_TOP}V{bottom}H{right}", "axis")]
    for value in across.ticks:
        parts.append(_words(x_words(value), across(value), bottom + 16, "middle"))
        parts.append(_path(f"M{across(value):.1f} {bottom}v4", "axis"))
    for value in up.ticks:
        parts.append(_words(y_words(value), _LEFT - 8, up(value) + 4, "end"))
        parts.append(_path(f"M{_LEFT} {up(value):.1f}H{right}", "grid"))
    parts.append(_words(x_title, (_LEFT + right) / 2, _HEIGHT - 8, "middle"))
    if y_title:
        parts.append(_words(y_title, _LEFT, _TOP - 3))
    return "".join(parts)


# -- roofline ---------------------------------------------------------------------------------------------------------


def rooflines(result: Result) -> list[tuple[str, str]]:
    """(caption, picture) for each device: operations a second over operations a byte, under the machine's own roof."""
    pictures = []
    for device, limits in result.limits.items():
        points = _points(result, device)
        if points and limits.get("flops") and limits.get("bytes"):
            pictures.append(
                (f"Roofline of {device}", _roofline(device, limits["flops"], limits["bytes"], points, result))
            )
    return pictures


def _roofline(device: str, flops: float, rate: float, points: Sequence[Row], result: Result) -> str:
    placed = []
    for number, row in enumerate(points, start=1):
        assert row.flops
        assert row.bytes
        assert row.steady
        placed.append((row.flops / row.bytes, row.flops / row.steady.median, number, row))
    ridge = flops / rate
    xs, ys = [x for x, *_ in placed], [y for _, y, *_ in placed]
    left, right = min(*xs, ridge / 10), max(*xs, ridge * 10)
    across = log_scale(left, right, _LEFT, _WIDTH - _RIGHT)
    up = log_scale(min(*ys, flops / 100), max(*ys, flops), _HEIGHT - _BOTTOM, _TOP)
    start = max(left, min(*ys, flops / 100) / rate)
    roof = [(start, start * rate), (ridge, flops), (right, flops)]
    inside = [
        _axes(
            across,
            up,
            "FLOP for each byte",
            "FLOP/s",
            lambda x: f"{x:g}",
            lambda y: amount(y).replace(".00", "").replace(".0 ", " "),
        ),
        _line([(across(x), up(y)) for x, y in roof], "roof", "#1c1c1c"),
        _words(amount(flops, "FLOP/s"), _WIDTH - _RIGHT, up(flops) - 5, "end"),
    ]
    for x, y, number, row in placed:
        words = f"{number}: {row.label} {row.mode}, {row.backend}: {amount(y, 'FLOP/s')}, {x:.3g} FLOP a byte"
        inside.append(_mark(across(x), up(y), _colour(row.backend, result), words))
        if len(placed) <= _MOST_NUMBERS:
            inside.append(_words(number, across(x) + 6, up(y) - 4, size=9))
    return _picture(f"Roofline of {device}", _HEIGHT, *inside)


def legend(result: Result) -> list[tuple[int, Row]]:
    """The numbers in the rooflines, with their rows."""
    return [numbered for device in result.limits for numbered in enumerate(_points(result, device), start=1)]


def _points(result: Result, device: str) -> list[Row]:
    """The rows that have a place in the roofline of a device."""
    return [row for row in result.rows if row.device == device and row.flops and row.bytes and row.steady]
