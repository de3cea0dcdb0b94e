"""kiln: Ray's programming model on all cores of one machine.

    import kiln

    @kiln.remote
    def square(x):
        return x * x

    print(kiln.get([square.remote(i) for i in range(4)]))  # [0, 1, 4, 9]

`import kiln as ray` works for programs that use tasks, actors and objects. See docs/guide-python.md.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

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
    nodes,
    put,
    timeline,
    wait,
)
from kiln._generator import ObjectRefGenerator
from kiln._kiln import ObjectRef
from kiln._remote import CppFunction, RemoteFunction, cpp_function, remote
from kiln._session import Context, init, is_initialized, shutdown

if TYPE_CHECKING:
    from kiln._actor import CppActorClass, cpp_actor, get_actor, kill
    from kiln._actor_options import method

__version__: str = _kiln.version

__all__ = [
    "Context",
    "CppActorClass",
    "CppFunction",
    "ObjectRef",
    "ObjectRefGenerator",
    "RemoteFunction",
    "RuntimeContext",
    "actor",
    "available_resources",
    "cancel",
    "cluster_resources",
    "cpp_actor",
    "cpp_function",
    "exceptions",
    "get",
    "get_actor",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
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


# What most programs do not need is imported when it is first used.
_LATER = {
    "CppActorClass": "_actor",
    "cpp_actor": "_actor",
    "get_actor": "_actor",
    "kill": "_actor",
    "map": "_map",
    "method": "_actor_options",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LATER:
        value = getattr(importlib.import_module(f"kiln.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    if name in ("actor", "util", "worker"):
        return importlib.import_module(f"kiln.{name}")
    raise AttributeError(f"module 'kiln' has no attribute {name!r}")
