"""Plugins: found, loaded, kept apart and registered, with real distributions in processes of their own."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from distributions import Site

from layerkit.errors import LayerkitError, UsageError
from layerkit.plugins import discovery, loader, registry
from layerkit.plugins.kind import Registry
from layerkit.plugins.selection import Selection

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


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


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
    "no-plugin-object": ("{m}:x", "x = 1", ["no plugin, but a int without a hook"]),
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
    "returns-number": ("return 3", ["returns a int, not a list"]),
    "fails-halfway": ("yield print; raise OSError('gone')", ["fails: OSError: gone"]),
    "returns-instance": ("return [3]", ["a int cannot be registered as a model"]),
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


@pytest.mark.parametrize("name", [*BROKEN, *BROKEN_HOOKS])
def test_a_broken_plugin_is_one_line_and_stops_nothing(site: Site, name: str) -> None:
    site.add("good", entry_points="main = good", good=offers("Good"))
    said = add_broken(site, name)
    done = site.python(LOADS_ALL)
    assert (done.code, done.out) == (0, "fine\n"), done.err
    (line,) = others(done.errors)
    assert line.startswith("<layerkit>:0: PluginWarning: plugin ")
    assert len(line) < 600
    for part in said:
        assert part in line


def test_all_of_them_at_once_and_every_other_plugin_works(site: Site) -> None:
    site.add("good", entry_points="main = good", good=offers("Good"))
    for name in [*BROKEN, *BROKEN_HOOKS]:
        add_broken(site, name)
    done = site.python(LOADS_ALL)
    assert done.out == "fine\n", done.err
    assert sorted(line.split()[3] for line in others(done.errors)) == sorted([*BROKEN, *BROKEN_HOOKS])


def test_a_plugin_with_a_misspelt_hook_keeps_its_others(site: Site) -> None:
    text = offers("Good") + "@lk.hookimpl\ndef layerkit_optimisers(): return []\n"
    site.add("good", entry_points="main = good", good=text)
    done = site.python(LOADS_ALL)
    assert done.out == "fine\n"
    assert "did you mean 'layerkit_optimizers'?" in others(done.errors)[0]


def test_a_hook_of_a_newer_layerkit_may_be_optional(site: Site) -> None:
    text = offers("Good") + "@lk.hookimpl(optionalhook=True)\ndef layerkit_tokenizers(): return []\n"
    site.add("good", entry_points="main = good", good=text)
    done = site.python(LOADS_ALL)
    assert (done.out, others(done.errors)) == ("fine\n", [])


def test_a_plugin_may_be_an_object(site: Site) -> None:
    site.add(
        "good",
        entry_points="main = good:plugin",
        good="""
            import layerkit.plugins as lk
            def Good():
                return "Good of good"
            class Plugin:
                layerkit_api = 1
                @lk.hookimpl
                def layerkit_models(self):
                    return (model for model in [Good, Good])
            plugin = Plugin()
        """,
    )
    done = site.python(LOADS_ALL)
    assert (done.out, others(done.errors)) == ("fine\n", [])


def test_a_plugin_may_import_its_names_lazily(site: Site) -> None:
    before = """
        def __dir__():
            return ["other"]
        def __getattr__(name):
            raise SystemExit(f"{name} was imported though nobody asked for it") if name == "other" else AttributeError
    """
    site.add("good", entry_points="main = good", good=offers("Good", before=before))
    done = site.python(LOADS_ALL)
    assert (done.out, others(done.errors)) == ("fine\n", [])


def test_what_a_plugin_prints_goes_to_standard_error(site: Site) -> None:
    before = """
    import sys, warnings, logging
    print("hello")
    warnings.warn("take care")
    kept = sys.stdout
    """
    site.add("good", entry_points="main = good", good=offers("Good", before=before))
    done = site.python(LOADS_ALL + "    import good\n    print('later', file=good.kept)\n")
    assert done.out == "fine\nlater\n"
    assert "hello" in done.err
    assert "take care" in done.err


def test_a_problem_is_told_once(site: Site) -> None:
    add_broken(site, "runtime-error")
    done = site.python(
        """
        from layerkit.plugins.registry import models, recipes
        for _ in range(3):
            models.names(), recipes.names()
        """
    )
    assert len(others(done.errors)) == 1


def test_a_plugin_is_imported_once_from_many_threads(site: Site) -> None:
    for name in ("one", "two", "broken"):
        fault = "raise RuntimeError" if name == "broken" else ""
        before = f"""
    import time, pathlib
    with open("{name}.txt", "a") as f: f.write("x")
    time.sleep(0.05)
    {fault}
    """
        site.add(name, entry_points=f"main = {name}", **{name: offers(name.title(), before=before)})
    done = site.python(
        """
        import threading
        from layerkit.plugins.registry import models
        found, start = [], threading.Barrier(12)
        def look():
            start.wait()
            found.append((models.get("One"), models.get("Two"), tuple(models.names())))
        threads = [threading.Thread(target=look) for _ in range(12)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert len(found) == 12 and len(set(found)) == 1
        """
    )
    assert done.code == 0, done.err
    for name in ("one", "two", "broken"):
        assert (site.folder / f"{name}.txt").read_text() == "x"


def test_a_plugin_may_use_another_while_it_is_imported(site: Site) -> None:
    before = "from layerkit import models\nSecond = models.Good\nassert 'Good' in dir(models)"
    site.add("a-first", entry_points="main = first", first=offers("First", before=before))
    site.add("good", entry_points="main = good", good=offers("Good"))
    done = site.python(LOADS_ALL + "    assert models.get('First')() == 'First of first'\n")
    assert (done.out, others(done.errors)) == ("fine\n", [])


def test_ctrl_c_is_nobodys_fault(site: Site) -> None:
    site.add("good", entry_points="main = good", good="raise KeyboardInterrupt")
    done = site.python("from layerkit.plugins.registry import models; models.names()")
    assert "KeyboardInterrupt" in done.errors[-1]
    assert done.code != 0


def test_the_traceback_is_there_for_who_asks(site: Site) -> None:
    add_broken(site, "runtime-error")
    done = site.python("from layerkit.plugins.registry import models; models.names()", LAYERKIT_DEBUG="1")
    assert "Traceback (most recent call last)" in done.err
    assert "runtime_error.py" in done.err


# -------------------- names and owners


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


def test_two_distributions_offer_one_name(site: Site) -> None:
    for name in ("alpha", "beta"):
        site.add(name, entry_points="models = " + name, **{name: offers("Foo")})
    both, alpha, beta, spelt = ask(site, "Foo", "alpha:Foo", "beta:Foo", "Alpha:Foo")
    assert both == "UsageError model 'Foo' is offered by alpha 1.0 and by beta 1.0: say 'alpha:Foo' or 'beta:Foo'"
    assert (alpha, beta, spelt) == ("Foo of alpha", "Foo of beta", "Foo of alpha")


def test_order_never_decides(site: Site) -> None:
    for name in ("alpha", "beta"):
        site.add(name, entry_points="models = " + name, **{name: offers("Foo")})
    assert (
        ask(site, "beta:Foo", "Foo", "alpha:Foo", "Foo")[1::2] == ask(site, "alpha:Foo", "Foo", "beta:Foo", "Foo")[1::2]
    )
    done = site.python("from layerkit.plugins.registry import models; print(*models.names())")
    assert "alpha:Foo beta:Foo" in done.out


def test_one_distribution_offers_a_name_twice(site: Site) -> None:
    site.add("alpha", entry_points="a = one\nb = two", one=offers("Foo"), two=offers("Foo"))
    bare, qualified = ask(site, "Foo", "alpha:Foo")
    assert bare == "UsageError model 'Foo' is offered twice by alpha 1.0: rename one there"
    assert qualified == "UsageError model 'alpha:Foo' is offered twice by alpha 1.0: rename one there"


def test_two_distributions_have_an_entry_point_of_one_name(site: Site) -> None:
    site.add("alpha", entry_points="models = alpha", alpha=offers("Foo"))
    site.add("beta", entry_points="models = beta", beta=offers("Bar"))
    assert ask(site, "Foo", "Bar") == ["Foo of alpha", "Bar of beta"]


def test_a_built_in_is_never_shadowed(site: Site) -> None:
    site.add("alpha", entry_points="x = alpha", alpha=offers("numpy", "backend"))
    done = site.python(
        """
        from layerkit.plugins.registry import backends
        mine = backends.get("numpy")
        assert "alpha:numpy" in backends.names() and "numpy" in backends.names()
        assert backends.get("numpy") is mine is backends.get("layerkit:numpy")
        assert backends.get("alpha:numpy")() == "numpy of alpha"
        assert (backends.owner("numpy"), backends.owner("alpha:numpy")) == ("layerkit", "alpha")
        """
    )
    assert done.code == 0, done.err
    (line,) = others(done.errors)
    assert "plugin alpha 1.0 offers a backend 'numpy', as layerkit does: 'numpy' stays layerkit's" in line
    assert "the other is 'alpha:numpy'" in line


def test_a_combinator_is_never_shadowed(site: Site) -> None:
    site.add("alpha", entry_points="x = alpha", alpha=offers("Serial", "layer"))
    done = site.python(
        """
        from layerkit import layers as tl, combinators
        assert "Serial" in dir(tl) and "alpha:Serial" in dir(tl)
        assert tl.Serial is combinators.Serial
        assert getattr(tl, "alpha:Serial")() == "Serial of alpha"
        """
    )
    assert done.code == 0, done.err
    assert "plugin alpha 1.0 offers a layer 'Serial'" in done.err


def test_unknown_names(site: Site) -> None:
    site.add("alpha", entry_points="models = alpha", alpha=offers("Perceptron"))
    add_broken(site, "runtime-error")
    near, wrong_owner, no_owner, far = ask(site, "Perceptorn", "alpha:Percepton", "alhpa:Perceptron", "Zzz")
    broken = "(not loaded, because broken: runtime-error 2.5)"
    assert near == f"UnknownName unknown model 'Perceptorn': did you mean 'Perceptron'? {broken}"
    assert wrong_owner == f"UnknownName unknown model 'alpha:Percepton': did you mean 'alpha:Perceptron'? {broken}"
    assert no_owner.startswith(
        "UnknownName unknown model 'alhpa:Perceptron': no plugin distribution 'alhpa' is installed"
    )
    assert "did you mean 'alpha'?" in no_owner
    assert far.startswith("UnknownName unknown model 'Zzz': known: ")


def test_many_names_are_not_poured_out(site: Site) -> None:
    text = """
        import layerkit.plugins as lk
        @lk.hookimpl
        def layerkit_models():
            return [type(f"Model{i}", (), {}) for i in range(40)]
    """
    site.add("alpha", entry_points="x = alpha", alpha=text)
    (line,) = ask(site, "Zzz")
    assert "registry.models.names() lists the " in line
    assert len(line) < 200


@pytest.mark.parametrize("name", ["layers", "models", "optimizers"])
def test_modules_over_the_registry(site: Site, name: str) -> None:
    site.add("alpha", entry_points="x = alpha", alpha=offers("Foo", name[:-1]))
    done = site.python(
        f"""
        import layerkit.{name} as names
        from layerkit import {name} as again
        from layerkit.{name} import Foo
        assert names is again and names.Foo is Foo and "Foo" in dir(names) and "Foo" in names.__all__
        assert not hasattr(names, "Fooo") and not hasattr(names, "_foo") and not hasattr(names, "__path__")
        try:
            names.Fooo
        except AttributeError as error:
            print(error)
        """
    )
    assert done.code == 0, done.err
    assert done.out.startswith(f"module 'layerkit.{name}': unknown {name[:-1]} 'Fooo': did you mean 'Foo'?")


def test_registering_while_the_program_runs() -> None:
    kind = Registry("model")

    @kind.register
    def Here() -> int:
        return 1

    assert kind.get("Here") is Here
    assert kind.owner("Here") == __name__

    def again() -> int:
        return 2

    again.__name__ = "Here"
    kind.register(again)  # a notebook's cell, run again
    assert kind.get("Here") is again
    kind.register(Here, owner="elsewhere")
    with pytest.raises(UsageError, match="is offered by elsewhere and by"):
        kind.get("Here")
    with pytest.raises(UsageError, match="a int cannot be registered as a model: a class or a named function can"):
        kind.register(3)  # type: ignore[type-var]


def test_a_built_in_name_cannot_be_registered_again() -> None:
    def numpy() -> None: ...

    with pytest.raises(UsageError, match="backend 'numpy' is one of layerkit's own: give yours another name"):
        registry.backends.register(numpy)


def test_files_that_are_there_but_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_found", ())
    with pytest.raises(LayerkitError, match=r"layerkit is not installed, only its files are: pip install -e \."):
        Registry("backend").get("numpy")


# -------------------- laziness

TELLTALE = "raise SystemExit('a plugin was imported that nobody asked for')"


@pytest.mark.parametrize(
    "code",
    [
        "import layerkit",
        "import layerkit as lk; lk.Serial, lk.f32(2)",
        "from layerkit.plugins.registry import backends; backends.get('numpy')",
        "from layerkit.plugins.registry import default_backend_name; default_backend_name()",
        "from layerkit.plugins.registry import make_backend; make_backend('numpy')",
        "import layerkit as lk\nwith lk.use_backend('numpy') as b: b.numpy.zeros(2)",
        "from layerkit.layers import Dense, Serial",
        "from layerkit.optimizers import Adam",
        "from layerkit.plugins.registry import recipes; recipes.get('sentiment')",
        "import layerkit as lk; hasattr(lk.layers, '__path__'), hasattr(lk.models, '_x')",
    ],
)
def test_bundled_names_import_no_other_plugin(site: Site, code: str) -> None:
    site.add("telltale", entry_points="layers = telltale\nbackends = telltale", telltale=TELLTALE)
    done = site.python(code + "\nimport sys\nassert 'telltale' not in sys.modules\nassert 'nltk' not in sys.modules")
    assert (done.code, done.err) == (0, "")


def test_a_kind_imports_only_its_own_bundled_plugin(site: Site) -> None:
    done = site.python(
        """
        import sys
        from layerkit.plugins.registry import backends
        backends.get("numpy")
        print(*sorted(m for m in sys.modules if m.startswith("layerkit_plugins.") and m.count(".") == 1))
        print(*sorted({"numpy", "jax", "autograd"} & set(sys.modules)))
        """
    )
    assert done.out == "layerkit_plugins.backends\n\n", done.err


def test_a_qualified_name_imports_only_its_distribution(site: Site) -> None:
    site.add("alpha", entry_points="x = alpha", alpha=offers("Foo"))
    site.add("telltale", entry_points="x = telltale", telltale=TELLTALE)
    assert ask(site, "alpha:Foo") == ["Foo of alpha"]


# -------------------- LAYERKIT_PLUGINS


@pytest.mark.parametrize(
    ("value", "loaded"),
    [
        ("", {"alpha", "beta-b"}),
        ("alpha", {"alpha"}),
        ("alpha,beta_b", {"alpha", "beta-b"}),
        (" Alpha , BETA-B ", {"alpha", "beta-b"}),
        ("-alpha", {"beta-b"}),
        ("-alpha,-beta-b", set()),
        ("none", set()),
        ("layerkit", set()),
    ],
)
def test_what_layerkit_plugins_turns_off(site: Site, value: str, loaded: set[str]) -> None:
    for name in ("alpha", "beta-b"):
        module = name.replace("-", "_")
        site.add(name, entry_points=f"x = {module}", **{module: offers(f"Of{module}", "backend")})
    done = site.python(
        """
        from layerkit.plugins.registry import backends
        print(*{offer.distribution for offer in backends.offers()} - {'layerkit'})
        """,
        LAYERKIT_PLUGINS=value,
    )
    assert (set(done.out.split()), done.err) == (loaded, "")
    states = {
        about["distribution"]: about["state"]
        for about in map(
            json.loads, site.layerkit("plugins", "list", "--json", LAYERKIT_PLUGINS=value).out.splitlines()
        )
    }
    assert {name for name, state in states.items() if state == "installed"} == loaded
    assert states["layerkit"] == "bundled"


def test_an_unknown_name_may_be_turned_off(site: Site) -> None:
    site.add("alpha", entry_points="x = alpha", alpha=offers("Foo"))
    (line,) = ask(site, "Foo", LAYERKIT_PLUGINS="none")
    assert line.endswith("(turned off by LAYERKIT_PLUGINS: alpha)")


def test_a_slip_in_layerkit_plugins_is_told(site: Site) -> None:
    site.add("alpha", entry_points="x = alpha", alpha=offers("Foo"))
    done = site.layerkit("plugins", "list", LAYERKIT_PLUGINS="-alhpa")
    assert done.code == 0
    assert done.err == (
        "layerkit: LAYERKIT_PLUGINS names 'alhpa', and no such plugin is installed: did you mean 'alpha'?\n"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("none,alpha", "'none' stands alone"),
        ("-layerkit", "layerkit's own plugins stay on"),
        ("alpha,-alpha", "both allows and denies 'alpha'"),
    ],
)
def test_layerkit_plugins_that_makes_no_sense(value: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Selection.parse(value)


# -------------------- metadata


def test_listing_fifty_plugins_imports_none(site: Site) -> None:
    for i in range(50):
        site.add(f"plugin-{i}", entry_points="main = telltale")
    (site.folder / "telltale.py").write_text(TELLTALE)
    done = site.layerkit("plugins", "list", "--json")
    about = [json.loads(line) for line in done.out.splitlines()]
    assert len([entry for entry in about if entry["state"] == "installed"]) == 50
    assert done.err == ""


def test_the_same_distribution_twice_on_the_path_counts_once(site: Site) -> None:
    site.add("alpha", "2.0", "x = alpha", alpha=offers("Foo"))
    behind = Site(site.folder / "behind")
    behind.add("Alpha", "1.0", "x = alpha")
    done = Site(site.folder, behind).layerkit("plugins", "list", "--json")
    versions = [e["version"] for e in map(json.loads, done.out.splitlines()) if e["distribution"].lower() == "alpha"]
    assert versions == ["2.0"]


@pytest.mark.parametrize(
    ("file", "contents"),
    [("METADATA", b""), ("METADATA", b"\xff\xfe"), ("entry_points.txt", b"[layerkit]\n\xff = a\n"), ("METADATA", None)],
)
def test_broken_metadata_is_told_and_skipped(site: Site, file: str, contents: bytes | None) -> None:
    site.add("good", entry_points="main = good", good=offers("Good"))
    site.add("alpha", entry_points="x = alpha", alpha=offers("Foo"))
    path = site.folder / "alpha-1.0.dist-info" / file
    path.unlink() if contents is None else path.write_bytes(contents)
    done = site.python(LOADS_ALL)
    assert done.out == "fine\n"
    (line,) = others(done.errors)
    assert "the metadata of " in line
    assert "is broken" in line


def test_a_fork_that_calls_itself_layerkit_is_not_bundled() -> None:
    assert discovery.Entry("layerkit", "1", "layers", "layerkit_plugins.layers").bundled
    assert not discovery.Entry("layerkit", "1", "layers", "evil.layers").bundled
    assert not discovery.Entry("alpha", "1", "layers", "layerkit_plugins.layers").bundled
    assert not discovery.Entry("layerkit", "1", "layers", "layerkit_plugins_extra").bundled


# -------------------- backends


def test_bundled_backends() -> None:
    assert {"numpy", "jax"} <= set(registry.backend_names())
    assert registry.make_backend("numpy") is registry.make_backend("layerkit:numpy")
    with pytest.raises(UsageError, match="unknown backend 'nump': did you mean 'numpy'"):
        registry.make_backend("nump")


def make(name: str, **attributes: object) -> Registry:
    """Registers a backend under a name of its own, and returns where it is found."""

    def constructor() -> object:
        raise OSError("no device")

    constructor.__name__ = name
    vars(constructor).update(attributes)
    registry.backends.register(constructor, owner="here")
    return registry.backends


def test_a_backend_whose_modules_are_missing() -> None:
    make("quantum", requires=("os", "qubits"), remedy="pip install 'acme[quantum]'")
    with pytest.raises(UsageError) as caught:
        registry.make_backend("quantum")
    assert str(caught.value) == (
        "backend 'quantum' needs the package qubits, which is not installed: pip install 'acme[quantum]'"
    )
    make("many", requires=("qubits", "no.such.package"))
    with pytest.raises(UsageError) as caught:
        registry.make_backend("many")
    assert str(caught.value) == (
        "backend 'many' needs the packages qubits, no.such.package, which are not installed: "
        "pip install qubits no.such.package"
    )


def test_a_backend_that_does_not_start() -> None:
    make("flaky", remedy="pip install flaky")
    with pytest.raises(LayerkitError, match="backend 'flaky' does not start: OSError: no device: pip install flaky"):
        registry.make_backend("flaky")


def test_the_default_backend_is_the_best_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    own = registry.backends.own()
    preferred = max(own, key=lambda name: own[name].constructor.preference)
    assert preferred == "jax"
    monkeypatch.setattr(
        registry, "missing_modules", lambda constructor: ("jax",) if constructor.__name__ == "jax" else ()
    )
    assert registry.default_backend_name() == "numpy"
    monkeypatch.setattr(registry, "missing_modules", lambda constructor: ("x",))
    with pytest.raises(LayerkitError, match="no backend can run here: backend 'jax' needs the package x"):
        registry.default_backend_name()


# -------------------- what came in the box


def test_bundled_plugins_offer_what_their_entry_points_are_named_after() -> None:
    for plugin in loader.bundled():
        assert plugin.load(), plugin.error
        name = plugin.entry.name
        hooks = {kind for kind in registry.registries if plugin.implements(f"layerkit_{kind}")}
        assert hooks == ({name} if name in registry.registries else {"recipes"})
        assert not plugin.implements("layerkit_commands")


@pytest.mark.parametrize("kind", registry.registries)
def test_every_bundled_plugin_is_sound(kind: str) -> None:
    for name, offer in registry.registries[kind].own().items():
        assert callable(offer.constructor)
        assert (offer.name, offer.distribution) == (name, "layerkit")
    assert not set(registry.registries[kind].own()) & set(registry.registries[kind].core())
