"""Residual networks for pictures: ResNet-50, and wide ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl

__all__ = ["Resnet50", "WideResnet"]


def _bottleneck(
    kernel_size: int,
    filters: Sequence[int],
    strides: tuple[int, int],
    widens: bool,
    norm: Callable[..., lk.Layer],
    non_linearity: Callable[[], lk.Layer],
    mode: str | None,
) -> list[lk.Layer]:
    """Three convolutions around which x goes by, through one of its own where its shape changes."""
    narrow, middle, wide = filters
    main = [
        tl.Conv(narrow, (1, 1), strides),
        norm(mode=mode),
        non_linearity(),
        tl.Conv(middle, (kernel_size, kernel_size), padding="SAME"),
        norm(mode=mode),
        non_linearity(),
        tl.Conv(wide, (1, 1)),
        norm(mode=mode),
    ]
    shortcut = [tl.Conv(wide, (1, 1), strides), norm(mode=mode)] if widens else None
    return [tl.Residual(*main, shortcut=shortcut), non_linearity()]


# The example is of evaluation: 50 layers that normalize a tiny batch make large differences of roundings.
@lk.example(lk.f32(2, 16, 16, 3), d_hidden=2, n_output_classes=3, mode="eval")
@arguments.in_own_name
def Resnet50(
    d_hidden: int = 64,
    n_output_classes: int = 1001,
    mode: str | None = None,
    norm: Callable[..., lk.Layer] | None = None,
    non_linearity: Callable[[], lk.Layer] | None = None,
) -> lk.Layer:
    """Scores of a picture's classes, from 50 layers.    x: (b, h, w, c)    scores: (b, n_output_classes)

    Pictures of any size from 16 by 16: what the last convolution gives is averaged over all places.

    He et al., "Deep residual learning for image recognition", CVPR 2016, arXiv 1512.03385.

    Args:
        d_hidden: the features of the first convolution; others have up to 32 times as many.
        n_output_classes: how many classes there are.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.
        norm: makes normalization, called with ``mode=``; ``tl.BatchNorm`` unless given.
        non_linearity: makes activations; ``tl.Relu`` unless given.

    Raises:
        LayerError: an argument is out of range; a picture is too small.

    >>> Resnet50(d_hidden=2, n_output_classes=3).output_signature(lk.f32(1, 32, 32, 3))
    float32[1,3]
    """
    own = "Resnet50"
    d = arguments.whole_number(own, "d_hidden", d_hidden)
    norm = arguments.maker(own, "norm", norm or tl.BatchNorm, "mode", such_as="tl.BatchNorm")
    activation = arguments.maker(own, "non_linearity", non_linearity or tl.Relu)

    def stage(n_blocks: int, width: int, strides: tuple[int, int]) -> list[lk.Layer]:
        filters = (width, width, 4 * width)
        first = _bottleneck(3, filters, strides, True, norm, activation, mode)
        others = [_bottleneck(3, filters, (1, 1), False, norm, activation, mode) for _ in range(n_blocks - 1)]
        return first + [layer for block in others for layer in block]

    return lk.Serial(
        tl.ToFloat(),
        tl.Conv(d, (7, 7), (2, 2), "SAME"),
        norm(mode=mode),
        activation(),
        tl.MaxPool((3, 3), strides=(2, 2)),
        stage(3, d, (1, 1)),
        stage(4, 2 * d, (2, 2)),
        stage(6, 4 * d, (2, 2)),
        stage(3, 8 * d, (2, 2)),
        tl.Mean(axis=(1, 2)),
        tl.Dense(n_output_classes),
        name=own,
    )


def _wide_block(channels: int, strides: tuple[int, int], widens: bool, momentum: float, mode: str | None) -> lk.Layer:
    main = [
        tl.BatchNorm(momentum=momentum, mode=mode),
        tl.Relu(),
        tl.Conv(channels, (3, 3), strides, "SAME"),
        tl.BatchNorm(momentum=momentum, mode=mode),
        tl.Relu(),
        tl.Conv(channels, (3, 3), padding="SAME"),
    ]
    return tl.Residual(*main, shortcut=tl.Conv(channels, (1, 1), strides, "SAME") if widens else None)


@lk.example(lk.f32(2, 8, 8, 3), n_blocks=1, n_output_classes=3, rows_independent=False)
@arguments.in_own_name
def WideResnet(
    n_blocks: int = 3,
    widen_factor: int = 1,
    n_output_classes: int = 10,
    bn_momentum: float = 0.9,
    mode: str | None = None,
) -> lk.Layer:
    """Scores of a picture's classes, from 6 n_blocks + 4 layers.    x: (b, h, w, c)    scores: (b, n_output_classes)

    Zagoruyko and Komodakis, "Wide residual networks", BMVC 2016, arXiv 1605.07146.

    Args:
        n_blocks: how many blocks each of the three groups has.
        widen_factor: how many times 16, 32 and 64 features they have.
        n_output_classes: how many classes there are.
        bn_momentum: ``momentum`` of ``BatchNorm``.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.

    Raises:
        LayerError: an argument is out of range.

    >>> WideResnet(n_blocks=1).output_signature(lk.f32(1, 32, 32, 3))
    float32[1,10]
    """
    own = "WideResnet"
    n = arguments.whole_number(own, "n_blocks", n_blocks)
    widen = arguments.whole_number(own, "widen_factor", widen_factor)

    def group(channels: int, strides: tuple[int, int]) -> list[lk.Layer]:
        first = _wide_block(channels * widen, strides, True, bn_momentum, mode)
        return [first, *[_wide_block(channels * widen, (1, 1), False, bn_momentum, mode) for _ in range(n - 1)]]

    return lk.Serial(
        tl.ToFloat(),
        tl.Conv(16, (3, 3), padding="SAME"),
        group(16, (1, 1)),
        group(32, (2, 2)),
        group(64, (2, 2)),
        tl.BatchNorm(momentum=bn_momentum, mode=mode),
        tl.Relu(),
        tl.Mean(axis=(1, 2)),
        tl.Dense(n_output_classes),
        name=own,
    )
