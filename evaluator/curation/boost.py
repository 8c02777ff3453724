"""Data boosting: those augmentations of a large pool join the training set that look like what the model gets wrong.

A submission of that name won the prize for innovation of the Data-Centric AI Competition of 2021. One round: train; find the
validation images that are predicted wrongly; search the pool for the nearest augmentations of each by cosine similarity; add them;
again, until the limit.

Three traps, and what is done:

- **Validation drives the choice**, so its accuracy afterwards says nothing. A share of it, the judge's part, is set apart first and
  never asked which images to add; the figures before and after are those of that part.
- **An augmentation inherits its parent's label**, and wrong labels would multiply. Clean first; parents whose label is in doubt
  can be excluded (``barred``).
- **The nearest are often children of one parent**, nearly the same picture many times. A cap holds for each parent, per validation
  image and over all rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from evaluator.curation.folds import grouped_folds
from evaluator.curation.neighbours import NearestInStream, capped
from evaluator.curation.pool import Pool, PoolFeatures
from evaluator.errors import ConfigurationError
from evaluator.words import counted

Embed = Callable[[np.ndarray], np.ndarray]
"""Features float (m, d) of images uint8 (m, S, S, channels)."""
Train = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""``(images, labels, asked, driving)``: trains on images with labels (int (n,)), and predicts the labels of ``asked``, int (m,).
The numbers ``driving`` of ``asked`` may choose an epoch; the others judge."""
Said = Callable[[str], None]


@dataclass(frozen=True)
class BoostRules:
    """How boosting goes.

    Attributes:
        neighbours: of each wrong image in a round. ``per_query``: most children of one parent among them; ``per_parent``: most
            children of a parent over all rounds.
        rounds: most rounds. ``limit``: images in training and validation together; the search ends there.
        judge: share of the validation set that judges and never drives.
        same_class: whether an augmentation must have the label of the image that asks for it. Else the nearest of any class join,
            which teaches the model the border between them.
    """

    neighbours: int = 20
    per_query: int = 4
    per_parent: int = 20
    rounds: int = 3
    limit: int = 10_000
    judge: float = 0.5
    same_class: bool = False

    def __post_init__(self) -> None:
        for name in ("neighbours", "per_query", "per_parent", "rounds", "limit"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected 1 or more")
        if not 0.1 <= self.judge <= 0.9:
            raise ConfigurationError(f"--judge is {self.judge}; expected a share of the validation set from 0.1 to 0.9")


@dataclass(frozen=True)
class Round:
    """What a round did.

    Attributes:
        training: images that were trained on. ``wrong``: images of the driving part that were predicted wrongly, of ``driving``.
        judged: accuracy on the judge's part. ``added``: augmentations that joined after it.
    """

    training: int
    wrong: int
    driving: int
    judged: float
    added: int


@dataclass(frozen=True, eq=False)
class Boosted:
    """The outcome.

    Attributes:
        numbers: of the pool's images that joined, int64 (m,), in the order in which they did; ``parents``: training images.
        rounds: what happened; the last has nothing added: it is the training on all.
        judged_by, driven_by: numbers of the validation images of both parts.
        interrupted: whether a person ended it; what had joined is there.
    """

    numbers: np.ndarray
    parents: np.ndarray
    rounds: tuple[Round, ...]
    judged_by: np.ndarray
    driven_by: np.ndarray
    interrupted: bool = field(default=False)


def boost(
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    groups: np.ndarray,
    pool: Pool,
    fit: Train,
    embed: Embed,
    rules: BoostRules,
    *,
    barred: np.ndarray | None = None,
    vectors: Embed | None = None,
    said: Said = lambda text: None,
    progress: Callable[[float], None] = lambda share: None,
) -> Boosted:
    """Boost a training set.

    Args:
        train, validation: images uint8 (n, S, S, channels) and labels int64 (n,).
        groups: int (validation,), equal for validation images with equal pixels: they stay in one part.
        pool: of the training images.
        fit, embed: the model, and the features by which images are alike.
        barred: bool (train,), training images whose children do not join, e.g. since their label is in doubt.
        vectors: features of the pool's images by their numbers, float (m, d); None makes them by ``embed``.
        said: called with a line for each round; ``progress``: with the share of a search that is done.

    Raises:
        ConfigurationError: no room below the limit, or too few validation images for two parts.
    """
    images, labels = train
    asked, answers = validation
    room = rules.limit - len(images) - len(asked)
    if room < 1:
        raise ConfigurationError(
            f"--limit is {rules.limit:,}, and training and validation hold {len(images) + len(asked):,} images; nothing can join. "
            "Raise it, or drop images"
        )
    vectors = vectors or PoolFeatures(pool, embed)
    judge, drive = parts(answers, groups, rules.judge, pool.seed)
    chosen = np.zeros(0, np.int64)
    rounds: list[Round] = []
    interrupted = False
    try:
        for number in range(rules.rounds + 1):
            extra = pool.images(chosen)
            with_extra = np.concatenate([images, extra]), np.concatenate([labels, labels[pool.parent(chosen)]])
            right = fit(*with_extra, asked, drive) == answers
            judged, missed = float(right[judge].mean()), drive[~right[drive]]
            wanted = min(room - len(chosen), len(missed) * rules.neighbours) if number < rules.rounds else 0
            added = np.zeros(0, np.int64)
            if wanted and len(missed):
                found = search(pool, vectors, embed(asked[missed]), answers[missed], labels, rules, chosen, barred, progress)
                added = joining(found, pool, chosen, wanted, rules)
            rounds.append(Round(len(with_extra[0]), len(missed), len(drive), judged, len(added)))
            said(
                f"round {number + 1}: {counted(len(with_extra[0]), 'training image')}, {len(missed)} of {len(drive)} predicted "
                f"wrongly, accuracy on the judge's part {judged:.3f}; {counted(len(added), 'augmentation')} joined"
            )
            if not len(added):
                break
            chosen = np.concatenate([chosen, added])
    except KeyboardInterrupt:
        interrupted = True
        said(f"interrupted; {counted(len(chosen), 'augmentation')} had joined")
    return Boosted(chosen, pool.parent(chosen), tuple(rounds), judge, drive, interrupted)


def parts(labels: np.ndarray, groups: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the validation images that judge (about ``share``) and of those that drive; classes even, equal pixels together.

    Raises:
        ConfigurationError: too few images.
    """
    if len(np.unique(groups)) < 20:
        raise ConfigurationError(
            f"the validation set has {counted(len(labels), 'image')}; two parts of it need at least 20 that differ"
        )
    folds = grouped_folds(labels, groups, 10, seed)
    judge = folds < max(1, min(9, round(10 * share)))
    return np.flatnonzero(judge), np.flatnonzero(~judge)


def search(
    pool: Pool,
    vectors: Embed,
    queries: np.ndarray,
    answers: np.ndarray,
    labels: np.ndarray,
    rules: BoostRules,
    chosen: np.ndarray,
    barred: np.ndarray | None,
    progress: Callable[[float], None],
) -> list[NearestInStream]:
    """The nearest augmentations of the images that were predicted wrongly; a search for each class where it must agree, else one.

    Args:
        vectors: features of the pool's images by their numbers.
        queries: features (q, d) of images with the labels ``answers`` (q,). ``labels``: of the parents.
        chosen: numbers that joined before: an image that stays wrong is given its next neighbours, and not the same again.
    """
    asks = [np.flatnonzero(answers == c) for c in np.unique(answers)] if rules.same_class else [np.arange(len(queries))]
    searches = [NearestInStream(queries[rows], rules.neighbours, rules.per_query) for rows in asks]
    for block in pool.blocks():
        done = (int(block[-1]) + 1) / pool.size
        parents = pool.parent(block)
        allowed = ~np.isin(block, chosen)
        if barred is not None:
            allowed &= ~barred[parents]
        if rules.same_class:
            allowed &= np.isin(labels[parents], answers)
        found = vectors(block)[allowed]
        block, parents = block[allowed], parents[allowed]
        for rows, one in zip(asks, searches, strict=True):
            own = labels[parents] == answers[rows[0]] if rules.same_class else np.ones(len(block), bool)
            if own.any():
                one.add(found[own], block[own], parents[own])
        progress(done)
    return searches


def joining(found: list[NearestInStream], pool: Pool, chosen: np.ndarray, most: int, rules: BoostRules) -> np.ndarray:
    """Which augmentations join: every query's nearest first, then every query's second, and so on; none twice, parents capped."""
    ranked = []
    for one in found:
        for rank in range(one.numbers.shape[1]):
            ranked += [
                (rank, -float(s), int(n)) for s, n in zip(one.similarity[:, rank], one.numbers[:, rank], strict=True) if n >= 0
            ]
    ranked.sort()
    known = set(chosen.tolist())
    new = np.array(list(dict.fromkeys(n for _, _, n in ranked if n not in known)), np.int64)
    # Children that joined before count for their parents.
    order = np.concatenate([chosen, new])
    kept = capped(pool.parent(order), rules.per_parent, len(order))
    return order[kept[kept >= len(chosen)]][:most]
