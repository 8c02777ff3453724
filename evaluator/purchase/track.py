"""The purchase track: which labels do you buy, with a label budget and a clock? The first implementation of ``Track``.

The modules in the order of a cell: ``plan`` makes its spec; ``purchased`` runs the submission in a ``session``, whose ``market``
writes the ``ledger``; ``cell`` trains a pipeline on the bought labels and scores it; ``result`` is the stored record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evaluator.errors import Verdict
from evaluator.plans import Choices, Option, Plan, Step, Task
from evaluator.purchase.pairs import choose_pairs
from evaluator.purchase.profiles import profile_named
from evaluator.purchase.purchased import Purchased, buy
from evaluator.purchase.result import PurchaseResult, upgraded, without_score
from evaluator.purchase.rounds import Pair
from evaluator.purchase.sets import RoundSets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import CellResult, CellSpec
from evaluator.report.format import span
from evaluator.tables import Block, Column, Run
from evaluator.track import CellInputs, Judged, Progress, Track
from evaluator.words import counted

if TYPE_CHECKING:
    from rich.console import Console


def _labels(row: Mapping[str, Any]) -> str:
    return f"{span(row['bought'])} of {row['budget']}" if row["bought"] else "-"


def _time(row: Mapping[str, Any]) -> str:
    return f"{max(row['seconds']):.1f} of {row['seconds_allowed']:.4g} s" if row["seconds"] else "-"


class PurchaseTrack(Track):
    """See ``Track``; tasks are pairs of a label budget and a time."""

    spec_type: ClassVar[type[PurchaseSpec]] = PurchaseSpec
    result_type: ClassVar[type[PurchaseResult]] = PurchaseResult
    task_word: ClassVar[str] = "pair"
    spec_rules: ClassVar[tuple[str, ...]] = ("label_quality", "on_timeout", "restart")
    circumstances: ClassVar[tuple[str, ...]] = ("participant_weights",)
    columns: ClassVar[tuple[Column, ...]] = (Column("labels", _labels), Column("time", _time))
    figure_members: ClassVar[frozenset[str]] = frozenset({"purchase"})
    old_members: ClassVar[frozenset[str]] = frozenset({"purchase"})
    old_folders: ClassVar[frozenset[str]] = frozenset({"purchases"})
    options: ClassVar[Mapping[str, Option]] = {
        "pairs": Option(
            str,
            "profile (default), public, 621:17,..., grid:500,1000x15,30, hidden:5; several are combined",
            many=True,
            default=("profile",),
            metavar="WORD",
        ),
        "round_seed": Option(int, "seed from which hidden pairs are drawn", metavar="N"),
        "label_quality": Option(float, "share of the sold label entries that are right", many=True, default=(1.0,), metavar="Q"),
        "on_timeout": Option(str, "keep: score with the labels bought in time", default="fail", choices=("fail", "keep")),
        "restart_workers": Option(bool, "a fresh worker per phase, restored from the checkpoint hooks", default=False),
    }

    # -- records

    def answer(self, stored: Mapping[str, Any]) -> Purchased:
        return Purchased.from_dict(stored)

    def upgraded(self, stored: dict[str, Any]) -> dict[str, Any]:
        return upgraded(stored)

    # -- a cell

    def plan(self, choices: Choices, step: Step = lambda what, done, total: None) -> Plan:
        from evaluator.purchase.plan import make_plan

        return make_plan(choices, step)

    def tasks(self, options: Mapping[str, Any], profile: str) -> tuple[Task, ...]:
        """The pairs that ``options`` name, without reading data."""
        found = choose_pairs(options["pairs"], profile_named(profile), options["round_seed"])
        return tuple(Task(named.pair.name, named.kind) for named in found)

    def obtain(self, spec: PurchaseSpec, inputs: CellInputs, progress: Progress) -> Purchased:
        return buy(spec, inputs, progress)

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

    def broken(self, spec: PurchaseSpec, reason: str, trace: str, verdict: Verdict = Verdict.INFRASTRUCTURE) -> PurchaseResult:
        return without_score(spec, reason, trace, verdict)

    def places(self, data: RoundSets) -> list[Path]:
        return [path for images in data.images.values() for path in (images.path, images.embeddings) if path is not None]

    # -- tables

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

    def spec_trains(self, spec: Mapping[str, Any]) -> bool:
        return spec["profile"]["round"]["scores"] == "organiser"

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

    def run_figures(self, results: Sequence[CellResult]) -> dict[str, Any]:
        rows = [result.purchase for result in results if isinstance(result, PurchaseResult)]
        return {"bought": [row.bought for row in rows], "seconds": [row.seconds for row in rows]}

    def notes(self, cells: Sequence[Mapping[str, Any]]) -> list[str]:
        found = []
        if any(cell["purchase"]["clock_was_read"] for cell in cells if cell["scored"]):
            found.append("the submission reads its clock, so what it buys may differ from run to run.")
        for cell in cells:
            if cell["purchase"]["disagreement"]:
                found.append(f"{cell['pair']} seed {cell['seed']}: {cell['purchase']['disagreement']}.")
        return found

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
