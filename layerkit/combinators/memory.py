"""The place in a combinator's state for what the combinator itself remembers from call to call."""

from __future__ import annotations

from layerkit.layer import Layer

__all__ = ["Memory"]


class Memory(Layer):
    """A sublayer that is never run: its state is that of the combinator around it.

    State is a tuple with one entry for each sublayer; this is the entry of a combinator that remembers something.
    """
