"""A C++ object driven from Python: an actor whose class is in a task library.

The library is the one of the C++ examples. The reverse, a Python object driven from C++, is
client/cpp/examples/python_actor.cc.
"""

import os
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import kiln as ray
from kiln import _kiln
from kiln.examples._report import Report, main


class Counter:
    """The same in Python."""

    def __init__(self, start: int) -> None:
        self._count = start

    def Increment(self, by: int) -> int:
        self._count += by
        return self._count


class _Manager(BaseManager):
    pass


_Manager.register("Counter", Counter)


def library() -> str:
    """The library of the C++ examples, beside libkiln."""
    folder = os.environ.get("KILN_LIB_DIR") or Path(_kiln.find_binary("kiln")).parent.parent / "lib"
    return str(Path(folder, "libkiln_examples.so"))


def count_to(calls: int, actor_class: Any) -> int:
    counter = actor_class.remote(0)
    return int(ray.get([counter.Increment.remote(1) for _ in range(calls)])[-1])


def count_serial(calls: int) -> int:
    counter = Counter(0)
    for _ in range(calls):
        last = counter.Increment(1)
    return last


def count_in_manager(manager: Any, calls: int) -> int:
    counter = manager.Counter(0)
    for _ in range(calls):
        last = int(counter.Increment(1))
    return last


def run(report: Report) -> None:
    calls = report.size(20_000, 200)
    all_counted = calls.__eq__
    report.time("serial", count_serial, calls, correct=all_counted)
    with report.start("Manager", _Manager) as manager:
        report.time("multiprocessing.Manager", count_in_manager, manager, calls, correct=all_counted)
    report.start("kiln.init()", ray.init)
    report.time("kiln actor in Python", count_to, calls, ray.remote(Counter), correct=all_counted)
    path = library()
    if not os.path.exists(path):
        report.note(f"There is no {path}: the C++ examples were not built.")
        return
    report.time("kiln actor in C++", count_to, calls, ray.cpp_actor(path, "Counter"),
                correct=all_counted)


if __name__ == "__main__":
    main(run)
