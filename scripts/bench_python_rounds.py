"""How the parts measure: rounds in which kiln and its peers take turns, and a head to measure."""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import kiln
from kiln import _kiln

# Processes of every contender: kiln's workers, those of a Pool, jobs of joblib.
WORKERS = 2
KILN = _kiln.find_binary("kiln")


class Rounds:
    """What a part of the benchmark is to do, and where its samples go.

    Attributes:
        count: How many rounds.
        few: The same for what takes long.
        quick: Less work, to try the script.
    """

    def __init__(self, count: int, quick: bool, wanted: set[str]) -> None:
        self.count = count
        self.few = min(count, 3)
        self.quick = quick
        self._wanted = wanted

    def wants(self, *names: str) -> bool:
        """Whether one of these rows is asked for."""
        return not self._wanted.isdisjoint(names)

    def size(self, full: int, quick: int) -> int:
        """Returns: `full`, or `quick` if less work is asked for."""
        return quick if self.quick else full

    def add(self, name: str, kiln: list[float], peer: list[float] | None = None,
            peer_name: str = "", note: str = "") -> None:
        """Hands over the samples of a row, one for each round; less is said in `note`."""
        if self.wants(name):
            print(json.dumps({"name": name, "kiln": kiln, "peer": peer or [],
                              "peer_name": peer_name, "note": note}), flush=True)


def in_turns(rounds: int, contenders: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Calls all contenders in each round, in the other order in every second one.

    The machine's speed varies over seconds; neighbours in a round have met the same.

    Returns:
        What each contender returned, by round.
    """
    results: dict[str, list[Any]] = {name: [] for name in contenders}
    for turn in range(rounds):
        order = list(contenders)
        for name in order if turn % 2 == 0 else reversed(order):
            gc.collect()
            results[name].append(contenders[name]())
    return results


def seconds_of(function: Callable[[], Any], least_s: float = 0.0, most_calls: int = 200) -> float:
    """The median time of a call; it is called until `least_s` are over, once at least."""
    times: list[float] = []
    while not times or (sum(times) < least_s and len(times) < most_calls):
        begin = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - begin)
        del result  # here, so that freeing it is in nobody's time
    return statistics.median(times)


def scaled(samples: list[float], factor: float) -> list[float]:
    return [sample * factor for sample in samples]


def nap() -> None:
    time.sleep(0.05)


def start_kiln(store_bytes: int = 512 << 20) -> kiln.Context:
    """Joins a head of our own whose workers have started and whose store has its first pages."""
    context = kiln.init("local", num_cpus=WORKERS, object_store_memory=store_bytes)
    kiln.get([kiln.remote(nap).remote() for _ in range(4 * WORKERS)])
    wait_until(lambda: not status(context)["store_prefaulting"], "the store has its pages")
    return context


def status(context: kiln.Context) -> dict[str, Any]:
    """What the command `kiln status` says."""
    done = subprocess.run([KILN, "status", "--json", "--address", context.address],
                          capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def wait_until(predicate: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > deadline:
            sys.exit(f"not within {timeout_s} s: {what}")
        time.sleep(0.02)
