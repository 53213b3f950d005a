"""``check_optimizer``: does an optimizer keep the rules of optimizers?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from layerkit.testing import optimizer_checks
from layerkit.testing.optimizer_case import OPTIMIZERS, OptimizerCase
from layerkit.testing.report import Report

__all__ = ["check_optimizer"]

_ = optimizer_checks  # importing them has put them on the list


def check_optimizer(
    optimizer: Any,
    formula: Callable[[Any, list[Any], Any], Any] | None = None,
    *,
    only: Collection[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Report:
    """Tries an optimizer on every rule for optimizers, on every installed backend.

    Args:
        optimizer: a constructor whose first argument is the learning rate (a class or a function), or an optimizer.
        formula: ``formula(weight, gradients, opt_params)`` gives the weight after one step for each gradient, in plain
            NumPy: the documented formula, as a loop. Without it the constructor's own attribute ``formula`` is taken,
            if there is one.
        only: names of checks, to try those alone.
        expected_failures: for each check that is known to fail, the reason.
        arguments: what else the constructor is called with.

    Raises:
        UsageError: ``only`` or ``expected_failures`` name a check that there is not.

    >>> import layerkit as lk
    >>> class SignDescent(lk.Optimizer):
    ...     '''w <- w - learning_rate * sign(g).'''
    ...     def update(self, step, grads, param, slots, opt_params):
    ...         return param - opt_params.learning_rate * lk.fastmath.numpy.sign(grads), slots
    >>> def formula(weight, gradients, opt_params):
    ...     return weight - opt_params.learning_rate * sum(map(lk.fastmath.numpy.sign, gradients))
    >>> with lk.use_backend("numpy"):
    ...     report = check_optimizer(SignDescent, formula, only=["follows_its_formula", "docstring_has_a_formula"])
    >>> print(report)
    optimizer SignDescent: ran 2 of 2; all passed
    """
    case = OptimizerCase(optimizer, formula, arguments or {})
    return OPTIMIZERS.run(case, case.name, only, expected_failures)
