"""How often the rules of ``compare`` are wrong: simulated grids in which nothing is there to be found.

    python -m experiments.studies.rates [--grids 20000] [--json FILE] [--page docs/statistics.md]

Every row is a kind of mistake, with the rule that the tables follow and the plain rule beside it. A rate has its Monte-Carlo error,
the standard deviation of a share of so many grids. With ``--page`` the table on that page is written anew.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.pages import write_json, write_text
from evaluator.errors import ConfigurationError
from evaluator.scoring.families import inherited
from evaluator.scoring.paired import decide, deciding_p, holm, paired_tests, sign_flip_p, skew_p
from evaluator.scoring.sequential import nominal_levels
from evaluator.seeds import generator
from evaluator.words import counted

ALPHA = 0.05
AT_ONCE = 2_000
BEGIN, END = "<!-- rates: begin -->", "<!-- rates: end -->"
NORMAL, SKEWED = "normal", {"gamma": 2.0, "exponential": 1.0}


@dataclass(frozen=True)
class Rate:
    """How often a kind of grid was called a difference.

    Attributes:
        kind: what was simulated; ``seeds``: of each comparison.
        rule: share of grids with a finding by the rule of the tables; ``plain``: by the rule beside it, in ``what``.
        grids: number of grids; ``power``: whether something was there to be found, so that the share should be large.
    """

    kind: str
    seeds: str
    rule: float
    plain: float
    what: str
    grids: int
    power: bool = False

    def error(self, share: float) -> float:
        """The Monte-Carlo error of a share."""
        return math.sqrt(max(share * (1 - share), 1 / self.grids) / self.grids)


def findings(gaps: np.ndarray, root: int) -> tuple[np.ndarray, np.ndarray]:
    """By the rule of the tables and by the t-test alone, whether each row of differences (..., n) is a finding, uncorrected."""
    tests = paired_tests(gaps)
    flips = sign_flip_p(gaps, flips=999, root=root)
    return decide(tests, deciding_p(tests, skew_p(gaps)), flips, ALPHA) != 0, tests.p < ALPHA


def drawn(name: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Differences of mean 0: normal, or a gamma distribution of shape 2 or 1, less its mean."""
    return rng.standard_normal(shape) if name == NORMAL else rng.gamma(SKEWED[name], size=shape) - SKEWED[name]


def parts(grids: int) -> Iterator[tuple[int, int]]:
    """The grids in parts that fit into memory: the number of the part, and its size."""
    return ((k, min(AT_ONCE, grids - start)) for k, start in enumerate(range(0, grids, AT_ONCE)))


def single(name: str, seeds: int, grids: int, effect: float = 0.0) -> Rate:
    """One comparison. ``effect``: the true difference in standard deviations."""
    hits = np.zeros(2)
    for part, size in parts(grids):
        rng = generator(1, "rates", name, seeds, int(100 * effect), part)
        hits += [found.sum() for found in findings(drawn(name, rng, (size, seeds)) + effect, part)]
    kind = f"one comparison, {name} differences" + (f", true difference {effect:g} sd" if effect else "")
    return Rate(kind, str(seeds), *(hits / grids), "the t-test alone", grids, bool(effect))


def page(conditions: int, strategies: int, pairs: int, seeds: int, grids: int, name: str = NORMAL) -> Rate:
    """A page of several conditions, of which two are splits of the same models: any finding, over the pairs or on one."""
    hits = np.zeros(2)
    for part, size in parts(grids):
        rng = generator(1, "rates page", name, conditions, pairs, seeds, part)
        noise = drawn(name, rng, (size, conditions, strategies + 1, pairs, seeds))
        if conditions > 1:
            noise[:, 1] = noise[:, 0] + 0.3 * noise[:, 1]
        gaps = noise[:, :, 1:] - noise[:, :, :1]
        over = gaps.mean(axis=3)
        tests = [paired_tests(over), paired_tests(gaps)]
        p = [deciding_p(of, skew_p(values)) for of, values in zip(tests, (over, gaps), strict=True)]
        flips = [sign_flip_p(values, flips=999) < ALPHA for values in (over, gaps)]
        for k in range(size):
            first, then, _ = inherited(p[0][k].ravel(), p[1][k].reshape(-1, pairs))
            shown = (np.array(first) < ALPHA) & flips[0][k].ravel(), (np.array(then) < ALPHA) & flips[1][k].reshape(-1, pairs)
            hits[0] += any(of.any() for of in shown)
        apart = (holm(tests[0].p) < ALPHA).any(axis=(1, 2)) | (holm(tests[1].p.swapaxes(2, 3)) < ALPHA).any(axis=(1, 2, 3))
        hits[1] += apart.sum()
    sizes = (counted(conditions, "condition"), counted(strategies, "strategy", "strategies"), counted(pairs, "pair"))
    kind = f"a page: {' x '.join(sizes)}, {name} scores, any finding"
    return Rate(kind, str(seeds), *(hits / grids), "Holm in each condition and pair", grids)


def failures(seeds: int, grids: int) -> Rate:
    """A strategy that is no better fails on the quarter of the seeds on which it would score worst against the reference."""
    hits = np.zeros(2)
    for part, size in parts(grids):
        rng = generator(1, "rates failures", seeds, part)
        scores = 0.5 + 0.02 * rng.standard_normal((2, size, seeds))
        gaps = scores[1] - scores[0]
        failed = gaps <= np.quantile(gaps, 0.25, axis=1, keepdims=True)
        survived = paired_tests(np.where(failed, np.nan, gaps))
        # The rule: no finding with a failed cell; with --bounds only what holds for the worst and the best score of them.
        both = [findings(np.where(failed, value, scores[1]) - scores[0], part)[0] for value in (0.0, 1.0)]
        signs = [np.sign((np.where(failed, value, scores[1]) - scores[0]).mean(axis=1)) for value in (0.0, 1.0)]
        hits += [(both[0] & both[1] & (signs[0] == signs[1])).sum(), ((survived.p < ALPHA) & (survived.mean > 0)).sum()]
    return Rate(
        "a strategy fails on its worst quarter (--bounds)", str(seeds), *(hits / grids), "the t-test of the surviving seeds", grids
    )


def looks(every: int, seeds: int, grids: int) -> Rate:
    """Looks after every few seeds, and an end at the first finding."""
    hits = np.zeros(2)
    ends = range(every, seeds + 1, every)
    levels = nominal_levels([n / seeds for n in ends], ALPHA)
    for part, size in parts(grids):
        gaps = generator(1, "rates looks", every, seeds, part).standard_normal((size, seeds))
        held, plain = np.zeros(size, bool), np.zeros(size, bool)
        for n, level in zip(ends, levels, strict=True):
            tests = paired_tests(gaps[:, :n])
            p = deciding_p(tests, skew_p(gaps[:, :n]))
            held |= decide(tests, p * ALPHA / level, sign_flip_p(gaps[:, :n], flips=999, root=part), ALPHA) != 0
            plain |= tests.p < ALPHA
        hits += [held.sum(), plain.sum()]
    return Rate(
        f"looks after every {every} seeds (--until {every})", f"up to {seeds}", *(hits / grids), "the t-test at each look", grids
    )


def copies(seeds: int, grids: int) -> Rate:
    """Two strategies that buy the same on all seeds, whose purchases differ by chance: one observation of the difference."""
    hits = 0
    for part, size in parts(grids):
        rng = generator(1, "rates copies", seeds, part)
        gaps = 0.02 * rng.standard_normal((size, 1)) + 0.005 * rng.standard_normal((size, seeds))
        hits += int((paired_tests(gaps).p < ALPHA).sum())
    return Rate("both sides buy the same on every seed", str(seeds), 0.0, hits / grids, "the t-test over the trainings", grids)


def measured(grids: int) -> list[Rate]:
    """Every rate."""
    found: list[Rate] = []
    makers: list[Callable[[], Rate]] = [
        *(lambda name=name, n=n: single(name, n, grids) for name in (NORMAL, *SKEWED) for n in (5, 6, 8, 10, 20)),
        *(lambda n=n: single(NORMAL, n, grids, 1.0) for n in (6, 8, 10, 20)),
        lambda: copies(7, grids),
        lambda: page(1, 9, 3, 10, grids // 10),
        lambda: page(4, 9, 1, 10, grids // 10),
        lambda: page(4, 9, 3, 10, grids // 10),
        lambda: page(4, 9, 3, 10, grids // 10, "exponential"),
        lambda: failures(10, grids),
        lambda: failures(50, grids),
        lambda: looks(5, 25, grids),
        lambda: looks(5, 50, grids),
    ]
    for make in makers:
        found.append(make())
        print(line(found[-1]), flush=True)
    return found


def line(rate: Rate) -> str:
    """A row of the table."""
    values = (f"{100 * share:.1f} ± {100 * rate.error(share):.1f} %" for share in (rate.rule, rate.plain))
    return "| " + " | ".join([rate.kind, rate.seeds, *values, rate.what, f"{rate.grids:,}"]) + " |"


def table(rates: list[Rate]) -> str:
    """The table of the page."""
    head = "| what is simulated | seeds | the rule of the tables | the plain rule | which is | grids |"
    return "\n".join([head, "| :-- | --: | --: | --: | :-- | --: |", *map(line, rates)])


def in_page(text: str, rates: list[Rate]) -> str:
    """A page with its table written anew.

    Raises:
        ConfigurationError: the page has no place for it.
    """
    if BEGIN not in text or END not in text:
        raise ConfigurationError(f"--page: there are no lines {BEGIN} and {END}; expected both, around the table. Add them")
    return text[: text.index(BEGIN) + len(BEGIN)] + "\n" + table(rates) + "\n" + text[text.index(END) :]


def main() -> None:
    """Simulate, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.studies.rates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grids", type=int, default=20_000, metavar="N", help="simulated for each row (a tenth of it for pages)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the rates there")
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="write the table into this page")
    args = parser.parse_args()
    rates = measured(args.grids)
    if args.json is not None:
        write_json(args.json, {"grids": args.grids, "rates": [asdict(rate) for rate in rates]})
    if args.page is not None:
        write_text(args.page, in_page(args.page.read_text(encoding="utf-8"), rates))


if __name__ == "__main__":
    main()
