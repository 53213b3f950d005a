"""Loads hostile files, with an eye on what Python does meanwhile: run by test_hostile_files in a new process.

Prints how many were refused, and a line for each that was loaded, each error that is none of layerkit's, and each event
that a load has no reason for: an import, code that is made or run, a file opened outside of the folder.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import test_checkpoint_damage
import test_files
from damage import forge

import layerkit as lk
from layerkit import layers as tl

Load = Callable[[Path], Any]

# Events of Python's that a load may cause inside the folder alone, and those that it has no reason for.
INSIDE = {"open", "os.listdir", "os.scandir"}
NEVER = tuple(
    "import exec compile code. cpython.run ctypes. marshal. pickle. subprocess. socket. os.system os.exec os.posix_ "
    "os.fork os.remove os.rename os.mkdir os.rmdir os.link os.symlink os.chmod os.chown os.putenv os.truncate shutil. "
    "tempfile. urllib. glob.".split()
)

RECIPES = ["os:system", "../../evil", "layerkit:os.system", "__import__('os').system('true')", "evil\0", "x" * 10**5]


class Boom:
    """What a pickle would run."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/layerkit-was-here",)


def run_file(name: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: forge(folder / "run.json", lambda contents: contents.update({name: value}))


def cases() -> Iterator[tuple[str, str, Callable[[Path], Any]]]:
    """(name, what is damaged, the damage)."""
    for name, (damage, _) in test_checkpoint_damage.DAMAGES.items():
        yield name, "checkpoint", damage
    for name, (content, _) in test_files.HOSTILE.items():
        yield name, "run", lambda folder, content=content: (folder / "model.safetensors").write_bytes(content)
        yield name, "weights", lambda file, content=content: file.write_bytes(content)
    for recipe in RECIPES:
        yield f"recipe {recipe:.40}", "run", run_file("recipe", recipe)
        yield f"distribution {recipe:.40}", "run", run_file("distribution", recipe)
    yield "a pickle as run.json", "run", lambda folder: (folder / "run.json").write_bytes(pickle.dumps(Boom()))
    yield "a pickle as weights", "weights", lambda file: file.write_bytes(pickle.dumps(Boom()))
    for outside in ("/etc/passwd", "/dev/zero"):
        for file in ("run.json", "model.safetensors"):
            yield f"{file} to {outside}", "run", lambda f, n=file, o=outside: ((f / n).unlink(), (f / n).symlink_to(o))


def weights_of(file: Path) -> Any:
    layer = tl.Dense(2)
    layer.init(lk.f32(1, 2))
    layer.save_to_file(file) if not file.exists() else layer.init_from_file(file)


def sound(folder: Path) -> dict[str, tuple[Path, Load]]:
    """What is damaged: where it lies, and how it is loaded."""
    test_checkpoint_damage.make(folder / "loop").run(5)
    with contextlib.redirect_stdout(io.StringIO()):
        lk.train("sentiment", output=folder / "run", corpus="starter", steps=2, embedding_dim=4)
    weights_of(folder / "weights.safetensors")
    loop = test_checkpoint_damage.make(None)
    return {
        "checkpoint": (folder / "loop" / "checkpoints" / "step-00000005", loop.load_checkpoint),
        "run": (folder / "run", lk.load),
        "weights": (folder / "weights.safetensors", weights_of),
    }


def main(folder: Path) -> None:
    armed: list[str] = []
    noted: set[str] = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if armed and (event in INSIDE or event.startswith(NEVER)):
            where = os.fspath(arguments[0]) if arguments and isinstance(arguments[0], (str, os.PathLike)) else ""
            if event not in INSIDE or not os.path.abspath(where).startswith(str(folder)):
                noted.add(f"{armed[0]}: {event} {where}")

    sys.addaudithook(hook)
    kinds, count = sound(folder / "sound"), 0
    for kind, (place, load) in kinds.items():  # what a load needs is imported by the first
        load(place)
        with contextlib.suppress(lk.LayerkitError):
            load(place.with_name("nowhere"))
        print(end=f"{kind} ")
    with contextlib.suppress(lk.LayerkitError):
        shutil.copytree(kinds["run"][0], folder / "warm")
        run_file("recipe", "nonsense")(folder / "warm")
        lk.load(folder / "warm")
    for number, (name, kind, damage) in enumerate(cases()):
        place, load = kinds[kind]
        shutil.copytree(folder / "sound", folder / str(number))
        own = folder / str(number) / place.relative_to(folder / "sound")
        damage(own)
        armed.append(f"{kind}, {name}")
        try:
            load(own)
            noted.add(f"{armed[0]}: loaded")
        except lk.LayerkitError:
            count += 1
        except BaseException as error:
            noted.add(f"{armed[0]}: {type(error).__name__} {error}")
        armed.clear()
        shutil.rmtree(folder / str(number))
    print(f"\n{count} refused", *sorted(noted), sep="\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with lk.use_backend("numpy"):
        main(Path(sys.argv[1]).resolve())
