"""Watcher: one thread that is told when results are there, and calls what waits for them."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

_Futures = list["futures.Future[Any]"]


class _Group:
    """Refs that are watched together."""

    def __init__(self, size: int, done: Callable[[_Futures], object]) -> None:
        self.left = size  # under the watcher's lock
        self.done = done
        self.futures: _Futures = []


class Watcher:
    """Calls functions when refs are ready, in the order in which they get ready.

    The thread is a daemon, starts with the first `add` and ends after `stop`. It is not kiln's own
    thread of events, so a callback that is slow, or waits for other results, holds nobody up.

    Thread: any for all methods; the functions are called on the watcher's thread, one at a time.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._ready: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._outstanding = 0  # groups
        self._stopped = False

    def add(self, refs: Sequence[Any], done: Callable[[_Futures], object]) -> None:
        """Has ``done(futures of the refs)`` called once all of them are done.

        Raises:
            RuntimeError: The watcher was stopped.
        """
        group = _Group(len(refs), done)
        with self._lock:
            if self._stopped:
                raise RuntimeError("the watcher was stopped")
            self._outstanding += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        group.futures = [_future_of(ref) for ref in refs]
        for future in group.futures:
            future.add_done_callback(lambda _: self._arrived(group))
        if not refs:
            self._ready.put(group)

    def stop(self, *, wait: bool = False) -> None:
        """Ends the thread once nothing is outstanding; with `wait`, returns after that."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self._ready.put(None)
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def _arrived(self, group: _Group) -> None:
        with self._lock:
            group.left -= 1
            if group.left:
                return
        self._ready.put(group)

    def _run(self) -> None:
        while self._handle(self._ready.get()):
            pass

    def _handle(self, group: _Group | None) -> bool:
        """Returns: whether to go on. A frame of its own, so that an idle thread holds no values."""
        if group is not None:
            try:
                group.done(group.futures)
            except BaseException:  # the thread outlives a faulty callback, and the user sees it
                hook_args = (*sys.exc_info(), threading.current_thread())
                threading.excepthook(threading.ExceptHookArgs(hook_args))
            # Others may keep the group for a while: a future is the last thing its thread has seen.
            group.done, group.futures = _nothing, []
        with self._lock:
            if group is not None:
                self._outstanding -= 1
            return self._outstanding > 0 or not self._stopped


def _nothing(_: _Futures) -> None:
    """In place of what was called."""


def _future_of(ref: Any) -> futures.Future[Any]:
    future: futures.Future[Any]
    try:
        future = ref.future()
    except Exception as error:  # the session is over
        future = futures.Future()
        future.set_exception(error)
    return future
