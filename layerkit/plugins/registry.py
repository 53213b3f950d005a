"""What is registered: layers, optimizers, backends, models and recipes, and the backends that were made.

>>> sorted({"numpy", "jax"} - set(backends.names()))
[]
"""

from __future__ import annotations

import importlib.util
import re
import threading
from typing import Any

from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.plugins.kind import Registry
from layerkit.plugins.no_garbage import no_garbage
from layerkit.plugins.problems import one_line
from layerkit.plugins.uninterrupted import uninterrupted

__all__ = [
    "backend_names",
    "backends",
    "default_backend_name",
    "layers",
    "make_backend",
    "missing_modules",
    "models",
    "optimizers",
    "recipe_name",
    "recipes",
    "registries",
    "remedy",
]


def recipe_name(name: str) -> str:
    """What one types after ``layerkit train`` for the recipe of a class's name.

    >>> recipe_name("NamedEntities")
    'named-entities'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").lower()


def _name_of_recipe(constructor: Any) -> str | None:
    name = getattr(constructor, "__name__", None)
    return recipe_name(name) if isinstance(name, str) else None


backends = Registry("backend")
layers = Registry(
    "layer",
    core=(
        "layerkit.layer",
        "layerkit.pure_layer",
        "layerkit.combinators",
        "layerkit.initializers",
        "layerkit.reversible",
        "layerkit.assertions",
        "layerkit.accelerate",
        "layerkit.densities",
    ),
)
models = Registry("model")
optimizers = Registry("optimizer")
recipes = Registry("recipe", naming=_name_of_recipe)

registries: dict[str, Registry] = {
    "backends": backends,
    "layers": layers,
    "models": models,
    "optimizers": optimizers,
    "recipes": recipes,
}

_made: dict[Any, Any] = {}
_making = threading.RLock()


def backend_names() -> list[str]:
    """The names of all backends that plugins offer, installed or not.

    >>> "numpy" in backend_names()
    True
    """
    return backends.names()


def default_backend_name() -> str:
    """The bundled backend of highest preference among those whose modules are installed; none is imported.

    Raises:
        LayerkitError: not one of them can run here.

    >>> default_backend_name() in ("jax", "numpy")
    True
    """
    own = sorted(backends.own().items(), key=lambda item: -getattr(item[1].constructor, "preference", 0))
    for name, offer in own:
        if not missing_modules(offer.constructor):
            return name
    if not own:
        backends.get("numpy")  # says why layerkit's own are not there
    reasons = "; ".join(_unavailable(name, offer.constructor) for name, offer in own)
    raise LayerkitError(f"no backend can run here: {reasons}")


def make_backend(name: str) -> Any:
    """The backend of that name, made at the first call and the same object ever after.

    Raises:
        UsageError: nobody offers it, two do, or what it needs is not installed.
        LayerkitError: it fails to start.

    >>> make_backend("numpy") is make_backend("layerkit:numpy")
    True
    """
    constructor = backends.get(name)
    if constructor in _made:
        return _made[constructor]
    with _making:
        if constructor not in _made:
            if missing_modules(constructor):
                raise UsageError(_unavailable(name, constructor))
            try:
                with uninterrupted(), no_garbage():
                    _made[constructor] = _named(name, constructor())
            except LayerkitError:
                raise
            except Exception as error:
                raise LayerkitError(
                    f"backend {name!r} does not start: {one_line(error)}: {remedy(constructor)}"
                ) from error
        return _made[constructor]


def _named(name: str, made: Any) -> Any:
    """What a backend's constructor returned, if it may be one: without it the default would compute, unnoticed."""
    if not isinstance(getattr(made, "name", None), str):
        raise LayerkitError(f"backend {name!r} does not start: {shown(made)} is returned, which has no name")
    return made


def missing_modules(constructor: Any) -> tuple[str, ...]:
    """Which of the modules that a backend's constructor ``requires`` are not there; nothing is imported."""
    return tuple(module for module in getattr(constructor, "requires", ()) if not _importable(module))


def remedy(constructor: Any) -> str:
    """The command that installs what a backend needs: its constructor's ``remedy``, else a guess."""
    given = str(getattr(constructor, "remedy", ""))
    return given or f"pip install {' '.join(getattr(constructor, 'requires', ())) or 'it again'}"


def _unavailable(name: str, constructor: Any) -> str:
    missing = missing_modules(constructor)
    several = len(missing) > 1
    what = f"the package{'s' * several} {', '.join(missing)}, which {'are' if several else 'is'} not installed"
    return f"backend {name!r} needs {what}: {remedy(constructor)}"


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
