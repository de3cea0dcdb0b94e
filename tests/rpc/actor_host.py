"""A worker that hosts actors, in plain Python, written from docs/wire.md, "Actors".

The program of the drivers of actor_driver.py, and a fork server as fork_server.py is. Its one class is
Counter(start = 0): `add` and `slow_add`, `pid`, `fail`, `leave`, `crash`; a start below 0 fails.
"""

import os
import queue
import sys
import time
from pathlib import Path

import fork_server
import values


class Host:
    """A worker's session and the actor in it."""

    def __init__(self, session_pb2, task_pb2):
        self.session, self.task = session_pb2, task_pb2
        self.outgoing, self.classes, self.count = queue.SimpleQueue(), {}, None

    def send(self, **kind):
        frame = self.session.PeerFrame(**kind)
        self.outgoing.put(self.session.PeerBatch(frames=[frame]))

    def finish(self, task, result=None, failure="", **more):
        if failure:
            result, more["failed"] = values.error("TASK_FAILED", failure), True
        elif result is None:
            result = values.encode(values.NULL)
        self.send(finished=self.session.Finished(
            task_id=task, results=[self.task.TaskResult(value=result)], **more))

    def run(self, run):
        known = self.classes[run.class_id]
        arguments = [values.number(run.refs[arg.ref_index].value if arg.HasField("ref_index")
                                   else arg.value)
                     for arg in self.task.ArgList.FromString(run.args).args]
        if known.HasField("actor"):
            self.construct(run.task_id, *arguments)
        elif known.method and hasattr(self, f"do_{known.function}"):
            getattr(self, f"do_{known.function}")(run.task_id, *arguments)
        else:
            self.finish(run.task_id, failure=f"no method {known.function}")

    def construct(self, task, start=0):
        if start < 0:
            self.finish(task, failure=f"cannot count from {start}")
            return
        self.count = start
        self.finish(task, actor_repr=f"<counter from {start}>")

    def do_add(self, task, amount=1):
        self.count += amount
        self.finish(task, values.integer(self.count))

    def do_slow_add(self, task, ms):
        # Says on disk that it began: nothing on the wire does.
        Path(os.environ["BEGUN"]).touch()
        time.sleep(ms / 1000)
        self.do_add(task)

    def do_pid(self, task):
        self.finish(task, values.integer(os.getpid()))

    def do_fail(self, task):
        self.finish(task, failure="it does not count")

    def do_leave(self, task):
        self.finish(task, actor_exits=True)

    def do_crash(self, task):
        del task
        os.kill(os.getpid(), 9)

    def work(self, channel):
        """Until the head ends it."""
        connect = channel.stream_stream(
            "/kiln.v1.Sessions/Connect",
            request_serializer=self.session.PeerBatch.SerializeToString,
            response_deserializer=self.session.HeadBatch.FromString)
        self.send(hello=self.session.Hello(
            protocol_version=1, kind=self.session.Hello.KIND_WORKER, language="by hand",
            pid=os.getpid(), worker_id=int(os.environ["KILN_WORKER"])))
        for batch in connect(iter(self.outgoing.get, None)):
            for frame in batch.frames:
                kind = frame.WhichOneof("frame")
                if kind == "task_class":
                    self.classes[frame.task_class.class_id] = frame.task_class
                elif kind == "run":
                    self.run(frame.run)
                elif kind in ("leave", "goodbye"):
                    os._exit(0)


def main():
    sys.path.insert(0, os.environ["STUBS"])
    import grpc
    from kiln.v1 import session_pb2, task_pb2
    order = fork_server.serve()
    if order is None:
        return
    os.environb.clear()
    os.environb.update(item.split(b"=", 1) for item in order.env)
    Host(session_pb2, task_pb2).work(grpc.insecure_channel(os.environ["KILN_ADDRESS"]))


if __name__ == "__main__":
    main()
