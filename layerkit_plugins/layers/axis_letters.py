"""The axes of a convolution, in letters: where examples, features and places are in x, kernel and y."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import layerkit as lk
from layerkit.errors import shown
from layerkit.fastmath import numpy as np
from layerkit.initializers import GlorotUniformInitializer

__all__ = ["AxisLetters"]

_ALONG = {1: "W", 2: "HW", 3: "DHW"}


class AxisLetters:
    """Where the axes of x, kernel and y are, and how they come to (n, lengths..., c), (widths..., c, f) and back.

    Args:
        layer: the layer's name, for errors.
        letters: such as ``("NHWC", "HWIO", "NHWC")``; ``None`` for the features last.
        n_axes: how many axes the kernel goes along.

    Raises:
        LayerError: the letters are not those of one layout.
    """

    def __init__(self, layer: str, letters: Sequence[str] | None, n_axes: int) -> None:
        if letters is None:
            along = _ALONG.get(n_axes) or "".join(map(chr, range(ord("a"), ord("a") + n_axes)))
            letters = (f"N{along}C", f"{along}IO", f"N{along}C")
        known = isinstance(letters, (tuple, list)) and len(letters) == 3 and all(isinstance(s, str) for s in letters)
        self.x, self.kernel, self.y = letters if known else ("", "", "")
        self.along = "".join(letter for letter in self.x if letter not in "NC")
        layouts = [(self.x, "NC"), (self.kernel, "IO"), (self.y, "NC")]
        if not known or any(sorted(one) != sorted(self.along + ends) for one, ends in layouts):
            raise lk.LayerError(
                f"{layer}: dimension_numbers are the axes of x, kernel and y in letters, such as "
                f"('NHWC', 'HWIO', 'NHWC'), got {shown(letters)}"
            )
        if len(self.along) != n_axes or len(set(self.along)) != n_axes:
            raise lk.LayerError(f"{layer}: a kernel_size of {n_axes} numbers, and axes {self.x!r}, do not go together")

    def glorot(self) -> Any:
        """The initializer for a kernel with these axes."""
        return GlorotUniformInitializer(self.kernel.index("O"), self.kernel.index("I"))

    def kernel_shape(self, widths: Sequence[int], n_in: int, n_out: int) -> tuple[int, ...]:
        sizes = {**dict(zip(self.along, widths, strict=True)), "I": n_in, "O": n_out}
        return tuple(sizes[letter] for letter in self.kernel)

    def features(self, x: Any) -> int:
        """The number of features of x (an array or a signature).

        Raises:
            LayerError: it has too few axes; or more, which count as examples, and the examples do not come first.
        """
        extra = len(x.shape) - len(self.x)
        if extra < 0 or (extra and not self.x[0] == self.y[0] == "N"):
            due = ", ".join(self.x)
            raise lk.LayerError(f"expected {len(self.x)} axes ({due}), got {tuple(x.shape)}")
        return int(x.shape[extra + self.x.index("C")])

    def kernel_features(self, kernel: Any) -> int:
        return int(kernel.shape[self.kernel.index("I")])

    def rows(self, x: Any) -> tuple[Any, tuple[int, ...]]:
        """x as (n, lengths..., c), and the axes before its last ones that were joined in n."""
        leading = tuple(x.shape[: len(x.shape) - len(self.x) + 1])
        if len(x.shape) > len(self.x):
            x = np.reshape(x, (math.prod(leading), *x.shape[len(leading) :]))
        return _turned(x, self.x, f"N{self.along}C"), leading

    def plain_kernel(self, kernel: Any) -> Any:
        return _turned(kernel, self.kernel, f"{self.along}IO")

    def outputs(self, y: Any, leading: tuple[int, ...]) -> Any:
        """y (n, lengths..., f) with its axes as they are due."""
        y = _turned(y, f"N{self.along}C", self.y)
        return np.reshape(y, (*leading, *y.shape[1:])) if len(leading) > 1 else y


def _turned(x: Any, letters: str, wanted: str) -> Any:
    return x if letters == wanted else np.transpose(x, [letters.index(letter) for letter in wanted])
