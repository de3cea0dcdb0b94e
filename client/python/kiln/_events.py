"""What happens beside the calls of a program: futures come true, tasks print.

One thread of the process waits in the binding for both.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kiln import _kiln, _output
from kiln.exceptions import RaySystemError

if TYPE_CHECKING:  # takes 7 ms to import, and many programs have no use for it
    import concurrent.futures

_lock = threading.Lock()
_futures: dict[int, list[tuple[Any, concurrent.futures.Future[Any]]]] = {}  # by id of the ref
_thread: threading.Thread | None = None
_over: _kiln.Session | None = None  # nothing happens in it any more


def start(session: _kiln.Session) -> None:
    """Begins to listen to a session."""
    global _thread
    _thread = threading.Thread(target=_listen, args=(session,), name="kiln-events", daemon=True)
    _thread.start()


def stop() -> None:
    """Waits until the thread has told all. Requires: the session was shut down."""
    thread = _thread
    if thread is not None and thread is not threading.current_thread():
        thread.join(timeout=5)


def after_fork() -> None:
    """A forked child has no thread, and its parent's futures never come true."""
    global _lock, _thread, _futures
    _lock = threading.Lock()
    _thread = None
    _futures = {}


def future_of(session: _kiln.Session, ref: Any) -> concurrent.futures.Future[Any]:
    """A future that gets the value of `ref`, or what `get` would raise."""
    import concurrent.futures

    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()
    entry = (ref, future)
    with _lock:
        over = session is _over
        if not over:
            _futures.setdefault(hash(ref), []).append(entry)
    if over:  # what is here can still be read
        _resolve(session, ref, future)
        return future
    try:
        session.watch(ref)
    except BaseException:
        with _lock:
            waiting = _futures.get(hash(ref), [])
            if entry in waiting:
                waiting.remove(entry)
        raise
    return future


def _listen(session: _kiln.Session) -> None:
    while True:
        sealed, output, dropped, ended = session.next_events()
        for task, pid, lines in output:
            _output.show(task, pid, lines)
        if dropped:
            _output.show_dropped(dropped)
        for number in sealed:
            with _lock:
                waiting = _futures.pop(number, [])
            for ref, future in waiting:
                _resolve(session, ref, future)
        if ended:
            _output.finish()
            return _fail_all(session)


def _resolve(session: _kiln.Session, ref: Any, future: concurrent.futures.Future[Any]) -> None:
    try:
        value = session.get(ref, 0.0)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(value)


def _fail_all(session: _kiln.Session) -> None:
    global _over
    with _lock:
        _over = session
        waiting = [entry for entries in _futures.values() for entry in entries]
        _futures.clear()
    for ref, future in waiting:
        future.set_exception(RaySystemError(f"the session ended before {ref!r} was there"))
