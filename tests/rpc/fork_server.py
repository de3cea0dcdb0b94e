"""A fork server and its workers in plain Python, written from docs/wire.md, "Workers".

Run by fork_test.py as KILN_PYTHON and as a driver's program. Imports grpc once, in the server. A task
"module:describe" results in JSON text about its worker; any other fails.
"""

import ctypes
import json
import os
import queue
import signal
import socket
import struct
import sys
import time

import values

ANSWER = struct.Struct("<QiIiIq")  # launch, pid, step, errno, -, forked
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Order:
    """The memory file of an order: numbers of 64 bits, texts and lists led by their length."""

    def __init__(self, fd):
        self._data, self._at = os.pread(fd, os.fstat(fd).st_size, 0), 0
        self.env = [self._text() for _ in range(self._number())]
        self.working_dir, self.setup = self._text(), self._text()
        self.umask, self.keeper = self._number(), self._number()

    def _number(self):
        [number] = struct.unpack_from("<Q", self._data, self._at)
        self._at += 8
        return number

    def _text(self):
        size = self._number()
        self._at += size
        return self._data[self._at - size:self._at]


def become_worker(order, output, middle):
    """What the worker does first. Returns: the step that failed and its errno."""
    while os.getppid() == middle:
        os.sched_yield()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != order.keeper:
        return 0, 3
    os.setsid()
    os.umask(order.umask)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        os.chdir(order.working_dir)
    except OSError as error:
        return 1, error.errno
    return 0, 0


def serve():
    """Returns: the order, in each worker; nothing, in the server, at the end."""
    orders = socket.socket(fileno=int(os.environ.pop("KILN_FORK_SERVER")))
    orders.send(ANSWER.pack(0, 0, 0, 0, 0, 0))
    while True:
        message, fds, _, _ = socket.recv_fds(orders, 8, 2)
        if not message:
            return None
        order, forked = Order(fds[1]), time.monotonic_ns()
        told, tell = os.pipe()
        if (child := os.fork()) == 0:
            middle = os.getpid()
            if os.fork() != 0:
                os._exit(0)
            step, errno = become_worker(order, fds[0], middle)
            os.write(tell, ANSWER.pack(*struct.unpack("<Q", message), 0 if errno else os.getpid(),
                                       step, errno, 0, forked))
            if errno:
                os._exit(1)
            for fd in (told, tell, *fds):
                os.close(fd)
            orders.close()
            return order
        os.close(tell)
        answer = os.read(told, ANSWER.size)
        os.waitpid(child, 0)
        for fd in (told, *fds):
            os.close(fd)
        orders.send(answer)


def describe(order):
    return json.dumps({
        "pid": os.getpid(), "keeper": os.getppid() == order.keeper, "cwd": os.getcwd(),
        "setup": order.setup.decode(), "path": os.environ.get("PYTHONPATH", ""),
        "mine": os.environ.get("MINE", ""), "server": SERVER})


def work(order):
    """A worker's session, until it ends."""
    os.environb.clear()
    os.environb.update(item.split(b"=", 1) for item in order.env)
    channel = grpc.insecure_channel(os.environ["KILN_ADDRESS"])
    connect = channel.stream_stream("/kiln.v1.Sessions/Connect",
                                    request_serializer=session_pb2.PeerBatch.SerializeToString,
                                    response_deserializer=session_pb2.HeadBatch.FromString)
    outgoing, functions = queue.SimpleQueue(), {}

    def send(**kind):
        outgoing.put(session_pb2.PeerBatch(frames=[session_pb2.PeerFrame(**kind)]))

    send(hello=session_pb2.Hello(protocol_version=1, kind=session_pb2.Hello.KIND_WORKER,
                                 language="python", pid=os.getpid(),
                                 worker_id=int(os.environ["KILN_WORKER"])))
    for batch in connect(iter(outgoing.get, None)):
        for frame in batch.frames:
            kind = frame.WhichOneof("frame")
            if kind == "task_class":
                functions[frame.task_class.class_id] = frame.task_class.function
            elif kind == "run":
                known = functions[frame.run.class_id].endswith("describe")
                result = values.text(describe(order) if known else "no such function")
                send(finished=session_pb2.Finished(
                    task_id=frame.run.task_id, results=[task_pb2.TaskResult(value=result)]))
            elif kind == "goodbye":
                os._exit(0)


if __name__ == "__main__":
    if "BROKEN" in os.environ:
        sys.exit("ModuleNotFoundError: No module named 'numpie'")
    sys.path.insert(0, os.environ["STUBS"])
    import grpc
    from kiln.v1 import session_pb2, task_pb2
    SERVER = os.getpid()
    ordered = serve()
    if ordered:
        work(ordered)
