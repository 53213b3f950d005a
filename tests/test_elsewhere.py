"""Other libraries' names lead to the right ones here."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

import layerkit as lk
from layerkit import elsewhere, layers, models, optimizers
from layerkit import layers as tl
from layerkit.bench.subjects import find
from layerkit.elsewhere import called_here
from layerkit.errors import UsageError
from layerkit.plugins.registry import recipes

OPTIONS = {name for each in dir(optimizers) for name in inspect.signature(getattr(optimizers, each)).parameters}
SETTINGS = {field.name for field in dataclasses.fields(recipes.get("sentiment")().Settings)}
THINGS = {*dir(layers), *dir(models), *dir(optimizers)}
THERE = [there for names in elsewhere._NAMES.values() for there in names.split()]


@pytest.mark.parametrize("here", elsewhere._NAMES)
def test_what_is_suggested_can_be_written(here: str) -> None:
    name, call, _ = here.partition("(")
    assert name in THINGS | OPTIONS | SETTINGS
    if call:
        assert isinstance(eval(f"tl.{here}", {"tl": tl}), lk.Layer)


def test_every_name_is_there_once_and_is_not_one_of_ours() -> None:
    assert all(there == there.lower() for there in THERE)
    assert len(set(THERE)) == len(THERE)
    assert {name.lower() for name in THINGS}.isdisjoint(THERE)


LAYERS = """
    MultiHeadAttention Attention    Conv2d Conv                      Conv1D Conv1d
    Linear Dense                    BatchNorm1d BatchNorm            ReLU Relu
    Sequential Serial               LogSoftMax LogSoftmax            Embed Embedding
    Dropout1d Dropout               GELU Gelu                        SiLU Swish
    LayerNormalization LayerNorm    Identity Serial()                GlobalAveragePooling1D Mean(axis=1)
    CrossEntropy CrossEntropyLoss   NLLLoss CrossEntropyLoss         MSELoss L2Loss
    Lambda Fn                       LeakyReLU LeakyRelu              BCEWithLogitsLoss BinaryCrossEntropy
    MaxPool2d MaxPool               AveragePooling1D AvgPool         Seral Serial
""".split()


@pytest.mark.parametrize(("there", "here"), list(zip(LAYERS[::2], LAYERS[1::2], strict=True)))
def test_layers(there: str, here: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(tl, there)
    assert str(caught.value) == f"module 'layerkit.layers': unknown layer {there!r}: did you mean {here!r}?"


@pytest.mark.parametrize(
    ("module", "name", "place"),
    [
        (layers, "Transformer", "layerkit.models.Transformer"),
        (layers, "Adam", "layerkit.optimizers.Adam"),
        (models, "LSTM", "layerkit.layers.LSTM"),
        (optimizers, "Serial", "layerkit.layers.Serial"),
        (lk, "Dense", "layerkit.layers.Dense"),
        (lk, "Adam", "layerkit.optimizers.Adam"),
    ],
)
def test_a_name_of_another_kind_is_told_where_it_stands(module: Any, name: str, place: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(module, name)
    assert str(caught.value) == f"module {module.__name__!r} has no attribute {name!r}: did you mean {place}?"


def test_what_is_nowhere_has_no_hint() -> None:
    with pytest.raises(AttributeError, match=r"^module 'layerkit' has no attribute 'Tensor'$"):
        _ = lk.Tensor


def test_optimizers_models_and_commands() -> None:
    with pytest.raises(AttributeError, match=r"unknown optimizer 'RMSprop': did you mean 'RMSProp'\?"):
        _ = optimizers.RMSprop
    with pytest.raises(AttributeError, match=r"unknown model 'GPT2': did you mean 'TransformerLM'\?"):
        _ = models.GPT2
    with pytest.raises(UsageError, match=r"no layer, model, optimizer or recipe 'Linear': did you mean 'Dense'\?"):
        find("Linear")


def test_a_name_that_is_not_known_is_not_suggested() -> None:
    assert called_here("linear", ["LeakyRelu"]) == ""
