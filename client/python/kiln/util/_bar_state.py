"""BarState: what one progress bar shows."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

# Options of tqdm that decide how a bar looks, and travel from tasks to the driver with it.
LOOKS = frozenset({"unit_scale", "unit_divisor", "bar_format", "colour", "ncols", "ascii"})

# Characters of the texts of a bar: its line is to fit into one write to a pipe (4,096 bytes).
_LONGEST_TEXT = 200

# Which bar it is: the process, and its number there.
Key = tuple[int, int]


@dataclass
class BarState:
    """The state of a bar, as its owner knows it or as it came in a line.

    Attributes:
        key: Which bar it is.
        n: How far it is.
        total: How far it will go; None: unknown.
        desc: Text before the bar.
        postfix: Text after it.
        unit: What is counted.
        leave: Its last state stays visible once it is closed.
        position: Its place among the bars, from 0; None: after those that were there before.
        elapsed: Seconds it had run when it was in this state.
        closed: This is its last state.
        looks: Options of tqdm, of LOOKS.
    """

    key: Key
    n: float = 0
    total: float | None = None
    desc: str = ""
    postfix: str = ""
    unit: str = "it"
    leave: bool = False
    position: int | None = None
    elapsed: float = 0.0
    closed: bool = False
    looks: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {
            "id": self.key[1],
            "n": self.n,
            "total": self.total,
            "desc": self.desc[:_LONGEST_TEXT],
            "postfix": self.postfix[:_LONGEST_TEXT],
            "unit": self.unit[:_LONGEST_TEXT],
            "leave": self.leave,
            "position": self.position,
            "elapsed": round(self.elapsed, 3),
            "closed": self.closed,
            "looks": self.looks,
        }

    @staticmethod
    def from_json(pid: int, message: dict[str, Any]) -> BarState:
        """A bar of process `pid`. Raises: KeyError, TypeError, ValueError (it is none)."""
        total = message["total"]
        position = message["position"]
        return BarState(
            key=(pid, int(message["id"])),
            n=_number(message["n"]),
            total=None if total is None else _number(total),
            desc=_line(message["desc"]),
            postfix=_line(message["postfix"]),
            unit=_line(message["unit"]),
            leave=bool(message["leave"]),
            position=None if position is None else int(position),
            elapsed=float(message["elapsed"]),
            closed=bool(message["closed"]),
            looks={name: look for name, look in message["looks"].items() if name in LOOKS},
        )

    def text(self) -> str:
        """The bar in words: "name: 30/100 it (30%), 1:05"."""
        parts = f"{self.desc}: " if self.desc else ""
        parts += f"{self.n:g}"
        if self.total is not None:
            parts += f"/{self.total:g}"
        parts += f" {self.unit}"
        if self.total:
            parts += f" ({self.n / self.total:.0%})"
        minutes, seconds = divmod(int(self.elapsed), 60)
        parts += f", {minutes}:{seconds:02d}"
        return f"{parts}, {self.postfix}" if self.postfix else parts

    def place(self) -> float:
        """Bars are shown in this order, older ones first where it is equal."""
        return math.inf if self.position is None else self.position

    def started(self) -> float:
        """When it began, by time.time()."""
        return time.time() - self.elapsed


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return value


def _line(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)
