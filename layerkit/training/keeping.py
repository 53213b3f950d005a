"""Which checkpoints of a run stay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from layerkit.errors import UsageError, shown, suggest
from layerkit.numbers import whole

__all__ = ["Keeping"]


class Keeping(NamedTuple):
    """Which checkpoints stay, and how they are written."""

    last: int
    best: str | None
    """A metric's name, with a minus before it where the lowest value is the best."""
    strict: bool
    background: bool

    @classmethod
    def checked(cls, last: Any, best: Any, metrics: list[str], strict: Any, background: Any) -> Keeping:
        """The arguments of a Loop that measures these ``metrics``.

        Raises:
            UsageError: one is of the wrong kind, or no metric.
        """
        if best is not None and not isinstance(best, str):
            raise UsageError(
                f"keep_best is a metric's name, such as 'Accuracy' or '-CrossEntropyLoss', got {shown(best)}"
            )
        if best is not None and (name := best.removeprefix("-")) not in metrics:
            raise UsageError(f"keep_best: no evaluation task has a metric {name!r:.60}; {suggest(name, metrics)}")
        return cls(whole("keep_checkpoints", last, 1), best, bool(strict), bool(background))

    def best_of(self, steps: list[int], history: Mapping[str, Any]) -> int | None:
        """The step, of these, at which the metric was best; the first of several."""
        if self.best is None:
            return None
        sign = -1 if self.best.startswith("-") else 1
        measured = dict(history.get("eval", {}).get(self.best.removeprefix("-"), ()))
        values = {step: sign * measured[step] for step in steps if not math.isnan(measured.get(step, math.nan))}
        return max(values, key=lambda step: (values[step], -step), default=None)
