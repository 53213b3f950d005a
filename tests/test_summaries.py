"""What layers leave for the run's log: lines, history, TensorBoard, picture files."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers as opt
from layerkit.data import ArrayBatches
from layerkit.training import Loop, TrainTask

IMAGES = onp.random.default_rng(0).uniform(0, 1, (20, 4, 3, 1)).astype("float32")
LABELS = onp.arange(20) % 2


def make(folder: Path | None = None, layers: Any = (), **options: Any) -> tuple[Loop, list[str]]:
    lines: list[str] = []
    model = tl.Serial(
        tl.SummaryImage("what it sees", 1, 2), tl.Flatten(), tl.Dense(3), *layers, tl.Dense(2), tl.LogSoftmax()
    )
    batches = ArrayBatches(IMAGES, LABELS, 8, shuffle=False)
    task = TrainTask(batches, tl.CrossEntropyLoss(), opt.SGD(0.1), n_steps_per_checkpoint=3)
    return Loop(model, [task], output_dir=folder, log=lines.append, **options), lines


def read_png(path: Path) -> Any:
    """The pixels of a PNG file without filters, checked chunk by chunk."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + size
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    rows = onp.frombuffer(zlib.decompress(chunks[b"IDAT"]), "uint8").reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, {0: 1, 2: 3, 6: 4}[colour])


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_number_of_the_last_step_is_logged_with_the_loss(backend: str) -> None:
    with lk.use_backend(backend):
        size = tl.SummaryScalar("size", lambda x: abs(x).max())
        loop, lines = make(layers=[tl.Relu(), size])
        loop.run(6)
        assert [line[:35] for line in lines] == [
            f"Step {step:6d}: train {name:>16}"
            for step, name in itertools.product((1, 3, 6), ("CrossEntropyLoss", "size"))
        ]
        values = loop.history.get("train", "size")
        assert [step for step, _ in values] == [1, 3, 6]
        assert values[-1][1] == float(loop.model.sublayers[4].state)
        assert values[0][1] != values[-1][1]


def test_images_are_written_beside_the_checkpoints(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        loop, _ = make(tmp_path / "run")
        loop.run(3)
    files = sorted(path.name for path in (tmp_path / "run" / "images").iterdir())
    assert files == [f"what_it_sees-{step}-{k}.png" for step in (1, 3) for k in (0, 1)]
    first = read_png(tmp_path / "run" / "images" / "what_it_sees-1-1.png")
    assert onp.array_equal(first, onp.round(IMAGES[1] * 255).astype("uint8"))
    third = read_png(tmp_path / "run" / "images" / "what_it_sees-3-0.png")
    assert onp.array_equal(third, onp.round(IMAGES[16] * 255).astype("uint8"))


def test_a_summary_survives_a_checkpoint_and_an_evaluation(tmp_path: Path) -> None:
    layers = lambda: [tl.SummaryScalar("mean")]
    with lk.use_backend("numpy"):
        whole, _ = make(layers=layers())
        whole.run(6)
        first, _ = make(tmp_path, layers())
        first.run(3)
        second, _ = make(tmp_path, layers())
        kept = second.model.sublayers[3].state
        second.model(IMAGES)
        assert second.model.sublayers[3].state == kept
        second.run(3)
    assert second.history.get("train", "mean") == whole.history.get("train", "mean")


def test_a_smaller_batch_keeps_the_images_it_lacks() -> None:
    with lk.use_backend("numpy"):
        layer = tl.SummaryImage("x", 1, 3)
        layer.init(lk.f32(4, 1, 1, 1))
        layer(onp.full((4, 1, 1, 1), 0.5, "float32"), training=True)
        layer(onp.ones((1, 1, 1, 1), "float32"), training=True)
        assert layer.state.ravel().tolist() == [1.0, 0.5, 0.5]


def test_colours_and_numbers_beyond_the_range(tmp_path: Path) -> None:
    from layerkit.training.summaries import write_images

    image = onp.array([[[0.0, 0.5, 2.0], [-1.0, onp.nan, 1.0]]])
    write_images(tmp_path, 7, {"a/b": image[None]})
    assert read_png(tmp_path / "images" / "a_b-7-0.png").tolist() == [[[0, 128, 255], [0, 0, 255]]]


def test_tensorboard_gets_both(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    with lk.use_backend("numpy"):
        loop, _ = make(tmp_path, [tl.SummaryScalar("mean")], tensorboard=True)
        loop.run(1)
    (file,) = (tmp_path / "train").iterdir()
    events = file.read_bytes()
    assert b"mean" in events
    assert b"what it sees" in events or b"what_it_sees" in events


def test_two_summaries_of_one_name_are_refused() -> None:
    with lk.use_backend("numpy"):
        for layers, name in (
            ([tl.SummaryScalar("x"), tl.SummaryScalar("x")], "x"),
            ([tl.SummaryScalar("CrossEntropyLoss")], "CrossEntropyLoss"),
        ):
            with pytest.raises(lk.UsageError) as caught:
                make(layers=layers)
            assert str(caught.value).endswith(
                f"the log has two summaries named {name!r}: give one of them another name"
            )


def test_an_image_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    from layerkit.training.summaries import write_images

    (tmp_path / "images").write_text("in the way")
    with pytest.raises(lk.LayerkitError, match=r"images/x-1-0.png cannot be written: \w") as caught:
        write_images(tmp_path, 1, {"x": onp.zeros((1, 1, 1, 1))})
    assert "\n" not in str(caught.value)


def test_an_image_takes_the_place_of_one_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerkit.training.summaries import write_images

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    write_images(tmp_path, 1, {"x": onp.zeros((1, 1, 1, 1))})
    before = (tmp_path / "images" / "x-1-0.png").read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(lk.LayerkitError, match=r"x-1-0.png cannot be written: no space left on device"):
        write_images(tmp_path, 1, {"x": onp.ones((1, 1, 1, 1))})
    assert {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()} == {"x-1-0.png": before}
