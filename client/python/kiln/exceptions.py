"""The exceptions of kiln, with Ray's names.

    RayError (KilnError)
    ├─ RayTaskError               the task raised; also an instance of what it raised
    ├─ TaskCancelledError         cancelled, or the session that submitted it ended
    ├─ TaskTimeoutError           it ran longer than its timeout
    ├─ WorkerCrashedError         its worker died and no retry was left
    │  └─ OutOfMemoryError        ... killed by the kernel, for the machine's memory ran out
    ├─ RayActorError              an actor cannot answer
    │  ├─ ActorDiedError          ... and never will: it died, was killed, or its constructor raised
    │  └─ ActorUnavailableError   ... now: it died with the call, and is being started anew
    ├─ ActorUnschedulableError    it asks for more than the head has
    ├─ PendingCallsLimitExceeded  the actor's max_pending_calls are under way
    ├─ AsyncioActorExit           what exit_actor raises in an async actor
    ├─ TaskUnschedulableError     it asks for more than the head has
    ├─ CrossLanguageError         a function of another language failed, or does not take this call
    ├─ GetTimeoutError            get took longer than asked; also a TimeoutError
    ├─ ObjectStoreFullError       no room for a value
    ├─ ObjectLostError            nobody makes this object any more
    └─ RaySystemError             the session or the head has ended, or a bound was reached
"""

from __future__ import annotations

import pickle
from typing import Any

__all__ = [
    "ActorDiedError",
    "ActorUnavailableError",
    "ActorUnschedulableError",
    "AsyncioActorExit",
    "CrossLanguageError",
    "GetTimeoutError",
    "KilnError",
    "KilnTaskError",
    "ObjectLostError",
    "ObjectStoreFullError",
    "OutOfMemoryError",
    "PendingCallsLimitExceeded",
    "RayActorError",
    "RayError",
    "RaySystemError",
    "RayTaskError",
    "TaskCancelledError",
    "TaskTimeoutError",
    "TaskUnschedulableError",
    "WorkerCrashedError",
]


class RayError(Exception):
    """Whatever kiln raises by itself."""


class _TaskFailure(RayError):
    """What a failed task left in place of its results.

    Attributes:
        task: Name of the task that failed first; empty if this is not about a task.
        pid: Process it failed in; 0 if it never ran.
        chain: Tasks that failed because of it, nearest first.
    """

    def __init__(self, message: str = "", task: str = "", pid: int = 0, chain: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.task = task
        self.pid = pid
        self.chain = tuple(chain)

    def __str__(self) -> str:
        text = self.message
        if self.task:
            text += f"\n  task: {self.task}" + (f" (pid={self.pid})" if self.pid else "")
        for name in self.chain:
            text += f"\n  which failed with it: {name}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.task, self.pid, self.chain)


class TaskCancelledError(_TaskFailure):
    """The task was cancelled, or the session that submitted it ended."""


class TaskTimeoutError(_TaskFailure, TimeoutError):
    """The task ran longer than its `timeout`."""


class WorkerCrashedError(_TaskFailure):
    """The worker died while it ran the task, and no retry was left."""


class OutOfMemoryError(WorkerCrashedError):
    """The worker was killed by the system, as a rule because memory ran out."""


class RayActorError(_TaskFailure):
    """An actor cannot answer; see ActorDiedError and ActorUnavailableError.

    Attributes:
        cause: What the actor's constructor raised, if it did and that could be brought here.
        traceback_str: The traceback there, as text.
    """

    def __init__(self, message: str = "", task: str = "", pid: int = 0, chain: tuple[str, ...] = (),
                 traceback_str: str = "", pickled: bytes = b"") -> None:
        super().__init__(message, task, pid, chain)
        self.traceback_str = traceback_str
        self.cause = _unpickle(pickled)
        self._pickled = pickled

    def __str__(self) -> str:
        if not self.traceback_str:
            return super().__str__()
        text = ("The actor died because of an error raised in its creation task, "
                f"kiln::{self.task}() (pid={self.pid})\n{self.traceback_str.rstrip()}")
        for name in self.chain:
            text += f"\n  which failed with it: {name}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.task, self.pid, self.chain, self.traceback_str,
                            self._pickled)


class ActorDiedError(RayActorError):
    """The actor is dead: it was killed, its process died and no restart was left, or it never lived."""


class ActorUnavailableError(RayActorError):
    """The actor died while it had the call, and is being started anew; the call may have run."""


class ActorUnschedulableError(_TaskFailure):
    """The actor asks for more than the head has."""


class PendingCallsLimitExceeded(RayError):
    """The actor has as many unfinished calls of this program as its max_pending_calls allows."""


class AsyncioActorExit(RayError):
    """What exit_actor raises in a method of an async actor; not to be caught."""


class TaskUnschedulableError(_TaskFailure):
    """The task asks for more than the head has."""


class CrossLanguageError(_TaskFailure):
    """A function of another language failed or was called with what it does not take."""


class ObjectStoreFullError(_TaskFailure):
    """There is no room for a value: it is larger than the store, or others hold it."""


class ObjectLostError(_TaskFailure):
    """Nobody makes this object any more, or it never was there."""


class RaySystemError(_TaskFailure):
    """The session or its head has ended, or a bound of the system was reached."""


class GetTimeoutError(RayError, TimeoutError):
    """`get` did not find all objects within its timeout; the tasks go on."""


class RayTaskError(RayError):
    """A task raised an exception.

    What `get` raises is an instance of this class and, unless that is impossible, of the class of
    what the task raised, so that `except ValueError` works as without kiln.

    Attributes:
        cause: The exception itself, or None if it could not be brought here.
        task: Name of the task that raised.
        pid: Process it raised in.
        chain: Tasks that failed because of it, nearest first.
        traceback_str: The traceback there, as text.
        type_name: Name of the exception's class.
    """

    cause: BaseException | None
    message: str
    task: str
    pid: int
    chain: tuple[str, ...]
    traceback_str: str
    type_name: str
    _pickled: bytes

    def __init__(
        self,
        message: str = "",
        task: str = "",
        pid: int = 0,
        chain: tuple[str, ...] = (),
        traceback_str: str = "",
        type_name: str = "",
        pickled: bytes = b"",
    ) -> None:
        Exception.__init__(self, message)
        self._set_fields(message, task, pid, chain, traceback_str, type_name, pickled)
        self.cause = _unpickle(pickled)

    def _set_fields(
        self, message: str, task: str, pid: int, chain: tuple[str, ...], traceback_str: str,
        type_name: str, pickled: bytes,
    ) -> None:
        # The class of the cause may have an attribute of such a name that cannot be set.
        self.__dict__.update(message=message, task=task, pid=pid, chain=tuple(chain),
                             traceback_str=traceback_str, type_name=type_name, _pickled=pickled)

    def __str__(self) -> str:
        text = ""
        for name in self.chain:
            text += f"At least one of the input arguments of {name} could not be computed:\n"
        text += f"kiln::{self.task}() (pid={self.pid})\n"
        return text + (self.traceback_str.rstrip() or f"{self.type_name}: {self.message}")

    def __repr__(self) -> str:
        return f"RayTaskError({self.type_name}: {self.message!r} in {self.task})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_task_error, (
            self.message, self.task, self.pid, self.chain, self.traceback_str, self.type_name,
            self._pickled,
        )

    def as_instanceof_cause(self) -> RayTaskError:
        """This error as an instance of the class of its cause too, where such a class can be made."""
        cause = self.cause
        if cause is None or isinstance(cause, RayTaskError) or not isinstance(cause, Exception):
            return self
        try:
            dual: RayTaskError = _dual_class(type(cause))(self)
            return dual
        except Exception:  # a class that allows no subclass, or a layout that does not mix
            return self


def _unpickle(pickled: bytes) -> BaseException | None:
    if not pickled:
        return None
    try:
        exception = pickle.loads(pickled)
    except Exception:  # its class cannot be imported here, or its constructor wants other arguments
        return None
    return exception if isinstance(exception, BaseException) else None


_dual_classes: dict[type, type] = {}


def _dual_class(cause_class: type) -> type:
    """The class that is a RayTaskError and a `cause_class`."""
    known = _dual_classes.get(cause_class)
    if known is not None:
        return known

    class Dual(RayTaskError, cause_class):  # type: ignore[misc, valid-type]
        def __new__(cls, error: RayTaskError) -> Any:
            return _imitate(cls, error.cause)

        def __init__(self, error: RayTaskError) -> None:
            self._set_fields(error.message, error.task, error.pid, error.chain, error.traceback_str,
                             error.type_name, error._pickled)
            self.__dict__["cause"] = error.cause

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") or name == "cause":
                raise AttributeError(name)
            return getattr(self.__dict__["cause"], name)

        __str__ = RayTaskError.__str__

    Dual.__name__ = Dual.__qualname__ = f"RayTaskError({cause_class.__name__})"
    Dual.__module__ = "kiln.exceptions"
    _dual_classes[cause_class] = Dual
    return Dual


def _imitate(cls: type, cause: BaseException | None) -> Any:
    """An instance of `cls`, which derives from the class of `cause`, with all that `cause` holds."""
    assert cause is not None
    return rebuild_exception(cls, *parts_of(cause))


def parts_of(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What rebuild_exception needs: arguments for Python's own constructor, attributes."""
    reduced = getattr(_builtin_base(type(error)), "__reduce__")(error)
    fields = reduced[2] if len(reduced) > 2 and isinstance(reduced[2], dict) else error.__dict__
    return reduced[1], fields


def rebuild_exception(cls: type, args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    """An exception made without the constructor of the user's class, which may want anything.

    Python's own sets what is not in __dict__, such as OSError.filename and UnicodeError.start.
    """
    builtin = _builtin_base(cls)
    try:
        made = getattr(builtin, "__new__")(cls, *args)
    except TypeError:  # it holds nothing of its own, and another base of `cls` is in charge
        made = Exception.__new__(cls, *args)
    getattr(builtin, "__init__")(made, *args)
    BaseException.__setstate__(made, fields)
    return made


def _builtin_base(cls: type) -> type:
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")


def _rebuild_task_error(*fields: Any) -> RayTaskError:
    return RayTaskError(*fields).as_instanceof_cause()


_CLASSES: dict[str, type[_TaskFailure]] = {
    "WORKER_CRASHED": WorkerCrashedError,
    "CANCELLED": TaskCancelledError,
    "TIMED_OUT": TaskTimeoutError,
    "UNSCHEDULABLE": TaskUnschedulableError,
    "FUNCTION_NOT_FOUND": CrossLanguageError,
    "INVALID_ARGUMENTS": CrossLanguageError,
    "OBJECT_STORE_FULL": ObjectStoreFullError,
    "RESOURCE_EXHAUSTED": RaySystemError,
    "OBJECT_LOST": ObjectLostError,
    "ACTOR_DIED": ActorDiedError,
    "ACTOR_UNAVAILABLE": ActorUnavailableError,
}


def _make_error(
    kind: str, type_name: str, message: str, task: str, pid: int, chain: list[str],
    traceback_str: str, pickled: bytes,
) -> BaseException:
    """The exception for an error value; called by the binding."""
    if kind == "TASK_FAILED":
        if not pickled and not traceback_str:  # of a language without tracebacks
            return CrossLanguageError(f"{type_name}: {message}", task, pid, tuple(chain))
        return RayTaskError(message, task, pid, tuple(chain), traceback_str, type_name,
                            pickled).as_instanceof_cause()
    made = _CLASSES.get(kind, RaySystemError)
    if issubclass(made, RayActorError):
        return made(message, task, pid, tuple(chain), traceback_str, pickled)
    if made is WorkerCrashedError and "(SIGKILL)" in message:
        made = OutOfMemoryError
        message += ("\n  SIGKILL comes from the system when memory runs out (see dmesg), or from "
                    "somebody who killed the process")
    return made(message, task, pid, tuple(chain))


KilnError = RayError
KilnTaskError = RayTaskError
