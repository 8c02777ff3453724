"""Rankings that came as files, as cells of the house: stored, typed, compared and listed like any other.

There is no submission to run. The answer of a cell is the ranking in its file (tier ``file``), and the judge is the track's own;
scored as the original does, the figures are those of ``original.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.cleaning.folder import task_names
from evaluator.cleaning.game import Action
from evaluator.cleaning.offline import Folders, digest_of_file, evaluate_as_original
from evaluator.cleaning.original import Original
from evaluator.cleaning.rankings import Refused, read_rankings
from evaluator.cleaning.rules import ORIGINAL, PROFILES, RECIPES, VOTES, CleaningRecipe
from evaluator.cleaning.sets import CleaningSets
from evaluator.cleaning.track import CleaningResult, CleaningSpec, CleaningTrack, CurvePoint, RankingAnswer
from evaluator.errors import Verdict
from evaluator.history.store import Store
from evaluator.records import CellSpec, IsolationRow
from evaluator.runner.cells import run_cells
from evaluator.runner.workers import Workers
from evaluator.track import CellInputs, Judged, Progress

TIER = "file"
"""Stands in the place of an isolation tier: nothing was run."""


@dataclass(frozen=True)
class Method:
    """The figures of a method on a task: of every seed one result, in order. ``seconds``: that it says it took."""

    task: str
    name: str
    seconds: float | None
    results: tuple[CleaningResult, ...]


@dataclass
class OpenTrack(CleaningTrack):
    """The track, whose answers are given. It is one object per evaluation.

    Attributes:
        rankings: by task and method; ``originals``: the figures by task, where they are scored as the original does.
    """

    rankings: Mapping[tuple[str, str], Sequence[int]] = field(default_factory=dict)
    originals: Mapping[str, Original] = field(default_factory=dict)

    def obtain(self, spec: CleaningSpec, inputs: CellInputs, progress: Progress) -> RankingAnswer:
        """The ranking of the spec's file."""
        short = {"as_original": True} if spec.pipeline == ORIGINAL else {}
        content = {"ranking": list(self.rankings[spec.data_id, spec.submission]), "guarded": True, "limited_by": "", **short}
        return RankingAnswer(digest=spec.answer_digest(), spec=spec.answer_dict(), content=content)

    def judge(self, spec: CleaningSpec, data: CleaningSets, answer: RankingAnswer, progress: Progress, **how: Any) -> Judged:
        """See ``CleaningTrack.judge``."""
        if spec.data_id not in self.originals:
            return super().judge(spec, data, answer, progress, **how)
        original = self.originals[spec.data_id]
        curve = next(curve for curve in original.curves if curve.method == spec.submission)
        task = data.task(spec.data_id, spec.seed)
        wrong, seen, hits = task.wrong, set[int](), []
        for number, row in enumerate(answer.content["ranking"], 1):
            if wrong[row] and row not in seen:
                hits.append(number)
            seen.add(row)
        rows, many = len(task.train), int(wrong.sum())
        discovery = sum(rows + 1 - hit for hit in hits) / ((rows + 1) * many)
        metrics = {
            "fraction_fixed": curve.score,
            "area": (original.before + sum(curve.accuracies)) / (rows + 1),
            "discovery": discovery,
            "found_early": sum(hit <= many for hit in hits) / many,
        }
        points = [original.before, *curve.accuracies]
        return Judged(
            CleaningResult.of(
                spec,
                answer,
                Verdict.OK,
                fit_to_submit=True,
                metrics=metrics,
                curve=[CurvePoint(checks=n, accuracy=a) for n, a in enumerate(points)],
                hits=hits,
                rows=rows,
                target=0.95 * curve.accuracies[-1],
                reached=True,
                isolation=IsolationRow(tier=TIER, guarded=True),
            )
        )


def evaluate_original_cells(
    folders: Folders, tasks: Sequence[str], *, exact: bool, processes: int, said: Callable[[str], None]
) -> tuple[list[Method], list[Refused]]:
    """Judge as the original does, write its JSON files and the kit's cells into the folder of results.

    Raises:
        ConfigurationError: a table is not good, or a task has no ranking.
        OSError: a file cannot be written.
    """
    found, refused = evaluate_as_original(folders, tasks, exact=exact, processes=processes, said=said)
    rankings, seconds = _read(folders, list(found), strict=False)[:2]
    track = OpenTrack(rankings, found)
    return _run(track, folders, list(found), ORIGINAL, range(1), 0, "fix", seconds, None), refused


def evaluate_strict_cells(
    folders: Folders,
    tasks: Sequence[str],
    *,
    seeds: int,
    root: int,
    recipe: str,
    action: Action,
    processes: int,
    said: Callable[[str], None],
) -> tuple[list[Method], list[Refused]]:
    """Judge by the game without holes, and write the kit's cells into the folder of results.

    Args:
        seeds: starting weights of the model that each ranking is judged with; ``root``: that they are drawn from.
        recipe: a name in ``RECIPES``; ``processes``: trainings at a time.

    Raises:
        ConfigurationError: a table is not good, or a task has no ranking.
        OSError: a file cannot be written.
    """
    names = list(tasks) or task_names(folders.embeddings)
    rankings, seconds, refused = _read(folders, names, strict=True)
    track = OpenTrack(rankings)
    for name in names:
        said(f"{name}: {sum(task == name for task, _ in rankings)} rankings, {seeds} starts of the model")
    with Workers(processes) as workers:
        found = _run(
            track, folders, names, RECIPES[recipe], range(seeds), root, action, seconds, workers if processes > 1 else None
        )
    return found, refused


def _read(
    folders: Folders, names: Sequence[str], *, strict: bool
) -> tuple[dict[tuple[str, str], Sequence[int]], dict[tuple[str, str], float | None], list[Refused]]:
    rankings: dict[tuple[str, str], Sequence[int]] = {}
    seconds: dict[tuple[str, str], float | None] = {}
    refused: list[Refused] = []
    sets = CleaningSets(PROFILES["dataperf"], 0, folders.embeddings, folders.groundtruth)
    for name in names:
        good, bad = read_rankings(folders.submissions, name, len(sets.task(name, 0).train), strict=strict)
        refused += bad
        for ranking in good:
            rankings[name, ranking.method] = ranking.indices
            seconds[name, ranking.method] = ranking.seconds
    return rankings, seconds, refused


def _run(
    track: OpenTrack,
    folders: Folders,
    names: Sequence[str],
    recipe: CleaningRecipe,
    seeds: range,
    root: int,
    action: Action,
    seconds: Mapping[tuple[str, str], float | None],
    workers: Workers | None,
) -> list[Method]:
    sets = CleaningSets(PROFILES["dataperf"], root, folders.embeddings, folders.groundtruth)
    known = {name: sets.task(name, 0).all_known for name in names}
    digests = {"tasks": sets.digest(names)}
    cells: list[CellSpec] = [
        CleaningSpec(
            submission=method,
            submission_digest=digest_of_file(folders.submissions / f"{task}_{method}.txt"),
            profile=sets.profile,
            seed=seed,
            root_seed=root,
            # The recipe is for tasks whose labels are all known.
            pipeline=recipe if known[task] else VOTES,
            weights="none",
            data=digests,
            score_split="test",
            tier=TIER,
            device="cpu",
            threads=1,
            data_id=task,
            action=action,
        )
        for seed in seeds
        for task, method in track.rankings
    ]
    folders.results.mkdir(parents=True, exist_ok=True)
    store = Store(folders.results)

    def inputs(spec: CellSpec) -> CellInputs:
        return CellInputs(Path(spec.submission), sets, None)  # type: ignore[arg-type]  # nothing is run, so there is no sandbox

    found: dict[tuple[str, str], list[CleaningResult]] = {key: [] for key in track.rankings}
    for cell in run_cells(track, cells, inputs, store, store.new_run("cleaning"), workers=workers):
        assert isinstance(cell.result, CleaningResult)
        found[cell.spec.task, cell.spec.submission].append(cell.result)
    return [Method(*key, seconds.get(key), tuple(sorted(own, key=lambda r: r.spec.seed))) for key, own in sorted(found.items())]
