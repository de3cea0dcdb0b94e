"""Five hundred sums with a bar that shows how many are done, and a count of who did them.

`to_iterator` is the loop that programs for Ray have, to feed a bar with results as they come.
"""

import os
from collections import Counter
from collections.abc import Iterator
from multiprocessing.pool import Pool

import kiln as ray
from kiln.examples._report import Report, main
from kiln.util import tqdm

Result = tuple[int, int]


def add_up(count: int) -> Result:
    return sum(range(count)), os.getpid()


def serially(counts: list[int]) -> list[Result]:
    return [add_up(count) for count in tqdm(counts, desc="serial")]


def in_pool(pool: Pool, counts: list[int]) -> list[Result]:
    results = pool.imap_unordered(add_up, counts)
    return list(tqdm(results, total=len(counts), desc="multiprocessing"))


def to_iterator(refs: list[ray.ObjectRef]) -> Iterator[Result]:
    while refs:
        done, refs = ray.wait(refs)
        yield ray.get(done[0])


def in_tasks(counts: list[int]) -> list[Result]:
    task = ray.remote(add_up)
    refs = [task.remote(count) for count in counts]
    return list(tqdm(to_iterator(refs), total=len(refs), desc="kiln"))


def run(report: Report) -> None:
    counts = [report.size(4_000_000, 200_000)] * report.size(500, 40)
    expected = [count * (count - 1) // 2 for count in counts]

    def right(results: list[Result]) -> bool:
        return [total for total, _ in results] == expected

    report.time("serial", serially, counts, correct=right)
    with report.start("Pool()", Pool) as pool:
        report.time("multiprocessing", in_pool, pool, counts, correct=right)
    report.start("kiln.init()", ray.init)
    results = report.time("kiln", in_tasks, counts, correct=right)
    by_process = Counter(pid for _, pid in results)
    report.note("Sums by process: " +
                ", ".join(f"{pid}: {done}" for pid, done in by_process.most_common()))
    report.check("All in processes of kiln", os.getpid() not in by_process)


if __name__ == "__main__":
    main(run)
