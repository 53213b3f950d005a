"""Whether the same key gives the same numbers on a backend as on every other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random, use_backend
from layerkit.testing.backend_case import BackendCase, check, demand_like
from layerkit.testing.blame import demand
from layerkit.testing.suite import Skip

__all__: list[str] = []

_SEEDS = (0, 42, -1, 2**40 + 3)
_LOGITS = onp.array([[0.0, 1.0, 2.0], [3.0, 0.0, -1.0]], "float32")

Draw = Callable[[Any], Any]


def _demand_same_bits(case: BackendCase, draws: dict[str, Draw]) -> None:
    for seed in _SEEDS:
        for what, draw in draws.items():
            got = draw(random.get_prng(seed))
            with use_backend(case.reference):
                wanted = fastmath.to_host(draw(random.get_prng(seed)))
            demand_like(f"{what} from seed {seed}, against {case.reference}", got, wanted, 0.0, 0.0)


@check("random numbers")
def keys_have_the_same_bits(case: BackendCase) -> None:
    """Keys of seeds, split keys and folded keys are those of every other backend, bit for bit."""
    draws: dict[str, Draw] = {
        "get_prng": lambda key: key,
        "split": lambda key: random.split(key, 3),
        "fold_in": lambda key: random.fold_in(key, 7),
    }
    _demand_same_bits(case, draws)


@check("random numbers")
def draws_have_the_same_bits(case: BackendCase) -> None:
    """Uniform numbers, coins, whole numbers and permutations are those of every other backend, bit for bit."""
    draws: dict[str, Draw] = {
        "uniform": lambda key: random.uniform(key, (3, 5)),
        "uniform in a range": lambda key: random.uniform(key, (7,), minval=-0.3, maxval=0.7),
        "no numbers": lambda key: random.uniform(key, (2, 0)),
        "bernoulli": lambda key: random.bernoulli(key, 0.3, (33,)),
        "randint": lambda key: random.randint(key, (5, 3), -5, 17),
        "permutation": lambda key: random.permutation(key, 11),
        "permutation of rows": lambda key: random.permutation(key, np.arange(6).reshape(3, 2)),
    }
    _demand_same_bits(case, draws)


@check("random numbers")
def known_numbers_come_out(case: BackendCase) -> None:
    """A few numbers are those that threefry-2x32, in JAX's original stream, is known to give."""
    if random.stream() != "original":
        raise Skip("another stream was chosen by LAYERKIT_THREEFRY")
    # From jax.random, version 0.10.2, with jax_threefry_partitionable off.
    keys = onp.array([[3134548294, 3733159049], [3746501087, 894150801], [801545058, 2363201431]], "uint32")
    demand_like("split of seed 42", random.split(random.get_prng(42), 3), keys)
    folded = onp.array([2547012911, 1371500959], "uint32")
    demand_like("fold_in of 7 into seed 42", random.fold_in(random.get_prng(42), 7), folded)
    numbers = onp.array([0.96532142162323, 0.31468164920806885, 0.6330299377441406], "float32")
    demand_like("uniform of seed 0", random.uniform(random.get_prng(0), (3,)), numbers, 0.0, 0.0)
    demand_like(
        "permutation of seed 0", random.permutation(random.get_prng(0), 6), onp.array([1, 0, 2, 5, 4, 3], "int32")
    )


@check("random numbers")
def normal_numbers_are_near(case: BackendCase) -> None:
    """Normal, truncated normal and Gumbel numbers are within 3 units in the last place, all but 1 in 10,000."""
    draws: dict[str, Draw] = {
        "normal": lambda key: random.normal(key, (2000,)),
        "truncated_normal": lambda key: random.truncated_normal(key, -2.0, 2.0, (2000,)),
        "gumbel": lambda key: random.gumbel(key, (2000,)),
    }
    for what, draw in draws.items():
        got = onp.asarray(fastmath.to_host(draw(random.get_prng(5))))
        with use_backend(case.reference):
            wanted = onp.asarray(fastmath.to_host(draw(random.get_prng(5))))
        demand_like(what, got, wanted, 1e-5, 1e-5)
        # A logarithm near 1 loses bits on every backend: near 0 the last place is not worth counting.
        apart = onp.abs(got.view(onp.int32).astype("int64") - wanted.view(onp.int32))[onp.abs(wanted) > 1e-2]
        odd = int((apart > 3).sum())
        demand(odd <= 1, f"{what}: {odd} of 2000 numbers are more than 3 units in the last place apart")


@check("random numbers")
def classes_are_the_same(case: BackendCase) -> None:
    """``categorical`` picks the classes that every other backend picks."""
    _demand_same_bits(case, {"categorical": lambda key: random.categorical(key, np.asarray(_LOGITS), shape=(40, 2))})


@check("random numbers")
def keys_decide(case: BackendCase) -> None:
    """The same key gives the same numbers each time, another key others, and no draw changes its key."""
    key = random.get_prng(3)
    first = fastmath.to_host(random.uniform(key, (50,)))
    random.normal(key, (10,))
    demand_like("two draws with one key", random.uniform(key, (50,)), first, 0.0, 0.0)
    demand_like("a key after three draws", key, onp.array([0, 3], "uint32"))
    for other in (random.get_prng(4), *random.split(key, 2), random.fold_in(key, 0)):
        same = int((fastmath.to_host(random.uniform(other, (50,))) == first).sum())
        demand(same < 5, f"{same} of 50 numbers are the same for two keys")
    demand(0.3 < float(first.mean()) < 0.7 and first.min() >= 0 and first.max() < 1, "uniform is not over [0, 1)")


@check("random numbers")
def compiled_draws_are_the_same(case: BackendCase) -> None:
    """Numbers drawn in a compiled function are those that are drawn outside of it."""

    def draw(key: Any) -> Any:
        one, two = random.split(key)
        return (
            random.uniform(one, (9,)),
            random.randint(two, (9,), 0, 100),
            random.bernoulli(random.fold_in(one, 2), 0.5),
        )

    key = random.get_prng(9)
    demand_like("draws compiled and eager", fastmath.jit(draw)(key), fastmath.to_host(draw(key)), 0.0, 0.0)
