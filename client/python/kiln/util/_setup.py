"""Setup: the initializer of a pool or executor, in workers."""

from __future__ import annotations

import functools
import os
import sys
import uuid
from collections.abc import Callable
from typing import Any

# For each Setup that has run in this process, the global names it has set. Of so many, for what they
# hold is held as long; an older one would run again.
_ran: dict[str, dict[str, Any]] = {}
_MOST_RAN = 16


class InitializerError(RuntimeError):
    """The initializer of a pool or executor raised an exception, so its calls cannot run."""


class Setup:
    """An initializer that runs once in each worker process, before the first call there."""

    def __init__(self, initializer: Callable[..., object], initargs: tuple[Any, ...]) -> None:
        self._key = uuid.uuid4().hex
        self._initializer = initializer
        self._initargs = initargs
        self._ready_for: object = None  # the function that was called last

    def run(self, func: Callable[..., Any]) -> None:
        """Runs the initializer unless this process has done so, for calls of `func`.

        Raises:
            InitializerError: It raised an exception.
        """
        if func is self._ready_for:
            return
        if self._key not in _ran:
            self._run()
        # Functions of __main__ are sent by value, and each that is sent has globals of its own: it
        # gets a copy of what the initializer has set in those that it was sent with.
        names = _globals_of(func)
        if names is not None and names.setdefault("__kiln_setup__", "") != self._key:
            names.update(_ran[self._key], __kiln_setup__=self._key)
        self._ready_for = func

    def _run(self) -> None:
        names = _globals_of(self._initializer) or {}
        before = dict(names)
        try:
            self._initializer(*self._initargs)
        except Exception as error:
            raise InitializerError(
                f"the initializer {name_of(self._initializer)} failed in worker process "
                f"{os.getpid()}: {type(error).__name__}: {error}"
            ) from error
        if len(_ran) >= _MOST_RAN:
            del _ran[next(iter(_ran))]
        _ran[self._key] = {
            name: value
            for name, value in names.items()
            if name not in before or before[name] is not value
        }
        names["__kiln_setup__"] = self._key


def _globals_of(func: object) -> dict[str, Any] | None:
    """The globals of a function that was sent by value; None: it has those of a module."""
    while isinstance(func, functools.partial):
        func = func.func
    names: dict[str, Any] | None = getattr(func, "__globals__", None)
    if names is None or names is vars(sys.modules.get(names.get("__name__", ""), object)):
        return None
    return names


def name_of(func: object) -> str:
    """How tasks of the function are called in lists and errors."""
    while isinstance(func, functools.partial):
        func = func.func
    return getattr(func, "__qualname__", None) or type(func).__qualname__
