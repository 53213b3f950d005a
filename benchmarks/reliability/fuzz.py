"""The tests marked ``fuzz``, again and again with other seeds, until the time is up or one of them fails.

Run: ``python benchmarks/reliability/fuzz.py [--seconds 120]``; an hour or more by hand. A failure prints its example,
and hypothesis remembers it: the next ``pytest`` tries it first. Exits with pytest's code.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Runs rounds, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    end = time.monotonic() + parser.parse_args().seconds
    environment, rounds = {**os.environ, "HYPOTHESIS_PROFILE": "fuzz"}, 0
    while time.monotonic() < end:
        seed = secrets.randbelow(2**32)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "fuzz", f"--hypothesis-seed={seed}", "tests"]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=max(1, end - time.monotonic()),
            )
        except subprocess.TimeoutExpired:
            break  # the time is up in the midst of a round, which has found nothing so far
        if done.returncode:
            print(done.stdout, done.stderr, f"failed with --hypothesis-seed={seed}", sep="\n")
            return done.returncode
        rounds += 1
    print(f"{rounds} rounds, no failure")
    return 0


if __name__ == "__main__":
    sys.exit(main())
