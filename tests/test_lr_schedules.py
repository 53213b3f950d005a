"""Schedules: values worked by hand, the same for a known step and inside jit, and what wrong arguments are told."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layerkit as lk
from layerkit import fastmath
from layerkit.errors import UsageError
from layerkit.fastmath import numpy as np
from layerkit.training.lr_schedules import (
    Schedule,
    constant,
    cosine,
    multifactor,
    warmup,
    warmup_and_rsqrt_decay,
)

BACKENDS = ["numpy", "jax"]

VALUES: list[tuple[Schedule, dict[int, float]]] = [
    (constant(0.3), {0: 0.3, 1: 0.3, 10**7: 0.3}),
    (warmup(9, 0.1), {0: 0.0, 1: 0.01, 5: 0.05, 9: 0.09, 10: 0.1, 11: 0.1, 10**7: 0.1}),
    (warmup(0, 0.1), {0: 0.0, 1: 0.1, 2: 0.1}),
    (warmup_and_rsqrt_decay(24, 0.1), {0: 0.0, 5: 0.02, 24: 0.096, 25: 0.1, 100: 0.05, 2500: 0.01}),
    (cosine(100, 0.2), {0: 0.2, 25: 0.1 + 0.1 * math.sqrt(0.5), 50: 0.1, 100: 0.0, 101: 0.0, 10**7: 0.0}),
    (cosine(100, 0.2, 0.1, n_warmup_steps=10), {0: 0.0, 5: 0.1, 10: 0.2, 60: 0.15, 110: 0.1, 500: 0.1}),
    (cosine(100, 0.2, restarts=True), {0: 0.2, 50: 0.1, 100: 0.2, 150: 0.1, 250: 0.1}),
    (multifactor(), {0: 0.0, 100: 0.1 * 0.25 / 20, 400: 0.1 / 20, 1600: 0.1 / 40, 10**6: 1e-4}),
    (multifactor("constant", constant=0.7), {0: 0.7, 10**7: 0.7}),
    (multifactor("two_constants", second_constant_step=5), {0: 0.1, 4: 0.1, 5: 0.01, 6: 0.01}),
    (multifactor(" linear_warmup*constant ", warmup_steps=4), {0: 0.0, 1: 0.025, 4: 0.1, 5: 0.1}),
    (multifactor("rsqrt_decay", warmup_steps=16), {0: 0.25, 16: 0.25, 64: 0.125}),
    (multifactor("rsqrt_normalized_decay", warmup_steps=16), {0: 1.0, 16: 1.0, 64: 0.5}),
    (multifactor("decay_every", steps_per_decay=10, decay_factor=0.1), {0: 1.0, 9: 1.0, 10: 0.1, 29: 0.01}),
    (
        multifactor("cosine_decay", warmup_steps=10, steps_per_cycle=100),
        {0: 1.0, 10: 1.0, 60: 0.5, 109: 0.5 * (1 + math.cos(0.99 * math.pi)), 110: 1.0},
    ),
    (multifactor("decay_every", steps_per_decay=1, minimum=0.3), {0: 1.0, 1: 0.5, 2: 0.3, 100: 0.3}),
]

schedules = pytest.mark.parametrize(("schedule", "values"), VALUES, ids=[repr(schedule) for schedule, _ in VALUES])


@schedules
def test_values(schedule: Schedule, values: dict[int, float]) -> None:
    for step, expected in values.items():
        for known in (step, float(step), onp.int32(step), onp.array(step)):
            assert type(schedule(known)) is float
            assert schedule(known) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("backend", BACKENDS)
@schedules
def test_inside_jit(schedule: Schedule, values: dict[int, float], backend: str) -> None:
    with lk.use_backend(backend):
        compiled = fastmath.jit(lambda step: np.asarray(schedule(step)) * np.ones(2))
        for step, expected in values.items():
            rate = fastmath.to_host(compiled(step))
            assert rate.dtype == "float32"
            onp.testing.assert_allclose(rate, expected, rtol=2e-5, atol=2e-6)


@given(st.integers(0, 10**7))
def test_never_negative_and_never_above_the_maximum(step: int) -> None:
    for schedule in (warmup(7, 0.1), warmup_and_rsqrt_decay(7, 0.1), cosine(50, 0.1, 0.01, 7, restarts=True)):
        assert 0 <= schedule(step) <= 0.1
    assert multifactor(minimum=0.001)(step) >= 0.001


@given(st.integers(0, 500), st.integers(1, 1000))
def test_warm_ups_rise_and_decays_fall(n_warmup_steps: int, step: int) -> None:
    for schedule in (warmup_and_rsqrt_decay(n_warmup_steps, 0.1), cosine(1000, 0.1, n_warmup_steps=n_warmup_steps)):
        if step <= n_warmup_steps:
            assert schedule(step) > schedule(step - 1)
        elif step - 1 > n_warmup_steps:
            assert schedule(step) <= schedule(step - 1)


WRONG = [
    (lambda: constant(-1), "constant: value must be a number of at least 0, got -1"),
    (lambda: constant("x"), "constant: value must be a number of at least 0, got 'x'"),
    (lambda: constant(float("inf")), "constant: value must be a number of at least 0, got inf"),
    (lambda: warmup(-1, 0.1), "warmup: n_warmup_steps must be a whole number of at least 0, got -1"),
    (lambda: warmup(0.5, 0.1), "warmup: n_warmup_steps must be a whole number of at least 0, got 0.5"),
    (lambda: warmup(5, None), "warmup: max_value must be a number of at least 0, got None"),
    (
        lambda: warmup_and_rsqrt_decay(True, 0.1),
        "warmup_and_rsqrt_decay: n_warmup_steps must be a whole number of at least 0, got True",
    ),
    (lambda: cosine(0, 0.1), "cosine: n_steps must be a whole number of at least 1, got 0"),
    (lambda: cosine(5, 0.1, 0.2), "cosine: max_value must be a number of at least 0.2, got 0.1"),
    (
        lambda: multifactor("constant * rsqr_decay"),
        "multifactor: unknown factor 'rsqr_decay': did you mean 'rsqrt_decay'?",
    ),
    (lambda: multifactor(warmup_steps=0), "multifactor: warmup_steps must be a whole number of at least 1, got 0"),
    (lambda: multifactor(minimum=-1), "multifactor: minimum must be a number of at least 0, got -1"),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_arguments(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message


def test_repr_is_the_call() -> None:
    assert repr(constant(0.1)) == "constant(value=0.1)"
    assert repr(cosine(10, 0.1, restarts=True)) == "cosine(n_steps=10, max_value=0.1, restarts=True)"
    assert repr(multifactor("constant", constant=0.2)) == "multifactor(factors='constant', constant=0.2)"
    for schedule, _ in VALUES:
        again = eval(repr(schedule))
        assert [again(step) for step in (1, 7, 100)] == [schedule(step) for step in (1, 7, 100)]
