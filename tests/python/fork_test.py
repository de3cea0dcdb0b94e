"""A driver that forks, with os.fork, multiprocessing or subprocess, and what its children can do."""

from __future__ import annotations

import unittest

from support import SharedPlaceCase

PROGRAM = """
import gc, multiprocessing, os, signal, subprocess, sys, threading, time
import kiln, numpy

@kiln.remote
def double(x): return 2 * x

def in_child(function):
    \"\"\"Runs it in a forked child; its exit code.\"\"\"
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        code = 1
        try:
            function()
            code = 0
        except BaseException as error:
            print("child:", type(error).__name__, error, file=sys.stderr, flush=True)
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def use():
    return kiln.get(double.remote(4))
"""
INIT = PROGRAM + "kiln.init()\nref = kiln.put(numpy.ones(100_000)); small = double.remote(3); kiln.get(small)\n"


class Forks(SharedPlaceCase):
    def test_every_call_in_a_forked_child_says_what_to_do(self) -> None:
        out = self.check_run(INIT + """
def child():
    assert not kiln.is_initialized()
    for use in (lambda: kiln.get(ref), lambda: kiln.get([small]), lambda: kiln.wait([ref]), lambda: kiln.put(1),
                lambda: double.remote(1), lambda: kiln.cancel(small), lambda: small.future(),
                lambda: double.remote(ref)):
        try: use()
        except kiln.exceptions.RaySystemError as error:
            assert "forked" in str(error) and "kiln.init()" in str(error), error
        else: raise AssertionError("no error")
print(in_child(child), kiln.get(ref).sum(), use())
""")
        self.assertEqual(out, "0 100000.0 8\n")

    def test_a_forked_child_joins_the_head_by_init(self) -> None:
        out = self.check_run(INIT + """
def child():
    kiln.init()
    assert use() == 8
    assert kiln.get(kiln.put([1])) == [1]
    try: kiln.get(ref)
    except kiln.exceptions.RaySystemError as error: assert "forked" in str(error), error
    else: raise AssertionError("no error")
    kiln.shutdown()
print([in_child(child) for _ in range(3)], kiln.get(ref).sum(), use())
""")
        self.assertEqual(out, "[0, 0, 0] 100000.0 8\n")

    def test_a_child_of_a_child_joins_too(self) -> None:
        out = self.check_run(INIT + """
def grandchild():
    kiln.init(); assert use() == 8
def child():
    kiln.init(); assert use() == 8
    assert in_child(grandchild) == 0
    assert use() == 8
print(in_child(child), use())
""")
        self.assertEqual(out, "0 8\n")

    def test_a_child_of_a_program_with_a_head_of_its_own_joins_that_and_does_not_end_it(self) -> None:
        out = self.check_run(PROGRAM + """
kiln.init(num_cpus=2)
ref = kiln.put(1)
def child():
    context = kiln.init()
    assert not context.owned and use() == 8
    kiln.shutdown()
print(in_child(child), use(), kiln.get(ref))
""", env={"KILN_SESSION_DIR": ""})
        self.assertEqual(out, "0 8 1\n")

    def test_a_child_that_ends_by_itself_ends_cleanly_and_harms_no_ref(self) -> None:
        for end in ("sys.exit(0)", "os._exit(0)", "del ref, small; gc.collect(); sys.exit(0)",
                    "kiln.shutdown(); sys.exit(0)", "kiln.init(); use(); sys.exit(0)"):
            with self.subTest(end):
                out = self.check_run(INIT + f"""
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    {end}
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(code, kiln.get(ref).sum(), kiln.get(small), use())
""")
                self.assertEqual(out, "0 100000.0 6 8\n")

    def test_arrays_that_were_got_before_stay_readable_in_the_child(self) -> None:
        out = self.check_run(INIT + """
array = kiln.get(ref)
def child(): assert array.sum() == 100_000
print(in_child(child), array.sum())
""")
        self.assertEqual(out, "0 100000.0\n")

    def test_forks_beside_threads_that_submit_and_get(self) -> None:
        out = self.check_run(INIT + """
stop = False
def work():
    while not stop: assert use() == 8
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
def child():
    kiln.init(); assert use() == 8
print([in_child(child) for _ in range(10)])
stop = True
for thread in threads: thread.join()
print(use())
""")
        self.assertEqual(out, f"{[0] * 10}\n8\n")

    def test_a_fork_before_init_is_like_any_process(self) -> None:
        out = self.check_run(PROGRAM + "print(in_child(use), use(), in_child(lambda: kiln.is_initialized()))\n")
        self.assertEqual(out, "0 8 0\n")

    def test_pools_and_processes_of_multiprocessing(self) -> None:
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method):
                out = self.check_run(f"METHOD = {method!r}" + PROGRAM + """
def plain(x): return x + 1
def by_kiln(x):
    kiln.init(ignore_reinit_error=True)
    return kiln.get(double.remote(x))
def main():
    kiln.init()
    ref = kiln.put([1])
    context = multiprocessing.get_context(METHOD)
    with context.Pool(2) as pool:
        print(pool.map(plain, range(5)), pool.map(by_kiln, range(5)))
    process = context.Process(target=by_kiln, args=(1,))
    process.start(); process.join(30)
    print(process.exitcode, kiln.get(ref), use())
if __name__ == "__main__": main()
""")
                self.assertEqual(out, "[1, 2, 3, 4, 5] [0, 2, 4, 6, 8]\n0 [1] 8\n")

    def test_programs_that_the_driver_starts(self) -> None:
        out = self.check_run(INIT + """
print(subprocess.run(["echo", "hello"], capture_output=True, text=True).stdout.strip())
code = "import kiln; kiln.init(); print(kiln.get(kiln.remote(len).remote('abc')))"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
os.system("exit 3")
print([p.wait() for p in [subprocess.Popen(["sleep", "0.01"], close_fds=False) for _ in range(5)]], use())
""")
        self.assertEqual(out, "hello\n3\n[0, 0, 0, 0, 0] 8\n")

    def test_no_descriptor_of_the_session_is_inherited_by_programs(self) -> None:
        out = self.check_run(INIT + """
code = "import os; print(sorted(os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')[:-1]))"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, close_fds=False).stdout)
""")
        for word in ("memfd", "socket", "kiln"):
            self.assertNotIn(word, out)

    def test_a_task_that_forks(self) -> None:
        out = self.check_run(PROGRAM + """
@kiln.remote
def forks():
    def child():
        try: kiln.put(1)
        except kiln.exceptions.RaySystemError: return
        raise AssertionError("no error")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        squares = pool.map(abs, [-1, -2])
    done = subprocess.run(["echo", "x"], capture_output=True, text=True)
    return in_child(child), squares, done.stdout, kiln.get(double.remote(2))
print(kiln.get([forks.remote() for _ in range(3)])[2])
""")
        self.assertEqual(out, "(0, [1, 2], 'x\\n', 4)\n")

    def test_a_task_whose_child_outlives_it_holds_up_nobody(self) -> None:
        out = self.check_run(PROGRAM + """
@kiln.remote
def leave(): return subprocess.Popen(["sleep", "5"]).pid
began = time.monotonic()
pid = kiln.get(leave.remote())
print(kiln.get([double.remote(i) for i in range(20)])[-1])
kiln.shutdown()
print(time.monotonic() - began < 4)
try: os.kill(pid, 9)
except ProcessLookupError: pass
""")
        self.assertEqual(out, "38\nTrue\n")


if __name__ == "__main__":
    unittest.main()
