"""A ``concurrent.futures.Executor`` on kiln.

    from kiln.util.concurrent import Executor

    with Executor() as executor:
        future = executor.submit(pow, 2, 10)
"""

from __future__ import annotations

import atexit
import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any

import kiln
from kiln.util import _calls, _chunks
from kiln.util._functions import Functions, is_named
from kiln.util._setup import Setup
from kiln.util._watch import Watcher

__all__ = ["CallFuture", "Executor"]

# Where a future is, besides its own state; each is left for the next one.
_WAITING, _RUNNING, _SETTLED = range(3)


class CallFuture(futures.Future):  # type: ignore[type-arg]
    """The future of a call in a worker.

    Thread: any.
    """

    def __init__(self, executor: Executor) -> None:
        super().__init__()
        self._executor = executor
        self._ref: Any = None  # until the result is there
        self._place = _WAITING  # under the executor's lock

    def cancel(self) -> bool:
        """Cancels the call unless it runs. Returns: whether it is cancelled."""
        if not super().cancel():
            return False
        self._executor._withdraw(self)
        return True


class Executor(futures.Executor):
    """Runs calls in kiln's workers; the interface of ``concurrent.futures.ProcessPoolExecutor``.

    What differs from it:

    - No process is started for the executor: its calls are tasks, which run in the head's workers.
    - Functions may be lambdas and closures. A plain function is pickled once for each executor. An
      argument that is an ObjectRef gives its value.
    - A worker that dies loses nothing but itself: its calls run again, three times at most; then
      the future has a `kiln.exceptions.WorkerCrashedError`, and the executor goes on.
    - The initializer runs once in each worker before the executor's first call there. If it raises,
      so do the futures of the calls (`RuntimeError`).

    A future is running from when it is among the `max_workers` oldest that are not done: from then
    on it cannot be cancelled.

    Thread: any.

    Args:
        max_workers: Calls that run at once; by default as many as the CPUs of the head allow.
        initializer: Called as ``initializer(*initargs)`` in each worker before its first call.
        initargs: Its arguments.
        num_cpus: CPUs that a call holds while it runs, for calls that use several; 1 by default, or
            less if `max_workers` is more than the CPUs of the head.
        max_tasks_per_child: Calls of one function that a worker runs before it is replaced.
        address: The head to use if the program is not yet connected to one; see ``kiln.init``.
        **options: Further options of the tasks, as given to ``kiln.remote``.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        num_cpus: float | None = None,
        max_tasks_per_child: int | None = None,
        address: str | None = None,
        **options: Any,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
            options["max_calls"] = max_tasks_per_child
        if not kiln.is_initialized():
            kiln.init(address=address)

        held = num_cpus or 0.0
        if max_workers is None:
            held = held or 1
            max_workers = max(1, int(_calls.cpu_count() / held))
        else:
            held = max(held, _calls.share_of_cpus(max_workers))
        setup = Setup(initializer, tuple(initargs)) if initializer is not None else None
        self._functions = Functions(setup, {"num_cpus": held, **options}, is_named)
        self._max_workers = max_workers
        self._watcher = Watcher("kiln-executor")
        self._lock = threading.RLock()
        self._waiting: deque[CallFuture] = deque()  # oldest first; settled ones may be among them
        self._running = 0
        self._shutdown = False
        _executors.add(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> CallFuture:
        """Starts ``fn(*args, **kwargs)`` in a worker.

        Raises:
            RuntimeError: The executor has been shut down.
        """
        return self._submit(_calls.Call, fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """``map(fn, *iterables)`` by workers. All calls are started at once; results are in order.

        Args:
            fn: The function.
            *iterables: Its arguments.
            timeout: Seconds from now until the last result; then the iterator raises TimeoutError.
            chunksize: Items of one task.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        kind = _calls.MapCall if len(iterables) == 1 else _calls.StarmapCall
        items = iter(iterables[0]) if len(iterables) == 1 else zip(*iterables)
        started: deque[CallFuture] = deque()
        while chunk := list(itertools.islice(items, chunksize)):
            started.append(self._submit(kind, fn, (_chunks.pack(chunk),), {}))
        return _results(started, end)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls. Those that were started go on.

        Args:
            wait: Returns when all have ended.
            cancel_futures: Cancels those that do not run yet.
        """
        with self._lock:
            self._shutdown = True
            waiting = list(self._waiting) if cancel_futures else []
        for future in waiting:
            future.cancel()
        self._watcher.stop(wait=wait)

    def __del__(self) -> None:
        watcher = getattr(self, "_watcher", None)
        if watcher is not None:
            watcher.stop()

    # ----------------------------------------------------------------------------------------------

    def _submit(
        self, kind: type[_calls.Call], fn: Callable[..., Any], args: Any, kwargs: Any
    ) -> CallFuture:
        future = CallFuture(self)
        with self._lock:
            if self._shutdown:
                raise RuntimeError("cannot schedule new futures after shutdown")
            try:
                future._ref = self._functions.get(kind, fn).submit(*args, **kwargs)
            except Exception as error:  # an argument that cannot be pickled
                future._place = _SETTLED
                future.set_running_or_notify_cancel()
                future.set_exception(error)
                return future
            self._waiting.append(future)
            self._advance()
            self._watcher.add([future._ref], lambda ended: self._settle(future, ended[0]))
        return future

    def _advance(self) -> None:
        """Says of the oldest futures that they run. Under the lock."""
        while self._waiting and self._running < self._max_workers:
            future = self._waiting.popleft()
            if future._place is _WAITING:
                if future.set_running_or_notify_cancel():
                    future._place = _RUNNING
                    self._running += 1
                else:
                    future._place = _SETTLED

    def _withdraw(self, future: CallFuture) -> None:
        """The future has been cancelled: so is its task."""
        with self._lock:
            ref, future._ref = future._ref, None
            if future._place is _WAITING:
                future._place = _SETTLED
                future.set_running_or_notify_cancel()  # tells those who wait for it
        if ref is not None:
            try:
                kiln.cancel(ref)
            except Exception:  # the session is over
                pass

    def _settle(self, future: CallFuture, ended: futures.Future[Any]) -> None:
        """The task has ended. On the watcher's thread."""
        with self._lock:
            future._ref = None
            if future._place is _RUNNING:
                self._running -= 1
            elif future._place is _SETTLED or not future.set_running_or_notify_cancel():
                future._place = _SETTLED  # cancelled
                return
            future._place = _SETTLED
            self._advance()
        error = ended.exception()
        if error is None:
            future.set_result(ended.result())
        else:
            future.set_exception(_calls.plain_error(error))


def _results(started: deque[CallFuture], end: float | None) -> Iterator[Any]:
    """The results of chunks, item by item; calls that are not needed any more are cancelled."""
    try:
        while started:
            future = started.popleft()  # no reference stays with the frame while it is used
            try:
                _, part = future.result(None if end is None else max(0.0, end - time.monotonic()))
            finally:
                future.cancel()
                del future
            yield from _chunks.unpack(part)
    finally:
        for future in started:
            future.cancel()


_executors: weakref.WeakSet[Executor] = weakref.WeakSet()


def _finish() -> None:
    """As with the library's own executors a program does not end before its calls have."""
    for executor in list(_executors):
        if kiln.is_initialized():
            executor.shutdown(wait=True)


atexit.register(_finish)  # runs before kiln's own, which was registered before this one
