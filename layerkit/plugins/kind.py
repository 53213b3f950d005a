"""One kind of thing that plugins offer: constructors by name, each with its owner.

A name that layerkit's own plugins offer is looked up in them alone: no plugin of anybody else is imported for it, and
none can change what it means. All others are imported once a name is not found there, or everything is listed.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from layerkit.errors import LayerkitError, UsageError, an, shown, suggest
from layerkit.plugins import loader
from layerkit.plugins.deferral import Deferred
from layerkit.plugins.discovery import discover
from layerkit.plugins.problems import ShadowWarning, explain, one_line, report
from layerkit.plugins.selection import VARIABLE, canonical
from layerkit.plugins.standard_output import printed_to_stderr

__all__ = ["KINDS", "Offer", "Registry", "UnknownName"]

KINDS = ("backend", "layer", "model", "optimizer", "recipe")

T = TypeVar("T", bound=Callable[..., Any])

_MANY = 12


class UnknownName(UsageError):
    """Nobody offers a thing of that name."""


class Offer(NamedTuple):
    """A constructor somebody offers under a name."""

    name: str
    offered: Callable[..., Any]
    distribution: str
    version: str

    @property
    def constructor(self) -> Callable[..., Any]:
        """What makes the thing; one that was deferred is imported now.

        Raises:
            LayerkitError: that import fails.
        """
        if not isinstance(self.offered, Deferred):
            return self.offered
        if self.offered.loaded is not None:
            return self.offered.loaded
        try:
            with printed_to_stderr():
                return self.offered.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            remedy = f"install or upgrade {self.distribution}"
            raise LayerkitError(f"{self.name} cannot be imported: {one_line(error)}: {remedy}") from error

    @property
    def qualified(self) -> str:
        """The name that is never in doubt: ``distribution:Name``."""
        return f"{self.distribution}:{self.name}"

    def by(self, distribution: str) -> bool:
        """Whether this distribution offers it."""
        return canonical(self.distribution) == canonical(distribution)


class Registry:
    """The constructors of one kind, by name.

    ``Name`` finds layerkit's own, or the one other distribution's that offers it; ``distribution:Name`` always works.

    >>> backends = Registry("backend")
    >>> backends.get("numpy").__name__
    'numpy'
    >>> backends.owner("numpy")
    'layerkit'
    """

    def __init__(
        self,
        kind: str,
        *,
        naming: Callable[[Any], str | None] = lambda constructor: getattr(constructor, "__name__", None),
        core: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.hook = f"layerkit_{kind}s"
        self._naming = naming
        self.core_modules = core
        self._lock = threading.RLock()
        self._bundled: dict[str, Offer] | None = None
        self._core: dict[str, Any] | None = None
        self._others: dict[str, tuple[Offer, ...]] = {}
        self._taken: set[loader.Plugin] = set()

    def get(self, name: str) -> Callable[..., Any]:
        """The constructor of that name.

        Raises:
            UsageError: nobody offers it, or two distributions do.
        """
        return self.offer(name).constructor

    def owner(self, name: str) -> str:
        """The distribution that offers ``name``."""
        return self.offer(name).distribution

    def offer(self, name: str) -> Offer:
        """The constructor of that name, with its name and owner."""
        if not isinstance(name, str):
            raise UnknownName(f"unknown {self.kind} {shown(name)}: a name in quotes is due")
        distribution, _, bare = name.rpartition(":")
        if distribution:
            return self._find_qualified(distribution, bare)
        if bare in (own := self.own()):
            return own[bare]
        for home in map(importlib.import_module, self.core_modules):
            if bare in home.__all__:
                return Offer(bare, getattr(home, bare), "layerkit", "")
        # All of them, though one may have it already: which was loaded first must not decide.
        self._load_others()
        return self._only(name, self._others.get(bare, ()))

    def names(self) -> list[str]:
        """Every name that can be asked for; ``distribution:Name`` where ``Name`` alone is taken or in doubt."""
        return sorted({self._callable_as(offer) for offer in self.offers()})

    def offers(self) -> list[Offer]:
        """Everything on offer, from every plugin."""
        mine = self.own()
        self._load_others()
        return [*mine.values(), *(offer for offers in list(self._others.values()) for offer in offers)]

    def offers_by(self, distribution: str) -> list[Offer]:
        """What one distribution offers; no other plugin is imported for it.

        >>> "numpy" in [offer.name for offer in Registry("backend").offers_by("layerkit")]
        True
        """
        if canonical(distribution) == "layerkit":
            return list(self.own().values())
        self._load_others(distribution)
        return [offer for offers in list(self._others.values()) for offer in offers if offer.by(distribution)]

    def register(self, constructor: T, owner: str = "") -> T:
        """Adds a constructor while the program runs, in place of what ``owner`` (its module) offered by that name.

        >>> models = Registry("model")
        >>> @models.register
        ... def Tiny():
        ...     return ()
        >>> models.get("Tiny") is Tiny
        True
        """
        name = self._checked_name(constructor)
        distribution = owner or str(getattr(constructor, "__module__", "") or "__main__").partition(".")[0]
        if name in self.own() or name in self.core():
            raise UsageError(f"{self.kind} {name!r} is one of layerkit's own: give yours another name")
        with loader.third_party_lock:
            others = [o for o in self._others.get(name, ()) if not o.by(distribution)]
            self._others[name] = (*others, Offer(name, constructor, distribution, ""))
        return constructor

    def own(self) -> dict[str, Offer]:
        """What layerkit's own plugins offer, by name; imports those of this kind only."""
        if self._bundled is None:
            with self._lock:
                if self._bundled is None:
                    self._bundled = self._load_own()
        return self._bundled

    def core(self) -> dict[str, Any]:
        """Names of layerkit itself that are found like registered ones, and that no plugin can take."""
        if self._core is None:
            modules = [importlib.import_module(module) for module in self.core_modules]
            self._core = {name: getattr(module, name) for module in modules for name in module.__all__}
        return self._core

    def _load_own(self) -> dict[str, Offer]:
        offers: dict[str, Offer] = {}
        for plugin in loader.bundled():
            if not self._concerns(plugin.entry.name):
                continue
            if not plugin.load():
                if plugin.state == "loading":
                    raise LayerkitError(
                        f"{an(self.kind)} was asked for by name while {plugin.entry.value} is being imported: "
                        "import it from the module that defines it"
                    )
                continue
            for offer in self._offers_of(plugin):
                if offers.setdefault(offer.name, offer) is not offer:
                    raise LayerkitError(
                        f"{self.kind} {offer.name!r} is offered twice by {plugin.entry}: rename one there"
                    )
        return offers

    def _concerns(self, entry_name: str) -> bool:
        """Whether the bundled entry point serves this kind: it is named after it, or (a recipe's) after no kind."""
        return entry_name == f"{self.kind}s" or (self.kind == "recipe" and entry_name[:-1] not in KINDS)

    def _load_others(self, distribution: str | None = None) -> None:
        for plugin in loader.third_party(distribution):
            with loader.third_party_lock:
                if plugin in self._taken:
                    continue
                try:
                    self._taken.add(plugin)  # before its hook is called, which may list what is registered
                    offers = self._offers_of(plugin)
                    others = dict(self._others)
                    for offer in offers:
                        others[offer.name] = (*others.get(offer.name, ()), offer)
                    self._others = others  # all of them, or none
                except BaseException:
                    self._taken.discard(plugin)
                    raise
            for offer in offers:
                self._check_shadow(offer)

    def _check_shadow(self, offer: Offer) -> None:
        if offer.name in self.own() or offer.name in self.core():
            report(
                f"plugin {offer.distribution} {offer.version} offers {an(self.kind)} {offer.name!r}, as layerkit does: "
                f"{offer.name!r} stays layerkit's, the other is {offer.qualified!r}",
                category=ShadowWarning,
            )

    def _offers_of(self, plugin: loader.Plugin) -> list[Offer]:
        """A plugin's offers of this kind; what is no constructor is reported and left out."""
        entry, offers = plugin.entry, dict[Any, Offer]()
        for constructor in self._constructors(plugin):
            try:
                name = self._checked_name(constructor)
            except Exception as error:
                report(f"plugin {entry}: {self.hook}: {error}")
            else:
                offer = Offer(name, constructor, entry.distribution, entry.version)
                offers[_identity(offer)] = offer
        return list(offers.values())

    def _constructors(self, plugin: loader.Plugin) -> list[Any]:
        return plugin.constructors(self.hook)

    def _checked_name(self, constructor: Any) -> str:
        name = self._naming(constructor) if callable(constructor) else None
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][\w-]*", name):
            what = f"{an(type(constructor).__name__)}" + (f" named {name!r}" if name else "")
            raise UsageError(f"{what} cannot be registered as {an(self.kind)}: a class or a named function can")
        return name

    def _find_qualified(self, distribution: str, bare: str) -> Offer:
        name = f"{distribution}:{bare}"
        if canonical(distribution) == "layerkit":
            return self._only(name, [offer for offer in self.own().values() if offer.name == bare])
        self._load_others(distribution)
        return self._only(name, [o for o in self._others.get(bare, ()) if o.by(distribution)])

    def _only(self, name: str, offers: Iterable[Offer]) -> Offer:
        found = {_identity(offer): offer for offer in offers}
        if len(found) == 1:
            return found.popitem()[1]
        if not found:
            raise self._unknown(name)
        owners = sorted({f"{offer.distribution} {offer.version}".strip() for offer in found.values()})
        if len(owners) == 1:
            raise UsageError(f"{self.kind} {name!r} is offered twice by {owners[0]}: rename one there")
        which = " or ".join(sorted({repr(offer.qualified) for offer in found.values()}))
        raise UsageError(f"{self.kind} {name!r} is offered by {' and by '.join(owners)}: say {which}")

    def _unknown(self, name: str) -> LayerkitError:
        """What is said about a name nobody offers: the near miss, and why the name may be missing."""
        own = loader.bundled()
        if not own:
            return LayerkitError(
                f"{self.kind} {name!r}: layerkit is not installed, only its files are: pip install -e ."
            )
        for plugin in own:
            if plugin.error is not None and self._concerns(plugin.entry.name):
                broken = LayerkitError(explain(plugin.entry, plugin.error))
                broken.__cause__ = plugin.error
                return broken
        distribution = name.rpartition(":")[0]
        text = self._no_distribution(distribution) if distribution else ""
        if not text:
            known = [offer.qualified for offer in self.offers()] if distribution else [*self.core(), *self.names()]
            listed = f"{self._listed} lists the {len(set(known))} there are" if len(known) > _MANY else ""
            text = suggest(name, known, listed)
        if failed := [f"{entry.distribution} {entry.version}" for entry in loader.unusable()]:
            text += f" (not loaded, because broken: {', '.join(failed)})"
        if off := sorted({entry.distribution for entry in discover().turned_off}):
            text += f" (turned off by {VARIABLE}: {', '.join(off)})"
        return UnknownName(f"unknown {self.kind} {name!r}: {text}")

    @property
    def _listed(self) -> str:
        if self.kind in ("layer", "model", "optimizer"):
            return f"dir(layerkit.{self.kind}s)"
        return f"layerkit.plugins.registry.{self.kind}s.names()"

    def _no_distribution(self, distribution: str) -> str:
        """Says that a distribution has no plugins here; empty if it has."""
        installed = {entry.distribution for entry in discover().entries}
        installed |= {offer.distribution for offer in self.offers()}
        if canonical(distribution) in {canonical(name) for name in installed}:
            return ""
        return f"no plugin distribution {distribution!r} is installed, {suggest(distribution, installed)}"

    def _callable_as(self, offer: Offer) -> str:
        """The shortest name that finds ``offer``."""
        if self.own().get(offer.name) is offer:
            return offer.name
        rivals = {_identity(o) for o in self._others.get(offer.name, ())}
        taken = offer.name in self.own() or offer.name in self.core()
        return offer.qualified if taken or len(rivals) > 1 else offer.name


def _identity(offer: Offer) -> Any:
    """Equal for two offers of one thing; nothing is imported for it."""
    return offer.offered if isinstance(offer.offered, Deferred) else id(offer.offered)
