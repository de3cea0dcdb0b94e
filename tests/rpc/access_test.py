"""Who may connect: sockets of one user, TCP on loopback with a token, and nobody else."""

import os
import shutil
import socket
import stat
import struct
import tempfile
import unittest

import grpc
from head import EXAMPLES, TIMEOUT_S, HeadTest, state_pb2, state_pb2_grpc, task_pb2, task_pb2_grpc

Code = grpc.StatusCode
NOBODY = 65534


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


class UnixSocket(HeadTest):
    def test_directory_and_sockets_are_the_users_alone(self):
        directory = self.head.session_dir
        self.assertEqual(mode(directory), 0o700)
        for name in ("head.sock", "store.sock"):
            path = os.path.join(directory, name)
            self.assertTrue(stat.S_ISSOCK(os.lstat(path).st_mode))
            self.assertEqual(mode(path), 0o600)
        self.assertFalse(os.path.exists(os.path.join(directory, "token")))

    def test_no_tcp_port_is_open_unless_asked_for(self):
        self.assertEqual(self.head.status().tcp_address, "")
        listening = []
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            if not os.path.exists(table):
                continue
            with open(table) as lines:
                listening += [line.split()[9] for line in lines if line.split()[3] == "0A"]
        pid = self.head.info["pid"]
        held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        self.assertFalse({f"socket:[{inode}]" for inode in listening} & set(held))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_another_user_is_turned_away_from_both_sockets(self):
        # The modes are opened, so that only the check of the peer is left to stop it.
        paths = [self.head.root, self.head.session_dir,
                 *(os.path.join(self.head.session_dir, name) for name in ("head.sock", "store.sock"))]
        before = [mode(path) for path in paths]
        self.addCleanup(lambda: [os.chmod(*pair) for pair in zip(paths, before)])
        for path in paths:
            os.chmod(path, 0o777)
        for path in paths[2:]:
            for uid, answered in ((0, True), (NOBODY, False)):
                with self.subTest(path=os.path.basename(path), uid=uid):
                    self.assertEqual(self.stays_connected(path, uid), answered)
        self.assertEqual(self.head.status().pid, self.head.info["pid"])

    def stays_connected(self, path, uid):
        """Connects in a child as `uid`. Returns: false if the head hangs up at once."""
        child = os.fork()
        if child == 0:
            code = 2
            try:
                os.setgid(uid)
                os.setuid(uid)
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.settimeout(1)
                    peer.connect(path)
                    try:
                        # gRPC's server speaks first (its settings), the store waits for 8 bytes.
                        code = 0 if peer.recv(9) else 1
                    except TimeoutError:
                        code = 0
                    except ConnectionError:
                        code = 1
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        self.assertIn(code, (0, 1), "the child could not connect")
        return code == 0

    def test_a_wrong_cookie_gets_no_store(self):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(TIMEOUT_S)
            peer.connect(os.path.join(self.head.session_dir, "store.sock"))
            peer.sendall(struct.pack("<Q", 12345))
            self.assertEqual(peer.recv(8), b"")


class Tcp(HeadTest):
    ARGS = ("--object-store-memory", "16MiB", "--listen", "127.0.0.1:0")

    def setUp(self):
        self.channel = grpc.insecure_channel(self.head.info["tcp_address"])
        self.addCleanup(self.channel.close)
        self.state = state_pb2_grpc.StateStub(self.channel)
        with open(os.path.join(self.head.session_dir, "token")) as file:
            self.token = file.read()

    def status(self, *metadata):
        return self.state.GetStatus(state_pb2.GetStatusRequest(), metadata=metadata,
                                    timeout=TIMEOUT_S)

    def test_the_port_is_told_and_works_with_the_token(self):
        self.assertRegex(self.head.info["tcp_address"], r"^127\.0\.0\.1:[1-9][0-9]*$")
        status = self.status(("authorization", f"Bearer {self.token}"))
        self.assertEqual(status.tcp_address, self.head.info["tcp_address"])

    def test_the_token_is_the_users_alone_and_long(self):
        self.assertEqual(mode(os.path.join(self.head.session_dir, "token")), 0o600)
        self.assertRegex(self.token, r"^[0-9a-f]{64}$")

    def test_without_the_token_every_service_refuses(self):
        wrong = [(), (("authorization", self.token),), (("authorization", "Bearer "),),
                 (("authorization", "Bearer " + self.token[:-1]),),
                 (("authorization", "Bearer " + "0" * 64),), (("token", self.token),)]
        for metadata in wrong:
            with self.refused(Code.UNAUTHENTICATED, "KILN_TOKEN"):
                self.status(*metadata)
        for method in ("Tasks/Run", "Tasks/Cancel", "Objects/Wait", "Objects/Release",
                       "Objects/Contains", "Jobs/SubmitJob", "Jobs/StopJob", "Jobs/ListJobs",
                       "State/ListTasks", "State/Stop"):
            with self.refused(Code.UNAUTHENTICATED):
                self.channel.unary_unary(f"/kiln.v1.{method}")(b"", timeout=TIMEOUT_S)
        for method in ("Sessions/Connect", "Objects/Put", "Objects/Get", "Jobs/FollowLog"):
            with self.refused(Code.UNAUTHENTICATED):
                list(self.channel.stream_stream(f"/kiln.v1.{method}")(iter([b""]),
                                                                      timeout=TIMEOUT_S))

    def test_tasks_run_over_tcp(self):
        tasks = task_pb2_grpc.TasksStub(self.channel)
        ref = tasks.Run(task_pb2.RunRequest(library=EXAMPLES, function="Add", json_args=["1", "2"]),
                        metadata=(("authorization", f"Bearer {self.token}"),)).refs[0]
        self.assertEqual(self.head.result(ref), 3)
        self.head.release(ref)

    def test_a_port_that_is_taken_is_told(self):
        self.assert_refused(self.head.info["tcp_address"], "taken")

    def test_addresses_that_are_not_loopback_are_refused_with_the_reason(self):
        for listen, words in [("0.0.0.0:0", "not encrypted"), ("10.0.0.1:4711", "not encrypted"),
                              ("[::]:0", "127.0.0.1"), ("example.org:80", "HOST:PORT"),
                              ("127.0.0.1", "HOST:PORT"), (":0", "HOST:PORT"),
                              ("127.0.0.1:", "port"), ("127.0.0.1:http", "port"),
                              ("127.0.0.1:65536", "port")]:
            with self.subTest(listen=listen):
                self.assert_refused(listen, words)

    def assert_refused(self, listen, words):
        root = tempfile.mkdtemp(prefix="kiln-rpc-")
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        done = self.head.run("start", "--head", "--session-dir", os.path.join(root, "head"),
                             "--object-store-memory", "1MiB", "--listen", listen)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(listen, done.stderr)
        self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
