"""kiln.util.ActorPool: who does what, in which order results come, and what fails."""

from __future__ import annotations

import itertools
import os
import unittest

import kiln
from kiln.util import ActorPool
from calls import Folder, setUpModule, tearDownModule, touch, wait_for_file


@kiln.remote(num_cpus=0)
class Worker:
    def double(self, value):
        return 2 * value

    def after(self, path, value):
        wait_for_file(path)
        return value

    def fail(self, value):
        raise ValueError(f"no {value}")

    def die(self):
        os._exit(3)


def double(actor, value):
    return actor.double.remote(value)


class ActorPoolTest(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.actors = [Worker.remote() for _ in range(2)]
        self.pool = ActorPool(self.actors)

    def test_map_gives_results_in_the_order_of_the_values(self) -> None:
        self.assertEqual(list(self.pool.map(double, range(50))), [2 * i for i in range(50)])
        self.assertTrue(self.pool.has_free())

    def test_map_takes_a_value_when_a_result_is_taken(self) -> None:
        results = self.pool.map(double, itertools.count())
        self.assertEqual([next(results) for _ in range(20)], [2 * i for i in range(20)])

    def test_map_of_nothing_is_nothing(self) -> None:
        self.assertEqual(list(self.pool.map(double, [])), [])

    def test_a_second_map_drops_what_the_first_left(self) -> None:
        next(self.pool.map(double, range(100)))
        self.assertEqual(list(self.pool.map(double, [7])), [14])

    def test_map_unordered_gives_what_has_ended(self) -> None:
        path = self.path("go")
        results = self.pool.map_unordered(
            lambda actor, value: actor.after.remote(path, value) if value == 0 else
            actor.double.remote(value), range(5))
        self.assertEqual([next(results) for _ in range(4)], [2, 4, 6, 8])
        touch(path)
        self.assertEqual(list(results), [0])

    def test_results_of_submit_come_in_order_whoever_is_first(self) -> None:
        path = self.path("go")
        self.pool.submit(lambda actor, value: actor.after.remote(path, value), 1)
        self.pool.submit(double, 2)
        self.pool.submit(double, 3)
        self.assertTrue(self.pool.has_next())
        self.assertFalse(self.pool.has_free())
        with self.assertRaises(TimeoutError):
            self.pool.get_next(timeout=0.01)
        touch(path)
        self.assertEqual([self.pool.get_next() for _ in range(3)], [1, 4, 6])
        self.assertFalse(self.pool.has_next())
        with self.assertRaises(StopIteration):
            self.pool.get_next()
        with self.assertRaises(StopIteration):
            self.pool.get_next_unordered()

    def test_an_ignored_result_is_given_up_and_its_actor_comes_back(self) -> None:
        path = self.path("go")
        self.pool.submit(lambda actor, value: actor.after.remote(path, value), 1)
        self.pool.submit(double, 2)
        with self.assertRaises(TimeoutError):
            self.pool.get_next(timeout=0.01, ignore_if_timedout=True)
        self.assertEqual(self.pool.get_next(), 4)
        touch(path)
        self.assertEqual(sorted(self.pool.map_unordered(double, range(20))),
                         [2 * i for i in range(20)])

    def test_ordered_and_unordered_may_be_mixed(self) -> None:
        path = self.path("go")
        self.pool.submit(lambda actor, value: actor.after.remote(path, value), 1)
        for value in (2, 3):
            self.pool.submit(double, value)
        self.assertEqual(self.pool.get_next_unordered(), 4)
        touch(path)
        self.assertEqual(self.pool.get_next(), 1)
        self.assertEqual(self.pool.get_next(), 6)

    def test_a_call_that_raises_raises_in_get_next_and_its_actor_works_on(self) -> None:
        self.pool.submit(lambda actor, value: actor.fail.remote(value), 5)
        with self.assertRaisesRegex(ValueError, "no 5"):
            self.pool.get_next()
        self.assertEqual(list(self.pool.map(double, [1, 2, 3])), [2, 4, 6])

    def test_a_dead_actor_says_so(self) -> None:
        self.pool.submit(lambda actor, _: actor.die.remote(), None)
        with self.assertRaises(kiln.exceptions.ActorDiedError):
            self.pool.get_next()

    def test_actors_are_pushed_and_popped(self) -> None:
        one = self.pool.pop_idle()
        self.assertIn(one, self.actors)
        with self.assertRaisesRegex(ValueError, "already"):
            self.pool.push(next(actor for actor in self.actors if actor != one))
        self.pool.push(one)
        self.pool.pop_idle()
        self.pool.pop_idle()
        self.assertIsNone(self.pool.pop_idle())
        self.assertFalse(self.pool.has_free())

    def test_work_waits_for_an_actor(self) -> None:
        self.assertRaisesRegex(TypeError, "made of handles", ActorPool, [int])
        pool = ActorPool([])
        with self.assertRaisesRegex(ValueError, "without actors"):
            pool.map(double, [1])
        pool.submit(double, 4)
        self.assertTrue(pool.has_next())
        pool.push(self.actors[0])
        self.assertEqual(pool.get_next(), 8)

    def test_a_function_that_returns_no_ref_is_told_and_nothing_is_lost(self) -> None:
        with self.assertRaisesRegex(TypeError, "actor.method.remote"):
            self.pool.submit(lambda actor, value: value, 1)
        self.assertEqual(list(self.pool.map(double, range(3))), [0, 2, 4])


if __name__ == "__main__":
    unittest.main()
