"""Calls: what Pool, Executor and the joblib backend run in workers, and what they send for it."""

from __future__ import annotations

import functools
import math
import operator
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


class Call:
    """Calls a function in a worker."""

    def __init__(self, func: Callable[..., Any], setup: Setup | None) -> None:
        self.func = func
        self.setup = setup
        self.__name__ = self.__qualname__ = name_of(func)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.setup is not None:
            self.setup.run(self.func)
        return self.func(*args, **kwargs)


class OpenCall:
    """Calls, in a worker, the function that is the first argument."""

    def __init__(self, setup: Setup | None) -> None:
        self.setup = setup

    def __call__(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self.setup is not None:
            self.setup.run(func)
        return func(*args, **kwargs)


class MapCall(Call):
    """Calls a function for each item of a chunk."""

    def __call__(self, *chunk: Any) -> Any:
        if self.setup is not None:
            self.setup.run(self.func)
        items = _chunks.uncut(chunk)
        if getattr(items, "ndim", 1) > 1:
            items = items.copy()  # type: ignore[attr-defined] # rows that func may write to
        return _chunks.pack(_chunks.apply(self.func, items, len(items)))


class StarmapCall(Call):
    """Calls a function with each tuple of arguments of a chunk."""

    def __call__(self, *chunk: Any) -> Any:
        if self.setup is not None:
            self.setup.run(self.func)
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

    def submits(self, kind: type[Call], func: Callable[..., Any]) -> Callable[..., Any]:
        """What submits calls of this kind of `func`: it takes their arguments and returns a ref."""
        if not callable(func):
            raise TypeError(f"{func!r} is not callable")
        same = self._is_same(func)
        if same and (kind, func) in self._known:
            return self._known[kind, func].remote  # type: ignore[no-any-return]
        if kind is Call and not same:
            return self._open_call(func)
        call = kind(func, self._setup)
        key = func if same else _pickle(call)
        remote = self._known.get((kind, key))
        if remote is None:
            remote = self._make(call, call.__name__)
            if key is not None:
                self._keep(kind, key, remote)
        return remote.remote  # type: ignore[no-any-return]

    def _open_call(self, func: Callable[..., Any]) -> Callable[..., Any]:
        # What a session has been told of stays there, and there is a bound on it. A program that
        # makes a new closure for each of a million calls has to send it with the call.
        name = name_of(func)
        if (OpenCall, name) not in self._known:
            self._keep(OpenCall, name, self._make(OpenCall(self._setup), name))
        return functools.partial(self._known[OpenCall, name].remote, func)

    def _make(self, call: Callable[..., Any], name: str) -> Any:
        return kiln.remote(**{"name": name, **self._options})(call)

    def _keep(self, kind: type, key: Any, remote: Any) -> None:
        if len(self._known) >= _MOST_FUNCTIONS:
            self._known.clear()
        self._known[kind, key] = remote


def is_plain(func: Callable[..., Any]) -> bool:
    """Whether a function has no state but globals: a pool has those of its first call."""
    func = getattr(func, "py_func", func)  # of numba
    if type(func) is types.FunctionType and func.__closure__ is None:
        return True
    return isinstance(func, type) or is_imported(func)


def is_imported(func: Callable[..., Any]) -> bool:
    """Whether workers import the function, so that nothing of it is sent but its name."""
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    if module is None or module.__name__ == "__main__":
        return False
    try:
        return operator.attrgetter(func.__qualname__)(module) is func
    except AttributeError:
        return False


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
