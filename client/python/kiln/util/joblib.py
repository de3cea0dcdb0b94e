"""joblib on kiln.

    from kiln.util.joblib import register_kiln

    register_kiln()
    with joblib.parallel_backend("kiln"):
        joblib.Parallel()(joblib.delayed(func)(i) for i in range(1_000))
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from multiprocessing import TimeoutError
from typing import Any

import joblib
import kiln
from joblib._parallel_backends import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)
from joblib.parallel import BatchedCalls
from kiln.util import _calls, _chunks
from kiln.util._functions import Functions, Prepared, is_named
from kiln.util._setup import name_of
from kiln.util._watch import Watcher

__all__ = ["KilnBackend", "register_kiln"]

# Arrays from this size on, in bytes, are stored once for a Parallel call, however many calls they
# are an argument of; joblib's own backends map such arrays from files.
_LARGE = 1 << 20


def register_kiln() -> None:
    """Makes "kiln" a backend of joblib. Starts nothing: kiln is first used when joblib uses it."""
    joblib.register_parallel_backend("kiln", KilnBackend)


class _Stored:
    """In place of a large array among the arguments of a call."""

    def __init__(self, ref: Any) -> None:
        self.ref = ref


class _Batch:
    """Runs a batch of calls in a worker: of one function, or, without one, of many."""

    def __init__(self, func: Callable[..., Any] | None, nested: tuple[Any, Any]) -> None:
        self._func = func
        self._nested = nested

    def __call__(self, calls: list[tuple[Any, ...]]) -> Any:
        items = [
            (
                func[0] if func else self._func,
                tuple(map(_load, args)),
                {name: _load(value) for name, value in kwargs.items()},
            )
            for args, kwargs, *func in calls
        ]
        if "joblib" in sys.modules:  # so a function may use it: nested calls fall back
            return _chunks.pack(BatchedCalls(items, self._nested)())
        os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")  # ... if it imports joblib itself
        return _chunks.pack([func(*args, **kwargs) for func, args, kwargs in items])


class _Job:
    """A batch that was submitted: what joblib waits for."""

    def __init__(self, ref: Any) -> None:
        self.ref = ref

    def get(self, timeout: float | None = None) -> list[Any]:
        try:
            return _chunks.unpack(kiln.get(self.ref, timeout=timeout))
        except Exception as error:
            if _calls.is_timeout(error):
                raise TimeoutError from error
            failure = _calls.plain_error(error)
        raise failure


class KilnBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs batches of calls as tasks. ``n_jobs=-1`` means all CPUs of the head.

    Nested calls of joblib run in threads of the worker, and those within in sequence.

    Args:
        nesting_level: Of joblib.
        inner_max_num_threads: Of joblib; not supported, tasks use as many threads as `num_cpus`.
        **options: Of the tasks, as given to ``kiln.remote``: what is given to
            ``joblib.parallel_backend`` after "kiln".
    """

    supports_timeout = True
    supports_retrieve_callback = True
    supports_return_generator = True
    default_n_jobs = -1

    # Batches are longer than this, in seconds: some hundred times what it costs to submit one.
    MIN_IDEAL_BATCH_DURATION = 0.02
    MAX_IDEAL_BATCH_DURATION = 0.5

    parallel: Any = None

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads
        )
        self._given = options
        self._options: dict[str, Any] = {}  # of tasks, from here on for one Parallel
        self._functions: Functions
        self._batches: dict[int | None, tuple[Any, Prepared]] = {}  # by id: the function, its calls
        self._stored: dict[int, tuple[Any, _Stored]] = {}  # by id: the array, what stands for it
        self._jobs: set[_Job] = set()
        self._watcher: Watcher | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at once."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs < 0:
            if not kiln.is_initialized():
                kiln.init()
            return max(1, _calls.cpu_count() + 1 + n_jobs)
        return n_jobs

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **options: Any,
    ) -> int:
        """Prepares for calls of `parallel`. Returns: how many calls run at once."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if not kiln.is_initialized():
            kiln.init()
        for name in ("temp_folder", "max_nbytes", "mmap_mode", "verbose", "context"):
            options.pop(name, None)  # of joblib's own backends
        self.parallel = parallel
        self._options = {"num_cpus": _calls.share_of_cpus(n_jobs), **self._given, **options}
        self._functions = Functions(None, self._options, is_named)
        self._watcher = Watcher("kiln-joblib")
        return n_jobs

    def apply_async(self, func: Any, callback: Callable[[Any], object] | None = None) -> _Job:
        """Starts a batch; `callback` is called with the job on another thread when it has ended."""
        watcher = self._watcher
        if watcher is None:
            raise RuntimeError("the backend was terminated")
        job = _Job(self._submit(func))
        self._jobs.add(job)

        def ended(_: object) -> None:
            self._jobs.discard(job)
            if callback is not None:
                callback(job)

        watcher.add([job.ref], ended)
        return job

    submit = apply_async  # its name from joblib 1.5 on

    def retrieve_result_callback(self, out: _Job) -> list[Any]:
        """The results of a batch that has ended; for joblib from 1.3 on."""
        return out.get()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Drops queued batches and interrupts running ones."""
        for job in list(self._jobs):
            try:
                kiln.cancel(job.ref)
            except Exception:  # it has ended, or the session has
                pass
        self.terminate()
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel, **self._options)

    def terminate(self) -> None:
        """Forgets the functions and arrays of the last calls."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
            self._jobs.clear()
            self._batches.clear()
            self._stored.clear()
        self.reset_batch_stats()

    def __reduce__(self) -> Any:
        return type(self), (self.nesting_level,)

    # ----------------------------------------------------------------------------------------------

    def _submit(self, batch: Any) -> Any:
        first = batch.items[0][0]
        one = all(func is first for func, _, _ in batch.items)
        key = id(first) if one else None
        if key not in self._batches:
            call = _Batch(first if one else None, (batch._backend, batch._n_jobs))
            known = self._functions.box(call, name_of(first))
            self._batches[key] = first, known
        return self._batches[key][1].submit([
            (
                tuple(map(self._store, args)),
                {name: self._store(value) for name, value in kwargs.items()},
                *(() if one else (func,)),
            )
            for func, args, kwargs in batch.items
        ])

    def _store(self, value: Any) -> Any:
        if not _chunks.is_array(value) or value.nbytes < _LARGE:
            return value
        if id(value) not in self._stored:
            self._stored[id(value)] = value, _Stored(kiln.put(value))
        return self._stored[id(value)][1]


def _load(value: Any) -> Any:
    return kiln.get(value.ref) if type(value) is _Stored else value
