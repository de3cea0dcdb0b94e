"""Heads and drivers of their own for tests of the Python package.

Run by ctest, or one file by hand:
  PYTHONPATH=build/python /usr/bin/python3 tests/python/api_test.py -v [-k wait]
Everything a test starts has the path of its directory in its environment, and is looked for at the
end: a process or a file that is left fails the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import kiln
from kiln import _kiln

TIMEOUT_S = 60
END_S = 15
KILN = _kiln.find_binary("kiln")
PACKAGE = str(Path(kiln.__file__).parent.parent)

# Else a shell that has put the tests in the background would have them ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_until(predicate: Callable[[], Any], what: str, timeout_s: float = END_S) -> Any:
    """The first true value of `predicate`; fails if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """True until the process has ended, zombies excepted."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Done(NamedTuple):
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str


class Place:
    """A directory, and an environment in which no other head is found."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="kiln-python-"))
        self.runtime = self.root / "run"  # heads of drivers live here
        self.work = self.root / "work"  # scripts live here
        self.session_dir = self.root / "head"
        self.runtime.mkdir()
        self.work.mkdir()
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("KILN_") or name == "KILN_HEAD_BINARY"}
        self.mark = f"KILN_PYTHON_TEST={self.root}"
        self.env = {
            **kept, "KILN_PYTHON_TEST": str(self.root), "PYTHONPATH": PACKAGE,
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default",
            "HOME": str(self.work), "TMPDIR": str(self.runtime), "XDG_RUNTIME_DIR": str(self.runtime)}

    # --- heads ------------------------------------------------------------------------------------

    def start_head(self, *args: str) -> dict[str, Any]:
        """Starts a head, which scripts of this place then join."""
        self.env["KILN_SESSION_DIR"] = str(self.session_dir)
        info: dict[str, Any] = json.loads(
            self.kiln("start", "--head", "--num-cpus", "2", "--json",
                      *(args or ("--object-store-memory", "256MiB"))))
        return info

    def kiln(self, *args: str) -> str:
        """What the command `kiln` prints."""
        done = subprocess.run([KILN, *args], env=self.env, capture_output=True, text=True,
                              timeout=TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise AssertionError(f"kiln {' '.join(args)}: {done.stderr}")
        return done.stdout

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.kiln("status", "--json"))
        return status

    def holdings(self) -> dict[str, Any]:
        """What the head holds for drivers; all of it is 0 when there is none."""
        status = self.status()
        return {name: status[name] for name in ("objects", "store_used_bytes", "tasks_waiting",
                                                "tasks_ready", "tasks_running", "drivers")}

    # --- drivers ----------------------------------------------------------------------------------

    def start(self, text: str, *args: str, name: str = "script.py", **options: Any
              ) -> subprocess.Popen[str]:
        """Starts a program of this text in a process group of its own, in the directory `work`."""
        script = self.work / name
        script.write_text(textwrap.dedent(text), encoding="utf-8")
        return self.start_python(str(script), *args, **options)

    def start_python(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        options = {"cwd": self.work, "stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen([sys.executable, *args], env={**self.env, **options.pop("env", {})},
                                text=True, errors="replace", stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, start_new_session=True, **options)

    def run(self, text: str, *args: str, timeout_s: float = TIMEOUT_S, **options: Any) -> Done:
        """Runs a program to its end."""
        return self.finish(self.start(text, *args, **options), timeout_s)

    def finish(self, process: subprocess.Popen[str], timeout_s: float = TIMEOUT_S,
               text: str | None = None) -> Done:
        """Waits for a program; one that takes too long is killed, and fails the test."""
        try:
            stdout, stderr = process.communicate(text, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGABRT)
            stdout, stderr = process.communicate()
            raise AssertionError(
                f"it still ran after {timeout_s} s\n{stdout[-2000:]}\n{stderr[-4000:]}") from None
        return Done(process.returncode, stdout, stderr)

    # --- what is left -----------------------------------------------------------------------------

    def processes(self) -> dict[int, str]:
        """The processes that were started here, and theirs: command lines by pid."""
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (directory / "environ").read_bytes().split(b"\0"):
                    line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(directory.name)] = line
            except OSError:  # it has ended, or belongs to somebody else
                continue
        found.pop(os.getpid(), None)
        return {pid: line for pid, line in found.items() if line}  # a zombie has none

    def files(self) -> list[str]:
        return [str(path) for path in self.runtime.rglob("*")
                if path != self.runtime / "kiln"]  # the directory of all heads of a user stays

    def close(self) -> None:
        """Ends everything. Fails if a process or file was left that should have ended by itself."""
        left = ""
        try:
            if "KILN_SESSION_DIR" in self.env:
                subprocess.run([KILN, "stop", "--force"], env=self.env, capture_output=True,
                               timeout=TIMEOUT_S, check=False)
            try:
                wait_until(lambda: not self.processes() and not self.files(), "nothing is left")
            except AssertionError:
                left = f"left over: {self.processes()} {self.files()}"
        finally:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.root, ignore_errors=True)
        if left:
            raise AssertionError(left)


class PlaceCase(unittest.TestCase):
    """Each test has a place of its own."""

    def setUp(self) -> None:
        self.place = Place()
        self.addCleanup(self.place.close)

    def check_run(self, text: str, *args: str, **options: Any) -> str:
        """Runs a program that must end well; returns what it printed."""
        done = self.place.run(text, *args, **options)
        self.assertEqual(done.code, 0, done.stderr + done.stdout)
        return done.stdout


class SharedPlaceCase(unittest.TestCase):
    """One head for all tests of the class, joined by scripts."""

    place: Place

    @classmethod
    def setUpClass(cls) -> None:
        cls.place = Place()
        cls.addClassCleanup(cls.place.close)
        cls.place.start_head()

    def check_run(self, text: str, *args: str, **options: Any) -> str:
        """Runs a program that must end well; returns what it printed."""
        done = self.place.run(text, *args, **options)
        self.assertEqual(done.code, 0, done.stderr + done.stdout)
        return done.stdout


class DriverCase(unittest.TestCase):
    """This process is the driver, of one head for all tests of the class."""

    place: Place
    HEAD_ARGS: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls) -> None:
        cls.place = Place()
        cls.addClassCleanup(cls.place.close)
        cls.place.start_head(*cls.HEAD_ARGS)
        cls.addClassCleanup(cls._end)
        mark = cls.place.mark.partition("=")[2]
        os.environ["KILN_PYTHON_TEST"] = mark  # for the workers, which get this environment
        kiln.init(str(cls.place.session_dir))

    @classmethod
    def _end(cls) -> None:
        kiln.shutdown()
        os.environ.pop("KILN_PYTHON_TEST", None)
        wait_until(lambda: not any(cls.place.holdings().values()),
                   f"the head is empty: {cls.place.holdings()}")
