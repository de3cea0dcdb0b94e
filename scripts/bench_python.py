"""Measures the Python package beside multiprocessing and joblib; run by scripts/bench.sh --python.

By hand: PYTHONPATH=build/python /usr/bin/python3 scripts/bench_python.py --only 'round trip'
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_table
from bench_python_rows import HEADER, ROWS, Result, Row

BEGIN = "<!-- bench python: begin -->"
END = "<!-- bench python: end -->"
PART_TIMEOUT_S = 1800


def environment(directory: str) -> dict[str, str]:
    """Of all parts: no head is found that runs already, and modules are compiled once."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("KILN_") and name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "TMPDIR": directory, "XDG_RUNTIME_DIR": directory,
            "PYTHONPYCACHEPREFIX": str(Path(directory, "pycache"))}


def end(process: subprocess.Popen[str]) -> None:
    """Ends a part and its children; it may stop the head first that it has started."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run_part(part: str, rows: list[Row], arguments: argparse.Namespace) -> Iterator[Result]:
    """Measures in a process of its own, so that no part meets what another has left.

    Raises:
        RuntimeError: The part failed.
    """
    request = json.dumps({"part": part, "rounds": arguments.rounds, "quick": arguments.quick,
                          "rows": [row.name for row in rows]})
    directory = tempfile.mkdtemp(prefix="kiln-bench.", dir="/tmp")  # sockets want short paths
    try:
        with subprocess.Popen([sys.executable, __file__, "--part", request], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=environment(directory), start_new_session=True) as process:
            try:
                output, _ = process.communicate(timeout=PART_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                end(process)
                raise RuntimeError(f"not done within {PART_TIMEOUT_S} s") from None
            except KeyboardInterrupt:
                end(process)
                raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if process.returncode != 0:
        raise RuntimeError(f"exit code {process.returncode}")
    by_name = {row.name: row for row in rows}
    for line in output.splitlines():
        figure = json.loads(line)
        yield Result(by_name[figure.pop("name")], **figure)


def measure_part(request: str) -> None:
    """The process of a part: prints its figures."""
    from bench_python_rounds import Rounds

    options: dict[str, Any] = json.loads(request)
    module, _, function = options["part"].partition(":")
    rounds = Rounds(options["rounds"], options["quick"], set(options["rows"]))
    getattr(importlib.import_module(module), function)(rounds)


def measure(rows: list[Row], arguments: argparse.Namespace) -> tuple[list[Result], list[str]]:
    """Returns: the figures of the rows in their order, and which parts failed."""
    results: dict[str, Result] = {}
    failed = []
    for part in dict.fromkeys(row.part for row in rows):
        print(f"{part} ... ", end="", file=sys.stderr, flush=True)
        begin = time.monotonic()
        try:
            for result in run_part(part, [row for row in rows if row.part == part], arguments):
                results[result.row.name] = result
            print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)
        except RuntimeError as error:
            print(f"failed: {error}", file=sys.stderr)
            failed.append(part)
    return [results[row.name] for row in rows if row.name in results], failed


def versions() -> str:
    import joblib
    import kiln
    import numpy

    python = ".".join(map(str, sys.version_info[:3]))
    return (f"kiln {kiln.__version__}, Python {python}, NumPy {numpy.__version__}, "
            f"joblib {joblib.__version__}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.sh --python", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N",
                        help="rounds of each figure, 5 by default; at most 3 of what takes long")
    parser.add_argument("--only", default="", metavar="PATTERN",
                        help="only the rows whose name matches this regular expression")
    parser.add_argument("--quick", action="store_true",
                        help="less work in a round, to try the script: no figures to keep")
    parser.add_argument("--json", metavar="FILE", help="keep all samples there")
    parser.add_argument("--write", metavar="FILE", nargs="?", const="docs/benchmarks.md",
                        help="put the table into docs/benchmarks.md, in place of the last one")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds takes a number from 1 on")
    if arguments.write and (arguments.only or arguments.quick):
        parser.error("--write is for all rows, measured in full: not with --only or --quick")
    return arguments


def main() -> int:
    arguments = parse()
    if arguments.part:
        measure_part(arguments.part)
        return 0
    rows = [row for row in ROWS if re.search(arguments.only, row.name, re.IGNORECASE)]
    if not rows:
        sys.exit(f"--only {arguments.only}: no such row; there are "
                 f"{', '.join(row.name for row in ROWS)}")
    load = os.getloadavg()[0]
    results, failed = measure(rows, arguments)
    machine = f"{bench_table.machine()} {versions()}. Load before: {load:.1f}."
    how = (f"Median [least to most] of {arguments.rounds} rounds, of 2 or 4 times as many where "
           f"one is short, of 3 at most where it takes seconds.")
    text = "\n".join([machine, "", how, "", HEADER, *(result.line() for result in results)])
    print(text)
    if arguments.json:
        document = {"machine": machine, "rounds": arguments.rounds, "quick": arguments.quick,
                    "rows": [result.as_dict() for result in results]}
        Path(arguments.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    if arguments.write:
        bench_table.write_between_markers(arguments.write, text, BEGIN, END)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
