"""How often does every interval that the kit prints hold what it is about? Simulations with known truths.

    python -m experiments.studies.coverage --runs 4000         # minutes; writes the figures and the part of docs/statistics.md
    python -m experiments.studies.coverage --page-only         # writes the part of the page from the committed figures

Each function below simulates one interval: ``runs`` experiments, drawn from ``seed``, whose truth is known; it returns how many of
their intervals hold it. The intervals are made by the functions of ``evaluator.scoring`` that tables are made with. What is
drawn is normal unless its name says something else: ``skewed`` scores come from an exponential distribution, its long tail below.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import Region, write_json, write_text
from evaluator.scoring.agreement import agreement, kendall_tau, latent_correlations
from evaluator.scoring.curves import areas
from evaluator.scoring.gap import fieller
from evaluator.scoring.intervals import t_interval
from evaluator.scoring.paired import paired_tests
from evaluator.scoring.power import deviation_interval, sensitivity, smallest_difference
from evaluator.scoring.ranking import mean_ranks
from evaluator.scoring.scores import Scores
from evaluator.seeds import generator

ROOT = Path(__file__).resolve().parents[2]
FIGURES = "experiments/studies/results/coverage.json"
PAGE = "docs/statistics.md"
COMMAND = "python -m experiments.studies.coverage"
AGAIN = f"{COMMAND} --page-only"
REGION = Region("coverage", COMMAND)
LEVEL = 0.95
LEAST = 0.93
"""Below this coverage an interval of 95 % is marked in the table."""
SEED = 16


@dataclass(frozen=True)
class Rate:
    """How often something happened in a simulation.

    Attributes:
        what: the interval, or the estimate; ``setting``: what was simulated, in words.
        hits: how often the interval held the truth, of ``runs``.
        bias: mean of the estimate less the truth, where a simulation measures it; ``uncorrected``: the same of the plain estimate.
    """

    what: str
    setting: str
    hits: int
    runs: int
    bias: float | None = None
    uncorrected: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "hits", int(self.hits))  # sums of NumPy's truth values are none that JSON knows

    @property
    def rate(self) -> float:
        """Share of the runs."""
        return self.hits / self.runs

    @property
    def error(self) -> float:
        """Monte-Carlo standard error of the share."""
        return float(np.sqrt(max(self.rate * (1 - self.rate), 1 / self.runs / 4) / self.runs))


def drawn(shape: str, size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Values of mean 0 and standard deviation 1."""
    return rng.standard_normal(size) if shape == "normal" else 1 - rng.standard_exponential(size)


def mean_over_seeds(n: int, shape: str, runs: int, seed: int = SEED) -> Rate:
    """The t-interval of a mean score over n seeds: tables of runs, sweeps and comparisons, heat maps."""
    values = 0.5 + 0.05 * drawn(shape, (runs, n), generator(seed, "mean", n, shape))
    found = [t_interval(row) for row in values]
    return Rate("mean over seeds", f"{shape}, n {n}", sum(i.low <= 0.5 <= i.high for i in found if i.low is not None), runs)  # type: ignore[operator]


def difference(n: int, shape: str, runs: int, seed: int = SEED) -> Rate:
    """The t-interval of a paired difference: comparisons, public minus hidden, areas' differences."""
    rng = generator(seed, "difference", n, shape)
    common = rng.standard_normal((runs, n))
    gaps = (common + 0.02 + 0.01 * drawn(shape, (runs, n), rng)) - (common + 0.01 * drawn("normal", (runs, n), rng))
    tests = paired_tests(gaps, LEVEL)
    return Rate("paired difference", f"{shape}, n {n}", int(((tests.low <= 0.02) & (tests.high >= 0.02)).sum()), runs)


def share(n: int, gap: float, runs: int, seed: int = SEED) -> Rate:
    """Fieller's interval of a share of the gap. Where it is not bounded it holds everything, and no interval is printed.

    Args:
        gap: from floor to ceiling, in standard deviations of a score.
    """
    rng = generator(seed, "share", n, str(gap))
    floor, middle, ceiling = (at * gap + rng.standard_normal((runs, n)) for at in (0.0, 0.4, 1.0))
    value, low, high = fieller(middle - floor, ceiling - floor, LEVEL)
    unbounded = np.isnan(value)
    held = unbounded | ((low <= 0.4) & (high >= 0.4))
    printed = f"{1 - unbounded.mean():.0%} bounded"
    return Rate("share of the gap", f"gap of {gap:g} standard deviations, n {n}; {printed}", int(held.sum()), runs)


def area(n: int, runs: int, seed: int = SEED) -> Rate:
    """The t-interval of an area under a curve of four budgets."""
    costs = np.array([37.0, 79.0, 113.0, 160.0])
    heights = np.array([0.40, 0.50, 0.55, 0.57])
    rng = generator(seed, "area", n)
    values = heights[:, None] + 0.03 * rng.standard_normal((runs, 1, n)) + 0.02 * rng.standard_normal((runs, 4, n))
    scores = Scores(tuple(map(str, range(runs))), tuple(map(str, costs)), tuple(range(n)), values)
    tests = paired_tests(areas(scores, list(costs)).values[:, 0], LEVEL)
    truth = np.trapezoid(heights, (costs - costs[0]) / (costs[-1] - costs[0]))
    return Rate("area under a curve", f"normal, n {n}", int(((tests.low <= truth) & (tests.high >= truth)).sum()), runs)


def rank(n: int, strategies: int, lift: float, runs: int, seed: int = SEED) -> Rate:
    """The interval of the mean rank of one strategy among others.

    Args:
        lift: of the best over the worst, in standard deviations of a score; the strategy is the best.
    """
    lifts = np.linspace(lift, 0, strategies)
    rng = generator(seed, "rank", n, strategies, str(lift))
    many = lifts[:, None] + rng.standard_normal((strategies, 200_000))
    truth = float(1 + (many[1:] > many[0]).sum(axis=0).mean())
    held = 0
    names = tuple(map(str, range(strategies)))
    for _ in range(runs):
        values = lifts[:, None, None] + rng.standard_normal((strategies, 1, n))
        found = mean_ranks(Scores(names, ("p",), tuple(range(n)), values), LEVEL)[0].rank
        held += found is not None and found.low is not None and found.high is not None and found.low <= truth <= found.high
    return Rate("mean rank", f"{strategies} strategies, lift {lift:g}, n {n}", int(held), runs)


def deviation(n: int, shape: str, runs: int, seed: int = SEED) -> Rate:
    """The chi-square interval of a standard deviation, from which the bounds of every plan follow."""
    values = drawn(shape, (runs, n), generator(seed, "deviation", n, shape)).std(axis=1, ddof=1)
    found = [deviation_interval(float(value), n, LEVEL) for value in values]
    held = sum(of.low <= 1 <= of.high for of in found if of.low is not None and of.high is not None)
    return Rate("standard deviation of differences", f"{shape}, n {n}", held, runs)


def plan(n: int, runs: int, seed: int = SEED) -> Rate:
    """The bounds of the smallest difference that n seeds show."""
    truth = smallest_difference(1.0, n)
    held = 0
    for value in drawn("normal", (runs, n), generator(seed, "plan", n)).std(axis=1, ddof=1):
        found = sensitivity(float(value), n, level=LEVEL).smallest
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    return Rate("smallest difference shown", f"normal, n {n}", int(held), runs)


def judged(
    judges: int, n: int, seeds: int, noise: float, rho: float, shape: str, runs: int, rng: np.random.Generator
) -> np.ndarray:
    """Scores (runs, judges, n, seeds) whose true values correlate by rho between judges; 30 % of the noise is common to judges.

    Args:
        noise: standard deviation of a mean over the seeds, where true scores have 1.
        shape: of the true scores: ``normal``; ``heavy-tailed`` (Student's t with 3 degrees of freedom).
    """
    common, own = rng.standard_normal((runs, 1, n)), rng.standard_normal((runs, judges, n))
    true = np.sqrt(rho) * common + np.sqrt(1 - rho) * own
    if shape == "heavy-tailed":
        true = true * np.sqrt(1 / rng.chisquare(3, (runs, 1, n)))
    scale = noise * np.sqrt(seeds)
    shared, apart = rng.standard_normal((runs, 1, n, seeds)), rng.standard_normal((runs, judges, n, seeds))
    easy = rng.standard_normal((runs, judges, 1, seeds))
    return true[..., None] + scale * (np.sqrt(0.3) * shared + np.sqrt(0.7) * apart) + easy


def tau(n: int, noise: float, rho: float, runs: int, seeds: int = 10, shape: str = "normal", seed: int = SEED) -> Rate:
    """The interval of Kendall's tau without noise, its bias, and that of the tau of the noisy means."""
    rng = generator(seed, "tau", n, str(noise), str(rho), seeds, shape)
    scores = judged(2, n, seeds, noise, rho, shape, runs, rng)
    low, value, high = 2 / np.pi * np.arcsin(latent_correlations(scores.transpose(0, 2, 1, 3), seed=seed, draws=500, level=LEVEL))
    truth = 2 / np.pi * np.arcsin(rho)
    told = np.isfinite(value)
    held = ~told | ((low <= truth + 1e-12) & (high >= truth - 1e-12))
    plain = [kendall_tau(*table.mean(axis=2)) for table in scores]
    setting = f"{shape}, tau {truth:.2f}, {n} submissions, {seeds} seeds, noise {noise:g}; {told.mean():.0%} told"
    bias = float(value[told].mean() - truth) if told.any() else None
    uncorrected = float(np.mean([0.0 if of is None else of for of in plain]) - truth)
    return Rate("Kendall's tau-b", setting, int(held.sum()), runs, bias, uncorrected)


def panel(n: int, noise: float, rho: float, runs: int, seed: int = SEED) -> tuple[Rate, Rate]:
    """The intervals of the mean tau of three judges, and of Kendall's W."""
    rng = generator(seed, "panel", n, str(noise), str(rho))
    tables = judged(3, n, 10, noise, rho, "normal", runs, rng)
    found = [agreement(table, seed=k, draws=500, level=LEVEL) for k, table in enumerate(tables)]
    truths = 2 / np.pi * np.arcsin(rho), (1 + 2 * 6 / np.pi * np.arcsin(rho / 2)) / 3
    setting = f"3 judges, {n} submissions, noise {noise:g}"
    rates = []
    for name, truth, cells in zip(
        ("mean tau", "Kendall's W"), truths, ([of.mean_tau for of in found], [of.w for of in found]), strict=True
    ):
        told = [of for of in cells if of.low is not None and of.high is not None]
        held = sum(of.low <= truth <= of.high for of in told) + len(cells) - len(told)  # type: ignore[operator]
        bias = float(np.mean([of.value for of in told]) - truth) if told else None
        uncorrected = float(np.mean([of.measured for of in cells]) - truth)
        rates.append(Rate(name, f"{setting}; true {truth:.2f}", held, runs, bias, uncorrected))
    return rates[0], rates[1]


def everything(runs: int) -> Iterator[Rate]:
    """Every simulation of the table, ``runs`` times each."""
    for shape in ("normal", "skewed"):
        for n in (3, 5, 10, 50):
            yield mean_over_seeds(n, shape, runs)
            yield difference(n, shape, runs)
    for gap in (1.0, 4.0):
        for n in (3, 5, 10, 50):
            yield share(n, gap, runs)
    for n in (3, 10):
        yield area(n, runs)
        yield plan(n, runs)
        for strategies in (3, 20):
            for lift in (0.0, 0.5, 3.0):
                yield rank(n, strategies, lift, runs)
    for shape in ("normal", "skewed"):
        for n in (5, 10):
            yield deviation(n, shape, runs)
    for n in (5, 7, 10, 20):
        for noise in (0.1, 0.3, 1.0):
            for rho in (0.0, 0.9):
                yield tau(n, noise, rho, runs)
    for n in (7, 20):
        yield tau(n, 0.6, 0.9, runs, seeds=3)
        yield tau(n, 0.3, 0.9, runs, shape="heavy-tailed")
        yield from panel(n, 0.5, 0.7, runs // 4)


def page_text(stored: dict[str, Any]) -> str:
    """The two tables of the page."""
    rates = [Rate(**row) for row in stored["rates"]]
    lines = [
        "",
        f"Runs: {max(rate.runs for rate in rates):,} each (fewer where a row says so); level 95 %; seed {stored['seed']}.",
        "",
    ]
    lines += ["| interval | simulated | held the truth | Monte-Carlo error |", "|---|---|--:|--:|"]
    most = max(rate.runs for rate in rates)
    for rate in rates:
        fewer = "" if rate.runs == most else f" ({rate.runs:,} runs)"
        held = f"**{rate.rate:.1%}**" if rate.rate < LEAST else f"{rate.rate:.1%}"
        lines.append(f"| {rate.what} | {rate.setting}{fewer} | {held} | {rate.error:.1%} |")
    lines += ["", "Bias of the coefficients of agreement, that is mean estimate less truth:", ""]
    lines += ["| coefficient | simulated | of the noisy means | without noise |", "|---|---|--:|--:|"]
    for rate in rates:
        if rate.uncorrected is not None:
            mine = "-" if rate.bias is None else f"{rate.bias:+.2f}"
            lines.append(f"| {rate.what} | {rate.setting} | {rate.uncorrected:+.2f} | {mine} |")
    return "\n".join(lines) + "\n\n"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, all_of: Callable[[int], Iterator[Rate]] = everything) -> int:
    """Simulate, and write figures and page. Returns 0."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000, help="experiments of each simulation (default: %(default)s)")
    parser.add_argument("--page-only", action="store_true", help="simulate nothing: write the page from the committed figures")
    args = parser.parse_args(arguments)
    if not args.page_only:
        rates = []
        for rate in all_of(args.runs):
            rates.append(asdict(rate))
            print(f"{rate.rate:6.1%} {rate.what}: {rate.setting}", flush=True)
            write_json(root / FIGURES, {"seed": SEED, "rates": rates})
    stored = json.loads((root / FIGURES).read_text(encoding="utf-8"))
    page = root / PAGE
    write_text(page, REGION.replaced(page.read_text(encoding="utf-8"), page_text(stored)))
    print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
