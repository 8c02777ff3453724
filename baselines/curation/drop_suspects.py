"""Images whose label is probably wrong are dropped: confident learning on histograms of oriented gradients, without a network.

Northcutt, Jiang and Chuang (2021), Confident Learning, JAIR 70.
"""

from __future__ import annotations

import numpy as np

from evaluator.strategies.shapes import oriented_gradients
from evaluator.strategies.valuation.confidence import confident_issues, out_of_sample, self_confidence
from run import CurationRun

SIDE = 32
MOST = 0.06
"""Largest share of the images that is dropped."""
FEWEST = 5
"""Images that a class keeps in either split."""


class DropSuspects(CurationRun):
    """Out-of-sample probabilities by logistic regression in five folds; issues are dropped, the least probable labels first."""

    def curate(self, dataset, label_book, time_available, register_progress, seed):
        labels = dataset.labels
        # Blank images have no direction of their own, so it is their darkness that tells them.
        pixels = dataset.resized(SIDE)
        rows = np.concatenate([oriented_gradients(pixels), pixels.reshape(len(pixels), -1)[:, ::16]], axis=1)
        register_progress(0.2)
        given = out_of_sample(rows, labels, seed, strength=0.01)
        register_progress(0.9)
        confidence = self_confidence(given, labels)
        suspects = np.flatnonzero(confident_issues(given, labels))
        suspects = suspects[np.argsort(confidence[suspects], kind="stable")][: int(MOST * len(labels))]
        left = {}
        for split, label in zip(dataset.splits, labels.tolist(), strict=True):
            left[split, label] = left.get((split, label), 0) + 1
        edits = []
        for row in suspects.tolist():
            place = dataset.splits[row], int(labels[row])
            if left[place] > FEWEST:
                left[place] -= 1
                edits.append({"id": dataset.ids[row], "action": "drop"})
        return edits
