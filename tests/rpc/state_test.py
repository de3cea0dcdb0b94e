"""Status, lists with filters, health and reflection, and stopping the head."""

import os
import unittest

import grpc
from head import SOURCE, TIMEOUT_S, Head, HeadTest, state_pb2, wait_until

Code = grpc.StatusCode


def raw(channel, method, streaming=False):
    """A method whose messages are bytes, for services whose proto files are not kiln's."""
    kind = channel.stream_stream if streaming else channel.unary_unary
    return kind(method, request_serializer=bytes, response_deserializer=bytes)


class State(HeadTest):
    ARGS = ("--object-store-memory", "64MiB", "--resources", '{"disk": 2}')

    def tearDown(self):
        self.head.wait_until_empty()

    def list(self, what, *filters, limit=0):
        method = getattr(self.head.state, "List" + what.capitalize())
        return method(state_pb2.ListRequest(filters=filters, limit=limit), timeout=TIMEOUT_S)

    def test_the_status_says_what_the_head_has(self):
        status = self.head.status()
        self.assertEqual(status.pid, self.head.info["pid"])
        self.assertEqual(status.address, self.head.info["address"])
        self.assertEqual(status.session_dir, self.head.session_dir)
        self.assertEqual(status.tcp_address, "")
        self.assertEqual(status.store_capacity_bytes, 64 << 20)
        self.assertEqual(status.total.num_cpus, 2)
        self.assertEqual(dict(status.total.custom), {"disk": 2})
        wait_until(lambda: self.head.status().workers == 2, "both workers are up")
        self.assertEqual(list(status.worker_failures), [])

    def test_running_tasks_and_their_resources_are_counted(self):
        before = self.head.status()
        refs = [self.head.start("Sleep", 60) for _ in range(3)]
        wait_until(lambda: self.head.status().used.num_cpus == 2, "two run")
        status = self.head.status()
        self.assertEqual(status.tasks_running + status.tasks_ready, 3)
        for ref in refs:
            self.head.cancel(ref)
        self.head.wait(refs, num_returns=3)
        after = self.head.status()
        self.assertEqual((after.tasks_finished - before.tasks_finished,
                          after.tasks_failed - before.tasks_failed), (3, 3))
        self.head.release(*refs)

    def test_tasks_are_listed_newest_first_and_filtered(self):
        refs = [self.head.start("Add", i, i, name=f"add-{i % 2}") for i in range(6)]
        self.head.wait(refs, num_returns=6)
        listed = [task.id for task in self.list("tasks").tasks if task.name.startswith("add-")]
        self.assertEqual(set(listed), set(refs))
        odd = self.list("tasks", "name=add-1", "state=finished")
        self.assertEqual({task.id for task in odd.tasks}, {refs[1], refs[3], refs[5]})
        limited = self.list("tasks", "name=ADD-1", limit=2)
        self.assertEqual((len(limited.tasks), limited.total), (2, 3))
        rest = self.list("tasks", "name!=add-1", "name!=add-0")
        self.assertTrue(all(not task.name.startswith("add-") for task in rest.tasks))
        self.head.release(*refs)

    def test_objects_are_listed_largest_first(self):
        small, large = self.head.put(b"1"), self.head.put(b'"' + b"x" * 100_000 + b'"')
        listed = self.list("objects").objects
        self.assertEqual([info.ref for info in listed], [large, small])
        self.assertEqual([info.in_store for info in listed], [True, False])
        self.assertGreater(listed[0].size_bytes, 100_000)
        self.assertEqual([info.ref for info in self.list("objects", "in_store=false").objects],
                         [small])
        self.head.release(small, large)

    def test_workers_and_sessions_are_listed(self):
        wait_until(lambda: len(self.list("workers", "state=idle").workers) == 2, "both are idle")
        workers = self.list("workers").workers
        sessions = self.list("sessions", "kind=worker").sessions
        self.assertEqual({worker.pid for worker in workers}, {session.pid for session in sessions})
        for worker in workers:
            self.assertEqual(os.path.basename(worker.program), "kiln-worker")
            os.kill(worker.pid, 0)
        self.assertEqual({session.transport for session in sessions},
                         {os.environ.get("KILN_TRANSPORT", "shm")})

    def test_an_unknown_column_names_those_there_are(self):
        for what, column in [("tasks", "worker_pid"), ("objects", "size_bytes"),
                             ("workers", "state"), ("sessions", "language")]:
            for text in ("colour=red", "name", "=x", ""):
                if what == "tasks" and text == "name":
                    continue
                with self.refused(Code.INVALID_ARGUMENT, "COLUMN=VALUE", column):
                    self.list(what, text)

    def test_the_health_service_answers(self):
        check = raw(self.head.channel, "/grpc.health.v1.Health/Check")
        serving = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
        self.assertEqual(check(b"", timeout=TIMEOUT_S), serving)
        for service in ("Sessions", "Tasks", "Objects", "Jobs", "State"):
            name = f"kiln.v1.{service}".encode()
            self.assertEqual(check(b"\x0a" + bytes([len(name)]) + name, timeout=TIMEOUT_S), serving)
        with self.refused(Code.NOT_FOUND):
            check(b"\x0a\x01x", timeout=TIMEOUT_S)

    def test_reflection_tells_the_services_and_their_files(self):
        ask = raw(self.head.channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                  streaming=True)
        every = b"\x3a\x01*"  # ServerReflectionRequest{list_services: "*"}
        symbol = b"kiln.v1.Objects.Put"  # {file_containing_symbol: ..}
        services, files = ask(iter([every, b"\x22" + bytes([len(symbol)]) + symbol]),
                              timeout=TIMEOUT_S)
        for service in ("Sessions", "Tasks", "Objects", "Jobs", "State"):
            self.assertIn(f"kiln.v1.{service}".encode(), services)
        self.assertIn(b"kiln/v1/object.proto", files)
        self.assertIn(b"ttl_ms", files)

    def test_an_unknown_method_is_unimplemented(self):
        with self.refused(Code.UNIMPLEMENTED):
            raw(self.head.channel, "/kiln.v1.Tasks/Dance")(b"", timeout=TIMEOUT_S)

    def test_a_request_that_is_no_protobuf_is_refused(self):
        for method in ("Tasks/Run", "Objects/Wait", "Jobs/SubmitJob", "State/GetStatus"):
            with self.assertRaises(grpc.RpcError) as caught:
                raw(self.head.channel, f"/kiln.v1.{method}")(b"\xff" * 7, timeout=TIMEOUT_S)
            # gRPC's own answer; which one depends on the kind of the method.
            self.assertIn(caught.exception.code(), (Code.INTERNAL, Code.UNIMPLEMENTED), method)

    def test_every_method_of_the_proto_files_is_there(self):
        for path in (SOURCE / "proto/kiln/v1").glob("*.proto"):
            service = ""
            for line in path.read_text().splitlines():
                words = line.split()
                service = words[1] if words[:1] == ["service"] else service
                if words[:1] != ["rpc"] or "stream" in line or "rpc Stop(" in line:
                    continue
                name = f"/kiln.v1.{service}/{words[1].split('(')[0]}"
                try:
                    raw(self.head.channel, name)(b"", timeout=TIMEOUT_S)
                except grpc.RpcError as error:
                    self.assertNotEqual(error.code(), Code.UNIMPLEMENTED, name)


class Stop(unittest.TestCase):
    def test_stop_says_what_it_ends_and_the_head_is_gone(self):
        head = Head("--object-store-memory", "16MiB")
        self.addCleanup(head.close)
        refs = [head.start("Sleep", 60) for _ in range(3)]
        wait_until(lambda: head.status().tasks_running >= 2, "two run")
        answer = head.state.Stop(state_pb2.StopRequest(grace_ms=2**63 - 1), timeout=TIMEOUT_S)
        self.assertEqual(answer.pid, head.info["pid"])
        self.assertEqual((answer.workers, answer.jobs), (2, 0))
        self.assertEqual(answer.tasks_queued + answer.tasks_running, len(refs))
        wait_until(lambda: not os.path.exists(f"/proc/{answer.pid}"), "the head has ended")
        self.assertFalse(os.path.exists(os.path.join(head.session_dir, "head.sock")))


if __name__ == "__main__":
    unittest.main()
