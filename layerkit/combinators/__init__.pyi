# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from layerkit.combinators.axes import BatchLeadingAxes as BatchLeadingAxes
from layerkit.combinators.axes import Bidirectional as Bidirectional
from layerkit.combinators.branching import Cache as Cache
from layerkit.combinators.branching import Cond as Cond
from layerkit.combinators.composing import Branch as Branch
from layerkit.combinators.composing import Parallel as Parallel
from layerkit.combinators.composing import Residual as Residual
from layerkit.combinators.composing import Serial as Serial
from layerkit.combinators.composing import SerialWithSideOutputs as SerialWithSideOutputs
from layerkit.combinators.looping import Chunk as Chunk
from layerkit.combinators.looping import Map as Map
from layerkit.combinators.looping import Scan as Scan
from layerkit.combinators.routing import Add as Add
from layerkit.combinators.routing import Concatenate as Concatenate
from layerkit.combinators.routing import Drop as Drop
from layerkit.combinators.routing import Dup as Dup
from layerkit.combinators.routing import FlattenList as FlattenList
from layerkit.combinators.routing import Gate as Gate
from layerkit.combinators.routing import Multiply as Multiply
from layerkit.combinators.routing import Select as Select
from layerkit.combinators.routing import Split as Split
from layerkit.combinators.routing import SubtractTop as SubtractTop
from layerkit.combinators.routing import Swap as Swap
from layerkit.combinators.stack import inputs_from_stack as inputs_from_stack
from layerkit.combinators.stack import outputs_onto_stack as outputs_onto_stack
from layerkit.combinators.stack import sequence_arity as sequence_arity

__all__: list[str]
