"""The command line against a real head: every command, every exit code, every mistake.

Run by ctest, or by hand:
  KILN_BIN_DIR=build/bin KILN_LIB_DIR=build/lib /usr/bin/python3 tests/cluster/cli_test.py -v
Each class has a head of its own in a temporary session directory and ends it.
"""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

BIN = Path(os.environ.get("KILN_BIN_DIR", "build/bin")).resolve()
LIB = Path(os.environ.get("KILN_LIB_DIR", "build/lib")).resolve()
KILN = str(BIN / "kiln")
EXAMPLES = str(LIB / "libkiln_examples.so")
TIMEOUT_S = 30
REF = re.compile(r"^[0-9a-f]{16}$")


def wait_until(predicate, what, timeout_s=TIMEOUT_S):
    """Returns the first true value of `predicate`; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = predicate()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class Base(unittest.TestCase):
    """A session directory, an environment that knows nothing else, and ways to call kiln."""

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="kiln-cli-")
        cls.addClassCleanup(cls.end)
        cls.session = os.path.join(cls.root, "head")
        cls.env = {k: v for k, v in os.environ.items() if not k.startswith("KILN_")}
        if "KILN_HEAD_BINARY" in os.environ:
            cls.env["KILN_HEAD_BINARY"] = os.environ["KILN_HEAD_BINARY"]
        cls.env["KILN_SESSION_DIR"] = cls.session
        cls.env["TERM"] = "xterm"
        cls.env.pop("NO_COLOR", None)

    @classmethod
    def end(cls):
        subprocess.run([KILN, "stop", "--force"], env=cls.env, capture_output=True, timeout=TIMEOUT_S)
        # What a killed head leaves behind may write its last lines just now.
        def removed():
            shutil.rmtree(cls.root, ignore_errors=True)
            return not os.path.exists(cls.root)

        wait_until(removed, f"{cls.root} is removed")

    def kiln(self, *args, code=0, stdin=b"", env=None, cwd=None):
        """Runs kiln to its end; returns what it printed as (stdout, stderr)."""
        done = subprocess.run([KILN, *map(str, args)], input=stdin, env={**self.env, **(env or {})},
                              cwd=cwd, capture_output=True, timeout=TIMEOUT_S)
        out, err = done.stdout, done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, f"kiln {args}\nstdout: {out[:2000]}\nstderr: {err}")
        try:
            out = out.decode()
        except UnicodeDecodeError:
            pass
        return out, err

    def out(self, *args, **kwargs):
        return self.kiln(*args, **kwargs)[0]

    def err(self, *args, code, **kwargs):
        """For mistakes: nothing on standard output, one clear error on the other."""
        out, err = self.kiln(*args, code=code, **kwargs)
        self.assertEqual(out, "")
        self.assertTrue(err.startswith("kiln: "), err)
        return err

    def json(self, *args, **kwargs):
        end = args.index("--") if "--" in args else len(args)
        return json.loads(self.out(*args[:end], "--json", *args[end:], **kwargs))

    def start(self, *args):
        return self.out("start", "--head", "--num-cpus", "2", "--object-store-memory", "64MiB", *args)

    def spawn(self, *args, **kwargs):
        """Runs kiln in a process group of its own, as a shell does in the foreground."""
        process = subprocess.Popen([KILN, *map(str, args)], env=self.env, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True, **kwargs)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

        self.addCleanup(end)
        return process

    def interrupt(self, process):
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
        return out.decode(), err.decode()

    def detached(self, function, *args):
        ref = self.out("run", "--detach", f"{EXAMPLES}:{function}", *args).strip()
        self.assertRegex(ref, REF)
        return ref

    def task_state(self, name):
        tasks = self.json("list", "tasks", "--filter", f"name={name}")["tasks"]
        return tasks[0]["state"] if tasks else None


class WithHead(Base):
    """A head for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start(cls())


class HelpAndMistakesTest(Base):
    COMMANDS = ["start", "stop", "status", "list", "submit", "job submit", "job list", "job status",
                "job logs", "job stop", "run", "put", "get", "wait", "cancel", "release",
                "microbenchmark"]

    def test_every_command_has_help_with_examples(self):
        for command in self.COMMANDS:
            with self.subTest(command):
                out = self.out(*command.split(), "--help")
                self.assertIn(f"Usage: kiln {command}", out)
                self.assertIn("Examples:\n  kiln ", out)
                self.assertIn("--json", out)

    def test_help_lists_commands_and_exit_codes(self):
        out = self.out("--help")
        for command in self.COMMANDS:
            self.assertIn(command.split()[0], out)
        for code in (0, 1, 2, 3, 124, 130, 141):
            self.assertRegex(out, rf"(?m)^  {code} ")

    def test_version(self):
        self.assertRegex(self.out("--version"), r"^kiln \d+\.\d+\.\d+\n$")

    def test_no_command_prints_help_and_is_a_mistake(self):
        out, err = self.kiln(code=2)
        self.assertEqual(out, "")
        self.assertIn("Exit codes:", err)

    def test_an_unknown_command_names_the_nearest(self):
        self.assertIn("kiln status", self.err("statsu", code=2))
        self.assertIn("kiln job submit", self.err("job", "submti", code=2))
        self.assertIn("kiln --help", self.err("xyzzy-plugh", code=2))

    def test_an_unknown_option_points_at_help(self):
        self.assertIn("kiln status --help", self.err("status", "--bogus", code=2))
        self.assertIn("--bogus", self.err("submit", "--bogus", "--", "true", code=2))
        self.assertIn("--detahc", self.err("run", f"{EXAMPLES}:Add", "1", "--detahc", code=2))

    def test_a_list_of_something_unknown_names_the_nearest(self):
        self.assertIn("'tasks'", self.err("list", "task", code=2))

    def test_without_a_head_every_command_says_how_to_start_one(self):
        ref = "0000000000000001"
        for args in (["status"], ["list", "tasks"], ["job", "list"], ["submit", "--", "true"],
                     ["put", "-"], ["get", ref], ["wait", ref], ["cancel", ref], ["release", ref],
                     ["run", f"{EXAMPLES}:Add", "1", "2"]):
            with self.subTest(args):
                self.assertIn("kiln start --head", self.err(*args, code=3))

    def test_an_address_where_nobody_answers_is_no_head(self):
        address = f"unix:{self.root}/nobody.sock"
        self.assertIn("kiln start --head", self.err("status", "--address", address, code=3))
        self.err("status", "--address", "127.0.0.1:1", code=3)

    def test_a_broken_address_is_a_mistake(self):
        self.err("status", "--address", "what", code=2)

    def test_errors_are_json_for_machines(self):
        for args, code in ((["status"], 3), (["get", "xyz"], 2), (["nonsense"], 2)):
            out, err = self.kiln(*args, "--json", code=code)
            self.assertEqual(out, "")
            error = json.loads(err)["error"]
            self.assertEqual(error["exit_code"], code)
            self.assertTrue(error["message"])

    def test_start_without_head_says_what_to_type(self):
        self.assertIn("kiln start --head", self.err("start", code=2))

    def test_start_refuses_what_it_cannot_read(self):
        for args, named in ((["--object-store-memory", "2Gx"], "2GiB"),
                            (["--object-store-memory", "-1"], "size"),
                            (["--num-cpus", "many"], "num-cpus"),
                            (["--num-cpus", "0"], "num-cpus"),
                            (["--resources", "{disk: 2}"], "column"),
                            (["--resources", "[1]"], "object"),
                            (["--resources", '{"disk": "x"}'], "disk"),
                            (["--log-level", "loud"], "log-level")):
            with self.subTest(args):
                self.assertIn(named, self.err("start", "--head", *args, code=2))


class StartStopTest(Base):
    def tearDown(self):
        self.kiln("stop", "--force")

    def test_start_prints_the_head_and_next_steps(self):
        out = self.start()
        for text in ("kiln started.", f"unix:{self.session}/head.sock", "64.0 MiB", "2 CPUs",
                     f"{self.session}/logs", "kiln run", "kiln submit", "kiln status", "kiln stop",
                     "kiln::Connect"):
            self.assertIn(text, out)
        self.assertEqual(self.json("status")["total"]["num_cpus"], 2)

    def test_next_steps_name_the_session_directory_that_was_given(self):
        other = os.path.join(self.root, "other")
        try:
            out = self.start("--session-dir", other)
            self.assertIn(f"kiln stop --session-dir {other}", out)
        finally:
            self.kiln("stop", "--session-dir", other)

    def test_start_for_machines_is_one_document(self):
        info = json.loads(self.start("--json", "--resources", '{"disk": 2}'))
        self.assertTrue(alive(info["pid"]))
        self.assertEqual(info["address"], f"unix:{self.session}/head.sock")
        self.assertEqual(self.json("status")["total"]["custom"], {"disk": 2})
        self.assertIn("0/2 disk", self.out("status"))

    def test_a_second_head_in_the_same_directory_is_refused_with_the_fix(self):
        self.start()
        err = self.err("start", "--head", code=1)
        self.assertIn("kiln stop", err)

    def test_a_directory_that_cannot_be_made_is_told(self):
        self.err("start", "--head", "--session-dir", "/proc/kiln", code=1)

    def test_a_missing_head_program_is_told(self):
        err = self.err("start", "--head", code=1, env={"KILN_HEAD_BINARY": "/nonexistent/kiln-head"})
        self.assertIn("KILN_HEAD_BINARY", err)

    def test_a_head_program_that_dies_without_a_word_is_told(self):
        err = self.err("start", "--head", code=1, env={"KILN_HEAD_BINARY": "/bin/false"})
        self.assertIn("without an answer", err)

    def test_only_loopback_is_listened_on(self):
        self.err("start", "--head", "--listen", "0.0.0.0:0", code=1)

    def test_stop_says_what_it_stopped_and_waits_for_the_end(self):
        pid = json.loads(self.start("--json"))["pid"]
        self.kiln("submit", "--no-wait", "--", "sleep", "60")
        wait_until(lambda: self.json("job", "status", "job-1")["pid"], "the job runs")
        out = self.out("stop", "--grace", "0.2")
        self.assertFalse(alive(pid))
        self.assertIn(f"pid {pid}", out)
        self.assertIn("2 workers", out)
        self.assertIn("1 job", out)
        self.assertFalse(os.path.exists(f"{self.session}/head.sock"))

    def test_stop_for_machines(self):
        pid = json.loads(self.start("--json"))["pid"]
        document = self.json("stop")
        self.assertEqual((document["stopped"], document["killed"], document["pid"]),
                         (True, False, pid))
        self.assertEqual(self.json("stop"), {"stopped": False})

    def test_stopping_nothing_says_so(self):
        self.assertIn("nothing to stop", self.out("stop"))
        self.assertIn("nothing to stop", self.out("stop", "--force"))
        self.assertIn("nothing to stop", self.out("stop", "--session-dir", f"{self.root}/none"))

    def test_a_hung_head_is_killed_by_force_only(self):
        pid = json.loads(self.start("--json"))["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            out = self.out("stop", "--force")
        finally:
            if alive(pid):
                os.kill(pid, signal.SIGCONT)
        self.assertIn("killed", out)
        self.assertFalse(alive(pid))
        self.assertIn("nothing to stop", self.out("stop"))

    def test_a_lock_file_that_nobody_holds_kills_nobody(self):
        os.makedirs(self.session, mode=0o700, exist_ok=True)
        victim = subprocess.Popen(["sleep", "60"])
        try:
            Path(self.session, "head.lock").write_text(f"{victim.pid}\n")
            self.assertIn("nothing to stop", self.out("stop", "--force"))
            self.assertIsNone(victim.poll())
        finally:
            victim.kill()
            victim.wait()

    def test_a_blocking_start_ends_its_head_on_ctrl_c(self):
        process = self.spawn("start", "--head", "--block", "--num-cpus", "1", "--object-store-memory",
                             "64MiB", "--json")
        self.addCleanup(self.kiln, "stop", "--force")
        pid = wait_until(lambda: self.head_pid(), "the head answers")
        self.assertTrue(alive(pid))
        out, err = self.interrupt(process)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(json.loads(out)["pid"], pid)
        self.assertFalse(alive(pid))

    def test_a_head_that_is_attached_ends_with_a_killed_start(self):
        process = self.spawn("start", "--head", "--block", "--num-cpus", "1", "--object-store-memory",
                             "64MiB")
        pid = wait_until(lambda: self.head_pid(), "the head answers")
        process.kill()
        wait_until(lambda: not alive(pid), "the head is gone")

    def test_a_blocking_start_ends_with_its_head(self):
        process = self.spawn("start", "--head", "--block", "--num-cpus", "1", "--object-store-memory",
                             "64MiB")
        wait_until(lambda: self.head_pid(), "the head answers")
        self.kiln("stop")
        out, err = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"kiln started.", out)

    def head_pid(self):
        done = subprocess.run([KILN, "status", "--json"], env=self.env, capture_output=True)
        return json.loads(done.stdout)["pid"] if done.returncode == 0 else None

    def test_tcp_needs_the_token_that_lies_in_the_session_directory(self):
        info = json.loads(self.start("--json", "--listen", "127.0.0.1:0"))
        address = info["tcp_address"]
        self.assertRegex(address, r"^127\.0\.0\.1:\d+$")
        self.assertEqual(self.json("status", "--address", address)["pid"], info["pid"])
        self.err("status", "--address", address, code=1, env={"KILN_TOKEN": "wrong"})


class JobTest(WithHead):
    def submit(self, *command):
        job = self.out("submit", "--no-wait", "--", *command).strip()
        self.assertRegex(job, r"^job-\d+$")
        return job

    def job(self, name):
        return self.json("job", "status", name)

    def running(self, name):
        wait_until(lambda: self.job(name)["state"] == "JOB_STATE_RUNNING", f"{name} runs")

    def test_output_and_exit_code_are_the_jobs(self):
        out, err = self.kiln("submit", "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
        self.assertEqual(sorted(out.split()), ["err", "out"])
        self.assertIn("exit code 7", err)

    def test_job_submit_is_the_same_command(self):
        self.assertEqual(self.out("job", "submit", "--", "echo", "-n", "hi"), "hi")

    def test_the_dashes_may_be_left_out(self):
        self.assertEqual(self.out("submit", "--name", "x", "echo", "-n", "a", "--", "b"), "a -- b")

    def test_a_pipeline_gets_its_words_unchanged(self):
        words = ["a b", "$HOME", "'", "", "--json", "ä"]
        self.assertEqual(self.out("submit", "--", "printf", "%s|", *words), "|".join(words) + "|")

    def test_a_signal_that_ends_it_is_told(self):
        _, err = self.kiln("submit", "--", "sh", "-c", "kill -9 $$", code=137)
        self.assertIn("failed", err)

    def test_a_command_that_does_not_exist_is_told(self):
        done = subprocess.run([KILN, "submit", "--", "/nonexistent/x"], env=self.env,
                              capture_output=True, timeout=TIMEOUT_S)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"/nonexistent/x", done.stderr)

    def test_it_runs_here_with_our_environment_and_finds_the_head(self):
        out = self.out("submit", "--env", "B=2", "--env", "C=x=y", "--", "sh", "-c",
                       "pwd; echo $A $B $C $KILN_ADDRESS", env={"A": "1"}, cwd=self.root)
        self.assertEqual(out.splitlines(),
                         [os.path.realpath(self.root), f"1 2 x=y unix:{self.session}/head.sock"])
        self.assertEqual(self.out("submit", "--working-dir", "/usr", "--", "pwd"), "/usr\n")

    def test_mistakes_of_submit(self):
        self.assertIn("kiln submit -- COMMAND", self.err("submit", code=2))
        self.assertIn("NAME=VALUE", self.err("submit", "--env", "A", "--", "true", code=2))
        self.assertIn("/nonexistent", self.err("submit", "--working-dir", "/nonexistent", "--",
                                               "true", code=1))
        self.assertIn("num-cpus", self.err("submit", "--num-cpus", "x", "--", "true", code=2))

    def test_more_cpus_than_the_head_has_is_refused(self):
        self.err("submit", "--num-cpus", "1000", "--", "true", code=1)

    def test_no_wait_prints_the_id_and_how_to_return(self):
        out, err = self.kiln("submit", "--no-wait", "--", "true")
        for text in ("kiln job logs -f " + out.strip(), "kiln job status", "kiln job stop"):
            self.assertIn(text, err)
        self.assertRegex(self.json("submit", "--no-wait", "--", "true")["id"], r"^job-\d+$")

    def test_for_machines_the_ended_job_is_the_document(self):
        done = subprocess.run([KILN, "submit", "--json", "--name", "three", "--", "sh", "-c",
                               "echo noise; exit 3"], env=self.env, capture_output=True,
                              timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, 3)
        job = json.loads(done.stdout)
        self.assertEqual((job["name"], job["exit_code"], job["state"]),
                         ("three", 3, "JOB_STATE_FAILED"))
        self.assertIn(b"noise", done.stderr)

    def test_ctrl_c_leaves_the_job_running_and_says_how_to_return(self):
        process = self.spawn("submit", "--", "sh", "-c", "echo begun; exec sleep 30")
        self.assertEqual(process.stdout.readline(), b"begun\n")
        _, err = self.interrupt(process)
        self.assertEqual(process.returncode, 130)
        name = re.search(r"kiln job logs -f (job-\d+)", err).group(1)
        self.assertIn(f"kiln job stop {name}", err)
        self.assertEqual(self.job(name)["state"], "JOB_STATE_RUNNING")
        out = self.out("job", "stop", name)
        self.assertIn("stopped", out)
        self.assertEqual(self.job(name)["state"], "JOB_STATE_STOPPED")

    def test_stop_ends_the_whole_process_group(self):
        name = self.submit("sh", "-c", "sleep 300 & echo $!; wait")
        child = int(wait_until(lambda: self.out("job", "logs", name).strip(), "it prints"))
        self.assertTrue(alive(child))
        stopped = self.json("job", "stop", name, "--grace", "1")
        self.assertEqual(stopped["state"], "JOB_STATE_STOPPED")
        wait_until(lambda: not alive(child), "the child is gone")
        self.kiln("job", "stop", name)

    def test_logs_so_far_and_to_the_end(self):
        fifo = os.path.join(self.root, "fifo")
        os.mkfifo(fifo)
        name = self.submit("sh", "-c", f"echo one; read line < {fifo}; echo two")
        wait_until(lambda: self.out("job", "logs", name) == "one\n", "the first line is there")
        process = self.spawn("job", "logs", "-f", name)
        self.assertEqual(process.stdout.readline(), b"one\n")
        Path(fifo).write_text("go\n")
        out, _ = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual((out, process.returncode), (b"two\n", 0))
        document = self.json("job", "logs", name)
        self.assertEqual((document["id"], document["log"]), (name, "one\ntwo\n"))

    def test_ctrl_c_while_following_a_log(self):
        name = self.submit("sh", "-c", "echo begun; exec sleep 30")
        process = self.spawn("job", "logs", "-f", name)
        self.assertEqual(process.stdout.readline(), b"begun\n")
        _, err = self.interrupt(process)
        self.assertEqual(process.returncode, 130)
        self.assertIn(name, err)
        self.assertEqual(self.job(name)["state"], "JOB_STATE_RUNNING")
        self.kiln("job", "stop", name)

    def test_large_output_arrives_complete(self):
        out = self.out("submit", "--", "seq", "200000")
        self.assertEqual(out, "".join(f"{i}\n" for i in range(1, 200001)))

    def test_status_and_lists(self):
        self.kiln("submit", "--name", "listed", "--", "true")
        name = self.json("job", "list")["jobs"][0]["id"]
        status = self.out("job", "status", name)
        for text in (name, "SUCCEEDED", "listed", "Exit code"):
            self.assertIn(text, status)
        self.assertIn("listed", self.out("job", "list"))
        rows = self.json("list", "jobs", "--filter", "name=listed", "--filter", "state=SUCCEEDED")
        self.assertEqual({job["name"] for job in rows["jobs"]}, {"listed"})
        rows = self.json("list", "jobs", "--filter", "name!=listed")
        self.assertNotIn("listed", {job["name"] for job in rows["jobs"]})
        self.assertIn("columns", self.err("list", "jobs", "--filter", "colour=red", code=2))

    def test_an_unknown_job_is_told(self):
        for command in ("status", "logs", "stop"):
            self.assertIn("job-9999", self.err("job", command, "job-9999", code=1))

    def test_a_closed_pipe_ends_the_following_quietly(self):
        for command in ("yes | head -n 1000000", "sleep 0.2; seq 1000000"):
            process = self.spawn("submit", "--", "sh", "-c", command)
            process.stdout.read(1)
            process.stdout.close()
            process.stdout = open(os.devnull, "rb")
            self.assertEqual(process.wait(TIMEOUT_S), 141)


class RunTest(WithHead):
    def run_(self, function, *args, **kwargs):
        return self.kiln("run", f"{EXAMPLES}:{function}", *args, **kwargs)

    def test_the_result_is_json(self):
        self.assertEqual(self.run_("Add", 1, 2)[0], "3\n")
        self.assertEqual(self.run_("Add", 1, -2)[0], "-1\n")
        self.assertEqual(self.run_("SumRange", 0, 10)[0], "45\n")
        words = json.loads(self.run_("WordCount", '"to be or not to be"')[0])
        self.assertEqual(words, {"to": 2, "be": 2, "or": 1, "not": 1})

    def test_a_relative_path_is_as_good(self):
        out = self.out("run", "libkiln_examples.so:Add", 20, 22, cwd=str(LIB))
        self.assertEqual(out, "42\n")

    def test_for_machines(self):
        self.assertEqual(self.json("run", f"{EXAMPLES}:Add", 1, 2), {"results": [3]})
        refs = self.json("run", "--detach", f"{EXAMPLES}:Add", 1, 2)["refs"]
        self.assertRegex(refs[0], REF)

    def test_a_detached_task_leaves_its_ref(self):
        ref = self.detached("Add", 1, 2)
        self.assertEqual(self.out("get", ref), "3\n")
        self.assertEqual(self.out("run", f"{EXAMPLES}:Add", json.dumps({"$ref": ref}), 10), "13\n")
        self.assertIn(ref, self.out("release", ref))
        self.assertIn(ref, self.err("get", ref, code=1))

    def test_a_result_that_was_printed_is_released(self):
        before = self.json("status")["objects"]
        self.run_("Add", 1, 2)
        wait_until(lambda: self.json("status")["objects"] <= before, "the result is gone")

    def test_mistakes_in_the_call(self):
        self.assertIn("LIBRARY.so:FUNCTION", self.err("run", code=2))
        self.assertIn("LIBRARY.so:FUNCTION", self.err("run", "Add", 1, 2, code=2))
        self.assertIn("/nonexistent/x.so", self.err("run", "/nonexistent/x.so:Add", 1, code=1))
        err = self.err("run", f"{EXAMPLES}:WordCount", "hello", code=2)
        self.assertIn("argument 1", err)
        self.assertIn("column 1", err)
        self.assertIn("'\"text\"'", err)
        self.assertIn("argument 2", self.err("run", f"{EXAMPLES}:Add", 1, "[1,", code=2))

    def test_an_unknown_function_names_the_nearest(self):
        err = self.err("run", f"{EXAMPLES}:Ad", 1, 2, code=1)
        self.assertIn("FUNCTION_NOT_FOUND", err)
        self.assertIn("Add", err)

    def test_wrong_number_and_types_of_arguments(self):
        for args in ((1,), (1, 2, 3), ('"one"', 2), ("{}", 2)):
            with self.subTest(args):
                self.assertIn("INVALID_ARGUMENTS",
                              self.err("run", f"{EXAMPLES}:Add", *args, code=1))

    def test_what_a_task_throws_is_told_with_its_type(self):
        err = self.err("run", f"{EXAMPLES}:Fail", '"boom"', code=1)
        for text in ("TASK_FAILED", "std::runtime_error", "boom", "Fail"):
            self.assertIn(text, err)
        out, err = self.run_("Fail", '"boom"', "--json", code=1)
        self.assertEqual(out, "")
        error = json.loads(err)["error"]
        self.assertEqual((error["code"], error["message"]), ("TASK_FAILED", "boom"))
        self.assertEqual(error["task_failure"]["type"], "std::runtime_error")

    def test_an_argument_that_failed_tells_the_chain(self):
        ref = self.detached("Fail", '"first"')
        err = self.err("run", "--name", "second", f"{EXAMPLES}:Add", json.dumps({"$ref": ref}), 1,
                       code=1)
        self.assertIn("first", err)
        self.assertIn("second", err)

    def test_more_than_the_head_has_cannot_be_scheduled(self):
        self.assertIn("UNSCHEDULABLE", self.err("run", "--num-cpus", 1000, f"{EXAMPLES}:Add", 1, 2,
                                                code=1))

    def test_a_timeout_leaves_the_task_running(self):
        err = self.err("run", "--timeout", "0.2", "--name", "late", f"{EXAMPLES}:Sleep", 30, code=124)
        ref = re.search(r"kiln get ([0-9a-f]{16})", err).group(1)
        self.assertIn(f"kiln cancel {ref}", err)
        self.err("get", "--timeout", "0", ref, code=124)
        self.kiln("cancel", "--force", ref)
        self.assertIn("CANCELLED", self.err("get", ref, code=1))

    def test_a_task_that_runs_too_long_is_ended(self):
        self.assertIn("TIMED_OUT", self.err("run", "--task-timeout", "100ms", f"{EXAMPLES}:Sleep",
                                            30, code=1))

    def test_ctrl_c_leaves_the_task_running_and_says_how_to_return(self):
        process = self.spawn("run", "--name", "interrupted", f"{EXAMPLES}:Sleep", 30)
        wait_until(lambda: self.task_state("interrupted") == "ASSIGNED", "the task runs")
        out, err = self.interrupt(process)
        self.assertEqual((process.returncode, out), (130, ""))
        ref = re.search(r"kiln get ([0-9a-f]{16})", err).group(1)
        self.err("get", "--timeout", "0", ref, code=124)
        self.kiln("cancel", "--force", ref)


class ObjectTest(WithHead):
    def put(self, data, *args):
        ref = self.out("put", *args, stdin=data).strip()
        self.assertRegex(ref, REF)
        return ref

    def get_bytes(self, *args):
        return subprocess.run([KILN, "get", *args], env=self.env, capture_output=True, check=True,
                              timeout=TIMEOUT_S).stdout

    def test_bytes_come_back_as_they_went(self):
        for size in (0, 1, 255, 256, 65535, 65536, 1 << 20, (5 << 20) + 3):
            with self.subTest(size=size):
                data = os.urandom(size)
                ref = self.put(data)
                self.assertEqual(self.get_bytes(ref), data)
                self.assertEqual(self.get_bytes("--encoding", "bytes", ref), data)
                self.kiln("release", ref)

    def test_a_file_goes_in_and_out(self):
        source, copy = os.path.join(self.root, "in"), os.path.join(self.root, "out")
        data = os.urandom(3 << 20)
        Path(source).write_bytes(data)
        document = self.json("put", source)
        self.assertEqual(document["size_bytes"], len(data))
        self.assertEqual(self.json("get", "-o", copy, document["ref"])["size_bytes"], len(data))
        self.assertEqual(Path(copy).read_bytes(), data)
        self.assertEqual([f for f in os.listdir(self.root) if "partial" in f], [])

    def test_json_becomes_a_value(self):
        ref = self.put(b' {"a": [1, 2.5, null, "\xc3\xa4"]} ', "--json-text")
        self.assertEqual(json.loads(self.out("get", ref)), {"a": [1, 2.5, None, "ä"]})
        document = self.json("get", ref)
        self.assertEqual(document, {"ref": ref, "value": {"a": [1, 2.5, None, "ä"]}})
        ref = self.put(b"41", "--json-value")
        self.assertEqual(self.out("run", f"{EXAMPLES}:Add", json.dumps({"$ref": ref}), 1), "42\n")

    def test_bytes_are_json_when_json_is_asked_for(self):
        ref = self.put(b"\x00\x01\x02")
        json.loads(self.out("get", "--encoding", "json", ref))
        self.assertIn("value", self.json("get", ref))

    def test_the_encoded_value_can_be_had(self):
        ref = self.put(b"abc")
        self.assertEqual(self.get_bytes("--encoding", "value", ref)[:4], b"KLNV")

    def test_bad_json_is_told_and_leaves_nothing(self):
        before = self.json("status")["objects"]
        self.err("put", "--json-text", stdin=b"[1, 2", code=2)
        self.assertEqual(self.json("status")["objects"], before)

    def test_mistakes_with_files(self):
        self.assertIn("/nonexistent/x", self.err("put", "/nonexistent/x", code=1))
        self.err("put", "/", code=1)
        ref = self.put(b"x")
        self.assertIn("/nonexistent/y", self.err("get", "-o", "/nonexistent/y", ref, code=1))
        self.assertIn("No space", self.err("get", "-o", "/dev/full", ref, code=1))

    def test_a_file_is_not_touched_by_a_failure(self):
        path = os.path.join(self.root, "kept")
        Path(path).write_text("old")
        ref = self.detached("Fail", '"boom"')
        self.err("get", "-o", path, ref, code=1)
        self.assertEqual(Path(path).read_text(), "old")
        self.assertEqual([f for f in os.listdir(self.root) if "partial" in f], [])

    def test_an_object_larger_than_the_store_is_refused(self):
        path = os.path.join(self.root, "huge")
        with open(path, "wb") as file:
            file.truncate(256 << 20)
        err = self.err("put", path, code=1)
        self.assertRegex(err, r"(?i)store")
        os.unlink(path)

    def test_malformed_and_unknown_refs(self):
        for command in ("get", "wait", "cancel", "release"):
            self.assertIn("16 hexadecimal", self.err(command, "12x", code=2))
            self.assertIn("00000fffffffffff", self.err(command, "00000fffffffffff", code=1))

    def test_a_time_to_live_ends(self):
        ref = self.put(b"x", "--ttl", "200ms")
        wait_until(lambda: subprocess.run([KILN, "get", "--timeout", "0", ref], env=self.env,
                                          capture_output=True).returncode == 1, "it is gone")

    def test_times_are_checked(self):
        self.assertIn("500ms", self.err("get", "--timeout", "soon", "0000000000000001", code=2))

    def test_wait_says_which_are_ready(self):
        ready, slow = self.put(b"1", "--json-text"), self.detached("Sleep", 30)
        self.assertEqual(self.out("wait", slow, ready), f"ready      {ready}\nnot ready  {slow}\n")
        out, _ = self.kiln("wait", "--num-returns", 2, "--timeout", "0.1", slow, ready, code=124)
        self.assertIn(f"not ready  {slow}", out)
        self.assertEqual(self.json("wait", slow, ready), {"ready": [ready], "not_ready": [slow]})
        self.assertIn("num-returns", self.err("wait", "--num-returns", 3, slow, ready, code=2))
        self.kiln("cancel", "--force", slow)

    def test_cancel_says_what_it_found(self):
        done = self.put(b"1", "--json-text")
        self.assertIn("nothing to cancel", self.out("cancel", done))
        running = self.out("run", "--detach", "--name", "victim", f"{EXAMPLES}:Sleep", 30).strip()
        wait_until(lambda: self.task_state("victim") == "ASSIGNED", "it runs")
        self.assertEqual(self.json("cancel", running)["outcome"], "OUTCOME_ASKED")
        self.assertIn("CANCELLED", self.err("get", running, code=1))

    def test_ctrl_c_while_waiting(self):
        ref = self.detached("Sleep", 30)
        for command in ("get", "wait"):
            process = self.spawn(command, ref)
            wait_until(lambda: blocks_sigint(process.pid), "it catches Ctrl-C")
            _, err = self.interrupt(process)
            self.assertEqual(process.returncode, 130, err)
            self.assertTrue(err.startswith("kiln: interrupted"), err)
        self.err("get", "--timeout", "0", ref, code=124)
        self.kiln("cancel", "--force", ref)

    def test_ctrl_c_while_reading_standard_input_puts_nothing(self):
        before = self.json("status")["objects"]
        process = self.spawn("put", stdin=subprocess.PIPE)
        self.addCleanup(process.stdin.close)
        process.stdin.write(b"x" * (3 << 20))  # two parts and more are on their way
        process.stdin.flush()
        wait_until(lambda: blocks_sigint(process.pid), "it catches Ctrl-C")
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(TIMEOUT_S), 130)
        self.assertEqual(self.json("status")["objects"], before)

    def test_a_closed_pipe_ends_it_quietly(self):
        ref = self.put(os.urandom(8 << 20))
        process = self.spawn("get", ref)
        process.stdout.read(1)
        process.stdout.close()
        process.stdout = open(os.devnull, "rb")
        self.assertEqual(process.wait(TIMEOUT_S), 141)
        self.assertEqual(process.stderr.read(), b"")


def blocks_sigint(pid):
    """Whether the process has taken SIGINT into its own hands."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigBlk:"):
            return int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1
    return False


class StateTest(WithHead):
    def test_status_tells_resources_workers_and_store(self):
        out = self.out("status")
        for text in ("kiln status", "/2 CPU", "/64.0 MiB object_store_memory", "Workers", "Tasks",
                     "Jobs", "Drivers", f"unix:{self.session}/head.sock"):
            self.assertIn(text, out)
        self.assertNotIn("\x1b", out)

    def test_status_for_machines_has_numbers_as_numbers(self):
        status = self.json("status")
        self.assertTrue(alive(status["pid"]))
        self.assertEqual(status["session_dir"], self.session)
        self.assertGreaterEqual(status["store_capacity_bytes"], 64 << 20)
        for name in ("workers", "workers_idle", "tasks_ready", "objects", "store_used_bytes"):
            self.assertIsInstance(status[name], int)

    def test_status_tells_what_the_heads_memory_is_used_for(self):
        self.assertIsNone(self.json("status")["memory"])
        self.detached("Add", 1, 2)
        memory = self.json("status", "--memory")["memory"]
        self.assertGreater(memory["objects"], 0)
        self.assertGreater(memory["object_bytes"], 0)
        self.assertGreater(memory["references"], 0)
        self.assertGreater(memory["reference_bytes"], 0)
        self.assertGreater(memory["pss_bytes"], 1 << 20)
        if "KILN_TEST_SANITIZED" not in os.environ:  # a sanitizer's heap does not tell
            self.assertGreater(memory["heap_used_bytes"],
                               memory["object_bytes"] + memory["task_bytes"])
        out = self.out("status", "--memory")
        for text in ("Memory of the head", "Objects", "bytes each", "Heap", "PSS"):
            self.assertIn(text, out)
        self.assertNotIn("Memory of the head", self.out("status"))

    def test_every_list_is_a_table_and_a_document(self):
        ref = self.detached("Add", 1, 2)
        self.kiln("get", ref)
        self.kiln("submit", "--", "true")
        for what in ("tasks", "objects", "workers", "jobs", "sessions"):
            with self.subTest(what):
                rows = self.json("list", what)[what]
                if rows:
                    lines = self.out("list", what).splitlines()
                    self.assertEqual(lines[0], lines[0].upper())
                    self.assertGreater(len(lines), 1)
        self.assertIn(ref, self.out("list", "tasks"))
        self.assertIn(ref, self.out("list", "objects"))

    def test_filters_and_limits(self):
        for _ in range(3):
            self.kiln("run", "--name", "counted", f"{EXAMPLES}:Add", 1, 2)
        rows = self.json("list", "tasks", "--filter", "name=counted", "--limit", "2")
        self.assertEqual(len(rows["tasks"]), 2)
        self.assertGreaterEqual(rows["total"], 3)
        _, err = self.kiln("list", "tasks", "--filter", "name=counted", "--limit", "2")
        self.assertIn("showing 2 of", err)
        rows = self.json("list", "tasks", "--filter", "name!=counted")
        self.assertNotIn("counted", [task["name"] for task in rows["tasks"]])
        self.err("list", "tasks", "--filter", "nonsense=1", code=2)
        self.err("list", "tasks", "--filter", "state", code=2)

    def test_standard_output_that_cannot_be_written_is_told(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([KILN, "status"], env=self.env, stdout=full,
                                  stderr=subprocess.PIPE, timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)
        done = subprocess.run(["sh", "-c", '"$0" status >&-', KILN], env=self.env,
                              stderr=subprocess.PIPE, timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, 1)

    def test_the_address_beats_the_environment(self):
        env = {"KILN_SESSION_DIR": f"{self.root}/none"}
        self.kiln("status", env=env, code=3)
        self.kiln("status", "--session-dir", self.session, env=env)
        self.kiln("status", "--address", f"unix:{self.session}/head.sock", env=env)
        self.kiln("status", env={**env, "KILN_ADDRESS": f"unix:{self.session}/head.sock"})

    def on_terminal(self, *args, env=None):
        """Runs kiln with a terminal as its standard output; returns what it shows there."""
        master, slave = pty.openpty()
        process = subprocess.Popen([KILN, *args], env={**self.env, **(env or {})}, stdout=slave,
                                   stderr=slave)
        os.close(slave)
        shown = b""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # how Linux tells the end of a terminal
                break
            if not data:
                break
            shown += data
        os.close(master)
        self.assertEqual(process.wait(TIMEOUT_S), 0)
        return shown.decode()

    def test_colour_is_for_terminals_only(self):
        self.assertIn("\x1b[", self.on_terminal("status"))
        self.assertNotIn("\x1b[", self.on_terminal("status", env={"NO_COLOR": "1"}))
        self.assertNotIn("\x1b[", self.on_terminal("status", env={"TERM": "dumb"}))
        self.assertNotIn("\x1b[", self.on_terminal("status", "--json"))

    def test_bytes_are_described_on_a_terminal(self):
        ref = self.out("put", stdin=b"\x1b[31m\x00" * 1000).strip()
        shown = self.on_terminal("get", ref)
        self.assertIn("bytes, 5.9 KiB", shown)
        self.assertIn(f"kiln get {ref} -o FILE", shown)
        self.assertNotIn("\x1b[31m", shown)


class LostHeadTest(Base):
    def test_a_head_that_dies_while_a_command_waits_is_told(self):
        pid = json.loads(self.start("--json"))["pid"]
        process = self.spawn("run", "--name", "orphan", f"{EXAMPLES}:Sleep", 60)
        wait_until(lambda: self.task_state("orphan") == "ASSIGNED", "the task runs")
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 3)
        self.assertIn(b"went away", err)


if __name__ == "__main__":
    if not os.access(KILN, os.X_OK):
        sys.exit(f"no {KILN}; set KILN_BIN_DIR to the folder of the build's programs")
    unittest.main()
