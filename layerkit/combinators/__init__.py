"""Combinators: layers made of layers, over a data stack.

A layer takes its n_in arrays from the top of the stack and puts its n_out arrays back. With F (1 in, 1 out), G (3 in,
1 out) and H (2 in, 2 out):

- ``Serial(F, G)`` runs one after the other; it takes what the sequence needs from below (3 in, 1 out).
- ``Parallel(F, G, H)`` gives each its own consecutive slice (6 in, 4 out).
- ``Branch(F, G, H)`` gives each a copy of what lies on top (3 in, 4 out).
"""

from layerkit.faces import face

_HOMES = {
    "axes": "BatchLeadingAxes Bidirectional",
    "branching": "Cache Cond",
    "composing": "Branch Parallel Residual Serial SerialWithSideOutputs",
    "looping": "Chunk Map Scan",
    "routing": "Add Concatenate Drop Dup FlattenList Gate Multiply Select Split SubtractTop Swap",
    "stack": "inputs_from_stack outputs_onto_stack sequence_arity",
}

__getattr__, __dir__, __all__ = face(__name__, _HOMES)
