"""Functions that run as tasks: @kiln.remote, kiln.cpp_function."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Callable, Generic, NamedTuple, TypeVar, overload

from kiln import _definitions, _kiln, _session
from kiln._generator import ObjectRefGenerator
from kiln._options import DEFAULTS, ONLY_RAYS, TaskOptions, refuse_unknown


if TYPE_CHECKING:
    from kiln._actor import ActorClass
    from kiln._kiln import ObjectRef

R = TypeVar("R")
T = TypeVar("T")

# As inspect has them, which takes 5 ms to import.
_CO_VARARGS = 0x4
_CO_COROUTINE = 0x80


class _Prepared(NamedTuple):
    """A function made known to one session under one set of options."""

    session: _kiln.Session
    kind: _kiln.TaskKind


class RemoteFunction(Generic[R]):
    """A function whose calls run in worker processes.

    `f.remote(...)` queues a call and returns at once; `f.options(...)` is the same function with
    other options. The function itself is `f.__wrapped__`.
    """

    def __init__(self, function: Callable[..., Any], options: TaskOptions, key: str = "") -> None:
        self._function = function
        self._options = options
        self._key = key or _definitions.new_key()
        self._prepared: _Prepared | None = None
        self._arity = _plain_arity(function)
        name = getattr(function, "__qualname__", None) or type(function).__name__
        self._name = options.name or name.rpartition("<locals>.")[2]
        functools.update_wrapper(self, function, updated=())  # its attributes are not ours

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"remote functions cannot be called directly: use {self._name}.remote(...) to run it as "
            f"a task, or {self._name}.__wrapped__(...) to call it here")

    def remote(self, /, *args: Any, **kwargs: Any) -> ObjectRef[R]:
        """Queues a call.

        An argument that is an ObjectRef is replaced by its value, for which the task waits; refs
        inside other values stay refs.

        Returns:
            The ref of the result; a list of refs if num_returns is above 1; None if it is 0; an
            ObjectRefGenerator if it is "streaming".

        Raises:
            TypeError: The arguments do not fit the function, or one cannot be pickled.
        """
        if self._arity is None or kwargs or not self._arity[0] <= len(args) <= self._arity[1]:
            self._check_call(args, kwargs)
        prepared = self._prepared
        if prepared is None or prepared.session is not _session._session:
            prepared = self._prepare()
        result: Any = prepared.session.submit(prepared.kind, args, kwargs)
        if self._options.num_returns != 1:
            result = self._as_asked(prepared.session, result)
        return result  # type: ignore[no-any-return]

    def _as_asked(self, session: _kiln.Session, result: Any) -> Any:
        if self._options.streaming:
            return ObjectRefGenerator(session, result, self._name)
        return None if self._options.num_returns == 0 else result

    def options(self, **changes: Any) -> Any:
        """The same function, a RemoteFunction, with other options; see kiln.remote.

        Typed as Any, for options decide what `remote` returns.
        """
        return RemoteFunction(self._function, self._options.with_changes(changes), self._key)

    def _check_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        import inspect

        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):  # of a builtin: it checks by itself
            return
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}.remote(): {error}; the function is "
                            f"{self._name}{signature}") from None

    def _prepare(self) -> _Prepared:
        session = _session.current()
        retry, options = self._options.retry_exceptions, self._options
        definition = _definitions.Definition(
            self._function, retry if isinstance(retry, tuple) else None, options.max_calls, self._key)
        ref = _definitions.put(session, definition, f"function {self._name}")
        kind = _define(session, options, library="", function=ref.hex(), name=self._name)
        self._prepared = _Prepared(session, kind)
        return self._prepared

    def __reduce__(self) -> Any:
        return RemoteFunction, (self._function, self._options, self._key)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(_no_method, self._name)


def _no_method(name: str, *args: Any, **kwargs: Any) -> Any:
    raise TypeError(f"{name} is a remote function in a class; kiln.remote takes functions: move it "
                    f"out of the class")


def _define(session: _kiln.Session, options: TaskOptions, *, library: str, function: str, name: str,
            any_language: bool = False, detached: bool = False) -> _kiln.TaskKind:
    """The kind of task for a function under these options; the head has each once."""
    kinds = _definitions.of(session).kinds
    key = (library, function, name, any_language, detached, *options.wire_key())
    kind = kinds.get(key)
    if kind is None:
        kind = kinds[key] = _define_new(
            session, options, library=library, function=function, name=name,
            any_language=any_language, detached=detached)
    return kind


def _define_new(session: _kiln.Session, options: TaskOptions, *, library: str, function: str,
                name: str, any_language: bool, detached: bool) -> _kiln.TaskKind:
    return session.define(
        library=library, function=function, name=name, num_cpus=float(options.num_cpus),
        memory=int(options.memory),
        resources={key: float(amount) for key, amount in options.resources.items()},
        max_retries=options.max_retries, retry_exceptions=bool(options.retry_exceptions),
        timeout_ms=0 if options.timeout is None else max(1, round(options.timeout * 1000)),
        priority=options.priority,
        num_returns=max(options.num_returns, 1) if isinstance(options.num_returns, int) else 1,
        streaming=options.streaming, stream_window=options.stream_window,
        detached=detached, any_language=any_language, placement=options.placement)


def _plain_arity(function: Any) -> tuple[int, float] | None:
    """Least and most positional arguments; None if a call must be looked at more closely."""
    code = getattr(function, "__code__", None)
    if code is None:  # an object that can be called: looking at it costs 100 us each time
        call = getattr(type(function), "__call__", None)
        known = _plain_arity(call) if hasattr(call, "__code__") else None
        return known and (max(known[0] - 1, 0), known[1] - 1)
    if code.co_kwonlyargcount or getattr(function, "__self__", None) is not None:
        return None
    if hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        return None
    most = float("inf") if code.co_flags & _CO_VARARGS else code.co_argcount
    return code.co_argcount - len(function.__defaults__ or ()), most


@overload
def remote(cls: type[T], /) -> ActorClass[T]: ...  # type: ignore[misc, overload-overlap]
@overload
def remote(function: Callable[..., R], /) -> RemoteFunction[R]: ...
@overload
def remote(**options: Any) -> Callable[[Callable[..., Any]], Any]: ...


def remote(*args: Any, **options: Any) -> Any:
    """Makes a function run as tasks, or a class one of actors; a decorator, with or without options.

        @kiln.remote
        def f(x): ...

        @kiln.remote(num_cpus=2, max_retries=0)
        def g(x): ...

        @kiln.remote(max_restarts=3)
        class Counter: ...

    Args:
        **options: Of a function see TaskOptions: num_cpus, num_returns, max_retries,
            retry_exceptions, resources, memory, timeout, priority, name, max_calls, stream_window.
            Of a class see ActorOptions: num_cpus, resources, memory, name, namespace, lifetime,
            get_if_exists, max_restarts, max_task_retries, max_concurrency, max_pending_calls,
            concurrency_groups.

    Raises:
        TypeError: Neither a function nor a class.
        ValueError: An unknown option, or one out of range.
    """
    if args:
        if len(args) > 1 or options:
            raise TypeError("kiln.remote is used as @kiln.remote or @kiln.remote(num_cpus=2), with "
                            "keyword arguments only")
        return _make(args[0], {})
    from kiln._actor_options import ACTOR_DEFAULTS, PASSED_OVER

    # Whether it will be a function or a class is not known yet; what fits neither is told at once.
    named = {name: value for name, value in options.items()
             if name not in ONLY_RAYS + PASSED_OVER and not name.startswith("_")}
    refuse_unknown(named, "tasks and actors", (*DEFAULTS._fields, *ACTOR_DEFAULTS._fields))
    of_classes = set(ACTOR_DEFAULTS._fields) - set(DEFAULTS._fields)
    if of_classes.isdisjoint(options):
        DEFAULTS.with_changes(options)
    else:
        ACTOR_DEFAULTS.with_changes(options)
    return lambda function: _make(function, options)


def _make(function: Any, changes: dict[str, Any]) -> Any:
    if isinstance(function, RemoteFunction):
        raise TypeError(f"{function._name} is a remote function already; for other options use "
                        f".options(...)")
    if isinstance(function, type):
        from kiln._actor import make_actor_class
        from kiln._actor_options import ACTOR_DEFAULTS

        return make_actor_class(function, ACTOR_DEFAULTS.with_changes(changes))
    if type(function).__name__ == "ActorClass":
        raise TypeError(f"{function!r} is a class of actors already; for other options use "
                        f".options(...)")
    options = DEFAULTS.with_changes(changes)
    if not callable(function):
        raise TypeError(f"kiln.remote takes a function or a class, got {type(function).__name__}")
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & _CO_COROUTINE:
        raise TypeError(f"{getattr(function, '__name__', function)} is async: an async function "
                        f"cannot be a task; call asyncio.run in a plain one")
    return RemoteFunction(function, options)


class CppFunction:
    """A function of a task library in C++, called from Python. See cpp_function."""

    def __init__(self, library: str, function: str, options: TaskOptions) -> None:
        self._library = library
        self._function = function
        self._options = options
        self._prepared: _Prepared | None = None

    def remote(self, *args: Any) -> Any:
        """Queues a call with values that both languages have; see RemoteFunction.remote."""
        prepared = self._prepared
        if prepared is None or prepared.session is not _session._session:
            session = _session.current()
            kind = _define(session, self._options, library=self._library, function=self._function,
                           name=self._options.name or self._function, any_language=True)
            prepared = self._prepared = _Prepared(session, kind)
        result = prepared.session.submit(prepared.kind, args, {})
        return None if self._options.num_returns == 0 else result

    def options(self, **changes: Any) -> CppFunction:
        """The same function with other options."""
        changed = self._options.with_changes(changes)
        if changed.streaming:
            raise ValueError('num_returns="streaming": a C++ function gives its result as a whole')
        return CppFunction(self._library, self._function, changed)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"use {self._function}.remote(...) to run the C++ function as a task")

    def __repr__(self) -> str:
        return f"cpp_function({self._library!r}, {self._function!r})"


def library_path(library: str) -> str:
    """The absolute path of a task library. Raises: FileNotFoundError."""
    path = os.path.abspath(library)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no task library {path}")
    return path


def cpp_function(library: str, function: str) -> CppFunction:
    """A function that a task library registers with KILN_TASK.

        add = kiln.cpp_function("build/lib/libtasks.so", "Add")
        kiln.get(add.remote(1, 2))

    Args:
        library: Path of the library.
        function: The name it was registered under. Whether there is one shows in the task's result.

    Raises:
        FileNotFoundError: There is no such library.
    """
    return CppFunction(library_path(library), function, DEFAULTS)


def explain_argument(place: int | str, error: BaseException) -> BaseException:
    """The exception for an argument that could not be encoded; called by the binding."""
    if type(error).__module__ == "kiln.exceptions" or not isinstance(error, Exception):
        return error
    which = f"argument {place + 1}" if isinstance(place, int) else f"argument {place}="
    better = TypeError(f"{which} cannot be sent to another process: {type(error).__name__}: {error}")
    better.__cause__ = error
    return better
