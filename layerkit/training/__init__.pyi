# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from layerkit.training import lr_schedules as lr_schedules
from layerkit.training.diagnose import NotFiniteError as NotFiniteError
from layerkit.training.history import History as History
from layerkit.training.loop import Loop as Loop
from layerkit.training.task import EvalTask as EvalTask
from layerkit.training.task import TrainTask as TrainTask

__all__: list[str]
