"""put, get, wait, cancel, and what a program asks about itself and its head."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Iterable, Sequence, TypeVar, overload

from kiln import _current_actor, _events, _kiln, _session
from kiln._generator import ObjectRefGenerator
from kiln._kiln import ObjectRef
from kiln.exceptions import RaySystemError

if TYPE_CHECKING:  # takes 7 ms to import
    import concurrent.futures

    from kiln._actor_handle import ActorHandle

T = TypeVar("T")


def put(value: T) -> ObjectRef[T]:
    """Stores a value, once, for any number of tasks.

    Returns:
        Its ref. The object lives as long as somebody holds a ref of it.

    Raises:
        ObjectStoreFullError: It finds no room.
        TypeError: It cannot be pickled, or is a ref.
    """
    return _session.current().put(value)


@overload
def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
def get(refs: Sequence[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...


def get(refs: Any, *, timeout: float | None = None) -> Any:
    """Waits for objects and returns their values.

    Arrays of NumPy are read-only views on the store: nothing is copied, and `array.copy()` makes one
    that can be written to.

    Args:
        refs: A ref, or a list of refs.
        timeout: Seconds to wait; None: as long as it takes; 0: not at all.

    Returns:
        The value, or a list of values in the order of the refs.

    Raises:
        RayTaskError: The task raised; it is also an instance of what it raised.
        GetTimeoutError: Not all were there in time.
        RayError: Another of kiln.exceptions.
    """
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout is {timeout!r}; it must be None, 0 or more")
    if _current_actor._loop_thread is not None:
        _current_actor.warn_of_blocking("get")
    if type(refs) is ObjectRef:
        return _session.current().get(refs, timeout)
    if isinstance(refs, list):
        return _session.current().get_list(refs, timeout)
    if isinstance(refs, (tuple, set)):
        refs = list(refs)
        return _session.current().get_list(refs, timeout)
    if isinstance(refs, ObjectRefGenerator):
        raise TypeError("get of a generator: iterate over it, and get the refs it gives")
    raise TypeError(f"get takes an ObjectRef or a list of them, got {type(refs).__name__}"
                    + ("; f.remote(...) returns refs" if callable(refs) else ""))


def wait(
    refs: Sequence[ObjectRef[T]], *, num_returns: int = 1, timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[ObjectRef[T]], list[ObjectRef[T]]]:
    """Waits until `num_returns` of the objects are there, errors included, or the time is over.

    Args:
        refs: A list of refs.
        num_returns: How many to wait for, at most as many as there are refs.
        timeout: Seconds; None: as long as it takes; 0: only looks.
        fetch_local: Accepted for Ray's sake; on one machine every object is local.

    Returns:
        (ready, not_ready), each in the order of `refs`; at most num_returns are in `ready`.
    """
    if isinstance(refs, ObjectRef):
        raise TypeError("wait takes a list of refs, got one ref; use kiln.wait([ref])")
    refs = refs if isinstance(refs, list) else list(refs)
    if isinstance(num_returns, bool) or not isinstance(num_returns, int) or num_returns < 1:
        raise ValueError(f"num_returns is {num_returns!r}; it must be 1 or more")
    if num_returns > len(refs):
        raise ValueError(f"num_returns is {num_returns}, and there are only {len(refs)} refs")
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout is {timeout!r}; it must be None, 0 or more")
    if _current_actor._loop_thread is not None and timeout != 0:
        _current_actor.warn_of_blocking("wait")
    return _session.current().wait(refs, num_returns, timeout)


def cancel(ref: Any, *, force: bool = False, recursive: bool = True) -> None:
    """Cancels the task or the call that makes an object, and the tasks it has submitted.

    A queued one is dropped. A task that runs gets KeyboardInterrupt in its main thread, also in the
    middle of a sleep; with `force` its worker is killed. A call of an async actor's coroutine gets
    asyncio.CancelledError; other methods of actors must look at get_runtime_context().is_canceled().
    get raises TaskCancelledError then, unless the task finishes all the same.

    Args:
        ref: Any of the task's refs, or its generator.
        force: Kill the worker; not for calls of actors.
        recursive: Must be true: what a cancelled task has submitted is cancelled with it.

    Raises:
        ValueError: force for a call of an actor; kiln.kill(handle) ends the actor.
    """
    if not recursive:
        raise ValueError("recursive=False: kiln always cancels what a cancelled task has submitted")
    if isinstance(ref, ObjectRefGenerator):
        ref = ref.completed()
        if ref is None:
            return
    if force and isinstance(ref, ObjectRef) and _kiln.is_actor_call(ref):
        raise ValueError("force=True for a call of an actor: it would end the actor, and all its "
                         "calls; use kiln.kill(handle) for that, or force=False")
    _session.current().cancel(ref, force)


class RuntimeContext:
    """Where the calling code runs; see get_runtime_context."""

    def _task(self) -> tuple[str, str, int, float, bool] | None:
        return _kiln.current_task()

    def get_task_id(self) -> str | None:
        """Id of the task, 16 hexadecimal digits; None outside of a task."""
        task = self._task()
        return task[0] if task else None

    def get_task_name(self) -> str | None:
        """Name of the task; None outside of one."""
        task = self._task()
        return task[1] if task else None

    def get_attempt_number(self) -> int:
        """0 for the first run of the task, 1 for the first retry."""
        task = self._task()
        return task[2] if task else 0

    def is_canceled(self) -> bool:
        """True if the task was asked to stop."""
        return _kiln.cancelled()

    def get_actor_id(self) -> str | None:
        """Id of the actor that this process is, 16 hexadecimal digits; None if it is none."""
        actor = _current_actor.current()
        return actor.id if actor else None

    def get_actor_name(self) -> str | None:
        """Name of the actor; "" if it has none, None outside of one."""
        actor = _current_actor.current()
        return actor.name if actor else None

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """True in an actor that was started anew."""
        actor = _current_actor.current()
        return actor is not None and actor.reconstructed

    @property
    def current_actor(self) -> ActorHandle[Any]:
        """A handle on the actor that this process is, to be given to others.

        Raises:
            RuntimeError: It is none.
        """
        actor = _current_actor.current()
        if actor is None:
            raise RuntimeError("current_actor is for the methods of actors")
        from kiln._actor_handle import ActorHandle

        session = _session.current()
        return ActorHandle(session, session.ref_of(actor.id), actor.info)

    @property
    def namespace(self) -> str:
        """Of the names of actors that say none."""
        return _session.namespace_or(None)

    def get_worker_id(self) -> str:
        """The process id in text: a worker is a process."""
        return str(os.getpid())

    def get_job_id(self) -> str:
        """Number of the session in 8 hexadecimal digits."""
        return f"{_session.current().session_number:08x}"

    def get_node_id(self) -> str:
        """Address of the head: there is one node."""
        return _session.current().address

    def get_assigned_resources(self) -> dict[str, float]:
        """What the task holds: {"CPU": 1.0}; empty outside of a task."""
        task = self._task()
        return {"CPU": task[3]} if task else {}

    @property
    def gcs_address(self) -> str:
        """Address of the head."""
        return _session.current().address


_runtime_context = RuntimeContext()


def get_runtime_context() -> RuntimeContext:
    """What the calling code can know of itself: task, attempt, actor, worker, head."""
    return _runtime_context


def _ask(*arguments: str) -> Any:
    """The answer of the command `kiln` in JSON.

    A process of its own, so that this one has no threads of gRPC, which no fork survives.
    """
    import json
    import subprocess

    session = _session.current()
    command = [_kiln.find_binary("kiln"), *arguments, "--json", "--address", session.address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip()
        try:
            reason = json.loads(reason)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            pass  # it is for people
        raise RaySystemError(f"the head does not tell its state: {reason}")
    return json.loads(done.stdout)


def _resources(amounts: dict[str, Any], store_bytes: int) -> dict[str, float]:
    named = {"CPU": float(amounts.get("num_cpus", 0)), "memory": float(amounts.get("memory_bytes", 0)),
             "object_store_memory": float(store_bytes)}
    named.update({name: float(amount) for name, amount in amounts.get("custom", {}).items()})
    return named


def cluster_resources() -> dict[str, float]:
    """What the head has: {"CPU": 8.0, "memory": bytes, "object_store_memory": bytes, ...}."""
    status = _ask("status")
    return _resources(status["total"], int(status["store_capacity_bytes"]))


def available_resources() -> dict[str, float]:
    """What of it is free now; resources of which nothing is free are left out, as in Ray."""
    status = _ask("status")
    total = _resources(status["total"], int(status["store_capacity_bytes"]))
    used = _resources(status.get("used", {}), int(status.get("store_used_bytes", 0)))
    free = {name: amount - used.get(name, 0.0) for name, amount in total.items()}
    return {name: amount for name, amount in free.items() if amount > 0}


def nodes() -> list[dict[str, Any]]:
    """The machines: this one, with Ray's keys."""
    session = _session.current()
    host = os.uname().nodename
    return [{"NodeID": session.address, "Alive": True, "NodeName": host, "NodeManagerHostname": host,
             "NodeManagerAddress": "127.0.0.1", "Resources": cluster_resources()}]


def timeline(filename: str | None = None) -> list[dict[str, Any]] | None:
    """The tasks that ran last as a Chrome trace, for Perfetto (ui.perfetto.dev).

    Args:
        filename: Where to write it as JSON; None: return the events.
    """
    rows = _ask("list", "tasks", "--limit", "100000")
    rows = rows["tasks"] if isinstance(rows, dict) else rows
    events = []
    for row in rows:
        run_us = int(row.get("run_us", 0) or 0)
        ended_us = int(row.get("ended_us", 0) or 0)
        if not ended_us:
            continue
        events.append({
            "name": row["name"], "cat": "task", "ph": "X", "ts": ended_us - run_us, "dur": run_us,
            "pid": "kiln", "tid": f"worker {row.get('worker_pid', 0)}",
            "args": {"id": row["id"], "state": row["state"], "attempt": row.get("attempt", 0)}})
    events.sort(key=lambda event: int(event["ts"]))
    if filename is None:
        return events
    import json

    with open(filename, "w", encoding="utf-8") as file:
        json.dump(events, file)
    return None


def _future(self: ObjectRef[Any]) -> concurrent.futures.Future[Any]:
    """A concurrent.futures.Future of the object's value."""
    return _events.future_of(_session.current(), self)


def _await(self: ObjectRef[Any]) -> Any:
    import asyncio

    return asyncio.wrap_future(_future(self)).__await__()


def _of_type(cls: type, item: Any) -> type:
    return cls


def _iterate(self: ObjectRef[Any]) -> Iterable[Any]:
    raise TypeError("an ObjectRef is one object: get it first, or use num_returns=n for n refs")


# What a ref can do beyond what the binding gives it.
for _name, _method in (("future", _future), ("__await__", _await), ("__iter__", _iterate),
                       ("__class_getitem__", classmethod(_of_type))):
    setattr(ObjectRef, _name, _method)
