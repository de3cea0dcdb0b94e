"""What the binding asks of Python when it runs a task."""

from __future__ import annotations

import os
import resource
import signal
import sys
import types
from collections.abc import Iterator
from typing import Any

from kiln import _definitions, _kiln, _session
from kiln.exceptions import RayError
from kiln.worker import modules, threads
from kiln.worker.actor import construct, find_method, leave, most_repeats
from kiln.worker.errors import describe
from kiln.worker.modules import is_stale
from kiln.worker.retry import RetryOnly
from kiln.worker.threads import set_threads

__all__ = ["construct", "describe", "explain_result", "find_method", "flush", "is_stale", "items_of",
           "leave", "load", "most_repeats", "portable", "prepare", "set_threads", "split"]

# Stack of the main thread, on which tasks and those nested in them run: as much as fits below what
# the kernel leaves between stack and libraries, 128 MiB.
_STACK_BYTES = 100 << 20


def prepare() -> None:
    """Makes the process ready for tasks: signals, stack."""
    threads.prepare()
    signal.signal(signal.SIGINT, _on_interrupt)
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    size = _STACK_BYTES if most == resource.RLIM_INFINITY else min(_STACK_BYTES, most)
    resource.setrlimit(resource.RLIMIT_STACK, (size, most))


def _on_interrupt(signum: int, frame: Any) -> None:
    """The task was cancelled; one that came meanwhile was not."""
    if _kiln.take_interrupt():
        raise KeyboardInterrupt


def load(library: str, function: str) -> tuple[Any, int]:
    """Finds a task's function, or the class of an actor.

    Args:
        library: Empty for one that its driver has put; else "python:ROOT".
        function: The ref of what it has put; else "module:name".

    Returns:
        What to call with the task's arguments, and after how many calls the process is to end.
    """
    if library:
        return modules.load(function), 0
    session = _session.current()
    ref = session.ref_of(function)
    definition = _definitions.Definition(*session.get(ref, None))
    _definitions.learn(session, ref, definition)
    found: Any = definition.function
    if definition.retry_exceptions is not None:
        found = RetryOnly(found, definition.retry_exceptions)
    return found, definition.max_calls


def split(result: Any, count: int) -> tuple[Any, ...]:
    """The results of a task with several."""
    try:
        results = tuple(result)
    except TypeError:
        results = ()
        described = f"returned one {type(result).__name__}"
    else:
        described = f"returned {len(results)} values"
    if len(results) != count:
        raise ValueError(f"the task has num_returns={count} and {described}; "
                         f"return a tuple or list of {count}")
    return results


def portable(value: Any) -> Any:
    """A result for who reads no pickle: NumPy's scalars, also inside lists, are Python's own."""
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(portable(item) for item in value)
    if type(value) is dict:
        return {portable(key): portable(item) for key, item in value.items()}
    return value


def items_of(result: Any) -> Iterator[Any]:
    """The items that a streaming task's result gives."""
    if isinstance(result, (str, bytes, dict)) or not hasattr(result, "__iter__"):
        raise TypeError(f'a task with num_returns="streaming" must be a generator or return an '
                        f"iterable, and this one returned a {type(result).__name__}")
    return iter(result)


def explain_result(result: Any, error: BaseException) -> BaseException:
    """The exception for a result that could not be encoded."""
    if not isinstance(error, Exception) or isinstance(error, RayError):
        return error
    if isinstance(result, (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)):
        return TypeError(f"the task returned a {type(result).__name__}, which cannot leave its "
                         f'process; to hand over items as they come, use num_returns="streaming"')
    better = TypeError(f"the task's result, a {type(result).__name__}, cannot be pickled: "
                       f"{type(error).__name__}: {error}")
    better.__cause__ = error
    return better


def flush() -> None:
    """What a task printed without an end of line is its own."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, ValueError):
        pass  # a task has closed or replaced them
