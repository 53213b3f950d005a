"""Preparing batches on a background thread while the device works."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from layerkit.data.stage import Stage
from layerkit.numbers import whole

__all__ = ["Ahead", "Prefetch"]

T = TypeVar("T")


class _Shared(Generic[T]):
    """What the two threads see: items that are ready, and how it ended."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # an interrupt finds it taken and let go; a Condition would leave it taken
        self.changed = threading.Condition(self.lock)
        self.ready: deque[tuple[T, Any]] = deque()
        self.ended: BaseException | None = None
        self.closed = False


class Ahead(Iterator[T]):
    """The items of an iterator, made on a background thread up to ``n_ahead`` items ahead of their use.

    The thread starts at the first ``next`` and runs in a copy of that caller's context, so the active backend is the
    same. It rests once ``n_ahead`` items are ready, until half of them are gone: being woken for each would cost 0.1
    ms of processor time. What the iterator raises is raised here, after the items that came before it. Use it in a
    ``with`` block, or ``close`` it, and the thread is gone.

    Items must not be changed by the iterator once they are given: an array that is filled anew for each batch is.

    Args:
        source: an iterator; ``position`` is taken from it where it has one.
        n_ahead: the most items to hold ready.

    >>> with Ahead(iter([1, 2, 3])) as ahead:
    ...     list(ahead)
    [1, 2, 3]
    """

    def __init__(self, source: Iterable[T], n_ahead: int = 2) -> None:
        self._source = iter(source)
        self._n_ahead = whole("n_ahead", n_ahead, 1)
        self._position = getattr(self._source, "position", None)
        self._shared: _Shared[T] = _Shared()
        self._thread: threading.Thread | None = None

    @property
    def position(self) -> Any:
        """The source's position after the item given last, as if nothing were ahead; ``None`` where it has none."""
        return self._position

    @property
    def failed(self) -> bool:
        """Whether the iterator raised something instead of an item."""
        return not isinstance(self._shared.ended, StopIteration | None)

    @property
    def works(self) -> bool:
        """Whether the thread is at work, or asleep: after ``close``, whether that lost its patience."""
        return self._thread is not None and self._thread.is_alive()

    def seek(self, position: Any) -> None:
        """Goes to a position of the source; what was made ahead is forgotten."""
        self.close()
        self._source.seek(position)  # type: ignore[attr-defined]
        self._position = position
        self._shared, self._thread = _Shared(), None

    def peek(self) -> T:
        """The next item, which stays the next."""
        shared = self._shared
        if self._thread is None and not shared.closed:
            self._start()
        with shared.lock:
            while not shared.ready and shared.ended is None and not shared.closed:
                shared.changed.wait()
            if shared.ready and not shared.closed:
                return shared.ready[0][0]
        raise shared.ended or StopIteration

    def __next__(self) -> T:
        self.peek()
        shared = self._shared
        with shared.lock:
            if len(shared.ready) - 1 <= self._n_ahead // 2:
                shared.changed.notify_all()
            # The last call, as an interrupt may come after any: an item is given and gone, or neither.
            item, self._position = shared.ready[0]
            shared.ready.popleft()
            return item

    def close(self, patience: float | None = None) -> list[T]:
        """Stops the thread, and returns the items that were ready and not taken: the same ones, however often.

        Args:
            patience: seconds to wait for the item it is making; as long as it takes unless given.
        """
        shared, thread = self._shared, self._thread
        _stop(shared)
        # One that an interrupt kept from starting is not alive, and cannot be waited for.
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(patience)
        with shared.lock:
            return [item for item, _ in shared.ready]

    def _start(self) -> None:
        arguments = (self._source, self._shared, self._n_ahead)
        self._thread = threading.Thread(
            target=copy_context().run, args=(_work, *arguments), name="layerkit-prefetch", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        shared = getattr(self, "_shared", None)
        if shared is not None:
            _stop(shared)


def Prefetch(n_prefetch: int = 2) -> Stage:
    """A stage that has up to ``n_prefetch`` items made ahead of their use, on a background thread: see ``Ahead``.

    ``Loop`` does so by itself; this is for other uses.

    >>> list(Prefetch()([1, 2, 3]))
    [1, 2, 3]
    """
    n_ahead = whole("n_prefetch", n_prefetch, 1)
    return Stage("Prefetch", lambda items: Ahead(items, n_ahead))


def _stop(shared: _Shared[Any]) -> None:
    with shared.lock:
        shared.closed = True
        shared.changed.notify_all()


def _work(source: Iterator[T], shared: _Shared[T], n_ahead: int) -> None:
    """The thread's life. It must not know the Ahead, which could then never be forgotten."""
    while True:
        with shared.lock:
            if len(shared.ready) >= n_ahead:
                while len(shared.ready) > n_ahead // 2 and not shared.closed:
                    shared.changed.wait()
            if shared.closed:
                return
        ended: BaseException | None = None
        try:
            item = next(source)
            position = getattr(source, "position", None)
        except BaseException as error:
            ended = error
        with shared.lock:
            if ended is None:
                shared.ready.append((item, position))
            shared.ended = ended
            shared.changed.notify_all()
        if ended is not None:
            return
