"""What a bench shows of its rows: tables, JSON, the page, crossovers, and comparisons with earlier runs."""

from __future__ import annotations

import html.parser
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bench_results import around, result, rows_of
from click.testing import CliRunner

import layerkit as lk
from layerkit.bench import Result, Row, compare
from layerkit.bench.result import SCHEMA
from layerkit.bench.schema import fault_in, schema
from layerkit.bench.sizes import Size
from layerkit.bench.words import size
from layerkit.cli.bench import command

COSTS: dict[str, Any] = {"flops": 2e6, "bytes": 3e5, "memory": 1e5, "trace": 0.01, "compile": 0.2, "first": 0.3}


def a_grid() -> list[Row]:
    """A layer at five batches: jax takes 100 us whatever the batch, numpy 10 us a row, equal at 10."""
    rows = []
    for batch in (1, 4, 16, 64, 256):
        times = {"numpy": around(1e-5 * batch), "jax": around(1e-4)}
        rows += rows_of("Dense", Size(batch, None, 64), times, **COSTS)
    return rows


def everything() -> Result:
    """A result with all there may be: a grid, a fault, notes, warnings, a name that would be markup."""
    fault = "its results on jax and on numpy are 0.5 apart, more than 1e-05: 1.5 and 1 at (0, 0)"
    odd = rows_of("<b>&Odd", Size(), {"numpy": (1.0,), "jax": (2.0,)})
    wrong = [replace(row, fault=fault, steady=None, per_process=(), ratio=None) for row in odd[1:]]
    noted = [replace(odd[0], notes=("it was still getting faster",))]
    return result([*a_grid(), *noted, *wrong], warnings=("the machine was busy",), without_example=("Naked",))


# -------------------- the table


def test_the_table_fits_80_columns_and_says_it_all() -> None:
    text = str(everything())
    assert max(map(len, text.splitlines())) <= 80
    for part in (
        "100 us [97.0, 103]", "0.039 [0.039, 0.039]", "reference", "(it was still getting faster)", "warning: the mach",
        "jax: its results on jax and on numpy are 0.5 apart", "have no example: Naked", "overtakes numpy", "libjax 1.0",
    ):  # fmt: skip
        assert part in text
    long = [replace(row, unit="weights", work=1e9) for row in a_grid()]
    assert max(map(len, str(result(long)).splitlines())) <= 80


def test_equal_times_show_no_difference() -> None:
    mixed = (1.0, 1.1, 0.9, 1.0, 1.05, 0.95)
    text = str(result(rows_of("Relu", Size(4), {"numpy": mixed, "jax": mixed[::-1]})))
    assert "no difference shown" in text
    few = str(result(rows_of("Relu", Size(4), {"numpy": mixed[:3], "jax": mixed[:3]})))
    assert "1.00, no interval" in few


def test_what_was_not_measured_is_a_dash() -> None:
    text = str(result(rows_of("Relu", Size(4), {"numpy": around(1.0)})))
    row = text[text.index("First call") :].splitlines()[4].split()
    assert row == ["numpy", "-", "-", "-", "0", "-", "-", "-"]


# -------------------- JSON


def test_the_json_has_the_form_of_the_schema() -> None:
    found = json.loads(everything().to_json())
    assert fault_in(found) == ""
    assert found["schema"] == SCHEMA == schema()["$id"]
    jsonschema = pytest.importorskip("jsonschema", reason="a second opinion, where it is installed")
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(found, schema())


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("schema",), "layerkit-bench-0", "schema is 'layerkit-bench-0', not 'layerkit-bench-1'"),
        (("rows",), {}, "rows is a dict, not array"),
        (("rows", 0, "steady"), 3.0, "rows[0].steady is a float, not object or null"),
        (("rows", 0, "programs"), True, "rows[0].programs is a bool, not integer"),
        (("rows", 0, "mode"), "sideways", "rows[0].mode is 'sideways', not one of forward, train, update"),
        (("rows", 0, "extra"), 1, "rows[0] has 'extra', which is unknown"),
        (("rows", 0, "size", "batch"), "4", "rows[0].size.batch is a str, not integer or null"),
        (("limits", "cpu"), {}, "limits.cpu has no flops"),
        (("machine",), None, "machine is a NoneType, not object"),
        (("rows", 0, "per_process", 0), 0.0, "rows[0].per_process[0] is 0.0, not above 0"),
        (("rows", 0, "per_process", 0), math.nan, "rows[0].per_process[0] is nan, which is no number"),
        (("limits", "cpu", "flops"), math.inf, "limits.cpu.flops is inf, which is no number"),
    ],
)
def test_what_does_not_fit_the_schema_is_named(path: tuple[Any, ...], value: Any, fault: str) -> None:
    found = json.loads(everything().to_json())
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert fault_in(found) == fault


# -------------------- the page


class _Balance(html.parser.HTMLParser):
    """Collects tags that are closed in another order than they were opened, and what a page asks the network for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag != "meta":
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def test_the_page_is_whole_and_needs_no_network() -> None:
    page = everything().to_html()
    balance = _Balance()
    balance.feed(page)
    assert (balance.open, balance.faults, balance.asked) == ([], [], [])
    assert "@import" not in page
    assert "url(" not in page
    assert "&lt;b&gt;&amp;Odd" in page
    assert "<b>" not in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert f"<td>{size(everything().machine['memory'])}</td>" in page
    for part in (
        "6 processes, 3 s of samples",
        "0.5 apart, more than",
        "the machine was busy",
        "overtakes",
        "Roofline of cpu",
        "libnumpy",
    ):
        assert part in page


def pictures(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_names_of_curves_do_not_meet() -> None:
    (curve,) = [picture for picture in pictures(everything().to_html()) if "time over" in (picture[0].text or "")]
    names = [mark for mark in curve.iter() if mark.text in ("numpy", "jax") and "fill" in mark.attrib]
    assert len({mark.attrib["y"] for mark in names}) == 1
    left, right = sorted(float(mark.attrib["x"]) for mark in names)
    assert right - left >= 60


def test_every_mark_is_inside_its_picture() -> None:
    found = pictures(everything().to_html())
    assert len(found) == 6 + 1 + 1  # bars for each case with times, a curve, a roofline
    for picture in found:
        width, height = map(float, picture.attrib["viewBox"].split()[2:])
        for mark in picture.iter():
            for x, y in (("x", "y"), ("cx", "cy")):
                if x in mark.attrib:
                    assert 0 <= float(mark.attrib[x]) <= width
                    assert 0 <= float(mark.attrib[y]) <= height
            if "width" in mark.attrib:
                assert 0 < float(mark.attrib["x"]) + float(mark.attrib["width"]) <= width


def test_bars_are_as_long_as_the_times() -> None:
    (picture,) = pictures(result(rows_of("Relu", Size(4), {"numpy": around(1.0), "jax": around(4.0)})).to_html())
    short, long = [float(bar.attrib["width"]) for bar in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert long == pytest.approx(4 * short, rel=0.01)


def test_a_time_without_an_interval_has_no_whisker() -> None:
    for processes, whiskers in ((6, 1), (2, 0)):
        (picture,) = pictures(result(rows_of("Relu", Size(4), {"numpy": around(1.0)[:processes]})).to_html())
        assert [mark.attrib.get("class") for mark in picture.iter()].count("whisker") == whiskers


# -------------------- crossovers


def test_a_crossover_lies_where_the_times_are_equal() -> None:
    (found,) = result(a_grid()).crossovers
    assert (found.kind, found.below, found.above, found.axis) == ("overtakes", 4, 16, "batch")
    assert found.at == pytest.approx(10, rel=0.01)
    assert str(found) == "Dense forward, width 64: jax overtakes numpy between batch 4 and 16, at about 10"


@pytest.mark.parametrize(
    ("factors", "kind", "words"),
    [
        ((0.5, 0.4), "always faster", "jax is faster than numpy at every batch"),
        ((2.0, 1.5), "never faster", "jax overtakes numpy at no batch"),
        ((0.5, 1.5), "never faster", "jax overtakes numpy at no batch"),
        ((1.5, 0.99), "not shown", "jax may overtake numpy, but is not shown to be faster at any batch"),
    ],
)
def test_other_crossovers(factors: tuple[float, float], kind: str, words: str) -> None:
    rows = []
    for batch, factor in zip((1, 8), factors, strict=True):
        times = {"numpy": around(1.0), "jax": around(factor)[::-1]}
        rows += rows_of("Relu", Size(batch), times)
    (found,) = result(rows).crossovers
    assert found.kind == kind
    assert str(found).endswith(words)


# -------------------- comparisons


def earlier(tmp_path: Path, then: Result, **changes: Any) -> Path:
    file = tmp_path / "then.json"
    file.write_text(json.dumps({**then.to_dict(), **changes}))
    return file


def relu(seconds: float, **changes: Any) -> Result:
    return result(rows_of("Relu", Size(4), {"numpy": around(seconds)}), **changes)


@pytest.mark.parametrize(
    ("now", "code", "words"),
    [
        (1.2, 1, "slower, 1.20 [1.17, 1.24] times the earlier time"),
        (1.07, 0, "slower, 1.07 [1.04, 1.10] times the earlier time"),  # shown, but not by more than 5 %
        (1.01, 0, "no difference shown, 1.01 [0.981, 1.04] times the earlier time"),
        (0.5, 0, "faster, 0.500 [0.485, 0.515] times the earlier time"),
    ],
)
def test_only_a_slow_down_that_is_shown_fails(
    now: float, code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerkit.bench.run", lambda *_, **__: relu(now))
    file = str(earlier(tmp_path, relu(1.0)))
    done = CliRunner().invoke(command, ["Relu", "--compare", file, "--fail-above", "5%"])
    assert done.exit_code == code, done.output
    assert words in " ".join(done.output.split())


def test_what_an_earlier_run_lacks_is_said(tmp_path: Path) -> None:
    then = compare.read(earlier(tmp_path, relu(1.0)))
    known = relu(1.0).rows[0]
    now = result([known, *rows_of("Tanh", Size(4), {"numpy": around(1.0)}), replace(known, backend="jax")])
    text = str(compare.compare(now, then))
    assert "Tanh 4x-x- forward, numpy: the earlier run does not have it" in text
    moved = result([replace(known, device="gpu:0")])
    assert "it ran on cpu then, and on gpu:0 now: not compared" in " ".join(str(compare.compare(moved, then)).split())
    with pytest.raises(lk.UsageError, match="the comparison file has none of these cases"):
        compare.compare(result(rows_of("Tanh", Size(4), {"numpy": around(1.0)})), then)


@pytest.mark.parametrize("other", [["Tanh"], ["Relu", "--sizes", "5"], ["Relu", "--train"]])
def test_nothing_is_measured_that_the_earlier_run_has_nothing_of(
    other: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerkit.bench.runner._measure", lambda *_: pytest.fail("it is measured"))
    file = str(earlier(tmp_path, relu(1.0)))
    done = CliRunner().invoke(command, [*other, "--backends", "numpy", "--compare", file])
    assert isinstance(done.exception, lk.UsageError)
    assert str(done.exception).startswith("the comparison file has none of these cases: measure the same names")


def test_too_few_processes_fail_nobody(tmp_path: Path) -> None:
    few = result(rows_of("Relu", Size(4), {"numpy": (1.0, 1.1)}))
    then = compare.read(earlier(tmp_path, few))
    slow = compare.compare(result(rows_of("Relu", Size(4), {"numpy": (9.0, 9.1)})), then)
    assert slow.slower(0.05) == []
    assert "too few processes for an interval" in " ".join(str(slow).split())


def test_versions_that_two_backends_share_are_said_once() -> None:
    both = result(rows_of("Relu", Size(4), {"numpy": around(1.0), "counting": around(1.0)}))
    both.backends["counting"]["environment"] = both.backends["numpy"]["environment"]  # type: ignore[index]
    assert str(both).count("libnumpy 1.0") == 1


def test_other_versions_and_settings_are_said(tmp_path: Path) -> None:
    then = relu(1.0)
    file = earlier(tmp_path, then, software={**then.software, "layerkit": "0.0.1"})
    then.backends["numpy"]["environment"]["OMP_NUM_THREADS"] = "1"  # type: ignore[index]
    text = str(compare.compare(then, compare.read(file)))
    assert "layerkit: 0.0.1 then" in text
    assert "OMP_NUM_THREADS: not there then, 1 now" in text
    assert "libnumpy" not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"cannot be read: no such file"),
        ("{", r"is no JSON"),
        ("[" * 100_000, r"cannot be used: it is nested too deep: write it anew with --json"),
        ("[]", r"has the schema None, and 'layerkit-bench-1' is due"),
        ('{"schema": "other-3"}', r"has the schema 'other-3', and 'layerkit-bench-1' is due"),
        ('{"schema": "layerkit-bench-1"}', r"does not fit its schema: it has no created"),
    ],
)
def test_files_that_cannot_be_compared_with(text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "then.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(lk.UsageError, match=words):
        compare.read(file)


def test_a_picture_cannot_be_compared_with(tmp_path: Path) -> None:
    file = tmp_path / "then.png"
    file.write_bytes(b"\x89PNG")
    with pytest.raises(
        lk.UsageError, match=r"then\.png' cannot be used: it is no JSON, not even text: write it anew with --json$"
    ):
        compare.read(file)


def test_another_machine_is_said_not_guessed(tmp_path: Path) -> None:
    then = relu(1.0)
    file = earlier(tmp_path, then, machine={**then.machine, "processor": "Abacus 9", "cores": 77})
    with pytest.raises(lk.UsageError, match=r"is from another machine \(processor 'Abacus 9' there.*cores 77 there"):
        compare.read(file)
