"""Makes a table of the figures of several runs of `kiln microbenchmark --json`: their medians.

  scripts/bench_table.py [--write docs/benchmarks.md] FIGURES

FIGURES has one JSON object per line: name, transport, value, unit, p50_us, p99_us, n. The table
goes to standard output, and with --write also between the two marker lines of that file.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
from pathlib import Path

BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"


def read_figures(path):
    """Returns the rows of all runs by (name, transport), in order of appearance."""
    figures = {}
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        try:
            row = json.loads(line)
            figures.setdefault((row["name"], row["transport"]), []).append(row)
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"{path}:{number}: not a figure: {error!r}: {line[:200]}")
    if not figures:
        sys.exit(f"{path}: no figures")
    return figures


def median(rows, field):
    values = [row[field] for row in rows if row.get(field) is not None]
    return statistics.median(values) if values else None


def number(value):
    """Three digits that count, thousands grouped; empty for none."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(figures):
    runs = max(len(rows) for rows in figures.values())
    yield f"| benchmark | transport | median of {runs} | lowest to highest | p50 us | p99 us |"
    yield "|---|---|---:|---:|---:|---:|"
    for (name, transport), rows in figures.items():
        values = [row["value"] for row in rows]
        yield (f"| {name} | {transport or ''} | {number(median(rows, 'value'))} {rows[0]['unit']} "
               f"| {number(min(values))} to {number(max(values))} "
               f"| {number(median(rows, 'p50_us'))} | {number(median(rows, 'p99_us'))} |")


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


def write_between_markers(path, text):
    document = Path(path).read_text()
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{path}: the lines {BEGIN} and {END} are not there")
    Path(path).write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("figures")
    arguments = parser.parse_args()
    text = "\n".join([machine(), "", *table(read_figures(arguments.figures))])
    print(text)
    if arguments.write:
        write_between_markers(arguments.write, text)


if __name__ == "__main__":
    main()
