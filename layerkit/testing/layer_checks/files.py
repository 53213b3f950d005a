"""Weights and state in files."""

from __future__ import annotations

import os
import tempfile

from layerkit import fastmath
from layerkit.engine.bare import bare
from layerkit.tensor_names import tensor_paths
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault
from layerkit.testing.trees import leaves, require_same
from layerkit.testing.trial import Trial, blaming

__all__: list[str] = []

check = LAYERS.check("files")


@check
def comes_back_from_a_file(case: LayerCase) -> None:
    """Another layer of its kind that reads its file has the same weights and state, and computes the same."""
    for trial in case.trials:
        _write_and_read(case, trial)


def _write_and_read(case: LayerCase, trial: Trial) -> None:
    with trial.active(), blaming("its file"), tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "layer.safetensors")
        layer, other = trial.make(), trial.make()
        layer.init(bare(trial.inputs), trial.key(5))
        layer.weights = fastmath.to_device(trial.weights)  # or `x @ w` of NumPy's arrays would be NumPy's
        layer.save_to_file(path)
        loaded = other.init_from_file(path, bare(case.signatures))
        kept = fastmath.to_host(((trial.weights, layer.state), loaded))
        require_same(f"weights and state on {trial.backend}, before and after a file,", *kept)
        x = bare(trial.inputs)
        ours, theirs = (one.pure_fn(x, one.weights, one.state, trial.key(0)) for one in (layer, other))
        results = fastmath.to_host((ours, theirs))
    require_same("its outputs before and after a file: something lies neither in weights nor in state;", *results)


@check
def tensors_have_names_of_their_own(case: LayerCase) -> None:
    """Every array of weights has a path of its own, such as ``0.Dense/kernel``: files and reports name it so."""
    trial = case.reference
    paths = tensor_paths(trial.layer, trial.weights)
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise Fault(f"{paths.count(twice[0])} of its arrays are called {twice[0]!r}")
    if len(paths) != len(leaves(trial.weights)) or not all(path.isprintable() and path for path in paths):
        raise Fault(f"its {len(leaves(trial.weights))} arrays are called {paths}")
