"""What the examples share: a report times the variants of one, checks their results and says so."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import multiprocessing.util
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, TypeVar

from kiln.examples._table import example_table, format_seconds

T = TypeVar("T")

# What the summary of several examples compares; the first word of a variant's name.
KINDS = ("serial", "multiprocessing", "kiln")
# A first call that takes so much longer than the fastest one is told of.
NOTABLE_SECONDS = 0.02


@dataclasses.dataclass
class Row:
    """One variant of an example.

    Attributes:
        case: What it computes, where an example does so for several inputs; else empty.
        variant: Its name.
        seconds: The fastest call.
        first_seconds: The first call, which may have had to start workers or to compile.
        correct: Whether all results were right.
    """

    case: str
    variant: str
    seconds: float
    first_seconds: float
    correct: bool

    @property
    def kind(self) -> str:
        """The first word of the variant's name."""
        return re.split(r"\W", self.variant, maxsplit=1)[0]


class Report:
    """The times and checks of one example.

    Attributes:
        small: Whether less work is asked for, as tests do.
    """

    def __init__(self, name: str, title: str, *, small: bool = False) -> None:
        self.name = name
        self.title = title
        self.small = small
        self._rows: list[Row] = []
        self._notes: list[str] = []
        self._starts: list[str] = []
        self._claims_hold = True

    def size(self, full: int, small: int) -> int:
        """Returns `full`, or `small` if less work is asked for."""
        return small if self.small else full

    def start(self, name: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Calls what is done once, before anything is timed: to create a pool, to join a head."""
        begin = time.perf_counter()
        result = function(*args, **kwargs)
        self._starts.append(f"{name} {1000 * (time.perf_counter() - begin):.0f} ms")
        return result

    def time(self, variant: str, function: Callable[..., T], *args: Any, case: str = "",
             correct: Callable[[Any], Any], repeat: int = 1) -> T:
        """Times `function(*args)` and checks its result.

        Args:
            variant: Begins with "serial", "multiprocessing", "kiln", or with another word if it is
                to stay out of the summary.
            function: What is timed, from the call until it returns.
            args: Its arguments.
            case: What is computed, where an example does so for several inputs or in several ways.
            correct: Whether a result is right.
            repeat: How often it is called. The fastest call counts; every result is checked.

        Returns:
            The last result.
        """
        times, right = [], True
        for _ in range(repeat):
            begin = time.perf_counter()
            result = function(*args)
            times.append(time.perf_counter() - begin)
            right = bool(correct(result)) and right
        self._rows.append(Row(case, variant, min(times), times[0], right))
        return result

    def note(self, line: str) -> None:
        """Adds a line below the table."""
        self._notes.append(line)

    def check(self, claim: str, right: bool) -> None:
        """Adds a claim below the table; it has to be true for the example to pass."""
        self.note(f"{claim}: {'yes' if right else 'NO'}")
        self._claims_hold = self._claims_hold and right

    @property
    def correct(self) -> bool:
        """Whether every result and claim was right."""
        return bool(self._rows) and all(row.correct for row in self._rows) and self._claims_hold

    def seconds(self, kind: str) -> float | None:
        """Adds up the fastest variants of a kind over all cases; None if a case has none."""
        total = 0.0
        for case in {row.case for row in self._rows}:
            times = [row.seconds for row in self._rows if (row.case, row.kind) == (case, kind)]
            if not times:
                return None
            total += min(times)
        return total

    def as_dict(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        notes = list(self._notes)
        if self._starts:
            notes.append(f"Started before, not in these times: {', '.join(self._starts)}.")
        slow = [f"{row.variant} {row.case}".rstrip() + f" {format_seconds(row.first_seconds)} s"
                for row in self._rows if row.first_seconds - row.seconds > NOTABLE_SECONDS]
        if slow:
            notes.append(f"The fastest call counts; the first one took longer: {', '.join(slow)}.")
        return {
            "example": self.name,
            "title": self.title,
            "result": "ok" if self.correct else "wrong",
            **{f"{kind}_seconds": self.seconds(kind) for kind in KINDS},
            "rows": [dataclasses.asdict(row) for row in self._rows],
            "notes": notes,
        }


def main(run: Callable[[Report], None]) -> None:
    """Runs an example as the program: options, the report, and 1 as exit code if it is wrong."""
    doc = run.__globals__["__doc__"]
    parser = argparse.ArgumentParser(prog=_name(run), description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="less work: a few seconds at most")
    parser.add_argument("--json", action="store_true",
                        help="print the report as JSON, and all else to stderr")
    options = parser.parse_args()
    report = Report(_name(run), doc.splitlines()[0], small=options.small)
    # Ctrl-C is this process's business: a pool's processes end with it, without tracebacks.
    multiprocessing.util.register_after_fork(report, _ignore_interrupts)
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        try:
            run(report)
        except KeyboardInterrupt:
            print(f"{report.name}: interrupted", file=sys.stderr)
            sys.exit(130)
    _print(report.as_dict(), as_json=options.json)
    sys.exit(0 if report.correct else 1)


def skipped(missing: ModuleNotFoundError) -> SystemExit:
    """Says that an example is skipped for want of a package, and returns what to raise."""
    name = Path(sys.argv[0]).stem
    _print({"example": name, "title": "", "result": "skipped", "rows": [],
            "notes": [f"Skipped: it needs the package {missing.name}."]},
           as_json="--json" in sys.argv)
    return SystemExit(0)


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    print(json.dumps(report) if as_json else example_table(report), flush=True)


def _name(run: Callable[[Report], None]) -> str:
    return Path(run.__code__.co_filename).stem


def _ignore_interrupts(_: Report) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
