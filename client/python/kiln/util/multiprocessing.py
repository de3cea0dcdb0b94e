"""The interface of ``multiprocessing.Pool`` on kiln: change the import, keep the program.

    from kiln.util.multiprocessing import Pool

    with Pool() as pool:
        pool.map(func, range(1_000_000))
"""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing import TimeoutError
from typing import Any, TypeVar

import kiln
from kiln.util import _calls, _chunks, _results
from kiln.util._functions import Functions, Prepared, is_named
from kiln.util._results import AsyncResult, IMapIterator, IMapUnorderedIterator, MapResult
from kiln.util._setup import Setup
from kiln.util._watch import Watcher

__all__ = ["AsyncResult", "Pool", "TimeoutError", "cpu_count"]

INIT, RUN, CLOSE, TERMINATE = "INIT", "RUN", "CLOSE", "TERMINATE"

# Items of a chunk, at most, when the caller does not say and nothing is known of the function: the
# encoding of one chunk, the run of another and the decoding of a third overlap.
_MOST_ITEMS = 16_384
# Seconds that a chunk shall take, once it is known what an item does: less would be lost on the
# way, more would keep results from being decoded while others run.
_SHORTEST = 0.0004
_LONGEST = 0.0025

# Results that nobody has taken are looked through for completed ones when there are so many.
_FEW_RESULTS = 64

# Seconds that calls get to end after terminate() before their workers are killed.
_TERMINATE_GRACE = 1.0

_Result = TypeVar("_Result", bound=AsyncResult)
_Callback = Callable[[Any], object]
_Map = Callable[[Any], Any]


class Pool:
    """Runs functions in kiln's workers; the interface of ``multiprocessing.Pool``.

    What differs from it:

    - No process is started for the pool: its calls are tasks, which run in the head's workers.
      `processes` is how many of them run at once. The head has at most its CPUs + 8 workers.
    - The initializer runs once in each worker before the pool's first call there. If it raises,
      so do the results (`RuntimeError`), where multiprocessing replaces the worker for ever.
    - Functions may be lambdas, closures and whatever else cloudpickle takes. A plain function is
      pickled once for each pool.
    - A worker that dies loses nothing but itself: its calls run again, three times at most; then
      the result is `kiln.exceptions.WorkerCrashedError`. multiprocessing waits for ever.
    - The default chunk size is that of multiprocessing, but at most 16,384 items, for the first map
      of a function; after that it follows from how long its calls took.
    - ``imap`` and ``imap_unordered`` take from their input as results are taken from them, and only
      a few chunks ahead. Iterate, or call `join`, to run all of it.
    - Large arrays in arguments may not be written to.

    Thread: any.

    Args:
        processes: Calls that run at once; all CPUs of the head by default.
        initializer: Called as ``initializer(*initargs)`` in each worker before its first call.
        initargs: Its arguments.
        maxtasksperchild: Chunks of one function that a worker runs before it is replaced.
        context: Ignored; for programs that pass it.
        ray_address: As `address`, under Ray's name.
        ray_remote_args: Options of all tasks of the pool, as given to ``kiln.remote``.
        address: The head to use if the program is not yet connected to one; see ``kiln.init``.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: object = None,
        ray_address: str | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
        *,
        address: str | None = None,
    ) -> None:
        self._state = INIT  # for __del__, if this raises
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None:
            if not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0:
                raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if not kiln.is_initialized():
            kiln.init(address=address or ray_address)

        self._processes = processes or _calls.cpu_count()
        options: dict[str, Any] = {"num_cpus": _calls.share_of_cpus(self._processes)}
        if maxtasksperchild is not None:
            options["max_calls"] = maxtasksperchild
        setup = Setup(initializer, tuple(initargs)) if initializer is not None else None
        self._functions = Functions(setup, {**options, **(ray_remote_args or {})}, is_named)
        self._lock = threading.Lock()
        self._results: set[AsyncResult | IMapIterator] = set()  # not known to be complete
        self._most_results = _FEW_RESULTS
        self._applying: set[Any] = set()  # refs that are waited for in apply
        self._watcher: Watcher | None = None  # runs callbacks
        self._state = RUN

    # Defaults hold what is needed while the interpreter shuts down.
    def __del__(self, _warn: Any = warnings.warn, _run: str = RUN) -> None:
        if self._state == _run:
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)
        if getattr(self, "_watcher", None) is not None:
            self._watcher.stop()  # type: ignore[union-attr]

    def __repr__(self) -> str:
        cls = type(self)
        size = getattr(self, "_processes", 0)
        return f"<{cls.__module__}.{cls.__qualname__} state={self._state} pool_size={size}>"

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.terminate()

    # --- one call ---------------------------------------------------------------------------------

    def apply(
        self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: Mapping[str, Any] = {}
    ) -> Any:
        """``func(*args, **kwds)`` in a worker. An argument that is an ObjectRef gives its value."""
        self._check_running()
        ref = self._functions.get(_calls.Call, func).submit(*args, **kwds)
        self._applying.add(ref)
        try:
            return kiln.get(ref)
        except Exception as error:
            failure = _calls.plain_error(error)
        except BaseException:  # Ctrl-C
            _results.cancel([ref])
            raise
        finally:
            self._applying.discard(ref)
        raise failure

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
        callback: _Callback | None = None,
        error_callback: _Callback | None = None,
    ) -> AsyncResult:
        """Starts ``func(*args, **kwds)``.

        One of the callbacks is called, on a helper thread of the pool, with the result or the
        exception before the result is ready.
        """
        self._check_running()

        def submits() -> Iterator[Any]:
            yield self._functions.get(_calls.Call, func).submit(*args, **kwds)

        return self._start(AsyncResult(self, callback, error_callback), submits())

    # --- many calls -------------------------------------------------------------------------------

    def map(self, func: _Map, iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """``list(map(func, iterable))`` by workers; raises the error of the first item with one."""
        results: list[Any] = self._get_now(self.map_async(func, iterable, chunksize))
        return results

    def map_async(
        self,
        func: _Map,
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: _Callback | None = None,
        error_callback: _Callback | None = None,
    ) -> MapResult:
        """Starts `map`. The callbacks are as those of `apply_async`."""
        result = MapResult(self, callback, error_callback)
        return self._start_map(result, _calls.MapCall, func, iterable, chunksize)

    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[Any]:
        """As `map`, with each item unpacked into arguments."""
        results: list[Any] = self._get_now(self.starmap_async(func, iterable, chunksize))
        return results

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: _Callback | None = None,
        error_callback: _Callback | None = None,
    ) -> MapResult:
        """Starts `starmap`. The callbacks are as those of `apply_async`."""
        result = MapResult(self, callback, error_callback)
        return self._start_map(result, _calls.StarmapCall, func, iterable, chunksize)

    def imap(self, func: _Map, iterable: Iterable[Any], chunksize: int = 1) -> IMapIterator:
        """An iterator over the results in order; the input may be endless."""
        return self._start_imap(IMapIterator, func, iterable, chunksize)

    def imap_unordered(
        self, func: _Map, iterable: Iterable[Any], chunksize: int = 1
    ) -> IMapIterator:
        """An iterator over the results as they come; the input may be endless."""
        return self._start_imap(IMapUnorderedIterator, func, iterable, chunksize)

    # --- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Takes no more calls. What was started goes on."""
        if self._state == RUN:
            self._state = CLOSE

    def terminate(self) -> None:
        """Ends the pool at once: queued calls are dropped, running ones interrupted."""
        if self._state == INIT:
            return
        self._state = TERMINATE
        for result in self._outstanding():
            result.cancel()
        _results.cancel(list(self._applying))
        self._forget_settled()
        if self._watcher is not None:
            self._watcher.stop()

    def join(self) -> None:
        """Waits until all calls have ended and callbacks were called; after close or terminate."""
        if self._state == RUN:
            raise ValueError("Pool is still running")
        if self._state not in (CLOSE, TERMINATE):
            raise ValueError("In unknown state")
        for result in self._outstanding():
            if self._state == CLOSE and isinstance(result, IMapIterator):
                result.submit_all()
            if not result.settle(None if self._state == CLOSE else _TERMINATE_GRACE):
                result.cancel(force=True)
                result.settle(None)
            self._results.discard(result)
        if self._watcher is not None:
            self._watcher.stop(wait=True)

    # --- for results ------------------------------------------------------------------------------

    def watcher(self) -> Watcher:
        """What calls callbacks."""
        with self._lock:
            if self._watcher is None:
                self._watcher = Watcher("kiln-pool-callbacks")
            return self._watcher

    def forget(self, result: AsyncResult | IMapIterator) -> None:
        """The result is complete: terminate and join need not know it."""
        self._results.discard(result)

    # ----------------------------------------------------------------------------------------------

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running")

    def _outstanding(self) -> list[AsyncResult | IMapIterator]:
        return list(self._results)

    def _remember(self, result: AsyncResult | IMapIterator) -> None:
        self._results.add(result)
        if len(self._results) > self._most_results:
            self._forget_settled()
            self._most_results = max(_FEW_RESULTS, 2 * len(self._results))

    def _forget_settled(self) -> None:
        """The caller may have dropped results that are complete: so their values go."""
        for result in self._outstanding():
            if isinstance(result, AsyncResult) and result.settle(0):
                self._results.discard(result)

    def _start(self, result: _Result, submits: Iterator[Any]) -> _Result:
        self._remember(result)
        try:
            result.start(submits)
        except BaseException:  # Ctrl-C
            result.cancel()
            raise
        return result

    def _get_now(self, result: AsyncResult) -> Any:
        try:
            return result.get()
        except KeyboardInterrupt:
            result.cancel()
            raise

    def _start_map(
        self,
        result: MapResult,
        kind: type[_calls.Call],
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None,
    ) -> MapResult:
        self._check_running()
        items = _chunks.as_sequence(iterable)
        if chunksize is not None and chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize!r}")

        def submits() -> Iterator[Any]:
            if len(items) == 0:
                return
            result.prepared = self._functions.get(kind, func)
            size = chunksize or self._chunk_size(len(items), result.prepared)
            for start in range(0, len(items), size):
                yield result.prepared.submit(*_chunks.cut(items, start, start + size))

        return self._start(result, submits())

    def _start_imap(
        self, kind: type[IMapIterator], func: _Map, iterable: Iterable[Any], chunksize: int
    ) -> IMapIterator:
        self._check_running()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize!r}")
        submit = self._functions.get(_calls.MapCall, func).submit
        items = iter(iterable)

        def submits() -> Iterator[Any]:
            while self._state != TERMINATE:
                part = list(itertools.islice(items, chunksize))
                if not part:
                    return
                try:
                    yield submit(_chunks.pack(part))
                except Exception as error:
                    yield _results.Failed(error)

        result = kind(self, submits(), self._processes)
        self._remember(result)
        return result

    def _chunk_size(self, count: int, prepared: Prepared) -> int:
        """Items of a chunk when the caller does not say."""
        if prepared.fits_one(count):
            return count
        size = -(-count // (4 * self._processes))
        if not prepared.cost:
            return min(size, _MOST_ITEMS)
        size = min(size, max(1, int(_LONGEST / prepared.cost)))
        size = max(size, int(_SHORTEST / prepared.cost))
        rounds = -(-count // (size * self._processes))  # in each, every process has a chunk
        return -(-count // (rounds * self._processes))


def cpu_count() -> int:
    """CPUs of the head."""
    if not kiln.is_initialized():
        kiln.init()
    return _calls.cpu_count()
