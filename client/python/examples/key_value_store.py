"""A sharded key-value store that loses no write while its shards are killed and started anew.

Each shard is an actor that writes a log before it answers, and reads it when it is started anew
(max_restarts=-1). Calls may run again (max_task_retries=-1), so a write carries a number and is counted
once. While clients write, the program kills shards, as kill -9 would.
"""

import multiprocessing
import os
import signal
import tempfile
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import kiln as ray
from kiln.examples._report import Report, main

SHARDS = 4
CLIENTS = 2


class Shard:
    """Numbers by key. What was answered is in the log."""

    def __init__(self, log: str) -> None:
        self._counts: dict[str, int] = {}
        self._seen: set[str] = set()
        self._log = open(log, "a+", encoding="utf-8")
        self._log.seek(0)
        for line in self._log:
            if line.endswith("\n"):  # the last one may have been cut off by the end of its process
                self._apply(*line.split())
        self._log.seek(0, os.SEEK_END)

    def _apply(self, write: str, key: str, amount: str) -> None:
        if write not in self._seen:
            self._seen.add(write)
            self._counts[key] = self._counts.get(key, 0) + int(amount)

    def add(self, write: str, key: str, amount: int) -> None:
        """Adds to a key, once for each name of a write."""
        if write in self._seen:
            return
        self._log.write(f"{write} {key} {amount}\n")
        self._log.flush()
        self._apply(write, key, str(amount))

    def get(self, key: str) -> int:
        return self._counts.get(key, 0)

    def total(self) -> int:
        return sum(self._counts.values())

    def pid(self) -> int:
        return os.getpid()


def shard_of(shards: list[Any], key: str) -> Any:
    return shards[sum(key.encode()) % len(shards)]


@ray.remote(num_cpus=0.5, max_retries=0)
def client(name: int, shards: list[Any], writes: int) -> int:
    """Writes in bursts. Returns how many were answered."""
    done = 0
    for begin in range(0, writes, 50):
        burst = range(begin, min(begin + 50, writes))
        keys = {number: f"key{number % 100}" for number in burst}
        ray.get([shard_of(shards, key).add.remote(f"{name}.{number}", key, 1)
                 for number, key in keys.items()])
        done += len(burst)
    return done


class _Manager(BaseManager):
    pass


_Manager.register("Shard", Shard)


def _write_directly(name: int, shards: list[Any], writes: int) -> None:
    for number in range(writes):
        key = f"key{number % 100}"
        shard_of(shards, key).add(f"{name}.{number}", key, 1)


def write_serial(folder: Path, writes: int) -> tuple[int, int]:
    with tempfile.TemporaryDirectory(dir=folder) as logs:
        shards: list[Any] = [Shard(os.path.join(logs, f"{i}.log")) for i in range(SHARDS)]
        _write_directly(0, shards, writes)
        return writes, sum(shard.total() for shard in shards)


def write_multiprocessing(folder: Path, writes: int) -> tuple[int, int]:
    """Each shard in the process of a Manager: a crash would lose it, and nobody is killed here."""
    with tempfile.TemporaryDirectory(dir=folder) as logs:
        managers = [_Manager() for _ in range(SHARDS)]
        for manager in managers:
            manager.start()
        shards = [getattr(manager, "Shard")(os.path.join(logs, f"{i}.log"))
                  for i, manager in enumerate(managers)]
        clients = [multiprocessing.Process(target=_write_directly,
                                           args=(name, shards, writes // CLIENTS))
                   for name in range(CLIENTS)]
        for process in clients:
            process.start()
        for process in clients:
            process.join()
        total = sum(shard.total() for shard in shards)
        for manager in managers:
            manager.shutdown()
        return writes, total


def write_all(folder: Path, writes: int, kills: int) -> tuple[int, int]:
    """Returns: how many writes were answered, and what the shards hold."""
    with tempfile.TemporaryDirectory(dir=folder) as logs:
        actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Shard)
        shards = [actor.remote(os.path.join(logs, f"shard{i}.log")) for i in range(SHARDS)]
        ray.get([shard.pid.remote() for shard in shards])
        clients = [client.remote(name, shards, writes // CLIENTS) for name in range(CLIENTS)]
        for number in range(kills):
            shard = shards[number % SHARDS]
            try:
                os.kill(ray.get(shard.pid.remote()), signal.SIGKILL)
            except ProcessLookupError:
                pass  # it is just being started anew
            ray.wait(clients, num_returns=CLIENTS, timeout=0.02)
        answered = sum(ray.get(clients))
        return answered, sum(ray.get([shard.total.remote() for shard in shards]))


def run(report: Report) -> None:
    writes, kills = report.size(20_000, 400), report.size(20, 4)
    with tempfile.TemporaryDirectory(prefix="kiln-store-") as folder:
        both = (writes, writes).__eq__
        report.time("serial", write_serial, Path(folder), writes, correct=both)
        report.time("multiprocessing.Manager", write_multiprocessing, Path(folder), writes, correct=both)
        report.start("kiln.init()", ray.init)
        report.time("kiln", write_all, Path(folder), writes, 0, correct=both)
        report.time(f"kiln with {kills} kills", write_all, Path(folder), writes, kills, correct=both)
    report.note(f"{CLIENTS} clients, {SHARDS} shards, {writes} writes; all answered, each counted once.")


if __name__ == "__main__":
    main(run)
