"""The session of this process: init, shutdown, and the one that tasks have."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import warnings
from typing import Any

from kiln import _events, _kiln

_lock = threading.RLock()
_session: _kiln.Session | None = None
_context: Context | None = None
_in_worker = False
_namespace = ""  # of the names of actors that say none
_parent_address = ""  # of the head that the process had joined that this one was forked from

# Options of ray.init that have no meaning on one machine, or none yet: accepted and passed over.
_IGNORED = frozenset({
    "configure_logging", "dashboard_host", "dashboard_port", "include_dashboard", "log_level",
    "logging_config", "logging_format", "logging_level", "local_mode", "num_gpus", "labels",
    "enable_resource_isolation", "cgroup_path",
})


class Context:
    """What `init` returns: the head that was joined or started.

    Attributes:
        address: Where the head is: "unix:/…/head.sock".
        num_cpus: CPUs it schedules.
        store_bytes: Size of its object store.
        owned: It was started by this program and ends with it.
        dashboard_url: Empty: this version has no dashboard.
    """

    def __init__(self, session: _kiln.Session) -> None:
        self.address: str = session.address
        self.num_cpus: float = session.num_cpus
        self.store_bytes: int = session.store_bytes
        self.owned: bool = session.own_head
        self.version: str = session.head_version
        self.dashboard_url = ""

    def __repr__(self) -> str:
        owner = "started by this program, ends with it" if self.owned else "was running"
        return (
            f"kiln {self.version} ({owner})\n"
            f"  Address       {self.address}\n"
            f"  Workers       one for each of {self.num_cpus:g} CPUs, Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}\n"
            f"  Object store  {self.store_bytes / 2**30:.2f} GiB\n"
            f"  Dashboard     none in this version; see `kiln status`"
        )

    @property
    def address_info(self) -> dict[str, Any]:
        """The same as a dict, under Ray's name."""
        return {"address": self.address, "num_cpus": self.num_cpus,
                "object_store_memory": self.store_bytes, "webui_url": self.dashboard_url}

    def disconnect(self) -> None:
        """As kiln.shutdown()."""
        shutdown()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *exc: object) -> None:
        shutdown()


def init(
    address: str | None = None,
    *,
    num_cpus: int | None = None,
    object_store_memory: int | None = None,
    resources: dict[str, float] | None = None,
    ignore_reinit_error: bool = False,
    log_to_driver: bool = True,
    namespace: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    **ignored: Any,
) -> Context:
    """Joins a running head, or starts one that ends with this program.

    Called by itself with no arguments at the first use of kiln.

    Args:
        address: The head to join: "unix:PATH", "HOST:PORT", or the path of its session directory;
            "auto": a running one or an error; "local": a new one. By default the one that
            KILN_ADDRESS or KILN_SESSION_DIR name, else the user's own if it runs, else a new one.
        num_cpus: CPUs of a head that is started here; all by default. Logical: more are allowed.
        object_store_memory: Size of its object store in bytes; by default 30 % of the memory.
        resources: Custom resources of it, by name.
        ignore_reinit_error: A second call returns the context of the first instead of failing.
        log_to_driver: What tasks print appears here, on standard error.
        namespace: Of the names of actors, here and in tasks; "" by default, which all programs
            without one share.
        runtime_env: {"env_vars": {...}, "working_dir": path}: environment variables and working
            directory of the workers of this program; other keys are refused.

    Returns:
        What the head is; its repr says so.

    Raises:
        RuntimeError: init was called before, and ignore_reinit_error is false.
        ConnectionError: There is no such head, or none could be started.
        ValueError: num_cpus, object_store_memory or resources for a head that runs already.
    """
    global _session, _context, _namespace
    for name in ignored:
        if name not in _IGNORED:
            raise TypeError(f"init() got an unexpected keyword argument {name!r}")
    if ignored:
        warnings.warn(f"kiln.init: no effect on one machine: {', '.join(sorted(ignored))}",
                      stacklevel=2)
    with _lock:
        if _in_worker:
            raise RuntimeError("kiln.init() inside a task: the task has a session already; use "
                               "kiln.get, kiln.put and f.remote directly")
        if _session is not None and _session.usable:
            if not ignore_reinit_error:
                raise RuntimeError("kiln.init() was called before; call kiln.shutdown() first, or "
                                   "pass ignore_reinit_error=True")
            assert _context is not None
            return _context
        if _session is not None:
            _close()
        session = _connect(address, num_cpus, object_store_memory, resources, runtime_env or {},
                           namespace or "")
        if not session.own_head and (num_cpus or object_store_memory or resources):
            where = session.address
            session.shutdown()
            raise ValueError(
                f"num_cpus, object_store_memory and resources are for a head that is started here, "
                f"and the one at {where} runs already; leave them out, or pass address=\"local\"")
        _session, _context, _namespace = session, Context(session), namespace or ""
        session.keep_lines(log_to_driver)
        _events.start(session)
        return _context


def _connect(address: str | None, num_cpus: int | None, object_store_memory: int | None,
             resources: dict[str, float] | None, runtime_env: dict[str, Any], namespace: str
             ) -> _kiln.Session:
    if not isinstance(namespace, str):
        raise TypeError(f"namespace is {namespace!r}; it must be a str")
    for name, amount in (("num_cpus", num_cpus), ("object_store_memory", object_store_memory)):
        if amount is not None and (isinstance(amount, bool) or amount != int(amount) or amount < 1):
            raise ValueError(f"{name} is {amount!r}; it must be a whole number from 1")
    options: dict[str, Any] = {"address": address or "", "session_dir": "", "start_head": True,
                               "new_head": False}
    if not address and _parent_address and not os.environ.get("KILN_ADDRESS"):
        options["address"] = _parent_address
    elif address == "auto":
        options.update(address="", start_head=False)
    elif address == "local":
        options.update(address="", new_head=True)
    elif address and address.startswith("/"):
        options.update(address="", session_dir=address)
    return _kiln.connect(
        program=_program(runtime_env, namespace), num_cpus=int(num_cpus or 0),
        object_store_memory=int(object_store_memory or 0),
        resources={name: float(amount) for name, amount in (resources or {}).items()}, **options)


def _program(runtime_env: dict[str, Any], namespace: str) -> dict[str, Any]:
    """How the head starts workers that can run this program's functions."""
    unknown = sorted(set(runtime_env) - {"env_vars", "working_dir"})
    if unknown:
        raise ValueError(f"runtime_env: {', '.join(unknown)}: only env_vars and working_dir are "
                         f"supported; install packages before kiln.init()")
    if not sys.executable:
        raise RuntimeError("this Python does not know its own executable (sys.executable), so no "
                           "workers can be started for it")
    working_dir = os.path.abspath(runtime_env.get("working_dir", os.getcwd()))
    if not os.path.isdir(working_dir):
        raise ValueError(f"runtime_env: working_dir {working_dir!r} is no directory")
    import json

    own_path = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {**os.environ, **runtime_env.get("env_vars", {})}
    path = environment.get("PYTHONPATH", "")
    sys_path = [os.path.abspath(entry) for entry in sys.path]
    # The workers must find this very package before they know anything of the driver, and what is
    # to be there before the fork where the driver finds it.
    search = [*sys_path, own_path] if "KILN_PRELOAD" in environment else [own_path, path]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, search))
    threads = environment.get("OMP_NUM_THREADS", "")
    environment.setdefault("OMP_NUM_THREADS", "1")  # see kiln.worker.threads
    setup = {
        "sys_path": sys_path,
        "python": list(sys.version_info[:3]),
        "pythonpath": path,
        "driver": f"{os.getpid()}.{time.monotonic_ns()}",  # workers serve one driver each
        "omp_num_threads": threads,
        "namespace": namespace,
    }
    return {
        "executable": sys.executable,
        "args": [sys.executable, "-m", "kiln.worker"],
        "env": [f"{name}={value}" for name, value in environment.items()],
        "working_dir": working_dir,
        "setup": json.dumps(setup),
    }


def shutdown() -> None:
    """Ends this program's session, and the head if the program started it.

    Tasks that have not finished are cancelled. Refs are of no use afterwards; arrays that were got
    stay readable. Called by itself at exit.
    """
    with _lock:
        _close()


def _close() -> None:
    global _session, _context
    session, _session, _context = _session, None, None
    if session is not None:
        session.shutdown()
        _events.stop()


def is_initialized() -> bool:
    """True if this process has a session that works: after init, and inside tasks."""
    return _session is not None and _session.usable


def current() -> _kiln.Session:
    """The session of this process; calls init if there is none yet.

    Raises:
        RaySystemError: This process was forked from one with a session, or the head has gone.
    """
    session = _session
    if session is not None:
        return session  # its calls say why, if it is of no use any more
    with _lock:
        if _session is None:
            init()
        assert _session is not None
        return _session


def namespace_or(namespace: str | None) -> str:
    """The namespace that is meant: that of this program if none is given."""
    return _namespace if namespace is None else namespace


def set_namespace(namespace: str) -> None:
    """In a worker: the one of its program."""
    global _namespace
    _namespace = namespace


def become_worker(session: _kiln.Session) -> None:
    """Makes the session of a worker this process's own."""
    global _session, _in_worker
    _session, _in_worker = session, True
    _events.start(session)


def _after_fork() -> None:
    global _lock, _parent_address
    _lock = threading.RLock()
    _events.after_fork()
    if _session is not None:
        _parent_address = _session.address


os.register_at_fork(after_in_child=_after_fork)
atexit.register(shutdown)
