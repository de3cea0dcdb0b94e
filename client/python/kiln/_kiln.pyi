"""Types of the part that is written in C++ (client/python/src)."""

import concurrent.futures
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# As kiln._actor_info has them.
_WireMethod = tuple[str, int, bool, int, str, int | None, bool]
_WireClass = tuple[str, str, list[_WireMethod], int, int]

version: str

class ObjectRef(Generic[T]):
    """Names an object that a task makes or that was put."""

    def hex(self) -> str: ...
    def binary(self) -> bytes: ...
    def future(self) -> concurrent.futures.Future[T]: ...
    def __await__(self) -> Generator[Any, None, T]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class Buffer:
    """Read-only bytes of an object, not copied; has the buffer protocol."""

    def __len__(self) -> int: ...

class TaskKind:
    """A class of tasks as `Session.submit` names it."""

    num_returns: int

class ActorCall:
    """What `handle.method.remote` is: submits calls of one method of one actor.

    Args:
        actor: Its id.
        kind: Of the calls.
        least, most: Positional arguments of calls that need no closer look; -1: all need one.
        max_pending_calls: 0: no bound.
        check: Called with arguments and keywords of a call that needs a closer look; raises.
        finish: Makes of the ref, or list of refs, what the call returns; None: nothing to be done.
    """

    def __new__(
        cls,
        actor: ObjectRef[Any],
        kind: TaskKind,
        least: int,
        most: int,
        max_pending_calls: int,
        check: Callable[[tuple[Any, ...], dict[str, Any]], None],
        finish: Callable[[Any], Any] | None,
    ) -> ActorCall: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

class Session:
    """A process's session with a head."""

    @property
    def usable(self) -> bool: ...
    @property
    def address(self) -> str: ...
    @property
    def num_cpus(self) -> float: ...
    @property
    def session_number(self) -> int: ...
    @property
    def store_bytes(self) -> int: ...
    @property
    def head_version(self) -> str: ...
    @property
    def own_head(self) -> bool: ...
    def define(
        self,
        *,
        library: str,
        function: str,
        name: str,
        num_cpus: float,
        memory: int,
        resources: dict[str, float],
        max_retries: int,
        retry_exceptions: bool,
        timeout_ms: int,
        priority: int,
        num_returns: int,
        streaming: bool,
        stream_window: int,
        detached: bool,
        any_language: bool,
        placement: tuple[int, int],
    ) -> TaskKind: ...
    def define_method(
        self,
        *,
        function: str,
        name: str,
        max_retries: int,
        retry_exceptions: bool,
        num_returns: int,
        streaming: bool,
        stream_window: int,
        concurrency_group: str,
        any_language: bool,
    ) -> TaskKind: ...
    def create_group(
        self, bundles: list[tuple[float, int, dict[str, float]]], name: str, detached: bool, /
    ) -> ObjectRef[Any]: ...
    def remove_group(self, ref: ObjectRef[Any], /) -> None: ...
    def define_actor(
        self,
        *,
        library: str,
        function: str,
        name: str,
        num_cpus: float,
        held_cpus: float,
        memory: int,
        resources: dict[str, float],
        detached: bool,
        max_restarts: int,
        max_concurrency: int,
        concurrency_groups: dict[str, int],
        any_language: bool,
        placement: tuple[int, int],
    ) -> TaskKind: ...
    def create_actor(
        self,
        kind: TaskKind,
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        name: str,
        namespace: str,
        get_if_exists: bool,
        actor_class: _WireClass,
    ) -> tuple[ObjectRef[Any], _WireClass | None]: ...
    def find_actor(self, name: str, namespace: str) -> tuple[ObjectRef[Any], _WireClass]: ...
    def kill_actor(self, actor: ObjectRef[Any], may_restart: bool) -> None: ...
    def submit(self, kind: TaskKind, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any: ...
    def put(self, value: T) -> ObjectRef[T]: ...
    def put_pickled(
        self, value: Any, dump: Callable[[Any], tuple[bytes, list[Any]]]
    ) -> ObjectRef[Any]: ...
    def get(self, ref: ObjectRef[T], timeout: float | None) -> T: ...
    def get_list(self, refs: list[Any], timeout: float | None) -> list[Any]: ...
    def wait(
        self, refs: list[ObjectRef[Any]], num_returns: int, timeout: float | None
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]: ...
    def cancel(self, ref: ObjectRef[Any], force: bool) -> None: ...
    def watch(self, ref: ObjectRef[Any]) -> None: ...
    def next_events(self) -> tuple[list[int], list[tuple[str, int, list[str]]], int, bool]: ...
    def ref_of(self, hex: str) -> ObjectRef[Any]: ...
    def keep_lines(self, keep: bool) -> None: ...
    def next_item(self, stream: ObjectRef[Any], timeout: float | None) -> ObjectRef[Any] | None: ...
    def drop_stream(self, stream: ObjectRef[Any]) -> None: ...
    def shutdown(self) -> None: ...

def connect(
    *,
    program: dict[str, Any],
    address: str,
    session_dir: str,
    start_head: bool,
    new_head: bool,
    num_cpus: int,
    object_store_memory: int,
    resources: dict[str, float],
) -> Session: ...
def find_binary(name: str) -> str: ...
def set_hooks(
    dump: Callable[[Any], tuple[bytes, list[Any]]],
    load: Callable[[Any, list[Any]], Any],
    make_error: Callable[..., BaseException],
    explain: Callable[[Any, BaseException], BaseException],
) -> None: ...
def is_actor_call(ref: ObjectRef[Any]) -> bool: ...
def current_task() -> tuple[str, str, int, float, bool] | None: ...
def cancelled() -> bool: ...
def take_interrupt() -> bool: ...
def serve_forks() -> dict[str, Any] | None: ...
def run_worker(execute: Any, on_connected: Callable[[Session], None]) -> None: ...
