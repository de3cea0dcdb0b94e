"""Chunks: parts of an input that travel to one task, and the results that come back.

A chunk keeps the type of what it was cut from where that is the cheaper encoding: a part of a
``range`` is three numbers, a part of a NumPy array is an array. NumPy scalars in lists, which would
be pickled one by one, travel as one array and are NumPy scalars again on the other side.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

# Sequences whose slices hold the same items as the iteration does, and cost next to nothing.
_SLICED = (list, tuple, range, bytes, bytearray, str)

# NumPy scalars that are the same after a journey in an array. longlong and others are not: theirs
# is a second name of a type, and they would come back under the first.
_PACKED = frozenset(
    ["bool_", "bool", "complex64", "complex128"]
    + [f"float{bits}" for bits in (16, 32, 64)]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


def is_sliced(iterable: Iterable[Any]) -> TypeGuard[Sequence[Any]]:
    """Whether `cut` can cut it as it is."""
    return type(iterable) in _SLICED or is_array(iterable)


def as_sequence(iterable: Iterable[Any]) -> Sequence[Any]:
    """What `cut` can cut: the input itself, or a list of it."""
    return iterable if is_sliced(iterable) else list(iterable)


def is_array(value: object) -> bool:
    """Whether `value` is a NumPy array whose slices are plain memory."""
    numpy = sys.modules.get("numpy")  # never imported here: a driver without arrays needs none
    return (
        numpy is not None
        and type(value) is numpy.ndarray
        and value.ndim > 0
        and not value.dtype.hasobject
    )


def cut(items: Sequence[Any], start: int, stop: int) -> tuple[Any, ...]:
    """The arguments that carry ``items[start:stop]`` to a task; see `uncut`."""
    part = items[start:stop]
    if type(part) is range:
        return part.start, part.stop, part.step
    if type(part) is list:
        return (pack(part),)
    return (part,)


def uncut(chunk: tuple[Any, ...]) -> Sequence[Any]:
    """The items of a chunk, in the task."""
    if len(chunk) == 3:
        return range(*chunk)
    items: Sequence[Any] = chunk[0]
    return items


def apply(func: Callable[[Any], Any], items: Iterable[Any], count: int) -> list[Any]:
    """``[func(item) for item in items]``, the faster way for this function.

    Raises:
        RuntimeError: The function raised StopIteration, which would end what it is called by.
    """
    try:
        if type(func) is types.FunctionType:
            results = [func(item) for item in items]  # 3.11 calls these without a C frame
        else:
            results = list(map(func, items))
    except StopIteration as error:
        raise RuntimeError("the function raised StopIteration") from error
    if len(results) != count:
        raise RuntimeError("the function raised StopIteration")
    return results


def pack(results: list[Any]) -> Any:
    """One array instead of a list of NumPy scalars of one type; any other list as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not results or not isinstance(results[0], numpy.generic):
        return results
    kind = type(results[0])
    if kind.__name__ not in _PACKED or set(map(type, results)) != {kind}:
        return results
    return numpy.fromiter(results, kind, len(results))


def unpack(results: Any) -> list[Any]:
    """The list that was given to `pack`."""
    return results if type(results) is list else list(results)
