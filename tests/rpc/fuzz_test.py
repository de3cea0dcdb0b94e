"""Random and mutated frames over many sessions: the head goes on serving and holds nothing after.

  KILN_FUZZ_SEED=17 KILN_FUZZ_BATCHES=50000 .. /usr/bin/python3 tests/rpc/fuzz_test.py
"""

import os
import random
import unittest

import grpc
import values
from head import EXAMPLES, HeadTest, session_pb2, stream_pb2, task_pb2
from stream import DRIVER, WORKER, Stream, frame, hello

SEED = int(os.environ.get("KILN_FUZZ_SEED", "1"))
BATCHES = int(os.environ.get("KILN_FUZZ_BATCHES", "2000"))
BATCHES_PER_SESSION = 8  # most sessions end earlier, by a frame that breaks them
ALLOWED_ENDS = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.RESOURCE_EXHAUSTED,
                grpc.StatusCode.CANCELLED}
FUNCTIONS = ["Add", "Noop", "Echo", "Split", "Fail", "NoSuchFunction"]


class Talker:
    """Makes frames that are mostly right, so that they get past the first check."""

    def __init__(self, rng, stream, seen):
        self.rng, self.stream, self.seen = rng, stream, seen
        self.classes, self.creating, self.own = [], [], []

    def id(self):
        """An id: of this session, of another, or of nobody."""
        pool = [self.own, self.creating, self.seen, [0, 1, 2**64 - 1, self.rng.getrandbits(64)]]
        choices = [ids for ids in pool if ids]
        return self.rng.choice(self.rng.choice(choices))

    def ids(self, most=4):
        return [self.id() for _ in range(self.rng.randrange(most))]

    def new_id(self):
        self.own.append(self.stream.new_id())
        self.seen.append(self.own[-1])
        return self.own[-1]

    def value(self):
        rng = self.rng
        return rng.choice([values.integer(rng.getrandbits(20)), values.text("words " * rng.randrange(9)),
                           values.doubles([[1.0, 2.0]]), values.encode(values.NULL),
                           values.encode(values.ERROR, rng.randbytes(9)), rng.randbytes(40), b""])

    def args(self, refs):
        args = [task_pb2.Arg(value=self.value()) for _ in range(self.rng.randrange(3))]
        args += [task_pb2.Arg(ref_index=self.rng.randrange(3)) for _ in refs]
        if self.rng.random() < 0.1:
            return self.rng.randbytes(20)
        return task_pb2.ArgList(args=args).SerializeToString()

    # --- one method for each kind of frame ------------------------------------------------------

    def hello(self):
        return hello(kind=self.rng.choice([DRIVER, WORKER]), worker_id=self.rng.randrange(10))

    def task_class(self):
        self.classes.append(len(self.classes))
        num_returns = self.rng.choice([0, 1, 1, 3])
        return frame(task_class=task_pb2.TaskClass(
            class_id=self.classes[-1], library=EXAMPLES, function=self.rng.choice(FUNCTIONS),
            num_returns=num_returns, streaming=num_returns < 3 and self.rng.random() < 0.3,
            stream_window=self.rng.randrange(3), max_retries=self.rng.choice([-1, 0, 3]),
            retry_exceptions=False, timeout_ms=self.rng.choice([0, 0, 1, 2**62]),
            priority=self.rng.choice([0, -5, 2**31 - 1]),
            resources=task_pb2.Resources(num_cpus=self.rng.choice([0, 0.5, 1, 1, 1e9]),
                                         custom=self.rng.choice([{}, {"disk": 0.1}]))))

    def submit(self):
        refs = self.ids(3)
        return frame(submit=session_pb2.Submit(
            task_id=self.new_id() if self.rng.random() < 0.99 else self.id(),
            class_id=self.rng.choice(self.classes) if self.classes else 0, args=self.args(refs),
            refs=refs, nested_refs=self.ids(3), parent_task_id=self.rng.choice([0, 0, self.id()])))

    def put(self):
        contained = self.ids()
        return frame(put=session_pb2.Put(
            id=self.new_id() if self.rng.random() < 0.99 else self.id(),
            value=self.value(), contained=contained))

    def create(self):
        object_id, size = self.stream.new_id(), self.rng.choice([0, 1, 5000, 1 << 20, 1 << 45])
        if size < 1 << 45:  # there is no room for that one
            self.creating.append(object_id)
        return frame(create=session_pb2.Create(id=object_id, size_bytes=size))

    def seal(self):
        if not self.creating:
            return self.put()
        self.own.append(self.creating.pop(self.rng.randrange(len(self.creating))))
        return frame(seal=session_pb2.Seal(id=self.own[-1], contained=self.ids()))

    def abort(self):
        object_id = self.creating.pop() if self.creating else self.id()
        return frame(abort=session_pb2.Abort(id=object_id))

    def want(self):
        return frame(want=session_pb2.Want(
            ids=self.ids(9), values=self.rng.random() < 0.5,
            blocked_task_id=self.rng.choice([0, self.id()]), needed=self.rng.randrange(4)))

    def unblock(self):
        return frame(unblock=session_pb2.Unblock(blocked_task_id=self.id()))

    def cancel(self):
        return frame(cancel=session_pb2.Cancel(id=self.id(), force=self.rng.random() < 0.1))

    def stream_consumed(self):
        return frame(stream_consumed=stream_pb2.StreamConsumed(
            task_id=self.id(), count=self.rng.choice([0, 0, 1, 2**64 - 1]),
            dropped=self.rng.random() < 0.3))

    def await_item(self):
        return frame(await_item=stream_pb2.AwaitItem(
            blocked_task_id=self.id(), task_id=self.id(), count=self.rng.randrange(3)))

    def yielded(self):
        return frame(yielded=stream_pb2.Yielded(
            task_id=self.id(), index=self.rng.randrange(2), object_id=self.id(),
            result=task_pb2.TaskResult(value=self.value())))

    def retain(self):
        return frame(retain=session_pb2.Retain(ids=self.ids()))

    def release(self):
        return frame(release=session_pb2.Release(ids=self.ids(2)))

    def finished(self):
        return frame(finished=session_pb2.Finished(
            task_id=self.id(), results=[task_pb2.TaskResult(created_id=self.id())]))

    def returned(self):
        return frame(returned=session_pb2.Returned(task_ids=self.ids()))

    GOOD = ["task_class", "submit", "submit", "submit", "put", "put", "create", "create", "seal",
            "want", "want", "unblock", "cancel", "retain", "await_item"]
    DOUBTFUL = ["hello", "abort", "release", "finished", "returned", "yielded", "stream_consumed"]

    def batch(self):
        """A batch of frames, now and then with bits turned over."""
        rng = self.rng
        kinds = [rng.choice(self.DOUBTFUL if rng.random() < 0.01 else self.GOOD)
                 for _ in range(rng.randrange(1, 12))]
        message = session_pb2.PeerBatch(frames=[getattr(self, kind)() for kind in kinds])
        if rng.random() >= 0.05:
            return message
        mutated = bytearray(message.SerializeToString())
        for _ in range(rng.randrange(1, 6)):
            if mutated:
                mutated[rng.randrange(len(mutated))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del mutated[rng.randrange(len(mutated) + 1):]
        return bytes(mutated)


class Fuzz(HeadTest):
    def test_random_batches_break_their_own_sessions_only(self):
        print(f"KILN_FUZZ_SEED={SEED} KILN_FUZZ_BATCHES={BATCHES}", flush=True)
        rng = random.Random(SEED)
        seen, open_streams, sent, ends = [], [], 0, {}
        while sent < BATCHES:
            stream = Stream(self.head, timeout_s=120)
            if rng.random() < 0.95:
                stream.greet()
                talker = Talker(rng, stream, seen)
                stream.send(talker.task_class())
                for _ in range(rng.randrange(1, 2 * BATCHES_PER_SESSION)):
                    stream.send_message(talker.batch())
                    sent += 1
            else:
                stream.send_message(rng.randbytes(rng.randrange(60)))
                sent += 1
            del seen[:-500]
            open_streams.append(stream)
            if len(open_streams) > 6:
                self.end(open_streams.pop(rng.randrange(len(open_streams))), rng, ends)
            if rng.random() < 0.02:
                self.assert_serves()
        for stream in open_streams:
            self.end(stream, rng, ends)
        print({code.name: count for code, count in ends.items()})
        self.assertLessEqual(set(ends), ALLOWED_ENDS)
        self.assertGreater(ends[grpc.StatusCode.INVALID_ARGUMENT], 10, "too few were broken")
        self.assertGreater(ends[grpc.StatusCode.OK], 10, "too few were not")
        self.assert_serves()
        self.head.wait_until_empty()
        self.assertEqual(self.head.status().pid, self.head.info["pid"])

    def end(self, stream, rng, ends):
        if rng.random() < 0.2:
            stream.cancel()
        else:
            stream.send_end()
        code, _ = stream.end()
        ends[code] = ends.get(code, 0) + 1

    def assert_serves(self):
        ref = self.head.start("Add", 1, 2, priority=2**31 - 1)
        self.assertEqual(self.head.result(ref), 3)
        self.head.release(ref)


if __name__ == "__main__":
    unittest.main()
