"""The table of a model's layers: what it prints, and that it fits a terminal of 80 columns."""

from __future__ import annotations

import io
from typing import Any

import pytest

import layerkit as lk
from layerkit import layers as tl
from layerkit import models


def printed(model: lk.Layer, signature: Any) -> list[str]:
    """The lines of a summary, without the spaces at their ends."""
    file = io.StringIO()
    lk.summary(model, signature, file)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_layers_are_indented_below_those_around_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    scale = lk.Fn("Scale", lambda x: 2 * x)
    dense = tl.Dense(3)
    model = tl.Serial(scale, tl.Residual(dense, tl.Branch(dense, tl.Dup()), tl.Add()), tl.Serial(tl.Relu()))
    assert printed(model, lk.f32(2, 3)) == [
        "layer             output                      weights  bytes",
        "0.Scale           float32[2,3]                      -      -",
        "1.Residual",
        "  0.Dense_3       float32[2,3]                     12     48",
        "  1.Branch",
        "    0.Dense_3     float32[2,3]                      -      -",
        "    1.Select Dup  float32[2,3], float32[2,3]        -      -",
        "  2.Add           float32[2,3]                      -      -",
        "2.Serial",
        "  0.Relu          float32[2,3]                      -      -",
        "total                                              12     48",
    ]


@pytest.mark.parametrize("name", ["Dense", "9.5 Scale"])
def test_a_layer_by_itself(name: str) -> None:
    lines = printed(lk.Fn(name, lambda x: x), lk.f32(2, 3))
    assert [line.split("  ")[0] for line in lines] == ["layer", name, "total"]


def test_deep_models_fit_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ids = lk.i32(2, 8, max=100)
    model = models.Transformer(100, d_model=32, d_ff=64, n_heads=4, n_encoder_layers=1, n_decoder_layers=1)
    lines = printed(model, (ids, ids))
    assert max(map(len, lines)) <= 80
    assert "        2.PositionalEncoding    float32[2,8,32]                   65,536 262,144" in lines
    assert not [line for line in lines[1:-1] if line.strip() and line[:32].strip() and "." not in line[:32]]


@pytest.mark.parametrize(
    "ask",
    [
        lambda layer, shape: layer.init(shape),
        lambda layer, shape: layer.signatures(shape),
        lambda layer, shape: layer.output_signature(shape),
        lambda layer, shape: lk.summary(layer, shape),
    ],
    ids=["init", "signatures", "output_signature", "summary"],
)
@pytest.mark.parametrize("made", [False, True], ids=["new", "initialized"])
def test_a_bare_shape_is_answered_with_what_to_write(ask: Any, made: bool) -> None:
    for shape, remedy in (((2, 3), "lk.f32(2, 3); for ids lk.i32(2, 3)"), ((3,), "lk.f32(3); for ids lk.i32(3)")):
        layer = tl.Serial(tl.Dense(3))
        if made:
            layer.init(lk.f32(2, 3))
        with pytest.raises(lk.LayerError) as caught:
            ask(layer, shape)
        assert str(caught.value) == f"Serial: a signature is due, got the shape {shape}: {remedy}"


def test_two_numbers_for_two_inputs_are_no_shape() -> None:
    assert repr(tl.Add().output_signature((1, 2))) == "int32[]"
