"""What calls of actors cost, beside a process that answers on a Pipe and one of multiprocessing.Manager."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.managers
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cloudpickle
import kiln
from bench_python_memory import megabytes
from bench_python_rounds import Rounds, in_turns, seconds_of, start_kiln
from bench_python_tasks import latencies

# As the classes of a program's own file travel: each actor that imported this module would take
# 25 ms more.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Counter:
    """The state that all contenders keep in another process."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, amount: int) -> int:
        self._count += amount
        return self._count

    def pid(self) -> int:
        return os.getpid()


class _Manager(multiprocessing.managers.BaseManager):
    pass


_Manager.register("Counter", Counter)


def _serve(connection: multiprocessing.connection.Connection,
           other_end: multiprocessing.connection.Connection) -> None:
    """A Pipe server, as programs write them: a method's name and its arguments for a result."""
    other_end.close()  # a fork has it too, and would wait for itself
    counter = Counter()
    with contextlib.suppress(EOFError):
        while True:
            name, arguments = connection.recv()
            connection.send(getattr(counter, name)(*arguments))


@contextlib.contextmanager
def pipe_server() -> Iterator[multiprocessing.connection.Connection]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(there, here))
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join()


def _ask(connection: multiprocessing.connection.Connection) -> Any:
    connection.send(("add", (1,)))
    return connection.recv()


def _ask_many(connection: multiprocessing.connection.Connection, count: int) -> list[Any]:
    """As many calls at a time as the pipe holds: one thread sends, this one receives."""
    def send() -> None:
        for _ in range(count):
            connection.send(("add", (1,)))

    sender = threading.Thread(target=send)
    sender.start()
    results = [connection.recv() for _ in range(count)]
    sender.join()
    return results


def round_trips(rounds: Rounds) -> None:
    """Calls that are waited for, one after the other."""
    count = rounds.size(5_000, 500)
    with pipe_server() as connection, _Manager() as manager:
        start_kiln()
        remote = manager.Counter()  # type: ignore[attr-defined]
        actor = kiln.remote(Counter).remote()
        results = in_turns(rounds.count, {
            "kiln": lambda: latencies(lambda: kiln.get(actor.add.remote(1)), count),
            "pipe": lambda: latencies(lambda: _ask(connection), count),
            "manager": lambda: latencies(lambda: remote.add(1), count)})
        kiln.shutdown()
    by_kind = {who: [[three[which] for three in results[who]] for which in range(3)]
               for who in results}
    rounds.add("actor call round trip, p50", by_kind["kiln"][0], by_kind["pipe"][0], "Pipe server")
    rounds.add("actor call round trip, p99", by_kind["kiln"][1], by_kind["pipe"][1], "Pipe server")
    rounds.add("actor call round trip beside a Manager, p50", by_kind["kiln"][0],
               by_kind["manager"][0], "Manager")


def calls(rounds: Rounds) -> None:
    """Calls that are all made before the first result is asked for."""
    count = 10_000
    with pipe_server() as connection, _Manager() as manager:
        start_kiln()
        remote = manager.Counter()  # type: ignore[attr-defined]
        actor = kiln.remote(Counter).remote()

        def with_kiln() -> list[Any]:
            return kiln.get([actor.add.remote(1) for _ in range(count)])

        contenders: dict[str, Callable[[], Any]] = {
            "kiln": with_kiln,
            "pipe": lambda: _ask_many(connection, count),
            "manager": lambda: [remote.add(1) for _ in range(count)]}
        for contender in contenders.values():
            contender()
        times = in_turns(rounds.count, {
            name: partial(seconds_of, call, 0.5, 5) for name, call in contenders.items()})
        kiln.shutdown()
    rates = {name: [count / seconds for seconds in samples] for name, samples in times.items()}
    rounds.add("10,000 actor calls", rates["kiln"], rates["pipe"], "Pipe server")
    rounds.add("10,000 actor calls beside a Manager", rates["kiln"], rates["manager"], "Manager")


class Sleeper:
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def sleepers(rounds: Rounds) -> None:
    """1,000 calls in flight in one event loop, beside as many coroutines in this process."""
    count = 1_000
    start_kiln()
    actor = kiln.remote(Sleeper).remote()

    def with_kiln() -> None:
        kiln.get([actor.sleep.remote(0.01) for _ in range(count)])

    async def gather() -> None:
        await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(count)))

    with_kiln()
    times = in_turns(rounds.count, {
        "kiln": lambda: seconds_of(with_kiln, 0.5, 10) * 1e3,
        "asyncio": lambda: seconds_of(lambda: asyncio.run(gather()), 0.5, 10) * 1e3})
    kiln.shutdown()
    rounds.add("1,000 async calls that sleep 10 ms", times["kiln"], times["asyncio"],
               "asyncio in this process")


def births(rounds: Rounds) -> None:
    """An actor is made, called and waited for; beside a Process with a Pipe."""
    start_kiln()
    made = kiln.remote(Counter)
    kept = []  # that their ends are not in the time

    def with_kiln() -> None:
        actor = made.remote()
        kept.append(actor)
        kiln.get(actor.add.remote(1))

    def with_pipe() -> None:
        with pipe_server() as connection:
            _ask(connection)

    times = {name: [seconds * 1e3 for seconds in samples] for name, samples in in_turns(
        rounds.count, {"kiln": lambda: seconds_of(with_kiln, 0.3, 20),
                       "pipe": lambda: seconds_of(with_pipe, 0.3, 20)}).items()}
    kept.clear()
    kiln.shutdown()
    rounds.add("actor made and its first answer", times["kiln"], times["pipe"],
               "Process and Pipe, with its end")


def _many(count: int) -> list[Any]:
    made = kiln.remote(Counter)
    actors = [made.remote() for _ in range(count)]
    kiln.get([actor.add.remote(1) for actor in actors])
    return actors


def thousand(rounds: Rounds) -> None:
    """1,000 actors, one call of each, all killed."""
    full = 1_000
    count = rounds.size(full, 50)
    start_kiln()

    def run() -> float:
        begin = time.perf_counter()
        for actor in _many(count):
            kiln.kill(actor)
        return (time.perf_counter() - begin) * full / count

    samples = [run() for _ in range(rounds.few)]
    kiln.shutdown()
    rounds.add("1,000 actors made, called, killed", samples,
               note="" if count == full else f"{count} actors, time for {full}")


def idle_actors(rounds: Rounds) -> None:
    """What an actor's process takes that has had one call."""
    count = rounds.size(200, 20)
    start_kiln()
    samples = []
    for _ in range(rounds.few):
        actors = _many(count)
        pids = kiln.get([actor.pid.remote() for actor in actors])
        samples.append(sum(megabytes(pid)[0] for pid in pids) / count)
        for actor in actors:
            kiln.kill(actor)
    kiln.shutdown()
    rounds.add("idle actor, PSS", samples)
