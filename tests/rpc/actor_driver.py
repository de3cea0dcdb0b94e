"""Drivers whose actors are counters hosted by actor_host.py, and what the tests of actors share."""

import json
import os
import sys
import tempfile
from pathlib import Path

import grpc
import head as heads
import values
from head import HeadTest, actor_pb2, session_pb2, state_pb2, task_pb2, wait_until
from stream import Stream, frame

Code = grpc.StatusCode
HOST = [sys.executable, "-B", str(Path(__file__).resolve().parent / "actor_host.py")]
COUNTER, METHODS = 1, ("add", "slow_add", "pid", "fail", "leave", "crash", "no_such_method")
UNKNOWN = 0x4D  # of no session


class Driver(Stream):
    """A driver whose workers host counters."""

    def greet(self, env=None, **options):
        program = session_pb2.Program(
            executable=HOST[0].encode(), args=[arg.encode() for arg in HOST],
            env=[f"{name}={value}".encode() for name, value in env.items()], working_dir=b"/",
            fork_server=True)
        super().greet(program=program)
        self.define_counter(COUNTER, **options)
        for number, method in enumerate(METHODS, COUNTER + 1):
            self.define(number, method, library="", method=True)
        return self

    def define_counter(self, class_id, num_cpus=0, held=0, detached=False, **options):
        self.define(class_id, "Counter", library="", detached=detached,
                    resources=task_pb2.Resources(num_cpus=num_cpus),
                    actor=task_pb2.ActorOptions(held=task_pb2.Resources(num_cpus=held), **options))

    def arguments(self, args, refs=()):
        parts = [task_pb2.Arg(value=values.integer(arg)) for arg in args]
        parts += [task_pb2.Arg(ref_index=i) for i in range(len(refs))]
        return task_pb2.ArgList(args=parts).SerializeToString()

    def create(self, *args, class_id=COUNTER, actor=0, refs=(), methods=(), max_pending_calls=0,
               **more):
        """Makes a counter; one with a name is answered. Returns: its id."""
        actor = actor or self.new_id()
        submit = session_pb2.Submit(task_id=actor, class_id=class_id, refs=refs,
                                    args=self.arguments(args, refs))
        more["class"] = actor_pb2.ActorClass(name="Counter", language="by hand", methods=methods,
                                             max_pending_calls=max_pending_calls)
        self.send(frame(create_actor=session_pb2.CreateActor(submit=submit, **more)))
        return actor

    def call(self, actor, method, *args, refs=(), task=0):
        """Returns: the id of its result."""
        task = task or self.new_id()
        self.send(frame(submit=session_pb2.Submit(
            task_id=task, class_id=COUNTER + 1 + METHODS.index(method), actor_id=actor, refs=refs,
            args=self.arguments(args, refs))))
        return task

    def find(self, name="", namespace="", actor=0, request_id=7):
        self.send(frame(find_actor=actor_pb2.FindActor(
            request_id=request_id, id=actor, name=name, namespace=namespace)))
        return self.next("actor_answer")

    def result(self, task):
        return values.number(self.value(task).value)

    def error(self, task):
        """The bytes of the error that a result is."""
        kind, body, _ = values.decode(self.value(task).value)
        if kind != values.ERROR:
            raise AssertionError(f"no error: {body}")
        return body


def text(actor):
    return f"{actor:016x}"


class ActorsTest(HeadTest):
    """Counters by hand; each test leaves the head empty."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = tempfile.TemporaryDirectory(prefix="kiln-rpc-")
        cls.addClassCleanup(cls.directory.cleanup)

    def tearDown(self):
        for actor in self.actors("state!=DEAD", "detached=true"):
            self.kill(id=actor.id)
        self.head.wait_until_empty()
        wait_until(lambda: self.head.status().actor_processes == 0, "no process of an actor is left")

    def drive(self, **options):
        self.begun = os.path.join(self.directory.name, self.id())
        env = {**self.head.env, "STUBS": heads.STUBS, "BEGUN": self.begun}
        driver = Driver(self.head).greet(env=env, **options)
        self.addCleanup(driver.cancel)
        return driver

    def close(self, *drivers):
        for driver in drivers:
            driver.send_end()
            self.assertEqual(driver.end()[0], Code.OK)

    def actors(self, *filters):
        return self.head.state.ListActors(state_pb2.ListRequest(filters=filters)).actors

    def actor(self, actor):
        [row] = self.actors(f"id={text(actor)}")
        return row

    def wait_for_state(self, actor, state):
        return wait_until(lambda: (row := self.actor(actor)).state == state and row, f"it is {state}")

    def wait_until_begun(self):
        wait_until(lambda: os.path.exists(self.begun), "the call runs")

    def kill(self, may_restart=False, **name):
        return self.head.actors.Kill(actor_pb2.KillActorRequest(
            actor=actor_pb2.ActorName(**name), may_restart=may_restart)).actor

    def call(self, method, *args, ttl_ms=0, **name):
        return self.head.actors.Call(actor_pb2.CallActorRequest(
            actor=actor_pb2.ActorName(**name), method=method, ttl_ms=ttl_ms,
            json_args=[json.dumps(arg) for arg in args])).ref
