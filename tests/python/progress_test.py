"""kiln.util.tqdm: bars of drivers and tasks share one terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
import types
import unittest
from unittest import mock

import kiln
from kiln.util import _bars, tqdm, trange
from kiln.util._bar_state import BarState
from tqdm.std import tqdm as tqdm_of_terminals


def setUpModule() -> None:
    kiln.init("local", num_cpus=2)


def tearDownModule() -> None:
    kiln.shutdown()


class Terminal(io.StringIO):
    """What a terminal shows of what is written to it."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """The lines that are not empty, from top to bottom."""
        return screen(self.getvalue())


def screen(text: str) -> list[str]:
    rows: list[list[str]] = [[]]
    row = column = 0
    for token in re.findall(r"\x1b\[A|\x1b\[[0-9;?]*[a-zA-Z]|[\s\S]", text):
        if token == "\x1b[A":
            row = max(row - 1, 0)
        elif token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, 0
            if row == len(rows):
                rows.append([])
        elif not token.startswith("\x1b"):
            line = rows[row]
            line.extend(" " * (column + 1 - len(line)))
            line[column] = token
            column += 1
    lines = ["".join(line).rstrip() for line in rows]
    return [line for line in lines if line]


class BarsTest(unittest.TestCase):
    """With a terminal as standard error."""

    def setUp(self) -> None:
        self.terminal = Terminal()
        self.use(self.terminal)
        self.bars = _bars.Bars()
        self.addCleanup(self.bars.close_all)

    def use(self, stderr: io.StringIO) -> None:
        patch = mock.patch("sys.stderr", stderr)
        patch.start()
        self.addCleanup(patch.stop)

    def show(self, number: int, n: float = 1, total: float | None = 10, **fields: object) -> None:
        bar = BarState(key=(1, number), n=n, total=total, desc=f"bar {number}", **fields)
        self.bars.update(bar)

    def shown(self) -> list[str]:
        """What stands before the percentage, and the count."""
        shown = []
        for line in self.terminal.lines():
            found = re.match(r"(bar \d+): +\d+%.* (\d+/\d+)", line)
            shown.append(f"{found[1]} {found[2]}" if found else line)
        return shown


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


class TqdmTest(BarsTest):
    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.object(_bars, "bars", self.bars)
        patch.start()
        self.addCleanup(patch.stop)

    def test_it_iterates(self) -> None:
        self.assertEqual(list(tqdm([3, 1, 2], desc="bar 0")), [3, 1, 2])
        self.assertEqual(list(trange(3, desc="bar 1")), [0, 1, 2])
        self.assertEqual(list(tqdm((x for x in "ab"), total=2, desc="bar 2")), ["a", "b"])
        self.assertEqual(self.shown(), ["bar 0 3/3", "bar 1 3/3", "bar 2 2/2"])

    def test_update_counts(self) -> None:
        with tqdm(total=10, desc="bar 0") as bar:
            bar.update()
            bar.update(4)
            self.assertEqual(bar.n, 5)
        self.assertEqual(self.shown(), ["bar 0 5/10"])

    def test_it_closes_when_the_loop_is_left(self) -> None:
        for i in tqdm(range(10), desc="bar 0"):
            if i == 4:
                break
        self.assertEqual(self.shown(), ["bar 0 4/10"])
        with self.assertRaises(KeyError):
            for i in tqdm(range(10), desc="bar 1", leave=False):
                raise KeyError(i)
        self.assertEqual(len(self.bars), 0)

    def test_one_that_is_dropped_is_closed(self) -> None:
        bar = tqdm(total=10, desc="bar 0")
        self.assertEqual(len(self.bars), 1)
        del bar
        self.assertEqual(len(self.bars), 0)

    def test_leave_decides_what_stays(self) -> None:
        list(tqdm([1], desc="bar 0", leave=False))
        self.assertEqual(self.shown(), [])

    def test_texts_can_be_changed(self) -> None:
        bar = tqdm(total=10, desc="old")
        bar.set_description("new")
        self.assertRegex(self.terminal.lines()[0], "^new: ")
        bar.set_description_str("newer: ")
        self.assertRegex(self.terminal.lines()[0], "^newer: ")
        bar.set_postfix(loss=0.123456, name="x")
        self.assertRegex(self.terminal.lines()[0], r"loss=0\.123, name=x\]$")
        bar.set_postfix({"b": 1}, a=2)
        self.assertRegex(self.terminal.lines()[0], r"b=1, a=2\]$")
        bar.set_postfix_str("free text")
        self.assertRegex(self.terminal.lines()[0], r"free text\]$")
        bar.close()

    def test_it_can_begin_again(self) -> None:
        bar = tqdm(total=10, desc="bar 0", initial=3)
        self.assertEqual(self.shown(), ["bar 0 3/10"])
        bar.reset(total=20)
        self.assertEqual(self.shown(), ["bar 0 0/20"])
        bar.close()

    def test_it_has_a_length(self) -> None:
        self.assertEqual(len(tqdm([1, 2], disable=True)), 2)
        self.assertEqual(len(tqdm(total=7, disable=True)), 7)
        self.assertTrue(tqdm(disable=True))
        self.assertFalse(tqdm([], disable=True))

    def test_disabled_it_shows_nothing(self) -> None:
        self.assertEqual(list(tqdm([1, 2], disable=True)), [1, 2])
        bar = tqdm(total=5, disable=True)
        bar.update(3)
        bar.set_postfix(a=1)
        bar.close()
        self.assertEqual(self.terminal.getvalue(), "")

    def test_in_a_log_it_can_disable_itself(self) -> None:
        self.assertFalse(tqdm(total=1, disable=None).disable)
        self.use(io.StringIO())
        self.assertTrue(tqdm(total=1, disable=None).disable)

    def test_options_of_tqdm_are_taken_and_others_are_not(self) -> None:
        list(tqdm([1], mininterval=1, file=None, dynamic_ncols=True, unit_scale=True))
        with self.assertRaisesRegex(TypeError, "unexpected keyword argument 'colr'"):
            tqdm([1], colr="red")

    def test_write_is_above_the_bars(self) -> None:
        bar = tqdm(total=10, desc="bar 0")
        tqdm.write("hello")
        self.assertEqual(self.shown(), ["hello", "bar 0 0/10"])
        bar.close()


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
