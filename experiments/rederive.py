"""Derives the figures of ``docs/results.md`` again from the stored cells, with NumPy, SciPy and formulas of its own.

    python experiments/rederive.py                     # docs/results.md and experiments/cells/*.json
    python experiments/rederive.py --page P --cells A.json B.json

It imports nothing of the kit, so that a mistake in ``evaluator/scoring`` is not made twice. It reads the page as a person does: a
heading says the condition, a bold line what a table holds, the first row what its columns are. A figure counts as right if the
derived number, rounded as the page rounds it, is the figure. It prints how many figures of each kind were derived, what it does not
derive, and every disagreement; the exit status is 1 if there is one.

Not derived: bounds of Kendall's tau-b, which come from one particular draw of a bootstrap. The brackets "on one other data set" are
held against a draw of their own, within 3 % of their width.
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
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, special, stats

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
CELLS = (ROOT / "experiments" / "cells" / "strategies-full.json", ROOT / "experiments" / "cells" / "strategies-proxy.json")
ALPHA, POWER, WANTED = 0.05, 0.8, 0.01
HEADING = re.compile(
    r"### (clean labels|label quality ([\d.]+)), (\w+) split(?: \((\w[\w-]*), ([^)]+)\))?(?:, (\d+) data sets)?( \(proxy\))?$", re.I
)
NUMBER = r"[+-]?\d+(?:\.\d+)?"
BRACKETS = re.compile(rf"({NUMBER})(%?)(?: \[({NUMBER})%?, ({NUMBER})%?\])?")
Key = tuple[str, str, float, str, int]
"""Profile, pipeline, label quality, split, number of the data set."""
NAN = float("nan")


@dataclass(eq=False)
class Grid:
    """The cells of one condition on one data set: scores by (strategy, pair, seed), NaN where a cell failed."""

    proxy: bool
    scale: float
    scores: dict[tuple[str, str, int], float] = field(default_factory=dict)
    whole: dict[str, dict[int, float]] = field(default_factory=dict)
    """Of a strategy that bought the whole pool its score by seed."""

    @property
    def ceiling(self) -> str | None:
        """``full_pool``, where it bought everything."""
        return "full_pool" if self.whole.get("full_pool") else None

    @property
    def names(self) -> list[str]:
        """The strategies that are compared."""
        return sorted({name for name, _, _ in self.scores} - {self.ceiling})

    @property
    def pairs(self) -> list[str]:
        """The pairs that a compared strategy has, by labels and minutes."""
        found = {pair for name, pair, _ in self.scores if name != self.ceiling}
        return sorted(found, key=lambda pair: tuple(map(float, pair.split(":"))))

    @property
    def seeds(self) -> list[int]:
        """All seeds, also those of the ceiling alone."""
        return sorted({seed for _, _, seed in self.scores})

    def of(self, name: str, pairs: Sequence[str]) -> np.ndarray:
        """Scores (seeds,), mean over the pairs; NaN where one of them is missing or failed. The ceiling's count for every pair."""
        if name == self.ceiling:
            return np.array([self.whole[name].get(seed, NAN) for seed in self.seeds])
        return np.array([[self.scores.get((name, pair, seed), NAN) for pair in pairs] for seed in self.seeds]).mean(axis=1)


@dataclass
class Found:
    """What was held against the page. ``right``, ``left``: by kind; ``wrong``: a line each."""

    right: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def number(self, kind: str, where: str, text: str, value: float | None, slack: float = 0.0) -> None:
        """Hold a figure against a number."""
        text = text.strip().removesuffix("%")
        decimals = len(text.partition(".")[2])
        near = value is not None and abs(float(text) - value) <= 0.5 * 10**-decimals + 1e-9 + slack
        self.said(kind, where, near, text, "nothing" if value is None else f"{value:.6g}")

    def words(self, kind: str, where: str, text: str, value: str) -> None:
        """Hold words against words."""
        self.said(kind, where, text == value, text, value)

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
            grid = grids.setdefault(key, Grid(proxy, profile["budget_scale"]))
            name, pair = content["submissions"][row["submission"]]["name"], content["pairs"][row["pair"]]
            value = NAN if row["macro_f1"] is None else row["macro_f1"]
            grid.scores[name, pair, row["seed"]] = value
            if row["labels"] == setup["pool"] and not math.isnan(value):
                grid.whole.setdefault(name, {})[row["seed"]] = value
    return grids


# -- formulas


def t_bounds(values: np.ndarray) -> tuple[float, float | None, float | None, int]:
    """Mean, 95 % t interval and number of the values that are not NaN."""
    values = values[~np.isnan(values)]
    n = len(values)
    if not n:
        return NAN, None, None, 0
    if n == 1:
        return float(values[0]), None, None, 1
    low, high = stats.t.interval(1 - ALPHA, n - 1, values.mean(), stats.sem(values)) if np.ptp(values) > 1e-12 else [values[0]] * 2
    return float(values.mean()), float(low), float(high), n


def t_p(values: np.ndarray) -> float:
    """Two-sided p of the t-test of no difference; NaN below two values."""
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return NAN
    if np.ptp(values) <= 1e-12:
        return 1.0 if abs(values[0]) <= 1e-12 else 2.0 ** (1 - len(values))
    return float(stats.ttest_1samp(values, 0.0).pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: the p of rank k of m is multiplied by m - k + 1, and none is below one before it."""
    order = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    found, least = [NAN] * len(p), 0.0
    for rank, (value, place) in enumerate(order):
        least = max(least, min(1.0, value * (len(order) - rank)))
        found[place] = least
    return found


def verdict(low: float | None, high: float | None, mean: float, p: float) -> str:
    """The finding of a difference."""
    if low is None or high is None:
        return "needs 2 seeds"
    if low <= 0 <= high or not p < ALPHA:
        return "within noise"
    return "better" if mean > 0 else "worse"


def differences(grid: Grid, pairs: Sequence[str]) -> dict[str, np.ndarray]:
    """Every strategy less random, by seed."""
    base = grid.of("random", pairs)
    return {name: grid.of(name, pairs) - base for name in grid.names if name != "random"}


def tested(values: dict[str, np.ndarray]) -> dict[str, tuple[float, float | None, float | None, int, float, str]]:
    """Mean, bounds, n, corrected p and finding of every strategy; the strategies are one family."""
    p = dict(zip(values, holm([t_p(of) for of in values.values()]), strict=True))
    found = {name: t_bounds(of) for name, of in values.items()}
    return {name: (*b, p[name], verdict(b[1], b[2], b[0], p[name])) for name, b in found.items()}


def share_of_gap(gain: np.ndarray, gap: np.ndarray) -> tuple[float, float, float] | None:
    """Ratio of means and Fieller's interval: all r for which mean(gain - r gap) is within its t interval of 0."""
    both = ~np.isnan(gain) & ~np.isnan(gap)
    a, b = gain[both], gap[both]
    n = len(a)
    if n < 2 or (t_bounds(b)[1] or 0.0) <= 0:
        return None
    t = stats.t.ppf(1 - ALPHA / 2, n - 1)
    c = np.cov(a, b) / n
    quadratic = [b.mean() ** 2 - t**2 * c[1, 1], -2 * (a.mean() * b.mean() - t**2 * c[0, 1]), a.mean() ** 2 - t**2 * c[0, 0]]
    low, high = sorted(np.roots(quadratic).real)
    return float(a.mean() / b.mean()), float(low), float(high)


def area(grid: Grid, name: str) -> np.ndarray:
    """Mean height of the curve of scores by labels, from the smallest budget to the largest, by seed."""
    at: dict[float, list[str]] = {}
    for pair in grid.pairs:
        at.setdefault(float(pair.split(":")[0]), []).append(pair)
    labels = sorted(at)
    heights = np.array([np.mean([grid.of(name, [pair]) for pair in at[x]], axis=0) for x in labels])
    widths = np.diff(labels)[:, None]
    return ((heights[1:] + heights[:-1]) / 2 * widths).sum(axis=0) / (labels[-1] - labels[0])


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
    """The difference that n seeds show with a power of 0.8 in the worst case of Holm's correction, in standard deviations."""
    return float(optimize.brentq(lambda effect: chance(effect, n, ALPHA / tests) - POWER, 0.0, 60.0))


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
        "p": t_p(means),
        "other": float(np.quantile(np.abs(draw.normal(size=200_000)) * np.sqrt(spread), 1 - ALPHA)),
        "sd of data sets": math.sqrt(own),
        "sd of seeds": math.sqrt(within),
        "share": own * n / between if between else 0.0,
        "floor": stats.t.ppf(1 - ALPHA / 2, k - 1) * math.sqrt(own / k),
        "enough": enough,
    }


# -- the page


def sections(text: str) -> Iterator[tuple[str, str, str, list[list[str]]]]:
    """(part, heading of the condition, title, rows with the header first) of every table of the page."""
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
        elif found := re.match(r"\*\*(.+?)\.\*\*", line):
            title = found[1]


class Page:
    """Holds the tables of a page against the grids."""

    def __init__(self, text: str, grids: dict[Key, Grid]) -> None:
        self._text, self._grids, self.found = text, grids, Found()

    def check(self) -> Found:
        """Look at every table."""
        for part, heading, title, rows in sections(self._text):
            proxy = part.startswith("The proxy")
            if "over data sets" in part:
                self._over_data_sets(proxy, heading, title, rows)
            elif part in ("Full training", "The proxy"):
                self._one_data_set(proxy, heading, title, rows)
        self._headline()
        self._headline_over_data_sets()
        return self.found

    def _chosen(self, proxy: bool, heading: str, several: bool = False) -> list[Grid]:
        """The grids of a heading, by data set. ``several``: of those with several, even if the heading does not count them."""
        found = HEADING.match(heading.split(" (proxy)")[0])
        if found is None:
            return []
        quality = 1.0 if found[1].lower() == "clean labels" else float(found[2])
        several = several or found[6] is not None
        return [
            grid
            for key, grid in sorted(self._grids.items())
            if grid.proxy == proxy
            and key[2:4] == (quality, found[3])
            and (found[4] is None or key[:2] == (found[4], found[5]))
            and self._in_levels(key) == several
        ]

    def _in_levels(self, key: Key) -> bool:
        return sum(other[:4] == key[:4] for other in self._grids) > 1

    def _one_data_set(self, proxy: bool, heading: str, title: str, rows: list[list[str]]) -> None:
        header = rows[0]
        if title.startswith("Difference to random over the pairs"):
            for place, text in enumerate(header[1:], 1):
                (grid,) = self._chosen(proxy, f"### {text}") or [None]
                self._column(grid, None, f"overview, {text}", rows, place)
            return
        if heading == "### The proxy against full training":
            self._tau(rows)
            return
        chosen = self._chosen(proxy, heading)
        if len(chosen) != 1:
            self.found.left[f"table {title}"] += 1
            return
        grid, where = chosen[0], f"{heading[4:]}, {title}"
        if title.startswith("Macro F1"):
            self._scores(grid, where, title, rows)
        elif title.startswith("Difference to random, pair by pair"):
            for place, text in enumerate(header[1:], 1):
                pair = text.split()[0]
                budget = round(float(pair.split(":")[0]) * grid.scale)
                self.found.words("budgets", where, text, f"{pair} ({budget} labels)")
                self._column(grid, [pair], where, rows, place)
        elif title.startswith("Area under the curve"):
            self._areas(grid, where, rows)
        elif title.startswith("Wins-ties-losses"):
            self._matrix(grid, where, rows)
        elif title.startswith("What these seeds can show"):
            self._power(grid, where, rows)
        elif title.startswith("Public minus hidden"):
            self.found.left["public minus hidden"] += len(rows) - 1
        else:
            self.found.left[f"table {title}"] += 1

    def _column(self, grid: Grid | None, pairs: Sequence[str] | None, where: str, rows: list[list[str]], place: int) -> None:
        """``**+0.105 [+0.080, +0.131] better** (n 10)``."""
        if grid is None:
            self.found.left["overview"] += len(rows) - 1
            return
        derived = tested(differences(grid, pairs or grid.pairs))
        for row in rows[1:]:
            text = row[place].replace("**", "")
            if row[0] not in derived:
                self.found.words("not run", f"{where}, {row[0]}", text, "not run")
                continue
            mean, low, high, n, _, finding = derived[row[0]]
            self._bounds("differences", f"{where}, {row[0]}", text, (mean, low, high))
            said = re.search(r"\] (.*?)(?: \?)? \(n (\d+)\)$", text)
            shown = {"within noise": "noise"}.get(finding, finding)
            self.found.words("findings", f"{where}, {row[0]}", said[1] if said else text, shown)
            self.found.words("n", f"{where}, {row[0]}", said[2] if said else text, str(n))

    def _bounds(self, kind: str, where: str, text: str, derived: Sequence[float | None], slack: float = 0.0) -> None:
        found = BRACKETS.match(text)
        factor = 100.0 if found and found[2] else 1.0
        for figure, value in zip((found[1], found[3], found[4]) if found else (), derived, strict=False):
            if figure is not None:
                self.found.number(kind, where, figure, None if value is None else factor * value, slack)
        if found is None:
            self.found.said(kind, where, False, text, "a figure")

    def _scores(self, grid: Grid, where: str, title: str, rows: list[list[str]]) -> None:
        pairs = re.search(r"\((\d+:.*)\)$", title)
        at = pairs[1].split(", ") if pairs and "mean over" in title else [title.split(" at ")[1].split()[0]]
        derived = tested(differences(grid, at))
        for row in rows[1:]:
            here = f"{where}, {row[0]}"
            named = dict(zip(rows[0], row, strict=True))
            own = grid.of(row[0], at)
            bounds = t_bounds(own)
            self._bounds("scores", here, named["score"], bounds)
            self.found.words("n", here, named["n"], str(bounds[3]))
            if row[0] in derived and "to random" in named:
                mean, low, high, _, p, finding = derived[row[0]]
                self._bounds("differences", here, named["to random"], (mean, low, high))
                self._p(here, named["p Holm"], p)
                self.found.words("findings", here, named["finding"].removesuffix(" ?"), finding)
            if named.get("share of gap", "-") != "-" and grid.ceiling:
                base = grid.of("random", at)
                gap = share_of_gap(own - base, grid.of(grid.ceiling, at) - base)
                self._bounds("shares of the gap", here, named["share of gap"], gap or (None, None, None))

    def _p(self, where: str, text: str, value: float) -> None:
        if text.startswith("<"):
            self.found.said("p", where, value < float(text[1:]), text, f"{value:.4f}")
        elif text != "-":
            self.found.number("p", where, text, value)

    def _areas(self, grid: Grid, where: str, rows: list[list[str]]) -> None:
        values = {name: area(grid, name) for name in grid.names}
        derived = tested({name: of - values["random"] for name, of in values.items() if name != "random"})
        for row in rows[1:]:
            here = f"{where}, {row[0]}"
            self._bounds("areas", here, row[1], t_bounds(values[row[0]]))
            if row[0] in derived:
                mean, low, high, _, p, finding = derived[row[0]]
                self._bounds("areas", here, row[2], (mean, low, high))
                self._p(here, row[3], p)
                self.found.words("findings", here, row[4].removesuffix(" ?"), finding)

    def _matrix(self, grid: Grid, where: str, rows: list[list[str]]) -> None:
        """Wins, ties and losses; Holm's correction covers all pairings of a pair."""
        score: Counter[tuple[str, str, int]] = Counter()
        for pair in grid.pairs:
            both = list(combinations(grid.names, 2))
            values = [grid.of(one, [pair]) - grid.of(other, [pair]) for one, other in both]
            for (one, other), of, p in zip(both, values, holm([t_p(of) for of in values]), strict=True):
                mean, low, high, n = t_bounds(of)
                if n < 2:
                    continue
                won = {"better": 1, "worse": -1}.get(verdict(low, high, mean, p), 0)
                score[one, other, won] += 1
                score[other, one, -won] += 1
        for row in rows[1:]:
            number, name = row[0].split(" ", 1)
            for text, head in zip(row[1:-1], rows[0][1:-1], strict=True):
                if head != number:
                    other = grid.names[int(head) - 1]
                    self.found.words("wins", f"{where}, {name}", text, "-".join(str(score[name, other, w]) for w in (1, 0, -1)))
            total = [sum(n for (one, _, won), n in score.items() if one == name and won == w) for w in (1, 0, -1)]
            self.found.words("wins", f"{where}, {name}", row[-1], "-".join(map(str, total)))

    def _power(self, grid: Grid, where: str, rows: list[list[str]]) -> None:
        values = differences(grid, grid.pairs)
        for row in rows[1:]:
            here = f"{where}, {row[0]}"
            of = values[row[0]][~np.isnan(values[row[0]])]
            n, deviation = len(of), float(np.std(of, ddof=1))
            tails = stats.chi2.ppf([1 - ALPHA / 2, ALPHA / 2], n - 1)
            spread = [deviation, *(deviation * math.sqrt((n - 1) / tail) for tail in tails)]
            self.found.words("n", here, row[1], str(n))
            self.found.number("deviations", here, row[2], deviation)
            self._bounds("smallest differences", here, row[3], [d * smallest_effect(n, len(values)) for d in spread], slack=2e-5)
            self._bounds("needed seeds", here, row[4], [enough_seeds(d, len(values)) for d in spread], slack=1.0)

    def _tau(self, rows: list[list[str]]) -> None:
        for row in rows[1:]:
            mine, theirs = (self._chosen(proxy, f"### {row[0]}") for proxy in (True, False))
            if len(mine) != 1 or len(theirs) != 1 or row[2].startswith("not measured"):
                self.found.left["tau-b"] += 1
                continue
            self._bounds("tau-b", row[0], row[2].split(" ")[0], [tau(mine[0], theirs[0])])
            self.found.left["bounds of tau-b"] += 2

    def _over_data_sets(self, proxy: bool, heading: str, title: str, rows: list[list[str]]) -> None:
        if title.startswith("Difference to random over the pairs"):
            for place, text in enumerate(rows[0][1:], 1):
                derived = over_data_sets(self._chosen(proxy, f"### {text}", True))
                for row in rows[1:]:
                    self._overview(f"overview, {text}, {row[0]}", row[place].replace("**", ""), derived.get(row[0]))
            return
        if heading.startswith("### The proxy against full training"):
            self._taus(rows)
            return
        if not title.startswith(("Macro F1", "Difference to random, ", "What more", "Difference to random on each")):
            self.found.left[f"{title or heading[4:]} (over data sets)"] += len(rows) - 1
            return
        grids = self._chosen(proxy, heading)
        pairs = shared_pairs(grids)
        if title.startswith("Macro F1"):
            for name, text, _ in rows[1:]:
                values = matrix(grids, name)
                if np.isnan(values).any():
                    self.found.words("failed", f"{heading[4:]}, {name}", text, "-")
                    continue
                own = anova(values)
                self._bounds("scores over data sets", f"{heading[4:]}, {name}", text, _around(own["mean"], own["half"]))
            return
        if title.startswith("Difference to random on each"):
            for row in rows[1:]:
                for grid, text in zip(grids, row[1:], strict=True):
                    values = differences(grid, pairs)[row[0]]
                    self._bounds("differences", f"{heading[4:]}, {row[0]}", text, t_bounds(values))
            return
        derived = over_data_sets(grids)
        for row in rows[1:]:
            here = f"{heading[4:]}, {row[0]}"
            if (own := derived.get(row[0])) is None:
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
            low, high = _around(own["mean"], own["half"])[1:]
            self._bounds("differences over data sets", here, row[1], (own["mean"], low, high))
            self._p(here, row[2], own["p Holm"])
            self.found.words("findings", here, row[3], verdict(low, high, own["mean"], own["p Holm"]))
            self._bounds("one other data set", here, row[4], _around(own["mean"], own["other"]), slack=0.03 * own["other"])

    def _overview(self, where: str, text: str, own: dict[str, float] | None) -> None:
        if own is None:
            self.found.words("not run", where, text, "not run")
            return
        around = _around(own["mean"], own["half"])
        self._bounds("differences over data sets", where, text, around)
        shown = {"within noise": "noise"}.get(found := verdict(around[1], around[2], own["mean"], own["p Holm"]), found)
        self.found.words("findings", where, text.partition("] ")[2], f"{shown} (n {own['data sets']:g})")

    def _taus(self, rows: list[list[str]]) -> None:
        for row in rows[1:]:
            mine, theirs = (self._chosen(proxy, f"### {row[0]}", True) for proxy in (True, False))
            if len(mine) != len(theirs) or row[2] == "not measured":
                self.found.left["tau-b over data sets"] += 1
                continue
            values = np.array([tau(*both) for both in zip(mine, theirs, strict=True)])
            mean, low, high, n = t_bounds(values)
            self._bounds("tau-b", row[0], row[2], (mean, low, None if high is None else min(high, 1.0)))
            self.found.words("tau-b", row[0], row[3], f"{values.min():.2f} to {values.max():.2f}")
            self.found.words("tau-b", row[0], row[4], str(n))

    def _headline_over_data_sets(self) -> None:
        """``name`` in k of m (a to b over all m); Holm's correction covers all tests of the paragraph."""
        for proxy, mark in ((False, "**Full training, over data sets.**"), (True, "**The proxy, over data sets.**")):
            line = next((line for line in self._text.splitlines() if line.startswith(mark)), "")
            kinds: dict[Any, list[Grid]] = {}
            for key, grid in sorted(self._grids.items()):
                if grid.proxy == proxy and self._in_levels(key):
                    kinds.setdefault(key[:4], []).append(grid)
            derived = [over_data_sets(grids) for grids in kinds.values()]
            tests = [own for of in derived for own in of.values()]
            for own, value in zip(tests, holm([own["p"] for own in tests]), strict=True):
                own["shown"] = np.sign(own["mean"]) if value < ALPHA else 0.0
            for sign, part in zip((1, -1), line.split("strategies are worse than"), strict=False):
                for name, count, of, low, high in re.findall(rf"`(\w+)` in (\d+) of (\d+) \(({NUMBER}) to ({NUMBER}) over", part):
                    own = [found[name] for found in derived if name in found]
                    here = f"headline over data sets, {name}"
                    shown = sum(one["shown"] == sign for one in own)
                    self.found.words("headline", here, f"{count} of {of}", f"{shown} of {len(own)}")
                    self.found.number("headline", here, low, min(one["mean"] for one in own))
                    self.found.number("headline", here, high, max(one["mean"] for one in own))

    def _headline(self) -> None:
        """``name`` in k of m (a to b): how often it is better (or worse), and over which differences."""
        for proxy, mark in ((False, "**Full training.**"), (True, "**Proxy**")):
            line = next((line for line in self._text.splitlines() if line.startswith(mark)), "")
            grids = [grid for key, grid in self._grids.items() if grid.proxy == proxy and not self._in_levels(key)]
            derived = [tested(differences(grid, grid.pairs)) for grid in grids]
            for finding, text in zip(("better", "worse"), line.split("Worse than `random`:"), strict=False):
                for name, count, of, low, high in re.findall(
                    rf"`(\w+)` in (\d+) of (\d+) \(({NUMBER})(?: to ({NUMBER}))?[^)]*\)", text
                ):
                    here = f"headline, {name}"
                    shown = [found[name] for found in derived if name in found]
                    significant = [found[0] for found in shown if found[5] == finding]
                    self.found.words("headline", here, f"{count} of {of}", f"{len(significant)} of {len(shown)}")
                    whole = significant if len(significant) == int(count) else [found[0] for found in shown]
                    self.found.number("headline", here, low, min(whole))
                    self.found.number("headline", here, high or low, max(whole))
            if (said := re.search(rf"seeds can show is ({NUMBER})(?: to ({NUMBER}))?", line)) and grids:
                shown = []
                for grid in grids:
                    values = differences(grid, grid.pairs)
                    for of in (of[~np.isnan(of)] for of in values.values()):
                        shown.append(smallest_effect(len(of), len(values)) * float(np.std(of, ddof=1)))
                self.found.number("headline", "headline, smallest difference", said[1], min(shown))
                self.found.number("headline", "headline, smallest difference", said[2] or said[1], max(shown))
        self._where()

    def _where(self) -> None:
        """Comparisons on single pairs: how many are better and worse, and better by condition, split and pair."""
        line = next((line for line in self._text.splitlines() if line.startswith("**Where.** Of ")), "")
        said = re.search(
            r"Of (?:the|whose|the proxy's) (\d+) comparisons on single pairs, (\d+) are better .* and (\d+) are worse", line
        )
        if said is None:
            return
        proxy = not any(not grid.proxy and not self._in_levels(key) for key, grid in self._grids.items())
        counts: dict[str, Counter[str]] = {}
        for key, grid in self._grids.items():
            if grid.proxy != proxy or self._in_levels(key):
                continue
            for pair in grid.pairs:
                for found in tested(differences(grid, [pair])).values():
                    labels = "clean labels" if key[2] == 1 else "noisy labels"
                    for place in ("all", labels, f"{key[3]} split", pair):
                        counts.setdefault(place, Counter())[found[5]] += 1
        total = counts["all"]
        for text, value in zip(said.groups(), (sum(total.values()), total["better"], total["worse"]), strict=True):
            self.found.words("headline", "where", text, str(value))
        for place, better, of in re.findall(r"([\w:.]+(?: \w+)?) (\d+) of (\d+)", line.partition("by condition: ")[2]):
            own = counts.get(place, Counter())
            self.found.words("headline", f"where, {place}", f"{better} of {of}", f"{own['better']} of {sum(own.values())}")


def shared_pairs(grids: Sequence[Grid]) -> list[str]:
    """The pairs that every data set has."""
    return [pair for pair in grids[0].pairs if all(pair in grid.pairs for grid in grids)] if grids else []


def matrix(grids: Sequence[Grid], name: str) -> np.ndarray:
    """Scores (data sets, seeds) of a strategy, over the seeds that all data sets have; NaN where a cell failed."""
    pairs = shared_pairs(grids)
    seeds = sorted(set.intersection(*(set(grid.seeds) for grid in grids)))
    return np.array([[dict(zip(grid.seeds, grid.of(name, pairs), strict=True))[seed] for seed in seeds] for grid in grids])


def over_data_sets(grids: Sequence[Grid]) -> dict[str, dict[str, float]]:
    """What every strategy's difference to random is over data sets; a strategy with a failed cell is left out."""
    if not grids:
        return {}
    base = matrix(grids, "random")
    names = sorted(set.intersection(*(set(grid.names) for grid in grids)) - {"random"})
    values = {name: matrix(grids, name) - base for name in names}
    found = {name: anova(of) | {"data sets": len(grids)} for name, of in values.items() if not np.isnan(of).any()}
    for own, p in zip(found.values(), holm([own["p"] for own in found.values()]), strict=True):
        own["p Holm"] = p
    return found


def tau(mine: Grid, theirs: Grid) -> float:
    """Kendall's tau-b of the means over the seeds and pairs that both have."""
    pairs = [pair for pair in mine.pairs if pair in theirs.pairs]
    names = [name for name in mine.names if name in theirs.names]
    shared = set(mine.seeds) & set(theirs.seeds)
    means = []
    for grid in (mine, theirs):
        keep = [seed in shared for seed in grid.seeds]
        means.append([round(float(grid.of(name, pairs)[keep].mean()), 12) for name in names])
    return float(stats.kendalltau(*means).statistic)


def _around(mean: float, half: float) -> tuple[float, float, float]:
    return mean, mean - half, mean + half


def rederive(page: str, files: Sequence[Path]) -> Found:
    """Hold a page against files of cells."""
    return Page(page, load(files)).check()


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
    for kind, n in sorted(found.left.items()):
        print(f"not derived: {n} x {kind}")
    for line in found.wrong:
        print(f"disagrees: {line}")
    return int(bool(found.wrong))


if __name__ == "__main__":
    sys.exit(main())
