"""Measuring layers, models, optimizers and recipes on backends: ``layerkit bench``, and ``lk.bench.run`` in Python."""

from layerkit.bench.result import Crossover, Result, Row
from layerkit.bench.runner import run
from layerkit.bench.statistics import Estimate

__all__ = ["Crossover", "Estimate", "Result", "Row", "run"]
