"""Every code block in README.md and docs/*.md runs, and prints what the page says it prints."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import layerkit as lk

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [ROOT / "README.md", *(p for p in (ROOT / "docs").rglob("*.md") if "/." not in p.relative_to(ROOT).as_posix())]
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """(line number, code) of the page's blocks in a language."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start()) + 2, m[2]) for m in BLOCK.finditer(text) if m[1] == language]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after the other in one namespace; ``>>>`` blocks print what the page says."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS)
    with lk.use_backend("numpy"):
        for line, code in blocks(page, "python"):
            if ">>>" in code:
                test = parser.get_doctest(code, names, page.name, str(page), line - 1)
                output: list[str] = []
                failures = runner.run(test, out=output.append, clear_globs=False).failed
                assert not failures, "".join(output)
                names = test.globs
            else:
                exec(compile("\n" * (line - 1) + code, str(page), "exec", dont_inherit=True), names)


def anchors(page: Path) -> set[str]:
    """What links call the headings of a page: lower case, hyphens for spaces, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            there = page.parent / target if target else page
            assert there.exists(), f"{page.name} links to {target}, which does not exist"
            assert not anchor or anchor in anchors(there), f"{page.name} links to {target}#{anchor}: no such heading"


def test_shell_blocks_name_real_commands() -> None:
    """Every ``layerkit ...`` line in a shell block is a command with options that exist."""
    lines = {
        line.removeprefix("$ ").strip()
        for page in PAGES
        for language in ("console", "sh", "bash")
        for _, code in blocks(page, language)
        for line in code.splitlines()
        if line.removeprefix("$ ").startswith("layerkit ")
    }
    assert lines
    for line in sorted(lines):
        words = [word for word in line.split("|")[0].split() if not word.startswith(("-", '"'))][1:]
        depth = 2 if words[0] in ("plugins", "train") and len(words) > 1 else 1
        environment = {**os.environ, "LAYERKIT_BACKEND": "numpy"}
        done = subprocess.run(
            [sys.executable, "-m", "layerkit", *words[:depth], "--help"],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        for option in re.findall(r"(?<=\s)(--[\w-]+)", line):
            assert option in done.stdout, f"{line}: no option {option}"
