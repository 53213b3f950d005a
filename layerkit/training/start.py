"""The first weights, state and slots of a run, made in one compiled program."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as onp

from layerkit.engine.initializing import init_outermost
from layerkit.engine.sharing import walk
from layerkit.errors import LayerkitError
from layerkit.fastmath import abstract_eval, is_traced, jit, random, to_device, use_backend
from layerkit.fastmath import numpy as np
from layerkit.fastmath.memory import MemoryShortageError
from layerkit.fastmath.rows import writes_in_place
from layerkit.layer import Layer
from layerkit.shapes import ShapeDtype, signature
from layerkit.training.batch import measured, parts
from layerkit.training.limits import check_memory
from layerkit.training.own import copied
from layerkit.training.tables import paths_of
from layerkit.training.task import TrainTask
from layerkit.training.variables import OfTask, Variables

__all__ = ["Keys", "Start", "start"]

# Far from the positions of sublayers, which are folded into the same key.
_TRAIN, _LOSS, _EVAL, _USER, _LOSS_WEIGHTS = (0xFFFFFFFF - i for i in range(5))


class Keys(NamedTuple):
    """The random keys of a run: for the model's steps, the loss's steps, evaluation, and ``new_rng``."""

    train: Any
    loss: Any
    evaluate: Any
    user: Any


class Start(NamedTuple):
    """What a run starts with.

    ``private`` says whether steps may overwrite the variables, ``compiled`` whether the backend compiles programs.
    """

    variables: Variables
    keys: Keys
    opt_params: list[Any]
    private: bool
    compiled: bool


def start(model: Layer, tasks: list[TrainTask], seed: int) -> Start:
    """Initializes the model (unless it has weights), the loss layers and the slots; the layers keep what they got.

    Raises:
        LayerError: the model or a loss cannot take its inputs.
        MemoryShortageError: the run cannot fit into memory.
        LayerkitError: a loss is no single number.
    """
    samples = [signature(task.sample_batch) for task in tasks]
    # What get_prng gives; on a device it would take a compiled program of its own.
    root = onp.array([seed >> 32, seed & 0xFFFFFFFF], onp.uint32)
    # Nor is the other keys' making worth a part of one: compiled, each would be a loop of its own.
    with use_backend("numpy"):
        keys = Keys(*(random.fold_in(root, number) for number in (_TRAIN, _LOSS, _EVAL, _USER)))
        of_losses = random.fold_in(root, _LOSS_WEIGHTS)
        loss_keys = [random.fold_in(of_losses, number) for number in range(len(tasks))]
    given = _given(model, parts(samples[0], model.n_in)[0], root)
    opt_params: list[Any] = []
    compiled = False

    def program(root: Any, loss_keys: Any, given: Any) -> Any:
        nonlocal opt_params, compiled
        made, opt_params = _make(model, tasks, samples, root, loss_keys, given)
        compiled = is_traced(root)
        kept = (made.weights, made.state, [task[:2] for task in made.tasks])
        own = [OfTask(copied(t.loss_weights), copied(t.loss_state), t.slots) for t in made.tasks]
        return kept, (copied(made.weights), copied(made.state), own), np.array(True)

    (weights, state, losses), own, alive, private = _compiled_or_not(program, root, loss_keys, given)
    model.weights, model.state = weights, state
    for task, (loss_weights, loss_state) in zip(tasks, losses, strict=True):
        task.loss_layer.weights, task.loss_layer.state = loss_weights, loss_state
    private = private or writes_in_place()
    return Start(Variables(own[0], own[1], own[2], alive), to_device(keys), opt_params, private, compiled)


def _compiled_or_not(program: Any, *args: Any) -> tuple[Any, ...]:
    try:
        return (*jit(program)(*args), True)
    except MemoryShortageError:
        raise
    except Exception:
        # An initializer may compute with NumPy, which cannot be compiled. What is wrong otherwise goes wrong again.
        return (*program(*args), False)


def _make(
    model: Layer, tasks: list[TrainTask], samples: list[Any], root: Any, loss_keys: list[Any], given: Any
) -> tuple[Variables, list[Any]]:
    outputs: Any = None
    if given is None:
        weights, state, outputs = init_outermost(model, parts(samples[0], model.n_in)[0], root)
    else:
        weights, state = given
    made, records = [], []
    for number, (task, sample) in enumerate(zip(tasks, samples, strict=True)):
        inputs, rest = parts(sample, model.n_in)
        if number or outputs is None:
            outputs = _output(model, inputs, weights, state, root)
        loss_inputs = measured(task.loss_layer, outputs, rest)
        loss_weights, loss_state, loss = init_outermost(task.loss_layer, loss_inputs, loss_keys[number])
        _check_scalar(task.loss_layer, loss)
        trained = weights, loss_weights
        task.optimizer.bind(paths_of((model, task.loss_layer), trained))
        slots, record = task.optimizer.tree_init(trained)
        made.append(OfTask(loss_weights, loss_state, slots))
        records.append(record)
    check_memory(weights, state, [(own.loss_weights, own.slots) for own in made], samples)
    return Variables(weights, state, made, None), records


def _output(model: Layer, inputs: Any, weights: Any, state: Any, key: Any) -> Any:
    """The signature of the model's output while training."""
    return abstract_eval(
        lambda x, w, s: model.pure_fn(x, w, s, key, training=True)[0], inputs, signature(weights), signature(state)
    )


def _check_scalar(loss_layer: Layer, output: Any) -> None:
    if not isinstance(output, ShapeDtype) or output.shape != () or output.dtype.kind not in "fV":
        remedy = "take its mean or sum" if getattr(output, "shape", ()) else "compute it in floats"
        raise LayerkitError(f"{loss_layer.name}: a loss is a single float, and it gives {output}: {remedy}")


def _given(model: Layer, inputs: Any, key: Any) -> Any:
    """The model's weights and state if it has some; what is missing is made, the rest stays as it is."""
    layers = [layer for layer in walk(model) if not layer.sublayers and not layer.is_bare]
    known = {layer: (layer.weights, layer.state) for layer in layers if layer._initialized}
    if not known:
        return None
    if len(known) < len(layers):
        model.weights, model.state, _ = init_outermost(model, inputs, key)
        for layer, (weights, state) in known.items():
            layer.weights, layer.state = weights, state
    return to_device((model.weights, model.state))
