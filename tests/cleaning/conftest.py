"""Small tasks whose answers are known."""

import numpy as np
import pytest

from evaluator.cleaning.tasks import CleaningTask, Part


def separated(rows: int = 60, width: int = 8, wrong: int = 20, classes: int = 2, seed: int = 0) -> CleaningTask:
    """Two (or more) clouds far from each other; the first ``wrong`` training rows have the label of the next class."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, width)) * 0.5

    def part(n: int) -> Part:
        labels = np.arange(n) % classes
        return Part((centres[labels] + rng.normal(size=(n, width))).astype(np.float32), labels.astype(np.int64))

    train, validation, test = part(rows), part(40), part(100)
    given = train.labels.copy()
    given[:wrong] = (given[:wrong] + 1) % classes
    kind = "binary" if classes == 2 else "multiclass"
    return CleaningTask("clouds", kind, classes, Part(train.rows, given), train.labels, validation, test)


@pytest.fixture(scope="session")
def clouds() -> CleaningTask:
    return separated()
