"""Who was asked: the bootstrap over raters, together with that over images, where a source's raw answers are there.

In every draw as many raters as there are are drawn with replacement, and each of their answers counts as often as its rater was
drawn; the valid labels follow anew from the answers, then the views, and at the same time the images are drawn anew. So the
intervals include that other people would have been asked. A question of which no rater was drawn keeps what everybody's answers
say of it, so that with a few answers a question the intervals are a little too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Source
from evaluator.audit.draws import Drawn
from evaluator.audit.views import Name
from evaluator.seeds import generator

BLOCK = 50
VIEWS = (Name.WITHOUT_MISLABELLED, Name.CLEAN, Name.CORRECTED, Name.REAL)
"""Views that are made anew from drawn answers, in tasks with a class per image."""


@dataclass(frozen=True, eq=False)
class _Questions:
    """The questions of a source in the order of a benchmark; ``fixed`` stand for given labels that nobody was asked about.

    Attributes:
        image, label: int64 (q,); ``given``: bool (q,), whether the label is the given label; ``hit``: float32 (q, m), whether a
            model predicts it. The last ``fixed`` of them were not asked and are always accepted.
    """

    image: np.ndarray
    label: np.ndarray
    given: np.ndarray
    hit: np.ndarray
    fixed: int


def redrawn(benchmark: Benchmark, source: Source, right: np.ndarray, first: np.ndarray, draws: int, seed: int) -> Drawn:
    """Sums over drawn raters and images, of the views ``VIEWS``.

    Args:
        source: with answers, in the order of the benchmark, whose images have a class each.
        right: bool (n, m); ``first``: int (n, m), the likeliest class of each model.
    """
    answers = source.answers
    assert answers is not None
    asked = _questions(benchmark, source, first)
    n, m = right.shape
    base = right.astype(np.float32)
    reviewed = np.flatnonzero(source.reviewed)
    place = np.full(n, -1)
    place[reviewed] = np.arange(len(reviewed))
    rows = place[asked.image]
    left = base[reviewed]
    rng = generator(seed, "audit", "raters", source.name)
    sums = np.empty((len(VIEWS), draws, m), np.float32)
    images = np.empty((len(VIEWS), draws), np.float32)
    for begin in range(0, draws, BLOCK):
        size = min(BLOCK, draws - begin)
        weight = np.empty((size, n), np.float32)
        accepted = np.ones((size, len(asked.image)), np.float32)
        several, kept = np.empty((size, len(reviewed)), np.float32), np.empty((size, len(reviewed)), np.float32)
        for row in range(size):
            weight[row] = np.bincount(rng.integers(0, n, n), minlength=n)
            people = np.bincount(rng.integers(0, len(answers.raters), len(answers.raters)), minlength=len(answers.raters))
            accepted[row, : len(asked.image) - asked.fixed] = answers.accepted(people)
            several[row] = np.bincount(rows, accepted[row], minlength=len(reviewed))
            kept[row] = np.bincount(rows, accepted[row] * asked.given, minlength=len(reviewed))
        own = weight[:, reviewed]
        everything, all_images = weight @ base, weight.sum(axis=1)
        outside, other_images = everything - own @ left, all_images - own.sum(axis=1)
        alone = (several == 1) & (kept == 0)
        clean = own * ((several == 1) & (kept == 1))
        mine = own * kept
        counted = weight[:, asked.image] * accepted
        moved = counted * alone[:, rows]
        at = slice(begin, begin + size)
        sums[0, at], images[0, at] = everything - (own * alone) @ left, all_images - (own * alone).sum(axis=1)
        sums[1, at], images[1, at] = outside + clean @ left, other_images + clean.sum(axis=1)
        sums[2, at] = outside + mine @ left + moved @ asked.hit
        images[2, at] = other_images + mine.sum(axis=1) + (own * alone).sum(axis=1)
        sums[3, at], images[3, at] = outside + counted @ asked.hit, other_images + (own * (several > 0)).sum(axis=1)
    return Drawn(sums, images)


def _questions(benchmark: Benchmark, source: Source, first: np.ndarray) -> _Questions:
    answers = source.answers
    assert answers is not None
    places = np.array([benchmark.index[id_] for id_ in answers.ids], np.int64)
    image, label, _ = answers.questions
    given = benchmark.given.take(places)
    silent = answers.not_asked(given)
    images = places[np.concatenate([image, silent.image])]
    labels = np.concatenate([label, silent.labels])
    hit = (first[images] == labels[:, None]).astype(np.float32)
    return _Questions(images, labels, benchmark.labels[images] == labels, hit, len(silent.labels))
