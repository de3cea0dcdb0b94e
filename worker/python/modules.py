"""Functions that tasks name by module: those of `kiln run` and of C++ programs."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from kiln.exceptions import RayError

# The files below the working directory that this process has loaded modules from, as they were then.
_files: dict[str, tuple[int, int] | None] = {}


class NotFound(RayError):
    """There is no such function."""


def load(name: str) -> Any:
    """The function "package.module:name".

    Raises:
        NotFound: There is no such module, or it has no such function.
    """
    module_name, _, path = name.partition(":")
    importlib.invalidate_caches()  # the module may have been written a moment ago
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise  # the module is there, and lacks another
        raise NotFound(f"no module {module_name!r} in {os.getcwd()} or on sys.path") from None
    finally:
        _note_files()
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise NotFound(f"module {module_name!r} has no {path!r}; it has "
                           f"{_names_of(found)}") from None
    return getattr(found, "__wrapped__", found)


def _names_of(found: Any) -> str:
    names = [name for name in dir(found)
             if not name.startswith("_") and callable(getattr(found, name, None))]
    return ", ".join(names[:20]) or "no functions"


def is_stale() -> bool:
    """True if a file that was loaded has changed: this process is to be replaced."""
    return any(_identity(path) != known for path, known in _files.items())


def _note_files() -> None:
    root = os.getcwd() + os.sep
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.startswith(root) and path not in _files:
            _files[path] = _identity(path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
