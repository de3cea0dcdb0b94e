"""What a handle knows of its actor: the methods that can be called, and how."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple, Union

from kiln._actor_options import METHOD_DEFAULTS, MethodOptions, method_options_of

# As inspect has them, which takes 5 ms to import.
_CO_VARARGS = 0x4
_CO_GENERATOR = 0x20
_CO_COROUTINE = 0x80
_CO_ASYNC_GENERATOR = 0x200

# Methods that every actor has, of Ray's names.
READY, CALL, TERMINATE = "__ray_ready__", "__ray_call__", "__ray_terminate__"

# As ActorClass.methods of the wire has one: name, num_returns, streaming, stream_window,
# concurrency_group, max_task_retries (None: the actor's), retry_exceptions.
WireMethod = tuple[str, int, bool, int, str, Union[int, None], bool]
# As the wire has a class: name, language, methods, max_task_retries, max_pending_calls (0: no bound).
WireClass = tuple[str, str, list[WireMethod], int, int]


class MethodInfo(NamedTuple):
    """One method.

    Attributes:
        options: With num_returns as it is, never None.
        arity: Least and most positional arguments; None if a call must be looked at more closely.
        text: The parameters for people; empty if they are not known.
    """

    options: MethodOptions
    arity: tuple[int, float] | None = None
    text: str = ""


class ActorInfo:
    """A class of actors as handles know it; the same in all processes.

    Attributes:
        name: For people.
        language: "python", "cpp", ...
        methods: By name; empty if any name may be called.
        max_task_retries: Of methods that say nothing of it.
        max_pending_calls: 0: no bound.
        cls: The class itself, where it is known: calls are checked against its signatures.
    """

    def __init__(self, name: str, language: str, methods: dict[str, MethodInfo], max_task_retries: int,
                 max_pending_calls: int, cls: type | None = None) -> None:
        self.name = name
        self.language = language
        self.methods = methods
        self.max_task_retries = max_task_retries
        self.max_pending_calls = max_pending_calls
        self.cls = cls
        self._blob: bytes | None = None

    @property
    def any_language(self) -> bool:
        """Arguments and results are of the kinds that all languages have."""
        return self.language != "python"

    def find(self, name: str) -> MethodInfo | None:
        """The method of this name; None if there is none."""
        found = self.methods.get(name)
        if found is not None:
            return found
        if not self.any_language:
            return _OF_ALL.get(name)
        if self.methods or name.startswith("_"):
            return None
        return MethodInfo(METHOD_DEFAULTS._replace(num_returns=1))

    def blob(self) -> bytes:
        """For load_info in another process."""
        if self._blob is None:
            self._blob = pickle.dumps((self.name, self.language, self.methods, self.max_task_retries,
                                       self.max_pending_calls), 5)
        return self._blob

    def to_wire(self, with_methods: bool) -> WireClass:
        """As the head keeps it, for who finds the actor by its name."""
        methods: list[WireMethod] = []
        for name, method in sorted(self.methods.items()) if with_methods else ():
            options = method.options
            count = options.num_returns if isinstance(options.num_returns, int) else 1
            methods.append((name, count, options.streaming, options.stream_window,
                            options.concurrency_group, options.max_task_retries,
                            bool(options.retry_exceptions)))
        return self.name, self.language, methods, self.max_task_retries, self.max_pending_calls


# Of infos that came from elsewhere, by blob: handles of one class share one.
_loaded: dict[bytes, ActorInfo] = {}


def load_info(blob: bytes) -> ActorInfo:
    """The class that `blob` describes."""
    info = _loaded.get(blob)
    if info is None:
        info = _loaded.setdefault(blob, ActorInfo(*pickle.loads(blob)))
    return info


def info_of_wire(wire: WireClass) -> ActorInfo:
    """A class as the head keeps it."""
    name, language, methods, max_task_retries, max_pending_calls = wire
    found = {}
    for method, returns, streaming, window, group, retries, retry_exceptions in methods:
        options = MethodOptions("streaming" if streaming else returns, group, retries,
                                retry_exceptions, window)
        found[method] = MethodInfo(options, (0, float("inf")))
    return ActorInfo(name, language, found, max_task_retries, max_pending_calls)


def info_of(cls: type, max_task_retries: int, max_pending_calls: int) -> ActorInfo:
    """What handles know of a Python class."""
    methods = {}
    for name, member in members_of(cls).items():
        function = _function_of(member)
        options = method_options_of(function)
        if options.num_returns is None:
            generator = _flags_of(function) & (_CO_GENERATOR | _CO_ASYNC_GENERATOR)
            options = options._replace(num_returns="streaming" if generator else 1)
        methods[name] = MethodInfo(options, arity_of(member), _parameters_of(member))
    return ActorInfo(name_of(cls), "python", methods, max_task_retries, max(max_pending_calls, 0), cls)


def name_of(cls: Any) -> str:
    """The class's name for people."""
    name: str = getattr(cls, "__qualname__", None) or cls.__name__
    return name.rpartition("<locals>.")[2]


def members_of(cls: type) -> dict[str, Any]:
    """What can be called of an instance: functions, class methods and static ones, by name."""
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is object:
            continue
        for name, member in vars(base).items():
            if callable(_function_of(member)) and not isinstance(member, (type, property)):
                members[name] = member
            else:
                members.pop(name, None)
    return members


def is_async(cls: type) -> bool:
    """It has methods for an event loop."""
    return any(_flags_of(_function_of(member)) & (_CO_COROUTINE | _CO_ASYNC_GENERATOR)
               for member in members_of(cls).values())


def _function_of(member: Any) -> Any:
    return member.__func__ if isinstance(member, (staticmethod, classmethod)) else member


def _flags_of(function: Any) -> int:
    """Flags of the function's code, also below decorators that say what they wrap."""
    for _ in range(32):
        code = getattr(function, "__code__", None)
        flags: int = getattr(code, "co_flags", 0)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is None or flags & (_CO_COROUTINE | _CO_ASYNC_GENERATOR | _CO_GENERATOR):
            return flags
        function = wrapped
    return 0


def arity_of(member: Any) -> tuple[int, float] | None:
    """Least and most positional arguments of a call of an instance's member; None if not so plain."""
    function = _function_of(member)
    code = getattr(function, "__code__", None)
    if code is None or code.co_kwonlyargcount or hasattr(function, "__wrapped__") or (
            hasattr(function, "__signature__")):
        return None
    own = 0 if isinstance(member, staticmethod) else 1
    many = bool(code.co_flags & _CO_VARARGS)
    if code.co_argcount < own:
        return (0, float("inf")) if many else None
    least = code.co_argcount - len(function.__defaults__ or ()) - own
    return max(least, 0), float("inf") if many else code.co_argcount - own


def _parameters_of(member: Any) -> str:
    code = getattr(_function_of(member), "__code__", None)
    if code is None:
        return ""
    own = 0 if isinstance(member, staticmethod) else 1
    names = list(code.co_varnames[own:code.co_argcount + code.co_kwonlyargcount])
    return ", ".join(names)


_OF_ALL = {
    READY: MethodInfo(METHOD_DEFAULTS._replace(num_returns=1), (0, 0)),
    CALL: MethodInfo(METHOD_DEFAULTS._replace(num_returns=1), (1, float("inf"))),
    TERMINATE: MethodInfo(METHOD_DEFAULTS._replace(num_returns=1), (0, 0)),
}
