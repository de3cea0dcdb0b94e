"""Options of tasks, checked where they are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Union

from kiln._placement import ANYWHERE, PLACEMENT_OPTIONS, Placement, take_placement

# Options of Ray's tasks that mean nothing on one machine.
ONLY_RAYS = ("runtime_env", "num_gpus", "accelerator_type", "label_selector")
MAX_RETURNS = 65_536  # limits::kMaxReturns


class TaskOptions(NamedTuple):
    """How a task is run; Ray's names and defaults, and `timeout` and `priority`.

    Attributes:
        num_cpus: CPUs held while it runs; fractions down to 0.0001. Logical, except that threaded
            libraries are told to use so many threads (OMP_NUM_THREADS).
        num_returns: Results: a number, each with a ref of its own (0: none), or "streaming" for a
            generator whose items come one by one.
        max_retries: Runs again this often when its worker dies; -1 without end, 0 never.
        retry_exceptions: Runs again also when it raises: True, or a list of exception classes.
        resources: Custom resources, by name, as given to `kiln start --resources` or init.
        memory: Logical memory in bytes held while it runs.
        timeout: Longest run time of one attempt in seconds; None: none. A task over it is asked to
            stop (KeyboardInterrupt), then its worker is killed; get raises TaskTimeoutError.
        priority: Higher runs earlier.
        name: Shown by `kiln list tasks`, in errors and before its output; the function's name if
            None.
        max_calls: The worker process ends after so many calls of the function; 0: never.
        stream_window: Of a streaming task: items it may be ahead of who takes them; 0: no bound.
        placement: The placement group it runs in: given as placement_group and
            placement_group_bundle_index, or as Ray's scheduling_strategy.
    """

    num_cpus: float = 1
    num_returns: Union[int, str] = 1
    max_retries: int = 3
    retry_exceptions: Union[bool, tuple[type, ...]] = False
    resources: dict[str, float] = {}
    memory: int = 0
    timeout: Union[float, None] = None
    priority: int = 0
    name: Union[str, None] = None
    max_calls: int = 0
    stream_window: int = 0
    placement: Placement = ANYWHERE

    def check(self) -> None:
        """Raises TypeError or ValueError for an option that is none."""
        check_amount("num_cpus", self.num_cpus)
        check_amount("memory", self.memory)
        for name, amount in self.resources.items():
            if name == "CPU":
                raise ValueError("resources: use num_cpus for CPUs")
            check_amount(f"resources[{name!r}]", amount)
        if self.num_returns != "streaming":
            check_count("num_returns", self.num_returns, 0, MAX_RETURNS,
                         ' or "streaming" for generators')
        check_count("max_retries", self.max_retries, -1, 2**31 - 1)
        check_count("priority", self.priority, -(2**31), 2**31 - 1)
        check_count("max_calls", self.max_calls, 0, 2**63 - 1)
        check_count("stream_window", self.stream_window, 0, 2**31 - 1)
        if self.timeout is not None:
            check_amount("timeout", self.timeout)
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name is {self.name!r}; it must be a str")

    @property
    def streaming(self) -> bool:
        """The task is a generator whose items come one by one."""
        return self.num_returns == "streaming"

    def wire_key(self) -> tuple[Any, ...]:
        """What tells kinds of tasks apart that differ in their options alone."""
        return (self.num_cpus, self.num_returns, self.max_retries, bool(self.retry_exceptions),
                tuple(sorted(self.resources.items())), self.memory, self.timeout, self.priority,
                self.stream_window, self.placement)

    def with_changes(self, changes: dict[str, Any]) -> TaskOptions:
        """These options with others; names and values are checked."""
        changes = dict(changes)
        changes.pop("enable_task_events", None)
        for name in ONLY_RAYS:
            if not changes.get(name):  # asks for nothing
                changes.pop(name, None)
        check_call_options(changes, "a task", self._fields)
        take_placement(changes)
        for name in ("resources", "memory", "max_retries", "num_cpus", "stream_window"):
            if name in changes and changes[name] is None:  # Ray's way of saying "the default"
                del changes[name]
        changed = self._replace(**changes)
        changed.check()
        return changed


def refuse_unknown(changes: dict[str, Any], of: str, fields: Sequence[str]) -> None:
    """Raises ValueError for a name that is none of the options of `of`, such as "a task"."""
    known = [name for name in dict.fromkeys(fields) if name != "placement"]
    if "placement" in fields:
        known += PLACEMENT_OPTIONS
    unknown = sorted(set(changes) - set(known))
    if not unknown:
        return
    import difflib

    near = difflib.get_close_matches(unknown[0], known, 1)
    hint = f"did you mean {near[0]}? Options" if near else "options"
    raise ValueError(f"unknown option {', '.join(unknown)}; {hint} of {of} are {', '.join(known)}")


def check_call_options(changes: dict[str, Any], of: str, fields: Sequence[str]) -> None:
    """What changes of a task's and of a method's options have in common, brought to one form.

    Raises:
        TypeError, ValueError: One is unknown, or retry_exceptions is none.
    """
    if "_generator_backpressure_num_objects" in changes:  # Ray's private name
        changes["stream_window"] = changes.pop("_generator_backpressure_num_objects")
    refuse_unknown(changes, of, fields)
    retry = changes.get("retry_exceptions")
    if isinstance(retry, (list, tuple)):
        for kind in retry:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"retry_exceptions: {kind!r} is no exception class")
        changes["retry_exceptions"] = tuple(retry)
    elif retry is not None and not isinstance(retry, bool):
        raise TypeError(f"retry_exceptions is {retry!r}; it must be a bool or a list of "
                        f"exception classes")


def check_amount(name: str, amount: Any) -> None:
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise TypeError(f"{name} is {amount!r}; it must be a number")
    if not (math.isfinite(amount) and amount >= 0):
        raise ValueError(f"{name} is {amount!r}; it must be 0 or more")


def check_count(name: str, count: Any, least: int, most: int, otherwise: str = "") -> None:
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"{name} is {count!r}; it must be a whole number{otherwise}")
    if not least <= count <= most:
        raise ValueError(f"{name} is {count!r}; it must be {least} to {most}{otherwise}")


DEFAULTS = TaskOptions()
