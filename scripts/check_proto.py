"""Checks that everything in the proto files is commented: it is the contract for other languages.

Run by scripts/check.sh. A service, rpc, message, enum, enum value or field needs a comment
right above it or behind it on its line (a list of fields without a blank line between them may share
the comment above the first). Prints what has none, and exits with 1 if there is any.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^(service|message|enum)\s+\w+")
RPC = re.compile(r"^rpc\s+\w+")
FIELD = re.compile(r"^(?:(?:repeated|optional)\s+)?(?:map<[^>]+>|[\w.]+)\s+\w+\s*=\s*\d+")
VALUE = re.compile(r"^[A-Z][A-Z0-9_]*\s*=\s*\d+")
NO_ITEM = re.compile(r"^(syntax|package|import|option|oneof|reserved|returns|\}|\)|$)")


def uncommented(path):
    """Yields (line number, line) for each item of the file that has no comment."""
    commented = False  # the item on this line has a comment above, or shares one
    for number, text in enumerate(path.read_text().splitlines(), 1):
        line = text.strip()
        if line.startswith("//"):
            commented = True
        elif BLOCK.match(line) or RPC.match(line):
            if not commented and "//" not in line:
                yield number, line
            commented = False
        elif FIELD.match(line) or VALUE.match(line):
            if "//" not in line and not commented:
                yield number, line
        elif NO_ITEM.match(line):
            commented = False


def main():
    found = 0
    for path in sorted((ROOT / "proto").rglob("*.proto")):
        for number, line in uncommented(path):
            print(f"{path.relative_to(ROOT)}:{number}: no comment: {line}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
