"""Functions of every kind run as tasks, wherever they are defined, and each is sent once."""

from __future__ import annotations

import importlib.util
import subprocess
import textwrap
import unittest

from support import SharedPlaceCase

HEAD = "import kiln\nkiln.init()\n"


class Kinds(SharedPlaceCase):
    def test_functions_of_main_with_globals_and_defaults(self) -> None:
        out = self.check_run(HEAD + """
LIMIT = 10
def helper(x): return x + LIMIT
@kiln.remote
def f(x, y=2, *rest, z=3, **more): return helper(x) + y + sum(rest) + z + sum(more.values())
print(kiln.get([f.remote(1), f.remote(1, 1, 1, z=0, w=100), f.remote(x=5)]))
""")
        self.assertEqual(out, "[16, 113, 20]\n")

    def test_closures_lambdas_partials_and_nested_functions(self) -> None:
        out = self.check_run(HEAD + """
import functools
def make(n):
    def inner(x): return x * n
    return inner
call = lambda f, *a: kiln.get(kiln.remote(f).remote(*a))
print(call(make(3), 5), call(lambda x: x + 1, 1), call(functools.partial(make(2)), 4),
      call(functools.partial(max, 7), 3), [call(lambda i=i: i) for i in range(3)])
""")
        self.assertEqual(out, "15 2 8 7 [0, 1, 2]\n")

    def test_builtins_ufuncs_methods_and_callable_objects(self) -> None:
        out = self.check_run(HEAD + """
import math, operator, numpy as np
class Scale:
    def __init__(self, k): self.k = k
    def times(self, x): return self.k * x
    @classmethod
    def make(cls, k): return cls(k).k
    @staticmethod
    def same(x): return x
    def __call__(self, x): return -x
call = lambda f, *a: kiln.get(kiln.remote(f).remote(*a))
print(call(len, [1, 2]), call(math.sqrt, 16), call(operator.add, 1, 2), call("a,b".split, ","),
      call(np.add, 1, 2), call(np.sum, np.ones(5)), call(Scale(3).times, 4), call(Scale.make, 9),
      call(Scale.same, 8), call(Scale(1), 5), call(dict.get, {1: 2}, 1))
""")
        self.assertEqual(out, "2 4.0 3 ['a', 'b'] 3 5.0 12 9 8 -5 2\n")

    def test_decorated_functions(self) -> None:
        out = self.check_run(HEAD + """
import functools, contextlib
def twice(f):
    @functools.wraps(f)
    def wrapped(*a, **k): return 2 * f(*a, **k)
    return wrapped
@kiln.remote
@twice
def f(x):
    "Doc of f."
    return x
@kiln.remote
@functools.lru_cache(maxsize=None)
def g(x): return x + 1
@functools.lru_cache(maxsize=100)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print(kiln.get(f.remote(4)), kiln.get(g.remote(4)), kiln.get(kiln.remote(fib).remote(60)), f.__name__, f.__doc__, f.__wrapped__(4))
""")
        self.assertEqual(out, "8 5 1548008755920 f Doc of f. 8\n")

    def test_recursion_and_mutual_recursion(self) -> None:
        out = self.check_run(HEAD + """
@kiln.remote
def fib(n): return n if n < 2 else sum(kiln.get([fib.remote(n - 1), fib.remote(n - 2)]))
@kiln.remote
def even(n): return True if n == 0 else kiln.get(odd.remote(n - 1))
@kiln.remote
def odd(n): return False if n == 0 else kiln.get(even.remote(n - 1))
def plain(n): return 1 if n == 0 else n * plain(n - 1)
print(kiln.get(fib.remote(9)), kiln.get(even.remote(7)), kiln.get(kiln.remote(plain).remote(20)))
""")
        self.assertEqual(out, "34 False 2432902008176640000\n")

    def test_a_remote_function_can_be_an_argument_a_result_and_a_global(self) -> None:
        out = self.check_run(HEAD + """
@kiln.remote
def double(x): return 2 * x
@kiln.remote
def apply(f, x): return kiln.get(f.remote(x))
@kiln.remote
def make(k): return kiln.remote(lambda x: x + k)
print(kiln.get(apply.remote(double, 4)), kiln.get(kiln.get(make.remote(5)).remote(1)))
""")
        self.assertEqual(out, "8 6\n")

    def test_a_function_that_imports_and_one_with_a_module_in_its_globals(self) -> None:
        out = self.check_run(HEAD + """
import math as m
@kiln.remote
def f(x):
    import json
    from collections import Counter
    return json.dumps(Counter(x)), m.pi > 3
print(kiln.get(f.remote("aab")))
""")
        self.assertEqual(out, "('{\"a\": 2, \"b\": 1}', True)\n")

    @unittest.skipUnless(importlib.util.find_spec("numba"), "numba is not installed")
    def test_a_function_compiled_by_numba(self) -> None:
        out = self.check_run(HEAD + """
import numba
@numba.njit
def count(n):
    total = 0
    for i in range(n): total += i & 1
    return total
@kiln.remote
def run(n): return count(n)
print(kiln.get([kiln.remote(count).remote(1001), run.remote(11)]))
""")
        self.assertEqual(out, "[500, 5]\n")

    def test_a_function_that_cannot_be_pickled_says_why(self) -> None:
        out = self.check_run(HEAD + """
import threading
lock = threading.Lock()
@kiln.remote
def f(): return lock
try: f.remote()
except TypeError as error: print(error)
""")
        self.assertIn("remote function f cannot be pickled", out)
        self.assertIn("lock", out)


class Modules(SharedPlaceCase):
    def test_modules_beside_the_script_and_in_added_directories(self) -> None:
        work = self.place.work
        (work / "beside.py").write_text("def f(x): return ('beside', x)\nclass C:\n  v = 3\n")
        (work / "extra").mkdir()
        (work / "extra" / "added.py").write_text("import beside\ndef g(x): return beside.f(x)\n")
        (work / "pack").mkdir()
        (work / "pack" / "__init__.py").write_text("")
        (work / "pack" / "inner.py").write_text("from . import other\ndef h(): return other.N\n")
        (work / "pack" / "other.py").write_text("N = 5\n")
        (work / "elsewhere").mkdir()
        out = self.check_run("""
            import sys, os
            sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "extra"))
            import kiln, beside, added
            from pack import inner
            kiln.init()
            @kiln.remote
            def local():
                import beside
                return beside.C.v
            print(kiln.get([kiln.remote(beside.f).remote(1), kiln.remote(added.g).remote(2),
                            kiln.remote(inner.h).remote(), local.remote()]))
            """, cwd=work / "elsewhere")
        self.assertEqual(out, "[('beside', 1), ('beside', 2), 5, 3]\n")

    def test_tasks_run_in_the_drivers_working_directory_and_environment(self) -> None:
        (self.place.work / "data.txt").write_text("here")
        out = self.check_run("""
            import kiln, os
            os.environ["SOME_SETTING"] = "value"
            kiln.init()
            read = kiln.remote(lambda: (open("data.txt").read(), os.environ["SOME_SETTING"],
                                        os.environ.get("PYTHONPATH")))
            print(kiln.get(read.remote()) == ("here", "value", os.environ.get("PYTHONPATH")))
            """)
        self.assertEqual(out, "True\n")

    def test_a_module_given_by_dash_m_and_a_module_in_the_working_directory(self) -> None:
        (self.place.work / "prog.py").write_text(textwrap.dedent("""
            import kiln
            @kiln.remote
            def f(x): return x + 1
            def main(): return kiln.get(f.remote(1))
            if __name__ == "__main__": print(main())
            """))
        done = self.place.finish(self.place.start_python("-m", "prog"))
        self.assertEqual((done.code, done.stdout), (0, "2\n"), done.stderr)
        done = self.place.finish(self.place.start_python("-c", "import prog; print(prog.main())"))
        self.assertEqual((done.code, done.stdout), (0, "2\n"), done.stderr)


class Sending(SharedPlaceCase):
    COUNT = """
import json, subprocess
from kiln import _api
def objects(): return _api._ask("status")["objects"]
"""

    def test_a_function_is_sent_once_whatever_its_options(self) -> None:
        out = self.check_run(HEAD + self.COUNT + """
@kiln.remote
def f(x): return x
for i in range(50): kiln.get(f.remote(i))
before = objects()
for i in range(200): kiln.get(f.options(name=f"n{i % 3}", num_cpus=0.5).remote(i))
same = [kiln.remote(lambda: 5) for _ in range(50)]
kiln.get([g.remote() for g in same])
print(objects() - before)
""")
        self.assertLessEqual(int(out), 3)

    def test_recursion_does_not_send_the_function_again_and_again(self) -> None:
        out = self.check_run(HEAD + self.COUNT + """
@kiln.remote
def fib(n): return n if n < 2 else sum(kiln.get([fib.remote(n - 1), fib.remote(n - 2)]))
@kiln.remote
def apply(f, x): return kiln.get(f.remote(x))
kiln.get(fib.remote(10))
kiln.get([apply.remote(fib, 1) for _ in range(100)])
print(objects())
""")
        self.assertLessEqual(int(out), 3)  # fib, apply, the last result

    def test_a_function_dropped_while_its_task_waits_still_runs(self) -> None:
        out = self.check_run(HEAD + """
import time, gc
busy = [kiln.remote(time.sleep).remote(0.2) for _ in range(3)]
refs = [kiln.remote(lambda i=i: i).remote() for i in range(20)]
gc.collect()
print(kiln.get(refs) == list(range(20)))
""")
        self.assertEqual(out, "True\n")

    def test_many_threads_may_call_a_new_function_first(self) -> None:
        out = self.check_run(HEAD + """
import threading
for _ in range(30):
    @kiln.remote
    def f(x): return x
    barrier, results = threading.Barrier(6), []
    def work():
        barrier.wait()
        results.append(kiln.get([f.remote(1) for _ in range(5)]))
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert results == [[1] * 5] * 6, results
print("well")
""")
        self.assertEqual(out, "well\n")

    def test_a_redefined_function_takes_effect_at_once(self) -> None:
        out = self.check_run(HEAD + """
for version in range(5):
    @kiln.remote
    def f(): return version
    def plain(): return -version
    print(kiln.get(f.remote()), kiln.get(kiln.remote(plain).remote()))
""")
        self.assertEqual(out, "0 0\n1 -1\n2 -2\n3 -3\n4 -4\n")

    def test_at_a_prompt(self) -> None:
        process = self.place.start_python("-i", "-q", stdin=subprocess.PIPE)
        done = self.place.finish(process, text=textwrap.dedent("""
            import kiln
            @kiln.remote
            def f(x): return x + 1

            kiln.get(f.remote(1))
            @kiln.remote
            def f(x): return x + 100

            kiln.get(f.remote(1))
            class C:
                def __init__(self, v): self.v = v

            kiln.get(kiln.remote(lambda c: C(c.v + 1)).remote(C(5))).v
            """))
        self.assertEqual((done.code, done.stdout.split()), (0, ["2", "101", "6"]), done.stderr)

    def test_a_program_from_standard_input(self) -> None:
        done = self.place.finish(
            self.place.start_python("-", stdin=subprocess.PIPE),
            text="import kiln\n@kiln.remote\ndef f(x): return x + 1\nprint(kiln.get(f.remote(1)))\n")
        self.assertEqual((done.code, done.stdout), (0, "2\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
