"""Programs whose workers are forks: a driver's own, and the head's Python host."""

import json
import os
import signal
import sys
import tempfile
import unittest
from pathlib import Path

import grpc
import head as heads
import values
from head import HeadTest, session_pb2, state_pb2, wait_until
from stream import Stream

Code = grpc.StatusCode
SERVER = Path(__file__).resolve().parent / "fork_server.py"
FORKS = [sys.executable, "-B", str(SERVER)]


class ForkTest(HeadTest):
    @classmethod
    def setUpClass(cls):
        # An interpreter for the head that is the fork server, whatever module it is to run.
        directory = tempfile.TemporaryDirectory(prefix="kiln-rpc-")
        cls.addClassCleanup(directory.cleanup)
        python = Path(directory.name) / "python"
        python.write_text(f"#!/bin/sh\nexec {' '.join(FORKS)} \"$@\"\n")
        python.chmod(0o700)
        cls.head = heads.Head(*cls.ARGS, env={"KILN_PYTHON": str(python), "STUBS": heads.STUBS})
        cls.addClassCleanup(cls.head.close)

    def tearDown(self):
        self.head.wait_until_empty()

    def workers(self, executable):
        rows = self.head.state.ListWorkers(state_pb2.ListRequest()).workers
        return [row for row in rows if row.program == executable]


class Drivers(ForkTest):
    def drive(self, setup="", **env):
        variables = {**self.head.env, "STUBS": heads.STUBS, **env}
        program = session_pb2.Program(
            executable=FORKS[0].encode(), args=[arg.encode() for arg in FORKS],
            env=[f"{name}={value}".encode() for name, value in variables.items()],
            working_dir=b"/usr", fork_server=True, setup=setup.encode())
        driver = Stream(self.head).greet(program=program)
        self.addCleanup(driver.cancel)
        driver.define(1, "module:describe", library="", max_retries=3)
        return driver

    def wait_until_ready(self):
        wait_until(lambda: [row.state for row in self.workers(FORKS[0])] == ["IDLE"] * 2,
                   "a worker for each CPU is idle")

    def run_one(self, driver):
        task = driver.submit(1)
        answer = driver.value(task)
        kind, body, _ = values.decode(answer.value)
        self.assertEqual(kind, values.MSGPACK, body)
        return json.loads(body[5:])

    def end(self, *drivers):
        for driver in drivers:
            driver.cancel()
        wait_until(lambda: not self.workers(FORKS[0]), "their workers have ended")

    def test_workers_are_ready_before_the_first_task(self):
        driver = self.drive()
        self.wait_until_ready()
        self.assertIn(self.run_one(driver)["pid"], [row.pid for row in self.workers(FORKS[0])])
        self.end(driver)

    def test_a_worker_is_a_fork_with_its_driver_s_setup(self):
        first, second = self.drive("first", MINE="1"), self.drive("second", MINE="1")
        one, two = self.run_one(first), self.run_one(second)
        for result, setup in ((one, "first"), (two, "second")):
            self.assertEqual((result["setup"], result["cwd"], result["mine"]), (setup, "/usr", "1"))
            self.assertTrue(result["keeper"])
            self.assertNotEqual(result["pid"], result["server"])
        self.assertEqual(one["server"], two["server"])
        self.end(first, second)

    def test_workers_survive_their_server_and_later_ones_have_another(self):
        driver = self.drive(MINE="2")
        self.wait_until_ready()
        before = self.run_one(driver)
        os.kill(before["server"], signal.SIGKILL)
        self.assertEqual(self.run_one(driver)["server"], before["server"])
        for row in self.workers(FORKS[0]):
            os.kill(row.pid, signal.SIGKILL)
        wait_until(lambda: self.run_one(driver)["server"] != before["server"], "another server")
        self.end(driver)

    def test_a_server_that_cannot_start_is_the_task_s_error(self):
        driver = self.drive(BROKEN="1")
        answer = driver.value(driver.submit(1))
        kind, body, _ = values.decode(answer.value)
        self.assertEqual(kind, values.ERROR)
        self.assertIn(b"ModuleNotFoundError: No module named 'numpie'", body)
        self.assertIn(b"fork server", body)
        self.end(driver)


@unittest.skipIf("KILN_TEST_SANITIZED" in os.environ, "Python is built without sanitizers")
class Python(ForkTest):
    def call(self, library, function="module:describe"):
        ref = self.head.start(function, library=library)
        result = json.loads(self.head.result(ref))
        self.head.release(ref)
        return result

    def test_a_python_library_is_run_by_the_head_s_host_told_its_root(self):
        one = self.call("python:/tmp/\u00e4")
        self.assertEqual(json.loads(one["setup"]), {"root": "/tmp/\u00e4"})
        self.assertEqual(one["cwd"], "/")
        self.assertTrue(one["path"].split(":")[0].endswith(("/python", "/dist-packages")))
        self.assertEqual(self.call("python:/tmp/\u00e4", "other:describe")["pid"], one["pid"])
        two = self.call("python:/usr")
        self.assertEqual(json.loads(two["setup"]), {"root": "/usr"})
        self.assertEqual(two["server"], one["server"])

    def test_what_is_no_library_is_refused_with_the_form_it_should_have(self):
        for library, word in (("python:", "python:/home/me"), ("python:lib", "python:/home/me"),
                              ("lib.so", "absolute"), ("perl:/lib", "absolute")):
            with self.refused(Code.INVALID_ARGUMENT, word):
                self.head.start("module:describe", library=library)
        with self.refused(Code.INVALID_ARGUMENT, "package.module:name"):
            self.head.start("describe", library="python:/lib")


if __name__ == "__main__":
    unittest.main()
