"""A first-in, first-out queue that tasks and actors share: Ray's `ray.util.queue.Queue`."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import queue
from collections.abc import Iterable, Iterator
from typing import Any

import kiln

__all__ = ["Empty", "Full", "Queue"]


class Empty(queue.Empty):
    """There was no item, or not in time."""


class Full(queue.Full):
    """There was no room, or not in time."""


class Queue:
    """A queue that lives in an actor of its own, and whose items are any values.

    Handed to tasks and actors it is the same queue. Methods and errors are those of `queue.Queue`,
    with async twins and batches. The queue ends with its last handle, or with shutdown().

        queue = Queue(maxsize=100)
        producer.remote(queue)
        item = queue.get(timeout=5)
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        """
        Args:
            maxsize: Items at which put waits; 0: no bound.
            actor_options: Of the actor, as to `options`: name, lifetime, num_cpus, ...
        """
        if isinstance(maxsize, bool) or not isinstance(maxsize, int):
            raise TypeError(f"maxsize is {maxsize!r}; it must be a whole number")
        self.maxsize = maxsize
        self.actor: Any = kiln.remote(_QueueActor).options(**(actor_options or {})).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items are in it."""
        return int(kiln.get(self.actor.qsize.remote()))

    def qsize(self) -> int:
        """As size."""
        return self.size()

    def empty(self) -> bool:
        """True if it has no item, at this moment."""
        return bool(kiln.get(self.actor.empty.remote()))

    def full(self) -> bool:
        """True if it has maxsize items, at this moment."""
        return bool(kiln.get(self.actor.full.remote()))

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Adds an item at the end.

        Args:
            item: Any value.
            block: Wait for room.
            timeout: Seconds to wait at most; None: as long as it takes.

        Raises:
            Full: There was no room, or not in time.
        """
        call = self.actor.put.remote(item, _wait_for(block, timeout))
        with _cancelled_with_us(call):
            done = kiln.get(call)
        if not done:
            raise Full(f"the queue has {self.maxsize} items, its maxsize")

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As put, in an event loop."""
        call = self.actor.put.remote(item, _wait_for(block, timeout))
        with _cancelled_with_us(call):
            done = await call
        if not done:
            raise Full(f"the queue has {self.maxsize} items, its maxsize")

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Takes the first item.

        Args:
            block: Wait for one.
            timeout: Seconds to wait at most; None: as long as it takes.

        Raises:
            Empty: There was none, or not in time.
        """
        call = self.actor.get.remote(_wait_for(block, timeout))
        with _cancelled_with_us(call, self.actor.give_back):
            items = kiln.get(call)
        return _only(items)

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """As get, in an event loop."""
        call = self.actor.get.remote(_wait_for(block, timeout))
        with _cancelled_with_us(call, self.actor.give_back):
            items = await call
        return _only(items)

    def put_nowait(self, item: Any) -> None:
        """As put(item, block=False)."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """As get(block=False)."""
        return self.get(block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Adds all items, or none.

        Raises:
            Full: There is not room for all of them.
        """
        items = list(items)
        if not kiln.get(self.actor.put_batch.remote(items)):
            raise Full(f"there is not room for {len(items)} items; maxsize is {self.maxsize}")

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Takes that many items, or none.

        Raises:
            Empty: There are not so many.
        """
        if isinstance(num_items, bool) or not isinstance(num_items, int) or num_items < 0:
            raise ValueError(f"num_items is {num_items!r}; it must be 0 or more")
        items: list[Any] | None = kiln.get(self.actor.get_batch.remote(num_items))
        if items is None:
            raise Empty(f"the queue has fewer than {num_items} items")
        return items

    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """Ends the actor; who still waits for the queue gets ActorDiedError.

        Args:
            force: At once, whatever calls are under way.
            grace_period_s: Seconds that calls under way get otherwise.
        """
        if not force:
            kiln.wait([self.actor.drain.remote()], timeout=grace_period_s)
        kiln.kill(self.actor)


def _wait_for(block: bool, timeout: float | None) -> float | None:
    """Seconds to wait; None: without end; 0: not at all."""
    if not block:
        return 0
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout is {timeout!r}; it must be None, 0 or more")
    return timeout


@contextlib.contextmanager
def _cancelled_with_us(call: Any, give_back: Any = None) -> Iterator[None]:
    """While a call is waited for: it must not serve who has gone.

    An interrupt or a cancelled coroutine cancels the call. If it has ended already, what it took goes
    to `give_back`, which waits for it as for any argument.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            kiln.cancel(call)
            if give_back is not None:
                give_back.remote(call)
        raise


def _only(items: list[Any]) -> Any:
    if not items:
        raise Empty("the queue is empty")
    return items[0]


class _QueueActor:
    """The items, in one process. All methods run in one event loop; those that wait do so in it.

    What is not there is told by a value, for an exception would look like a failed call. An item is
    always in one place: in `_items`, with a call that waits for room, or handed over.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._items: collections.deque[Any] = collections.deque()
        self._getters: collections.deque[asyncio.Future[list[Any]]] = collections.deque()
        self._putters: collections.deque[tuple[asyncio.Future[bool], Any]] = collections.deque()

    async def put(self, item: Any, timeout: float | None) -> bool:
        if not self._is_full():
            self._add(item)
            return True
        if timeout == 0:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._putters.append((done, item))
        try:
            return bool(await _within(done, timeout, False))
        finally:
            _discard(self._putters, (done, item))

    async def get(self, timeout: float | None) -> list[Any]:
        if self._items:
            return [self._take()]
        if timeout == 0:
            return []
        found: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._getters.append(found)
        try:
            items: list[Any] = await _within(found, timeout, [])
            return items
        except asyncio.CancelledError:
            if not found.cancelled() and found.result():  # handed over, and nobody takes it
                await self.give_back(found.result())
            raise
        finally:
            _discard(self._getters, found)

    async def give_back(self, items: list[Any]) -> None:
        self._items.extendleft(reversed(items))
        self._hand_over()

    def _is_full(self) -> bool:
        return 0 < self._maxsize <= len(self._items)

    def _add(self, item: Any) -> None:
        self._items.append(item)
        self._hand_over()

    def _hand_over(self) -> None:
        while self._items and self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result([self._items.popleft()])

    def _take(self) -> Any:
        item = self._items.popleft()
        while self._putters and not self._is_full():
            done, waiting = self._putters.popleft()
            if not done.done():
                self._items.append(waiting)
                done.set_result(True)
        return item

    async def put_batch(self, items: list[Any]) -> bool:
        if self._maxsize > 0 and len(self._items) + len(items) > self._maxsize:
            return False
        for item in items:
            self._add(item)
        return True

    async def get_batch(self, count: int) -> list[Any] | None:
        if len(self._items) < count:
            return None
        return [self._take() for _ in range(count)]

    async def qsize(self) -> int:
        return len(self._items)

    async def empty(self) -> bool:
        return not self._items

    async def full(self) -> bool:
        return self._is_full()

    async def drain(self) -> None:
        """Waits until no call waits any more."""
        while any(not found.done() for found in self._getters) or any(
                not done.done() for done, _ in self._putters):
            await asyncio.sleep(0.005)


def _discard(waiting: collections.deque[Any], entry: Any) -> None:
    """Takes out a call that waits no longer, unless whoever served it has."""
    with contextlib.suppress(ValueError):
        waiting.remove(entry)


async def _within(future: asyncio.Future[Any], timeout: float | None, otherwise: Any) -> Any:
    """What the future gets; `otherwise` if that takes too long: the future has it then."""
    if timeout is None:
        return await future
    def give_up() -> None:
        if not future.done():
            future.set_result(otherwise)

    late = asyncio.get_running_loop().call_later(timeout, give_up)
    try:
        return await future
    finally:
        late.cancel()
