"""Whether PyTorch is a backend as good as NumPy's: the kit's checks, and what the kit does not ask."""

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath, testing
from layerkit.fastmath import ArrayError
from layerkit.fastmath import numpy as np


@testing.conformance("torch", kind="backend")
def test_conformance():
    """One test a check of the kit."""


@pytest.fixture(autouse=True)
def on_torch():
    with lk.use_backend("torch"):
        yield


def test_arrays_hold_tensors():
    import torch

    assert isinstance(np.ones(3).tensor, torch.Tensor)


def test_gradient_of_a_gradient():
    slope = fastmath.grad(lambda x: x**4)
    curvature = fastmath.grad(slope)
    assert float(slope(np.array(2.0))) == 32
    assert float(curvature(np.array(2.0))) == 48
    assert float(fastmath.grad(curvature)(np.array(2.0))) == 48


def test_inner_gradients_are_linked_to_outer_ones():
    def outer(x):
        return x * fastmath.grad(lambda y: x * y**2)(x)  # x * 2 x^2, differentiated through both x

    assert float(fastmath.grad(outer)(np.array(3.0))) == 54


_own = fastmath.custom_vjp(lambda x: x**3, lambda x: (x**3, x), lambda x, dy: (dy * 3 * x**2,))


@pytest.mark.parametrize("cube", [_own, fastmath.remat(lambda x: x**3)], ids=["custom_vjp", "remat"])
def test_second_gradient(cube):
    assert float(fastmath.grad(fastmath.grad(cube))(np.array(2.0))) == 12


def test_results_of_a_gradient_are_constants():
    (value, aux), gradient = fastmath.value_and_grad(lambda x: (x**2, x * 3), has_aux=True)(np.array(3.0))
    y, back = fastmath.vjp(lambda x: x * 2, np.array(1.0))
    for array in (value, aux, gradient, y, *back(np.array(1.0))):
        assert not array.tensor.requires_grad


def test_arrays_being_differentiated_are_no_plain_numbers():
    with pytest.raises(TypeError, match="being differentiated"):
        fastmath.grad(lambda x: x * float(x))(np.array(1.0))


def test_arrays_are_not_written():
    x = np.zeros(3)
    with pytest.raises(TypeError, match=r"np\.where"):
        x[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        fastmath.to_host(x)[0] = 1
    host = onp.zeros(3, "float32")
    x = np.asarray(host)
    host[0] = 1
    assert x.tolist() == [0, 0, 0]


_X = onp.arange(24.0, dtype="float32").reshape(2, 3, 4)
_INDEXES = [
    (slice(None, None, -1),),
    (slice(None), slice(2, 0, -1), slice(None, None, -2)),
    (..., slice(None, None, -3)),
    (None, 1, ..., slice(3, 1, -1)),
    (slice(0, 0, -1),),
    (onp.array([1, 0]), slice(None, None, -1)),
    (_X[:, :, 0] > 3,),
    (slice(None), onp.array([[0, 2], [-1, 1]])),
]


@pytest.mark.parametrize("index", _INDEXES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "uint32", "uint16", "int8", "float16"])
def test_indexing(index, dtype):
    x = _X.astype(dtype)
    got = fastmath.to_host(np.asarray(x)[index])
    assert got.dtype == x.dtype
    assert onp.array_equal(got, x[index])


@pytest.mark.parametrize("name", ["add", "multiply", "subtract", "maximum", "floor_divide", "mod", "less"])
def test_unsigned_numbers(name):
    a, b = onp.array([3, 2**32 - 1, 2**31], "uint32"), onp.array([5, 7, 2**31], "uint32")
    wanted = getattr(onp, name)(a, b)
    got = fastmath.to_host(getattr(np, name)(a, b))
    assert got.dtype == wanted.dtype
    assert onp.array_equal(got, wanted)


@pytest.mark.parametrize("left", ["bool", "int8", "int32", "uint8", "uint32", "float16", "float32"])
@pytest.mark.parametrize("right", ["bool", "int8", "int32", "uint8", "uint32", "float16", "float32"])
def test_dtypes_of_sums(left, right):
    a, b = onp.ones(2, left), onp.ones(2, right)
    with lk.use_backend("numpy"):
        wanted = np.add(a, b).dtype
    assert np.add(np.asarray(a), np.asarray(b)).dtype == wanted


@pytest.mark.parametrize("name", ["square", "reciprocal", "ceil", "abs"])
@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "float16"])
def test_dtypes_of_single_numbers(name, dtype):
    x = onp.ones(2, dtype)
    with lk.use_backend("numpy"):
        wanted = getattr(np, name)(x).dtype
    assert getattr(np, name)(np.asarray(x)).dtype == wanted


@pytest.mark.parametrize("name", ["power", "mod", "floor_divide"])
def test_truths_as_numbers(name):
    x = onp.array([True, False])
    got = getattr(np, name)(np.asarray(x), True)
    assert got.dtype == "int8"
    assert got.tolist() == getattr(onp, name)(x, True).tolist()


def test_whole_numbers_divided_by_zero():
    assert np.floor_divide(np.array([3, 4]), 0).tolist() == [0, 0]


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_padding(mode):
    assert onp.array_equal(fastmath.to_host(np.pad(_X, ((0, 1), (1, 0), (2, 3)), mode=mode)),
                           onp.pad(_X, ((0, 1), (1, 0), (2, 3)), mode=mode))  # fmt: skip


def test_numpys_arrays_beside_ours():
    assert type(onp.ones(2, "float32") * np.ones(2)) is type(np.ones(2))
    assert (onp.ones(2, "float32") - 3 * np.ones(2)).tolist() == [-2, -2]


def test_other_devices_are_refused():
    with pytest.raises(lk.UsageError, match="CPU alone"):
        fastmath.to_device(np.ones(2), "gpu:0")


def test_a_carry_that_changes_is_refused():
    with pytest.raises(ArrayError, match="carry"):
        fastmath.scan(lambda c, x: (np.stack([c, c]), x), np.array(0.0), np.ones(3))


def test_it_is_listed():
    from layerkit.plugins import registry

    offers = {offer.name: offer for offer in registry.backends.offers()}
    assert offers["torch"].distribution == "layerkit-torch"


def test_it_trains_as_numpy_does():
    """The same keys, batches and steps: the same accuracy, and losses apart by rounding."""
    runs = {
        name: lk.train("sentiment", backend=name, corpus="starter", steps=60, learning_rate=0.02, embedding_dim=32)
        for name in ("numpy", "torch")
    }
    ours, wanted = runs["torch"].metrics, runs["numpy"].metrics
    assert ours["accuracy"] == wanted["accuracy"] > 0.6
    assert ours["loss"] == pytest.approx(wanted["loss"], rel=1e-4)
    assert runs["torch"].predict("what a lovely morning :)").label == "positive"
