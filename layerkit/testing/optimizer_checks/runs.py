"""Checks of an optimizer: whether it finds the bottom, and its runs compiled, resumed, in threads, on backends."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import use_backend
from layerkit.testing.blame import demand, in_threads
from layerkit.testing.optimizer_case import OptimizerCase, check, gradients_like, run, weights_of_a_model
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import host, leaves, require_close, require_same

__all__: list[str] = []

# Learning rates that are tried, those that suit most optimizers first: one of them has to do.
_RATES = (0.1, 0.02, 0.3, 0.002, 1.0, 0.0005)
_CHUNK = 300


@check("runs", everywhere=False)
def finds_the_bottom_of_a_parabola(case: OptimizerCase) -> None:
    """From (3, -2) it comes within 0.05 of the lowest point of x^2 + 4 y^2 in 300 steps, at one of six rates."""
    ends = []
    for rate, chunks in _descents(case, [3.0, -2.0], lambda p: np.stack([2 * p[0], 8 * p[1]])):
        end = float(onp.abs(next(chunks)).max())
        ends.append(f"{end:.3g} off with {rate}")
        if end < 0.05:
            case.figures["learning_rate"] = rate
            return
    raise Fault(f"it does not find (0, 0), the lowest point of x^2 + 4 y^2, in 300 steps: {', '.join(ends)}")


@check("runs", everywhere=False)
def gets_along_in_rosenbrocks_valley(case: OptimizerCase) -> None:
    """From (-1.2, 1) it brings (1 - x)^2 + 100 (y - x^2)^2 from 24.2 below 0.5 in 3,000 steps, at one of six rates."""
    ends = []
    for rate, chunks in _descents(case, [-1.2, 1.0], _rosenbrock_gradient):
        end = float("inf")
        for _ in range(10):
            x, y = (float(number) for number in next(chunks))
            end = (1 - x) ** 2 + 100 * (y - x * x) ** 2
            if end < 0.5:
                case.figures["learning_rate"] = rate
                return
            if not end < 1e6:
                break
        ends.append(f"{end:.3g} with {rate}")
    raise Fault(f"it does not get below 0.5 in Rosenbrock's valley, which starts at 24.2: {', '.join(ends)}")


def _rosenbrock_gradient(p: Any) -> Any:
    x, y = p[0], p[1]
    return np.stack([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


def _descents(case: OptimizerCase, start: list[float], gradient: Callable[[Any], Any]) -> Any:
    """For each learning rate, the point after every ``_CHUNK`` steps down a slope."""
    optimizer = case.make()
    weights = np.asarray(onp.array(start, onp.float32))
    slots, opt_params = optimizer.tree_init(weights)

    def step(carry: Any, _: Any) -> Any:
        n, rate, weights, slots = carry
        record = opt_params._replace(learning_rate=rate)
        weights, slots, _ = optimizer.tree_update(n, gradient(weights), weights, slots, record)
        return (n + 1, rate, weights, slots), None

    chunk = fastmath.jit(lambda carry: fastmath.scan(step, carry, None, length=_CHUNK)[0])

    def points(rate: float) -> Any:
        carry = (np.array(0), np.asarray(onp.float32(rate)), weights, slots)
        while True:
            carry = chunk(carry)
            yield host(carry[2])

    return ((rate, points(rate)) for rate in _RATES)


@check("runs")
def compiled_equals_eager(case: OptimizerCase) -> None:
    """A compiled step gives what an eager one gives, with clipping and weight decay: values are not looked at."""
    optimizer, weights = case.make(clip_grad_norm=1.0, decay=0.1), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    compiled = fastmath.jit(optimizer.tree_update)
    for step in range(3):
        gradients = gradients_like(weights, step)
        eager = optimizer.tree_update(step, gradients, weights, slots, opt_params)
        weights, slots, _ = compiled(np.array(step), gradients, weights, slots, opt_params)
        require_close(f"step {step} compiled and eager", (weights, slots), eager[:2], 5e-6)


@check("runs", everywhere=False)
def compiles_once(case: OptimizerCase) -> None:
    """Later steps and other learning rates run the program of the first step: nothing is compiled again."""
    compiling = []
    for name in case.backends:
        with use_backend(name):
            first, *later = _programs_compiled(case)
        compiling += [name] if first else []
        demand(not any(later), f"on {name}, {sum(later)} programs more were compiled for the second and third step")
    if not compiling:
        raise Skip(f"nothing is compiled here: {', '.join(case.backends)}")


def _programs_compiled(case: OptimizerCase) -> list[int]:
    """How many programs each of three steps compiled, the learning rate being another at each."""
    optimizer, weights = case.make(), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    arrays = fastmath.to_device((weights, gradients_like(weights, 0), slots))
    weights, gradients, slots = fastmath.block_until_ready(arrays)
    compiled = fastmath.jit(optimizer.tree_update)
    counts = [fastmath.compilations()]
    for step in range(3):
        record = opt_params._replace(learning_rate=onp.float32(0.01 * (step + 1)))
        weights, slots, _ = compiled(step, gradients, weights, slots, record)
        counts.append(fastmath.compilations())
    return [after - before for before, after in itertools.pairwise(counts)]


@check("runs", everywhere=False)
def backends_agree(case: OptimizerCase) -> None:
    """Twenty steps give the same weights and slots on every backend that is installed, up to rounding."""
    if len(case.backends) < 2:
        if case.only_on is not None:
            raise Skip(f"it runs on {' and '.join(case.only_on)} alone")
        raise Skip(f"one backend alone is installed, {case.backends[0]}")
    results = {}
    for name in case.backends:
        with use_backend(name):
            results[name] = fastmath.to_host(run(case.make(), weights_of_a_model(), 20))
    first, *others = results
    for other in others:
        require_close(f"20 steps on {other} and on {first}", results[other], results[first], 5e-5)


@check("runs")
def resumed_from_saved_slots(case: OptimizerCase) -> None:
    """Four steps, slots and weights saved and read again, and four more are eight steps, bit for bit."""
    whole = run(case.make(), weights_of_a_model(), 8)
    halfway = run(case.make(), weights_of_a_model(), 4)
    weights, slots = _saved_and_read(halfway)
    require_same("a run resumed from saved slots, and one in a piece,", run(case.make(), weights, 4, 4, slots), whole)


def _saved_and_read(tree: Any) -> Any:
    file = io.BytesIO()
    onp.savez(file, *leaves(tree))  # type: ignore[arg-type,unused-ignore]
    file.seek(0)
    with onp.load(file, allow_pickle=False) as arrays:
        # To where a loop computes: NumPy's own arithmetic may differ from a compiled backend's in the last bit.
        return fastmath.to_device(fastmath.tree_unflatten([arrays[name] for name in arrays.files], tree))


@check("runs", everywhere=False)
def threads_do_not_disturb_each_other(case: OptimizerCase) -> None:
    """Four runs of one optimizer in four threads give what they give one after the other."""
    optimizer, backend = case.make(), fastmath.backend_name()

    def train(seed: int) -> Any:
        with use_backend(backend):
            return fastmath.to_host(run(optimizer, weights_of_a_model(seed), 4))

    alone = [train(seed) for seed in range(4)]
    together = in_threads([functools.partial(train, seed) for seed in range(4)])
    require_same("four runs beside each other in threads, and one after the other,", together, alone)
