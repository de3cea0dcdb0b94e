"""The example programs and the notebook, with less work: right results, and nothing left behind.

Run by ctest, or by hand:
  KILN_BIN_DIR=build/bin PYTHONPATH=build/python /usr/bin/python3 tests/python/examples_test.py -v [-k sleep]
How fast the examples are is nobody's business here.
"""

from __future__ import annotations

import json
import os
import re
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
from typing import Any

import nbformat

import kiln.examples
from kiln.examples.__main__ import NAMES
from kiln.examples._report import Report
from kiln.examples._table import example_table

EXAMPLES = Path(kiln.examples.__file__).absolute().parent
BIN = Path(os.environ.get("KILN_BIN_DIR", "build/bin")).resolve()
TIMEOUT_S = 120
END_S = 10


def setUpModule() -> None:
    # Else a shell that has put the tests in the background would have them ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class ExamplesCase(unittest.TestCase):
    """Runs programs in a temporary directory, and looks for what they left."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory(prefix="kiln-examples-")
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        jupyter = tempfile.TemporaryDirectory(prefix="kiln-examples-jupyter-")
        self.addCleanup(jupyter.cleanup)
        self.mark = f"KILN_EXAMPLES_TEST={self.directory}"
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("KILN_") or name == "KILN_HEAD_BINARY"}
        name, _, value = self.mark.partition("=")
        self.environment = {
            **kept, name: value, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(EXAMPLES.parent.parent),
            **{variable: str(self.directory) for variable in ("TMPDIR", "HOME", "XDG_RUNTIME_DIR")},
            **{variable: jupyter.name
               for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a Python program in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, *arguments], env=self.environment, cwd=self.directory, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(self.kill, process)
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            process.kill()
        process.communicate()

    def run_python(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, output, errors

    def run_example(self, name: str, *options: str) -> tuple[int, str, str]:
        return self.run_python("-m", f"kiln.examples.{name}", "--small", *options)

    def processes(self) -> list[str]:
        """The command lines of the processes that the test started, and of theirs."""
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (directory / "environ").read_bytes().split(b"\0"):
                    found.append((directory / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has ended, or belongs to somebody else
                continue
        return found

    def wait_until(self, predicate: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + END_S
        while not predicate():
            self.assertLess(time.monotonic(), deadline, f"not within {END_S} s: {what}")
            time.sleep(0.01)

    def assert_nothing_is_left(self) -> None:
        self.wait_until(lambda: not self.processes(), f"the end of {self.processes()}")
        files = [str(path) for path in self.directory.rglob("*") if not path.is_dir()]
        self.assertEqual(files, [])


class ExampleTest(ExamplesCase):
    """One test for each example, made below."""

    def check(self, name: str) -> None:
        code, output, errors = self.run_example(name, "--json")
        self.assertEqual(code, 0, errors + output)
        report = json.loads(output)
        self.assertEqual((report["example"], report["result"]), (name, "ok"), errors)
        kinds = {row["variant"].split()[0].split(".")[0] for row in report["rows"]}
        self.assertLessEqual({"serial", "multiprocessing", "kiln"}, kinds)
        for kind in ("serial", "multiprocessing", "kiln"):
            self.assertGreater(report[f"{kind}_seconds"], 0)
        self.assertNotIn("Traceback", errors)
        self.assert_nothing_is_left()


for _name in NAMES:
    setattr(ExampleTest, f"test_{_name}", lambda self, name=_name: self.check(name))


class OutputTest(ExamplesCase):
    def test_an_example_prints_a_table_of_its_variants(self) -> None:
        code, output, errors = self.run_example("sleep")
        self.assertEqual(code, 0, errors)
        lines = output.splitlines()
        self.assertEqual(lines[2].split(), ["variant", "seconds", "speed-up", "result"])
        variants = [line.rsplit(maxsplit=4)[0] for line in lines[4:8]]
        self.assertEqual(variants, ["serial", "multiprocessing Process", "multiprocessing Pool(5)",
                                    "kiln"])
        self.assertTrue(all(line.endswith(" ok") for line in lines[4:8]), output)

    def test_results_are_printed_as_they_come(self) -> None:
        code, output, errors = self.run_example("shared_list")
        self.assertEqual(code, 0, errors)
        found = [line.split()[1] for line in output.splitlines() if line.startswith("  task ")]
        self.assertEqual(sorted(found), sorted(map(str, range(10))))
        before, stored, after = re.findall(r"([\d.]+) MB in the object store", output)
        self.assertEqual(before, after)
        self.assertGreater(float(stored), float(before))

    def test_a_bar_shows_the_progress(self) -> None:
        code, output, errors = self.run_example("progress_bar")
        self.assertEqual(code, 0, errors)
        self.assertRegex(errors, r"kiln: .*40/40")
        self.assertIn("Sums by process: ", output)

    def test_a_wrong_result_is_shown(self) -> None:
        report = Report("adding", "Adds.")
        report.time("serial", lambda: 1 + 1, correct=(2).__eq__)
        report.time("kiln", lambda: 3, correct=(2).__eq__)
        self.assertFalse(report.correct)
        self.assertEqual(report.as_dict()["result"], "wrong")
        self.assertRegex(example_table(report.as_dict()), r"\nserial .* ok\nkiln .* WRONG\n")

    def test_a_claim_that_does_not_hold_makes_an_example_wrong(self) -> None:
        report = Report("adding", "Adds.")
        report.time("serial", lambda: 1 + 1, correct=(2).__eq__)
        report.check("In no time", False)
        self.assertEqual(report.as_dict()["result"], "wrong")
        self.assertIn("In no time: NO", example_table(report.as_dict()))

    def test_the_fastest_call_counts_and_a_slow_first_one_is_told_of(self) -> None:
        report, sleeps = Report("adding", "Adds."), iter([0.05, 0.001, 0.01])
        report.time("kiln", lambda: time.sleep(next(sleeps)), correct=lambda _: True, repeat=3)
        self.assertLess(report.seconds("kiln") or 1, 0.01)
        self.assertRegex(report.as_dict()["notes"][0], r"the first one took longer: kiln 0\.0\d+ s")

    def test_the_summary_adds_up_the_fastest_of_each_case(self) -> None:
        report = Report("adding", "Adds.")
        for case in ("a", "b"):
            report.time("serial", time.sleep, 0.02, case=case, correct=lambda _: True)
            for seconds in (0.02, 0):
                report.time("kiln one way", time.sleep, seconds, case=case, correct=lambda _: True)
        report.time("multiprocessing", time.sleep, 0, case="a", correct=lambda _: True)
        self.assertGreaterEqual(report.seconds("serial") or 0, 0.04)
        self.assertLess(report.seconds("kiln") or 1, 0.02)
        self.assertIsNone(report.seconds("multiprocessing"))  # it has no case b


class RunnerTest(ExamplesCase):
    def run_all(self, *arguments: str) -> tuple[int, str, str]:
        return self.run_python("-m", "kiln.examples", *arguments)

    def test_it_runs_the_named_ones_and_closes_with_a_table(self) -> None:
        code, output, errors = self.run_all("--small", "square_roots", "downloads")
        self.assertEqual(code, 0, errors)
        lines = output.splitlines()
        self.assertEqual(lines[-4].split("  ")[0], "example")
        self.assertRegex(lines[-2], r"^square_roots  ok +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ x$")
        self.assertRegex(lines[-1], r"^downloads     ok +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ x$")
        self.assert_nothing_is_left()

    def test_json_is_an_array_of_reports(self) -> None:
        code, output, errors = self.run_all("--small", "--json", "square_roots", "shared_list")
        self.assertEqual(code, 0, errors)
        self.assertEqual([(report["example"], report["result"]) for report in json.loads(output)],
                         [("square_roots", "ok"), ("shared_list", "ok")])

    def test_the_list_names_every_example(self) -> None:
        code, output, errors = self.run_all("--list")
        self.assertEqual(code, 0, errors)
        self.assertEqual([line.split()[0] for line in output.splitlines()[2:]], list(NAMES))
        files = {path.stem for path in EXAMPLES.glob("[!_]*.py")}
        self.assertEqual(files, set(NAMES))

    def test_an_unknown_name_gets_the_nearest_one_suggested(self) -> None:
        code, output, errors = self.run_all("slep")
        self.assertEqual((code, output), (2, ""))
        self.assertIn("no example is called slep; did you mean sleep?", errors)

    def test_an_example_without_its_package_is_skipped(self) -> None:
        # Found before the real one, and not there.
        (self.directory / "numba.py").write_text(
            "raise ModuleNotFoundError(\"No module named 'numba'\", name='numba')\n")
        code, output, errors = self.run_all("--small", "counting")
        self.assertEqual(code, 0, errors)
        self.assertIn("Skipped: it needs the package numba.", output)
        self.assertRegex(output, r"\ncounting  skipped +- +- +- +-\n$")

    def test_an_example_that_fails_is_reported(self) -> None:
        (self.directory / "networkx.py").write_text("raise OSError('a broken package')\n")
        code, output, errors = self.run_all("--small", "centrality", "square_roots")
        self.assertEqual(code, 1)
        self.assertIn("a broken package", errors)
        self.assertIn("Failed: exit code 1.", output)
        self.assertRegex(output, r"\ncentrality +failed +- +- +- +-\nsquare_roots +ok ")

    def test_they_join_a_head_that_runs(self) -> None:
        self.environment["KILN_SESSION_DIR"] = str(self.directory / "head")

        def kiln_command(*arguments: str) -> str:
            return subprocess.run([BIN / "kiln", *arguments], env=self.environment, text=True,
                                  check=True, capture_output=True, timeout=TIMEOUT_S).stdout

        kiln_command("start", "--head", "--num-cpus", "2")
        self.addCleanup(subprocess.run, [BIN / "kiln", "stop", "--force"], env=self.environment,
                        capture_output=True, check=False)
        code, output, errors = self.run_all("--small", "tree_sum", "shared_list")
        self.assertEqual(code, 0, errors + output)
        status = json.loads(kiln_command("status", "--json"))
        # Two trees and a chain of 7; twice 10 tasks that index, 10 that are waited for.
        self.assertEqual(status["tasks_finished"], 3 * 7 + 3 * 10)
        kiln_command("stop")
        shutil.rmtree(self.directory / "head")  # its logs are kept
        self.assert_nothing_is_left()

    def interrupt(self, send: Callable[[subprocess.Popen[str]], None]) -> str:
        """Interrupts one_cpu_each at full size; returns the output."""
        process = self.start("-m", "kiln.examples", "one_cpu_each", "sleep")
        self.wait_until(lambda: len(self.processes()) == 2, "the example's start")
        time.sleep(0.5)  # it is beyond its imports; whichever line it is at should not matter
        send(process)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 130, errors)
        self.assertNotIn("Traceback", errors)
        self.assertRegex(output, r"\none_cpu_each  interrupted +- +- +- +-\n$")
        self.assert_nothing_is_left()
        return output

    def test_control_c_ends_it(self) -> None:
        self.interrupt(lambda process: os.killpg(process.pid, signal.SIGINT))

    def test_an_interrupt_of_the_runner_alone_ends_the_example_too(self) -> None:
        self.interrupt(lambda process: process.send_signal(signal.SIGINT))


    def test_control_c_ends_an_example_that_waits_for_tasks(self) -> None:
        (self.directory / "waits.py").write_text(textwrap.dedent("""\
            '''Waits for tasks.'''
            import pathlib, time
            import kiln
            from kiln.examples._report import main
            def work(file):
                pathlib.Path(file).touch()
                time.sleep(600)
            def run(report):
                kiln.init()
                task = kiln.remote(work)
                report.time("kiln", kiln.get, task.remote("runs"), correct=lambda result: True)
            main(run)
            """))
        process = self.start("waits.py")
        self.wait_until((self.directory / "runs").exists, "the task's start")
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual((process.returncode, output, errors), (130, "", "waits: interrupted\n"))
        for name in ("waits.py", "runs"):
            (self.directory / name).unlink()
        self.assert_nothing_is_left()


class NotebookTest(ExamplesCase):
    def test_it_runs_from_top_to_bottom(self) -> None:
        target = self.directory / "executed.ipynb"
        code, _, errors = self.run_python(
            "-m", "nbconvert", "--to", "notebook", "--execute", "--output", str(target),
            str(EXAMPLES / "neighbours.ipynb"))
        self.assertEqual(code, 0, errors)
        outputs = [output for cell in nbformat.read(target, as_version=4).cells
                   for output in cell.get("outputs", [])]
        printed = "".join(output.get("text", "") for output in outputs)
        self.assertEqual(printed.count("on_all_cores: "), 2)
        self.assertEqual(printed.count("of the same topic: "), 2)
        target.unlink()
        self.assert_nothing_is_left()

    def test_what_is_kept_has_the_outputs_of_a_run(self) -> None:
        cells = nbformat.read(EXAMPLES / "neighbours.ipynb", as_version=4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        self.assertEqual([cell.execution_count for cell in code], list(range(1, len(code) + 1)))
        self.assertGreater(len(cells) - len(code), 5)  # it tells a story


class TypeTest(ExamplesCase):
    def test_the_examples_are_typed(self) -> None:
        # Less than strict: np.ndarray without parameters reads better in an example.
        done = subprocess.run(
            ["/usr/bin/mypy", "--strict", "--allow-any-generics", "--no-warn-return-any",
             "--ignore-missing-imports", "--follow-imports", "silent", "--python-version", "3.9",
             "--cache-dir", str(self.directory), "-p", "kiln.examples"],
            env={**self.environment, "MYPYPATH": str(EXAMPLES.parent.parent)}, cwd=self.directory,
            capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
