"""Exceptions of tasks, as they travel to whoever gets the result."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from typing import Any

from kiln import _values
from kiln.exceptions import RayError, RayTaskError, parts_of, rebuild_exception
from kiln.worker import actor, modules

_EXCEPTION_BYTES = 32 << 20  # a longer pickled exception is left behind; its text comes

# Whose frames are of no interest in a traceback.
_WORKER = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(_WORKER)
_OWN_FOLDERS = frozenset({_WORKER, _PACKAGE, os.path.join(_PACKAGE, "util")})


def describe(
    error: BaseException, task: str, cancelled: bool
) -> tuple[str, str, str, bytes | None, str, bool]:
    """An exception as the fields of an error value.

    Returns:
        kind, class name, message, pickled exception, traceback, whether another attempt could end
        differently.
    """
    final = bool(getattr(error, "__dict__", {}).pop("_kiln_final", False))
    if actor.is_exit(error):
        return "ACTOR_DIED", "", actor.explain_exit(error, task), None, "", False
    if cancelled and (isinstance(error, (KeyboardInterrupt, RayError)) or _is_asyncio_cancel(error)):
        return "CANCELLED", "", "the task was cancelled while it ran", None, "", False
    if isinstance(error, modules.NotFound):
        return "FUNCTION_NOT_FOUND", "", _text(str(error)), None, "", False
    name, message = _text(_name(error)), _text(_message(error))
    if isinstance(error, SystemExit):
        message = f"the task called sys.exit({'' if error.code is None else _text(repr(error.code))})"
        return "TASK_FAILED", name, message, None, _text(_trace(error)), not final
    return "TASK_FAILED", name, message, _pickle(error), _text(_trace(error)), not final


def _is_asyncio_cancel(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _text(text: str) -> str:
    """The text without what a text on the wire cannot have: lone surrogates, and NUL for C's sake."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _name(error: BaseException) -> str:
    if isinstance(error, RayTaskError) and error.type_name:
        return error.type_name  # of a task that this one waited for: what it raised counts
    name, module = type(error).__qualname__, type(error).__module__
    return name if module in ("builtins", "__main__") else f"{module}.{name}"


def _message(error: BaseException) -> str:
    if isinstance(error, RayTaskError):
        return error.message
    try:
        return str(error)
    except Exception as broken:
        return f"(its __str__ raised {type(broken).__name__})"


def _pickle(error: BaseException) -> bytes | None:
    """The exception without its traceback, which cannot travel; None if it cannot either."""
    if isinstance(error, RayTaskError):
        return error._pickled or None  # what the other task raised, as it came
    for candidate in (error, _Parts(error), _Parts(error, only_plain=True)):
        try:
            pickled, buffers = _values.dump_by_value(candidate)
            if not buffers and len(pickled) <= _EXCEPTION_BYTES:
                pickle.loads(pickled)  # some can be pickled and not read back
                return pickled
        except Exception:
            continue
    return None


class _Parts:
    """Pickles as an exception that is made again without its constructor, which may want anything."""

    def __init__(self, error: BaseException, only_plain: bool = False) -> None:
        self._error = error
        self._only_plain = only_plain

    def __reduce__(self) -> tuple[Any, ...]:
        args, fields = parts_of(self._error)
        if self._only_plain:  # what cannot be pickled stays behind
            args = tuple(arg if _can_be_pickled(arg) else repr(arg) for arg in args)
            fields = {name: field for name, field in fields.items() if _can_be_pickled(field)}
        return rebuild_exception, (type(self._error), args, fields)


def _can_be_pickled(value: Any) -> bool:
    try:
        pickled, _ = _values.dump_by_value(value)
        pickle.loads(pickled)
    except Exception:
        return False
    return True


def _trace(error: BaseException) -> str:
    """The traceback without the frames that are not the user's."""
    try:
        shown = traceback.TracebackException.from_exception(error, capture_locals=False)
        _forget_own_frames(shown)
        return "".join(shown.format())
    except Exception:
        return "".join(traceback.format_exception_only(type(error), error))


def _forget_own_frames(shown: traceback.TracebackException) -> None:
    seen: list[traceback.TracebackException] = []
    waiting: list[traceback.TracebackException | None] = [shown]
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        one.stack = traceback.StackSummary.from_list(
            [frame for frame in one.stack if os.path.dirname(frame.filename) not in _OWN_FOLDERS])
        waiting += [one.__cause__, one.__context__]
