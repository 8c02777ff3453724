"""What a sweep would run, and how long that will take, from cells that were measured before. Nothing is guessed silently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from evaluator.history.index import Index, Row
from evaluator.records import CellSpec, digest_of
from evaluator.sweep.experiment import Experiment

STARTING_SECONDS = 1.0
"""What starting a worker and importing a submission take about; it is charged to no clock and stands in no result."""


@dataclass(frozen=True)
class Forecast:
    """What is to be done.

    Attributes:
        cells: in all; ``finished``: of them, stored already; ``answers``: to be obtained for the rest.
        training_seconds: of the trainings that something is known of, one after the other; ``answer_seconds``: likewise.
        trainings_unknown, answers_unknown: of which nothing is known; ``answer_limit``: the seconds that submissions are allowed
            for these in all, so that they cannot take (much) longer.
        workers: trainings at a time.
        answer, training: what each is taken for, in seconds, by digest; for a progress line.
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
        """Cells that are not finished."""
        return self.cells - self.finished

    @property
    def seconds(self) -> float | None:
        """Duration, submissions one after the other; an upper bound where ``answers_unknown``; None where a training is unknown."""
        if self.trainings_unknown:
            return None
        return self.answer_seconds + self.answer_limit + self.training_seconds / self.workers

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, without the single durations."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("answer", "training")}
        return plain | {"trainings": self.trainings, "seconds": self.seconds}


class Measured:
    """Durations of stored cells."""

    def __init__(self, rows: Iterable[Row]) -> None:
        per_item: dict[tuple[str, str, int], list[float]] = {}
        sessions: dict[tuple[str, str, str], dict[str, float]] = {}
        for row in rows:
            if row["training_seconds"] and row["items"]:
                key = (row["pipeline_digest"], _kind(row["device"]), row["threads"])
                per_item.setdefault(key, []).append(row["training_seconds"] / row["items"])
            if row["answer_checksum"] and row["session_seconds"]:
                # A changed submission is like the one it was, until it has been measured itself.
                for named in (row["submission_digest"], row["submission"]):
                    sessions.setdefault((named, row["profile"], row["task"]), {})[row["answer_checksum"]] = row["session_seconds"]
        self._per_item = {key: median(seconds) for key, seconds in per_item.items()}
        self._sessions = {key: median(seconds.values()) for key, seconds in sessions.items()}

    def training(self, spec: CellSpec, items: int, digest: str) -> float | None:
        """Median seconds per item of this pipeline, kind of device and number of threads, times ``items``; None where unknown."""
        rate = self._per_item.get((digest, _kind(spec.device), spec.threads))
        return None if rate is None else rate * items

    def session(self, spec: CellSpec) -> float | None:
        """Median seconds of all phases of this submission at this task, whatever the seed, and the start; None where unknown."""
        for named in (spec.submission_digest, spec.submission):
            if (found := self._sessions.get((named, spec.profile.name, spec.task))) is not None:
                return found + STARTING_SECONDS
        return None


def forecast(experiment: Experiment, index: Index) -> Forecast:
    """What is to be done for an experiment, and how long it will take.

    Items of a training are the most that the task allows, since it is not known yet what the submission will do.
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
        answer = spec.answer_digest()
        model = (answer, spec.model_digest())
        # A cell that trains nothing takes no time to judge; a model is trained once for all splits.
        free = not spec.trains or model in models
        items = experiment.plan.items[spec.task]
        trainings[spec.digest()] = 0.0 if free else measured.training(spec, items, pipelines[spec.pipeline.name])
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
    """Unknown durations as the mean of the known ones: a progress line needs a number, and a table never shows these."""
    known = [seconds for seconds in durations.values() if seconds]
    usual = sum(known) / len(known) if known else otherwise
    return {digest: usual if seconds is None else seconds for digest, seconds in durations.items()}


def _kind(device: str) -> str:
    return device.partition(":")[0]
