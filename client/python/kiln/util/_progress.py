"""kiln.util.tqdm: progress bars for drivers and tasks."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kiln import _output, _session
from kiln.util import _bar_state, _bars
from kiln.util._bar_state import BarState

# Seconds between two states that are shown, at least.
_INTERVAL = 0.1

# Options of tqdm.tqdm that mean nothing here: all bars go to one screen, which has its own clock.
_IGNORED = frozenset({
    "file", "mininterval", "maxinterval", "miniters", "dynamic_ncols", "smoothing", "write_bytes",
    "lock_args", "nrows", "delay", "gui",
})

_numbers = itertools.count()


class tqdm:  # noqa: N801 # the name that programs know
    """A progress bar; the interface of ``tqdm.tqdm``.

        for item in kiln.util.tqdm(items):
            ...

    It works in a driver and in tasks. Bars of many workers share the driver's terminal or notebook,
    at most eight at once. If its standard error is neither, a line is written now and then.

    Thread: one at a time.

    Args:
        iterable: What to iterate over; None: `update` is called instead.
        desc: Text before the bar.
        total: How far it will go; the length of `iterable` by default.
        leave: The bar stays visible once it is closed; by default that of a driver does, and that
            of a task does not.
        disable: Shows nothing. None: shows something in a terminal or notebook only.
        unit: What is counted.
        initial: Where it begins.
        position: Its place among the bars, from 0; by default after those that are there.
        postfix: What `set_postfix` takes.
        **options: Other options of tqdm.tqdm: unit_scale, unit_divisor, bar_format, colour, ncols
            and ascii say how it looks, the rest has no effect.
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: float | None = None,
        leave: bool | None = None,
        *,
        disable: bool | None = False,
        unit: str = "it",
        initial: float = 0,
        position: int | None = None,
        postfix: Mapping[str, Any] | str | None = None,
        **options: Any,
    ) -> None:
        self.disable = True  # for __del__, if this raises
        unknown = sorted(set(options) - _IGNORED - _bar_state.LOOKS)
        if unknown:
            raise TypeError(f"tqdm() got an unexpected keyword argument {unknown[0]!r}")
        self._in_task = _output.in_task() or _session._in_worker
        if total is None and iterable is not None:
            try:
                total = len(iterable)  # type: ignore[arg-type]
            except TypeError:
                pass
        self.iterable = iterable
        self.n = initial
        self.initial = initial
        self.total = None if total == float("inf") else total
        self.desc = desc or ""
        self.unit = unit
        self.leave = not self._in_task if leave is None else leave
        self.postfix = ""
        self._position = position
        self._looks = {
            name: look
            for name, look in options.items()
            if name in _bar_state.LOOKS and isinstance(look, (bool, int, float, str))
        }
        self._key = os.getpid(), next(_numbers)
        self._started = self._shown_at = time.monotonic()
        self._shown_n = initial
        self._stride = 1.0  # units between two looks at the clock
        self._next_n = initial + 1  # when to look next
        if disable is None:
            disable = not self._in_task and not _is_terminal()
        self.disable = disable
        if isinstance(postfix, str):
            self.set_postfix_str(postfix, refresh=False)
        elif postfix:
            self.set_postfix(postfix, refresh=False)
        self.refresh()

    def __iter__(self) -> Iterator[Any]:
        if self.iterable is None:
            raise TypeError("this bar has no iterable")
        if self.disable:
            yield from self.iterable
            return
        n = self.n
        try:
            for item in self.iterable:
                yield item
                n += 1
                if n >= self._next_n:
                    self.n = n
                    self._look()
        finally:
            self.n = n
            self.close()

    def update(self, n: float | None = 1) -> None:
        """It is `n` further."""
        if self.disable:
            return
        n = 1 if n is None else n
        self.n += n
        if self.n >= self._next_n or n < 0:
            self._look()

    def close(self) -> None:
        """Shows the last state, and takes the bar away unless it has `leave`."""
        if not self.disable:
            self._show(closed=True)
            self.disable = True

    def refresh(self, *_: Any, **__: Any) -> None:
        """Shows the bar as it is now."""
        if not self.disable:
            self._show()

    def reset(self, total: float | None = None) -> None:
        """Begins again, with another total if one is given."""
        self.n = self._shown_n = 0
        self._next_n = 1
        self._started = time.monotonic()
        if total is not None:
            self.total = total
        self.refresh()

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        """Changes the text before the bar."""
        self.desc = desc or ""
        if refresh:
            self.refresh()

    def set_description_str(self, desc: str | None = None, refresh: bool = True) -> None:
        """As set_description."""
        self.set_description((desc or "").rstrip(": "), refresh)

    def set_postfix(
        self,
        ordered_dict: Mapping[str, Any] | None = None,
        refresh: bool = True,
        **values: Any,
    ) -> None:
        """Shows names and values after the bar."""
        pairs = {**(ordered_dict or {}), **dict(sorted(values.items()))}
        text = ", ".join(
            f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}".strip()
            for name, value in pairs.items()
        )
        self.set_postfix_str(text, refresh)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Shows text after the bar."""
        self.postfix = str(s)
        if refresh:
            self.refresh()

    def unpause(self) -> None:
        """Does nothing; for programs that call it."""

    def clear(self, *_: Any, **__: Any) -> None:
        """Does nothing; for programs that call it: `write` takes care of bars."""

    def display(self, *_: Any, **__: Any) -> None:
        """As refresh."""
        self.refresh()

    @classmethod
    def write(cls, s: str, file: Any = None, end: str = "\n", nolock: bool = False) -> None:
        """Prints text that does not mix with bars: in a driver, on standard error above them."""
        if file is not None or _output.in_task() or _session._in_worker:
            print(s, file=file, end=end)
        else:
            _bars.write(s + end)

    def __len__(self) -> int:
        if self.total is None:
            return len(self.iterable)  # type: ignore[arg-type]
        return int(self.total)

    def __bool__(self) -> bool:
        return self.total is None or self.total > 0

    def __enter__(self) -> tqdm:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # the interpreter is shutting down
            pass

    # ----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Shows the bar if it is time, and chooses when to look again."""
        passed = time.monotonic() - self._shown_at
        if passed >= _INTERVAL:
            # Ten looks for each state shown: they cost nothing, and a bar that slows down ten times
            # is still on time.
            self._stride = max(1.0, (self.n - self._shown_n) / passed * _INTERVAL / 10)
            self._show()
        self._next_n = self.n + self._stride

    def _show(self, closed: bool = False) -> None:
        now = time.monotonic()
        self._shown_at, self._shown_n = now, self.n
        state = BarState(
            key=self._key,
            n=self.n,
            total=self.total,
            desc=self.desc,
            postfix=self.postfix,
            unit=self.unit,
            leave=self.leave,
            position=self._position,
            elapsed=now - self._started,
            closed=closed,
            looks=self._looks,
        )
        if self._in_task:
            _print(_output.BAR_PREFIX + json.dumps(state.to_json(), separators=(",", ":")) + "\n")
        else:
            _bars.bars.update(state)


def trange(*args: int, **options: Any) -> tqdm:
    """``tqdm(range(*args), **options)``."""
    return tqdm(range(*args), **options)


def _print(line: str) -> None:
    """Writes a whole line to the task's output, also where the task has redirected its own."""
    stdout = sys.__stdout__ or sys.stdout
    try:
        stdout.write(line)
        stdout.flush()
    except (AttributeError, OSError, ValueError):
        pass  # there is none, or it is closed


def _is_terminal() -> bool:
    from kiln.util import _screens

    return not isinstance(_screens.choose(), _screens.LogScreen)
