"""Pi by throwing darts: tasks report to an actor how far they are, and the program shows it.

Each task draws its points with NumPy and tells a progress actor after every batch. The actor is
asked now and then while the tasks run; what it knows never holds them up.
"""

import math
from multiprocessing.pool import Pool
from typing import Any

import numpy as np

import kiln as ray
from kiln.examples._report import Report, main

TASKS = 8
BATCHES = 10


def count_inside(seed: int, points: int) -> int:
    """Points of the unit square that lie in the quarter circle."""
    x, y = np.random.default_rng(seed).random((2, points))
    return int(np.count_nonzero(x * x + y * y < 1))


def inside_in_batches(seed: int, points: int) -> int:
    return sum(count_inside(seed * BATCHES + batch, points) for batch in range(BATCHES))


class Progress:
    def __init__(self) -> None:
        self._batches: dict[int, int] = {}

    def report(self, task: int, batches: int) -> None:
        self._batches[task] = batches

    def fraction(self) -> float:
        return sum(self._batches.values()) / (TASKS * BATCHES)


@ray.remote
def inside_with_progress(seed: int, points: int, progress: Any) -> int:
    inside = 0
    for batch in range(BATCHES):
        inside += count_inside(seed * BATCHES + batch, points)
        progress.report.remote(seed, batch + 1)
    return inside


def pi_serial(points: int) -> float:
    return 4 * sum(inside_in_batches(seed, points) for seed in range(TASKS)) / (
        TASKS * BATCHES * points)


def pi_in_pool(pool: Pool, points: int) -> float:
    return 4 * sum(pool.starmap(inside_in_batches, [(seed, points) for seed in range(TASKS)])) / (
        TASKS * BATCHES * points)


def pi_with_progress(points: int, seen: list[float]) -> float:
    progress = ray.remote(num_cpus=0)(Progress).remote()
    refs = [inside_with_progress.remote(seed, points, progress) for seed in range(TASKS)]
    waiting = refs
    while waiting:
        _, waiting = ray.wait(waiting, num_returns=1)
        seen.append(ray.get(progress.fraction.remote()))
    return 4 * sum(ray.get(refs)) / (TASKS * BATCHES * points)


def run(report: Report) -> None:
    points = report.size(400_000, 2_000)
    expected = pi_serial(points)

    def close(value: float) -> bool:
        return value == expected and abs(value - math.pi) < 0.1

    report.time("serial", pi_serial, points, correct=close)
    with report.start("Pool", Pool) as pool:
        report.time("multiprocessing.Pool", pi_in_pool, pool, points, correct=close, repeat=2)
    report.start("kiln.init()", ray.init)
    seen: list[float] = []
    report.time("kiln with a progress actor", pi_with_progress, points, seen, correct=close, repeat=2)
    report.note(f"Pi is about {expected:.4f} by {TASKS * BATCHES * points:,} points; progress was seen "
                f"{len(seen)} times, the last at {seen[-1]:.0%}.")


if __name__ == "__main__":
    main(run)
