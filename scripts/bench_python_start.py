"""How long it takes until kiln is there: import, init, first task, each in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial

from bench_python_rounds import KILN, WORKERS, Rounds, in_turns, scaled

# A program of its own: what one does with kiln first. Prints seconds from before init or Pool.
_KILN_PROGRAM = f"""
import sys, time
import kiln

@kiln.remote
def f(x):
    return x + 1

options = {{}} if sys.argv[1] != "local" else {{"num_cpus": {WORKERS}}}
begin = time.perf_counter()
kiln.init(sys.argv[1], **options)
ready = time.perf_counter()
assert kiln.get(f.remote(1)) == 2
print([ready - begin, time.perf_counter() - begin])
"""
_POOL_PROGRAM = f"""
import time
from multiprocessing import Pool

def f(x):
    return x + 1

begin = time.perf_counter()
pool = Pool({WORKERS})
ready = time.perf_counter()
assert pool.apply(f, (1,)) == 2
print([ready - begin, time.perf_counter() - begin])
"""


def _wall_seconds(code: str) -> float:
    """From the start of an interpreter to its end."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begin


def imports(rounds: Rounds) -> None:
    """The whole life of processes that import, minus that of the bare interpreter's."""
    subprocess.run([sys.executable, "-c", "import kiln, sys; sys.exit('numpy' in sys.modules and "
                    "'import kiln imports numpy')"], check=True)
    programs = {"bare": "pass", "kiln": "import kiln", "pool": "import multiprocessing.pool"}
    for code in programs.values():
        _wall_seconds(code)  # compiles what it imports, warms the page cache
    times = in_turns(4 * rounds.count, {
        name: partial(_wall_seconds, code) for name, code in programs.items()})
    beyond = {name: [1e3 * (mine - bare) for mine, bare in zip(times[name], times["bare"])]
              for name in ("kiln", "pool")}
    rounds.add("import kiln", beyond["kiln"], beyond["pool"], "import multiprocessing.pool")


def _printed(code: str, *args: str) -> list[float]:
    """The seconds that a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code, *args], check=True, stdout=subprocess.PIPE,
                          text=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def sessions(rounds: Rounds) -> None:
    """init and the first task, in processes that join a head, and in those that start one."""
    with tempfile.TemporaryDirectory(prefix="head-") as directory:
        session_dir = os.path.join(directory, "s")
        subprocess.run([KILN, "start", "--head", "--num-cpus", str(WORKERS), "--session-dir",
                        session_dir], check=True, stdout=subprocess.DEVNULL)
        try:
            contenders = {
                "running": partial(_printed, _KILN_PROGRAM, session_dir),
                "own": partial(_printed, _KILN_PROGRAM, "local"),
                "pool": partial(_printed, _POOL_PROGRAM)}
            for contender in contenders.values():
                contender()
            times = in_turns(2 * rounds.count, contenders)
        finally:
            subprocess.run([KILN, "stop", "--session-dir", session_dir], check=True,
                           stdout=subprocess.DEVNULL)
    inits, firsts = ({name: scaled([both[which] for both in pairs], 1e3)
                      for name, pairs in times.items()} for which in (0, 1))
    pool, apply = f"Pool({WORKERS})", f"Pool({WORKERS}) and an apply"
    rounds.add("init, a head runs", inits["running"], inits["pool"], pool)
    rounds.add("init that starts a head", inits["own"], inits["pool"], pool)
    rounds.add("first task from init, a head runs", firsts["running"], firsts["pool"], apply)
    rounds.add("first task from init that starts a head", firsts["own"], firsts["pool"], apply)
