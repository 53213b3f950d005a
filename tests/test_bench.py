"""``layerkit bench``: right or no time, whatever a plugin does; and what is asked for wrongly, before anything runs."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command_line import fails
from distributions import Done, Site

import layerkit as lk
from layerkit.bench import worker
from layerkit.bench.processes import Process
from layerkit.bench.programs import program_of
from layerkit.bench.schema import fault_in
from layerkit.bench.sizes import parse_sizes
from layerkit.bench.subjects import cases_of, everything, find
from layerkit.cli.bench import _progress, command
from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import use_backend
from layerkit.plugins import registry

PLUGIN = """
    import os, signal, sys
    import layerkit as lk
    from layerkit.fastmath import backend_name, is_traced, numpy as np

    @lk.example(lk.f32(4, 8))
    class Right(lk.Layer):
        def init_weights_and_state(self, signature):
            self.weights = np.ones(signature.shape[-1])
        def forward(self, x):
            print("a plugin may print what it likes")
            return x * self.weights

    @lk.example(lk.f32(4, 8))
    def Wrong():
        return lk.Fn("Wrong", lambda x: x + (0.5 if backend_name() == "jax" else 0.0))

    @lk.example(lk.f32(4, 8))
    def Deadly():
        return lk.Fn("Deadly", lambda x: x if is_traced(x) else os.kill(os.getpid(), signal.SIGKILL))

    @lk.example(lk.f32(4, 8))
    def Raises():
        return lk.Fn("Raises", lambda x: {}["no such key"])

    @lk.example(lk.f32(4, 8))
    def Leaves():
        return lk.Fn("Leaves", lambda x: sys.exit(0))

    def Bare():
        return lk.Fn("Bare", lambda x: x)

    @lk.hookimpl
    def layerkit_layers():
        return [Right, Wrong, Deadly, Raises, Leaves, Bare]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("bench"))
    site.add("acme", "1.5", "layers = acme_layers", acme_layers=PLUGIN)
    return site


@pytest.fixture(scope="module")
def measured(site: Site) -> Done:
    """One run over everything that can go right and wrong in a plugin."""
    pytest.importorskip("jax")
    names = ["acme:Wrong", "Deadly", "Raises", "Leaves", "Right", "Dense(3)"]
    files = ["--json", "found.json", "--html", "found.html"]
    return site.layerkit("bench", *names, "--seconds", "0.02", "--processes", "2", "--sizes", "2x-x4", *files)


def rows(site: Site) -> dict[tuple[str, str], Any]:
    found = json.loads((site.folder / "found.json").read_text())
    assert fault_in(found) == ""
    return {(row["name"], row["backend"]): row for row in found["rows"]}


def test_what_fails_is_marked_and_the_rest_runs_on(site: Site, measured: Done) -> None:
    assert measured.code == 1, measured.err
    assert measured.err == ""
    found = rows(site)
    assert {name for name, row in found.items() if row["ok"]} == {
        ("acme:Wrong", "numpy"), ("Right", "numpy"), ("Right", "jax"), ("Dense(3)", "numpy"), ("Dense(3)", "jax"),
    }  # fmt: skip
    assert "apart, more than 1e-05: " in found["acme:Wrong", "jax"]["fault"]
    assert "ended by SIGKILL, as happens when memory runs out" in found["Deadly", "numpy"]["fault"]
    assert "no such key" in found["Raises", "jax"]["fault"]
    assert "calls sys.exit(0)" in found["Leaves", "numpy"]["fault"]
    assert not any(row["steady"] for row in found.values() if not row["ok"])
    assert max(map(len, measured.out.splitlines())) <= 80


def test_what_is_right_has_every_figure(site: Site, measured: Done) -> None:
    numpy, jax = (rows(site)["Dense(3)", backend] for backend in ("numpy", "jax"))
    assert (numpy["apart"], numpy["against"], numpy["ratio"]) == (None, "", None)
    assert 0 <= jax["apart"] < 1e-5
    assert jax["against"] == "numpy"
    assert jax["ratio"]["verdict"] == "too few processes"
    assert (jax["inputs"], jax["size"]) == (["float32[2,4]"], {"batch": 2, "length": None, "width": 4})
    assert jax["first"] > jax["compile"] > 0 < jax["trace"] < jax["first"]
    assert (jax["programs"], numpy["programs"], numpy["compile"]) == (1, 0, None)
    assert jax["flops"] >= 2 * 2 * 4 * 3
    assert (numpy["flops"], numpy["bytes"]) == (None, None)
    assert jax["memory"] >= 4 * (2 * 4 + 4 * 3 + 2 * 3) <= numpy["memory"]
    for row in (numpy, jax):
        assert len(row["per_process"]) == 2
        assert row["throughput"] == pytest.approx(2 / row["steady"]["median"])
        assert 0 < row["steady"]["median"] < 0.1
        assert row["notes"] == [] or "still getting faster" in row["notes"][0]


def test_the_environment_is_recorded(site: Site, measured: Done) -> None:
    found = json.loads((site.folder / "found.json").read_text())
    assert found["backends"]["jax"]["environment"]["jax"]
    assert found["backends"]["numpy"]["environment"]["blas"]
    assert found["machine"]["cores"] >= 1
    assert found["software"]["variables"]["LAYERKIT_BACKEND"] == "numpy"
    assert found["limits"]["cpu"]["flops"] > 1e8
    assert found["limits"]["cpu"]["bytes"] > 1e7
    assert any("an interval needs 6 processes" in warning for warning in found["warnings"])
    assert (site.folder / "found.html").read_text().startswith("<!doctype html>")


def test_all_right_is_exit_code_0_with_intervals(site: Site) -> None:
    done = site.layerkit("bench", "Relu", "Adam", "--backends", "numpy", "--seconds", "0.02", "--sizes", "2x-x2")
    assert done.code == 0, done.err
    assert done.out.count("[") == 2  # an interval for each
    assert "Adam 2x-x2 update" in done.out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
def test_a_file_that_cannot_be_written_in_the_end_takes_no_result_along(site: Site) -> None:
    small = "--backends", "numpy", "--seconds", "0.01", "--processes", "1"
    done = site.layerkit("bench", "Relu", *small, "--json", "/dev/full")
    assert (done.code, done.err) == (1, "layerkit: '/dev/full' cannot be written: no space left on device\n")
    assert "Relu 4x-x8 forward" in done.out


# -------------------- one process, looked at from inside


def case(name: str, mode: str = "forward", sizes: str = "example") -> Any:
    (made,) = cases_of(find(name), parse_sizes(sizes), mode)
    return made


def test_another_process_measures_the_same_case() -> None:
    """An example whose widths differ: what is sent is the size that was asked for, not the one that it has."""
    for name, sizes in (("LSTMCell", "example"), ("LSTMCell", "2x-x6"), ("Dense(7)", "2x-x6"), ("Adam", "2x-x6")):
        made = case(name, sizes=sizes)
        wanted = json.loads(json.dumps(Process._wanted(made)))
        again = worker._case(wanted)
        assert (again.inputs, again.arguments, again.mode) == (made.inputs, made.arguments, made.mode)


@pytest.fixture
def wrong_tanh() -> Iterator[str]:
    """A backend that is NumPy's but for one function."""

    class Off:
        name = "off"

        def __init__(self) -> None:
            self._base = registry.make_backend("numpy")
            names = {known: getattr(self._base.numpy, known) for known in np.NAMES}
            self.numpy = type("Names", (), {**{k: staticmethod(v) for k, v in names.items()}, "tanh": self._tanh})

        @staticmethod
        def _tanh(x: Any) -> Any:
            return registry.make_backend("numpy").numpy.tanh(x) + np.asarray(0.001)

        def __getattr__(self, member: str) -> Any:
            if member in ("program_cost", "memory_stats", "environment"):
                raise AttributeError(member)
            return getattr(self._base, member)

    def off() -> Any:
        return Off()

    registry.backends.register(off)
    yield "off"
    del registry.backends._others["off"]


def test_no_time_without_parity(wrong_tanh: str) -> None:
    found = worker.measure(case("Tanh"), ["numpy", wrong_tanh], 0.005)
    assert "its results on off and on numpy are 0.001 apart, more than 1e-05" in found["off"]["fault"]
    assert set(found["off"]) == {"fault"}
    assert found["numpy"]["samples"]
    right = worker.measure(case("Relu"), ["numpy", wrong_tanh], 0.005)
    assert right["off"]["apart"] == 0


def test_what_a_backend_does_not_tell_is_not_measured(wrong_tanh: str) -> None:
    found = worker.measure(case("Relu"), [wrong_tanh], 0.005)
    assert set(found) == {wrong_tanh}
    assert found["off"]["cost"] == {}
    assert (found["off"]["trace"], found["off"]["compile"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "mode", "unit"),
    [
        ("Dense", "train", "rows"),
        ("Log", "forward", "rows"),  # of positive numbers
        ("Embedding", "train", "rows"),
        ("Dropout", "train", "rows"),
        ("BatchNorm", "train", "rows"),
        ("CrossEntropyLoss", "train", "rows"),
        ("MLP", "train", "rows"),
        ("RandomUniform", "forward", "calls"),
        ("Adam", "forward", "weights"),
        ("sentiment", "forward", "texts"),
    ],
)
def test_every_kind_of_thing_can_be_measured(name: str, mode: str, unit: str) -> None:
    found = worker.measure(case(name, mode), ["numpy"], 0.005)["numpy"]
    assert found.get("fault") is None
    assert found["unit"] == unit
    assert found["samples"]


def test_training_is_timed_with_the_gradients_of_weights_and_inputs() -> None:
    with use_backend("numpy") as backend:
        (loss, state), (of_weights, of_inputs) = program_of(case("Dense(3)", "train", "2x-x4")).job(backend).call()
        y, _ = program_of(case("Dense(3)", "forward", "2x-x4")).job(backend).call()
    assert (loss.shape, state) == ((), ())
    assert [gradient.shape for gradient in (*of_weights, *of_inputs)] == [(4, 3), (3,), (2, 4)]
    assert y.shape == (2, 3)


def test_an_optimizer_starts_from_where_it_has_been() -> None:
    with use_backend("numpy") as backend:
        job = program_of(case("Adam", "update", "2x-x3")).job(backend)
        first, second = job.call(), job.call()
    assert [weight.shape for weight in first[0]] == [(2, 3), (3,)]
    assert not np.array_equal(first[0][0], second[0][0])


def test_without_names_everything_with_an_example_is_measured() -> None:
    subjects, without = everything()
    names = {subject.text for subject in subjects}
    assert {"Dense", "MLP", "Adam", "CrossEntropyLoss"} <= names
    assert not names & set(without)
    assert "sentiment" not in names


# -------------------- asked for wrongly: nothing is measured


@pytest.fixture(autouse=True)
def nothing_starts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "refused" in request.node.name:
        monkeypatch.setattr("subprocess.Popen", None)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: lk.bench.run("Dens"), "no layer, model, optimizer or recipe 'Dens': did you mean 'Dense'"),
        (lambda: lk.bench.run("zzzzz"), r"recipe 'zzzzz': dir\(layerkit.layers\), dir\(layerkit.models\) and "),
        (lambda: lk.bench.run("Serial"), "layer 'Serial' has no example to measure it on: write @lk.example"),
        (lambda: lk.bench.run("Dense(open)"), r"'Dense\(open\)' is not understood"),
        (lambda: lk.bench.run("Dense(3"), r"'Dense\(3' is not understood"),
        (lambda: lk.bench.run("Dense(unit=3)"), "Dense does not take these arguments: .*'unit'"),
        (lambda: lk.bench.run("sentiment(3)"), "quick settings|does not take these arguments"),
        (lambda: lk.bench.run("Relu", backends=["nunpy"]), "unknown backend 'nunpy': did you mean 'numpy'"),
        (lambda: lk.bench.run("Relu", backends=[]), "no backend is given"),
        (lambda: lk.bench.run("Relu", sizes="big"), "sizes 'big': give batches"),
        (lambda: lk.bench.run("Relu", sizes="1000000x-x1000000"), "does not fit memory: it needs at least 1[0-9].0 TB"),
        (lambda: lk.bench.run("Relu", sizes=[16, 32]), r"sizes \[16, 32\]: give batches, as in 16,128"),
        (lambda: lk.bench.run("Relu", backends="nump"), "unknown backend 'nump': did you mean 'numpy'"),
        (lambda: lk.bench.run("Relu", seconds=0), "seconds must be a number above 0, got 0"),
        (lambda: lk.bench.run("Relu", seconds=float("inf")), "seconds must be a number above 0, got inf"),
        (lambda: lk.bench.run("Relu", seconds="1"), "seconds must be a number above 0, got '1'"),
        (lambda: lk.bench.run("Relu", processes=1.5), "processes must be a whole number of at least 1, got 1.5"),
        (lambda: lk.bench.run("Relu", processes=0), "processes must be a whole number of at least 1, got 0"),
    ],
)  # fmt: skip
def test_refused(ask: Callable[[], Any], words: str) -> None:
    with pytest.raises(lk.UsageError, match=words):
        ask()


def test_refused_for_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "missing_modules", lambda made: ("tpulib",))
    with pytest.raises(lk.UsageError, match=r"backend 'jax' cannot be measured: tpulib is not installed: pip install"):
        lk.bench.run("Relu", backends=["jax"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json", "no/such/folder/x.json"], "'no/such/folder/x.json' cannot be written: no such file or directory"),
        (["--html", "."], "'.' cannot be written"),
        (["--fail-above", "5%"], "--fail-above needs an earlier run to compare with"),
        (["--json", "x", "--html", "./x"], "--json and --html both write 'x': give each a file of its own"),
        (["--compare", "no.json"], "comparison file 'no.json' cannot be read"),
        (["--compare", "no.json", "--fail-above", "lots"], "--fail-above 'lots' is no percentage"),
    ],
)
def test_refused_by_the_command(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["Relu", *arguments])
    assert isinstance(done.exception, lk.UsageError)
    assert words in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_what_is_measured_is_shown_on_a_terminal_that_does_not_say_how_wide_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leader, follower = pytest.importorskip("pty").openpty()
    with open(leader, "rb") as seen, open(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert os.get_terminal_size(follower).columns == 0
        with _progress() as show:
            show("LayerNorm on numpy")
        assert b"LayerNorm on numpy" in os.read(seen.fileno(), 1000)


def test_a_backend_that_lacks_the_device(site: Site) -> None:
    pytest.importorskip("jax")
    done = site.layerkit("bench", "Relu", "--backends", "jax", LAYERKIT_DEVICE="gpu:97")
    fails(done, 2, "LAYERKIT_DEVICE: there is no device 'gpu:97'; known: ")


def test_the_command_is_told_by_one_line(site: Site) -> None:
    fails(site.layerkit("bench", "Dens"), 2, "did you mean 'Dense'?")
    fails(site.layerkit("bench", "Bare"), 2, "layer 'Bare' has no example")
    fails(site.layerkit("summary", "acme:Bare"), 2, "'acme:Bare' has no example", "lk.summary(Bare(...), signature)")


def test_a_worker_that_cannot_begin_says_why(site: Site) -> None:
    site.add("dud", "1.0", "backends = dud_backends", dud_backends="""
        import layerkit as lk
        def dud():
            raise SystemExit("no licence")
        @lk.hookimpl
        def layerkit_backends():
            return [dud]
    """)  # fmt: skip
    fails(site.layerkit("bench", "Relu", "--backends", "dud"), 1, "nothing could be measured", "no licence")


def test_the_process_that_measures_ends_with_the_one_that_asked_whatever_ended_that() -> None:
    with tempfile.TemporaryFile() as errors:
        process = Process([case("Relu")], ["numpy"], 600.0, turn=1)._started([0], errors)
        assert process.stdin
        assert process.stdout
        try:
            assert "about" in json.loads(process.stdout.readline())
            assert "begin" in json.loads(process.stdout.readline())
            process.stdin.close()  # as the system does where a process ends
            assert process.wait(10) == 1
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_use_backend_takes_a_backend_itself() -> None:
    with use_backend(registry.make_backend("numpy")) as backend:
        assert backend.name == "numpy"
