"""What is registered: names, owners and clashes; what a look-up imports; the backends."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributions import Site
from plugin_modules import TELLTALE, add_broken, ask, offers, others

from layerkit.errors import LayerkitError, UsageError
from layerkit.plugins import loader, registry
from layerkit.plugins.kind import Registry


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


# -------------------- names and owners


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
    assert far.startswith("UnknownName unknown model 'Zzz': dir(layerkit.models) lists the ")


def test_many_names_are_not_poured_out(site: Site) -> None:
    text = """
        import layerkit.plugins as lk
        @lk.hookimpl
        def layerkit_models():
            return [type(f"Model{i}", (), {}) for i in range(40)]
    """
    site.add("alpha", entry_points="x = alpha", alpha=text)
    (line,) = ask(site, "Zzz")
    assert "dir(layerkit.models) lists the " in line
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
    with pytest.raises(UsageError, match="an int cannot be registered as a model: a class or a named function can"):
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


def test_ctrl_c_waits_until_a_backend_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX that is interrupted while it is imported crashes, or says that it is not installed."""
    signals = 1

    def slow() -> SimpleNamespace:
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
        return SimpleNamespace(name="slow")

    registry.backends.register(slow, owner="here")
    signals = 2
    with pytest.raises(KeyboardInterrupt):
        registry.make_backend("slow")
    assert slow not in registry._made
    signals = 1
    with pytest.raises(KeyboardInterrupt):
        registry.make_backend("slow")
    assert registry.make_backend("slow").name == "slow"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    del registry._made[slow]
    handled = []
    monkeypatch.setattr(signal, "getsignal", lambda number: handled.append)  # a handler of the program's own
    with pytest.raises(KeyboardInterrupt):
        registry.make_backend("slow")
    assert slow not in registry._made


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
