"""Ways to use kiln through interfaces that programs already know.

``kiln.util.multiprocessing.Pool``, ``kiln.util.concurrent.Executor``,
``kiln.util.joblib.register_kiln`` and the progress bar ``kiln.util.tqdm``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kiln.util._progress import tqdm, trange

__all__ = ["tqdm", "trange"]


def __getattr__(name: str) -> Any:
    """Everything here is loaded when it is first used: `import kiln` is to be fast."""
    if name in __all__:
        from kiln.util import _progress

        return getattr(_progress, name)
    if name in ("concurrent", "joblib", "multiprocessing"):
        return importlib.import_module(f"kiln.util.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
