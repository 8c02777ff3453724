"""Derives the figures of ``docs/results.md`` again from the stored cells, with NumPy, SciPy and formulas of its own.

    python -m experiments.rederive                     # docs/results.md and experiments/cells/*.json
    python -m experiments.rederive --page P --cells A.json B.json

It imports nothing of the kit, so that a mistake in ``evaluator/scoring`` is not made twice: its formulas are those of the papers
and of ``docs/statistics.md``. It reads the page as a person does: a heading says the condition, a bold line what a table holds, the
first row what its columns are. A figure counts as right if the derived number, rounded as the page rounds it, is the figure. It
prints how many figures of each kind were derived, what it does not derive, and every disagreement; the exit status is 1 if there
is one.

Some figures rest on random draws of the kit. They are held against draws of this script, as far as chance lets them differ:

- the sign-flip test of more than 14 differences. Where its p is too near 0.05 for 9,999 flips to tell, a finding and "within noise"
  both count as right, and the summary says how many of these there were;
- Kendall's tau-b without noise: four standard errors of the quantiles of 2,000 draws;
- the brackets "on one other data set": 3 % of their width.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.rederive.page import rederive

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "results.md"
CELLS = (ROOT / "experiments" / "cells" / "strategies-full.json", ROOT / "experiments" / "cells" / "strategies-proxy.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was derived, what was not, and what disagrees; 1 if something does."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.rederive", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--cells", type=Path, nargs="+", default=list(CELLS))
    args = parser.parse_args(arguments)
    found = rederive(args.page.read_text(encoding="utf-8"), args.cells)
    for kind, n in sorted(found.right.items()):
        print(f"{n:6,} {kind}")
    print(f"{sum(found.right.values()):6,} figures are as derived")
    for kind, n in sorted(found.near.items()):
        if n:
            print(f"decided by the draws of a sign-flip test: {n} x {kind}")
    for kind, n in sorted(found.left.items()):
        print(f"not derived: {n} x {kind}")
    for line in found.wrong:
        print(f"disagrees: {line}")
    return int(bool(found.wrong))


if __name__ == "__main__":
    sys.exit(main())
