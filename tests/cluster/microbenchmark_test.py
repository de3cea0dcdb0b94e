"""`kiln microbenchmark`: its figures have the names, units and transports that are documented.

Run by ctest, or by hand:
  KILN_BIN_DIR=build/bin /usr/bin/python3 tests/cluster/microbenchmark_test.py -v
What the figures are is nobody's business here.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

BIN = Path(os.environ.get("KILN_BIN_DIR", "build/bin")).resolve()
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
TIMEOUT_S = 200
# What is quick and takes little memory: something of most parts.
NAMES = (r"hand-over|pipe|grpc unary|sync|args|returns|gets in|1k refs|chain|tree|get calls|"
         r"put calls|get of 1 [KM]iB|METG\(50 %\), indep|efficiency, indep|start|stop|idle memory")


def documented():
    """The units of all figures by name, from the table that says how each is taken."""
    section = DOCUMENT.read_text().split("## How each is taken")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", section, re.MULTILINE))


class MicrobenchmarkTest(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory(prefix="kiln-mb-")
        self.addCleanup(self.tmp.cleanup)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("KILN_") or k == "KILN_HEAD_BINARY"}
        self.env["TMPDIR"] = self.tmp.name

    def start(self, *args):
        return subprocess.Popen([BIN / "kiln", "microbenchmark", *args], env=self.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_all(self, *args):
        process = self.start(*args)
        out, err = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, out, err

    def assert_nothing_is_left(self):
        self.assertEqual(os.listdir(self.tmp.name), [])
        mark = f"TMPDIR={self.tmp.name}".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                environment = Path(f"/proc/{pid}/environ").read_bytes()
            except OSError:
                continue
            self.assertNotIn(mark, environment, f"process {pid} is left")

    def test_figures_have_documented_names_units_and_transports(self):
        code, out, err = self.run_all("--quick", "--json", "--filter", NAMES)
        self.assertEqual(code, 0, err)
        units = documented()
        seen = set()
        for line in out.splitlines():
            figure = json.loads(line)
            self.assertIn(figure["name"], units)
            self.assertEqual(figure["unit"], units[figure["name"]], line)
            self.assertGreaterEqual(figure["value"], 0, line)
            self.assertGreaterEqual(figure["n"], 1, line)
            self.assertEqual(figure["p50_us"] is None, figure["p99_us"] is None, line)
            self.assertEqual("task_us" in figure, figure["name"].startswith("efficiency"), line)
            seen.add((figure["name"], figure["transport"]))
        machine = {name for name, transport in seen if transport is None}
        self.assertEqual(machine, {"ring hand-over", "ring hand-over, think 20 us",
                                   "pipe round trip", "grpc unary round trip"})
        # Whether tasks reach METG is the machine's affair; all else must be there.
        wanted = {name for name in units
                  if re.search(NAMES, name) and not name.startswith("METG")} - machine
        for transport in ("shm", "grpc"):
            self.assertEqual({name for name, by in seen if by == transport} -
                             {"METG(50 %), independent"}, wanted, err)
        self.assert_nothing_is_left()

    def test_transports_stand_side_by_side(self):
        code, out, err = self.run_all("--quick", "--filter", "chain")
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"(?m)^ +shm +grpc +shm p50/p99 us +grpc p50/p99 us$")
        self.assertRegex(out, r"(?m)^chain of 100 tasks +[\d.,]+ +[\d.,]+  ms$")

    def test_one_transport_alone_can_be_chosen(self):
        code, out, err = self.run_all("--quick", "--json", "--filter", "chain",
                                      "--transport", "grpc")
        self.assertEqual(code, 0, err)
        self.assertEqual([json.loads(line)["transport"] for line in out.splitlines()], ["grpc"])

    def test_interrupting_leaves_nothing(self):
        process = self.start("--json", "--filter", "ring hand-over$|tasks async|METG")
        self.assertIn("ring hand-over", process.stdout.readline())
        process.stdout.readline()  # a head runs
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 130, err)
        self.assert_nothing_is_left()

    def test_mistakes_are_told(self):
        self.assertEqual(self.run_all("--filter", "(")[0], 2)
        self.assertEqual(self.run_all("--transport", "carrier-pigeon")[0], 2)
        self.assertEqual(self.run_all("--part", "nonsense")[0], 2)


if __name__ == "__main__":
    unittest.main()
