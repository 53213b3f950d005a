"""What a model's constructor refuses begins with the name that was called, wherever inside it lies."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import layerkit as lk
from layerkit import layers as tl
from layerkit import models
from layerkit.example import example_of

WRONG = {
    **dict.fromkeys("vocab_size input_vocab_size output_vocab_size target_vocab_size n_classes".split(), 2.5),
    **dict.fromkeys("d_model d_ff n_layers n_encoder_layers n_decoder_layers n_heads max_len".split(), 0),
    **dict.fromkeys("d_hidden n_output_classes filters d_feature steps layer_widths kernel_sizes".split(), 0),
    **dict.fromkeys("dropout attention_dropout ff_dropout".split(), 1.0),
    **dict.fromkeys("ff_activation activation_fn non_linearity norm head rnn_cell".split(), "relu"),
}
CASES = [
    (name, argument)
    for name in dir(models)
    for argument in inspect.signature(getattr(models, name)).parameters
    if argument in WRONG
]


@pytest.mark.parametrize(("name", "argument"), CASES, ids=".".join)
def test_the_constructor_that_was_called_is_named(name: str, argument: str) -> None:
    constructor = getattr(models, name)
    example = example_of(constructor)
    assert example is not None
    with pytest.raises(lk.LayerError) as caught:
        constructor(**{**example.arguments, argument: WRONG[argument]})
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: models.TransformerLM(7, d_model=10, n_heads=4),
            "TransformerLM: TransformerDecoder: CausalAttention: 4 heads cannot share the 10 features of d_feature "
            "evenly",
        ),
        (
            lambda: models.MLP((3,), activation_fn=tl.Relu()),
            "MLP: activation_fn must be a function of no arguments that makes a layer, such as tl.Relu, "
            "got the layer Relu: leave out its ()",
        ),
        (
            lambda: models.ReformerLM(7, ff_activation=lambda: 3),
            "ReformerLM: ff_activation must make a layer, got 3",
        ),
        (
            lambda: models.MLP(3),
            "MLP: layer_widths must be a tuple of whole numbers, one at least, got 3",
        ),
    ],
)
def test_messages(make: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert str(caught.value) == said


def test_models_stay_functions_of_their_arguments() -> None:
    assert next(iter(inspect.signature(models.MLP).parameters)) == "layer_widths"
    assert models.MLP.__module__ == "layerkit_plugins.models.mlp"
    assert "layer_widths: widths of the Dense layers" in (models.MLP.__doc__ or "")
