"""What tasks print, in the driver: `(name pid=N) line` on standard error.

The same line of many workers is shown once, with a count, as in Ray: KILN_DEDUP_LOGS=0 shows all.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from kiln import _kiln

BAR_PREFIX = "__kiln_bar__ "
# The same text again within this time is counted, not shown.
_DEDUP_SECONDS = 5.0
# Texts remembered for that; a program that prints more different ones is not repeating itself.
_MOST_TEXTS = 10_000
# Lines shown in a second; what is more is counted. A terminal shows some 10,000.
_MOST_LINES_PER_SECOND = 5_000


class _Repeats:
    """Texts seen lately and how often they came again."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, str, int, int]] = {}  # first time, task, last pid, repeats

    def is_new(self, text: str, task: str, pid: int, now: float) -> bool:
        known = self._seen.get(text)
        if known is None:
            if len(self._seen) >= _MOST_TEXTS:
                del self._seen[next(iter(self._seen))]
            self._seen[text] = (now, task, pid, 0)
            return True
        first, _, first_pid, repeats = known
        if pid == first_pid and repeats == 0:
            return True  # one worker that says the same again means it
        self._seen[text] = (first, task, pid, repeats + 1)
        return False

    def take_old(self, now: float) -> list[str]:
        lines = []
        for text, (first, task, pid, repeats) in list(self._seen.items()):
            if now - first < _DEDUP_SECONDS:
                continue
            del self._seen[text]
            if repeats:
                lines.append(f"({task} pid={pid}) {text} [repeated {repeats}x by other workers]")
        return lines


_repeats = _Repeats()
_lock = threading.Lock()
_second = 0
_shown = 0
_hidden = 0


def in_task() -> bool:
    """True on the thread of a task."""
    return _kiln.current_task() is not None


def show(task: str, pid: int, lines: list[str]) -> None:
    """Shows lines that a task of this program printed; called by the thread of events."""
    now = time.monotonic()
    dedup = os.environ.get("KILN_DEDUP_LOGS", "1") != "0"
    texts = []
    with _lock:
        for line in lines:
            line, is_bar, bar = line.partition(BAR_PREFIX)  # a print without an end may be before it
            if is_bar:
                _show_bar(bar, task, pid)
            if is_bar and not line:
                continue
            if not dedup or not line.strip() or _repeats.is_new(line, task, pid, now):
                texts.append(f"({task} pid={pid}) {line}")
        texts += _repeats.take_old(now)
        texts = _bounded(texts, now)
    if texts:
        _write("\n".join(texts) + "\n")


def _bounded(texts: list[str], now: float) -> list[str]:
    """Those that may be shown in this second."""
    global _second, _shown, _hidden
    if int(now) != _second:
        if _hidden:
            texts = [f"(kiln) {_hidden:,} more lines of tasks are only in the workers' logs", *texts]
        _second, _shown, _hidden = int(now), 0, 0
    room = max(_MOST_LINES_PER_SECOND - _shown, 0)
    _shown += len(texts)
    _hidden += max(len(texts) - room, 0)
    return texts[:room]


def show_dropped(count: int) -> None:
    """Says that lines came faster than they could be shown."""
    _write(f"(kiln) {count:,} more lines of tasks are only in the workers' logs\n")


def finish() -> None:
    """Shows what was held back: the session has ended."""
    bars = sys.modules.get("kiln.util._bars")
    if bars is not None:
        bars.bars.close_remote()
    with _lock:
        texts = _repeats.take_old(float("inf"))
        if _hidden:
            texts.append(f"(kiln) {_hidden:,} more lines of tasks are only in the workers' logs")
    if texts:
        _write("\n".join(texts) + "\n")


def _show_bar(text: str, task: str, pid: int) -> None:
    from kiln.util import _bars

    _bars.on_line(text, task, pid)


def _write(text: str) -> None:
    bars = sys.modules.get("kiln.util._bars")
    if bars is not None:
        bars.write(text)
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        pass  # no standard error, or it is closed
