"""The rings from outside: an honest peer in another language, and hostile ones beside it.

What a hostile peer does costs it its own session. A driver that works all the while notices nothing,
and afterwards everything is given back.
"""

import fcntl
import mmap
import os
import random
import threading
import unittest

import rings
import values
from head import EXAMPLES, HeadTest, session_pb2, state_pb2, task_pb2, wait_until
from rings import Rings
from stream import WORKER, frame, hello

SEED = int(os.environ.get("KILN_FUZZ_SEED", "1"))
INVALID_ARGUMENT = 3


def put(object_id, value=values.integer(1), contained=()):
    return frame(put=session_pb2.Put(id=object_id, value=value, contained=contained))


def want(*ids):
    return frame(want=session_pb2.Want(ids=ids, values=True))


def define(class_id, function):
    return frame(task_class=task_pb2.TaskClass(class_id=class_id, library=EXAMPLES, num_returns=1,
                                               function=function, max_retries=3,
                                               resources=task_pb2.Resources(num_cpus=1)))


def submit(task_id, class_id, *args):
    encoded = task_pb2.ArgList(args=[task_pb2.Arg(value=arg) for arg in args])
    return frame(submit=session_pb2.Submit(task_id=task_id, class_id=class_id,
                                           args=encoded.SerializeToString()))


def int_of(body):
    """The integer, up to 32 bits, that a msgpack body is."""
    if body[0] < 0x80:
        return body[0]
    return int.from_bytes(body[1:], "big", signed=body[0] >= 0xd0)


class Honest(threading.Thread):
    """A driver that runs tasks and checks their results until it is told to stop."""

    def __init__(self, head):
        super().__init__()
        self.peer = Rings(head)
        self.peer.greet()
        self.peer.send(define(1, "Add"))
        self.rounds, self.wrong, self.stop = 0, None, threading.Event()

    def run(self):
        try:
            while not self.stop.is_set():
                task = self.peer.new_id()
                self.peer.send(submit(task, 1, values.integer(self.rounds), values.integer(5)),
                               want(task))
                kind, body, _ = values.decode(self.peer.read_object(task))
                if kind != values.MSGPACK or int_of(body) != self.rounds + 5:
                    raise AssertionError(f"round {self.rounds}: {body}")
                self.peer.send(frame(release=session_pb2.Release(ids=[task])))
                self.rounds += 1
        except Exception as error:  # told to the test's thread
            self.wrong = error

    def finish(self):
        self.stop.set()
        self.join()
        self.peer.close()


class RingsTest(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()
        wait_until(lambda: self.count_rings() == self.count_sessions(), "rings are let go")
        self.assertEqual(self.head.status().pid, self.head.info["pid"])

    def count_rings(self):
        """Memory files of rings that the head has open."""
        directory = f"/proc/{self.head.info['pid']}/fd"
        links = []
        for fd in os.listdir(directory):
            try:
                links.append(os.readlink(f"{directory}/{fd}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        return sum("kiln-rings" in link for link in links)

    def count_sessions(self):
        """Sessions over rings, which the workers' are too."""
        over_rings = state_pb2.ListRequest(filters=["transport=shm"])
        return len(self.head.state.ListSessions(over_rings).sessions)

    def connect(self):
        peer = Rings(self.head)
        self.addCleanup(peer.close)
        return peer

    def open(self):
        peer = self.connect()
        peer.greet()
        return peer


class Peer(RingsTest):
    def tearDown(self):
        self.doCleanups()  # sessions end before the head is looked at
        super().tearDown()

    def test_a_task_runs(self):
        peer = self.open()
        self.assertEqual(peer.store_bytes, os.fstat(peer.store_fd).st_size)
        task = peer.new_id()
        peer.send(define(1, "Add"), submit(task, 1, values.integer(20), values.integer(22)),
                  want(task))
        self.assertEqual(values.decode(peer.read_object(task)), (values.MSGPACK, b"\x2a", []))
        drivers = state_pb2.ListRequest(filters=["kind=driver"])
        [session] = self.head.state.ListSessions(drivers).sessions
        self.assertEqual((session.number, session.transport), (peer.number, "shm"))

    def test_a_large_value_is_written_into_the_store_that_came_along(self):
        peer = self.open()
        value = values.doubles([[float(i) for i in range(20_000)]])
        object_id = peer.new_id()
        peer.send(frame(create=session_pb2.Create(id=object_id, size_bytes=len(value))))
        place = peer.read().created.slice
        self.assertEqual(place.size_bytes, len(value))
        with mmap.mmap(peer.store_fd, peer.welcome.store_capacity_bytes) as store:
            store[place.offset_bytes:place.offset_bytes + len(value)] = value
        peer.send(frame(seal=session_pb2.Seal(id=object_id)))
        copy = self.open()
        copy.send(want(object_id))
        self.assertEqual(copy.read().object.slice, place)

    def test_a_frame_larger_than_the_ring_goes_both_ways(self):
        peer = self.open()
        text = "word " * 12_000  # 60 KB: inline, ten of them are two rings
        ids = [peer.new_id() for _ in range(10)]
        peer.send(*(put(object_id, values.text(text)) for object_id in ids))
        tasks = [peer.new_id() for _ in ids]
        args = task_pb2.ArgList(args=[task_pb2.Arg(value=values.text(text)) for _ in range(10)])
        peer.send(define(1, "Echo"), frame(submit=session_pb2.Submit(
            task_id=tasks[0], class_id=1, args=args.SerializeToString())), want(*ids, tasks[0]))
        got = {}
        while len(got) < 11:
            answer = peer.read().object
            got[answer.id] = answer
        for object_id in ids:
            self.assertEqual(got[object_id].value, values.text(text))
        kind, _, _ = values.decode(got[tasks[0]].value)
        self.assertEqual(kind, values.ERROR)  # too many arguments: it was read whole

    def test_a_descriptor_is_sealed(self):
        peer = self.open()
        for size in (0, 4096, 1 << 20):
            with self.assertRaises(PermissionError):
                os.ftruncate(peer.rings_fd, size)
            with self.assertRaises(PermissionError):
                os.ftruncate(peer.store_fd, size)
        with self.assertRaises(PermissionError):
            fcntl.fcntl(peer.rings_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


class Hostile(RingsTest):
    """Each test does its worst beside an honest driver."""

    def setUp(self):
        super().setUp()
        self.honest = Honest(self.head)
        self.honest.start()

    def tearDown(self):
        self.doCleanups()
        begun = self.honest.rounds
        wait_until(lambda: self.honest.rounds > begun + 3 or self.honest.wrong, "the honest one works")
        self.honest.finish()
        self.assertIsNone(self.honest.wrong)
        super().tearDown()

    def assert_broken(self, peer):
        goodbye = peer.goodbye()
        self.assertEqual(goodbye.code, INVALID_ARGUMENT, goodbye.reason)
        self.assertIn("broken", goodbye.reason)

    def test_garbage_in_the_ring(self):
        rng = random.Random(SEED)
        for i in range(60):
            peer = self.connect()
            if i % 2:
                peer.greet()
            start = peer.tail % rings.RING_BYTES
            garbage = rng.randbytes(rng.randrange(8, 4096) // 8 * 8)
            peer.memory[rings.TO_HEAD + start:rings.TO_HEAD + start + len(garbage)] = garbage
            peer.tail += len(garbage)
            peer.publish()
            self.assert_broken(peer)

    def test_garbage_in_the_whole_file(self):
        rng = random.Random(SEED)
        for _ in range(20):
            peer = self.open()
            peer.memory[:] = rng.randbytes(len(peer.memory))
            peer.send_bytes(b"x")
            wait_until(peer.ended, "the session ends")

    def test_lies_about_positions_and_lengths(self):
        lies = [("tail far ahead", rings.TO_HEAD_TAIL, 1 << 40), ("tail back", rings.TO_HEAD_TAIL, 0),
                ("tail unaligned", rings.TO_HEAD_TAIL, None)]
        for name, offset, value in lies:
            with self.subTest(name):
                peer = self.open()
                peer.set_position(offset, peer.tail + 3 if value is None else value)
                peer.ring()
                self.assert_broken(peer)
        for size, kind in ((rings.MAX_RECORD_BYTES + 1, 0), (2**32 - 1, 0), (9, 7), (2**31, 2)):
            with self.subTest(size=size, kind=kind):
                peer = self.open()
                at = rings.TO_HEAD + peer.tail % rings.RING_BYTES
                peer.memory[at:at + 8] = size.to_bytes(4, "little") + kind.to_bytes(4, "little")
                peer.tail += 8
                peer.publish()
                self.assert_broken(peer)

    def test_lies_about_what_was_read(self):
        peer = self.open()
        peer.set_position(rings.TO_PEER_HEAD, 1 << 50)
        object_id = peer.new_id()
        peer.send(put(object_id, values.text("word " * 10_000)))
        for _ in range(20):
            peer.send(want(object_id))  # a megabyte of answers that find no room
        peer.close()

    def test_frames_that_stop_in_the_middle(self):
        for published in (False, True):
            peer = self.open()
            self.assertTrue(peer.put_record(b"x" * 1000, rings.PART))
            if published:
                peer.publish()
            peer.send_bytes(b"x")
            peer.close()  # and the rest never comes

    def test_parts_without_end(self):
        peer = self.open()
        for size in (0, 1, 1000):
            for _ in range(3000):
                while not peer.put_record(b"x" * size, rings.PART):
                    peer.publish()
            peer.publish()
        with self.assertRaises(ConnectionError):
            while True:
                if not peer.put_record(b"x" * rings.MAX_RECORD_BYTES, rings.PART):
                    peer.publish()
                    if peer.ended(0.0005):
                        raise ConnectionError("cut off")
        self.assert_broken(peer)

    def test_a_flood_of_submits_that_reads_nothing(self):
        peer = self.open()
        peer.send(define(1, "Noop"))
        for _ in range(40):
            peer.send(*(submit(peer.new_id(), 1) for _ in range(500)))

    def test_a_flood_of_puts_and_creates_is_given_back(self):
        peer = self.open()
        value = values.text("word " * 12_000)
        for _ in range(500):
            peer.send(put(peer.new_id(), value))
        for _ in range(500):  # more than there is room for, and nothing is sealed
            peer.send(frame(create=session_pb2.Create(id=peer.new_id(), size_bytes=1 << 20)))

    def test_who_never_reads(self):
        peer = self.open()
        object_id = peer.new_id()
        peer.send(put(object_id, values.text("word " * 12_000)))
        peer.send(*(want(object_id) for _ in range(500)))  # 30 MB
        wait_until(lambda: peer.position(rings.TO_PEER_TAIL) > 200_000, "the ring is full")

    def test_connections_that_never_say_hello(self):
        silent = [self.connect() for _ in range(200)]
        peer = self.open()
        peer.send(put(peer.new_id()))
        self.assertTrue(silent[0].ended())
        self.assertFalse(silent[-1].ended())

    def test_endless_rings(self):
        peer = self.open()
        for _ in range(20_000):
            peer.send_bytes(b"x" * 1000)

    def test_bells_of_garbage(self):
        peer = self.open()
        for value in (3, 99, 2**32 - 1):
            for bell in (rings.HEAD_BELL, rings.PEER_BELL, rings.HEAD_WANTS_ROOM):
                peer.set_word(bell, value)
            object_id = peer.new_id()
            peer.send(put(object_id), want(object_id))
            wait_until(lambda: peer.position(rings.TO_PEER_TAIL) > peer.head, "an answer")
            self.assertEqual(peer.try_read().object.id, object_id)

    def test_writing_after_the_end(self):
        for _ in range(20):
            peer = self.open()
            peer.socket.close()
            for _ in range(50):
                if peer.put_record(put(peer.new_id()).SerializeToString(), rings.LAST):
                    peer.set_position(rings.TO_HEAD_TAIL, peer.tail)

    def test_what_is_not_its_own(self):
        object_id = self.honest.peer.new_id(1)  # may be one of the honest one's
        victims = {
            "Hello twice": lambda peer: hello(),
            "a put in another's name": lambda peer: put(object_id),
            "a reference it does not hold": lambda peer: frame(
                release=session_pb2.Release(ids=[self.kept])),
            "a seal of another's": lambda peer: frame(seal=session_pb2.Seal(id=object_id)),
            "a result": lambda peer: frame(finished=session_pb2.Finished(task_id=object_id)),
            "a class that there is not": lambda peer: submit(peer.new_id(), 77),
        }
        keeper = self.open()
        self.kept = keeper.new_id()
        keeper.send(put(self.kept), want(self.kept))
        self.assertEqual(keeper.read().object.id, self.kept)
        for name, make in victims.items():
            with self.subTest(name):
                peer = self.open()
                peer.send(make(peer))
                self.assert_broken(peer)
        keeper.send(want(self.kept))
        self.assertEqual(keeper.read().object.id, self.kept)

    def test_a_worker_that_is_none(self):
        for worker_id in (0, 1, 2, 10**12):
            peer = self.connect()
            peer.send(hello(kind=WORKER, worker_id=worker_id))
            self.assert_broken(peer)


if __name__ == "__main__":
    unittest.main()
