"""Options of actors and of their methods, checked where they are given."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, TypeVar, Union

from kiln._options import (MAX_RETURNS, ONLY_RAYS, check_amount, check_call_options, check_count,
                           refuse_unknown)
from kiln._placement import ANYWHERE, Placement, take_placement

F = TypeVar("F", bound=Callable[..., Any])

# Options of Ray's actors that mean nothing here, whatever they ask for.
PASSED_OVER = ("enable_task_events", "enable_tensor_transport", "allow_out_of_order_execution",
                "_metadata", "_labels")
_ASYNC_CONCURRENCY = 1000  # calls of an async actor that may be under way, as in Ray
_METHOD_MARK = "__kiln_method__"
_MOST = 2**31 - 1


class ActorOptions(NamedTuple):
    """How an actor lives; Ray's names and defaults.

    Attributes:
        num_cpus: CPUs it needs to be placed and holds while it lives. None: 1 while its constructor
            runs and none afterwards, so that there may be more actors than CPUs.
        resources: Custom resources it holds while it lives.
        memory: Logical memory in bytes it holds while it lives.
        name: To be found by, see get_actor; unique in its namespace. None: it has none.
        namespace: Of the name; None: the one of this program, see init.
        lifetime: "detached": it lives until it is killed; None: until its last handle goes or its
            program ends.
        get_if_exists: If the name is taken, `remote` returns the actor that has it.
        max_restarts: Started anew this often when its process died; -1 without end.
        max_task_retries: A call that was lost with the process runs again this often once the actor
            was restarted; -1 without end. 0: a call runs at most once.
        max_concurrency: Calls that may run at the same time. None: 1, or 1000 if it has async
            methods.
        max_pending_calls: Unfinished calls that one program may have; beyond it `remote` raises
            PendingCallsLimitExceeded. -1: no bound.
        concurrency_groups: Groups of methods with a number of calls of their own: {"io": 2}.
        placement: The placement group it lives in, given as for tasks.
    """

    num_cpus: Union[float, None] = None
    resources: dict[str, float] = {}
    memory: int = 0
    name: Union[str, None] = None
    namespace: Union[str, None] = None
    lifetime: Union[str, None] = None
    get_if_exists: bool = False
    max_restarts: int = 0
    max_task_retries: int = 0
    max_concurrency: Union[int, None] = None
    max_pending_calls: int = -1
    concurrency_groups: dict[str, int] = {}
    placement: Placement = ANYWHERE

    @property
    def detached(self) -> bool:
        """It outlives the program that made it."""
        return self.lifetime == "detached"

    def concurrency(self, is_async: bool) -> int:
        """Calls of the default group that may run at the same time."""
        if self.max_concurrency is not None:
            return self.max_concurrency
        return _ASYNC_CONCURRENCY if is_async else 1

    def check(self) -> None:
        """Raises TypeError or ValueError for an option that is none."""
        if self.num_cpus is not None:
            check_amount("num_cpus", self.num_cpus)
        check_amount("memory", self.memory)
        for name, amount in self.resources.items():
            if name == "CPU":
                raise ValueError("resources: use num_cpus for CPUs")
            check_amount(f"resources[{name!r}]", amount)
        for option, text in (("name", self.name), ("namespace", self.namespace)):
            if text is not None and not isinstance(text, str):
                raise TypeError(f"{option} is {text!r}; it must be a str")
            if text == "":
                raise ValueError(f"{option} is empty; leave it out for an actor without one")
        if self.lifetime not in (None, "detached", "non_detached"):
            raise ValueError(f'lifetime is {self.lifetime!r}; it must be "detached", "non_detached" '
                             f"or None")
        if not isinstance(self.get_if_exists, bool):
            raise TypeError(f"get_if_exists is {self.get_if_exists!r}; it must be a bool")
        if self.get_if_exists and self.name is None:
            raise ValueError("get_if_exists needs a name to look for: .options(name=..., "
                             "get_if_exists=True)")
        check_count("max_restarts", self.max_restarts, -1, _MOST)
        check_count("max_task_retries", self.max_task_retries, -1, _MOST)
        check_count("max_pending_calls", self.max_pending_calls, -1, _MOST)
        if self.max_concurrency is not None:
            check_count("max_concurrency", self.max_concurrency, 1, _MOST)
        for name, count in self.concurrency_groups.items():
            if not isinstance(name, str) or not name:
                raise TypeError(f"concurrency_groups: {name!r} is no name")
            check_count(f"concurrency_groups[{name!r}]", count, 1, _MOST)

    def with_changes(self, changes: dict[str, Any]) -> ActorOptions:
        """These options with others; names and values are checked."""
        changes = {name: value for name, value in changes.items() if name not in PASSED_OVER}
        for name in ONLY_RAYS:
            if not changes.get(name):  # asks for nothing
                changes.pop(name, None)
        if "num_returns" in changes:
            raise ValueError("num_returns is an option of methods, not of actors: "
                             "@kiln.method(num_returns=2)")
        refuse_unknown(changes, "an actor", self._fields)
        take_placement(changes)
        for name in ("resources", "memory", "max_restarts", "max_task_retries", "max_pending_calls",
                     "concurrency_groups", "get_if_exists"):
            if name in changes and changes[name] is None:  # Ray's way of saying "the default"
                del changes[name]
        if "concurrency_groups" in changes:
            changes["concurrency_groups"] = _groups(changes["concurrency_groups"])
        changed = self._replace(**changes)
        changed.check()
        return changed


class MethodOptions(NamedTuple):
    """How a method is called; Ray's names and defaults.

    Attributes:
        num_returns: Results: a number, each with a ref of its own (0: none), or "streaming" for a
            generator whose items come one by one. None: "streaming" for a generator, else 1.
        concurrency_group: One of the actor's concurrency_groups; "": the default one.
        max_task_retries: As that of the actor, for this method; None: the actor's.
        retry_exceptions: A call that raises runs again, at once, as often as max_task_retries says:
            True, or a list of exception classes.
        stream_window: Of a streaming method: items it may be ahead of who takes them; 0: no bound.
        name: Of the call, in errors and `kiln list tasks`; None: "Class.method".
    """

    num_returns: Union[int, str, None] = None
    concurrency_group: str = ""
    max_task_retries: Union[int, None] = None
    retry_exceptions: Union[bool, tuple[type, ...]] = False
    stream_window: int = 0
    name: Union[str, None] = None

    @property
    def streaming(self) -> bool:
        """It is a generator whose items come one by one."""
        return self.num_returns == "streaming"

    def check(self) -> None:
        """Raises TypeError or ValueError for an option that is none."""
        if self.num_returns is not None and self.num_returns != "streaming":
            check_count("num_returns", self.num_returns, 0, MAX_RETURNS,
                        ' or "streaming" for generators')
        if not isinstance(self.concurrency_group, str):
            raise TypeError(f"concurrency_group is {self.concurrency_group!r}; it must be a str")
        if self.max_task_retries is not None:
            check_count("max_task_retries", self.max_task_retries, -1, _MOST)
        check_count("stream_window", self.stream_window, 0, _MOST)
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name is {self.name!r}; it must be a str")

    def with_changes(self, changes: dict[str, Any]) -> MethodOptions:
        """These options with others; names and values are checked."""
        changes = {name: value for name, value in changes.items()
                   if name not in PASSED_OVER and name != "tensor_transport"}
        check_call_options(changes, "a method", self._fields)
        for name in ("concurrency_group", "stream_window", "retry_exceptions"):
            if name in changes and changes[name] is None:
                del changes[name]
        changed = self._replace(**changes)
        changed.check()
        return changed


def _groups(given: Any) -> dict[str, int]:
    """Concurrency groups in one of Ray's two forms."""
    if isinstance(given, dict):
        return given
    try:
        return {group["name"]: group["max_concurrency"] for group in given}
    except (TypeError, KeyError):
        raise TypeError(f'concurrency_groups is {given!r}; it must be a dict of names and numbers of '
                        f'calls, such as {{"io": 2}}') from None


def method(*args: Any, **options: Any) -> Callable[[F], F]:
    """Options of an actor's method, as a decorator in its class.

        @kiln.remote
        class Store:
            @kiln.method(num_returns=2, concurrency_group="io")
            def load(self): ...

    Args:
        **options: See MethodOptions: num_returns, concurrency_group, max_task_retries,
            retry_exceptions, stream_window.

    Raises:
        TypeError: Used without options.
        ValueError: An unknown option, or one out of range.
    """
    if args or not options:
        raise TypeError("kiln.method takes options: @kiln.method(num_returns=2); a method without "
                        "options needs no decorator")
    if "name" in options:
        raise ValueError("name is an option of a call: handle.method.options(name=...)")
    checked = METHOD_DEFAULTS.with_changes(options)

    def mark(function: F) -> F:
        setattr(function, _METHOD_MARK, checked)
        return function

    return mark


def method_options_of(function: Any) -> MethodOptions:
    """What @kiln.method said of a method."""
    marked = getattr(function, _METHOD_MARK, METHOD_DEFAULTS)
    return marked if isinstance(marked, MethodOptions) else METHOD_DEFAULTS


ACTOR_DEFAULTS = ActorOptions()
METHOD_DEFAULTS = MethodOptions()
