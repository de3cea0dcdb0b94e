"""Calls: what Pool, Executor and the joblib backend run in workers, and what they send for it."""

from __future__ import annotations

import functools
import math
import os
import sys
import types
import uuid
from collections.abc import Callable
from itertools import starmap
from multiprocessing.pool import RemoteTraceback  # type: ignore[attr-defined]
from typing import Any

import kiln
from kiln import _session, _values, exceptions
from kiln.util import _chunks

# Remote functions kept for one pool; a program with more of them starts over.
_MOST_FUNCTIONS = 128
# Bytes of a pickled function that are kept to know it again, at most.
_LARGEST_KEY = 1 << 16

# In workers: for each Setup that has run in this process, the global names it has set.
_ran: dict[str, dict[str, Any]] = {}


class InitializerError(RuntimeError):
    """The initializer of a pool or executor raised an exception, so its calls cannot run."""


class Setup:
    """An initializer that runs once in each worker process, before the first call there."""

    def __init__(self, initializer: Callable[..., object], initargs: tuple[Any, ...]) -> None:
        self._key = uuid.uuid4().hex
        self._initializer = initializer
        self._initargs = initargs
        self._done = False

    def run(self) -> None:
        """Runs the initializer unless this process has done so. Raises: InitializerError."""
        if self._done:
            return
        # Functions of __main__ are sent by value, and each that is sent has globals of its own. So
        # for the second function of a pool the names that the initializer has set are copied.
        names: dict[str, Any] = getattr(self._initializer, "__globals__", {})
        if self._key not in _ran:
            before = dict(names)
            try:
                self._initializer(*self._initargs)
            except Exception as error:
                raise InitializerError(
                    f"the initializer {name_of(self._initializer)} failed in worker process "
                    f"{os.getpid()}: {type(error).__name__}: {error}"
                ) from error
            _ran[self._key] = {
                name: value
                for name, value in names.items()
                if name not in before or before[name] is not value
            }
        elif names is not vars(sys.modules.get(names.get("__name__", ""), object)):
            names.update(_ran[self._key])
        self._done = True


class Call:
    """Calls a function in a worker."""

    def __init__(self, func: Callable[..., Any], setup: Setup | None) -> None:
        self.func = func
        self.setup = setup
        self.__name__ = self.__qualname__ = name_of(func)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.setup is not None:
            self.setup.run()
        return self.func(*args, **kwargs)


class MapCall(Call):
    """Calls a function for each item of a chunk."""

    def __call__(self, *chunk: Any) -> Any:
        if self.setup is not None:
            self.setup.run()
        items = _chunks.uncut(chunk)
        if getattr(items, "ndim", 1) > 1:
            items = items.copy()  # type: ignore[attr-defined] # rows that func may write to
        return _chunks.pack(_chunks.apply(self.func, items, len(items)))


class StarmapCall(Call):
    """Calls a function with each tuple of arguments of a chunk."""

    def __call__(self, *chunk: Any) -> Any:
        if self.setup is not None:
            self.setup.run()
        items = _chunks.uncut(chunk)
        results = list(starmap(self.func, items))
        if len(results) != len(items):
            raise RuntimeError("the function raised StopIteration")
        return _chunks.pack(results)


class Functions:
    """Remote functions under the same options: what is the same is pickled and sent once.

    Args:
        setup: What runs before them in each worker.
        options: Of their tasks, as given to ``kiln.remote``.
        is_same: Whether a function is what it was when it was given before, so that it need not
            be pickled again to see whether it is.
    """

    def __init__(
        self,
        setup: Setup | None,
        options: dict[str, Any],
        is_same: Callable[[Callable[..., Any]], bool],
    ) -> None:
        self._setup = setup
        self._options = options
        self._is_same = is_same
        self._known: dict[tuple[type, Any], Any] = {}  # by kind and the function, or its pickle

    def get(self, kind: type[Call], func: Callable[..., Any]) -> Any:
        """The remote function that runs `func` by a call of the given kind."""
        if not callable(func):
            raise TypeError(f"{func!r} is not callable")
        same = self._is_same(func)
        if same and (kind, func) in self._known:
            return self._known[kind, func]
        call = kind(func, self._setup)
        key = func if same else _pickle(call)
        remote = self._known.get((kind, key))
        if remote is None:
            remote = kiln.remote(**{"name": call.__name__, **self._options})(call)
            if key is not None:
                if len(self._known) >= _MOST_FUNCTIONS:
                    self._known.clear()
                self._known[kind, key] = remote
        return remote


def is_plain(func: Callable[..., Any]) -> bool:
    """Whether a function has no state but globals: a pool has those of its first call."""
    return isinstance(func, types.BuiltinFunctionType) or (
        type(func) is types.FunctionType and func.__closure__ is None
    )


def is_imported(func: Callable[..., Any]) -> bool:
    """Whether workers import the function, so that nothing of it is sent but its name."""
    module = getattr(func, "__module__", None) or ""
    name = getattr(func, "__qualname__", "")
    return (
        is_plain(func)
        and module != "__main__"
        and getattr(sys.modules.get(module), name, None) is func
    )


def _pickle(call: Call) -> bytes | None:
    """What tells two calls apart; None if it is too large to keep, or there is none."""
    try:
        pickled, buffers = _values.dump_by_value(call)
    except Exception:  # whoever sends it hears why
        return None
    return None if buffers or len(pickled) > _LARGEST_KEY else pickled


def plain_error(error: BaseException) -> BaseException:
    """The exception a call has raised, as a process pool raises it: the user's own object.

    Its ``__cause__`` shows the remote traceback, as that of ``multiprocessing.Pool`` does. Errors
    that are not the function's (a crashed worker, a cancelled task) are returned as they are.
    """
    cause = getattr(error, "cause", None)
    if isinstance(error, exceptions.RayTaskError) and isinstance(cause, BaseException):
        cause.__cause__ = RemoteTraceback(f'\n"""\n{error}"""')
        return cause
    return error


def name_of(func: object) -> str:
    """How tasks of the function are called in lists and errors."""
    while isinstance(func, functools.partial):
        func = func.func
    return getattr(func, "__qualname__", None) or type(func).__qualname__


def cpu_count() -> int:
    """CPUs of the head, at least 1."""
    return max(1, int(_session.current().num_cpus))


def share_of_cpus(at_once: int) -> float:
    """The num_cpus of tasks of which so many, and no more, fit into the head at once."""
    share = math.floor(_session.current().num_cpus / at_once * 10_000) / 10_000  # 4 digits count
    return float(max(share, 0.0001))
