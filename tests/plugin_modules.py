"""Modules of plugins, sound and broken, and what is to be said about each that is broken."""

from __future__ import annotations

import textwrap

from distributions import Site

__all__ = ["BROKEN", "BROKEN_HOOKS", "LOADS_ALL", "TELLTALE", "add_broken", "ask", "offers", "others"]

OFFERS = """
import layerkit.plugins as lk
{before}
def {name}():
    return "{name} of " + __name__
@lk.hookimpl
def layerkit_{kind}s():
    return [{name}]
"""


def offers(name: str, kind: str = "model", before: str = "") -> str:
    """A plugin module that offers a function of that name."""
    return OFFERS.format(name=name, kind=kind, before=textwrap.dedent(before))


# Each kind of broken plugin: its entry point's value, its module's text, and what the one line about it must say.
BROKEN = {
    "missing-module": (
        "nowhere_to_be_found",
        None,
        ["ModuleNotFoundError", "nowhere_to_be_found", "install missing-module"],
    ),
    "missing-dependency": ("{m}", "import unheard_of", ["'unheard_of'", "install what provides 'unheard_of'"]),
    "missing-attribute": ("{m}:plugin", "x = 1", ["AttributeError", "'plugin'", "upgrade missing-attribute"]),
    "syntax-error": ("{m}", "def f(:", ["SyntaxError", "upgrade syntax-error"]),
    "import-error": ("{m}", "raise ImportError('no\\nluck')", ["ImportError: no luck"]),
    "runtime-error": ("{m}", "raise RuntimeError('x' * 5000)", ["RuntimeError: xxx", "..."]),
    "mute-error": ("{m}", "raise RuntimeError", ["is not loaded: RuntimeError: upgrade"]),
    "broken-error": (
        "{m}",
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        ["is not loaded: E: upgrade"],
    ),
    "exits": ("{m}", "import sys; sys.exit(0)", ["it calls sys.exit(0)"]),
    "cancels": ("{m}", "import asyncio; raise asyncio.CancelledError", ["CancelledError"]),
    "newer-api": ("{m}", "layerkit_api = 2\n" + offers("Newer"), ["plugin API 2", "has 1", "upgrade layerkit"]),
    "older-api": ("{m}", "layerkit_api = 0\n" + offers("Older"), ["plugin API 0", "upgrade older-api"]),
    "odd-api": ("{m}", "layerkit_api = 'one'\n" + offers("Odd"), ["plugin API 'one'"]),
    "api-beside-object": ("{m}:x", "layerkit_api = 2\nx = 1", ["plugin API 2"]),
    "no-plugin": ("{m}", "x = 1", ["no plugin, but a module without a hook"]),
    "no-plugin-object": ("{m}:x", "x = 1", ["no plugin, but an int without a hook"]),
    "unmarked": ("{m}", "def layerkit_models(): return []", ["layerkit_models is not marked", "@lk.hookimpl"]),
    "wrong-arguments": (
        "{m}",
        "import layerkit.plugins as lk\n@lk.hookimpl\ndef layerkit_models(names): return []",
        ["layerkit_models(names) takes 'names': write layerkit_models()"],
    ),
    "misspelt": (
        "{m}",
        "import layerkit.plugins as lk\n@lk.hookimpl\ndef layerkit_layer(): return []",
        ["implements 'layerkit_layer', which is no hook", "did you mean 'layerkit_layers'?"],
    ),
}

# These load, and fail when they are asked for models.
BROKEN_HOOKS = {
    "raises": ("raise KeyError('lost')", ["layerkit_models fails: KeyError: 'lost'"]),
    "hook-exits": ("raise SystemExit(3)", ["it calls sys.exit(3)"]),
    "returns-nothing": ("pass", ["layerkit_models returns nothing"]),
    "returns-text": ("return 'Foo'", ["returns a str, not a list"]),
    "returns-number": ("return 3", ["returns an int, not a list"]),
    "fails-halfway": ("yield print; raise OSError('gone')", ["fails: OSError: gone"]),
    "returns-instance": ("return [3]", ["an int cannot be registered as a model"]),
    "returns-lambda": ("return [lambda: 3]", ["a function named '<lambda>' cannot be registered as a model"]),
}

LOADS_ALL = """
    from layerkit.plugins.registry import models
    assert models.get("Good")() == "Good of good"
    assert models.owner("Good") == "good"
    assert "Good" in models.names()
    print("fine")
"""


def add_broken(site: Site, name: str) -> list[str]:
    """Adds one of the broken distributions; returns what is to be said about it."""
    module = name.replace("-", "_")
    if name in BROKEN:
        value, text, said = BROKEN[name]
        said = [*said, f"plugin {name} 2.5 (entry point 'main' = "]
    else:
        body, said = BROKEN_HOOKS[name]
        value, text = "{m}", f"import layerkit.plugins as lk\n@lk.hookimpl\ndef layerkit_models():\n    {body}\n"
        said = [*said, f"plugin {name} 2.5 (entry point 'main' = "]
    site.add(name, "2.5", f"main = {value.format(m=module)}", **({module: text} if text is not None else {}))
    return said


def others(lines: list[str]) -> list[str]:
    """The lines that are not about plugins that came with layerkit."""
    return [line for line in lines if "plugin layerkit 0" not in line]


def ask(site: Site, *names: str, kind: str = "models", **environment: str) -> list[str]:
    """What each look-up gives: what the found function returns, or the error's text."""
    done = site.python(
        f"""
        import sys
        from layerkit.plugins.registry import {kind} as kind
        for name in {names!r}:
            try:
                print(kind.get(name)())
            except Exception as error:
                print(type(error).__name__, error)
        """,
        **environment,
    )
    assert done.code == 0, done.err
    return done.out.splitlines()


TELLTALE = "raise SystemExit('a plugin was imported that nobody asked for')"
