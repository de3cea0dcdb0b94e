"""The package's type hints are complete and right: mypy in strict mode, and a program of a user."""

from __future__ import annotations

import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent / "client" / "python"

PROGRAM = """
import kiln

@kiln.remote
def add(a: int, b: int) -> int:
    return a + b

ref = add.remote(1, 2)
value: int = kiln.get(ref)
several: list[int] = kiln.get([add.remote(i, 1) for i in range(3)])
ready, rest = kiln.wait([ref])
kiln.get(kiln.put("text"), timeout=1.0).upper()
add.options(num_cpus=2, max_retries=0).remote(1, 2)

class Counter:
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @kiln.method(num_returns=1)
    def add(self, by: int) -> int:
        return self.value + by

RemoteCounter = kiln.remote(Counter)  # decorators of classes change no type for mypy
counter = RemoteCounter.options(max_restarts=1).remote(1)
kiln.get(counter.add.remote(2))
kiln.kill(kiln.get_actor("name", "namespace"))
context: kiln.Context = kiln.init(num_cpus=2, ignore_reinit_error=True)
"""


class Types(unittest.TestCase):
    def check(self, *args: str) -> None:
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                ["/usr/bin/mypy", "--cache-dir", cache, "--config-file", str(SOURCE / "mypy.ini"), *args],
                cwd=SOURCE, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_package_is_typed_in_full(self) -> None:
        self.check("-p", "kiln")

    def test_a_program_that_uses_it_is_checked(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            program = Path(directory) / "program.py"
            program.write_text(PROGRAM, encoding="utf-8")
            self.check(str(program))


if __name__ == "__main__":
    unittest.main()
