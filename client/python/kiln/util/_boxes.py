"""Boxes: what a pool has stored for its calls, and workers load once.

The functions that a session defines stay with it, and there is a bound on them. So a closure, which
may hold large arrays and is another one next time, is an object instead: it goes with the pool or
the call of map that has put it. Workers keep what they have loaded, so that a function finds in its
globals what it has left there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import kiln

# The ref of what is stored, and whether it is small. In a list, for a ref that is an argument by
# itself would be replaced by its value, unpickled for each call.
Box = list[Any]

# Small boxes that a worker keeps. Of large ones it keeps the last, for they occupy the store.
_MOST_BOXES = 64

_small: OrderedDict[str, Any] = OrderedDict()  # by ref, the one used last at the end
_large: OrderedDict[str, Any] = OrderedDict()


def make(value: Any, name: str, *, small: bool) -> Box:
    """Stores a value.

    Raises:
        TypeError: It cannot be pickled.
    """
    try:
        return [kiln.put(value), small]
    except Exception as error:
        if type(error).__module__ == "kiln.exceptions":
            raise
        raise TypeError(f"the function {name} cannot be pickled: {error}") from error


def load(box: Box) -> Any:
    """The value, in a worker."""
    ref, small = box
    kept, most = (_small, _MOST_BOXES) if small else (_large, 1)
    name = ref.hex()
    if name in kept:
        kept.move_to_end(name)
        return kept[name]
    while len(kept) >= most:
        kept.popitem(last=False)
    value = kept[name] = kiln.get(ref)
    return value


def call(box: Box, /, *args: Any, **kwargs: Any) -> Any:
    """Calls what is in the box."""
    return load(box)(*args, **kwargs)


def call_open(box: Box | None, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Calls `func`, after the setup that is in the box."""
    if box is not None:
        load(box).run(func)
    return func(*args, **kwargs)
