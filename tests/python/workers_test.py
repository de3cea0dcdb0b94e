"""What a worker is: a fork that is its driver's in everything that shows."""

from __future__ import annotations

import os
import unittest

import kiln
from support import DriverCase, PlaceCase


@kiln.remote
def pid_after(seconds):
    __import__("time").sleep(seconds)
    return os.getpid()


class Workers(DriverCase):
    def test_workers_draw_different_random_numbers(self) -> None:
        @kiln.remote
        def draw():
            import random

            import numpy
            __import__("time").sleep(0.2)  # so that both have one
            return os.getpid(), random.random(), float(numpy.random.random())

        drawn = kiln.get([draw.remote() for _ in range(2)])
        self.assertEqual([len({values[i] for values in drawn}) for i in range(3)], [2, 2, 2])

    def test_threads_follow_num_cpus(self) -> None:
        if "OMP_NUM_THREADS" in os.environ:
            self.skipTest("the environment says how many")

        @kiln.remote
        def threads():
            return os.environ.get("OMP_NUM_THREADS")

        self.assertEqual(kiln.get([threads.remote(), threads.options(num_cpus=2).remote(),
                                   threads.options(num_cpus=0.5).remote()]), ["1", "2", "1"])

    def test_a_worker_ends_after_max_calls(self) -> None:
        once = kiln.remote(max_calls=1)(os.getpid)
        pids = [kiln.get(once.remote()) for _ in range(3)]
        self.assertEqual(len(set(pids)), 3)

    def test_tasks_go_on_when_the_worker_that_submitted_them_has_left(self) -> None:
        @kiln.remote(max_calls=1)
        def parent():
            @kiln.remote
            def child(i):
                __import__("time").sleep(0.2)
                return i

            return [child.remote(i) for i in range(6)]

        self.assertEqual(kiln.get(kiln.get(parent.remote())), list(range(6)))

    def test_stdin_is_empty_and_signals_are_the_tasks_own(self) -> None:
        @kiln.remote
        def looks():
            import signal
            import sys
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            return sys.stdin.read(), __import__("threading").current_thread().name

        self.assertEqual(kiln.get(looks.remote()), ("", "MainThread"))


class Drivers(PlaceCase):
    def test_workers_have_the_directory_environment_and_path_of_their_driver(self) -> None:
        out = self.check_run("""
            import os, sys
            os.makedirs("inner", exist_ok=True)
            with open("inner/beside.py", "w") as file: file.write("NAME = 'beside'\\n")
            os.chdir("inner")
            sys.path.insert(0, os.getcwd())
            os.environ["MINE"] = "yes"
            import kiln
            kiln.init(num_cpus=1)
            @kiln.remote
            def look():
                import beside
                return os.getcwd(), os.environ["MINE"], beside.NAME, os.environ.get("PYTHONPATH")
            cwd, mine, name, path = kiln.get(look.remote())
            assert cwd == os.getcwd(), cwd
            print(mine, name, path == os.environ.get("PYTHONPATH"))
        """)
        self.assertEqual(out, "yes beside True\n")

    def test_runtime_env_sets_variables_and_directory(self) -> None:
        out = self.check_run("""
            import os, kiln
            env_vars = {"COLOUR": "red", "OMP_NUM_THREADS": "3"}
            kiln.init(num_cpus=1, runtime_env={"env_vars": env_vars, "working_dir": "/"})
            @kiln.remote
            def look(): return os.environ["COLOUR"], os.environ["OMP_NUM_THREADS"], os.getcwd()
            print(*kiln.get(look.remote()))
            kiln.shutdown()
            for env in ({"pip": ["x"]}, {"working_dir": "/no/such"}):
                try: kiln.init(num_cpus=1, runtime_env=env)
                except ValueError as error: print("refused")
        """)
        self.assertEqual(out, "red 3 /\nrefused\nrefused\n")

    def test_modules_named_are_imported_before_the_fork(self) -> None:
        (self.place.work / "heavy.py").write_text(
            "import os\nHERE = os.getpid()\ndef where(): return HERE, os.getpid(), os.environ.get('PYTHONPATH')\n",
            encoding="utf-8")
        text = """
            import os, kiln, heavy
            kiln.init(num_cpus=1)
            imported, runs, path = kiln.get(kiln.remote(heavy.where).remote())
            print(imported == runs, path == os.environ.get("PYTHONPATH"))
            """
        self.assertEqual(self.check_run(text), "True True\n")
        self.assertEqual(self.check_run(text, env={"KILN_PRELOAD": "cloudpickle, heavy"}), "False True\n")
        done = self.place.run(text, env={"KILN_PRELOAD": "heavvy"})
        self.assertEqual(done.code, 1)
        self.assertIn("KILN_PRELOAD names heavvy, which cannot be imported: No module named 'heavvy'",
                      done.stderr)


if __name__ == "__main__":
    unittest.main()
