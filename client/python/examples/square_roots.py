"""A million square roots: too little work each to be worth a trip to another process.

A pool is slower than the plain loop. `kiln.map` measures the first items, and sends what is worth
sending in chunks that are worth it.
"""

import math
from multiprocessing import Pool

import kiln
from kiln.examples._report import Report, main


def roots(numbers: range) -> list[float]:
    return [math.sqrt(number) for number in numbers]


def run(report: Report) -> None:
    numbers = range(report.size(1_000_000, 100_000))
    right = roots(numbers).__eq__
    report.time("serial", roots, numbers, correct=right, repeat=3)
    with report.start("Pool()", Pool) as pool:
        report.time("multiprocessing", pool.map, math.sqrt, numbers, correct=right, repeat=3)
    report.start("kiln.init()", kiln.init)
    report.time("kiln.map", kiln.map, math.sqrt, numbers, correct=right, repeat=3)


if __name__ == "__main__":
    main(run)
