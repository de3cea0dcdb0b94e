"""kiln.util.multiprocessing.Pool behaves as multiprocessing.Pool does."""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
import signal
import threading
import time
import unittest

import kiln
import numpy
from kiln.util.multiprocessing import AsyncResult, Pool, TimeoutError
from calls import (
    Folder, pid_of, setUpModule, tearDownModule, touch, wait_for_file,
)


def times_ten(x):
    return x * 10


def add(x, y=0, *, z=0):
    return x + y + z


def fail_from_three(x):
    if x >= 3:
        raise ValueError(f"no {x}")
    return x


def sleep_for(seconds):
    time.sleep(seconds)
    return seconds


class OwnError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


def raise_own(code):
    raise OwnError(code)


class MapTest(unittest.TestCase):
    def setUp(self) -> None:
        self.pool = Pool(2)
        self.addCleanup(self.pool.terminate)

    def test_results_are_a_list_in_the_order_of_the_items(self) -> None:
        for count in (1, 2, 7, 100, 20_000):
            self.assertEqual(self.pool.map(times_ten, range(count)), [x * 10 for x in range(count)])

    def test_any_iterable_is_taken(self) -> None:
        self.assertEqual(self.pool.map(times_ten, [3, 1, 2]), [30, 10, 20])
        self.assertEqual(self.pool.map(times_ten, (3, 1, 2)), [30, 10, 20])
        self.assertEqual(self.pool.map(times_ten, "ab"), ["a" * 10, "b" * 10])
        self.assertEqual(self.pool.map(times_ten, b"ab"), [970, 980])
        self.assertEqual(self.pool.map(times_ten, {1: "x", 2: "y"}), [10, 20])
        self.assertEqual(sorted(self.pool.map(times_ten, {1, 2})), [10, 20])
        self.assertEqual(self.pool.map(times_ten, (x for x in range(5))), [0, 10, 20, 30, 40])
        self.assertEqual(self.pool.map(times_ten, range(10, 0, -3)), [100, 70, 40, 10])

    def test_nothing_gives_an_empty_list(self) -> None:
        self.assertEqual(self.pool.map(times_ten, []), [])
        self.assertEqual(self.pool.map(times_ten, iter(())), [])
        self.assertEqual(self.pool.starmap(add, []), [])
        self.assertEqual(self.pool.map_async(times_ten, []).get(), [])

    def test_every_chunk_size_gives_the_same(self) -> None:
        for chunksize in (1, 2, 3, 10, 1000):
            results = self.pool.map(times_ten, range(10), chunksize)
            self.assertEqual(results, list(range(0, 100, 10)))

    def test_a_chunk_runs_in_one_process(self) -> None:
        pids = self.pool.map(pid_of, range(40), 10)
        for start in range(0, 40, 10):
            self.assertEqual(len(set(pids[start : start + 10])), 1)

    def test_builtins_lambdas_closures_partials_and_methods_are_functions(self) -> None:
        offset = 5
        self.assertEqual(self.pool.map(abs, [-1, 2]), [1, 2])
        self.assertEqual(self.pool.map(math.sqrt, [4, 9]), [2.0, 3.0])
        self.assertEqual(self.pool.map(lambda x: x + 1, [1]), [2])
        self.assertEqual(self.pool.map(lambda x: x + offset, [1]), [6])
        self.assertEqual(self.pool.map(functools.partial(add, y=2), [1]), [3])
        self.assertEqual(self.pool.map("a-b".split, ["-"]), [["a", "b"]])

    def test_a_closure_has_its_variables_as_they_are_now(self) -> None:
        offset = 1

        def plus(x):
            return x + offset

        self.assertEqual(self.pool.map(plus, [1]), [2])
        offset = 10
        self.assertEqual(self.pool.map(plus, [1]), [11])

    def test_starmap_unpacks_items(self) -> None:
        self.assertEqual(self.pool.starmap(add, [(1, 2), [3, 4]]), [3, 7])
        self.assertEqual(self.pool.starmap(pow, zip(range(4), [2] * 4), 2), [0, 1, 4, 9])

    def test_starmap_needs_iterables(self) -> None:
        with self.assertRaises(TypeError):
            self.pool.starmap(add, [1])

    def test_wrong_chunk_sizes_are_refused(self) -> None:
        for call in (self.pool.map, self.pool.imap, self.pool.imap_unordered, self.pool.map_async):
            with self.assertRaisesRegex(ValueError, r"Chunksize must be 1\+, not 0"):
                call(times_ten, [1, 2], 0)
            with self.assertRaisesRegex(ValueError, r"Chunksize must be 1\+, not -1"):
                call(times_ten, [1, 2], -1)

    def test_a_plain_map_starts_no_thread(self) -> None:
        self.pool.map(times_ten, range(100))
        before = threading.enumerate()
        self.pool.map(times_ten, range(1000))
        self.pool.starmap(add, [(1, 2)] * 10)
        self.pool.apply(add, (1, 2))
        self.assertEqual(threading.enumerate(), before)

    def test_interrupt_ends_a_map_and_the_pool_goes_on(self) -> None:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with self.assertRaises(KeyboardInterrupt):
            self.pool.map(sleep_for, [60] * 4, 1)
        timer.join()
        self.assertEqual(self.pool.map(times_ten, [1, 2]), [10, 20])

    def test_a_task_can_have_a_pool(self) -> None:
        def nested(x):
            with Pool(2) as pool:
                return sum(pool.map(lambda y: y * x, range(10)))

        self.assertEqual(self.pool.map(nested, [1, 2, 3]), [45, 90, 135])


class ArrayTest(unittest.TestCase):
    def setUp(self) -> None:
        self.pool = Pool(2)
        self.addCleanup(self.pool.terminate)

    def test_items_of_an_array_are_scalars_of_its_type(self) -> None:
        kinds = self.pool.map(lambda x: type(x).__name__, numpy.arange(10, dtype=numpy.int16))
        self.assertEqual(kinds, ["int16"] * 10)

    def test_scalars_come_back_with_their_type(self) -> None:
        for kind in (numpy.float32, numpy.float64, numpy.int8, numpy.uint64, numpy.bool_,
                     numpy.complex128):
            results = self.pool.map(lambda x, kind=kind: kind(x), range(100))
            self.assertEqual(results, [kind(x) for x in range(100)])
            self.assertEqual({type(result) for result in results}, {kind})

    def test_results_of_several_types_stay_what_they_are(self) -> None:
        results = self.pool.map(lambda x: numpy.float64(x) if x % 2 else x, range(8), 4)
        self.assertEqual([type(result) for result in results], [int, numpy.float64] * 4)
        results = self.pool.map(lambda x: numpy.float64(x) if x % 2 else x, range(1, 9), 4)
        self.assertEqual([type(result) for result in results], [numpy.float64, int] * 4)

    def test_lists_of_scalars_arrive_as_scalars(self) -> None:
        kinds = self.pool.map(lambda x: type(x).__name__, list(numpy.arange(10.0)))
        self.assertEqual(kinds, ["float64"] * 10)

    def test_rows_may_be_written_to(self) -> None:
        def double(row):
            row *= 2
            return row.sum()

        matrix = numpy.arange(200_000.0).reshape(100, 2000)
        self.assertEqual(self.pool.map(double, matrix), list(matrix.sum(axis=1) * 2))

    def test_arrays_of_objects_work(self) -> None:
        items = numpy.array([1, "a", None], dtype=object)
        self.assertEqual(self.pool.map(str, items), ["1", "a", "None"])

    def test_large_items_and_results_work(self) -> None:
        blocks = [numpy.full(100_000, i) for i in range(10)]
        results = self.pool.map(lambda block: block + 1, blocks)
        for i, result in enumerate(results):
            self.assertTrue((result == i + 1).all())


class ApplyTest(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.pool = Pool(2)
        self.addCleanup(self.pool.terminate)

    def test_apply_gives_the_result(self) -> None:
        self.assertEqual(self.pool.apply(add, (1,), {"y": 2, "z": 3}), 6)
        self.assertEqual(self.pool.apply(add, [1, 2]), 3)

    def test_a_ref_as_argument_gives_its_value(self) -> None:
        self.assertEqual(self.pool.apply(add, (kiln.put(1), kiln.put(2))), 3)

    def test_a_result_is_ready_when_the_call_has_ended(self) -> None:
        result = self.pool.apply_async(wait_for_file, (self.path("go"),))
        self.assertIsInstance(result, AsyncResult)
        self.assertFalse(result.ready())
        with self.assertRaisesRegex(ValueError, "not ready"):
            result.successful()
        result.wait(0.01)
        self.assertFalse(result.ready())
        touch(self.path("go"))
        result.wait()
        self.assertTrue(result.ready())
        self.assertTrue(result.successful())
        self.assertEqual(result.get(), self.path("go"))
        self.assertEqual(result.get(timeout=0), self.path("go"))

    def test_get_in_vain_raises_the_timeout_error_of_multiprocessing(self) -> None:
        self.assertIs(TimeoutError, multiprocessing.TimeoutError)
        result = self.pool.apply_async(wait_for_file, (self.path("go"),))
        with self.assertRaises(multiprocessing.TimeoutError):
            result.get(timeout=0.01)
        touch(self.path("go"))
        self.assertEqual(result.get(timeout=30), self.path("go"))

    def test_results_can_be_got_by_several_threads(self) -> None:
        result = self.pool.map_async(times_ten, range(1000))
        got: list[object] = []
        threads = [threading.Thread(target=lambda: got.append(result.get())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(got, [list(range(0, 10_000, 10))] * 4)

    def test_close_and_join_run_what_nobody_has_kept(self) -> None:
        for i in range(200):
            self.pool.apply_async(touch, (self.path(str(i)),))
        self.pool.close()
        self.pool.join()
        self.assertEqual(len(os.listdir(self.folder)), 200)


class CallbackTest(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.pool = Pool(2)
        self.addCleanup(self.pool.terminate)

    def test_the_callback_gets_the_result_before_get_returns(self) -> None:
        calls: list[object] = []
        result = self.pool.apply_async(times_ten, (4,), callback=calls.append)
        self.assertEqual(result.get(), 40)
        self.assertEqual(calls, [40])

    def test_the_callback_of_a_map_gets_the_whole_list(self) -> None:
        calls: list[object] = []
        self.pool.map_async(times_ten, range(5), 2, callback=calls.append).wait()
        self.pool.starmap_async(add, [(1, 2)], callback=calls.append).wait()
        self.pool.map_async(times_ten, [], callback=calls.append).wait()
        self.assertEqual(calls, [[0, 10, 20, 30, 40], [3], []])

    def test_the_error_callback_gets_the_exception(self) -> None:
        results: list[object] = []
        errors: list[BaseException] = []
        for result in (
            self.pool.apply_async(raise_own, (7,), {}, results.append, errors.append),
            self.pool.map_async(fail_from_three, range(5), 1, results.append, errors.append),
        ):
            result.wait()
            self.assertFalse(result.successful())
        self.assertEqual(results, [])
        self.assertEqual({type(error) for error in errors}, {OwnError, ValueError})

    def test_callbacks_are_called_on_one_other_thread_as_results_come(self) -> None:
        calls: list[object] = []
        threads: set[object] = set()

        def note(value):
            calls.append(value)
            threads.add(threading.current_thread())

        first = self.pool.apply_async(wait_for_file, (self.path("go"),), callback=note)
        second = self.pool.apply_async(times_ten, (1,), callback=note)
        second.wait()
        touch(self.path("go"))
        first.wait()
        self.assertEqual(calls, [10, self.path("go")])
        self.assertEqual(len(threads), 1)
        self.assertNotIn(threading.main_thread(), threads)

    def test_join_returns_after_all_callbacks(self) -> None:
        calls: list[int] = []
        for i in range(500):
            self.pool.apply_async(times_ten, (i,), callback=calls.append)
        self.pool.close()
        self.pool.join()
        self.assertEqual(sorted(calls), list(range(0, 5000, 10)))

    def test_a_callback_that_raises_harms_nobody(self) -> None:
        seen: list[type[BaseException] | None] = []
        hook, threading.excepthook = threading.excepthook, lambda args: seen.append(args.exc_type)
        try:
            result = self.pool.apply_async(times_ten, (1,), callback=lambda _: 1 / 0)
            self.assertEqual(result.get(), 10)
            calls: list[object] = []
            self.pool.apply_async(times_ten, (2,), callback=calls.append).wait()
        finally:
            threading.excepthook = hook
        self.assertEqual(calls, [20])
        self.assertEqual(seen, [ZeroDivisionError])

    def test_a_callback_may_start_more(self) -> None:
        more: list[AsyncResult] = []
        self.pool.apply_async(
            times_ten, (1,), callback=lambda x: more.append(self.pool.apply_async(times_ten, (x,)))
        ).wait()
        self.assertEqual(more[0].get(), 100)


class ErrorTest(unittest.TestCase):
    def setUp(self) -> None:
        self.pool = Pool(2)
        self.addCleanup(self.pool.terminate)

    def test_the_exception_is_the_users_own(self) -> None:
        with self.assertRaises(OwnError) as caught:
            self.pool.apply(raise_own, (7,))
        self.assertIs(type(caught.exception), OwnError)
        self.assertEqual(caught.exception.code, 7)
        self.assertEqual(caught.exception.args, (7,))

    def test_its_cause_shows_the_remote_traceback(self) -> None:
        for call in (
            lambda: self.pool.map(raise_own, [1]),
            lambda: self.pool.apply(raise_own, (1,)),
            lambda: self.pool.apply_async(raise_own, (1,)).get(),
            lambda: next(self.pool.imap(raise_own, [1])),
        ):
            with self.assertRaises(OwnError) as caught:
                call()
            self.assertIn("in raise_own", str(caught.exception.__cause__))

    def test_the_error_of_the_first_item_is_raised(self) -> None:
        for chunksize in (1, 2, 100):
            with self.assertRaisesRegex(ValueError, "^no 3$"):
                self.pool.map(fail_from_three, range(50), chunksize)

    def test_an_argument_that_cannot_be_pickled_fails_at_get(self) -> None:
        lock = threading.Lock()
        result = self.pool.apply_async(add, (lock,))
        self.assertTrue(result.ready())
        self.assertFalse(result.successful())
        with self.assertRaisesRegex(TypeError, "pickle"):
            result.get()
        with self.assertRaisesRegex(TypeError, "pickle"):
            self.pool.map(add, [1, lock])
        self.assertEqual(self.pool.map(add, [1]), [1])

    def test_a_function_that_cannot_be_pickled_fails_at_get(self) -> None:
        lock = threading.Lock()
        result = self.pool.map_async(lambda x: lock, [1, 2])
        with self.assertRaisesRegex(TypeError, "pickle"):
            result.get()

    def test_a_result_that_cannot_be_pickled_fails_at_get(self) -> None:
        with self.assertRaisesRegex(Exception, "pickle"):
            self.pool.map(lambda x: threading.Lock(), [1])

    def test_what_is_no_function_fails_at_get(self) -> None:
        with self.assertRaisesRegex(TypeError, "not callable"):
            self.pool.apply_async(None).get()

    def test_wrong_arguments_fail_at_get(self) -> None:
        with self.assertRaises(TypeError):
            self.pool.apply_async(times_ten, (1, 2, 3)).get()

    def test_an_error_in_the_input_is_raised_by_map(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            self.pool.map(times_ten, (1 // (2 - x) for x in range(5)))

    def test_a_worker_that_dies_makes_the_result_fail(self) -> None:
        pool = Pool(2, ray_remote_args={"max_retries": 0})
        self.addCleanup(pool.terminate)
        with self.assertRaises(kiln.exceptions.WorkerCrashedError):
            pool.apply(os._exit, (3,))
        self.assertEqual(pool.map(times_ten, [1]), [10])

    def test_stop_iteration_does_not_shorten_the_result(self) -> None:
        with self.assertRaises(RuntimeError):
            self.pool.map(next, [iter([1]), iter([])])


if __name__ == "__main__":
    unittest.main()
