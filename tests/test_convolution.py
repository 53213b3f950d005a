"""Convolution and pooling: the numbers of plain loops, on both backends, and messages that name the layer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np

few = settings(max_examples=40)
both = pytest.mark.parametrize("backend", ["numpy", "jax"])


def draw(*shape: int, seed: int = 0) -> Any:
    return onp.random.default_rng(seed).normal(size=shape).astype("float32")


def zeros_around(length: int, span: int, stride: int, padding: str) -> tuple[int, int]:
    if padding == "VALID":
        return 0, 0
    total = max((-(-length // stride) - 1) * stride + span - length, 0)
    return total // 2, total - total // 2


def looped(
    x: Any, kernel: Any, strides: Any, pairs: Any, apart: Any, holes: Any, groups: int
) -> onp.ndarray[Any, onp.dtype[onp.float64]]:
    """A convolution as its formula says, number by number, in float64."""
    n_axes = x.ndim - 2
    wide = [(size - 1) * a + 1 for size, a in zip(x.shape[1:-1], apart, strict=True)]
    full = onp.zeros((x.shape[0], *(w + sum(p) for w, p in zip(wide, pairs, strict=True)), x.shape[-1]))
    for place in itertools.product(*map(range, x.shape[1:-1])):
        at = tuple(p[0] + i * a for i, p, a in zip(place, pairs, apart, strict=True))
        full[(slice(None), *at)] = x[(slice(None), *place)]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:-2], holes, strict=True)]
    out = [(f - s) // stride + 1 for f, s, stride in zip(full.shape[1:-1], spans, strides, strict=True)]
    share, filters = kernel.shape[-2], kernel.shape[-1] // groups
    y = onp.zeros((x.shape[0], *out, kernel.shape[-1]))
    for i in itertools.product(*map(range, out)):
        for t in itertools.product(*map(range, kernel.shape[:-2])):
            at = tuple(i[a] * strides[a] + t[a] * holes[a] for a in range(n_axes))
            for g in range(groups):
                ins, outs = slice(g * share, (g + 1) * share), slice(g * filters, (g + 1) * filters)
                y[(slice(None), *i, outs)] += full[(slice(None), *at, ins)] @ kernel[(*t, slice(None), outs)]
    return y


# -- the operation ---------------------------------------------------------------------------------------------------

one_axis = st.fixed_dictionaries(
    {
        "length": st.integers(1, 7),
        "width": st.integers(1, 4),
        "stride": st.integers(1, 3),
        "apart": st.integers(1, 3),
        "holes": st.integers(1, 2),
        "pair": st.tuples(st.integers(0, 3), st.integers(0, 3)),
    }
)


@pytest.mark.parametrize("n_axes", [1, 2])
@few
@given(axes=st.lists(one_axis, min_size=2, max_size=2), groups=st.integers(1, 2), n=st.integers(0, 2))
def test_a_convolution_is_its_formula(n_axes: int, axes: Any, groups: int, n: int) -> None:
    lengths, widths, strides, apart, holes, pairs = (
        tuple(axis[name] for axis in axes[:n_axes]) for name in ("length", "width", "stride", "apart", "holes", "pair")
    )
    x, kernel = draw(n, *lengths, 2 * groups), draw(*widths, 2, 3 * groups, seed=1)
    spans = [(w - 1) * d + 1 for w, d in zip(widths, holes, strict=True)]
    fulls = [(length - 1) * a + 1 + sum(p) for length, a, p in zip(lengths, apart, pairs, strict=True)]
    with lk.use_backend("numpy"):
        if any(span > full for span, full in zip(spans, fulls, strict=True)):
            with pytest.raises(fastmath.ArrayError, match="the kernel reaches over"):
                fastmath.conv(x, kernel, strides, pairs, apart, holes, groups)
            return
        y = fastmath.conv(x, kernel, strides, pairs, apart, holes, groups)
    wanted = looped(x, kernel, strides, pairs, apart, holes, groups)
    assert (y.shape, y.dtype) == (wanted.shape, onp.float32)
    assert onp.allclose(y, wanted, atol=1e-5)


CASES: list[dict[str, Any]] = [
    {},
    {"strides": 2, "padding": "SAME", "kernel_dilation": 2},
    {"input_dilation": 3, "padding": ((2, 1), (0, 3))},
    {"groups": 2, "strides": (1, 2)},
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_gradients_of_gradients_agree(options: dict[str, Any]) -> None:
    x, kernel = draw(2, 6, 7, 2), draw(3, 2, 2 // options.get("groups", 1), 4, seed=1)
    loss = lambda x, k: np.sum(np.sin(fastmath.conv(x, k, **options)))
    slope = lambda x, k: np.sum(np.cos(fastmath.grad(loss)(x, k)))
    found = []
    for backend in ("numpy", "jax"):
        with lk.use_backend(backend), fastmath.float64():
            arrays = [a.astype("float64") for a in (x, kernel)]
            found.append(fastmath.to_host([loss(*arrays), *fastmath.grad(slope, (0, 1))(*arrays)]))
    for ours, theirs in zip(*found, strict=True):
        assert onp.allclose(ours, theirs, atol=1e-10)


BAD_OPERATIONS: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: fastmath.conv(np.ones((2, 3)), np.ones((2, 3))),
        "conv: an input (n, lengths..., c) and a kernel (widths..., c, f) have as many axes, 3 or more, got (2, 3) and",
    ),
    (lambda: fastmath.conv(np.ones((2, 3, 1)), np.ones((2, 2, 1))), "conv: 1 features in 1 groups do not fit a kernel"),
    (lambda: fastmath.conv(np.ones((2, 3, 1), "int32"), np.ones((2, 1, 1))), "conv takes floating-point numbers, got"),
    (
        lambda: fastmath.conv(np.ones((2, 3, 1)), np.ones((4, 1, 1))),
        "the kernel reaches over 4 on axis 1 of (2, 3, 1), where there are 3: pad with 'SAME', or take",
    ),
    (lambda: fastmath.conv(np.ones((2, 3, 1)), np.ones((1, 1, 1)), 0), "conv: strides are 1 whole numbers from 1 up"),
    (
        lambda: fastmath.conv(np.ones((2, 3, 1)), np.ones((1, 1, 1)), padding="FULL"),
        "padding is 'SAME', 'VALID', or 1 pairs (before, after), got 'FULL'",
    ),
]


@both
@pytest.mark.parametrize(("act", "message"), BAD_OPERATIONS, ids=[row[1][:40] for row in BAD_OPERATIONS])
def test_an_operation_that_does_not_fit(backend: str, act: Callable[[], Any], message: str) -> None:
    with lk.use_backend(backend), pytest.raises(fastmath.ArrayError) as caught:
        act()
    assert str(caught.value).startswith(message)


# -- layers ----------------------------------------------------------------------------------------------------------


def run(layer: lk.Layer, x: Any, backend: str) -> tuple[Any, Any]:
    """What a layer gives, and its weights."""
    with lk.use_backend(backend):
        layer.init(lk.signature(x), rng=fastmath.random.get_prng(1))
        return fastmath.to_host(layer(x)), fastmath.to_host(layer.weights)


@both
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_a_conv_is_its_formula(backend: str, padding: str) -> None:
    x = draw(2, 6, 7, 4)
    y, (kernel, bias) = run(tl.Conv(6, (3, 2), (2, 1), padding, dilation=(1, 2), groups=2), x, backend)
    assert (kernel.shape, bias.shape) == ((3, 2, 2, 6), (6,))
    pairs = [zeros_around(6, 3, 2, padding), zeros_around(7, 3, 1, padding)]
    assert onp.allclose(y, looped(x, kernel, (2, 1), pairs, (1, 1), (1, 2), 2) + bias, atol=1e-5)
    assert padding == "VALID" or y.shape == (2, 3, 7, 6)


@both
def test_layouts_differ_by_a_transposition(backend: str) -> None:
    x = draw(2, 5, 6, 3)
    last = tl.Conv(4, (2, 3), 2, "SAME")
    y, (kernel, bias) = run(last, x, backend)
    first = tl.Conv(4, (2, 3), 2, "SAME", ("NCHW", "OIHW", "NCHW"))
    with lk.use_backend(backend):
        assert first.init(lk.f32(2, 3, 5, 6))[0].kernel.shape == (4, 3, 2, 3)
        weights = (kernel.transpose(3, 2, 0, 1), bias)
        turned = fastmath.to_host(first(x.transpose(0, 3, 1, 2), weights=weights))
    assert onp.allclose(turned.transpose(0, 2, 3, 1), y, atol=1e-6)


@both
def test_further_axes_are_examples(backend: str) -> None:
    x = draw(2, 3, 5, 4)
    layer = tl.Conv1d(2, 3)
    y, _ = run(layer, x, backend)
    assert y.shape == (2, 3, 3, 2)
    with lk.use_backend(backend):
        each = [fastmath.to_host(layer(part)) for part in x]
    assert onp.allclose(y, each, atol=1e-6)


@both
@pytest.mark.parametrize(
    "layer",
    [
        lambda: tl.CausalConv(2, 3),
        lambda: tl.CausalConv(2, 2, dilation=3),
        lambda: tl.CausalDepthwiseConv(3),
        lambda: tl.Conv1d(2, 3, padding="CAUSAL"),
    ],
)
def test_a_causal_layer_does_not_look_ahead(backend: str, layer: Callable[[], lk.Layer]) -> None:
    x, made = draw(1, 8, 2), layer()
    y, _ = run(made, x, backend)
    assert y.shape == (1, 8, 2)
    for place in range(8):
        other = x.copy()
        other[:, place] += 1
        with lk.use_backend(backend):
            changed = fastmath.to_host(made(other))
        assert onp.array_equal(changed[:, :place], y[:, :place])
        assert not onp.allclose(changed[:, place], y[:, place])


@both
def test_a_causal_conv_is_its_formula(backend: str) -> None:
    x = draw(2, 6, 3)
    y, (kernel, bias) = run(tl.CausalConv(2, 3, dilation=2), x, backend)
    assert onp.allclose(y, looped(x, kernel, (1,), [(4, 0)], (1,), (2,), 1) + bias, atol=1e-5)


@both
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize(
    ("width", "stride", "holes"), [(3, 2, 1), (2, 3, 1), (4, 2, 1), (2, 2, 2), (1, 1, 1), (1, 3, 1)]
)
def test_a_transposed_conv_is_its_formula(backend: str, padding: str, width: int, stride: int, holes: int) -> None:
    x = draw(2, 4, 3)
    y, (kernel, bias) = run(tl.ConvTranspose(2, (width,), stride, padding, holes), x, backend)
    span = (width - 1) * holes + 1
    full = onp.zeros((2, 4 * stride + span, 2))
    for i in range(4):
        for t in range(width):
            full[:, i * stride + span - 1 - t * holes] += x[:, i] @ kernel[t]
    length = 4 * stride + (0 if padding == "SAME" else max(span - stride, 0))
    # SAME cuts the middle out, the smaller part before.
    total = span + stride - 2
    before = 0 if padding == "VALID" or stride > span - 1 else span - 1 - -(-total // 2)
    assert y.shape == (2, length, 2)
    assert onp.allclose(y, full[:, before : before + length] + bias, atol=1e-5)


@both
def test_nothing_moved_apart_is_nothing(backend: str) -> None:
    with lk.use_backend(backend):
        y = fastmath.conv(np.ones((2, 0, 3)), np.ones((3, 3, 4)), padding=[(2, 2)], input_dilation=3)
    assert fastmath.to_host(y).tolist() == onp.zeros((2, 2, 4)).tolist()


@both
@pytest.mark.parametrize("length", [6, 1])
@pytest.mark.parametrize("padding", ["VALID", "SAME", "WRAP"])
def test_a_locally_connected_layer_is_its_formula(backend: str, padding: str, length: int) -> None:
    x, size = draw(2, length, 3), 1 if padding == "VALID" and length == 1 else 3
    y, (kernel, bias) = run(tl.LocallyConnected1d(4, size, padding=padding), x, backend)
    pair = zeros_around(length, size, 1, "VALID" if padding == "VALID" else "SAME")
    padded = onp.pad(x, [(0, 0), pair, (0, 0)], mode="wrap" if padding == "WRAP" else "constant")
    assert y.shape == (2, length - size + 1 if padding == "VALID" else length, 4)
    for i in range(y.shape[1]):
        assert onp.allclose(y[:, i], padded[:, i : i + size].reshape(2, 3 * size) @ kernel[i] + bias[i], atol=1e-5)


@few
@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["VALID", "SAME"]),
)
def test_pools_of_all_sizes(size: Any, strides: Any, padding: str) -> None:
    test_pools_are_their_formulas("numpy", size, strides, padding)


@both
@pytest.mark.parametrize(
    ("size", "strides", "padding"), [((3, 2), (1, 1), "VALID"), ((2, 2), (2, 2), "SAME"), ((4, 3), (3, 1), "SAME")]
)
def test_pools_are_their_formulas(backend: str, size: Any, strides: Any, padding: str) -> None:
    x = draw(2, 5, 4, 3)
    pairs = [zeros_around(n, k, s, padding) for n, k, s in zip((5, 4), size, strides, strict=True)]
    padded = onp.pad(x, [(0, 0), *pairs, (0, 0)], constant_values=onp.nan)
    out = [(padded.shape[a + 1] - size[a]) // strides[a] + 1 for a in range(2)]
    pools = {tl.MaxPool: onp.nanmax, tl.SumPool: onp.nansum, tl.AvgPool: onp.nanmean}
    with lk.use_backend(backend):
        for pool, reduce in pools.items():
            y = fastmath.to_host(pool(size, strides, padding)(x))
            assert y.shape == (2, *out, 3)
            for i, j in itertools.product(*map(range, out)):
                top, left = i * strides[0], j * strides[1]
                window = padded[:, top : top + size[0], left : left + size[1]]
                assert onp.allclose(y[:, i, j], reduce(window, axis=(1, 2)), atol=1e-6)


@both
def test_equal_numbers_of_a_window_share_the_gradient(backend: str) -> None:
    with lk.use_backend(backend):
        gradient = fastmath.grad(lambda x: np.sum(tl.MaxPool((4,), 4)(x)))(np.array([[1.0], [3.0], [3.0], [2.0]]))
    assert fastmath.to_host(gradient).ravel().tolist() == [0, 0.5, 0.5, 0]


@both
def test_norms_are_their_formulas(backend: str) -> None:
    x = draw(2, 4, 5, 3)
    y, weights = run(tl.FilterResponseNorm(learn_epsilon=True, init_epsilon=0.1, init_learnt_epsilon=-0.2), x, backend)
    assert weights.epsilon == onp.float32(-0.2)
    for n, d in itertools.product(range(2), range(3)):
        channel = x[n, :, :, d].astype("float64")
        assert onp.allclose(y[n, :, :, d], channel / onp.sqrt((channel**2).mean() + 0.3), atol=1e-6)
    y, scale = run(tl.RMSNorm(), x, backend)
    assert onp.array_equal(scale, onp.ones(3, "float32"))
    assert onp.allclose(y, x / onp.sqrt((x.astype("float64") ** 2).mean(-1, keepdims=True) + 1e-6), atol=1e-5)


def test_a_small_network_learns(tmp_path: Any) -> None:
    """Which of two patterns is somewhere in an image: only a kernel that slides can tell."""
    from layerkit import optimizers as opt
    from layerkit.data import ArrayBatches
    from layerkit.training import Loop, TrainTask

    generator = onp.random.default_rng(0)
    images, labels = generator.normal(0, 0.3, (128, 8, 8, 1)).astype("float32"), generator.integers(0, 2, 128)
    patterns = onp.array([[[1, -1], [-1, 1]], [[-1, 1], [1, -1]]])
    for image, label, (i, j) in zip(images, labels, generator.integers(0, 6, (128, 2)), strict=True):
        image[i : i + 2, j : j + 2, 0] += 2 * patterns[label]
    with lk.use_backend("numpy"):
        model = tl.Serial(
            [tl.Conv(4, (2, 2)), tl.BatchNorm(), tl.Relu(), tl.MaxPool((7, 7))],
            [tl.Flatten(), tl.Dense(2), tl.LogSoftmax()],
        )
        task = TrainTask(ArrayBatches(images, labels, 32), tl.CrossEntropyLoss(), opt.Adam(0.03))
        Loop(model, [task]).run(60)
        right = onp.argmax(fastmath.to_host(model(images)), -1) == labels
    assert right.mean() > 0.95


# -- bad input -------------------------------------------------------------------------------------------------------

BAD: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: tl.Serial(tl.Relu(), tl.Conv(4, (5, 2))).init(lk.f32(2, 3, 4, 1)),
        "Serial > 1:Conv: the kernel reaches over 5 on axis 1 of (2, 3, 4, 1), where there are 3: pad with 'SAME'",
    ),
    (
        lambda: tl.Serial(tl.Relu(), tl.Conv1d(4, 2, dilation=4)).init(lk.f32(2, 3, 1)),
        "Serial > 1:Conv1d: the kernel reaches over 5 on axis 1 of (2, 3, 1), where there are 3: pad with 'SAME'",
    ),
    (
        lambda: tl.Serial(tl.MaxPool((2, 9))).init(lk.f32(2, 3, 4, 1)),
        "Serial > 0:MaxPool: the window is 9 wide on axis 2 of (2, 3, 4, 1): pad with 'SAME', or take a smaller one",
    ),
    (
        lambda: tl.ConvTranspose(2, (3,), strides=2, padding="SAME").init(lk.f32(2, 0, 3)),
        "ConvTranspose: the transposed convolution of nothing: axis 1 is empty, got (2, 0, 3)",
    ),
    (
        lambda: tl.LocallyConnected1d(2, 3, padding="WRAP").init(lk.f32(2, 0, 3)),
        "LocallyConnected1d: a ring of nothing: axis -2 is empty, got (2, 0, 3)",
    ),
    (
        lambda: tl.Serial(tl.LocallyConnected1d(2, 9)).init(lk.f32(2, 3, 1)),
        "Serial > 0:LocallyConnected1d: the window is 9 wide on axis 1 of (2, 3, 1)",
    ),
    (lambda: tl.Conv(4, (2, 2)).init(lk.f32(2, 3, 1)), "Conv: expected 4 axes (N, H, W, C), got (2, 3, 1)"),
    (
        lambda: tl.Conv(4, (2, 2), dimension_numbers=("CHWN", "HWIO", "NHWC")).init(lk.f32(2, 2, 3, 4, 5)),
        "Conv: expected 4 axes (C, H, W, N), got (2, 2, 3, 4, 5)",
    ),
    (lambda: _initialized(tl.Conv(4, (2, 2)))(np.ones((2, 5, 6, 2))), "Conv: expected 3 features, got (2, 5, 6, 2)"),
    (lambda: tl.Conv(0, (2, 2)), "Conv: filters must be a whole number of at least 1, got 0"),
    (lambda: tl.Conv(4, (2, 0)), "Conv: kernel_size must be whole numbers of at least 1, got (2, 0)"),
    (lambda: tl.Conv(4, ()), "Conv: kernel_size must be whole numbers of at least 1, got ()"),
    (lambda: tl.Conv(4, (2, 2), (1, 1, 1)), "Conv: strides must be 2 whole numbers of at least 1, got (1, 1, 1)"),
    (lambda: tl.Conv(4, (2, 2), dilation=0), "Conv: dilation must be 2 whole numbers of at least 1, got 0"),
    (lambda: tl.Conv(4, (2, 2), padding="same"), "Conv: unknown padding 'same': did you mean 'SAME'?"),
    (lambda: tl.Conv(4, (2, 2), padding="CAUSAL"), "Conv: unknown padding 'CAUSAL': known: SAME, VALID"),
    (lambda: tl.Conv(4, (2, 2), padding=3), "Conv: padding must be VALID, SAME, or 2 pairs (before, after), got 3"),
    (lambda: tl.Conv(4, (2,), padding=((1, 2, 3),)), "Conv: padding must be pairs (before, after), got ((1, 2, 3),)"),
    (
        lambda: tl.Conv(4, (2, 2), dimension_numbers=("NHWC", "HWIO", "NHXC")),
        "Conv: dimension_numbers are the axes of x, kernel and y in letters, such as ('NHWC', 'HWIO', 'NHWC'), got",
    ),
    (
        lambda: tl.Conv(4, (2,), dimension_numbers=("NHWC", "HWIO", "NHWC")),
        "Conv: a kernel_size of 1 numbers, and axes 'NHWC', do not go together",
    ),
    (lambda: tl.Conv(4, (2,), groups=3), "Conv: 4 filters do not divide into 3 groups"),
    (
        lambda: tl.Conv(4, (2,), groups=2).init(lk.f32(2, 5, 3)),
        "Conv: 3 features do not divide into 2 groups: (2, 5",
    ),
    (
        lambda: tl.Conv(4, (2,), kernel_initializer=3),
        "Conv: kernel_initializer must be a function of (shape,",
    ),
    (lambda: tl.Conv1d(4, (2, 2)), "Conv1d: kernel_size must be a whole number of at least 1, got (2, 2)"),
    (
        lambda: tl.ConvTranspose(4, (2,), padding="CAUSAL"),
        "ConvTranspose: unknown padding 'CAUSAL': known: SAME",
    ),
    (
        lambda: tl.CausalConv(4, mode="write"),
        "CausalConv: unknown mode 'write': known: eval, predict, train",
    ),
    (lambda: tl.CausalConv(4, 0), "CausalConv: kernel_width must be a whole number of at least 1, got 0"),
    (
        lambda: tl.LocallyConnected1d(2, 2).init(lk.f32(3)),
        "LocallyConnected1d: expected at least 2 axes, (..., length, features), got (3,)",
    ),
    (
        lambda: _initialized(tl.LocallyConnected1d(2, 2), lk.f32(2, 5, 3))(np.ones((2, 6, 3))),
        "LocallyConnected1d: expected (..., 5, 3), got (2, 6, 3)",
    ),
    (lambda: tl.MaxPool(0), "MaxPool: pool_size must be whole numbers of at least 1, got 0"),
    (lambda: tl.AvgPool((2, 2), padding="CAUSAL"), "AvgPool: unknown padding 'CAUSAL': known: SAME, VALID"),
    (lambda: tl.SumPool((2, 2))(np.ones((3, 3))), "SumPool: expected at least 3 axes, got (3, 3)"),
    (lambda: tl.RMSNorm(0), "RMSNorm: epsilon must be a number above 0, got 0"),
    (lambda: tl.FilterResponseNorm(init_epsilon=0), "FilterResponseNorm: init_epsilon must be a number above 0, got 0"),
    (lambda: tl.FilterResponseNorm().init(lk.f32(2, 3)), "FilterResponseNorm: expected at least 3 axes, got (2, 3)"),
    (
        lambda: _initialized(tl.FilterResponseNorm())(np.ones((2, 5, 6, 2))),
        "FilterResponseNorm: expected last axis 3, got (2, 5, 6, 2)",
    ),
    (
        lambda: tl.FilterResponseNorm().init(lk.f32(2, 0, 3)),
        "FilterResponseNorm: the mean of nothing: axis (1,) is empty, got (2, 0, 3)",
    ),
]


def _initialized(layer: lk.Layer, of: Any = None) -> lk.Layer:
    layer.init(lk.f32(2, 5, 6, 3) if of is None else of)
    return layer


@pytest.mark.parametrize(("act", "message"), BAD, ids=[f"{k}: {row[1][:40]}" for k, row in enumerate(BAD)])
def test_bad_input_is_refused_in_one_line(act: Callable[[], Any], message: str) -> None:
    with lk.use_backend("numpy"), pytest.raises(lk.LayerError) as caught:
        act()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
