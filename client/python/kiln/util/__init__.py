"""Ways to use kiln through interfaces that programs already know.

``kiln.util.ActorPool``, ``kiln.util.queue.Queue``, ``kiln.util.multiprocessing.Pool``,
``kiln.util.concurrent.Executor``, ``kiln.util.joblib.register_kiln``, the progress bar
``kiln.util.tqdm``, and ``kiln.util.testing`` with actors that tests need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kiln.util._named_actors import list_named_actors
    from kiln.util._progress import tqdm, trange
    from kiln.util.actor_pool import ActorPool

__all__ = ["ActorPool", "list_named_actors", "tqdm", "trange"]

_HOMES = {"ActorPool": "actor_pool", "list_named_actors": "_named_actors", "tqdm": "_progress",
          "trange": "_progress"}
_MODULES = ("actor_pool", "concurrent", "joblib", "multiprocessing", "placement_group", "queue",
            "scheduling_strategies", "testing")


def __getattr__(name: str) -> Any:
    """Everything here is loaded when it is first used: `import kiln` is to be fast."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"kiln.util.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"kiln.util.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
