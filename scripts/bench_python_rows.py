"""What is measured of the Python package, and what it is to reach on 2 cores."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

from bench_figures import number


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What is measured.
        part: "module:function" that measures it.
        unit: Of kiln's and the peer's figures. A unit per second or in GB/s is better when higher.
        at_most, at_least: Absolute targets for kiln's median.
        faster: By what factor kiln must be faster than its peer.
        target: What the table says instead of `faster`, where that would be hard to read.
        compared: Kiln and the peer do the same; else the peer's figure is there for information.
    """

    name: str
    part: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    faster: float | None = None
    target: str = ""
    compared: bool = True

    @property
    def more_is_better(self) -> bool:
        return self.unit.endswith("/s")


_POOL = "not slower than Pool at its best chunk size"
_JOBLIB = "not slower than joblib at its best with processes"


def _map_rows(size: int) -> list[Row]:
    return [Row(f"Pool.map of {size:,}", "bench_python_maps:ranges", "ms", faster=1, target=_POOL),
            Row(f"Pool.map of {size:,}, joblib", "bench_python_maps:ranges", "ms", faster=1,
                target=_JOBLIB),
            Row(f"Pool.map of {size:,}, threads", "bench_python_maps:ranges", "ms")]


# In the order of the table.
ROWS = [
    Row("import kiln", "bench_python_start:imports", "ms", at_most=60, compared=False),
    Row("init, a head runs", "bench_python_start:sessions", "ms", at_most=20),
    Row("init that starts a head", "bench_python_start:sessions", "ms", at_most=150),
    Row("first task from init, a head runs", "bench_python_start:sessions", "ms", at_most=250),
    Row("first task from init that starts a head", "bench_python_start:sessions", "ms",
        at_most=250),
    Row("task round trip, p50", "bench_python_tasks:round_trips", "us", at_most=25),
    Row("task round trip, p99", "bench_python_tasks:round_trips", "us"),
    Row("task round trips", "bench_python_tasks:round_trips", "calls/s", faster=5),
    Row("10,000 no-op tasks", "bench_python_tasks:no_ops", "tasks/s", at_least=120_000, faster=3),
    Row("actor call round trip, p50", "bench_python_actors:round_trips", "us", at_most=25),
    Row("actor call round trip, p99", "bench_python_actors:round_trips", "us"),
    Row("actor call round trip beside a Manager, p50", "bench_python_actors:round_trips", "us"),
    Row("10,000 actor calls", "bench_python_actors:calls", "calls/s", at_least=120_000, faster=1),
    Row("10,000 actor calls beside a Manager", "bench_python_actors:calls", "calls/s"),
    Row("1,000 async calls that sleep 10 ms", "bench_python_actors:sleepers", "ms", at_most=30),
    Row("actor made and its first answer", "bench_python_actors:births", "ms", at_most=15),
    Row("1,000 actors made, called, killed", "bench_python_actors:thousand", "s", at_most=10),
    Row("idle actor, PSS", "bench_python_actors:idle_actors", "MB", compared=False),
    *_map_rows(100),
    *_map_rows(10_000),
    *_map_rows(1_000_000),
    Row("Pool.map of a list of 1,000,000", "bench_python_maps:lists", "ms"),
    Row("kiln.map of an array of 1,000,000", "bench_python_maps:arrays", "ms", faster=5),
    Row("put of 1 GB", "bench_python_arrays:gigabyte", "GB/s", faster=0.85,
        target="≥ 85 % of memcpy"),
    Row("get of 1 GB", "bench_python_arrays:gigabyte", "us", at_most=50),
    Row("put and get of 1 GB", "bench_python_arrays:gigabyte", "ms", faster=30),
    Row("1 GB as a task's argument", "bench_python_arrays:gigabyte", "ms"),
    Row("100 MB to 20 tasks", "bench_python_arrays:shared", "ms", faster=1 / 1.3,
        target="≤ 1.3 x the time of the sums alone"),
    Row("100 MB to 20 tasks, Pool", "bench_python_arrays:shared", "ms"),
    Row("idle worker, PSS", "bench_python_memory:idle_workers", "MB", at_most=8, compared=False),
    Row("idle worker, private", "bench_python_memory:idle_workers", "MB", compared=False),
    Row("500 x sum(range(4,000,000))", "bench_python_tasks:computing", "s", faster=1.9),
    Row("500 x sum(range(4,000,000)), Pool", "bench_python_tasks:computing", "s"),
]


@dataclasses.dataclass
class Result:
    """The samples of one row.

    Attributes:
        row: Which.
        kiln: One sample for each round.
        peer: The same of the peer, taken in turns; empty: there is none.
        peer_name: What the peer is.
        note: What differed from what the row's name says.
    """

    row: Row
    kiln: list[float]
    peer: list[float]
    peer_name: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster kiln was: the median of the rounds' own ratios."""
        if not self.peer or not self.row.compared:
            return None
        ratios = [mine / other if self.row.more_is_better else other / mine
                  for mine, other in zip(self.kiln, self.peer)]
        return statistics.median(ratios)

    def checks(self) -> list[tuple[str, bool]]:
        """Each target, and whether it was met."""
        row, value, ratio = self.row, statistics.median(self.kiln), self.ratio
        found = []
        if row.at_most is not None:
            found.append((f"≤ {number(row.at_most)} {row.unit}", value <= row.at_most))
        if row.at_least is not None:
            found.append((f"≥ {number(row.at_least)} {row.unit}", value >= row.at_least))
        if row.faster is not None:
            text = row.target or f"≥ {row.faster:g} x {self.peer_name}"
            found.append((text, ratio is not None and ratio >= row.faster))
        return found

    def line(self) -> str:
        """The line of the table."""
        checks = self.checks()
        peer = f"{_spread(self.peer, self.row.unit)} ({self.peer_name})" if self.peer else ""
        ratio = "" if self.ratio is None else f"{number(self.ratio)} x"
        name = f"{self.row.name} ({self.note})" if self.note else self.row.name
        return (f"| {name} | {', '.join(text for text, _ in checks)} "
                f"| {_spread(self.kiln, self.row.unit)} | {peer} | {ratio} "
                f"| {', '.join('met' if met else '**missed**' for _, met in checks)} |")

    def as_dict(self) -> dict[str, Any]:
        """What --json keeps."""
        checks = self.checks()
        return {
            "name": self.row.name, "note": self.note, "unit": self.row.unit,
            "targets": [text for text, _ in checks], "met": [met for _, met in checks],
            "kiln": _summary(self.kiln), "peer_name": self.peer_name,
            "peer": _summary(self.peer) if self.peer else None, "ratio": self.ratio,
        }


HEADER = "| what | target | kiln | peer | ratio | met |\n|---|---|---|---|---:|---|"


def _spread(samples: list[float], unit: str) -> str:
    text = f"{number(statistics.median(samples))} {unit}"
    if len(samples) > 1:
        text += f" [{number(min(samples))} to {number(max(samples))}]"
    return text


def _summary(samples: list[float]) -> dict[str, Any]:
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples),
            "samples": samples}
