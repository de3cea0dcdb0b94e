"""A thousand tasks that wait: how many run at once is what counts, not how many cores there are.

A fifth of a CPU is enough for a task that sleeps, so about ten run at a time on two CPUs, in
worker processes that are used again. `Process` starts a new process for each.
"""

import time
from multiprocessing import Pool, Process

import kiln
from kiln.examples._report import Report, main


def nap(number: int) -> int:
    time.sleep(0.01)
    return number


def serially(count: int) -> list[int]:
    return [nap(number) for number in range(count)]


def in_processes(count: int) -> list[int]:
    processes = [Process(target=nap, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [number for number, process in enumerate(processes) if process.exitcode == 0]


def in_tasks(count: int) -> list[int]:
    task = kiln.remote(num_cpus=0.2)(nap)
    return kiln.get([task.remote(number) for number in range(count)])


def run(report: Report) -> None:
    count = report.size(1000, 50)
    everyone = list(range(count)).__eq__
    report.time("serial", serially, count, correct=everyone)
    report.time("multiprocessing Process", in_processes, count, correct=everyone)
    with report.start("Pool(5)", Pool, 5) as pool:
        report.time("multiprocessing Pool(5)", pool.map, nap, range(count), correct=everyone,
                    repeat=2)
    report.start("kiln.init()", kiln.init)
    report.time("kiln", in_tasks, count, correct=everyone, repeat=2)


if __name__ == "__main__":
    main(run)
