"""The actor that this process is, if it is one: what its code can know of itself."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from kiln.exceptions import AsyncioActorExit

if TYPE_CHECKING:
    from kiln._actor_info import ActorInfo

# The keyword under which a constructor is told what its class does not say: name, namespace,
# max_task_retries, max_pending_calls, max_concurrency, concurrency_groups.
SETUP = "__kiln_actor__"


class CurrentActor:
    """What this process knows of the actor that it is.

    Attributes:
        id: 16 hexadecimal digits.
        name: Empty: it has none.
        namespace: Of its name.
        reconstructed: It was started anew.
        instance: The object; None until its constructor has returned.
        info: For handles on itself.
        loop_thread: Identity of the thread of its event loop; None: it has none, or not yet.
    """

    def __init__(self, id: str, name: str, namespace: str, reconstructed: bool, info: ActorInfo) -> None:
        self.id = id
        self.name = name
        self.namespace = namespace
        self.reconstructed = reconstructed
        self.info = info
        self.instance: Any = None
        self.loop_thread: int | None = None


_current: CurrentActor | None = None
_loop_thread: int | None = None  # of _current, found at once by those who have none
_has_warned = False


def current() -> CurrentActor | None:
    """The actor that this process is."""
    return _current


def become(actor: CurrentActor) -> None:
    """This process is that actor from now on."""
    global _current
    _current = actor


def set_loop_thread() -> None:
    """This thread runs the actor's event loop from now on."""
    global _loop_thread
    assert _current is not None
    _current.loop_thread = _loop_thread = threading.get_ident()


def warn_of_blocking(what: str) -> None:
    """Says, once, that an event loop is being blocked. Requires: there is one in this process."""
    global _has_warned
    if _has_warned or threading.get_ident() != _loop_thread:
        return
    _has_warned = True
    instead = {"get": "`await ref`", "wait": "`asyncio.wait`"}.get(what, "await")
    warnings.warn(f"kiln.{what} blocks the event loop of this async actor, and all its calls with it; "
                  f"use {instead}", RuntimeWarning, stacklevel=3)


def exit_actor() -> NoReturn:
    """Ends the actor whose method calls this; to be called in its own process.

    The call that is under way, and those that wait, raise ActorDiedError for their callers. The actor
    is not restarted, whatever its max_restarts.

    Raises:
        TypeError: This process is no actor.
    """
    if _current is None:
        raise TypeError("exit_actor() is for the methods of actors; to end one from outside, use "
                        "kiln.kill(handle)")
    if _loop_thread is not None and threading.get_ident() == _loop_thread:
        raise AsyncioActorExit("exit_actor() was called")
    error = SystemExit(0)
    setattr(error, "_kiln_exit", True)
    raise error
