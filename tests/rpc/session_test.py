"""The session stream: what a driver says and hears, and what the head makes of mistakes."""

import os
import socket
import time
import unittest

import grpc
import values
from head import (EXAMPLES, TIMEOUT_S, HeadTest, session_pb2, state_pb2, stream_pb2, task_pb2,
                  wait_until)
from stream import WORKER, Stream, frame, hello

Code = grpc.StatusCode


class SessionTest(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()

    def open(self):
        stream = Stream(self.head).greet()
        self.addCleanup(stream.cancel)
        return stream

    def sessions(self):
        drivers = state_pb2.ListRequest(filters=["kind=driver"])
        return {session.number: session for session in self.head.state.ListSessions(drivers).sessions}

    def close(self, *streams):
        for stream in streams:
            stream.send_end()
            self.assertEqual(stream.end()[0], Code.OK)


class Driver(SessionTest):
    def test_hello_is_answered_by_welcome(self):
        stream = Stream(self.head).greet(pid=os.getpid())
        welcome = stream.welcome
        self.assertGreater(welcome.session_number, 0)
        self.assertLess(welcome.session_number, 1 << 24)
        self.assertEqual(welcome.store_capacity_bytes, 64 << 20)
        self.assertEqual(welcome.inline_limit_bytes, 65536)
        self.assertGreater(welcome.credit.tasks, 0)
        self.assertGreater(welcome.credit.bytes, 0)
        self.assertEqual(welcome.num_cpus, 2)
        self.assertEqual(welcome.store_socket, os.path.join(self.head.session_dir, "store.sock"))
        session = self.sessions()[welcome.session_number]
        self.assertEqual((session.language, session.pid, session.transport),
                         ("by hand", os.getpid(), "grpc"))
        self.close(stream)

    def test_a_task_is_submitted_and_its_result_wanted(self):
        stream = self.open()
        stream.define(1, "Add")
        task = stream.submit(1, values.integer(20), values.integer(22))
        value = stream.value(task)
        self.assertEqual(values.decode(value.value), (values.MSGPACK, b"\x2a", []))
        self.close(stream)

    def test_everything_may_be_said_in_one_batch(self):
        stream = Stream(self.head)
        self.addCleanup(stream.cancel)
        stream.send(hello())
        stream.welcome = stream.next("welcome")
        first, second = stream.new_id(), stream.new_id()
        args = task_pb2.ArgList(args=[task_pb2.Arg(ref_index=0),
                                      task_pb2.Arg(ref_index=0)]).SerializeToString()
        stream.send(
            frame(task_class=task_pb2.TaskClass(class_id=7, library=EXAMPLES, function="Add")),
            frame(put=session_pb2.Put(id=first, value=values.integer(4))),
            frame(submit=session_pb2.Submit(task_id=second, class_id=7, refs=[first], args=args)),
            frame(release=session_pb2.Release(ids=[first])),
            frame(want=session_pb2.Want(ids=[second], values=True)))
        self.assertEqual(values.decode(stream.next("object").value)[1], b"\x08")
        self.close(stream)

    def test_ready_frames_come_without_values(self):
        stream = self.open()
        stream.define(1, "Sleep")
        done = stream.put(values.integer(1))
        seconds = values.encode(values.MSGPACK, b"\xcb" + bytes.fromhex("3fa999999999999a"))  # 0.05
        task = stream.submit(1, seconds)
        stream.want(done, task, values=False)
        heard = set()
        while heard != {done, task}:
            heard |= set(stream.next("ready").ids)
        self.close(stream)

    def test_several_results_have_ids_in_a_row(self):
        stream = self.open()
        stream.define(1, "NoSuchFunction", num_returns=3)
        task = stream.new_id(3)
        stream.send(frame(submit=session_pb2.Submit(task_id=task, class_id=1)))
        for i in range(3):
            kind, body, _ = values.decode(stream.value(task + i).value)
            self.assertEqual(kind, values.ERROR)
            self.assertIn(b"FUNCTION_NOT_FOUND", body)
        self.close(stream)

    def test_an_unknown_object_is_lost_not_waited_for(self):
        stream = self.open()
        kind, body, _ = values.decode(stream.value(12345).value)
        self.assertEqual(kind, values.ERROR)
        self.assertIn(b"OBJECT_LOST", body)
        self.close(stream)

    def test_releasing_what_nobody_knows_is_no_mistake(self):
        stream = self.open()
        stream.send(frame(release=session_pb2.Release(ids=[77])))
        stream.value(stream.put(values.integer(1)))
        self.close(stream)

    def test_room_in_the_store_is_created_and_given_back(self):
        stream = self.open()
        created = []
        for _ in range(2):
            object_id = stream.new_id()
            stream.send(frame(create=session_pb2.Create(id=object_id, size_bytes=100_000)))
            answer = stream.next("created")
            self.assertEqual((answer.id, answer.slice.size_bytes), (object_id, 100_000))
            self.assertEqual(answer.slice.offset_bytes % 4096, 0)
            created.append(object_id)
        stream.send(frame(seal=session_pb2.Seal(id=created[0])),
                    frame(abort=session_pb2.Abort(id=created[1])))
        self.assertEqual(stream.value(created[0]).slice.size_bytes, 100_000)
        self.assertEqual(self.head.holdings()["objects"], 1)
        # More than there is: told, and the session goes on.
        stream.send(frame(create=session_pb2.Create(id=stream.new_id(), size_bytes=1 << 40)))
        refusal = stream.next("created")
        self.assertFalse(refusal.HasField("slice"))
        self.assertIn("object store is full", refusal.error)
        stream.send(frame(create=session_pb2.Create(id=stream.new_id(), size_bytes=1000)))
        stream.next("created")  # neither sealed nor given back
        self.close(stream)

    def test_values_that_name_each_other_are_freed_all_the_same(self):
        stream = self.open()
        first = stream.new_id()
        stream.send(frame(create=session_pb2.Create(id=first, size_bytes=100)))
        second = stream.put(values.integer(1), contained=[first])
        stream.send(frame(seal=session_pb2.Seal(id=first, contained=[first, second])))
        stream.value(first)
        self.close(stream)  # tearDown sees that nothing is left

    def test_credit_comes_back_as_submits_are_taken(self):
        stream = self.open()
        stream.define(1, "Noop")
        for _ in range(stream.welcome.credit.tasks // 4):
            last = stream.submit(1)
        self.assertEqual(stream.next("credit").tasks, stream.welcome.credit.tasks // 4)
        stream.value(last)
        self.close(stream)

    def test_the_end_of_a_session_cancels_its_tasks_and_spares_detached_ones(self):
        stream = self.open()
        stream.define(1, "SumRange")
        stream.define(2, "Add", detached=True)
        for _ in range(4):
            stream.submit(1, values.integer(0), values.encode(values.MSGPACK, b"\xcf" + b"\x0f" * 8))
        detached = f"{stream.submit(2, values.integer(1), values.integer(2)):016x}"
        wait_until(lambda: self.head.knows(detached), "the head has it")
        self.close(stream)
        self.assertEqual(self.head.result(detached), 3)
        self.head.release(detached)

    def test_the_end_of_a_stream_is_the_number_of_its_items(self):
        stream = self.open()
        stream.define(1, "Add", streaming=True, stream_window=1)
        task = stream.submit(1, values.integer(1), values.integer(2))  # hands nothing over
        stream.want(task, values=False)
        self.assertEqual(list(stream.next("ready").ids), [task])
        self.assertEqual(values.decode(stream.value(task).value)[:2], (values.MSGPACK, b"\x00"))
        # It has ended, and one that never was: nothing to say about either is a mistake.
        stream.send(frame(stream_consumed=stream_pb2.StreamConsumed(task_id=task, count=7)),
                    frame(stream_consumed=stream_pb2.StreamConsumed(task_id=12345, dropped=True)),
                    frame(await_item=stream_pb2.AwaitItem(blocked_task_id=task, task_id=task)))
        stream.value(stream.put(values.integer(1)))
        self.close(stream)

    def test_a_stream_whose_end_is_released_is_cancelled(self):
        stream = self.open()
        stream.define(1, "Sleep", streaming=True)
        seconds = values.encode(values.MSGPACK, b"\xcb" + bytes.fromhex("404e000000000000"))  # 60
        task = stream.submit(1, seconds)
        wait_until(lambda: self.head.status().tasks_running == 1, "the stream runs")
        stream.send(frame(release=session_pb2.Release(ids=[task])))
        wait_until(lambda: self.head.status().tasks_running == 0, "it stops")
        self.close(stream)

    def test_objects_of_one_session_reach_another(self):
        giver, taker = self.open(), self.open()
        given = giver.put(values.integer(5))
        self.assertEqual(values.decode(giver.value(given).value)[1][-1], 5)
        taker.send(frame(retain=session_pb2.Retain(ids=[given])))
        taker.value(given)
        self.close(giver)
        self.assertEqual(values.decode(taker.value(given).value)[1][-1], 5)
        self.close(taker)


class Mistakes(SessionTest):
    """A broken frame ends its own session, with a reason, and no other."""

    def setUp(self):
        self.witness = self.open()
        self.witness.define(1, "Add")

    def tearDown(self):
        task = self.witness.submit(1, values.integer(1), values.integer(2))
        self.assertEqual(values.decode(self.witness.value(task).value)[1], b"\x03")
        self.assertEqual(list(self.sessions()), [self.witness.welcome.session_number])
        self.close(self.witness)
        super().tearDown()

    def broken(self, *frames, code=Code.INVALID_ARGUMENT, word="", stream=None):
        stream = stream or self.open()
        stream.send(*frames)
        ended, message = stream.end()
        self.assertEqual(ended, code, message)
        self.assertIn(word, message)

    def test_the_first_frame_must_be_hello(self):
        self.broken(frame(want=session_pb2.Want(ids=[1])), stream=Stream(self.head),
                    word="first one must be Hello")

    def test_a_second_hello(self):
        self.broken(hello(), word="second Hello")

    def test_another_version_of_the_protocol(self):
        for version in (0, 2):
            self.broken(hello(protocol_version=version), stream=Stream(self.head),
                        code=Code.FAILED_PRECONDITION, word=f"the peer version {version}")

    def test_a_peer_that_is_neither_driver_nor_worker(self):
        self.broken(hello(kind=0), stream=Stream(self.head), word="kind")

    def test_a_worker_that_the_head_did_not_start(self):
        self.broken(hello(kind=WORKER, worker_id=999), stream=Stream(self.head), word="999")

    def test_an_empty_frame(self):
        self.broken(session_pb2.PeerFrame(), word="kind")

    def test_a_class_that_is_unknown_defined_twice_or_without_a_place(self):
        self.broken(frame(submit=session_pb2.Submit(task_id=1, class_id=9)), word="task class 9")
        again = frame(task_class=task_pb2.TaskClass(class_id=3, library=EXAMPLES, function="Add"))
        self.broken(again, again, word="defined already")
        for task_class, word in [
                (task_pb2.TaskClass(library=EXAMPLES), "function"),
                (task_pb2.TaskClass(library="relative.so", function="F"), "absolute"),
                (task_pb2.TaskClass(function="F"), "library"),
                (task_pb2.TaskClass(library=EXAMPLES, function="F",
                                    resources=task_pb2.Resources(num_cpus=-1)), "num_cpus")]:
            self.broken(frame(task_class=task_class), word=word)

    def test_ids_of_another_session(self):
        theirs = self.witness.new_id()
        task_class = frame(task_class=task_pb2.TaskClass(class_id=1, library=EXAMPLES,
                                                         function="Add"))
        self.broken(frame(put=session_pb2.Put(id=theirs, value=values.integer(1))),
                    word="does not belong")
        self.broken(frame(create=session_pb2.Create(id=theirs, size_bytes=10)),
                    word="does not belong")
        self.broken(task_class, frame(submit=session_pb2.Submit(task_id=theirs, class_id=1)),
                    word="does not belong")
        self.broken(frame(put=session_pb2.Put(id=0, value=values.integer(1))), word="object")

    def test_an_id_that_is_used_already(self):
        stream = self.open()
        used = stream.put(values.integer(1))
        self.broken(frame(put=session_pb2.Put(id=used, value=values.integer(1))), stream=stream,
                    word="already used")

    def test_objects_that_are_not_being_created_or_held(self):
        for bad in (frame(seal=session_pb2.Seal(id=77)), frame(abort=session_pb2.Abort(id=77))):
            self.broken(bad, word="000000000000004d")
        held = self.witness.put(values.integer(1))
        self.witness.value(held)
        self.broken(frame(release=session_pb2.Release(ids=[held])), word="no reference")

    def test_what_only_a_worker_may_say(self):
        self.broken(frame(finished=session_pb2.Finished(task_id=1)), word="Finished from a driver")
        self.broken(frame(returned=session_pb2.Returned(task_ids=[1])), word="Returned from a driver")
        self.broken(frame(yielded=stream_pb2.Yielded(task_id=1)), word="Yielded from a driver")

    def test_streams_that_cannot_be(self):
        for options, word in [({"detached": True}, "detached"), ({"num_returns": 2}, "result")]:
            self.broken(frame(task_class=task_pb2.TaskClass(
                class_id=1, library=EXAMPLES, function="F", streaming=True, **options)), word=word)
        self.witness.define(2, "Sleep", streaming=True)
        seconds = values.encode(values.MSGPACK, b"\xcb" + bytes.fromhex("404e000000000000"))  # 60
        theirs = self.witness.submit(2, seconds)
        self.witness.value(self.witness.put(values.integer(1)))  # the head has seen it
        self.broken(frame(stream_consumed=stream_pb2.StreamConsumed(task_id=theirs)),
                    word="does not consume")
        for count in (1, (1 << 64) - 1):
            stream = self.open()
            stream.define(1, "Sleep", streaming=True)
            mine = stream.submit(1, seconds)
            self.broken(frame(stream_consumed=stream_pb2.StreamConsumed(task_id=mine, count=count)),
                        word="consumed of 0", stream=stream)
        stream = self.open()
        stream.define(1, "Sleep")
        plain = stream.submit(1, seconds)
        self.broken(frame(stream_consumed=stream_pb2.StreamConsumed(task_id=plain)),
                    word="makes none", stream=stream)
        self.witness.send(frame(release=session_pb2.Release(ids=[theirs])))

    def test_bytes_that_are_no_protobuf(self):
        for garbage in (b"\xff" * 20, b"\x0a\x05ab", b"\x0a\x07\x0a\x05\x1a\x03\xff\xff\xff"):
            for greeted in (True, False):
                stream = self.open() if greeted else Stream(self.head)
                stream.send_message(garbage)
                self.assertEqual(stream.end(), (Code.INVALID_ARGUMENT, "a message that is no PeerBatch"))

    def test_nothing_after_a_broken_frame_is_done(self):
        stream = self.open()
        later = stream.new_id()
        self.broken(hello(), frame(put=session_pb2.Put(id=later, value=values.integer(1))),
                    stream=stream)
        self.assertFalse(self.head.knows(f"{later:016x}"))


class Neglect(SessionTest):
    """Peers that do nothing cost the others nothing."""

    def test_a_peer_that_says_nothing_is_disconnected(self):
        silent = Stream(self.head)
        raw = socket.socket(socket.AF_UNIX)  # not even gRPC
        self.addCleanup(raw.close)
        raw.connect(os.path.join(self.head.session_dir, "head.sock"))
        store = socket.socket(socket.AF_UNIX)
        self.addCleanup(store.close)
        store.connect(os.path.join(self.head.session_dir, "store.sock"))
        began = time.monotonic()
        other = self.open()
        other.define(1, "Add")
        other.value(other.submit(1, values.integer(1), values.integer(2)))
        self.close(other)
        code, message = silent.end()
        self.assertEqual((code, message), (Code.UNAVAILABLE, "no Hello came in time"))
        self.assertGreater(time.monotonic() - began, 5)
        store.settimeout(TIMEOUT_S)
        self.assertEqual(store.recv(1), b"")

    def flooded(self):
        """A session whose answers fill all buffers, because nobody reads them."""
        stream = self.open()
        big = stream.put(values.text("x" * 60_000))
        for _ in range(20):
            stream.want(*[big] * 50)
        wait_until(lambda: self.sessions()[stream.welcome.session_number].references == 1, "it is put")
        return stream

    def test_a_peer_that_never_reads_holds_up_nobody(self):
        deaf, other = self.flooded(), self.open()
        other.define(1, "Add")
        other.value(other.submit(1, values.integer(1), values.integer(2)))
        deaf.cancel()
        self.close(other)

    def test_a_peer_that_never_reads_is_cut_off_when_its_session_ends(self):
        deaf = self.flooded()
        deaf.send(hello())  # broken
        wait_until(lambda: not self.sessions(), "the session has ended")
        self.head.wait_until_empty()

    def test_a_peer_that_goes_away_in_the_middle_leaves_nothing(self):
        stream = self.flooded()
        stream.define(1, "SumRange")
        for _ in range(3):
            stream.submit(1, values.integer(0), values.encode(values.MSGPACK, b"\xcf" + b"\x0f" * 8))
        stream.send(frame(create=session_pb2.Create(id=stream.new_id(), size_bytes=1 << 20)))
        wait_until(lambda: self.head.status().tasks_running == 2, "two run")
        stream.cancel()


if __name__ == "__main__":
    unittest.main()
