"""What tasks print: in the driver's standard error, with a prefix, in order, bounded."""

from __future__ import annotations

import re
import unittest

from support import SharedPlaceCase

LINE = re.compile(r"\((\S+) pid=(\d+)\) (.*)")
PROGRAM = """
import kiln, os, sys, time
kiln.init()
@kiln.remote
def say(*texts, to="stdout", end="\\n"):
    for text in texts: print(text, file=getattr(sys, to), end=end)
    return os.getpid()
"""


class Output(SharedPlaceCase):
    def lines(self, text: str, **options: object) -> list[tuple[str, str, str]]:
        """(task, pid, line) of what tasks printed, in the order shown."""
        done = self.place.run(PROGRAM + text, **options)
        self.assertEqual(done.code, 0, done.stderr)
        self.stdout = done.stdout
        self.stderr = done.stderr
        return [match.groups() for match in map(LINE.fullmatch, done.stderr.splitlines()) if match]

    def texts(self, text: str, **options: object) -> list[str]:
        return [line for _, _, line in self.lines(text, **options)]

    def test_lines_have_the_name_and_process_of_their_task(self) -> None:
        lines = self.lines("print('pid', kiln.get(say.remote('hello', 'you')))\n"
                           "kiln.get(say.options(name='named').remote('other', to='stderr'))")
        pid = self.stdout.split()[1]
        self.assertEqual(lines[:2], [("say", pid, "hello"), ("say", pid, "you")])
        self.assertIn(("named", "other"), [(task, line) for task, _, line in lines])

    def test_what_the_driver_prints_itself_stays_as_it_is(self) -> None:
        self.texts("print('out'); print('err', file=sys.stderr)")
        self.assertEqual((self.stdout, self.stderr), ("out\n", "err\n"))

    def test_output_of_a_task_is_there_before_the_program_ends(self) -> None:
        for end in ("", "kiln.shutdown()", "sys.exit(0)"):
            self.assertEqual(self.texts("kiln.get(say.remote('last'))\n" + end), ["last"])

    def test_a_last_line_without_its_end_is_shown_with_its_task(self) -> None:
        lines = self.lines("kiln.get(say.remote('no end', end=''))\n"
                           "kiln.get(say.options(name='next').remote('of another'))")
        self.assertEqual(sorted((task, line) for task, _, line in lines),
                         [("next", "of another"), ("say", "no end")])

    def test_every_line_of_one_task_comes_in_order(self) -> None:
        self.assertEqual(self.texts("kiln.get(say.remote(*range(3000)))"),
                         [str(i) for i in range(3000)])

    def test_a_line_that_one_task_repeats_is_shown_each_time(self) -> None:
        self.assertEqual(self.texts("kiln.get(say.remote('same', 'same', 'same'))"), ["same"] * 3)

    def test_the_same_line_of_several_workers_is_shown_once_and_counted(self) -> None:
        text = """
@kiln.remote(num_cpus=0.5)
def both(path):
    open(f"{path}.{os.getpid()}", "w").close()
    while len([n for n in os.listdir() if n.startswith(path)]) < 3: time.sleep(0.01)
    print("the same of all")
kiln.get([both.remote(PATH) for _ in range(3)])
"""
        texts = self.texts("PATH = 'first'\n" + text)
        self.assertEqual(texts,
                         ["the same of all", "the same of all [repeated 2x by other workers]"])
        texts = self.texts("PATH = 'second'\n" + text, env={"KILN_DEDUP_LOGS": "0"})
        self.assertEqual(texts, ["the same of all"] * 3)

    def test_empty_lines_and_spaces_are_kept(self) -> None:
        self.assertEqual(self.texts("kiln.get(say.remote('  a', '', 'b  ', '\\tc'))"),
                         ["  a", "", "b  ", "\tc"])

    def test_text_of_every_script_and_bytes_that_are_no_text(self) -> None:
        texts = self.texts("""
kiln.get(say.remote("grün ☃ 😀", "\\udc80 lone"))
def raw():
    os.write(1, b"\\xff\\xfe bytes\\n"); os.write(2, b"nul \\0 here\\n")
kiln.get(kiln.remote(raw).remote())
""", env={"PYTHONIOENCODING": "utf-8"})
        self.assertEqual(texts[:2], ["grün ☃ 😀", "\\udc80 lone"])
        self.assertIn("?? bytes", texts)
        self.assertIn("nul \0 here", texts)

    def test_of_a_very_long_line_the_beginning_is_shown(self) -> None:
        texts = self.texts("kiln.get(say.remote('x' * 300_000, 'next'))")
        self.assertEqual(texts[-1], "next")
        self.assertRegex(texts[0], "^x{10000}")

    def test_more_lines_than_anybody_reads_are_counted_and_do_not_hold_up_the_program(self) -> None:
        texts = self.texts("kiln.get(say.remote(*range(200_000)))")
        hidden = re.findall(r"\(kiln\) ([\d,]+) more lines of tasks", self.stderr)
        self.assertTrue(hidden, self.stderr[-500:])
        self.assertEqual(len(texts) + sum(int(count.replace(",", "")) for count in hidden), 200_000)

    def test_output_after_the_end_of_the_task_and_of_its_children(self) -> None:
        texts = self.texts("""
import threading, subprocess
def later():
    threading.Timer(0.2, lambda: print("from a thread")).start()
    global child
    child = subprocess.Popen("sleep 0.2; echo from a child", shell=True)
kiln.get(kiln.remote(later).remote())
time.sleep(1)
""")
        self.assertEqual(sorted(texts), ["from a child", "from a thread"])

    def test_output_of_a_worker_that_crashes_is_shown(self) -> None:
        texts = self.texts("""
def crash():
    print("before"); sys.stdout.flush(); os.write(2, b"at the end"); os._exit(1)
try: kiln.get(kiln.remote(crash).options(max_retries=0).remote())
except kiln.exceptions.WorkerCrashedError: pass
""")
        self.assertEqual(sorted(texts), ["at the end", "before"])

    def test_nothing_is_shown_with_log_to_driver_false(self) -> None:
        done = self.place.run(PROGRAM.replace("init()",
                                              "init(log_to_driver=False)") + "kiln.get(say.remote('x'))")
        self.assertEqual((done.code, done.stdout, done.stderr), (0, "", ""))

    def test_a_driver_without_standard_error_runs_on(self) -> None:
        for close in ("sys.stderr = None", "sys.stderr.close()", "os.close(2)"):
            done = self.place.run(PROGRAM + close + "\nkiln.get(say.remote('x')); kiln.shutdown(); print('well')")
            self.assertEqual((done.code, done.stdout), (0, "well\n"))

    def test_output_goes_to_what_sys_stderr_is_now(self) -> None:
        self.texts("""
import io
sys.stderr = io.StringIO()
kiln.get(say.remote("caught"))
kiln.shutdown()
print(sys.stderr.getvalue().endswith(") caught\\n"))
""")
        self.assertEqual((self.stdout, self.stderr), ("True\n", ""))

    def test_nested_tasks_and_loggers_print_too(self) -> None:
        lines = self.lines("""
import logging
@kiln.remote
def outer():
    print("outside"); kiln.get(say.remote("inside")); logging.warning("logged"); print("after")
kiln.get(outer.remote())
""")
        self.assertEqual(sorted((task, line) for task, _, line in lines),
                         [("outer", "WARNING:root:logged"), ("outer", "after"),
                          ("outer", "outside"),
                          ("say", "inside")])

    def test_two_drivers_see_only_their_own_tasks(self) -> None:
        other = self.place.start(PROGRAM + "kiln.get(say.remote('of the other'))", name="other.py")
        self.assertEqual(self.texts("kiln.get(say.remote('mine'))"), ["mine"])
        self.assertIn("of the other", self.place.finish(other).stderr)

    def test_input_reads_nothing(self) -> None:
        self.texts("print(repr(kiln.get(kiln.remote(lambda: sys.stdin.read()).remote(), timeout=20)))")
        self.assertEqual(self.stdout, "''\n")


if __name__ == "__main__":
    unittest.main()
