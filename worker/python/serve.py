"""The life of a fork server, and of the workers that come from it."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import sys
from typing import Any

from kiln import _kiln, _session

# Imported before the first fork, so that no worker pays for them, as far as they are installed.
# KILN_PRELOAD names others, separated by commas; empty: none.
_PRELOAD = "asyncio,cloudpickle,numpy,kiln.util"
# The state of NumPy's global generator, all of it drawn already.
_MT19937_WORDS = 624


def main() -> int:
    """Serves forks until the head goes; in a fork, runs tasks.

    Returns:
        The exit code.
    """
    if "KILN_FORK_SERVER" not in os.environ:
        print("kiln.worker is started by a kiln head, not by hand.\n"
              "To run a function, use `kiln run MODULE:FUNCTION [JSON ARGS...]`.", file=sys.stderr)
        return 2
    named = os.environ.get("KILN_PRELOAD")
    for name in (_PRELOAD if named is None else named).replace(" ", "").split(","):
        try:
            if name:
                importlib.import_module(name)
        except ImportError as error:
            if named is not None:
                sys.exit(f"KILN_PRELOAD names {name}, which cannot be imported: {error}")
    from kiln.worker import execute

    environment = {name + b"=" + value for name, value in os.environb.items()}
    gc.collect()
    gc.freeze()  # what is here now is never garbage: looking at it would copy its pages
    order = _kiln.serve_forks()
    if order is None:
        return 0
    _become(order, environment)
    return _run(execute)


def _become(order: dict[str, Any], environment: set[bytes]) -> None:
    """Makes this fork the worker that the head ordered; `environment` is the server's.

    What is not touched here need not be copied: each page of the server's that is written to, be it
    a count of references, costs some microseconds. So only variables that differ are set.
    """
    wanted = set(order["env"])
    for variable in environment - wanted:
        del os.environb[variable.partition(b"=")[0]]
    for variable in wanted - environment:
        name, _, value = variable.partition(b"=")
        os.environb[name] = value
    numpy = sys.modules.get("numpy")
    if numpy is not None:  # else all forks would draw the same numbers; `random` sees to itself
        # As numpy.random.seed() does it, in a third of the time.
        words = numpy.frombuffer(os.urandom(4 * _MT19937_WORDS), "uint32")
        numpy.random.set_state(("MT19937", words, _MT19937_WORDS))
    setup = json.loads(order["setup"] or b"{}")
    if "root" in setup:
        sys.path.insert(0, setup["root"])
        os.chdir(setup["root"])
        return
    ours, drivers = tuple(sys.version_info[:2]), tuple(setup["python"][:2])
    if ours != drivers:
        sys.exit(f"the driver runs Python {drivers[0]}.{drivers[1]} and its workers "
                 f"{ours[0]}.{ours[1]} ({sys.executable}): functions cannot travel between them")
    sys.path[:] = setup["sys_path"]
    _session.set_namespace(setup.get("namespace", ""))
    # What is only for finding the package is not for what tasks start.
    for name, wanted in (("PYTHONPATH", setup["pythonpath"]),
                         ("OMP_NUM_THREADS", setup["omp_num_threads"])):
        if wanted:
            os.environ[name] = wanted
        else:
            os.environ.pop(name, None)
    sys.argv = [""]


def _run(execute: Any) -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    faulthandler.enable(all_threads=False)  # the traceback of a crash is in the error then
    execute.prepare()
    _kiln.run_worker(execute, _session.become_worker)
    return 0
