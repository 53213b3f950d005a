"""Plugins that are broken, in the way, or wrong: each is one line, and stops nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as onp
from distributions import Site
from plugin_modules import add_broken, offers

import layerkit as lk
from bad_inputs.case import Case
from layerkit.fastmath import numpy as np
from layerkit.testing import check_layer

__all__ = ["CASES", "World", "world"]

BROKEN = [
    "missing-module", "missing-attribute", "syntax-error", "import-error", "runtime-error", "exits", "newer-api",
    "older-api", "no-plugin-object", "wrong-arguments", "misspelt", "missing-dependency",
]  # fmt: skip

ASK = """
    import json, sys
    from layerkit.plugins.registry import backends, layers, make_backend, models
    answers = {}
    for kind, name in %r:
        try:
            if kind == "backend":
                make_backend(name)
            answers[name] = 0, str({"layer": layers, "model": models, "backend": backends}[kind].get(name)())
        except Exception as error:
            answers[name] = getattr(error, "exit_code", -1), str(error)
    models.names(), layers.names()
    print(json.dumps(answers))
"""
ASKED = [("model", "Good"), ("model", "Twin"), ("model", "one:Twin"), ("layer", "Relu"), ("layer", "shadow:Relu"),
         ("backend", "quantum"), ("model", "Loud"), ("model", "Warns"), ("model", "Patched")]  # fmt: skip

QUANTUM = """
import layerkit.plugins as lk
def quantum(): ...
quantum.requires = ("qubits",)
quantum.remedy = "pip install 'extra[quantum]'"
@lk.hookimpl
def layerkit_backends(): return [quantum]
"""
ENDLESS = """
import os, signal, threading, time
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
while True:
    time.sleep(0.01)
"""


class World(NamedTuple):
    """A site with all of them beside a good one, and what a process there was told."""

    folder: Path
    lines: list[str]
    answers: dict[str, tuple[int, str]]


def world(folder: Path) -> World:
    """Installs everything, and asks for one thing after the other in one process."""
    site = Site(folder / "site")
    site.add("good", entry_points="main = good", good=offers("Good"))
    for name in BROKEN:
        add_broken(site, name)
    for name in ("one", "two"):
        site.add(name, entry_points="main = " + name, **{name: offers("Twin")})
    site.add("shadow", entry_points="main = shadow", shadow=offers("Relu", "layer"))
    site.add("extra", entry_points="main = extra", extra=QUANTUM)
    site.add("loud", entry_points="main = loud", loud=offers("Loud", before="print('hello')"))
    site.add(
        "warns", entry_points="main = warns", warns=offers("Warns", before="import warnings; warnings.warn('old')")
    )
    patched = "import numpy; numpy.patched_by = 'patched'"
    site.add("patched", entry_points="main = patched", patched=offers("Patched", before=patched))
    done = site.python(ASK % ASKED)
    assert done.code == 0, done.err
    return World(folder, done.errors, json.loads(done.out))


Answer = tuple[int, str]


def told(name: str) -> Callable[[World], Answer]:
    """The one line about a plugin; everything else went on."""

    def act(world: World) -> Answer:
        (line,) = [line for line in world.lines if f"plugin {name} 2.5" in line]
        return world.answers["Good"][0], line

    return act


def answered(name: str) -> Callable[[World], Answer]:
    return lambda world: tuple(world.answers[name])  # type: ignore[return-value]  # JSON has lists


def alone(name: str, module: str) -> Callable[[World], Answer]:
    """In a process of its own, which it stops."""

    def act(world: World) -> Answer:
        site = Site(world.folder / name)
        site.add(name, entry_points=f"main = {name}", **{name: module})
        done = site.layerkit("plugins", "commands")
        return done.code, done.err

    return act


def checked(constructor: Callable[..., lk.Layer], check: str) -> Callable[[World], Answer]:
    """What the kit says of a layer."""

    def act(world: World) -> Answer:
        report = check_layer(constructor, lk.f32(4, 3), only=[check], backends=["numpy"])
        [result] = report.results
        return int(not report.ok), result.message

    return act


class WrongShape(lk.Layer):
    """Says that its output is as its input, and gives a sum."""

    def forward(self, x: Any) -> Any:
        return np.sum(x, axis=-1)

    def output_signature(self, signature: Any) -> Any:
        return signature


class Unsteady(lk.Layer):
    """Makes its weights from a generator that nobody seeds."""

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = onp.random.default_rng().normal(size=3).astype("float32")

    def forward(self, x: Any) -> Any:
        return x * self.weights


class Overwrites(lk.Layer):
    """Doubles its input in place."""

    def forward(self, x: Any) -> Any:
        if isinstance(x, onp.ndarray):
            x *= 2
        return x


class WrongGradient(lk.Layer):
    """2 x, with the gradient of 3 x."""

    has_backward = True

    def forward(self, x: Any) -> Any:
        return 2 * x

    def backward(self, x: Any, y: Any, grad: Any, weights: Any, state: Any, new_state: Any, rng: Any) -> Any:
        return 3 * grad, ()


CASES: list[Case] = [
    Case("missing module", told("missing-module"), 0, "ModuleNotFoundError"),
    Case("missing attribute", told("missing-attribute"), 0, "upgrade missing-attribute"),
    Case("syntax error", told("syntax-error"), 0, "SyntaxError"),
    Case("ImportError", told("import-error"), 0, "ImportError: no luck"),
    Case("RuntimeError at import", told("runtime-error"), 0, "RuntimeError: xxx"),
    Case("sys.exit(0)", told("exits"), 0, "it calls sys.exit(0)"),
    Case("os._exit", alone("ends", "import os; os._exit(7)"), 7, ""),
    Case("endless import", alone("endless", ENDLESS), 130, "layerkit: interrupted"),
    Case("prints at import", answered("Loud"), 0, "Loud of loud"),
    Case("warns at import", answered("Warns"), 0, "Warns of warns"),
    Case("patches numpy", answered("Patched"), 0, "Patched of patched"),
    Case("two distributions of one name", answered("Twin"), 2, "offered by one 1.0 and by two 1.0: say 'one:Twin' or"),
    Case("one of two, by its whole name", answered("one:Twin"), 0, "Twin of one"),
    Case("shadows a built-in", answered("Relu"), 0, "Relu"),
    Case("the one that shadows", answered("shadow:Relu"), 0, "Relu of shadow"),
    Case("newer API version", told("newer-api"), 0, "plugin API 2"),
    Case("older API version", told("older-api"), 0, "upgrade older-api"),
    Case("not a plugin object", told("no-plugin-object"), 0, "no plugin, but an int without a hook"),
    Case("hook with wrong arguments", told("wrong-arguments"), 0, "write layerkit_models()"),
    Case("a hook that is not known", told("misspelt"), 0, "did you mean 'layerkit_layers'?"),
    Case("a missing dependency", told("missing-dependency"), 0, "install what provides 'unheard_of'"),
    Case(
        "a missing extra",
        answered("quantum"),
        2,
        "needs the package qubits, which is not installed: pip install 'extra",
    ),
    Case("a layer of wrong shape", checked(WrongShape, "output_signature_is_honest"), 1, "output_signature says"),
    Case("of unsteady init", checked(Unsteady, "init_is_reproducible"), 1, "two inits"),
    Case("that mutates its input", checked(Overwrites, "inputs_are_not_mutated"), 1, "input"),
    Case("with a wrong gradient", checked(WrongGradient, "gradient_of_inputs_is_right"), 1, "gradient"),
]
