"""Checks of an optimizer: rows of a table that wait, and what they missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.fastmath import nested_map
from layerkit.fastmath import numpy as np
from layerkit.missed_steps import Rates
from layerkit.optimizer import Optimizer
from layerkit.plugins.problems import one_line
from layerkit.testing.optimizer_case import OptimizerCase, check, numbers
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import apart, host, require_close

__all__: list[str] = []

_MISSED = (1, 7, 200)
_N_RATES = 256
_DECAY = 0.1


@check("rows")
def skip_rows_equals_real_steps(case: OptimizerCase) -> None:
    """``skip_rows`` gives rows and slots what as many real updates with zero gradients would have given them.

    It does so for steps that are known, and in a compiled function, where they are not.
    """
    optimizer = _skipping(case.make())
    _try(optimizer, optimizer.opt_params)


@check("rows")
def skip_rows_knows_rates_and_decay(case: OptimizerCase) -> None:
    """With ``skips_at_any_rate`` it does so whatever the learning rates of the missed steps were, and with decay."""
    steady = _skipping(case.make())
    if not steady.skips_at_any_rate:
        raise Skip("it has no skips_at_any_rate: rows wait only at one learning rate, without weight decay")
    decaying = case.make(decay=_DECAY)
    _try(decaying, decaying.opt_params, " with weight decay")
    for decay in (0.0, _DECAY):
        changing = case.make(_rate, decay=decay)
        rates = onp.array([_rate(step) for step in range(_N_RATES)], onp.float32)
        decays = nested_map(np.asarray, onp.cumsum(onp.log1p(-rates * decay), dtype=onp.float32)) if decay else ()
        record = changing.opt_params._replace(learning_rate=Rates(np.asarray(rates), decays))
        _try(changing, record, f" at changing learning rates{' with weight decay' if decay else ''}")


def _rate(step: Any) -> Any:
    """A learning rate that rises, and jumps at step 40."""
    step = np.asarray(step).astype(onp.float32)
    return 0.05 * np.where(step < 40, (step + 1) / 40, 0.3)


def _skipping(optimizer: Optimizer) -> Optimizer:
    if not hasattr(optimizer, "skip_rows"):
        raise Skip("it has no skip_rows: all rows are updated at every step")
    return optimizer


def _try(optimizer: Any, opt_params: Any, when: str = "") -> None:
    """Holds ``skip_rows``, with these numbers, to real steps."""
    for way, skip in _ways(lambda *given: optimizer.skip_rows(*given, opt_params)):
        for last in (0, 30):
            rows, slots = _after_steps(optimizer, last)
            for missed in _MISSED:
                wanted = _still(optimizer, rows, slots, range(last + 1, last + 1 + missed))
                times = np.asarray(onp.full(rows.shape[0], last, onp.int32))
                given = nested_map(np.copy, (rows, slots))  # it may write into them
                try:
                    got = skip(last + 1 + missed, times, *given)
                except Exception as error:
                    raise Fault(f"skip_rows{way} raises {one_line(error)}") from error
                if not isinstance(got, (tuple, list)) or len(got) != 2:
                    raise Fault("skip_rows returns two things, a weight and its slots")
                tolerance = 1e-5 + 1e-3 * apart(host(wanted[0]), host(rows))
                what = f"{missed} steps after step {last}{when}, skipped{way} and with zero gradients,"
                require_close(what, tuple(got), wanted, tolerance)


def _ways(f: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    yield "", f
    yield " in a compiled function", fastmath.jit(f)


def _after_steps(optimizer: Optimizer, last: int) -> tuple[Any, Any]:
    """The rows of a table, and their slots, after its updates up to step ``last``."""
    rows: Any = np.asarray(numbers((6, 3), 0))
    slots, opt_params = optimizer.tree_init(rows)
    for step in range(max(0, last - 2), last + 1):
        gradients = np.asarray(numbers((6, 3), step + 1))
        rows, slots, _ = optimizer.tree_update(step, gradients, rows, slots, opt_params)
    return rows, slots


def _still(optimizer: Optimizer, rows: Any, slots: Any, steps: range) -> tuple[Any, Any]:
    """Rows and slots after these steps without a gradient."""
    for step in steps:
        rows, slots, _ = optimizer.tree_update(step, np.zeros_like(rows), rows, slots, optimizer.opt_params)
    return rows, slots
