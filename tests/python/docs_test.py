"""The Python in the documents runs, and prints what it says.

All ```python blocks of a document run in order, as one program. What a block prints stands behind
`# ->`, at the end of a line or on lines of their own; `...` in it is any text. Two kinds of blocks
do not run: one that begins with a comment `# name.py` is that file, there before the program begins,
and one below `<!-- not run: WHY -->` is only to be read.
"""

from __future__ import annotations

import importlib.util
import re
import unittest
from pathlib import Path
from typing import NamedTuple

from support import PACKAGE, Done, PlaceCase

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 120

FENCE = "```"
NOT_RUN = re.compile(r"<!-- not run: .+ -->$")
FILE = re.compile(r"# (\w+\.py)$")
PRINTED = re.compile(r"# -> ?(.*)$")
MARK = "\x1e"  # printed before each block, with the number of its first line


class Block(NamedTuple):
    """Python between two fences."""

    first: int  # the number of its first line in the document
    lines: list[str]
    run: bool

    @property
    def file(self) -> str:
        """The name of the file that it is; empty for a part of the program."""
        match = FILE.match(self.lines[0]) if self.lines else None
        return match[1] if match else ""

    @property
    def printed(self) -> list[str]:
        """What it says that it prints."""
        matches = (PRINTED.search(line) for line in self.lines)
        return [match[1].rstrip() for match in matches if match]


def blocks_of(text: str) -> list[Block]:
    """The Python blocks of a document. Raises: ValueError (a block has no end)."""
    lines = text.splitlines()
    blocks = []
    at = 0
    while at < len(lines):
        if not lines[at].startswith(FENCE):
            at += 1
            continue
        begin = at
        try:
            end = lines.index(FENCE, begin + 1)
        except ValueError:
            raise ValueError(f"line {begin + 1}: this block has no end") from None
        if lines[begin] == FENCE + "python":
            run = not (begin > 0 and NOT_RUN.match(lines[begin - 1]))
            blocks.append(Block(begin + 2, lines[begin + 1:end], run))
        at = end + 1
    return blocks


def program_of(blocks: list[Block]) -> str:
    """One program whose lines have the numbers that they have in the document."""
    program: list[str] = []
    for block in blocks:
        if block.run and not block.file:
            program += [""] * (block.first - 2 - len(program))
            program += [f"print({MARK + str(block.first)!r}, flush=True)", *block.lines]
    return "\n".join(program) + "\n"


def is_as_said(said: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in said.split("..."))
    return re.fullmatch(pattern, printed) is not None


def differences(blocks: list[Block], stdout: str) -> list[str]:
    """Where the program printed something else than its blocks say."""
    outputs = {}
    for part in stdout.split(MARK)[1:]:
        first, *lines = part.splitlines()
        outputs[int(first)] = [line.rstrip() for line in lines]
    found = []
    for block in blocks:
        if not block.run or block.file:
            continue
        said, printed = block.printed, outputs.get(block.first, [])
        if len(said) != len(printed) or not all(map(is_as_said, said, printed)):
            lines = [f"block at line {block.first} says", *said, "and printed", *printed]
            found.append("\n  ".join(lines))
    return found


class Documents(PlaceCase):
    def run_document(self, path: str, *modules: str) -> Done:
        """Runs a document's program. Skips the test if it needs a module that is not here."""
        for module in modules:
            if importlib.util.find_spec(module) is None:
                self.skipTest(f"{module} is not installed")
        blocks = blocks_of((ROOT / path).read_text(encoding="utf-8"))
        self.assertTrue(any(block.run for block in blocks))
        for block in blocks:
            if block.run and block.file:
                text = "\n".join(block.lines) + "\n"
                (self.place.work / block.file).write_text(text, encoding="utf-8")
        (self.place.work / "build").symlink_to(Path(PACKAGE).parent)  # documents name build/lib/...
        done = self.place.run(program_of(blocks), name=Path(path).stem + ".py", timeout_s=TIMEOUT_S)
        self.assertEqual(done.code, 0, f"{path}: {done.stderr}")
        self.assertEqual(differences(blocks, done.stdout), [], done.stderr)
        return done

    def test_readme(self) -> None:
        self.run_document("README.md")

    def test_guide(self) -> None:
        self.run_document("docs/guide-python.md", "numpy", "joblib")

    def test_coming_from_ray(self) -> None:
        self.run_document("docs/coming-from-ray.md", "numpy")

    def test_coming_from_multiprocessing(self) -> None:
        self.run_document("docs/coming-from-multiprocessing.md", "joblib")


class Reading(unittest.TestCase):
    TEXT = """\
text
```python
print(1)  # -> 1
```
```console
$ print(2)
```
<!-- not run: it is wrong -->
```python
fail()
```
```python
# part.py
x = 1
```
```python
for i in range(2):
    print(i, id(i))
# -> 0 ...
# -> 1 ...
```
"""

    def test_lines_keep_their_numbers(self) -> None:
        program = program_of(blocks_of(self.TEXT)).splitlines()
        self.assertEqual((program[2], program[16]), ("print(1)  # -> 1", "for i in range(2):"))
        self.assertNotIn("fail()", program)
        self.assertNotIn("x = 1", program)

    def test_other_output_and_none_are_told(self) -> None:
        blocks = blocks_of(self.TEXT)
        self.assertEqual(differences(blocks, f"{MARK}3\n1\n{MARK}17\n0 5\n1 7\n"), [])
        for stdout in (f"{MARK}3\n2\n{MARK}17\n0 5\n1 7\n", f"{MARK}3\n1\n{MARK}17\n0 5\n",
                       f"{MARK}3\n1\n", f"{MARK}3\n1\n1\n{MARK}17\n0 5\n1 7\n"):
            self.assertEqual(len(differences(blocks, stdout)), 1, stdout)

    def test_a_block_without_an_end_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "line 2"):
            blocks_of("text\n```python\nprint(1)\n")


if __name__ == "__main__":
    unittest.main()
