"""The audit of a ranking: the accuracies and ranks of all models in every view, and which changes are more than noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Source
from evaluator.audit.draws import Drawn, excluded, resampled
from evaluator.audit.kinds import MULTI_NAMES, NAMES, Kind, counts_of
from evaluator.audit.pairs import PairTests, ahead_counts, pair_tests, possible_ranks, products, reversal_p
from evaluator.audit.plan import planned
from evaluator.audit.predictions import Predictions
from evaluator.audit.ranks import images_of, pairs_of, ranks_of, signs_of, spearman_of, swapped, tau_of
from evaluator.audit.raters import VIEWS, redrawn
from evaluator.audit.results import Audit, Control, Order, Reversal, Row, Settings, SourceSummary, ViewResult
from evaluator.audit.sources import agreements
from evaluator.audit.views import TITLES, Name, Table, View
from evaluator.audit.where import Condition
from evaluator.errors import ConfigurationError
from evaluator.scoring.intervals import wilson_interval
from evaluator.text import one_line
from evaluator.words import counted

DECIMALS = 4
"""Of sums of shares, so that rounding never breaks a tie; other sums are whole numbers."""


def audit(
    benchmark: Benchmark,
    predictions: Iterable[Predictions],
    models: int,
    sources: Sequence[Source],
    *,
    conditions: Sequence[Condition] = (),
    leaks: Sequence[str] | None = None,
    settings: Settings | None = None,
    said: Callable[[str], None] = lambda text: None,
) -> Audit:
    """Audit a ranking.

    Args:
        predictions: of each model, aligned with the benchmark; read one after the other.
        models: how many there are.
        sources: aligned with the benchmark.
        conditions, leaks: see ``planned``.
        said: is told what is being computed.

    Raises:
        ConfigurationError: no model, or what ``planned`` raises.
    """
    settings = settings or Settings()
    said(f"reading the predictions of {counted(models, 'model')}")
    table = Table.planned(benchmark, planned(benchmark, sources, conditions, leaks), models)
    for found in predictions:
        if found.model in table.models:
            raise ConfigurationError(
                f"--predictions: there are two models {one_line(found.model, 60)!r}; expected a name "
                f"for each. Rename one, e.g. NAME=FILE"
            )
        table.add(found)
    if not table.models:
        raise ConfigurationError("--predictions: there is none; expected a file for each model. Name them")
    views, notes = table.views()
    return _audited(benchmark, table, views, sources, settings, notes, said)


def _audited(
    benchmark: Benchmark,
    table: Table,
    views: list[View],
    sources: Sequence[Source],
    settings: Settings,
    notes: list[str],
    said: Callable[[str], None],
) -> Audit:
    right, m = table.right, len(table.models)
    said(f"{settings.draws:,} draws of {len(benchmark):,} images, {m} models, {len(views) + 1} views")
    drawn = resampled(right, views, settings.draws, settings.seed)
    stages = _stages(right, views, drawn, settings)
    corrected = reversal_p(stages[0].tests, [stage.tests for stage in stages[1:]])
    said("exclusions at random")
    controls = _controls(right, stages, settings)
    asked = _asked(benchmark, table, sources, settings, notes, said)
    results = [_result(benchmark, table.models, stages[0], stages[0], drawn, 0, settings)]
    for number, stage in enumerate(stages[1:], 1):
        raters = asked.get((stage.source, stage.name))
        found = _result(benchmark, table.models, stages[0], stage, drawn, number, settings, raters)
        swaps = _reversals(benchmark, table, stages[0], stage, corrected[number - 1], settings.alpha, raters)
        random, matched = controls[number - 1]
        results.append(replace(found, swaps=swaps, random=random, matched=matched))
    summaries = tuple(summary_of(benchmark, source) for source in sources)
    by_name = {source.name: source for source in sources}
    return Audit(
        benchmark,
        tuple(table.models),
        summaries,
        tuple(agreements(sources)),
        tuple(results),
        corrected.size,
        settings,
        tuple(notes),
        table.first,
        by_name,
    )


@dataclass(frozen=True, eq=False)
class _Stage:
    """A view with its sums (m,) and tests; ``view`` is None for ``all``."""

    view: View | None
    sums: np.ndarray
    n: int
    tests: PairTests

    @property
    def name(self) -> str:
        return self.view.name if self.view is not None else Name.ALL

    @property
    def source(self) -> str:
        return self.view.source if self.view is not None else ""

    @property
    def shares(self) -> bool:
        return self.view is not None and self.view.shares


def _stages(right: np.ndarray, views: Sequence[View], drawn: Drawn, settings: Settings) -> list[_Stage]:
    base, joint = right.sum(axis=0).astype(np.float64), products(right)
    n = len(right)
    tests = pair_tests(base, joint, n, drawn=drawn.accuracies(0), level=settings.level)
    found = [_Stage(None, base, n, tests)]
    for number, view in enumerate(views, 1):
        sums = (base + view.change(right).sum(axis=0, dtype=np.float64)).round(DECIMALS)
        own = products(right, view, joint)
        ahead = ahead_counts(right, view) if view.shares else None
        tests = pair_tests(sums, own, view.n, ahead=ahead, drawn=drawn.accuracies(number), level=settings.level)
        found.append(_Stage(view, sums, view.n, tests))
    return found


def _result(
    benchmark: Benchmark,
    models: Sequence[str],
    before: _Stage,
    stage: _Stage,
    drawn: Drawn,
    number: int,
    settings: Settings,
    raters: np.ndarray | None = None,
) -> ViewResult:
    """The table of a view. ``raters``: accuracies (draws, m) over raters and images."""
    m = len(models)
    ends = [(1 - settings.level) / 2, (1 + settings.level) / 2]
    accuracies = drawn.accuracies(number)
    accuracies = accuracies[np.isfinite(accuracies).all(axis=1)]
    ranks = ranks_of(stage.sums)
    rank_low, rank_high = np.quantile(ranks_of(accuracies), ends, axis=0, method="nearest")
    low, high = np.quantile(accuracies, ends, axis=0)
    best, worst = possible_ranks(stage.tests.gap, stage.tests.p_holm, m, settings.alpha)
    asked = None
    if raters is not None:
        people_ranks = np.quantile(ranks_of(raters), ends, axis=0, method="nearest")
        asked = np.vstack([np.quantile(raters, ends, axis=0), people_ranks])
    rows = []
    for place, model in enumerate(models):
        value = float(stage.sums[place])
        if stage.shares:
            bounds = float(low[place]), float(high[place])
        else:
            wilson = wilson_interval(round(value), stage.n, settings.level)
            bounds = wilson.low or 0.0, wilson.high or 0.0
        people = None if asked is None else _four(asked[:, place])
        rows.append(
            Row(
                model,
                value,
                stage.n,
                value / stage.n,
                *bounds,
                float(ranks[place]),
                float(rank_low[place]),
                float(rank_high[place]),
                int(best[place]),
                int(worst[place]),
                people,
            )
        )
    order, reference = signs_of(stage.sums), signs_of(before.sums)
    tau, spearman = (float(tau_of(order, reference)), spearman_of(ranks_of(before.sums), ranks)) if m > 1 else (np.nan, np.nan)
    again = _spread(tau_of(signs_of(accuracies), reference), ends) if m > 1 and number == 0 else None
    people_tau = _spread(tau_of(signs_of(raters), reference), ends) if raters is not None and m > 1 else None
    title = stage.view.title if stage.view is not None else TITLES[Name.ALL]
    return ViewResult(
        stage.name,
        title,
        stage.source,
        stage.n,
        tuple(rows),
        _known(tau),
        _known(spearman),
        (),
        stage.tests,
        int((stage.tests.p_holm < settings.alpha).sum()),
        again,
        asked=people_tau,
    )


def _four(values: np.ndarray) -> tuple[float, float, float, float]:
    a, b, c, d = map(float, values)
    return a, b, c, d


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _spread(values: np.ndarray, ends: Sequence[float]) -> tuple[float, float, float] | None:
    """Median and ends of values that exist; None if none does."""
    kept = values[np.isfinite(values)]
    if not len(kept):
        return None
    low, middle, high = np.quantile(kept, [ends[0], 0.5, ends[1]])
    return float(middle), float(low), float(high)


def _reversals(
    benchmark: Benchmark,
    table: Table,
    before: _Stage,
    after: _Stage,
    p: np.ndarray,
    alpha: float,
    raters: np.ndarray | None,
) -> tuple[Reversal, ...]:
    """The pairs that change places. ``p``: (pairs,) of the claim that the order turns, corrected."""
    view, m = after.view, len(table.models)
    assert view is not None
    number = {pair: place for place, pair in enumerate(zip(*map(np.ndarray.tolist, pairs_of(m)), strict=True))}
    change = view.change(table.right)
    found = []
    for ahead, behind in swapped(before.sums, after.sums):
        place = number[min(ahead, behind), max(ahead, behind)]
        sign = 1 if ahead < behind else -1
        towards, against = images_of(change[:, ahead], change[:, behind], view.touched)
        asked = None if raters is None else float((raters[:, behind] > raters[:, ahead]).mean())
        found.append(
            Reversal(
                table.models[ahead],
                table.models[behind],
                _order(before.tests, place, sign),
                _order(after.tests, place, sign),
                float(p[place]),
                bool(p[place] < alpha),
                tuple(benchmark.ids[i] for i in towards),
                against,
                asked,
            )
        )
    return tuple(found)


def _order(tests: PairTests, place: int, sign: int) -> Order:
    low, high = float(tests.low[place]), float(tests.high[place])
    bounds = (low, high) if sign > 0 else (-high, -low)
    return Order(sign * float(tests.gap[place]), *bounds, float(tests.p[place]), float(tests.p_holm[place]))


def _controls(right: np.ndarray, stages: Sequence[_Stage], settings: Settings) -> list[tuple[Control | None, Control | None]]:
    """The exclusions at random for every view but ``all``; none for views that relabel or leave no image out."""
    found: list[tuple[Control | None, Control | None]] = [(None, None)] * (len(stages) - 1)
    chosen = [
        (place, stage)
        for place, stage in enumerate(stages[1:])
        if stage.view is not None and not stage.view.relabels and 0 < stage.n < len(right)
    ]
    if not chosen or right.shape[1] < 2:
        return found
    out = [~stage.view.kept for _, stage in chosen if stage.view is not None]
    reference = signs_of(stages[0].sums)
    seen = [float(tau_of(signs_of(stage.sums), reference)) for _, stage in chosen]
    for matched, strata in ((False, np.zeros(len(right), np.int64)), (True, right.sum(axis=1))):
        left = excluded(right, out, strata, settings.control_draws, settings.seed)
        for (place, _), tau, sums in zip(chosen, seen, left, strict=True):
            signs = signs_of(sums)
            control = _control(tau_of(signs, reference), (signs * reference == -1).sum(axis=1), tau, settings)
            plain, hard = found[place]
            found[place] = (plain, control) if matched else (control, hard)
    return found


def _control(taus: np.ndarray, swaps: np.ndarray, seen: float, settings: Settings) -> Control | None:
    spread = _spread(taus, [(1 - settings.level) / 2, (1 + settings.level) / 2])
    if spread is None or not np.isfinite(seen):
        return None
    middle, low, high = spread
    kept = taus[np.isfinite(taus)]
    below = (1 + int((kept <= seen + 1e-9).sum())) / (1 + len(kept))
    return Control(len(kept), low, middle, high, below, float(np.median(swaps)))


def _asked(
    benchmark: Benchmark,
    table: Table,
    sources: Sequence[Source],
    settings: Settings,
    notes: list[str],
    said: Callable[[str], None],
) -> dict[tuple[str, str], np.ndarray]:
    """Accuracies (draws, m) over raters and images by source and view, for the sources with raw answers."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for source in sources:
        if source.answers is None:
            continue
        if benchmark.multi:
            notes.append(f"{source.name}: raters are not drawn anew where an image may have any number of labels")
            continue
        said(f"{settings.rater_draws:,} draws of {len(source.answers.raters):,} raters of {one_line(source.name, 60)}")
        drawn = redrawn(benchmark, source, table.right, table.first, settings.rater_draws, settings.seed)
        for place, name in enumerate(VIEWS):
            accuracies = drawn.accuracies(place)
            whole = accuracies[np.isfinite(accuracies).all(axis=1)]
            if len(whole):
                found[source.name, name] = whole
    return found


def summary_of(benchmark: Benchmark, source: Source) -> SourceSummary:
    """What a source says, in figures."""
    names = MULTI_NAMES if benchmark.multi else NAMES
    reviewed = source.kinds[source.reviewed]
    elsewhere = (source.kinds == Kind.SEVERAL) & ~benchmark.given.subset(source.sets)
    answers = source.answers
    return SourceSummary(
        source.name,
        int(source.reviewed.sum()),
        {names[kind]: many for kind, many in counts_of(reviewed).items()},
        int(elsewhere.sum()),
        len(answers.raters) if answers is not None else None,
        len(answers.rater) if answers is not None else None,
    )
