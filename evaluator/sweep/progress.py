"""What a person sees before and during a sweep, or the run of one submission."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import TaskID

from evaluator.history import layout
from evaluator.history.index import Index
from evaluator.plans import Making
from evaluator.report.console import show_failure
from evaluator.report.live import Live
from evaluator.runner.cells import OBTAINED, Finished
from evaluator.secret import root_in_words
from evaluator.specs import CellSpec
from evaluator.submission.source import GIVEN
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.faults import Faults
from evaluator.sweep.forecast import STARTING_SECONDS, Forecast
from evaluator.text import one_line
from evaluator.words import counted


def sweep_rows(experiment: Experiment, forecast: Forecast) -> list[tuple[str, str]]:
    """Lines that describe a sweep before it runs, and how long it will take: label and text of each."""
    settings, plan = experiment.settings, experiment.plan
    first = _first(experiment)
    trains = any(spec.trains for spec in experiment.cells)
    return [
        ("submissions", f"{len(experiment.labels)}: {', '.join(experiment.labels.values())}"),
        *plan.shown,
        ("pipelines", "none" if plan.no_pipeline else ", ".join(pipeline.name for pipeline in plan.pipelines)),
        ("seeds", f"{settings.seeds}{first} ({root_of_draws(experiment)}); scored on {', '.join(experiment.splits)}"),
        ("isolation", _isolation(experiment)),
        *([("trainings", _room(experiment))] if trains else []),
        *([("data sets", making_in_words(plan.making))] if plan.making else []),
        ("cells", f"{forecast.cells}: {forecast.finished} finished before, {forecast.trainings} to run"),
        ("submissions to run", _submissions(forecast)),
        ("time", time_needed(forecast)),
    ]


def further_seeds(experiment: Experiment, index: Index) -> str:
    """A note on a run that adds seeds to others that may have been looked at; empty if it does not."""
    old = experiment.finished(index)
    whole = {spec.seed for spec in experiment.cells if spec.digest() in old}
    new = len(set(experiment.settings.seed_numbers) - whole)
    if len(whole) < 2 or not new:
        return ""
    return (
        f"{counted(len(whole), 'seed')} finished before, {new} more to run. If the number of seeds follows from what the first "
        "seeds showed, p values are too small: plan the number, or look often with --until (docs/statistics.md)."
    )


def making_in_words(making: Making) -> str:
    """How many data sets there are, and what those cost that had to be made."""
    if not making.missing:
        return f"{making.sets}: all made before"
    cost = f"about {duration(making.missing * making.seconds)} and {making.missing * making.size / 1e6:,.0f} MB"
    return f"{making.sets}: {making.missing} made before the first cell, {cost}"


def _submissions(forecast: Forecast) -> str:
    """How many answers must be obtained; if none, why not."""
    stored = forecast.trainings and not forecast.answers
    return f"{forecast.answers}" + (": the stored answers of earlier runs are used" if stored else "")


def run_rows(experiment: Experiment, manifest: str = "") -> list[tuple[str, str]]:
    """Lines that describe the run of one submission before it starts. ``manifest``: a line from its aicrowd.json, or empty."""
    source, settings, plan = experiment.sources[0], experiment.settings, experiment.plan
    rows = [("submission", f"{experiment.labels[source.path]} ({source.digest[:12]})")]
    rows += [("manifest", manifest)] if manifest else []
    rows += plan.shown
    trains = any(spec.trains for spec in experiment.cells)
    if plan.no_pipeline:
        rows.append(("pipeline", f"none: {plan.no_pipeline}"))
    else:
        for number, pipeline in enumerate(plan.pipelines):
            before = plan.fitted_from.get(pipeline.name)
            parts = [experiment.track.pipeline_text(pipeline.as_dict()), experiment.device if trains else ""]
            said = ", ".join(part for part in parts if part)
            said = pipeline.name + (f": {said}" if said else "") + (f" ({before} adapted to this profile)" if before else "")
            label = f"panel of {len(plan.pipelines)}" if len(plan.pipelines) > 1 else "pipeline"
            rows.append(("" if number else label, said))
    if trains:
        rows.append(("trainings", _room(experiment)))
    rows.append(
        ("seeds", f"{settings.seeds}{_first(experiment)} ({root_of_draws(experiment)}); scored on the {experiment.splits[0]} split")
    )
    own = {"process": ", the same user as you: judge your own code only", "landlock": ", the same user as you"}
    tier = _isolation(experiment)
    return [*rows, ("isolation", tier + own.get(tier, ""))]


def _isolation(experiment: Experiment) -> str:
    """The tier in which submissions run."""
    if experiment.cells and all(spec.tier == GIVEN for spec in experiment.cells):
        return "none needed: answers are files, and nothing of them runs"
    return experiment.sandbox.name


def time_needed(forecast: Forecast) -> str:
    """The duration in words, and how it was estimated."""
    if not forecast.trainings:
        return "nothing to run"
    parts = []
    if forecast.answers_unknown:
        limit = duration(forecast.answer_limit)
        parts.append(
            f"{counted(forecast.answers_unknown, 'session')} not measured yet: counted with the time limit, {limit} in all"
        )
    if forecast.trainings_unknown:
        unknown = f"{forecast.trainings_unknown} of {counted(forecast.trainings, 'training')}"
        parts.append(f"{unknown} not measured yet: no stored cell has their pipeline, device and number of threads")
    if forecast.seconds is not None:
        return "; ".join((("at most " if forecast.answers_unknown else "about ") + duration(forecast.seconds), *parts))
    known = forecast.answer_seconds + forecast.training_seconds / forecast.workers
    return "; ".join((*parts, *([f"the known part takes {duration(known)}"] if known else ())))


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class SweepLine:
    """The progress of a whole sweep: on one line in a terminal, in lines elsewhere. Each cell is weighted by its expected duration.

    In a terminal a failed cell is printed above the line when it ends. In a log file every phase that begins and every cell that
    ends is a line, and what is being done is said again where nothing else happens.

    Args:
        log: gives the name of a cell's log; None for ``Experiment.log_name``.
    """

    def __init__(
        self, progress: Live, experiment: Experiment, forecast: Forecast, log: Callable[[CellSpec], str] | None = None
    ) -> None:
        self._line, self._experiment, self._forecast = progress, experiment, forecast
        self._log = log or experiment.log_name
        self._logs: Path | None = None
        self._faults = Faults(experiment, self._log)
        self._answered: set[str] = set()
        self._trained: set[str] = set()
        self._measured: set[str] = set()
        self._one_by_one = experiment.settings.ray is None  # a cluster obtains several answers at a time
        self._obtaining = ""
        self._at: dict[str, tuple[str, str]] = {}
        self._began = time.monotonic()
        self._failed = 0
        # Seconds that answers and trainings took in this run, and those that the forecast gave for the same ones.
        self._took = {"answers": 0.0, "trainings": 0.0}
        self._expected = {"answers": 0.0, "trainings": 0.0}
        self._task: TaskID = progress.add_task("sweep", total=sum(forecast.answer.values()) + self._of(forecast.training))

    def logged(self, folder: Path) -> None:
        """Say where the logs of a run are written."""
        self._logs = folder / layout.LOGS
        self._line.say(f"logs: {self._logs}")

    def moved(self, spec: CellSpec, what: str, share: float) -> None:
        """Show what is being done now, and say it where it has just begun."""
        answer = spec.answer_digest()
        trains = answer in self._answered or what == "training"
        if trains or what == OBTAINED:
            self._answered.add(answer)
            self._at.pop(answer, None)
            if what == OBTAINED:
                self._show()
                return
        elif self._one_by_one and self._obtaining != answer:  # then the last one is done
            self._answered.add(self._obtaining)
            self._obtaining = answer
            self._at.clear()
        key = spec.digest() if trains else answer
        place = self._place(spec, pipeline=trains)
        begins = self._at.get(key, ("", ""))[0] != f"{place}: {what}"
        epochs = spec.pipeline.as_dict().get("epochs") if what == "training" else None
        at = (
            f"epoch {min(int(share * epochs) + 1, epochs)} of {epochs}"
            if isinstance(epochs, int) and epochs > 0
            else f"{100 * share:.0f} %"
        )
        self._at[key] = f"{place}: {what}", at if share > 0 or trains else ""
        if begins and self._line.plain:
            self._line.say(f"{place}: {what}")
        self._show()

    def finished(self, cell: Finished) -> None:
        """Count a finished cell, and say how it ended."""
        spec, result = cell.spec, cell.result
        self._at.pop(spec.digest(), None)
        if not cell.cached:
            self._learn(cell)
            self._trained.add(spec.digest())
            self._answered.add(spec.answer_digest())
        self._failed += not result.scored
        self._show()
        new = self._faults.add(cell)
        if not result.scored:
            self._line.say(f"{self._ended(cell)}{self._where(spec)}", "red")
            if new:  # most faults are the same in every cell, and the end of the run shows each with its traceback
                show_failure(self._line.console, f"  {result.verdict}", result.reason)
        elif self._line.plain:
            self._line.say(self._ended(cell), "" if result.fit_to_submit and not self._collapsed(cell) else "yellow")

    def _ended(self, cell: Finished) -> str:
        """``[2/5] 621:51 seed 0 OK 62 of 62, 3.1 of 51 s, accuracy 0.610, about 2 min left``."""
        spec, track = cell.spec, self._experiment.track
        task = next((task for task in self._experiment.plan.tasks if task.name == spec.task), None)
        row = dict(task.figures if task else {}) | track.run_figures([cell.result])
        parts = [column.text(row) for column in track.columns] if cell.result.phases else []
        metric = track.primary(spec.profile.as_dict())
        value = (cell.result.metrics or {}).get(metric.name)
        parts += [f"{metric.label} {metric.text(value)}"] if value is not None else []
        parts += ["collapsed"] if self._collapsed(cell) else []
        parts += ["not fit to submit"] if cell.result.scored and not cell.result.fit_to_submit else []
        parts += [left] if (left := self._left()) else []
        said = ", ".join(part for part in parts if part != "-")
        return f"[{self._count()}] {self._place(spec)} {cell.result.verdict} {said}".rstrip()

    def _collapsed(self, cell: Finished) -> bool:
        return cell.result.metrics is not None and self._experiment.track.collapsed(cell.result.metrics)

    def _where(self, spec: CellSpec) -> str:
        return "" if self._logs is None else f"; log: {self._logs / self._log(spec)}.log"

    def _place(self, spec: CellSpec, pipeline: bool = True) -> str:
        """The cell by what differs within the sweep."""
        several = len(self._experiment.sources) > 1
        parts = [self._experiment.label(spec)] if several else []
        parts += [spec.task, f"seed {spec.seed}"]
        parts += [spec.pipeline.name] if pipeline and len(self._experiment.plan.pipelines) > 1 else []
        return " ".join(parts)

    def _learn(self, cell: Finished) -> None:
        """Take in how long the cell took. The forecast guesses what it does not know; an answer it counts with its time limit."""
        training, phases = cell.result.training, cell.result.phases
        if training is not None and (expected := self._forecast.training.get(cell.spec.digest(), 0.0)):
            self._took["trainings"] += training.seconds
            self._expected["trainings"] += expected
        answer = cell.spec.answer_digest()
        if phases and not cell.reused and answer not in self._measured and (expected := self._forecast.answer.get(answer, 0.0)):
            self._measured.add(answer)
            self._took["answers"] += STARTING_SECONDS + sum(phase.seconds for phase in phases)
            self._expected["answers"] += expected

    def _scale(self, kind: str) -> float:
        """How many times as long as the forecast said the answers, or the trainings, of this run took."""
        return self._took[kind] / self._expected[kind] if self._expected[kind] else 1.0

    def _left(self) -> str:
        """The time that is left in words, from the share that is done; empty where nothing is known."""
        answers, trainings = self._scale("answers"), self._scale("trainings")
        answered, trained = self._done()
        done = answers * answered + trainings * trained
        total = answers * sum(self._forecast.answer.values()) + trainings * self._of(self._forecast.training)
        if not 0 < done < total * 0.999:
            return ""
        return f"about {duration((time.monotonic() - self._began) * (total - done) / done)} left"

    def _done(self) -> tuple[float, float]:
        """The seconds that the forecast gave for the answers, and for the trainings, that are done."""
        answered = sum(self._forecast.answer.get(digest, 0.0) for digest in self._answered)
        return answered, self._of({digest: self._forecast.training.get(digest, 0.0) for digest in self._trained})

    def _show(self) -> None:
        done = sum(self._done())
        failed = f", {self._failed} failed" if self._failed else ""
        doing = "; ".join(f"{what}{', ' if at else ''}{at}" for what, at in list(self._at.values())[:4])
        description = one_line(f"{self._count()}{failed}{'; ' if doing else ''}{doing}", 200)
        self._line.update(self._task, completed=done, description=description)

    def _count(self) -> str:
        return f"{self._forecast.finished + len(self._trained)}/{self._forecast.cells}"

    def _of(self, trainings: Any) -> float:
        return sum(trainings.values()) / self._experiment.workers


def _first(experiment: Experiment) -> str:
    first = experiment.settings.first_seed
    return f" from number {first} on" if first else ""


def root_of_draws(experiment: Experiment) -> str:
    """What every draw follows from, in words."""
    return root_in_words(experiment.settings.root_seed, experiment.secret)


def _room(experiment: Experiment) -> str:
    """Where trainings run, how many at a time, and that nothing else runs beside a submission."""
    threads = experiment.settings.threads
    each = f"on {experiment.device}, {counted(threads, 'thread')} each"
    if experiment.settings.ray is not None:
        return f"{each}, as many as fit on the Ray cluster ({experiment.settings.ray}); each submission has a node for itself"
    return f"{experiment.workers} at a time {each}; submissions run one at a time, with nothing beside them"
