"""Functions: what a pool, an executor or kiln.map has made known to workers."""

from __future__ import annotations

import functools
import math
import operator
import sys
from collections.abc import Callable
from typing import Any

import kiln
from kiln import _session, _values
from kiln.util import _boxes
from kiln.util._calls import Call
from kiln.util._setup import Setup, name_of

# Functions kept for one pool; a program with more of them starts over.
_MOST_FUNCTIONS = 128
# Bytes of a pickled function that is small: kept to know it again, and kept by workers.
_MOST_BYTES = 1 << 16
# Seconds of work that are worth waking a second process.
_WORTH_TWO = 0.00005
# What a chunk leaves of the peak of a cost: a function that was slow once is trusted after ten.
_PEAK_DECAY = 0.7


class Prepared:
    """A function that can be called in workers, and what is known of it.

    Attributes:
        submit: Takes the arguments of the kind of call, and returns a ref.
        cost: Seconds that an item takes, a moving geometric mean: a chunk that was interrupted
            is soon forgotten. 0: not measured yet.
    """

    __slots__ = ("_peak", "cost", "submit")

    def __init__(self, submit: Callable[..., Any]) -> None:
        self.submit = submit
        self.cost = 0.0
        self._peak = 0.0  # the most an item has cost lately

    def learn(self, count: int, seconds: float) -> None:
        """A chunk of so many items has taken so long."""
        cost = max(seconds / count, 1e-9)
        self.cost = math.sqrt(self.cost * cost) if self.cost else cost
        self._peak = max(cost, self._peak * _PEAK_DECAY)

    def fits_one(self, count: int) -> bool:
        """Whether so many items are too little work for a second process."""
        return 0 < self._peak * count < _WORTH_TWO


class Functions:
    """The functions of one pool, whose tasks have the same options.

    Args:
        setup: What runs before them in each worker.
        options: Of their tasks, as given to ``kiln.remote``.
        is_same: Whether a function is what it was when it was given before, so that it need not
            be pickled again to see whether it is.
    """

    def __init__(
        self,
        setup: Setup | None,
        options: dict[str, Any],
        is_same: Callable[[Callable[..., Any]], bool],
    ) -> None:
        self._setup = setup
        self._options = options
        self._is_same = is_same
        self._session: Any = None  # that knows what follows
        self._known: dict[tuple[type, Any], Prepared] = {}  # by kind and the function or its pickle
        self._setup_box: _boxes.Box | None = None
        self._generic: dict[tuple[Callable[..., Any], str], Any] = {}  # by function, name of tasks

    def get(self, kind: type[Call], func: Callable[..., Any]) -> Prepared:
        """For calls of this kind of `func`.

        Raises:
            TypeError: It is no function, or it cannot be pickled.
        """
        if self._session is not _session._session:
            self._session = _session.current()
            self._known.clear()
            self._setup_box = None
        same = self._is_same(func)
        if same and (kind, func) in self._known:
            return self._known[kind, func]
        if not callable(func):
            raise TypeError(f"{func!r} is not callable")
        name = name_of(func)
        if kind is Call and not same:
            return self._open(func, name)
        call = kind(func, self._setup)
        pickled = _pickle(call)
        key = func if same else pickled
        known = None if key is None else self._known.get((kind, key))
        if known is None:
            if same and pickled is not None and self._setup is None:
                known = Prepared(self._remote(call, name).remote)
            else:
                known = self.box(call, name, small=pickled is not None)
            if key is not None:
                self._keep(kind, key, known)
        return known

    def box(
        self, call: Callable[..., Any], name: str, *, small: bool | None = None
    ) -> Prepared:
        """For calls of an object that is stored as long as the caller keeps what is returned.

        Raises:
            TypeError: It cannot be pickled.
        """
        if small is None:
            small = _pickle(call) is not None
        box = _boxes.make(call, name, small=small)
        return Prepared(functools.partial(self._named(_boxes.call, name).remote, box))

    def _open(self, func: Callable[..., Any], name: str) -> Prepared:
        """For one call of a function that is sent with it: it may be another one next time."""
        if self._setup is not None and self._setup_box is None:
            self._setup_box = _boxes.make(
                self._setup, "initializer", small=_pickle(self._setup) is not None
            )
        remote = self._named(_boxes.call_open, name).remote
        return Prepared(functools.partial(remote, self._setup_box, func))

    def _named(self, func: Callable[..., Any], name: str) -> Any:
        """A remote function under the name of another."""
        if (func, name) not in self._generic:
            self._generic[func, name] = self._remote(func, name)
        return self._generic[func, name]

    def _remote(self, func: Callable[..., Any], name: str) -> Any:
        return kiln.remote(**{"name": name, **self._options})(func)

    def _keep(self, kind: type, key: Any, known: Prepared) -> None:
        if len(self._known) >= _MOST_FUNCTIONS:
            self._known.clear()
        self._known[kind, key] = known


def is_named(func: Callable[..., Any]) -> bool:
    """Whether a function is the one of its name in its module: it has no state but globals."""
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    try:
        return operator.attrgetter(func.__qualname__)(module) is func
    except AttributeError:
        return False


def is_imported(func: Callable[..., Any]) -> bool:
    """Whether workers import the function, so that nothing of it is sent but its name."""
    return func.__module__ != "__main__" if is_named(func) else False


def _pickle(call: object) -> bytes | None:
    """What tells two calls apart; None if it is too large to keep, or there is none."""
    try:
        pickled, buffers = _values.dump_by_value(call)
    except Exception:  # whoever sends it hears why
        return None
    return None if buffers or len(pickled) > _MOST_BYTES else pickled
