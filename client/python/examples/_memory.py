"""How much memory this program uses: itself, the processes it started, and shared memory."""

from __future__ import annotations

import os
import re
from pathlib import Path


def memory_in_use() -> str:
    """Returns the memory in use as text.

    A process counts what it has for itself (PSS of its anonymous pages). Shared memory is that of
    the whole machine: the object store lies there, beside what other programs have.
    """
    own, others = _private_bytes(os.getpid()), sum(map(_private_bytes, _descendants()))
    shared = re.search(r"Shmem: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    return (f"this process {own / 1e6:.0f} MB, its child processes {others / 1e6:.0f} MB, "
            f"shared memory {int(shared[1]) * 1024 / 1e6 if shared else 0:.0f} MB")


def _private_bytes(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # it has ended
        return 0
    anonymous = re.search(r"Pss_Anon: +(\d+) kB", rollup)
    return int(anonymous[1]) * 1024 if anonymous else 0


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text(errors="replace").rpartition(")")[2]
        except OSError:
            continue
        children.setdefault(int(after_name.split()[1]), []).append(int(stat.parent.name))
    found, left = [], [os.getpid()]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found
