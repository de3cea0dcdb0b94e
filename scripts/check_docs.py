"""Checks the documents: links lead to files and headings that exist, and the README's program is the example.

Run by scripts/check.sh. Prints what is wrong, and exits with 1 if anything is.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = "client/cpp/examples/quickstart.cc"
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def without_code(text):
    return FENCE.sub("", text)


def anchors(path):
    """The names that headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(path):
    for target in LINK.findall(without_code(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = path.parent / file if file else path
        if not linked.exists():
            yield f"{path.relative_to(ROOT)}: no file {target}"
        elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
            yield f"{path.relative_to(ROOT)}: no heading {target}"


def main():
    problems = []
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]:
        problems += dead_links(path)
    program = (ROOT / EXAMPLE).read_text().split("\n", 1)[1].strip()  # without its first comment
    if program not in (ROOT / "README.md").read_text():
        problems.append(f"README.md: its program is not {EXAMPLE}")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
