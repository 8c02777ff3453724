"""Write the longest tests of a run into ``tests/durations.txt``: ``python -m tests.durations build/tests.xml``.

``make test-all`` leaves the XML file, ``make durations`` calls this. The next run begins with the files of these tests.
"""

from __future__ import annotations

import argparse
import platform
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from evaluator.cli.parsing import Prose

LONGEST = 30
FILE = Path(__file__).with_name("durations.txt")


def table(junit: Path, longest: int = LONGEST) -> str:
    """The page: a head, then one line per test with its seconds (fixtures included), the longest first.

    Args:
        junit: what ``pytest --junitxml`` wrote.
    """
    cases = [(float(case.attrib["time"]), case) for case in ElementTree.parse(junit).getroot().iter("testcase")]
    total = sum(seconds for seconds, _ in cases)
    cases.sort(key=lambda pair: (-pair[0], pair[1].attrib["classname"], pair[1].attrib["name"]))
    head = (
        f"# The {min(longest, len(cases))} longest of {len(cases):,} tests, in seconds. All together: {total:,.0f} s.\n"
        f"# Python {platform.python_version()}. Written by `make durations` after `make test-all`; do not edit.\n"
    )
    rows = [f"{seconds:8.2f}  {case.attrib['classname']}::{case.attrib['name']}\n" for seconds, case in cases[:longest]]
    return head + "".join(rows)


def of_files(page: Path = FILE) -> dict[str, float]:
    """Seconds of the longest tests of a written page, by their file (``tests/runner/test_faults.py``); empty without a page."""
    seconds: dict[str, float] = {}
    if page.is_file():
        for line in page.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                time, test = line.split(maxsplit=1)
                file = test.partition("::")[0].replace(".", "/") + ".py"
                seconds[file] = seconds.get(file, 0.0) + float(time)
    return seconds


def main() -> None:
    """Read the file that is named and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Prose)
    parser.add_argument("junit", type=Path, metavar="FILE", help="the XML file of pytest's --junitxml")
    args = parser.parse_args()
    if not args.junit.is_file():
        parser.error(f"{args.junit}: no such file; it is written by the tests. Run make test-all first")
    FILE.write_text(table(args.junit), encoding="utf-8")
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
