"""The command `kiln` of an installed wheel: the program that came with it."""

from __future__ import annotations

import os
import sys

from kiln import _kiln


def main() -> None:
    """Becomes the program; never returns."""
    path = _kiln.find_binary("kiln")
    os.execv(path, ["kiln", *sys.argv[1:]])
