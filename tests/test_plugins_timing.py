"""`layerkit plugins list`: it imports nothing, until `--timing` asks for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from distributions import Site

SLOW = "import time\ntime.sleep(0.2)\n"
DOUBLE = """
import layerkit as lk

def Double{n}():
    return lk.Fn("Double{n}", lambda x: 2 * x)

@lk.hookimpl
def layerkit_layers():
    return [Double{n}]
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site")
    site.add("quick", "1.0", "quick = quick", quick=DOUBLE.format(n=1))
    site.add("slow", "1.0", "slow = slow", slow=SLOW + DOUBLE.format(n=2))
    site.add("broken", "1.0", "broken = broken", broken="raise RuntimeError('no luck')")
    return site


def test_times_in_json(site: Site) -> None:
    done = site.layerkit("plugins", "list", "--timing", "--json", LAYERKIT_PLUGINS="-quick")
    about = {entry["distribution"]: entry for entry in map(json.loads, done.out.splitlines())}
    assert done.code == 0
    assert about["slow"]["import_ms"] >= 200
    assert (about["slow"]["state"], about["broken"]["state"]) == ("installed", "does not load")
    assert (about["quick"]["state"], about["quick"]["import_ms"]) == ("turned off", None)
    assert about["layerkit"]["import_ms"] >= 0
    (line,) = done.errors
    assert "RuntimeError: no luck" in line


def test_layerkits_own_come_first(site: Site) -> None:
    """Otherwise the first in the alphabet would pay for what all of them import."""
    names = "print(*(plugin.entry.distribution for plugin, _ in loader.timed()))"
    done = site.python("from layerkit.plugins import loader\n" + names)
    assert done.out.split() == [*["layerkit"] * 5, "broken", "quick", "slow"]


def test_the_table(site: Site) -> None:
    done = site.layerkit("plugins", "list", "--timing")
    lines = done.out.splitlines()
    assert lines[0].split() == ["distribution", "version", "entry", "point", "module", "state", "import", "ms"]
    (slow,) = [line.split() for line in lines if line.startswith("slow")]
    assert slow[:-1] == ["slow", "1.0", "slow", "slow", "installed"]
    assert float(slow[-1]) >= 200
    assert lines[-1].startswith("imported 8 plugins in ")
    assert max(map(len, lines)) <= 80


def test_the_help_says_that_it_imports(site: Site) -> None:
    assert "Import each of them" in site.layerkit("plugins", "list", "--help").out


def test_without_it_fifty_plugins_are_listed_and_none_is_imported(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    for i in range(50):
        site.add(f"plugin-{i}", entry_points=f"main = telltale_{i}")
        (site.folder / f"telltale_{i}.py").write_text("raise SystemExit('imported')")
    done = site.python(
        """
        import sys, time
        from layerkit.cli import main
        start = time.process_time()
        assert main(["plugins", "list"]) == 0
        print(time.process_time() - start, sorted(name for name in sys.modules if name.startswith("telltale")))
        """
    )
    taken, imported = done.out.splitlines()[-1].split(" ", 1)
    assert (imported, done.err) == ("[]", "")
    assert done.out.count(" installed") == 50
    assert float(taken) <= 0.4


def cpu_seconds_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def test_a_process_that_lists_fifty_plugins_is_soon_done(tmp_path: Path) -> None:
    """The target is of CPU time, and for the best of several rounds: a busy machine says nothing about it."""
    site = Site(tmp_path / "site")
    for i in range(50):
        site.add(f"plugin-{i}", entry_points="main = nothing")
    seconds = []
    for _ in range(5):
        start = cpu_seconds_of_children()
        assert site.layerkit("plugins", "list").code == 0
        seconds.append(cpu_seconds_of_children() - start)
    assert min(seconds) <= 0.4
