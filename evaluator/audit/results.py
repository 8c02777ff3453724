"""What an audit says, as records: a table per view, the pairs that change places, controls, sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Source
from evaluator.audit.pairs import PairTests
from evaluator.audit.sources import Agreement
from evaluator.errors import ConfigurationError


@dataclass(frozen=True)
class Settings:
    """How an audit is computed.

    Attributes:
        draws: of the bootstrap over images; ``control_draws``: of each exclusion at random; ``rater_draws``: of raters and images.
        level: of intervals; ``alpha``: of the verdict, the chance of one or more false reversals in the whole audit.
        seed: root of all draws.
    """

    draws: int = 2_000
    control_draws: int = 500
    rater_draws: int = 500
    level: float = 0.95
    alpha: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for option in ("draws", "control_draws", "rater_draws"):
            if (many := getattr(self, option)) < 100:
                raise ConfigurationError(
                    f"--{option.replace('_', '-')} is {many}; expected 100 or more. An interval of fewer draws says little"
                )
        if self.seed < 0:
            raise ConfigurationError(f"--seed is {self.seed}; expected 0 or more")
        if not (0 < self.level < 1 and 0 < self.alpha < 1):
            raise ConfigurationError(f"the level is {self.level}, alpha {self.alpha}; expected shares between 0 and 1")


@dataclass(frozen=True)
class Row:
    """A model in a view.

    Attributes:
        right: sum of its values, of a view without shares how many images it has right; ``n``: images.
        low, high: interval of the accuracy: Wilson's (1927), or of a view with shares that of the bootstrap over images.
        rank: 1 is best; equal accuracies share the mean of their ranks.
        rank_low, rank_high: percentile interval over images drawn anew.
        best, worst: ranks that the corrected tests of all pairs leave possible.
        asked: (low, high, rank low, rank high) over raters and images drawn anew; None where no raw answers are there.
    """

    model: str
    right: float
    n: int
    accuracy: float
    low: float
    high: float
    rank: float
    rank_low: float
    rank_high: float
    best: int
    worst: int
    asked: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Control:
    """What a coefficient is when nothing but chance is at work.

    Attributes:
        low, median, high: of Kendall's tau-b over the draws.
        below: share of the draws, the one seen included, whose tau is as low as the view's or lower.
        swaps: median number of pairs that change places.
    """

    draws: int
    low: float
    median: float
    high: float
    below: float
    swaps: float


@dataclass(frozen=True)
class Order:
    """The difference of a pair in a view: accuracy of the pair's first model less that of the second, in the view."""

    gap: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class Reversal:
    """A pair that changes places.

    Attributes:
        ahead, behind: the models; ``ahead`` leads with all images and labels as given.
        before, after: the difference there and in the view.
        p: of the claim that the order turns round, corrected over all pairs, views and sources (``pairs.reversal_p``).
        shown: whether p is below alpha.
        images: ids that move the difference towards ``behind``; ``against``: how many move it the other way.
        asked: share of draws of raters and images in which ``behind`` leads; None without raw answers.
    """

    ahead: str
    behind: str
    before: Order
    after: Order
    p: float
    shown: bool
    images: tuple[str, ...]
    against: int
    asked: float | None = None


@dataclass(frozen=True)
class ViewResult:
    """A view: its table, how far its ranking is that of ``all``, and the controls.

    Attributes:
        rows: of the models, in the order of their files.
        tau, spearman: against the ranking of ``all``; None where everything is tied.
        redrawn: tau-b of the ranking of ``all`` against itself on images drawn anew: what the choice of images alone does.
        random, matched: exclusion of as many images, plainly at random and matched on how many models are right; None in views that
            relabel, and where no image is left out.
        decided: pairs whose order is shown in this view, after Holm's correction over its pairs.
        asked: median, low and high of tau-b over raters and images drawn anew.
    """

    name: str
    title: str
    source: str
    n: int
    rows: tuple[Row, ...]
    tau: float | None
    spearman: float | None
    swaps: tuple[Reversal, ...]
    tests: PairTests
    decided: int
    redrawn: tuple[float, float, float] | None = None
    random: Control | None = None
    matched: Control | None = None
    asked: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class SourceSummary:
    """What a source says: how many images it looked at, and how many are of each kind.

    ``elsewhere``: images of kind (2) whose given label is not among the several.
    """

    name: str
    reviewed: int
    kinds: Mapping[str, int]
    elsewhere: int
    raters: int | None = None
    answers: int | None = None


@dataclass(frozen=True, eq=False)
class Audit:
    """An audit.

    Attributes:
        views: ``all`` first.
        family: how many claims of a reversal were tested together.
        notes: what was not computed, and why.
        first: int32 (n, m), the likeliest class of each model; ``by_source``: the sources by name. Galleries are made of them.
    """

    benchmark: Benchmark
    models: tuple[str, ...]
    sources: tuple[SourceSummary, ...]
    agreements: tuple[Agreement, ...]
    views: tuple[ViewResult, ...]
    family: int
    settings: Settings
    notes: tuple[str, ...]
    first: np.ndarray = field(repr=False)
    by_source: Mapping[str, Source] = field(default_factory=dict, repr=False)
