"""Rankings and tables of edits that came as files, as cells of the house: stored, typed, compared and listed like any other.

There is no submission to run. A competitor is a method: all files of its name in the folder of submissions, over all tasks. Their
digest is that of the competitor, so that its cells on every task and seed are of one row, and a changed file makes a new edition
of it. The answer of a cell is what the file of its task holds (tier ``file``), and the judge is the track's own; scored as the
original does, the figures are those of ``original.py``.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from evaluator.cleaning.cells import EDITS, FILE, Action, CleaningResult, CleaningSpec, CurvePoint, RankingAnswer
from evaluator.cleaning.edit_tables import read_edits
from evaluator.cleaning.folder import task_names
from evaluator.cleaning.offline import EVALUATION, Folders, require_tasks
from evaluator.cleaning.original import Original, evaluate_original, not_taken
from evaluator.cleaning.rankings import RANKING, Key, Listed, Ranking, Refused, listed, read_ranking, read_seconds
from evaluator.cleaning.rules import ORIGINAL, PROFILES, VOTES, CleaningRecipe, recipe_named
from evaluator.cleaning.sets import CleaningSets
from evaluator.cleaning.tasks import CleaningTask
from evaluator.cleaning.track import CleaningTrack
from evaluator.errors import ConfigurationError, Verdict
from evaluator.files import write_text
from evaluator.plans import Plan, Task
from evaluator.records import IsolationRow
from evaluator.submission.source import Source
from evaluator.track import CellInputs, Judged, Progress
from evaluator.words import counted

Scoring = Literal["strict", "dataperf"]
Said = Callable[[str], None]
SEEDS = 5
"""Starts of the model in strict scoring, if nothing else is asked for."""


@dataclass(frozen=True)
class Asked:
    """What a person asked for.

    Attributes:
        tasks: names; empty for all of the folder.
        seeds: starts of the model that each file is judged with; ``root``: that they are drawn from.
        recipes, actions: every ranking is judged by each of them.
        exact: train always in the original's order of operations (``dataperf``).
    """

    tasks: tuple[str, ...]
    scoring: Scoring
    seeds: int
    root: int
    recipes: tuple[CleaningRecipe, ...]
    actions: tuple[Action, ...]
    exact: bool = False

    @classmethod
    def of(
        cls,
        scoring: Scoring,
        root: int,
        *,
        tasks: Sequence[str] = (),
        seeds: int | None = None,
        recipes: Sequence[str] | None = None,
        actions: Sequence[Action] | None = None,
        exact: bool = False,
    ) -> Self:
        """Check the options of a command line; None where an option was not given.

        Raises:
            ConfigurationError: an option makes no sense, or belongs to the other way of scoring.
        """
        for option, names in (("--tasks", tasks), ("--pipelines", recipes), ("--action", actions)):
            if names and len(set(names)) != len(names):
                raise ConfigurationError(f"{option}: {', '.join(names)} were given; name each once")
        if scoring == "dataperf":
            fixed = {"--seeds": "one start of the model", "--pipelines": "one recipe", "--action": "an expert who corrects labels"}
            for (option, what), given in zip(fixed.items(), (seeds, recipes, actions), strict=True):
                if given is not None:
                    raise ConfigurationError(f"{option}: --scoring dataperf has {what}. Leave it out, or use --scoring strict")
            return cls(tuple(tasks), scoring, 1, 0, (ORIGINAL,), ("fix",), exact)
        if exact:
            raise ConfigurationError("--exact: it belongs to --scoring dataperf. Leave it out, or name --pipelines exact")
        if seeds is not None and not 1 <= seeds <= 10_000:
            raise ConfigurationError(f"--seeds is {seeds}; expected 1 to 10,000")
        named = tuple(recipe_named(name) for name in recipes or ("linear",))
        return cls(tuple(tasks), scoring, SEEDS if seeds is None else seeds, root, named, tuple(actions or ("fix",)))


@dataclass(eq=False)
class OpenTrack(CleaningTrack):
    """The track, whose answers are given. It is one object per evaluation.

    Attributes:
        rankings, edits: what the files of a task and method hold; an edit is a row, and its label or None for a row to drop.
        faults: by task, method and whether it is a table of edits: why the file is no answer.
        originals: the figures by task, where they are scored as the original does.
    """

    rankings: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    edits: dict[Key, tuple[tuple[int, Any], ...]] = field(default_factory=dict)
    faults: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    originals: dict[str, Original] = field(default_factory=dict)

    @property
    def one_seed_text(self) -> str:
        """As the tables', but for the original's scoring, which takes no seeds."""
        return "the original has one start of the model, so that there is no interval" if self.originals else super().one_seed_text

    def obtain(self, spec: CleaningSpec, inputs: CellInputs, progress: Progress) -> RankingAnswer:
        """What the spec's file holds."""
        key, edited = (spec.data_id, spec.submission), spec.action == EDITS
        content: dict[str, Any] = {"ranking": None, "guarded": True, "limited_by": ""}
        named: dict[str, Any] = {"digest": spec.answer_digest(), "spec": spec.answer_dict()}
        if fault := self.faults.get((*key, edited)):
            return RankingAnswer(**named, content=content, verdict=str(Verdict.INVALID_OUTPUT), reason=fault)
        if edited:
            return RankingAnswer(**named, content=content | {"edits": [list(edit) for edit in self.edits[key]]})
        short = {"as_original": True} if spec.pipeline == ORIGINAL else {}
        return RankingAnswer(**named, content=content | {"ranking": list(self.rankings[key]), **short})

    def judge(self, spec: CleaningSpec, data: CleaningSets, answer: RankingAnswer, progress: Progress, **how: Any) -> Judged:
        """See ``CleaningTrack.judge``."""
        if spec.pipeline != ORIGINAL or answer.verdict != Verdict.OK:
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
                wrong=many,
                target=0.95 * curve.accuracies[-1],
                reached=True,
                isolation=IsolationRow(tier=FILE, guarded=True),
            )
        )


@dataclass(frozen=True, eq=False)
class Opened:
    """What a folder of submissions holds of the tasks that are asked for, read and planned.

    Attributes:
        sources: the methods, each with the digest over its files.
        refused: files and tasks that are not judged; ``missing``: tasks and methods that have no file, a sentence for each task.
        seconds: that a method says it took.
    """

    track: OpenTrack
    plan: Plan
    sources: tuple[Source, ...]
    refused: tuple[Refused, ...]
    missing: tuple[str, ...]
    seconds: Mapping[Key, float | None]


def opened(folders: Folders, asked: Asked) -> Opened:
    """Read all files of the tasks. What is bad is refused by itself; only where nothing is left to judge is it an error.

    Raises:
        ConfigurationError: a folder or a named task is not there, or nothing can be judged.
    """
    known = task_names(folders.embeddings)
    require_tasks(asked.tasks, known)
    sets = CleaningSets(PROFILES["dataperf"], asked.root, folders.embeddings, folders.groundtruth)
    refused: list[Refused] = []
    tasks = _tasks(sets, asked.tasks or known, asked.scoring, refused)
    files = listed(folders.submissions, known)
    refused += files.lost
    there = {name: task for name, task in tasks.items() if any(key[0] == name for key in (*files.rankings, *files.tables))}
    for name in tasks.keys() - there.keys():
        why = f"{folders.submissions}: it holds no file {name}_METHOD.txt; expected one for every method. Put them there"
        refused.append(Refused("", why))
    if not there:
        raise ConfigurationError("\n".join(["nothing can be judged:", *(file.why for file in refused)]))
    track = OpenTrack()
    missing = _read(track, files, there, asked.scoring, refused)
    digests = method_digests(files)
    plan = _plan(track, sets, asked, there, digests)
    sources = tuple(Source(folders.submissions / name, name, digest) for name, digest in digests.items() if name in _named(plan))
    seconds = {key: read_seconds(path) for key, path in files.times.items()}
    missing += [
        f"{files.times[key]}: it does not begin with a number of seconds, 0 or more; the time of {key[1]} is not shown"
        for key, found in seconds.items()
        if found is None and key[0] in there
    ]
    return Opened(track, plan, sources, tuple(refused), tuple(missing), seconds)


def score_as_original(found: Opened, folders: Folders, asked: Asked, processes: int, said: Said = lambda text: None) -> None:
    """Train as the original does, and write ``{data_id}_evaluation.json`` for every task of ``dataperf`` scoring.

    Raises:
        OSError: a file cannot be written.
    """
    folders.results.mkdir(parents=True, exist_ok=True)
    sets: CleaningSets = found.plan.data["test"]
    for task in found.plan.tasks:
        own = [Ranking(method, rows) for (name, method), rows in sorted(found.track.rankings.items()) if name == task.name]
        if not own:
            continue
        said(f"{task.name}: {counted(len(own), 'ranking')}")
        made = evaluate_original(sets.task(task.name, 0), own, exact=asked.exact, processes=processes)
        found.track.originals[task.name] = made
        write_text(folders.results / f"{task.name}{EVALUATION}", json.dumps(made.as_json(), indent=1) + "\n")


def method_digests(files: Listed) -> dict[str, str]:
    """By method, SHA-256 (32 hex digits) over the names and bytes of all its files but those of times; sorted by name."""
    made: dict[str, Any] = {}
    for (_, method), path in sorted((*files.rankings.items(), *files.tables.items()), key=lambda item: item[1].name):
        own = made.setdefault(method, hashlib.sha256())
        own.update(len(path.name.encode("utf-8", "surrogateescape")).to_bytes(4, "big"))
        own.update(path.name.encode("utf-8", "surrogateescape"))
        try:
            if not path.is_file():  # a pipe would be waited for, and a device read for ever
                raise OSError(errno.EINVAL, "no regular file")
            with open(path, "rb") as file:
                own.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            own.update(f"cannot be read: {error.strerror}".encode())
    return {method: made[method].hexdigest()[:32] for method in sorted(made)}


def _tasks(sets: CleaningSets, names: Sequence[str], scoring: Scoring, refused: list[Refused]) -> dict[str, CleaningTask]:
    found: dict[str, CleaningTask] = {}
    for name in names:
        try:
            task = sets.task(name, 0)
        except ConfigurationError as error:
            refused.append(Refused("", f"{name}: {error}" if name not in str(error) else str(error)))
            continue
        if scoring == "dataperf" and (why := not_taken(task)):
            refused.append(Refused("", f"{name}: {why}. Use --scoring strict for it"))
            continue
        found[name] = task
    return found


def _read(
    track: OpenTrack, files: Listed, tasks: Mapping[str, CleaningTask], scoring: Scoring, refused: list[Refused]
) -> list[str]:
    """Read the files of the tasks into the track. Returns a sentence for every task that methods have no file of."""
    missing: dict[str, list[str]] = {}
    kinds = [(False, files.rankings), (True, files.tables)]
    if scoring == "dataperf":  # a table counts as a ranking
        for key in files.tables.keys() & files.rankings.keys():
            why = f"{files.tables[key]}: a ranking of the same method is there, and --scoring dataperf takes a table as one"
            refused.append(Refused(key[1], f"{why}. The ranking is judged; remove either"))
        kinds = [(False, {**files.tables, **files.rankings})]
    for edited, where in kinds:
        methods = sorted({method for task, method in where if task in tasks})
        for name, task in tasks.items():
            for method in methods:
                path = where.get((name, method))
                if path is None:
                    fault = f"no file {name}_{method}{'.csv' if edited else '.txt'} was handed in; expected one for every task"
                    missing.setdefault(name, []).append(method)
                else:
                    fault = _read_one(track, path, (name, method), task, scoring)
                    refused += [Refused(method, fault)] if fault else []
                if fault:
                    track.faults[name, method, edited] = fault
    return [f"{name}: no file of {', '.join(methods)}; a method that lacks a task has no mean" for name, methods in missing.items()]


def _read_one(track: OpenTrack, path: Path, key: Key, task: CleaningTask, scoring: Scoring) -> str:
    """Read a file into the track. Returns why it is refused; empty if it is not."""
    try:
        if path.suffix == RANKING:
            track.rankings[key] = read_ranking(path, len(task.train), strict=scoring == "strict")
        elif scoring == "strict" and not task.all_known:
            return f"{path}: of {key[0]} only some labels are known, by which no model can be judged; expected a ranking"
        elif scoring == "strict":
            track.edits[key] = read_edits(path, task)
        else:
            track.rankings[key] = tuple(row for row, _ in read_edits(path, task))
    except (ConfigurationError, OSError) as error:
        return str(error)
    return ""


def _plan(
    track: OpenTrack, sets: CleaningSets, asked: Asked, tasks: Mapping[str, CleaningTask], digests: Mapping[str, str]
) -> Plan:
    data = {"tasks": sets.digest(tuple(tasks))}
    judged = {*((*key, False) for key in track.rankings), *((*key, True) for key in track.edits), *track.faults}
    cells = tuple(
        CleaningSpec(
            submission=method,
            submission_digest=digests[method],
            profile=sets.profile,
            seed=seed,
            root_seed=asked.root,
            pipeline=recipe,
            weights="none",
            data=data,
            score_split="test",
            tier=FILE,
            device="cpu",
            threads=1,
            data_id=name,
            action=action,
        )
        for name in tasks  # methods of one task follow each other, for they share trainings
        for edited in (False, True)
        for method in digests
        for action in ((EDITS,) if edited else asked.actions)
        for seed in range(asked.seeds)
        if (name, method, edited) in judged
        for recipe in (asked.recipes if tasks[name].all_known else (VOTES,))
    )
    if not cells:
        raise ConfigurationError("nothing can be judged: the tasks have no rankings")
    return Plan(
        rules=sets.profile,
        tasks=tuple(Task(name, "public") for name in tasks),
        pipelines=tuple(dict.fromkeys(spec.pipeline for spec in cells)),
        cells=cells,
        data={"test": sets},
        digests={"test": data},
        items=dict.fromkeys(tasks, 1),
    )


def _named(plan: Plan) -> set[str]:
    return {spec.submission for spec in plan.cells}


def methods_of(results: Iterable[CleaningResult]) -> dict[tuple[str, str, str, str], list[CleaningResult]]:
    """Results by task, action, recipe and method, sorted; the seeds of each in order."""
    found: dict[tuple[str, str, str, str], list[CleaningResult]] = {}
    for result in sorted(results, key=lambda result: result.spec.seed):
        spec = result.spec
        assert isinstance(spec, CleaningSpec)
        found.setdefault((spec.data_id, spec.action, spec.pipeline.name, spec.submission), []).append(result)
    return dict(sorted(found.items()))
