"""What the JAX backend does beyond NumPy's: compile, donate, keep programs on disk, choose a device."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.fastmath import numpy as np

jax = pytest.importorskip("jax", reason="the JAX backend is tested where jax is installed")


@pytest.fixture(autouse=True)
def backend() -> Iterator[Any]:
    with lk.use_backend("jax") as active:
        yield active


def run(program: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Runs a Python program; an environment variable given as None is taken away."""
    settings = {**os.environ, "LAYERKIT_BACKEND": "jax", **environment}
    left = {name: value for name, value in settings.items() if value is not None}
    return subprocess.run([sys.executable, "-c", program], env=left, capture_output=True, text=True, check=False)


# Compiling --------------------------------------------------------------------------------------------------------


def test_a_jitted_function_is_jax_s_own(backend: Any) -> None:
    """So that a call costs what jax's dispatch costs, and no more."""
    assert type(backend.jit(lambda x: x)) is type(jax.jit(lambda x: x))


def test_a_donated_buffer_holds_the_result() -> None:
    step = fm.jit(lambda weights, gradient: (weights[0] - gradient,), donate_argnums=(0,))
    weights, gradient = (np.ones(1000),), np.ones(1000)
    place = weights[0].unsafe_buffer_pointer()
    (new,) = step(weights, gradient)
    assert weights[0].is_deleted()
    assert not gradient.is_deleted()
    assert new.unsafe_buffer_pointer() == place


def test_what_was_brought_to_the_host_survives_a_donation() -> None:
    step = fm.jit(lambda weights: weights * 0, donate_argnums=(0,))
    weights = np.ones(1000)
    kept = fm.to_host(weights)
    fm.block_until_ready(step(weights))
    assert (kept == 1).all()


def test_a_donation_nobody_can_use_says_nothing_and_other_warnings_are_heard() -> None:
    def shrink(x: Any) -> Any:
        warnings.warn("said by the function", UserWarning, stacklevel=1)
        return np.sum(x)

    if jax.default_backend() != "cpu":
        pytest.skip("on an accelerator a donation in vain is worth a warning")
    with pytest.warns(UserWarning, match="said by") as heard:
        fm.jit(shrink, donate_argnums=(0,))(np.ones(7))
    assert [str(warning.message) for warning in heard] == ["said by the function"]


def test_static_arguments() -> None:
    assert fm.to_host(fm.jit(lambda n, x: np.tile(x, n), static_argnums=(0,))(3, np.ones(2))).shape == (6,)


def test_compilations_are_counted() -> None:
    double = fm.jit(lambda x: x * 2)
    x, y = np.ones(5), np.ones(6)
    before = fm.compilations()
    double(x)
    assert fm.compilations() == before + 1
    double(x + 0)
    after = fm.compilations()
    double(x)
    assert fm.compilations() == after
    double(y)
    assert fm.compilations() == after + 1


def test_compilations_in_threads_are_counted() -> None:
    inputs = [fm.block_until_ready(np.ones(20 + n)) for n in range(8)]
    before = fm.compilations()

    def work(x: Any) -> None:
        with lk.use_backend("jax"):
            fm.jit(lambda x: x * 3)(x)

    threads = [threading.Thread(target=work, args=(x,)) for x in inputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fm.compilations() == before + 8


# Programs on disk -------------------------------------------------------------------------------------------------

DOUBLED = """
import jax
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None)
from layerkit import fastmath as fm
from layerkit.fastmath import numpy as np
print(fm.jit(lambda x: x * 2)(np.ones(3)).tolist(), "read" if hits else "compiled", fm.compilations())
"""


def programs(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*-cache"))


def test_programs_are_kept_and_used_again(tmp_path: Path) -> None:
    first = run(DOUBLED, LAYERKIT_CACHE=str(tmp_path / "new"), JAX_COMPILATION_CACHE_DIR=None)
    kept = programs(tmp_path)
    assert kept
    second = run(DOUBLED, LAYERKIT_CACHE=str(tmp_path / "new"), JAX_COMPILATION_CACHE_DIR=None)
    assert programs(tmp_path) == kept
    said = [done.stdout.split("] ")[1].split() for done in (first, second)]
    assert [words[0] for words in said] == ["compiled", "read"]
    assert said[0][1] == said[1][1], "a program counts whether it is compiled or read"
    assert first.stderr + second.stderr == ""


def test_the_user_s_cache_folder(tmp_path: Path) -> None:
    clear = {"LAYERKIT_CACHE": None, "JAX_COMPILATION_CACHE_DIR": None}
    run(DOUBLED, **clear, XDG_CACHE_HOME=str(tmp_path / "xdg"))
    assert programs(tmp_path / "xdg" / "layerkit" / "xla")
    run(DOUBLED, **clear, XDG_CACHE_HOME=None, HOME=str(tmp_path / "home"))
    assert programs(tmp_path / "home" / ".cache" / "layerkit" / "xla")


@pytest.mark.parametrize(
    "environment",
    [
        {"LAYERKIT_CACHE": "off"},
        {"LAYERKIT_CACHE": "{tmp}/a file/xla"},
        {"LAYERKIT_CACHE": "{tmp}/a file"},
        {"LAYERKIT_CACHE": None, "XDG_CACHE_HOME": "{tmp}/a file"},
        {"LAYERKIT_CACHE": None, "XDG_CACHE_HOME": None, "HOME": "/dev/null"},
        {"LAYERKIT_CACHE": "~nobody-of-that-name/xla"},
        {"JAX_COMPILATION_CACHE_DIR": "{tmp}/chosen", "LAYERKIT_CACHE": "{tmp}/not this"},
    ],
    ids=["off", "under a file", "a file", "a file for a cache folder", "no home", "nobody's home", "jax's own"],
)
def test_no_programs_are_kept(environment: dict[str, str | None], tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    places = {name: value and value.format(tmp=tmp_path) for name, value in environment.items()}
    done = run(DOUBLED, **{"JAX_COMPILATION_CACHE_DIR": None, **places})
    assert done.stdout.startswith("[2.0, 2.0, 2.0] compiled")
    assert done.stderr == ""
    assert not (tmp_path / "not this").exists()
    assert not list(tmp_path.rglob("jit_*"))


def test_a_disk_without_room_for_programs_is_no_news(tmp_path: Path) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    done = run(full + DOUBLED, LAYERKIT_CACHE=str(tmp_path), JAX_COMPILATION_CACHE_DIR=None)
    assert done.stdout.startswith("[2.0, 2.0, 2.0] compiled")
    assert done.stderr == ""


# Devices ----------------------------------------------------------------------------------------------------------

PLACED = "from layerkit import fastmath as fm\nfrom layerkit.fastmath import numpy as np\n"
THREE = "--xla_force_host_platform_device_count=3"


def test_the_device_is_chosen_by_name() -> None:
    done = run(
        PLACED + "print(fm.devices(), np.zeros(2).devices(), fm.to_device([1.0], 'CPU:1')[0].devices())",
        LAYERKIT_DEVICE="cpu:2",
        XLA_FLAGS=THREE,
    )
    assert done.stdout == "['cpu:2', 'cpu:0', 'cpu:1'] {CpuDevice(id=2)} {CpuDevice(id=1)}\n", done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("wanted", ["quantum", "cpu:3", "cpu:-1", "cpu:x", "cpu:0:1", ":0", " "])
def test_a_device_that_is_not_there(wanted: str) -> None:
    done = run(PLACED + "np.zeros(2)", LAYERKIT_DEVICE=wanted, XLA_FLAGS=THREE, JAX_PLATFORMS="cpu")
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f"LAYERKIT_DEVICE: there is no device {wanted!r}; known: cpu:0, cpu:1, cpu:2")
    assert "UsageError" in last


@pytest.mark.parametrize("wanted", ["cuda", "quantum"])
def test_platforms_that_are_not_there(wanted: str) -> None:
    """Without a GPU, jax says of cuda nothing but AssertionError, and only once something is computed."""
    if wanted == "cuda" and jax.default_backend() == "gpu":
        pytest.skip("there is a GPU")
    done = run("import layerkit as lk; lk.layers.Dense(2).init(lk.f32(1, 2))", JAX_PLATFORMS=wanted)
    last = done.stderr.splitlines()[-1]
    assert f"UsageError: JAX_PLATFORMS is {wanted!r}, where jax cannot start: " in last
    assert last.endswith(": unset it, or install a jax that can")


def test_arrays_go_to_a_named_device() -> None:
    tree = fm.to_device({"a": [1.0, 2], "b": np.arange(3)}, "cpu")
    assert [leaf.dtype.name for leaf in fm.tree_leaves(tree)] == ["float32", "int32", "int32"]
    assert not any(leaf.weak_type for leaf in fm.tree_leaves(tree)), "weak types are compiled for once more"
    with pytest.raises(lk.UsageError, match="to_device: there is no device 'cpu:99'; known: "):
        fm.to_device(1.0, "cpu:99")


def test_devices_in_words() -> None:
    assert fm.devices()[0].startswith(jax.devices()[0].platform + ":0")


def test_a_gpu_that_is_not_used_is_not_talked_about(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("jax._src.xla_bridge")
    logger.warning("An NVIDIA GPU may be present on this machine, but a CUDA-enabled jaxlib is not installed.")
    logger.warning("Something else is wrong.")
    assert [record.getMessage() for record in caplog.records] == ["Something else is wrong."]


def test_numpy_does_not_import_jax() -> None:
    done = run(PLACED + "np.zeros(2)\nimport sys\nprint('jax' in sys.modules)", LAYERKIT_BACKEND="numpy")
    assert done.stdout == "False\n"
