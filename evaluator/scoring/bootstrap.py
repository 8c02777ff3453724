"""Bootstrap intervals over seeds.

The training runs are drawn again, the test images stay: an interval holds for *this* test set, which is what a comparison on the
round's own test set needs, and it is wide where training is unsteady. Images alone are never drawn: that would leave out the larger
part of the chance, how the training went.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its modules are loaded when they are first used: stats takes half a second

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
        neither = self.low is None and self.high is None
        if not neither and (self.low is None or self.high is None or not self.low <= self.high):
            raise ValueError(f"the bounds are {self.low} and {self.high}; give a lower and a higher bound, or neither")


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
    in place of n - 1, and no t quantile makes up for it); the t interval is then better.

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
        raise ValueError(f"{n} of {present.size} seeds have every value; at least one must, and all must be finite")
    value = float(statistic(*kept, axis=-1))
    if n == 1:
        return Estimate(value, None, None, n, left_out, level, "none", 0)
    result = None
    # BCa divides by the spread of a statistic that may have none: SciPy warns and answers NaN, and percentiles are taken instead.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        for used in ("BCa", "percentile") if method == "bca" else ("percentile",):
            result = scipy.stats.bootstrap(
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


def _check(method: str, level: float, resamples: int) -> None:
    if method not in METHODS:
        raise ValueError(f"the method is {method!r}; it must be one of {', '.join(METHODS)}")
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; it must lie between 0 and 1, e.g. 0.95")
    if resamples < 100:
        raise ValueError(f"{resamples} resamples are asked for; bounds of an interval need at least 100")
