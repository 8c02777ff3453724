"""How far several judges (pipelines) agree on the order of what they judge (submissions), on arrays.

Per pair of judges Kendall's tau-b (Kendall 1945), which takes ties into account; over all judges the mean of these and Kendall's
coefficient of concordance W (Kendall & Babington Smith 1939), corrected for ties.

Means over a few seeds are noisy, and noise makes two orders look less alike than they are: where the noise of a mean is as large
as the differences between submissions, a true tau of 0.71 is measured as 0.45. So two figures are given. ``measured`` is the tau-b
of the means as they are. ``value`` is an estimate of the tau of the scores without noise, in the population that the submissions
are a sample of, and ``low`` to ``high`` is its interval:

1. Greiner (1909): of normal scores, and of all elliptical distributions, tau is ``2 / pi * arcsin(rho)``. What the tau-b of n
   submissions says of the correlation rho of the noisy means is its confidence distribution, with the exact variance of tau under
   normality (Esscher 1924) and a correction for continuity.
2. The noise of the means, and what of it two judges share since they judge the same answers, is estimated from the seeds: the
   residuals after each submission's mean and each seed's mean, which changes no order.
3. Spearman's (1904) correction for attenuation, on draws of both: rho without noise is ``(rho - c) / sqrt((1 - a) (1 - b))``, with
   a and b the shares of noise in the variance of the means, and c its share in their covariance. It is cut to -1 to 1. A draw in
   which a judge's submissions differ by nothing but noise allows every rho.

``docs/statistics.md`` has its bias and coverage by simulation. Submissions that were picked for their scores, such as finalists,
are no sample of submissions at all; and all of it is about one data set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # its modules are loaded when they are first used: stats takes half a second

from evaluator.seeds import generator
from evaluator.words import counted

FEWEST = 3
"""With fewer submissions no rank correlation is given."""
WIDE = 1.0
"""An interval of tau that is wider tells next to nothing: tau lies between -1 and 1."""
DRAWS = 2000
DECIMALS = 12
"""Of means over seeds, so that rounding never breaks a tie."""
_GRID = np.tanh(np.linspace(-4.5, 4.5, 361))
"""Correlations of the noisy means for which confidence distributions are computed."""


@dataclass(frozen=True)
class Agreement:
    """A coefficient with its interval.

    Attributes:
        measured: of the mean scores as they are, noise included; None where it does not exist.
        value: of the scores without noise; None where it cannot be told.
        low, high: bounds of ``value``; None without a value.
        n: submissions.
        level: confidence level.
        reason: why there is no value, else empty.
    """

    measured: float | None
    value: float | None
    low: float | None
    high: float | None
    n: int
    level: float
    reason: str = ""

    @property
    def wide(self) -> bool:
        """Whether the interval is so wide that it tells next to nothing."""
        return self.low is not None and self.high is not None and self.high - self.low > WIDE


@dataclass(frozen=True)
class PanelAgreement:
    """Agreement of several judges.

    Attributes:
        tau: per pair of judges; ``tau[a][b] is tau[b][a]``, and the diagonal is each judge with itself.
        mean_tau: over the pairs of different judges. Its bounds are the means of theirs, which is never too narrow, however
            the pairs depend on each other.
        w: Kendall's W, 0 (none) to 1 (all the same order), bounds as of ``mean_tau``.
        draws: of noise and sampling; ``seed``: their root.
    """

    tau: tuple[tuple[Agreement, ...], ...]
    mean_tau: Agreement
    w: Agreement
    draws: int
    seed: int


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float | None:
    """Kendall's tau-b of two lists of scores (n,); None where one of them is all tied, or n is below 2."""
    if len(first) < 2:
        return None
    value = float(scipy.stats.kendalltau(first, second, variant="b").statistic)
    return value if math.isfinite(value) else None


def kendall_w(scores: np.ndarray) -> float | None:
    """Kendall's W of scores (judges, submissions), corrected for ties, by Friedman's statistic; None where all is tied."""
    judges, n = scores.shape
    if n < FEWEST or np.all(scores == scores[:, :1]):
        return None
    # A judge that ties all gives every submission its mean rank, which Friedman's correction for ties takes out again.
    return float(np.clip(scipy.stats.friedmanchisquare(*scores.T).statistic / (judges * (n - 1)), 0, 1))


def agreement(scores: np.ndarray, *, seed: int, draws: int = DRAWS, level: float = 0.95) -> PanelAgreement:
    """How far judges agree on the order of submissions.

    Args:
        scores: finite, (judges, submissions, seeds); more is better. Over seeds the mean ranks.
        seed: root of the draws, 0 or more.

    Raises:
        ValueError: another shape, fewer than two judges, values that are not finite, or a level or number of draws out of range.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 3 or values.shape[0] < 2 or 0 in values.shape or not np.isfinite(values).all():
        raise ValueError(
            f"scores are {np.shape(scores)}; finite values of (judges, submissions, seeds), two judges or more, are needed"
        )
    if not 0 < level < 1 or draws < 100:
        raise ValueError(f"the level is {level} and there are {draws} draws; between 0 and 1, and 100 or more, are needed")
    judges, n, seeds = values.shape
    means = values.mean(axis=2).round(DECIMALS)
    few = f"{counted(n, 'submission')}: an order needs at least {FEWEST}" if n < FEWEST else ""
    tied = [judge for judge in range(judges) if np.ptp(means[judge]) == 0]
    pairs = [(a, b) for a in range(judges) for b in range(a + 1, judges)]

    def cell(of: tuple[int, int], measured: float | None, rho: tuple[float, float, float] | None) -> Agreement:
        tau = None if rho is None else [float(2 / np.pi * np.arcsin(r)) for r in rho]
        why = few or ("all submissions are tied" if set(of) & set(tied) else "")
        if not why and tau is None:
            why = ONE_SEED if seeds < 2 else "the noise over seeds is as large as all differences between submissions"
        if why:
            return Agreement(None if few else measured, None, None, None, n, level, why)
        assert tau is not None
        return Agreement(measured, tau[1], tau[0], tau[2], n, level)

    found: dict[tuple[int, int], tuple[float, float, float] | None] = dict.fromkeys(pairs)
    if not few and seeds > 1:
        at = [pair for pair in pairs if not set(pair) & set(tied)]
        if at:
            bounds = latent_correlations(values[np.array(at)].transpose(0, 2, 1, 3), seed=seed, draws=draws, level=level)
            for pair, (low, value, high) in zip(at, bounds.T.tolist(), strict=True):
                found[pair] = None if math.isnan(value) else (low, value, high)
    cells = {(a, a): cell((a, a), 1.0, (1.0, 1.0, 1.0)) for a in range(judges)}
    for a, b in pairs:
        cells[a, b] = cells[b, a] = cell((a, b), kendall_tau(means[a], means[b]), found[a, b])
    between = [cells[pair] for pair in pairs]
    return PanelAgreement(
        tau=tuple(tuple(cells[a, b] for b in range(judges)) for a in range(judges)),
        mean_tau=_mean(between),
        w=_concordance(between, [found[pair] for pair in pairs], kendall_w(means), judges),
        draws=draws,
        seed=seed,
    )


ONE_SEED = "with one seed the noise of the scores is not known"


def latent_correlations(scores: np.ndarray, *, seed: int, draws: int = DRAWS, level: float = 0.95) -> np.ndarray:
    """Correlation of two judges' scores without noise: (low, value, high) of each table, (3, tables); NaN where it cannot be told.

    Args:
        scores: (tables, submissions, 2, seeds), three submissions or more, two seeds or more, and not all tied.
        seed, draws, level: as in ``agreement``. All tables use the same draws.
    """
    tables, n, _, seeds = scores.shape
    means = scores.mean(axis=3).round(DECIMALS)
    tau = np.array([kendall_tau(*table.T) for table in means], dtype=np.float64)
    spread = means.var(axis=1, ddof=1)  # (tables, judges)
    # What is left after each submission's mean and each seed's mean is noise; that of a mean over seeds is 1 / seeds of it.
    left = scores - scores.mean(axis=3, keepdims=True)
    left = left - left.mean(axis=1, keepdims=True)
    freedom = (n - 1) * (seeds - 1)
    noise = np.einsum("tnas,tnbs->tab", left, left) / freedom / seeds
    own = np.diagonal(noise, axis1=1, axis2=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = np.nan_to_num(noise[:, 0, 1] / np.sqrt(own[:, 0] * own[:, 1])).clip(-1, 1)
    rng = generator(seed, "rank agreement")
    where = rng.permutation((np.arange(draws) + 0.5) / draws)
    # The spread of two judges goes up and down together where they agree; one draw for both is on the safe side.
    scale = rng.chisquare(n - 1, (draws, 1)) / (n - 1) * freedom / rng.chisquare(freedom, (draws, 2))
    step = 2 / (n * (n - 1))  # half a step of tau: continuity
    out = np.empty((3, tables))
    for t in range(tables):
        part = own[t] / spread[t] * scale
        seen = (part < 1).all(axis=1)
        rows = []
        for shift, blind in ((-step, -1.0), (0.0, np.nan), (step, 1.0)):
            rho = np.interp(where, _confidence(n, float(tau[t]), shift), _GRID, left=-1, right=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                clean = (rho - shared[t] * np.sqrt(part.prod(axis=1))) / np.sqrt((1 - part).prod(axis=1))
            rows.append(np.where(seen, np.clip(clean, -1, 1), blind))
        low, middle, high = rows
        out[:, t] = (
            np.quantile(low, (1 - level) / 2),
            np.median(middle[seen]) if seen.mean() > 0.5 else np.nan,
            np.quantile(high, (1 + level) / 2),
        )
    return out


@lru_cache(maxsize=256)
def _confidence(n: int, tau: float, shift: float) -> np.ndarray:
    """Confidence that the correlation lies below each of ``_GRID``, after n normal pairs gave this tau (moved by ``shift``)."""
    true, half = 2 / np.pi * np.arcsin(_GRID), 2 / np.pi * np.arcsin(_GRID / 2)
    variance = 2 / (n * (n - 1)) * (1 - true**2 + 2 * (n - 2) * (1 / 9 - half**2))
    below = scipy.special.ndtr((true - tau - shift) / np.sqrt(np.maximum(variance, 1e-12)))
    found = np.maximum.accumulate(below)
    found.flags.writeable = False
    return found


def _mean(between: list[Agreement]) -> Agreement:
    """The mean of coefficients. A mean of some of them would be that of other judges: one that lacks a value leaves it without."""
    first = between[0]
    measured = [cell.measured for cell in between]
    mean = None if None in measured else float(np.mean(measured))  # type: ignore[arg-type]
    if reason := next((cell.reason for cell in between if cell.reason), ""):
        return Agreement(mean, None, None, None, first.n, first.level, reason)
    value, low, high = (float(np.mean([getattr(cell, name) for cell in between])) for name in ("value", "low", "high"))
    return Agreement(mean, value, low, high, first.n, first.level)


def _concordance(
    between: list[Agreement], rho: list[tuple[float, float, float] | None], measured: float | None, judges: int
) -> Agreement:
    """W from the mean of Spearman's correlations of all pairs, which of normal scores are ``6 / pi * arcsin(rho / 2)``."""
    first = between[0]
    if reason := next((cell.reason for cell in between if cell.reason), ""):
        return Agreement(measured, None, None, None, first.n, first.level, reason)
    spearman = (6 / np.pi * np.arcsin(np.array(rho, dtype=np.float64) / 2)).mean(axis=0)
    low, value, high = ((1 + (judges - 1) * spearman) / judges).clip(0, 1)
    return Agreement(measured, float(value), float(low), float(high), first.n, first.level)
