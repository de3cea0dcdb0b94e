"""A peer over rings in shared memory, written from docs/wire.md, "Rings", and from nothing else.

Python cannot order stores itself. On x86-64 a barrier is any system call or atomic instruction in
between; the futex call of `barrier` is one.
"""

import array
import ctypes
import mmap
import os
import select
import socket
import struct

from head import TIMEOUT_S, session_pb2, wait_until
from stream import DRIVER, hello

HEADER_BYTES, RING_BYTES, MAX_RECORD_BYTES = 4096, 262144, 65536
TO_PEER_TAIL, TO_HEAD_HEAD, HEAD_WANTS_ROOM = 64, 128, 192
TO_HEAD_TAIL, TO_PEER_HEAD, HEAD_BELL, PEER_BELL = 256, 320, 384, 448
TO_HEAD, TO_PEER = HEADER_BYTES, HEADER_BYTES + RING_BYTES
LAST, PART, SKIP = 0, 1, 2
AWAKE, PARKED, UNATTENDED = 0, 1, 2

_LIBC = ctypes.CDLL(None)
_word = ctypes.c_uint32(0)


def barrier():
    """A full barrier: a system call that takes a lock of the kernel's (FUTEX_WAKE of nobody)."""
    _LIBC.syscall(202, ctypes.byref(_word), 1, 0, None, None, 0)


class Rings:
    """One connection to a head's rings.sock; a session once `greet` has been called."""

    def __init__(self, head):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(os.path.join(head.session_dir, "rings.sock"))
        data, ancillary, _, _ = self.socket.recvmsg(8, socket.CMSG_SPACE(2 * 4))
        if len(data) != 8 or not ancillary:
            raise ConnectionError("the head has refused")
        [(_, _, packed)] = ancillary
        fds = array.array("i")
        fds.frombytes(packed)
        self.rings_fd, self.store_fd = fds
        ticket = struct.unpack("<Q", data)[0]
        self.store_bytes, self.store_is_huge = ticket & ~4095, bool(ticket & 1)
        self.memory = mmap.mmap(self.rings_fd, HEADER_BYTES + 2 * RING_BYTES)
        self.tail = self.head = 0
        self.parts = b""
        self.number, self._sequence, self.welcome = None, 0, None

    # --- the first page -------------------------------------------------------------------------

    # By ctypes, whose accesses are one instruction: struct reads and writes byte by byte.

    def position(self, offset):
        return ctypes.c_uint64.from_buffer(self.memory, offset).value

    def set_position(self, offset, value):
        ctypes.c_uint64.from_buffer(self.memory, offset).value = value % 2**64

    def word(self, offset):
        return ctypes.c_uint32.from_buffer(self.memory, offset).value

    def set_word(self, offset, value):
        ctypes.c_uint32.from_buffer(self.memory, offset).value = value

    # --- writing --------------------------------------------------------------------------------

    def room(self):
        return RING_BYTES - (self.tail - self.position(TO_HEAD_HEAD))

    def put_record(self, data, kind):
        """Writes a record; not published yet. Returns False if there is no room."""
        total = 8 + (len(data) + 7) // 8 * 8
        at, skip = self.tail % RING_BYTES, 0
        if total > RING_BYTES - at:
            skip = RING_BYTES - at
        if self.room() < skip + total:
            return False
        if skip:
            struct.pack_into("<II", self.memory, TO_HEAD + at, skip - 8, SKIP)
            self.tail, at = self.tail + skip, 0
        struct.pack_into("<II", self.memory, TO_HEAD + at, len(data), kind)
        self.memory[TO_HEAD + at + 8:TO_HEAD + at + 8 + len(data)] = data
        self.tail += total
        return True

    def publish(self):
        self.set_position(TO_HEAD_TAIL, self.tail)
        self.ring()

    def ring(self):
        barrier()
        if self.word(HEAD_BELL) != AWAKE:
            self.set_word(HEAD_BELL, AWAKE)  # two bytes instead of one do no harm
            self.send_bytes(b"x")

    def send_bytes(self, data):
        try:
            self.socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass  # full of bytes that say the same

    def send(self, *frames):
        """Sends frames, or bytes that may be none. Raises ConnectionError when the head has ended."""
        for frame in frames:
            data = frame if isinstance(frame, bytes) else frame.SerializeToString()
            pieces = [data[i:i + MAX_RECORD_BYTES] for i in range(0, len(data), MAX_RECORD_BYTES)]
            for i, piece in enumerate(pieces or [b""]):
                kind = LAST if i + 1 >= len(pieces) else PART
                while not self.put_record(piece, kind):
                    self.publish()
                    if self.ended(0.001):
                        raise ConnectionError("the head has ended the session")
        self.publish()

    # --- reading --------------------------------------------------------------------------------

    def try_read(self):
        """Returns the next frame, or None."""
        while self.head != self.position(TO_PEER_TAIL):
            at = TO_PEER + self.head % RING_BYTES
            size, kind = struct.unpack_from("<II", self.memory, at)
            data = self.memory[at + 8:at + 8 + size] if kind != SKIP else b""
            self.head += 8 + (size + 7) // 8 * 8
            self.set_position(TO_PEER_HEAD, self.head)
            barrier()
            if self.word(HEAD_WANTS_ROOM):
                self.ring()
            self.parts += data
            if kind == LAST:
                data, self.parts = self.parts, b""
                return session_pb2.HeadFrame.FromString(data)
        return None

    def read(self):
        """Waits for a frame, asleep on the socket. Raises ConnectionError at the end."""
        while True:
            frame = self.try_read()
            if frame is not None:
                return frame
            self.set_word(PEER_BELL, UNATTENDED)
            barrier()
            if self.head == self.position(TO_PEER_TAIL):
                if self.socket.recv(64) == b"" and self.head == self.position(TO_PEER_TAIL):
                    raise ConnectionError("the head has ended the session")
            self.set_word(PEER_BELL, AWAKE)

    def read_object(self, object_id):
        """Waits for the inline value of an object; passes over everything else."""
        while True:
            frame = self.read()
            if frame.HasField("object") and frame.object.id == object_id:
                return frame.object.value

    def ended(self, timeout_s=0.0):
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(timeout_s * 1000))

    # --- the session ----------------------------------------------------------------------------

    def greet(self, **changes):
        self.send(hello(**(dict(kind=DRIVER, pid=os.getpid()) | changes)))
        self.welcome = self.read().welcome
        self.number = self.welcome.session_number
        return self.welcome

    def new_id(self, count=1):
        self._sequence += count
        return self.number << 40 | (self._sequence - count + 1)

    def goodbye(self):
        """Reads up to the head's last words."""
        while True:
            frame = self.read()
            if frame.HasField("goodbye"):
                wait_until(self.ended, "the socket ends after a goodbye")
                return frame.goodbye

    def close(self):
        self.socket.close()
        for fd in (self.rings_fd, self.store_fd):
            if fd is not None:
                os.close(fd)
        self.rings_fd = self.store_fd = None
