"""Derives the figures of ``docs/results.md`` again from the stored cells, with NumPy, SciPy and formulas of its own.

    python experiments/rederive.py                     # docs/results.md and experiments/cells/*.json
    python experiments/rederive.py --page P --cells A.json B.json

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
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special, stats

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
CELLS = (ROOT / "experiments" / "cells" / "strategies-full.json", ROOT / "experiments" / "cells" / "strategies-proxy.json")
ALPHA, POWER, WANTED = 0.05, 0.8, 0.01
EXACT, FEWEST = 14, 6
"""Largest number of differences of which all flips are tried, and the smallest of which a sign-flip test can be below 0.05."""
KIT_FLIPS, FLIPS, KIT_DRAWS, DRAWS = 9_999, 20_000, 2_000, 100_000
"""Flips and draws of the kit, and of this script."""
HEADING = re.compile(
    r"### (clean labels|label quality ([\d.]+)), (\w+) split(?: \((\w[\w-]*), ([^)]+)\))?(?:, (\d+) data sets)?( \(proxy\))?$", re.I
)
NUMBER = r"[+-]?\d+(?:\.\d+)?"
Key = tuple[str, str, float, str, int]
"""Profile, pipeline, label quality, split, number of the data set."""
Form = tuple[str, list[float]]
"""How a cell of a table reads, with ``{}`` for each of the numbers."""
NAN = float("nan")


class Cell(NamedTuple):
    """A stored cell. ``score``: NaN where it failed; ``content``: what it is an observation of, None where that is not known."""

    score: float
    content: tuple[Any, ...] | None
    collapsed: bool
    late: bool


@dataclass(eq=False)
class Series:
    """Values (seeds,), NaN where nothing is known. ``keys``: equal for copies of one observation; ``failed``: if any is."""

    values: np.ndarray
    keys: list[tuple[Any, ...]]
    fell: np.ndarray
    failed: bool

    def __sub__(self, other: Series) -> Series:
        keys = [(one, two) for one, two in zip(self.keys, other.keys, strict=True)]
        return Series(self.values - other.values, keys, self.fell | other.fell, self.failed or other.failed)

    @cached_property
    def observed(self) -> np.ndarray:
        """The observations: the mean of all copies of each; none where a cell failed."""
        found: dict[tuple[Any, ...], list[float]] = {}
        for key, value in zip(self.keys, self.values, strict=True):
            if not (self.failed or math.isnan(value)):
                found.setdefault(key, []).append(float(value))
        return np.array([np.mean(of) for of in found.values()])

    @property
    def seeds(self) -> int:
        """How many seeds have a value."""
        return int((~np.isnan(self.values)).sum())

    @property
    def collapsed(self) -> tuple[int, float | None]:
        """How many seeds rest on a collapsed cell, and the mean of the others; None where all do, or none."""
        there = ~np.isnan(self.values)
        fell, others = int(self.fell[there].sum()), self.values[there & ~self.fell]
        return fell, float(others.mean()) if fell and len(others) else None


def together(parts: Sequence[Series], values: np.ndarray) -> Series:
    """Values that were computed of several series."""
    keys = list(zip(*(of.keys for of in parts), strict=True))
    return Series(values, keys, np.any([of.fell for of in parts], axis=0), any(of.failed for of in parts))


@dataclass(eq=False)
class Grid:
    """The cells of one condition on one data set."""

    key: Key
    proxy: bool
    scale: float
    public: frozenset[str]
    cells: dict[tuple[str, str, int], Cell] = field(default_factory=dict)
    whole: dict[str, dict[int, Cell]] = field(default_factory=dict)
    """Of a strategy that bought the whole pool its cells by seed."""

    @cached_property
    def ceiling(self) -> str | None:
        """``full_pool``, where it bought everything and is not alone."""
        return "full_pool" if self.whole.get("full_pool") and {name for name, _, _ in self.cells} != {"full_pool"} else None

    @cached_property
    def names(self) -> list[str]:
        """The strategies that are compared."""
        return sorted({name for name, _, _ in self.cells} - {self.ceiling})

    @cached_property
    def others(self) -> list[str]:
        """The strategies that are compared with random; none where it was not run."""
        return [name for name in self.names if name != "random"] if "random" in self.names else []

    @cached_property
    def pairs(self) -> list[str]:
        """The pairs that a compared strategy has, by labels and minutes."""
        return sorted({pair for name, pair, _ in self.cells if name != self.ceiling}, key=labels_minutes)

    @cached_property
    def main(self) -> list[str]:
        """The pairs that means are taken over: those that every strategy has; if there are none, the set that covers most."""
        held = [frozenset(pair for of, pair, _ in self.cells if of == name) for name in self.names]
        common = frozenset.intersection(*held)

        def worth(pairs: frozenset[str]) -> tuple[int, int, list[str]]:
            n = sum(pairs <= own for own in held)
            return n * len(pairs), n, sorted(pairs)

        best = max({common, *held} - {frozenset()}, key=worth)
        return [pair for pair in self.pairs if pair in best]

    @cached_property
    def seeds(self) -> list[int]:
        """All seeds, also those of the ceiling alone."""
        return sorted({seed for _, _, seed in self.cells})

    def on(self, name: str, pair: str) -> Series:
        """Scores on one pair. The ceiling's cells count for every pair."""
        if name == self.ceiling:
            found = [self.whole[name].get(seed) for seed in self.seeds]
        else:
            found = [self.cells.get((name, pair, seed)) for seed in self.seeds]
        keys = [
            ("unknown", seed) if cell is None or cell.content is None else cell.content
            for seed, cell in zip(self.seeds, found, strict=True)
        ]
        failed = name != self.ceiling and any(cell is not None and math.isnan(cell.score) for cell in found)
        fell = np.array([cell is not None and cell.collapsed for cell in found])
        return Series(np.array([NAN if cell is None else cell.score for cell in found]), keys, fell, failed)

    def of(self, name: str, pairs: Sequence[str]) -> Series:
        """Means over pairs; NaN where one of them is missing or failed."""
        parts = [self.on(name, pair) for pair in pairs]
        return together(parts, np.mean([of.values for of in parts], axis=0))

    def less(self, name: str) -> Series | None:
        """Public minus hidden pairs; None where all are public, or all are hidden."""
        public, hidden = ([pair for pair in self.pairs if (pair in self.public) == kind] for kind in (True, False))
        return self.of(name, public) - self.of(name, hidden) if public and hidden else None

    @cached_property
    def curves(self) -> dict[str, list[str]]:
        """The pairs of each curve: of every time with two budgets; if there is none, all pairs."""
        times: dict[float, list[str]] = {}
        for pair in self.main:
            times.setdefault(labels_minutes(pair)[1], []).append(pair)
        found = {f"pairs of {minutes:g} minutes": of for minutes, of in sorted(times.items()) if len(of) > 1}
        if not found and len({labels_minutes(pair)[0] for pair in self.main}) > 1:
            found = {"all pairs, whose times differ, too": self.main}
        return found

    def area(self, name: str, pairs: Sequence[str]) -> Series:
        """Mean height of the curve of scores by labels, from the smallest budget to the largest."""
        parts = {pair: self.on(name, pair) for pair in pairs}
        labels = sorted({labels_minutes(pair)[0] for pair in pairs})
        heights = np.array([np.mean([of.values for p, of in parts.items() if labels_minutes(p)[0] == x], axis=0) for x in labels])
        area = ((heights[1:] + heights[:-1]) / 2 * np.diff(labels)[:, None]).sum(axis=0) / (labels[-1] - labels[0])
        return together(list(parts.values()), area)

    def count(self, name: str) -> tuple[int, int]:
        """How many cells of a strategy collapsed, and how many have a score."""
        own = [cell for (of, _, _), cell in self.cells.items() if of == name]
        return sum(cell.collapsed for cell in own), sum(not math.isnan(cell.score) for cell in own)


def labels_minutes(pair: str) -> tuple[float, ...]:
    """The two numbers of a pair."""
    return tuple(map(float, pair.split(":")))


@dataclass
class Found:
    """What was held against the page. ``right``, ``left``, ``near``: by kind; ``wrong``: a line each."""

    right: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    near: Counter[str] = field(default_factory=Counter)
    """Findings that chance may turn: see the top of this file."""
    wrong: list[str] = field(default_factory=list)

    def number(self, kind: str, where: str, text: str, value: float | None, slack: float = 0.0) -> None:
        """Hold a figure against a number."""
        self.between(kind, where, text, value, value, slack)

    def between(self, kind: str, where: str, text: str, low: float | None, high: float | None, slack: float = 0.0) -> None:
        """Hold a figure against two bounds."""
        text = text.strip().removesuffix("%")
        room = 0.5 * 10 ** -len(text.partition(".")[2]) + 1e-9 + slack
        near = low is not None and high is not None and low - room <= float(text) <= high + room
        value = "nothing" if low is None else f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        self.said(kind, where, near, text, value)

    def words(self, kind: str, where: str, text: str, *values: str) -> None:
        """Hold words against words; the first is most likely, and each counts as right."""
        self.near[kind] += len(values) > 1
        self.said(kind, where, text in values, text, " or ".join(values))

    def form(self, kind: str, where: str, text: str, form: Form, slack: float = 0.0) -> None:
        """Hold a text with numbers against how it should read."""
        template, values = form
        found = re.fullmatch(f"({NUMBER})".join(map(re.escape, template.split("{}"))), text)
        if found is None or not values:
            self.said(kind, where, found is not None, text, template.format(*(f"{value:.6g}" for value in values)))
            return
        for figure, value in zip(found.groups(), values, strict=True):
            self.number(kind, where, figure, value, slack)

    def said(self, kind: str, where: str, right: bool, text: str, value: str) -> None:
        """Count a figure, and name it if it is wrong."""
        self.right[kind] += right
        if not right:
            self.wrong.append(f"{where}: the page says {text}; derived is {value} ({kind})")


def load(files: Sequence[Path]) -> dict[Key, Grid]:
    """The grids of files of cells, as ``experiments/columns.py`` describes them."""
    grids: dict[Key, Grid] = {}
    for content in (json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()):
        columns = content["columns"]
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            setup = content["setups"][row["setup"]]
            spec = setup["spec"]
            profile, pipeline = spec["profile"], spec["pipeline"]
            key = (profile["name"], pipeline["name"], spec["label_quality"], spec["score_split"], spec.get("data_set", 0))
            proxy = pipeline.get("trains") == "head" and pipeline["epochs"] == 100
            public = frozenset(f"{pair['labels']:g}:{pair['minutes']:g}" for pair in profile["round"]["pairs"])
            grid = grids.setdefault(key, Grid(key, proxy, profile["budget_scale"], public))
            name, pair, score = content["submissions"][row["submission"]]["name"], content["pairs"][row["pair"]], row["macro_f1"]
            drawn = any((profile.get("drawn") or {}).values())
            bought = None if row.get("content") is None else (row["content"], row["seed"] if drawn else None)
            late = score is not None and content["verdicts"][row["verdict"]] == "TIME_LIMIT"
            collapsed = score is not None and score <= setup.get("constant", 0.0) + 1e-9
            cell = Cell(NAN if score is None else score, bought if score is not None else None, collapsed, late)
            grid.cells[name, pair, row["seed"]] = cell
            if row["labels"] == setup["pool"] and score is not None:
                grid.whole.setdefault(name, {})[row["seed"]] = cell
    return grids


# -- formulas


def t_bounds(values: np.ndarray) -> tuple[float, float | None, float | None, int]:
    """Mean, 95 % t interval and number of values."""
    n = len(values)
    if n < 2:
        return float(values[0]) if n else NAN, None, None, n
    if np.ptp(values) <= 1e-12:
        return (float(values[0]),) * 3 + (n,)
    low, high = stats.t.interval(1 - ALPHA, n - 1, values.mean(), stats.sem(values))
    return float(values.mean()), float(low), float(high), n


def johnson_p(values: np.ndarray) -> float:
    """Two-sided p of Johnson's t on the side of Student's: t + g / (6 sqrt(n)) + g t^2 / (3 sqrt(n)), with t^2 at most 36."""
    n, error = len(values), stats.sem(values)
    t, skewness = values.mean() / error, stats.kstat(values, 3) / (error * math.sqrt(n)) ** 3
    corrected = t + skewness / (6 * math.sqrt(n)) + skewness * min(t * t, 36.0) / (3 * math.sqrt(n))
    return float(min(1.0, 2 * stats.t.sf(math.copysign(1.0, t) * corrected, n - 1)))


@lru_cache(maxsize=128)
def flips(n: int) -> np.ndarray:
    """Signs (flips, n): all of them up to ``EXACT``, else drawn."""
    if n <= EXACT:
        return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    return np.random.default_rng(n).choice([-1.0, 1.0], (FLIPS, n))


@dataclass(eq=False)
class Test:
    """A difference and its tests. ``corrected``, ``family``: of the tree, once it is known."""

    of: Series
    corrected: float = NAN
    family: int = 1

    @cached_property
    def bounds(self) -> tuple[float, float | None, float | None, int]:
        """Mean, interval and observations; no interval where there is no spread."""
        mean, low, high, n = t_bounds(self.of.observed)
        return (mean, low, high, n) if self.spread else (mean, None, None, n)

    @cached_property
    def spread(self) -> bool:
        """Whether a test is possible at all."""
        return len(self.of.observed) > 1 and bool(np.ptp(self.of.observed) > 1e-12)

    @cached_property
    def p_t(self) -> float:
        """Of Student's t; NaN without a test."""
        return float(stats.ttest_1samp(self.of.observed, 0.0).pvalue) if self.spread else NAN

    @cached_property
    def p(self) -> float:
        """The p that decides: the larger of Student's and Johnson's."""
        return max(self.p_t, johnson_p(self.of.observed)) if self.spread and len(self.of.observed) > 2 else self.p_t

    @cached_property
    def p_flip(self) -> float:
        """Of the sign-flip test."""
        values = self.of.observed
        signs = flips(len(values))
        hits = int((np.abs(signs @ values) >= abs(values.sum()) - 1e-10 * np.abs(values).sum()).sum())
        return hits / len(signs) if len(values) <= EXACT else (1 + hits) / (1 + len(signs))

    @property
    def open(self) -> bool:
        """Whether other draws may put the sign-flip test on the other side of 0.05."""
        error = math.sqrt(ALPHA * (1 - ALPHA) * (1 / KIT_FLIPS + 1 / FLIPS))
        return len(self.of.observed) > EXACT and abs(self.p_flip - ALPHA) < 4 * error

    def shown(self, corrected: float) -> list[str]:
        """The finding with a corrected p; two where chance decides."""
        mean, low, high, n = self.bounds
        if self.of.failed:
            return ["failed cells"]
        if n < 2:
            return ["no seed" if not n else "one observation" if self.of.seeds > 1 else "too few seeds"]
        if not self.spread:
            return ["no spread"]
        if n < FEWEST:
            return ["too few seeds"]
        if low is None or high is None or low <= 0 <= high or not corrected < ALPHA:
            return ["within noise"]
        word = "better" if mean > 0 else "worse"
        if self.open:
            return [word, "within noise"]
        return [word if self.p_flip < ALPHA else "within noise"]

    @property
    def findings(self) -> list[str]:
        """As ``shown``, after the correction of the tree."""
        return self.shown(self.corrected)

    @property
    def mark(self) -> str:
        """Behind what rests on collapsed cells."""
        return " !" if len(self.of.observed) and self.of.collapsed[0] else ""

    @property
    def marked(self) -> list[str]:
        """The findings as tables show them, with their marks."""
        found = []
        for word in self.findings:
            for other in (self.p_flip < ALPHA, *((self.p_flip >= ALPHA,) if self.open else ())) if self.spread else ():
                differ = len({self.p < ALPHA, self.p_t < ALPHA, other}) > 1 and len(self.of.observed) >= FEWEST
                found.append(word + (" ?" if differ else "") + self.mark)
        return list(dict.fromkeys(found)) or [word + self.mark for word in self.findings]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: the p of rank k of m is multiplied by m - k + 1, and none is below one before it."""
    order = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    found, least = [NAN] * len(p), 0.0
    for rank, (value, place) in enumerate(order):
        least = max(least, min(1.0, value * (len(order) - rank)))
        found[place] = least
    return found


@dataclass(eq=False)
class Gate:
    """A test over data sets. ``corrected``, ``family``: of the tree, once it is known."""

    p: float
    corrected: float = NAN
    family: int = 1


def inherit(branches: Sequence[tuple[Test | Gate, Sequence[Test]]]) -> None:
    """Correct a tree of tests: (gate, the tests behind it) of every branch.

    Goeman and Finos (2012): alpha is shared equally by the branches of which a test is left. A branch's share belongs to its gate;
    once the gate is rejected, to the tests behind it that are left, in equal parts. The corrected p of a test is the smallest alpha
    at which it is rejected: step by step the test is rejected whose p is the smallest multiple of its share.
    """
    left = [
        ([gate] if not math.isnan(gate.p) else [], [test for test in tests if not math.isnan(test.p)]) for gate, tests in branches
    ]
    left = [branch for branch in left if branch[0] or branch[1]]
    for gates, tests in left:
        for test in gates:
            test.family = len(left)
        for test in tests:
            test.family = len(left) * len(tests)
    alpha = 0.0
    while left:
        ready = [(test, len(gates or tests), (gates, tests)) for gates, tests in left for test in gates or tests]
        test, parts, branch = min(ready, key=lambda of: of[0].p * of[1])
        alpha = test.corrected = max(alpha, min(1.0, test.p * parts * len(left)))
        (branch[0] or branch[1]).remove(test)
        left = [of for of in left if of[0] or of[1]]


class Share(NamedTuple):
    """Share of the gap. ``bounds``: value and interval, or None; ``gap``: interval of the gap, and observations."""

    bounds: tuple[float, float, float] | None
    gap: tuple[float, float | None, float | None, int]
    fell: int

    @property
    def form(self) -> Form:
        """As tables show it."""
        mark = " !" if self.fell else ""
        if self.bounds is not None:
            return f"{{}}% [{{}}%, {{}}%]{mark}", [100 * value for value in self.bounds]
        _, low, high, n = self.gap
        unknown = n > 1 and low is not None and high is not None and low <= 0 <= high
        return ("not bounded" if unknown else "-") + mark, []


def share_of_gap(own: Series, base: Series, top: Series) -> Share:
    """Ratio of means and Fieller's interval: all r for which mean(gain - r gap) is within its t interval of 0."""
    gain, gap = own - base, top - base
    both = gain - gap  # its seeds and observations are those that all three have
    a, b = (
        Series(np.where(np.isnan(both.values), NAN, of.values), both.keys, both.fell, both.failed).observed for of in (gain, gap)
    )
    fell, found = int((own.fell | base.fell | top.fell).sum()), t_bounds(b)
    n = len(a)
    if n < 2 or found[1] is None or found[1] <= 0:
        return Share(None, found, fell)
    t = stats.t.ppf(1 - ALPHA / 2, n - 1)
    c = np.cov(a, b) / n
    quadratic = [b.mean() ** 2 - t**2 * c[1, 1], -2 * (a.mean() * b.mean() - t**2 * c[0, 1]), a.mean() ** 2 - t**2 * c[0, 0]]
    low, high = sorted(np.roots(quadratic).real)
    return Share((float(a.mean() / b.mean()), float(low), float(high)), found, fell)


def chance(effect: float, n: int, alpha: float) -> float:
    """Power of a two-sided t-test: the scale of the deviation is integrated over its chi-squared distribution."""
    scale = scales(n) * stats.t.ppf(1 - alpha / 2, n - 1)
    centre = effect * math.sqrt(n)
    return float((special.ndtr(centre - scale) + special.ndtr(-scale - centre)).mean())


@lru_cache(maxsize=1024)
def scales(n: int) -> np.ndarray:
    """Quantiles of the ratio of a measured to the true deviation, from n values."""
    return np.sqrt(stats.chi2.ppf((np.arange(4_000) + 0.5) / 4_000, n - 1) / (n - 1))


@lru_cache(maxsize=1024)
def smallest_effect(n: int, tests: int) -> float:
    """The difference that n seeds show with a power of 0.8 in the worst case of the correction, in standard deviations."""
    return float(optimize.brentq(lambda effect: chance(effect, n, ALPHA / tests) - POWER, 0.0, 1e6))


def enough_seeds(deviation: float, tests: int) -> int:
    """The fewest seeds that show ``WANTED`` with that power."""
    low, high = 1, 2
    while chance(WANTED / deviation, high, ALPHA / tests) < POWER:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if chance(WANTED / deviation, middle, ALPHA / tests) < POWER else (low, middle)
    return high


def anova(values: np.ndarray) -> dict[str, float]:
    """One-way analysis of variance of (data sets, seeds): intervals, parts and floor."""
    k, n = values.shape
    means = values.mean(axis=1)
    mean, low, *_ = t_bounds(means)
    between, within = n * means.var(ddof=1), values.var(axis=1, ddof=1).mean() if n > 1 else 0.0
    own = max(0.0, between - within) / n
    draw = np.random.default_rng(1)
    sets = between / (draw.chisquare(k - 1, 200_000) / (k - 1))
    seeds = within / (draw.chisquare(max(k * (n - 1), 1), 200_000) / max(k * (n - 1), 1))
    spread = np.maximum(sets - seeds, 0) / n + sets / (k * n)

    def width(count: int) -> float:
        return stats.t.ppf(1 - ALPHA / 2, count - 1) * math.sqrt(between / n / count)

    enough = next((count for count in range(2, 10_001) if width(count) <= WANTED), math.inf)
    return {
        "mean": mean,
        "half": mean - (mean if low is None else low),
        "p": float(stats.ttest_1samp(means, 0.0).pvalue) if np.ptp(means) > 1e-12 else NAN,
        "other": float(np.quantile(np.abs(draw.normal(size=200_000)) * np.sqrt(spread), 1 - ALPHA)),
        "sd of data sets": math.sqrt(own),
        "sd of seeds": math.sqrt(within),
        "share": own * n / between if between else 0.0,
        "floor": stats.t.ppf(1 - ALPHA / 2, k - 1) * math.sqrt(own / k),
        "enough": enough,
    }


@dataclass(frozen=True)
class Tau:
    """Kendall's tau-b of two pipelines: as measured, and without noise where other draws may put (low, value, high), if told."""

    measured: float
    bands: tuple[tuple[float, float], ...] | None
    strategies: int
    pairs: int
    seeds: int

    @property
    def value(self) -> tuple[float, float]:
        """The band of the value."""
        assert self.bands is not None
        return self.bands[1]


def tau(mine: Grid, theirs: Grid) -> Tau | None:
    """Agreement of two pipelines on the strategies, pairs and seeds that both have; None without any.

    What tau-b says of the correlation of the noisy means is its confidence distribution for normal scores: Greiner's relation,
    Esscher's variance, half a step of tau for continuity. The part of noise in the variance of the means, estimated from what is
    left after the mean of each strategy and of each seed, follows F; Spearman's correction for attenuation takes it out.
    """
    pairs = [pair for pair in mine.main if pair in theirs.pairs]
    shared = sorted(set(mine.seeds) & set(theirs.seeds))
    scores = {}
    for name in [name for name in mine.names if name in theirs.names]:
        both = [grid.of(name, pairs) for grid in (mine, theirs)]
        rows = np.array(
            [[dict(zip(g.seeds, of.values, strict=True))[s] for s in shared] for g, of in zip((mine, theirs), both, strict=True)]
        )
        if not any(of.failed for of in both) and not np.isnan(rows).any(axis=0).all():
            scores[name] = rows
    values = np.array(list(scores.values()))  # (strategies, pipelines, seeds)
    if not len(values):
        return None
    values = values[:, :, ~np.isnan(values).any(axis=(0, 1))]
    n, _, seeds = values.shape
    means = values.mean(axis=2).round(12) if seeds else values.sum(axis=2)
    measured = float(stats.kendalltau(means[:, 0], means[:, 1]).statistic) if n > 1 else NAN
    told = n > 2 and seeds > 1 and not math.isnan(measured)
    return Tau(measured, without_noise(values, measured) if told else None, n, len(pairs), seeds)


def without_noise(values: np.ndarray, measured: float) -> tuple[tuple[float, float], ...] | None:
    """Bands of (low, value, high), four standard errors of the kit's quantiles to each side; None where noise is all there is."""
    n, _, seeds = values.shape
    left = (
        values - values.mean(axis=2, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean(axis=(0, 2), keepdims=True)
    )
    freedom = (n - 1) * (seeds - 1)
    noise = sum(left[:, :, s].T @ left[:, :, s] for s in range(seeds)) / freedom / seeds
    ratio = np.diag(noise) / values.mean(axis=2).var(axis=0, ddof=1)
    common = float(np.nan_to_num(noise[0, 1] / math.sqrt(noise[0, 0] * noise[1, 1]))) if noise.diagonal().all() else 0.0
    draw = np.random.default_rng(3)
    part = ratio[:, None] * draw.chisquare(n - 1, DRAWS) / (n - 1) * freedom / draw.chisquare(freedom, (2, DRAWS))
    seen = (part < 1).all(axis=0)
    if seen.mean() <= 0.5:
        return None
    where = draw.random(DRAWS)
    rho = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 2_001)[1:-1])
    greiner, half = 2 / np.pi * np.arcsin(rho), 2 / np.pi * np.arcsin(rho / 2)
    variance = 2 / (n * (n - 1)) * (1 - greiner**2 + 2 * (n - 2) * (1 / 9 - half**2))
    found = []
    for step, quantile, blind in ((-1, ALPHA / 2, -1.0), (0, 0.5, None), (1, 1 - ALPHA / 2, 1.0)):
        below = special.ndtr((greiner - measured - step * 2 / (n * (n - 1))) / np.sqrt(variance))
        drawn = np.interp(where, np.maximum.accumulate(below), rho, left=-1, right=1)
        with np.errstate(invalid="ignore"):
            clean = (drawn - common * np.sqrt(part.prod(axis=0))) / np.sqrt((1 - part).prod(axis=0))
        clean = np.clip(clean, -1, 1)[seen] if blind is None else np.where(seen, np.clip(clean, -1, 1), blind)
        room = 4 * math.sqrt(quantile * (1 - quantile) / KIT_DRAWS * len(seen) / len(clean))
        ends = np.quantile(clean, np.clip([quantile - room, quantile + room], 0, 1))
        found.append((float(2 / np.pi * np.arcsin(ends[0])), float(2 / np.pi * np.arcsin(ends[1]))))
    return tuple(found)


# -- how a cell of a table reads


def score_form(of: Series) -> Form:
    """A mean with its interval, or how many of its seeds collapsed."""
    mean, low, high, n = t_bounds(of.observed)
    fell, without = of.collapsed
    if not n:
        return "-", []
    if fell and without is None:
        return ("{}! (collapsed)", [mean]) if n == 1 else ("{}! (all {} collapsed)", [mean, n])
    if fell and without is not None:
        return "{}! ({} of {} collapsed; {} without)", [mean, fell, n, without]
    return bounds_form((mean, low, high))


def difference_form(test: Test) -> Form:
    """A difference with its interval, or how many of its seeds rest on a collapsed cell."""
    mean, low, high, n = test.bounds
    fell, without = test.of.collapsed
    if not n:
        return "-", []
    if fell and without is not None:
        return "{}! ({} of {} with a collapse; {} without)", [mean, fell, n, without]
    return ("{}! ({} of {} with a collapse)", [mean, fell, n]) if fell else bounds_form((mean, low, high))


def bounds_form(bounds: Sequence[float | None]) -> Form:
    """A value with its interval, if there is one."""
    known = [value for value in bounds[:3] if value is not None]
    return ("{} [{}, {}]", known) if len(known) == 3 else ("{}", known[:1])


# -- the page


@dataclass(eq=False)
class Derived:
    """Everything of one condition on one data set. Tests are those of differences to random, by strategy."""

    grid: Grid
    over: dict[str, Test]
    single: dict[tuple[str, str], Test]
    areas: dict[tuple[str, str], Test]
    hidden: dict[str, Test]

    @classmethod
    def from_grid(cls, grid: Grid) -> Derived:
        """Before the correction."""

        def test(series: Any, *args: Any) -> dict[str, Test]:
            return {name: Test(series(name, *args) - series("random", *args)) for name in grid.others}

        over = test(grid.of, grid.main)
        single = {(name, pair): found for pair in grid.pairs for name, found in test(grid.on, pair).items()}
        if len(grid.main) == 1:  # one test, which is not counted twice
            single |= {(name, grid.main[0]): found for name, found in over.items()}
        areas = {(name, of): found for of, pairs in grid.curves.items() for name, found in test(grid.area, pairs).items()}
        hidden = {} if not grid.names or grid.less(grid.names[0]) is None else test(grid.less)
        return cls(grid, over, single, areas, hidden)

    @property
    def named_branches(self) -> list[tuple[str, Test, list[Test]]]:
        """Of every strategy its name, the test over the pairs, and those behind it."""
        found = []
        for name, gate in self.over.items():
            behind = [test for (of, _), test in [*self.single.items(), *self.areas.items()] if of == name and test is not gate]
            found.append((name, gate, behind + ([self.hidden[name]] if name in self.hidden else [])))
        return found

    def at(self, pairs: Sequence[str]) -> dict[str, Test]:
        """The tests over some pairs: all that means are taken over, or one."""
        if list(pairs) == self.grid.main:
            return self.over
        return {name: test for (name, pair), test in self.single.items() if [pair] == list(pairs)}


def sections(text: str) -> Iterator[tuple[str, str, str, list[list[str]]]]:
    """(part, heading of the condition, title, rows with the header first) of every table of the page; a note is one row."""
    part = heading = title = ""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip().replace("&lt;", "<") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
            continue
        if rows:
            yield part, heading, title, [rows[0], *rows[2:]]
            rows = []
        if line.startswith("## "):
            part, heading, title = line[3:], "", ""
        elif line.startswith("### "):
            heading, title = line, ""
        elif line.startswith("- "):
            yield part, heading, "note", [[line[2:]]]
        elif found := re.match(r"\*\*(.+?)\.\*\*", line):
            title = found[1]
            if mark := re.search(r"\*Proxy; (tau-b with .*)\.\*$", line):
                yield part, heading, "mark", [[mark[1]]]


class Page:
    """Holds the tables of a page against the grids."""

    def __init__(self, text: str, grids: dict[Key, Grid], stored: dict[str, tuple[int, int]]) -> None:
        self._text, self._stored, self.found = text, stored, Found()
        self._derived = {key: Derived.from_grid(grid) for key, grid in sorted(grids.items())}
        kinds: dict[Key, list[Derived]] = {}
        for key, derived in self._derived.items():
            kinds.setdefault(key[:4], []).append(derived)
        self._over_sets = {kind: over_data_sets(of) for kind, of in kinds.items() if len(of) > 1}
        branches: list[tuple[Test | Gate, list[Test]]] = []
        for kind, of in kinds.items():
            single = [branch for derived in of for branch in derived.named_branches]
            everywhere = set.intersection(*(set(derived.over) for derived in of)) if len(of) > 1 else set()
            sets = self._over_sets.get(kind, {})
            gates: dict[str, Gate] = {name: sets[name]["gate"] if name in sets else Gate(NAN) for name in sorted(everywhere)}
            for name, gate in gates.items():
                branches.append((gate, [test for other, first, then in single if other == name for test in (first, *then)]))
            branches += [(first, then) for name, first, then in single if name not in gates]
        inherit(branches)
        self._taus: dict[tuple[Key, Key], Tau | None] = {}
        self._scores_of: dict[Key, tuple[Counter[tuple[str, str, int]], Counter[tuple[str, str]]]] = {}

    def check(self) -> Found:
        """Look at every table."""
        for part, heading, title, rows in sections(self._text):
            proxy = part.startswith("The proxy")
            if part == "What was run":
                self._what_was_run(rows)
            elif "over data sets" in part:
                self._over_data_sets(proxy, heading, title, rows)
            elif part in ("Full training", "The proxy"):
                self._one_data_set(proxy, heading, title, rows)
        self._headline()
        self._where()
        self._collapsed()
        self._headline_over_data_sets()
        return self.found

    def _what_was_run(self, rows: list[list[str]]) -> None:
        for row in rows[1:]:
            asked, stored = self._stored.get(row[0], (0, 0))
            self.found.words("cells stored", row[0], row[-1], f"{stored:,} of {asked:,}")

    def _chosen(self, proxy: bool, heading: str, several: bool = False) -> list[Derived]:
        """What belongs to a heading, by data set. ``several``: of several data sets, even if the heading does not count them."""
        found = HEADING.match(heading.split(" (proxy)")[0])
        if found is None:
            return []
        quality = 1.0 if found[1].lower() == "clean labels" else float(found[2])
        several = several or found[6] is not None
        return [
            derived
            for key, derived in self._derived.items()
            if derived.grid.proxy == proxy
            and key[2:4] == (quality, found[3])
            and (found[4] is None or key[:2] == (found[4], found[5]))
            and self._in_levels(key) == several
        ]

    def _sets(self, chosen: Sequence[Derived]) -> dict[str, dict[str, Any]]:
        """What every strategy's difference to random is over the data sets of the condition that was chosen."""
        return self._over_sets.get(chosen[0].grid.key[:4], {}) if chosen else {}

    def _in_levels(self, key: Key) -> bool:
        return sum(other[:4] == key[:4] for other in self._derived) > 1

    def _of_one(self, proxy: bool) -> list[Derived]:
        """What stands in tables of one data set."""
        return [derived for key, derived in self._derived.items() if derived.grid.proxy == proxy and not self._in_levels(key)]

    def _agreement(self, mine: Grid) -> dict[str, Tau | None]:
        """The agreement of a proxy with every full training of its condition."""
        found = {}
        for key, theirs in self._derived.items():
            if not theirs.grid.proxy and (key[0], *key[2:]) == (mine.key[0], *mine.key[2:]):
                if (mine.key, key) not in self._taus:
                    self._taus[mine.key, key] = tau(mine, theirs.grid)
                found[key[1]] = self._taus[mine.key, key]
        return found

    def _one_data_set(self, proxy: bool, heading: str, title: str, rows: list[list[str]]) -> None:
        header = rows[0]
        if title.startswith("Difference to random over the pairs"):
            for place, text in enumerate(header[1:], 1):
                (derived,) = self._chosen(proxy, f"### {text}") or [None]
                self._column(derived.over if derived else None, f"overview, {text}", rows, place)
            return
        if heading == "### The proxy against full training":
            self._tau_table(rows)
            return
        chosen = self._chosen(proxy, heading)
        if len(chosen) != 1:
            self.found.left[f"table {title}"] += 1
            return
        derived, where = chosen[0], f"{heading[4:]}, {title}"
        if title == "note":
            self._note(derived, where, header[0])
        elif title == "mark":
            if header[0] == "tau-b with a full training not measured":
                self.found.words("tau-b", where, header[0], *(() if self._agreement(derived.grid) else (header[0],)))
                return
            for text in header[0].split("; "):
                pipeline, _, said = text.removeprefix("tau-b with `").partition("` ")
                self._tau_text(where, said, self._agreement(derived.grid).get(pipeline))
        elif title.startswith("Macro F1"):
            self._scores(derived, where, title, rows)
        elif title.startswith("Difference to random, pair by pair"):
            for place, text in enumerate(header[1:], 1):
                pair = text.split()[0]
                budget = round(labels_minutes(pair)[0] * derived.grid.scale)
                self.found.words("budgets", where, text, f"{pair} ({budget} label{'s' * (budget != 1)})")
                self._column(derived.at([pair]), where, rows, place)
        elif title.startswith("Area under the curve"):
            self._areas(derived, where, title.partition(": ")[2], rows)
        elif title.startswith("Wins-ties-losses"):
            self._matrix(derived.grid, where, rows)
        elif title.startswith("What these seeds can show"):
            self._power(derived, where, rows)
        elif title.startswith("Public minus hidden"):
            for row in rows[1:]:
                less = derived.grid.less(row[0])
                own = np.array([]) if less is None else less.observed
                self.found.form("public minus hidden", f"{where}, {row[0]}", row[1], bounds_form(t_bounds(own)))
                self.found.words("n", f"{where}, {row[0]}", row[2], str(len(own)))
        else:
            self.found.left[f"table {title}"] += 1

    def _column(self, tests: dict[str, Test] | None, where: str, rows: list[list[str]], place: int) -> None:
        """``**+0.105 [+0.080, +0.131] better** (n 10)``."""
        if tests is None:
            self.found.left["overview"] += len(rows) - 1
            return
        for row in rows[1:]:
            here, text = f"{where}, {row[0]}", row[place]
            test = tests.get(row[0])
            if test is None or not len(test.of.observed):
                self.found.words("not run", here, text, "failed cells" if test is not None and test.of.failed else "not run")
                continue
            said = re.fullmatch(rf"(\**)({NUMBER}!?(?: [\[(][^\])]*[\])])?) (.+?)(\**) \(n (\d+)\)", text)
            shown = ["noise" if word in ("within noise", "within noise ?") else word for word in test.marked]
            if said is None:
                self.found.said("findings", here, False, text, shown[0])
                continue
            self.found.form("differences", here, said[2], difference_form(test))
            self.found.words("findings", here, said[3], *dict.fromkeys(shown))
            self.found.words("bold", here, said[1] + said[4], "****" if said[3].startswith(("better", "worse")) else "")
            self.found.words("n", here, said[5], str(len(test.of.observed)))

    def _bounds(self, kind: str, where: str, text: str, derived: Sequence[float | None], slack: float = 0.0) -> None:
        self.found.form(kind, where, text, bounds_form(derived), slack)

    def _scores(self, derived: Derived, where: str, title: str, rows: list[list[str]]) -> None:
        grid = derived.grid
        pairs = re.search(r"\((\d+:.*)\)$", title)
        at = pairs[1].split(", ") if pairs and "mean over" in title else [title.split(" at ")[1].split()[0]]
        self.found.words("pairs", where, ", ".join(at), ", ".join(grid.main))
        tests = derived.at(at)
        names = [*grid.names, *([grid.ceiling] if grid.ceiling else [])]
        self.found.words("strategies", where, ", ".join(sorted(row[0] for row in rows[1:])), ", ".join(sorted(names)))
        shares = {}
        if grid.ceiling and grid.others:
            shares = {row[0]: share_of_gap(*(grid.of(name, at) for name in (row[0], "random", grid.ceiling))) for row in rows[1:]}
            known = any(share.bounds for share in shares.values())
            self.found.words("shares of the gap", where, str("share of gap" in rows[0]), str(known))
        for row in rows[1:]:
            here, named, own = f"{where}, {row[0]}", dict(zip(rows[0], row, strict=True)), grid.of(row[0], at)
            self.found.form("scores", here, named["score"], score_form(own))
            self.found.words("n", here, named["n"], self._observed(grid, row[0], at, own))
            self._against(here, tests.get(row[0]), named)
            if "share of gap" in named:
                self.found.form("shares of the gap", here, named["share of gap"], shares[row[0]].form)

    def _against(self, where: str, test: Test | None, named: dict[str, str], marks: bool = True) -> None:
        """The three columns of a difference. ``marks``: whether the test that decided is told, and doubtful findings are marked."""
        if "to random" not in named:
            return
        if test is None:
            self.found.words(
                "not compared", where, " ".join(named[column] for column in ("to random", "p corr.", "finding")), "- - -"
            )
            return
        self.found.form("differences", where, named["to random"], difference_form(test))
        p, _, second = named["p corr."].partition(" ")
        self._p(where, p, test.corrected)
        if marks:
            self.found.words("deciding test", where, second, "s" if test.p > test.p_t else "")
        self.found.words(
            "findings", where, named["finding"], *(test.marked if marks else [word + test.mark for word in test.findings])
        )

    def _observed(self, grid: Grid, name: str, pairs: Sequence[str], own: Series) -> str:
        """``10``, ``1 of 7``, ``10, 2 late``, ``3 failed``."""
        of = [cell for (strategy, pair, _), cell in grid.cells.items() if strategy == name and pair in pairs]
        failed, late = sum(math.isnan(cell.score) for cell in of), sum(cell.late for cell in of)
        marks = [f"{count} {word}" for count, word in ((failed, "failed"), (late, "late")) if count]
        n = len(own.observed)
        return ", ".join(([f"{n} of {own.seeds}" if 0 < n < own.seeds else str(n)] if n or not marks else []) + marks)

    def _p(self, where: str, text: str, value: float) -> None:
        if math.isnan(value) or text == "-":
            self.found.words("p", where, text, "-" if math.isnan(value) else f"{value:.3f}")
        elif text.startswith("<"):
            self.found.said("p", where, value < float(text[1:]), text, f"{value:.4f}")
        else:
            self.found.number("p", where, text, value)

    def _areas(self, derived: Derived, where: str, curve: str, rows: list[list[str]]) -> None:
        pairs = derived.grid.curves.get(curve)
        if pairs is None:
            self.found.said("areas", where, False, curve, " or ".join(derived.grid.curves) or "no curve")
            return
        for row in rows[1:]:
            here = f"{where}, {row[0]}"
            self.found.form("areas", here, row[1], score_form(derived.grid.area(row[0], pairs)))
            self._against(here, derived.areas.get((row[0], curve)), dict(zip(rows[0], row, strict=True)), marks=False)

    def _note(self, derived: Derived, where: str, text: str) -> None:
        """Counts of collapsed cells, and gaps of which there is no share."""
        grid = derived.grid
        counts = {name: grid.count(name) for name in [*grid.names, *([grid.ceiling] if grid.ceiling else [])]}
        if text.startswith("!: "):
            total = [float(sum(count[at] for count in counts.values())) for at in (0, 1)]
            self.found.form("collapsed cells", where, text.partition(" scored")[0], ("!: {} of {}", total))
        elif text.startswith("collapsed cells: "):
            named = ", ".join(f"{name} {fell}" for name, (fell, _) in sorted(counts.items()) if fell)
            self.found.words("collapsed cells", where, text.partition(". ")[0], f"collapsed cells: {named}")
        elif (said := re.search(rf"is within noise \(({NUMBER}) to ({NUMBER}), n=(\d+)\)(.*)$", text)) and grid.ceiling:
            gaps = []
            for pairs in {tuple(grid.main), *((pair,) for pair in grid.pairs)}:
                share = share_of_gap(*(grid.of(name, pairs) for name in (grid.ceiling, "random", grid.ceiling)))
                fell = re.search(r"; (\d+) of the seeds ha", said[4])
                _, low, high, n = share.gap
                same = (n, share.fell) == (int(said[3]), int(fell[1]) if fell else 0) and low is not None and high is not None
                gaps.append(
                    same and all(f"{of:.3g}" == of_page for of, of_page in zip((low, high), said.groups()[:2], strict=True))
                )
            self.found.said("gaps", where, any(gaps), text, "another gap")

    def _matrix(self, grid: Grid, where: str, rows: list[list[str]]) -> None:
        """Wins, ties and losses; Holm's correction covers all pairings of a pair. Of a tie by chance nothing is known for sure."""
        if grid.key not in self._scores_of:
            self._scores_of[grid.key] = self._wins(grid)
        score, unsure = self._scores_of[grid.key]

        def held(here: str, text: str, pairings: list[tuple[str, str]]) -> None:
            derived = [sum(score[one, other, word] for one, other in pairings) for word in (1, 0, -1)]
            room = 2 * sum(unsure[pairing] for pairing in pairings)
            self.found.near["wins"] += room > 0
            near = len(text.split("-")) == 3 and sum(abs(int(a) - b) for a, b in zip(text.split("-"), derived, strict=True)) <= room
            self.found.said("wins", here, near, text, "-".join(map(str, derived)))

        numbered = {str(place): name for place, name in enumerate(grid.names, 1)}
        for row in rows[1:]:
            number, name = row[0].split(" ", 1)
            self.found.words("wins", where, name, numbered.get(number, "nobody"))
            for text, head in zip(row[1:-1], rows[0][1:-1], strict=True):
                if head not in numbered:
                    self.found.said("wins", where, False, head, f"a number from 1 to {len(numbered)}")
                elif head != number:
                    held(f"{where}, {name}", text, [(name, numbered[head])])
            held(f"{where}, {name}", row[-1], [(name, other) for other in grid.names if other != name])

    def _wins(self, grid: Grid) -> tuple[Counter[tuple[str, str, int]], Counter[tuple[str, str]]]:
        score: Counter[tuple[str, str, int]] = Counter()
        unsure: Counter[tuple[str, str]] = Counter()
        for pair in grid.pairs:
            of = {name: grid.on(name, pair) for name in grid.names}
            both = [(one, other, Test(of[one] - of[other])) for one, other in combinations(grid.names, 2)]
            for (one, other, test), p in zip(both, holm([test.p for *_, test in both]), strict=True):
                if len(test.of.observed) < FEWEST or not (test.spread or abs(test.bounds[0]) <= 1e-12):
                    continue
                word, *more = test.shown(p)
                won = {"better": 1, "worse": -1}.get(word, 0)
                score[one, other, won] += 1
                score[other, one, -won] += 1
                unsure[one, other] += len(more)
                unsure[other, one] += len(more)
        return score, unsure

    def _power(self, derived: Derived, where: str, rows: list[list[str]]) -> None:
        for row in rows[1:]:
            here, test = f"{where}, {row[0]}", derived.over.get(row[0])
            if test is None or not test.spread:
                self.found.said("needed seeds", here, False, row[0], "no such test")
                continue
            self.found.words("n", here, row[1], str(len(test.of.observed)))
            self.found.number("deviations", here, row[2], float(np.std(test.of.observed, ddof=1)))
            spread = deviations(test)
            self._bounds("smallest differences", here, row[3], [smallest(test, d) for d in spread], slack=2e-5)
            needed = [enough_seeds(d, test.family) for d in spread]
            if any(of > 100_000 for of in needed):
                template = "{} [{}, {}]".format(*("> 100000" if of > 100_000 else "{}" for of in needed))
                self.found.form("needed seeds", here, row[4], (template, [of for of in needed if of <= 100_000]), slack=1.0)
            else:
                self._bounds("needed seeds", here, row[4], needed, slack=1.0)

    def _tau_table(self, rows: list[list[str]]) -> None:
        for row in rows[1:]:
            for derived in self._chosen(True, f"### {row[0]}"):
                found = self._agreement(derived.grid).get(row[1])
                self._tau_text(row[0], row[2], found)
                if found is not None:
                    counts = f"{found.strategies} {found.pairs} {found.seeds}"
                    self.found.words("tau-b", row[0], " ".join(row[3:6]), counts)

    def _tau_text(self, where: str, text: str, found: Tau | None) -> None:
        """``0.76 [0.04, 1.00], 0.71 as measured``."""
        if found is None or found.bands is None:
            self.found.words("tau-b", where, text.partition(" (")[0], "not measured")
            return
        said = re.fullmatch(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\], ({NUMBER}) as measured", text)
        if said is None:
            self.found.said("tau-b", where, False, text, "a coefficient")
            return
        self.found.number("tau-b", where, said[4], found.measured)
        for figure, band in zip((said[2], said[1], said[3]), found.bands, strict=True):
            self.found.between("tau-b without noise", where, figure, *band)

    def _over_data_sets(self, proxy: bool, heading: str, title: str, rows: list[list[str]]) -> None:
        if title.startswith("Difference to random over the pairs"):
            for place, text in enumerate(rows[0][1:], 1):
                derived = self._sets(self._chosen(proxy, f"### {text}", True))
                for row in rows[1:]:
                    self._overview(f"overview, {text}, {row[0]}", row[place].replace("**", ""), derived.get(row[0]))
            return
        if heading.startswith("### The proxy against full training"):
            self._taus_over_data_sets(rows)
            return
        if title == "note":
            return
        if not title.startswith(("Macro F1", "Difference to random, ", "What more", "Difference to random on each")):
            self.found.left[f"{title or heading[4:]} (over data sets)"] += len(rows) - 1
            return
        chosen = self._chosen(proxy, heading)
        if title.startswith("Macro F1"):
            for name, text, count in rows[1:]:
                values, fell, failed = matrix(chosen, name)
                here, own = f"{heading[4:]}, {name}", {} if failed else on_sets(values, fell)
                self.found.words("n", here, count, "failed cells" if failed else str(own.get("seeds", 0)))
                self.found.form("scores over data sets", here, text, over_sets_form(own, "collapsed") if own else ("-", []))
            return
        if title.startswith("Difference to random on each"):
            for row in rows[1:]:
                for derived, text in zip(chosen, row[1:], strict=True):
                    test = derived.over.get(row[0])
                    self.found.form("differences", f"{heading[4:]}, {row[0]}", text, difference_form(test) if test else ("-", []))
            return
        found = self._sets(chosen)
        for row in rows[1:]:
            here = f"{heading[4:]}, {row[0]}"
            own = found.get(row[0])
            if own is None:
                self.found.words("failed", here, " ".join(row[1:]), "- - failed cells -")
                continue
            if title.startswith("What more"):
                figures = (own["sd of data sets"], own["sd of seeds"], own["share"], own["half"], own["floor"])
                for text, value in zip(row[1:6], figures, strict=True):
                    self.found.number("parts", here, text, 100 * value if text.endswith("%") else value)
                if row[6].startswith(">"):
                    self.found.said("needed data sets", here, own["enough"] > 10_000, row[6], f"{own['enough']:g}")
                else:
                    self.found.number("needed data sets", here, row[6], own["enough"])
                continue
            self.found.form("differences over data sets", here, row[1], over_sets_form(own, "with a collapse"))
            self._p(here, row[2], own["gate"].corrected)
            self.found.words("findings", here, row[3], over_sets_verdict(own))
            self._bounds("one other data set", here, row[4], _around(own["mean"], own["other"]), slack=0.03 * own["other"])

    def _overview(self, where: str, text: str, own: dict[str, Any] | None) -> None:
        if own is None:
            self.found.said("not run", where, text in ("not run", "failed cells"), text, "not run, or failed cells")
            return
        figures, _, rest = text.partition("] ")
        self._bounds("differences over data sets", where, f"{figures}]", _around(own["mean"], own["half"]))
        self.found.words("findings", where, rest, f"{over_sets_verdict(own, 'noise')} (n {own['data sets']})")

    def _taus_over_data_sets(self, rows: list[list[str]]) -> None:
        """The mean over data sets of the values without noise; it and its bounds may move by the bands of these values."""
        for row in rows[1:]:
            taus = [self._agreement(derived.grid).get(row[1]) for derived in self._chosen(True, f"### {row[0]}", True)]
            bands = np.array([found.value for found in taus if found is not None and found.bands is not None])
            if not len(bands):
                self.found.words("tau-b", row[0], " ".join(row[2:5]), "not measured - 0")
                continue
            mean, low, high, n = t_bounds(bands.mean(axis=1))
            room = float(np.ptp(bands, axis=1).max())
            of_sd = 0.0 if n < 2 else room * float(stats.t.ppf(1 - ALPHA / 2, n - 1)) / math.sqrt(n - 1)
            self._bounds("tau-b", row[0], row[2], (mean, low, None if high is None else min(high, 1.0)), slack=room + of_sd)
            for figure, ends in zip(row[3].split(" to "), (bands.min(axis=0), bands.max(axis=0)), strict=True):
                self.found.between("tau-b", row[0], figure, *ends)
            self.found.words("tau-b", row[0], row[4], str(n))

    def _headline_over_data_sets(self) -> None:
        """``name`` in k of m (a to b over all m); as corrected with all tests of the page."""
        for proxy, mark in ((False, "**Full training, over data sets.**"), (True, "**The proxy, over data sets.**")):
            line = next((line for line in self._text.splitlines() if line.startswith(mark)), "")
            kinds: dict[Any, list[Derived]] = {}
            for key, of in self._derived.items():
                if of.grid.proxy == proxy and self._in_levels(key):
                    kinds.setdefault(key[:4], []).append(of)
            derived = [self._over_sets[kind] for kind in kinds]
            for own in (own for of in derived for own in of.values()):
                own["shown"] = np.sign(own["mean"]) if over_sets_verdict(own).startswith(("better", "worse")) else 0.0
            for sign, part in zip((1, -1), line.split("strategies are worse than"), strict=False):
                for name, count, of, low, high in re.findall(rf"`(\w+)` in (\d+) of (\d+) \(({NUMBER}) to ({NUMBER}) over", part):
                    own = [found[name] for found in derived if name in found]
                    here = f"headline over data sets, {name}"
                    shown = sum(one["shown"] == sign for one in own)
                    total = sum(all(name in derived.grid.names for derived in grids) for grids in kinds.values())
                    self.found.words("headline", here, f"{count} of {of}", f"{shown} of {total}")
                    self.found.number("headline", here, low, min(one["mean"] for one in own))
                    self.found.number("headline", here, high, max(one["mean"] for one in own))

    def _headline(self) -> None:
        """``name`` in k of m (a to b, all conditions): in how many it is better (or worse) on every split, and by what."""
        for proxy, mark in ((False, "**Full training.**"), (True, "**Proxy**")):
            line = next((line for line in self._text.splitlines() if line.startswith(mark)), "")
            chosen = [derived for derived in self._of_one(proxy) if derived.over]
            if not line or not chosen:
                continue
            rows: dict[str, list[tuple[Any, Test]]] = {}
            for derived in chosen:
                for name, test in derived.over.items():
                    rows.setdefault(name, []).append((derived.grid.key[:3], test))
            better, _, worse = line.partition("Worse than `random`:")
            counted = re.search(r"(\d+|\*\*none\*\*) of (\d+) strateg", better)
            if counted is not None:
                self.found.words("headline", "headline, strategies", counted[2], str(len(rows)))
                named = len(re.findall(r"`\w+`(?: in \d+ of \d+)? \(", better))
                self.found.words("headline", "headline, strategies", counted[1], str(named or "**none**"))
            for word, text in (("better", better), ("worse", worse)):
                self._named(word, text, rows)
            plans = [smallest(test, deviations(test)[0]) for of in rows.values() for _, test in of if test.spread]
            if said := re.search(rf"seeds can show is ({NUMBER})(?: to ({NUMBER}))?", line):
                self.found.number("headline", "headline, smallest difference", said[1], min(plans), slack=2e-5)
                self.found.number("headline", "headline, smallest difference", said[2] or said[1], max(plans), slack=2e-5)
            if said := re.search(rf"tau-b of ({NUMBER})(?: to ({NUMBER}))? \(the lowest interval begins at ({NUMBER})\)", line):
                taus = [found for derived in chosen for found in self._agreement(derived.grid).values() if found and found.bands]
                bands = np.array([found.bands for found in taus])
                for figure, ends in zip(
                    (said[1], said[2] or said[1], said[3]),
                    (bands[:, 1].min(axis=0), bands[:, 1].max(axis=0), bands[:, 0].min(axis=0)),
                    strict=True,
                ):
                    self.found.between("headline", "headline, tau-b", figure, *ends)

    def _named(self, word: str, text: str, rows: dict[str, list[tuple[Any, Test]]]) -> None:
        """The strategies of a paragraph with a finding."""
        form = rf"`(\w+)`(?: in (\d+) of (\d+))? \(({NUMBER})(?: to ({NUMBER}))?(?:, all conditions)?\)"
        said = {found[0]: found[1:] for found in re.findall(form, text)}
        for name, of in rows.items():
            models: dict[Any, list[Test]] = {}
            for model, test in of:
                models.setdefault(model, []).append(test)
            least = sum(all(test.findings == [word] for test in tests) for tests in models.values())
            most = sum(all(word in test.findings for test in tests) for tests in models.values())
            here = f"headline, {name}"
            if name not in said:
                self.found.said("headline", here, least == 0, f"nothing of {word}", f"{word} in {least}")
                continue
            count, total, low, high = said[name]
            self.found.said("headline", here, least <= int(count or 1) <= most, count or "1", f"{least} to {most}")
            self.found.words("headline", here, total or "1", str(len(models)))
            means = [test.bounds[0] for _, test in of if len(test.of.observed)]
            self.found.number("headline", here, low, min(means))
            self.found.number("headline", here, high or low, max(means))
        for name in said.keys() - rows.keys():
            self.found.said("headline", f"headline, {name}", False, name, "no such strategy")

    def _where(self) -> None:
        """Comparisons on single pairs: how many are better and worse, and better by condition, split and pair."""
        line = next((line for line in self._text.splitlines() if line.startswith("**Where.** Of ")), "")
        said = re.search(
            r"Of (?:the|whose|the proxy's) (\d+) comparisons on single pairs, (\d+) are better .* and (\d+) are worse", line
        )
        if said is None:
            return
        counts: dict[str, Counter[str]] = {}
        for derived in self._of_one(False) or self._of_one(True):
            _, _, quality, split, _ = derived.grid.key
            for (_, pair), test in derived.single.items():
                for place in (
                    ("all", "clean labels" if quality == 1 else "noisy labels", f"{split} split", pair) if test.spread else ()
                ):
                    counts.setdefault(place, Counter())[test.findings[0]] += 1
                    counts[place]["unsure"] += len(test.findings) > 1
        total = counts["all"]
        tests = sum(total.values()) - total["unsure"]
        self.found.words("headline", "where", said[1], str(tests))
        for text, word in ((said[2], "better"), (said[3], "worse")):
            self.found.between("headline", "where", text, total[word] - total["unsure"], total[word] + total["unsure"])
        for place, better, of in re.findall(r"([\w:.]+(?: \w+)?) (\d+) of (\d+)", line.partition("by condition: ")[2]):
            own = counts.get(place, Counter())
            here = f"where, {place}"
            self.found.between("headline", here, better, own["better"] - own["unsure"], own["better"] + own["unsure"])
            self.found.words("headline", here, of, str(sum(own.values()) - own["unsure"]))

    def _collapsed(self) -> None:
        """How many cells are no better than the best constant answer."""
        counts: dict[str, list[int]] = {}
        for grid in [derived.grid for derived in self._derived.values()]:
            for name in {name for name, _, _ in grid.cells}:
                both = counts.setdefault(name, [0, 0])
                both[:] = [a + b for a, b in zip(both, grid.count(name), strict=True)]
        fell, scored = (sum(both[at] for both in counts.values()) for at in (0, 1))
        named = ", ".join(f"`{name}` {both[0]}" for name, both in sorted(counts.items()) if both[0])
        line = next((line for line in self._text.splitlines() if line.startswith("**Collapsed.** ")), "")
        said = re.match(r"\*\*Collapsed.\*\* (\S+ of \S+) scored cells .* \((.*?)\)", line)
        derived_text = f"{fell:,} of {scored:,}" if fell else ""
        self.found.words("collapsed cells", "headline", said[1] if said else "", derived_text)
        self.found.words("collapsed cells", "headline", said[2] if said else "", named)


def deviations(test: Test) -> list[float]:
    """The standard deviation of the differences, and its interval for normal differences."""
    n, deviation = len(test.of.observed), float(np.std(test.of.observed, ddof=1))
    tails = stats.chi2.ppf([1 - ALPHA / 2, ALPHA / 2], n - 1)
    return [deviation, *(deviation * math.sqrt((n - 1) / tail) for tail in tails)]


def smallest(test: Test, deviation: float) -> float:
    """The smallest difference that as many seeds show, if the deviation is this."""
    return deviation * smallest_effect(max(len(test.of.observed), FEWEST), test.family)


def matrix(chosen: Sequence[Derived], name: str) -> tuple[np.ndarray, np.ndarray, bool]:
    """Scores (data sets, seeds) of a strategy over the pairs and seeds that all data sets have, NaN where one is missing; which of
    them rest on a collapsed cell; and whether a cell failed."""
    grids = [derived.grid for derived in chosen]
    pairs = [pair for pair in grids[0].main if all(pair in grid.pairs for grid in grids)]
    seeds = sorted(set.intersection(*(set(grid.seeds) for grid in grids)))
    parts = [grid.of(name, pairs) for grid in grids]
    places = [[grid.seeds.index(seed) for seed in seeds] for grid in grids]
    values, fell = (np.array([getattr(of, what)[at] for of, at in zip(parts, places, strict=True)]) for what in ("values", "fell"))
    failed = any(
        math.isnan(cell.score)
        for grid in grids
        for (of, pair, seed), cell in grid.cells.items()
        if of == name and pair in pairs and seed in seeds
    )
    return values, fell, failed


def on_sets(values: np.ndarray, fell: np.ndarray) -> dict[str, Any]:
    """The analysis of variance of the seeds that every data set has, and the collapsed cells among them; empty without a seed."""
    there = ~np.isnan(values).any(axis=0)
    if not there.any():
        return {}
    own: dict[str, Any] = anova(values[:, there])
    others = values[:, there][~fell[:, there]]
    own |= {"data sets": len(values), "seeds": int(there.sum()), "n": int(there.sum()) * len(values)}
    own["collapsed"] = int(fell[:, there].sum())
    return own | {"without": float(others.mean()) if own["collapsed"] and len(others) else None}


def over_data_sets(chosen: Sequence[Derived]) -> dict[str, dict[str, Any]]:
    """What every strategy's difference to random is over data sets; a strategy with a failed cell is left out."""
    if not chosen:
        return {}
    names = sorted(set.intersection(*(set(derived.grid.names) for derived in chosen)) - {"random"})
    base, base_fell, base_failed = matrix(chosen, "random")
    found = {}
    for name in names:
        values, fell, failed = matrix(chosen, name)
        own = {} if failed or base_failed else on_sets(values - base, fell | base_fell)
        found |= {name: own} if own else {}
    for own in found.values():
        own["gate"] = Gate(own["p"])
    return found


def over_sets_form(own: dict[str, Any], words: str) -> Form:
    """A mean over data sets with its interval, or how many of its cells collapsed."""
    if not own["collapsed"]:
        return bounds_form(_around(own["mean"], own["half"]))
    figures = [own["mean"], own["collapsed"], own["n"]]
    if own["without"] is not None:
        return f"{{}}! ({{}} of {{}} {words}; {{}} without)", [*figures, own["without"]]
    return (
        ("{}! (all {} collapsed)", [own["mean"], own["n"]]) if words == "collapsed" else (f"{{}}! ({{}} of {{}} {words})", figures)
    )


def over_sets_verdict(own: dict[str, Any], noise: str = "within noise") -> str:
    """The finding over data sets, marked where it rests on collapsed cells. ``noise``: in overviews, where nothing is marked."""
    mark = " !" if own["collapsed"] else ""
    if math.isnan(own["gate"].corrected):
        return f"no spread{mark}"
    if abs(own["mean"]) <= own["half"] or own["gate"].corrected >= ALPHA:
        return f"within noise{mark}" if mark else noise
    return ("better" if own["mean"] > 0 else "worse") + mark


def _around(mean: float, half: float) -> tuple[float, float, float]:
    return mean, mean - half, mean + half


def rederive(page: str, files: Sequence[Path]) -> Found:
    """Hold a page against files of cells."""
    stored = {}
    for content in (json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()):
        there = Counter(content["columns"]["experiment"])
        for place, experiment in enumerate(content["experiments"]):
            stored[experiment["name"]] = (experiment["cells"], there[place])
    return Page(page, load(files), stored).check()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was derived, what was not, and what disagrees; 1 if something does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
