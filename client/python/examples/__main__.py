"""Runs examples, each in a process of its own, and closes with a table: see `--help`."""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from kiln.examples._table import example_table, summary_table, text_table

NAMES = ("sleep", "square_roots", "matrix_products", "one_cpu_each", "big_product", "tree_sum",
         "shared_list", "pool_map", "progress_bar", "counting", "downloads", "similarity",
         "centrality", "pi", "parameter_server", "key_value_store", "crawler", "pipeline",
         "languages")
INTERRUPT_GRACE_SECONDS = 2.0


def title(name: str) -> str:
    """Returns the first line of an example's docstring, without importing it."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]


def example_name(text: str) -> str:
    """Returns `text` if it names an example; suggests the nearest name if not."""
    if text in NAMES:
        return text
    nearest = difflib.get_close_matches(text, NAMES, n=1, cutoff=0.4)
    advice = f"did you mean {nearest[0]}?" if nearest else "--list shows them all"
    raise argparse.ArgumentTypeError(f"no example is called {text}; {advice}")


def run(name: str, *, small: bool) -> dict[str, Any]:
    """Runs an example and returns its report; on Ctrl-C, ends it and returns "interrupted"."""
    command = [sys.executable, "-m", f"kiln.examples.{name}", "--json"]
    process = subprocess.Popen(command + ["--small"] * small, stdout=subprocess.PIPE, text=True)
    try:
        output, _ = process.communicate()
        report: dict[str, Any] = json.loads(output)
        if process.returncode == (report["result"] == "wrong"):
            return report
        result = "failed"  # after all was done, so it could not end
    except KeyboardInterrupt:
        end(process)
        result = "interrupted"
    except ValueError:
        result = "interrupted" if process.returncode == 130 else "failed"
    return {"example": name, "title": title(name), "result": result, "rows": [],
            "notes": [f"{result.capitalize()}: exit code {process.returncode}."]}


def end(process: subprocess.Popen[str]) -> None:
    """Ends an example. A terminal sent it Ctrl-C as well; whoever else did not gets it here."""
    for number in (None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            process.send_signal(number)
        try:
            process.communicate(timeout=INTERRUPT_GRACE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Returns the exit code: 0 if all passed or were skipped, 130 after Ctrl-C, else 1."""
    parser = argparse.ArgumentParser(
        prog="python3 -m kiln.examples",
        description="Runs examples: serial, multiprocessing and kiln, side by side.")
    parser.add_argument("names", metavar="NAME", nargs="*", type=example_name,
                        help="which to run; all of them unless given")
    parser.add_argument("--small", action="store_true", help="less work: seconds each, at most")
    parser.add_argument("--json", action="store_true", help="print a JSON array of reports instead")
    parser.add_argument("--list", action="store_true", help="list the examples")
    options = parser.parse_args()
    names = options.names or list(NAMES)
    if options.list:
        print(text_table(["example", "what it shows"], [[name, title(name)] for name in names],
                         left=2))
        return 0

    signal.signal(signal.SIGTERM, interrupt)
    reports = []
    for name in names:
        reports.append(run(name, small=options.small))
        if not options.json:
            print(example_table(reports[-1]), end="\n\n", flush=True)
        if reports[-1]["result"] == "interrupted":
            break
    print(json.dumps(reports, indent=2) if options.json else summary_table(reports))
    results = {report["result"] for report in reports}
    return 130 if "interrupted" in results else int(bool(results - {"ok", "skipped"}))


if __name__ == "__main__":
    sys.exit(main())
