"""Handles on actors, and their methods."""

from __future__ import annotations

import functools
from typing import Any, Callable, Generic, TypeVar

from kiln import _definitions, _kiln, _session
from kiln._actor_info import ActorInfo, MethodInfo, load_info
from kiln._actor_options import MethodOptions
from kiln._generator import ObjectRefGenerator

T = TypeVar("T")


class ActorHandle(Generic[T]):
    """An actor, wherever it runs: `handle.method.remote(...)` calls it.

    Handles can be arguments of tasks and calls, and parts of values. The actor ends when the last
    one has gone, unless it is detached. Two handles are equal if they are of one actor.
    """

    # Names that no method of a user has.
    _kiln_ref: Any
    _kiln_info: ActorInfo
    _kiln_session: _kiln.Session

    def __init__(self, session: _kiln.Session, ref: Any, info: ActorInfo) -> None:
        self.__dict__.update(_kiln_session=session, _kiln_ref=ref, _kiln_info=info)

    def __getattr__(self, name: str) -> ActorMethod:
        info: ActorInfo | None = self.__dict__.get("_kiln_info")
        method = info.find(name) if info is not None else None
        if info is None or method is None:
            raise AttributeError(_explain_missing(info, name))
        made = ActorMethod(self._kiln_session, self._kiln_ref, info, name, method, method.options)
        self.__dict__[name] = made  # found without this function next time
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name!r} cannot be set on a handle: the actor's attributes are in its "
                             f"process, and only its methods can reach them")

    def __dir__(self) -> list[str]:
        return sorted(self._kiln_info.methods)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"a handle cannot be called; call a method: handle.method.remote(...); "
                        f"{_methods_of(self._kiln_info)}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and bool(self._kiln_ref == other._kiln_ref)

    def __hash__(self) -> int:
        return hash(self._kiln_ref)

    def __repr__(self) -> str:
        return f"Actor({self._kiln_info.name}, {self._kiln_ref.hex()})"

    @property
    def _actor_id(self) -> str:
        """Ray's private name for the id; 16 hexadecimal digits."""
        return self._kiln_ref.hex()  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        return restore_handle, (self._kiln_ref, self._kiln_info.blob())

    def __copy__(self) -> ActorHandle[T]:
        return self

    def __deepcopy__(self, memo: Any) -> ActorHandle[T]:
        return self


def restore_handle(ref: Any, blob: bytes) -> ActorHandle[Any]:
    """What a pickled handle calls."""
    return ActorHandle(_session.current(), ref, load_info(blob))


class ActorMethod:
    """A method of an actor, from a handle.

    Attributes:
        remote: Queues a call and returns the ref of its result: a list of refs if num_returns is
            above 1, None if it is 0, an ObjectRefGenerator if it is "streaming". Calls of one
            program run in the order in which they were queued. Raises TypeError (the arguments do
            not fit the method, or one cannot be pickled), PendingCallsLimitExceeded.
    """

    __slots__ = ("remote", "_session", "_ref", "_info", "_name", "_method", "_options")

    remote: Callable[..., Any]

    def __init__(self, session: _kiln.Session, ref: Any, info: ActorInfo, name: str,
                 method: MethodInfo, options: MethodOptions) -> None:
        self._session = session
        self._ref = ref
        self._info = info
        self._name = name
        self._method = method
        self._options = options
        # No part of it knows this object: no cycle keeps an actor alive.
        arity = method.arity
        finish: Callable[[Any], Any] | None = None
        if options.streaming:
            finish = functools.partial(ObjectRefGenerator, session, name=f"{info.name}.{name}")
        elif options.num_returns == 0:
            finish = _nothing
        self.remote = _kiln.ActorCall(
            ref, _kind_of(session, info, name, options), -1 if arity is None else arity[0],
            -1 if arity is None else int(min(arity[1], 2**62)), info.max_pending_calls,
            functools.partial(_check_call, info, name, method), finish)

    def options(self, **changes: Any) -> ActorMethod:
        """The same method with other options: num_returns, name, concurrency_group,
        max_task_retries, retry_exceptions, stream_window."""
        if isinstance(changes.get("retry_exceptions"), (list, tuple)):
            raise ValueError("retry_exceptions: which exceptions are worth another run is said where "
                             "the method is: @kiln.method(retry_exceptions=[...]); here it is a bool")
        changed = self._options.with_changes(changes)
        return ActorMethod(self._session, self._ref, self._info, self._name, self._method, changed)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"methods of an actor cannot be called directly: use "
                        f"handle.{self._name}.remote(...)")

    def __repr__(self) -> str:
        return f"ActorMethod({self._info.name}.{self._name})"

    def __reduce__(self) -> Any:
        return _restore_method, (ActorHandle(self._session, self._ref, self._info), self._name,
                                 self._options)


def _restore_method(handle: ActorHandle[Any], name: str, options: MethodOptions) -> ActorMethod:
    method: ActorMethod = getattr(handle, name)
    return ActorMethod(method._session, method._ref, method._info, name, method._method, options)


def _nothing(ref: Any) -> None:
    return None


def _kind_of(session: _kiln.Session, info: ActorInfo, name: str, options: MethodOptions
             ) -> _kiln.TaskKind:
    """The kind of task that a call is; the head has each once, for all actors of a class."""
    retries = info.max_task_retries if options.max_task_retries is None else options.max_task_retries
    shown = options.name or f"{info.name}.{name}"
    key = ("method", name, shown, info.any_language, retries, *options._replace(name=None))
    kinds = _definitions.of(session).kinds
    kind = kinds.get(key)
    if kind is None:
        count = options.num_returns if isinstance(options.num_returns, int) else 1
        kind = kinds[key] = session.define_method(
            function=name, name=shown, max_retries=retries,
            retry_exceptions=bool(options.retry_exceptions), num_returns=max(count, 1),
            streaming=options.streaming, stream_window=options.stream_window,
            concurrency_group=options.concurrency_group, any_language=info.any_language)
    return kind


def _check_call(info: ActorInfo, name: str, method: MethodInfo, args: tuple[Any, ...],
                kwargs: dict[str, Any]) -> None:
    """Raises TypeError for arguments that do not fit; called by the binding where it cannot tell."""
    if info.any_language and kwargs:
        raise TypeError(f"{info.name}.{name} is written in {info.language}: it takes no keyword "
                        f"arguments, and was given {next(iter(kwargs))}=")
    if info.cls is not None:
        check_signature(getattr(info.cls, name, None), f"{info.name}.{name}", args, kwargs,
                        _own_count(info.cls, name))
    elif method.arity is not None and not kwargs:
        least, most = method.arity
        if not least <= len(args) <= most:
            raise TypeError(f"{info.name}.{name}.remote(): {len(args)} arguments given; the method is "
                            f"{name}({method.text})")


def _own_count(cls: type, name: str) -> int:
    """Parameters that are not the caller's: `self`, in a function that was looked up in its class."""
    for base in cls.__mro__:
        if name in vars(base):
            return 0 if isinstance(vars(base)[name], (staticmethod, classmethod)) else 1
    return 0


def check_signature(function: Any, shown: str, args: tuple[Any, ...], kwargs: dict[str, Any],
                    own: int = 0) -> None:
    """Raises TypeError if a function does not take this call. `own`: parameters not the caller's."""
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a builtin: it checks by itself
        return
    try:
        signature.bind(*[None] * own, *args, **kwargs)
    except TypeError as error:
        if own:
            parameters = list(signature.parameters.values())
            if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
                signature = signature.replace(parameters=parameters[own:])
        raise TypeError(f"{shown}.remote(): {error}; the function is {shown}{signature}") from None


def _methods_of(info: ActorInfo) -> str:
    public = [known for known in sorted(info.methods) if not known.startswith("_")]
    return f"{info.name} has {', '.join(public[:20]) or 'no methods'}"


def _explain_missing(info: ActorInfo | None, name: str) -> str:
    if info is None:
        return f"an actor has no method {name!r}"
    if isinstance(getattr(info.cls, name, None), property):
        return (f"{name!r} is a property of {info.name}; it is in the actor's process, and only methods "
                f"can be called from here")
    import difflib

    near = difflib.get_close_matches(name, info.methods)
    hint = f"did you mean {', '.join(near)}?" if near else _methods_of(info)
    return f"the actor {info.name} has no method {name!r}; {hint}"
