"""Makes tables of the figures of several runs of `kiln microbenchmark --json`: their medians.

  scripts/bench_table.py [--write docs/benchmarks.md] FIGURES

FIGURES has one JSON object per line: name, transport, value, unit, p50_us, p99_us, n. The text
goes to standard output, and with --write also between the two marker lines of that file.
"""

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

from bench_figures import Figures, number
from bench_targets import targets

BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"


def times(figures, name, transport):
    p50, p99 = (figures.median(name, transport, field) for field in ("p50_us", "p99_us"))
    return "" if p50 is None else f"{number(p50)} / {number(p99)}"


def advantage(figures, name):
    """By how much shared memory is faster; empty where that is no question."""
    shm, grpc = figures.median(name, "shm"), figures.median(name, "grpc")
    unit = figures.unit(name)
    if not shm or not grpc:
        return ""
    if unit.endswith("/s"):
        return f"{number(shm / grpc)} x"
    return f"{number(grpc / shm)} x" if unit in ("s", "ms", "us") else ""


def machine_table(figures):
    yield f"| the machine's own limits | median of {figures.runs} | unit | p50 / p99 us |"
    yield "|---|---:|---|---:|"
    for name in figures.names():
        if (name, None) in figures.rows:
            yield (f"| {name} | {number(figures.median(name))} | {figures.unit(name)} "
                   f"| {times(figures, name, None)} |")


def kiln_table(figures):
    yield ("| kiln | shm | grpc | unit | shm faster | shm p50 / p99 us | grpc p50 / p99 us "
           "| target for shm | |")
    yield "|---|---:|---:|---|---:|---:|---:|---|---|"
    for name in figures.names():
        if (name, None) in figures.rows:
            continue
        target, met = targets(figures, name)
        yield (f"| {name} | {number(figures.median(name, 'shm'))} "
               f"| {number(figures.median(name, 'grpc'))} | {figures.unit(name)} "
               f"| {advantage(figures, name)} | {times(figures, name, 'shm')} "
               f"| {times(figures, name, 'grpc')} | {target} | {met} |")


def first_match(path, key):
    """The value behind `key` and a colon in a file of /proc; None without one."""
    try:
        for line in Path(path).read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    except OSError:
        pass
    return None


def machine():
    cpu = first_match("/proc/cpuinfo", "model name") or platform.machine()
    memory = first_match("/proc/meminfo", "MemTotal")
    gib = f"{int(memory.split()[0]) / (1 << 20):.0f} GiB" if memory else "unknown"
    date = datetime.date.today().isoformat()
    return (f"{date}: {cpu}, {len(os.sched_getaffinity(0))} CPUs, {gib} of memory, "
            f"Linux {platform.release()}.")


def write_between_markers(path, text, begin_marker=BEGIN, end_marker=END):
    document = Path(path).read_text()
    before, begin, rest = document.partition(begin_marker)
    _, end, after = rest.partition(end_marker)
    if not begin or not end:
        sys.exit(f"{path}: the lines {begin_marker} and {end_marker} are not there")
    Path(path).write_text(f"{before}{begin_marker}\n{text}\n{end_marker}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("figures")
    arguments = parser.parse_args()
    figures = Figures(arguments.figures)
    text = "\n".join([machine(), "", *machine_table(figures), "", *kiln_table(figures)])
    print(text)
    if arguments.write:
        write_between_markers(arguments.write, text)


if __name__ == "__main__":
    main()
