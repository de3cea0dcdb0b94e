"""NumPy arrays and pandas frames: what comes back, and that large ones are not copied."""

from __future__ import annotations

import gc
import importlib.util
import pickle
import unittest
from typing import Any

import kiln
import numpy as np
from support import DriverCase, wait_until

HAVE_PANDAS = importlib.util.find_spec("pandas") is not None


@kiln.remote
def echo(value):
    return value


@kiln.remote
def look(array):
    return array.dtype.str, array.shape, bool(array.flags.writeable), array.tobytes()


@kiln.remote
def write_into(array):
    array[0] = 1


def numbers(dtype: str, shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    return (np.arange(count) % 2 if dtype == "?" else np.arange(count) % 100).astype(dtype).reshape(shape)


class Arrays(DriverCase):
    def check(self, array: Any) -> None:
        expected = pickle.loads(pickle.dumps(array, 5))
        for back in (kiln.get(kiln.put(array)), kiln.get(echo.remote(array)),
                     kiln.get(echo.remote([array]))[0], kiln.get(kiln.put({"a": (array,)}))["a"][0]):
            self.assertIs(type(back), type(expected))
            self.assertEqual((back.dtype, back.shape), (array.dtype, array.shape))
            self.assertTrue(back.flags.aligned)
            if array.dtype.hasobject:
                self.assertEqual(back.tolist(), expected.tolist())
            else:
                self.assertEqual(back.tobytes(), expected.tobytes())

    def test_every_dtype_in_every_shape(self) -> None:
        for dtype in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g",
                      "c8", "c16",
                      ">i4", ">f8", "S5", "U3", "M8[s]", "m8[ms]", "V4"):
            for shape in ((), (0,), (1,), (7,), (0, 3), (3, 4), (2, 3, 4), (40, 50, 30)):
                with self.subTest(dtype=dtype, shape=shape):
                    if dtype == "V4":
                        self.check(numbers("i4", shape).view("V4"))
                    elif dtype[0] in "Mm":
                        self.check(numbers("i8", shape).view(dtype))
                    else:
                        self.check(numbers(dtype, shape))

    def test_structured_and_object_arrays(self) -> None:
        self.check(np.array([(1, 2.5, "a")] * 500, dtype=[("i", "i4"), ("f", "f8"), ("s", "U3")]))
        self.check(np.zeros(300, dtype=[("p", "f4", (3,)), ("q", "u1")]))
        self.check(np.array([1, "two", None, [3], {4: 5}], dtype=object))
        self.check(np.array([[object], [len]], dtype=object)[::-1])
        self.check(np.zeros(100, dtype=[("i", "i4"), ("f", "f8")])["f"])

    def test_every_layout(self) -> None:
        base = np.arange(24_000.0).reshape(20, 30, 40)
        for name, array in {
                "fortran": np.asfortranarray(base), "transposed": base.T, "steps": base[::2, ::3,
                                                                                        ::4],
                "reversed": base[::-1], "column": base[:, 3], "broadcast": np.broadcast_to(base[0],
                                                                                           (5, 30,
                                                                                            40)),
                "axes swapped": base.swapaxes(0, 1), "offset": base.ravel()[1:],
                "unaligned": np.frombuffer(bytes(8_001), "u1")[1:].view("f8"),
                "one column of many": np.ones((1_000, 3))[:, :1]}.items():
            with self.subTest(name):
                self.check(array)

    def test_fortran_order_stays(self) -> None:
        back = kiln.get(kiln.put(np.asfortranarray(np.ones((300, 400)))))
        self.assertTrue(back.flags.f_contiguous and not back.flags.c_contiguous)

    def test_classes_that_derive_from_ndarray_and_scalars(self) -> None:
        masked = np.ma.masked_array(np.arange(2_000), mask=np.arange(2_000) % 2)
        back = kiln.get(echo.remote(masked))
        self.assertIsInstance(back, np.ma.MaskedArray)
        self.assertEqual(back.sum(), masked.sum())
        self.assertIsInstance(kiln.get(echo.remote(np.matrix([[1, 2], [3, 4]]))), np.matrix)
        record = np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)])
        self.assertEqual(kiln.get(echo.remote(record)).a[0], 1)
        for scalar in (np.float64(1.5), np.int32(7), np.bool_(True), np.datetime64("2024-02-29"),
                       np.str_("x"),
                       np.float16(0.5), np.complex64(1j), np.bytes_(b"x")):
            back = kiln.get(echo.remote(scalar))
            self.assertIs(type(back), type(scalar))
            self.assertEqual(back, scalar)

    def test_arrays_are_read_only_in_drivers_and_tasks(self) -> None:
        for size in (10, 1_000_000):
            array = np.zeros(size)
            back = kiln.get(kiln.put(array))
            with self.assertRaisesRegex(ValueError, "read-only"):
                back[0] = 1
            with self.assertRaises(ValueError):
                back.flags.writeable = True
            with self.assertRaisesRegex(ValueError, "read-only"):
                kiln.get(write_into.remote(array))
            copy = back.copy()
            copy[0] = 1
            self.assertFalse(kiln.get(look.remote(array))[2])
            array[0] = 5  # what was put is a copy
            self.assertEqual(back[0], 0)

    def test_a_read_only_array_can_be_put(self) -> None:
        array = np.arange(1_000)
        array.flags.writeable = False
        self.check(array)
        self.check(kiln.get(kiln.put(array)))

    def test_two_gets_of_a_large_array_are_the_same_memory(self) -> None:
        for array in (np.ones(300_000), np.ones(300_000).astype(">f8"),
                      np.asfortranarray(np.ones((500, 600)))):
            ref = kiln.put(array)
            first, second = kiln.get(ref), kiln.get(ref)
            self.assertEqual(first.ctypes.data, second.ctypes.data)
            self.assertEqual(first.ctypes.data % 64, 0)

    def test_many_arrays_inside_one_value_are_views_too(self) -> None:
        ref = kiln.put({"a": np.ones(50_000),
                        "b": [np.zeros(50_000, "f4"), np.ones((200, 300), order="F")]})
        first, second = kiln.get(ref), kiln.get(ref)
        self.assertEqual(first["a"].ctypes.data, second["a"].ctypes.data)
        for array in (first["a"], *first["b"]):
            self.assertFalse(array.flags.writeable)
            self.assertEqual(array.ctypes.data % 64, 0)

    def test_an_array_outlives_its_ref_and_keeps_its_memory(self) -> None:
        before = self.place.status()["store_used_bytes"]
        ref = kiln.put(np.full(500_000, 7.0))
        array = kiln.get(ref)
        part = array[1_000:1_010]
        del ref, array
        gc.collect()
        for _ in range(5):  # would be put into the same place if that were free
            kiln.put(np.zeros(500_000))
        self.assertTrue((part == 7).all())
        del part
        gc.collect()
        wait_until(lambda: self.place.status()["store_used_bytes"] <= before, "the memory is free")

    def test_one_array_in_two_places_is_one_array_afterwards(self) -> None:
        array = np.ones(2_000)
        back = kiln.get(kiln.put([array, array]))
        self.assertIs(back[0], back[1])

    def test_an_array_survives_being_passed_on_by_tasks(self) -> None:
        ref = kiln.put(np.arange(100_000))
        for _ in range(5):
            ref = echo.remote(ref)
        self.assertEqual(kiln.get(ref).sum(), np.arange(100_000).sum())

    def test_refs_in_object_arrays(self) -> None:
        back = kiln.get(echo.remote(np.array([kiln.put(1), kiln.put(2)], dtype=object)))
        self.assertEqual(kiln.get(list(back)), [1, 2])


@unittest.skipUnless(HAVE_PANDAS, "pandas is not installed")
class Frames(DriverCase):
    def test_frames_come_back_as_they_were(self) -> None:
        import pandas as pd

        frame = pd.DataFrame({
            "i": np.arange(5_000), "f": np.linspace(0, 1, 5_000), "s": [f"text {i}"
                                                                        for i in range(5_000)],
            "c": pd.Categorical(["a", "b"] * 2_500), "t": pd.date_range("2024-01-01", periods=5_000,
                                                                        freq="s"),
            "n": pd.array([1, None] * 2_500, dtype="Int64")})
        for back in (kiln.get(kiln.put(frame)), kiln.get(echo.remote(frame))):
            pd.testing.assert_frame_equal(back, frame)
        pd.testing.assert_series_equal(kiln.get(echo.remote(frame["f"])), frame["f"])
        empty = pd.DataFrame()
        pd.testing.assert_frame_equal(kiln.get(echo.remote(empty)), empty)

    def test_columns_of_a_frame_are_views(self) -> None:
        import pandas as pd

        ref = kiln.put(pd.DataFrame(np.ones((50_000, 4))))
        first, second = kiln.get(ref), kiln.get(ref)
        self.assertEqual(first.to_numpy().ctypes.data, second.to_numpy().ctypes.data)
        self.assertEqual(kiln.get(echo.remote(ref)).sum().sum(), 200_000)


if __name__ == "__main__":
    unittest.main()
