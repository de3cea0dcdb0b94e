"""Drivers, workers and heads that end, well or badly: exit codes, messages, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import unittest
from pathlib import Path
from typing import Any

from support import END_S, PlaceCase, wait_until

# What a driver does when it is told to end; each prints "ready" first.
BUSY = {
    "get": "kiln.get(sleep.remote(600))",
    "get of a list": "kiln.get([kiln.put(1), sleep.remote(600)])",
    "wait": "kiln.wait([sleep.remote(600)])",
    "future": "sleep.remote(600).future().result()",
    "submits": "while True: nothing.remote()",
    "gets": "while True: kiln.get(nothing.remote())",
    "puts": "while True: kiln.put(bytes(200_000))",
    "map": "kiln.map(time.sleep, [0.01] * 1_000_000)",
    "sleep": "refs = [sleep.remote(600) for _ in range(10)]; time.sleep(600)",
    "thread": "t = threading.Thread(target=lambda: kiln.get(sleep.remote(600)), daemon=True); t.start(); t.join()",
}
PROGRAM = """
import kiln, os, sys, threading, time
@kiln.remote
def sleep(seconds):
    open("runs", "w").close()
    time.sleep(seconds)
@kiln.remote
def nothing(): pass
kiln.init(num_cpus=2)
kiln.get(nothing.remote())
print("ready", flush=True)
"""


class Case(PlaceCase):
    def start_busy(self, how: str) -> subprocess.Popen[str]:
        """A driver that is in the middle of something."""
        process = self.place.start(PROGRAM + BUSY[how])
        self.addCleanup(self.end, process)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), "ready\n")
        if "sleep(600)" in BUSY[how]:  # the task writes that it runs
            wait_until((self.place.work / "runs").exists, "a task runs")
            (self.place.work / "runs").unlink()
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            process.kill()
        process.communicate()

    def assert_nothing_is_left(self) -> None:
        self.assert_no_process_is_left()
        wait_until(lambda: not self.place.files(), f"{self.place.files()} are removed")

    def assert_no_process_is_left(self) -> None:
        wait_until(lambda: not self.place.processes(), f"the end of {self.place.processes()}",
                   END_S)


class Drivers(Case):
    def test_the_end_of_the_script_is_the_end_of_all(self) -> None:
        for text in ("", "kiln.shutdown()", "refs = [nothing.remote() for _ in range(1000)]",
                     "x = [sleep.remote(600) for _ in range(10)]", "ref = kiln.put(bytes(10**7))",
                     "value = kiln.get(kiln.put(bytes(10**7)))", "f = sleep.remote(600).future()",
                     "sys.modules['holder'] = type(sys)('holder'); sys.modules['holder'].ref = kiln.put(1)",
                     "a = [kiln.put(1)]; a.append(a); import gc; gc.disable()",
                     "import numpy; arrays = [kiln.get(kiln.put(numpy.ones(10**6)))]; arrays.append(arrays)",
                     "class D:\n    def __del__(self): self.ref = None\nd = D(); d.ref = kiln.put(1); D.keep = d",
                     "threading.Thread(target=lambda: kiln.get(sleep.remote(600)), daemon=True).start(); time.sleep(.1)",
                     "import atexit; atexit.register(lambda: print('last', kiln.is_initialized()))",
                     "import concurrent.futures as c; p = c.ThreadPoolExecutor(3); "
                     "f = [p.submit(lambda: kiln.get(nothing.remote())) for _ in range(50)]"):
            with self.subTest(text):
                done = self.place.run(PROGRAM + text, timeout_s=30)
                self.assertEqual((done.code, done.stdout.splitlines()[0]), (0, "ready"),
                                 done.stderr)
                if "daemon" not in text:  # whose get fails
                    self.assertNotIn("Traceback", done.stderr)
                self.assert_nothing_is_left()

    def test_an_exception_ends_it_as_without_kiln(self) -> None:
        for text, code, words in (("1 / 0", 1, "ZeroDivisionError"), ("sys.exit(5)", 5, ""),
                                  ("refs = [sleep.remote(600)] * 3; raise KeyError('k')", 1,
                                   "KeyError: 'k'"),
                                  ("kiln.get(kiln.remote(lambda: [][1]).remote())", 1,
                                   "IndexError"),
                                  ("raise SystemExit('message')", 1, "message")):
            with self.subTest(text):
                done = self.place.run(PROGRAM + text, timeout_s=30)
                self.assertEqual(done.code, code, done.stderr)
                self.assertIn(words, done.stderr)
                self.assert_nothing_is_left()

    def test_os_exit_and_crashes_of_the_driver_leave_no_process(self) -> None:
        for text, code in (("os._exit(3)", 3), ("os.abort()", -signal.SIGABRT)):
            done = self.place.run(PROGRAM + "r = [sleep.remote(600) for _ in range(9)]\n" + text)
            self.assertEqual(done.code, code)
            self.assert_no_process_is_left()
        self.tidy_up()

    def test_ctrl_c_ends_every_call(self) -> None:
        for how in BUSY:
            with self.subTest(how):
                process = self.start_busy(how)
                os.kill(process.pid, signal.SIGINT)
                done = self.place.finish(process, 20)
                self.assertEqual(done.code, -signal.SIGINT, done.stderr)
                self.assertIn("KeyboardInterrupt", done.stderr)
                self.assert_nothing_is_left()

    def test_ctrl_c_at_a_terminal_reaches_all_and_shows_one_traceback(self) -> None:
        process = self.start_busy("get")
        os.killpg(process.pid, signal.SIGINT)
        done = self.place.finish(process, 20)
        self.assertEqual(done.stderr.count("Traceback"), 1, done.stderr)
        self.assert_nothing_is_left()

    def test_after_a_caught_ctrl_c_the_session_goes_on(self) -> None:
        process = self.place.start(PROGRAM + """
for call in (lambda r: kiln.get(r), lambda r: kiln.wait([r]), lambda r: kiln.get([r, r])):
    ref = sleep.remote(600)
    print("waits", flush=True)
    try: call(ref)
    except KeyboardInterrupt: pass
    kiln.cancel(ref)
    try: kiln.get(ref)
    except kiln.exceptions.TaskCancelledError: print("cancelled", flush=True)
print(kiln.get(kiln.remote(len).remote("abc")), flush=True)
""")
        self.addCleanup(self.end, process)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if line == "waits\n":
                state = Path(f"/proc/{process.pid}/stat")
                wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "S",
                           "it waits")
                os.kill(process.pid, signal.SIGINT)
        self.assertEqual(self.place.finish(process).code, 0)
        self.assertEqual(lines, ["ready", *["waits", "cancelled"] * 3, "3"])

    def tidy_up(self) -> None:
        """Another program that starts a head removes the logs of those that were killed."""
        self.check_run(PROGRAM)
        self.assert_nothing_is_left()

    def test_sigterm_and_sigkill_leave_no_process(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for how in ("get", "submits", "puts", "map", "sleep"):
                with self.subTest(how, signal=number.name):
                    process = self.start_busy(how)
                    os.kill(process.pid, number)
                    self.assertEqual(self.place.finish(process, 20).code, -number)
                    self.assert_no_process_is_left()
        self.tidy_up()

    def test_a_killed_driver_leaves_no_directory(self) -> None:
        process = self.start_busy("get")
        process.kill()
        self.place.finish(process)
        self.assert_no_process_is_left()
        try:
            self.assertEqual(self.place.files(), [])
        finally:
            self.tidy_up()


class Joined(Case):
    def test_a_driver_that_ends_or_is_killed_takes_its_tasks_along_and_not_the_head(self) -> None:
        self.place.start_head()
        program = PROGRAM.replace("num_cpus=2", "")
        done = self.place.run(program + "x = [sleep.remote(600) for _ in range(10)]; y = kiln.put(bytes(10**6))")
        self.assertEqual(done.code, 0, done.stderr)
        wait_until(lambda: not any(self.place.holdings().values()), "the head is empty")
        for number in (signal.SIGINT, signal.SIGKILL):
            process = self.place.start(program + "y = kiln.put(bytes(10**6)); " + BUSY["get"])
            assert process.stdout is not None
            process.stdout.readline()
            wait_until(lambda: self.place.status()["tasks_running"], "it runs")
            os.kill(process.pid, number)
            self.place.finish(process)
            wait_until(lambda: not any(self.place.holdings().values()), "the head is empty")

    def test_two_drivers_do_not_see_each_others_end(self) -> None:
        self.place.start_head()
        program = PROGRAM.replace("num_cpus=2", "")
        other = self.place.start(program + "kiln.get([sleep.remote(.01) for _ in range(100)]); print('well')",
                                 name="other.py")
        done = self.place.run(program + "[sleep.remote(600) for _ in range(10)]; os.kill(os.getpid(), 9)")
        self.assertEqual(done.code, -9)
        self.assertIn("well", self.place.finish(other).stdout)


class Heads(Case):
    def expect(self, text: str, kill: Any) -> None:
        self.place.start_head()
        process = self.place.start(PROGRAM.replace("num_cpus=2", "") + text)
        self.addCleanup(self.end, process)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), "ready\n")
        if "sleep" in text:
            wait_until(lambda: process.poll() is not None or self.place.status()["tasks_running"],
                       "it runs")
        kill()
        done = self.place.finish(process, 30)
        self.assertEqual(done.code, 1, done.stderr)
        self.assertRegex(done.stderr, r"kiln\.exceptions\.(RaySystemError|TaskCancelledError)")
        wait_until(lambda: not self.place.processes(), f"the end of {self.place.processes()}")

    def kill_head(self) -> None:
        os.kill(self.place.status()["pid"], signal.SIGKILL)

    def test_a_killed_head_ends_every_call_with_an_error(self) -> None:
        for how in ("get", "get of a list", "wait", "future", "submits", "gets", "puts", "map"):
            with self.subTest(how):
                self.expect(BUSY[how], self.kill_head)

    def test_a_head_that_is_stopped_ends_every_call_with_an_error(self) -> None:
        for how in ("get", "submits"):
            with self.subTest(how):
                self.expect(BUSY[how], lambda: self.place.kiln("stop", "--force"))

    def test_after_the_heads_end_a_program_can_begin_anew(self) -> None:
        out = self.check_run("""
            import kiln, os, signal, time
            from kiln import _api
            kiln.init(num_cpus=1)
            ref, never = kiln.put(1), kiln.remote(time.sleep).remote(600)
            os.kill(_api._ask("status")["pid"], signal.SIGKILL)
            while kiln.is_initialized(): time.sleep(0.01)
            assert kiln.get(ref) == ref.future().result(10) == 1  # it is here
            for use in (lambda: kiln.put(1), lambda: kiln.remote(len).remote(""), lambda: kiln.get(never),
                        lambda: kiln.wait([never]), lambda: kiln.cancel(never), lambda: never.future().result(10)):
                try: use(); print("no error")
                except kiln.exceptions.RaySystemError: pass
            kiln.init(num_cpus=1)
            print(kiln.get(kiln.remote(len).remote("abc")))
            """)
        self.assertEqual(out, "3\n")

    def test_a_killed_worker_harms_only_its_task(self) -> None:
        out = self.check_run("""
            import kiln, os, signal, time
            kiln.init(num_cpus=2)
            @kiln.remote(max_retries=0)
            def pid(): return os.getpid()
            @kiln.remote
            def slow(path):
                open(path, "a").write(f"{os.getpid()}\\n")
                time.sleep(0.3)
                return "again"
            os.kill(kiln.get(pid.remote()), signal.SIGKILL)
            print(kiln.get([kiln.remote(abs).remote(-i) for i in range(5)]))
            ref = slow.remote("pids")
            while not (os.path.exists("pids") and open("pids").readline()): time.sleep(0.01)
            os.kill(int(open("pids").readline()), signal.SIGKILL)
            print(kiln.get(ref), len(open("pids").readlines()))
            """)
        self.assertEqual(out, "[0, 1, 2, 3, 4]\nagain 2\n")


if __name__ == "__main__":
    unittest.main()
