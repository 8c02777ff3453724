"""What one source says of the labels of a benchmark: which labels are right for which image.

A source is a file of corrections, reassessed label sets, or what people answered. Sources disagree, so an audit takes several and
never makes them one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluator.audit.answers import Answers
from evaluator.audit.benchmark import Benchmark
from evaluator.audit.kinds import kinds_of
from evaluator.audit.sets import LabelSets, combined
from evaluator.bounded import BoundsError
from evaluator.text import one_line


@dataclass(frozen=True, eq=False)
class Corrections:
    """A source's valid labels.

    Attributes:
        source: its name.
        ids: the images that it names.
        sets: the labels that are right for each of them; an empty set: no label fits. May be what was given. Of raw answers only
            what was asked about: a given label that nobody was asked about stays right.
        whole: whether it speaks of every image, so that those which it does not name keep their label; else only of ``ids``.
        original: the labels that the source takes for the given ones, where it says so; checked against the benchmark.
        answers: what people answered, where the sets come from that; the interval can then include who was asked.
        file: where it was read, for messages; ``lines``: the line of each id there, 0 where there are no lines.
    """

    source: str
    ids: tuple[str, ...]
    sets: LabelSets
    whole: bool = True
    original: LabelSets | None = None
    answers: Answers | None = None
    file: str = ""
    lines: Sequence[int] = field(default=())

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.sets) or (self.original is not None and len(self.original) != len(self.ids)):
            raise ValueError(f"{len(self.ids)} ids and {len(self.sets)} sets of labels; expected a set for each id")

    def where(self, row: int | None = None) -> str:
        """What messages call it, or a row of it."""
        name = self.file or one_line(self.source, 60)
        if row is None:
            return name
        return f"{name}, line {self.lines[row]}" if row < len(self.lines) and self.lines[row] else name

    def aligned(self, benchmark: Benchmark) -> Source:
        """The same in the order of a benchmark.

        Raises:
            IdsError: ids are unknown or doubled.
            BoundsError: a label that the benchmark does not have, another original label, or a correction that corrects nothing;
                the message names the file, the line and the value.
        """
        places = benchmark.places(self.ids, self.where(), all_of_them=False)
        classes = len(benchmark.classes)
        if (bad := np.flatnonzero(self.sets.labels >= classes)).size:
            row = int(self.sets.image[bad[0]])
            raise BoundsError(
                f"{self.where(row)}: {one_line(self.ids[row], 60)} has the label {self.sets.labels[bad[0]]}; expected 0 to "
                f"{classes - 1}. Correct it, or say with --classes how many there are"
            )
        given = benchmark.given.take(places)
        if self.original is not None:
            self._check(given)
        sets = self.sets if self.answers is None else combined([self.sets, self.answers.not_asked(given)], 1)
        sets = benchmark.given.replaced(places, sets)
        reviewed = np.full(len(benchmark), self.whole)
        reviewed[places] = True
        return Source(self.source, sets, reviewed, kinds_of(benchmark.given, sets, multi=benchmark.multi), self.answers)

    def _check(self, given: LabelSets) -> None:
        assert self.original is not None
        other = np.flatnonzero(~given.equal(self.original))
        if other.size:
            row = int(other[0])
            raise BoundsError(
                f"{self.where(row)}: {one_line(self.ids[row], 60)} has the original label {said(self.original[row])} there, and "
                f"{said(given[row])} in the labels ({other.size:,} such rows); expected the same. Are both of one revision of the "
                "benchmark, and are classes numbered alike?"
            )


@dataclass(frozen=True, eq=False)
class Source:
    """A source in the order of a benchmark of n images.

    Attributes:
        name: of the source.
        sets: the valid labels of every image; of an image that was not reviewed those that were given.
        reviewed: bool (n,), whether the source speaks of an image.
        kinds: int8 (n,), values of ``Kind``.
        answers: see ``Corrections``.
    """

    name: str
    sets: LabelSets
    reviewed: np.ndarray
    kinds: np.ndarray
    answers: Answers | None = None

    @property
    def flagged(self) -> np.ndarray:
        """bool (n,), whether the source says that the given label is wrong, or not the only right label."""
        return self.kinds != 0


def said(labels: Sequence[int]) -> str:
    """A set of labels for a message: as a file of corrections has it."""
    return ",".join(map(str, labels[:SHOWN])) + ("..." if len(labels) > SHOWN else "") if labels else "-1"


SHOWN = 12
"""Labels of a set that a message names."""
