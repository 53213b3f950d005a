"""Whose fault an exception is, and where checks are tried."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from layerkit.errors import LayerkitError
from layerkit.plugins import registry
from layerkit.plugins.problems import one_line
from layerkit.testing.suite import Fault, Skip

__all__ = ["demand", "faults_of", "in_threads", "installed_backends"]

T = TypeVar("T")

_NEUTRAL = sys.stdlib_module_names | {"numpy", "ml_dtypes"}


def installed_backends() -> list[str]:
    """The bundled backends that can run here, the default one first.

    >>> "numpy" in installed_backends()
    True
    """
    own = registry.backends.own().items()
    able = [name for name, offer in own if not registry.missing_modules(offer.constructor)]
    first = registry.default_backend_name()
    return sorted(able, key=lambda name: (name != first, name))


@contextlib.contextmanager
def faults_of(thing: str, where: str = "") -> Iterator[None]:
    """Makes a ``Fault`` of what the code under test raises; an exception of the kit's own goes on as it is.

    Args:
        thing: what is under test.
        where: the backend it is tried on, which every fault then names.
    """
    place = f"on {where}: " if where else ""
    try:
        yield
    except Skip:
        raise
    except Fault as fault:
        raise Fault(f"{place}{fault}") from fault
    except LayerkitError as error:
        raise Fault(f"{place}{thing} refuses what it should take: {error}") from error
    except Exception as error:
        if not _came_from_outside(error.__traceback__):
            raise
        raise Fault(f"{place}{thing} raises {one_line(error)}") from error


def _came_from_outside(traceback: TracebackType | None) -> bool:
    """Whether an exception passed through code that is neither the kit's, nor NumPy's, nor Python's own."""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith("layerkit.testing") and module.partition(".")[0] not in _NEUTRAL:
            return True
        traceback = traceback.tb_next
    return False


def demand(holds: Any, sentence: str) -> None:
    """A ``Fault`` with this sentence, unless the rule holds.

    >>> demand(1 < 2, "1 is not less than 2")
    """
    if not holds:
        raise Fault(sentence)


def in_threads(jobs: list[Callable[[], T]]) -> list[T]:
    """What the jobs return, each run in a thread of its own, all at once.

    Raises:
        Exception: what one of the jobs raised.

    >>> in_threads([lambda: 1, lambda: 2])
    [1, 2]
    """
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            results[number] = jobs[number]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(jobs))]
