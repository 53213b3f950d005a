"""The kit for layers catches what it claims to catch, and takes whatever it is given."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from mutants import MUTANTS, Mutant
from mutants.construction import Scale

import layerkit as lk
from layerkit import layers as tl
from layerkit import testing
from layerkit.errors import LayerkitError, UsageError
from layerkit.fastmath import numpy as np
from layerkit.testing import check_layer, checks
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip, Suite

SHAPE = lk.f32(4, 3)


# -- mutants ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.constructor.__name__}-{mutant.check}")
def test_a_mutant_is_caught_by_the_check_meant_for_it(mutant: Mutant) -> None:
    report = check_layer(mutant.constructor, *mutant.inputs, only=[mutant.check], **mutant.options)
    [result] = report.results
    assert result.status == "failed", report
    assert mutant.says in result.message
    assert not report.ok


def test_every_check_catches_something() -> None:
    assert {check.name for check in checks("layer")} == {mutant.check for mutant in MUTANTS}
    assert len(checks("layer")) >= 40
    assert len({mutant.constructor for mutant in MUTANTS}) >= 30


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.constructor.__name__ in ("OffOnJax", "StoresItsInput")])
def test_a_fault_in_one_thing_leaves_most_checks_standing(mutant: Mutant) -> None:
    report = check_layer(mutant.constructor, *mutant.inputs)
    assert mutant.check in {result.name for result in report.failed}
    assert len(report.failed) < 12
    assert not [result for result in report.results if result.status == "error"]


def test_writing_into_weights_is_the_first_thing_said_and_spoils_no_other_check() -> None:
    @lk.example(SHAPE)
    class Doubling(Scale):
        """y = x * 2 s, and s doubles.    x: (..., d)"""

        def forward(self, x: Any) -> Any:
            w = self.weights
            w *= 2
            return x * w

    first, *rest = check_layer(Doubling).failed
    assert first.name == "weights_and_state_are_not_mutated"
    assert first.message.endswith(": it writes into them, as w *= 2 does; write w = w * 2")
    assert len(rest) < 8


def test_no_mutant_breaks_the_kit() -> None:
    """Whatever a layer does, a check says so in a sentence: it is never the kit's fault."""
    for mutant in MUTANTS:
        report = check_layer(mutant.constructor, *mutant.inputs, backends=["numpy"], **mutant.options)
        assert not [result for result in report.results if result.status == "error"], report
        assert not report.ok or mutant.check in BACKENDS_ALONE, f"{mutant.constructor.__name__}: {report}"


BACKENDS_ALONE = {
    check.name for check in checks("layer") if check.group == "backends" or "every_backend" in check.name
} | {"compiled_is_as_uncompiled", "second_step_compiles_nothing", "no_tracer_outlives_its_trace"}


# -- what it is given -------------------------------------------------------------------------------------------------


@lk.example(lk.f32(4, 3), n_units=2)
class Fitting(lk.Layer):
    """y = x[:, :n_units].    x: (..., d) -> (..., n_units)"""

    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.n_units = n_units

    def forward(self, x: Any) -> Any:
        return x[..., : self.n_units]


@pytest.mark.parametrize(
    ("thing", "inputs", "options"),
    [
        (Fitting, (), {}),
        (Fitting, (SHAPE,), {"arguments": {"n_units": 1}}),
        (Fitting(2), (SHAPE,), {}),
        (Scale, (), {}),  # no example: float32 (4, 8) fits
        (tl.Serial(tl.Dense(3), tl.Tanh()), (SHAPE,), {}),
        (lambda: tl.Dense(3), (SHAPE,), {}),
        (tl.Log, ([[0.5, 1.0], [2.0, 3.0]],), {}),
        (tl.Embedding, (lk.i32(4, 5, max=10),), {"arguments": {"vocab_size": 10, "d_feature": 3}}),
    ],
)
def test_a_constructor_and_a_layer_are_taken(thing: Any, inputs: Any, options: Any) -> None:
    report = check_layer(thing, *inputs, backends=["numpy"], **options)
    assert report.ok, str(report)
    assert report.ran >= report.minimum


@lk.example(lk.f32(4, 8))
class NamesNoArguments(Fitting):
    """y = x[:, :n_units].    x: (..., d) -> (..., n_units)"""


@lk.example(lk.f32(4, 8), lk.f32(4, 8))
def TooManyInputs() -> lk.Layer:
    return lk.Fn("Double", lambda x: 2 * x)


@lk.example(lk.f32(4, 8), width=3)
def WrongArgument() -> lk.Layer:
    return lk.Fn("Double", lambda x: 2 * x)


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (NamesNoArguments, "say what it is made with: @lk.example(lk.f32(4, 8), n_units=...)"),
        (TooManyInputs, "it does not run on float32[4,8], float32[4,8]: Double: takes 1 input, got 2"),
        (WrongArgument, "unexpected keyword argument 'width'"),
        (tl.Embedding(10, 3), "it has no example, and does not run on float32[4,8]: write @lk.example"),
        (3, "TypeError"),
        (None, "TypeError"),
        (Scale.__name__, "TypeError"),
    ],
)
def test_an_example_that_does_not_fit_is_a_failed_result(thing: Any, says: str) -> None:
    report = check_layer(thing)
    first, *others = report.results
    assert (first.name, first.status) == ("runs_on_its_example", "failed")
    assert says in first.message
    assert {result.status for result in others} == {"skipped"}
    assert not report.ok
    assert "too few ran to tell anything" in report.summary
    assert "because runs_on_its_example failed" in report.summary


def test_without_jax_what_compares_backends_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerkit.plugins import registry

    monkeypatch.setattr(registry, "_importable", lambda module: module != "jax")
    report = check_layer(Scale, SHAPE)
    assert report.ok, str(report)
    reasons = {result.name: result.message for result in report.skipped}
    for name in ("runs_on_every_backend", "outputs_are_the_same_on_every_backend", "compiled_is_as_uncompiled"):
        assert reasons[name].startswith("jax is not installed (")


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown backend 'nmpy': did you mean 'numpy'"):
        check_layer(Scale, SHAPE, backends=["nmpy"])


# -- only, and expected failures --------------------------------------------------------------------------------------


def test_only_runs_what_it_names() -> None:
    report = check_layer(Scale, SHAPE, only=["arity_is_declared", "repr_is_plain"])
    assert [result.name for result in report.results] == ["repr_is_plain", "arity_is_declared"]
    assert report.ok


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"only": ["arity_is_declard"]}, "unknown check 'arity_is_declard': did you mean 'arity_is_declared'"),
        ({"only": ["xyz"]}, "unknown check 'xyz': layerkit.testing.checks lists the"),
        ({"only": []}, "no check is asked for"),
        ({"expected_failures": {"xyz": "why"}}, "unknown check 'xyz'"),
        ({"expected_failures": {"repr_is_plain": " "}}, "'repr_is_plain' is declared to fail without a reason"),
    ],
)
def test_what_cannot_be_asked_for(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_layer(Scale, SHAPE, backends=["numpy"], **options)


def test_a_failure_that_was_declared_is_expected() -> None:
    only = ["gradient_of_inputs_is_right"]
    report = check_layer(tl.StopGradient, only=only)
    assert report.ok
    [result] = report.results
    assert result.status == "expected"
    assert result.message.startswith("to stop the gradient is what it is for (in evaluation, along a random direction")
    undeclared = check_layer(lambda: tl.StopGradient(), SHAPE, only=only)
    assert not undeclared.ok
    assert check_layer(lambda: tl.StopGradient(), SHAPE, only=only, expected_failures={only[0]: "it stops"}).ok


def test_a_declared_failure_that_passes_is_a_failure() -> None:
    report = check_layer(Scale, SHAPE, only=["repr_is_plain"], expected_failures={"repr_is_plain": "long ago"})
    [result] = report.results
    assert (result.status, report.ok) == ("failed", False)
    assert result.message == "it passes, though it is declared to fail: long ago"


# -- the frame --------------------------------------------------------------------------------------------------------


def numbers() -> Suite:
    suite = Suite("number", "Numbers", int, minimum=2)

    @suite.check("all")
    def is_positive(case: int) -> None:
        """It is more than 0."""
        if case <= 0:
            raise Fault(f"{case} is not more than 0")

    @suite.check("all")
    def divides_twelve(case: int) -> None:
        """12 is a multiple of it."""
        if 12 % case:
            raise Fault(f"12 is no multiple of {case}")

    @suite.check("all")
    def is_odd_if_small(case: int) -> None:
        """Below 10, it is odd."""
        if case >= 10:
            raise Skip("it is large")

    return suite


def test_a_check_that_breaks_is_the_kits_fault_and_the_rest_runs_on() -> None:
    report = numbers().run(0, "zero")
    statuses = {result.name: result.status for result in report.results}
    assert statuses == {"is_positive": "failed", "divides_twelve": "error", "is_odd_if_small": "passed"}
    assert "the check itself broke, please report it: ZeroDivisionError" in report.results[1].message
    assert "1 broke, which is the kit's fault: divides_twelve" in report.summary
    assert not report.ok


def test_fewer_than_the_minimum_is_a_failure() -> None:
    suite = numbers()
    assert suite.run(12, "twelve").ok
    suite.minimum = 3
    report = suite.run(12, "twelve")
    assert not report.ok
    assert report.summary == (
        "number twelve: ran 2 of 3, skipped 1, because it is large; too few ran to tell anything: 3 have to"
    )


def test_a_check_needs_a_name_of_its_own_and_a_reason() -> None:
    suite = numbers()
    with pytest.raises(LayerkitError, match="check undocumented: it needs a docstring"):

        @suite.check("all")
        def undocumented(case: int) -> None:
            pass

    with pytest.raises(LayerkitError, match="and a name of its own"):
        suite.check("all")(suite.checks[0].function)


def test_every_check_says_in_one_sentence_what_it_demands() -> None:
    for check in checks("layer"):
        assert check.doc.endswith("."), check.name
        assert 40 < len(check.doc) < 200, check.name


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(UsageError, match="the kit has no checks of the kind 'layr': did you mean 'layer'"):
        checks("layr")
    with pytest.raises(UsageError, match="no checks of the kind"):
        testing.conformance(Scale, kind="layr")


# -- reports ----------------------------------------------------------------------------------------------------------


def test_a_report_fits_80_columns_and_tells_everything_as_json() -> None:
    report = check_layer(tl.Dense)
    assert report.table() == ""  # nothing failed
    assert max(map(len, report.table(everything=True).splitlines())) <= 80
    assert all(result.name in report.table(everything=True) for result in report.results)
    assert max(map(len, str(report).splitlines())) <= 80
    assert " ".join(str(report).split()) == report.summary
    about = json.loads(report.to_json())
    assert about["ok"] is True
    assert about["subject"] == "Dense"
    assert len(about["results"]) == len(checks("layer"))
    assert {"name", "status", "message", "figures"} == set(about["results"][0])
    assert all(result.figures["seconds"] >= 0 for result in report.results)


def test_a_figure_that_is_no_number_is_still_json() -> None:
    result = testing.Result("one", "failed", "it is", {"apart": float("inf")})
    text = testing.Report("layer", "X", (result,)).to_json()
    assert json.loads(text)["results"][0]["figures"] == {"apart": "inf"}


def test_a_report_in_which_nothing_ran_does_not_say_that_all_passed() -> None:
    report = check_layer(tl.Weights, only=["inputs_are_not_mutated"])
    assert report.summary == "layer Weights: ran 0 of 1, skipped 1, because it takes no inputs; nothing was tried"


def test_what_a_layer_prints_or_warns_of_stays_out_of_sight(capfd: pytest.CaptureFixture[str]) -> None:
    class Loud(lk.Layer):
        """y = x, loudly.    x: (...)"""

        def forward(self, x: Any) -> Any:
            print("here")
            return np.log(x)

    check_layer(Loud, SHAPE, only=["runs_on_its_example", "takes_strided_arrays"])
    assert capfd.readouterr() == ("", "")


def test_the_kit_leaves_the_random_state_and_the_layer_as_they_were() -> None:
    layer = tl.Dense(3)
    layer.init(SHAPE)
    before = layer.weights
    assert check_layer(layer, SHAPE).ok
    assert layer.weights is before or all(a is b for a, b in zip(layer.weights, before, strict=True))


def test_an_operator_between_input_and_weights_computes_the_same_before_and_after_a_file() -> None:
    class Affine(lk.Layer):
        """y = x W.    x: (..., d)    W: (d, 3)    y: (..., 3)"""

        def init_weights_and_state(self, signature: Any) -> None:
            self.weights = tl.GlorotUniformInitializer()((signature.shape[-1], 3), self.rng)

        def forward(self, x: Any) -> Any:
            return x @ self.weights

    report = check_layer(Affine, lk.f32(4, 8), only=["comes_back_from_a_file"])
    assert report.ok, str(report)


# -- pytest -----------------------------------------------------------------------------------------------------------


@lk.testing.conformance(Scale, SHAPE)
def test_scale() -> None:
    """Scale keeps the rules of layers: one test a check."""


PAGE = '''
import layerkit as lk
from layerkit import layers as tl

def Grows():
    """y = x, or 2 x in training.    x: (...)"""
    return lk.Fn("Grows", lambda x: x)

class Wrong(lk.Layer):
    def forward(self, x):
        x *= 2
        return x

@lk.testing.conformance(tl.StopGradient)
def test_declared_with_the_layer():
    pass

@lk.testing.conformance(Grows, lk.f32(4, 8), expected_failures={"repr_is_plain": "it was wrong once"})
def test_fixed_by_now():
    pass

@lk.testing.conformance(Wrong, lk.f32(4, 8), backends=["numpy"])
def test_wrong():
    pass

@lk.testing.conformance(tl.Relu)
def test_body():
    assert False, "the body runs"
'''


def test_conformance_yields_one_test_a_check(tmp_path: Any) -> None:
    (tmp_path / "test_page.py").write_text(PAGE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()

    def outcome(test: str, check: str) -> str:
        found = [line for line in lines if f"::{test}[{check}]" in line and not line.startswith("test_page")]
        return found[0].partition(" ")[0] if found else "SKIPPED"

    assert outcome("test_declared_with_the_layer", "gradient_of_inputs_is_right") == "XFAIL"
    assert outcome("test_declared_with_the_layer", "inputs_are_not_mutated") == "PASSED"
    assert outcome("test_declared_with_the_layer", "gradient_of_weights_is_right") == "SKIPPED"
    assert outcome("test_fixed_by_now", "repr_is_plain") == "FAILED"
    assert "it passes, though it is declared to fail: it was wrong once" in done.stdout
    assert outcome("test_wrong", "inputs_are_not_mutated") == "FAILED"
    assert "inputs_are_not_mutated: its inputs before and after a call in evaluation" in done.stdout
    assert outcome("test_body", "arity_is_declared") == "FAILED"
    assert "because it has no weights" in done.stdout
    assert len([line for line in lines if line.startswith(("PASSED", "FAILED", "XFAIL"))]) > 3 * 50


def test_conformance_refuses_an_unknown_check_when_tests_are_collected() -> None:
    with pytest.raises(UsageError, match="unknown check 'repr_is_plan': did you mean 'repr_is_plain'"):
        testing.conformance(Scale, expected_failures={"repr_is_plan": "why"})(lambda: None)


def test_the_list_is_that_of_the_suite() -> None:
    assert [check.name for check in checks("layer")] == LAYERS.names()
    assert testing.CHECKERS["layer"] is check_layer
