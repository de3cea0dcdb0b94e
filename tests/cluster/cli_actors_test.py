"""Actors on the command line: list, call, kill, status.

Run by ctest, or by hand as cli_test.py. The actors are counters of a driver written by hand
(tests/rpc/actor_driver.py), so that nothing but the command line is tested.
"""

import json
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rpc"))

import cli_test  # noqa: E402
import grpc  # noqa: E402
import head as heads  # noqa: E402
from actor_driver import Driver, text  # noqa: E402
from cli_test import REF, alive, wait_until  # noqa: E402
from head import actor_pb2, task_pb2  # noqa: E402

METHODS = [actor_pb2.ActorMethod(name=name) for name in ("add", "fail", "pid", "slow_add")]


class CliActorsTest(cli_test.WithHead):
    """A driver with a counter named `counter`, one in a namespace, and one without a name."""

    def setUp(self):
        with open(os.path.join(self.session, "head.json")) as file:
            self.channel = grpc.insecure_channel(json.load(file)["address"])
        self.addCleanup(self.channel.close)
        self.begun = os.path.join(self.root, self.id())
        self.driver = Driver(self).greet(
            env={**self.env, "STUBS": heads.STUBS, "BEGUN": self.begun}, max_restarts=1)
        self.unnamed = self.driver.create()
        self.counter = self.driver.create(name="counter", methods=METHODS)
        self.store = self.driver.create(100, name="store", namespace="prod", methods=METHODS)
        for _ in range(2):
            self.driver.next("actor_answer")

    def tearDown(self):
        self.driver.send_end()
        self.driver.end()
        self.assertEqual(self.json("status")["actors"], 0)

    def call(self, *args, **kwargs):
        return self.out("actor", "call", *args, **kwargs)

    def row(self, actor):
        [row] = self.json("list", "actors", "--filter", f"id={text(actor)}")["actors"]
        return row


class CallTest(CliActorsTest):
    def test_the_result_is_json(self):
        self.assertEqual(self.call("counter", "add", "5"), "5\n")
        self.assertEqual(self.call("counter", "add", "-7"), "-2\n")
        self.assertEqual(self.call("counter", "add"), "-1\n")
        self.assertEqual(self.call("counter", "--", "add", "1"), "0\n")
        self.assertEqual(self.json("actor", "call", "counter", "add", "1"), {"results": [1]})

    def test_by_id_and_by_namespace(self):
        self.assertEqual(self.call(text(self.unnamed), "add", "3"), "3\n")
        self.assertEqual(self.call("--namespace", "prod", "store", "add", "1"), "101\n")
        self.assertEqual(self.call("store", "add", "1", "-n", "prod"), "102\n")

    def test_calls_from_here_and_from_the_program_meet_the_same_actor(self):
        self.assertEqual(self.driver.result(self.driver.call(self.counter, "add", 20)), 20)
        self.assertEqual(self.call("counter", "add", "1"), "21\n")

    def test_an_actor_of_a_task_library_in_cpp(self):
        self.driver.define(60, "Counter", library=cli_test.EXAMPLES, actor=task_pb2.ActorOptions())
        for name, methods in [("listed", [actor_pb2.ActorMethod(name="Increment")]), ("open", [])]:
            self.driver.create(5, class_id=60, name=name, methods=methods)
            self.driver.next("actor_answer")
        self.assertEqual(self.call("listed", "Increment", "2"), "7\n")
        self.assertEqual(self.call("open", "Increment", "-1"), "4\n")
        self.assertEqual(self.call("open", "Value"), "4\n")
        self.assertIn("did you mean Increment?", self.err("actor", "call", "listed", "Incremnt", code=1))
        self.assertIn("Increment", self.err("actor", "call", "open", "Incremnt", code=1))
        self.assertIn("INVALID_ARGUMENTS", self.err("actor", "call", "open", "Increment", code=1))

    def test_an_object_is_passed_by_its_ref(self):
        ref = self.out("put", "--json-text", stdin=b"30").strip()
        self.assertEqual(self.call("counter", "add", json.dumps({"$ref": ref})), "30\n")
        self.out("release", ref)

    def test_no_wait_leaves_the_ref(self):
        for option in ("--no-wait", "--detach", "-d"):
            ref = self.call(option, "counter", "add", "0").strip()
            self.assertRegex(ref, REF)
            self.assertEqual(self.out("get", ref), "0\n")
            self.out("release", ref)
        self.assertRegex(self.json("actor", "call", "--no-wait", "--ttl", "1ms", "counter",
                                   "add")["refs"][0], REF)

    def test_a_result_that_was_printed_is_released(self):
        before = self.json("status")["objects"]
        self.call("counter", "add", "1")
        self.assertEqual(self.json("status")["objects"], before)

    def test_what_a_method_throws_is_told(self):
        err = self.err("actor", "call", "counter", "fail", code=1)
        self.assertIn("TASK_FAILED", err)
        self.assertIn("it does not count", err)

    def test_mistakes_in_the_call(self):
        for words, text_, code in [
                (["counter"], "there is no method of counter", 2),
                ([], "there is no actor to call", 2),
                (["counter", "add", "one"], "argument 1 (one)", 2),
                (["counter", "add", "--colour"], "--colour", 2),
                (["counter", "ad"], "Counter has no method ad; did you mean add?", 1),
                (["counter", "wholly_else"], "it has add, fail, pid, slow_add", 1),
                (["conuter", "add"], "did you mean counter?", 1),
                (["store", "add"], "there is one in namespace prod", 1),
                (["nobody", "add"], "kiln list actors", 1),
                (["00000000000000aa", "add"], "no actor has the id 00000000000000aa", 1),
                (["counter", "add", '{"$ref": "00000000000000aa"}'], "00000000000000aa", 1)]:
            with self.subTest(words=words):
                self.assertIn(text_, self.err("actor", "call", *words, code=code))

    def test_a_timeout_leaves_the_call_running(self):
        err = self.err("actor", "call", "--timeout", "50ms", "counter", "slow_add", "300", code=124)
        self.assertIn("the call goes on", err)
        ref = err.split("kiln get ")[1].split()[0]
        self.assertEqual(self.out("get", ref), "1\n")
        self.out("release", ref)

    def test_cancel_asks_a_call_and_kills_no_actor(self):
        ref = self.call("--no-wait", "counter", "slow_add", "3000").strip()
        wait_until(lambda: os.path.exists(self.begun), "the call runs")
        self.assertIn("kiln actor kill", self.out("cancel", "--force", ref))
        self.assertEqual(self.out("get", ref), "1\n")  # this one does not listen
        self.out("release", ref)

    def test_ctrl_c_leaves_the_call_running_and_says_how_to_return(self):
        process = self.spawn("actor", "call", "counter", "slow_add", "3000")
        wait_until(lambda: os.path.exists(self.begun), "the call runs")
        out, err = self.interrupt(process)
        self.assertEqual((process.returncode, out), (130, ""))
        self.assertIn("interrupted; the call goes on", err)
        ref = err.split("kiln get ")[1].split()[0]
        self.assertEqual(self.out("get", ref), "1\n")
        self.out("release", ref)


class KillTest(CliActorsTest):
    def test_by_name_id_and_namespace(self):
        pids = [int(self.call(*actor, "pid")) for actor in (
            ["counter"], ["store", "-n", "prod"], [text(self.unnamed)])]
        self.assertEqual(self.out("actor", "kill", "counter"),
                         f"counter ({text(self.counter)}) was killed\n")
        self.assertIn("store", self.out("actor", "kill", "--namespace", "prod", "store"))
        self.assertIn("Counter", self.out("actor", "kill", text(self.unnamed)))
        wait_until(lambda: not any(map(alive, pids)), "their processes are gone")
        err = self.err("actor", "call", "counter", "add", code=1)
        self.assertIn("the last one of that name is dead", err)
        self.assertIn("it was killed", err)

    def test_killing_the_dead_is_no_error(self):
        self.out("actor", "kill", "counter")
        self.assertIn("is dead already: the actor counter is dead: it was killed",
                      self.out("actor", "kill", text(self.counter)))
        self.assertIn("it was killed", self.err("actor", "call", text(self.counter), "add", code=1))

    def test_calls_that_had_not_ended_are_counted_and_fail(self):
        ref = self.call("--no-wait", "counter", "slow_add", "60000").strip()
        wait_until(lambda: os.path.exists(self.begun), "the call runs")
        self.assertIn("1 call that had not ended", self.out("actor", "kill", "counter"))
        self.assertIn("ACTOR_DIED", self.err("get", ref, code=1))
        self.out("release", ref)

    def test_with_restart_it_comes_back(self):
        pid = self.call("counter", "pid").strip()
        self.assertEqual(self.out("actor", "kill", "--restart", "counter"),
                         f"counter ({text(self.counter)}): its process {pid} was killed; "
                         "it is started anew\n")
        wait_until(lambda: self.row(self.counter)["restarts"] == 1, "it is started anew")
        self.assertNotEqual(self.call("counter", "pid").strip(), pid)
        self.assertIn("may not be started again", self.out("actor", "kill", "--restart", "counter"))
        wait_until(lambda: self.row(self.counter)["state"] == "DEAD", "it is dead")

    def test_for_machines(self):
        killed = self.json("actor", "kill", "counter")["actor"]
        self.assertEqual((killed["id"], killed["name"]), (text(self.counter), "counter"))

    def test_mistakes(self):
        self.assertIn("did you mean counter?", self.err("actor", "kill", "conuter", code=1))
        self.assertIn("no actor has the id", self.err("actor", "kill", "00000000000000aa", code=1))
        self.assertIn("actor", self.err("actor", "kill", code=2))
        self.assertIn("did you mean 'kiln actor kill'", self.err("actor", "kil", code=2))


class ListTest(CliActorsTest):
    TITLES = ["ID", "NAME", "NAMESPACE", "CLASS", "STATE", "PID", "MEMORY", "RESTARTS", "PENDING",
              "FINISHED", "REFERENCES", "DETAIL"]

    def setUp(self):
        super().setUp()
        self.call("counter", "add")
        self.call("store", "add", "-n", "prod")
        self.call(text(self.unnamed), "add")

    def test_a_table_of_what_people_need(self):
        for command in (["actor", "list"], ["list", "actors"]):
            lines = self.out(*command, "--filter", "state!=DEAD").splitlines()
            self.assertEqual(lines[0].split(), self.TITLES)
            self.assertEqual(len(lines), 4)
            named = next(line for line in lines if " counter " in line)
            for word in (text(self.counter), "Counter", "ALIVE", "MiB"):
                self.assertIn(word, named)

    def test_the_namespace_is_shown_only_if_there_is_one(self):
        lines = self.out("list", "actors", "--filter", "name=counter", "--filter", "state=ALIVE")
        self.assertNotIn("NAMESPACE", lines)

    def test_for_machines_everything_is_there(self):
        row = self.row(self.store)
        self.assertEqual((row["name"], row["namespace"], row["class_name"], row["state"],
                          row["finished_calls"], row["pending_calls"], row["restarts"],
                          row["max_restarts"], row["detached"], row["repr"]),
                         ("store", "prod", "Counter", "ALIVE", 1, 0, 0, 1, False,
                          "<counter from 100>"))
        self.assertGreater(row["memory_bytes"], 1 << 20)
        self.assertTrue(alive(row["pid"]))

    def test_filters_and_limits(self):
        alive_ones = self.json("list", "actors", "--filter", "state=ALIVE")
        self.assertEqual((alive_ones["total"], len(alive_ones["actors"])), (3, 3))
        out, err = self.kiln("list", "actors", "--filter", "state=ALIVE", "--limit", "1")
        self.assertEqual(len(out.splitlines()), 2)
        self.assertIn("showing 1 of 3", err)
        self.assertIn("class_name", self.err("list", "actors", "--filter", "colour=red", code=2))
        self.assertEqual(self.out("list", "actors", "--filter", "name=nobody"), "")

    def test_a_dead_one_says_what_it_died_of(self):
        self.out("actor", "kill", "counter")
        [line] = self.out("list", "actors", "--filter",
                          f"id={text(self.counter)}").splitlines()[1:]
        self.assertIn("DEAD", line)
        self.assertIn("it was killed", line)

    def test_an_actor_has_no_value(self):
        self.assertIn("no object but an actor", self.err("get", text(self.unnamed), code=2))

    def test_status_explains_the_pool(self):
        status = self.out("status")
        self.assertRegex(status, r"Workers +\d+ for tasks, of at most 10 \(\d+ idle, 0 blocked in get")
        self.assertRegex(status, r"Actors +3, of at most 4096, in 3 more processes with [\d.]+ MiB")
        machine = self.json("status")
        self.assertEqual((machine["actors"], machine["actors_starting"], machine["actor_processes"],
                          machine["max_actors"], machine["max_workers"]), (3, 0, 3, 4096, 10))
        self.assertGreater(machine["actor_memory_bytes"], 3 << 20)
        for actor in (["counter"], ["store", "-n", "prod"], [text(self.unnamed)]):
            self.out("actor", "kill", *actor)
        self.assertRegex(self.out("status"), r"Actors +0, of at most 4096")


class HelpTest(cli_test.Base):
    def test_every_command_has_help_with_examples(self):
        for command in (["actor"], ["actor", "call"], ["actor", "kill"], ["actor", "list"]):
            help_text = self.out(*command, "--help")
            self.assertIn("Examples:\n  kiln actor", help_text)
        self.assertIn("Usage: kiln actor call [OPTIONS] NAME|ID METHOD [JSON ARGS...]",
                      self.out("actor", "call", "--help"))
        self.assertIn("actors", self.out("list", "--help"))

    def test_without_a_head_every_command_says_how_to_start_one(self):
        for command in (["actor", "list"], ["actor", "call", "a", "b"], ["actor", "kill", "a"]):
            self.assertIn("kiln start --head", self.err(*command, code=3))


if __name__ == "__main__":
    unittest.main()
