"""Actors whose processes die: restarts, calls that run at most once, order across retries.

What a call has done is counted in files, which survive.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import unittest

import kiln
from kiln.exceptions import ActorDiedError, ActorUnavailableError, RayActorError
from support import DriverCase, PlaceCase, wait_until


@kiln.remote
class Recorder:
    """Writes down each run of each call."""

    def __init__(self, path):
        self.path = path
        self.calls = 0
        self.write("init")

    def write(self, line):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def pid(self):
        return os.getpid()

    def run(self, i):
        self.calls += 1
        self.write(i)
        return i

    def die(self, i, once=True):
        """Ends the process after its effect, the first time."""
        marker = f"{self.path}.{i}"
        self.write(i)
        if not once or not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    def context(self):
        return kiln.get_runtime_context().was_current_actor_reconstructed

    def wait(self):
        self.write("wait")
        threading.Event().wait()


class Crashes(DriverCase):
    def setUp(self) -> None:
        self.path = str(self.place.work / self.id().rpartition(".")[2])

    def lines(self) -> list[str]:
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def test_without_restarts_a_crash_is_the_end(self) -> None:
        actor = Recorder.remote(self.path)
        self.assertEqual(kiln.get(actor.run.remote(0)), 0)
        for ref in (actor.die.remote(1), actor.run.remote(2), actor.run.remote(3)):
            with self.assertRaises(ActorDiedError) as raised:
                kiln.get(ref, timeout=30)
        self.assertIn("SIGKILL", str(raised.exception))
        self.assertEqual(self.lines(), ["init", "0", "1"])

    def test_an_exit_code_and_the_last_words_are_told(self) -> None:
        @kiln.remote
        class Exits:
            def leave(self):
                import sys
                print("last words", file=sys.stderr, flush=True)
                os._exit(9)

        with self.assertRaisesRegex(ActorDiedError, "9") as raised:
            kiln.get(Exits.remote().leave.remote(), timeout=30)
        self.assertIn("last words", str(raised.exception))

    def test_a_call_runs_at_most_once_unless_asked(self) -> None:
        actor = Recorder.options(max_restarts=-1).remote(self.path)
        self.assertEqual(kiln.get(actor.run.remote(0)), 0)
        refs = [actor.die.remote(1), actor.run.remote(2)]
        with self.assertRaises(ActorUnavailableError):
            kiln.get(refs[0], timeout=30)
        wait_until(lambda: self.answers(actor), "it was started anew")
        self.assertEqual(self.lines().count("1"), 1)
        self.assertLessEqual(self.lines().count("2"), 1)
        self.assertEqual(self.lines().count("init"), 2)
        self.assertTrue(kiln.get(actor.context.remote()))

    def answers(self, actor) -> bool:
        try:
            kiln.get(actor.pid.remote(), timeout=30)
        except ActorUnavailableError:
            return False
        return True

    def test_calls_run_again_if_asked_and_in_order(self) -> None:
        actor = Recorder.options(max_restarts=-1, max_task_retries=-1).remote(self.path)
        refs = [actor.run.remote(i) for i in range(10)]
        refs.append(actor.die.remote(10))
        refs += [actor.run.remote(i) for i in range(11, 20)]
        self.assertEqual(kiln.get(refs, timeout=60), list(range(20)))
        lines = self.lines()
        second = lines[len(lines) - lines[::-1].index("init"):]
        self.assertEqual(lines.count("init"), 2)
        self.assertEqual(second, sorted(second, key=int))
        self.assertEqual(second[-10:], [str(i) for i in range(10, 20)])

    def test_retries_come_to_an_end(self) -> None:
        actor = Recorder.options(max_restarts=5, max_task_retries=2).remote(self.path)
        with self.assertRaises(RayActorError):
            kiln.get(actor.die.remote(1, once=False), timeout=60)
        self.assertEqual(self.lines().count("1"), 3)

    def test_restarts_come_to_an_end(self) -> None:
        actor = Recorder.options(max_restarts=2, max_task_retries=-1).remote(self.path)
        with self.assertRaises(ActorDiedError):
            kiln.get(actor.die.remote(1, once=False), timeout=60)
        self.assertEqual(self.lines().count("init"), 3)
        self.assertEqual(self.lines().count("1"), 3)
        self.assertRaises(ActorDiedError, kiln.get, actor.run.remote(2), timeout=30)

    def test_a_method_may_have_retries_of_its_own(self) -> None:
        @kiln.remote(max_restarts=-1)
        class Own:
            def __init__(self, path):
                self.path = path

            @kiln.method(max_task_retries=1)
            def die(self):
                if not os.path.exists(self.path):
                    open(self.path, "w").close()
                    os._exit(1)
                return "again"

        self.assertEqual(kiln.get(Own.remote(self.path).die.remote(), timeout=30), "again")

    def test_kill_may_restart(self) -> None:
        actor = Recorder.options(max_restarts=1).remote(self.path)
        pid = kiln.get(actor.pid.remote())
        kiln.kill(actor, no_restart=False)
        wait_until(lambda: self.answers(actor), "it was started anew")
        self.assertNotEqual(kiln.get(actor.pid.remote()), pid)
        kiln.kill(actor, no_restart=False)
        self.assertRaises(ActorDiedError, kiln.get, actor.pid.remote(), timeout=30)

    def test_killed_at_any_moment_no_call_runs_twice(self) -> None:
        actor = Recorder.options(max_restarts=-1).remote(self.path)
        done, failed = [], 0
        for round in range(6):
            refs = [actor.run.remote(f"{round}.{i}") for i in range(200)]
            try:
                pid = kiln.get(actor.pid.options(name="pid").remote(), timeout=30)
                more = [actor.run.remote(f"{round}.more.{i}") for i in range(200)]
                kiln.wait(more, num_returns=1 + 20 * round)
                os.kill(pid, signal.SIGKILL)
                refs += more
            except (ActorUnavailableError, ProcessLookupError):
                pass
            for ref in refs:
                try:
                    done.append(kiln.get(ref, timeout=30))
                except ActorUnavailableError:
                    failed += 1
        lines = [line for line in self.lines() if line != "init"]
        self.assertEqual(len(lines), len(set(lines)))
        self.assertLessEqual(set(done), set(lines))
        self.assertEqual(len(done), len(set(done)))
        self.assertGreater(len(done), 0)

    def test_retried_calls_all_run_and_those_of_one_caller_in_order(self) -> None:
        actor = Recorder.options(max_restarts=-1, max_task_retries=-1).remote(self.path)
        pids = set()
        refs = []
        for round in range(4):
            refs += [actor.run.remote(len(refs) + i) for i in range(150)]
            pid = kiln.get(actor.pid.remote(), timeout=30)
            pids.add(pid)
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(kiln.get(refs, timeout=60), list(range(600)))
        firsts = list(dict.fromkeys(line for line in self.lines() if line != "init"))
        self.assertEqual(firsts, [str(i) for i in range(600)])

    def test_a_constructor_that_dies_once(self) -> None:
        @kiln.remote(max_restarts=1)
        class Dies:
            def __init__(self, path):
                if not os.path.exists(path):
                    open(path, "w").close()
                    os._exit(1)

            def f(self):
                return "there"

        actor = Dies.remote(self.path)
        self.assertEqual(kiln.get(actor.f.remote(), timeout=30), "there")

    def test_retry_exceptions_keep_the_order(self) -> None:
        @kiln.remote
        class Flaky:
            def __init__(self):
                self.log = []

            @kiln.method(max_task_retries=3, retry_exceptions=[ValueError])
            def call(self, i, error=None):
                self.log.append(i)
                if error is not None and self.log.count(i) < 3:
                    raise error
                return i

            def all(self):
                return self.log

        actor = Flaky.remote()
        refs = [actor.call.remote(0), actor.call.remote(1, ValueError()), actor.call.remote(2)]
        self.assertEqual(kiln.get(refs), [0, 1, 2])
        self.assertEqual(kiln.get(actor.all.remote()), [0, 1, 1, 1, 2])
        self.assertRaises(KeyError, kiln.get, actor.call.remote(3, KeyError()))
        self.assertEqual(kiln.get(actor.all.remote())[-1:], [3])

    def test_streams_of_a_process_that_dies(self) -> None:
        @kiln.remote
        class Source:
            def numbers(self, path):
                yield 0
                yield 1
                while not os.path.exists(path):  # over gRPC items may wait in the process
                    time.sleep(0.002)
                os._exit(1)

        stream = Source.remote().numbers.remote(self.path)
        self.assertEqual([kiln.get(next(stream)), kiln.get(next(stream))], [0, 1])
        open(self.path, "w").close()
        self.assertRaises(ActorDiedError, next, stream)

    def test_async_calls_that_are_under_way(self) -> None:
        @kiln.remote(max_restarts=1)
        class Async:
            async def wait(self):
                import asyncio
                await asyncio.sleep(600)

            async def pid(self):
                return os.getpid()

        actor = Async.remote()
        refs = [actor.wait.remote() for _ in range(100)]
        os.kill(kiln.get(actor.pid.remote()), signal.SIGKILL)
        for ref in refs:
            self.assertRaises(ActorUnavailableError, kiln.get, ref, timeout=30)
        wait_until(lambda: self.answers(actor), "it was started anew")


class Callers(DriverCase):
    def test_calls_of_a_task_that_is_killed(self) -> None:
        path = str(self.place.work / "callers")
        actor = Recorder.remote(path)

        @kiln.remote(max_retries=0)
        def call(actor):
            refs = [actor.run.remote(i) for i in range(50)]
            kiln.get(refs)
            os.kill(os.getpid(), signal.SIGKILL)

        self.assertRaises(kiln.exceptions.WorkerCrashedError, kiln.get, call.remote(actor))
        self.assertEqual(kiln.get(actor.run.remote("after"), timeout=30), "after")
        with open(path, encoding="utf-8") as file:
            lines = file.read().split()
        self.assertEqual(lines, ["init", *map(str, range(50)), "after"])

    def test_an_actor_s_children_end_with_it(self) -> None:
        @kiln.remote
        class Parent:
            def __init__(self, path):
                self.child = Recorder.remote(path)

            def pids(self):
                return os.getpid(), kiln.get(self.child.pid.remote())

        parent = Parent.remote(str(self.place.work / "child"))
        pids = kiln.get(parent.pids.remote())
        os.kill(pids[0], signal.SIGKILL)
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "both have ended")


class Drivers(PlaceCase):
    def test_a_driver_that_is_killed_takes_its_actors_along(self) -> None:
        self.place.start_head()
        program = self.place.start("""
            import kiln, os, time
            @kiln.remote
            class A:
                def pid(self): return os.getpid()
                def wait(self): time.sleep(600)
            actors = [A.remote() for _ in range(3)]
            print(*kiln.get([a.pid.remote() for a in actors]), flush=True)
            kiln.get([a.wait.remote() for a in actors])
            """)
        pids = list(map(int, program.stdout.readline().split()))
        self.assertEqual(len(pids), 3)
        program.kill()
        program.communicate()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids),
                   "its actors have ended")
        wait_until(lambda: not any(self.place.holdings().values()), "the head is empty")


if __name__ == "__main__":
    unittest.main()
