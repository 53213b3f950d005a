"""A run's history as a picture, where matplotlib is installed."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

from layerkit.files import disk
from layerkit.training.history import History

__all__ = ["NAME", "draw"]

NAME = "learning_curve.png"

_SHORT = 30  # points; a longer curve needs no markers


def draw(history: History, folder: Path) -> Path | None:
    """Draws every metric over the steps, training and evaluation in one panel, into ``learning_curve.png``.

    Returns the file, or ``None`` where matplotlib is not installed or nothing was measured.
    """
    metrics = list(dict.fromkeys(m for mode in reversed(history.modes) for m in history.metrics_for_mode(mode)))
    if not metrics or find_spec("matplotlib") is None:
        return None
    # Figures of one's own, without pyplot: nothing global changes, and no window is ever opened.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.8 * len(metrics)), layout="constrained")
    panels = figure.subplots(len(metrics), squeeze=False)[:, 0]
    for panel, metric in zip(panels, metrics, strict=True):
        for mode in reversed(history.modes):
            points = history.get(mode, metric)
            if points:
                marker = "o" if len(points) <= _SHORT else ""
                panel.plot(*zip(*points, strict=True), label=mode, marker=marker, markersize=3)
        panel.set_xlabel("step")
        panel.set_ylabel(metric)
        panel.grid(alpha=0.3)
        panel.legend()
    path, image = folder / NAME, io.BytesIO()
    FigureCanvasAgg(figure).print_figure(image, format="png")
    with disk.writing(path):
        disk.replace(path, [image.getvalue()])
    return path
