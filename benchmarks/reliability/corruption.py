"""Flipped bits, truncations, splices of the files of a checkpoint and a finished run: none may be loaded in silence.

Run: ``python benchmarks/reliability/corruption.py [--flips 10000] [--cuts 1000] [--splices 1000]``. Half of the damage
is done to a checkpoint, half to a finished run; a splice puts a piece of one file into another, or of the same file
elsewhere. A load that raises has noticed. Exits with 1 if one gives back anything without raising, if a message does
not name the file, or if what is raised is not an error of layerkit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import small_run

import layerkit as lk
from layerkit.training import checkpoint

Damage = Callable[[random.Random, dict[Path, bytes], Path], bytes]


def flipped(rng: random.Random, files: dict[Path, bytes], path: Path) -> bytes:
    """One bit turned round."""
    data = bytearray(files[path])
    bit = rng.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def cut(rng: random.Random, files: dict[Path, bytes], path: Path) -> bytes:
    """Only the first bytes."""
    return files[path][: rng.randrange(len(files[path]))]


def spliced(rng: random.Random, files: dict[Path, bytes], path: Path) -> bytes:
    """A piece replaced by one of the same length from somewhere else, or by one of another length."""
    data, other = files[path], files[rng.choice(list(files))]
    at, start = rng.randrange(len(data)), rng.randrange(len(other))
    piece = other[start : start + rng.randint(1, 4096)]
    end = at + len(piece) if rng.random() < 0.5 else rng.randint(at, len(data))
    return data[:at] + piece + data[end:]


def targets(folder: Path) -> list[tuple[str, Path, Callable[[Path], Any]]]:
    """(name, folder, how it is loaded) of a checkpoint and of a finished run."""
    small_run.train(folder / "loop", 20, checkpoint_at=lambda step: step == 20)
    place = checkpoint.newest(folder / "loop" / "checkpoints")
    with contextlib.redirect_stdout(io.StringIO()):
        lk.train("sentiment", output=folder / "run", steps=2, corpus="starter", embedding_dim=4)
    small_run.shutil.rmtree(folder / "run" / "checkpoints")  # which a finished run is not loaded from
    return [("checkpoint", place or folder, checkpoint.read), ("finished run", folder / "run", lk.load)]


def trials(
    place: Path, load: Callable[[Path], Any], damage: Damage, count: int, rng: random.Random, say: Any = print
) -> Counter[str]:
    """Damages a file, loads, and mends it, so many times; files are chosen by the root of their size."""
    files = {path: path.read_bytes() for path in sorted(place.iterdir()) if path.suffix in (".json", ".safetensors")}
    sizes = [len(data) ** 0.5 for data in files.values()]
    seen: Counter[str] = Counter()
    while seen["tried"] < count:
        (path,) = rng.choices(list(files), sizes)
        data = damage(rng, files, path)
        if data == files[path]:
            continue
        path.write_bytes(data)
        seen["tried"] += 1
        try:
            load(place)
            seen["silent"] += 1
            say(f"silent: {path.name}, {damage.__name__}")
        except lk.LayerkitError as error:
            seen["noticed"] += 1
            seen["unnamed"] += path.name not in str(error) or "\n" in str(error)
        path.write_bytes(files[path])
    load(place)
    return seen


def main() -> int:
    """Damages, loads, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--splices", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, missed = random.Random(given.seed), False
    kinds = (
        ("flipped bits", flipped, given.flips),
        ("truncations", cut, given.cuts),
        ("splices", spliced, given.splices),
    )
    print("| damage | to a | tried | noticed, file named | loaded in silence |\n|---|---|---|---|---|")
    with lk.use_backend("numpy"), small_run.scratch() as folder:
        for name, place, load in targets(folder):
            for damage, function, count in kinds:
                seen = trials(place, load, function, count // 2, rng)
                named = seen["noticed"] - seen["unnamed"]
                print(f"| {damage} | {name} | {seen['tried']} | {named} | {seen['silent']} |", flush=True)
                missed |= named < seen["tried"]
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
