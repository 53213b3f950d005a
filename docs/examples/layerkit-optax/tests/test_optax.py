"""Whether layerkit with optax does what optax by hand does, and keeps the rules of optimizers."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from layerkit_optax import Optax, OptaxLion, OptaxRMSProp
from safetensors.numpy import load_file

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers, testing


@pytest.fixture(autouse=True)
def on_jax():
    with lk.use_backend("jax"):
        yield


def normal(shape, seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def weights_of_a_model():
    return (normal((5, 3), 0), (), (normal((3, 2), 1), normal((2,), 2))), ()


def gradients(weights, step):
    return lk.fastmath.nested_map(lambda w: 3 * normal(w.shape, 100 + step), weights)


def by_hand(transformation, weights, n_steps):
    state = transformation.init(weights)
    for step in range(n_steps):
        updates, state = transformation.update(gradients(weights, step), state, weights)
        weights = optax.apply_updates(weights, updates)
    return weights


def by_layerkit(optimizer, weights, n_steps, first=0, slots=None, **changed):
    fresh, opt_params = optimizer.tree_init(weights)
    slots = fresh if slots is None else slots
    for step in range(first, first + n_steps):
        weights, slots, _ = optimizer.tree_update(
            step, gradients(weights, step), weights, slots, opt_params._replace(**changed)
        )
    return weights, slots


def assert_same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def assert_close(ours, theirs, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), ours, theirs)


def only_matrices(tree):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, tree)


def kinds(tree):
    return jax.tree.map(lambda leaf: "matrix" if leaf.ndim > 1 else "vector", tree)


TRANSFORMATIONS = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adamw": lambda: optax.adamw(1e-2),
    "adabelief": lambda: optax.adabelief(1e-2),
    "adafactor": lambda: optax.adafactor(1e-2, min_dim_size_to_factor=2),
    "lamb": lambda: optax.lamb(1e-2),
    "lion": lambda: optax.lion(1e-3),
    "masked": lambda: optax.adamw(1e-2, mask=only_matrices),
    "masked state": lambda: optax.masked(optax.adam(1e-2), only_matrices),
    "by kind": lambda: optax.multi_transform({"matrix": optax.adam(1e-2), "vector": optax.sgd(0.1)}, kinds),
    "clip_by_global_norm": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
    "schedule": lambda: optax.adam(optax.warmup_cosine_decay_schedule(0.0, 0.1, 5, 20)),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adam)(optax.linear_schedule(0.1, 0.0, 20)),
    "every third step": lambda: optax.MultiSteps(optax.adam(1e-2), every_k_schedule=3),
    "flatten": lambda: optax.flatten(optax.adam(1e-2)),
    "noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, key=jax.random.key(7)), optax.sgd(0.1)),
    "nothing": optax.identity,
}


@pytest.fixture(params=TRANSFORMATIONS)
def transformation(request):
    return TRANSFORMATIONS[request.param]()


def test_twenty_steps_equal_optax_by_hand(transformation):
    weights = weights_of_a_model()
    ours, _ = by_layerkit(Optax(transformation), weights, 20)
    assert_same(ours, by_hand(transformation, weights, 20))
    assert not np.array_equal(ours[0][0], weights[0][0])


def test_one_weight_alone(transformation):
    """``init`` and ``update``, on one weight, are optax on a tree of one weight."""
    weight, optimizer = normal((4, 3), 0), Optax(transformation)
    slots, moved = optimizer.init(weight), weight
    for step in range(3):
        moved, slots = optimizer.update(step, gradients(moved, step), moved, slots, optimizer.opt_params)
    assert_same(moved, by_hand(transformation, weight, 3))


def test_slots_are_plain_arrays_in_the_form_of_the_weights(transformation):
    _, slots = by_layerkit(Optax(transformation), weights_of_a_model(), 2)
    assert slots[0][1] == ()
    assert slots[1] == ()
    for of_weight in (slots[0][0], *slots[0][2]):
        assert type(of_weight) is dict
        for array in of_weight.values():
            assert isinstance(array, jax.Array)
            assert array.dtype in (jnp.float32, jnp.int32, jnp.uint32, jnp.bool_)


def test_slots_are_stored_once():
    """Arrays of the weights' size stand with one weight; a count, with each."""
    weights = weights_of_a_model()
    for made in (optax.adam(0.1), optax.flatten(optax.adam(0.1)), TRANSFORMATIONS["by kind"]()):
        slots, _ = Optax(made).tree_init(weights)
        state = [leaf for leaf in jax.tree.leaves(made.init(weights)) if leaf.ndim]
        kept = [leaf for leaf in jax.tree.leaves(slots) if leaf.ndim]
        assert sum(leaf.size for leaf in kept) == sum(leaf.size for leaf in state)
    slots, _ = Optax(optax.adam(0.1)).tree_init(weights)
    assert list(slots[0][0]) == ["0.count", "0.mu", "0.nu"]


def test_compiled_steps_may_overwrite_slots(transformation):
    """No array stands in two places, nor is one of the weights: donated buffers have to be distinct."""
    optimizer, weights = Optax(transformation), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    step = lk.fastmath.jit(
        lambda carry, n, grads: optimizer.tree_update(n, grads, *carry, opt_params)[:2], donate_argnums=(0,)
    )
    carry = (jax.tree.map(jnp.copy, weights), slots)
    for n in range(4):
        carry = step(carry, n, gradients(weights, n))
    assert_close(carry[0], by_hand(transformation, weights, 4), rtol=1e-4)


def test_state_that_holds_the_weights_is_a_copy():
    optimizer = Optax(optax.GradientTransformation(lambda params: params, lambda g, state, params: (g, params)))
    weights = weights_of_a_model()
    slots, _ = optimizer.tree_init(weights)
    places = {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((weights, slots))}
    assert len(places) == 2 * len(jax.tree.leaves(weights))


def test_global_norm_is_of_all_weights():
    weights, grads = (jnp.zeros(1), jnp.zeros(1)), (jnp.array([3.0]), jnp.array([4.0]))
    optimizer = Optax(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0)))
    slots, opt_params = optimizer.tree_init(weights)
    moved, _, figures = optimizer.tree_update(0, grads, weights, slots, opt_params, stats=True)
    np.testing.assert_allclose([float(w[0]) for w in moved], [-0.6, -0.8], rtol=1e-6)
    assert float(figures["gradients_l2"]) == 5.0


def test_whole_numbers_are_left_alone():
    weights = (normal((2,), 0), jnp.array([3, 1]), jnp.array([True]), jnp.zeros((0, 2)))
    optimizer = Optax(optax.adamw(0.1))
    slots, opt_params = optimizer.tree_init(weights)
    grads = (normal((2,), 1), jnp.array([5, 5]), jnp.array([True]), jnp.zeros((0, 2)))
    moved, new_slots, _ = optimizer.tree_update(0, grads, weights, slots, opt_params)
    assert_same(moved[1:], weights[1:])
    assert slots[1:] == new_slots[1:] == ((), (), ())
    updates, _ = optax.adamw(0.1).update(grads[0], optax.adamw(0.1).init(weights[0]), weights[0])
    assert_same(moved[0], weights[0] + updates)
    frozen = (jnp.array([3, 1]), ())
    slots, opt_params = optimizer.tree_init(frozen)
    assert_same(optimizer.tree_update(0, frozen, frozen, slots, opt_params)[0], frozen)


def test_learning_rates_are_multiplied():
    weights = weights_of_a_model()
    wanted = by_hand(optax.sgd(0.05), weights, 3)
    assert_close(by_layerkit(Optax(optax.sgd(1.0), 0.05), weights, 3)[0], wanted)
    assert_close(by_layerkit(Optax(optax.sgd(0.1), 0.5), weights, 3)[0], wanted)
    assert_close(by_layerkit(Optax(optax.sgd(0.1), lambda step: 0.5), weights, 3)[0], wanted)
    assert_close(by_layerkit(Optax(optax.sgd(0.1)), weights, 3, learning_rate=np.float32(0.5))[0], wanted)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (OptaxLion(0.01, b1=0.8, b2=0.95), optax.lion(0.01, b1=0.8, b2=0.95, weight_decay=0.0)),
        (OptaxLion(0.01, weight_decay_rate=0.0), optax.lion(0.01, weight_decay=0.0)),
        (OptaxRMSProp(0.01, decay=0.8, eps=1e-6), optax.rmsprop(0.01, decay=0.8, eps=1e-6)),
    ],
    ids=repr,
)
def test_named_ones_equal_optax_by_hand(ours, theirs):
    weights = weights_of_a_model()
    assert_close(by_layerkit(ours, weights, 20)[0], by_hand(theirs, weights, 20))


# -- the kit ----------------------------------------------------------------------------------------------------------


@testing.conformance(OptaxLion, kind="optimizer")
def test_conformance_of_lion():
    """One test a check of the kit."""


@testing.conformance(OptaxRMSProp, kind="optimizer")
def test_conformance_of_rms_prop():
    """One test a check of the kit."""


def adam_of_optax(learning_rate):
    """w <- w + learning_rate * u, with u that of Adam."""
    return Optax(optax.adam(1.0), learning_rate)


def clipped_sgd_of_optax(learning_rate):
    """w <- w - learning_rate * g / max(1, |g|), with |g| the norm of all gradients together."""
    return Optax(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0)), learning_rate)


def test_any_transformation_keeps_the_rules():
    report = testing.check_optimizer(adam_of_optax)
    ran = {result.name for result in report.results if result.status == "passed"}
    failed = {result.name: result.message for result in report.failed}
    # optax compiles its bias correction, for a tree as a whole: the last bit depends on what else is in the tree.
    assert set(failed) <= {"a_tree_is_its_leaves"}, str(report)
    assert all("e-08 apart" in message or "e-09 apart" in message for message in failed.values()), str(report)
    assert len(ran) >= 30


def test_a_transformation_of_the_whole_tree_keeps_all_rules_but_one():
    reason = "the norm of all gradients together scales each of them"
    report = testing.check_optimizer(clipped_sgd_of_optax, expected_failures={"a_tree_is_its_leaves": reason})
    assert report.ok, str(report)


def test_they_are_registered():
    for name in ("OptaxLion", "OptaxRMSProp"):
        assert isinstance(getattr(optimizers, name)(0.1), Optax)


# -- in training ------------------------------------------------------------------------------------------------------


def loop_with(optimizer, output_dir=None, **options):
    x = np.asarray(normal((32, 4), 0))
    y = (x.sum(axis=1) > 0).astype("int32")
    batches = [(x[i : i + 8], y[i : i + 8], np.ones(8, "float32")) for i in range(0, 32, 8)]
    model = tl.Serial(tl.Dense(8), tl.Relu(), tl.Dense(2), tl.LogSoftmax())
    task = lk.TrainTask(batches, tl.CrossEntropyLoss(), optimizer, n_steps_per_checkpoint=5, **options)
    return lk.Loop(model, task, output_dir=output_dir, log=None, learning_curve=False)


RUNS = {
    **{name: (lambda make=make: Optax(make())) for name, make in TRANSFORMATIONS.items() if name != "nothing"},
    "OptaxLion": OptaxLion,
    "OptaxRMSProp": OptaxRMSProp,
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_resumed_ends_as_one_in_a_piece(name, tmp_path):
    loop_with(RUNS[name](), tmp_path / "whole").run(10)
    loop_with(RUNS[name](), tmp_path / "resumed").run(5)
    resumed = loop_with(RUNS[name](), tmp_path / "resumed")
    assert resumed.step == 5
    resumed.run(5)
    for kind in ("weights", "slots"):
        ours, theirs = (saved(tmp_path / run, 10, kind) for run in ("resumed", "whole"))
        assert ours or (kind, name) == ("slots", "sgd")
        assert_same(ours, theirs)


def saved(output_dir, step, kind):
    """The arrays of a checkpoint, by name."""
    return load_file(output_dir / "checkpoints" / f"step-{step:08d}" / f"{kind}.safetensors")


def test_slots_are_saved_by_name(tmp_path):
    loop_with(Optax(optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))), tmp_path).run(1)
    names = ["0/0.Dense/bias/1.0.count", "0/0.Dense/bias/1.0.mu", "0/0.Dense/bias/1.0.nu", "0/0.Dense/kernel/1.0.count"]
    assert sorted(saved(tmp_path, 1, "slots"))[:4] == names


def test_checkpoint_of_another_transformation_is_refused(tmp_path):
    loop_with(Optax(optax.adam(0.1)), tmp_path).run(1)
    with pytest.raises(lk.LayerkitError, match=r"slots.safetensors: .*it belongs to another model"):
        loop_with(Optax(optax.sgd(0.1, momentum=0.9)), tmp_path)


def test_a_schedule_of_the_task_multiplies():
    scheduled, plain = loop_with(Optax(optax.sgd(1.0)), lr_schedule=lambda step: 0.1), loop_with(Optax(optax.sgd(0.1)))
    for loop in (scheduled, plain):
        loop.run(5)
    assert_close(scheduled.model.weights, plain.model.weights)


def test_readme():
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    names = {}
    (code,) = re.findall(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(compile(code, "README.md", "exec", dont_inherit=True), names)
    assert names["accuracy"] > 0.95


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Optax(optax.sgd(0.1)), OptaxLion], ids=["Optax", "OptaxLion"])
def test_other_backends_are_refused(make):
    optimizer, weight = make(), np.ones(2, "float32")
    slots, opt_params = optimizer.tree_init(weight)
    message = (
        rf"^{type(optimizer).__name__} runs on the backend 'jax' alone, and the active one is 'numpy': "
        r"choose it with use_backend\('jax'\) or LAYERKIT_BACKEND=jax$"
    )
    with lk.use_backend("numpy"):
        for call in (
            lambda: optimizer.init(weight),
            lambda: optimizer.update(0, weight, weight, slots, opt_params),
            lambda: optimizer.tree_init(weight),
            lambda: optimizer.tree_update(0, weight, weight, slots, opt_params),
            lambda: loop_with(optimizer),
        ):
            with pytest.raises(lk.UsageError, match=message):
                call()


@pytest.mark.parametrize("given", [0.1, optax.adam, optax.GradientTransformation, None], ids=repr)
def test_what_is_no_transformation_is_refused(given):
    with pytest.raises(lk.UsageError, match=r"^Optax: a transformation such as optax\.adamw\(1e-3\) is due, got "):
        Optax(given)


def test_transformations_that_need_the_loss_are_refused():
    optimizer = Optax(optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau()))
    weight = jnp.ones(2)
    slots, opt_params = optimizer.tree_init(weight)
    with pytest.raises(
        lk.UsageError, match=r"^Optax: .*'value': a layerkit step hands over gradients and weights alone"
    ):
        optimizer.tree_update(0, weight, weight, slots, opt_params)


def test_slots_of_another_transformation_are_refused():
    weight, optimizer = jnp.ones(2), Optax(optax.adam(0.1))
    slots, _ = Optax(optax.sgd(0.1)).tree_init(weight)
    with pytest.raises(
        lk.LayerkitError, match=r"^Optax: the slots of weight 0 have no '0\.count': take those of tree_init"
    ):
        optimizer.tree_update(0, weight, weight, slots, optimizer.opt_params)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (lambda state: state.astype(jnp.int32), r"state in its state changes from float32\[\] to int32\[\]"),
        (lambda state: (state, state), r"its state changes its form, from "),
    ],
    ids=["dtype", "structure"],
)
def test_states_that_change_their_form_are_refused(after, message):
    optimizer = Optax(optax.GradientTransformation(lambda w: jnp.zeros(()), lambda g, state, w: (g, after(state))))
    weights = (jnp.ones(2), jnp.ones(2))
    slots, opt_params = optimizer.tree_init(weights)
    with pytest.raises(lk.LayerkitError, match=message):
        optimizer.tree_update(0, weights, weights, slots, opt_params)


def test_repr():
    assert repr(Optax(optax.adam(0.1), clip_grad_norm=1.0)) == (
        "Optax(learning_rate=1.0, transformation=<optax chain>, clip_grad_norm=1.0)"
    )
    assert repr(OptaxLion(0.1, b1=0.5)) == "OptaxLion(learning_rate=0.1, b1=0.5)"
