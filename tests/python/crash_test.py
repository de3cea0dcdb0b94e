"""Workers that crash, tasks that are cancelled or run too long, sessions that are gone."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
import unittest
from pathlib import Path
from typing import Any

import kiln
from kiln import exceptions
from support import DriverCase, PlaceCase, wait_until


@kiln.remote(max_retries=0)
def call(function, *args):
    return function(*args)


def segfault():
    ctypes.string_at(0)


def eat_memory():
    """Raises MemoryError, also where the machine has plenty: the limit is this process's own."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), hard))
    try:
        return len([bytes(1 << 20) for _ in range(10_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Case(DriverCase):
    def setUp(self) -> None:
        self.folder = Path(self.place.work) / self.id()
        self.folder.mkdir()

    def error(self, ref: Any, kind: type[BaseException] = exceptions.RayError) -> Any:
        with self.assertRaises(kind) as raised:
            kiln.get(ref, timeout=30)
        return raised.exception

    def started(self, function: Any, **options: Any) -> tuple[Any, int]:
        """A task that says that it runs, then calls the function; and its pid."""
        path = self.folder / "pid"

        @kiln.remote(**options)
        def task():
            with open(f"{path}.new", "w") as file:
                file.write(str(os.getpid()))
            os.rename(f"{path}.new", path)
            return function()

        ref = task.remote()
        wait_until(path.exists, "the task runs")
        return ref, int(path.read_text())


class Crashes(Case):
    def tearDown(self) -> None:
        self.assertEqual(kiln.get(call.remote(len, "abc"), timeout=30), 3)  # others go on

    def test_a_segfault_says_so(self) -> None:
        error = self.error(call.remote(segfault), exceptions.WorkerCrashedError)
        self.assertIn("SIGSEGV", str(error))
        self.assertIn("call", str(error))

    def test_os_exit_and_abort_say_so(self) -> None:
        self.assertIn("7", str(self.error(call.remote(os._exit, 7), exceptions.WorkerCrashedError)))
        self.error(call.remote(os._exit, 0), exceptions.WorkerCrashedError)
        self.assertIn("SIGABRT",
                      str(self.error(call.remote(os.abort), exceptions.WorkerCrashedError)))

    def test_a_worker_that_is_killed_may_have_been_out_of_memory(self) -> None:
        error = self.error(call.remote(lambda: os.kill(os.getpid(), signal.SIGKILL)),
                           exceptions.OutOfMemoryError)
        self.assertIsInstance(error, exceptions.WorkerCrashedError)
        self.assertIn("SIGKILL", str(error))

    def test_sys_exit_fails_the_task_alone(self) -> None:
        for code, words in ((3, "sys.exit(3)"), ("text", "sys.exit('text')"), (None, "sys.exit()")):
            error = self.error(call.remote(sys.exit, code), exceptions.RayTaskError)
            self.assertIn(words, error.message)

    def test_memory_error_is_an_exception_like_others(self) -> None:
        self.error(call.remote(eat_memory), MemoryError)

    def test_endless_recursion_is_an_exception_like_others(self) -> None:
        def again(n):
            return again(n + 1)

        self.error(call.remote(again, 0), RecursionError)

    def test_a_crash_while_others_wait_in_get(self) -> None:
        refs = [call.remote(os._exit, 1) if i % 3 == 0 else call.remote(abs, -i) for i in range(30)]
        for i, ref in enumerate(refs):
            if i % 3:
                self.assertEqual(kiln.get(ref, timeout=30), i)
            else:
                self.error(ref, exceptions.WorkerCrashedError)

    def test_a_task_that_closes_its_output_or_changes_directory_harms_nobody(self) -> None:
        def close():
            sys.stdout.close()
            sys.stderr = None
            os.chdir("/")
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        for _ in range(4):
            kiln.get(call.remote(close), timeout=30)
        self.assertEqual(kiln.get([call.remote(abs, -i) for i in range(20)], timeout=30),
                         list(range(20)))


class Stopping(Case):
    def test_a_sleeping_task_is_cancelled_at_once(self) -> None:
        ref, pid = self.started(lambda: time.sleep(60))
        began = time.monotonic()
        kiln.cancel(ref)
        self.error(ref, exceptions.TaskCancelledError)
        self.assertLess(time.monotonic() - began, 5)
        self.assertTrue(os.path.exists(f"/proc/{pid}"))  # the worker lives

    def test_a_running_loop_and_a_waiting_get_are_cancelled(self) -> None:
        for function in (lambda: [None for _ in iter(int, 1)],
                         lambda: kiln.get(kiln.remote(time.sleep).remote(60))):
            (self.folder / "pid").unlink(missing_ok=True)
            ref, _ = self.started(function)
            kiln.cancel(ref)
            self.error(ref, exceptions.TaskCancelledError)

    def test_a_queued_task_never_runs_once_cancelled(self) -> None:
        path = self.folder / "ran"
        busy = [kiln.remote(time.sleep).remote(0.5) for _ in range(3)]
        ref = kiln.remote(path.touch).options(num_cpus=2).remote()
        kiln.cancel(ref)
        self.error(ref, exceptions.TaskCancelledError)
        kiln.get(busy)
        self.assertFalse(path.exists())

    def test_force_kills_a_task_that_does_not_listen(self) -> None:
        def deaf():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass

        ref, pid = self.started(deaf)
        kiln.cancel(ref, force=True)
        self.error(ref, exceptions.TaskCancelledError)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the worker is gone")

    def test_a_task_that_finishes_all_the_same_has_its_result(self) -> None:
        def stubborn():
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                return "done", kiln.get_runtime_context().is_canceled()

        ref, _ = self.started(stubborn)
        kiln.cancel(ref)
        self.assertEqual(kiln.get(ref, timeout=30), ("done", True))

    def test_cancelling_what_is_done_changes_nothing(self) -> None:
        ref = call.remote(abs, -1)
        kiln.get(ref)
        kiln.cancel(ref)
        kiln.cancel(kiln.put(1))
        self.assertEqual(kiln.get(ref), 1)

    def test_tasks_of_a_cancelled_task_are_cancelled(self) -> None:
        inner = self.folder / "inner"

        def outer():
            refs = [kiln.remote(lambda: (inner.touch(), time.sleep(60))).remote()]
            return kiln.get(refs)

        ref, _ = self.started(outer)
        wait_until(inner.exists, "the inner task runs")
        kiln.cancel(ref)
        self.error(ref, exceptions.TaskCancelledError)
        wait_until(lambda: self.place.status()["tasks_running"] == 0, "nothing runs")

    def test_many_cancels_do_not_hit_the_tasks_that_come_after(self) -> None:
        for _ in range(30):
            refs = [call.remote(time.sleep, 0.002) for _ in range(6)]
            for ref in refs[::2]:
                kiln.cancel(ref)
            for i, ref in enumerate(refs):
                try:
                    kiln.get(ref, timeout=30)
                except exceptions.TaskCancelledError:
                    self.assertEqual(i % 2, 0)

    def test_a_task_over_its_timeout_is_stopped(self) -> None:
        began = time.monotonic()
        error = self.error(call.options(timeout=0.1).remote(time.sleep, 60),
                           exceptions.TaskTimeoutError)
        self.assertIsInstance(error, TimeoutError)
        self.assertIn("100 ms", str(error))
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(kiln.get(call.options(timeout=30).remote(abs, -1)), 1)


class Nesting(Case):
    def test_get_inside_get_many_deep_on_two_cpus(self) -> None:
        @kiln.remote
        def down(n):
            return 0 if n == 0 else 1 + kiln.get(down.remote(n - 1))

        self.assertEqual(kiln.get(down.remote(25), timeout=50), 25)

    def test_all_tasks_wait_for_others_at_once(self) -> None:
        @kiln.remote
        def inner(x):
            return x

        @kiln.remote
        def outer(x):
            return sum(kiln.get([inner.remote(x), inner.remote(x)]))

        self.assertEqual(kiln.get([outer.remote(i) for i in range(40)], timeout=50),
                         [2 * i for i in range(40)])

    def test_init_inside_a_task_explains(self) -> None:
        self.assertIn("inside a task", str(self.error(call.remote(kiln.init), RuntimeError)))
        self.assertTrue(kiln.get(call.remote(kiln.is_initialized)))


class Sessions(PlaceCase):
    def test_a_ref_of_a_session_that_is_gone_says_so(self) -> None:
        out = self.check_run("""
            import kiln
            kiln.init(num_cpus=1)
            f = kiln.remote(lambda x: x)
            old = [kiln.put(1), f.remote(2)]
            kiln.get(old)
            kiln.shutdown()
            kiln.init(num_cpus=1)
            for ref in old:
                for use in (lambda: kiln.get(ref), lambda: kiln.get([kiln.put(1), ref]), lambda: kiln.wait([ref]),
                            lambda: f.remote(ref), lambda: kiln.cancel(ref), lambda: ref.future()):
                    try: use(); print("no error")
                    except kiln.exceptions.RaySystemError as error: assert "session has ended" in str(error)
            print(kiln.get(f.remote(3)))
            """)
        self.assertEqual(out, "3\n")

    def test_a_ref_of_a_session_that_is_gone_cannot_be_put_inside_a_list(self) -> None:
        self.check_run("""
            import kiln
            kiln.init(num_cpus=1)
            old = kiln.put(1)
            kiln.shutdown()
            kiln.init(num_cpus=1)
            for value in ([old], {"a": old}, {old}):
                try: kiln.put(value)
                except kiln.exceptions.RaySystemError as error: assert "session has ended" in str(error)
                else: raise SystemExit(f"no error: {value}")
            """)

    def test_another_version_of_python_in_the_workers_is_told(self) -> None:
        done = self.place.run("""
            import json, kiln
            from kiln import _session
            real = _session._program
            def forged(*args):
                program = real(*args)
                setup = json.loads(program["setup"])
                setup["python"] = [3, 9, 1]
                return {**program, "setup": json.dumps(setup)}
            _session._program = forged
            kiln.init(num_cpus=1)
            try: kiln.get(kiln.remote(lambda: 1).remote(), timeout=30)
            except kiln.exceptions.WorkerCrashedError as error: print(error)
            """)
        self.assertIn("the driver runs Python 3.9", done.stdout + done.stderr)
        self.assertEqual(done.code, 0)


if __name__ == "__main__":
    unittest.main()
