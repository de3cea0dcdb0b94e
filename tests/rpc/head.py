"""A head of its own for each test class, and stubs made from the proto files alone.

Run by ctest, or one file by hand:
  KILN_BIN_DIR=build/bin KILN_LIB_DIR=build/lib /usr/bin/python3 tests/rpc/tasks_test.py -v
Nothing of kiln's is imported: what these tests can do, any gRPC client in any language can.
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import grpc

BIN = Path(os.environ.get("KILN_BIN_DIR", "build/bin")).resolve()
LIB = Path(os.environ.get("KILN_LIB_DIR", "build/lib")).resolve()
SOURCE = Path(__file__).resolve().parents[2]
KILN = str(BIN / "kiln")
EXAMPLES = str(LIB / "libkiln_examples.so")
TIMEOUT_S = 30


def _make_stubs():
    """Compiles proto/kiln/v1 into a temporary directory and makes it importable."""
    directory = tempfile.mkdtemp(prefix="kiln-stubs-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    protos = sorted(str(path) for path in (SOURCE / "proto/kiln/v1").glob("*.proto"))
    subprocess.run(["protoc", f"-I{SOURCE / 'proto'}", f"--python_out={directory}",
                    f"--grpc_python_out={directory}",
                    "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin", *protos],
                   check=True)
    sys.path.insert(0, directory)
    return directory


STUBS = _make_stubs()

from kiln.v1 import (actor_pb2, group_pb2, job_pb2, object_pb2, session_pb2,  # noqa: E402
                     state_pb2, stream_pb2, task_pb2)
from kiln.v1 import (actor_pb2_grpc, job_pb2_grpc, object_pb2_grpc,  # noqa: E402
                     state_pb2_grpc, task_pb2_grpc)

JSON, BYTES, VALUE = object_pb2.ENCODING_JSON, object_pb2.ENCODING_BYTES, object_pb2.ENCODING_VALUE


def wait_until(predicate, what, timeout_s=TIMEOUT_S):
    """Returns the first true value of `predicate`; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = predicate()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def clean_environment():
    """The environment without anything that could lead to another head."""
    return {k: v for k, v in os.environ.items()
            if k == "KILN_HEAD_BINARY" or not k.startswith("KILN_")}


class Head:
    """A running head and the stubs of its services over its unix socket."""

    def __init__(self, *args, env=None):
        self.root = tempfile.mkdtemp(prefix="kiln-rpc-")
        self.session_dir = os.path.join(self.root, "head")
        self.env = {**clean_environment(), **(env or {}), "KILN_SESSION_DIR": self.session_dir}
        try:
            started = self.run("start", "--head", "--num-cpus", "2", "--json", *args)
            if started.returncode != 0:
                raise AssertionError(f"kiln start: {started.stderr}")
        except BaseException:
            shutil.rmtree(self.root, ignore_errors=True)
            raise
        self.info = json.loads(started.stdout)
        self.open(grpc.insecure_channel(self.info["address"]))

    def open(self, channel):
        self.channel = channel
        self.tasks = task_pb2_grpc.TasksStub(channel)
        self.objects = object_pb2_grpc.ObjectsStub(channel)
        self.jobs = job_pb2_grpc.JobsStub(channel)
        self.actors = actor_pb2_grpc.ActorsStub(channel)
        self.state = state_pb2_grpc.StateStub(channel)

    def run(self, *args):
        return subprocess.run([KILN, *args], env=self.env, capture_output=True, text=True,
                              timeout=TIMEOUT_S)

    def close(self):
        self.channel.close()
        if not os.path.exists(f"/proc/{self.info['pid']}"):
            for log in ("head.err", "head.log"):
                with open(os.path.join(self.session_dir, "logs", log), errors="replace") as lines:
                    print(f"--- {log}:", *lines.readlines()[-15:], sep="\n", file=sys.stderr)
        self.run("stop", "--force")

        def removed():
            shutil.rmtree(self.root, ignore_errors=True)
            return not os.path.exists(self.root)

        wait_until(removed, f"{self.root} is removed")

    # --- what most tests do ---------------------------------------------------------------------

    def task(self, function, *args, library=EXAMPLES, ttl_ms=0, **options):
        """Runs a task with JSON arguments; returns the refs of its results."""
        request = task_pb2.RunRequest(library=library, function=function, ttl_ms=ttl_ms,
                                      json_args=[json.dumps(arg) for arg in args])
        if options:
            options.setdefault("max_retries", 3)
            request.options.CopyFrom(task_pb2.TaskClass(**options))
        return list(self.tasks.Run(request, timeout=TIMEOUT_S).refs)

    def start(self, function, *args, **options):
        """As `task`, for one result."""
        [ref] = self.task(function, *args, **options)
        return ref

    def put(self, data, encoding=JSON, ttl_ms=0, size_bytes=0, chunk=1 << 20):
        """Stores a value in chunks; returns its ref."""

        def parts():
            for offset in range(0, max(len(data), 1), chunk):
                yield object_pb2.PutRequest(encoding=encoding, ttl_ms=ttl_ms, size_bytes=size_bytes,
                                            data=data[offset:offset + chunk])

        return self.objects.Put(parts(), timeout=TIMEOUT_S).ref

    def get(self, ref, encoding=JSON, timeout_ms=TIMEOUT_S * 1000):
        """Returns the bytes of an object; fails the test if it is an error."""
        parts = list(self.stream(ref, encoding, timeout_ms))
        if parts[0].HasField("error"):
            raise AssertionError(f"{ref} is an error: {parts[0].error}")
        data = b"".join(part.data for part in parts)
        if len(data) != parts[0].size_bytes:
            raise AssertionError(f"{len(data)} bytes came, {parts[0].size_bytes} were announced")
        return data

    def result(self, ref):
        """The object as JSON says it."""
        return json.loads(self.get(ref))

    def error(self, ref):
        """The TaskFailure that the object is."""
        [part] = self.stream(ref, JSON, TIMEOUT_S * 1000)
        if not part.HasField("error"):
            raise AssertionError(f"{ref} is no error but {part.data[:200]}")
        return part.error

    def stream(self, ref, encoding, timeout_ms):
        return self.objects.Get(
            object_pb2.GetRequest(ref=ref, encoding=encoding, timeout_ms=timeout_ms),
            timeout=TIMEOUT_S)

    def wait(self, refs, num_returns=1, timeout_ms=TIMEOUT_S * 1000):
        return self.objects.Wait(object_pb2.WaitRequest(refs=refs, num_returns=num_returns,
                                                        timeout_ms=timeout_ms), timeout=TIMEOUT_S)

    def release(self, *refs):
        self.objects.Release(object_pb2.ReleaseRequest(refs=refs), timeout=TIMEOUT_S)

    def contains(self, *refs):
        return self.objects.Contains(object_pb2.ContainsRequest(refs=refs), timeout=TIMEOUT_S)

    def knows(self, ref):
        return ref in self.contains(ref).known

    def cancel(self, ref, force=False):
        answer = self.tasks.Cancel(task_pb2.CancelRequest(ref=ref, force=force), timeout=TIMEOUT_S)
        return task_pb2.CancelResponse.Outcome.Name(answer.outcome)

    def status(self):
        return self.state.GetStatus(state_pb2.GetStatusRequest(), timeout=TIMEOUT_S)

    def task_info(self, ref):
        return self.state.ListTasks(state_pb2.ListRequest(filters=[f"id={ref}"])).tasks[0]

    def wait_until_running(self, ref):
        wait_until(lambda: self.task_info(ref).worker_pid != 0, f"task {ref} runs")

    def holdings(self):
        """What the head holds for others; all of it is 0 when nobody holds anything."""
        status = self.status()
        return {name: getattr(status, name)
                for name in ("objects", "store_used_bytes", "tasks_waiting", "tasks_ready",
                             "tasks_running", "queued_bytes", "drivers", "jobs_active",
                             "workers_blocked")} | {"num_cpus": status.used.num_cpus}

    def wait_until_empty(self):
        try:
            wait_until(lambda: not any(self.holdings().values()), "the head is empty", 10)
        except AssertionError:
            objects = self.state.ListObjects(state_pb2.ListRequest(limit=5)).objects
            raise AssertionError(f"the head still holds {self.holdings()}: {objects}") from None


class HeadTest(unittest.TestCase):
    """A head for all tests of the class; each test leaves it empty."""

    ARGS = ("--object-store-memory", "64MiB")

    @classmethod
    def setUpClass(cls):
        cls.head = Head(*cls.ARGS)
        cls.addClassCleanup(cls.head.close)

    def refused(self, code, *words):
        """A context that expects an RPC error with this code and all these words in its message."""
        return _Refused(self, code, words)


class _Refused:
    def __init__(self, test, code, words):
        self.test, self.code, self.words = test, code, words

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.test.assertIsNotNone(error, f"no error came, {self.code} was due")
        if not isinstance(error, grpc.RpcError):
            return False
        self.test.assertEqual(error.code(), self.code, error.details())
        for word in self.words:
            self.test.assertIn(word, error.details())
        return True
