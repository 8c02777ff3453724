"""A benchmark whose label errors are known, because they were planted: what an audit should find, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Corrections
from evaluator.audit.predictions import Predictions
from evaluator.audit.rank import audit
from evaluator.audit.results import Audit, Settings
from evaluator.errors import ConfigurationError
from evaluator.scoring.agreement import kendall_tau

SIDE = 96
"""Of an enlarged picture, in pixels."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A benchmark with planted errors.

    Attributes:
        benchmark: ids, and the labels as given, errors included.
        corrections: what is right, by a source that reviewed every image.
        kinds: int8 (n,), of the planted errors; values of ``Kind``.
        predictions: of every model, in the order of the benchmark.
        truth: accuracy of each model without any error, float64 (models,).
        images: uint8 (n, h, w) or (n, h, w, 3), for pages; None where there are none at hand.
    """

    benchmark: Benchmark
    corrections: Corrections
    kinds: np.ndarray
    predictions: tuple[Predictions, ...]
    truth: np.ndarray
    images: np.ndarray | None = None

    def write_images(self, folder: Path) -> None:
        """Write the images as PNG files, enlarged and called by their ids, into an empty folder; nothing where none are at hand."""
        if self.images is None:
            return
        for name, pixels in zip(self.benchmark.ids, self.images, strict=True):
            enlarged = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            enlarged.save(folder / f"{name}.png", compress_level=1)

    def reviewed(self, rows: np.ndarray) -> Planted:
        """The same, where only some images were reviewed: all others keep their label, wrong or not.

        Args:
            rows: numbers of the images, int (m,), one or more.
        """
        if not len(rows):
            raise ConfigurationError("--check is 0; expected one image or more that somebody looks at")
        chosen = np.sort(np.asarray(rows, np.int64))
        partial = replace(
            self.corrections,
            source=f"{self.corrections.source}, {len(chosen)} checked",
            ids=tuple(self.benchmark.ids[row] for row in chosen),
            sets=self.corrections.sets.take(chosen),
            whole=False,
        )
        return replace(self, corrections=partial)


def recovered(accuracies: np.ndarray, truth: np.ndarray) -> float | None:
    """Kendall's tau-b of a ranking by ``accuracies`` with the true ranking; None where all models are tied in one of them."""
    return kendall_tau(np.round(accuracies, 12), np.round(truth, 12))


def audited(planted: Planted, settings: Settings) -> Audit:
    """The audit of a planted benchmark by its corrections."""
    source = planted.corrections.aligned(planted.benchmark)
    return audit(planted.benchmark, planted.predictions, len(planted.predictions), [source], settings=settings)


@dataclass(frozen=True)
class Found:
    """How far an audit finds what was planted.

    Attributes:
        view: its name; ``source``: of its corrections.
        tau: Kendall's tau-b of the view's ranking with the true ranking.
        real: pairs whose true order is not that of the labels as given; ``shown``: of these, said to change places beyond noise.
        false: pairs that are said to change places and whose true order is that of the labels as given.
    """

    view: str
    source: str
    tau: float | None
    real: int
    shown: int
    false: int


def found_in(planted: Planted, result: Audit) -> tuple[Found, ...]:
    """Hold an audit against the truth: every view, the labels as given first."""
    models = list(result.models)
    truth = dict(zip((found.model for found in planted.predictions), planted.truth.tolist(), strict=True))
    true = np.array([truth[name] for name in models])
    before = np.array([row.accuracy for row in result.views[0].rows])
    real = {
        (a, b)
        for a in range(len(models))
        for b in range(len(models))
        if before[a] > before[b] and true[a] < true[b]  # a is ahead and should not be
    }
    made = []
    for view in result.views:
        said = {(models.index(swap.ahead), models.index(swap.behind)) for swap in view.swaps if swap.shown}
        tau = recovered(np.array([row.accuracy for row in view.rows]), true)
        made.append(Found(view.name, view.source, tau, len(real), len(said & real), len(said - real)))
    return tuple(made)
