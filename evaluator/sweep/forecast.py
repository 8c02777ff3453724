"""Forecast of a sweep: what it would run, and how long that takes, from durations of stored cells. Unknown durations are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from evaluator.history.index import Index, Row
from evaluator.specs import CellSpec, digest_of
from evaluator.sweep.experiment import Experiment

STARTING_SECONDS = 1.0
"""About how long it takes to start a worker and import a submission. No clock counts this time, and no result stores it."""


@dataclass(frozen=True)
class Forecast:
    """The work of a sweep, and its duration.

    Attributes:
        cells: number of all cells; ``finished``: cells that are stored already; ``answers``: answers that must be obtained.
        training_seconds: sum of the known durations of trainings; ``answer_seconds``: sum of the known durations of answers.
        trainings_unknown, answers_unknown: numbers of trainings and answers without a known duration.
        answer_limit: sum of the time limits of those answers, in seconds; they cannot take much longer.
        workers: trainings at a time.
        answer, training: expected seconds of each answer and each training, by digest, for a progress line; unknown durations are
            replaced by a mean.
    """

    cells: int
    finished: int
    answers: int
    training_seconds: float
    trainings_unknown: int
    answer_seconds: float
    answers_unknown: int
    answer_limit: float
    workers: int
    answer: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, float] = field(default_factory=dict)

    @property
    def trainings(self) -> int:
        """Number of cells that are not finished."""
        return self.cells - self.finished

    @property
    def seconds(self) -> float | None:
        """Duration of the whole sweep: an upper bound if answers are unknown, None if trainings are unknown."""
        if self.trainings_unknown:
            return None
        return self.answer_seconds + self.answer_limit + self.training_seconds / self.workers

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, without ``answer`` and ``training``."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("answer", "training")}
        return plain | {"trainings": self.trainings, "seconds": self.seconds}


class Measured:
    """Durations of stored cells."""

    def __init__(self, rows: Iterable[Row]) -> None:
        per_item: dict[tuple[str, str, int, bool], list[float]] = {}
        sessions: dict[tuple[str, str, str], dict[str, float]] = {}
        for row in rows:
            if row["training_seconds"] and row["items"]:
                key = (row["pipeline_digest"], _kind(row["device"]), row["threads"], bool(row["beside_others"]))
                per_item.setdefault(key, []).append(row["training_seconds"] / row["items"])
            if row["answer_checksum"] and row["session_seconds"]:
                # Until a changed submission was measured itself, it is expected to take as long as before.
                for named in (row["submission_digest"], row["submission"]):
                    sessions.setdefault((named, row["profile"], row["task"]), {})[row["answer_checksum"]] = row["session_seconds"]
        self._per_item = {key: median(seconds) for key, seconds in per_item.items()}
        self._sessions = {key: median(seconds.values()) for key, seconds in sessions.items()}

    def training(self, spec: CellSpec, items: int | None, digest: str, together: int = 1) -> float | None:
        """Expected seconds: median per item for the pipeline, kind of device and threads, times ``items``; None if unknown.

        Args:
            together: trainings that are to share the device. Durations beside others count first where there are others, and those
                alone where there are none. Where only those of the other kind are known, the figure is an upper bound: sharing
                is taken to win nothing.
        """
        key = (digest, _kind(spec.device), spec.threads)
        alone, beside = (self._per_item.get((*key, shared)) for shared in (False, True))
        if together > 1 and _kind(spec.device) != "cpu":
            rate = beside if beside is not None else None if alone is None else alone * together
        else:
            rate = alone if alone is not None else beside
        return None if rate is None or items is None else rate * items

    def session(self, spec: CellSpec) -> float | None:
        """Expected seconds: median over the seeds of this submission's phases at this task, and its start; None if unknown."""
        for named in (spec.submission_digest, spec.submission):
            if (found := self._sessions.get((named, spec.profile.name, spec.task))) is not None:
                return found + STARTING_SECONDS
        return None


def forecast(experiment: Experiment, index: Index) -> Forecast:
    """The work that an experiment still has to do, and its duration.

    A training is counted with the most items that its task allows, because it is not known yet what the submission will do.
    """
    measured = Measured(index.cells.values())
    finished = experiment.finished(index)
    pending = [spec for spec in experiment.cells if spec.digest() not in finished]
    pipelines = {pipeline.name: digest_of(pipeline.as_dict())[:16] for pipeline in experiment.plan.pipelines}
    trainings: dict[str, float | None] = {}
    answers: dict[str, float | None] = {}
    models: set[tuple[str, str]] = set()
    limit = 0.0
    for spec in pending:
        if experiment.source(spec).fault:  # nothing of it is run
            trainings[spec.digest()] = 0.0
            continue
        answer = spec.answer_digest()
        model = (answer, spec.model_digest())
        # A cell that trains nothing is judged in no time, and a model is trained once for all splits.
        free = not spec.trains or model in models
        items = experiment.plan.items.get(spec.task)
        expected = measured.training(spec, items, pipelines[spec.pipeline.name], experiment.together)
        trainings[spec.digest()] = 0.0 if free else expected
        models.add(model)
        if answer not in answers and experiment.answered(spec, index) is None:
            answers[answer] = measured.session(spec)
            limit += 0.0 if answers[answer] is not None else spec.seconds_allowed
    unknown = sum(seconds is None for seconds in answers.values())
    return Forecast(
        cells=len(experiment.cells),
        finished=len(finished),
        answers=len(answers),
        training_seconds=sum(seconds or 0.0 for seconds in trainings.values()),
        trainings_unknown=sum(seconds is None for seconds in trainings.values()),
        answer_seconds=sum(seconds or 0.0 for seconds in answers.values()),
        answers_unknown=unknown,
        answer_limit=limit,
        workers=experiment.workers,
        answer=_filled(answers, limit / unknown if unknown else 1.0),
        training=_filled(trainings, 30.0),
    )


def _filled(durations: dict[str, float | None], otherwise: float) -> dict[str, float]:
    """``durations`` with the mean of the known durations in place of unknown ones; only for a progress line, never for a table."""
    known = [seconds for seconds in durations.values() if seconds]
    usual = sum(known) / len(known) if known else otherwise
    return {digest: usual if seconds is None else seconds for digest, seconds in durations.items()}


def _kind(device: str) -> str:
    return device.partition(":")[0]
