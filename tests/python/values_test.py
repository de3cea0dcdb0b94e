"""Values come back from kiln as they went in."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import gc
import math
import operator
import pathlib
import pickle
import random
import re
import sys
import types
import unittest
import uuid
from typing import Any, NamedTuple

import kiln
from support import DriverCase


@kiln.remote
def echo(value):
    return value


@kiln.remote
def pair(a, b):
    return a, b


@kiln.remote
def describe(value):
    return type(value).__name__, repr(value)


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


# slots came with Python 3.10
@dataclasses.dataclass(frozen=True, **({"slots": True} if sys.version_info >= (3, 10) else {}))
class Frozen:
    a: int


class Pair(NamedTuple):
    left: Any
    right: Any


class Color(enum.Enum):
    RED = 1


class OwnDict(dict):
    pass


class OwnInt(int):
    pass


class OwnStr(str):
    pass


class OwnList(list):
    pass


class Slots:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a

    def __eq__(self, other):
        return type(other) is type(self) and other.a == self.a


class Plain:
    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __eq__(self, other):
        return type(other) is type(self) and other.__dict__ == self.__dict__


def shape_of(value: Any, seen: dict[int, int] | None = None) -> Any:
    """A value as tuples: types, contents, order, and which containers are the same object."""
    seen = {} if seen is None else seen
    kind = type(value)
    if isinstance(value, (list, dict, set, bytearray)):
        if id(value) in seen:
            return ("again", seen[id(value)])
        seen[id(value)] = len(seen)
    if isinstance(value, dict):
        return kind.__name__, [(shape_of(k, seen), shape_of(v, seen)) for k, v in value.items()]
    if isinstance(value, (list, tuple)):
        return kind.__name__, [shape_of(item, seen) for item in value]
    if isinstance(value, float):
        return "float", value.hex(), math.copysign(1, value)
    if isinstance(value, (set, frozenset)):
        return kind.__name__, sorted(map(repr, value))
    return kind.__name__, repr(value)


class Values(DriverCase):
    def both_ways(self, value: Any) -> tuple[Any, Any]:
        """The value after put and get, and after a task had it and returned it."""
        return kiln.get(kiln.put(value)), kiln.get(echo.remote(value))

    def assert_same(self, value: Any) -> None:
        expected = shape_of(pickle.loads(pickle.dumps(value)))
        for back in self.both_ways(value):
            self.assertEqual(shape_of(back), expected)


class PlainValues(Values):
    def test_numbers_texts_and_bytes_of_every_size(self) -> None:
        integers = [sign * (1 << bits) + delta
                    for bits in (0, 5, 7, 8, 15, 16, 31, 32, 63, 64, 65, 200)
                    for sign in (1, -1) for delta in (-1, 0, 1)]
        sizes = (0, 1, 31, 32, 255, 256, 65_535, 65_536, 200_000)
        for value in [None, True, False, *integers, 0.0, -0.0, 1.5, 1e-320, math.inf, -math.inf,
                      math.nan,
                      *("x" * size for size in sizes), *("ü" * size for size in sizes),
                      *(bytes(size) for size in sizes), "\0", "a\0b", "😀", "\uffff"]:
            with self.subTest(type(value).__name__, value=repr(value)[:40]):
                self.assert_same(value)

    def test_containers_of_every_length(self) -> None:
        for size in (0, 1, 15, 16, 65_535, 65_536):
            for value in (list(range(size)), tuple(range(size)), dict.fromkeys(range(size)),
                          set(range(size)), frozenset(range(size))):
                with self.subTest(type(value).__name__, size=size):
                    self.assert_same(value)

    def test_a_text_with_lone_surrogates(self) -> None:
        self.assert_same("\udc80 and \ud800")
        self.assert_same({"\udc80": ["\udcff"]})

    def test_tuples_and_lists_stay_what_they_are_also_as_keys(self) -> None:
        self.assert_same(([], (), ((),), [()], {(): [], (1, (2, "x")): ([],)}, (1,), [(1,), [1]]))

    def test_keys_of_every_plain_type_keep_their_order(self) -> None:
        self.assert_same({None: 1, True: 2, 2: 3, 2.5: 4, "s": 5, b"s": 6, (1, 2): 7, "": 8, -1: 9})
        self.assert_same({key: None for key in "zyxwvutsrqponmlkjihgfedcba"})

    def test_one_list_in_two_places_is_one_list_afterwards(self) -> None:
        shared: list[int] = [1]
        for back in self.both_ways([shared, shared, {"again": shared}]):
            back[0].append(2)
            self.assertEqual(back, [[1, 2], [1, 2], {"again": [1, 2]}])

    def test_equal_lists_that_are_not_the_same_stay_apart(self) -> None:
        for back in self.both_ways([[1], [1]]):
            self.assertIsNot(back[0], back[1])

    def test_a_value_that_contains_itself(self) -> None:
        loop: list[Any] = [1]
        loop.append(loop)
        ring: dict[str, Any] = {"inner": {}}
        ring["inner"]["outer"] = ring
        for back in self.both_ways(loop):
            self.assertIs(back[1], back)
        for back in self.both_ways(ring):
            self.assertIs(back["inner"]["outer"], back)

    def test_deep_nesting(self) -> None:
        for depth in (99, 100, 101, 150, 300):
            value: Any = "bottom"
            for _ in range(depth):
                value = [value]
            with self.subTest(depth=depth):
                self.assert_same(value)

    def test_nesting_too_deep_for_pickle_says_so(self) -> None:
        value: Any = None
        for _ in range(100_000):
            value = [value]
        with self.assertRaisesRegex((RecursionError, pickle.PicklingError), "recursion"):
            kiln.put(value)
        with self.assertRaisesRegex(TypeError, "argument 1 .*recursion"):
            echo.remote(value)

    def test_random_values_come_back_as_from_pickle(self) -> None:
        rng = random.Random(2024)
        pool: list[Any] = []

        def leaf() -> Any:
            return rng.choice([
                None, True, False, rng.getrandbits(rng.randrange(1, 90)) * rng.choice((1, -1)),
                rng.random() * 10 ** rng.randrange(-300, 300), math.inf, "".join(
                    chr(rng.choice((65, 0, 0xe4, 0x20ac,
                                    0x1f600))) for _ in range(rng.randrange(40))),
                rng.randbytes(rng.randrange(300)), 3 + 4j, OwnInt(7), range(3)])

        def make(depth: int) -> Any:
            if depth == 0 or rng.random() < 0.3:
                return leaf()
            if pool and rng.random() < 0.05:
                return rng.choice(pool)
            items = [make(depth - 1) for _ in range(rng.randrange(6))]
            kind = rng.randrange(4)
            value: Any = items if kind == 0 else tuple(items) if kind == 1 else (
                {rng.choice((str(i), i, (i, "k"))): item for i, item in enumerate(items)})
            if kind != 1:
                pool.append(value)
            return value

        values = [make(rng.randrange(1, 7)) for _ in range(400)]
        expected = [shape_of(pickle.loads(pickle.dumps(value))) for value in values]
        backs = kiln.get([echo.remote(value) for value in values])
        for value, back, shape in zip(values, backs, expected):
            self.assertEqual(shape_of(back), shape)
            self.assertEqual(shape_of(kiln.get(kiln.put(value))), shape)


class OtherValues(Values):
    def test_instances_of_derived_classes_keep_their_class(self) -> None:
        for value in (OwnInt(3), OwnStr("s"), OwnDict(a=1), OwnList([1]), Pair(1, [2]), Color.RED,
                      Point(1),
                      Plain(a=[1]), Slots(5), collections.OrderedDict(a=1), collections.Counter("aab"),
                      collections.defaultdict(list, a=[1]), collections.deque([1], maxlen=3)):
            for back in self.both_ways([value]):
                with self.subTest(type(value).__name__):
                    self.assertIs(type(back[0]), type(value))
                    self.assertEqual(back[0], value)

    def test_fields_of_a_dataclass_are_known_in_a_task(self) -> None:
        @kiln.remote
        def look(point):
            return dataclasses.asdict(point), [field.name for field in dataclasses.fields(Point)]

        self.assertEqual(kiln.get(look.remote(Point(1, 2))), ({"x": 1, "y": 2}, ["x", "y"]))
        frozen = kiln.get(echo.remote(Frozen(5)))
        self.assertEqual((frozen, frozen.a), (Frozen(5), 5))

    def test_the_standard_librarys_values(self) -> None:
        for value in (3 + 4j, range(1, 10, 2), slice(1, None), ..., NotImplemented,
                      decimal.Decimal("1.10"), fractions.Fraction(1, 3), datetime.datetime(2024, 2,
                                                                                           29),
                      datetime.timedelta(days=1), pathlib.PurePosixPath("/a"), uuid.UUID(int=5),
                      re.compile("a+"), types.SimpleNamespace(a=1), {1, "x"}, frozenset({1})):
            for back in self.both_ways(value):
                self.assertEqual(back, value)

    def test_bytes_like_values_small_and_large(self) -> None:
        for size in (0, 1, 1_000, 1_024, 70_000, 3_000_000):
            data = random.Random(size).randbytes(size)
            for value in (data, bytearray(data), array.array("B", data)):
                for back in self.both_ways(value):
                    with self.subTest(type(value).__name__, size=size):
                        self.assertIs(type(back), type(value))
                        self.assertEqual(back, value)
            for back in self.both_ways({"inner": [bytearray(data), memoryview(data)]}):
                self.assertEqual(back["inner"], [bytearray(data), data])

    def test_a_bytearray_that_was_got_can_be_changed(self) -> None:
        for size in (10, 100_000):
            back = kiln.get(kiln.put(bytearray(size)))
            back[0] = 1
            back.append(2)
            self.assertEqual(len(back), size + 1)

    def test_memoryviews_keep_format_and_shape(self) -> None:
        numbers = array.array("d", range(1_000))
        for view in (memoryview(numbers), memoryview(b"abc"), memoryview(b""),
                     memoryview(bytes(100_000)),
                     memoryview(numbers).cast("B").cast("d",
                                                        (20, 50)), memoryview(array.array("i"))):
            for back in self.both_ways(view):
                with self.subTest(format=view.format, shape=view.shape):
                    self.assertIs(type(back), memoryview)
                    self.assertEqual((back.format, back.shape), (view.format, view.shape))
                    self.assertEqual(back.tobytes(), view.tobytes())

    def test_a_memoryview_with_steps_comes_back_with_its_items(self) -> None:
        view = memoryview(bytes(range(200)))[::2]
        for back in self.both_ways(view):
            self.assertEqual(bytes(back), bytes(view))

    def test_large_bytes_inside_containers(self) -> None:
        value = {"a": bytes(200_000), "b": ["x" * 300_000, (b"y" * 70_000,)]}
        self.assert_same(value)

    def test_functions_classes_and_modules_as_values(self) -> None:
        offset = 5

        def add(x):
            return x + offset

        for value in (add, functools.partial(add), lambda x: x + 5,
                      functools.partial(operator.add, 5)):
            for back in self.both_ways(value):
                self.assertEqual(back(1), 6)
        for value in (len, math, Point, int, Color, dict.fromkeys, print):
            for back in self.both_ways([value]):
                self.assertEqual(back[0], value)

    def test_a_class_made_in_a_function_is_the_same_class_after_a_round_trip(self) -> None:
        class Local:
            pass

        back = kiln.get(echo.remote(Local()))
        self.assertIsInstance(back, Local)

    def test_exceptions_as_values_are_not_raised(self) -> None:
        for back in self.both_ways([ValueError("a", 1), KeyError("b")]):
            self.assertEqual([type(error) for error in back], [ValueError, KeyError])
            self.assertEqual(back[0].args, ("a", 1))
        self.assertIsInstance(kiln.get(echo.remote(OSError(2, "m", "f"))), FileNotFoundError)

    def test_refs_inside_containers_of_every_kind_stay_refs(self) -> None:
        ref = kiln.put("inner")
        for value in ([ref], (ref,), {"k": ref}, {ref: 1}, {ref}, Point(1, ref), [[[ref]]],
                      OwnList([ref]),
                      collections.deque([ref]), functools.partial(print, ref)):
            for back in self.both_ways(value):
                found = [item
                         for item in gc.get_referents(back) if isinstance(item, kiln.ObjectRef)]
                with self.subTest(type(value).__name__):
                    self.assertIs(type(back), type(value))
                    for inner in found:
                        self.assertEqual(kiln.get(inner), "inner")

    def test_an_object_lives_while_a_stored_value_contains_its_ref(self) -> None:
        for wrap in ((lambda r: [r]), (lambda r: {"a": (r,)}), (lambda r: Point(1, [r]))):
            outer = kiln.put(wrap(kiln.put(b"z" * 100_000)))
            gc.collect()
            back = kiln.get(outer)
            inner = back[0] if isinstance(back, list) else (
                back["a"][0] if isinstance(back, dict) else back.y[0])
            del outer, back
            self.assertEqual(len(kiln.get(inner)), 100_000)

    def test_a_value_that_cannot_be_pickled_says_so_at_put(self) -> None:
        with self.assertRaisesRegex(TypeError, "cannot pickle"):
            kiln.put(sys._getframe())
        with self.assertRaisesRegex(TypeError, "list"):
            kiln.put(kiln.put(1))

    def test_what_a_pickling_function_raises_comes_out(self) -> None:
        class Refuses:
            def __reduce__(self):
                raise ZeroDivisionError("no")

        with self.assertRaises(ZeroDivisionError):
            kiln.put(Refuses())
        with self.assertRaisesRegex(TypeError, "argument 2 .*ZeroDivisionError: no"):
            pair.remote(1, Refuses())

    def test_types_in_tasks_are_those_of_the_driver(self) -> None:
        values = [1, True, 1.0, "s", b"s", (), [], {}, None, 2**70, OwnInt(1), Pair(1, 2)]
        self.assertEqual(kiln.get([describe.remote(value) for value in values]),
                         [(type(value).__name__, repr(value)) for value in values])


if __name__ == "__main__":
    unittest.main()
