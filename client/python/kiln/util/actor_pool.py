"""A fixed number of actors that share work: Ray's `ray.util.ActorPool`."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import kiln
from kiln.actor import ActorHandle

# Calls `map` submits ahead of who takes the results, for each actor: enough to keep it busy, and few
# enough for inputs that never end.
_AHEAD = 4


class ActorPool:
    """Gives each piece of work to an actor that is idle.

        pool = ActorPool([Worker.remote() for _ in range(4)])
        print(list(pool.map(lambda actor, value: actor.double.remote(value), [1, 2, 3])))

    The functions given get an actor and a value, and return the ref of a call of that actor. Every
    actor has one call at a time; further submits wait in the pool. Not thread-safe, as Ray's.
    """

    def __init__(self, actors: Iterable[Any]) -> None:
        """
        Args:
            actors: Handles; the pool decides from now on what they do.

        Raises:
            TypeError: One is no handle.
        """
        self._idle = list(actors)
        for actor in self._idle:
            if not isinstance(actor, ActorHandle):
                raise TypeError(f"an ActorPool is made of handles, such as Actor.remote(); got {actor!r}")
        self._waiting: collections.deque[tuple[int, Callable[[Any, Any], Any], Any]] = (
            collections.deque())
        self._actor_of: dict[Any, tuple[int, Any]] = {}  # by ref of the call: its index, the actor
        self._ref_of: dict[int, Any] = {}  # by index, of calls whose results were not taken
        self._next_index = 0  # of the next submit
        self._next_taken = 0  # of the next get_next
        self._taken: set[int] = set()  # from there on, by get_next_unordered

    def submit(self, fn: Callable[[Any, Any], Any], value: Any) -> None:
        """Has an idle actor call `fn(actor, value)`, now or as soon as one is idle."""
        index = self._next_index
        self._next_index += 1
        self._waiting.append((index, fn, value))
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting and self._idle:
            index, fn, value = self._waiting.popleft()
            actor = self._idle.pop()
            try:
                ref = fn(actor, value)
            except BaseException:
                self._idle.append(actor)
                self._taken.add(index)
                self._skip_taken()
                raise
            if not isinstance(ref, kiln.ObjectRef):
                self._idle.append(actor)
                self._taken.add(index)
                self._skip_taken()
                raise TypeError(f"the function of an ActorPool must return the ref of a call, as in "
                                f"lambda actor, value: actor.method.remote(value); it returned "
                                f"{type(ref).__name__}")
            self._actor_of[ref] = index, actor
            self._ref_of[index] = ref

    def has_next(self) -> bool:
        """True if results are still to be taken."""
        return bool(self._ref_of or self._waiting)

    def has_free(self) -> bool:
        """True if an actor is idle and no work waits."""
        return bool(self._idle) and not self._waiting

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result of the call that was submitted first among those not taken.

        Args:
            timeout: Seconds; None: as long as it takes.
            ignore_if_timedout: After a time-out, give up this result instead of keeping it.

        Raises:
            StopIteration: There is none.
            TimeoutError: It did not come in time; it stays, unless ignore_if_timedout.
            RayError: What the call failed with; the actor is used again, unless it is dead.
        """
        if not self.has_next():
            raise StopIteration("no more results to get")
        index = self._next_taken
        self._wait_for_start(index, timeout)
        ref = self._ref_of[index]
        ready, _ = kiln.wait([ref], timeout=timeout)
        if not ready:
            if ignore_if_timedout:
                self._forget(index)
            raise TimeoutError("timed out waiting for the next result of the pool")
        self._forget(index)
        return self._finish(ref)

    def get_next_unordered(self, timeout: float | None = None,
                           ignore_if_timedout: bool = False) -> Any:
        """The result of whichever call has ended; see get_next."""
        if not self.has_next():
            raise StopIteration("no more results to get")
        ready, _ = kiln.wait(list(self._actor_of), timeout=timeout)
        if not ready:
            if ignore_if_timedout:
                self._forget(min(self._ref_of))
            raise TimeoutError("timed out waiting for a result of the pool")
        ref = ready[0]
        self._forget(self._actor_of[ref][0])
        return self._finish(ref)

    def _wait_for_start(self, index: int, timeout: float | None) -> None:
        """Frees actors until the call of this index has begun: all before it were taken."""
        while index not in self._ref_of:
            ready, _ = kiln.wait(list(self._actor_of), timeout=timeout)
            if not ready:
                raise TimeoutError("timed out waiting for an idle actor of the pool")
            self._free(ready[0])

    def _forget(self, index: int) -> None:
        del self._ref_of[index]
        self._taken.add(index)
        self._skip_taken()

    def _skip_taken(self) -> None:
        while self._next_taken in self._taken:
            self._taken.remove(self._next_taken)
            self._next_taken += 1

    def _free(self, ref: Any) -> None:
        _, actor = self._actor_of.pop(ref, (0, None))
        if actor is not None:
            self._idle.append(actor)
            self._start_waiting()

    def _finish(self, ref: Any) -> Any:
        self._free(ref)
        return kiln.get(ref)

    def map(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Results of `fn(actor, value)` for all values, in their order.

        Values are taken as results are: it may be an iterator without an end. Work that was
        submitted before and not taken is dropped, as in Ray.
        """
        return self._map(fn, values, self.get_next)

    def map_unordered(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """As map, in the order in which results come."""
        return self._map(fn, values, self.get_next_unordered)

    def _map(self, fn: Callable[[Any, Any], Any], values: Iterable[Any],
             take: Callable[[], Any]) -> Iterator[Any]:
        self._drop_results()
        if not self._idle and not self._actor_of:
            raise ValueError("an ActorPool without actors can do no work; push one first")
        most = _AHEAD * (len(self._idle) + len(self._actor_of))
        rest = iter(values)
        for value in rest:
            self.submit(fn, value)
            if self._unfinished() >= most:
                break

        def results() -> Iterator[Any]:
            while self.has_next():
                result = take()
                for value in rest:
                    self.submit(fn, value)
                    if self._unfinished() >= most:
                        break
                yield result

        return results()

    def _unfinished(self) -> int:
        return len(self._ref_of) + len(self._waiting)

    def _drop_results(self) -> None:
        self._waiting.clear()
        for index in list(self._ref_of):
            self._forget(index)
        if self._actor_of:
            kiln.wait(list(self._actor_of), num_returns=len(self._actor_of))
        for ref in list(self._actor_of):
            self._free(ref)
        self._next_taken = self._next_index
        self._taken.clear()

    def push(self, actor: Any) -> None:
        """Adds an idle actor.

        Raises:
            ValueError: It is in the pool already.
        """
        if actor in self._idle or any(actor == busy for _, busy in self._actor_of.values()):
            raise ValueError(f"{actor!r} is in the pool already")
        self._idle.append(actor)
        self._start_waiting()

    def pop_idle(self) -> Any:
        """Takes an idle actor out of the pool; None if none is idle."""
        return self._idle.pop() if self.has_free() else None
