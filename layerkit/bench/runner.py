"""``layerkit.bench.run``: plans a run, starts its processes one after the other, and makes rows of what they find."""

from __future__ import annotations

import datetime
import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from layerkit.bench import environment, memory
from layerkit.bench.compare import require_common
from layerkit.bench.crossover import crossovers
from layerkit.bench.processes import Process
from layerkit.bench.result import Result, Row
from layerkit.bench.sizes import parse_sizes
from layerkit.bench.statistics import FEWEST, median, ratio_of_pairs
from layerkit.bench.subjects import MODES, Case, cases_of, everything, find
from layerkit.errors import UsageError, shown
from layerkit.fastmath.memory import free_memory
from layerkit.numbers import real, whole
from layerkit.plugins import registry
from layerkit.testing.blame import installed_backends
from layerkit.testing.trial import REFERENCE

__all__ = ["run"]

_BUSY = 0.15
"""Share of the processors that others may use before it is worth a warning."""


def run(
    names: str | Sequence[str] = (),
    *,
    backends: str | Sequence[str] | None = None,
    sizes: str = "example",
    train: bool = False,
    seconds: float = 3.0,
    processes: int = FEWEST,
    progress: Callable[[str], None] = lambda text: None,
    earlier: Mapping[str, Any] | None = None,
) -> Result:
    """Measures layers, models, optimizers and recipes on backends, each in several processes, samples taken in turns.

    What does not compute what NumPy does gets no time. Ratios are to NumPy, or to the first backend where NumPy is not
    among them. An interval needs six processes: each gives one number.

    Args:
        names: registered names, ``"Dense"``, ``"Dense(512)"``, ``"acme:Scale"``; every layer, model and optimizer
            unless given.
        backends: names of backends; the bundled ones that can run here unless given.
        sizes: ``"example"``, ``"grid"``, batches ``"16,128"``, or batches, lengths and widths ``"16,128x20x256"``.
        train: measure gradients (of a recipe, a training) rather than a call in evaluation.
        seconds: how long to sample each case, all processes and backends together; building comes on top.
        processes: how many processes, one after the other.
        progress: told what is measured now.
        earlier: what ``compare.read`` gave of the run that this one is to be compared with.

    Raises:
        UsageError: a name, a backend or a size is not known, a size does not fit memory, or the earlier run has nothing
            to compare with. Nothing was measured then.

    Example::

        result = lk.bench.run("Dense(512)", sizes="16,128x-x512")
        print(result)
        result.rows[1].ratio.median
    """
    mode, names = MODES[train], _names(names)
    chosen = _backends([backends] if isinstance(backends, str) else backends)
    cases, without = _cases(names, sizes, mode, len(chosen))
    seconds, processes = real("seconds", seconds, above=0), whole("processes", processes, 1)
    if earlier is not None:
        require_common([(case.name, name) for case in cases for name in chosen], earlier)
    load = environment.Load()
    about, found = _measure(cases, chosen, seconds, processes, progress)
    rows = [row for case, own in zip(cases, found, strict=True) for row in _rows(case, own, about)]
    return Result(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        settings={"mode": mode, "sizes": sizes, "seconds": seconds, "processes": processes, "backends": chosen},
        machine={**environment.machine(), "devices": {name: one["device"] for name, one in about.items()}},
        software=environment.software(),
        backends={name: {k: one[k] for k in ("devices", "device", "environment")} for name, one in about.items()},
        limits=_limits(about),
        warnings=_warnings(load, processes),
        rows=tuple(rows),
        crossovers=crossovers(rows),
        without_example=tuple(without),
    )


def _names(names: Any) -> list[str]:
    found = [names] if isinstance(names, str) or not isinstance(names, (list, tuple)) else list(names)
    for name in found:
        if not isinstance(name, str):
            raise UsageError(f"names are those of registered things, as in 'Dense(512)', got {shown(name)}")
    return found


def _measure(
    cases: Sequence[Case], backends: Sequence[str], seconds: float, processes: int, progress: Callable[[str], None]
) -> tuple[dict[str, dict[str, Any]], list[dict[str, list[dict[str, Any]]]]]:
    """What the processes say of each backend; and for each case, for each backend, what each process found."""
    found: list[dict[str, list[dict[str, Any]]]] = [{name: [] for name in backends} for _ in cases]
    about: dict[str, dict[str, Any]] = {}
    for turn in range(processes):
        left = [number for number in range(len(cases)) if not _failed(found[number])]
        process = Process(cases, backends, seconds / processes, turn)
        say = functools.partial(_say, progress, f"{turn + 1}/{processes}")
        for number, findings in process.measure(left, say):
            for name in backends:
                found[number][name].append(findings[name])
        about = about or process.about
    return about, found


def _say(progress: Callable[[str], None], turn: str, text: str) -> None:
    progress(f"process {turn}: {text}")


def _backends(names: Sequence[str] | None) -> list[str]:
    if names is not None and not names:
        raise UsageError("no backend is given: leave it out, or name some, as in numpy,jax")
    wanted = sorted(installed_backends(), key=lambda name: name != REFERENCE) if names is None else names
    for name in wanted:
        constructor = registry.backends.get(name)
        if missing := registry.missing_modules(constructor):
            raise UsageError(
                f"backend {name!r} cannot be measured: {', '.join(missing)} is not installed: "
                f"{registry.remedy(constructor)}"
            )
    return list(dict.fromkeys(wanted))


def _cases(names: list[str], sizes: str, mode: str, n_backends: int) -> tuple[list[Case], list[str]]:
    without: list[str] = []
    if names:
        subjects = [subject for name in dict.fromkeys(names) for subject in find(name)]
    else:
        subjects, without = everything()
    cases = cases_of(subjects, parse_sizes(sizes), mode)
    free = free_memory()
    for case in cases:
        memory.check_fits(case, n_backends, free)
    return cases, without


def _failed(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    """Whether no backend is left to be measured again."""
    return all(any("fault" in one for one in own) for own in found.values())


def _rows(case: Case, found: Mapping[str, Sequence[Mapping[str, Any]]], about: Mapping[str, Any]) -> list[Row]:
    times = {name: _medians(own) for name, own in found.items()}
    against = REFERENCE if REFERENCE in found else next(iter(found))
    return [_row(case, name, found[name], times, against, about.get(name, {})) for name in found]


def _medians(found: Sequence[Mapping[str, Any]]) -> list[float]:
    """One number a process; none if anything went wrong in one of them."""
    if any("fault" in one for one in found):
        return []
    return [statistics.median(one["samples"]) for one in found]


def _row(
    case: Case,
    name: str,
    found: Sequence[Mapping[str, Any]],
    times: Mapping[str, list[float]],
    against: str,
    about: Mapping[str, Any],
) -> Row:
    subject, own, reference = case.subject, times[name], times[against]
    inputs = tuple(map(repr, case.inputs))
    device = str(about.get("device", ""))
    row = Row(subject.kind, subject.text, subject.owner, case.size, inputs, case.mode, name, device)
    row = replace(row, against="" if name == against else against)
    if not own:
        faults = [str(one["fault"]) for one in found if "fault" in one]
        return replace(row, fault=faults[0] if faults else "it was not measured")
    one = found[0]
    cost: Mapping[str, float] = one.get("cost", {})
    busy = statistics.median(some["processor"] / statistics.median(some["samples"]) for some in found)
    return replace(
        row,
        apart=_worst(found),
        trace=_middle(found, "trace"),
        compile=_middle(found, "compile"),
        first=_middle(found, "first"),
        programs=one["programs"],
        steady=median(own),
        per_process=tuple(own),
        ratio=ratio_of_pairs(own, reference) if row.against and len(reference) == len(own) else None,
        work=one["work"],
        unit=one["unit"],
        flops=cost.get("flops"),
        bytes=cost.get("bytes"),
        memory=cost.get("memory"),
        host=_middle(found, "host"),
        cores=busy,
        notes=_notes(found),
    )


def _middle(found: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [one[name] for one in found if one.get(name) is not None]
    return statistics.median(values) if values else None


def _worst(found: Sequence[Mapping[str, Any]]) -> float | None:
    return max((one["apart"] for one in found if one["apart"] is not None), default=None)


def _notes(found: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    notes = []
    again = max(one["again"] for one in found)
    if again:
        notes.append(f"{again} more program{'s were' if again > 1 else ' was'} compiled while it was timed")
    if sum(not one["steady"] for one in found) * 2 > len(found):
        notes.append("it was still getting faster when it was measured: give it more seconds")
    return tuple(notes)


def _limits(about: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """For each device the best that any backend reached on it."""
    limits: dict[str, dict[str, float]] = {}
    for one in about.values():
        best = limits.setdefault(one["device"], {})
        for rate, value in one.get("limits", {}).items():
            best[rate] = max(value, best.get(rate, 0.0))
    return limits


def _warnings(load: environment.Load, processes: int) -> tuple[str, ...]:
    warnings, cores, others = [], environment.cores(), load.others()
    if load.before is not None and load.before > cores:
        warnings.append(f"the machine was busier than its cores when this began: load {load.before:.1f} on {cores}")
    if others is not None and others > _BUSY * cores:
        warnings.append(f"others kept {others:.1f} of {cores} cores busy meanwhile: times are longer than they need be")
    if processes < FEWEST:
        warnings.append(f"an interval needs {FEWEST} processes, and there were {processes}: no difference can be shown")
    return tuple(warnings)
