"""The summary of a run of one submission: scores per task, over the tasks, and for a panel per pipeline."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import msgspec

from evaluator.errors import INCOMPLETE, Verdict
from evaluator.fields import SCHEMA, doc
from evaluator.plans import Task
from evaluator.runner.cells import Finished
from evaluator.scoring.collapse import over_seeds
from evaluator.specs import CellSpec, Recipe
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.faults import FaultRow, Faults, Remarks
from evaluator.track import Track


@dataclass(frozen=True, kw_only=True)
class SubmissionRow:
    """The submission of a run."""

    name: Annotated[str, doc("plain name of the submission")]
    digest: Annotated[str, doc("hash over the files of the submission")]
    owner: Annotated[str, doc("team, or authors, as its `aicrowd.json` names them; empty if it names nobody")] = ""
    label: Annotated[str, doc("what tables call it: the text of `--label`, or the name of its folder or file")] = ""
    folder: Annotated[str, doc("where it lay")] = ""
    time: Annotated[str, doc("when the run began, UTC")] = ""


@dataclass(frozen=True, kw_only=True)
class IntervalRow:
    """A mean and its interval over seeds."""

    mean: Annotated[float, doc("mean over the tasks (and the pipelines of a panel), then over the seeds")]
    low: Annotated[float | None, doc("lower end of the t-interval over seeds; `null` for one seed")]
    high: Annotated[float | None, doc("upper end of the interval")]
    n: Annotated[int, doc("number of observations: seeds, of which copies of one answer from the same data count once")]
    level: Annotated[float, doc("confidence level, 0.95")]
    collapsed: Annotated[int, doc("number of seeds with a collapsed cell: a score that needs no learning")] = 0
    without: Annotated[float | None, doc("mean of the other seeds; `null` if none collapsed, or all did")] = None


Figures = Annotated[dict[str, IntervalRow] | None, doc("by metric; `null` if not every cell was scored")]


@dataclass(frozen=True, kw_only=True)
class PanelRow:
    """One pipeline of a panel."""

    name: Annotated[str, doc("name of the pipeline as it was trained")]
    fitted_from: Annotated[str | None, doc("name of the pipeline that this one was adapted from; `null` if it was not adapted")]
    pipeline: Annotated[dict[str, Any], doc("the pipeline, complete")]
    verdict: Annotated[
        str, doc("`OK` if every cell of this pipeline was scored; `FAILED` if a cell failed; `INCOMPLETE` if some have not run yet")
    ]
    verdicts: Annotated[list[str], doc("verdict of every cell")]
    score: Figures
    tasks: Annotated[list[dict[str, Any]], doc("name and metrics of each task")]
    seconds: Annotated[float, doc("duration of its trainings, in seconds")]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The content of ``result.json``.

    For every seed the score is the mean over the tasks, and for a panel also over its pipelines. The interval is over the seeds. If
    a cell failed, the run has no score; the tasks and pipelines without a failed cell keep their own figures.
    """

    schema: Annotated[int, doc(f"version of this format: {SCHEMA}")] = SCHEMA
    track: Annotated[str, doc("name of the track")]
    submission: SubmissionRow
    round: Annotated[str, doc("name of the round")]
    profile: Annotated[str, doc("name of the profile")]
    pipeline: Annotated[dict[str, Any] | None, doc("the pipeline, complete; `null` for a panel")]
    fitted_from: Annotated[str | None, doc("name of the pipeline that this one was adapted from; `null` if it was not adapted")]
    primary_metric: Annotated[str, doc("the metric that ranks")]
    score_split: Annotated[str, doc("the split that was scored")]
    isolation: Annotated[str, doc("isolation tier")]
    limited_by: Annotated[str, doc("what limited memory and number of processes, over all cells")]
    device: Annotated[str, doc("device of the training")]
    threads: Annotated[int, doc("CPU threads of one training")]
    workers: Annotated[int, doc("trainings at a time")]
    root_seed: Annotated[int, doc("the seed that every draw follows from")]
    secret: Annotated[str, doc("fingerprint of the secret that every draw follows from, too; empty for public seeds")] = ""
    seeds: Annotated[int, doc("repetitions of every task")]
    options: Annotated[dict[str, Any], doc("the track's own choices, by name")]
    busy: Annotated[str, doc("other load on the machine before the first clock started, in words; empty without other load")]
    versions: Annotated[
        list[dict[str, str]], doc("versions that computed the figures; several members if cells of different versions are mixed")
    ]
    verdict: Annotated[
        str, doc("`OK` if every cell was scored; `FAILED` if a cell failed; `INCOMPLETE` if none failed and some have not run yet")
    ]
    fit_to_submit: Annotated[bool, doc("whether every cell is fit to submit and no time limit was kept")]
    kept_time_limits: Annotated[int, doc("number of cells that reached the time limit and were scored all the same")]
    collapsed: Annotated[
        int, doc("number of scored cells that collapsed: their score is no better than that of an answer that needs no data")
    ] = 0
    score: Figures
    panel: Annotated[list[PanelRow] | None, doc("one member per pipeline; `null` without a panel")]
    tasks: Annotated[list[dict[str, Any]], doc("per task: its limits, verdicts, the track's own figures, metrics")]
    cells: Annotated[
        list[dict[str, Any]], doc("every cell as in its file, without its large members, with task, seed and pipeline")
    ]
    warnings: Annotated[list[str], doc("the warnings that were printed before the run")]
    seconds: Annotated[float, doc("duration of the run, in seconds")]
    faults: Annotated[
        list[FaultRow],
        doc(
            "what went wrong: one member per distinct fault, with `submission`, `scored`, `verdict`, `reason`, "
            "`trace`, `printed` (the last lines that the submission printed), `log`, `count` and `cells` (task, seed, pipeline)"
        ),
    ] = field(default_factory=list)
    remarks: Annotated[list[str], doc("warnings about what the submission did, e.g. that an answer is empty")] = field(
        default_factory=list
    )

    def as_dict(self, word: str) -> dict[str, Any]:
        """JSON-able. The plural of ``word`` (``Track.task_word``) names the list of tasks; options are members of the run."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        found: dict[str, Any] = {}
        for name, value in plain.items():
            if name == "options":
                found |= value
            elif name == "panel" and value is not None:
                found[name] = [_renamed(row, word) for row in value]
            else:
                found[f"{word}s" if name == "tasks" else name] = value
        return found

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], word: str) -> RunSummary:
        """The inverse of ``as_dict``.

        Raises:
            msgspec.ValidationError: a value is missing or of the wrong type; the message names the place.
        """
        known = {f.name for f in fields(cls)}
        plain = _named_back(content, word)
        if plain.get("panel") is not None:
            plain["panel"] = [_named_back(row, word) for row in msgspec.convert(plain["panel"], list[dict[str, Any]])]
        options = {name: value for name, value in plain.items() if name not in known}
        return msgspec.convert({name: value for name, value in plain.items() if name in known} | {"options": options}, cls)


def _renamed(row: Mapping[str, Any], word: str) -> dict[str, Any]:
    return {f"{word}s" if name == "tasks" else name: value for name, value in row.items()}


def _named_back(row: Mapping[str, Any], word: str) -> dict[str, Any]:
    return {"tasks" if name == f"{word}s" else name: value for name, value in row.items()}


def summarise(
    experiment: Experiment,
    finished: Sequence[Finished],
    seconds: float,
    folder: Path | None = None,
    log: Callable[[CellSpec], str] | None = None,
    found: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of ``result.json`` for an experiment of one submission, condition and split.

    Args:
        finished: every cell that has a result, in order.
        seconds: duration of the run.
        folder: of the run, for the logs of cells that failed; ``log``: as in ``sweep.run.run``.
        found: warnings about the files of the submission.
    """
    plan, settings = experiment.plan, experiment.settings
    entry, panel = experiment.entries[0], len(plan.pipelines) > 1
    whole = len(finished) == len(experiment.cells) and all(f.result.scored for f in finished)
    kept = sum(f.result.verdict is Verdict.TIME_LIMIT and f.result.scored for f in finished)
    word = experiment.track.task_word
    options = {name: experiment.cells[0].as_dict()[name] for name in experiment.track.spec_rules}
    versions = {str(sorted(f.result.versions.items())): f.result.versions for f in finished if f.result.versions}
    faults, remarks = Faults(experiment, log), Remarks(experiment)
    for cell in finished:
        faults.add(cell)
        remarks.add(cell)
    return RunSummary(
        track=experiment.track.name,
        submission=SubmissionRow(
            name=entry.name,
            digest=entry.digest,
            owner=entry.owner,
            label=entry.label,
            folder=entry.folder,
            time=entry.last,
        ),
        round=plan.rules.round_name,
        profile=plan.rules.name,
        pipeline=None if panel else plan.pipelines[0].as_dict(),
        fitted_from=None if panel else plan.fitted_from.get(plan.pipelines[0].name),
        primary_metric=experiment.track.primary(plan.rules.as_dict()).name,
        score_split=experiment.splits[0],
        isolation=experiment.sandbox.name,
        # Several values if a stored cell was run under other circumstances.
        limited_by=", ".join(sorted({f.result.isolation.limited_by for f in finished} - {""})),
        device=experiment.device,
        threads=settings.threads,
        workers=experiment.workers,
        root_seed=settings.root_seed,
        secret=experiment.secret,
        seeds=settings.seeds,
        options=options,
        busy=experiment.load.busy(),
        versions=list(versions.values()),
        verdict=_verdict(finished, whole),
        fit_to_submit=whole and not kept and all(f.result.fit_to_submit for f in finished),
        kept_time_limits=kept,
        collapsed=sum(_collapsed(cell, experiment.track) for cell in finished),
        score=_over_seeds(finished, experiment.track) if whole else None,
        panel=[_pipeline_row(p, finished, experiment) for p in plan.pipelines] if panel else None,
        tasks=[_task_row(task, [f for f in finished if f.spec.task == task.name], experiment) for task in plan.tasks],
        cells=[_cell_row(f, experiment.track) for f in finished],
        warnings=[*found, *experiment.warnings],
        seconds=round(seconds, 3),
        faults=faults.found(folder),
        remarks=remarks.said(),
    ).as_dict(word)


def _verdict(finished: Sequence[Finished], whole: bool) -> str:
    """Of all cells together. A run that was interrupted says nothing of its submission."""
    if whole:
        return "OK"
    return INCOMPLETE if all(f.result.scored for f in finished) else "FAILED"


def _collapsed(finished: Finished, track: Track) -> bool:
    return finished.result.metrics is not None and track.collapsed(finished.result.metrics)


def _cell_row(finished: Finished, track: Track) -> dict[str, Any]:
    spec = finished.spec
    row = {name: value for name, value in finished.result.as_dict().items() if name not in finished.result.bulk}
    place = {track.task_word: spec.task, "seed": spec.seed, "pipeline": spec.pipeline.name}
    return row | place | {"collapsed": _collapsed(finished, track), "cached": finished.cached, "reused": finished.reused}


def _over_seeds(cells: Sequence[Finished], track: Track) -> dict[str, IntervalRow] | None:
    """By metric that all cells have, the interval over the seeds of which every cell was scored; None without such a seed.

    Seeds that are copies of one observation (``Track.observation``) count once. None, too, where a cell failed.
    """
    if not all(cell.result.scored for cell in cells):
        return None
    of_seed: dict[int, list[Finished]] = {}
    for cell in cells:
        of_seed.setdefault(cell.spec.seed, []).append(cell)
    most = max((len(of) for of in of_seed.values()), default=0)
    complete = [of for _, of in sorted(of_seed.items()) if len(of) == most]
    whole = [[cell.result.metrics for cell in of if cell.result.metrics is not None] for of in complete]
    if not whole:
        return None
    keys = [[observation(cell, track) for cell in of] for of in complete]
    copies = [None if None in key else tuple(key) for key in keys]
    names = [metric.name for metric in track.metrics if all(metric.name in of for of in itertools.chain(*whole))]
    none = [any(map(track.collapsed, of)) for of in whole]
    means = {name: zip([sum(x[name] for x in of) / len(of) for of in whole], none, strict=True) for name in names}
    intervals = {name: over_seeds(values, keys=copies) for name, values in means.items()}
    return {name: IntervalRow(**interval) for name, interval in intervals.items() if interval}


def observation(cell: Finished, track: Track) -> str | None:
    """What a cell is an observation of, as ``Track.observation`` says."""
    return track.observation(cell.result.as_dict())


def _task_row(task: Task, cells: Sequence[Finished], experiment: Experiment) -> dict[str, Any]:
    # All pipelines of a panel share the answer, so the track's figures are taken from the first of them.
    first = list({c.spec.seed: c.result for c in reversed(cells)}.values())[::-1]
    return {
        experiment.track.task_word: task.name,
        **task.figures,
        "verdicts": [str(c.result.verdict) for c in cells],
        **experiment.track.run_figures(first),
        "metrics": _over_seeds(cells, experiment.track),
    }


def _pipeline_row(pipeline: Recipe, finished: Sequence[Finished], experiment: Experiment) -> PanelRow:
    """One pipeline of a panel: its score, and its figures per task."""
    plan, word = experiment.plan, experiment.track.task_word
    cells = [f for f in finished if f.spec.pipeline.name == pipeline.name]
    whole = len(cells) == len(plan.tasks) * experiment.settings.seeds and all(c.result.scored for c in cells)
    of_task = {task.name: [c for c in cells if c.spec.task == task.name] for task in plan.tasks}
    return PanelRow(
        name=pipeline.name,
        fitted_from=plan.fitted_from.get(pipeline.name),
        pipeline=pipeline.as_dict(),
        verdict=_verdict(cells, whole),
        verdicts=[str(c.result.verdict) for c in cells],
        score=_over_seeds(cells, experiment.track) if whole else None,
        tasks=[{word: name, "metrics": _over_seeds(members, experiment.track)} for name, members in of_task.items()],
        seconds=round(sum(c.result.training.seconds for c in cells if c.result.training is not None), 3),
    )
