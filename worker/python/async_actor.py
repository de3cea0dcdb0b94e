"""The event loop of an async actor: Python's half of worker/python/actor_loop.h."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from kiln import _current_actor

Task = asyncio.Task  # what a call runs in

_STREAM_THREADS = 1000  # that wait for consumers of streams with a window; they start as needed

_loop: asyncio.AbstractEventLoop | None = None
_bounds: dict[str, int] = {}
_stream_threads: concurrent.futures.ThreadPoolExecutor | None = None


def prepare(bounds: dict[str, int]) -> None:
    """Makes the loop, and says how many calls of each group may be under way."""
    global _loop, _bounds
    _loop = asyncio.new_event_loop()
    asyncio.set_event_loop(_loop)
    _bounds = bounds


def bounds() -> dict[str, int]:
    """How many calls of each group may be under way; "" is the default one."""
    return _bounds


def loop() -> asyncio.AbstractEventLoop:
    """The actor's event loop."""
    assert _loop is not None
    return _loop


def run(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Makes the instance inside of the loop: a constructor may start tasks of asyncio."""

    async def construct() -> Any:
        return cls(*args, **kwargs)

    return loop().run_until_complete(construct())


def serve(fd: int, on_readable: Callable[[], None]) -> None:
    """Runs the loop on this thread as long as the process lives."""
    running = loop()
    asyncio.set_event_loop(running)
    _current_actor.set_loop_thread()
    running.add_reader(fd, on_readable)
    while True:
        try:
            running.run_forever()
        except (SystemExit, KeyboardInterrupt):
            pass  # of a task that a call has started


def caller_soon(callback: Callable[[], None]) -> Callable[[], Any]:
    """What calls `callback` soon in the loop, in the context of this moment."""
    context = contextvars.copy_context()
    return functools.partial(loop().call_soon, callback, context=context)


def finish(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Runs a coroutine in the loop. Blocks: until it has ended."""
    asyncio.run_coroutine_threadsafe(coroutine, loop()).result()


async def stream(call: Any, items: Any) -> None:
    """Hands over what a generator yields; `call` is an AsyncCall of the binding."""
    if inspect.iscoroutine(items):  # which asyncio.iscoroutine says of plain generators too
        items = await items
    if not hasattr(items, "__aiter__"):
        from kiln.worker.execute import items_of

        for item in items_of(items):
            await _give(call, item)
            await asyncio.sleep(0)  # others may run
        return
    try:
        async for item in items:
            await _give(call, item)
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


async def _give(call: Any, item: Any) -> None:
    global _stream_threads
    if not call.may_block:
        call.yield_item(item)
        return
    if _stream_threads is None:
        _stream_threads = concurrent.futures.ThreadPoolExecutor(_STREAM_THREADS, "kiln-stream")
    await loop().run_in_executor(_stream_threads, call.yield_item, item)
