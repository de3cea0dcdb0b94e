"""kiln.util.tqdm is used as tqdm is."""

from __future__ import annotations

import io
import unittest
from unittest import mock

from bars import BarsTest
from calls import setUpModule, tearDownModule
from kiln.util import _bars, tqdm, trange


class TqdmTest(BarsTest):
    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.object(_bars, "bars", self.bars)
        patch.start()
        self.addCleanup(patch.stop)

    def test_it_iterates(self) -> None:
        self.assertEqual(list(tqdm([3, 1, 2], desc="bar 0")), [3, 1, 2])
        self.assertEqual(list(trange(3, desc="bar 1")), [0, 1, 2])
        self.assertEqual(list(tqdm((x for x in "ab"), total=2, desc="bar 2")), ["a", "b"])
        self.assertEqual(self.shown(), ["bar 0 3/3", "bar 1 3/3", "bar 2 2/2"])

    def test_update_counts(self) -> None:
        with tqdm(total=10, desc="bar 0") as bar:
            bar.update()
            bar.update(4)
            self.assertEqual(bar.n, 5)
        self.assertEqual(self.shown(), ["bar 0 5/10"])

    def test_it_closes_when_the_loop_is_left(self) -> None:
        for i in tqdm(range(10), desc="bar 0"):
            if i == 4:
                break
        self.assertEqual(self.shown(), ["bar 0 4/10"])
        with self.assertRaises(KeyError):
            for i in tqdm(range(10), desc="bar 1", leave=False):
                raise KeyError(i)
        self.assertEqual(len(self.bars), 0)

    def test_one_that_is_dropped_is_closed(self) -> None:
        bar = tqdm(total=10, desc="bar 0")
        self.assertEqual(len(self.bars), 1)
        del bar
        self.assertEqual(len(self.bars), 0)

    def test_leave_decides_what_stays(self) -> None:
        list(tqdm([1], desc="bar 0", leave=False))
        self.assertEqual(self.shown(), [])

    def test_texts_can_be_changed(self) -> None:
        bar = tqdm(total=10, desc="old")
        bar.set_description("new")
        self.assertRegex(self.terminal.lines()[0], "^new: ")
        bar.set_description_str("newer: ")
        self.assertRegex(self.terminal.lines()[0], "^newer: ")
        bar.set_postfix(loss=0.123456, name="x")
        self.assertRegex(self.terminal.lines()[0], r"loss=0\.123, name=x\]$")
        bar.set_postfix({"b": 1}, a=2)
        self.assertRegex(self.terminal.lines()[0], r"b=1, a=2\]$")
        bar.set_postfix_str("free text")
        self.assertRegex(self.terminal.lines()[0], r"free text\]$")
        bar.close()

    def test_it_can_begin_again(self) -> None:
        bar = tqdm(total=10, desc="bar 0", initial=3)
        self.assertEqual(self.shown(), ["bar 0 3/10"])
        bar.reset(total=20)
        self.assertEqual(self.shown(), ["bar 0 0/20"])
        bar.close()

    def test_it_has_a_length(self) -> None:
        self.assertEqual(len(tqdm([1, 2], disable=True)), 2)
        self.assertEqual(len(tqdm(total=7, disable=True)), 7)
        self.assertTrue(tqdm(disable=True))
        self.assertFalse(tqdm([], disable=True))

    def test_disabled_it_shows_nothing(self) -> None:
        self.assertEqual(list(tqdm([1, 2], disable=True)), [1, 2])
        bar = tqdm(total=5, disable=True)
        bar.update(3)
        bar.set_postfix(a=1)
        bar.close()
        self.assertEqual(self.terminal.getvalue(), "")

    def test_in_a_log_it_can_disable_itself(self) -> None:
        self.assertFalse(tqdm(total=1, disable=None).disable)
        self.use(io.StringIO())
        self.assertTrue(tqdm(total=1, disable=None).disable)

    def test_options_of_tqdm_are_taken_and_others_are_not(self) -> None:
        list(tqdm([1], mininterval=1, file=None, dynamic_ncols=True, unit_scale=True))
        with self.assertRaisesRegex(TypeError, "unexpected keyword argument 'colr'"):
            tqdm([1], colr="red")

    def test_write_is_above_the_bars(self) -> None:
        bar = tqdm(total=10, desc="bar 0")
        tqdm.write("hello")
        self.assertEqual(self.shown(), ["hello", "bar 0 0/10"])
        bar.close()


if __name__ == "__main__":
    unittest.main()
