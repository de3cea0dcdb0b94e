"""Pickling what the binding cannot encode by itself, out-of-band where types allow it."""

from __future__ import annotations

import io
import pickle
from typing import Any, Callable

_PROTOCOL = 5  # the one with out-of-band buffers; all of Python 3.8 and later have it
# Buffers from here on are kept out of the pickle, where readers can use them in place.
_OUT_OF_BAND_BYTES = 1024

_pickler_class: Any = None


def _cloud_pickler() -> Any:
    """cloudpickle's pickler with views of memory; made when first needed, for it takes 30 ms."""
    global _pickler_class
    if _pickler_class is None:
        import cloudpickle

        class Pickler(cloudpickle.CloudPickler):
            def reducer_override(self, obj: Any) -> Any:
                if type(obj) is memoryview and obj.c_contiguous:
                    return _restore_view, (pickle.PickleBuffer(obj), obj.format, obj.shape)
                return super().reducer_override(obj)

        _pickler_class = Pickler
    return _pickler_class


def _restore_view(buffer: Any, format: str, shape: tuple[int, ...]) -> memoryview:
    view = memoryview(buffer)
    return view if format == "B" and len(shape) == 1 else view.cast("B").cast(format, shape)  # type: ignore[call-overload]


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
