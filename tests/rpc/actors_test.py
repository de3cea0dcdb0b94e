"""Actors over the session stream, hosted by a worker written by hand."""

import os
import signal
import unittest

import values
from actor_driver import COUNTER, UNKNOWN, ActorsTest, Code, text
from head import actor_pb2, session_pb2, task_pb2, wait_until
from stream import frame


class Life(ActorsTest):
    def test_calls_of_one_session_run_in_order_on_one_process(self):
        driver = self.drive()
        counter = driver.create(10)
        calls = [driver.call(counter, "add", i) for i in range(100)]
        self.assertEqual([driver.result(call) for call in calls],
                         [10 + sum(range(i + 1)) for i in range(100)])
        pids = {driver.result(driver.call(counter, "pid")) for _ in range(3)}
        row = self.actor(counter)
        self.assertEqual(pids, {row.pid})
        self.assertEqual((row.class_name, row.state, row.repr, row.finished_calls, row.pending_calls,
                          row.session_number, row.detached, row.name, row.restarts, row.references),
                         ("Counter", "ALIVE", "<counter from 10>", 103, 0,
                          driver.welcome.session_number, False, "", 0, 1))
        self.assertGreater(row.memory_bytes, 1 << 20)
        self.close(driver)

    def test_calls_wait_for_their_arguments_and_keep_their_order(self):
        driver = self.drive()
        counter = driver.create()
        other = driver.create()
        slow = driver.call(other, "slow_add", 200)  # 1
        first = driver.call(counter, "add", refs=[slow])
        second = driver.call(counter, "add", 10)
        self.assertEqual((driver.result(first), driver.result(second)), (1, 11))
        self.close(driver)

    def test_an_actor_ends_after_its_last_call_when_nobody_refers_to_it(self):
        driver = self.drive()
        counter = driver.create()
        call = driver.call(counter, "add")
        pid = driver.result(driver.call(counter, "pid"))
        late = driver.call(counter, "slow_add", 100)
        driver.send(frame(release=session_pb2.Release(ids=[counter])))
        self.assertEqual((driver.result(call), driver.result(late)), (1, 2))
        row = self.wait_for_state(counter, "DEAD")
        self.assertIn("nobody referred to it", row.detail)
        self.assertEqual((row.pid, row.memory_bytes, row.references), (0, 0, 0))
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "its process is gone")
        self.assertIn(b"ACTOR_DIED", driver.error(driver.call(counter, "add")))
        self.close(driver)

    def test_an_actor_ends_with_the_session_it_lives_for(self):
        driver, other = self.drive(), self.drive()
        counter = driver.create(name="short-lived")
        driver.next("actor_answer")
        self.assertEqual(other.find("short-lived").id, counter)
        pid = driver.result(driver.call(counter, "pid"))
        self.close(driver)
        died = other.error(other.call(counter, "add"))
        self.assertIn(b"ACTOR_DIED", died)
        self.assertIn(b"driver", died)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "its process is gone")
        self.close(other)

    def test_a_detached_actor_outlives_its_session(self):
        driver = self.drive()
        driver.define_counter(50, detached=True)
        counter = driver.create(5, class_id=50, name="lasting", namespace="prod")
        self.assertEqual(driver.next("actor_answer").id, counter)
        self.close(driver)
        later = self.drive()
        self.assertEqual(later.find("lasting", "prod").id, counter)
        self.assertEqual(later.result(later.call(counter, "add")), 6)
        self.assertEqual(self.kill(name="lasting", namespace="prod").detached, True)
        self.assertIn(b"killed", later.error(later.call(counter, "add")))
        self.close(later)

    def test_what_a_method_throws_is_its_result_and_the_actor_lives(self):
        driver = self.drive()
        counter = driver.create()
        self.assertIn(b"it does not count", driver.error(driver.call(counter, "fail")))
        self.assertIn(b"no method", driver.error(driver.call(counter, "no_such_method")))
        self.assertEqual(driver.result(driver.call(counter, "add")), 1)
        self.close(driver)

    def test_what_a_constructor_throws_reaches_every_caller(self):
        driver = self.drive()
        counter = driver.create(-1)
        for _ in range(2):
            died = driver.error(driver.call(counter, "add"))
            self.assertIn(b"ACTOR_DIED", died)
            self.assertIn(b"cannot count from -1", died)
        self.assertIn("cannot count from -1", self.wait_for_state(counter, "DEAD").detail)
        self.close(driver)

    def test_an_actor_may_end_itself(self):
        driver = self.drive(max_restarts=-1)
        counter = driver.create()
        left, after = driver.call(counter, "leave"), driver.call(counter, "add")
        self.assertIn(b"ACTOR_DIED", driver.error(left))
        self.assertIn(b"own wish", driver.error(after))
        self.close(driver)

    def test_a_lost_process_is_replaced_as_often_as_it_may_be(self):
        driver = self.drive(max_restarts=1)
        counter = driver.create(3)
        self.assertEqual(driver.result(driver.call(counter, "add")), 4)
        lost, next_one = driver.call(counter, "crash"), driver.call(counter, "add")
        self.assertIn(b"ACTOR_UNAVAILABLE", driver.error(lost))
        # Sent with it, so that nobody knows whether it ran; or sent to the new instance.
        kind, body, _ = values.decode(driver.value(next_one).value)
        self.assertTrue(kind == values.MSGPACK or b"ACTOR_UNAVAILABLE" in body, body)
        count = driver.result(driver.call(counter, "add"))
        self.assertEqual(count, 5 if kind == values.MSGPACK else 4)
        self.assertEqual((self.actor(counter).restarts, self.actor(counter).max_restarts), (1, 1))
        died = driver.error(driver.call(counter, "crash"))
        self.assertIn(b"ACTOR_DIED", died)
        self.assertIn(b"SIGKILL", died)
        self.assertIn("SIGKILL", self.wait_for_state(counter, "DEAD").detail)
        self.close(driver)

    def test_a_call_that_is_under_way_is_counted_and_lost_with_its_process(self):
        driver = self.drive()
        counter = driver.create()
        calls = [driver.call(counter, "slow_add", 60_000), driver.call(counter, "add")]
        self.wait_until_begun()
        self.assertEqual(driver.find(actor=counter).pending_calls, 2)
        self.assertEqual(self.actor(counter).pending_calls, 2)
        os.kill(self.actor(counter).pid, signal.SIGKILL)
        for call in calls:
            self.assertIn(b"ACTOR_DIED", driver.error(call))
        self.assertEqual(driver.find(actor=counter).pending_calls, 0)
        self.close(driver)

    def test_what_an_actor_holds_is_taken_while_it_lives(self):
        driver = self.drive(num_cpus=1, held=0.5)
        counter = driver.create()
        driver.result(driver.call(counter, "add"))
        self.assertEqual(self.head.status().used.num_cpus, 0.5)
        self.assertEqual(self.actor(counter).held.num_cpus, 0.5)
        self.kill(id=text(counter))
        wait_until(lambda: self.head.status().used.num_cpus == 0, "the CPU is free again")
        self.close(driver)

    def test_more_than_the_head_has_is_told_to_who_calls(self):
        driver = self.drive(num_cpus=64)
        counter = driver.create()
        self.assertIn(b"UNSCHEDULABLE", driver.error(driver.call(counter, "add")))
        self.close(driver)


class Names(ActorsTest):
    def test_a_name_is_answered_with_the_class(self):
        driver, other = self.drive(), self.drive()
        methods = [actor_pb2.ActorMethod(name="add", num_returns=1)]
        counter = driver.create(name="counter", methods=methods)
        made, found = driver.next("actor_answer"), other.find("counter", request_id=77)
        self.assertEqual((made.request_id, made.id), (counter, counter))
        self.assertEqual((found.request_id, found.id), (77, counter))
        classes = [getattr(answer, "class") for answer in (made, found)]
        self.assertEqual(classes[0], classes[1])
        self.assertEqual((classes[0].name, classes[0].language, [m.name for m in classes[0].methods]),
                         ("Counter", "by hand", ["add"]))
        self.assertEqual(self.actor(counter).references, 2)
        self.close(driver, other)

    def test_a_name_that_is_taken_is_an_answer_and_no_broken_frame(self):
        driver = self.drive()
        counter = driver.create(name="counter")
        driver.next("actor_answer")
        second = driver.create(name="counter")
        refusal = driver.next("actor_answer")
        self.assertEqual((refusal.request_id, refusal.id, refusal.code),
                         (second, 0, Code.ALREADY_EXISTS.value[0]))
        self.assertIn("counter", refusal.error)
        self.assertEqual(driver.result(driver.call(counter, "add")), 1)
        self.assertIn(b"ACTOR_DIED", driver.error(driver.call(second, "add")))
        third = driver.create(name="counter", namespace="elsewhere")
        self.assertEqual(driver.next("actor_answer").id, third)
        self.close(driver)

    def test_get_if_exists_answers_with_the_one_there_is(self):
        driver, other = self.drive(), self.drive()
        counter = driver.create(name="counter", get_if_exists=True)
        self.assertEqual(driver.next("actor_answer").id, counter)
        other.create(100, name="counter", get_if_exists=True)
        self.assertEqual(other.next("actor_answer").id, counter)
        self.assertEqual(other.result(other.call(counter, "add")), 1)
        self.assertEqual(len(self.actors("state!=DEAD")), 1)
        self.close(driver, other)

    def test_a_name_is_free_again_when_its_actor_is_dead(self):
        driver = self.drive()
        first = driver.create(name="counter")
        driver.next("actor_answer")
        driver.send(frame(kill_actor=actor_pb2.KillActor(id=first)))
        second = driver.create(name="counter")
        self.assertEqual(driver.next("actor_answer").id, second)
        self.close(driver)

    def test_a_name_that_nobody_has_is_told(self):
        driver = self.drive()
        answer = driver.find("nobody", "nowhere")
        self.assertEqual((answer.request_id, answer.id, answer.code),
                         (7, 0, Code.NOT_FOUND.value[0]))
        for word in ("nobody", "nowhere"):
            self.assertIn(word, answer.error)
        self.close(driver)

    def test_unknown_ids_are_passed_over(self):
        driver = self.drive()
        driver.send(frame(kill_actor=actor_pb2.KillActor(id=UNKNOWN)),
                    frame(kill_actor=actor_pb2.KillActor(id=UNKNOWN, may_restart=True)),
                    frame(retain=session_pb2.Retain(ids=[UNKNOWN])),
                    frame(release=session_pb2.Release(ids=[UNKNOWN])))
        self.assertEqual(driver.find(actor=UNKNOWN).pending_calls, 0)
        self.assertIn(b"ACTOR_DIED", driver.error(driver.call(UNKNOWN, "add")))
        self.close(driver)


class BrokenFrames(ActorsTest):
    """Each ends its own session, with a reason, and no other."""

    def setUp(self):
        self.witness = self.drive()
        self.counter = self.witness.create()
        self.assertEqual(self.witness.result(self.witness.call(self.counter, "add")), 1)

    def tearDown(self):
        self.assertEqual(self.witness.result(self.witness.call(self.counter, "add")), 2)
        self.close(self.witness)
        super().tearDown()

    def broken(self, word, act):
        driver = self.drive()
        act(driver)
        code, details = driver.end()
        self.assertEqual(code, Code.INVALID_ARGUMENT, details)
        self.assertIn(word, details)

    def test_an_unknown_class(self):
        self.broken("task class 99", lambda driver: driver.create(class_id=99))

    def test_a_class_that_makes_no_actor(self):
        def act(driver):
            driver.define(50, "Noop", library="")
            driver.create(class_id=50)

        self.broken("makes no actor", act)
        self.broken("method of no actor", lambda driver: driver.create(class_id=COUNTER + 1))

    def test_a_method_of_no_actor(self):
        self.broken("method of no actor", lambda driver: driver.call(0, "add"))

    def test_a_call_by_a_class_that_is_no_method(self):
        def call(driver):
            driver.define(50, "Noop", library="")
            driver.send(frame(submit=session_pb2.Submit(task_id=driver.new_id(), class_id=50,
                                                        actor_id=self.counter)))

        self.broken("no method", call)
        self.broken("no method", lambda driver: driver.send(frame(submit=session_pb2.Submit(
            task_id=driver.new_id(), class_id=COUNTER, actor_id=self.counter))))

    def test_a_constructor_submitted_as_a_task(self):
        self.broken("makes an actor", lambda driver: driver.submit(COUNTER))

    def test_ids_that_are_used_or_of_another_session(self):
        self.broken("already used", lambda driver: driver.create(actor=driver.create()))
        self.broken("already used", lambda driver: driver.call(self.counter, "add",
                                                               task=driver.create()))
        self.broken("already used", lambda driver: driver.create(
            actor=driver.call(self.counter, "pid")))
        self.broken("does not belong", lambda driver: driver.create(actor=self.counter + 1))
        self.broken("task", lambda driver: driver.send(frame(
            create_actor=session_pb2.CreateActor(submit=session_pb2.Submit(class_id=COUNTER)))))

    def test_an_id_that_a_name_was_refused_for_is_still_free(self):
        driver = self.drive()
        driver.create(name="taken")
        driver.next("actor_answer")
        refused = driver.create(name="taken")
        driver.next("actor_answer")
        driver.create(actor=refused)
        self.assertEqual(driver.result(driver.call(refused, "add")), 1)
        self.close(driver)

    def test_options_that_are_out_of_bounds(self):
        for word, options in [("max_restarts", {"max_restarts": -2}),
                              ("max_concurrency", {"max_concurrency": 1_000_001}),
                              ("group fast", {"concurrency_groups": {"fast": 0}}),
                              ("without a name", {"concurrency_groups": {"": 1}}),
                              ("groups", {"concurrency_groups": {str(i): 1 for i in range(65)}})]:
            with self.subTest(word):
                self.broken(word, lambda driver, options=options: driver.define_counter(50, **options))
        self.broken("num_cpus", lambda driver: driver.define_counter(50, held=-1))
        self.broken("makes an actor and calls one", lambda driver: driver.define(
            50, "Counter", library="", method=True, actor=task_pb2.ActorOptions()))

    def test_an_actor_without_a_frame(self):
        self.broken("task class 0", lambda driver: driver.send(
            frame(create_actor=session_pb2.CreateActor())))

    def test_reference_counts_are_checked(self):
        self.broken("no reference", lambda driver: driver.send(
            frame(release=session_pb2.Release(ids=[self.counter]))))


if __name__ == "__main__":
    unittest.main()
