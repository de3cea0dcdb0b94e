"""Calls: what Pool, Executor and kiln.map run in workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import starmap
from multiprocessing.pool import RemoteTraceback  # type: ignore[attr-defined]
from typing import Any

import kiln
from kiln import _session, exceptions
from kiln.util import _chunks
from kiln.util._setup import Setup


class Call:
    """Calls a function in a worker, after the setup of its pool."""

    def __init__(self, func: Callable[..., Any], setup: Setup | None = None) -> None:
        self.func = func
        self.setup = setup

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.setup is not None:
            self.setup.run(self.func)
        return self.call(*args, **kwargs)

    def call(self, /, *args: Any, **kwargs: Any) -> Any:
        """What is done then."""
        return self.func(*args, **kwargs)


class MapCall(Call):
    """Calls a function for each item of a chunk. Returns: the seconds it took, packed results."""

    def call(self, *chunk: Any) -> tuple[float, Any]:
        items = _chunks.uncut(chunk)
        if getattr(items, "ndim", 1) > 1:
            items = items.copy()  # type: ignore[attr-defined] # rows that func may write to
        began = time.perf_counter()
        results = _chunks.apply(self.func, items, len(items))
        return time.perf_counter() - began, _chunks.pack(results)


class StarmapCall(Call):
    """Calls a function with each tuple of arguments of a chunk. Returns: as MapCall."""

    def call(self, *chunk: Any) -> tuple[float, Any]:
        items = _chunks.uncut(chunk)
        began = time.perf_counter()
        results = list(starmap(self.func, items))
        if len(results) != len(items):
            raise RuntimeError("the function raised StopIteration")
        return time.perf_counter() - began, _chunks.pack(results)


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


def is_timeout(error: BaseException) -> bool:
    """Whether `get` waited in vain; a GetTimeoutError that a call raised is another class."""
    return type(error) is exceptions.GetTimeoutError


def ask_for(refs: list[Any]) -> None:
    """Has values sent as soon as they are there, and not when they are got: that is a trip less.

    For refs that were just made. Not in tasks, which lend their CPU when they ask.
    """
    if refs and not _session._in_worker:
        try:
            kiln.get(refs, timeout=0)
        except Exception:  # GetTimeoutError; or whoever gets them hears what it is
            pass


def cpu_count() -> int:
    """CPUs of the head, at least 1."""
    return max(1, int(_session.current().num_cpus))


def share_of_cpus(at_once: int) -> float:
    """The num_cpus of tasks of which so many, and no more, fit into the head at once."""
    share = math.floor(_session.current().num_cpus / at_once * 10_000) / 10_000  # 4 digits count
    return float(max(share, 0.0001))
