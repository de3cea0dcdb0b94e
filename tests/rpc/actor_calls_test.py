"""Actors as clients without a session see them: Actors.Call, Actors.Kill, and what State tells."""

import unittest

from actor_driver import ActorsTest, Code, text
from head import actor_pb2, state_pb2, wait_until


class Unary(ActorsTest):
    """What a client without a session can do."""

    METHODS = [actor_pb2.ActorMethod(name="add"),
               actor_pb2.ActorMethod(name="fail"),
               actor_pb2.ActorMethod(name="pair", num_returns=2),
               actor_pb2.ActorMethod(name="slow_add"),
               actor_pb2.ActorMethod(name="stream", streaming=True)]

    def setUp(self):
        self.driver = self.drive(max_restarts=1)
        self.unlisted = self.driver.create()
        self.counter = self.driver.create(name="counter", namespace="prod", methods=self.METHODS)
        self.driver.next("actor_answer")  # both are there
        self.name = {"name": "counter", "namespace": "prod"}

    def tearDown(self):
        self.close(self.driver)
        super().tearDown()

    def test_a_call_has_json_arguments_and_a_result_of_the_heads(self):
        five = self.head.put(b"5")
        for ref, result in [(self.call("add", **self.name), 1),
                            (self.call("add", 10, id=text(self.counter)), 11),
                            (self.call("add", {"$ref": five}, **self.name), 16),
                            (self.call("add", 7, id=text(self.unlisted)), 7)]:
            self.assertEqual(self.head.result(ref), result)
            self.head.release(ref)
        self.assertIn("it does not count", self.head.error(
            ref := self.call("fail", **self.name)).message)
        self.head.release(ref, five)

    def test_a_result_ends_with_its_time_to_live(self):
        ref = self.call("add", ttl_ms=1, **self.name)
        wait_until(lambda: not self.head.knows(ref), "it is released")

    def test_a_method_that_the_class_does_not_list_names_the_nearest(self):
        with self.refused(Code.NOT_FOUND, "Counter has no method ad;", "add"):
            self.call("ad", **self.name)
        with self.refused(Code.NOT_FOUND, "add, fail, pair, slow_add, stream"):
            self.call("something_else", **self.name)
        with self.refused(Code.INVALID_ARGUMENT, "method"):
            self.call("", **self.name)
        ref = self.call("anything", id=text(self.unlisted))  # of a class that lists none
        self.assertIn("no method anything", self.head.error(ref).message)
        self.head.release(ref)

    def test_results_that_need_a_session_are_refused(self):
        with self.refused(Code.INVALID_ARGUMENT, "Counter.stream", "session"):
            self.call("stream", **self.name)
        with self.refused(Code.INVALID_ARGUMENT, "Counter.pair", "2 results"):
            self.call("pair", **self.name)

    def test_arguments_that_are_wrong_are_refused(self):
        request = actor_pb2.CallActorRequest(actor=actor_pb2.ActorName(**self.name), method="add",
                                             json_args=["1", "one"])
        with self.refused(Code.INVALID_ARGUMENT, "argument 2 (one)"):
            self.head.actors.Call(request)
        with self.refused(Code.NOT_FOUND, "00000000000000aa"):
            self.call("add", {"$ref": "00000000000000aa"}, **self.name)
        with self.refused(Code.INVALID_ARGUMENT, text(self.unlisted), "is an actor"):
            self.call("add", {"$ref": text(self.unlisted)}, **self.name)

    def test_an_actor_that_is_not_there_is_told_with_what_is_near(self):
        for ask in (self.kill, lambda **name: self.call("add", **name)):
            with self.refused(Code.NOT_FOUND, "counter", "namespace prod"):
                ask(name="counter")
            with self.refused(Code.NOT_FOUND, "did you mean counter?"):
                ask(name="conuter", namespace="prod")
            with self.refused(Code.NOT_FOUND, "kiln list actors"):
                ask(name="something")
            with self.refused(Code.NOT_FOUND, "00000000000000aa"):
                ask(id="00000000000000aa")
            with self.refused(Code.INVALID_ARGUMENT, '"aa"', "16 hexadecimal digits"):
                ask(id="aa")
            with self.refused(Code.INVALID_ARGUMENT, "id or its name"):
                ask()

    def test_kill_tells_what_it_was_and_is_the_end_of_it(self):
        was = self.kill(id=text(self.counter))
        self.assertEqual((was.id, was.name, was.namespace), (text(self.counter), "counter", "prod"))
        self.assertIn(b"killed", self.driver.error(self.driver.call(self.counter, "add")))
        self.assertEqual(self.kill(id=text(self.counter)).state, "DEAD")  # passed over
        with self.refused(Code.NOT_FOUND, "the last one of that name is dead", "killed"):
            self.kill(**self.name)
        with self.refused(Code.NOT_FOUND, "killed"):
            self.call("add", id=text(self.counter))

    def test_kill_may_leave_the_actor_to_be_started_anew(self):
        self.driver.result(self.driver.call(self.counter, "add", 5))
        before = self.kill(may_restart=True, **self.name)
        again = wait_until(lambda: (row := self.actor(self.counter)).restarts == 1 and
                           row.state == "ALIVE" and row, "it is started anew")
        self.assertNotEqual(again.pid, before.pid)
        self.assertEqual(self.driver.result(self.driver.call(self.counter, "add")), 1)

    def test_max_pending_calls_bounds_these_clients_too(self):
        bounded = self.driver.create(name="bounded", max_pending_calls=2)
        self.driver.next("actor_answer")
        refs = [self.call("slow_add", 60_000, id=text(bounded)) for _ in range(2)]
        with self.refused(Code.RESOURCE_EXHAUSTED, "max_pending_calls"):
            self.call("slow_add", 1, id=text(bounded))
        self.kill(id=text(bounded))
        for ref in refs:
            self.assertEqual(self.head.error(ref).kind, "ACTOR_DIED")
        self.head.release(*refs)

    def test_a_queued_call_can_be_cancelled(self):
        running = self.call("slow_add", 300, **self.name)
        self.wait_until_begun()
        queued = [self.call("slow_add", 1, **self.name) for _ in range(5)]
        self.assertIn(self.head.cancel(queued[-1]), ("OUTCOME_DROPPED", "OUTCOME_ASKED"))
        self.assertEqual(self.head.cancel(running, force=True), "OUTCOME_ASKED")  # kills no actor
        self.head.result(running)
        self.head.wait(queued, num_returns=5)
        self.head.release(running, *queued)

    def test_an_actor_is_no_object_to_be_read(self):
        with self.refused(Code.INVALID_ARGUMENT, "actor", "Counter"):
            self.head.get(text(self.unlisted))

    def test_status_counts_actors_apart_from_workers(self):
        for actor in (self.counter, self.unlisted):
            self.driver.result(self.driver.call(actor, "add"))
        status = self.head.state.GetStatus(state_pb2.GetStatusRequest(actor_memory=True))
        self.assertEqual((status.actors, status.actors_starting, status.actor_processes), (2, 0, 2))
        self.assertEqual((status.max_workers, status.max_actors), (2 + 8, 4096))
        rows = self.actors("state=ALIVE")
        self.assertEqual(len(rows), 2)
        total = sum(row.memory_bytes for row in rows)
        self.assertAlmostEqual(status.actor_memory_bytes, total, delta=total / 2)
        self.assertEqual(self.head.status().actor_memory_bytes, 0)  # not asked for
        states = [row.state for row in self.head.state.ListWorkers(state_pb2.ListRequest()).workers]
        self.assertEqual(states.count("ACTOR"), 2)

    def test_lists_filter_and_are_newest_first(self):
        [named] = self.actors("name=counter", "namespace=prod", "state!=DEAD")
        self.assertEqual(named.id, text(self.counter))
        alive = [row.id for row in self.actors("state!=DEAD")]
        self.assertEqual(alive, [text(self.counter), text(self.unlisted)])
        with self.refused(Code.INVALID_ARGUMENT, "colour", "class_name", "pending_calls"):
            self.actors("colour=red")
        one = self.head.state.ListActors(state_pb2.ListRequest(limit=1))
        self.assertEqual(len(one.actors), 1)
        self.assertGreaterEqual(one.total, 2)


if __name__ == "__main__":
    unittest.main()
