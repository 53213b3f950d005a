"""For how long a momentum moves a weight after its last gradient, and whether those steps can be summed at once."""

from __future__ import annotations

import math

__all__ = ["GROWN", "has_rules", "n_steps_of"]

_NEGLIGIBLE = 5e-8
"""What is left of a momentum when its rest no longer counts: half a unit in the last place of float32."""
_LONGEST = 2048
"""The most steps that a rule spans."""
GROWN = 96
"""From which step on a rule needs fewer nodes."""


def n_steps_of(mass: float) -> int | None:
    """For how many steps a gradient moves a weight whose momentum shrinks by ``mass``; ``None`` for too many.

    >>> n_steps_of(0.9), n_steps_of(0.0), n_steps_of(0.9999)
    (160, 2, None)
    """
    # An even number: nodes come in pairs, and there are no more than steps.
    steps = 2 * math.ceil(math.log(_NEGLIGIBLE) / math.log(mass) / 2) if mass else 2
    return steps if steps <= _LONGEST else None


def has_rules(b1: float, b2: float) -> bool:
    """Whether there are rules for Adam's numbers. For those in use that is known, and the rules can wait for their use.

    >>> has_rules(0.9, 0.999), has_rules(0.9, 0.5)
    (True, False)
    """
    # The nearer b2 is to 1, beside b1, the slower a step's size changes.
    if n_steps_of(b1) is not None and 1 - b2 <= (1 - b1) / 4:
        return True
    from layerkit_plugins.optimizers.quadrature import changing_rule  # a first step needs no rule

    return changing_rule(b1, b2) is not None
