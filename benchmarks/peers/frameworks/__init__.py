"""The same jobs in each framework, one file a framework, written as its own documentation recommends.

A file has ``train(job)``, which returns a function ``run(n)``: n more steps, all finished when it returns, and the loss
of the last one; and ``predict(job)``, which returns a function from ids (batch, length) to log-probabilities, a NumPy
array. A model that a framework lacks raises ``NotThere``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["FRAMEWORKS", "HERE", "Framework", "NotThere", "Predict", "Run"]

Run = Callable[[int], float]
Predict = Callable[[np.ndarray], np.ndarray]

HERE = "here"
"""The environment of the Python that runs the benchmark: the one that layerkit is installed in."""


class NotThere(Exception):
    """There is no such model; the message says so in a few words."""


@dataclass(frozen=True)
class Framework:
    """One row of the tables."""

    name: str
    title: str
    module: str
    """The file in this folder."""
    environment: str
    packages: str
    """Whose versions are recorded."""
    train: str = "train"
    """The function of the module that trains."""
    predict: str = "predict"
    """The function of the module that predicts."""
    models: str = "classifier"
    kinds: str = "train predict start"
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""
    note: str = ""

    def does(self, kind: str, model: str) -> bool:
        """Whether it is written for a job of this kind on this model."""
        return kind in self.kinds.split() and model in self.models.split()


ALL = "classifier transformer lstm gru"
KERAS = {"KERAS_BACKEND": "jax"}
# {scratch} is a folder that is empty when a benchmark starts, and the same for all of its processes.
OURS = {"LAYERKIT_BACKEND": "jax", "LAYERKIT_CACHE": "{scratch}"}
OURS_COLD = {"LAYERKIT_BACKEND": "jax", "LAYERKIT_CACHE": "off"}
OURS_NUMPY = {"LAYERKIT_BACKEND": "numpy"}
KEPT = {
    "JAX_COMPILATION_CACHE_DIR": "{scratch}",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}

_FRAMEWORKS = (
    Framework("plain", "JAX by hand", "by_hand_jax", HERE, "jax jaxlib numpy", models=ALL),
    Framework(
        "plain-kept",
        "JAX by hand, compiled programs kept",
        "by_hand_jax",
        HERE,
        "jax jaxlib numpy",
        kinds="start",
        settings=KEPT,
        note="told to keep compiled programs on disk, as layerkit does of its own accord",
    ),
    Framework("plain-numpy", "NumPy by hand", "by_hand_numpy", HERE, "numpy"),
    Framework("layerkit", "layerkit on JAX", "with_layerkit", HERE, "layerkit jax", models=ALL, settings=OURS),
    Framework(
        "layerkit-run",
        "layerkit on JAX, a run",
        "with_layerkit",
        HERE,
        "layerkit jax",
        predict="predict_by_run",
        kinds="predict",
        settings=OURS,
        note="its log_probs fill batches up, so that few programs serve all texts",
    ),
    Framework(
        "layerkit-run-numpy",
        "layerkit on NumPy, a run",
        "with_layerkit",
        HERE,
        "layerkit numpy",
        predict="predict_by_run",
        kinds="predict",
        settings=OURS_NUMPY,
    ),
    Framework(
        "layerkit-cold",
        "layerkit on JAX, nothing kept",
        "with_layerkit",
        HERE,
        "layerkit jax",
        kinds="start",
        settings=OURS_COLD,
        note="with LAYERKIT_CACHE=off, so that everything is compiled anew",
    ),
    Framework("layerkit-numpy", "layerkit on NumPy", "with_layerkit", HERE, "layerkit numpy", settings=OURS_NUMPY),
    Framework("nnx", "Flax NNX", "with_nnx", "jax", "flax optax jax", models=ALL),
    Framework(
        "nnx-functional",
        "Flax NNX, functional loop",
        "with_nnx",
        "jax",
        "flax optax jax",
        train="train_functional",
        kinds="train",
        note="the loop that Flax's guide to performance recommends for small models",
    ),
    Framework("linen", "Flax Linen", "with_linen", "jax", "flax optax jax"),
    Framework("equinox", "Equinox", "with_equinox", "jax", "equinox optax jax", models=ALL),
    Framework("haiku", "Haiku", "with_haiku", "jax", "dm-haiku optax jax"),
    Framework("keras", "Keras on JAX", "with_keras", "jax", "keras jax", settings=KERAS),
    Framework("torch", "PyTorch", "with_torch", "torch", "torch", models=ALL),
    Framework(
        "torch-compile",
        "PyTorch, torch.compile",
        "with_torch",
        "torch",
        "torch",
        train="train_compiled",
        models="classifier transformer",
        kinds="train",
    ),
    Framework(
        "torch-sparse",
        "PyTorch, SparseAdam",
        "with_torch",
        "torch",
        "torch",
        train="train_sparse",
        kinds="train",
        note="SparseAdam leaves out rows and their moments where a batch does not touch them: another model is trained",
    ),
    Framework("thinc", "Thinc", "with_thinc", "thinc", "thinc numpy"),
)
FRAMEWORKS = {framework.name: framework for framework in _FRAMEWORKS}
