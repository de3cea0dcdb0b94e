"""Generators whose items come while their task runs."""

from __future__ import annotations

from typing import Any

from kiln import _kiln


class ObjectRefGenerator:
    """What a task with num_returns="streaming" returns: refs of its items, as they are made.

    Iterate over it, plainly or with `async for`; each step waits for the next item and gives its
    ref. If the task raises, the items before are given first, then `next` raises as get would.
    Dropped or closed before its end, the task is cancelled.
    """

    def __init__(self, session: _kiln.Session, end: Any, name: str) -> None:
        self._session = session
        self._end: Any = end  # the ref that is there when the task has ended
        self._name = name

    def __iter__(self) -> ObjectRefGenerator:
        return self

    def __next__(self) -> Any:
        return self.next(None)

    def next(self, timeout: float | None = None) -> Any:
        """The ref of the next item.

        Raises:
            StopIteration: There are no more.
            GetTimeoutError: It did not come within `timeout` seconds.
        """
        if self._end is None:
            raise StopIteration
        ref = self._session.next_item(self._end, timeout)
        if ref is not None:
            return ref
        end, self._end = self._end, None
        self._session.get(end, None)  # raises what the task did
        raise StopIteration

    def __aiter__(self) -> ObjectRefGenerator:
        return self

    async def __anext__(self) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        ref = await loop.run_in_executor(None, self._next_or_none)
        if ref is None:
            raise StopAsyncIteration
        return ref

    def _next_or_none(self) -> Any:
        try:
            return self.next()
        except StopIteration:
            return None

    def completed(self) -> Any:
        """The ref that is there when the task has ended; its value is the number of items."""
        return self._end

    def close(self) -> None:
        """Gives up what was not taken, and cancels the task if it still runs."""
        end, self._end = self._end, None
        if end is not None and self._session.usable:
            self._session.drop_stream(end)

    def __del__(self) -> None:
        self.close()

    def send(self, value: Any) -> Any:
        raise TypeError(f"nothing can be sent into {self._name}: its task runs in another process")

    throw = send

    def __reduce__(self) -> Any:
        raise TypeError("a generator of refs cannot be handed to another task; pass the refs it gives")

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._name})"
