"""Actors with names, and detached ones, which live on without their program."""

from __future__ import annotations

import os
import unittest

import kiln
from support import DriverCase, SharedPlaceCase, is_alive, wait_until


@kiln.remote
class Who:
    def pid(self):
        return os.getpid()


class Names(DriverCase):
    def test_an_actor_is_found_by_its_name(self) -> None:
        actor = Who.options(name="found").remote()
        other = kiln.get_actor("found")
        self.assertEqual(other, actor)
        self.assertEqual(kiln.get(other.pid.remote()), kiln.get(actor.pid.remote()))
        with self.assertRaisesRegex(AttributeError, "no method 'nothing'"):
            other.nothing

        @kiln.remote
        def find():
            return kiln.get(kiln.get_actor("found").pid.remote())

        self.assertEqual(kiln.get(find.remote()), kiln.get(actor.pid.remote()))

    def test_there_is_none(self) -> None:
        with self.assertRaisesRegex(ValueError, "nobody"):
            kiln.get_actor("nobody")
        board = Who.options(name="board", namespace="here").remote()
        with self.assertRaisesRegex(ValueError, "there is one in namespace here"):
            kiln.get_actor("board")
        with self.assertRaisesRegex(ValueError, "did you mean board"):
            kiln.get_actor("bord", namespace="here")
        kiln.kill(board)
        with self.assertRaisesRegex(ValueError, "the last one of that name is dead.*killed"):
            kiln.get_actor("board", namespace="here")
        self.assertRaises(TypeError, kiln.get_actor, "board", 5)
        self.assertRaises(ValueError, kiln.get_actor, "")
        self.assertRaises(TypeError, kiln.get_actor, 5)

    def test_a_name_is_taken_once(self) -> None:
        actor = Who.options(name="taken").remote()
        with self.assertRaisesRegex(ValueError, "taken.*get_if_exists=True"):
            Who.options(name="taken").remote()
        same = Who.options(name="taken", get_if_exists=True).remote()
        self.assertEqual(same, actor)
        other = Who.options(name="taken", namespace="elsewhere").remote()
        self.assertNotEqual(other, actor)
        self.assertEqual(kiln.get_actor("taken", "elsewhere"), other)

    def test_a_name_is_free_when_its_actor_is_dead(self) -> None:
        actor = Who.options(name="again").remote()
        pid = kiln.get(actor.pid.remote())
        kiln.kill(actor)
        wait_until(lambda: not is_alive(pid), "the process has ended")
        self.assertRaises(ValueError, kiln.get_actor, "again")
        again = Who.options(name="again").remote()
        self.assertNotEqual(kiln.get(again.pid.remote()), pid)

    def test_get_if_exists_makes_one_of_many_that_race(self) -> None:
        @kiln.remote
        def make():
            return Who.options(name="race", get_if_exists=True).remote()

        self.assertEqual(len(set(kiln.get([make.remote() for _ in range(8)]))), 1)

    def test_names_are_listed(self) -> None:
        actors = [Who.options(name="listed").remote(),
                  Who.options(name="listed", namespace="elsewhere too").remote()]
        self.assertEqual(len(kiln.get([actor.pid.remote() for actor in actors])), 2)
        self.assertIn("listed", kiln.util.list_named_actors())
        everywhere = kiln.util.list_named_actors(all_namespaces=True)
        self.assertIn({"name": "listed", "namespace": ""}, everywhere)
        self.assertIn({"name": "listed", "namespace": "elsewhere too"}, everywhere)

    def test_an_actor_knows_its_name(self) -> None:
        @kiln.remote
        class Named:
            def name(self):
                return kiln.get_runtime_context().get_actor_name()

        actor = Named.options(name="me").remote()
        self.assertEqual(kiln.get(actor.name.remote()), "me")

    def test_options_of_methods_are_known_to_who_finds_it(self) -> None:
        @kiln.remote
        class Rich:
            @kiln.method(num_returns=2)
            def two(self):
                return 1, 2

            def stream(self):
                yield from range(3)

        rich = Rich.options(name="rich").remote()
        found = kiln.get_actor("rich")
        self.assertEqual(kiln.get(found.two.remote()), [1, 2])
        self.assertEqual([kiln.get(ref) for ref in found.stream.remote()], [0, 1, 2])
        self.assertEqual(rich, found)


DETACHED = """
    import kiln, os, sys
    kiln.init(namespace=sys.argv[2] if len(sys.argv) > 2 else None)
    @kiln.remote
    class Counter:
        def __init__(self): self.value = 0
        def add(self):
            self.value += 1
            return self.value
        def crash(self): os._exit(1)
    counter = Counter.options(name="counter", lifetime=sys.argv[1] or None, get_if_exists=True,
                              max_restarts=1).remote()
    print(kiln.get(counter.add.remote()))
    """


class Detached(SharedPlaceCase):
    def test_one_outlives_its_program(self) -> None:
        self.assertEqual(self.check_run(DETACHED, "detached"), "1\n")
        self.assertEqual(self.check_run(DETACHED, "detached"), "2\n")
        out = self.check_run("""
            import kiln
            counter = kiln.get_actor("counter")
            print(kiln.get(counter.add.remote()))
            try:
                kiln.get(counter.crash.remote())
            except kiln.exceptions.RayActorError as error:
                print("crashed")
            while True:
                try:
                    print(kiln.get(counter.add.remote()))  # started anew, though its maker has gone
                    break
                except kiln.exceptions.ActorUnavailableError:
                    pass
            kiln.kill(counter)
            """)
        self.assertEqual(out, "3\ncrashed\n1\n")
        self.assertEqual(self.check_run(DETACHED, "detached"), "1\n")
        self.check_run("import kiln; kiln.kill(kiln.get_actor('counter'))")

    def test_others_end_with_it(self) -> None:
        self.assertEqual(self.check_run(DETACHED, "", "n"), "1\n")
        self.assertEqual(self.check_run(DETACHED, "", "n"), "1\n")

    def test_namespaces_keep_names_apart(self) -> None:
        self.assertEqual(self.check_run(DETACHED, "detached", "a"), "1\n")
        self.assertEqual(self.check_run(DETACHED, "detached", "b"), "1\n")
        self.assertEqual(self.check_run(DETACHED, "detached", "b"), "2\n")
        out = self.check_run("""
            import kiln
            kiln.init(namespace="a")
            @kiln.remote
            def find():
                return kiln.get(kiln.get_actor("counter").add.remote())
            print(kiln.get(find.remote()))
            for namespace in "ab":
                kiln.kill(kiln.get_actor("counter", namespace=namespace))
            """)
        self.assertEqual(out, "2\n")


if __name__ == "__main__":
    unittest.main()
