"""Training: tasks, the loop that runs them, what it remembers, and what it writes to disk.

To be read from the outside in:

- what there is to do: ``task``, its batches (``source``, ``batch``), ``lr_schedules``, ``parts`` (their optimizers)
- the run: ``loop``, which has ``feed`` bring batches, ``steps`` make steps, ``measuring`` take figures and ``output``
  keep checkpoints
- a step: ``start`` (what comes before the first), ``variables`` (all that steps change), ``step`` (compiled),
  ``step_in_place`` (on NumPy), ``precision``, ``own`` (copies)
- tables by the rows that a batch reads: ``tables`` (which tables), ``row_ids`` (which rows), ``lazy_rows`` (in a
  program), ``rows_in_place`` and ``row_buffers`` (on NumPy)
- figures: ``history``, ``evaluate``, ``summaries``, ``log``, ``scalars``, ``picture``
- the disk: ``saving``, ``checkpoint``, ``keeping``, ``background``, ``identity``, ``limits``
- what goes wrong: ``diagnose``, ``replay`` (a step again, layer by layer), ``interrupt``
"""

from layerkit.faces import face

_HOMES = {
    "": "lr_schedules",
    "diagnose": "NotFiniteError",
    "history": "History",
    "loop": "Loop",
    "task": "EvalTask TrainTask",
}

__getattr__, __dir__, __all__ = face(__name__, _HOMES)
