"""Real distributions, written into a temporary folder that a new Python process finds on its path."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import layerkit.recipe

__all__ = ["Done", "Site", "majority_recipe"]


@dataclass(frozen=True)
class Done:
    """A process that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


class Site:
    """A folder of installed distributions; ``behind`` are others, later on the path."""

    def __init__(self, folder: Path, *behind: Site) -> None:
        self.folder = folder
        self.behind = behind
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> str:
        """What PYTHONPATH holds in the processes that are run here."""
        behind = [str(site.folder) for site in self.behind]
        return os.pathsep.join([str(self.folder), *behind, *filter(None, [os.environ.get("PYTHONPATH")])])

    def add(self, name: str, version: str = "1.0", entry_points: str = "", **modules: str) -> None:
        """Writes a distribution: its metadata, its entry points of the group ``layerkit``, and its modules."""
        metadata = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[layerkit]\n{entry_points}\n")
        for module, text in modules.items():
            (self.folder / f"{module}.py").write_text(textwrap.dedent(text))

    def python(self, code: str, *options: str, **environment: str) -> Done:
        """Runs ``code`` in a new process."""
        return self._run([sys.executable, *options, "-c", textwrap.dedent(code)], None, environment)

    def layerkit(self, *arguments: str, stdin: str | bytes | None = None, **environment: str) -> Done:
        """Runs the command ``layerkit`` in a new process."""
        return self._run([sys.executable, "-m", "layerkit", *arguments], stdin, environment)

    def _run(self, command: list[str], stdin: str | bytes | None, changes: dict[str, str]) -> Done:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LAYERKIT_")}
        # Starting a compiler for every command would take most of the tests' time.
        environment |= {"LAYERKIT_BACKEND": "numpy"}
        environment |= {"PYTHONPATH": self.path, "PYTHONIOENCODING": "utf-8", **changes}
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            command, input=given or b"", capture_output=True, env=environment, cwd=self.folder, timeout=120
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def majority_recipe() -> str:
    """The recipe that the docstring of ``layerkit.recipe`` shows."""
    lines = (layerkit.recipe.__doc__ or "").partition("::\n\n")[2].splitlines()
    end = next(i for i, line in enumerate(lines) if line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[:end])) + "\n"
