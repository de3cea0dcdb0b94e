"""Python calls C++, C++ and the command line call Python, with the same values."""

from __future__ import annotations

import json
import os
import subprocess
import unittest

import kiln
from support import KILN, DriverCase, PlaceCase

LIBRARY = os.path.join(os.environ["KILN_LIB_DIR"], "libkiln_examples.so")
CALLER = os.environ["KILN_PYTHON_CALLER"]  # tests/python/python_caller.cc


class PythonCallsCpp(DriverCase):
    def test_a_function_of_a_library_runs(self) -> None:
        add = kiln.cpp_function(LIBRARY, "Add")
        self.assertEqual(kiln.get(add.remote(1, kiln.put(2))), 3)
        count = kiln.cpp_function(LIBRARY, "WordCount").options(num_cpus=0.5)
        self.assertEqual(kiln.get(count.remote("to be or not to be")),
                         {"be": 2, "not": 1, "or": 1, "to": 2})

    def test_tuples_are_lists_there(self) -> None:
        parts = kiln.cpp_function(LIBRARY, "Add")
        with self.assertRaisesRegex(kiln.exceptions.CrossLanguageError, "expected int, got a list of 2"):
            kiln.get(parts.remote((1, 2), 3))

    def test_what_does_not_fit_is_said(self) -> None:
        add = kiln.cpp_function(LIBRARY, "Add")
        with self.assertRaisesRegex(kiln.exceptions.CrossLanguageError, 'expected int, got string "x"'):
            kiln.get(add.remote("x", 2))
        with self.assertRaisesRegex(kiln.exceptions.CrossLanguageError, "expected 2 arguments, got 1"):
            kiln.get(add.remote(1))
        with self.assertRaisesRegex(TypeError, "another language"):
            add.remote({1, 2}, 3)
        self.assertRaises(TypeError, add, 1, 2)
        self.assertRaises(FileNotFoundError, kiln.cpp_function, "/no/such.so", "Add")
        with self.assertRaisesRegex(kiln.exceptions.CrossLanguageError, "did you mean Add"):
            kiln.get(kiln.cpp_function(LIBRARY, "Addd").remote(1, 2))

    def test_an_exception_of_cpp_is_a_cross_language_error(self) -> None:
        with self.assertRaisesRegex(kiln.exceptions.CrossLanguageError, "std::runtime_error: oh no"):
            kiln.get(kiln.cpp_function(LIBRARY, "Fail").remote("oh no"))


class ActorsOfCpp(DriverCase):
    def test_one_is_made_and_called_by_names(self) -> None:
        counter = kiln.cpp_actor(LIBRARY, "Counter").remote(10)
        self.assertEqual(kiln.get([counter.Increment.remote(i) for i in (1, 2)]), [11, 13])
        self.assertEqual(kiln.get(counter.Value.remote()), 13)
        self.assertRegex(repr(counter), r"Actor\(Counter, ")

        @kiln.remote
        def use(counter):
            return kiln.get(counter.Increment.remote(100))

        self.assertEqual(kiln.get(use.remote(counter)), 113)
        kiln.kill(counter)
        self.assertRaises(kiln.exceptions.ActorDiedError, kiln.get, counter.Value.remote())

    def test_one_is_found_by_its_name(self) -> None:
        made = kiln.cpp_actor(LIBRARY, "Counter").options(name="cpp", num_cpus=0).remote(1)
        found = kiln.get_actor("cpp")
        self.assertEqual(made, found)
        self.assertEqual(kiln.get(found.Increment.remote(1)), 2)

    def test_what_does_not_fit_is_said(self) -> None:
        counter = kiln.cpp_actor(LIBRARY, "Counter").remote(1)
        with self.assertRaisesRegex(kiln.exceptions.CrossLanguageError, "Increment"):
            kiln.get(counter.Incremen.remote(1))
        with self.assertRaisesRegex(TypeError, "no keyword arguments"):
            counter.Increment.remote(by=1)
        with self.assertRaisesRegex(TypeError, "another language"):
            counter.Increment.remote({1, 2})
        with self.assertRaisesRegex(kiln.exceptions.CrossLanguageError, "no class Nothing"):
            kiln.get(kiln.cpp_actor(LIBRARY, "Nothing").remote().f.remote())
        self.assertRaises(FileNotFoundError, kiln.cpp_actor, "/no/such.so", "Counter")


class OthersCallPython(PlaceCase):
    MODULE = """
        import numpy

        def describe(*values):
            return [type(value).__name__ for value in values]

        def add(a, b):
            return a + b

        def scaled(array, factor):
            assert not array.flags.writeable
            return array * factor

        def pair():
            return 1, "x"

        def numpys():
            return {"mean": numpy.float64(2.5), "all": [numpy.int32(1), numpy.bool_(True)]}

        def fail(text):
            raise ValueError(text)

        class Shapes:
            @staticmethod
            def area(sides):
                return sides["a"] * sides["b"]

        class Counter:
            def __init__(self, start):
                self.value = start

            def add(self, by):
                self.value += by
                return self.value

            def pair(self):
                return self.value, numpy.float64(0.5)

            def fail(self, text):
                raise ValueError(text)
    """

    def setUp(self) -> None:
        super().setUp()
        import textwrap
        (self.place.work / "shapes.py").write_text(textwrap.dedent(self.MODULE))
        self.place.start_head()

    def run_kiln(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([KILN, "run", *args], env=self.place.env, cwd=self.place.work,
                              capture_output=True, text=True, timeout=60, check=False)

    def test_the_command_runs_a_function_of_a_module_in_this_folder(self) -> None:
        for args, expected in ((["shapes:add", "1", "2"], 3), (["shapes:add", '"a"', '"b"'], "ab"),
                               (["shapes:pair"], [1, "x"]),
                               (["shapes:Shapes.area", '{"a": 2, "b": 3}'], 6),
                               (["shapes.py:add", "[1]", "[2]"], [1, 2]),
                               (["statistics:mean", "[1, 2, 6]"], 3),
                               (["shapes:numpys"], {"mean": 2.5, "all": [1, True]}),
                               (["shapes:describe", "null", "true", "1", "1.5", '"s"', "[]", "{}"],
                                ["NoneType", "bool", "int", "float", "str", "list", "dict"])):
            done = self.run_kiln(*args)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout), expected, args)

    def test_an_exception_is_told_with_its_traceback(self) -> None:
        done = self.run_kiln("shapes:fail", '"bad luck"')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("ValueError: bad luck", done.stderr)
        self.assertIn('shapes.py", line', done.stderr)

    def test_what_is_not_there_is_named(self) -> None:
        self.assertIn("module 'shapes' has no 'nothing'; it has", self.run_kiln("shapes:nothing").stderr)
        self.assertIn("no module 'nowhere'", self.run_kiln("nowhere:f").stderr)
        self.assertIn("there is no task library", self.run_kiln("./nowhere.so:f").stderr)

    def test_an_edit_takes_effect_at_the_next_run(self) -> None:
        self.assertEqual(self.run_kiln("shapes:add", "1", "2").stdout, "3\n")
        (self.place.work / "shapes.py").write_text("def add(a, b):\n    return 'new'\n")
        self.assertEqual(self.run_kiln("shapes:add", "1", "2").stdout, '"new"\n')

    def test_a_cpp_program_calls_python(self) -> None:
        done = subprocess.run([CALLER], env=self.place.env, cwd=self.place.work, capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(),
                         ["3", "3.5", "1 x", "2 4 6", "ValueError: bad", "FUNCTION_NOT_FOUND",
                          "15 16", "16 0.5", "ValueError: worse", "FUNCTION_NOT_FOUND"])


if __name__ == "__main__":
    unittest.main()
