"""What a round costs before it opens: participants x submissions a day x clocks and trainings, on so many machines.

A submission is judged on one machine: its answers one after the other, because its clock is alone there, then the trainings, so
many at a time. Where ``[resources]`` of ``judge.toml`` lets several submissions be judged at once, what has no clock overlaps, and
clocks do as far as ``clocks`` says; trainings are shared out among the jobs. The worst case is what the clocks allow, the longest
training that was measured, and the whole quota of everybody. The expected case is what was measured, and the average of
``round.toml``. What was not measured counts with its limit; a training has none, so it is named, and a figure without it is a lower
bound. Tracks that store no duration of a training are measured by the runs of a sweep: what a run took beside the clocks of its
answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from evaluator.bounded import read_json
from evaluator.errors import ConfigurationError
from evaluator.history.index import Row
from evaluator.judging.resources import Resources
from evaluator.plans import Plan
from evaluator.rounds.terms import Terms
from evaluator.specs import CellSpec, digest_of
from evaluator.sweep.forecast import STARTING_SECONDS
from evaluator.words import counted

PROCESS_SECONDS = 8.0
"""About how long a judge's sweep takes before its first cell and after its last: it is a process of its own."""
HOUR, DAY = 3_600.0, 86_400.0


@dataclass(frozen=True)
class Case:
    """One case, in seconds.

    Attributes:
        clock: of all answers of one submission, one after the other; ``training``: of all its trainings, one after the other.
        longest: of its trainings; ``at_once``: trainings side by side.
        judging: of trainings whose duration is known from whole runs only, as they lay side by side there.
    """

    clock: float
    training: float
    longest: float
    at_once: int
    judging: float = 0.0

    @property
    def wall(self) -> float:
        """Seconds from the begin to the end of one submission, while nothing else waits for a clock."""
        return self.clock + self.beside

    @property
    def beside(self) -> float:
        """Seconds without a clock, in which other submissions may be under way."""
        return PROCESS_SECONDS + self.judging + max(self.longest, self.training / self.at_once)

    def share(self, resources: Resources, machine: int) -> float:
        """Seconds of a machine that one submission takes, where so many are judged at the same time.

        Args:
            machine: trainings that the machine runs at a time; more submissions than that do not overlap in them.
        """
        return self.clock / resources.clocks + self.beside / max(1, min(resources.jobs, machine))


@dataclass(frozen=True)
class PartCost:
    """What one submission costs in a part.

    Attributes:
        answers, trainings: their numbers; ``unmeasured_answers``, ``unmeasured_trainings``: those that nothing was measured of.
    """

    answers: int
    trainings: int
    unmeasured_answers: int
    unmeasured_trainings: int
    expected: Case
    worst: Case


class Durations:
    """What stored cells took, by what decides it.

    Args:
        runs: seconds of whole runs that found nothing stored, and the cells that they made.
    """

    def __init__(self, rows: Mapping[str, Row], runs: Iterable[tuple[float, Sequence[str]]] = ()) -> None:
        self._sessions: dict[tuple[str, str], list[float]] = {}
        self._rates: dict[str, list[float]] = {}
        self.cells = len(rows)
        beside = []
        for seconds, cells in runs:
            clocks = sum(rows[cell]["session_seconds"] or 0.0 for cell in cells if cell in rows)
            beside.append(max(0.0, seconds - clocks) / max(1, len(cells)))
        self.judging = median(beside) if beside else None
        for row in rows.values():
            if row["session_seconds"]:
                self._sessions.setdefault((row["profile"], row["task"]), []).append(row["session_seconds"])
            if row["training_seconds"] and row["items"]:
                self._rates.setdefault(row["pipeline_digest"], []).append(row["training_seconds"] / row["items"])

    def session(self, spec: CellSpec) -> float | None:
        """Median seconds of the phases at this task, over submissions; None if it was not measured."""
        found = self._sessions.get((spec.profile.name, spec.task))
        return median(found) if found else None

    def share(self, specs: Iterable[CellSpec]) -> float | None:
        """Median share of the limit that was used, over the tasks of ``specs`` that were measured; for tasks that were not."""
        found = [seconds / limit(spec) for spec in specs if (seconds := self.session(spec)) is not None and limit(spec)]
        return min(1.0, median(found)) if found else None

    def training(self, digest: str, items: int) -> tuple[float, float] | None:
        """Median and longest seconds of a training on so many items; None if the pipeline was not measured."""
        found = self._rates.get(digest)
        return (median(found) * items, max(found) * items) if found else None


def limit(spec: CellSpec) -> float:
    """Seconds that the phases of a submission may take: its clock, and the limit of a prediction where there is one."""
    return spec.seconds_allowed + float(getattr(spec.profile, "prediction_seconds", 0.0))


def part_cost(plan: Plan, durations: Durations, at_once: int, share: float | None = None) -> PartCost:
    """What one submission costs in a part.

    Args:
        share: of the limit that submissions use at tasks that were not measured; None: all of it.
    """
    answers: dict[str, CellSpec] = {}
    models: dict[tuple[str, str], CellSpec] = {}
    for spec in plan.cells:
        answers.setdefault(spec.answer_digest(), spec)
        if spec.trains:
            models.setdefault((spec.answer_digest(), spec.model_digest()), spec)
    clock = {"expected": 0.0, "worst": 0.0}
    unknown = 0
    for spec in answers.values():
        load = float(getattr(spec.profile, "load_seconds", 0.0))
        seen = durations.session(spec)
        unknown += seen is None
        clock["worst"] += load + limit(spec)
        clock["expected"] += STARTING_SECONDS + (limit(spec) * (1.0 if share is None else share) if seen is None else seen)
    digests = {pipeline.name: digest_of(pipeline.as_dict())[:16] for pipeline in plan.pipelines}
    found = [durations.training(digests[spec.pipeline.name], plan.items.get(spec.task, 1)) for spec in models.values()]
    known = [pair for pair in found if pair is not None]
    missing = len(found) - len(known)
    beside = 0.0 if durations.judging is None else missing * durations.judging
    usual, worst = [pair[0] for pair in known], [pair[1] for pair in known]
    return PartCost(
        answers=len(answers),
        trainings=len(models),
        unmeasured_answers=unknown,
        unmeasured_trainings=missing if durations.judging is None else 0,
        expected=Case(clock["expected"], sum(usual), max(usual, default=0.0), at_once, beside),
        worst=Case(clock["worst"], sum(worst), max(worst, default=0.0), at_once, beside),
    )


@dataclass(frozen=True)
class Load:
    """What all participants together cost in one case, in seconds of wall time unless it says otherwise.

    Attributes:
        submission, private_submission: of one submission in each part.
        a_day: submissions of all participants a day.
        node_day: of each machine a day; ``core_day``: seconds of cores a day, of all machines, idle cores of a busy machine too.
        queue: until everything is judged that comes on the last day, if all of it comes in its last minute; what earlier days left
            comes on top.
        private: of the private part, once it is opened.
        core_round: seconds of cores of the whole round.
    """

    submission: float
    private_submission: float
    a_day: float
    node_day: float
    core_day: float
    queue: float
    private: float
    core_round: float

    @property
    def fits(self) -> bool:
        """Whether a day's submissions are judged within a day."""
        return self.node_day <= DAY

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"fits": self.fits}


def load(terms: Terms, public: Case, private: Case | None, a_day: float, resources: Resources) -> Load:
    """What a case costs. ``a_day``: submissions of each participant a day; ``resources``: of each machine."""
    expected = terms.expected
    machine = resources.cells or expected.at_once
    many = expected.participants * a_day
    node_day = many * public.share(resources, machine) / expected.nodes
    days = max(1.0, terms.days)
    left = max(0.0, node_day - DAY) * (days - 1)
    last = (
        0.0 if private is None else expected.participants * terms.quota.chosen * private.share(resources, machine) / expected.nodes
    )
    return Load(
        submission=public.wall,
        private_submission=0.0 if private is None else private.wall,
        a_day=many,
        node_day=node_day,
        core_day=node_day * expected.nodes * expected.cores,
        # However many machines there are, one submission is on one of them.
        queue=max(left + node_day, public.wall),
        private=0.0 if private is None else max(last, private.wall),
        core_round=(node_day * days + last) * expected.nodes * expected.cores,
    )


@dataclass(frozen=True)
class Forecast:
    """The forecast of a round. ``notes``: what a reader must know of the figures, a sentence each."""

    public: PartCost
    private: PartCost | None
    expected: Load
    worst: Load
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"expected": self.expected.as_dict(), "worst": self.worst.as_dict(), "notes": list(self.notes)}


def runs_of(results: Path) -> list[tuple[float, list[str]]]:
    """Seconds and cells of the sweeps of a results folder that found nothing stored; other runs say little of a duration."""
    found = []
    for file in sorted(results.glob("*/sweep.json")):
        try:
            run = read_json(file)
        except (ConfigurationError, OSError):
            continue
        if isinstance(run, dict) and run.get("cached") == 0 and isinstance(run.get("seconds"), (int, float)) and run.get("cells"):
            found.append((float(run["seconds"]), [str(cell.get("cell")) for cell in run["cells"] if isinstance(cell, dict)]))
    return found


def at_once(terms: Terms, resources: Resources) -> int:
    """Trainings side by side of one submission: what ``judge.toml`` says of a machine, else ``round.toml``, shared by its jobs."""
    return max(1, (resources.cells or terms.expected.at_once) // resources.jobs)


def forecast(
    terms: Terms,
    plans: Mapping[str, Plan],
    durations: Durations | None = None,
    hours: float = 12.0,
    resources: Resources | None = None,
) -> Forecast:
    """The forecast of a round.

    Args:
        plans: of both parts, by name.
        durations: that were measured; None: nothing was.
        hours: after which the judge gives an attempt up.
        resources: of each machine (``judge.toml``); None: one submission at a time.
    """
    durations, resources = durations or Durations({}), resources or Resources()
    trainings = at_once(terms, resources)
    share = durations.share(plans["public"].cells)
    public = part_cost(plans["public"], durations, trainings, share)
    private = part_cost(plans["private"], durations, trainings, share) if "private" in plans else None
    usual = load(terms, public.expected, private.expected if private else None, terms.expected.a_day, resources)
    worst = load(terms, public.worst, private.worst if private else None, float(terms.quota.a_day), resources)
    notes = [*_notes(terms, public, private, usual, worst, durations, share, hours, resources), *_of_the_machine(terms, resources)]
    return Forecast(public, private, usual, worst, tuple(notes))


def _of_the_machine(terms: Terms, resources: Resources) -> Iterable[str]:
    if resources.jobs > 1:
        clocks = "one at a time" if resources.clocks == 1 else f"{resources.clocks} at a time"
        trainings = counted(at_once(terms, resources), "training")
        yield (
            f"{resources.jobs} submissions are judged at once on each node ([resources] of judge.toml): clocks run {clocks}, "
            f"{trainings} of each submission side by side. It is not known whether their memory is there: a job waits until it is"
        )
    if resources.cells and resources.cells != terms.expected.at_once:
        yield (
            f"at-once of round.toml is {terms.expected.at_once} and cells of judge.toml is {resources.cells}; the judge "
            "goes by its own figure, and so does this forecast"
        )


def _notes(
    terms: Terms,
    public: PartCost,
    private: PartCost | None,
    usual: Load,
    worst: Load,
    durations: Durations,
    share: float | None,
    hours: float,
    resources: Resources,
) -> Iterable[str]:
    parts = [public, *([private] if private else [])]
    if not durations.cells:
        # What a round of curation is judged by is not published, since it names the hidden test set.
        file = "keep/judge/public.toml" if terms.track == "curation" else "publish/public.toml"
        yield (
            "nothing was measured: answers count with their limits, and trainings are not counted. Judge a baseline by "
            f"`python -m evaluator sweep --track {terms.track} --file {file} --submissions BASELINE --out DIR`, and name DIR with "
            "--measured"
        )
    elif share is not None and any(part.unmeasured_answers for part in parts):
        yield f"tasks that were not measured are expected to use {share:.1%} of their limit, as the measured tasks did"
    if missing := sum(part.unmeasured_trainings for part in parts):
        every = sum(part.trainings for part in parts)
        yield f"{missing} of {every} trainings of a submission were not measured and are not counted: every figure is a lower bound"
    for what, of in (("expected", usual), ("worst", worst)):
        if not of.fits:
            nodes = int(-(-of.node_day * terms.expected.nodes // DAY))
            yield f"in the {what} case a day's submissions take {of.node_day / HOUR:.1f} h on each node; {nodes} nodes would do"
    # An attempt also waits for the clocks of the jobs beside it.
    waiting = max(0, resources.jobs - resources.clocks) / resources.clocks
    longest = max(part.worst.wall + waiting * part.worst.clock for part in parts)
    if longest > hours * HOUR:
        yield f"a submission may take {longest / HOUR:.1f} h, and the judge ends it after {hours:g} h. Raise hours in judge.toml"
    if terms.closes is None:
        yield "the round has no end (closes), so the whole round counts as one day"
