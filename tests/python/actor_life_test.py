"""How actors live and end: constructors, last handles, kill, exit."""

from __future__ import annotations

import os
import threading
import time
import unittest

import kiln
from kiln.exceptions import ActorDiedError, RayActorError
from support import DriverCase, PlaceCase, is_alive, wait_until


@kiln.remote
class Who:
    def __init__(self, path=None):
        self.path = path

    def pid(self):
        return os.getpid()

    def leave(self, code=None):
        if code is None:
            kiln.actor.exit_actor()
        raise SystemExit(code)

    def wait(self):
        threading.Event().wait()

    def __ray_shutdown__(self):
        if self.path:
            with open(self.path, "w", encoding="utf-8") as file:
                file.write("in order")


class Constructors(DriverCase):
    def test_one_that_raises_reaches_every_caller(self) -> None:
        @kiln.remote
        class Broken:
            def __init__(self, what):
                raise KeyError(what)

            def f(self):
                pass

        actor = Broken.remote("missing")
        for ref in (actor.f.remote(), actor.f.remote()):
            with self.assertRaises(ActorDiedError) as raised:
                kiln.get(ref)
            self.assertIn("error raised in its creation task", str(raised.exception))
            self.assertIn("KeyError: 'missing'", str(raised.exception))
            self.assertIn("in __init__", str(raised.exception))
            self.assertIsInstance(raised.exception.cause, KeyError)
        with self.assertRaises(ActorDiedError):
            kiln.get(actor.f.remote())

    def test_one_that_exits(self) -> None:
        @kiln.remote
        class Exits:
            def __init__(self):
                raise SystemExit(5)

            def f(self):
                pass

        with self.assertRaisesRegex(ActorDiedError, "SystemExit: 5"):
            kiln.get(Exits.remote().f.remote())

    def test_one_that_ends_its_process(self) -> None:
        @kiln.remote
        class Exits:
            def __init__(self):
                print("last words", flush=True)
                os._exit(7)

            def f(self):
                pass

        with self.assertRaisesRegex(ActorDiedError, "7"):
            kiln.get(Exits.remote().f.remote())

    def test_one_waits_for_its_arguments_and_fails_with_them(self) -> None:
        @kiln.remote
        def slow(path):
            while not os.path.exists(path):
                time.sleep(0.002)
            return path

        @kiln.remote
        def fail():
            raise ValueError("the argument")

        path = str(self.place.work / "go")
        actor = Who.remote(slow.remote(path))
        ref = actor.pid.remote()
        self.assertEqual(kiln.wait([ref], timeout=0.05)[0], [])
        open(path, "w").close()
        self.assertGreater(kiln.get(ref), 0)
        with self.assertRaises(RayActorError) as raised:
            kiln.get(Who.remote(fail.remote()).pid.remote())
        self.assertIn("the argument", str(raised.exception))

    def test_one_that_never_ends_can_be_killed(self) -> None:
        @kiln.remote
        class Hangs:
            def __init__(self):
                threading.Event().wait()

            def f(self):
                pass

        actor = Hangs.remote()
        ref = actor.f.remote()
        self.assertEqual(kiln.wait([ref], timeout=0.1)[0], [])
        kiln.kill(actor)
        self.assertRaises(ActorDiedError, kiln.get, ref, timeout=30)

    def test_one_that_asks_for_too_much(self) -> None:
        actor = Who.options(num_cpus=100).remote()
        with self.assertRaises(kiln.exceptions.RayError):
            kiln.get(actor.pid.remote(), timeout=30)

    def test_a_class_that_cannot_be_sent(self) -> None:
        lock = threading.Lock()

        @kiln.remote
        class Unsendable:
            def f(self):
                return lock

        with self.assertRaisesRegex(TypeError, "class Unsendable cannot be pickled"):
            Unsendable.remote()


class Ends(DriverCase):
    def test_with_its_last_handle(self) -> None:
        path = str(self.place.work / "shutdown")
        actor = Who.remote(path)
        pid = kiln.get(actor.pid.remote())
        other = kiln.put([actor])
        del actor
        self.assertEqual(kiln.get(kiln.get(other)[0].pid.remote()), pid)
        del other
        wait_until(lambda: not is_alive(pid), "the process has ended")
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "in order")

    def test_calls_that_were_made_run_before_that(self) -> None:
        path = str(self.place.work / "written")

        @kiln.remote
        class Writer:
            def write(self):
                time.sleep(0.05)
                open(path, "w").close()

        refs = [Writer.remote().write.remote()]
        kiln.get(refs)
        self.assertTrue(os.path.exists(path))
        os.unlink(path)
        Writer.remote().write.options(num_returns=0).remote()
        wait_until(lambda: os.path.exists(path), "a call whose result nobody wants runs too")

    def test_a_handle_in_a_task_keeps_it(self) -> None:
        @kiln.remote
        def use(actor, path):
            while not os.path.exists(path):
                time.sleep(0.002)
            return kiln.get(actor.pid.remote())

        path = str(self.place.work / "use")
        actor = Who.remote()
        pid = kiln.get(actor.pid.remote())
        ref = use.remote(actor, path)
        del actor
        open(path, "w").close()
        self.assertEqual(kiln.get(ref), pid)

    def test_by_kill(self) -> None:
        actor = Who.remote()
        pid = kiln.get(actor.pid.remote())
        waiting, queued = actor.wait.remote(), actor.pid.remote()
        kiln.kill(actor)
        for ref in (waiting, queued, actor.pid.remote()):
            self.assertRaises(ActorDiedError, kiln.get, ref, timeout=30)
        wait_until(lambda: not is_alive(pid), "the process has ended")
        kiln.kill(actor)  # is dead
        with self.assertRaisesRegex(ValueError, "handle"):
            kiln.kill(waiting)

    def test_by_exit_actor(self) -> None:
        path = str(self.place.work / "exit")
        actor = Who.options(max_restarts=5).remote(path)
        pid = kiln.get(actor.pid.remote())
        with self.assertRaisesRegex(ActorDiedError, "exit_actor"):
            kiln.get(actor.leave.remote())
        with self.assertRaises(ActorDiedError):
            kiln.get(actor.pid.remote())
        wait_until(lambda: not is_alive(pid), "the process has ended")
        self.assertTrue(os.path.exists(path))

    def test_by_sys_exit_in_a_method(self) -> None:
        actor = Who.remote()
        with self.assertRaisesRegex(ActorDiedError, "sys.exit"):
            kiln.get(actor.leave.remote(3))
        self.assertRaises(ActorDiedError, kiln.get, actor.pid.remote())

    def test_many_actors_come_and_go(self) -> None:
        for _ in range(3):
            actors = [Who.remote() for _ in range(20)]
            self.assertEqual(len(set(kiln.get([actor.pid.remote() for actor in actors]))), 20)


class Sessions(PlaceCase):
    def test_a_handle_of_a_session_that_has_ended(self) -> None:
        self.check_run("""
            import kiln
            kiln.init("local", num_cpus=1)
            @kiln.remote
            class A:
                def f(self): return 1
                def g(self): return 1
            a = A.remote()
            print(kiln.get(a.f.remote()))
            kiln.shutdown()
            for call in (lambda: a.f.remote(), lambda: a.g.remote(), lambda: kiln.kill(a)):
                try:
                    call()
                except kiln.exceptions.RaySystemError as error:
                    assert "has ended" in str(error), error
                else:
                    raise AssertionError
            kiln.init("local", num_cpus=1)
            try:
                a.f.remote()
            except kiln.exceptions.RaySystemError as error:
                assert "has ended" in str(error), error
            else:
                raise AssertionError
            print(kiln.get(A.remote().f.remote()))
            """)

    def test_actors_that_do_not_begin_are_told_of(self) -> None:
        program = self.place.start("""
            import kiln, os
            kiln.init("local", num_cpus=2)
            @kiln.remote(num_cpus=1)
            class Holder:
                def f(self): pass
            @kiln.remote(num_cpus=0, max_restarts=-1)
            class Loops:
                def __init__(self): os._exit(3)
                def f(self): pass
            actors = [Holder.remote() for _ in range(3)] + [Loops.remote()]
            kiln.get([actor.f.remote() for actor in actors])
            """)
        assert program.stderr is not None
        wanted = ["actor Holder waits for num_cpus: 1 asked, 0 here", "actor Loops has died", "exit code 3"]
        for line in program.stderr:
            wanted = [text for text in wanted if text not in line]
            if not wanted:
                break
        program.kill()
        program.communicate()
        self.assertEqual(wanted, [])

    def test_what_an_actor_says_of_itself_is_before_its_output(self) -> None:
        done = self.place.run("""
            import kiln
            kiln.init("local", num_cpus=1)
            @kiln.remote
            class Plain:
                def speak(self): print("hello from plain")
            @kiln.remote
            class Special:
                def __init__(self, index): self.index = index
                def __repr__(self): return f"Special({self.index})"
                def speak(self): print("hello from special")
            kiln.get([Plain.remote().speak.remote(), Special.remote(7).speak.remote()])
            """)
        self.assertRegex(done.stderr, r"\(Plain[^)]* pid=\d+\) hello from plain")
        self.assertRegex(done.stderr, r"\(Special\(7\) pid=\d+\) hello from special")


if __name__ == "__main__":
    unittest.main()
