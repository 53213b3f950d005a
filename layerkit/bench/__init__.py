"""Measuring layers, models, optimizers and recipes on backends: ``layerkit bench``, and ``lk.bench.run`` in Python.

To be read in this order:

- what is measured: ``sizes``, ``subjects``
- a run: ``runner``, which starts ``processes``; in each a ``worker`` makes ``programs``, times them (``sampling``) and
  looks at the machine (``limits``, ``memory``, ``environment``)
- what comes out: ``statistics``, ``result``, ``crossover``, ``compare`` (with an earlier run), ``schema``
- how it is shown: ``words``, ``columns``, ``text``; ``page``, ``charts``, ``svg``
"""

from layerkit.bench.result import Crossover, Result, Row
from layerkit.bench.runner import run
from layerkit.bench.statistics import Estimate

__all__ = ["Crossover", "Estimate", "Result", "Row", "run"]
