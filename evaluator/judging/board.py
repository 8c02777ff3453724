"""Leaderboards: a line for each participant, with the submission that was best when it was sent, and ties where noise decides.

**The Ladder.** Whoever sees a figure for every submission can climb a board by noise alone. So a new submission takes the place of
its participant only if it beats the one there beyond noise: paired by seed, the one-sided lower bound (95 %, Student's t) of the
mean difference is above 0. With a single seed nothing is known of the noise, and a fixed step decides. This is the Ladder of Blum &
Hardt (2015, "The Ladder: a reliable leaderboard for machine learning competitions"), with the noise of seeds in the place of that
of test images.

**Ties.** A participant's rank is one more than the number of participants who are better beyond noise (two-sided, 95 %, paired by
seed). Each comparison is made by itself: of a hundred between equals, some five are called by chance, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special

from evaluator.errors import ConfigurationError
from evaluator.judging.feedback import verdict_shown
from evaluator.scoring.intervals import SAME, Interval, mean_of_seeds
from evaluator.tables import Metric

STEP = 0.005
"""By how much a single seed must be better: half of the last digit that people trust."""
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Scored:
    """A judged submission.

    Attributes:
        number: of the submission; ``received``: seconds since 1970.
        scores: the score of every seed, the mean over tasks and pipelines, higher is better; empty where a cell failed.
        value: the metric's own mean with its interval over seeds; without bounds where all seeds gave the same figure, which
            tells nothing of the noise; None where a cell failed.
        collapsed: cells of the mean whose model learnt nothing (``Track.collapsed``).
        verdict: of the run, as far as its tasks are shown; ``data``: digests of what was scored; ``version``: of the rules.
        metric_version: of the track's judging code, which computed the figures; 0 where it is not stored.
        package: SHA-256 of what was sent; ``judged``: seconds since 1970, or None.
        detail: the rest of what the judge stored, for the page of the submission.
    """

    number: int
    participant: str
    name: str
    received: float
    scores: Mapping[int, float]
    value: Interval | None
    verdict: str
    version: int
    collapsed: int = 0
    data: Mapping[str, str] = field(default_factory=dict)
    metric_version: int = 0
    package: str = ""
    judged: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean score over seeds; only of a submission with scores."""
        return float(np.mean(list(self.scores.values())))


@dataclass(frozen=True, eq=False)
class Line:
    """A line of a board.

    Attributes:
        rank: 1 for the best; equal where noise decides. ``shown``: the submission that stands for the participant.
        sent: submissions of the participant that were judged; ``ties``: participants with the same rank, this one included.
        before: the same submission under the version of the rules before, where it was judged under it.
    """

    rank: int
    participant: str
    shown: Scored
    sent: int
    ties: int
    before: Scored | None = None


def scored(row: Mapping[str, Any], metric: Metric, word: str, whole: bool = False) -> Scored:
    """A judged submission of a row of ``Queue.results``.

    A mean is over all tasks and pipelines of a seed. A submission of which a cell failed has no score: the mean over those that it
    survived would be too good.

    Args:
        word: what the track calls a task.
        whole: count hidden tasks, too, as the private part does. If not, they count only where every task is hidden: from a mean
            over known and hidden tasks whoever knows the former could tell the latter.
    """
    result = row["result"] or {}
    cells = result.get("cells", [])
    if not all(isinstance(cell, Mapping) for cell in cells):
        raise ConfigurationError(f"submission {row['submission']}: its stored result has a cell that is no object")
    known = set(() if whole else result.get("known", ()))
    every, cells = cells, [cell for cell in cells if cell.get(word) in known] or cells
    verdict = row["verdict"] if len(cells) == len(every) else verdict_shown(cells, word, known)
    by_seed: dict[int, list[float]] = {}
    for cell in cells:
        if cell["score"] is not None:
            by_seed.setdefault(cell["seed"], []).append(float(cell["score"]))
    seeds = {cell["seed"] for cell in cells}
    each = len(cells) // len(seeds) if seeds else 0
    whole = bool(seeds) and all(len(by_seed.get(seed, [])) == each for seed in seeds)
    values = {seed: float(np.mean(by_seed[seed])) for seed in sorted(seeds)} if whole else {}
    return Scored(
        number=row["submission"],
        participant=row["participant"],
        name=row["name"],
        received=row["received"],
        scores={seed: metric.score(value) for seed, value in values.items()},
        value=mean_of_seeds(values.values(), LEVEL) if values else None,
        verdict=verdict,
        version=row["version"],
        collapsed=sum(bool(cell.get("collapsed")) for cell in cells if cell["score"] is not None),
        data=_flat(result.get("data", {})),
        metric_version=int(result.get("metric_version", 0)),
        package=row.get("sha256", ""),
        judged=row.get("ended"),
        detail=result,
    )


def _flat(digests: Mapping[str, Any]) -> dict[str, str]:
    """Digests by split, of those that a sweep stores for every split that is scored."""
    found: dict[str, str] = {}
    for split, of in digests.items():
        found |= {str(name): str(digest) for name, digest in (of.items() if isinstance(of, Mapping) else [(split, of)])}
    return found


def newest_version(found: Sequence[Scored]) -> list[Scored]:
    """Those of the highest version of the rules: figures of two versions are never on one board."""
    last = max((one.version for one in found), default=0)
    return [each for each in found if each.version == last]


def version_before(found: Sequence[Scored]) -> dict[int, Scored]:
    """By number of the submission, those of the highest version of the rules below the newest; empty where there is one version."""
    last = max((each.version for each in found), default=0)
    old = max((each.version for each in found if each.version < last), default=None)
    return {each.number: each for each in found if each.version == old}


def not_yet(found: Sequence[Scored]) -> int:
    """How many submissions were judged under an older version of the rules and not under the newest."""
    return len({each.number for each in found} - {each.number for each in newest_version(found)})


def data_scored(found: Sequence[Scored]) -> dict[str, list[str]]:
    """The digests of the data that were scored, by split. Of more than one for a split, figures are not to be compared."""
    splits: dict[str, set[str]] = {}
    for of in found:
        for split, digest in of.data.items():
            splits.setdefault(split, set()).add(digest)
    return {split: sorted(digests) for split, digests in sorted(splits.items())}


def ladder(sent: Sequence[Scored], step: float = STEP) -> Scored | None:
    """The submission that stands for a participant: the first with a score, then each that beats the one there beyond noise.

    Args:
        sent: of one participant. ``step``: see ``STEP``.
    """
    best: Scored | None = None
    for new in sorted(sent, key=lambda of: (of.received, of.number)):
        if new.scores and (best is None or beats(new, best, step)):
            best = new
    return best


def beats(new: Scored, old: Scored, step: float = STEP) -> bool:
    """Whether a submission is better than another beyond noise, one-sided."""
    bound = _bound(_differences(new, old), LEVEL)
    return bound > 0 if bound is not None else new.mean > old.mean + step


def board(found: Sequence[Scored], step: float = STEP) -> list[Line]:
    """The lines of a board, best first. Participants without a score are not on it."""
    sent: dict[str, list[Scored]] = {}
    for each in newest_version(found):
        sent.setdefault(each.participant, []).append(each)
    best = {name: shown for name, of in sent.items() if (shown := ladder(of, step)) is not None}
    ordered = sorted(best.values(), key=lambda of: (-of.mean, of.received, of.participant))
    better = _better(ordered, step)
    ranks = 1 + better.sum(axis=1)
    # Noise is not transitive; a line below another never has a better rank.
    ranks = np.maximum.accumulate(ranks) if len(ranks) else ranks
    before = version_before(found)
    return [
        Line(int(rank), of.participant, of, len(sent[of.participant]), int((ranks == rank).sum()), before.get(of.number))
        for of, rank in zip(ordered, ranks, strict=True)
    ]


def _better(ordered: Sequence[Scored], step: float) -> np.ndarray:
    """bool (n, n): whether the participant of a column is better than that of a row beyond noise, two-sided."""
    n = len(ordered)
    found = np.zeros((n, n), bool)
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, of in enumerate(ordered):
        groups.setdefault(tuple(sorted(of.scores)), []).append(place)
    if len(groups) == 1 and len(next(iter(groups))) > 1:  # the usual case, at once
        scores = np.array([[of.scores[seed] for seed in sorted(of.scores)] for of in ordered])
        seeds = scores.shape[1]
        quantile = float(special.stdtrit(seeds - 1, (1 + LEVEL) / 2))
        for row in range(n):
            differences = scores - scores[row]
            spread = differences.std(axis=1, ddof=1) / np.sqrt(seeds)
            mean = differences.mean(axis=1)
            found[row] = np.where(spread > SAME, mean - quantile * spread > 0, mean > step)
        return found
    for row in range(n):
        for column in range(n):
            bound = _bound(_differences(ordered[column], ordered[row]), (1 + LEVEL) / 2)
            above = ordered[column].mean - ordered[row].mean
            found[row, column] = bound > 0 if bound is not None else above > step
    return found


def _differences(new: Scored, old: Scored) -> np.ndarray:
    common = sorted(set(new.scores) & set(old.scores))
    return np.array([new.scores[seed] - old.scores[seed] for seed in common])


def _bound(differences: np.ndarray, level: float) -> float | None:
    """The one-sided lower bound of a mean; None where one value, or no spread, tells nothing."""
    if len(differences) < 2:
        return None
    spread = float(differences.std(ddof=1)) / len(differences) ** 0.5
    if spread <= SAME:
        return None
    return float(differences.mean()) - float(special.stdtrit(len(differences) - 1, level)) * spread
