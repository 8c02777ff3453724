"""``sweep --until``: looks after every few seeds, and an end of the run as soon as every comparison is decided.

The comparisons are those of ``compare`` over the tasks: every submission with the reference, under every condition. Each has an
equal part of alpha, which its looks spend little by little (``scoring.sequential``): the chance of a false finding in
the whole run stays below alpha, although it is looked at often. The largest number of seeds, ``--seeds``, is planned before the
first look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.history.index import Row
from evaluator.scoring.comparisons import Finding
from evaluator.scoring.observations import collapsed, numbered
from evaluator.scoring.paired import decide, deciding_p, paired_tests, rounding_of, sign_flip_p, skew_p
from evaluator.scoring.sequential import nominal_levels
from evaluator.specs import CellSpec
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.table import REFERENCE, group

ALPHA = 0.05
MOST_LOOKS = 100


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks of a sweep.

    Attributes:
        experiment: what is run; ``every``: seeds between two looks; ``reference``: label of the submission that others are compared
            with.
    """

    experiment: Experiment
    every: int
    reference: str

    @classmethod
    def of(cls, experiment: Experiment) -> Looks | None:
        """The looks that are asked for; None if none are.

        Raises:
            ConfigurationError: there is nothing to compare, or the numbers of seeds make no sense.
        """
        every, settings = experiment.settings.until, experiment.settings
        if every is None:
            return None
        called = zip(experiment.entries, experiment.labels.values(), strict=True)
        reference = next((label for entry, label in called if REFERENCE in (entry.label, entry.name)), None)
        if reference is None or len(experiment.labels) < 2:
            seen = ", ".join(experiment.labels.values())
            raise ConfigurationError(
                f"--until: the submissions are {seen}; expected {REFERENCE}, which the others are compared with, and another. Add "
                "baselines/random to --submissions"
            )
        if settings.first_seed:
            raise ConfigurationError(f"--until: --first-seed is {settings.first_seed}; looks begin at seed 0. Leave it out")
        if not 1 < every < settings.seeds or settings.seeds > every * MOST_LOOKS:
            raise ConfigurationError(
                f"--until is {every} and --seeds {settings.seeds}; expected 2 or more seeds between two looks, fewer than --seeds, "
                f"and at most {MOST_LOOKS} looks. --seeds is the largest number that is run, e.g. --seeds 40 --until 10"
            )
        return cls(experiment, every, reference)

    @property
    def ends(self) -> tuple[int, ...]:
        """How many seeds are there at each look."""
        seeds = self.experiment.settings.seeds
        return (*range(self.every, seeds, self.every), seeds)

    @cached_property
    def levels(self) -> dict[int, float]:
        """The p below which a comparison is decided, by the number of seeds."""
        seeds = self.experiment.settings.seeds
        return dict(zip(self.ends, nominal_levels([n / seeds for n in self.ends], ALPHA / len(self.comparisons)), strict=True))

    @cached_property
    def comparisons(self) -> tuple[tuple[str, dict[str, Any], dict[tuple[str, int], str], dict[tuple[str, int], str]], ...]:
        """Submission, condition, and by task and seed the digests of its cells and of the reference's."""
        cells: dict[tuple[Any, ...], dict[str, dict[tuple[str, int], str]]] = {}
        named: dict[tuple[Any, ...], dict[str, Any]] = {}
        for spec in self.experiment.cells:
            key = tuple(group(spec).values())
            named[key] = group(spec)
            for label in self.experiment.rows_of(spec):
                cells.setdefault(key, {}).setdefault(label, {})[spec.task, spec.seed] = spec.digest()
        return tuple(
            (label, named[key], of, labels[self.reference])
            for key, labels in cells.items()
            for label, of in labels.items()
            if label != self.reference
        )

    def parts(self, cells: Sequence[CellSpec]) -> list[tuple[int, list[CellSpec]]]:
        """The cells between two looks, and how many seeds are there after them."""
        starts = (0, *self.ends[:-1])
        return [(end, [spec for spec in cells if start <= spec.seed < end]) for start, end in zip(starts, self.ends, strict=True)]

    def look(self, rows: Mapping[str, Row], seeds: int) -> dict[str, Any]:
        """What the first seeds show, JSON-able; ``rows``: by digest, of the cells that have a result."""
        level = self.levels[seeds]
        found = []
        for label, of_group, ours, theirs in self.comparisons:
            found.append({"submission": label, **of_group, **self._compared(rows, ours, theirs, seeds, level)})
        return {"seeds": seeds, "level": level, "comparisons": found}

    def _compared(
        self,
        rows: Mapping[str, Row],
        ours: Mapping[tuple[str, int], str],
        theirs: Mapping[tuple[str, int], str],
        n: int,
        level: float,
    ) -> dict[str, Any]:
        there = [[rows.get(of[place]) for place in ours if place[1] < n] for of in (ours, theirs)]
        if any(row is not None and not row["scored"] for of in there for row in of):
            return {"difference": None, "p": None, "finding": str(Finding.FAILED)}
        track = self.experiment.track
        metric = track.primary(self.experiment.plan.rules.as_dict())
        tasks = list(dict.fromkeys(task for task, _ in ours))
        means, keys = [], []
        for seed in range(n):
            both = [[rows.get(of[task, seed]) for task in tasks] for of in (ours, theirs)]
            if any(row is None for of in both for row in of):
                continue
            means.append([np.mean([metric.score(row["metrics"][metric.name]) for row in of if row is not None]) for of in both])
            seen = tuple(row["observation"] for of in both for row in of if row is not None)
            keys.append(None if None in seen else seen)
        if not means:
            return {"difference": None, "p": None, "finding": str(Finding.NO_SEED)}
        values = np.array(means).T
        gaps = collapsed(values[0] - values[1], np.array(numbered(keys)))
        rounding = rounding_of(*values)
        tests = paired_tests(gaps, 1 - ALPHA, rounding)
        p = deciding_p(tests, skew_p(gaps))
        sign = int(decide(tests, p * ALPHA / level, sign_flip_p(gaps, rounding=rounding), ALPHA))
        if np.isnan(p):
            finding = Finding.COPIES if tests.n == 1 and len(means) > 1 else Finding.FLAT if tests.n > 1 else Finding.FEW
        else:
            finding = {1: Finding.BETTER, 0: Finding.NOISE, -1: Finding.WORSE}[sign]
        return {"difference": float(tests.mean), "p": None if np.isnan(p) else float(p), "finding": str(finding)}


def decided(look: Mapping[str, Any]) -> bool:
    """Whether no further seed can change a comparison: each has a finding, failed, or is one observation whatever the seeds."""
    ends = {str(of) for of in (Finding.BETTER, Finding.WORSE, Finding.FAILED, Finding.COPIES)}
    return all(row["finding"] in ends for row in look["comparisons"])
