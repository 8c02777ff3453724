"""The purchase track: which labels do you buy, with a label budget and a clock? The first implementation of ``Track``.

The modules in the order of a cell: ``plan`` makes its spec; ``purchased`` runs the submission in a ``session``, whose ``market``
writes the ``ledger``; ``cell`` trains a pipeline on the bought labels and scores it; ``result`` is the stored record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evaluator.data.layout import SCORED_SPLITS
from evaluator.errors import Verdict
from evaluator.plans import Choices, Option, Plan, Step, Task
from evaluator.purchase.metrics import METRICS, collapsed
from evaluator.purchase.pairs import choose_pairs
from evaluator.purchase.purchased import Purchased, buy
from evaluator.purchase.result import PurchaseResult, observed, upgraded, without_score
from evaluator.purchase.rounds import Pair
from evaluator.purchase.rule_files import chosen_profile, other_file
from evaluator.purchase.sets import RoundSets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import CellResult
from evaluator.report.format import span
from evaluator.sections import Cells, Material, Section
from evaluator.specs import CellSpec
from evaluator.submission.source import GIVEN
from evaluator.tables import Block, Column, Metric, Remark, Run
from evaluator.track import NOTHING_ASKED, CellInputs, Debugged, Judged, Progress, Track, Trial
from evaluator.words import counted, number

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from evaluator.sandbox.tier import Sandbox
    from evaluator.submission.answers import AnswerFiles


def _labels(row: Mapping[str, Any]) -> str:
    return f"{span(row['bought'])} of {row['budget']}" if row["bought"] else "-"


def _time(row: Mapping[str, Any]) -> str:
    return f"{max(row['seconds']):.1f} of {number(row['seconds_allowed'], 4)} s" if row["seconds"] else "-"


class PurchaseTrack(Track):
    """See ``Track``; tasks are pairs of a label budget and a time."""

    spec_type: ClassVar[type[PurchaseSpec]] = PurchaseSpec
    result_type: ClassVar[type[PurchaseResult]] = PurchaseResult
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    score_splits: ClassVar[tuple[str, ...]] = SCORED_SPLITS
    task_word: ClassVar[str] = "pair"
    item_word: ClassVar[str] = "image"
    unscored: ClassVar[str] = "without a score of a trained pipeline"
    collapsed_text: ClassVar[str] = "no better than that of the best constant answer (the same prediction for all images)"
    map_help: ClassVar[str] = "draw label budgets x times as .svg or .png"
    spec_rules: ClassVar[tuple[str, ...]] = ("label_quality", "on_timeout", "restart")
    circumstances: ClassVar[tuple[str, ...]] = ("participant_weights",)
    several_data_sets: ClassVar[bool] = True
    trial_options: ClassVar[tuple[str, ...]] = ("profile", "round")
    columns: ClassVar[tuple[Column, ...]] = (Column("labels", _labels), Column("time", _time))
    figure_members: ClassVar[frozenset[str]] = frozenset({"purchase"})
    old_members: ClassVar[frozenset[str]] = frozenset({"purchase"})
    old_folders: ClassVar[frozenset[str]] = frozenset({"purchases"})
    options: ClassVar[Mapping[str, Option]] = {
        "round": Option(
            str,
            "another round than the profile's, by name or as a TOML file; without --profile at full scale (docs/files.md)",
            metavar="NAME|FILE",
            group="the grid",
            file=True,
        ),
        "pairs": Option(
            str,
            "profile (default), public, 621:17,..., grid:500,1000x15,30, hidden:5; several are combined",
            many=True,
            default=("profile",),
            metavar="WORD",
            group="the grid",
        ),
        "round_seed": Option(int, "seed from which hidden pairs are drawn", metavar="N", group="the grid"),
        "label_quality": Option(
            float, "share of the sold label entries that are right", many=True, default=(1.0,), metavar="Q", group="the grid"
        ),
        "on_timeout": Option(str, "keep: score with the labels bought in time", default="fail", choices=("fail", "keep")),
        "restart_workers": Option(bool, "a fresh worker per phase, with the checkpoint hooks", default=False),
    }

    examples: ClassVar[tuple[str, ...]] = (
        "python -m evaluator sweep --submissions baselines/* --pairs public --seeds 10 --pipelines round2",
        "python -m evaluator sweep --submissions my_submission --pairs public hidden:5 --round-seed 7 --seeds 5",
        "python -m evaluator sweep --submissions my_submission --pairs grid:500,1000,2000x15,30,60 --heat-map map.svg",
    )

    @property
    def panel_command(self) -> str:
        return "python local_evaluation.py --panel"

    # -- records

    def answer(self, stored: Mapping[str, Any]) -> Purchased:
        return Purchased.from_dict(stored)

    def upgraded(self, stored: dict[str, Any]) -> dict[str, Any]:
        return upgraded(stored)

    # -- a cell

    def default_profile(self, options: Mapping[str, Any]) -> str:
        """``quick``; a round that is named is run at full scale, or as its own file says."""
        return "" if options.get("round") else "quick"

    def other_file(self, content: Mapping[str, Any]) -> str:
        return other_file(content, "options")

    def plan(self, choices: Choices, step: Step = lambda what, done, total: None) -> Plan:
        from evaluator.purchase.plan import make_plan

        return make_plan(choices, step)

    def tasks(self, options: Mapping[str, Any], profile: str) -> tuple[Task, ...]:
        """The pairs that ``options`` name, without reading data."""
        found = choose_pairs(options["pairs"], chosen_profile(profile, options.get("round")), options["round_seed"])
        return tuple(Task(named.pair.name, named.kind) for named in found)

    def given(self, path: Path) -> AnswerFiles | None:
        from evaluator.purchase.given import given

        return given(path)

    def obtain(self, spec: PurchaseSpec, inputs: CellInputs, progress: Progress) -> Purchased:
        if spec.tier == GIVEN:
            from evaluator.purchase.given import buy_given

            return buy_given(spec, inputs)
        return buy(spec, inputs, progress)

    def debug(self, spec: PurchaseSpec, inputs: CellInputs, progress: Progress) -> Debugged:
        from evaluator.purchase.debug import debug

        return debug(spec, inputs, progress)

    def judge(
        self,
        spec: PurchaseSpec,
        data: RoundSets,
        answer: Purchased,
        progress: Progress,
        *,
        checkpoint: Path | None = None,
        cache: dict[str, Any] | None = None,
    ) -> Judged:
        from evaluator.purchase.cell import judge

        return judge(spec, data, answer, progress, checkpoint, cache)

    def rescored(
        self, spec: PurchaseSpec, data: RoundSets, stored: Mapping[str, Any], predictions: np.ndarray
    ) -> PurchaseResult | None:
        from evaluator.purchase.cell import rescored

        return rescored(spec, data, stored, predictions)

    def broken(self, spec: PurchaseSpec, reason: str, trace: str, verdict: Verdict = Verdict.INFRASTRUCTURE) -> PurchaseResult:
        return without_score(spec, reason, trace, verdict)

    def trial(
        self, submission: Path, sandbox: Sandbox, weights: Path | None = None, asked: Mapping[str, Any] = NOTHING_ASKED
    ) -> Trial:
        from evaluator.purchase.trial import try_out

        return try_out(submission, sandbox, weights, asked)

    def places(self, data: RoundSets) -> list[Path]:
        return [path for images in data.images.values() for path in (images.path, images.embeddings) if path is not None]

    # -- tables

    def collapsed(self, metrics: Mapping[str, Any]) -> bool:
        return collapsed(metrics)

    def figures(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        row = cell["purchase"]
        for name in ("bought", "budget", "seconds"):
            value = row["bought"] if name == "bought" else row.get(name, 0)
            if not isinstance(value, (int, float)):
                raise TypeError(f"purchase.{name} is {str(value)[:20]!r}, not a number")
        return {name: row.get(name) for name in ("bought", "budget", "seconds", "clock_was_read")}

    def contradiction(self, spec: CellSpec, stored: Mapping[str, Any]) -> str:
        metrics, training, kept = (stored.get(name) or {} for name in ("metrics", "training", "predictions"))
        if kept and metrics and kept["shape"][0] != metrics["n"]:
            return f"is contradictory: metrics.n is {metrics['n']}, and predictions.shape {kept['shape']}"
        if training and training["n_items"] != training["n_training_set"] + training["n_bought"]:
            return "is contradictory: training.n_items is not the sum of n_training_set and n_bought"
        return super().contradiction(spec, stored)

    def observation(self, cell: Mapping[str, Any]) -> str | None:
        return observed(cell)

    def drawn_scores(self, cell: Mapping[str, Any], predictions: Any, metric: str, draws: int, places: Path) -> np.ndarray:
        from evaluator.purchase.drawn_images import drawn_scores

        return drawn_scores(cell, predictions, metric, draws, places)

    def not_compared(self, spec: Mapping[str, Any]) -> str:
        own = spec["profile"]["round"]["scores"] != "organiser"
        return "scores the participant's own predictions, not a training" if own else ""

    def whole(self, cell: Mapping[str, Any]) -> bool:
        """Whether the whole pool was bought."""
        pool = cell["spec"]["profile"]["sizes"]["unlabelled"]
        drawn = cell["spec"]["profile"].get("drawn", {}).get("unlabelled")
        held = (cell.get("data") or {}).get("counts", {}).get("unlabelled", drawn or pool)
        return cell["purchase"]["bought"] == held

    def shared_profile(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in profile.items() if name not in ("pipeline", "weights", "pairs")}

    def task_name(self, text: str) -> str:
        return Pair.parse(text).name

    def task_order(self, name: str) -> Any:
        return Pair.parse(name)

    def task_figures(self, profile: Mapping[str, Any], name: str) -> dict[str, Any]:
        return {"budget": round(Pair.parse(name).labels * profile["budget_scale"])}

    def task_title(self, figures: Mapping[str, Any]) -> str:
        return counted(figures["budget"], "label")

    def public_tasks(self, profile: Mapping[str, Any]) -> set[str]:
        return {Pair(**pair).name for pair in profile["round"]["pairs"]}

    def curves(self, tasks: Sequence[str]) -> list[tuple[str, tuple[str, ...], list[float]]]:
        """Budget curves: a curve for every time that has two or more budgets; if there is none, one curve over all pairs."""
        pairs = [Pair.parse(task) for task in tasks]
        at: dict[float, list[Pair]] = defaultdict(list)
        for pair in pairs:
            at[pair.minutes].append(pair)
        found = [(f"pairs of {minutes:g} minutes", members) for minutes, members in sorted(at.items()) if len(members) > 1]
        if not found and len({pair.labels for pair in pairs}) > 1:
            found = [("all pairs, whose times differ, too", pairs)]
        return [(label, tuple(p.name for p in members), [float(p.labels) for p in members]) for label, members in found]

    def heading(self, condition: Mapping[str, Any]) -> str:
        quality = condition["label_quality"]
        return "clean labels" if quality == 1 else f"label quality {quality:g}"

    def pipeline_text(self, pipeline: Mapping[str, Any]) -> str:
        kind = f"{pipeline['architecture']}, {pipeline['image_size']} px, {counted(pipeline['epochs'], 'epoch')}"
        return f"{kind}, weights {pipeline['weights']}"

    def adapted_text(self, pipeline: Mapping[str, Any]) -> str:
        named = {"procedural": "the kit's own starting weights", "none": "no starting weights"}
        weights = named.get(pipeline["weights"], f"weights {pipeline['weights']}")
        return f"{pipeline['image_size']} px, {weights}"

    def maps(
        self, profile: Mapping[str, Any], runs: Sequence[Run], tasks: Sequence[Task] | None, names: Sequence[str], **how: Any
    ) -> list[dict[str, Any]]:
        from evaluator.purchase.heat import heat_maps

        return heat_maps(profile, runs, tasks, names, **how)

    def map_blocks(self, found: Mapping[str, Any]) -> Iterable[Block]:
        from evaluator.purchase.heat_tables import heat_blocks

        return heat_blocks(dict(found))

    def show_map(self, console: Console, found: Mapping[str, Any], title: str = "") -> None:
        from evaluator.purchase.heat_tables import show_heat_map

        show_heat_map(console, dict(found), title)

    def map_tasks(self, found: Mapping[str, Any]) -> set[str]:
        return {cell["pair"] for row in found["submissions"][:1] for cell in row["cells"]}

    def check_drawing(self, path: Path, tasks: Sequence[Task] | None = None) -> None:
        from evaluator.purchase.heat import require_grid
        from evaluator.purchase.heat_picture import check_picture

        check_picture(path)
        if tasks is not None:
            require_grid(tasks)

    def draw_maps(self, path: Path, maps: Sequence[tuple[str, Mapping[str, Any]]], source: str) -> None:
        from evaluator.purchase.heat_picture import draw_heat_maps

        draw_heat_maps(path, [(heading, dict(heat)) for heading, heat in maps], source)

    def report_sections(self, cells: Cells, material: Material) -> Iterable[Section]:
        from evaluator.purchase.report import purchase_sections

        tasks = {cell["spec"]["task"] for of in cells.values() for cell in of}
        return purchase_sections(cells, material, self.curves(sorted(tasks, key=Pair.parse)))

    def repeat_options(self, specs: Sequence[Mapping[str, Any]], tasks: Sequence[str], one: bool) -> list[str]:
        spec = specs[0]
        found = [word for task in tasks for word in ("--pair", task)] if one else ["--pairs", ",".join(tasks)]
        if (qualities := dict.fromkeys(spec["label_quality"] for spec in specs)) != {1.0: None}:
            found += ["--label-quality", *(f"{quality:g}" for quality in qualities)]
        if spec["on_timeout"] != "fail":
            found += ["--on-timeout", spec["on_timeout"]]
        adapted, weights = "@" in spec["pipeline"]["name"], spec["pipeline"]["weights"]
        if adapted and weights != spec["profile"]["weights"]:
            found += ["--starting-weights", weights]
        if spec["participant_weights"]:
            found += ["--weights-dir", "DIR"]
        return found + (["--restart-workers"] if spec["restart"] else [])

    def repeat_rules(self, profile: Mapping[str, Any], private: bool) -> tuple[list[str], dict[str, str]]:
        from evaluator.purchase.asked_again import asked_for

        return asked_for(profile, private)

    def repeat_pipeline(self, pipeline: Mapping[str, Any], asked: str) -> tuple[str, dict[str, str]]:
        from evaluator.purchase.asked_again import pipeline_for

        return pipeline_for(pipeline, asked)

    def run_figures(self, results: Sequence[CellResult]) -> dict[str, Any]:
        rows = [result.purchase for result in results if isinstance(result, PurchaseResult)]
        return {"bought": [row.bought for row in rows], "seconds": [row.seconds for row in rows]}

    def score_notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        scored = [cell["metrics"] for cell in cells if cell["scored"]]
        if not scored or "best_constant_macro_f1" not in scored[0]:
            return []
        constant = scored[0]["best_constant_macro_f1"]
        return [f"best constant answer (the same prediction for all images): macro F1 {constant:.3f}."]

    def notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        found = []
        if any(cell["purchase"]["clock_was_read"] for cell in cells if cell["scored"]):
            found.append("the submission reads its clock, so what it buys may differ from run to run.")
        return found

    def remarks(self, cell: Mapping[str, Any]) -> Iterable[Remark]:
        from evaluator.purchase.remarks import remarks

        return remarks(cell)

    def tables(self, results: Sequence[CellResult], data: RoundSets) -> Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]:
        """``purchases.csv``: every ledger of the run, in order of purchase; a ledger that several pipelines share once."""
        bought = [result for result in results if isinstance(result, PurchaseResult)]
        if not bought:
            return {}
        header = ["pair", "seed", "order", "index", "file", "seconds", *bought[0].spec.profile.round.classes]
        return {"purchases.csv": (header, _ledger_rows(bought, data))}


def _ledger_rows(results: Sequence[PurchaseResult], data: RoundSets) -> Iterator[list[Any]]:
    written = set()
    for result in results:
        spec = result.spec
        # A cell that failed by a fault of the evaluator has no ledger; another pipeline of the panel may have it.
        if (spec.pair, spec.seed) in written or not result.ledger:
            continue
        written.add((spec.pair, spec.seed))
        files = data.of(spec).splits["unlabelled"].files
        for sold in result.ledger:
            yield [spec.pair.name, spec.seed, sold.order, sold.index, files[sold.image], f"{sold.seconds:.6f}", *sold.label]


PURCHASE = PurchaseTrack()
