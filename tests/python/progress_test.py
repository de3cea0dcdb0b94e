"""Bars of drivers and tasks share one terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import time
import types
import unittest
from unittest import mock

import kiln
from bars import BarsTest, screen
from calls import setUpModule, tearDownModule
from kiln.util import _bars, tqdm
from kiln.util._bar_state import BarState
from tqdm.std import tqdm as tqdm_of_terminals


class TerminalTest(BarsTest):
    def test_bars_stand_below_one_another(self) -> None:
        for number in range(3):
            self.show(number, number)
        self.assertEqual(self.shown(), ["bar 0 0/10", "bar 1 1/10", "bar 2 2/10"])

    def test_a_bar_shows_its_last_state(self) -> None:
        for n in (1, 5, 9, 4):
            self.show(0, n)
            self.show(1, n)
            self.assertEqual(self.shown(), [f"bar 0 {n}/10", f"bar 1 {n}/10"])

    def test_a_total_may_be_unknown(self) -> None:
        self.show(0, 3, None, unit="files")
        self.assertRegex(self.terminal.lines()[0], "^bar 0: 3files")

    def test_a_closed_bar_goes_and_the_others_close_ranks(self) -> None:
        for number in range(3):
            self.show(number)
        self.show(1, closed=True)
        self.assertEqual(self.shown(), ["bar 0 1/10", "bar 2 1/10"])
        self.show(0, closed=True)
        self.assertEqual(self.shown(), ["bar 2 1/10"])
        self.show(2, closed=True)
        self.assertEqual(self.shown(), [])
        self.assertEqual(len(self.bars), 0)

    def test_a_bar_that_is_left_stays_above_the_others(self) -> None:
        for number in range(3):
            self.show(number)
        self.show(1, 10, closed=True, leave=True)
        self.show(0, 7)
        self.assertEqual(self.shown(), ["bar 1 10/10", "bar 0 7/10", "bar 2 1/10"])

    def test_positions_decide_on_the_order(self) -> None:
        for number, position in ((0, None), (1, 5), (2, 0)):
            self.show(number, position=position)
        self.assertEqual(self.shown(), ["bar 2 1/10", "bar 1 1/10", "bar 0 1/10"])

    def test_eight_are_shown_and_the_others_counted(self) -> None:
        for number in range(11):
            self.show(number)
        lines = self.shown()
        self.assertEqual(lines[:8], [f"bar {number} 1/10" for number in range(8)])
        self.assertEqual(lines[8:], ["... and 3 more"])
        self.show(9, 5)
        self.show(2, closed=True)
        lines = self.shown()
        self.assertEqual(lines[:8], [f"bar {number} 1/10" for number in (0, 1, 3, 4, 5, 6, 7, 8)])
        self.assertEqual(lines[8:], ["... and 2 more"])
        for number in (0, 1):
            self.show(number, closed=True)
        self.assertEqual(
            self.shown(),
            [f"bar {n} 1/10" for n in (3, 4, 5, 6, 7, 8)] + ["bar 9 5/10", "bar 10 1/10"],
        )

    def test_text_is_written_above_the_bars(self) -> None:
        self.bars.write("before\n")
        self.show(0)
        self.bars.write("one\ntwo\n")
        self.show(0, 2)
        self.bars.write("three\n")
        self.assertEqual(self.shown(), ["before", "one", "two", "three", "bar 0 2/10"])

    def test_bars_of_tqdm_itself_keep_their_place(self) -> None:
        import tqdm as library

        with library.tqdm(total=10, desc="own", file=sys.stderr, mininterval=0) as own:
            self.show(0)
            own.update(5)
            self.assertRegex(self.terminal.lines()[0], "^own: +50%")
            self.assertEqual(self.shown()[1:], ["bar 0 1/10"])

    def test_looks_come_from_the_bar(self) -> None:
        self.show(0, 2000, 4000, looks={"unit_scale": True, "bar_format": "{desc} {n_fmt}!"})
        self.assertEqual(self.terminal.lines(), ["bar 0 2.00k!"])

    def test_once_the_program_ends_nothing_is_shown(self) -> None:
        self.show(0)
        self.bars.close_all()
        self.show(1)
        self.assertEqual(self.shown(), [])


class OtherScreensTest(BarsTest):
    def test_a_log_has_few_lines(self) -> None:
        log = io.StringIO()
        self.use(log)
        for n in range(10):
            self.show(0, n)
            self.show(1, n)
        self.assertEqual(log.getvalue(), "")
        self.bars.write("text\n")
        self.show(0, 10, closed=True)
        self.show(1, 10, closed=True, leave=True, elapsed=61.5)
        self.assertEqual(log.getvalue(), "text\nbar 1: 10/10 it (100%), 1:01\n")

    def test_without_tqdm_there_is_one_line(self) -> None:
        with mock.patch("importlib.util.find_spec", return_value=None):
            self.show(0, 3)
            self.show(1, 4, postfix="loss=1")
            self.assertEqual(
                self.terminal.lines(), ["bar 1: 4/10 it (40%), 0:00, loss=1 ... and 1 more"]
            )
            self.bars.write("text\n")
            self.show(1, 10, closed=True, leave=True)
            self.assertEqual(
                self.terminal.lines(),
                ["text", "bar 1: 10/10 it (100%), 0:00", "bar 0: 3/10 it (30%), 0:00"],
            )
            self.show(0, closed=True)
            self.assertEqual(self.terminal.lines(), ["text", "bar 1: 10/10 it (100%), 0:00"])

    def test_a_notebook_without_widgets_has_one_line(self) -> None:
        with self.notebook(), mock.patch("tqdm.notebook.IProgress", None):
            self.show(0, 3)
        self.assertEqual(self.terminal.lines(), ["bar 0: 3/10 it (30%), 0:00"])

    def test_a_notebook_with_widgets_has_those_of_tqdm(self) -> None:
        with self.notebook(), mock.patch("tqdm.notebook.IProgress", object()), \
                mock.patch("tqdm.notebook.tqdm_notebook", tqdm_of_terminals):
            self.show(0, 3)
            self.show(0, 4)
            self.bars.write("text\n")
            self.assertRegex(self.terminal.getvalue(), r"bar 0: .* 4/10 .*\btext\n$")
            self.show(0, closed=True)

    def test_a_screen_that_breaks_is_replaced_by_a_line(self) -> None:
        self.show(0, 3)
        with mock.patch("tqdm.std.tqdm.refresh", side_effect=RuntimeError("no widget")):
            self.show(0, 4)
            self.bars.write("text\n")
        self.show(0, 5)
        self.assertEqual(self.terminal.lines()[-2:], ["text", "bar 0: 5/10 it (50%), 0:00"])

    @staticmethod
    def notebook() -> mock._patch_dict:
        shell = types.SimpleNamespace(kernel=object())
        return mock.patch.dict(
            sys.modules, {"IPython": types.SimpleNamespace(get_ipython=lambda: shell)}
        )

    def test_no_standard_error_is_no_error(self) -> None:
        self.use(None)
        self.show(0)
        self.bars.write("text\n")
        self.show(0, closed=True, leave=True)


class LineTest(BarsTest):
    """Lines that bars in tasks print."""

    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.object(_bars, "bars", self.bars)
        patch.start()
        self.addCleanup(patch.stop)

    def line(self, **fields: object) -> str:
        return json.dumps(BarState(key=(0, 3), n=2, total=10, desc="bar 3", **fields).to_json())

    def test_a_line_shows_a_bar(self) -> None:
        _bars.on_line(self.line(), "f", os.getpid())
        self.assertEqual(self.shown(), ["bar 3 2/10"])
        _bars.on_line(self.line(closed=True), "f", os.getpid())
        self.assertEqual(self.shown(), [])

    def test_bars_of_two_processes_are_two(self) -> None:
        _bars.on_line(self.line(), "f", os.getpid())
        _bars.on_line(self.line(), "f", os.getppid())
        self.assertEqual(self.shown(), ["bar 3 2/10"] * 2)

    def test_other_text_is_shown_as_it_is(self) -> None:
        wrong = self.line().replace('"n": 2', '"n": "x"')
        for text in ("hello", "{}", "[]", "1", '{"id": 1}', wrong):
            _bars.on_line(text, "f", 7)
            self.assertEqual(self.terminal.lines()[-1], f"(f pid=7) {text}")
        self.assertEqual(len(self.bars), 0)

    def test_a_text_has_no_control_characters(self) -> None:
        bar = BarState(key=(0, 3), desc="bar\x1b[2J\n3")
        _bars.on_line(json.dumps(bar.to_json()), "f", os.getpid())
        self.assertIn("bar [2J 3: 0it", self.terminal.lines()[0])

    def test_the_bar_of_a_process_that_died_is_closed(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        _bars.on_line(self.line(leave=True), "f", process.pid)
        deadline = time.monotonic() + 30
        while len(self.bars) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.shown(), [])

    def test_the_end_of_the_session_closes_bars_of_tasks(self) -> None:
        _bars.on_line(self.line(), "f", os.getpid())
        self.show(0)
        self.bars.close_remote()
        self.assertEqual(self.shown(), ["bar 0 1/10"])


_PROGRAM = """
import sys, time
import kiln
from kiln.util import tqdm

kiln.init(num_cpus=2)

@kiln.remote
def work(number):
    with tqdm(total=20, desc=f"task {number}") as bar:
        for i in range(20):
            bar.update()
            time.sleep(0.01)
    print("done with", number)
    return number

@kiln.remote
def unfinished():
    print("text without end", end="", flush=True)
    tqdm(total=1, desc="unfinished").update()
    time.sleep(60)

refs = [work.remote(number) for number in range(4)]
for ref in tqdm(refs, desc="all"):
    kiln.get(ref)
unfinished.remote()
assert kiln.map(abs, range(1000), progress=True, desc="map") == list(range(1000))
time.sleep(0.5)  # the last lines of the tasks come
"""


class ProgramTest(unittest.TestCase):
    """Whole programs, whose tasks have bars."""

    def test_in_a_terminal_all_bars_are_shown(self) -> None:
        master, slave = pty.openpty()
        process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=slave, stderr=slave)
        os.close(slave)
        output = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # the program has ended
                break
            if not part:
                break
            output += part
        os.close(master)
        self.assertEqual(process.wait(60), 0)
        text = output.decode()
        self.assertNotIn("__kiln_bar__", text)
        for number in range(4):
            self.assertRegex(text, rf"task {number}: +\d+%.*/20 ")
        lines = screen(text)
        for word in ("task", "unfinished"):
            self.assertEqual([line for line in lines if line.startswith(word)], [], lines)
        self.assertEqual(len([line for line in lines if "text without end" in line]), 1, lines)
        for number in range(4):
            self.assertEqual(
                len([line for line in lines if line.endswith(f"done with {number}")]), 1, lines
            )
        self.assertRegex("\n".join(lines), r"(?m)^all: 100%.* 4/4 ")
        self.assertRegex("\n".join(lines), r"(?m)^map: 100%.* 1000/1000 ")

    def test_in_a_log_there_are_lines(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60
        )
        self.assertEqual(done.stdout, "")
        self.assertNotIn("\r", done.stderr)
        self.assertNotIn("__kiln_bar__", done.stderr)
        self.assertIn("all: 4/4 it (100%)", done.stderr)
        self.assertIn("map: 1000/1000 it (100%)", done.stderr)


if __name__ == "__main__":
    unittest.main()
