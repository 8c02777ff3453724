"""The validation share: items kept out of training, with every class as frequent in them as can be."""

from __future__ import annotations

import numpy as np

from evaluator.errors import DataError
from evaluator.seeds import generator


def validation_split(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The items of a training that are trained on, and those of its validation share.

    Args:
        labels: 0/1 (n, k).
        share: of the items, in [0, 1).
        seed: the root of the training's random draws.

    Returns:
        Two int64 arrays of item numbers, each ascending: kept, held out.

    Raises:
        DataError: fewer than 2 items are left to train on.
    """
    kept, held_out = stratified_share(labels, share, generator(seed, "validation split"))
    if len(kept) < 2:
        raise DataError(f"{len(labels)} items leave {len(kept)} to train on; give at least 2, or a smaller validation_share")
    return kept, held_out


def stratified_share(labels: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Split items in two such that each class has close to ``share`` of its positives in the second part.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, "On the stratification of multi-label data"): the class with
    fewest undecided positives is dealt out first, each item to the part that lacks most of that class.

    Args:
        labels: 0/1 (n, k).
        share: of the items for the second part, in [0, 1); the count is rounded, and is at least 1 where share is above 0.
        rng: decides the order in which items are dealt.

    Returns:
        Two int64 arrays of item numbers, each ascending: kept, held out.
    """
    n = len(labels)
    quota = 0 if share == 0 else min(max(round(share * n), 1), n - 1)
    if quota == 0:
        return np.arange(n), np.empty(0, dtype=np.int64)
    positive = labels.astype(bool)
    order = rng.permutation(n)
    open_items = np.ones(n, dtype=bool)
    room = np.array([n - quota, quota])
    lacking = np.outer([1 - quota / n, quota / n], positive.sum(axis=0))
    part = np.zeros(n, dtype=np.int64)

    def deal(item: int, to: int) -> None:
        part[item], open_items[item] = to, False
        room[to] -= 1
        lacking[to] -= positive[item]

    while (counts := (positive & open_items[:, None]).sum(axis=0)).any():
        rarest = int(np.argmin(np.where(counts > 0, counts, n + 1)))
        for item in order:
            if open_items[item] and positive[item, rarest]:
                wanted = int(
                    lacking[1, rarest] > lacking[0, rarest] or (lacking[1, rarest] == lacking[0, rarest] and room[1] > room[0])
                )
                deal(item, wanted if room[wanted] > 0 else 1 - wanted)
    for item in order:
        if open_items[item]:
            deal(item, int(room[1] > 0))
    return np.flatnonzero(part == 0), np.flatnonzero(part == 1)
