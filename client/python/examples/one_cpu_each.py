"""A hundred tasks of a second that ask for a whole CPU each: never more at a time than CPUs.

Each task returns when it began and when it ended; the example counts how many overlap.
"""

import time
from multiprocessing import Pool

import kiln
from kiln.examples._report import Report, main

Interval = tuple[float, float]


def work(seconds: float) -> Interval:
    begin = time.monotonic()
    time.sleep(seconds)
    return begin, time.monotonic()


def most_at_once(intervals: list[Interval]) -> int:
    changes = sorted([(begin, 1) for begin, _ in intervals] + [(end, -1) for _, end in intervals])
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


def in_tasks(count: int, seconds: float) -> list[Interval]:
    task = kiln.remote(num_cpus=1)(work)
    return kiln.get([task.remote(seconds) for _ in range(count)])


def run(report: Report) -> None:
    count, seconds = report.size(100, 8), report.size(1000, 50) / 1000

    def right(intervals: list[Interval]) -> bool:
        return len(intervals) == count and all(end - begin >= seconds for begin, end in intervals)

    report.time("serial", lambda: [work(seconds) for _ in range(count)], correct=right)
    with report.start("Pool()", Pool) as pool:
        report.time("multiprocessing", pool.map, work, [seconds] * count, 1, correct=right)
    report.start("kiln.init()", kiln.init)
    cpus = int(kiln.cluster_resources()["CPU"])
    intervals = report.time("kiln", in_tasks, count, seconds, correct=right)
    most = most_at_once(intervals)
    report.check(f"At most {cpus} tasks at a time on {cpus} CPUs, and it was {most}", most <= cpus)


if __name__ == "__main__":
    main(run)
