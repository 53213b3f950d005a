"""Training: tasks, the loop that runs them, what it remembers, and what it writes to disk."""

from layerkit.training import lr_schedules
from layerkit.training.diagnose import NotFiniteError
from layerkit.training.history import History
from layerkit.training.loop import Loop
from layerkit.training.task import EvalTask, TrainTask

__all__ = ["EvalTask", "History", "Loop", "NotFiniteError", "TrainTask", "lr_schedules"]
