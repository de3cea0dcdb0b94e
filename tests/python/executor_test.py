"""kiln.util.concurrent.Executor is an executor of concurrent.futures."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
import unittest
from concurrent import futures

import kiln
from kiln.util.concurrent import Executor
from calls import (
    Folder, meet, pid_of, setUpModule, tearDownModule, touch, wait_for_file,
)


def add(x, y=0, *, z=0):
    return x + y + z


def fail(x):
    raise ValueError(f"no {x}")


class ExecutorTest(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.executor = Executor()
        self.addCleanup(self.executor.shutdown, cancel_futures=True)


class SubmitTest(ExecutorTest):
    def test_it_is_an_executor_with_futures_of_the_library(self) -> None:
        self.assertIsInstance(self.executor, futures.Executor)
        self.assertIsInstance(self.executor.submit(add, 1), futures.Future)

    def test_a_future_gets_the_result(self) -> None:
        self.assertEqual(self.executor.submit(add, 1, 2, z=3).result(), 6)
        self.assertEqual(self.executor.submit(lambda: "x").result(), "x")
        self.assertIsNone(self.executor.submit(print, end="").result())

    def test_fn_may_be_the_name_of_an_argument(self) -> None:
        self.assertEqual(self.executor.submit(lambda fn: fn + 1, fn=1).result(), 2)

    def test_a_ref_as_argument_gives_its_value(self) -> None:
        self.assertEqual(self.executor.submit(add, kiln.put(1), kiln.put(2)).result(), 3)

    def test_a_future_gets_the_exception_of_the_call(self) -> None:
        future = self.executor.submit(fail, 3)
        self.assertIs(type(future.exception()), ValueError)
        with self.assertRaisesRegex(ValueError, "^no 3$"):
            future.result()
        self.assertIn("in fail", str(future.exception().__cause__))

    def test_an_argument_that_cannot_be_pickled_fails_in_the_future(self) -> None:
        future = self.executor.submit(add, threading.Lock())
        with self.assertRaisesRegex(TypeError, "pickle"):
            future.result()
        self.assertEqual(self.executor.submit(add, 1).result(), 1)

    def test_many_calls_all_come_back(self) -> None:
        started = [self.executor.submit(add, i, i) for i in range(2000)]
        self.assertEqual([future.result() for future in started], [2 * i for i in range(2000)])

    def test_wait_and_as_completed_work(self) -> None:
        slow = self.executor.submit(wait_for_file, self.path("go"))
        fast = self.executor.submit(add, 1)
        done, not_done = futures.wait([slow, fast], return_when=futures.FIRST_COMPLETED)
        self.assertEqual((done, not_done), ({fast}, {slow}))
        touch(self.path("go"))
        self.assertEqual(set(futures.as_completed([slow, fast])), {slow, fast})
        self.assertEqual(futures.wait([slow, fast]).not_done, set())

    def test_result_in_vain_raises_the_timeout_error(self) -> None:
        future = self.executor.submit(wait_for_file, self.path("go"))
        with self.assertRaises(futures.TimeoutError):
            future.result(timeout=0.01)
        touch(self.path("go"))
        self.assertEqual(future.result(timeout=30), self.path("go"))

    def test_callbacks_are_called(self) -> None:
        called = threading.Event()
        self.executor.submit(add, 1).add_done_callback(lambda future: called.set())
        self.assertTrue(called.wait(30))

    def test_a_callback_may_wait_for_another_call(self) -> None:
        got: list[int] = []
        called = threading.Event()

        def then(future):
            got.append(kiln.get(kiln.remote(add).remote(future.result(), 1)))
            called.set()

        self.executor.submit(add, 1).add_done_callback(then)
        self.assertTrue(called.wait(30))
        self.assertEqual(got, [2])

    def test_a_worker_that_dies_fails_its_call_alone(self) -> None:
        executor = Executor(max_retries=0)
        future = executor.submit(os._exit, 3)
        with self.assertRaises(kiln.exceptions.WorkerCrashedError):
            future.result()
        self.assertEqual(executor.submit(add, 1).result(), 1)
        executor.shutdown()


class CancelTest(ExecutorTest):
    def test_a_queued_call_is_cancelled_and_a_running_one_is_not(self) -> None:
        running = [self.executor.submit(wait_for_file, self.path("go")) for _ in range(2)]
        queued = [self.executor.submit(touch, self.path(str(i))) for i in range(5)]
        self.assertTrue(all(future.running() for future in running))
        self.assertFalse(any(future.running() for future in queued))
        self.assertEqual([future.cancel() for future in running], [False] * 2)
        self.assertEqual([future.cancel() for future in queued[:4]], [True] * 4)
        self.assertTrue(queued[0].cancelled())
        self.assertTrue(queued[0].cancel())
        with self.assertRaises(futures.CancelledError):
            queued[0].result()
        self.assertEqual(futures.wait(queued[:4], timeout=30).not_done, set())
        touch(self.path("go"))
        self.assertEqual(queued[4].result(), self.path("4"))
        self.assertEqual([future.result() for future in running], [self.path("go")] * 2)
        self.executor.shutdown()
        self.assertEqual(sorted(os.listdir(self.folder)), ["4", "go"])

    def test_a_call_that_has_ended_cannot_be_cancelled(self) -> None:
        future = self.executor.submit(add, 1)
        future.result()
        self.assertFalse(future.cancel())
        self.assertTrue(future.done())

    def test_calls_become_running_as_others_end(self) -> None:
        first = self.executor.submit(wait_for_file, self.path("a"))
        second = self.executor.submit(wait_for_file, self.path("b"))
        third = self.executor.submit(wait_for_file, self.path("b"))
        self.assertFalse(third.running())
        touch(self.path("a"))
        first.result()
        deadline = time.monotonic() + 30
        while not third.running() and time.monotonic() < deadline:
            time.sleep(0.001)
        self.assertTrue(third.running())
        touch(self.path("b"))
        second.result()
        third.result()


class MapTest(ExecutorTest):
    def test_results_are_in_order(self) -> None:
        for chunksize in (1, 3, 100):
            results = self.executor.map(lambda x: x * 10, range(20), chunksize=chunksize)
            self.assertEqual(list(results), list(range(0, 200, 10)))

    def test_several_iterables_end_with_the_shortest(self) -> None:
        self.assertEqual(list(self.executor.map(pow, [2, 3, 4], [5, 2])), [32, 9])
        self.assertEqual(list(self.executor.map(pow, [2, 3], [5, 2], chunksize=2)), [32, 9])
        self.assertEqual(list(self.executor.map(add, [])), [])

    def test_calls_start_before_results_are_taken(self) -> None:
        results = self.executor.map(touch, [self.path("a")])
        wait_for_file(self.path("a"))
        self.assertEqual(list(results), [self.path("a")])

    def test_an_error_is_raised_in_its_place(self) -> None:
        results = self.executor.map(lambda x: 1 // x, [1, 0, 1])
        self.assertEqual(next(results), 1)
        with self.assertRaises(ZeroDivisionError):
            next(results)

    def test_the_timeout_counts_from_the_call(self) -> None:
        results = self.executor.map(wait_for_file, [self.path("go")], timeout=0.01)
        with self.assertRaises(futures.TimeoutError):
            next(results)
        touch(self.path("go"))

    def test_an_iterator_that_is_closed_cancels_the_rest(self) -> None:
        paths = [self.path("go")] * 2 + [self.path("never")] * 10
        results = self.executor.map(wait_for_file, paths)
        touch(self.path("go"))
        self.assertEqual(next(results), self.path("go"))
        results.close()
        touch(self.path("never"))
        self.executor.shutdown()

    def test_a_chunk_has_at_least_one_item(self) -> None:
        with self.assertRaisesRegex(ValueError, "chunksize must be >= 1."):
            self.executor.map(add, [1], chunksize=0)


class LifeTest(ExecutorTest):
    def test_wrong_arguments_are_refused(self) -> None:
        for workers in (0, -1):
            with self.assertRaisesRegex(ValueError, "max_workers must be greater than 0"):
                Executor(workers)
        with self.assertRaisesRegex(TypeError, "initializer must be a callable"):
            Executor(initializer=3)
        with self.assertRaisesRegex(ValueError, "max_tasks_per_child must be >= 1"):
            Executor(max_tasks_per_child=0)
        with self.assertRaisesRegex(TypeError, "max_tasks_per_child must be an integer"):
            Executor(max_tasks_per_child=1.5)

    def test_after_shutdown_it_takes_no_calls(self) -> None:
        future = self.executor.submit(add, 1)
        self.executor.shutdown()
        self.assertTrue(future.done())
        with self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown"):
            self.executor.submit(add, 1)
        with self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown"):
            self.executor.map(add, [1])
        self.executor.shutdown()

    def test_shutdown_without_wait_lets_calls_end(self) -> None:
        future = self.executor.submit(wait_for_file, self.path("go"))
        self.executor.shutdown(wait=False)
        self.assertFalse(future.done())
        touch(self.path("go"))
        self.assertEqual(future.result(), self.path("go"))

    def test_shutdown_can_cancel_what_is_queued(self) -> None:
        running = [self.executor.submit(wait_for_file, self.path("go")) for _ in range(2)]
        queued = [self.executor.submit(touch, self.path(str(i))) for i in range(5)]
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(all(future.cancelled() for future in queued))
        touch(self.path("go"))
        self.assertEqual([future.result() for future in running], [self.path("go")] * 2)

    def test_the_context_manager_waits(self) -> None:
        with Executor(2) as executor:
            started = [executor.submit(add, i) for i in range(100)]
        self.assertTrue(all(future.done() for future in started))

    def test_its_thread_ends_with_it(self) -> None:
        executor = Executor(2)
        executor.submit(add, 1).result()
        thread = next(t for t in threading.enumerate() if t.name == "kiln-executor")
        del executor
        thread.join(30)
        self.assertFalse(thread.is_alive())

    def test_a_program_ends_after_its_calls(self) -> None:
        program = (
            "import kiln, time\n"
            "from kiln.util.concurrent import Executor\n"
            "kiln.init(num_cpus=2)\n"
            "def run(path):\n"
            "    time.sleep(0.2)\n"
            "    open(path, 'w').close()\n"
            f"Executor().submit(run, {self.path('done')!r})\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
        self.assertEqual(os.listdir(self.folder), ["done"])


_offset = 0


def set_offset(offset):
    global _offset
    _offset = offset


class WorkersTest(ExecutorTest):
    def test_no_more_than_max_workers_run_at_once(self) -> None:
        def run(path):
            with open(path, "x", encoding="utf-8"):  # fails if another is here
                time.sleep(0.01)
            os.unlink(path)

        with Executor(1) as executor:
            list(executor.map(run, [self.path("running")] * 10))

    def test_more_workers_than_cpus_run_at_once(self) -> None:
        together = functools.partial(meet, self.folder, count=5)
        with Executor(5) as executor:
            self.assertEqual(list(executor.map(together, range(5))), list(range(5)))

    def test_functions_see_what_the_initializer_has_set(self) -> None:
        with Executor(2, initializer=set_offset, initargs=(100,)) as executor:
            self.assertEqual(list(executor.map(lambda x: x + _offset, range(3))), [100, 101, 102])
            self.assertEqual(executor.submit(lambda: _offset).result(), 100)

    def test_an_initializer_that_raises_fails_the_calls(self) -> None:
        with Executor(2, initializer=fail, initargs=("way",)) as executor:
            with self.assertRaisesRegex(RuntimeError, "initializer fail failed .*no way"):
                executor.submit(add, 1).result()

    def test_workers_are_replaced_after_so_many_calls(self) -> None:
        with Executor(2, max_tasks_per_child=1) as executor:
            self.assertEqual(len(set(executor.map(pid_of, range(4)))), 4)

    def test_calls_may_hold_several_cpus(self) -> None:
        def run(path):
            with open(path, "x", encoding="utf-8"):
                time.sleep(0.01)
            os.unlink(path)

        with Executor(num_cpus=2) as executor:
            list(executor.map(run, [self.path("running")] * 5))


if __name__ == "__main__":
    unittest.main()
