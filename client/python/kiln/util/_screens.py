"""Screens: where progress bars are drawn. A terminal, a notebook, one line, or a log.

Thread: none of them locks; `kiln.util._bars` calls one at a time.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
import warnings
from typing import Any

from kiln.util._bar_state import BarState, Key

# Seconds between two lines about one bar where lines stay, as in a log.
_LOG_INTERVAL = 10.0


class Screen:
    """What `choose` returns.

    `draw` may be called for a bar that is not there yet: it appears.
    """

    def draw(self, bar: BarState) -> None:
        """Shows a bar as it is now."""

    def remove(self, bar: BarState) -> None:
        """Takes a bar away, for it is closed or another is to have its place.

        One that is closed stays visible as it is if it has `leave`.
        """

    def hide(self, count: int) -> None:
        """Says that so many more bars are not shown."""

    def write(self, text: str) -> None:
        """Writes lines above the bars."""
        _write(text)

    def give_up(self) -> None:
        """It failed, and another takes its place."""


class LogScreen(Screen):
    """Now and then a line. For standard error that is a file or a pipe."""

    def __init__(self) -> None:
        self._next: dict[Key, float] = {}  # when a bar has its next line

    def draw(self, bar: BarState) -> None:
        now = time.monotonic()
        if now >= self._next.setdefault(bar.key, now + _LOG_INTERVAL):
            self._next[bar.key] = now + _LOG_INTERVAL
            _write(bar.text() + "\n")

    def remove(self, bar: BarState) -> None:
        self._next.pop(bar.key, None)
        if bar.closed and (bar.leave or bar.elapsed >= _LOG_INTERVAL):
            _write(bar.text() + "\n")


class LineScreen(Screen):
    """All bars in one line that is written again and again, where there is no tqdm.

    Args:
        clean: Nothing stands in the line.
    """

    def __init__(self, *, clean: bool = True) -> None:
        self._bars: dict[Key, BarState] = {}
        self._hidden = 0
        # Characters of what stands in the line.
        self._width = 0 if clean else shutil.get_terminal_size().columns - 1

    def draw(self, bar: BarState) -> None:
        self._bars.pop(bar.key, None)
        self._bars[bar.key] = bar  # the one that changed last is shown
        self._show()

    def remove(self, bar: BarState) -> None:
        self._bars.pop(bar.key, None)
        if bar.closed and bar.leave:
            self.write(bar.text() + "\n")
        else:
            self._show()

    def hide(self, count: int) -> None:
        self._hidden = count

    def write(self, text: str) -> None:
        _write("\r" + " " * self._width + "\r" + text)
        self._width = 0
        self._show()

    def _show(self) -> None:
        line = ""
        if self._bars:
            line = self._bars[next(reversed(self._bars))].text()
            more = len(self._bars) - 1 + self._hidden
            if more:
                line += f" ... and {more} more"
        line = line[: shutil.get_terminal_size().columns - 1]
        _write("\r" + line + " " * (self._width - len(line)) + ("" if line else "\r"))
        self._width = len(line)


class TqdmScreen(Screen):
    """A bar of tqdm for each, below one another.

    Args:
        cls: tqdm's class for this kind of screen.
        lines: It is a terminal, where bars are lines and have to be moved.
    """

    def __init__(self, cls: Any, *, lines: bool) -> None:
        # The monitor thread is for bars whose owner does not look at the clock.
        self._cls = type("Bar", (cls,), {"monitor_interval": 0})
        self._plain = cls
        self._lines = lines
        self._bars: dict[Key, tuple[BarState, Any]] = {}  # from top to bottom
        self._more: Any = None  # the line below them

    def draw(self, bar: BarState) -> None:
        known = self._bars.get(bar.key)
        if known is None:
            self._add(bar)
            return
        self._bars[bar.key] = bar, known[1]
        self._set(known[1], bar)

    def remove(self, bar: BarState) -> None:
        known = self._bars.pop(bar.key, None)
        if known is None:
            return
        line = known[1]
        leave = bar.closed and bar.leave
        self._clear()
        if leave:
            self._set(line, bar, show=False)
        line.leave = leave
        line.close()
        self._arrange()

    def hide(self, count: int) -> None:
        if not self._lines:
            return
        if count:
            text = f"... and {count} more"
            if self._more is None:
                self._clear()
                row = self._first_row() + len(self._bars)
                self._more = self._line(bar_format="{desc}", desc=text, position=row)
                self._arrange()
            else:
                self._more.set_description_str(text)
        elif self._more is not None:
            self._more.close()
            self._more = None

    def write(self, text: str) -> None:
        if self._lines:
            self._plain.write(text, file=sys.stderr, end="")
            sys.stderr.flush()
        else:
            _write(text)

    def give_up(self) -> None:
        for _, line in self._bars.values():
            line.disable = True  # else it would draw once more when it is collected

    # ----------------------------------------------------------------------------------------------

    def _line(self, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm's: this widget or that clamped value
            return self._cls(
                file=sys.stderr,
                mininterval=0,
                miniters=0,
                leave=False,
                dynamic_ncols=True,
                **options,
            )

    def _add(self, bar: BarState) -> None:
        self._clear()
        line = self._line(
            total=bar.total,
            desc=bar.desc or None,
            unit=bar.unit,
            initial=bar.n,
            position=self._first_row() + len(self._bars),
            **bar.looks,
        )
        line.start_t = min(line.start_t, bar.started())
        line.initial = 0  # what was done before it was shown counts for its rate
        if bar.postfix:
            line.set_postfix_str(bar.postfix, refresh=False)
        self._bars[bar.key] = bar, line
        self._bars = dict(sorted(self._bars.items(), key=lambda item: item[1][0].place()))
        self._arrange()

    def _set(self, line: Any, bar: BarState, *, show: bool = True) -> None:
        line.total = bar.total
        line.set_description_str(f"{bar.desc}: " if bar.desc else None, refresh=False)
        line.set_postfix_str(bar.postfix, refresh=False)
        if show and bar.n > line.n:
            line.update(bar.n - line.n)  # keeps the average of the rate, and draws
            return
        line.n = line.last_print_n = bar.n
        if show:
            line.refresh()

    def _clear(self) -> None:
        for _, line in self._bars.values():
            line.clear()
        if self._more is not None:
            self._more.clear()

    def _arrange(self) -> None:
        """Draws all from the top, without gaps."""
        first = self._first_row()
        lines = [line for _, line in self._bars.values()]
        if self._more is not None:
            lines.append(self._more)
        for row, line in enumerate(lines, first):
            line.pos = -row  # as tqdm keeps a row that was asked for
            line.refresh()

    def _first_row(self) -> int:
        """The row below bars that the program has made with tqdm itself."""
        ours = [line for _, line in self._bars.values()] + [self._more]
        others = [
            abs(line.pos)
            for line in list(getattr(self._plain, "_instances", []))
            if hasattr(line, "pos") and not line.disable and not any(line is own for own in ours)
        ]
        return max(others, default=-1) + 1 if self._lines else 0


def choose() -> Screen:
    """The screen for standard error as it is now."""
    has_tqdm = importlib.util.find_spec("tqdm") is not None
    if _in_notebook():
        widget = _widget_class() if has_tqdm else None
        return LineScreen() if widget is None else TqdmScreen(widget, lines=False)
    try:
        terminal = sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        terminal = False
    if not terminal:
        return LogScreen()
    if not has_tqdm:
        return LineScreen()
    from tqdm.std import tqdm

    return TqdmScreen(tqdm, lines=True)


def _widget_class() -> Any:
    """tqdm's class for notebooks; None where ipywidgets is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm's: it is experimental
        from tqdm import notebook
    return None if notebook.IProgress is None else notebook.tqdm_notebook


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        pass  # there is no standard error, or it is closed
