"""Handles of actors: where they may go, what they keep, what an actor knows of itself."""

from __future__ import annotations

import copy
import os
import pickle
import unittest

import kiln
from support import DriverCase


@kiln.remote
class Counter:
    def __init__(self, start=0):
        self.value = start

    def increment(self, by=1):
        self.value += by
        return self.value

    def get(self):
        return self.value


class Handles(DriverCase):
    def test_equal_if_of_one_actor(self) -> None:
        a, b = Counter.remote(), Counter.remote()
        self.assertNotEqual(a, b)
        self.assertEqual(a, copy.copy(a))
        self.assertEqual(len({a, b, copy.deepcopy(a)}), 2)
        self.assertRegex(repr(a), r"Actor\(Counter, [0-9a-f]{16}\)")
        self.assertIn("increment", dir(a))

    def test_travel_as_arguments_and_inside_values(self) -> None:
        @kiln.remote
        def count(counter, times):
            return kiln.get([counter.increment.remote() for _ in range(times)])[-1]

        @kiln.remote
        def count_each(counters):
            return [kiln.get(counter.increment.remote()) for counter in counters["all"]]

        counter = Counter.remote()
        self.assertEqual(kiln.get(count.remote(counter, 3)), 3)
        self.assertEqual(kiln.get(count_each.remote({"all": [counter, counter]})), [4, 5])
        ref = kiln.put([counter])
        self.assertEqual(kiln.get(kiln.get(ref)[0].get.remote()), 5)

    def test_travel_in_closures(self) -> None:
        counter = Counter.remote()

        @kiln.remote
        def count():
            return kiln.get(counter.increment.remote())

        self.assertEqual(sorted(kiln.get([count.remote(), count.remote()])), [1, 2])

    def test_methods_travel_too(self) -> None:
        @kiln.remote
        def call(method):
            return kiln.get(method.remote(5))

        self.assertEqual(kiln.get(call.remote(Counter.remote().increment)), 5)

    def test_a_method_keeps_its_actor(self) -> None:
        increment = Counter.remote().increment
        self.assertEqual(kiln.get([increment.remote() for _ in range(3)]), [1, 2, 3])

    def test_cannot_be_pickled_outside_of_kiln(self) -> None:
        self.assertRaises(TypeError, pickle.dumps, Counter.remote())

    def test_a_returned_handle_keeps_its_actor(self) -> None:
        @kiln.remote
        def make():
            counter = Counter.remote(40)
            counter.increment.remote(2)
            return counter

        counter = kiln.get(make.remote())
        self.assertEqual(kiln.get(counter.get.remote()), 42)

    def test_actors_make_actors_and_tasks(self) -> None:
        @kiln.remote
        class Parent:
            def __init__(self, count):
                self.children = [Counter.remote(i) for i in range(count)]

            def total(self):
                return sum(kiln.get([child.get.remote() for child in self.children]))

            def child(self, i):
                return self.children[i]

            def task(self, x):
                return kiln.get(double.remote(x))

        @kiln.remote
        def double(x):
            return 2 * x

        parent = Parent.remote(3)
        self.assertEqual(kiln.get(parent.total.remote()), 3)
        self.assertEqual(kiln.get(kiln.get(parent.child.remote(2)).increment.remote()), 3)
        self.assertEqual(kiln.get(parent.task.remote(4)), 8)

    def test_actors_call_each_other(self) -> None:
        @kiln.remote
        class Node:
            def __init__(self, name):
                self.name = name

            def greet(self, other):
                return kiln.get(other.answer.remote(self.name))

            def answer(self, name):
                return f"{self.name} to {name}"

        a, b = Node.remote("a"), Node.remote("b")
        self.assertEqual(kiln.get(a.greet.remote(b)), "b to a")
        self.assertEqual(kiln.get(b.greet.remote(a)), "a to b")

    def test_a_class_of_actors_can_be_used_in_its_own_methods(self) -> None:
        @kiln.remote
        class Tree:
            def __init__(self, depth):
                self.children = [Tree.remote(depth - 1) for _ in range(2)] if depth else []

            def size(self):
                return 1 + sum(kiln.get([child.size.remote() for child in self.children]))

        self.assertEqual(kiln.get(Tree.remote(2).size.remote()), 7)


class Context(DriverCase):
    def test_an_actor_knows_itself(self) -> None:
        @kiln.remote
        class Self:
            def ids(self):
                context = kiln.get_runtime_context()
                return (context.get_actor_id(), context.get_actor_name(), context.get_task_id(),
                        context.was_current_actor_reconstructed, os.getpid())

            def me(self):
                return kiln.get_runtime_context().current_actor

        actor = Self.remote()
        ids = kiln.get([actor.ids.remote() for _ in range(2)])
        self.assertEqual(ids[0][0], actor._actor_id)
        self.assertEqual(ids[0][1], "")
        self.assertNotEqual(ids[0][2], ids[1][2])
        self.assertFalse(ids[0][3])
        self.assertEqual(ids[0][4], ids[1][4])
        me = kiln.get(actor.me.remote())
        self.assertEqual(me, actor)
        self.assertEqual(kiln.get(me.ids.remote())[0], actor._actor_id)

    def test_a_driver_is_no_actor(self) -> None:
        context = kiln.get_runtime_context()
        self.assertIsNone(context.get_actor_id())
        self.assertIsNone(context.get_actor_name())
        self.assertRaises(RuntimeError, lambda: context.current_actor)
        self.assertRaises(TypeError, kiln.actor.exit_actor)


if __name__ == "__main__":
    unittest.main()
