"""Putting, getting, awaiting and releasing values: every encoding, small and large."""

import json
import os
import queue
import time
import unittest

import grpc
import values
from head import BYTES, JSON, TIMEOUT_S, VALUE, HeadTest, object_pb2, state_pb2, wait_until

Code = grpc.StatusCode
UNKNOWN = "00000000000000aa"


class Values(HeadTest):
    ARGS = ("--object-store-memory", "256MiB")

    def tearDown(self):
        self.head.wait_until_empty()

    def test_json_comes_back_as_it_was(self):
        for value in [None, True, 0, -1, 2**63 - 1, 2**64 - 1, 0.1, 1.0, "", "grün \u2603", [],
                      {}, [1, [2, [None]]], {"a": {"b": [1.5, "c"]}}, {"$bytes": "AAEC/w=="}]:
            with self.subTest(value=value):
                ref = self.head.put(json.dumps(value).encode())
                self.assertEqual(self.head.result(ref), value)
                self.head.release(ref)

    def test_bytes_of_any_size_come_back_as_they_were(self):
        # Around the inline limit, around a chunk, above gRPC's default message size of 4 MB.
        for size in [0, 1, 255, 256, 65_535, 65_536, 65_537, (1 << 20) + 1, 5_000_000]:
            with self.subTest(size=size):
                data = os.urandom(size)
                ref = self.head.put(data, BYTES, size_bytes=size)
                self.assertEqual(self.head.get(ref, BYTES), data)
                in_store = self.head.holdings()["store_used_bytes"]
                self.assertEqual(in_store > 0, size > 65_536 - 40)
                self.head.release(ref)

    def test_100_megabytes_come_back_as_they_were(self):
        data = os.urandom(1 << 20) * 100
        ref = self.head.put(data, BYTES, size_bytes=len(data))
        self.assertTrue(self.head.get(ref, BYTES) == data)
        self.head.release(ref)

    def test_no_message_of_a_get_is_larger_than_a_chunk(self):
        ref = self.head.put(bytes(3_000_000), BYTES)
        sizes = [len(part.data) for part in self.head.stream(ref, BYTES, -1)]
        self.assertEqual(sizes, [1 << 20, 1 << 20, 3_000_000 - (2 << 20)])
        self.head.release(ref)

    def test_a_large_text_of_json_is_an_argument_like_any_other(self):
        words = "the quick brown fox " * 100_000
        text = self.head.put(json.dumps(words).encode(), chunk=100_000)
        counts = self.head.start("WordCount", {"$ref": text})
        self.assertEqual(self.head.result(counts)["fox"], 100_000)
        self.assertEqual(self.head.get(text, BYTES), words.encode())
        self.head.release(text, counts)

    def test_encoded_values_come_back_byte_for_byte(self):
        for value in [values.encode(values.NULL), values.integer(-7), values.text("x" * 100_000),
                      values.doubles([[1.5, 2.0], [3.0, -0.5]])]:
            ref = self.head.put(value, VALUE)
            self.assertEqual(self.head.get(ref, VALUE), value)
            self.head.release(ref)

    def test_an_array_is_nested_lists_as_json_and_a_view_in_a_task(self):
        matrix = self.head.put(values.doubles([[0.0, 1.0], [2.0, 3.0]]), VALUE)
        self.assertEqual(self.head.result(matrix), [[0.0, 1.0], [2.0, 3.0]])
        square = self.head.start("Multiply", {"$ref": matrix}, {"$ref": matrix})
        self.assertEqual(self.head.result(square), [[2.0, 3.0], [6.0, 11.0]])
        self.head.release(matrix, square)

    def test_what_json_cannot_say_is_said_otherwise(self):
        ref = self.head.put(values.doubles([[float("nan"), float("inf")]]), VALUE)
        self.assertEqual(self.head.result(ref), [[None, None]])
        with self.refused(Code.INVALID_ARGUMENT, "neither bytes nor text"):
            self.head.get(ref, BYTES)
        self.head.release(ref)

    def test_a_ref_inside_a_value_keeps_its_object(self):
        inner = self.head.put(b"1")
        outer = self.head.put(json.dumps({"here": {"$ref": inner}}).encode())
        self.head.release(inner)
        self.assertEqual(self.head.result(inner), 1)
        self.assertEqual(self.head.result(outer), {"here": {"$ref": inner}})
        self.head.release(outer)
        self.assertFalse(self.head.knows(inner))

    def test_values_that_are_none_are_refused(self):
        good = values.integer(1)
        broken = [b"", good[:-1], good + b"x", b"x" + good[1:], good[:4] + b"\x02" + good[5:],
                  good[:5] + b"\x09" + good[6:], good[:8] + b"\xff" * 8 + good[16:],
                  good[:16] + b"\xff" * 4 + good[20:]]
        for value in broken:
            with self.refused(Code.INVALID_ARGUMENT, "not a kiln value"):
                self.head.put(value, VALUE)
        for text, words in [(b"{", ("bad JSON", "line 1, column")), (b"", ("bad JSON",)),
                            (b'{"$ref": "zz"}', ("not a ref", "zz")),
                            (b'"\xff"', ("bad JSON",)),
                            (b'{"$bytes": "***"}', ("base64",)), (b"[" * 1000, ("256 levels",))]:
            with self.refused(Code.INVALID_ARGUMENT, *words):
                self.head.put(text, JSON)

    def test_a_wrong_length_is_refused(self):
        with self.refused(Code.INVALID_ARGUMENT, "size_bytes said 5", "has 3"):
            self.head.put(b"abc", BYTES, size_bytes=5)
        with self.refused(Code.INVALID_ARGUMENT, "without a message"):
            self.head.objects.Put(iter([]), timeout=TIMEOUT_S)

    def test_garbage_in_the_middle_of_a_put_stores_nothing(self):
        put = self.head.channel.stream_unary(
            "/kiln.v1.Objects/Put",
            response_deserializer=object_pb2.PutResponse.FromString)
        first = object_pb2.PutRequest(encoding=BYTES, data=b"half").SerializeToString()
        with self.refused(Code.INVALID_ARGUMENT, "no PutRequest"):
            put(iter([first, b"\xff\xff\xff"]), timeout=TIMEOUT_S)

    def test_a_full_store_names_size_capacity_and_the_biggest_holders(self):
        big = self.head.put(bytes(150 << 20), BYTES)
        with self.refused(Code.RESOURCE_EXHAUSTED, "object store is full", str(256 << 20), big):
            self.head.put(bytes(150 << 20), BYTES)
        with self.refused(Code.RESOURCE_EXHAUSTED, "larger than the object store"):
            self.head.put(b"x", BYTES, size_bytes=1 << 40)
        self.head.release(big)


class Life(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()

    def test_an_object_stays_until_released(self):
        ref = self.head.put(b"1")
        answer = self.head.contains(ref, UNKNOWN)
        self.assertEqual((list(answer.known), list(answer.sealed)), ([ref], [ref]))
        self.head.release(ref)
        self.assertEqual(list(self.head.contains(ref).known), [])
        for call in (lambda: self.head.get(ref), lambda: self.head.wait([ref]),
                     lambda: self.head.release(ref)):
            with self.refused(Code.NOT_FOUND, ref, "released"):
                call()

    def test_a_pending_object_is_known_and_not_sealed(self):
        ref = self.head.start("Sleep", 60)
        answer = self.head.contains(ref)
        self.assertEqual((list(answer.known), list(answer.sealed)), ([ref], []))
        self.head.cancel(ref)
        self.assertEqual(self.head.error(ref).kind, "CANCELLED")
        self.head.release(ref)

    def test_releasing_with_an_unknown_ref_releases_nothing(self):
        ref = self.head.put(b"1")
        with self.refused(Code.NOT_FOUND, UNKNOWN):
            self.head.release(ref, UNKNOWN)
        self.assertTrue(self.head.knows(ref))
        self.head.release(ref)

    def test_a_time_to_live_ends_an_object(self):
        put = self.head.put(b"1", ttl_ms=50)
        made = self.head.start("Add", 1, 2, ttl_ms=50)
        lasting = self.head.put(b"1", ttl_ms=2**63 - 1)
        wait_until(lambda: not self.head.knows(put) and not self.head.knows(made), "both ended")
        self.assertTrue(self.head.knows(lasting))
        self.head.release(lasting)

    def test_text_that_is_no_ref_is_refused(self):
        for text in ["", "1", "x" * 16, "0" * 16, UNKNOWN + "0"]:
            for call in (lambda: self.head.get(text), lambda: self.head.wait([text]),
                         lambda: self.head.release(text), lambda: self.head.contains(text)):
                with self.refused(Code.INVALID_ARGUMENT, f'"{text}"', "16 hexadecimal digits"):
                    call()


class Waiting(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()

    def test_get_gives_up_after_its_time(self):
        ref = self.head.start("Sleep", 60)
        for timeout_ms in (0, 30):
            with self.refused(Code.DEADLINE_EXCEEDED, ref, f"{timeout_ms} ms"):
                self.head.get(ref, timeout_ms=timeout_ms)
        self.head.cancel(ref)
        self.head.release(ref)

    def test_wait_says_which_are_ready_in_the_order_asked(self):
        slow = self.head.start("Sleep", 60)
        done = [self.head.put(b"1") for _ in range(3)]
        refs = [done[0], slow, done[1], done[2]]
        answer = self.head.wait(refs, num_returns=2)
        self.assertEqual((list(answer.ready), list(answer.not_ready)),
                         ([done[0], done[1]], [slow, done[2]]))
        answer = self.head.wait(refs, num_returns=4, timeout_ms=30)
        self.assertEqual((list(answer.ready), list(answer.not_ready)), (done, [slow]))
        self.head.cancel(slow)
        self.head.release(*refs)

    def test_wait_ends_with_the_task_it_waits_for(self):
        quick, slow = self.head.start("Sleep", 0.05), self.head.start("Sleep", 60)
        self.assertEqual(list(self.head.wait([slow, quick]).ready), [quick])
        self.head.cancel(slow)
        self.head.release(quick, slow)

    def test_a_wait_that_makes_no_sense_is_refused(self):
        ref = self.head.put(b"1")
        with self.refused(Code.INVALID_ARGUMENT, "num_returns is 2", "1 refs"):
            self.head.wait([ref], num_returns=2)
        with self.refused(Code.INVALID_ARGUMENT, "0 refs"):
            self.head.wait([])
        with self.refused(Code.INVALID_ARGUMENT, "twice"):
            self.head.wait([ref, ref])
        self.head.release(ref)


class Leaving(HeadTest):
    """A client that goes away in the middle of a call leaves nothing behind."""

    def tearDown(self):
        self.head.wait_until_empty()

    def test_in_the_middle_of_a_put(self):
        for encoding in (JSON, BYTES):
            parts = queue.SimpleQueue()
            parts.put(object_pb2.PutRequest(encoding=encoding, data=b"1"))
            sent = []

            def send():
                while True:
                    sent.append(1)  # the part before was taken
                    yield parts.get()

            call = self.head.objects.Put.future(send())
            wait_until(lambda: len(sent) > 1, "the first part is on its way")
            call.cancel()
            parts.put(object_pb2.PutRequest())  # ends the thread that sends
            self.assertEqual(self.count_puts(), 0)

    def count_puts(self):
        """Objects that appear within a moment; an answer from the head orders what came before."""
        deadline = time.monotonic() + 0.3
        most = 0
        while time.monotonic() < deadline:
            most = max(most, self.head.status().objects)
        return most

    def test_in_the_middle_of_a_get_and_a_wait(self):
        ref = self.head.start("Sleep", 60)
        get = self.head.stream(ref, JSON, -1)
        wait = self.head.objects.Wait.future(object_pb2.WaitRequest(refs=[ref], timeout_ms=-1))

        def references():
            [info] = self.head.state.ListObjects(state_pb2.ListRequest()).objects
            return info.references

        alone = 1
        wait_until(lambda: references() == alone + 2, "both wait")
        get.cancel()
        wait.cancel()
        wait_until(lambda: references() == alone, "both have gone")
        self.head.cancel(ref)
        self.head.release(ref)

    def test_in_the_middle_of_a_large_value(self):
        ref = self.head.put(bytes(40 << 20), BYTES)
        get = self.head.stream(ref, BYTES, -1)
        next(get)
        self.head.release(ref)
        self.assertTrue(self.head.knows(ref), "it is being sent")
        get.cancel()

if __name__ == "__main__":
    unittest.main()
