"""Two models on the same images: is the difference of their accuracies more than the choice of images would bring about?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from evaluator.audit.ranks import pairs_of
from evaluator.audit.views import View
from evaluator.scoring.families import inherited
from evaluator.scoring.paired import holm


@dataclass(frozen=True, eq=False)
class PairTests:
    """The tests of all pairs of m models in a view: arrays (pairs,), a pair as ``pairs_of`` has it.

    Attributes:
        gap: accuracy of the first model less that of the second; ``error``: its standard error.
        low, high: interval of the gap, of the bootstrap over images; NaN without draws.
        p: two-sided, before any correction. Where every value is 0 or 1, McNemar's exact test (McNemar 1947; the binomial test of
            the images on which only one of the two is right). Where a value is a share, the larger of two: the normal test of the
            paired mean, and the same exact test of the images on which one of the two is ahead, since a normal test of a few images
            is not to be trusted.
        p_holm: after Holm's correction over the pairs of the view.
    """

    gap: np.ndarray
    error: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_holm: np.ndarray


def products(right: np.ndarray, view: View | None = None, base: np.ndarray | None = None) -> np.ndarray:
    """float64 (m, m), the sums over images of the products of the values of two models.

    Args:
        right: bool (n, m), of ``all``; ``view``: another view, or None for ``all``.
        base: the products of ``all``, where they are known.
    """
    if base is None:
        whole = right.astype(np.float32)
        base = (whole.T @ whole).astype(np.float64)
    if view is None:
        return base
    before = right[view.touched].astype(np.float32)
    return base - (before.T @ before) + view.values.T.astype(np.float64) @ view.values


def ahead_counts(right: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """On how many images of a view the first, and on how many the second model of each pair is ahead: int64 (pairs,) each."""
    first, second = pairs_of(right.shape[1])
    untouched = np.full(len(right), True)
    untouched[view.touched] = False
    whole = right[untouched].astype(np.float32)
    alone = whole.sum(axis=0, dtype=np.float64)[:, None] - (whole.T @ whole).astype(np.float64)
    values = np.ascontiguousarray(view.values.T)
    for model, own in enumerate(values):
        alone[model] += (own > values).sum(axis=1)
    return alone[first, second].round().astype(np.int64), alone[second, first].round().astype(np.int64)


def pair_tests(
    sums: np.ndarray,
    together: np.ndarray,
    n: int,
    *,
    ahead: tuple[np.ndarray, np.ndarray] | None = None,
    drawn: np.ndarray | None = None,
    level: float = 0.95,
) -> PairTests:
    """Test every pair of models in a view.

    Args:
        sums: (m,), how right each model is, summed; ``together``: of ``products``; ``n``: how many images count.
        ahead: of ``ahead_counts``, where values may lie between 0 and 1; else they follow from the sums.
        drawn: (draws, m) accuracies of the bootstrap over images; NaN rows are left out.
    """
    first, second = pairs_of(len(sums))
    square = np.diag(together)
    gap = (sums[first] - sums[second]) / n
    spread = np.maximum(square[first] + square[second] - 2 * together[first, second], 0)
    error = np.sqrt(np.maximum(spread / n - gap**2, 0) / n)
    if ahead is None:
        p = mcnemar_p((sums[first] - together[first, second]).round(), (sums[second] - together[first, second]).round())
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            normal = np.where(error > 0, 2 * scipy.special.ndtr(-np.abs(gap) / error), np.where(gap == 0, 1.0, 0.0))
        p = np.maximum(normal, mcnemar_p(*ahead))
    low = high = np.full(len(gap), np.nan)
    if drawn is not None:
        low, high = _bounds(drawn, first, second, level)
    return PairTests(gap, error, low, high, p, holm(p) if len(p) else p)


def mcnemar_p(only_first: np.ndarray, only_second: np.ndarray) -> np.ndarray:
    """Two-sided p of McNemar's exact test: of images on which only one of two models is right, each is as likely to be it.

    Args:
        only_first, only_second: how many images only the first, or only the second, has right.

    Returns:
        float64 in (0, 1]; 1 where there is no such image.
    """
    fewer, both = np.minimum(only_first, only_second), only_first + only_second
    # The chance of so few or fewer of ``both`` tosses of a coin, doubled; the incomplete beta function is the binomial's.
    tail = scipy.special.betainc(both - fewer, fewer + 1, 0.5)
    return np.where(both == 0, 1.0, np.minimum(2 * tail, 1.0))


def _bounds(drawn: np.ndarray, first: np.ndarray, second: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of each pair's gap, in parts, so that a table of draws by pairs is never whole."""
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    low, high = np.full(len(first), np.nan), np.full(len(first), np.nan)
    if not len(drawn):
        return low, high
    columns = np.ascontiguousarray(drawn.T)
    step = max(1, 4_000_000 // len(drawn))
    for begin in range(0, len(first), step):
        part = slice(begin, begin + step)
        gaps = columns[first[part]] - columns[second[part]]
        low[part], high[part] = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return low, high


def reversal_p(before: PairTests, after: Sequence[PairTests]) -> np.ndarray:
    """p of every claim that the order of a pair turns round in a view, corrected over all pairs and views: (views, pairs).

    A claim needs both orders: that with labels as given, and the opposite order in the view. So the tests are a tree, corrected
    by the inheritance procedure (Goeman & Finos 2012; ``scoring/families.py``): the gate of a pair is the test of its order with
    labels as given, and behind it stands its test in every view, 1 where the order does not turn. The chance of one or more false
    claims in the whole audit stays below alpha, whatever the tests' dependence.
    """
    if not len(after) or not len(before.p):
        return np.ones((len(after), len(before.p)))
    turned = [np.sign(before.gap) * np.sign(tests.gap) == -1 for tests in after]
    claims = np.array([np.where(turn, tests.p, 1.0) for turn, tests in zip(turned, after, strict=True)])
    _, corrected, _ = inherited(before.p.tolist(), claims.T.tolist())
    return np.array(corrected, np.float64).reshape(-1, len(after)).T


def possible_ranks(gap: np.ndarray, p: np.ndarray, m: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The ranks that the tests leave possible for each model: (best, worst), int (m,).

    A model is below those that are shown to be better, and above those that are shown to be worse. With p corrected over all pairs
    the ranks of all models lie within their bounds with a chance of 1 - alpha or more (Mogstad, Romano, Shaikh & Wilhelm 2024).
    """
    first, second = pairs_of(m)
    shown = p < alpha
    better = np.zeros((m, m), bool)
    better[first, second], better[second, first] = shown & (gap > 0), shown & (gap < 0)
    return 1 + better.sum(axis=0), m - better.sum(axis=1)
