"""What a run measured, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layerkit.errors import LayerkitError, shown

__all__ = ["History"]


class History:
    """Values of metrics over the steps of a run, for each mode (``"train"``, ``"eval"``).

    >>> history = History()
    >>> history.append("train", "L2Loss", 1, 0.5)
    >>> history.append("train", "L2Loss", 10, 0.25)
    >>> history.get("train", "L2Loss")
    [(1, 0.5), (10, 0.25)]
    >>> history
    <History: train L2Loss 0.2500 at step 10>
    """

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[tuple[int, float]]]] = {}

    def append(self, mode: str, metric: str, step: int, value: float) -> None:
        """Adds the value of a metric at a step, instead of one that this step has already.

        Raises:
            LayerkitError: a later step has one already.
        """
        values = self._values.setdefault(mode, {}).setdefault(metric, [])
        if values and values[-1][0] > step:
            raise LayerkitError(f"history of {mode} {metric}: step {step} comes after step {values[-1][0]}")
        same = bool(values) and values[-1][0] == step
        values[len(values) - same :] = [(int(step), float(value))]

    def get(self, mode: str, metric: str) -> list[tuple[int, float]]:
        """The (step, value) pairs of a metric, in order; none if it was never measured."""
        return list(self._values.get(mode, {}).get(metric, ()))

    @property
    def modes(self) -> list[str]:
        """The modes there are values of, sorted."""
        return sorted(self._values)

    def metrics_for_mode(self, mode: str) -> list[str]:
        """The metrics measured in a mode, sorted."""
        return sorted(self._values.get(mode, ()))

    def __repr__(self) -> str:
        last = [
            f"{mode} {metric} {values[-1][1]:.4f} at step {values[-1][0]}"
            for mode, metrics in self._values.items()
            for metric, values in metrics.items()
        ]
        return f"<History: {'; '.join(last) or 'empty'}>"

    def to_dict(self) -> dict[str, Any]:
        """All of it as dicts, lists and numbers: ``{mode: {metric: [[step, value], ...]}}``."""
        return {
            mode: {metric: [list(pair) for pair in pairs] for metric, pairs in metrics.items()}
            for mode, metrics in self._values.items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> History:
        """The history that ``to_dict`` wrote down.

        Raises:
            LayerkitError: the dict has another form.

        >>> History.from_dict({"eval": {"Accuracy": [[1, 0.5]]}}).get("eval", "Accuracy")
        [(1, 0.5)]
        """
        history = cls()
        try:
            for mode, metrics in values.items():
                for metric, pairs in metrics.items():
                    for step, value in pairs:
                        history.append(mode, metric, int(step), float(value))
        except (AttributeError, TypeError, ValueError) as error:
            raise LayerkitError(
                f"a history is {{mode: {{metric: [[step, value], ...]}}}}, got {shown(values)}"
            ) from error
        return history
