"""Actors: calls and their order, arguments, results, options, handles, inheritance."""

from __future__ import annotations

import threading
import time
import unittest

import kiln
from support import DriverCase


@kiln.remote
class Counter:
    """Counts."""

    STEP = 10

    def __init__(self, start=0):
        self.value = start

    def increment(self, by=1):
        self.value += by
        return self.value

    def get(self):
        return self.value

    def fail(self, message):
        raise KeyError(message)

    @kiln.method(num_returns=2)
    def both(self):
        return self.value, -self.value

    @kiln.method(num_returns=0)
    def forget(self):
        self.value = 0

    def upto(self, count, fail=False):
        for i in range(count):
            yield i
        if fail:
            raise ValueError("the end")

    @staticmethod
    def double(x):
        return 2 * x

    @classmethod
    def name(cls):
        return cls.__name__


@kiln.remote
class Log:
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []

    def add(self, line):
        self.lines.append(line)

    def all(self):
        return self.lines


class Calls(DriverCase):
    def test_an_actor_keeps_its_state(self) -> None:
        counter = Counter.remote(5)
        self.assertEqual(kiln.get(counter.increment.remote()), 6)
        self.assertEqual(kiln.get(counter.increment.remote(by=4)), 10)
        self.assertEqual(kiln.get(Counter.remote().get.remote()), 0)

    def test_calls_run_in_the_order_they_were_made(self) -> None:
        log = Log.remote()
        for i in range(2000):
            log.add.remote(i)
        self.assertEqual(kiln.get(log.all.remote()), list(range(2000)))

    def test_a_call_that_waits_for_its_argument_holds_up_those_after_it(self) -> None:
        @kiln.remote
        def slow():
            time.sleep(0.2)
            return "first"

        log = Log.remote()
        log.add.remote(slow.remote())
        log.add.remote("second")
        self.assertEqual(kiln.get(log.all.remote()), ["first", "second"])

    def test_calls_of_threads_of_one_driver_all_arrive(self) -> None:
        counter = Counter.remote()

        def call():
            kiln.get([counter.increment.remote() for _ in range(200)])

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(kiln.get(counter.get.remote()), 800)

    def test_a_failing_call_leaves_the_actor_as_it_is(self) -> None:
        counter = Counter.remote(1)
        with self.assertRaises(KeyError) as raised:
            kiln.get(counter.fail.remote("no"))
        self.assertIsInstance(raised.exception, kiln.exceptions.RayTaskError)
        self.assertIn("Counter.fail", str(raised.exception))
        self.assertEqual(kiln.get(counter.get.remote()), 1)

    def test_results_of_a_call_may_be_several_or_none(self) -> None:
        counter = Counter.remote(3)
        first, second = counter.both.remote()
        self.assertEqual(kiln.get([first, second]), [3, -3])
        self.assertIsNone(counter.forget.remote())
        self.assertEqual(kiln.get(counter.get.remote()), 0)
        first, second = counter.both.options(num_returns=2).remote()
        self.assertEqual(kiln.get(first), 0)
        self.assertEqual(kiln.get(counter.both.options(num_returns=1).remote()), (0, 0))

    def test_a_generator_method_is_a_stream(self) -> None:
        counter = Counter.remote()
        self.assertEqual([kiln.get(ref) for ref in counter.upto.remote(4)], [0, 1, 2, 3])
        stream = counter.upto.options(num_returns="streaming", stream_window=1).remote(3)
        self.assertEqual([kiln.get(ref) for ref in stream], [0, 1, 2])
        stream = counter.upto.remote(1, fail=True)
        self.assertEqual(kiln.get(next(stream)), 0)
        self.assertRaises(ValueError, next, stream)

    def test_static_and_class_methods(self) -> None:
        counter = Counter.remote()
        self.assertEqual(kiln.get(counter.double.remote(4)), 8)
        self.assertEqual(kiln.get(counter.name.remote()), "Counter")

    def test_large_values_go_both_ways(self) -> None:
        numpy = __import__("numpy")
        log = Log.remote()
        array = numpy.arange(1_000_000)
        log.add.remote(array)
        log.add.remote(kiln.put(array))
        for got in kiln.get(log.all.remote()):
            self.assertTrue((got == array).all())

    def test_ray_s_own_methods(self) -> None:
        counter = Counter.remote(7)
        self.assertTrue(kiln.get(counter.__ray_ready__.remote()))
        self.assertEqual(kiln.get(counter.__ray_call__.remote(lambda self, x: self.value + x, 1)), 8)

    def test_a_call_has_a_name_for_people(self) -> None:
        @kiln.remote
        class Named:
            def name(self):
                return kiln.get_runtime_context().get_task_name()

        actor = Named.remote()
        self.assertEqual(kiln.get(actor.name.remote()).rpartition(".")[2], "name")
        self.assertEqual(kiln.get(actor.name.options(name="special").remote()), "special")


class Mistakes(DriverCase):
    def test_of_a_class(self) -> None:
        with self.assertRaisesRegex(TypeError, r"Counter.remote\(...\)"):
            Counter()
        with self.assertRaisesRegex(TypeError, "start"):
            Counter.remote(1, 2)
        with self.assertRaisesRegex(TypeError, "sta"):
            Counter.remote(sta=1)
        with self.assertRaisesRegex(TypeError, "already"):
            kiln.remote(Counter)
        with self.assertRaisesRegex(ValueError, "max_retries"):
            Counter.options(max_retries=3)
        with self.assertRaisesRegex(TypeError, "argument 1 .*pickle"):
            Counter.remote(threading.Lock())

    def test_of_a_method(self) -> None:
        counter = Counter.remote()
        with self.assertRaisesRegex(AttributeError, "did you mean increment"):
            counter.incremnt.remote()
        with self.assertRaisesRegex(AttributeError, "Counter has both, double"):
            counter.xyz
        with self.assertRaisesRegex(TypeError, r"increment.remote\(...\)"):
            counter.increment()
        with self.assertRaisesRegex(TypeError, r"Counter.increment\(by=1\)"):
            counter.increment.remote(1, 2)
        with self.assertRaisesRegex(TypeError, "unexpected keyword argument 'bye'"):
            counter.increment.remote(bye=1)
        with self.assertRaisesRegex(TypeError, "argument 1 .*pickle"):
            counter.increment.remote(threading.Lock())
        with self.assertRaisesRegex(TypeError, "argument by= .*pickle"):
            counter.increment.remote(by=threading.Lock())
        with self.assertRaisesRegex(ValueError, "num_cpus"):
            counter.increment.options(num_cpus=2)
        with self.assertRaisesRegex(AttributeError, "cannot be set"):
            counter.value = 5
        with self.assertRaisesRegex(TypeError, "call a method"):
            counter(1)
        self.assertEqual(kiln.get(counter.get.remote()), 0)

    def test_of_options(self) -> None:
        for error, options in (
                (ValueError, {"num_cpus": -1}), (TypeError, {"num_cpus": "1"}),
                (ValueError, {"max_restarts": -2}), (ValueError, {"max_concurrency": 0}),
                (ValueError, {"lifetime": "long"}), (ValueError, {"name": ""}),
                (TypeError, {"name": 5}), (ValueError, {"get_if_exists": True}),
                (ValueError, {"concurrency_groups": {"io": 0}}), (ValueError, {"colour": "red"}),
                (ValueError, {"resources": {"CPU": 1}}), (ValueError, {"num_returns": 2})):
            with self.subTest(options=options), self.assertRaises(error):
                Counter.options(**options)
        with self.assertRaises(ValueError):
            kiln.remote(max_restarts=-7)
        with self.assertRaisesRegex(TypeError, "takes options"):
            kiln.method(lambda self: 0)
        with self.assertRaisesRegex(ValueError, "unknown option colour"):
            kiln.method(colour="red")

    def test_options_of_ray_that_ask_for_nothing_are_accepted(self) -> None:
        counter = Counter.options(num_gpus=0, runtime_env=None, scheduling_strategy=None,
                                  max_restarts=None, enable_task_events=False).remote(2)
        self.assertEqual(kiln.get(counter.get.remote()), 2)


class Classes(DriverCase):
    def test_what_the_class_has_is_there(self) -> None:
        self.assertEqual(Counter.STEP, 10)
        self.assertEqual(Counter.__doc__, "Counts.")
        self.assertEqual(Counter.__name__, "Counter")
        self.assertEqual(Counter.__wrapped__(4).get(), 4)
        self.assertIsInstance(Counter.__wrapped__(4), Counter)

    def test_a_class_may_derive_from_a_remote_one(self) -> None:
        class Derived(Counter):
            def increment(self, by=1):
                return super().increment(10 * by)

        derived = kiln.remote(Derived).remote(1)
        self.assertEqual(kiln.get(derived.increment.remote()), 11)
        self.assertEqual(kiln.get(derived.get.remote()), 11)

    def test_a_class_that_is_made_remote_by_a_call(self) -> None:
        class Plain:
            def f(self):
                return "plain"

        self.assertEqual(kiln.get(kiln.remote(Plain).remote().f.remote()), "plain")
        self.assertEqual(kiln.get(kiln.remote(num_cpus=0)(Plain).remote().f.remote()), "plain")

    def test_slots_properties_and_attributes_are_the_instance_s_own(self) -> None:
        @kiln.remote
        class Slotted:
            __slots__ = ("x",)

            def __init__(self):
                self.x = 1

            @property
            def y(self):
                return self.x

            def get(self):
                return self.y

        actor = Slotted.remote()
        self.assertEqual(kiln.get(actor.get.remote()), 1)
        self.assertRaises(AttributeError, lambda: actor.y)

    def test_a_class_with_variable_arguments(self) -> None:
        @kiln.remote
        class Any:
            def __init__(self, *args, key=None, **kwargs):
                self.all = args, key, kwargs

            def get(self, *args, **kwargs):
                return self.all, args, kwargs

        actor = Any.remote(1, 2, key=3, other=4)
        self.assertEqual(kiln.get(actor.get.remote(5, six=6)),
                         (((1, 2), 3, {"other": 4}), (5,), {"six": 6}))


if __name__ == "__main__":
    unittest.main()
