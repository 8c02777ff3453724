"""Bootstrap intervals: over seeds, and over seeds and test images.

Which interval says what:

- ``over_seeds``: the training runs are drawn again, the test images stay. It holds for *this* test set. It is what a comparison on
  the round's own test set needs, and it is wide where training is unsteady.
- ``over_images(images="shared")``: the training runs *and* the test images are drawn again, the same images for every seed, as they
  are when all seeds are scored on one test set. It holds for other test sets of the same kind too.
- ``over_images(images="own")``: the same where each seed has test images of its own. Means of seeds then hold the images' chance
  already, so that ``over_seeds`` covers it too, and this one errs on the wide side.

None draws images alone: that would leave out the larger part of the chance, how the training went.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evaluator import seeds

RESAMPLES = 9999
METHODS = ("percentile", "bca")


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap interval.

    Attributes:
        value: of the statistic on the seeds as they are.
        low, high: bounds; ``None`` with a single seed.
        n: seeds used.
        left_out: number of seeds left out, because a value was missing.
        level: confidence level.
        method: "percentile" or "bca"; "percentile" also where BCa was asked for and does not exist (a statistic that no seed moves
            to one side), "none" without an interval.
        resamples: drawn.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    left_out: int
    level: float
    method: str
    resamples: int

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None) or (self.low is not None and not self.low <= self.high):
            raise ValueError(f"the bounds are {self.low} and {self.high}; the lower must be given with a higher one, or neither")


def over_seeds(
    samples: np.ndarray | Sequence[np.ndarray],
    statistic: Callable[..., np.ndarray] = np.mean,
    *,
    method: str = "bca",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    root: int = 0,
) -> Estimate:
    """Bootstrap interval over seeds by ``scipy.stats.bootstrap`` (Efron 1979; BCa: Efron 1987).

    Seeds are drawn with replacement, one draw for all samples, so that what is paired stays paired. For a mean over pairs, take the
    mean over pairs of each seed first. With fewer than about 10 seeds both methods are too narrow (the spread is estimated with n
    in place of n - 1, and no t quantile makes up for it); the t interval is then the better one.

    Args:
        samples: (n,) values, one per seed, or several such arrays of one length; a seed with NaN in any of them is left out.
        statistic: ``statistic(*samples, axis)``, working along ``axis`` of arrays; the mean by default.
        method: "bca" (corrects bias and skew) or "percentile".
        level: in (0, 1).
        resamples: to draw.
        root: root seed of the draw.

    Raises:
        ValueError: samples of different lengths or not flat, infinite values, no seed left, an unknown method, or a level outside
            (0, 1).
    """
    samples = [np.asarray(sample, dtype=np.float64) for sample in ([samples] if np.ndim(samples[0]) == 0 else samples)]
    if len({sample.shape for sample in samples}) != 1 or samples[0].ndim != 1:
        raise ValueError(
            f"the samples are of shapes {[s.shape for s in samples]}; they must be flat and of one length, a value per seed"
        )
    _check(method, level, resamples)
    present = ~np.isnan(samples).any(axis=0)
    kept = [sample[present] for sample in samples]
    n, left_out = int(present.sum()), int((~present).sum())
    if not n or np.isinf(kept).any():
        raise ValueError(f"{n} of {len(present)} seeds have every value; at least one must, and all must be finite")
    value = float(statistic(*kept, axis=-1))
    if n == 1:
        return Estimate(value, None, None, n, left_out, level, "none", 0)
    result = None
    # BCa divides by the spread of a statistic that may have none: SciPy warns and answers NaN, and percentiles stand in for it.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        for used in ("BCa", "percentile") if method == "bca" else ("percentile",):
            result = stats.bootstrap(
                kept,
                statistic,
                n_resamples=resamples,
                vectorized=True,
                paired=True,
                confidence_level=level,
                method=used,
                batch=max(1, 2_000_000 // n),
                rng=seeds.generator(root, "bootstrap over seeds"),
            )
            low, high = map(float, result.confidence_interval)
            if math.isfinite(low) and math.isfinite(high):
                return Estimate(value, low, high, n, left_out, level, used.lower(), resamples)
    raise ValueError("the statistic is not finite on some resamples of the seeds; it has no bootstrap interval")


def over_images(
    results: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    images: str = "shared",
    level: float = 0.95,
    resamples: int = 1999,
    root: int = 0,
) -> Estimate:
    """Two-level percentile bootstrap: seeds with replacement and, within them, test images with replacement.

    ``images="shared"`` is the bootstrap of two crossed factors (Owen 2007, "pigeonhole"), ``"own"`` that of nested ones (Davison
    and Hinkley 1997, section 3.8). Both count the chance of a single image on a single seed more than once, so that they are
    slightly too wide rather than too narrow. See the top of this module for what they cover. For a difference of two strategies,
    put the results of both side by side in the last axis and let ``statistic`` subtract: seeds and images stay paired.

    Args:
        results: (seeds, images) or (seeds, images, k): k quantities of each test image, e.g. right or wrong, or the counts of
            ``counts.confusion``. A seed of NaN alone is left out.
        statistic: maps means over images (..., k) to scores (...); by default k must be 1 and the mean itself is the score. The
            value is the mean over seeds of the score.
        images: "shared": image i is the same image for every seed. "own": it is not.
        level, resamples, root: as in ``over_seeds``.

    Raises:
        ValueError: as ``over_seeds``; a seed that lacks some of its images; k above 1 without a statistic; an unknown ``images``.
    """
    results = np.asarray(results, dtype=np.float64)
    results = results[..., None] if results.ndim == 2 else results
    if results.ndim != 3 or 0 in results.shape:
        raise ValueError(
            f"the results are of shape {results.shape}; they must be (seeds, images) or (seeds, images, k), none of it 0"
        )
    if images not in ("shared", "own"):
        raise ValueError(f"images is {images!r}; it must be 'shared' (one test set for all seeds) or 'own' (one for each)")
    _check("percentile", level, resamples)
    missing = np.isnan(results)
    absent = missing.all(axis=(1, 2))
    if missing[~absent].any() or np.isinf(results).any():
        raise ValueError(
            "a seed has results of some of its images only, or infinite ones; give all of them, or NaN for the whole seed"
        )
    kept, left_out = results[~absent], int(absent.sum())
    n, m, k = kept.shape
    if not n:
        raise ValueError("every seed is missing; at least one must be there")
    if statistic is None:
        if k != 1:
            raise ValueError(f"each image has {k} quantities; give the statistic that makes a score of their means")
        statistic = _only
    value = float(statistic(kept.mean(axis=1)).mean())
    if n == 1:
        return Estimate(value, None, None, n, left_out, level, "none", 0)
    rng = seeds.generator(root, "bootstrap over seeds and images")
    drawn = rng.integers(0, n, (resamples, n))
    scores = np.empty((resamples, n))
    even = np.full(m, 1 / m)
    if images == "shared":
        for r in range(resamples):
            # Weighted means over images of all seeds at once, then the seeds that were drawn.
            weights = rng.multinomial(m, even) / m
            scores[r] = statistic(np.einsum("m,nmk->nk", weights, kept))[drawn[r]]
    else:
        for r in range(resamples):
            weights = rng.multinomial(m, even, size=n) / m
            scores[r] = statistic(np.einsum("nm,nmk->nk", weights, kept[drawn[r]]))
    low, high = np.quantile(scores.mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), n, left_out, level, "percentile", resamples)


def _only(means: np.ndarray) -> np.ndarray:
    return means[..., 0]


def _check(method: str, level: float, resamples: int) -> None:
    if method not in METHODS:
        raise ValueError(f"the method is {method!r}; it must be one of {', '.join(METHODS)}")
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; it must lie between 0 and 1, e.g. 0.95")
    if resamples < 100:
        raise ValueError(f"{resamples} resamples are asked for; bounds of an interval need 100 at the very least")
