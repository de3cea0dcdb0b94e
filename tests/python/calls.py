"""What tests of pools, executors and kiln.map share: a head of their own, files as signals.

Functions that a test is about stand in its own file: those are sent by value, and these are imported
by workers.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
import unittest

import kiln


def setUpModule() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    kiln.init("local", num_cpus=2)


def tearDownModule() -> None:
    kiln.shutdown()


def touch(path):
    with open(path, "w", encoding="utf-8"):
        pass
    return path


def wait_for_file(path):
    while not os.path.exists(path):
        time.sleep(0.002)
    return path


def meet(folder, number, count):
    """Returns once so many calls are here at the same time."""
    touch(os.path.join(folder, str(number)))
    while len(os.listdir(folder)) < count:
        time.sleep(0.002)
    return number


def pid_of(_):
    return os.getpid()


class Folder(unittest.TestCase):
    """Tests that use files."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)
