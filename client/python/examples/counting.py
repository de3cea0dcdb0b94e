"""The same count in four ways: a Python loop, with numba, with numpy, with both.

A better loop gains more than a second core, and the two multiply. A pool inherits what numba has
compiled before; each of kiln's workers compiles once, in the first of two calls.
"""

from multiprocessing.pool import Pool
from typing import Callable

import kiln
from kiln.examples._report import Report, main, skipped

try:
    import numba
    import numpy as np
except ModuleNotFoundError as missing:
    raise skipped(missing)

# Counts the numbers from `begin` to `end` that 3 or 5 divides.
Count = Callable[[int, int], int]


def with_python(begin: int, end: int) -> int:
    count = 0
    for number in range(begin, end):
        if number % 3 == 0 or number % 5 == 0:
            count += 1
    return count


def with_numpy(begin: int, end: int) -> int:
    numbers = np.arange(begin, end)
    return int(np.count_nonzero((numbers % 3 == 0) | (numbers % 5 == 0)))


with_numba: Count = numba.njit(with_python)


@numba.njit  # type: ignore[misc]
def with_both(begin: int, end: int) -> int:
    count = 0
    for number in np.arange(begin, end):
        if number % 3 == 0 or number % 5 == 0:
            count += 1
    return count


def serially(count: Count, ranges: list[tuple[int, int]]) -> int:
    return sum(count(begin, end) for begin, end in ranges)


def in_pool(pool: Pool, count: Count, ranges: list[tuple[int, int]]) -> int:
    return sum(pool.starmap(count, ranges, chunksize=1))


def in_tasks(count: Count, ranges: list[tuple[int, int]]) -> int:
    task = kiln.remote(count)
    return sum(kiln.get([task.remote(begin, end) for begin, end in ranges]))


def run(report: Report) -> None:
    end = report.size(50_000_000, 2_000_000)
    last = end - 1
    expected = 1 + last // 3 + last // 5 - last // 15  # 0 is one of them
    right = expected.__eq__
    edges = [end * i // 8 for i in range(9)]
    ranges = list(zip(edges, edges[1:]))
    ways: dict[str, Count] = {"Python": with_python, "numba": with_numba, "numpy": with_numpy,
                              "both": with_both}

    for case, count in ways.items():
        report.time("serial", serially, count, ranges, case=case, correct=right, repeat=2)
    with report.start("Pool()", Pool) as pool:
        for case, count in ways.items():
            report.time("multiprocessing", in_pool, pool, count, ranges, case=case, correct=right,
                        repeat=2)
    report.start("kiln.init()", kiln.init)
    for case, count in ways.items():
        report.time("kiln", in_tasks, count, ranges, case=case, correct=right, repeat=2)


if __name__ == "__main__":
    main(run)
