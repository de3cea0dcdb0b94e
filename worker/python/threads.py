"""How many threads the libraries of a task use: as many as it has CPUs."""

from __future__ import annotations

import ctypes
import os
from typing import Any

_is_set_by_user = False  # the driver's environment says how many threads there are


def prepare() -> None:
    """Looks who decides. Requires: the environment is the driver's."""
    global _is_set_by_user
    _is_set_by_user = "OMP_NUM_THREADS" in os.environ


def set_threads(num_cpus: float) -> None:
    """Tells threaded libraries how many threads a task may use, unless the driver's environment does."""
    if _is_set_by_user:
        return
    count = max(1, int(num_cpus))
    os.environ["OMP_NUM_THREADS"] = str(count)
    for library, call in _setters():
        getattr(library, call)(ctypes.c_int(count))


def _setters() -> list[tuple[Any, str]]:
    """The functions of loaded libraries that set their number of threads."""
    found = []
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            paths = {line.split(None, 5)[5].strip() for line in file if ".so" in line}
    except OSError:
        return []
    for path in sorted(paths):
        base = os.path.basename(path)
        if not any(word in base for word in ("openblas", "libgomp", "libomp", "libiomp", "mkl_rt")):
            continue
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for call in ("openblas_set_num_threads", "openblas_set_num_threads64_", "MKL_Set_Num_Threads",
                     "omp_set_num_threads"):
            if hasattr(library, call):
                found.append((library, call))
                break
    return found
