"""Draws the figures of `kiln microbenchmark --json` as small SVG files.

  scripts/bench_plots.py FIGURES DIRECTORY [--growth FILE]

FIGURES: as for bench_table.py. FILE: what build/bin/core_growth prints. Plots whose figures are not
there are left as they are. The same figures make the same bytes.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402, after the choice of a backend

from bench_figures import Figures, number  # noqa: E402

# Okabe and Ito's colours, told apart with any kind of colour blindness.
SHM, GRPC, LIMIT, FOURTH = "#0072B2", "#D55E00", "#8C8C8C", "#009E73"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")

plt.rcParams.update({
    "svg.hashsalt": "kiln", "svg.fonttype": "none",  # text stays text, ids stay the same
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10,
    "axes.titlelocation": "left", "axes.axisbelow": True, "axes.grid": True,
    "grid.color": "#E0E0E0", "grid.linewidth": 0.6, "axes.edgecolor": "#606060",
    "legend.frameon": False, "figure.facecolor": "white",
})


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    print(path)


def plot_round_trip(figures, path):
    """Median and p99 of one call, by what carries it."""
    rows = [
        ("rings alone, 3 processes", "ring hand-over", None, LIMIT),
        ("rings, thinking 20 us", "ring hand-over, think 20 us", None, LIMIT),
        ("pipe, 2 processes", "pipe round trip", None, LIMIT),
        ("gRPC unary, 2 processes", "grpc unary round trip", None, LIMIT),
        ("task over shm", "single client tasks sync", "shm", SHM),
        ("task over shm, thinking 20 us", "single client tasks sync, think 20 us", "shm", SHM),
        ("task over gRPC", "single client tasks sync", "grpc", GRPC),
        ("task over gRPC, thinking 20 us", "single client tasks sync, think 20 us", "grpc", GRPC),
    ]
    rows = [(label, figures.median(name, transport, "p50_us"),
             figures.median(name, transport, "p99_us"), colour)
            for label, name, transport, colour in rows]
    rows = [row for row in rows if row[1] is not None]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(6.6, 0.34 * len(rows) + 1.1))
    for y, (_, p50, p99, colour) in enumerate(rows):
        axes.plot([p50, p99], [y, y], color=colour, linewidth=1.4, zorder=2)
        axes.plot(p50, y, "o", color=colour, markersize=7, zorder=3)
        axes.plot(p99, y, "|", color=colour, markersize=9, markeredgewidth=1.6, zorder=3)
        axes.annotate(number(p50), (p50, y), textcoords="offset points", xytext=(0, 6),
                      ha="center", fontsize=8)
        axes.annotate(number(p99), (p99, y), textcoords="offset points", xytext=(5, -3), fontsize=8,
                      color="#606060")
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(right=axes.get_xlim()[1] * 1.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("microseconds, dot: median, bar: p99")
    axes.set_title("One round trip")
    save(figure, path)


def plot_efficiency(figures, path):
    """Share of the cores that tasks of a given length make use of."""
    figure, axes = plt.subplots(figsize=(6.6, 3.4))
    drawn = False
    for pattern, style in (("independent", "-"), ("stencil", "--")):
        for transport, colour, name in (("shm", SHM, "shm"), ("grpc", GRPC, "gRPC")):
            points = figures.curve(f"efficiency, {pattern}", transport)
            if not points:
                continue
            drawn = True
            axes.plot([x for x, _ in points], [y for _, y in points], style, color=colour,
                      marker="o" if style == "-" else "s", markersize=4, linewidth=1.5,
                      markerfacecolor=colour if style == "-" else "white",
                      label=f"{name}, {pattern}")
    if not drawn:
        plt.close(figure)
        return
    for share in (50, 90):
        axes.axhline(share, color="#606060", linewidth=0.9, linestyle=":", zorder=1)
        axes.annotate(f"METG({share} %)", (0, share), xycoords=("axes fraction", "data"),
                      textcoords="offset points", xytext=(4, 3), fontsize=8, color="#606060")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value:g} us" if value < 1000 else f"{value / 1000:g} ms")
    axes.set_ylim(0, 105)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.set_xlabel("length of a task")
    axes.set_title("Efficiency of all workers, 8 tasks wide")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    save(figure, path)


def plot_put(figures, path):
    """Putting a gigabyte beside copying it."""
    groups = [
        ("warm,\n4k pages", "put 1 GB, warm store, 4k pages", "memcpy warm shared pages"),
        ("warm,\nhuge pages", "put 1 GB, warm store, huge pages",
         "memcpy warm shared pages, huge pages"),
        ("cold,\n4k pages", "put 1 GB, cold store, 4k pages", "memcpy cold shared pages, 4k pages"),
        ("cold,\nhuge pages", "put 1 GB, cold store, huge pages",
         "memcpy cold shared pages, huge pages"),
    ]
    if figures.median(groups[0][1], "shm") is None and figures.median(groups[0][1], "grpc") is None:
        groups[0] = ("warm,\nas the head chose", "single client put gigabytes", groups[0][2])
    bars = (("memcpy, no store", LIMIT, None), ("put over shm", SHM, "shm"),
            ("put over gRPC", GRPC, "grpc"))
    figure, axes = plt.subplots(figsize=(6.6, 3.2))
    width = 0.27
    drawn = False
    for i, (label, colour, transport) in enumerate(bars):
        for x, (_, put, copy) in enumerate(groups):
            value = figures.median(copy if transport is None else put, transport)
            if value is None:
                continue
            drawn = True
            at = x + (i - 1) * width
            axes.bar(at, value, width * 0.94, color=colour)
            axes.annotate(number(value), (at, value), textcoords="offset points", xytext=(0, 2),
                          ha="center", fontsize=7.5)
        axes.bar(0, 0, color=colour, label=label)
    if not drawn:
        plt.close(figure)
        return
    axes.set_xticks(range(len(groups)), [label for label, *_ in groups])
    axes.grid(axis="x", visible=False)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylabel("GB/s")
    axes.set_ylim(top=axes.get_ylim()[1] * 1.05)
    axes.set_title("Putting 1 GB of touched memory")
    axes.legend(loc="upper right", fontsize=8)
    save(figure, path)


def plot_growth(rows, path):
    """Time per task in the core, as the queue and the workers grow."""
    figure, axes = plt.subplots(figsize=(6.6, 3.4))
    workers = sorted({row["workers"] for row in rows})
    if len(workers) > len(SERIES):  # the ends and some between
        step = (len(workers) - 1) / (len(SERIES) - 1)
        workers = [workers[round(i * step)] for i in range(len(SERIES))]
    for count, colour, marker in zip(workers, SERIES, "osD^vP"):
        points = sorted((row["queued"], row["ns_per_task"]) for row in rows
                        if row["workers"] == count)
        axes.plot([x for x, _ in points], [y for _, y in points], color=colour, marker=marker,
                  markersize=4, linewidth=1.5, label=f"{count:,} worker{'s' * (count > 1)}")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tasks in the queue")
    axes.set_ylabel("ns per task")
    axes.set_title("One task's way through the core, workers simulated")
    axes.legend(fontsize=8, ncol=2)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--growth", metavar="FILE")
    arguments = parser.parse_args()
    figures = Figures(arguments.figures)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    plot_round_trip(figures, arguments.directory / "round_trip.svg")
    plot_efficiency(figures, arguments.directory / "efficiency.svg")
    plot_put(figures, arguments.directory / "put.svg")
    if arguments.growth:
        lines = Path(arguments.growth).read_text().splitlines()
        rows = [row for row in map(json.loads, filter(None, lines)) if row["name"] == "core growth"]
        if rows:
            plot_growth(rows, arguments.directory / "growth.svg")


if __name__ == "__main__":
    main()
