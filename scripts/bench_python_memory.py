"""What an idle worker of kiln takes beyond its interpreter and numpy."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import kiln
from bench_python_rounds import WORKERS, Rounds, in_turns, start_kiln

# As workers come to be, without kiln: a parent that has imported numpy, and its forks.
_FORKS = f"""
import os, signal, sys
import numpy
pids = []
for _ in range({WORKERS}):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    pids.append(pid)
print(*pids, flush=True)
sys.stdin.read()
for pid in pids:
    os.kill(pid, signal.SIGKILL)
"""
_IDLE_S = 0.5


def megabytes(pid: int) -> tuple[float, float]:
    """Returns: a process's proportional set size, and its private memory."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if rest.endswith("kB\n"):
                found[name] = int(rest.split()[0]) * 1024 / 1e6
    return found["Pss"], found["Private_Clean"] + found["Private_Dirty"]


def _mean(pids: list[int]) -> tuple[float, float]:
    sizes = [megabytes(pid) for pid in pids]
    return sum(pss for pss, _ in sizes) / len(sizes), sum(own for _, own in sizes) / len(sizes)


def _forks() -> tuple[float, float]:
    with subprocess.Popen([sys.executable, "-c", _FORKS], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(_IDLE_S)
        sizes = _mean(pids)
        parent.stdin.close()
    return sizes


def _alone() -> tuple[float, float]:
    with subprocess.Popen([sys.executable, "-c", "import numpy; print(1, flush=True); input()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        time.sleep(_IDLE_S)
        sizes = megabytes(process.pid)
        process.stdin.write("\n")
    return sizes


def _own_pid() -> int:
    time.sleep(0.1)  # so that each worker runs one
    return os.getpid()


def _workers() -> tuple[float, float]:
    start_kiln()
    own_pid = kiln.remote(_own_pid)
    pids = sorted(set(kiln.get([own_pid.remote() for _ in range(2 * WORKERS)])))
    time.sleep(_IDLE_S)
    sizes = _mean(pids)
    kiln.shutdown()
    return sizes


def idle_workers(rounds: Rounds) -> None:
    """A worker minus a fork of an interpreter that has imported numpy, with as many siblings.

    Shared pages count in parts for those who share them, so forks are compared with forks.
    """
    sizes = in_turns(rounds.few, {"kiln": _workers, "forks": _forks, "alone": _alone})
    for name, which in (("idle worker, PSS", 0), ("idle worker, private", 1)):
        kiln_mb, forks_mb, alone_mb = ([both[which] for both in sizes[who]]
                                       for who in ("kiln", "forks", "alone"))
        beyond = [mine - other for mine, other in zip(kiln_mb, forks_mb)]
        rounds.add(name, beyond, forks_mb, "a fork of python with numpy; "
                   f"not forked {min(alone_mb):.1f}, a worker in all {min(kiln_mb):.1f}")
