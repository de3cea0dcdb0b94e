"""What tests of progress bars share: a terminal to read from."""

from __future__ import annotations

import io
import re
import unittest
from unittest import mock

from kiln.util import _bars
from kiln.util._bar_state import BarState


class Terminal(io.StringIO):
    """What a terminal shows of what is written to it."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """The lines that are not empty, from top to bottom."""
        return screen(self.getvalue())


def screen(text: str) -> list[str]:
    rows: list[list[str]] = [[]]
    row = column = 0
    for token in re.findall(r"\x1b\[A|\x1b\[[0-9;?]*[a-zA-Z]|[\s\S]", text):
        if token == "\x1b[A":
            row = max(row - 1, 0)
        elif token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, 0
            if row == len(rows):
                rows.append([])
        elif not token.startswith("\x1b"):
            line = rows[row]
            line.extend(" " * (column + 1 - len(line)))
            line[column] = token
            column += 1
    lines = ["".join(line).rstrip() for line in rows]
    return [line for line in lines if line]


class BarsTest(unittest.TestCase):
    """With a terminal as standard error."""

    def setUp(self) -> None:
        self.terminal = Terminal()
        self.use(self.terminal)
        self.bars = _bars.Bars()
        self.addCleanup(self.bars.close_all)

    def use(self, stderr: io.StringIO) -> None:
        patch = mock.patch("sys.stderr", stderr)
        patch.start()
        self.addCleanup(patch.stop)

    def show(self, number: int, n: float = 1, total: float | None = 10, **fields: object) -> None:
        bar = BarState(key=(1, number), n=n, total=total, desc=f"bar {number}", **fields)
        self.bars.update(bar)

    def shown(self) -> list[str]:
        """What stands before the percentage, and the count."""
        shown = []
        for line in self.terminal.lines():
            found = re.match(r"(bar \d+): +\d+%.* (\d+/\d+)", line)
            shown.append(f"{found[1]} {found[2]}" if found else line)
        return shown
