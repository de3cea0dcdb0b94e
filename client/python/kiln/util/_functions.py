"""Functions: what a pool, an executor or kiln.map has sent to workers."""

from __future__ import annotations

import functools
import math
import operator
import sys
from collections.abc import Callable
from typing import Any

import kiln
from kiln import _values
from kiln.util._calls import Call, OpenCall
from kiln.util._setup import Setup, name_of

# Functions kept for one pool; a program with more of them starts over.
_MOST_FUNCTIONS = 128
# Bytes of a pickled function that are kept to know it again, at most.
_LARGEST_KEY = 1 << 16


class Prepared:
    """A function that can be called in workers, and what is known of it.

    Attributes:
        submit: Takes the arguments of the kind of call, and returns a ref.
        cost: Seconds that an item takes, a moving geometric mean: a chunk that was interrupted
            is soon forgotten. 0: not measured yet.
    """

    __slots__ = ("cost", "submit")

    def __init__(self, submit: Callable[..., Any]) -> None:
        self.submit = submit
        self.cost = 0.0

    def learn(self, count: int, seconds: float) -> None:
        """A chunk of so many items has taken so long."""
        cost = max(seconds / count, 1e-9)
        self.cost = math.sqrt(self.cost * cost) if self.cost else cost


class Functions:
    """Remote functions under the same options: what is the same is pickled and sent once.

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
        self._known: dict[tuple[type, Any], Prepared] = {}  # by kind and the function or its pickle

    def get(self, kind: type[Call], func: Callable[..., Any]) -> Prepared:
        """For calls of this kind of `func`.

        Raises:
            TypeError: It is no function.
        """
        if not callable(func):
            raise TypeError(f"{func!r} is not callable")
        same = self._is_same(func)
        if same and (kind, func) in self._known:
            return self._known[kind, func]
        if kind is Call and not same:
            return self._open_call(func)
        call = kind(func, self._setup)
        key = func if same else _pickle(call)
        known = None if key is None else self._known.get((kind, key))
        if known is None:
            known = self._make(call, call.__name__)
            if key is not None:
                self._keep(kind, key, known)
        return known

    def _open_call(self, func: Callable[..., Any]) -> Prepared:
        # What a session has been told of stays there, and there is a bound on it. A program that
        # makes a new closure for each of a million calls has to send it with the call.
        name = name_of(func)
        if (OpenCall, name) not in self._known:
            self._keep(OpenCall, name, self._make(OpenCall(self._setup), name))
        return Prepared(functools.partial(self._known[OpenCall, name].submit, func))

    def _make(self, call: Callable[..., Any], name: str) -> Prepared:
        return Prepared(kiln.remote(**{"name": name, **self._options})(call).remote)

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


def _pickle(call: Call) -> bytes | None:
    """What tells two calls apart; None if it is too large to keep, or there is none."""
    try:
        pickled, buffers = _values.dump_by_value(call)
    except Exception:  # whoever sends it hears why
        return None
    return None if buffers or len(pickled) > _LARGEST_KEY else pickled
