"""What autograd lends: formulas for the gradients of functions that have none here. Importing this imports autograd.

Its formulas compute with its own functions, on boxes of layerkit's, which it is told of here.
"""

from __future__ import annotations

from typing import Any

from autograd import numpy as anp
from autograd.core import VJPNode, primitive_vjps
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import Box as AutogradBox
from autograd.tracer import notrace_primitives

from layerkit_plugins.backends.numpy.boxes import Box, Node
from layerkit_plugins.backends.numpy.namespace import box_types, differentiable

__all__ = ["anp", "rule"]

# What ArrayBox.register would do, except to claim ndarray for this class everywhere.
AutogradBox.types.add(Box)
AutogradBox.type_mappings[Box] = Box
notrace_primitives[Node] = notrace_primitives[VJPNode]
box_types.add(ArrayBox)


def rule(function: Any) -> Any:
    """autograd's gradient of a function of its own, or of the one of that name; ``None`` where it has none."""
    mine = differentiable.get(function.__name__) is function
    return primitive_vjps.get(getattr(anp, function.__name__) if mine else function)
