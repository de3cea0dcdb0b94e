"""Actors that tests of parallel programs need: one that holds others up, and one that counts places."""

from __future__ import annotations

import asyncio

import kiln

__all__ = ["Semaphore", "SignalActor"]


class _SignalActor:
    """Lets calls wait until a test says go.

        signal = SignalActor.remote()
        blocked = task.remote(signal)       # calls kiln.get(signal.wait.remote())
        kiln.get(signal.send.remote())
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._waiting = 0

    async def wait(self, should_wait: bool = True) -> None:
        """Returns when `send` was called."""
        self._waiting += 1
        try:
            if should_wait:
                await self._event.wait()
        finally:
            self._waiting -= 1

    async def send(self, clear: bool = False) -> None:
        """Lets all go on that wait, and, unless `clear`, all that come later."""
        self._event.set()
        if clear:
            self._event.clear()

    async def clear(self) -> None:
        """Who comes from now on waits again."""
        self._event.clear()

    async def is_set(self) -> bool:
        """True after send."""
        return self._event.is_set()

    async def cur_num_waiters(self) -> int:
        """How many calls wait."""
        return self._waiting


class _Semaphore:
    """A semaphore that tasks and actors share: at most `value` of them hold it at a time."""

    def __init__(self, value: int = 1) -> None:
        self._semaphore = asyncio.Semaphore(value)

    async def acquire(self) -> None:
        """Returns when a place is free, and takes it."""
        await self._semaphore.acquire()

    async def release(self) -> None:
        """Gives a place back."""
        self._semaphore.release()

    async def locked(self) -> bool:
        """True if no place is free."""
        return self._semaphore.locked()


SignalActor = kiln.remote(num_cpus=0)(_SignalActor)
Semaphore = kiln.remote(num_cpus=0)(_Semaphore)
