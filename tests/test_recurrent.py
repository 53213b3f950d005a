"""Recurrent layers against their formulas, against a Scan of their cells, with masks, backwards, and piece by piece."""

from __future__ import annotations

from typing import Any

import numpy as onp
import pytest
from values import near, numbers

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

pytestmark = pytest.mark.usefixtures("backend")


def sig(x: Any) -> Any:
    return 1 / (1 + onp.exp(-x))


def lstm_step(weights: Any, x: Any, state: Any) -> Any:
    """One step of an LSTM, unit by unit, in float64."""
    kernel, bias = (fastmath.to_host(w).astype("float64") for w in weights)
    n = len(bias) // 4
    c, h = state[:, :n], state[:, n:]
    i, j, f, o = (
        onp.concatenate([x, h], 1) @ kernel[:, k * n : (k + 1) * n] + bias[k * n : (k + 1) * n] for k in range(4)
    )
    c = sig(f) * c + sig(i) * onp.tanh(j)
    h = sig(o) * onp.tanh(c)
    return h, onp.concatenate([c, h], 1)


def gru_step(weights: Any, x: Any, h: Any) -> Any:
    w1, b1, w2, b2 = (fastmath.to_host(w).astype("float64") for w in weights)
    n = len(b2)
    both = onp.concatenate([x, h], 1)
    r, u = sig(both @ w1[:, :n] + b1[:n]), sig(both @ w1[:, n:] + b1[n:])
    h = u * h + (1 - u) * onp.tanh(onp.concatenate([x, r * h], 1) @ w2 + b2)
    return h, h


KINDS = {"LSTM": (lstm_step, 2), "GRU": (gru_step, 1)}
of_each = pytest.mark.parametrize("name", KINDS)


def walk(name: str, weights: Any, x: Any, state: Any, mask: Any = None) -> Any:
    """(outputs, last state): the steps one after the other."""
    ys = []
    for t in range(x.shape[1]):
        after = KINDS[name][0](weights, x[:, t], state)[1]
        state = after if mask is None else onp.where(mask[:, t, None], after, state)
        ys.append(state[:, -3:])
    return onp.stack(ys, 1), state


def spread(weights: Any) -> Any:
    """Weights so large that gates open and shut."""
    return type(weights)(*[np.array(numbers(*w.shape, seed=i)) for i, w in enumerate(weights)])


def made(name: str, x: Any, **options: Any) -> Any:
    layer = getattr(tl, name)(3, **options)
    extra = [lk.bool_(*x.shape[:2])] * options.get("masked", False)
    extra += [lk.f32(len(x), 3 * KINDS[name][1])] * options.get("initial_state", False)
    layer.init((lk.signature(x), *extra) if extra else x)
    layer.weights = spread(layer.weights)
    return layer


@of_each
def test_a_cell_is_its_formula(name: str) -> None:
    step, times = KINDS[name]
    cell = getattr(tl, f"{name}Cell")(3)
    x, state = numbers(4, 5), numbers(4, 3 * times, seed=1)
    cell.init((x, state))
    cell.weights = spread(cell.weights)
    for found, expected in zip(cell((x, state)), step(cell.weights, x, state), strict=True):
        near(found, expected)


def test_weights_move_from_trax() -> None:
    """As docs/from_trax.md says: those of an LSTM as they are, those of a GRU with the update gate rolled back."""
    x, h, c, n = numbers(4, 5).astype("float64"), numbers(4, 3, seed=1), numbers(4, 3, seed=2), 3
    both = onp.concatenate([x, h], 1)
    kernel, bias = numbers(8, 12, seed=3), numbers(12, seed=4)
    i, j, f, o = onp.split(both @ kernel + bias, 4, axis=-1)  # Trax adds forget_bias once, to the first biases
    new_c = c * sig(f) + sig(i) * onp.tanh(j)
    found = tl.LSTMCell(n)((x, onp.concatenate([c, h], 1)), weights=(kernel, bias))[1]
    near(found, onp.concatenate([new_c, onp.tanh(new_c) * sig(o)], 1))
    w1, b1, w2, b2 = (numbers(*shape, seed=5) for shape in ((8, 6), (6,), (8, 3), (3,)))
    u, r = onp.split(sig(both @ w1 + b1), 2, axis=-1)
    expected = u * h + (1 - u) * onp.tanh(onp.concatenate([x, r * h], 1) @ w2 + b2)
    rolled = (onp.roll(w1, n, axis=-1), onp.roll(b1, n, axis=-1), w2, b2)
    near(tl.GRUCell(n)((x, h), weights=rolled)[0], expected)


@of_each
def test_a_layer_is_its_steps(name: str) -> None:
    x, state = numbers(2, 6, 5), numbers(2, 3 * KINDS[name][1], seed=1)
    mask = onp.array([[1, 1, 0, 1, 0, 0], [0, 1, 1, 1, 1, 1]], bool)
    zeros = 0 * state
    plain = made(name, x)
    near(plain(x), walk(name, plain.weights, x, zeros)[0])
    for found, expected in zip(made(name, x, return_state=True)(x), walk(name, plain.weights, x, zeros), strict=True):
        near(found, expected)
    everything = made(name, x, return_state=True, initial_state=True, masked=True)
    for holds in (mask, mask[:, None, None], mask.astype("int32")):
        found = everything((x, holds, state))
        for one, other in zip(found, walk(name, plain.weights, x, state, mask), strict=True):
            near(one, other)


@of_each
def test_the_forget_gate_begins_open(name: str) -> None:
    layer = getattr(tl, name)(3, forget_bias=4.0)
    weights, _ = layer.init(lk.f32(1, 1, 5))
    bias = fastmath.to_host(weights[1])
    expected = [0, 0, 4, 0] if name == "LSTM" else [0, 4]
    near(bias.reshape(-1, 3), onp.repeat(onp.array(expected, "float32")[:, None], 3, 1), 1e-4)


@of_each
def test_numbers_and_gradients_are_those_of_a_scan_of_the_cell(name: str) -> None:
    """The layer's gradient is its own; that of a Scan is automatic."""
    times = KINDS[name][1]
    x, state, cotangent = numbers(2, 4, 5), numbers(2, 3 * times, seed=1), numbers(2, 4, 3, seed=2)
    layer = made(name, x, return_state=True, initial_state=True)
    for again in (False, True):
        scan = tl.Scan(getattr(tl, f"{name}Cell")(3), axis=1, remat=again)
        scan.init((x, state))

        def loss(model: lk.Layer) -> Any:
            def of(weights: Any, x: Any, state: Any) -> Any:
                y, last = model.pure_fn((x, state), weights, model.state)[0]
                return np.sum(y * cotangent) + np.sum(last * last)

            return of

        with fastmath.float64():
            wide = fastmath.nested_map(lambda w: np.array(fastmath.to_host(w).astype("float64")), layer.weights)
            arrays = [np.array(a.astype("float64")) for a in (x, state)]
            ours = fastmath.jit(fastmath.value_and_grad(loss(layer), (0, 1, 2)))(wide, *arrays)
            theirs = fastmath.jit(fastmath.value_and_grad(loss(scan), (0, 1, 2)))((wide, ()), *arrays)
        for one, other in zip(*map(fastmath.tree_leaves, map(fastmath.to_host, (ours, theirs))), strict=True):
            onp.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


@of_each
def test_gradient_with_a_mask_is_that_of_shorter_texts(name: str) -> None:
    x = numbers(1, 5, 4)
    cotangent = numbers(1, 3, seed=1)
    plain, masked = made(name, x[:, :3]), made(name, x, masked=True)
    mask = onp.array([[1, 1, 1, 0, 0]], bool)
    alone = fastmath.grad(lambda w, x: np.sum(plain(x, weights=w)[:, -1] * cotangent), (0, 1))
    padded = fastmath.grad(lambda w, x: np.sum(masked((x, mask), weights=w)[:, -1] * cotangent), (0, 1))
    of_w, of_x = padded(plain.weights, np.array(x))
    expected_w, expected_x = alone(plain.weights, np.array(x[:, :3]))
    for one, other in zip(of_w, expected_w, strict=True):
        near(one, other)
    near(of_x[:, :3], expected_x)
    assert not fastmath.to_host(of_x)[:, 3:].any()


@of_each
def test_a_padded_step_changes_nothing(name: str) -> None:
    x = numbers(2, 5, 4)
    layer = made(name, x, masked=True)
    mask = onp.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], bool)
    other = onp.where(mask[..., None], x, 1e3).astype("float32")
    onp.testing.assert_array_equal(fastmath.to_host(layer((x, mask))), fastmath.to_host(layer((other, mask))))


def test_bidirectional_walks_back_over_the_real_steps() -> None:
    x = numbers(2, 5, 4)
    mask = onp.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    both = tl.Bidirectional(tl.LSTM(3, masked=True))
    (forwards, backwards, _), _ = both.init((x, mask))
    y = fastmath.to_host(both((x, mask)))
    alone = tl.LSTM(3)
    alone.init(x)
    near(y[0, :3, :3], alone(x[:1, :3], weights=forwards)[0], 1e-5)
    near(y[0, :3, 3:], onp.flip(fastmath.to_host(alone(onp.flip(x[:1, :3], 1).copy(), weights=backwards)), 1)[0], 1e-5)


def test_bidirectional_refuses_a_mask_of_another_length() -> None:
    both = tl.Bidirectional(tl.LSTM(3, masked=True))
    with pytest.raises(lk.LayerError, match=r"its inputs .* differ in length"):
        both.init((lk.f32(2, 5, 4), lk.bool_(2, 1, 1, 4)))


def test_bidirectional_takes_the_mask_of_padding_mask() -> None:
    x, ids = numbers(2, 5, 4), onp.array([[3, 1, 2, 0, 0], [1, 1, 1, 2, 3]], "int32")
    both = tl.Bidirectional(tl.LSTM(3, masked=True))
    both.init((x, ids != 0))
    mask = tl.PaddingMask()(ids)
    near(both((x, mask)), fastmath.to_host(both((x, ids != 0))), 1e-6)
    assert both.output_signature((x, mask)) == both.output_signature((x, ids != 0))


@of_each
def test_piece_by_piece_is_as_at_once(name: str) -> None:
    x, state = numbers(2, 6, 5), numbers(2, 3 * KINDS[name][1], seed=1)
    whole, pieces = made(name, x), made(name, x[:, :1], mode="predict")
    near(onp.concatenate([fastmath.to_host(pieces(x[:, a:b])) for a, b in ((0, 1), (1, 4), (4, 6))], 1), whole(x))
    assert int(pieces.state.position) == 6
    whole = made(name, x, initial_state=True)
    pieces = made(name, x[:, :1], initial_state=True, mode="predict")
    expected = fastmath.to_host(whole((x, state)))
    near(pieces((x[:, :2], state)), expected[:, :2])
    near(pieces((x[:, 2:], 0 * state)), expected[:, 2:])  # it goes on from what it kept
    with pytest.raises(lk.LayerError, match="initialized for a batch of 2, got 3; init it again"):
        made(name, x[:, :1], mode="predict")(numbers(3, 1, 5))


@of_each
def test_no_step_at_all_hands_the_state_on(name: str) -> None:
    x, state = onp.zeros((2, 0, 5), "float32"), numbers(2, 3 * KINDS[name][1])
    layer = made(name, x, return_state=True, initial_state=True)
    loss = lambda args: np.sum(layer((args[0], args[1]), weights=args[2])[1] * state)
    y, last = layer((x, state))
    assert y.shape == (2, 0, 3)
    near(last, state)
    of_x, of_state, of_weights = fastmath.grad(loss)((x, state, layer.weights))
    assert of_x.shape == x.shape
    near(of_state, state)
    assert all(not fastmath.to_host(leaf).any() for leaf in of_weights)


def test_an_sru_takes_a_text_of_length_0() -> None:
    sru, x = tl.SRU(3), onp.zeros((2, 0, 3), "float32")
    sru.init(x)
    assert sru(x).shape == (2, 0, 3)
    gradient = fastmath.grad(lambda weights: np.sum(sru(x, weights=weights)))(sru.weights)
    assert all(not fastmath.to_host(leaf).any() for leaf in fastmath.tree_leaves(gradient))


def test_sru_is_its_formula() -> None:
    x = numbers(2, 5, 3)
    sru = tl.SRU(3, activation=tl.Tanh)
    weights, _ = sru.init(x)
    kernel, bias = fastmath.tree_leaves(fastmath.to_host(weights))
    r, f, y = (x @ kernel[:, k : k + 3] + bias[k : k + 3] for k in (0, 3, 6))
    c, h = onp.zeros((2, 3)), []
    for t in range(5):
        c = sig(f[:, t]) * c + (1 - sig(f[:, t])) * y[:, t]
        h.append(sig(r[:, t]) * onp.tanh(c) + (1 - sig(r[:, t])) * onp.sqrt(3) * x[:, t])
    near(sru(x), onp.stack(h, 1).astype("float32"), 1e-5)
    pieces = tl.SRU(3, activation=tl.Tanh(), mode="predict")
    pieces.init(x[:, :1])
    pieces.weights = weights
    near(onp.concatenate([fastmath.to_host(pieces(x[:, a:b])) for a, b in ((0, 1), (1, 5))], 1), sru(x))
    with pytest.raises(lk.LayerError, match="initialized for a batch of 2, got 1; init it again"):
        pieces(x[:1])


def test_sru_passes_over_padded_steps() -> None:
    x, mask = numbers(2, 5, 3), onp.array([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0]], bool)
    plain, masked = tl.SRU(3, activation=tl.Tanh), tl.SRU(3, activation=tl.Tanh, masked=True)
    plain.init(x)
    masked.init((x, mask))
    masked.weights = fastmath.tree_unflatten(fastmath.tree_leaves(plain.weights), masked.weights)
    found = fastmath.to_host(masked((x, mask)))
    for row in range(2):
        alone = fastmath.to_host(plain(x[row : row + 1, mask[row]]))[0]
        last = onp.cumsum(mask[row]) - 1
        near(found[row], onp.where(last[:, None] >= 0, alone[last], 0))
    garbage = onp.where(mask[..., None], x, onp.nan)
    onp.testing.assert_array_equal(fastmath.to_host(masked((garbage, mask[:, None, None]))), found)
    pieces = tl.SRU(3, activation=tl.Tanh, masked=True, mode="predict")
    pieces.init((x[:, :1], mask[:, :1]))
    pieces.weights = masked.weights
    near(
        onp.concatenate([fastmath.to_host(pieces((x[:, a:b], mask[:, a:b]))) for a, b in ((0, 1), (1, 4), (4, 5))], 1),
        found,
    )
    with pytest.raises(lk.LayerError, match=r"a mask of truth values of shape \(2, 5\), got bool \(2, 4\)"):
        masked((x, mask[:, :4]))


def test_a_general_gru_cell_is_its_formula() -> None:
    s = numbers(4, 3)
    cell = tl.GeneralGRUCell(lambda: tl.Dense(3), memory_transform_fn=tl.Tanh, sigmoid_bias=0.7)
    weights, _ = cell.init(s)
    k1, b1, k2, b2, k3, b3 = fastmath.tree_leaves(fastmath.to_host(weights))
    u, r = sig(s @ k1 + b1 + 0.7), sig(s @ k2 + b2 + 0.7)
    near(cell(s), u * onp.tanh(s) + (1 - u) * onp.tanh((r * s) @ k3 + b3), 1e-5)


def test_a_convolutional_gru_cell_sees_its_neighbours_alone() -> None:
    s = numbers(1, 5, 6, 2)
    cell = tl.ConvGRUCell(2, kernel_size=(3, 1))
    cell.init(s)
    before = fastmath.to_host(cell(s))
    changed = s.copy()
    changed[0, 2, 3] += 1
    differs = (fastmath.to_host(cell(changed)) != before).any(-1)[0]
    # Two convolutions, one after the other, each three rows high and one column wide.
    assert onp.argwhere(differs).tolist() == [[row, 3] for row in range(5)]


def test_the_program_is_as_long_whatever_the_length(backend: str) -> None:
    if backend != "jax":
        pytest.skip("nothing is compiled")
    import jax

    def equations(name: str, length: int) -> int:
        layer = getattr(tl, name)(4)
        weights, state = layer.init(lk.f32(2, length, 4))
        loss = lambda weights, x: (layer.pure_fn(x, weights, state)[0] ** 2).sum()
        return str(jax.make_jaxpr(jax.grad(loss))(weights, np.zeros((2, length, 4)))).count(" = ")

    for name in ("LSTM", "GRU", "SRU"):
        assert equations(name, 3) == equations(name, 300)


@of_each
def test_the_gradient_takes_little_memory(name: str, backend: str) -> None:
    """What comes in, factors, and slopes take the same place; the rest is a fraction of that."""
    if backend != "jax":
        pytest.skip("nothing is compiled")
    import jax

    layer = getattr(tl, name)(32)
    weights, state = layer.init(lk.f32(8, 50, 32))
    loss = lambda weights, x: (layer.pure_fn(x, weights, state)[0] ** 2).sum()
    program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(weights, np.zeros((8, 50, 32))).compile()
    of_x = 4 * 8 * 50 * 32
    gates = {"LSTM": 4, "GRU": 3}[name]
    assert program.memory_analysis().temp_size_in_bytes < (2 * gates + 6) * of_x


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tl.LSTM(0), "LSTM: n_units must be a whole number of at least 1, got 0"),
        (lambda: tl.GRU(2.5), "GRU: n_units must be a whole number of at least 1, got 2.5"),
        (lambda: tl.LSTMCell(2, forget_bias="x"), "LSTMCell: forget_bias must be a number, got 'x'"),
        (lambda: tl.GRUCell(2, kernel_initializer=3), "kernel_initializer must be a function of (shape, rng), got 3"),
        (lambda: tl.MakeZeroState(0), "MakeZeroState: depth_multiplier must be a whole number of at least 1, got 0"),
        (lambda: tl.SRU(0), "SRU: n_units must be a whole number of at least 1, got 0"),
        (lambda: tl.SRU(3, activation="tanh"), "SRU: activation must be a function of no arguments that makes a layer"),
        (lambda: tl.SRU(3, activation=dict), "SRU: activation must make a layer, got {}"),
        (lambda: tl.GeneralGRUCell(3), "candidate_transform must be a function of no arguments that makes a layer"),
        (lambda: tl.GeneralGRUCell(tl.Tanh, gate_nonlinearity="tanh"), "gate_nonlinearity must be a function"),
        (lambda: tl.GeneralGRUCell(tl.Tanh, dropout_rate_c=1), "dropout_rate_c must be a number"),
        (lambda: tl.ConvGRUCell(3, kernel_size=(3, 3, 3)), "kernel_size must be 2 whole numbers of at least 1"),
    ],
)
def test_construction_says_what_is_wrong(make: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as error:
        make()
    assert said in str(error.value)


X = lk.f32(2, 5, 4)


@pytest.mark.parametrize(
    ("layer", "signature", "said"),
    [
        (lambda: tl.LSTM(3), lk.f32(2, 5), "expected (batch, length, features), got (2, 5)"),
        (lambda: tl.GRU(3, initial_state=True), (X, lk.f32(2, 4)), "expected a state of shape (2, 3), got (2, 4)"),
        (lambda: tl.LSTM(3, initial_state=True), (X, lk.f32(2, 3)), "expected a state of shape (2, 6), got (2, 3)"),
        (
            lambda: tl.LSTM(3, masked=True),
            (X, lk.bool_(2, 4)),
            "a mask of truth values of shape (2, 5), got bool (2, 4)",
        ),
        (lambda: tl.LSTM(3, masked=True), (X, lk.f32(2, 5)), "got float32 (2, 5)"),
        (lambda: tl.LSTMCell(3), (X, lk.f32(2, 6)), "expected (batch, features), got (2, 5, 4)"),
        (lambda: tl.MakeZeroState(), lk.f32(2, 5), "expected (batch, length, features), got (2, 5)"),
        (lambda: tl.SRU(3), X, "n_units=3 and the 4 features of x differ: put a Dense(3) before it"),
        (lambda: tl.ConvGRUCell(4), X, "0:Conv: expected 4 axes (N, H, W, C), got (2, 5, 4)"),
    ],
)
def test_init_says_what_is_wrong_and_where(layer: Any, signature: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as error:
        lk.Serial(layer()).init(signature)
    assert said in str(error.value)
    assert str(error.value).startswith("Serial > 0:")


@pytest.mark.parametrize("make", [tl.LSTM, tl.GRU])
def test_other_features_than_at_init_are_refused(make: Any) -> None:
    layer = make(3)
    layer.init(X)
    with pytest.raises(lk.LayerError, match=r"expected last axis 4, got \(2, 5, 7\)"):
        layer(numbers(2, 5, 7), rng=random.get_prng(0))
