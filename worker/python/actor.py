"""The actor that this process becomes: its instance, and what of it can be called."""

from __future__ import annotations

import inspect
import sys
from typing import Any, Callable

from kiln import _current_actor, _kiln
from kiln._actor_info import CALL, READY, TERMINATE, info_of, is_async, name_of
from kiln._actor_options import ACTOR_DEFAULTS, method_options_of
from kiln._current_actor import CurrentActor
from kiln.worker import async_actor, modules
from kiln.worker.retry import RetryOnly

# Called when the actor ends by itself, Ray's name and ours.
_SHUTDOWN = ("__ray_shutdown__", "__kiln_shutdown__")


def construct(cls: Any, id: str, attempt: int, /, *args: Any, **kwargs: Any) -> tuple[str, bool]:
    """Makes the instance.

    Args:
        cls: Its class.
        id: Of the actor.
        attempt: 0, or how often it was started anew.
        *args: Of the constructor.
        **kwargs: Of the constructor, and _current_actor.SETUP unless another language made the actor.

    Returns:
        What the instance says of itself, empty if its class says nothing; whether its calls are for
        an event loop.
    """
    if not isinstance(cls, type):
        raise modules.NotFound(f"{cls!r} is no class: an actor cannot be made of it")
    serves = is_async(cls)
    name, namespace, retries, most_pending, concurrency, groups = kwargs.pop(
        _current_actor.SETUP, ("", "", 0, -1, ACTOR_DEFAULTS.concurrency(serves), {}))
    actor = CurrentActor(id, name, namespace, attempt > 0, info_of(cls, retries, most_pending))
    _current_actor.become(actor)
    if serves:
        async_actor.prepare({"": concurrency, **groups})
        actor.instance = async_actor.run(cls, args, kwargs)
    else:
        actor.instance = cls(*args, **kwargs)
    return _repr_of(actor.instance), serves


def _repr_of(instance: Any) -> str:
    """What the instance says of itself, on one line; empty if its class says nothing."""
    if type(instance).__repr__ is object.__repr__:
        return ""
    try:
        text = repr(instance)
    except Exception:
        return ""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").split())[:200]


def find_method(name: str) -> Callable[..., Any]:
    """What a call of this name calls.

    Raises:
        NotFound: The instance has no such method.
    """
    actor = _current_actor.current()
    instance = actor.instance if actor else None
    special = {READY: _ready, CALL: lambda function, *args, **kwargs: function(instance, *args, **kwargs),
               TERMINATE: _current_actor.exit_actor}.get(name)
    found: Any = getattr(instance, name, special)
    if not callable(found):
        class_name = name_of(type(instance))
        raise modules.NotFound(f"the actor {class_name} has no method {name!r}; it has "
                               f"{', '.join(actor.info.methods) if actor else 'none'}")
    retry = method_options_of(found).retry_exceptions
    return RetryOnly(found, retry) if isinstance(retry, tuple) else found


def most_repeats(name: str) -> int:
    """How often a call of an async actor that raised runs again at once; -1: without end."""
    actor = _current_actor.current()
    method = actor.info.find(name) if actor else None
    if actor is None or method is None or not method.options.retry_exceptions:
        return 0
    own = method.options.max_task_retries
    return actor.info.max_task_retries if own is None else own


def _ready() -> bool:
    return True


def leave() -> None:
    """The actor ends, by itself or because nobody has a handle: its last chance to put things in order."""
    actor = _current_actor.current()
    for name in _SHUTDOWN if actor and actor.instance is not None else ():
        shutdown = getattr(actor.instance, name, None)  # type: ignore[union-attr]
        if not callable(shutdown):
            continue
        try:
            if inspect.iscoroutinefunction(shutdown):
                async_actor.finish(shutdown())
            else:
                shutdown()
        except BaseException as error:
            print(f"{name} of the actor raised {type(error).__name__}: {error}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError):
            pass  # closed or replaced


def is_exit(error: BaseException) -> bool:
    """True if the error is how a method ends its actor."""
    actor = _current_actor.current()
    return (actor is not None and actor.instance is not None and
            isinstance(error, (SystemExit, _current_actor.AsyncioActorExit)) and
            _kiln.current_task() is not None)


def explain_exit(error: BaseException, task: str) -> str:
    """How the actor came to its end, for its callers."""
    if isinstance(error, SystemExit) and not getattr(error, "_kiln_exit", False):
        return f"{task} called sys.exit({'' if error.code is None else repr(error.code)})"
    return f"{task} called exit_actor()"
