"""Actors: @kiln.remote on a class, get_actor, kill, kiln.cpp_actor."""

from __future__ import annotations

import functools
from typing import Any, Generic, NamedTuple, TypeVar

from kiln import _current_actor, _definitions, _kiln, _session
from kiln._actor_handle import ActorHandle, check_signature
from kiln._actor_info import ActorInfo, arity_of, info_of, info_of_wire, is_async, name_of
from kiln._actor_options import ACTOR_DEFAULTS, ActorOptions
from kiln._remote import library_path

T = TypeVar("T")


class _Prepared(NamedTuple):
    """A class made known to one session under one set of options."""

    session: _kiln.Session
    kind: _kiln.TaskKind


class _Facts(NamedTuple):
    """What is known of a class under its options."""

    is_async: bool
    arity: tuple[int, float] | None  # of the constructor; None if a call must be looked at closely
    info: ActorInfo


class ActorClass(Generic[T]):
    """A class whose instances live in processes of their own.

    `Counter.remote(...)` makes an actor and returns its handle at once; `Counter.options(...)` is the
    same class with other options. The class itself is `Counter.__wrapped__`, and what it has, such as
    constants, is here too. A class may derive from it, and must then be made remote itself.
    """

    def __init__(self, cls: type, options: ActorOptions, key: str = "") -> None:
        self._class = cls
        self._options = options
        self._key = key or _definitions.new_key()
        self._name = name_of(cls)
        self._known: _Facts | None = None
        self._prepared: _Prepared | None = None
        functools.update_wrapper(self, cls, updated=())  # its attributes are not ours

    def remote(self, /, *args: Any, **kwargs: Any) -> ActorHandle[T]:
        """Makes an actor.

        Its constructor runs in a process of its own once the arguments are there, as those of a
        task. Calls wait for it; if it raises, they raise ActorDiedError, which says so.

        Returns:
            The handle; with get_if_exists that of the actor which has the name.

        Raises:
            TypeError: The arguments do not fit the constructor, or one cannot be pickled.
            ValueError: The name is taken.
        """
        is_async, arity, info = self._facts()
        if arity is None or kwargs or not arity[0] <= len(args) <= arity[1]:
            check_signature(self._class, self._name, args, kwargs)
        prepared = self._prepared
        if prepared is None or prepared.session is not _session._session:
            prepared = self._prepare()
        options = self._options
        namespace = _session.namespace_or(options.namespace)
        concurrency = options.concurrency(is_async)
        setup = (options.name or "", namespace, options.max_task_retries, options.max_pending_calls,
                 concurrency, options.concurrency_groups)
        return _create(prepared, args, {**kwargs, _current_actor.SETUP: setup}, options, info)

    def options(self, **changes: Any) -> ActorClass[T]:
        """The same class with other options; see ActorOptions."""
        changed: ActorClass[T] = ActorClass(self._class, self._options.with_changes(changes), self._key)
        changed._facts()  # checks
        return changed

    def _facts(self) -> _Facts:
        # Not in the constructor: a class that uses itself comes out of its pickle without methods,
        # which it gets afterwards.
        if self._known is None:
            options = self._options
            info = info_of(self._class, options.max_task_retries, options.max_pending_calls)
            _check_groups(info, options)
            self._known = _Facts(is_async(self._class), _arity_of_constructor(self._class), info)
        return self._known

    def _prepare(self) -> _Prepared:
        session = _session.current()
        definition = _definitions.Definition(self._class, None, 0, self._key)
        ref = _definitions.put(session, definition, f"class {self._name}")
        kind = _define(session, self._options, library="", function=ref.hex(), name=self._name,
                       concurrency=self._options.concurrency(self._facts().is_async), any_language=False)
        self._prepared = _Prepared(session, kind)
        return self._prepared

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"actors cannot be made by calling their class: use {self._name}.remote(...) "
                        f"for an actor, or {self._name}.__wrapped__(...) for an instance here")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_class" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._class, name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self._class,)  # `class Derived(Counter)` derives from the class itself

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self._class)

    def __reduce__(self) -> Any:
        return ActorClass, (self._class, self._options, self._key)

    def __repr__(self) -> str:
        return f"ActorClass({self._name})"


def make_actor_class(cls: type[T], options: ActorOptions = ACTOR_DEFAULTS) -> ActorClass[T]:
    """What @kiln.remote makes of a class."""
    if cls.__module__ == "builtins":
        raise TypeError(f"kiln.remote of the built-in class {cls.__name__}: its methods cannot be "
                        f"called from elsewhere; write a class that has one")
    made: ActorClass[T] = ActorClass(cls, options)
    made._facts()  # checks
    return made


def _arity_of_constructor(cls: type) -> tuple[int, float] | None:
    constructor = getattr(cls, "__init__")
    if type(cls) is not type or getattr(cls, "__new__") is not object.__new__:
        return None
    return (0, 0) if constructor is object.__init__ else arity_of(constructor)


def _check_groups(info: ActorInfo, options: ActorOptions) -> None:
    for name, method in info.methods.items():
        group = method.options.concurrency_group
        if group and group not in options.concurrency_groups and options.concurrency_groups:
            raise ValueError(
                f"{info.name}.{name} is in concurrency_group {group!r}, and the actor's "
                f"concurrency_groups are {', '.join(options.concurrency_groups)}")


def _define(session: _kiln.Session, options: ActorOptions, *, library: str, function: str, name: str,
            concurrency: int, any_language: bool) -> _kiln.TaskKind:
    """The kind of task that a constructor is under these options; the head has each once."""
    groups = tuple(sorted(options.concurrency_groups.items()))
    key = ("actor", library, function, name, concurrency, options.num_cpus, options.memory,
           tuple(sorted(options.resources.items())), options.detached, options.max_restarts, groups,
           options.placement)
    kinds = _definitions.of(session).kinds
    kind = kinds.get(key)
    if kind is None:
        kind = kinds[key] = session.define_actor(
            library=library, function=function, name=name,
            num_cpus=1.0 if options.num_cpus is None else float(options.num_cpus),
            held_cpus=0.0 if options.num_cpus is None else float(options.num_cpus),
            memory=int(options.memory),
            resources={name: float(amount) for name, amount in options.resources.items()},
            detached=options.detached, max_restarts=options.max_restarts,
            max_concurrency=concurrency, concurrency_groups=dict(groups), any_language=any_language,
            placement=options.placement)
    return kind


def _create(prepared: _Prepared, args: tuple[Any, ...], kwargs: dict[str, Any],
            options: ActorOptions, info: ActorInfo) -> ActorHandle[Any]:
    session = prepared.session
    namespace = _session.namespace_or(options.namespace)
    ref, found = session.create_actor(
        prepared.kind, args, kwargs, options.name or "", namespace, options.get_if_exists,
        info.to_wire(with_methods=options.name is not None))
    return ActorHandle(session, ref, info if found is None or found[0] == info.name and (
        found[1] == info.language) else info_of_wire(found))


def get_actor(name: str, namespace: str | None = None) -> ActorHandle[Any]:
    """The actor of this name.

    Args:
        name: As given to `.options(name=...)`.
        namespace: Of the name; None: the one of this program, see init.

    Raises:
        ValueError: There is none, or it is dead.
    """
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}; it must be a str")
    if not name:
        raise ValueError("name is empty; an actor without a name cannot be found")
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError(f"namespace is {namespace!r}; it must be a str, or None for that of this "
                        f"program")
    session = _session.current()
    ref, found = session.find_actor(name, _session.namespace_or(namespace))
    return ActorHandle(session, ref, info_of_wire(found))


def kill(actor: ActorHandle[Any], *, no_restart: bool = True) -> None:
    """Ends an actor at once, in the middle of what it does; calls that have not ended fail.

    Args:
        actor: Its handle.
        no_restart: False: it is started anew, if its max_restarts allows.

    Raises:
        ValueError: Not a handle.
    """
    if not isinstance(actor, ActorHandle):
        raise ValueError(f"kiln.kill takes the handle of an actor, got {type(actor).__name__}; to end "
                         f"a task use kiln.cancel(ref)")
    actor._kiln_session.kill_actor(actor._kiln_ref, not no_restart)


class CppActorClass:
    """A class of a task library in C++, for actors made from Python. See cpp_actor."""

    def __init__(self, library: str, name: str, options: ActorOptions) -> None:
        self._library = library
        self._name = name
        self._options = options
        self._info = ActorInfo(name, "cpp", {}, options.max_task_retries,
                               max(options.max_pending_calls, 0))

    def remote(self, /, *args: Any) -> ActorHandle[Any]:
        """Makes an actor of values that both languages have; see ActorClass.remote."""
        session = _session.current()
        kind = _define(session, self._options, library=self._library, function=self._name,
                       name=self._name, concurrency=self._options.concurrency(is_async=False),
                       any_language=True)
        return _create(_Prepared(session, kind), args, {}, self._options, self._info)

    def options(self, **changes: Any) -> CppActorClass:
        """The same class with other options; see ActorOptions."""
        return CppActorClass(self._library, self._name, self._options.with_changes(changes))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"use {self._name}.remote(...) to make an actor of the C++ class")

    def __repr__(self) -> str:
        return f"cpp_actor({self._library!r}, {self._name!r})"


def cpp_actor(library: str, name: str) -> CppActorClass:
    """A class that a task library registers with KILN_ACTOR.

        Counter = kiln.cpp_actor("build/lib/libtasks.so", "Counter")
        counter = Counter.remote(10)
        kiln.get(counter.Increment.remote(5))

    Args:
        library: Path of the library.
        name: The name it was registered under. Whether there is one shows in the first call.

    Raises:
        FileNotFoundError: There is no such library.
    """
    return CppActorClass(library_path(library), name, ACTOR_DEFAULTS)
