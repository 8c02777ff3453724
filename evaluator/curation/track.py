"""The curation track: a fixed model, better data (after the Data-Centric AI Competition of 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from evaluator.curation.curated import Curated
from evaluator.curation.recipes import recipe_named
from evaluator.curation.records import TIER, CurationResult, CurationSpec, DataAnswer
from evaluator.curation.rules import Count, Duplicates, Judges, Rank, profile_named, ruled
from evaluator.curation.sets import CurationSets, sets_of
from evaluator.errors import ConfigurationError, DataError, SubmissionError, Verdict
from evaluator.machine import cores
from evaluator.plans import Choices, Option, Plan, Step, Task
from evaluator.records import CellResult, DataRow, IsolationRow
from evaluator.sections import Cells, Material, Section
from evaluator.seeds import derive
from evaluator.specs import CellSpec
from evaluator.submission.session import answer_of
from evaluator.tables import Column, Metric, Remark
from evaluator.track import NOTHING_ASKED, CellInputs, Debugged, Judged, Progress, Track, Trial
from evaluator.words import counted

if TYPE_CHECKING:
    from evaluator.curation.session import SessionSpec
    from evaluator.sandbox.tier import Sandbox
    from evaluator.submission.answers import AnswerFiles

METRICS = (
    Metric("accuracy", "accuracy", low=0, high=1),
    Metric("macro_f1", "macro F1", low=0, high=1),
    Metric("book_accuracy", "label book", low=0, high=1, note="label book: accuracy on the images that a submission is shown"),
    Metric("validation_accuracy", "validation", low=0, high=1, note="validation: the best on the submission's own val"),
)


class CurationTrack(Track):
    """See the module."""

    spec_type = CurationSpec
    result_type = CurationResult
    task_word = "data set"
    metrics = METRICS
    columns = (
        Column("test interval", lambda row: _span(row.get("accuracy_low"), row.get("accuracy_high"))),
        Column("train + val", lambda row: f"{row['train']:,} + {row['val']:,}" if row.get("train") is not None else "-"),
    )
    figure_members = frozenset({"changes", "accuracy_low", "accuracy_high", "test_images", "by_class", "members", "near_distance"})
    trial_options: ClassVar[tuple[str, ...]] = ("profile", "data")
    options: ClassVar[Mapping[str, Option]] = {
        "label_book": Option(Path, "folder of the label book (default: label_book in --data, or beside it)", metavar="DIR"),
        "test": Option(Path, "folder of the hidden test set (default: test in --data, or beside it)", metavar="DIR"),
        "count": Option(str, "what the limit of 10,000 counts; batches of 8 as the original did", choices=get_args(Count)),
        "duplicates": Option(str, "images with equal pixels in train and val (default: report)", choices=get_args(Duplicates)),
        "seconds": Option(float, "limit of curate (default: the profile's)", metavar="S"),
        "panel": Option(
            str,
            "recipes, by name or TOML file, that judge together",
            many=True,
            default=None,
            metavar="NAME|FILE",
            group="the grid",
        ),
        "panel_rank": Option(str, "which score of a panel ranks", default="mean", choices=get_args(Rank), group="the grid"),
    }
    examples = ('python -m evaluator sweep --track curation --submissions "baselines/curation/*" --profile quick --seeds 5',)

    def default_profile(self, options: Mapping[str, Any]) -> str:
        """The embedded data."""
        return "numerals"

    def plan(self, choices: Choices, step: Step = lambda what, done, total: None) -> Plan:
        """See ``Track.plan``."""
        given = choices.options
        profile = ruled(profile_named(choices.profile), given.get("count"), given.get("duplicates"), given.get("seconds"))
        if choices.score_splits:
            raise ConfigurationError("--score-split: curation has one hidden test set. Leave the option out")
        judges = judges_of(choices.pipelines, given.get("panel"), given.get("panel_rank") or "mean", profile.pipeline)
        sets = sets_of(profile, choices.root, choices.data, given.get("label_book"), given.get("test"))
        step("reading images", 0, 1)
        data = sets.load()
        step("reading images", 1, 1)
        digests = {"data": data.digest}
        cells = tuple(
            CurationSpec(
                **choices.common(source),
                profile=profile,
                weights="none",
                score_split="test",
                worker_threads=min(3, cores()),
                seed=seed,
                data=digests,
                data_id=sets.name,
                pipeline=pipeline,
            )
            for source in choices.submissions
            for seed in choices.seeds
            for pipeline in judges
        )
        shown = [
            ("data", f"{sets.name}: {len(data.train):,} + {len(data.validation):,} images, {len(data.classes)} classes"),
            ("hidden test set", f"{len(data.test):,} images; label book: {len(data.book):,}"),
            ("limits", f"{profile.most:,} images ({profile.count} counted), curate has {profile.seconds:g} s"),
        ]
        warnings = []
        if data.left_out:
            warnings.append(
                f"{counted(len(data.left_out), 'given image')} with the same pixels as an image of the label book or the hidden "
                "test set; nobody trains on them"
            )
        return Plan(
            rules=profile,
            tasks=(Task(sets.name, "public"),),
            pipelines=judges,
            cells=cells,
            data={"test": sets},
            digests={"test": digests},
            items={sets.name: profile.most},
            shown=tuple(shown),
            warnings=tuple(warnings),
        )

    def answer(self, stored: Mapping[str, Any]) -> DataAnswer:
        """See ``Track.answer``."""
        try:
            return DataAnswer.from_dict(stored)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ConfigurationError(f"a stored data set was not understood: {error!r}") from error

    def trial(
        self, submission: Path, sandbox: Sandbox, weights: Path | None = None, asked: Mapping[str, Any] = NOTHING_ASKED
    ) -> Trial:
        """See ``Track.trial``."""
        from evaluator.curation.trial import try_out

        return try_out(submission, sandbox, weights, asked)

    def debug(self, spec: CurationSpec, inputs: CellInputs, progress: Progress) -> Debugged:
        """See ``Track.debug``."""
        from evaluator.curation.trial import debug

        return debug(_session(spec, inputs), spec.profile, inputs.sandbox, progress)

    def given(self, path: Path) -> AnswerFiles | None:
        """See ``Track.given``."""
        from evaluator.curation.given import given

        return given(path)

    def obtain(self, spec: CurationSpec, inputs: CellInputs, progress: Progress) -> DataAnswer:
        """Run ``curate`` in the sandbox; or read the folder or the table, where nothing is to be run."""
        if spec.tier == TIER:
            return _from_files(spec, inputs, progress)
        from evaluator.curation.session import run_session

        found = run_session(_session(spec, inputs), inputs.sandbox, progress)
        content = {"data": None if found.curated is None else found.curated.content()}
        return answer_of(DataAnswer, spec, found, content, inputs.busy)

    def hold(self, data: CurationSets, cells: Sequence[CellSpec]) -> None:
        """See ``Track.hold``."""
        data.load()

    def judge(
        self,
        spec: CurationSpec,
        data: CurationSets,
        answer: DataAnswer,
        progress: Progress,
        *,
        checkpoint: Path | None = None,
        cache: dict[str, Any] | None = None,
    ) -> Judged:
        """Hold the data set against the rules, train the fixed model on it, score the hidden test set."""
        from evaluator.curation.judge import checked, train_and_score

        there = data.load()
        common: dict[str, Any] = {
            "phases": list(answer.phases),
            "busy": answer.busy,
            "test_images": len(there.test),
            "isolation": IsolationRow(
                tier=spec.tier, guarded=bool(answer.content.get("guarded")), limited_by=str(answer.content.get("limited_by", ""))
            ),
            "data": DataRow(
                folder=data.name,
                counts={
                    "train": len(there.train),
                    "val": len(there.validation),
                    "label_book": len(there.book),
                    "test": len(there.test),
                },
                digests=spec.data,
            ),
        }
        if not answer.scorable(spec) or answer.content.get("data") is None:
            return Judged(CurationResult.of(spec, answer, Verdict(answer.verdict), reason=answer.reason, **common))
        try:
            ready = checked(Curated.of(answer.content["data"]), there, spec.profile)
        except DataError as error:
            return Judged(CurationResult.of(spec, answer, Verdict.INVALID_OUTPUT, reason=str(error), **common))
        common |= {"changes": ready.changes, "near": ready.near, "near_distance": max(0, there.calibration.distance)}
        start = derive(data.root, spec.seed, "curation", "weights") % 2**31
        found = train_and_score(ready, there, spec.pipeline, start, lambda share: progress("training", share), device=spec.device)
        result = CurationResult.of(
            spec,
            answer,
            Verdict.OK,
            fit_to_submit=True,
            metrics=found.metrics,
            fingerprint=found.fingerprint,
            accuracy_low=found.low,
            accuracy_high=found.high,
            by_class=found.by_class,
            members=found.members,
            **common,
        )
        return Judged(result, found.probabilities)

    def places(self, data: CurationSets) -> list[Path]:
        """The folders of the data."""
        return [folder for folder in (data.folder, data.book, data.test) if folder is not None]

    # -- tables

    def collapsed(self, metrics: Mapping[str, Any]) -> bool:
        """Whether the accuracy is no better than that of the most frequent class for every image."""
        score = metrics.get("accuracy")
        return score is not None and score <= metrics.get("best_constant_accuracy", 0.0) + 1e-9

    def public_tasks(self, profile: Mapping[str, Any]) -> set[str]:
        """The embedded data of the profile."""
        return {profile["data"]} if profile["data"] else set()

    def figures(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """See ``Tables.figures``."""
        changes = cell.get("changes") or {}
        own = {name: changes.get(name) for name in ("train", "val", "dropped", "relabelled", "moved", "added")}
        return own | {name: cell.get(name) for name in ("accuracy_low", "accuracy_high", "test_images")}

    def run_figures(self, results: Sequence[CellResult]) -> dict[str, Any]:
        """Wilson's interval of the mean accuracy over the test images, and the size of the data set of the first seed."""
        from evaluator.scoring.intervals import wilson_of_share

        own = [r for r in results if isinstance(r, CurationResult) and r.metrics is not None]
        if not own:
            return {"accuracy_low": None, "accuracy_high": None, "train": None, "val": None}
        mean = sum(r.metrics["accuracy"] for r in own if r.metrics is not None) / len(own)
        found, changes = wilson_of_share(mean, own[0].test_images), own[0].changes
        sizes = {"train": None, "val": None} if changes is None else {"train": changes.train, "val": changes.val}
        return {"accuracy_low": found.low, "accuracy_high": found.high, **sizes}

    def score_notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        """How the two intervals are to be read."""
        images = next((cell["test_images"] for cell in cells if cell.get("test_images")), None)
        if images is None:
            return []
        return [
            f"test interval: Wilson's 95 % interval of the accuracy over the {images:,} test images. Intervals over seeds speak of "
            "the training's chance alone; a difference must be beyond both."
        ]

    def remarks(self, cell: Mapping[str, Any]) -> Iterable[Remark]:
        """Equal pixels in train and val, and near-duplicates of hidden images."""
        for row in cell.get("near") or ():
            if row["between"] == "train, val" and row["equal"]:
                yield Remark(
                    "images with equal pixels are in train and in val",
                    counted(row["equal"], "pair"),
                    "The best epoch is chosen by images that were trained on; drop one of each.",
                )
            if row["between"] != "train, val" and row["near"]:
                yield Remark(
                    f"images look nearly like images of the {row['between'].partition(', ')[2]}",
                    f"{counted(row['near'], 'pair')} of {row['between'].partition(', ')[0]}",
                    "A hash says so, which may err; look at them.",
                )

    def notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        """Unusual events in the trainings of the models."""
        return [
            f"seed {cell['seed']}, model {number}: {note}"
            for cell in cells
            for number, member in enumerate(cell.get("members") or (), 1)
            for note in member.get("notes") or ()
        ]

    def pipeline_text(self, pipeline: Mapping[str, Any]) -> str:
        """What the recipe is, in words. The members of a panel are not told."""
        members = pipeline["members"]
        return str(members[0]["said"]) if len(members) == 1 else f"the {pipeline['rank']} of {len(members)} models ranks"

    def report_sections(self, cells: Cells, material: Material) -> Iterable[Section]:
        """See ``report.sections``."""
        from evaluator.curation.report import sections

        return sections(cells)

    def public_sections(self, cells: Cells) -> Iterable[Section]:
        """The same without the single models of a panel, which are not told to those who take part."""
        shown: Cells = {name: [{**cell, "members": None} for cell in of] for name, of in cells.items()}
        return self.report_sections(shown, Material(lambda cell: None, False, Path(), Path()))

    def tables(self, results: Sequence[CellResult], data: Any) -> Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]:
        """``classes.csv``: the score by class; ``near.csv``: what sets have in common."""
        own = [r for r in results if isinstance(r, CurationResult)]
        classes = (
            (r.spec.task, r.spec.seed, r.spec.pipeline.name, row.label, row.images, f"{row.right:.6f}", row.trained, row.validated)
            for r in own
            for row in r.by_class
        )
        near = (
            (r.spec.task, r.spec.seed, row.between, row.equal, row.near, row.other_label, r.near_distance, example)
            for r in own
            for row in r.near
            for example in (row.examples or [""])
        )
        return {
            "classes.csv": (
                ("data set", "seed", "pipeline", "class", "test images", "right", "train images", "val images"),
                classes,
            ),
            "near.csv": (("data set", "seed", "between", "equal", "near", "other label", "distance", "example"), near),
        }


def judges_of(pipelines: Sequence[str], panel: Sequence[str] | None, rank: Rank, default: str) -> tuple[Judges, ...]:
    """The judges that were asked for: a panel, or every recipe by itself.

    Raises:
        ConfigurationError: both were asked for, or a name is no recipe.
    """
    if panel and pipelines:
        raise ConfigurationError("--panel and --pipelines were both given; a panel judges alone. Leave one out")
    if panel:
        return (Judges.panel(panel, rank),)
    return tuple(Judges.of(recipe_named(name)) for name in pipelines or (default,))


def _from_files(spec: CurationSpec, inputs: CellInputs, progress: Progress) -> DataAnswer:
    """The answer of a folder or a table; its files are decoded in the isolation tier of the run."""
    from evaluator.curation.given import table_or_folder
    from evaluator.curation.submitted import longest_side, read_submitted
    from evaluator.sandbox.foreign import ForeignFiles

    sets: CurationSets = inputs.data
    content: dict[str, Any] = {"data": None}
    verdict, reason = Verdict.OK, ""
    data, most, most_side = sets.load(), spec.profile.most, spec.profile.most_side
    foreign = ForeignFiles(lambda: inputs.sandbox, longest_side(data, most_side))
    try:
        with foreign:
            path = table_or_folder(inputs.path)
            read = read_submitted(path, data, foreign, most, most_side, lambda share: progress("decoding images", share))
        content["data"] = read.content()
    except DataError as error:
        verdict, reason = Verdict.INVALID_OUTPUT, str(error)
    except SubmissionError as error:
        verdict, reason = Verdict.INVALID_OUTPUT if error.verdict == Verdict.RUNTIME_ERROR else error.verdict, str(error)
    content |= {"decoded_in": foreign.tier, "guarded": foreign.guarded, "limited_by": foreign.limited_by}
    return DataAnswer(
        digest=spec.answer_digest(), spec=spec.answer_dict(), content=content, verdict=str(verdict), reason=reason, busy=inputs.busy
    )


def _session(spec: CurationSpec, inputs: CellInputs) -> SessionSpec:
    from evaluator.curation.session import SessionSpec

    sets: CurationSets = inputs.data
    return SessionSpec(
        submission=inputs.path,
        submission_digest=spec.submission_digest,
        data=sets.load(),
        seconds=spec.profile.seconds,
        load_seconds=spec.profile.load_seconds,
        seed=derive(sets.root, spec.seed, "participant") % 2**31,
        most_side=spec.profile.most_side,
        threads=spec.worker_threads,
        weights=inputs.weights_dir,
        printed=inputs.printed,
    )


def _span(low: Any, high: Any) -> str:
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


CURATION = CurationTrack()
