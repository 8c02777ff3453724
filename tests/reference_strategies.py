"""What scikit-activeml says to the cases of ``tests/test_strategies.py``, so that parity is tested where it is not installed.

    pip install -r requirements-activeml.txt && python -m tests.reference_strategies

writes ``tests/reference_strategies.json`` with the versions that made it.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_suffix(".json")


def cases() -> dict[str, np.ndarray]:
    """Inputs, drawn once from a fixed seed."""
    rng = np.random.default_rng(20221)
    x = rng.normal(size=(60, 4)).round(3)
    centres = rng.normal(size=(5, 4)) * 20
    blobs = np.concatenate([c + rng.normal(size=(n, 4)) for c, n in zip(centres, (20, 16, 13, 10, 7), strict=True)]).round(3)
    return {
        "x": x,
        "p": rng.random((60, 3)).round(3),
        "members": rng.uniform(0.01, 0.99, (7, 60, 3)).round(3),
        "blobs": blobs,
        "weights": rng.random(len(blobs)).round(3),
        "one_class": rng.random(60).round(3),
    }


def references() -> dict[str, Any]:
    """The answers of scikit-activeml; a label that holds by itself is its class of two."""
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge, Clue, ProbCover, TypiClust, batch_bald, k_greedy_center, uncertainty_scores, vote_entropy

    case = cases()
    x, p, members, blobs = case["x"], case["p"], case["members"], case["blobs"]
    two = [np.stack([1 - column, column], 1) for column in p.T]
    labelled = [3, 11, 42]
    y = np.full(len(x), np.nan)
    y[labelled] = 0
    nothing = np.full(len(blobs), np.nan)

    class Told(SkactivemlClassifier):
        """Says what it was told, row by row of ``x``."""

        def fit(self, X, y, sample_weight=None):
            self.classes_ = np.array([0, 1])
            return self

        def predict_proba(self, X):
            rows = [int(np.flatnonzero((x == row).all(1))[0]) for row in X]
            return np.stack([1 - case["one_class"][rows], case["one_class"][rows]], 1)

    unlabelled = np.full(len(x), np.nan)
    _, badge = Badge(random_state=0).query(
        x, unlabelled, Told(classes=[0, 1]).fit(x, unlabelled), fit_clf=False, batch_size=2, return_utilities=True
    )
    cover = ProbCover(n_classes=2, deltas=[1.5], random_state=0)
    _, cover_utilities = cover.query(x, y, batch_size=1, return_utilities=True)
    deltas = np.arange(1, 40, 0.25)
    purity = ProbCover(n_classes=5, deltas=deltas, random_state=0)
    purity.query(blobs, nothing, batch_size=1)
    votes = (members >= 0.5).astype(int)
    typical, typical_utilities = TypiClust(random_state=0, k=5).query(blobs, nothing, batch_size=5, return_utilities=True)
    return {
        "mean_entropy": np.mean([uncertainty_scores(t, method="entropy") for t in two], 0),
        "max_entropy": np.max([uncertainty_scores(t, method="entropy") for t in two], 0),
        "ambiguity": np.sum([uncertainty_scores(t, method="least_confident") for t in two], 0),
        "least_confidence_of_one": uncertainty_scores(two[0], method="least_confident"),
        "margin_of_one": uncertainty_scores(two[0], method="margin_sampling"),
        "bald": np.sum([batch_bald(np.stack([1 - members[..., c], members[..., c]], -1), 1)[0] for c in range(3)], 0),
        "vote_entropy": np.sum([vote_entropy(votes[..., c].T, [0, 1]) for c in range(3)], 0),
        "k_center": k_greedy_center(x, y, batch_size=20, random_state=0)[0],
        "prob_cover_degrees": np.nan_to_num(cover_utilities[0], nan=-1),
        "purity_delta": purity.delta_max_,
        "purity_grid": deltas[1] - deltas[0],
        "typiclust": sorted(typical.tolist()),
        "typicality_of_largest": np.where(np.isfinite(typical_utilities[0]), typical_utilities[0], 0),
        "badge_first_two": np.nan_to_num(badge / np.nansum(badge, 1, keepdims=True)),
        "weighted_k_means": sorted(_clue(Clue, blobs, case["weights"], nothing)),
    }


def _clue(clue: Any, blobs: np.ndarray, weights: np.ndarray, y: np.ndarray) -> list[int]:
    from skactiveml.base import SkactivemlClassifier

    class Weighted(SkactivemlClassifier):
        def fit(self, X, y, sample_weight=None):
            self.classes_ = np.array([0, 1])
            return self

        def predict_proba(self, X):
            sure = 1 - weights / 2  # least confidence is then half the weight
            return np.stack([sure, 1 - sure], 1)

    query = clue(random_state=0, method="least_confident").query(
        blobs, y, Weighted(classes=[0, 1]).fit(blobs, y), fit_estimator=False, batch_size=5
    )
    return query.tolist()


def main() -> None:
    """Write the file."""
    import skactiveml
    import sklearn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = references()
    versions = {"scikit-activeml": skactiveml.__version__, "scikit-learn": sklearn.__version__, "numpy": np.__version__}
    values = {name: np.asarray(value).astype(float).round(9).tolist() for name, value in found.items()}
    text = json.dumps({"command": "python -m tests.reference_strategies", "versions": versions, "values": values}, indent=None)
    FILE.write_text(text.replace('], "', '],\n "').replace('}, "', '},\n "') + "\n")
    print(f"{FILE.name}: {', '.join(values)}")


if __name__ == "__main__":
    main()
