"""Tables of text: of one example's variants, and of several examples."""

from __future__ import annotations

import math
from typing import Any, Sequence


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Returns rows under a header, columns two spaces apart.

    Args:
        header: The names of the columns.
        rows: Their cells.
        left: How many of the first columns are aligned to the left; the others are to the right.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) if column < left else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)


def format_seconds(value: float | None) -> str:
    """Returns a time with three significant digits, to the microsecond; "-" for none."""
    if value is None:
        return "-"
    decimals = 2 - math.floor(math.log10(max(value, 1e-6)))
    return f"{value:.{min(max(decimals, 0), 6)}f}"


def speedup(serial: float | None, value: float | None) -> str:
    """Returns how many times faster than serial a time is; "-" if either is missing."""
    if not serial or not value:
        return "-"
    ratio = serial / value
    return f"{ratio:.2f} x" if ratio < 100 else f"{ratio:.0f} x"


def example_table(report: dict[str, Any]) -> str:
    """Returns the table of an example's variants, from `Report.as_dict`, with its notes."""
    lines = [": ".join(filter(None, (report["example"], report["title"])))]
    rows = report["rows"]
    if rows:
        cases = list(dict.fromkeys(row["case"] for row in rows))  # each once, in their order
        serial = {row["case"]: row["seconds"] for row in reversed(rows)
                  if row["variant"].startswith("serial")}
        cells = [[case, row["variant"], format_seconds(row["seconds"]),
                  speedup(serial.get(case), row["seconds"]),
                  "ok" if row["correct"] else "WRONG"]
                 for case in cases for row in rows if row["case"] == case]
        header = ["case", "variant", "seconds", "speed-up", "result"]
        if cases == [""]:
            header, cells = header[1:], [line[1:] for line in cells]
        lines += ["", text_table(header, cells, left=len(header) - 3), ""]
    return "\n".join(lines + report["notes"])


def summary_table(reports: Sequence[dict[str, Any]]) -> str:
    """Returns the table of several examples, from their `Report.as_dict`."""
    header = ["example", "result", "serial s", "multiprocessing s", "kiln s", "speed-up"]
    rows = [[report["example"], report["result"],
             *(format_seconds(report.get(f"{kind}_seconds"))
               for kind in ("serial", "multiprocessing", "kiln")),
             speedup(report.get("serial_seconds"), report.get("kiln_seconds"))]
            for report in reports]
    return text_table(header, rows, left=2)
