"""Actors whose calls overlap on threads; bounds, cancel, and what actors hold of the machine."""

from __future__ import annotations

import os
import threading
import time
import unittest

import kiln
from support import DriverCase, PlaceCase, wait_until


class Threads(DriverCase):
    def test_max_concurrency_lets_calls_overlap(self) -> None:
        @kiln.remote(max_concurrency=3)
        class Barrier:
            def __init__(self):
                self.barrier = threading.Barrier(3)
                self.local = threading.local()

            def meet(self):
                self.barrier.wait(30)
                return threading.get_ident()

            def count(self):
                self.local.count = getattr(self.local, "count", 0) + 1
                return threading.get_ident(), self.local.count

        actor = Barrier.remote()
        self.assertEqual(len(set(kiln.get([actor.meet.remote() for _ in range(3)]))), 3)
        counts: dict[int, int] = {}
        for ident, count in kiln.get([actor.count.remote() for _ in range(30)]):
            counts[ident] = max(counts.get(ident, 0), count)
        self.assertEqual(sum(counts.values()), 30)  # a thread's own data lives as long as the actor

    def test_concurrency_groups_do_not_wait_for_each_other(self) -> None:
        @kiln.remote(concurrency_groups={"io": 2, "control": 1})
        class Grouped:
            def __init__(self):
                self.open = threading.Event()

            @kiln.method(concurrency_group="io")
            def wait(self):
                return self.open.wait(30)

            @kiln.method(concurrency_group="control")
            def release(self):
                self.open.set()

            def plain(self):
                return "plain"

        actor = Grouped.remote()
        waiting = [actor.wait.remote() for _ in range(2)]
        self.assertEqual(kiln.get(actor.plain.remote()), "plain")
        also = actor.plain.options(concurrency_group="io").remote()
        self.assertEqual(kiln.wait([also], timeout=0.05)[0], [])
        actor.release.remote()
        self.assertEqual(kiln.get([*waiting, also]), [True, True, "plain"])

    def test_a_group_that_is_none(self) -> None:
        with self.assertRaisesRegex(ValueError, "concurrency_group 'disk'"):
            @kiln.remote(concurrency_groups={"io": 2})
            class Wrong:
                @kiln.method(concurrency_group="disk")
                def f(self):
                    pass

    def test_context_and_cancel_of_a_thread_s_call(self) -> None:
        @kiln.remote(max_concurrency=2)
        class Cancelled:
            def __init__(self):
                self.began = threading.Event()

            def work(self):
                self.began.set()
                while not kiln.get_runtime_context().is_canceled():
                    time.sleep(0.002)
                return "stopped by itself"

            def wait(self):
                return self.began.wait(30)

        actor = Cancelled.remote()
        ref = actor.work.remote()
        kiln.get(actor.wait.remote())
        kiln.cancel(ref)
        self.assertEqual(kiln.get(ref, timeout=30), "stopped by itself")


class Cancel(DriverCase):
    def test_a_queued_call_is_dropped_and_a_running_one_asked(self) -> None:
        @kiln.remote
        class Busy:
            def __init__(self, path):
                self.path = path
                self.calls = 0

            def work(self):
                open(self.path, "w").close()
                while not kiln.get_runtime_context().is_canceled():
                    time.sleep(0.002)
                raise RuntimeError("stopped")

            def count(self):
                self.calls += 1
                return self.calls

        path = str(self.place.work / "busy")
        actor = Busy.remote(path)
        running, queued = actor.work.remote(), actor.count.remote()
        wait_until(lambda: os.path.exists(path), "the call runs")
        kiln.cancel(queued)
        with self.assertRaises(kiln.exceptions.TaskCancelledError):
            kiln.get(queued, timeout=30)
        kiln.cancel(running)
        with self.assertRaises(kiln.exceptions.TaskCancelledError):
            kiln.get(running, timeout=30)
        self.assertEqual(kiln.get(actor.count.remote()), 1)

    def test_force_is_refused(self) -> None:
        @kiln.remote
        class Plain:
            def f(self):
                return "done"

        ref = Plain.remote().f.remote()
        with self.assertRaisesRegex(ValueError, "kiln.kill"):
            kiln.cancel(ref, force=True)
        self.assertEqual(kiln.get(ref), "done")


class Pending(DriverCase):
    def test_max_pending_calls(self) -> None:
        @kiln.remote
        def opener(actor):
            kiln.get(actor.release.remote())

        @kiln.remote(max_pending_calls=2, max_concurrency=3)
        class Slow:
            def __init__(self):
                self.open = threading.Event()

            def wait(self):
                return self.open.wait(30)

            def release(self):
                self.open.set()

        actor = Slow.remote()
        waiting = [actor.wait.remote(), actor.wait.remote()]
        with self.assertRaisesRegex(kiln.exceptions.PendingCallsLimitExceeded, "max_pending_calls"):
            actor.wait.remote()
        kiln.get(opener.remote(actor))  # the bound is that of each program, task or actor
        self.assertEqual(kiln.get(waiting), [True, True])
        self.assertTrue(kiln.get(actor.wait.remote()))


class Resources(PlaceCase):
    def test_more_actors_than_cpus_live_unless_they_hold_some(self) -> None:
        out = self.check_run("""
            import kiln
            kiln.init("local", num_cpus=2, resources={"disk": 1})
            @kiln.remote
            class A:
                def f(self): return 1
            actors = [A.remote() for _ in range(8)]
            print(sum(kiln.get([a.f.remote() for a in actors])))
            big = A.options(num_cpus=2).remote()
            print(kiln.get(big.f.remote()))
            other = A.options(num_cpus=1).remote()
            ready, _ = kiln.wait([other.f.remote()], timeout=0.3)
            print(len(ready))
            kiln.kill(big)
            print(kiln.get(other.f.remote()))
            disk = A.options(resources={"disk": 1}).remote()
            print(kiln.get(disk.f.remote()))
            ready, _ = kiln.wait([A.options(resources={"disk": 1}).remote().f.remote()], timeout=0.3)
            print(len(ready))
            """)
        self.assertEqual(out.split(), ["8", "1", "0", "1", "1", "0"])


if __name__ == "__main__":
    unittest.main()
