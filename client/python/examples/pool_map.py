"""`Pool.map` of x * 10 over 100, 10,000 and 1,000,000 numbers: the same calls, another import.

There is next to no work in it, so this is the time that a pool itself takes.
"""

import multiprocessing
from collections.abc import Iterable
from typing import Callable

import kiln
import kiln.util.multiprocessing
from kiln.examples._report import Report, main


def times_ten(x: int) -> int:
    return x * 10


def plain_map(function: Callable[[int], int], numbers: Iterable[int]) -> list[int]:
    return [function(number) for number in numbers]


def run(report: Report) -> None:
    sizes = (100, 10_000, report.size(1_000_000, 100_000))

    def time_sizes(variant: str, map_: Callable[..., list[int]]) -> None:
        for size in sizes:
            expected = list(range(0, 10 * size, 10))
            report.time(variant, map_, times_ten, range(size), case=f"{size:,} numbers",
                        correct=expected.__eq__, repeat=5)

    time_sizes("serial", plain_map)
    with report.start("multiprocessing.Pool()", multiprocessing.Pool) as pool:
        time_sizes("multiprocessing", pool.map)
    report.start("kiln.init()", kiln.init)
    with report.start("kiln's Pool()", kiln.util.multiprocessing.Pool) as kiln_pool:
        time_sizes("kiln", kiln_pool.map)


if __name__ == "__main__":
    main(run)
