"""What this process has made known to its session: pickled functions, and kinds of tasks.

Both stay until the session ends. A driver's task that waits names its function by the bare id of its
object, which keeps nothing; and the head has a bound on kinds. So neither is made twice.
"""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

from kiln import _kiln, _values


class Definition(NamedTuple):
    """A function, or a class of actors, as it travels to workers, with what its worker must know of it."""

    function: Callable[..., Any]
    retry_exceptions: tuple[type, ...] | None  # None: what the wire says holds for all
    max_calls: int
    key: str  # of the remote function, wherever it was pickled to: see new_key


class Known:
    """What one session knows from this process."""

    def __init__(self, session: _kiln.Session) -> None:
        self.session = session
        self.kinds: dict[tuple[Any, ...], _kiln.TaskKind] = {}
        self.by_key: dict[tuple[Any, ...], Any] = {}  # the refs, by Definition without the function
        self.by_digest: dict[bytes, Any] = {}  # the refs, by what was pickled
        self.refs: list[Any] = []  # all: threads may put one function at once, and each uses its own


class _AlreadyPut(BaseException):
    """Ends the pickling of what is there."""

    def __init__(self, ref: Any) -> None:
        self.ref = ref


_known: dict[_kiln.Session, Known] = {}  # of one session, but for a moment


def new_key() -> str:
    """A name for a remote function: its copies in other processes have the same."""
    return os.urandom(8).hex()


def of(session: _kiln.Session) -> Known:
    """What the session knows; what another one knew is forgotten."""
    known = _known.get(session)
    if known is None:
        for other in list(_known):
            if other is not session:
                _known.pop(other, None)
        known = _known.setdefault(session, Known(session))  # another thread may have been faster
    return known


def put(session: _kiln.Session, definition: Definition, name: str) -> Any:
    """The ref of a pickled function, which is put unless it, or one that is the same, is there.

    Raises:
        TypeError: It cannot be pickled.
    """
    known = of(session)
    ref = known.by_key.get(definition[1:])
    if ref is not None:
        return ref
    digest = b""

    def dump(value: Any) -> tuple[bytes, list[Any]]:
        import hashlib

        nonlocal digest
        body, buffers = _values.dump_by_value(value)
        if not buffers:
            digest = hashlib.sha256(body.replace(definition.key.encode(), b"")).digest()
            same = known.by_digest.get(digest)
            if same is not None:
                raise _AlreadyPut(same)
        return body, buffers

    try:
        ref = session.put_pickled(tuple(definition), dump)
        known.refs.append(ref)
    except _AlreadyPut as already:
        ref = already.ref
    except Exception as error:
        if type(error).__module__ == "kiln.exceptions":
            raise
        raise TypeError(f"the remote {name} cannot be pickled: {error}; what it closes over "
                        f"and the globals it uses must be picklable") from error
    if digest:
        known.by_digest[digest] = ref
    known.by_key[definition[1:]] = ref
    return ref


def learn(session: _kiln.Session, ref: Any, definition: Definition) -> None:
    """A worker has loaded a function: should it call itself, it need not be put again."""
    of(session).by_key.setdefault(definition[1:], ref)
