"""How often the intervals of ``evaluator/scoring/levels.py`` cover what they say: the table in ``docs/data-sets.md``.

    python -m experiments.studies.levels               # 4,000 grids of each kind, some minutes; prints the table
    python -m experiments.studies.levels --page        # and writes it into docs/data-sets.md

Differences are drawn on K data sets with n seeds each. The chance of seeds has the standard deviation 1; that of data sets is a
column. Beside both intervals stands how often an interval over the seeds of one data set covers the truth of another.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from benchmarks.pages import Region, write_text
from evaluator.report.format import markdown_rows
from evaluator.scoring.levels import another_data_set, interval, variances
from evaluator.seeds import generator
from evaluator.tables import Block

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-sets.md"
COMMAND = "python -m experiments.studies.levels"
GRIDS = 4_000
DRAWS = 2_048
KINDS = tuple(itertools.product((4, 8, 12), (2, 10, 50), (0.0, 0.15, 0.3, 0.7)))
"""Data sets, seeds, and the standard deviation of data sets."""


@dataclass(frozen=True)
class Covered:
    """Shares of grids in which an interval covered: ``one``: of the seeds of one data set, the truth of another; ``mean``: the mean
    over data sets; ``other``: the truth of one other data set. ``grids``: how many were drawn."""

    one: float
    mean: float
    other: float
    grids: int

    def error(self, share: float) -> float:
        """Monte-Carlo standard error of a share."""
        return math.sqrt(share * (1 - share) / self.grids)


def covered(data_sets: int, seeds: int, of_set: float, grids: int = GRIDS, root: int = 2022) -> Covered:
    """Draw grids whose truth is 0, and count."""
    draw = generator(root, "coverage", data_sets, seeds, str(of_set))
    shape = (grids, data_sets, seeds)
    values = of_set * draw.normal(size=(grids, data_sets, 1)) + draw.normal(size=shape)
    truth = of_set * draw.normal(size=grids)
    first = values[:, 0]
    half = special.stdtrit(seeds - 1, 0.975) * first.std(axis=1, ddof=1) / math.sqrt(seeds)
    found = variances(values)

    def share(low: np.ndarray, high: np.ndarray, of: np.ndarray | float) -> float:
        return float(((low <= of) & (of <= high)).mean())

    blocks = [slice(start, start + 500) for start in range(0, grids, 500)]
    others = [another_data_set(variances(values[block]), draws=DRAWS, root=root) for block in blocks]
    low, high = (np.concatenate([bounds[side] for bounds in others]) for side in (0, 1))
    mean = first.mean(axis=1)
    return Covered(share(mean - half, mean + half, truth), share(*interval(found), 0.0), share(low, high, truth), grids)


def rows(grids: int = GRIDS) -> Iterator[tuple[str, ...]]:
    """The table, a row per kind of grid; shares in per cent, with their Monte-Carlo standard errors."""
    for data_sets, seeds, of_set in KINDS:
        found = covered(data_sets, seeds, of_set, grids)
        texts = (f"{100 * share:.1f} ± {100 * found.error(share):.1f}" for share in (found.one, found.mean, found.other))
        yield str(data_sets), str(seeds), f"{of_set:g}", *texts


HEADERS = ("data sets", "seeds", "sd of data sets", "one data set's interval, another's truth", "mean", "one other")


def main() -> None:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grids", type=int, default=GRIDS, metavar="N", help="of each kind (default: %(default)s)")
    parser.add_argument("--page", action="store_true", help="write the table into docs/data-sets.md")
    args = parser.parse_args()
    text = "\n".join(markdown_rows(Block("", HEADERS, tuple(rows(args.grids)))))
    print(text)
    if args.page:
        region = Region("coverage", f"{COMMAND} --page")
        write_text(PAGE, region.replaced(PAGE.read_text(encoding="utf-8"), f"{text}\n"))


if __name__ == "__main__":
    main()
