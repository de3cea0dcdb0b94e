"""Eight numbers added two at a time: seven steps in a chain, three in a tree.

A ref can be an argument before its value exists, so both shapes are plain loops over refs. An
addition takes a second, and asks for a quarter of a CPU: four run at a time even on one core.
"""

import time
from multiprocessing.pool import Pool
from typing import Any

import kiln as ray
from kiln.examples._report import Report, main


def add(x: int, y: int, seconds: float) -> int:
    time.sleep(seconds)
    return x + y


def chain(numbers: list[int], seconds: float) -> int:
    total = numbers[0]
    for number in numbers[1:]:
        total = add(total, number, seconds)
    return total


def tree_in_pool(pool: Pool, numbers: list[int], seconds: float) -> int:
    while len(numbers) > 1:
        pairs = zip(numbers[::2], numbers[1::2])
        numbers = pool.starmap(add, [(x, y, seconds) for x, y in pairs])
    return numbers[0]


def chain_of_tasks(numbers: list[int], seconds: float) -> int:
    task = ray.remote(num_cpus=0.25)(add)
    total: Any = numbers[0]
    for number in numbers[1:]:
        total = task.remote(total, number, seconds)
    return ray.get(total)


def tree_of_tasks(numbers: list[int], seconds: float) -> int:
    task = ray.remote(num_cpus=0.25)(add)
    values: list[Any] = numbers
    while len(values) > 1:
        values = values[2:] + [task.remote(values[0], values[1], seconds)]
    return ray.get(values[0])


def run(report: Report) -> None:
    numbers, seconds = [1, 2, 3, 4, 5, 6, 7, 8], report.size(1000, 50) / 1000
    is_36 = (36).__eq__
    report.time("serial chain", chain, numbers, seconds, correct=is_36)
    with report.start("Pool(4)", Pool, 4) as pool:
        report.time("multiprocessing tree", tree_in_pool, pool, numbers, seconds, correct=is_36,
                    repeat=2)
    report.start("kiln.init()", ray.init)
    report.time("kiln chain", chain_of_tasks, numbers, seconds, correct=is_36)
    report.time("kiln tree", tree_of_tasks, numbers, seconds, correct=is_36, repeat=2)
    report.note(f"A step takes {seconds:g} s.")


if __name__ == "__main__":
    main(run)
