"""The metrics of the purchase track, as tables write them. ``evaluator.scoring.metrics`` computes them."""

from __future__ import annotations

from evaluator.tables import Metric

METRICS = (
    Metric("macro_f1", "macro F1", low=0, high=1, note="F1 is 0 for a class that no image has and none is predicted to have"),
    Metric("accuracy", "accuracy", low=0, high=1),
    Metric("hamming_loss", "Hamming loss", higher_is_better=False, low=0, high=1),
)
"""A round names the metric that ranks; see ``rounds``."""
NAMES = {metric.name: metric.score_label for metric in METRICS}
"""What tables call the scores, by the name of the metric."""
