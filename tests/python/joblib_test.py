"""joblib runs on kiln after kiln.util.joblib.register_kiln()."""

from __future__ import annotations

import multiprocessing
import os
import time
import unittest

import joblib
import kiln
import numpy
from kiln.util.joblib import KilnBackend, register_kiln


def setUpModule() -> None:
    kiln.init("local", num_cpus=2)
    register_kiln()


def tearDownModule() -> None:
    kiln.shutdown()


def square(x):
    return x * x


def fail_from_three(x):
    if x >= 3:
        raise ValueError(f"no {x}")
    return x


class JoblibTest(unittest.TestCase):
    def setUp(self) -> None:
        backend = joblib.parallel_backend("kiln")
        backend.__enter__()
        self.addCleanup(backend.__exit__, None, None, None)

    def test_results_are_in_order(self) -> None:
        for count in (0, 1, 10, 1000):
            results = joblib.Parallel()(joblib.delayed(square)(i) for i in range(count))
            self.assertEqual(results, [i * i for i in range(count)])

    def test_calls_run_in_workers(self) -> None:
        pids = joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(10))
        self.assertNotIn(os.getpid(), pids)

    def test_all_jobs_are_all_cpus_of_the_head(self) -> None:
        self.assertEqual(joblib.effective_n_jobs(-1), 2)
        self.assertEqual(joblib.effective_n_jobs(-2), 1)
        self.assertEqual(joblib.effective_n_jobs(7), 7)
        with self.assertRaises(ValueError):
            joblib.effective_n_jobs(0)

    def test_keyword_arguments_and_several_functions_work(self) -> None:
        delayed = joblib.delayed
        calls = [delayed(square)(2), delayed(int)("11", base=2), delayed(max)(1, 5)]
        self.assertEqual(joblib.Parallel()(calls), [4, 3, 5])

    def test_fixed_batches_and_dispatch_work(self) -> None:
        for options in ({"batch_size": 7}, {"pre_dispatch": "all"}, {"pre_dispatch": 3}):
            results = joblib.Parallel(**options)(joblib.delayed(square)(i) for i in range(50))
            self.assertEqual(results, [i * i for i in range(50)])

    def test_one_job_runs_here(self) -> None:
        pids = joblib.Parallel(n_jobs=1)(joblib.delayed(os.getpid)() for _ in range(3))
        self.assertEqual(set(pids), {os.getpid()})

    def test_a_parallel_can_be_used_again(self) -> None:
        with joblib.Parallel() as parallel:
            for _ in range(3):
                results = parallel(joblib.delayed(square)(i) for i in range(4))
                self.assertEqual(results, [0, 1, 4, 9])

    def test_lambdas_and_closures_work(self) -> None:
        offset = 5
        results = joblib.Parallel()(joblib.delayed(lambda x: x + offset)(i) for i in range(4))
        self.assertEqual(results, [5, 6, 7, 8])

    def test_the_exception_is_the_users_own(self) -> None:
        with self.assertRaises(ValueError) as caught:
            joblib.Parallel()(joblib.delayed(fail_from_three)(i) for i in range(100))
        self.assertIs(type(caught.exception), ValueError)

    def test_an_error_drops_what_is_queued(self) -> None:
        def run(i):
            if i == 0:
                raise KeyError(i)
            time.sleep(60)

        parallel = joblib.Parallel(pre_dispatch="all", batch_size=1)
        with self.assertRaises(KeyError):
            parallel(joblib.delayed(run)(i) for i in range(6))
        self.assertEqual(joblib.Parallel()(joblib.delayed(square)(i) for i in range(2)), [0, 1])

    def test_waiting_in_vain_raises_the_timeout_error(self) -> None:
        with self.assertRaises(multiprocessing.TimeoutError):
            joblib.Parallel(timeout=0.05)(joblib.delayed(time.sleep)(60) for _ in range(2))

    def test_nested_calls_fall_back(self) -> None:
        def outer(i):
            return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(square)(j) for j in range(i)))

        results = joblib.Parallel()(joblib.delayed(outer)(i) for i in range(6))
        self.assertEqual(results, [0, 0, 1, 5, 14, 30])

    def test_a_large_array_is_stored_once(self) -> None:
        array = numpy.arange(1 << 18, dtype=numpy.float64)

        def look(values, i, again=None):
            return float(values[i]), values.flags.writeable, values is again or again is None

        results = joblib.Parallel()(
            joblib.delayed(look)(array, i, **({"again": array} if i % 2 else {})) for i in range(8)
        )
        self.assertEqual([result[0] for result in results], list(map(float, range(8))))
        self.assertFalse(any(result[1] for result in results))

    def test_scalars_of_numpy_come_back_with_their_type(self) -> None:
        results = joblib.Parallel()(joblib.delayed(numpy.sqrt)(i) for i in range(4))
        self.assertEqual({type(result) for result in results}, {numpy.float64})

    def test_options_of_tasks_are_backend_arguments(self) -> None:
        with joblib.parallel_backend("kiln", max_retries=0):
            with self.assertRaises(kiln.exceptions.WorkerCrashedError):
                joblib.Parallel()(joblib.delayed(os._exit)(3) for _ in range(2))


class NewerJoblibTest(unittest.TestCase):
    """The calls that joblib makes from 1.3 on, where results are handed to the callback."""

    def test_a_callback_gets_what_gives_the_results(self) -> None:
        backend = KilnBackend(nesting_level=0)
        parallel = joblib.Parallel(n_jobs=2)
        self.assertEqual(backend.configure(n_jobs=2, parallel=parallel), 2)
        done: list[object] = []
        batch = joblib.parallel.BatchedCalls([(square, (3,), {})], (backend, None))
        job = backend.submit(batch, callback=done.append)
        self.assertEqual(job.get(), [9])
        deadline = time.monotonic() + 30
        while not done and time.monotonic() < deadline:
            time.sleep(0.001)
        self.assertEqual(backend.retrieve_result_callback(done[0]), [9])
        backend.terminate()


if __name__ == "__main__":
    unittest.main()
