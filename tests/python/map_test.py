"""kiln.map is a list comprehension by all cores."""

from __future__ import annotations

import functools
import itertools
import math
import os
import signal
import threading
import time
import unittest

import kiln
import numpy
from calls import Folder, meet, setUpModule, tearDownModule, touch


def square(x):
    return x * x


_factor = 1


def times_factor(x):
    return x * _factor


class MapTest(Folder):
    def test_results_are_a_list_in_the_order_of_the_items(self) -> None:
        for count in (1, 2, 3, 100, 200_000):
            self.assertEqual(kiln.map(square, range(count)), [x * x for x in range(count)])

    def test_any_iterable_is_taken(self) -> None:
        self.assertEqual(kiln.map(square, [3, 1, 2]), [9, 1, 4])
        self.assertEqual(kiln.map(square, (3, 1)), [9, 1])
        self.assertEqual(kiln.map(str.upper, "abc"), ["A", "B", "C"])
        self.assertEqual(sorted(kiln.map(square, {1, 2})), [1, 4])
        self.assertEqual(kiln.map(square, {1: "x", 2: "y"}), [1, 4])
        self.assertEqual(kiln.map(square, (x for x in range(1000))), [x * x for x in range(1000)])
        self.assertEqual(kiln.map(square, itertools.chain([1], [2])), [1, 4])
        self.assertEqual(kiln.map(square, range(10, 0, -3)), [100, 49, 16, 1])

    def test_nothing_gives_an_empty_list(self) -> None:
        for nothing in ([], (), "", range(0), iter(()), {}, numpy.zeros(0), numpy.zeros((0, 3))):
            self.assertEqual(kiln.map(square, nothing), [])

    def test_every_chunk_size_gives_the_same(self) -> None:
        for size in (1, 3, 10, 1000):
            for items in (range(50), iter(range(50))):
                results = kiln.map(square, items, chunk_size=size)
                self.assertEqual(results, [x * x for x in range(50)])

    def test_wrong_arguments_are_refused(self) -> None:
        for size in (0, -1):
            with self.assertRaisesRegex(ValueError, "chunk_size must be 1 or more"):
                kiln.map(square, [1], chunk_size=size)
        with self.assertRaisesRegex(TypeError, "not callable"):
            kiln.map(3, [1])
        with self.assertRaises(TypeError):
            kiln.map(square, 3)

    def test_long_calls_run_side_by_side(self) -> None:
        together = functools.partial(meet, self.folder, count=2)
        self.assertEqual(kiln.map(together, range(2)), [0, 1])

    def test_calls_that_ask_for_less_than_a_cpu_share_one(self) -> None:
        together = functools.partial(meet, self.folder, count=5)
        self.assertEqual(kiln.map(together, range(5), num_cpus=0.4), list(range(5)))

    def test_calls_run_in_workers(self) -> None:
        self.assertNotIn(os.getpid(), kiln.map(lambda _: os.getpid(), range(100)))

    def test_short_calls_share_chunks(self) -> None:
        tasks = set(kiln.map(lambda _: kiln.get_runtime_context().get_task_id(), range(20_000)))
        self.assertLess(len(tasks), 2_000)

    def test_an_iterator_is_read_a_few_chunks_ahead(self) -> None:
        taken = 0
        most_ahead = 0

        def items():
            nonlocal taken, most_ahead
            for taken in range(1, 41):
                most_ahead = max(most_ahead, taken - len(os.listdir(self.folder)))
                yield self.path(str(taken))

        results = kiln.map(touch, items(), chunk_size=1)
        self.assertEqual(len(results), 40)
        self.assertLess(most_ahead, 10)

    def test_a_slow_item_does_not_stop_the_others(self) -> None:
        folder = self.folder

        def run(number):
            if number == 0:
                while len(os.listdir(folder)) < 99:
                    time.sleep(0.002)
            else:
                touch(os.path.join(folder, str(number)))
            return number

        self.assertEqual(kiln.map(run, range(100), chunk_size=1), list(range(100)))

    def test_globals_are_as_they_are_now(self) -> None:
        global _factor
        self.assertEqual(kiln.map(times_factor, [1, 2]), [1, 2])
        _factor = 10
        self.assertEqual(kiln.map(times_factor, [1, 2]), [10, 20])
        _factor = 1

    def test_a_task_can_map(self) -> None:
        results = kiln.map(lambda x: sum(kiln.map(square, range(x))), range(4))
        self.assertEqual(results, [0, 0, 1, 5])

    def test_it_can_be_called_by_several_threads(self) -> None:
        got: list[list[int]] = []

        def run():
            got.append(kiln.map(square, range(1000)))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(got, [[x * x for x in range(1000)]] * 4)


class ErrorTest(unittest.TestCase):
    def test_the_error_is_that_of_the_first_item_and_names_it(self) -> None:
        def fail_at_77(x):
            if x >= 77:
                raise LookupError(f"no {x}")

        for items in (range(100_000), list(range(1000)), iter(range(1000)), numpy.arange(1000)):
            with self.assertRaises(LookupError) as caught:
                kiln.map(fail_at_77, items)
            self.assertIsInstance(caught.exception, kiln.exceptions.RayTaskError)
            self.assertEqual(caught.exception.cause.args, ("no 77",))
            self.assertEqual(caught.exception.__notes__, ["kiln.map: item 77 is 77"])

    def test_a_builtin_names_the_item_too(self) -> None:
        with self.assertRaises(ValueError) as caught:
            kiln.map(math.sqrt, [1.0] * 500 + [-1.0])
        self.assertEqual(caught.exception.__notes__, ["kiln.map: item 500 is -1.0"])

    def test_an_error_of_the_input_is_raised(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            kiln.map(square, (1 // (50 - x) for x in range(100)))

    def test_stop_iteration_is_an_error(self) -> None:
        def stop(x):
            raise StopIteration

        for func in (stop, next):
            with self.assertRaises(RuntimeError):
                kiln.map(func, [iter(())])

    def test_a_call_may_raise_a_timeout_error(self) -> None:
        def fail(x):
            kiln.get(kiln.remote(time.sleep).remote(0.5), timeout=0)

        with self.assertRaises(kiln.exceptions.GetTimeoutError) as caught:
            kiln.map(fail, [1])
        self.assertIsInstance(caught.exception, kiln.exceptions.RayTaskError)

    def test_what_cannot_be_pickled_is_an_error(self) -> None:
        lock = threading.Lock()
        with self.assertRaisesRegex(TypeError, "pickle"):
            kiln.map(square, [lock])
        with self.assertRaisesRegex(TypeError, "pickle"):
            kiln.map(lambda x: lock, [1])

    def test_interrupt_ends_it(self) -> None:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            kiln.map(time.sleep, [60] * 4)
        timer.join()
        self.assertEqual(kiln.map(square, [1, 2]), [1, 4])


class ArrayTest(unittest.TestCase):
    def test_items_are_scalars_and_the_result_is_a_list(self) -> None:
        array = numpy.arange(50_000, dtype=numpy.float32)
        results = kiln.map(lambda x: x + x, array)
        self.assertIs(type(results), list)
        self.assertEqual({type(result) for result in results}, {numpy.float32})
        self.assertTrue((numpy.array(results) == array * 2).all())

    def test_results_of_plain_types_stay_plain(self) -> None:
        results = kiln.map(float, numpy.arange(1000))
        self.assertEqual({type(result) for result in results}, {float})

    def test_rows_are_arrays(self) -> None:
        matrix = numpy.arange(12_000.0).reshape(3000, 4)
        self.assertEqual(kiln.map(lambda row: float(row.sum()), matrix), list(matrix.sum(axis=1)))
        self.assertEqual(kiln.map(lambda row: row.shape, matrix[:5]), [(4,)] * 5)

    def test_arrays_of_any_layout_and_kind_work(self) -> None:
        array = numpy.arange(10_000)
        self.assertEqual(kiln.map(square, array[::-3]), [x * x for x in array[::-3]])
        self.assertEqual(kiln.map(str, numpy.array([1, None], dtype=object)), ["1", "None"])
        self.assertEqual(kiln.map(str, numpy.array(["a", "b"])), ["a", "b"])
        days = numpy.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]")
        self.assertEqual(kiln.map(str, days), ["2020-01-01", "2020-01-02"])
        self.assertEqual(kiln.map(lambda x: x, days), list(days))
        pairs = numpy.array([(1, 2.0)], dtype=[("a", int), ("b", float)])
        self.assertEqual(kiln.map(lambda pair: pair["b"], pairs), [2.0])


if __name__ == "__main__":
    unittest.main()
