"""Pickling what the binding cannot encode by itself, out-of-band where types allow it."""

from __future__ import annotations

import functools
import io
import pickle
import sys
from typing import Any, Callable

from kiln import _kiln

_PROTOCOL = 5  # the one with out-of-band buffers; all of Python 3.8 and later have it
# Buffers from here on are kept out of the pickle, where readers can use them in place.
_OUT_OF_BAND_BYTES = 1024

_pickler_class: Any = None


def _cloud_pickler() -> Any:
    """cloudpickle's pickler with views of memory; made when first needed, for it takes 30 ms."""
    global _pickler_class
    if _pickler_class is None:
        import dataclasses
        import typing

        import cloudpickle

        # The marks of what is a field in a dataclass are compared by identity: cloudpickle before 3.0
        # makes others of them, and dataclasses.fields() finds none then.
        field_kind = type(getattr(dataclasses, "_FIELD", None))

        class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc, unused-ignore]
            def reducer_override(self, obj: Any) -> Any:
                kind = type(obj)
                if kind is memoryview:
                    return _reduce_view(obj)
                if kind is type and typing.NamedTuple in obj.__dict__.get("__orig_bases__", ()):
                    return self._reduce_named_tuple(obj)
                if kind is _LRU_KIND and not _is_found_by_name(obj):
                    return _restore_cached, (obj.__wrapped__, obj.cache_parameters())
                if kind is field_kind:
                    return getattr, (dataclasses, obj.name)
                return super().reducer_override(obj)

            # cloudpickle before 3.0 would make the class from __orig_bases__, and cannot.
            def _reduce_named_tuple(self, obj: Any) -> Any:
                bases = obj.__orig_bases__
                del obj.__orig_bases__
                try:
                    return super().reducer_override(obj)
                finally:
                    obj.__orig_bases__ = bases

        _pickler_class = Pickler
    return _pickler_class


# Functions under functools.cache and lru_cache pickle by name alone.
_LRU_KIND = type(functools.lru_cache(len))


def _is_found_by_name(function: Any) -> bool:
    found: Any = None if function.__module__ == "__main__" else sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


def _restore_cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _reduce_view(view: Any) -> tuple[Any, ...]:
    if not view.c_contiguous:
        view = memoryview(view.tobytes()).cast(view.format, view.shape) if _can_cast(view) else (
            memoryview(view.tobytes()))
    return _restore_view, (pickle.PickleBuffer(view), view.format, view.shape)


def _can_cast(view: Any) -> bool:
    return len(view.format.lstrip("@")) == 1 and 0 not in view.shape


def _restore_view(buffer: Any, format: Any, shape: tuple[int, ...]) -> Any:
    view: Any = memoryview(buffer)
    if format == "B" and len(shape) == 1 or not (len(format.lstrip("@")) == 1):
        return view
    if 0 in shape:  # such a view cannot be cast to more than its format
        return memoryview(b"").cast(format)
    return view.cast("B").cast(format, shape)


# What a pickled ref calls: functions of the binding itself cannot be pickled.
def _restore_ref(id: int) -> Any:
    return _binding_restore_ref(id)


_binding_restore_ref = getattr(_kiln, "_restore_ref")
setattr(_kiln, "_restore_ref", _restore_ref)


def _restore_bytearray(buffer: Any) -> bytearray:
    return bytearray(buffer)


def _collector(buffers: list[Any]) -> Callable[[pickle.PickleBuffer], bool]:
    def collect(buffer: pickle.PickleBuffer) -> bool:
        with buffer.raw() as raw:
            if raw.nbytes < _OUT_OF_BAND_BYTES:
                return True  # in band
        buffers.append(buffer)
        return False

    return collect


def dump(value: Any) -> tuple[bytes, list[Any]]:
    """Pickles a value: (pickle, its out-of-band buffers).

    Plain pickle is five times faster than cloudpickle. But what it names by module it only finds
    again where that module is the same, which `__main__` is not.
    """
    buffers: list[Any] = []
    if type(value) is bytearray and len(value) >= _OUT_OF_BAND_BYTES:
        return dump_by_value(_ByteArray(value))
    if type(value) is not memoryview:
        try:
            pickled = pickle.dumps(value, _PROTOCOL, buffer_callback=_collector(buffers))
            if b"__main__" not in pickled:
                return pickled, buffers
        except Exception:
            pass  # cloudpickle can do more, and its error says more
    return dump_by_value(value)


class _ByteArray:
    """Pickles as a bytearray whose bytes are out of band."""

    def __init__(self, value: bytearray) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_bytearray, (pickle.PickleBuffer(self.value),)


def dump_by_value(value: Any) -> tuple[bytes, list[Any]]:
    """As dump, functions and classes of `__main__` by value."""
    buffers: list[Any] = []
    with io.BytesIO() as file:
        _cloud_pickler()(file, protocol=_PROTOCOL, buffer_callback=_collector(buffers)).dump(value)
        return file.getvalue(), buffers


def load(body: Any, buffers: list[Any]) -> Any:
    """The value of a pickle; arrays in it are views of `buffers`."""
    return pickle.loads(body, buffers=buffers)
