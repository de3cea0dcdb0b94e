"""kiln: Ray's programming model on all cores of one machine.

    import kiln

    @kiln.remote
    def square(x):
        return x * x

    print(kiln.get([square.remote(i) for i in range(4)]))  # [0, 1, 4, 9]

`import kiln as ray` works for programs that use tasks and objects. See docs/guide-python.md.
"""

from __future__ import annotations

import os
import sys
from typing import Any

# Stubs made from kiln's proto files are the package kiln.v1, and may lie anywhere on the path.
__path__ += [os.path.join(entry, "kiln") for entry in sys.path
             if os.path.isdir(os.path.join(entry, "kiln", "v1"))]

from kiln import _kiln, _values, exceptions
from kiln import _remote as _remote_module
from kiln._api import (
    RuntimeContext,
    available_resources,
    cancel,
    cluster_resources,
    get,
    get_runtime_context,
    method,
    nodes,
    put,
    timeline,
    wait,
)
from kiln._generator import ObjectRefGenerator
from kiln._kiln import ObjectRef
from kiln._remote import CppFunction, RemoteFunction, cpp_function, remote
from kiln._session import Context, init, is_initialized, shutdown

__version__: str = _kiln.version

__all__ = [
    "Context",
    "CppFunction",
    "ObjectRef",
    "ObjectRefGenerator",
    "RemoteFunction",
    "RuntimeContext",
    "available_resources",
    "cancel",
    "cluster_resources",
    "cpp_function",
    "exceptions",
    "get",
    "get_runtime_context",
    "init",
    "is_initialized",
    "map",
    "method",
    "nodes",
    "put",
    "remote",
    "shutdown",
    "timeline",
    "util",
    "wait",
]

_kiln.set_hooks(_values.dump, _values.load, exceptions._make_error, _remote_module.explain_argument)


def __getattr__(name: str) -> Any:
    """`kiln.map` and `kiln.util` are imported when first used: most programs need neither."""
    import importlib

    if name == "map":
        value = importlib.import_module("kiln._map").map
        globals()["map"] = value
        return value
    if name in ("util", "worker"):
        return importlib.import_module(f"kiln.{name}")
    raise AttributeError(f"module 'kiln' has no attribute {name!r}")
