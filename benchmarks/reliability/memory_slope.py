"""Many short runs in one process: does memory grow with their number?

Run: ``python benchmarks/reliability/memory_slope.py [--runs 500] [--backend NAME]``. Each run makes a model, trains it
for a few steps, evaluates it and lets go of it; resident memory is read after each, and a line is fitted to the second
half (the first fills caches). Exits with 1 where the slope is 0.1 MB a run or more.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path

import numpy as np

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.data import RaggedBatches

TARGET_MB = 0.1


def short_run(seed: int) -> None:
    """A model made, trained, evaluated and forgotten."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(1, 50, 6).tolist() for _ in range(32)]
    data = RaggedBatches(rows, [seed % 2] * 32, 8, seed=seed, buckets=[8])
    model = tl.Serial(tl.Embedding(50, 8), tl.Mean(axis=1), tl.Dropout(0.1), tl.Dense(2), tl.LogSoftmax())
    task = lk.TrainTask(data, tl.CrossEntropyLoss(), optimizers.Adam(0.01))
    loop = lk.Loop(model, task, eval_tasks=lk.EvalTask(data, [tl.Accuracy()]), log=None, random_seed=seed)
    loop.run(3)


def resident_mb() -> float:
    """The process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def slope(backend: str, runs: int) -> tuple[float, float, float]:
    """(MB a run, MB after a tenth of the runs, MB at the end)."""
    sizes = []
    with lk.use_backend(backend):
        for seed in range(runs):
            short_run(seed)
            if seed % 10 == 9:
                gc.collect()
            sizes.append(resident_mb())
    half = np.arange(runs // 2, runs)
    return float(np.polyfit(half, np.array(sizes)[half], 1)[0]), sizes[runs // 10], sizes[-1]


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--backend", action="append")
    given = parser.parse_args()
    missed = False
    print("| backend | MB a run | after a tenth | at the end | target |\n|---|---|---|---|---|")
    for backend in given.backend or ("numpy", "jax"):
        found, early, late = slope(backend, given.runs)
        missed |= found >= TARGET_MB
        print(f"| {backend} | {found:.4f} | {early:.0f} MB | {late:.0f} MB | {TARGET_MB} |", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
