"""Training: tasks, the loop that runs them, what it remembers, and what it writes to disk."""

from layerkit.faces import face

_HOMES = {
    "": "lr_schedules",
    "diagnose": "NotFiniteError",
    "history": "History",
    "loop": "Loop",
    "task": "EvalTask TrainTask",
}

__getattr__, __dir__, __all__ = face(__name__, _HOMES)
