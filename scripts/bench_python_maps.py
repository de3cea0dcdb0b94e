"""x * 10 over many numbers: kiln's Pool and map beside multiprocessing and joblib at their best."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import joblib
import kiln
import kiln.util.multiprocessing
from bench_python_rounds import WORKERS, Rounds, in_turns, scaled, seconds_of, start_kiln

# Into how many chunks peers may cut their input. The default of Pool is 8 for 2 processes.
_PARTS = (1, 2, 3, 4, 6, 8, 16, 32, 64, 200)
_PARTS_OF_JOBLIB = (1, 2, 4, 8, 16)
_JOBLIB_BACKENDS = ("loky", "multiprocessing", "threading")
# What rows are compared with, by how its contenders are called.
_KINDS = {"": "Pool", ", joblib": "joblib with processes", ", threads": "joblib with threads"}

_Calls = dict[str, Callable[[], Any]]  # contenders by name


def times_ten(x: Any) -> Any:
    return x * 10


def times_ten_each(chunk: Sequence[int]) -> list[int]:
    return [times_ten(x) for x in chunk]


def _sizes(items: Sequence[Any], parts: Iterable[int]) -> list[int]:
    """Of chunks when the items are cut into so many."""
    return sorted({-(-len(items) // count) for count in parts}, reverse=True)


def _pool_calls(pool: Any, items: Sequence[Any]) -> _Calls:
    return {f"Pool, chunks of {size:,}": partial(pool.map, times_ten, items, size)
            for size in _sizes(items, _PARTS)}


def _joblib_call(parallel: Any, items: Sequence[Any], size: int) -> list[Any]:
    lists = parallel(joblib.delayed(times_ten_each)(items[start:start + size])
                     for start in range(0, len(items), size))
    return list(itertools.chain.from_iterable(lists))


def _joblib_calls(parallels: dict[str, Any], items: Sequence[Any]) -> _Calls:
    """Chunks, for with a call for each item joblib needs 30 to 100 us for each."""
    calls: _Calls = {}
    for backend, parallel in parallels.items():
        kind = "threads" if backend == "threading" else f"processes ({backend})"
        for size in _sizes(items, _PARTS_OF_JOBLIB):
            calls[f"joblib with {kind}, chunks of {size:,}"] = partial(
                _joblib_call, parallel, items, size)
    return calls


def _best(calls: _Calls, expected: Any, budget_s: float, keep: int = 2) -> _Calls:
    """The fastest contenders of each kind by a short trial; all must be right."""
    for name, call in calls.items():
        if call() != expected:
            raise AssertionError(f"{name}: a wrong result")
    trials = in_turns(3, {name: partial(seconds_of, call, budget_s)
                          for name, call in calls.items()})
    fastest = sorted(calls, key=lambda name: min(trials[name]))
    return {name: calls[name] for kind in _KINDS.values()
            for name in [name for name in fastest if name.startswith(kind)][:keep]}


def _fastest(times: dict[str, list[float]], kind: str) -> str:
    """Whose median is the least among those of a kind."""
    return min((name for name in times if name.startswith(kind)),
               key=lambda name: statistics.median(times[name]))


def _compare(rounds: Rounds, kiln_call: Callable[[], Any], peers: _Calls) -> dict[str, list[float]]:
    calls = {"kiln": kiln_call, **peers}
    times = in_turns(2 * rounds.count, {
        name: partial(seconds_of, call, 0.1) for name, call in calls.items()})
    return {name: scaled(samples, 1e3) for name, samples in times.items()}


def ranges(rounds: Rounds) -> None:
    """Over ranges of three sizes."""
    with contextlib.ExitStack() as stack:
        # Before kiln's head: what is forked later would share more with the driver.
        pool = stack.enter_context(multiprocessing.Pool(WORKERS))
        parallels = {
            backend: stack.enter_context(joblib.Parallel(n_jobs=WORKERS, backend=backend))
            for backend in _JOBLIB_BACKENDS}
        start_kiln()
        kiln_pool = stack.enter_context(kiln.util.multiprocessing.Pool(WORKERS))
        for size in (100, 10_000, 1_000_000):
            name = f"Pool.map of {size:,}"
            if not rounds.wants(*(name + suffix for suffix in _KINDS)):
                continue
            items = range(size)
            expected = [10 * x for x in items]
            if kiln_pool.map(times_ten, items) != expected:
                raise AssertionError("kiln: a wrong result")
            peers = _best({**_pool_calls(pool, items), **_joblib_calls(parallels, items)},
                          expected, 0.02)
            times = _compare(rounds, partial(kiln_pool.map, times_ten, items), peers)
            for suffix, kind in _KINDS.items():
                best = _fastest(times, kind)
                rounds.add(name + suffix, times["kiln"], times[best], best)
        kiln_pool.close()
        kiln.shutdown()


def lists(rounds: Rounds) -> None:
    """Over a list, of which kiln cannot send three numbers instead."""
    items = list(range(1_000_000))
    expected = [10 * x for x in items]
    with multiprocessing.Pool(WORKERS) as pool:
        start_kiln()
        with kiln.util.multiprocessing.Pool(WORKERS) as kiln_pool:
            peers = _best(_pool_calls(pool, items), expected, 0)
            times = _compare(rounds, partial(kiln_pool.map, times_ten, items), peers)
        kiln.shutdown()
    best = _fastest(times, "Pool")
    rounds.add("Pool.map of a list of 1,000,000", times["kiln"], times[best], best)


def arrays(rounds: Rounds) -> None:
    """Over a NumPy array, whose items a Pool pickles one by one."""
    import numpy

    full = 1_000_000
    size = rounds.size(full, 50_000)
    items: Any = numpy.arange(size, dtype=numpy.float64)
    expected = [10 * x for x in items]
    with multiprocessing.Pool(WORKERS) as pool:
        start_kiln()
        if kiln.map(times_ten, items) != expected:
            raise AssertionError("kiln: a wrong result")
        part = items[:size // 10]
        names = _best(_pool_calls(pool, part), expected[:size // 10], 0, keep=1)
        parts = -(-len(part) // int(next(iter(names)).rpartition(" ")[2].replace(",", "")))
        chunk = -(-size // parts)
        times = in_turns(rounds.few, {
            "kiln": lambda: seconds_of(lambda: kiln.map(times_ten, items), 0.5, 5),
            "pool": lambda: seconds_of(lambda: pool.map(times_ten, items, chunk))})
        kiln.shutdown()
    note = "" if size == full else f"{size:,}, times for {full:,}"
    rounds.add("kiln.map of an array of 1,000,000", scaled(times["kiln"], 1e3 * full / size),
               scaled(times["pool"], 1e3 * full / size), f"Pool.map, chunks of {chunk:,}", note)
