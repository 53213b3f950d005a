"""The same jobs in layerkit, in other frameworks and by hand, in turns: python benchmarks/peers/run.py [JOB ...]

The other frameworks are installed into environments of their own (``--folder``), once. Each job is measured in one go:
a process for each framework, two threads each, samples in turns. Results go into a JSON file, in which the jobs that
were not measured this time stay as they were, and from there into the tables of a page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from environments import default_folder, python_of
from frameworks import FRAMEWORKS
from jobs import JOBS, Job
from measure import measure
from report import page, tables

__all__ = ["main"]

_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parent.parent


def main() -> None:
    given = _parser().parse_args()
    known = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else {}
    names = ["plain", *(name for name in given.frameworks if name != "plain")]
    pip = given.pip.split()
    for name in given.jobs or JOBS:
        job = JOBS[name]
        chosen = [own for own in names if FRAMEWORKS[own].does(job.kind, job.model)]
        pythons = {own: python_of(FRAMEWORKS[own].environment, given.folder, given.torch, pip) for own in chosen}
        if given.install:
            continue
        print(f"{name}: {len(pythons)} frameworks", file=sys.stderr)
        known[name] = _about(job) | {"rows": measure(job, pythons, given.rounds, given.seconds)}
        print(tables({name: known[name]}))
        given.json.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    if given.page:
        given.page.write_text(page(given.page.read_text(encoding="utf-8"), known), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"all unless given: {', '.join(JOBS)}")
    parser.add_argument(
        "--frameworks",
        nargs="+",
        choices=FRAMEWORKS,
        default=list(FRAMEWORKS),
        metavar="NAME",
        help=f"all unless given: {', '.join(FRAMEWORKS)}",
    )
    parser.add_argument("--rounds", type=int, default=9, help="samples of each framework")
    parser.add_argument("--seconds", type=float, default=0.4, help="about how long a sample takes")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="where the environments are")
    parser.add_argument("--torch", default="torch", metavar="REQUIREMENT", help="what pip is to install for PyTorch")
    parser.add_argument("--pip", default="", metavar="ARGUMENTS", help="further arguments for pip install")
    parser.add_argument("--json", type=Path, default=_FOLDER / "results.json", help="the file of results")
    parser.add_argument("--page", type=Path, help="a page whose tables are written anew, as docs/peers.md")
    parser.add_argument("--install", action="store_true", help="only make the environments")
    return parser


def _about(job: Job) -> dict[str, Any]:
    """What must be known to measure the same again."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, capture_output=True, text=True)
    return {
        "title": job.title,
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
