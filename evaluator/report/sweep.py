"""What a person sees of a sweep: what is to be done, how far it is, the table at the end."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from evaluator.purchase.heat import HeatMap
from evaluator.purchase.spec import CellSpec
from evaluator.report.comparison_tables import heading
from evaluator.report.format import figure, signed
from evaluator.report.heat_tables import show_heat_map
from evaluator.runner.cells import Finished
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.forecast import Forecast
from evaluator.sweep.plan import Plan

MOST_FAILURES = 20
"""How many failed cells are shown with their reason; all of them stand in ``sweep.json``."""
_PAIR_WIDTH = 11
"""Columns of the terminal that a pair takes at most: ``1321:34.5*``, and a space."""


def show_sweep(console: Console, experiment: Experiment, forecast: Forecast) -> None:
    """What is to be done, and how long it will take."""
    plan, profile = experiment.plans[0], experiment.profile
    first = f" from number {plan.first_seed} on" if plan.first_seed else ""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, text in (
        ("submissions", f"{len(experiment.labels)}: {', '.join(experiment.labels.values())}"),
        ("profile", f"{profile.name} of {profile.round.name}"),
        ("pairs", "; ".join(profile.describe(n.pair) + f" ({n.kind})" for n in experiment.pairs)),
        ("pipelines", ", ".join(pipeline.name for pipeline in plan.pipelines) if profile.round.scores == "organiser" else "none"),
        (
            "seeds",
            f"{plan.seeds}{first} (root {plan.root_seed}); scored on {', '.join(experiment.sets)}",
        ),
        ("label quality", ", ".join(f"{quality:g}" for quality in experiment.settings.label_quality)),
        ("isolation", plan.tier),
        ("trainings", _room(experiment, plan)),
        ("cells", f"{forecast.cells}: {forecast.finished} finished before, {forecast.trainings} to run"),
        ("purchases", f"{forecast.purchases} to make"),
        ("time", time_needed(forecast)),
    ):
        table.add_row(name, Text(text))
    console.print(table)


def time_needed(forecast: Forecast) -> str:
    """The duration in words, and what it rests on."""
    if not forecast.trainings:
        return "nothing to run"
    parts = []
    if forecast.purchases_unknown:
        limit = duration(forecast.purchase_limit)
        parts.append(f"{forecast.purchases_unknown} purchases not measured yet: counted with their limit, {limit} in all")
    if forecast.trainings_unknown:
        unknown = f"{forecast.trainings_unknown} of {forecast.trainings} trainings"
        parts.append(f"{unknown} not measured: no stored cell of that pipeline, device and number of threads")
    if forecast.seconds is not None:
        return "; ".join((("at most " if forecast.purchases_unknown else "about ") + duration(forecast.seconds), *parts))
    known = forecast.purchase_seconds + forecast.training_seconds / forecast.workers
    return "; ".join((*parts, *([f"what is known takes {duration(known)}"] if known else ())))


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class SweepLine:
    """The progress of a whole sweep on one line; what a cell counts for is the time that it will probably take.

    A failed cell is written above the line as soon as it is known.
    """

    def __init__(self, progress: Progress, experiment: Experiment, forecast: Forecast) -> None:
        self._line, self._experiment, self._forecast = progress, experiment, forecast
        self._bought: set[str] = set()
        self._trained: set[str] = set()
        self._buying = ""
        self._doing = ""
        self._failed = 0
        self._task: TaskID = progress.add_task("sweep", total=sum(forecast.purchase.values()) + self._of(forecast.training))

    def moved(self, spec: CellSpec, what: str, share: float) -> None:
        """What is being done now."""
        del share
        purchase = spec.purchase_digest()
        if what == "training":
            self._bought.add(purchase)
        elif self._buying != purchase:  # they are made one after the other, so the one before is done
            self._bought.add(self._buying)
            self._buying = purchase
        words = f"training, {self._experiment.workers} at a time" if what == "training" else f"buying {spec.pair.name}"
        self._doing = f"; seed {spec.seed}: {words}, {self._experiment.label(spec)}"
        self._show()

    def finished(self, cell: Finished) -> None:
        """A cell is there."""
        spec = cell.spec
        if not cell.cached:
            self._trained.add(spec.digest())
            self._bought.add(spec.purchase_digest())
        if not cell.result["scored"]:
            self._failed += 1
            place = f"{self._experiment.label(spec)} {spec.pair.name} seed {spec.seed} {spec.pipeline.name}"
            self._line.console.print(Text(f"{place}: {cell.result['verdict']}: {cell.result['reason']}", style="red"))
        self._show()

    def _show(self) -> None:
        bought = sum(self._forecast.purchase.get(digest, 0.0) for digest in self._bought)
        done = bought + self._of({digest: self._forecast.training.get(digest, 0.0) for digest in self._trained})
        count = f"{self._forecast.finished + len(self._trained)}/{self._forecast.cells}"
        failed = f", {self._failed} failed" if self._failed else ""
        self._line.update(self._task, completed=done, description=f"{count}{failed}{self._doing}")

    def _of(self, trainings: Any) -> float:
        return sum(trainings.values()) / self._experiment.workers


def show_sweep_result(console: Console, summary: dict[str, Any]) -> None:
    """The table of a sweep: a row per submission, pipeline and condition; and maps of its grid, where one was asked for."""
    maps = titled_heat_maps(summary) if any(pair["kind"] == "grid" for pair in summary["pairs"]) else []
    shown = [i for i, pair in enumerate(summary["pairs"]) if not maps or pair["kind"] != "grid"]
    metric = summary["primary_metric"]
    hidden = any(row["hidden"] for row in summary["rows"]) and any(row["public"] for row in summary["rows"])
    several = [name for name in ("pipeline", "label_quality", "score_split") if len({row[name] for row in summary["rows"]}) > 1]
    mark = "PROXY " if all(pipeline["proxy"] for pipeline in summary["pipelines"]) else ""
    title = f"{mark}{metric}: {summary['round']}, profile {summary['profile']}, isolation {summary['isolation']}"
    whole = _table(summary, several, shown, hidden, title)
    if not shown or _width(console, whole) <= console.width:
        console.print(whole)
    else:  # figures that are cut short are none: the pairs stand below the means, as many beside each other as there is room for
        console.print(_table(summary, several, [], hidden, title))
        names = _width(console, _table(summary, several, [], None))
        beside = max(1, (console.width - names) // _PAIR_WIDTH)
        for first in range(0, len(shown), beside):
            console.print()
            console.print(_table(summary, several, shown[first : first + beside], None, f"{mark}{metric} per pair"))
    for note in _notes(summary, hidden):
        console.print(Text("  " + note, style="dim"))
    for title, heat in maps:
        console.print()
        show_heat_map(console, heat, title)
    failed = [cell for cell in summary["cells"] if cell["verdict"] is not None and cell["score"] is None]
    for cell in failed[:MOST_FAILURES]:
        place = f"{cell['submission']} {cell['pair']} seed {cell['seed']} {cell['pipeline']}"
        console.print(Text(f"{place}: {cell['verdict']}: {cell['reason']}", style="red"))
    if len(failed) > MOST_FAILURES:
        console.print(Text(f"and {len(failed) - MOST_FAILURES} more failed cells; sweep.json holds all", style="red"))


def _table(summary: dict[str, Any], several: list[str], shown: list[int], hidden: bool | None, title: str = "") -> Table:
    """A row per submission and condition.

    Args:
        several: what conditions differ in.
        shown: numbers of the pairs that have a column.
        hidden: whether public less hidden has one; None leaves the mean and the number of scored cells out, too.
    """
    metric = summary["primary_metric"]
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    table.add_column("submission")
    for name in several:
        table.add_column(name.replace("_", " "))
    if hidden is not None:
        table.add_column("scored", justify="right")
    for pair in (summary["pairs"][i] for i in shown):
        table.add_column(pair["pair"] + ("*" if pair["kind"] == "hidden" else ""), justify="right")
    if hidden is not None:
        table.add_column("mean", justify="right")
    if hidden:
        table.add_column("public - hidden", justify="right")
    proxies = {pipeline["name"] for pipeline in summary["pipelines"] if pipeline["proxy"]}
    for row in summary["rows"]:
        row = row | {"pipeline": row["pipeline"] + (" (PROXY)" if row["pipeline"] in proxies else "")}
        scored = [f"{row['scored']} of {row['cells']}"] if hidden is not None else []
        per_pair = [f"{p['metrics'][metric]['mean']:.3f}" if p["metrics"] else "-" for p in (row["pairs"][i] for i in shown)]
        mean = [figure(row["score"][metric]) if row["score"] else "no score"] if hidden is not None else []
        more = [_with_n((row["public_minus_hidden"] or {}).get(metric))] if hidden else []
        style = None if row["scored"] == row["cells"] else "red"
        table.add_row(row["submission"], *(str(row[name]) for name in several), *scored, *per_pair, *mean, *more, style=style)
    return table


def _width(console: Console, table: Table) -> int:
    """What a table takes where no line of it is broken, whatever the terminal's own width."""
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum


def titled_heat_maps(summary: dict[str, Any]) -> list[tuple[str, HeatMap]]:
    """The maps of a sweep's grid, each with the condition that it is of."""
    proxies = {pipeline["name"]: pipeline["proxy"] for pipeline in summary["pipelines"]}
    return [
        (heading(heat | {"profile": summary["profile"], "proxy": proxies[heat["pipeline"]]}), heat) for heat in summary["heat_maps"]
    ]


def _with_n(difference: dict[str, Any] | None) -> str:
    return "-" if difference is None else f"{signed(difference)}, n {difference['n']}"


def _notes(summary: dict[str, Any], hidden: bool) -> list[str]:
    seeds = summary["seeds"]
    interval = "brackets: 95 % t-interval over seeds" if seeds > 1 else "one seed decides nothing: --seeds 5 gives intervals"
    found = [
        f"mean over {len(summary['pairs'])} pairs, then over {seeds} seed{'s' if seeds > 1 else ''}; {interval}. A seed that "
        f"lacks a cell does not enter. Scored on {', '.join(summary['score_splits'])}; pipelines {_listed(summary['pipelines'])}."
    ]
    proxies = [pipeline["name"] for pipeline in summary["pipelines"] if pipeline["proxy"]]
    if proxies:
        found.append(
            f"scores of {', '.join(proxies)} are those of a proxy, not of a full training; `python -m evaluator compare` says how "
            "far it orders strategies as full trainings do."
        )
    if hidden:
        found.append("public - hidden: mean over the public pairs less that over the hidden ones (*), paired by seed.")
    if summary["cached"]:
        found.append(f"{summary['cached']} of {len(summary['cells'])} cells were finished before and taken from the store.")
    clocked = [row["submission"] for row in summary["rows"] if row["clock_was_read"]]
    if clocked:
        names = ", ".join(dict.fromkeys(clocked))
        found.append(f"these read their clock, so that what they buy may differ from run to run: {names}.")
    missing = sum(cell["verdict"] is None for cell in summary["cells"])
    if missing:
        found.append(f"{missing} cells are not there yet; the same command runs them.")
    return found


def _listed(pipelines: list[dict[str, Any]]) -> str:
    return ", ".join(p["name"] + (f" (not {p['fitted_from']})" if p["fitted_from"] else "") for p in pipelines)


def _room(experiment: Experiment, plan: Plan) -> str:
    """Where trainings and purchases are done, and how many at a time."""
    each = f"on {plan.device}, {plan.threads} thread{'s' if plan.threads > 1 else ''} each"
    if experiment.settings.ray is not None:
        return f"{each}, as many as the Ray cluster ({experiment.settings.ray}) has room for; purchases one per node"
    return f"{experiment.workers} at a time {each}; purchases one at a time"
