"""Large arrays: into the store and out of it, to one task and to many."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import time
from typing import Any

import kiln
import numpy
from bench_python_rounds import WORKERS, Rounds, in_turns, scaled, start_kiln, status, wait_until

_GIGABYTE = 10**9
_TASKS = 20

_shared: Any = None  # what the processes of a Pool inherit


class _Store:
    """Puts of one array into pages that were used before."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self._context = start_kiln(3 * array.nbytes + (256 << 20))
        self._sizes = kiln.remote(_size_of)

    def _free(self) -> None:
        wait_until(lambda: status(self._context)["store_used_bytes"] < self._array.nbytes,
                   "the object is freed")

    def put_and_get(self) -> tuple[float, float]:
        """Returns: the seconds of a put, and of the first get of what was put."""
        begin = time.perf_counter()
        ref = kiln.put(self._array)
        there = time.perf_counter()
        value = kiln.get(ref)
        got = time.perf_counter()
        if value.nbytes != self._array.nbytes or value[-1] != self._array[-1]:
            raise AssertionError("kiln: a wrong result")
        del value, ref
        self._free()
        return there - begin, got - there

    def to_task(self) -> float:
        """Returns: the seconds of a task that is given the array itself."""
        begin = time.perf_counter()
        size = kiln.get(self._sizes.remote(self._array))
        seconds = time.perf_counter() - begin
        if size != self._array.nbytes:
            raise AssertionError("kiln: a wrong result")
        self._free()
        return seconds


def _size_of(array: Any) -> int:
    return int(array.nbytes)


def _sum_of(array: Any) -> float:
    return float(array.sum())


class _Copy:
    """memcpy by one thread from the array to shared memory whose pages are there."""

    def __init__(self, array: Any) -> None:
        self._array = array
        file = os.memfd_create("bench")
        os.ftruncate(file, array.nbytes)
        self._pages = numpy.frombuffer(mmap.mmap(file, array.nbytes), numpy.uint8)
        os.close(file)

    def seconds(self) -> float:
        begin = time.perf_counter()
        ctypes.memmove(self._pages.ctypes.data, self._array.ctypes.data, self._array.nbytes)
        return time.perf_counter() - begin


def _available_bytes() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) * 1024


def gigabyte(rounds: Rounds) -> None:
    """An array of a gigabyte: the driver's memory, the store, a memcpy, a Pool's pipe."""
    size = rounds.size(_GIGABYTE, _GIGABYTE // 10)
    while _available_bytes() < 10 * size:  # the Pool has it four times, the store twice
        size //= 2
    factor = _GIGABYTE / size
    note = "" if factor == 1 else f"{size / 1e6:.0f} MB, times for 1 GB"
    with multiprocessing.Pool(WORKERS) as pool:
        array = numpy.arange(size // 8, dtype=numpy.float64)  # touches its pages
        store, copy = _Store(array), _Copy(array)

        def through_pool() -> float:
            begin = time.perf_counter()
            if pool.apply(_size_of, (array,)) != array.nbytes:
                raise AssertionError("Pool: a wrong result")
            return time.perf_counter() - begin

        for _ in range(2):  # the second one finds the pages
            store.put_and_get()
            copy.seconds()
        store.to_task()
        near = in_turns(2 * rounds.count, {"store": store.put_and_get, "copy": copy.seconds})
        far = in_turns(rounds.few, {"store": store.put_and_get, "task": store.to_task,
                                    "pool": through_pool})
        kiln.shutdown()
    rounds.add("put of 1 GB", [size / 1e9 / put for put, _ in near["store"]],
               [size / 1e9 / seconds for seconds in near["copy"]], "memcpy", note)
    rounds.add("get of 1 GB", [1e6 * get for _, get in near["store"]], note=note)
    pool_ms = scaled(far["pool"], 1e3 * factor)
    rounds.add("put and get of 1 GB",
               [1e3 * (put * factor + get) for put, get in far["store"]], pool_ms,
               "Pool.apply, one way", note)
    rounds.add("1 GB as a task's argument", scaled(far["task"], 1e3 * factor), pool_ms,
               "Pool.apply", note)


def _sum_shared(times: int) -> tuple[float, float]:
    """Sums of the inherited array. Returns: when they began and ended, on the machine's clock."""
    begin = time.perf_counter()
    for _ in range(times):
        _sum_of(_shared)
    return begin, time.perf_counter()


def _touch_shared(_: int) -> None:
    _sum_of(_shared)
    time.sleep(0.05)  # so that each process does it


def shared(rounds: Rounds) -> None:
    """20 sums of one array: by tasks that are given a ref of it, and by processes that have it."""
    global _shared
    size = rounds.size(100_000_000, 10_000_000)
    note = "" if not rounds.quick else f"{size / 1e6:.0f} MB"
    array = numpy.arange(size // 8, dtype=numpy.float64)
    expected = [_sum_of(array)] * _TASKS
    _shared = array
    with multiprocessing.Pool(WORKERS) as pool:
        pool.map(_touch_shared, range(4 * WORKERS), 1)
        start_kiln(8 * size + (256 << 20))
        sum_of = kiln.remote(_sum_of)

        def with_kiln() -> float:
            begin = time.perf_counter()
            ref = kiln.put(array)
            right = kiln.get([sum_of.remote(ref) for _ in range(_TASKS)]) == expected
            seconds = time.perf_counter() - begin
            if not right:
                raise AssertionError("kiln: a wrong result")
            return seconds

        def alone() -> float:
            spans = pool.map(_sum_shared, [_TASKS // WORKERS] * WORKERS, 1)
            return max(end for _, end in spans) - min(begin for begin, _ in spans)

        def with_pool() -> float:
            begin = time.perf_counter()
            right = pool.map(_sum_of, [array] * _TASKS, 1) == expected
            seconds = time.perf_counter() - begin
            if not right:
                raise AssertionError("Pool: a wrong result")
            return seconds

        for _ in range(2):
            with_kiln()
        near = in_turns(2 * rounds.count, {"kiln": with_kiln, "alone": alone})
        far = in_turns(rounds.few, {"kiln": with_kiln, "pool": with_pool})
        kiln.shutdown()
    rounds.add("100 MB to 20 tasks", scaled(near["kiln"], 1e3), scaled(near["alone"], 1e3),
               "the sums alone", note)
    rounds.add("100 MB to 20 tasks, Pool", scaled(far["kiln"], 1e3), scaled(far["pool"], 1e3),
               "Pool.map", note)
