"""Figures of several runs of `kiln microbenchmark --json`, summed up."""

import json
import statistics
import sys
from pathlib import Path


class Figures:
    """Rows by (name, transport), in order of appearance; points of curves apart."""

    def __init__(self, path):
        self.rows = {}
        self._curves = {}
        for number, line in enumerate(Path(path).read_text().splitlines(), 1):
            try:
                row = json.loads(line)
                key = (row["name"], row["transport"])
                if "task_us" in row:
                    points = self._curves.setdefault(key, {})
                    points.setdefault(row["task_us"], []).append(row["value"])
                else:
                    self.rows.setdefault(key, []).append(row)
            except (ValueError, KeyError, TypeError) as error:
                sys.exit(f"{path}:{number}: not a figure: {error!r}: {line[:200]}")
        if not self.rows:
            sys.exit(f"{path}: no figures")
        self.runs = max(len(rows) for rows in self.rows.values())

    def names(self):
        return list(dict.fromkeys(name for name, _ in self.rows))

    def median(self, name, transport=None, field="value"):
        """The median over all runs; None if it was not measured."""
        values = [row[field] for row in self.rows.get((name, transport), [])
                  if row.get(field) is not None]
        return statistics.median(values) if values else None

    def unit(self, name):
        return next(rows[0]["unit"] for (other, _), rows in self.rows.items() if other == name)

    def curve(self, name, transport):
        """Medians by length of the tasks, shortest first."""
        points = self._curves.get((name, transport), {})
        return [(task_us, statistics.median(points[task_us])) for task_us in sorted(points)]


def number(value):
    """Three digits that count, thousands grouped; empty for none."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
