"""What goes wrong is told: by the right exception, at the right place, and nothing hangs."""

from __future__ import annotations

import os
import pickle
import threading
import time
import unittest
from pathlib import Path
from typing import Any

import kiln
import numpy as np
from kiln import exceptions
from support import DriverCase, wait_until


@kiln.remote
def fail_with(make):
    raise make()


@kiln.remote
def call(function, *args):
    return function(*args)


class TwoArguments(Exception):
    def __init__(self, code, *, why):
        super().__init__(f"{code}: {why}")
        self.code, self.why = code, why


class WithLock(Exception):
    def __init__(self, name):
        super().__init__(name)
        self.name, self.lock = name, threading.Lock()


class ReadsBackBadly(Exception):
    def __reduce__(self):
        return int, ("no number",)


class Raises(Exception):
    def __str__(self):
        raise RuntimeError("in __str__")


class Final(Exception):
    def __init_subclass__(cls, **kwargs):
        raise TypeError("no subclasses")


class OwnKeyError(KeyError):
    pass


class OwnBase(BaseException):
    pass


class Case(DriverCase):
    HEAD_ARGS = ("--object-store-memory", "64MiB")

    def error(self, ref: Any, kind: type[BaseException] = exceptions.RayError) -> Any:
        """The exception that get raises."""
        with self.assertRaises(kind) as raised:
            kiln.get(ref, timeout=30)
        return raised.exception


class TaskErrors(Case):
    def test_an_exception_is_of_both_classes_and_tells_where_it_was_raised(self) -> None:
        @kiln.remote
        def divide(a, b):
            return a / b

        error = self.error(divide.remote(1, 0), ZeroDivisionError)
        self.assertIsInstance(error, exceptions.RayTaskError)
        self.assertEqual((error.task, error.type_name), ("divide", "ZeroDivisionError"))
        self.assertIsInstance(error.cause, ZeroDivisionError)
        text = str(error)
        for part in (f"kiln::divide() (pid={error.pid})", "Traceback (most recent call last):",
                     "return a / b", "ZeroDivisionError: division by zero", __file__):
            self.assertIn(part, text)
        self.assertNotIn("execute.py", text)
        self.assertNotIn("_api.py", text)
        again = pickle.loads(pickle.dumps(error))
        self.assertIsInstance(again, ZeroDivisionError)
        self.assertEqual(str(again), text)

    def test_attributes_of_pythons_own_exceptions_arrive(self) -> None:
        error = self.error(call.remote(open, "/no/such/file"), FileNotFoundError)
        self.assertEqual((error.filename, error.errno), ("/no/such/file", 2))
        error = self.error(call.remote(bytes.decode, b"\xff"), UnicodeDecodeError)
        self.assertEqual((error.start, error.object), (0, b"\xff"))
        self.assertEqual(self.error(call.remote(compile, "a b", "file", "exec"),
                                    SyntaxError).lineno, 1)
        self.assertEqual(self.error(call.remote(__import__, "no_such"), ImportError).name,
                         "no_such")
        self.assertEqual(self.error(call.remote({}.__getitem__, "k"), KeyError).args, ("k",))
        self.assertIsNone(self.error(call.remote(next, iter(())), StopIteration).value)
        self.error(call.remote(lambda: [0] * 10**14), MemoryError)

    def test_own_exceptions_with_any_constructor_keep_class_and_attributes(self) -> None:
        error = self.error(fail_with.remote(lambda: TwoArguments(5, why="late")), TwoArguments)
        self.assertEqual((error.code, error.why, error.cause.why), (5, "late", "late"))
        error = self.error(fail_with.remote(lambda: OwnKeyError("k")), OwnKeyError)
        self.assertEqual(error.args, ("k",))

    def test_exceptions_that_cannot_be_pickled_keep_class_and_what_can(self) -> None:
        error = self.error(fail_with.remote(lambda: WithLock("n")), WithLock)
        self.assertEqual((error.name, error.args), ("n", ("n",)))
        self.assertFalse(hasattr(error.cause, "lock"))
        error = self.error(fail_with.remote(lambda: ReadsBackBadly(3)), ReadsBackBadly)
        self.assertEqual(error.args, (3,))

    def test_strange_exceptions_arrive_as_task_errors_at_least(self) -> None:
        for make, words in ((lambda: Final("text"), "Final: text"),
                            (lambda: OwnBase(7), "OwnBase: 7"),
                            (Raises, "its __str__ raised RuntimeError|exception str"),
                            (KeyboardInterrupt, "KeyboardInterrupt"), (GeneratorExit,
                                                                       "GeneratorExit")):
            error = self.error(fail_with.remote(make), exceptions.RayTaskError)
            self.assertRegex(str(error), words)
        self.assertIsInstance(self.error(fail_with.remote(Raises)), Raises)

    def test_messages_with_nul_surrogates_and_a_megabyte_arrive(self) -> None:
        for message in ("a\0b", "\udc80", "😀", "x" * 1_000_000, ""):
            error = self.error(fail_with.remote(lambda: ValueError(message)), ValueError)
            self.assertEqual(error.args, (message,))

    def test_causes_contexts_and_notes_are_in_the_text(self) -> None:
        @kiln.remote
        def chained():
            try:
                {}["first"]
            except KeyError as error:
                raise ValueError("second") from error

        text = str(self.error(chained.remote(), ValueError))
        self.assertLess(text.index("KeyError: 'first'"), text.index("ValueError: second"))
        self.assertIn("direct cause", text)

    def test_the_error_of_a_nested_task_keeps_its_class_and_both_tracebacks(self) -> None:
        @kiln.remote
        def inner():
            raise TwoArguments(1, why="deep")

        @kiln.remote
        def outer(depth):
            return kiln.get(outer.remote(depth - 1) if depth else inner.remote())

        error = self.error(outer.remote(2), TwoArguments)
        self.assertEqual(error.why, "deep")
        self.assertEqual((str(error).count("kiln::outer()"), str(error).count("kiln::inner()")),
                         (3, 1))

    def test_an_error_runs_through_the_tasks_that_take_its_result(self) -> None:
        first = fail_with.options(name="first").remote(lambda: ValueError("bad"))
        second = call.options(name="second").remote(str, first)
        third = call.options(name="third").remote(str, second)
        error = self.error(third, ValueError)
        self.assertEqual((error.task, list(error.chain)), ("first", ["second", "third"]))
        self.assertIn("input arguments of second could not be computed", str(error))

    def test_get_of_a_list_raises_the_error_of_one(self) -> None:
        self.error([call.remote(int, 1), call.remote(int, "x"), kiln.put(1)], ValueError)

    def test_a_failed_task_with_several_returns_fails_each(self) -> None:
        for ref in fail_with.options(num_returns=3).remote(lambda: ValueError("x")):
            self.error(ref, ValueError)
        for result, words in ((lambda: 5, "returned one int"),
                              (lambda: (1, 2), "returned 2 values")):
            for ref in call.options(num_returns=3).remote(result):
                self.assertIn(words, str(self.error(ref, ValueError)))

    def test_a_result_that_cannot_be_pickled_names_its_type(self) -> None:
        error = self.error(call.remote(threading.Lock), TypeError)
        self.assertIn("the task's result, a lock, cannot be pickled", str(error))


class Calls(Case):
    def test_an_argument_that_cannot_be_pickled_is_named_at_the_call(self) -> None:
        with self.assertRaisesRegex(TypeError, "argument 2 cannot be sent to another process.*lock"):
            call.remote(print, threading.Lock())
        with self.assertRaisesRegex(TypeError, "argument other= cannot be sent to another process.*lock"):
            kiln.remote(lambda other: 1).remote(other=[threading.Lock()])

    def test_wrong_arguments_are_refused_at_the_call(self) -> None:
        @kiln.remote
        def f(a, b=1, *, c=2):
            return a

        for args, kwargs, words in (((), {}, "missing a required argument: 'a'"),
                                    ((1, 2, 3), {}, "too many positional arguments"),
                                    ((1,), {"d": 1}, "unexpected keyword argument 'd'"),
                                    ((1,), {"a": 1}, "multiple values")):
            with self.assertRaisesRegex(TypeError, words):
                f.remote(*args, **kwargs)

    def test_a_direct_call_says_what_to_do(self) -> None:
        with self.assertRaisesRegex(TypeError, r"call\.remote\(\.\.\.\)"):
            call(print)

    def test_a_value_larger_than_the_store_says_so(self) -> None:
        with self.assertRaises(exceptions.ObjectStoreFullError):
            kiln.put(np.ones(20_000_000))
        with self.assertRaises(exceptions.ObjectStoreFullError):
            call.remote(len, np.ones(20_000_000))
        error = self.error(call.remote(np.ones, 20_000_000), exceptions.ObjectStoreFullError)
        self.assertIn("call", str(error))
        self.assertEqual(kiln.get(call.remote(len, np.ones(100_000))), 100_000)

    def test_wrong_things_to_get_and_wait_for(self) -> None:
        for wrong in (1, "text", None, call, [1], [[kiln.put(1)]], {1: 2}):
            with self.assertRaises(TypeError):
                kiln.get(wrong)
        for refs, options in ((kiln.put(1), {}), ([1], {})):
            with self.assertRaises(TypeError):
                kiln.wait(refs, **options)
        for options in ({"num_returns": 0}, {"num_returns": 2}, {"timeout": -1}):
            with self.assertRaises(ValueError):
                kiln.wait([kiln.put(1)], **options)
        with self.assertRaises(ValueError):
            kiln.get(kiln.put(1), timeout=-1)
        with self.assertRaises(TypeError):
            kiln.cancel(5)

    def test_get_within_a_timeout(self) -> None:
        ref = call.remote(time.sleep, 1)
        for kind in (exceptions.GetTimeoutError, TimeoutError, exceptions.RayError):
            with self.assertRaises(kind):
                kiln.get(ref, timeout=0.01)
        with self.assertRaises(exceptions.GetTimeoutError):
            kiln.get([kiln.put(1), ref], timeout=0)
        self.assertIsNone(kiln.get(ref, timeout=30))

    def test_more_than_the_head_has_is_unschedulable(self) -> None:
        error = self.error(call.options(num_cpus=1_000).remote(print),
                           exceptions.TaskUnschedulableError)
        self.assertIn("1000", str(error))
        self.error(call.options(resources={"gpu": 1}).remote(print),
                   exceptions.TaskUnschedulableError)


class Retries(Case):
    def setUp(self) -> None:
        self.folder = Path(self.place.work) / self.id()
        self.folder.mkdir()

    def attempts(self) -> int:
        return len(list(self.folder.iterdir()))

    def counted(self, error: Any, **options: Any) -> Any:
        """A task that notes each attempt, and raises `error` or returns the attempt's number."""
        folder = str(self.folder)

        @kiln.remote(**options)
        def attempt():
            number = len(os.listdir(folder))
            open(f"{folder}/{number}", "w").close()
            found = error(number)
            if isinstance(found, BaseException):
                raise found
            return found, kiln.get_runtime_context().get_attempt_number()

        return attempt.remote()

    def test_exceptions_are_not_retried_by_default(self) -> None:
        self.error(self.counted(lambda n: ValueError("x")), ValueError)
        self.assertEqual(self.attempts(), 1)

    def test_retry_exceptions_runs_max_retries_times_more(self) -> None:
        self.error(self.counted(lambda n: ValueError("x"), retry_exceptions=True, max_retries=2),
                   ValueError)
        self.assertEqual(self.attempts(), 3)

    def test_a_retry_that_succeeds_is_the_result_and_knows_its_number(self) -> None:
        ref = self.counted(lambda n: ValueError("x") if n < 2 else "ok", retry_exceptions=True)
        self.assertEqual(kiln.get(ref, timeout=30), ("ok", 2))

    def test_only_the_listed_exceptions_are_retried(self) -> None:
        options = {"retry_exceptions": [KeyError, OwnKeyError], "max_retries": 2}
        self.error(self.counted(lambda n: ValueError("x"), **options), ValueError)
        self.assertEqual(self.attempts(), 1)
        self.error(self.counted(lambda n: OwnKeyError("x"), **options), OwnKeyError)
        self.assertEqual(self.attempts(), 4)

    def test_sys_exit_is_no_listed_exception(self) -> None:
        self.error(self.counted(lambda n: SystemExit(3), retry_exceptions=[ValueError]))
        self.assertEqual(self.attempts(), 1)

    def test_a_worker_that_dies_is_retried_max_retries_times(self) -> None:
        self.error(self.counted(lambda n: os._exit(4), max_retries=2),
                   exceptions.WorkerCrashedError)
        self.assertEqual(self.attempts(), 3)

    def test_a_worker_that_dies_once_is_replaced(self) -> None:
        ref = self.counted(lambda n: os._exit(4) if n == 0 else "ok")
        self.assertEqual(kiln.get(ref, timeout=30), ("ok", 1))
        wait_until(lambda: self.attempts() == 2, "two attempts")


if __name__ == "__main__":
    unittest.main()
