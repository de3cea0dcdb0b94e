"""The life of kiln.util.multiprocessing.Pool, its processes, and its lazy maps."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import threading
import time
import unittest
import warnings

import kiln
from kiln.util._functions import Prepared
from kiln.util.multiprocessing import Pool, cpu_count
from calls import (
    Folder, meet, pid_of, setUpModule, tearDownModule, touch, wait_for_file,
)


def times_ten(x):
    return x * 10


def add(x, y=0, *, z=0):
    return x + y + z


def fail_from_three(x):
    if x >= 3:
        raise ValueError(f"no {x}")
    return x


class IMapTest(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.pool = Pool(2)
        self.addCleanup(self.pool.terminate)

    def test_results_come_in_order(self) -> None:
        for chunksize in (1, 3, 100):
            self.assertEqual(
                list(self.pool.imap(times_ten, range(50), chunksize)), list(range(0, 500, 10))
            )

    def test_unordered_results_all_come(self) -> None:
        for chunksize in (1, 3, 100):
            results = self.pool.imap_unordered(times_ten, range(50), chunksize)
            self.assertEqual(sorted(results), list(range(0, 500, 10)))

    def test_unordered_results_come_when_they_are_there(self) -> None:
        go = self.path("go")
        results = self.pool.imap_unordered(
            lambda path: wait_for_file(path) if path == go else path, [go, "a", "b"]
        )
        self.assertEqual({next(results), next(results)}, {"a", "b"})
        touch(go)
        self.assertEqual(next(results), go)
        with self.assertRaises(StopIteration):
            next(results)

    def test_an_endless_input_is_taken_a_little_ahead(self) -> None:
        for imap in (self.pool.imap, self.pool.imap_unordered):
            taken: list[int] = []

            def endless(taken=taken):
                for i in itertools.count():
                    taken.append(i)
                    yield i

            results = imap(times_ten, endless())
            got = {next(results) for _ in range(100)}
            self.assertEqual(len(got), 100)
            self.assertLessEqual(len(taken), 100 + 128)

    def test_it_begins_before_results_are_taken(self) -> None:
        results = self.pool.imap(touch, [self.path("a")])
        wait_for_file(self.path("a"))
        self.assertEqual(list(results), [self.path("a")])

    def test_next_in_vain_raises_the_timeout_error(self) -> None:
        for imap in (self.pool.imap, self.pool.imap_unordered):
            go = self.path(imap.__name__)
            results = imap(wait_for_file, [go])
            with self.assertRaises(multiprocessing.TimeoutError):
                results.next(timeout=0.01)
            touch(go)
            self.assertEqual(results.next(timeout=30), go)

    def test_an_error_is_raised_in_its_place_and_iteration_goes_on(self) -> None:
        results = self.pool.imap(fail_from_three, [1, 5, 2])
        self.assertEqual(next(results), 1)
        with self.assertRaisesRegex(ValueError, "no 5"):
            next(results)
        self.assertEqual(next(results), 2)
        with self.assertRaises(StopIteration):
            next(results)

    def test_a_call_may_raise_a_timeout_error(self) -> None:
        def fail(kind):
            raise kind("late")

        for kind in (multiprocessing.TimeoutError, kiln.exceptions.GetTimeoutError):
            for imap in (self.pool.imap, self.pool.imap_unordered):
                results = imap(fail, [kind])
                with self.assertRaisesRegex(kind, "late"):
                    next(results)
                with self.assertRaises(StopIteration):
                    next(results)

    def test_an_error_of_the_input_comes_after_the_results_before_it(self) -> None:
        def broken():
            yield 1
            yield 2
            raise KeyError("input")

        for imap in (self.pool.imap, self.pool.imap_unordered):
            results = imap(times_ten, broken())
            self.assertEqual(sorted([next(results), next(results)]), [10, 20])
            with self.assertRaisesRegex(KeyError, "input"):
                next(results)
            with self.assertRaises(StopIteration):
                next(results)

    def test_an_item_that_cannot_be_pickled_fails_in_its_place(self) -> None:
        results = self.pool.imap(add, [1, threading.Lock(), 2])
        self.assertEqual(next(results), 1)
        with self.assertRaisesRegex(TypeError, "pickle"):
            next(results)
        self.assertEqual(next(results), 2)

    def test_join_runs_all_of_it(self) -> None:
        self.pool.imap_unordered(touch, [self.path(str(i)) for i in range(100)])
        results = self.pool.imap(times_ten, range(100))
        self.pool.close()
        self.pool.join()
        self.assertEqual(len(os.listdir(self.folder)), 100)
        self.assertEqual(list(results), list(range(0, 1000, 10)))


class LifeTest(Folder):
    def test_wrong_arguments_are_refused(self) -> None:
        for processes in (0, -1):
            with self.assertRaisesRegex(ValueError, "Number of processes must be at least 1"):
                Pool(processes)
        with self.assertRaisesRegex(TypeError, "initializer must be a callable"):
            Pool(1, initializer=3)
        for most in (0, -1, 1.5):
            with self.assertRaisesRegex(ValueError, "maxtasksperchild must be a positive"):
                Pool(1, maxtasksperchild=most)

    def test_a_closed_pool_takes_no_calls(self) -> None:
        pool = Pool(2)
        result = pool.map_async(times_ten, [1, 2])
        pool.close()
        for call in (
            lambda: pool.map(times_ten, [1]),
            lambda: pool.apply(times_ten, (1,)),
            lambda: pool.apply_async(times_ten, (1,)),
            lambda: pool.imap(times_ten, [1]),
            lambda: pool.imap_unordered(times_ten, [1]),
            lambda: pool.starmap(add, [(1, 2)]),
            pool.__enter__,
        ):
            with self.assertRaisesRegex(ValueError, "Pool not running"):
                call()
        pool.join()
        self.assertEqual(result.get(), [10, 20])

    def test_a_running_pool_cannot_be_joined(self) -> None:
        with Pool(1) as pool:
            with self.assertRaisesRegex(ValueError, "Pool is still running"):
                pool.join()

    def test_the_context_manager_terminates(self) -> None:
        with Pool(2) as pool:
            results = pool.map_async(wait_for_file, [self.path("never")] * 20, 1)
        with self.assertRaisesRegex(ValueError, "Pool not running"):
            pool.map(times_ten, [1])
        pool.join()
        with self.assertRaises(kiln.exceptions.TaskCancelledError):
            results.get()

    def test_terminate_drops_what_is_queued(self) -> None:
        pool = Pool(1)
        first = pool.apply_async(wait_for_file, (self.path("never"),))
        others = [pool.apply_async(touch, (self.path(str(i)),)) for i in range(20)]
        pool.terminate()
        pool.join()
        self.assertEqual(os.listdir(self.folder), [])
        for result in [first, *others]:
            self.assertFalse(result.successful())

    def test_terminate_and_join_can_be_called_again(self) -> None:
        pool = Pool(2)
        pool.map(times_ten, [1])
        for _ in range(2):
            pool.terminate()
            pool.join()
        pool.close()
        pool.join()

    def test_a_pool_that_is_left_open_warns(self) -> None:
        pool = Pool(1)
        with self.assertWarnsRegex(ResourceWarning, "unclosed running multiprocessing pool"):
            del pool
        pool = Pool(1)
        pool.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del pool

    def test_its_repr_tells_state_and_size(self) -> None:
        pool = Pool(3)
        self.assertEqual(
            repr(pool), "<kiln.util.multiprocessing.Pool state=RUN pool_size=3>"
        )
        pool.close()
        self.assertIn("state=CLOSE", repr(pool))
        pool.terminate()
        self.assertIn("state=TERMINATE", repr(pool))

    def test_it_cannot_be_pickled(self) -> None:
        with Pool(1) as pool:
            with self.assertRaisesRegex(NotImplementedError, "cannot be passed between processes"):
                pickle.dumps(pool)

    def test_it_has_as_many_processes_as_the_head_has_cpus(self) -> None:
        self.assertEqual(cpu_count(), 2)
        with Pool() as pool:
            self.assertIn("pool_size=2", repr(pool))


class ProcessesTest(Folder):
    def test_one_process_runs_one_call_at_a_time(self) -> None:
        def run(path):
            with open(path, "x", encoding="utf-8"):  # fails if another is here
                time.sleep(0.01)
            os.unlink(path)

        with Pool(1) as pool:
            pool.map(run, [self.path("running")] * 10, 1)

    def test_more_processes_than_cpus_run_at_once(self) -> None:
        with Pool(5) as pool:
            meeting = [(self.folder, i, 5) for i in range(5)]
            self.assertEqual(pool.starmap(meet, meeting, 1), [0, 1, 2, 3, 4])

    def test_processes_are_replaced_after_so_many_chunks(self) -> None:
        with Pool(2, maxtasksperchild=1) as pool:
            pids = pool.map(pid_of, range(6), 1)
            self.assertEqual(len(set(pids)), 6)


_offset = 0
_log = None


def set_offset(offset, log):
    global _offset, _log
    _offset, _log = offset, log
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")


def plus_offset(x):
    return x + _offset


def minus_offset(x):
    return x - _offset


class InitializerTest(Folder):
    def test_functions_see_what_the_initializer_has_set(self) -> None:
        with Pool(2, set_offset, (100, self.path("log"))) as pool:
            self.assertEqual(pool.map(plus_offset, range(4), 1), [100, 101, 102, 103])
            self.assertEqual(pool.map(minus_offset, range(4), 1), [-100, -99, -98, -97])
            self.assertEqual(pool.apply(plus_offset, (1,)), 101)
            self.assertEqual(list(pool.imap(plus_offset, [5])), [105])
            self.assertEqual(pool.map(lambda x: x + _offset, [1]), [101])
        self.assertEqual(_offset, 0)

    def test_it_runs_once_in_each_worker(self) -> None:
        with Pool(2, set_offset, (100, self.path("log"))) as pool:
            pids = set(pool.map(pid_of, range(50), 1))
            pids |= set(pool.map(lambda _: os.getpid(), range(50)))
        with open(self.path("log"), encoding="utf-8") as file:
            ran = [int(line) for line in file]
        self.assertEqual(len(ran), len(set(ran)))
        self.assertLessEqual(pids, set(ran))

    def test_pools_have_initializers_of_their_own(self) -> None:
        with Pool(2, set_offset, (1, self.path("a"))) as one:
            with Pool(2, set_offset, (2, self.path("b"))) as two:
                for _ in range(3):
                    self.assertEqual(one.map(plus_offset, [0] * 8, 1), [1] * 8)
                    self.assertEqual(two.map(plus_offset, [0] * 8, 1), [2] * 8)

    def test_its_exception_makes_the_results_fail(self) -> None:
        def broken():
            raise OSError("no disk")

        with Pool(2, broken) as pool:
            with self.assertRaisesRegex(RuntimeError, "initializer .*broken failed .*: no disk"):
                pool.map(times_ten, [1, 2])
            with self.assertRaises(RuntimeError):
                pool.apply(times_ten, (1,))


class CostTest(unittest.TestCase):
    """What is known of a function decides on its chunks."""

    def test_an_interrupted_chunk_is_soon_forgotten(self) -> None:
        prepared = Prepared(print)
        prepared.learn(100, 0.00001)
        self.assertAlmostEqual(prepared.cost, 1e-7)
        prepared.learn(100, 0.1)
        for _ in range(5):
            prepared.learn(100, 0.00001)
        self.assertLess(prepared.cost, 2e-7)

    def test_only_what_is_known_to_be_short_is_left_to_one_process(self) -> None:
        prepared = Prepared(print)
        self.assertFalse(prepared.fits_one(1))
        prepared.learn(100, 0.00001)
        self.assertTrue(prepared.fits_one(100))
        self.assertFalse(prepared.fits_one(1000))
        prepared.learn(1, 1.0)
        prepared.learn(100, 0.00001)
        self.assertFalse(prepared.fits_one(1))


if __name__ == "__main__":
    unittest.main()
