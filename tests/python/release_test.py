"""What pools, executors, kiln.map and joblib have stored goes when they need it no more."""

from __future__ import annotations

import os
import unittest

import joblib
import kiln
import numpy
from kiln.util.concurrent import Executor
from kiln.util.joblib import register_kiln
from kiln.util.multiprocessing import Pool
from support import DriverCase, wait_until

ARRAY_BYTES = 2 << 20


def closure():
    """A function that is like no other."""
    held = numpy.random.default_rng().random(ARRAY_BYTES // 8)
    return lambda x: x + len(held)


class ReleaseTest(DriverCase):
    def check(self, use) -> None:
        for _ in range(10):
            use()
        self.check_store()

    def check_store(self) -> None:
        """No more may stay than one closure that each of two workers keeps."""
        wait_until(
            lambda: self.place.holdings()["store_used_bytes"] < 3 * ARRAY_BYTES, "the store is free"
        )

    def test_closures_go_with_a_call_of_map(self) -> None:
        self.check(lambda: kiln.map(closure(), range(100)))

    def test_closures_go_with_a_map_of_a_pool(self) -> None:
        with Pool(2) as pool:
            self.check(lambda: pool.map(closure(), range(100)))
            self.check(lambda: list(pool.imap(closure(), range(100))))
            self.check(lambda: pool.apply(closure(), (1,)))
            self.check(lambda: pool.apply_async(closure(), (1,)).get())

    def test_closures_go_with_a_call_of_an_executor(self) -> None:
        with Executor(2) as executor:
            self.check(lambda: executor.submit(closure(), 1).result())
            self.check(lambda: list(executor.map(closure(), range(10))))

    def test_functions_and_arrays_go_with_a_call_of_joblib(self) -> None:
        register_kiln()
        with joblib.parallel_backend("kiln"):
            array = closure().__closure__[0].cell_contents
            self.check(lambda: joblib.Parallel()(joblib.delayed(closure())(1) for _ in range(3)))
            self.check(lambda: joblib.Parallel()(joblib.delayed(len)(array) for _ in range(20)))

    def test_results_that_nobody_takes_go(self) -> None:
        with Pool(2) as pool:
            for _ in range(300):
                pool.apply_async(numpy.zeros, (ARRAY_BYTES // 8,))
            pool.close()
            pool.join()
        self.check_store()

    def test_initializers_go_with_their_pool(self) -> None:
        for _ in range(10):
            array = numpy.zeros(ARRAY_BYTES // 8)
            with Pool(2, initializer=len, initargs=(array,)) as pool:
                pool.map(abs, range(10))
                pool.apply(lambda: None)
            del pool
        self.check_store()

    def test_workers_keep_what_a_function_leaves_in_its_globals(self) -> None:
        with Pool(2) as pool:
            for call in (kiln.map, pool.map):
                counts: dict[int, list[int]] = {}
                for _ in range(3):
                    for pid, count in call(counted, range(100)):
                        counts.setdefault(pid, []).append(count)
                for of_worker in counts.values():
                    self.assertEqual(sorted(of_worker), list(range(1, len(of_worker) + 1)))


_count = 0


def counted(_):
    global _count
    _count += 1
    return os.getpid(), _count


if __name__ == "__main__":
    unittest.main()
