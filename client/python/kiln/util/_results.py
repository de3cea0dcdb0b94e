"""Results of a Pool: what its asynchronous methods return."""

from __future__ import annotations

import threading
import time
import types
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from multiprocessing import TimeoutError
from typing import TYPE_CHECKING, Any

import kiln
from kiln.util import _chunks
from kiln.util._calls import ask_for, is_timeout, plain_error
from kiln.util._functions import Prepared

if TYPE_CHECKING:
    from kiln.util.multiprocessing import Pool


class AsyncResult:
    """The result of `Pool.apply_async`; that of ``multiprocessing.pool.AsyncResult``.

    Thread: any.
    """

    def __init__(
        self,
        pool: Pool,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> None:
        self._pool: Pool | None = pool
        self._callback = callback
        self._error_callback = error_callback
        self._lock = threading.Lock()
        self._refs: list[Any] = []
        self._futures: list[Future[Any]] = []  # of the refs, once their callbacks are due
        self._outcome: tuple[bool, Any] | None = None
        # With callbacks the result is ready when they have been called, so get() waits for that.
        self._called = threading.Event() if callback or error_callback else None

    def ready(self) -> bool:
        """Whether the call has completed."""
        if self._called is not None:
            return self._called.is_set()
        return self._outcome is not None or self._arrived(0)

    def successful(self) -> bool:
        """Whether the call completed without raising. Raises: ValueError (it is not ready)."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._fetch()[0]

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the result is there or `timeout` seconds are over."""
        if self._called is not None:
            self._called.wait(timeout)
        elif self._outcome is None:
            self._arrived(timeout)

    def get(self, timeout: float | None = None) -> Any:
        """The result, or raises what the call raised.

        Raises:
            multiprocessing.TimeoutError: It is not there after `timeout` seconds.
        """
        if timeout is not None or self._called is not None:
            self.wait(timeout)
            if not self.ready():
                raise TimeoutError
        succeeded, value = self._fetch()
        if succeeded:
            return value
        raise value

    __class_getitem__ = classmethod(types.GenericAlias)

    # --- for Pool ---------------------------------------------------------------------------------

    def start(self, submits: Iterator[Any]) -> None:
        """Takes the refs of the calls; an error while they are submitted is the result."""
        try:
            for ref in submits:
                self._refs.append(ref)
        except Exception as error:
            self.cancel()
            self._outcome = False, error
        assert self._pool is not None
        if self._called is not None:
            self._pool.watcher().add([] if self._outcome else list(self._refs), self._call_back)
        else:
            ask_for(self._refs)

    def cancel(self, *, force: bool = False) -> None:
        """Asks calls that have not ended to end."""
        cancel(list(self._refs), force)

    def settle(self, timeout: float | None) -> bool:
        """Waits for the calls, not for callbacks. Returns: whether all have ended."""
        return self._outcome is not None or self._arrived(timeout)

    # ----------------------------------------------------------------------------------------------

    def _arrived(self, timeout: float | None) -> bool:
        return _all_arrived(list(self._refs), timeout)

    def _fetch(self) -> tuple[bool, Any]:
        """Waits for the outcome and keeps it."""
        with self._lock:
            if self._outcome is None:
                self._outcome = self._collect()
                self._refs.clear()
                self._futures.clear()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.forget(self)
        return self._outcome

    def _part(self, place: int) -> Any:
        """The value of a ref; raises its error."""
        return self._futures[place].result() if self._futures else kiln.get(self._refs[place])

    def _collect(self) -> tuple[bool, Any]:
        try:
            return True, self._part(0)
        except Exception as error:
            return False, plain_error(error)

    def _call_back(self, futures: list[Future[Any]]) -> None:
        self._futures = futures
        succeeded, value = self._fetch()
        assert self._called is not None
        try:
            call = self._callback if succeeded else self._error_callback
            if call is not None:
                call(value)
        finally:
            self._callback = self._error_callback = None
            self._called.set()


class MapResult(AsyncResult):
    """The result of `Pool.map_async` and `Pool.starmap_async`: a list."""

    prepared: Prepared | None = None  # learns what its calls cost

    def _collect(self) -> tuple[bool, Any]:
        values: list[Any] = []
        failure: BaseException | None = None
        for place in range(len(self._refs)):
            try:
                seconds, part = self._part(place)
            except Exception as error:
                # As in multiprocessing all chunks run to their end before the error is raised.
                failure = failure or plain_error(error)
            else:
                if self.prepared is not None:
                    self.prepared.learn(len(part), seconds)
                if failure is None:
                    values += _chunks.unpack(part)
        return (True, values) if failure is None else (False, failure)


class _NotYet(Exception):
    """A result is not there; not TimeoutError, which a call may raise."""


class Failed:
    """In place of a ref: a chunk that could not be submitted."""

    def __init__(self, error: Exception) -> None:
        self.error = error


# Chunks that an iterator has submitted ahead: at least, for each process; at most; and as many as
# are taken in so many seconds. If each takes 20 us, waiting for them one by one costs most.
_LEAST_AHEAD = 4
_MOST_AHEAD = 128
_TIME_AHEAD = 0.005
# Seconds that the oldest result of unordered ones is waited for before any other is as welcome.
_PATIENCE = 0.001


class IMapIterator:
    """The results of `Pool.imap`, in order; calls are submitted as results are taken.

    An error of a call is raised where its result would be, and iteration can go on. An error of the
    input is raised after the results of what came before it, and ends the iteration.

    Thread: any.
    """

    def __init__(self, pool: Pool, submits: Iterator[Any], processes: int) -> None:
        self._pool = pool
        self._submits = submits  # yields refs, or Failed
        self._least = max(8, _LEAST_AHEAD * processes)
        self._window = self._least
        self._filled = time.monotonic()  # when there were _window chunks ahead
        self._lock = threading.RLock()
        self._refs: list[Any] = []
        self._values: deque[Any] = deque()  # of the chunk that was got last
        self._failure: Exception | None = None  # of the input
        self._open = True  # the input may have more
        self._fill(self._window)

    def __iter__(self) -> IMapIterator:
        return self

    def next(self, timeout: float | None = None) -> Any:
        """The next result.

        Raises:
            multiprocessing.TimeoutError: It is not there after `timeout` seconds.
        """
        with self._lock:
            while not self._values:
                self._refill()
                if not self._refs:
                    self._pool.forget(self)
                    failure, self._failure = self._failure, None
                    if failure is not None:
                        raise failure
                    raise StopIteration
                try:
                    _, part = self._next_part(timeout)
                except _NotYet:
                    raise TimeoutError from None
                self._values.extend(_chunks.unpack(part))
                self._refill()
            return self._values.popleft()

    __next__ = next

    # --- for Pool ---------------------------------------------------------------------------------

    def submit_all(self) -> None:
        """Submits what is left, however much."""
        with self._lock:
            self._fill(None)

    def settle(self, timeout: float | None) -> bool:
        """As AsyncResult.settle, for what was submitted."""
        return _all_arrived([ref for ref in self._refs if type(ref) is not Failed], timeout)

    def cancel(self, *, force: bool = False) -> None:
        """Asks calls that have not ended to end, and submits no more."""
        self._open = False
        cancel([ref for ref in self._refs if type(ref) is not Failed], force)

    # ----------------------------------------------------------------------------------------------

    def _refill(self) -> None:
        """Submits more once half of what was ahead is taken."""
        taken = self._window - len(self._refs)
        if not self._open or 2 * taken < self._window:
            return
        now = time.monotonic()
        fits = int(taken * _TIME_AHEAD / max(now - self._filled, 1e-6))
        self._window = max(self._least, min(fits, 2 * self._window, _MOST_AHEAD))
        self._filled = now
        self._fill(self._window)

    def _fill(self, window: int | None) -> None:
        before = len(self._refs)
        while self._open and (window is None or len(self._refs) < window):
            try:
                self._refs.append(next(self._submits))
            except StopIteration:
                self._open = False
            except Exception as error:
                self._open = False
                self._failure = error
        ask_for([ref for ref in self._refs[before:] if type(ref) is not Failed])

    def _next_part(self, timeout: float | None) -> Any:
        """The value of the next ref. Raises: _NotYet."""
        return self._take(0, timeout)

    def _take(self, place: int, timeout: float | None) -> Any:
        """The value of a ref, which is removed, also if its value is an error.

        Raises:
            _NotYet: It is not there after `timeout` seconds.
        """
        ref = self._refs[place]
        part = None
        failure: BaseException | None = ref.error if type(ref) is Failed else None
        if failure is None:
            try:
                part = kiln.get(ref, timeout=timeout)
            except Exception as error:  # an interrupt leaves it in the queue
                if is_timeout(error):
                    raise _NotYet from None
                failure = plain_error(error)
        del self._refs[place]
        if failure is not None:
            raise failure
        return part


class IMapUnorderedIterator(IMapIterator):
    """The results of `Pool.imap_unordered`, as they come."""

    _late: Any = None  # the oldest ref, if others have come before it

    def _next_part(self, timeout: float | None) -> Any:
        # The oldest as a rule: to wait for any of them and then to get it takes twice as long.
        first = self._refs[0]
        if first is not self._late and (timeout is None or timeout > _PATIENCE):
            try:
                return self._take(0, _PATIENCE)
            except _NotYet:
                self._late = first
        for place, ref in enumerate(self._refs):
            if type(ref) is Failed:
                return self._take(place, None)
        ready, _ = kiln.wait(self._refs, num_returns=1, timeout=timeout)
        if not ready:
            raise _NotYet
        return self._take(self._refs.index(ready[0]), None)


def _all_arrived(refs: list[Any], timeout: float | None) -> bool:
    """Waits for refs. Returns: whether all are there; also if the session is over: get says so."""
    if not refs:
        return True
    try:
        return len(kiln.wait(refs, num_returns=len(refs), timeout=timeout)[0]) == len(refs)
    except Exception:
        return True


def cancel(refs: list[Any], force: bool = False) -> None:
    """Asks the calls that make these to end."""
    for ref in refs:
        try:
            kiln.cancel(ref, force=force)
        except Exception:  # the call has ended, or the session has
            pass
