"""layerkit's own commands, known without importing them."""

from __future__ import annotations

__all__ = ["COMMANDS"]

COMMANDS = {
    "train": ("layerkit.cli.train", "Train a recipe, and keep what it learned in a folder."),
    "evaluate": ("layerkit.cli.evaluate", "Measure how good a trained run is."),
    "predict": ("layerkit.cli.predict", "Label texts with a trained run."),
    "summary": ("layerkit.cli.summary", "Show the layers and sizes of a model or a run."),
    "bench": ("layerkit.cli.bench", "Measure how fast layers and models are on each backend."),
    "backends": ("layerkit.cli.backends", "List what computes here, and what would."),
    "plugins": ("layerkit.cli.plugins", "See which plugins extend layerkit."),
}
