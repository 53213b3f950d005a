"""Plugins: found, loaded and kept apart, with real distributions in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from distributions import Site
from plugin_modules import BROKEN, BROKEN_HOOKS, LOADS_ALL, TELLTALE, add_broken, ask, offers, others

from layerkit.errors import UsageError
from layerkit.plugins import discovery
from layerkit.plugins.selection import Selection


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


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


def test_a_folder_that_stands_in_the_place_of_a_module_is_named(site: Site) -> None:
    site.add("acme", entry_points="main = acme")
    (site.folder / "acme").mkdir()
    done = site.layerkit("plugins", "list", "--timing")
    said = (
        f"is not loaded: the folder {str(site.folder / 'acme')!r} is found in its place: run from elsewhere, or rename"
    )
    assert (done.code, len(done.errors)) == (0, 1)
    assert said in done.err


def test_a_hook_of_a_newer_layerkit_may_be_optional(site: Site) -> None:
    text = offers("Good") + "@lk.hookimpl(optionalhook=True)\ndef layerkit_tokenizers(): return []\n"
    site.add("good", entry_points="main = good", good=text)
    done = site.python(LOADS_ALL)
    assert (done.out, others(done.errors)) == ("fine\n", [])


def test_a_hook_may_have_a_name_of_its_own(site: Site) -> None:
    text = offers("Good").replace("@lk.hookimpl", "@lk.hookimpl(specname='layerkit_models')")
    site.add("good", entry_points="main = good", good=text.replace("def layerkit_models", "def all_of_them"))
    done = site.python(LOADS_ALL)
    assert (done.out, others(done.errors)) == ("fine\n", [])


def test_pluggys_own_mark_is_as_good(site: Site) -> None:
    text = offers("Good").replace("@lk.hookimpl", "@pluggy.HookimplMarker('layerkit')")
    site.add("good", entry_points="main = good", good="import pluggy\n" + text)
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
