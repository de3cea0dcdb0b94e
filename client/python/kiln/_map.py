"""kiln.map: a list comprehension by all cores, with chunks that fit the function."""

from __future__ import annotations

import itertools
import math
import operator
import reprlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import kiln
from kiln.util import _calls, _chunks
from kiln.util._functions import Functions, is_imported
from kiln.util._setup import name_of

# What one chunk shall take, in seconds: a thousand times what it costs to send one, and still too
# little for anybody to wait for the last one while the other cores have nothing to do.
_TARGET = 0.02
# No chunk is made shorter than this, in seconds, to even out the end: that would not pay.
_SHORTEST = 0.001
# Items of one chunk, at most: the driver encodes one while others run, and decodes others again.
_MOST_ITEMS = 32_768
# How much longer a chunk may be than those measured before: the first items may not be typical.
# And the items of the first chunks if an earlier call has told what an item costs.
_GROWTH = 64
# Seconds to wait for the oldest chunk before any other is as welcome.
_PATIENCE = 2 * _TARGET
# Workers that a head starts beyond its CPUs, for tasks that ask for less than one.
_EXTRA_WORKERS = 8

# Functions that do nothing but compute: nobody can tell where they run. Below this cost, in
# seconds, an item takes longer to travel than to be computed here.
_PURE = frozenset(value for value in vars(math).values() if callable(value)) | {
    abs, bool, chr, float, int, len, ord, round, str,
}  # fmt: skip
_CHEAPER_HERE = 0.0000001


def map(
    func: Callable[[Any], Any],
    iterable: Iterable[Any],
    *,
    progress: bool = False,
    chunk_size: int | None = None,
    num_cpus: float = 1,
    desc: str | None = None,
) -> list[Any]:
    """``[func(item) for item in iterable]``, by all cores of the head.

    Items travel in chunks. Their size follows from how long the items before took, so a function of
    50 ns and one of 10 s both keep the cores busy. Iterators are read as chunks are sent, a few
    ahead. A list, tuple, range, str, bytes or NumPy array is cut into slices: of an array, `func`
    gets scalars, or rows that are read-only. The result is a list, also for an array.

    `func` is pickled, with the globals and variables it uses, for each call of map. It runs in
    other processes: what it changes there does not change here. Functions of `math`, and a few
    others that only compute, are called in this process where that is measured to be faster.

    Args:
        func: Called with each item.
        iterable: The items.
        progress: Shows a bar (`kiln.util.tqdm`).
        chunk_size: Items of each chunk, to choose it yourself.
        num_cpus: CPUs that a call holds. 0.2 has five calls share one, for functions that wait.
        desc: What the bar says before it; the function's name by default.

    Returns:
        The results in the order of the items.

    Raises:
        RayTaskError: `func` raised an exception; also an instance of that exception's class, with a
            note that says for which item. It is that of the first item for which it raises, as in a
            loop; calls for items after it may have been made.
    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be 1 or more, not {chunk_size!r}")
    if not callable(func):
        raise TypeError(f"{func!r} is not callable")
    source = _source(iterable)
    if source.left == 0:
        return []
    if not kiln.is_initialized():
        kiln.init()
    bar = None
    if progress:
        from kiln.util import tqdm

        bar = tqdm(total=source.left, desc=desc or name_of(func))
    try:
        return _Run(func, source, chunk_size, num_cpus, bar).run()
    finally:
        if bar is not None:
            bar.close()


class _Chunk(_calls.Call):
    """Runs a chunk in a worker."""

    def call(self, first: int, *chunk: Any) -> tuple[float, Any]:  # type: ignore[override]
        """Returns: the seconds it took, and the packed results."""
        items = _chunks.uncut(chunk)
        iterator = iter(items)
        began = time.perf_counter()
        try:
            results = _chunks.apply(self.func, iterator, len(items))
        except Exception as error:
            place = len(items) - operator.length_hint(iterator) - 1
            _add_note(error, f"kiln.map: item {first + place} is {reprlib.repr(items[place])}")
            raise
        return time.perf_counter() - began, _chunks.pack(results)


class _Slices:
    """Chunks of a sequence whose slices are cheap."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self._next = 0
        self.left: int | None = len(items)

    def take(self, size: int) -> tuple[int, tuple[Any, ...]]:
        """Returns: how many items, and the arguments that carry them."""
        start, self._next = self._next, min(self._next + size, len(self._items))
        self.left = len(self._items) - self._next
        return self._next - start, _chunks.cut(self._items, start, self._next)


class _Stream:
    """Chunks of an iterable."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._items: Iterator[Any] = iter(iterable)
        hint = operator.length_hint(iterable, -1)
        self.left: int | None = hint if hint > 0 else None

    def take(self, size: int) -> tuple[int, tuple[Any, ...]]:
        """As _Slices.take; no item is left if there are none."""
        part = list(itertools.islice(self._items, size))
        if len(part) < size:
            self.left = 0
        elif self.left is not None:  # it is a hint: only the iterator knows the end
            self.left = max(1, self.left - size)
        return len(part), (_chunks.pack(part),)


def _source(iterable: Iterable[Any]) -> _Slices | _Stream:
    return _Slices(iterable) if _chunks.is_sliced(iterable) else _Stream(iterable)


class _Run:
    """One call of map."""

    def __init__(
        self,
        func: Callable[[Any], Any],
        source: _Slices | _Stream,
        chunk_size: int | None,
        num_cpus: float,
        bar: Any,
    ) -> None:
        self._prepared = _functions_for(num_cpus).get(_Chunk, func)
        self._source = source
        self._chunk_size = chunk_size
        self._at_once = _calls_at_once(num_cpus)
        self._bar = bar
        # Here a chunk runs as in a worker; None if it must not.
        pure = chunk_size is None and is_imported(func) and func in _PURE
        self._here = _Chunk(func, None) if pure else None
        self._results: list[Any] = []
        self._sent = 0  # items
        self._measured = 0  # items of the largest chunk whose time is known
        self._running: dict[Any, tuple[int, int]] = {}  # by ref: first item, number of items
        self._late: Any = None  # the oldest of them, if it takes its time
        self._early: dict[int, list[Any]] = {}  # by first item: results with a gap before them
        self._failure: tuple[int, Exception] | None = None  # the first item of the chunk, the error

    def run(self) -> list[Any]:
        """Does it all. Returns: the results."""
        try:
            while True:
                self._send()
                if not self._running:
                    break
                self._receive()
        except BaseException:  # of the iterable, or Ctrl-C
            self._cancel(0)
            raise
        if self._failure is not None:
            raise self._failure[1]
        return self._results

    def _send(self) -> None:
        """Keeps two chunks for each core on their way, or one as long as nothing is measured."""
        sent = []
        while self._source.left != 0 and self._failure is None:
            cost = self._prepared.cost
            here = self._here is not None and 0 < cost < _CHEAPER_HERE
            if not here and len(self._running) >= self._at_once * (2 if cost else 1):
                break
            count, chunk = self._source.take(self._size())
            if not count:
                break
            first, self._sent = self._sent, self._sent + count
            if not (here and self._run_here(first, count, chunk)):
                sent.append(self._prepared.submit(first, *chunk))
                self._running[sent[-1]] = first, count
        _calls.ask_for(sent)

    def _size(self) -> int:
        """Items of the next chunk."""
        if self._chunk_size is not None:
            return self._chunk_size
        known = self._prepared
        if not known.cost:
            return 1
        size = min(_TARGET / known.cost, max(self._measured, 1) * _GROWTH, _MOST_ITEMS)
        left = self._source.left
        if left is not None:
            if known.fits_one(left):
                return left
            shortest = _SHORTEST / known.cost
            size = min(size, max(left / (2 * self._at_once), shortest), left / self._at_once)
        return max(1, math.ceil(size))

    def _run_here(self, first: int, count: int, chunk: tuple[Any, ...]) -> bool:
        """Returns: whether that went well; a worker will say what is wrong, as it always does."""
        assert self._here is not None
        try:
            seconds, results = self._here(first, *chunk)
        except Exception:
            return False
        self._take_results(first, count, seconds, results)
        return True

    def _receive(self) -> None:
        """Waits for a chunk and takes its results."""
        # The oldest as a rule: to wait for any of them and then to get it takes twice as long.
        ref = next(iter(self._running))
        if ref is self._late:
            ref = kiln.wait(list(self._running), num_returns=1)[0][0]
        first, count = self._running[ref]
        try:
            seconds, results = kiln.get(ref, timeout=_PATIENCE)
        except Exception as error:
            if _calls.is_timeout(error):
                self._late = ref
                return
            del self._running[ref]
            # Chunks before this one go on: it may be that an earlier item fails too.
            if self._failure is None or first < self._failure[0]:
                self._failure = first, error
                self._cancel(first)
        else:
            del self._running[ref]
            self._take_results(first, count, seconds, results)

    def _take_results(self, first: int, count: int, seconds: float, results: Any) -> None:
        self._prepared.learn(count, seconds)
        self._measured = max(self._measured, count)
        self._early[first] = _chunks.unpack(results)
        while len(self._results) in self._early:
            self._results += self._early.pop(len(self._results))
        if self._bar is not None:
            self._bar.update(count)

    def _cancel(self, first: int) -> None:
        """Gives up chunks from this item on."""
        for ref, (start, _) in list(self._running.items()):
            if start >= first:
                del self._running[ref]
                try:
                    kiln.cancel(ref)
                except Exception:  # the session is over
                    pass


def _calls_at_once(num_cpus: float) -> int:
    most = _calls.cpu_count() + _EXTRA_WORKERS
    return max(1, min(most, int(_calls.cpu_count() / num_cpus) if num_cpus > 0 else most))


def _add_note(error: Exception, note: str) -> None:
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:  # before Python 3.11
        setattr(error, "__notes__", [*getattr(error, "__notes__", []), note])


_functions: dict[float, Functions] = {}  # by num_cpus


def _functions_for(num_cpus: float) -> Functions:
    if num_cpus not in _functions:
        _functions[num_cpus] = Functions(None, {"num_cpus": num_cpus}, is_imported)
    return _functions[num_cpus]
