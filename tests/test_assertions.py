"""Shapes in letters, densities, drawing, Accelerate: what they let through, and what they say otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.errors import LayerkitWarning
from layerkit.fastmath import numpy as np

both = pytest.mark.parametrize("backend", ["numpy", "jax"])


def of(*shape: int) -> lk.ShapeDtype:
    return lk.f32(*shape)


# -- shapes ----------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), max_size=5), st.data())
def test_what_a_term_says_is_let_through_and_anything_else_is_not(shape: list[int], data: Any) -> None:
    letters = data.draw(st.permutations("abcde"))[: len(shape)]
    dots = data.draw(st.booleans())
    cut = data.draw(st.integers(0, len(shape)))
    term = "".join(letters[:cut]) + ("..." if dots else "") + "".join(letters[cut:])
    tl.AssertShape(term).output_signature(of(*shape))
    if not dots:
        with pytest.raises(lk.LayerError):
            tl.AssertShape(term).output_signature(of(*shape, 1))
    if shape:
        digits = "".join(map(str, shape))
        tl.AssertShape(digits).output_signature(of(*shape))
        with pytest.raises(lk.LayerError):
            tl.AssertShape(digits).output_signature(of(*shape[:-1], shape[-1] + 1))


@pytest.mark.parametrize(
    ("spec", "ins", "outs"),
    [
        ("bld->bld", [(2, 3, 4)], (2, 3, 4)),
        ("bld->bd", [(2, 3, 4)], (2, 4)),
        ("...d->...", [(2, 3, 4)], (2, 3)),
        ("b...->b", [(2, 3, 4)], (2,)),
        ("bb->", [(3, 3)], ()),
        ("b...d,b1->d", [(2, 5, 6, 4), (2, 1)], (4,)),
        ("B,b->b", [(3,), (2,)], (2,)),
    ],
)
def test_a_specification_speaks_of_inputs_and_outputs(spec: str, ins: Any, outs: Any) -> None:
    inputs = tuple(of(*shape) for shape in ins)
    layer = lk.PureLayer(lambda *xs: np.zeros(outs), n_in=len(ins))
    checked = tl.AssertFunction(spec, layer)
    signature = inputs[0] if len(inputs) == 1 else inputs
    assert checked.output_signature(signature).shape == outs
    wrong = tl.AssertFunction(spec, lk.PureLayer(lambda *xs: np.zeros((*outs, 7)), n_in=len(ins)))
    if "..." not in spec.partition("->")[2]:
        with pytest.raises(lk.LayerError, match="output 0 of"):
            wrong.output_signature(signature)


@both
def test_a_class_and_a_function_are_decorated(backend: str) -> None:
    @tl.assert_shape("bd,d->b")
    class Dot(lk.Layer):
        """x w."""

        def __init__(self) -> None:
            super().__init__(n_in=2)

        def forward(self, inputs: Any) -> Any:
            return np.matmul(*inputs)

    @tl.assert_shape("...a->...b")
    def Wide(n: int) -> lk.Layer:
        """A Dense."""
        return tl.Dense(n)

    with lk.use_backend(backend):
        assert Dot()((np.ones((2, 3)), np.ones(3))).tolist() == [3.0, 3.0]
        assert (Dot.__doc__, Wide.__name__) == ("x w.", "Wide")
        with pytest.raises(lk.LayerError, match=r"Dot: input 1 of 'bd,d->b' is \(2,\): d is 2 there, and 3 is due"):
            Dot()((np.ones((2, 3)), np.ones(2)))
        layer = tl.Serial(Wide(4), Wide(3))
        layer.init(of(2, 5))
        assert layer(np.ones((2, 5))).shape == (2, 3)
        # Checked where shapes are known, in a compiled program too.
        assert fastmath.jit(layer)(np.ones((2, 5))).shape == (2, 3)


BAD: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: tl.Serial(tl.AssertShape("bld")).init(of(2, 3)),
        "Serial > 0:AssertShape: input 0 of 'bld->bld' is (2, 3), and 'bld' has 3 axes",
    ),
    (
        lambda: tl.AssertShape("b...d").init(of(2)),
        "AssertShape: input 0 of 'b...d->b...d' is (2,), and 'b...d' has 2 or more axes",
    ),
    (
        lambda: tl.AssertShape("b3,b", message="ids").init((of(2, 3), of(4))),
        "AssertShape: ids: input 1 of 'b3,b->b3,b' is (4,): b is 4 there, and 2 is due",
    ),
    (lambda: tl.AssertShape("b3").init(of(2, 4)), "AssertShape: input 0 of 'b3->b3' is (2, 4): 3 is 4 there, and 3 is"),
    (
        lambda: tl.AssertShape("...,...").init((of(2, 3), of(3))),
        "AssertShape: input 1 of '...,...->...,...' is (3,): ... is (3,) there, and (2, 3) is due",
    ),
    (lambda: tl.AssertShape("b->b"), "AssertShape takes the shapes of its inputs alone, got 'b->b'"),
    (lambda: tl.AssertShape("b-d"), "a specification of shapes has a letter or a digit for each axis, such as"),
    (lambda: tl.AssertShape(3), "a specification of shapes has a letter or a digit for each axis, such as"),
    (lambda: tl.assert_shape("bld"), "a specification of shapes has a letter or a digit for each axis, such as"),
    (lambda: tl.assert_shape("...b...->b"), "a specification of shapes has a letter or a digit for each axis, such as"),
    (
        lambda: tl.AssertFunction("a,b->a", tl.Relu()),
        "'a,b->a' is for 2 inputs and 1 outputs, and Relu has 1 and 1",
    ),
    (lambda: tl.AssertFunction("a->a", 3), "AssertFunction: layer is a layer, got 3"),
    (lambda: tl.assert_shape("a->a")(dict), "assert_shape decorates a layer class or a function, got <class 'dict'>"),
    (lambda: tl.Accelerate(3), "Accelerate: layer is a layer, got 3"),
    (lambda: tl.Accelerate(tl.Relu(), 0), "Accelerate: n_devices must be a whole number of at least 1, got 0"),
    (
        lambda: tl.log_gaussian_pdf(np.zeros(2), np.zeros(2), np.ones((3, 3))),
        "log_gaussian_pdf: x and mu (..., d) and sigma (..., d, d) are due, got (2,), (2,) and (3, 3)",
    ),
    (
        lambda: tl.multigaussian_loss(np.zeros((4, 6)), np.zeros((4, 2))),
        "multigaussian_loss: 1 Gaussians for targets of shape (4, 2) take predictions of shape (4, 5), got (4, 6)",
    ),
    (lambda: tl.multigaussian_loss(np.zeros(3), np.zeros(1), 0), "multigaussian_loss: ngauss must be a whole number"),
    (
        lambda: tl.logsoftmax_sample(np.zeros(3)),
        "logsoftmax_sample: a temperature above 0 draws random numbers: give it a key, rng=...",
    ),
    (lambda: tl.logsoftmax_sample(np.zeros(3), -1), "logsoftmax_sample: temperature must be a number of at least 0"),
    (lambda: tl.SummaryScalar(""), "SummaryScalar: name is what the log calls it, got ''"),
    (lambda: tl.SummaryScalar("x", 3), "SummaryScalar: aggregation_fun must be a function of an array, got 3"),
    (
        lambda: _initialized(tl.SummaryScalar("x", lambda x: x))(np.ones(2), training=True),
        "SummaryScalar: its aggregation_fun gave the shape (2,), and one number is due",
    ),
    (lambda: tl.SummaryImage("x", 0), "SummaryImage: n_in must be a whole number of at least 1, got 0"),
    (lambda: tl.SummaryImage("x", 1, recover_fn=3), "SummaryImage: recover_fn must be a function of an array, got 3"),
    (
        lambda: tl.Serial(tl.SummaryImage("x", 1)).init(of(4, 3, 3, 2)),
        "Serial > 0:SummaryImage: expected images (b, h, w, c) with c = 1, 3 or 4, got (4, 3, 3, 2)",
    ),
]


def _initialized(layer: lk.Layer) -> lk.Layer:
    layer.init(of(2))
    return layer


@pytest.mark.parametrize(("act", "message"), BAD, ids=[f"{k}: {row[1][:40]}" for k, row in enumerate(BAD)])
def test_bad_input_is_refused_in_one_line(act: Callable[[], Any], message: str) -> None:
    with lk.use_backend("numpy"), pytest.raises(lk.LayerError) as caught:
        act()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# -- Accelerate ------------------------------------------------------------------------------------------------------


def test_accelerate_gives_the_layer_and_says_why_there_is_nothing_to_do() -> None:
    dense = tl.Dense(3)
    assert tl.Accelerate(dense) is dense
    assert tl.Accelerate(dense, n_devices=1) is dense
    with pytest.warns(LayerkitWarning, match=r"^Accelerate: Dense_3 computes on one device, not on 4: layerkit does"):
        assert tl.Accelerate(dense, n_devices=4) is dense


# -- densities -------------------------------------------------------------------------------------------------------


@both
def test_densities_are_their_formulas(backend: str) -> None:
    generator = onp.random.default_rng(0)
    x, mu, half = generator.normal(size=(5, 3)), generator.normal(size=(5, 3)), generator.normal(size=(5, 3, 3))
    sigma = half @ half.transpose(0, 2, 1) + onp.eye(3)
    wanted = [
        -0.5 * (3 * onp.log(2 * onp.pi) + onp.log(onp.linalg.det(s)) + d @ onp.linalg.inv(s) @ d)
        for s, d in zip(sigma, x - mu, strict=True)
    ]
    variance = onp.exp(generator.normal(size=(5, 3)))
    with lk.use_backend(backend), fastmath.float64():
        found = fastmath.to_host(tl.log_gaussian_pdf(x, mu, sigma))
        diagonal = fastmath.to_host(tl.log_gaussian_diag_pdf(x, mu, variance))
        full = fastmath.to_host(tl.log_gaussian_pdf(x, mu, variance[..., None] * onp.eye(3)))
        gradient = fastmath.to_host(fastmath.grad(lambda m: np.sum(tl.log_gaussian_pdf(x, m, sigma)))(mu))
    assert onp.allclose(found, wanted, atol=1e-10)
    assert onp.allclose(diagonal, full, atol=1e-10)
    assert onp.allclose(gradient, [onp.linalg.solve(s, d) for s, d in zip(sigma, x - mu, strict=True)], atol=1e-9)


@both
def test_a_mixture_s_loss_is_its_formula(backend: str) -> None:
    generator = onp.random.default_rng(0)
    preds, targets = generator.normal(size=(4, 10)), generator.normal(size=(4, 2))
    p = onp.exp(preds[:, :2]) / onp.exp(preds[:, :2]).sum(1, keepdims=True)
    mu, s = preds[:, 2:6].reshape(4, 2, 2), preds[:, 6:].reshape(4, 2, 2) ** 2 + 1e-6
    each = onp.prod(onp.exp(-((targets[:, None] - mu) ** 2) / (2 * s)) / onp.sqrt(2 * onp.pi * s), axis=-1)
    with lk.use_backend(backend), fastmath.float64():
        found = fastmath.to_host(tl.multigaussian_loss(preds, targets, 2))
    assert onp.allclose(found, -onp.log((p * each).sum(1)), atol=1e-10)


@both
def test_classes_are_drawn_by_their_probabilities(backend: str) -> None:
    p = onp.array([0.5, 0.3, 0.2, 0.0])
    with lk.use_backend(backend):
        log_probs = np.broadcast_to(np.array(onp.log(onp.maximum(p, 1e-30)), "float32"), (4000, 4))
        drawn = fastmath.to_host(tl.logsoftmax_sample(log_probs, rng=fastmath.random.get_prng(0)))
        careful = fastmath.to_host(tl.logsoftmax_sample(log_probs, 0.3, fastmath.random.get_prng(0)))
        largest = fastmath.to_host(tl.logsoftmax_sample(log_probs, 0.0))
    assert drawn.dtype == onp.int32
    assert onp.allclose(onp.bincount(drawn, minlength=4) / 4000, p, atol=0.03)
    assert (careful == 0).mean() > 0.75
    assert (largest == 0).all()


def test_functions_beside_the_layers_have_the_names_of_old() -> None:
    assert tl.one_hot is fastmath.one_hot
    assert tl.log_softmax is fastmath.log_softmax
