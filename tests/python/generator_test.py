"""Generators whose items come while their task runs: order, ends, errors, windows, nesting."""

from __future__ import annotations

import asyncio
import time
import unittest

import kiln
from support import DriverCase, wait_until


@kiln.remote(num_returns="streaming")
def squares(count, then=None):
    for i in range(count):
        yield i * i
    if then is not None:
        raise then


@kiln.remote
def total(count):
    return sum(kiln.get(ref) for ref in squares.remote(count))


class Generators(DriverCase):
    def test_items_come_in_order_and_then_it_ends(self) -> None:
        stream = squares.remote(5)
        self.assertEqual([kiln.get(ref) for ref in stream], [0, 1, 4, 9, 16])
        self.assertRaises(StopIteration, next, stream)
        self.assertEqual(list(squares.remote(0)), [])

    def test_any_iterable_is_a_stream(self) -> None:
        @kiln.remote(num_returns="streaming")
        def several(kind):
            return kind([1, 2, 3])

        for kind in (tuple, list, iter):
            self.assertEqual([kiln.get(ref) for ref in several.remote(kind)], [1, 2, 3])

    def test_items_are_there_before_the_task_ends(self) -> None:
        @kiln.remote(num_returns="streaming")
        def first_then_wait():
            yield "first"
            time.sleep(60)

        stream = first_then_wait.remote()
        self.assertEqual(kiln.get(next(stream)), "first")
        self.assertRaises(kiln.exceptions.GetTimeoutError, stream.next, 0.1)
        stream.close()

    def test_a_failing_generator_gives_its_items_first(self) -> None:
        stream = squares.remote(2, then=KeyError("end"))
        self.assertEqual([kiln.get(next(stream)), kiln.get(next(stream))], [0, 1])
        with self.assertRaises(KeyError) as raised:
            next(stream)
        self.assertIsInstance(raised.exception, kiln.exceptions.RayTaskError)
        self.assertRaises(StopIteration, next, stream)

    def test_items_may_be_large_and_contain_refs(self) -> None:
        numpy = __import__("numpy")

        @kiln.remote(num_returns="streaming")
        def arrays(count):
            for i in range(count):
                yield {"array": numpy.full(100_000, i), "ref": kiln.put(i)}

        for i, ref in enumerate(arrays.remote(4)):
            item = kiln.get(ref)
            self.assertEqual(item["array"].sum(), 100_000 * i)
            self.assertEqual(kiln.get(item["ref"]), i)

    def test_async_iteration(self) -> None:
        async def collect():
            return [await ref async for ref in squares.remote(4)]

        self.assertEqual(asyncio.run(collect()), [0, 1, 4, 9])

    def test_many_items(self) -> None:
        count = 0
        for i, ref in enumerate(squares.remote(20_000)):
            if i % 1_000 == 0:
                self.assertEqual(kiln.get(ref), i * i)
            count += 1
        self.assertEqual(count, 20_000)

    def test_a_task_consumes_a_generator_of_its_own(self) -> None:
        self.assertEqual(kiln.get([total.remote(50) for _ in range(4)]), [sum(i * i for i in range(50))] * 4)

    def test_a_window_holds_the_task_back(self) -> None:
        @kiln.remote(num_returns="streaming", stream_window=3)
        def counted(path):
            for i in range(100):
                with open(path, "a") as file:
                    file.write(".")
                yield i

        path = self.place.work / "made"
        stream = counted.remote(str(path))
        wait_until(lambda: path.exists() and len(path.read_text()) >= 3, "it fills its window")
        # It may be about to wait, but never goes on: the last item is not made before others are taken.
        self.assertLess(len(path.read_text()), 10)
        self.assertEqual([kiln.get(ref) for ref in stream], list(range(100)))

    def test_a_closed_generator_cancels_its_task_and_runs_its_finally(self) -> None:
        @kiln.remote(num_returns="streaming", stream_window=1)
        def endless(path):
            try:
                while True:
                    yield 1
            finally:
                open(path, "w").close()

        path = self.place.work / "closed"
        stream = endless.remote(str(path))
        next(stream)
        stream.close()
        self.assertRaises(StopIteration, next, stream)
        wait_until(path.exists, "the generator is closed")

    def test_misuse_says_what_to_do(self) -> None:
        @kiln.remote(num_returns="streaming")
        def no_generator():
            return 5

        @kiln.remote
        def not_streaming():
            yield 1

        with self.assertRaisesRegex(TypeError, "must be a generator"):
            next(no_generator.remote())
        with self.assertRaisesRegex(TypeError, 'use num_returns="streaming"'):
            kiln.get(not_streaming.remote())
        stream = squares.remote(1)
        with self.assertRaisesRegex(TypeError, "iterate over it"):
            kiln.get(stream)
        self.assertRaises(TypeError, stream.send, 1)
        with self.assertRaisesRegex(TypeError, "cannot be handed"):
            total.remote(stream)

    def test_an_item_that_cannot_be_pickled_ends_the_stream(self) -> None:
        @kiln.remote(num_returns="streaming")
        def locks():
            yield 1
            yield __import__("threading").Lock()

        stream = locks.remote()
        self.assertEqual(kiln.get(next(stream)), 1)
        with self.assertRaisesRegex(TypeError, "cannot be pickled"):
            next(stream)

    def test_another_attempt_does_not_repeat_items(self) -> None:
        @kiln.remote(num_returns="streaming", max_retries=3)
        def dies_once(path):
            for i in range(6):
                if i == 3 and not __import__("os").path.exists(path):
                    open(path, "w").close()
                    __import__("os")._exit(1)
                yield i

        path = str(self.place.work / "died")
        self.assertEqual([kiln.get(ref) for ref in dies_once.remote(path)], list(range(6)))


if __name__ == "__main__":
    unittest.main()
