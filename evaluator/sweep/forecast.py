"""What a sweep would run, and how long that will take, from cells that were measured before. Nothing is guessed silently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from evaluator.history.index import Catalogue, Row, pipeline_digest
from evaluator.purchase.spec import CellSpec
from evaluator.sweep.experiment import Experiment

STARTING_SECONDS = 1.0
"""What starting a worker and importing a submission take about; it is charged to no clock and stands in no result."""


@dataclass(frozen=True)
class Forecast:
    """What is to be done.

    Attributes:
        cells: in all; ``finished``: of them, stored already; ``purchases``: to be made for the rest.
        training_seconds: of the trainings that something is known of, one after the other; ``purchase_seconds``: likewise.
        trainings_unknown, purchases_unknown: of which nothing is known; ``purchase_limit``: the seconds that these purchases are
            allowed in all, so that they cannot take (much) longer.
        workers: trainings at a time.
        purchase, training: what each is taken for, in seconds, by digest; for a progress line.
    """

    cells: int
    finished: int
    purchases: int
    training_seconds: float
    trainings_unknown: int
    purchase_seconds: float
    purchases_unknown: int
    purchase_limit: float
    workers: int
    purchase: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, float] = field(default_factory=dict)

    @property
    def trainings(self) -> int:
        """Cells that are not finished."""
        return self.cells - self.finished

    @property
    def seconds(self) -> float | None:
        """Duration, purchases one after the other; an upper bound where ``purchases_unknown``; None where a training is unknown."""
        if self.trainings_unknown:
            return None
        return self.purchase_seconds + self.purchase_limit + self.training_seconds / self.workers

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, without the single durations."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("purchase", "training")}
        return plain | {"trainings": self.trainings, "seconds": self.seconds}


class Measured:
    """Durations of stored cells."""

    def __init__(self, rows: Iterable[Row]) -> None:
        per_item: dict[tuple[str, str, int], list[float]] = {}
        purchases: dict[tuple[str, str, str], dict[str, float]] = {}
        for row in rows:
            if row["training_seconds"] and row["items"]:
                key = (row["pipeline_digest"], _kind(row["device"]), row["threads"])
                per_item.setdefault(key, []).append(row["training_seconds"] / row["items"])
            if row["purchase_checksum"] and row["session_seconds"]:
                # A changed strategy is like the one it was, until it has been measured itself.
                for who in (row["submission_digest"], row["submission"]):
                    purchases.setdefault((who, row["profile"], row["pair"]), {})[row["purchase_checksum"]] = row["session_seconds"]
        self._per_item = {key: median(seconds) for key, seconds in per_item.items()}
        self._purchases = {key: median(seconds.values()) for key, seconds in purchases.items()}

    def training(self, spec: CellSpec, items: int, digest: str) -> float | None:
        """Median seconds per item of this pipeline, kind of device and number of threads, times ``items``; None where unknown."""
        rate = self._per_item.get((digest, _kind(spec.device), spec.threads))
        return None if rate is None else rate * items

    def purchase(self, spec: CellSpec) -> float | None:
        """Median seconds of all phases of this submission at this pair, whatever the seed, and the start; None where unknown."""
        for who in (spec.submission_digest, spec.submission):
            if (found := self._purchases.get((who, spec.profile.name, spec.pair.name))) is not None:
                return found + STARTING_SECONDS
        return None


def forecast(experiment: Experiment, catalogue: Catalogue) -> Forecast:
    """What is to be done for an experiment, and how long it will take.

    Items of a training are the training set and all that the budget allows, since it is not known yet what will be bought.
    """
    measured = Measured(catalogue.cells.values())
    finished = experiment.finished(catalogue)
    pending = [spec for spec in experiment.cells if spec.digest() not in finished]
    pipelines = {id(p): pipeline_digest(p.as_dict()) for plan in experiment.plans for p in plan.pipelines}
    trainings: dict[str, float | None] = {}
    purchases: dict[str, float | None] = {}
    models: set[tuple[str, str]] = set()
    limit = 0.0
    for spec in pending:
        counts = experiment.sets[spec.score_split].counts()
        items = counts["training"] + min(spec.profile.budget(spec.pair), counts["unlabelled"])
        purchase = spec.purchase_digest()
        model = (purchase, spec.training_digest())
        # A round that scores the participant's own predictions trains nothing; a model is trained once for all splits.
        free = not spec.trains or model in models
        trainings[spec.digest()] = 0.0 if free else measured.training(spec, items, pipelines[id(spec.pipeline)])
        models.add(model)
        if purchase not in purchases and experiment.bought(purchase, catalogue) is None:
            purchases[purchase] = measured.purchase(spec)
            limit += 0.0 if purchases[purchase] is not None else spec.profile.seconds(spec.pair)
    unknown = sum(seconds is None for seconds in purchases.values())
    return Forecast(
        cells=len(experiment.cells),
        finished=len(finished),
        purchases=len(purchases),
        training_seconds=sum(seconds or 0.0 for seconds in trainings.values()),
        trainings_unknown=sum(seconds is None for seconds in trainings.values()),
        purchase_seconds=sum(seconds or 0.0 for seconds in purchases.values()),
        purchases_unknown=unknown,
        purchase_limit=limit,
        workers=experiment.workers,
        purchase=_filled(purchases, limit / unknown if unknown else 1.0),
        training=_filled(trainings, 30.0),
    )


def _filled(durations: dict[str, float | None], otherwise: float) -> dict[str, float]:
    """Unknown durations as the mean of the known ones: a progress line needs a number, and a table never shows these."""
    known = [seconds for seconds in durations.values() if seconds]
    usual = sum(known) / len(known) if known else otherwise
    return {digest: usual if seconds is None else seconds for digest, seconds in durations.items()}


def _kind(device: str) -> str:
    return device.partition(":")[0]
