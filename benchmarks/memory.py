"""The peak memory of a training of the sentiment recipe on NumPy, and the programs that one on JAX compiles.

Run: ``NLTK_DATA=... python benchmarks/memory.py [--rounds 3] [--steps 500]`` (with twitter_samples; without, it is the
starter corpus, and a line says so). The first figure is the largest resident size of the process ``layerkit train
sentiment --backend numpy``; the second counts calls of the compiler. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET_MB, TARGET_PROGRAMS = 400, 8
_SCRIPT = str(Path(sys.executable).with_name("layerkit"))

_COUNT = """
import layerkit as lk
from layerkit import fastmath
lk.train("sentiment", backend="jax", steps={steps})
with lk.use_backend("jax"):
    print(fastmath.compilations())
"""


def peak_mb(steps: int) -> tuple[float, str]:
    """The largest resident size of a training process in MB, and the first line it printed."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--backend", "numpy", "--steps", str(steps), "--output", f"{folder}/run"]
        process = subprocess.Popen([_SCRIPT, "train", "sentiment", *options], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return usage.ru_maxrss * unit / 1e6, said.partition("\n")[0]


def programs(steps: int) -> int:
    """How many programs a training on JAX compiles, with nothing kept from earlier ones."""
    code = _COUNT.format(steps=steps)
    environment = {**os.environ, "LAYERKIT_CACHE": "off"}
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return int(done.stdout.splitlines()[-1])


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    given = parser.parse_args()
    measured = [peak_mb(given.steps) for _ in range(given.rounds)]
    peaks = [peak for peak, _ in measured]
    print(measured[0][1])
    most, least = max(peaks), min(peaks)
    print(f"peak memory, NumPy: {most:.0f} MB (of {len(peaks)} runs; the least {least:.0f}), target {TARGET_MB}")
    compiled = programs(given.steps)
    print(f"programs compiled, JAX: {compiled}, target {TARGET_PROGRAMS}")
    return int(most > TARGET_MB or compiled > TARGET_PROGRAMS)


if __name__ == "__main__":
    sys.exit(main())
