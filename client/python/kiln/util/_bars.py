"""Bars: all progress bars that this driver shows, its own and those of its tasks."""

from __future__ import annotations

import atexit
import json
import os
import threading
import time

from kiln import _session
from kiln.util import _screens
from kiln.util._bar_state import BarState, Key

# Bars shown at once; of others only the number is.
_MOST_SHOWN = 8
# Seconds without news after which a task's bar is taken for left behind.
_LONGEST_SILENCE = 600.0
# Seconds between two looks for bars whose task is no more.
_SWEEP_INTERVAL = 1.0


class Bars:
    """The bars of a program.

    Thread: any.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bars: dict[Key, BarState] = {}  # oldest first
        self._shown: list[Key] = []  # of them
        self._heard: dict[Key, float] = {}  # bars of tasks: when something came last
        self._screen = _screens.Screen()
        self._sweeper: threading.Thread | None = None
        self._over = False

    def update(self, bar: BarState, *, remote: bool = False) -> None:
        """Shows the bar in this state; a new one appears, one that is closed goes."""
        with self._lock:
            if self._over:
                return
            known = bar.key in self._bars
            if not known:
                if bar.closed and not bar.leave:
                    return
                if not self._bars:
                    self._screen = _screens.choose()  # standard error may be another one by now
            self._bars[bar.key] = bar
            if remote:
                self._heard[bar.key] = time.monotonic()
                self._start_sweeper()
            try:
                if bar.closed:
                    self._close(bar)
                elif bar.key in self._shown:
                    self._screen.draw(bar)
                elif not known:
                    self._show_more()
            except Exception:  # a widget, say, of a version that tqdm does not know
                self._replace_screen()

    def write(self, text: str) -> None:
        """Writes lines to standard error, above the bars."""
        with self._lock:
            try:
                (self._screen if self._bars else _screens.Screen()).write(text)
            except Exception:
                self._replace_screen()
                self._screen.write(text)

    def close_remote(self) -> None:
        """Closes the bars of tasks: the session is over."""
        with self._lock:
            for key in list(self._heard):
                self._drop(key)

    def close_all(self) -> None:
        """Closes all bars and shows no more: the program ends."""
        with self._lock:
            for key in list(self._bars):
                self._drop(key)
            self._over = True

    def __len__(self) -> int:
        with self._lock:
            return len(self._bars)

    # --- under the lock ---------------------------------------------------------------------------

    def _close(self, bar: BarState) -> None:
        del self._bars[bar.key]
        self._heard.pop(bar.key, None)
        if bar.key in self._shown:
            self._shown.remove(bar.key)
            self._screen.remove(bar)
        elif bar.leave:
            self._screen.write(bar.text() + "\n")
        self._show_more()

    def _drop(self, key: Key) -> None:
        """Closes a bar whose owner does not."""
        bar = self._bars[key]
        bar.closed = True
        bar.leave = bar.leave and key not in self._heard
        self._close(bar)

    def _replace_screen(self) -> None:
        self._screen.give_up()
        self._screen = _screens.LineScreen(clean=False)

    def _show_more(self) -> None:
        for key, bar in self._bars.items():
            if len(self._shown) == _MOST_SHOWN:
                break
            if key not in self._shown:
                self._shown.append(key)
                self._screen.draw(bar)
        self._screen.hide(len(self._bars) - len(self._shown))

    # ----------------------------------------------------------------------------------------------

    def _start_sweeper(self) -> None:
        if self._sweeper is None:
            self._sweeper = threading.Thread(target=self._sweep, name="kiln-bars", daemon=True)
            self._sweeper.start()

    def _sweep(self) -> None:
        """Closes bars of tasks that died; runs while there are bars of tasks."""
        while True:
            time.sleep(_SWEEP_INTERVAL)
            with self._lock:
                oldest = time.monotonic() - _LONGEST_SILENCE
                for key, heard in list(self._heard.items()):
                    if heard < oldest or not _may_live(key[0]):
                        self._drop(key)
                if not self._heard:
                    self._sweeper = None
                    return


def _may_live(pid: int) -> bool:
    """Whether a worker may still be there."""
    session = _session._session  # never current(), which would start another
    if session is None or not session.usable:
        return False
    if not session.address.startswith("unix:"):
        return True  # on another machine
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


bars = Bars()
atexit.register(lambda: bars.close_all())


def on_line(json_text: str, task_name: str, pid: int) -> None:
    """Takes a line that a bar in a task has printed; another text is shown as it is."""
    try:
        bar = BarState.from_json(pid, json.loads(json_text))
    except (AttributeError, KeyError, TypeError, ValueError):
        bars.write(f"({task_name} pid={pid}) {json_text}\n")
        return
    bars.update(bar, remote=True)


def write(text: str) -> None:
    """Writes lines to standard error, above the bars."""
    bars.write(text)


def _after_fork() -> None:
    global bars
    bars = Bars()  # the lock may be held by a thread that is not here


os.register_at_fork(after_in_child=_after_fork)
