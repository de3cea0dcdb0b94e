"""Checks that include directives follow the layers: main -> services -> sessions -> core -> common.

Run by scripts/check.sh. Prints one line for each include that crosses a layer the wrong way, and
exits with 1 if there is any.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# The third-party headers that are somebody's business only where a rule below says so.
WIRE = r"grpc|grpcpp/|google/protobuf/|kiln/v1/"
THIRD_PARTY = rf"{WIRE}|boost/|spdlog/|fmt/|nlohmann/|msgpack|CLI/"
OWN = r"common/|daemon/|worker/|client/|tests/|kiln/"

CORE_MAY = r"common/(ids|id_table|clock|limits|status|check|guarded|nearest)\.h|common/value/error_value\.h"

# (folder, includes that are forbidden, exceptions, why); every rule whose folder holds the file applies.
RULES = [
    ("common/", r"daemon/|worker/|client/|tests/", "", "common is below every process"),
    ("common/", r"kiln/", r"kiln/v1/", "common knows the wire, not the C++ API"),
    ("common/value/", OWN, r"common/(ids|large_copy|limits|status|check|utf8)\.h|common/value/",
     "values know nothing of how they travel"),
    ("common/value/", WIRE, "", "values know nothing of how they travel"),
    ("common/shm/", WIRE, "", "shared memory knows nothing of the wire"),
    ("daemon/", r"client/|worker/|tests/", "", "the head includes no other process"),
    ("daemon/", r"kiln/", r"kiln/v1/", "the head does not use the C++ API"),
    ("daemon/core/", OWN, rf"{CORE_MAY}|daemon/core/", "the core is pure"),
    ("daemon/core/", THIRD_PARTY, "", "the core is pure"),
    ("daemon/core/", r"sys/|unistd\.h|fcntl\.h|signal\.h|poll\.h|pthread\.h|thread$|mutex$|ctime$",
     "", "the core does no I/O, has no threads and no clock"),
    ("daemon/store/", r"daemon/(services|sessions|process)/", "", "the store is below them"),
    ("daemon/store/", WIRE, "", "the store knows nothing of the wire"),
    ("daemon/process/", r"daemon/(services|sessions|store)/", "", "processes are below them"),
    ("daemon/process/", WIRE, "", "processes know nothing of the wire"),
    ("daemon/sessions/", r"daemon/services/", "", "services are above sessions"),
    ("daemon/sessions/", r"grpc", "", "sessions see messages, not the transport"),
    ("worker/", r"daemon/|client/cli/|tests/", "", "the worker includes no other process"),
    ("client/", r"daemon/|tests/", "", "the client includes no other process"),
    ("client/cpp/", r"client/cli/", "", "the library does not use the command line"),
    ("client/cpp/include/", rf"{THIRD_PARTY}|common/|daemon/|worker/|client/", "",
     "public headers need the standard library alone"),
    ("client/cpp/examples/", rf"{THIRD_PARTY}|common/|daemon/|worker/|client/", "",
     "examples use what users have"),
]


def crossings(path):
    """Yields (line number, header, reason) for each include of `path` that breaks a rule."""
    name = path.relative_to(ROOT).as_posix()
    rules = [rule for rule in RULES if name.startswith(rule[0])]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        include = INCLUDE.match(line)
        if not include:
            continue
        header = include[2]
        for _, forbidden, allowed, reason in rules:
            if re.match(forbidden, header) and not (allowed and re.match(allowed, header)):
                yield number, header, reason
                break


def main():
    found = 0
    for folder in ("common", "daemon", "worker", "client"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            for number, header, reason in crossings(path):
                print(f"{path.relative_to(ROOT)}:{number}: includes {header}: {reason}")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
