"""What tasks cost that do nothing, and what two workers gain with tasks that compute."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import kiln
from bench_python_rounds import WORKERS, Rounds, in_turns, scaled, seconds_of, start_kiln


def no_op() -> None:
    pass


def latencies(call: Callable[[], Any], count: int) -> tuple[float, float, float]:
    """Returns: p50 and p99 in us, and calls per second, of calls one after the other."""
    for _ in range(100):  # both sides wake up
        call()
    times_ns = []
    clock = time.perf_counter_ns
    begin = clock()
    for _ in range(count):
        start = clock()
        call()
        times_ns.append(clock() - start)
    rate = count / ((clock() - begin) / 1e9)
    times_ns.sort()
    return statistics.median(times_ns) / 1e3, times_ns[count * 99 // 100] / 1e3, rate


def round_trips(rounds: Rounds) -> None:
    """Calls that are waited for, one after the other."""
    count = rounds.size(5_000, 500)
    with multiprocessing.Pool(WORKERS) as pool:
        start_kiln()
        task = kiln.remote(no_op)
        results = in_turns(rounds.count, {
            "kiln": lambda: latencies(lambda: kiln.get(task.remote()), count),
            "pool": lambda: latencies(lambda: pool.apply(no_op), count)})
        kiln.shutdown()
    for which, name in enumerate(("task round trip, p50", "task round trip, p99",
                                  "task round trips")):
        kiln_, pool_ = ([three[which] for three in results[who]] for who in ("kiln", "pool"))
        rounds.add(name, kiln_, pool_, "Pool.apply")


def no_ops(rounds: Rounds) -> None:
    """Calls that are all made before the first result is asked for."""
    count = 10_000
    with multiprocessing.Pool(WORKERS) as pool:
        start_kiln()
        task = kiln.remote(no_op)

        def with_kiln() -> list[Any]:
            refs = [task.remote() for _ in range(count)]
            return kiln.get(refs)

        def with_pool() -> list[Any]:
            results = [pool.apply_async(no_op) for _ in range(count)]
            return [result.get() for result in results]

        contenders = {"kiln": with_kiln, "pool": with_pool}
        for contender in contenders.values():
            contender()
        times = in_turns(rounds.count, {
            name: partial(seconds_of, call, 0.5, 5) for name, call in contenders.items()})
        kiln.shutdown()
    rates = {name: [count / seconds for seconds in samples] for name, samples in times.items()}
    rounds.add("10,000 no-op tasks", rates["kiln"], rates["pool"], "Pool.apply_async")


def compute(_: int) -> int:
    return sum(range(4_000_000))


def computing(rounds: Rounds) -> None:
    """500 calls of 50 ms or so: what is left of two cores."""
    full = 500
    count = rounds.size(full, 20)
    with multiprocessing.Pool(WORKERS) as pool:
        start_kiln()
        task = kiln.remote(compute)
        contenders: dict[str, Callable[[], Any]] = {
            "serial": lambda: [compute(i) for i in range(count)],
            "kiln": lambda: kiln.get([task.remote(i) for i in range(count)]),
            "pool": lambda: pool.map(compute, range(count), 1)}
        times = in_turns(rounds.few, {
            name: partial(seconds_of, call) for name, call in contenders.items()})
        kiln.shutdown()
    note = "" if count == full else f"{count} calls, times for {full}"
    times = {name: scaled(samples, full / count) for name, samples in times.items()}
    rounds.add("500 x sum(range(4,000,000))", times["kiln"], times["serial"], "serial", note)
    rounds.add("500 x sum(range(4,000,000)), Pool", times["kiln"], times["pool"], "Pool.map", note)
