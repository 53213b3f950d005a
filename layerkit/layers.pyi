# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from typing import Any

from layerkit.axes import BatchLeadingAxes as BatchLeadingAxes
from layerkit.axes import Bidirectional as Bidirectional
from layerkit.branching import Cache as Cache
from layerkit.branching import Cond as Cond
from layerkit.combinators import Add as Add
from layerkit.combinators import Branch as Branch
from layerkit.combinators import Concatenate as Concatenate
from layerkit.combinators import Drop as Drop
from layerkit.combinators import Dup as Dup
from layerkit.combinators import FlattenList as FlattenList
from layerkit.combinators import Gate as Gate
from layerkit.combinators import Multiply as Multiply
from layerkit.combinators import Parallel as Parallel
from layerkit.combinators import Residual as Residual
from layerkit.combinators import Select as Select
from layerkit.combinators import Serial as Serial
from layerkit.combinators import SerialWithSideOutputs as SerialWithSideOutputs
from layerkit.combinators import Split as Split
from layerkit.combinators import SubtractTop as SubtractTop
from layerkit.combinators import Swap as Swap
from layerkit.combinators import inputs_from_stack as inputs_from_stack
from layerkit.combinators import outputs_onto_stack as outputs_onto_stack
from layerkit.combinators import sequence_arity as sequence_arity
from layerkit.layer import Fn as Fn
from layerkit.layer import Layer as Layer
from layerkit.layer import LayerError as LayerError
from layerkit.layer import PureLayer as PureLayer
from layerkit.looping import Chunk as Chunk
from layerkit.looping import Map as Map
from layerkit.looping import Scan as Scan

def __getattr__(name: str) -> Any: ...  # whatever other plugins offer
