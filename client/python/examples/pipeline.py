"""Producers and consumers with a bounded queue between them: nobody runs far ahead.

Two producers draw arrays, two consumers reduce them; the queue holds eight, so a fast producer waits
for room instead of filling the memory. Items travel through the object store.
"""

import multiprocessing
from typing import Any

import numpy as np

import kiln as ray
from kiln.examples._report import Report, main
from kiln.util.queue import Queue

PRODUCERS = 2
CONSUMERS = 2
BOUND = 8


def make_item(seed: int, size: int) -> Any:
    return np.random.default_rng(seed).random(size)


def reduce_item(item: Any) -> float:
    return float(np.sqrt(item).sum())


def put_items(queue: Any, first: int, count: int, size: int) -> None:
    for seed in range(first, first + count):
        queue.put(make_item(seed, size))


def take_items(queue: Any) -> float:
    total = 0.0
    while (item := queue.get()) is not None:
        total += reduce_item(item)
    return total


def run_serial(items: int, size: int) -> float:
    return sum(reduce_item(make_item(seed, size)) for seed in range(items))


def _take_and_tell(queue: Any, totals: Any) -> None:
    totals.put(take_items(queue))


def run_multiprocessing(items: int, size: int) -> float:
    queue: Any = multiprocessing.Queue(BOUND)
    totals: Any = multiprocessing.Queue()
    share = items // PRODUCERS
    producers = [multiprocessing.Process(target=put_items, args=(queue, i * share, share, size))
                 for i in range(PRODUCERS)]
    consumers = [multiprocessing.Process(target=_take_and_tell, args=(queue, totals))
                 for _ in range(CONSUMERS)]
    for process in producers + consumers:
        process.start()
    for process in producers:
        process.join()
    for _ in consumers:
        queue.put(None)
    total = sum(totals.get() for _ in consumers)
    for process in consumers:
        process.join()
    return float(total)


def run_kiln(items: int, size: int) -> float:
    queue = Queue(BOUND, actor_options={"num_cpus": 0})
    share = items // PRODUCERS
    produce = ray.remote(num_cpus=0.5)(put_items)
    consume = ray.remote(num_cpus=0.5)(take_items)
    producers = [produce.remote(queue, i * share, share, size) for i in range(PRODUCERS)]
    consumers = [consume.remote(queue) for _ in range(CONSUMERS)]
    ray.get(producers)
    for _ in consumers:
        queue.put(None)
    return float(sum(ray.get(consumers)))


def run(report: Report) -> None:
    items, size = report.size(100, 8), report.size(200_000, 1_000)
    expected = run_serial(items, size)

    def close(total: float) -> bool:
        return bool(np.isclose(total, expected))

    report.time("serial", run_serial, items, size, correct=close)
    report.time("multiprocessing.Queue", run_multiprocessing, items, size, correct=close)
    report.start("kiln.init()", ray.init)
    report.time("kiln.util.queue.Queue", run_kiln, items, size, correct=close, repeat=2)
    report.note(f"{items} arrays of {size * 8 / 1e6:g} MB; at most {BOUND} wait in the queue.")


if __name__ == "__main__":
    main(run)
