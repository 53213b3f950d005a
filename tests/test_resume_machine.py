"""A run that is trained, saved, stopped, killed, damaged and resumed in any order stays the run that it is."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from damage import cut, flip
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from training_setups import batches, classifier, eval_task, host, train_task

import layerkit as lk
from layerkit.errors import LayerkitWarning
from layerkit.training import checkpoint

MOST = 12  # steps of a run

_truth: dict[int, tuple[list[Any], Any]] = {}
"""(weights, history) after each step of a run that nothing happened to."""


def make(folder: Path | None, **options: Any) -> lk.Loop:
    """A loop with dropout, slots, shuffling and evaluation, that saves when it is told to."""
    defaults: dict[str, Any] = {"checkpoint_at": (lambda step: False) if folder else None, "log": None}
    defaults |= {"learning_curve": False, "eval_tasks": eval_task(), "keep_checkpoints": 3, "output_dir": folder}
    return lk.Loop(classifier(0.4), train_task(every=3), **(defaults | options))


def truth() -> dict[int, tuple[list[Any], Any]]:
    if not _truth:
        loop = make(None)
        for step in range(MOST + 1):
            _truth[step] = [array.copy() for array in host(loop.model.weights)], loop.history.to_dict()
            loop.run(1)
    return _truth


class Runs(RuleBasedStateMachine):
    """One run folder, the loop that works in it, and what must be true of both."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = lk.use_backend("numpy")
        self.backend.__enter__()
        truth()
        self.folder = Path(tempfile.mkdtemp(prefix="layerkit-machine-"))
        self.saved: list[int] = []
        self.loop: Any = None

    @initialize()
    def start(self) -> None:
        self.loop = make(self.folder)

    @rule(steps=st.integers(1, 3))
    def train(self, steps: int) -> None:
        self.loop.run(min(steps, MOST - self.loop.step))

    @rule(background=st.booleans())
    def train_and_save(self, background: bool) -> None:
        if self.loop.step < MOST:
            self.loop = make(self.folder, checkpoint_at=lambda step: True, save_in_background=background)
            if self.loop.step < MOST:
                self.loop.run(1)
                self._note_save()
            self.loop = make(self.folder)

    @rule()
    def save(self) -> None:
        self.loop.save_checkpoint()
        self._note_save()

    @rule(half_written=st.sampled_from(["", "draft", "gone", "moved aside"]))
    def kill(self, half_written: str) -> None:
        """The process is gone, and with it all that was not saved; perhaps in the middle of something."""
        parent = self.folder / "checkpoints"
        if half_written == "draft":
            (parent / ".step-00000099.draft").mkdir(parents=True, exist_ok=True)
            (parent / ".step-00000099.draft" / "weights.safetensors").write_bytes(b"half")
        elif self.saved and half_written == "moved aside":
            newest = checkpoint.folder_name(self.saved[-1])
            (parent / newest).rename(parent / f".{newest}.old")
        elif len(self.saved) > 1 and half_written == "gone":
            oldest = checkpoint.folder_name(self.saved.pop(0))
            (parent / oldest).rename(parent / f".{oldest}.gone")
        self.loop = make(self.folder)
        assert self.loop.step == (self.saved[-1] if self.saved else 0)
        assert not list(parent.glob(".*"))

    @rule(seed=st.integers(0, 2**16))
    def damage_the_newest(self, seed: int) -> None:
        if len(self.saved) < 2:
            return
        rng, newest = random.Random(seed), self.folder / "checkpoints" / checkpoint.folder_name(self.saved[-1])
        path = rng.choice(sorted(newest.iterdir()))
        size = path.stat().st_size
        rng.choice([lambda: flip(path, rng.randrange(8 * size)), lambda: cut(path, rng.randrange(size)), path.unlink])()
        with pytest.raises(lk.LayerkitError):
            make(self.folder, strict=True)
        with pytest.warns(LayerkitWarning, match="the last one that is sound"):
            self.loop = make(self.folder)
        self.saved.pop()
        assert self.loop.step == self.saved[-1]
        self.loop.save_checkpoint()  # what is damaged goes

    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        if self.saved:
            step = data.draw(st.sampled_from(self.saved))
            self.loop.load_checkpoint(self.folder / "checkpoints" / checkpoint.folder_name(step))
            assert self.loop.step == step

    @rule()
    def another_model_is_refused(self) -> None:
        if self.saved:
            with pytest.raises(lk.LayerkitError, match="belongs to another"):
                lk.Loop(classifier(0.3), train_task(batches(), every=3), output_dir=self.folder, log=None)

    def _note_save(self) -> None:
        step = self.loop.step
        self.saved = [*(s for s in self.saved if s < step), step][-3:]

    @invariant()
    def the_run_is_the_one_it_would_have_been(self) -> None:
        if self.loop is None:
            return
        weights, history = truth()[self.loop.step]
        assert all((a == b).all() for a, b in zip(host(self.loop.model.weights), weights, strict=True))
        assert self.loop.history.to_dict() == history
        assert checkpoint.steps(self.folder / "checkpoints") == self.saved

    def teardown(self) -> None:
        self.backend.__exit__(None, None, None)
        shutil.rmtree(self.folder)


Runs.TestCase.settings = settings(
    max_examples=settings().max_examples // 12,  # of many steps each
    stateful_step_count=12,
    deadline=None,
)
TestRuns = pytest.mark.fuzz(Runs.TestCase)
