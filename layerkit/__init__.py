"""layerkit: neural NLP models composed from small layers, on NumPy and, jit-compiled, on JAX.

To begin with: ``train``, ``load`` and ``predict`` for a recipe; ``layers`` (as ``tl``), ``optimizers``, ``data``,
``TrainTask``, ``EvalTask`` and ``Loop`` for a model; ``Layer``, ``example`` and ``hookimpl`` for a layer of your own.

Every name here is imported from its module when it is first used, so that ``import layerkit`` costs next to nothing.
"""

import importlib
import os
import sys

ModuleType = type(sys)

# Where each name lives; the one place to add one (and `python -m layerkit.plugins.stubs` tells editors).
_NAMES = {
    "layerkit.combinators": (
        "Add BatchLeadingAxes Bidirectional Branch Cache Chunk Concatenate Cond Drop Dup FlattenList Gate Map Multiply "
        "Parallel Residual Scan Select Serial SerialWithSideOutputs Split SubtractTop Swap inputs_from_stack "
        "outputs_onto_stack sequence_arity"
    ),
    "layerkit.errors": "LayerkitError UsageError",
    "layerkit.example": "example",
    "layerkit.fastmath": "use_backend",
    "layerkit.layer": "Layer LayerError",
    "layerkit.pure_layer": "Fn PureLayer",
    "layerkit.optimizer": "Optimizer",
    "layerkit.plugins": "deferred hookimpl",
    "layerkit.reversible": "ReversibleLayer",
    "layerkit.runs": "load predict train",
    "layerkit.shapes": "ShapeDtype bf16 bool_ f16 f32 f64 i32 signature u32",
    "layerkit.summary": "summary",
    "layerkit.training": "EvalTask Loop TrainTask",
}
_MODULES = "bench data decoding fastmath layers models optimizers plugins recipe runs testing training"

_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted([*_HOME, *_MODULES.split()])


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in __all__:
        value = importlib.import_module(f"layerkit.{name}")
    elif name == "__version__":
        value = importlib.import_module("importlib.metadata").version("layerkit")
    else:
        raise AttributeError(f"module 'layerkit' has no attribute {name!r}{_hint(name)}")
    globals()[name] = value
    return value


def _hint(name: str) -> str:
    """Where a name stands that is not here; all that registers names is imported for it."""
    # Python and tools ask for names with an underscore, and `from layerkit import arguments` before it imports that.
    if name[0] == "_" or any(os.path.exists(os.path.join(__path__[0], name + end)) for end in (".py", "")):
        return ""
    if name in importlib.import_module("layerkit.fastmath").__all__:
        return f": did you mean layerkit.fastmath.{name}?"
    place = importlib.import_module("layerkit.plugins.namespace").place_of(name)
    return f": did you mean {place}?" if place else ""


def __dir__() -> list[str]:
    return __all__


class _Face(ModuleType):
    """Keeps ``layerkit.summary`` the function: importing the module of that name would bind the module instead."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and _HOME.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
