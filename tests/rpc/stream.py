"""The session stream spoken by hand: frames in, frames out, no library in between."""

import collections
import queue

import grpc
from head import EXAMPLES, TIMEOUT_S, session_pb2, task_pb2

DRIVER = session_pb2.Hello.KIND_DRIVER
WORKER = session_pb2.Hello.KIND_WORKER


def frame(**kind):
    """A PeerFrame of the named kind: frame(put=session_pb2.Put(..))."""
    return session_pb2.PeerFrame(**kind)


def hello(**changes):
    fields = {"protocol_version": 1, "kind": DRIVER, "language": "by hand", "pid": 1}
    return frame(hello=session_pb2.Hello(**(fields | changes)))


class Stream:
    """One stream to the head; a session once `greet` has been called."""

    def __init__(self, head, timeout_s=TIMEOUT_S):
        connect = head.channel.stream_stream(
            "/kiln.v1.Sessions/Connect",
            request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
            response_deserializer=session_pb2.HeadBatch.FromString)
        self._outgoing = queue.SimpleQueue()
        self._call = connect(iter(self._outgoing.get, None), timeout=timeout_s)
        self._incoming = collections.deque()
        self._sequence = 0
        self.welcome = None

    # --- sending --------------------------------------------------------------------------------

    def send(self, *frames):
        self.send_message(session_pb2.PeerBatch(frames=frames))

    def send_message(self, message):
        """A batch, or bytes that may be none."""
        self._outgoing.put(message)

    def send_end(self):
        """Says that no more frames come."""
        self._outgoing.put(None)

    def cancel(self):
        self._call.cancel()
        self.send_end()  # ends the thread that sends

    def greet(self, **changes):
        self.send(hello(**changes))
        self.welcome = self.next("welcome")
        return self

    def new_id(self, count=1):
        self._sequence += count
        return self.welcome.session_number << 40 | (self._sequence - count + 1)

    def define(self, class_id, function, library=EXAMPLES, **options):
        self.send(frame(task_class=task_pb2.TaskClass(class_id=class_id, library=library,
                                                      function=function, **options)))

    def submit(self, class_id, *args, refs=()):
        """Submits a task whose arguments are encoded values, then `refs`. Returns: its id."""
        task = self.new_id()
        arguments = [task_pb2.Arg(value=arg) for arg in args]
        arguments += [task_pb2.Arg(ref_index=i) for i in range(len(refs))]
        self.send(frame(submit=session_pb2.Submit(
            task_id=task, class_id=class_id, refs=refs,
            args=task_pb2.ArgList(args=arguments).SerializeToString())))
        return task

    def put(self, value, contained=()):
        object_id = self.new_id()
        self.send(frame(put=session_pb2.Put(id=object_id, value=value, contained=contained)))
        return object_id

    def want(self, *ids, values=True):
        self.send(frame(want=session_pb2.Want(ids=ids, values=values)))

    # --- receiving ------------------------------------------------------------------------------

    def next(self, kind=None):
        """The next frame of this kind (of any: the frame itself); others are passed over."""
        while True:
            while not self._incoming:
                self._incoming.extend(next(self._call).frames)
            answer = self._incoming.popleft()
            if kind is None:
                return answer
            if answer.WhichOneof("frame") == kind:
                return getattr(answer, kind)

    def value(self, object_id):
        """Wants one object. Returns: its ObjectValue."""
        self.want(object_id)
        while True:
            answer = self.next("object")
            if answer.id == object_id:
                return answer

    def end(self):
        """Reads until the head ends the stream. Returns: its status code and message."""
        try:
            for _ in self._call:
                pass
        except grpc.RpcError:
            pass
        self.send_end()
        return self._call.code(), self._call.details()
