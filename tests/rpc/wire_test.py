"""docs/wire.md is true: its example runs, its tables are what the head and the code say."""

import json
import os
import re
import struct
import subprocess
import sys
import unittest

import values
from head import BYTES, EXAMPLES, SOURCE, STUBS, TIMEOUT_S, VALUE, HeadTest, session_pb2

DOCS = (SOURCE / "docs/wire.md").read_text()


def section(title):
    """The text below a heading, up to the next of its level."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", DOCS, re.M | re.S).group(1)


def rows(text):
    """All rows of all tables in a text, as lists of cells."""
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.replace("\\|", "/").splitlines() if line.startswith("|")]


class Example(HeadTest):
    def test_the_example_runs_as_printed(self):
        [code] = re.findall(r"```python\n(.*?)```", section("A complete example"), re.S)
        done = subprocess.run([sys.executable, "-c", code, EXAMPLES], capture_output=True, text=True,
                              timeout=TIMEOUT_S, env={**self.head.env, "PYTHONPATH": STUBS})
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.splitlines(), [
            "1 + 2 + 10 = 13",
            f"words: {dict(much=200_000, say=200_000, so=200_000, to=200_000)}",
            "TASK_FAILED in Fail: out of luck",
            "first: quick",
            "hello",
            "exit code: 3"])

    def test_head_json_has_the_fields_that_are_documented(self):
        [documented] = re.findall(r"```json\n(.*?)```", section("Connecting"), re.S)
        with open(os.path.join(self.head.session_dir, "head.json")) as file:
            told = json.load(file)
        self.assertEqual(set(told), set(json.loads(documented)))
        self.assertEqual(told["address"], f"unix:{self.head.session_dir}/head.sock")


class Values(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()

    def fields(self, value):
        """Reads the header where the documented offsets say its fields are."""
        found = {}
        for cells in rows(section("Values")):
            if len(cells) == 4 and cells[0].isdigit() and cells[1].isdigit():
                offset, size = int(cells[0]), int(cells[1])
                found[cells[2]] = int.from_bytes(value[offset:offset + size], "little")
        return found

    def test_the_header_lies_where_it_is_documented(self):
        for data, kind, body in [(b"null", 0, b""), (b"3", 1, b"\x03"),
                                 (b'"abc"', 1, b"\xa3abc")]:
            ref = self.head.put(data)
            value = self.head.get(ref, VALUE)
            self.assertEqual(self.fields(value), {
                "magic": 0x564E4C4B, "version": 1, "kind": kind, "reserved": 0,
                "body_bytes": len(body), "buffer_count": 0, "reserved2": 0,
                "total_bytes": len(value)})
            self.assertEqual(value[32:], body)
            self.head.release(ref)

    def test_the_printed_value_is_what_the_head_makes(self):
        [line] = re.findall(r"^4b4c4e56.*$", section("Values"), re.M)
        ref = self.head.put(b"3")
        self.assertEqual(self.head.get(ref, VALUE), bytes.fromhex(line))
        self.head.release(ref)

    def test_an_array_has_its_buffer_where_the_table_says(self):
        ref = self.head.start("RandomMatrix", 1, 3)
        value = self.head.get(ref, VALUE)
        fields = self.fields(value)
        self.assertEqual((fields["kind"], fields["buffer_count"]), (2, 1))
        offset = int.from_bytes(value[32:40], "little")
        size = int.from_bytes(value[40:48], "little")
        self.assertEqual((offset % 64, size, offset + size), (0, 72, fields["total_bytes"]))
        body = value[48:48 + fields["body_bytes"]]
        self.assertIn(b"\xa5dtype\xa3<f8", body)
        self.assertFalse(any(value[48 + len(body):offset]), "zeros between")
        numbers = struct.unpack("<9d", value[offset:])
        self.assertEqual([n for row in self.head.result(ref) for n in row], list(numbers))
        self.head.release(ref)

    def test_bytes_and_refs_are_the_msgpack_that_is_documented(self):
        inner = self.head.put(b"\x00\x01", BYTES)
        self.assertEqual(values.decode(self.head.get(inner, VALUE)),
                         (values.MSGPACK, b"\xc4\x02\x00\x01", []))
        outer = self.head.put(json.dumps([{"$ref": inner}]).encode())
        self.assertEqual(values.decode(self.head.get(outer, VALUE))[1],
                         b"\x91\xd7\x01" + bytes.fromhex(inner))
        self.head.release(inner, outer)


class Tables(unittest.TestCase):
    def test_every_frame_is_described(self):
        text = section("The session stream")
        described = set(re.findall(r"`(\w+)`", " ".join(cells[0] for cells in rows(text))))
        frames = {field.name for message in (session_pb2.PeerFrame, session_pb2.HeadFrame)
                  for field in message.DESCRIPTOR.oneofs[0].fields}
        self.assertEqual(frames, described & frames)

    def test_every_kind_of_error_is_described(self):
        code = (SOURCE / "common/value/error_value.cc").read_text()
        names = re.search(r"kKindNames = \{(.*?)\}", code, re.S).group(1)
        described = [cells[0].strip("`") for cells in rows(section("Errors"))]
        for name in re.findall(r'"(\w+)"', names):
            self.assertIn(name, described)

    def test_the_limits_are_those_of_the_code(self):
        code = "".join((SOURCE / "common" / name).read_text()
                       for name in ("limits.h", "shm/ring.h"))
        checked = 0
        for name, told, _ in rows(section("Limits")):
            if not name.startswith("`k"):
                continue
            expression = re.search(rf"\b{name.strip('`')} = ([^;]+);", code).group(1)
            expression = expression.replace("kRingBytes", "262144")  # itself in the table
            expression = re.sub(r"\b(?:size_t|uint64_t)\{(\d+)\}", r"\1", expression)
            expression = re.sub(r"seconds\((\d+)\)", r"\1", expression).replace("'", "")
            self.assertRegex(expression, r"^[\d\s*</]+$")
            self.assertEqual(int(told.split()[0]), eval(expression), name)  # noqa: S307
            checked += 1
        self.assertGreater(checked, 10)


if __name__ == "__main__":
    unittest.main()
