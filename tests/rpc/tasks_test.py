"""Running, awaiting and cancelling registered tasks with JSON arguments."""

import unittest

import grpc
from head import EXAMPLES, HeadTest, task_pb2

Code = grpc.StatusCode


class Tasks(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()

    def test_a_task_runs_with_json_arguments(self):
        ref = self.head.start("Add", 1, 2)
        self.assertEqual(self.head.result(ref), 3)
        self.head.release(ref)

    def test_arguments_and_results_of_every_shape(self):
        for function, args, result in [
                ("Echo", ["grün \u2603 \"quoted\""], "grün \u2603 \"quoted\""),
                ("Split", ["one two three"], ["one", "two", "three"]),
                ("WordCount", ["a b a"], {"a": 2, "b": 1}),
                ("MergeCounts", [{"a": 1}, {"a": 2, "c": 3}], {"a": 3, "c": 3}),
                ("Distance", [{"x": 0, "y": 0}, {"x": 3, "y": 4}], 5.0),
                ("Noop", [], None)]:
            with self.subTest(function):
                ref = self.head.start(function, *args)
                self.assertEqual(self.head.result(ref), result)
                self.head.release(ref)

    def test_a_ref_among_the_arguments_passes_its_value(self):
        first = self.head.start("Add", 1, 2)
        second = self.head.start("Add", {"$ref": first}, 10)
        self.head.release(first)
        self.assertEqual(self.head.result(second), 13)
        self.head.release(second)

    def test_nested_tasks_run(self):
        ref = self.head.start("Fib", 8)
        self.assertEqual(self.head.result(ref), 21)
        self.head.release(ref)

    def test_an_array_made_by_one_task_is_read_by_another(self):
        matrix = self.head.start("RandomMatrix", 7, 100)
        product = self.head.start("Multiply", {"$ref": matrix}, {"$ref": matrix})
        rows, squares = self.head.result(matrix), self.head.result(product)
        self.assertEqual((len(rows), len(rows[0])), (100, 100))
        expected = sum(rows[0][k] * rows[k][99] for k in range(100))
        self.assertAlmostEqual(squares[0][99], expected, places=9)
        self.head.release(matrix, product)

    def test_the_options_of_a_task_are_kept(self):
        ref = self.head.start("Add", 1, 2, name="sum of two", priority=5)
        self.head.result(ref)
        info = self.head.task_info(ref)
        self.assertEqual((info.name, info.priority, info.state), ("sum of two", 5, "FINISHED"))
        self.assertGreater(info.worker_pid, 0)
        self.head.release(ref)

    def test_a_task_that_runs_too_long_times_out(self):
        ref = self.head.start("Sleep", 60, timeout_ms=50)
        error = self.head.error(ref)
        self.assertEqual(error.kind, "TIMED_OUT")
        self.assertIn("50 ms", error.message)
        self.head.release(ref)


class Failures(HeadTest):
    """A task that fails is data: the RPCs succeed and the object is an error."""

    def tearDown(self):
        self.head.wait_until_empty()

    def failure(self, function, *args, **options):
        ref = self.head.start(function, *args, **options)
        error = self.head.error(ref)
        self.head.release(ref)
        return error

    def test_an_exception_arrives_with_type_message_task_and_process(self):
        error = self.failure("Fail", "no such luck", name="unlucky")
        self.assertEqual((error.kind, error.message, error.task),
                         ("TASK_FAILED", "no such luck", "unlucky"))
        self.assertIn("runtime_error", error.type)
        self.assertGreater(error.worker_pid, 0)

    def test_a_message_that_is_no_utf8_is_still_delivered(self):
        error = self.failure("Fail", {"$bytes": "//5h"})  # ff fe 61
        self.assertEqual(error.kind, "TASK_FAILED")
        self.assertTrue(error.message.endswith("a"), error.message)

    def test_an_error_runs_through_the_tasks_that_need_its_result(self):
        first = self.head.start("Fail", "gone", name="first")
        second = self.head.start("Echo", {"$ref": first}, name="second")
        error = self.head.error(second)
        self.assertEqual((error.task, list(error.chain)), ("first", ["second"]))
        self.head.release(first, second)

    def test_an_unknown_function_names_the_nearest(self):
        error = self.failure("Ad", 1, 2)
        self.assertEqual(error.kind, "FUNCTION_NOT_FOUND")
        self.assertIn("Add", error.message)

    def test_a_library_that_is_not_there_is_named(self):
        error = self.failure("Add", 1, 2, library="/nowhere/lib.so")
        self.assertEqual(error.kind, "FUNCTION_NOT_FOUND")
        self.assertIn("/nowhere/lib.so", error.message)

    def test_arguments_that_do_not_fit_are_told(self):
        for args in ([1], [1, 2, 3], ["one", 2], [1.5, 2], [None, 2], [[1], 2], [1 << 40, 2]):
            with self.subTest(args=args):
                error = self.failure("Add", *args)
                self.assertEqual(error.kind, "INVALID_ARGUMENTS")
                self.assertTrue(error.message)

    def test_a_crash_is_told_with_its_signal(self):
        error = self.failure("Crash", 11, max_retries=0)
        self.assertEqual(error.kind, "WORKER_CRASHED")
        self.assertIn("SIGSEGV", error.message)

    def test_a_task_that_can_never_fit_fails_at_once(self):
        for resources, word in [({"num_cpus": 64}, "CPU"), ({"custom": {"disk": 1}}, "disk")]:
            error = self.failure("Add", 1, 2, resources=task_pb2.Resources(**resources))
            self.assertEqual(error.kind, "UNSCHEDULABLE")
            self.assertIn(word.lower(), error.message.lower())

    # --- requests that are wrong are RPC errors -------------------------------------------------

    def test_a_relative_library_is_refused(self):
        with self.refused(Code.INVALID_ARGUMENT, "lib.so", "absolute"):
            self.head.task("Add", 1, 2, library="lib.so")

    def test_a_missing_library_or_function_is_refused(self):
        with self.refused(Code.INVALID_ARGUMENT, "library"):
            self.head.task("Add", 1, 2, library="")
        with self.refused(Code.INVALID_ARGUMENT, "function"):
            self.head.task("", 1, 2)

    def test_bad_json_is_refused_with_its_place(self):
        with self.refused(Code.INVALID_ARGUMENT, "argument 2", "line 1, column"):
            self.head.tasks.Run(task_pb2.RunRequest(library=EXAMPLES, function="Add",
                                                    json_args=["1", "{2"]))

    def test_a_ref_that_is_none_or_unknown_is_refused(self):
        with self.refused(Code.INVALID_ARGUMENT, "argument 1", "16 hexadecimal digits"):
            self.head.task("Add", {"$ref": "xyz"}, 2)
        with self.refused(Code.NOT_FOUND, "00000000000000aa"):
            self.head.task("Add", {"$ref": "00000000000000aa"}, 2)

    def test_a_stream_without_a_session_is_refused(self):
        with self.refused(Code.INVALID_ARGUMENT, "streaming", "session"):
            self.head.task("Add", 1, 2, streaming=True)

    def test_numbers_that_make_no_sense_are_refused(self):
        for resources in ({"num_cpus": -1}, {"num_cpus": float("nan")},
                          {"custom": {"disk": float("inf")}}):
            with self.refused(Code.INVALID_ARGUMENT, "resource"):
                self.head.task("Add", 1, 2, resources=task_pb2.Resources(**resources))
        with self.refused(Code.INVALID_ARGUMENT):
            self.head.task("Add", 1, 2, num_returns=100_000_000)


class Cancel(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()

    def assert_cancelled(self, ref):
        self.assertEqual(self.head.error(ref).kind, "CANCELLED")

    def test_a_queued_task_is_dropped(self):
        blockers = [self.head.start("Sleep", 60) for _ in range(2)]
        for ref in blockers:
            self.head.wait_until_running(ref)
        # Of another class, so that it is not given to a busy worker ahead of its turn.
        queued = self.head.start("Add", 1, 2)
        self.assertEqual(self.head.cancel(queued), "OUTCOME_DROPPED")
        self.assert_cancelled(queued)
        for ref in blockers:
            self.head.cancel(ref)
            self.assert_cancelled(ref)
        self.head.release(queued, *blockers)

    def test_a_running_task_is_asked_to_stop(self):
        ref = self.head.start("Sleep", 60)
        self.head.wait_until_running(ref)
        self.assertEqual(self.head.cancel(ref), "OUTCOME_ASKED")
        self.assert_cancelled(ref)
        self.assertEqual(self.head.task_info(ref).state, "CANCELLED")
        self.head.release(ref)

    def test_force_kills_the_worker_of_a_task_that_does_not_listen(self):
        ref = self.head.start("SumRange", 0, 1 << 50)
        self.head.wait_until_running(ref)
        self.assertEqual(self.head.cancel(ref, force=True), "OUTCOME_KILLED")
        self.assert_cancelled(ref)
        again = self.head.start("Add", 1, 2)
        self.assertEqual(self.head.result(again), 3)
        self.head.release(ref, again)

    def test_a_finished_task_cannot_be_cancelled(self):
        ref = self.head.start("Add", 1, 2)
        self.head.result(ref)
        self.assertEqual(self.head.cancel(ref), "OUTCOME_FINISHED")
        self.assertEqual(self.head.result(ref), 3)
        self.head.release(ref)

    def test_an_unknown_ref_is_told(self):
        with self.refused(Code.NOT_FOUND, "00000000000000aa"):
            self.head.cancel("00000000000000aa")
        with self.refused(Code.INVALID_ARGUMENT, "\"aa\"", "16 hexadecimal digits"):
            self.head.cancel("aa")


if __name__ == "__main__":
    unittest.main()
