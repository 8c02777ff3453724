"""The metrics of the purchase track, as tables write them. ``evaluator.scoring.metrics`` computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluator.tables import Metric

METRICS = (
    Metric("macro_f1", "macro F1", low=0, high=1, note="F1 is 0 for a class that no image has and none is predicted to have"),
    Metric("accuracy", "accuracy", low=0, high=1),
    Metric("hamming_loss", "Hamming loss", higher_is_better=False, low=0, high=1),
)
"""A round names the metric that ranks; see ``rounds``."""
NAMES = {metric.name: metric.score_label for metric in METRICS}
"""What tables call the scores, by the name of the metric."""
ROUNDING = 1e-9
"""Two means of the same F1 values may differ by this much."""


def collapsed(metrics: Mapping[str, Any]) -> bool:
    """Whether macro F1 is at or below that of the best constant answer, which no model that predicts a constant can pass.

    Where that figure was not stored, only a model that recognises nothing at all is known to have collapsed.
    """
    score = metrics.get("macro_f1")
    return score is not None and score <= metrics.get("best_constant_macro_f1", 0.0) + ROUNDING
