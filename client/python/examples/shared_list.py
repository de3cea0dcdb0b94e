"""A large list that ten tasks index: stored once, where each of them reads it.

A pool pickles the list for every call. The second case prints results as they come, with a `wait`
loop. Memory use is shown before and after: what no ref needs any more is gone from the store.
"""

import os
import time
from multiprocessing.pool import Pool
from pathlib import Path

import kiln as ray
from kiln.examples._report import Report, main

TASKS = 10


def element(values: list[int], index: int) -> int:
    return values[index]


def element_later(values: list[int], index: int, seconds: float) -> int:
    time.sleep(seconds)
    return values[index]


def seconds_of(task: int) -> float:
    return 0.05 * (task * 7 % TASKS)


def in_pool(pool: Pool, values: list[int]) -> list[int]:
    return pool.starmap(element, [(values, index) for index in range(TASKS)], chunksize=1)


def in_tasks(values: list[int]) -> list[int]:
    task, shared = ray.remote(element), ray.put(values)
    return ray.get([task.remote(shared, index) for index in range(TASKS)])


def one_by_one(values: list[int]) -> list[int]:
    return [element_later(values, index, seconds_of(index)) for index in range(TASKS)]


def as_pool_has_them(pool: Pool, values: list[int]) -> list[int]:
    pending = [pool.apply_async(element_later, (values, index, seconds_of(index)))
               for index in range(TASKS)]
    return [result.get() for result in pending]


def as_they_come(values: list[int]) -> list[int]:
    task, shared = ray.remote(num_cpus=0.2)(element_later), ray.put(values)
    refs = [task.remote(shared, index, seconds_of(index)) for index in range(TASKS)]
    results = {}
    left = refs
    while left:
        ready, left = ray.wait(left)
        results[ready[0]] = ray.get(ready[0])
        print(f"  task {refs.index(ready[0])} found {results[ready[0]]}")
    return [results[ref] for ref in refs]


def memory_in_use() -> str:
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    name = "object_store_memory"
    stored = ray.cluster_resources()[name] - ray.available_resources().get(name, 0)
    return f"{resident / 1e6:.0f} MB in this process, {stored / 1e6:.1f} MB in the object store"


def run(report: Report) -> None:
    values = [i * i for i in range(report.size(1_000_000, 100_000))]
    squares = [i * i for i in range(TASKS)].__eq__
    report.time("serial", lambda: [element(values, index) for index in range(TASKS)],
                case="index", correct=squares)
    report.time("serial", one_by_one, values, case="wait", correct=squares)
    with report.start("Pool(10)", Pool, TASKS) as pool:
        report.time("multiprocessing", in_pool, pool, values, case="index", correct=squares,
                    repeat=2)
        report.time("multiprocessing", as_pool_has_them, pool, values, case="wait",
                    correct=squares)
    report.start("kiln.init()", ray.init)
    report.note(f"Memory before: {memory_in_use()}.")
    report.time("kiln", in_tasks, values, case="index", correct=squares, repeat=2)
    report.time("kiln", as_they_come, values, case="wait", correct=squares)
    shared = ray.put(values)
    report.note(f"Memory with the list stored: {memory_in_use()}.")
    del shared
    report.note(f"Memory after: {memory_in_use()}.")


if __name__ == "__main__":
    main(run)
