"""The cleaning track: rank the training labels that an expert should check first (DataPerf, training-set cleaning for vision)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluator.cleaning.cells import ACTIONS, EDITS, FILE, CleaningResult, CleaningSpec, CurvePoint, RankingAnswer
from evaluator.cleaning.rules import ORIGINAL, VOTES, profile_named, recipe_named
from evaluator.cleaning.session import SessionSpec as Session
from evaluator.cleaning.session import run_session
from evaluator.cleaning.sets import OF_ONE_TASK, CleaningSets
from evaluator.errors import ConfigurationError, Verdict
from evaluator.machine import cores
from evaluator.plans import Choices, Option, Plan, Step, Task
from evaluator.records import CellResult, DataRow, IsolationRow
from evaluator.sections import Cells, Material, Section
from evaluator.seeds import derive
from evaluator.specs import CellSpec
from evaluator.submission.session import answer_of
from evaluator.tables import Column, Metric, Remark
from evaluator.track import NOTHING_ASKED, CellInputs, Debugged, Judged, Progress, Track, Trial

if TYPE_CHECKING:
    from evaluator.cleaning.game import Course
    from evaluator.cleaning.tasks import CleaningTask
    from evaluator.sandbox.tier import Sandbox
    from evaluator.submission.answers import AnswerFiles


FRONT_HELP = """Evaluate a cleaning submission here: its rank orders the training labels of every task, an expert checks them in
that order, and a fixed model is trained anew until it is nearly as good as with true labels.

python local_evaluation.py --track cleaning --submission own/nearest.py                  the five tasks of profile digits
python local_evaluation.py --track cleaning --submission own/nearest.py --seeds 5        five draws of each, with intervals
python local_evaluation.py --track cleaning --submission own/nearest.py --profile debug  one small task, in seconds
python local_evaluation.py --track cleaning --submission own/nearest.py --debug          in the foreground, without a score
"""


class CleaningTrack(Track):
    """See the module."""

    spec_type = CleaningSpec
    result_type = CleaningResult
    spec_rules = ("action",)
    trains_on_device = False
    task_word = "task"
    item_word = "row"
    metrics = (
        Metric(
            "fraction_fixed",
            "share fixed",
            higher_is_better=False,
            low=0,
            high=1,
            note="a target that is never reached counts as 1",
        ),
        Metric("area", "accuracy area", low=0, high=1),
        Metric("discovery", "discovery area", low=0, high=1),
        Metric("found_early", "found early", low=0, high=1),
    )
    columns = (
        Column("clean accuracy", lambda row: f"{row['clean_accuracy']:.3f}" if row.get("clean_accuracy") is not None else "-"),
    )
    figure_members = frozenset({"clean_accuracy", "target", "reached", "rows"})
    public_members = frozenset({"curve", "unjudged"})
    trial_options: ClassVar[tuple[str, ...]] = ("profile", "data")
    options: ClassVar[Mapping[str, Option]] = {
        "tasks": Option(
            str,
            "default: all of the profile; or names like digits-3v8-pairs-0.2",
            many=True,
            default=None,
            metavar="TASK",
            group="the grid",
        ),
        "action": Option(
            str,
            "what the expert does with a wrong label",
            many=True,
            default=("fix",),
            choices=("fix", "remove"),
            group="the grid",
        ),
    }
    examples = ("python -m evaluator sweep --track cleaning --submissions baselines/cleaning/*.py --seeds 5",)
    front_help = FRONT_HELP
    data_help = "a folder in DataPerf's layout, with embeddings/ and data/ (docs/cleaning.md); for --profile dataperf"

    def default_profile(self, options: Mapping[str, Any]) -> str:
        """The embedded tasks."""
        return "digits"

    def tasks(self, options: Mapping[str, Any], profile: str) -> tuple[Task, ...]:
        """The tasks that are named, without reading data."""
        rules = profile_named(profile)
        of_one = (OF_ONE_TASK[rules.layout],) if rules.layout in OF_ONE_TASK else ()
        return tuple(Task(name, "public") for name in options["tasks"] or rules.tasks or of_one)

    def plan(self, choices: Choices, step: Step = lambda what, done, total: None) -> Plan:
        """See ``Track.plan``."""
        profile = profile_named(choices.profile)
        if choices.starting_weights is not None:
            raise ConfigurationError("--starting-weights: the fixed model of cleaning has a start of its own. Leave the option out")
        if choices.score_splits:
            raise ConfigurationError("--score-split: a task of cleaning has one test set. Leave the option out")
        asked = tuple(recipe_named(name) for name in choices.pipelines)
        sets = CleaningSets.chosen(profile, choices.root, choices.data, choices.folder.absolute() / ".cache")
        names = tuple(choices.options["tasks"] or ()) or sets.names()
        if len(set(names)) != len(names):
            raise ConfigurationError(f"--tasks: {', '.join(names)} were given; name each once")
        partly = []  # tasks of which only some labels are known
        for number, name in enumerate(names):  # what is wrong with a task is said before anything runs
            step("reading tasks", number, len(names))
            if not sets.task(name, choices.seeds[0] if choices.seeds else 0).all_known:
                partly.append(name)
        recipes = asked or (VOTES if partly else recipe_named("linear"),)
        if partly and any(recipe != VOTES for recipe in recipes):
            raise ConfigurationError(
                f"--pipelines: of {partly[0]} only some labels are known; expected the recipe votes. Leave the option out"
            )
        digests = {"tasks": sets.digest(names)}
        shared: dict[str, Any] = {"profile": profile, "weights": "none", "score_split": "test", "worker_threads": min(3, cores())}
        cells = tuple(
            CleaningSpec(
                **choices.common(source),
                **shared,
                seed=seed,
                data=digests,
                data_id=name,
                pipeline=recipe,
                action=action,
            )
            for source in choices.submissions
            for action in choices.options["action"]
            for seed in choices.seeds
            for name in names
            for recipe in recipes
        )
        shown = [
            (
                "profile",
                f"{profile.name}: {profile.train} rows to clean, {profile.validation} to validate on, {profile.test} to test",
            )
        ]
        if choices.data is not None:
            shown = [("tasks of", str(choices.data))]
        shown += [("tasks", ", ".join(names)), ("clock", f"rank has {profile.seconds:g} s")]
        return Plan(
            rules=profile,
            tasks=tuple(Task(name, "public") for name in names),
            pipelines=recipes,
            cells=cells,
            data={"test": sets},
            digests={"test": digests},
            items=dict.fromkeys(names, 1),
            shown=tuple(shown),
        )

    def answer(self, stored: Mapping[str, Any]) -> RankingAnswer:
        """See ``Track.answer``."""
        try:
            return RankingAnswer.from_dict(stored)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ConfigurationError(f"a stored ranking was not understood: {error!r}") from error

    def trial(
        self, submission: Path, sandbox: Sandbox, weights: Path | None = None, asked: Mapping[str, Any] = NOTHING_ASKED
    ) -> Trial:
        """See ``Track.trial``."""
        from evaluator.cleaning.trial import try_out

        return try_out(submission, sandbox, weights, asked)

    def debug(self, spec: CleaningSpec, inputs: CellInputs, progress: Progress) -> Debugged:
        """See ``Track.debug``."""
        from evaluator.cleaning.trial import debug

        return debug(_session(spec, inputs), inputs.sandbox, progress)

    def given(self, path: Path) -> AnswerFiles | None:
        """See ``Track.given``."""
        from evaluator.cleaning.given import given

        return given(path)

    def obtain(self, spec: CleaningSpec, inputs: CellInputs, progress: Progress) -> RankingAnswer:
        """Run ``rank`` in the sandbox; or read the ranking, where it came as a file."""
        if spec.tier == FILE:
            from evaluator.cleaning.given import answer_given

            return answer_given(spec, inputs)
        found = run_session(_session(spec, inputs), inputs.sandbox, progress)
        ranking = {"ranking": None if found.ranking is None else found.ranking.tolist()}
        return answer_of(RankingAnswer, spec, found, ranking, inputs.busy)

    def judge(
        self,
        spec: CleaningSpec,
        data: CleaningSets,
        answer: RankingAnswer,
        progress: Progress,
        *,
        checkpoint: Path | None = None,
        cache: dict[str, Any] | None = None,
    ) -> Judged:
        """Play the game with a ranking. Cells of one task and seed share their fits in ``cache``."""
        from evaluator.cleaning.game import play, play_edits
        from evaluator.cleaning.refits import Refits

        task = data.task(spec.data_id, spec.seed)
        common: dict[str, Any] = {
            "phases": list(answer.phases),
            "busy": answer.busy,
            "rows": len(task.train),
            "wrong": int(task.wrong.sum()),
            "isolation": IsolationRow(tier=spec.tier, guarded=answer.content["guarded"], limited_by=answer.content["limited_by"]),
            "data": DataRow(
                folder=data.label,
                counts={"training": len(task.train), "validation": len(task.validation), "test": len(task.test)},
                digests=spec.data,
            ),
        }
        ranking, edits = answer.content["ranking"], answer.content.get("edits")
        if not answer.scorable(spec) or (ranking is None and edits is None):
            return Judged(CleaningResult.of(spec, answer, Verdict(answer.verdict), reason=answer.reason, **common))
        if ranking is not None and len(ranking) != len(task.train):
            why = f"the ranking has {len(ranking)} rows; expected {len(task.train)}"
            return Judged(CleaningResult.of(spec, answer, Verdict.INVALID_OUTPUT, reason=why, **common))
        if spec.pipeline == VOTES:
            return self._by_verdicts(spec, answer, task, common)
        recipe = spec.pipeline
        start = derive(data.root, spec.seed, "cleaning", "weights") % 2**31 if recipe.start is None else recipe.start
        key = ("cleaning", task.digest(), start, recipe.exact)
        if cache is not None and cache.get("refits for") != key:
            cache.update({"refits for": key, "refits": Refits(task, "strict", exact=recipe.exact, seed=start)})
        how: dict[str, Any] = {
            "points": recipe.points,
            "exact": recipe.exact,
            "seed": start,
            "enough": spec.profile.enough,
            "progress": lambda done, total: progress("trainings", done / max(1, total)),
            "refits": None if cache is None else cache["refits"],
        }
        if edits is None:
            (course,) = play(task, [ranking], action="remove" if spec.action == "remove" else "fix", **how)
        else:
            course = play_edits(task, [(row, label) for row, label in edits], **how)
        return self._scored(spec, answer, course, common)

    def _by_verdicts(self, spec: CleaningSpec, answer: RankingAnswer, task: CleaningTask, common: dict[str, Any]) -> Judged:
        from evaluator.cleaning.verdicts import course_by_verdicts, unjudged

        course = course_by_verdicts(task, answer.content["ranking"], enough=spec.profile.enough)
        without, early = unjudged(task, answer.content["ranking"])
        return self._scored(spec, answer, course, common | {"rows": course.rows, "unjudged": without, "early_unjudged": early})

    @staticmethod
    def _scored(spec: CleaningSpec, answer: RankingAnswer, course: Course, common: dict[str, Any]) -> Judged:
        metrics = {
            "fraction_fixed": course.first_reach,
            "area": course.area,
            "discovery": course.discovery,
            "found_early": course.found_early,
        }
        result = CleaningResult.of(
            spec,
            answer,
            Verdict.OK,
            fit_to_submit=True,
            metrics=metrics,
            curve=[CurvePoint(checks=n, accuracy=a) for n, a in zip(course.checks, course.accuracies, strict=True)],
            hits=list(course.hits),
            clean_accuracy=course.clean,
            target=course.target,
            reached=course.reached,
            **common,
        )
        return Judged(result)

    def places(self, data: CleaningSets) -> list[Path]:
        """The folders of the tasks and of their embeddings."""
        return data.places()

    # -- tables

    def public_tasks(self, profile: Mapping[str, Any]) -> set[str]:
        """The tasks that the profile names."""
        return set(profile["tasks"])

    def heading(self, condition: Mapping[str, Any]) -> str:
        """What is done with a row that is checked."""
        return ACTIONS.get(condition["action"], str(condition["action"]))

    def unusual(self, condition: Mapping[str, Any]) -> str:
        """What is done with a row that is checked, unless a wrong label is corrected."""
        action = condition.get("action", "fix")
        return "" if action == "fix" else ACTIONS.get(action, str(action))

    def repeat_command(self, specs: Sequence[Mapping[str, Any]], tasks: Sequence[str], seeds: int) -> list[list[str]] | None:
        """Of rankings that came as files: ``cleaning evaluate``."""
        if any(spec["tier"] != FILE for spec in specs):
            return None
        recipes = list(dict.fromkeys(spec["pipeline"]["name"] for spec in specs))
        command = ["python", "-m", "evaluator", "cleaning", "evaluate", "--folder", "cleaning"]
        if recipes == [ORIGINAL.name]:
            return [[*command, "--scoring", "dataperf"], ["--tasks", *tasks]]
        actions = [action for action in dict.fromkeys(spec["action"] for spec in specs) if action != EDITS]
        options = ["--seeds", str(seeds), "--root-seed", str(specs[0]["root_seed"]), "--pipelines", *recipes]
        return [command, ["--tasks", *tasks], [*options, *(["--action", *actions] if actions else [])]]

    def figures(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """See ``Tables.figures``."""
        return {name: cell.get(name) for name in ("clean_accuracy", "target", "reached", "rows")}

    def run_figures(self, results: Sequence[CellResult]) -> dict[str, Any]:
        """The mean accuracy on true labels."""
        clean = [r.clean_accuracy for r in results if isinstance(r, CleaningResult) and r.clean_accuracy is not None]
        return {"clean_accuracy": float(np.mean(clean)) if clean else None}

    def remarks(self, cell: Mapping[str, Any]) -> Iterable[Remark]:
        """A task whose target is reached before the first check, and a target that is never reached.

        In the original's scoring a score of 0 is no property of the task: a short file has it anywhere.
        """
        if cell["spec"]["pipeline"]["name"] == ORIGINAL.name:
            return
        if cell["metrics"] and cell["metrics"]["fraction_fixed"] == 0:
            yield Remark(
                "the target is reached before a label is checked",
                f"the labels as given reach {cell['target']:.3f}",
                "Such a task tells nothing about a ranking by its share fixed; look at the areas.",
                of_task=True,
            )
        if cell["metrics"] and cell.get("reached") is False:
            yield Remark("the target is never reached", f"the target is {cell['target']:.3f}", "Its share fixed counts as 1.")
        if cell.get("unjudged"):
            yield Remark(
                "rows without a verdict are left out",
                f"{cell['unjudged']:,} of {cell['unjudged'] + cell['rows']:,} rows, {cell['early_unjudged']:,} of them among the "
                f"first {cell['rows']:,} of the ranking",
                "They count neither as wrong nor as right: the figures speak of the rows that people voted on alone.",
            )

    def report_sections(self, cells: Cells, material: Material) -> Iterable[Section]:
        """See ``report.sections``."""
        from evaluator.cleaning.report import sections

        return sections(cells)

    def public_sections(self, cells: Cells) -> Iterable[Section]:
        """The curves of accuracy at a few places, without those of wrong labels found: they would say which labels are wrong."""
        from evaluator.cleaning.report import sections

        return sections(cells, open_to_all=True)

    def tables(self, results: Sequence[CellResult], data: Any) -> Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]:
        """``curves.csv``: the curve of every cell."""
        rows = (
            (r.spec.task, r.spec.seed, r.spec.condition["action"], point.checks, f"{point.accuracy:.6f}")
            for r in results
            if isinstance(r, CleaningResult)
            for point in r.curve
        )
        return {"curves.csv": (("task", "seed", "action", "checks", "accuracy"), rows)}

    def hold(self, data: CleaningSets, cells: Sequence[CellSpec]) -> None:
        """See ``Track.hold``."""
        data.hold((spec.data_id, spec.seed) for spec in cells if isinstance(spec, CleaningSpec))


def _session(spec: CleaningSpec, inputs: CellInputs) -> Session:
    sets: CleaningSets = inputs.data
    return Session(
        submission=inputs.path,
        submission_digest=spec.submission_digest,
        task=sets.task(spec.data_id, spec.seed),
        seconds=spec.profile.seconds,
        load_seconds=spec.profile.load_seconds,
        seed=derive(sets.root, spec.seed, "participant") % 2**31,
        threads=spec.worker_threads,
        weights=inputs.weights_dir,
        printed=inputs.printed,
    )


CLEANING = CleaningTrack()
