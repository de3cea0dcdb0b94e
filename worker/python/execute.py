"""What the binding asks of Python when it runs a task."""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import sys
import traceback
import types
from collections.abc import Iterator
from typing import Any

from kiln import _definitions, _kiln, _session, _values
from kiln.exceptions import RayError, RayTaskError, parts_of, rebuild_exception
from kiln.worker import modules

# Stack of the main thread, on which tasks and those nested in them run: as much as fits below what
# the kernel leaves between stack and libraries, 128 MiB.
_STACK_BYTES = 100 << 20
_EXCEPTION_BYTES = 32 << 20  # a longer pickled exception is left behind; its text comes

_user_threads = False  # the driver's environment says how many threads there are


def prepare() -> None:
    """Makes the process ready for tasks: signals, stack."""
    global _user_threads
    _user_threads = "OMP_NUM_THREADS" in os.environ
    signal.signal(signal.SIGINT, _on_interrupt)
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    size = _STACK_BYTES if most == resource.RLIM_INFINITY else min(_STACK_BYTES, most)
    resource.setrlimit(resource.RLIMIT_STACK, (size, most))


def _on_interrupt(signum: int, frame: Any) -> None:
    """The task was cancelled; one that came meanwhile was not."""
    if _kiln.take_interrupt():
        raise KeyboardInterrupt


def load(library: str, function: str) -> tuple[Any, int]:
    """Finds a task's function.

    Args:
        library: Empty for a function that its driver has put; else "python:ROOT".
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
        found = _RetryOnly(found, definition.retry_exceptions)
    return found, definition.max_calls


def is_stale() -> bool:
    """True if a module that functions were loaded from by name has changed since."""
    return modules.is_stale()


class _RetryOnly:
    """A function of which only some exceptions are worth another attempt."""

    def __init__(self, function: Any, kinds: tuple[type, ...]) -> None:
        self._function = function
        self._kinds = kinds

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._function(*args, **kwargs)
        except BaseException as error:
            if isinstance(error, self._kinds):
                raise
            error.__dict__["_kiln_final"] = True
            raise


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


def describe(
    error: BaseException, task: str, cancelled: bool
) -> tuple[str, str, str, bytes | None, str, bool, bool]:
    """An exception as the fields of an error value.

    Returns:
        kind, class name, message, pickled exception, traceback, whether another attempt could end
        differently, whether the process is to end.
    """
    final = bool(getattr(error, "__dict__", {}).pop("_kiln_final", False))
    if cancelled and isinstance(error, (KeyboardInterrupt, RayError)):
        return "CANCELLED", "", "the task was cancelled while it ran", None, "", False, False
    if isinstance(error, modules.NotFound):
        return "FUNCTION_NOT_FOUND", "", _text(str(error)), None, "", False, False
    name, message = _text(_name(error)), _text(_message(error))
    if isinstance(error, SystemExit):
        message = f"the task called sys.exit({'' if error.code is None else _text(repr(error.code))})"
        return "TASK_FAILED", name, message, None, _text(_trace(error)), not final, False
    return "TASK_FAILED", name, message, _pickle(error), _text(_trace(error)), not final, False


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


_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))
_OWN_FOLDERS = frozenset({_OWN_FOLDER, os.path.dirname(_OWN_FOLDER)})


def flush() -> None:
    """What a task printed without an end of line is its own."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, ValueError):
        pass  # a task has closed or replaced them


def set_threads(num_cpus: float) -> None:
    """Tells threaded libraries how many threads a task may use, unless the driver's environment does."""
    if _user_threads:
        return
    count = max(1, int(num_cpus))
    os.environ["OMP_NUM_THREADS"] = str(count)
    for name, call in _thread_setters():
        getattr(name, call)(ctypes.c_int(count))


def _thread_setters() -> list[tuple[Any, str]]:
    """The functions of loaded libraries that set their number of threads."""
    found = []
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            paths = {line.split(None, 5)[5].strip() for line in file if ".so" in line}
    except OSError:
        return []
    for path in sorted(paths):
        base = os.path.basename(path)
        if not any(word in base for word in ("openblas", "libgomp", "libomp", "libiomp", "mkl_rt")):
            continue
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for call in ("openblas_set_num_threads", "openblas_set_num_threads64_", "MKL_Set_Num_Threads",
                     "omp_set_num_threads"):
            if hasattr(library, call):
                found.append((library, call))
                break
    return found
