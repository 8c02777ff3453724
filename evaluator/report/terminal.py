"""What a person sees in the terminal: what will be run, a progress line, the table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from evaluator.purchase.sets import RoundSets
from evaluator.report.format import figure, span, verdicts
from evaluator.report.panel import fitted_note, panel_notes, panel_table
from evaluator.sweep.plan import Plan


def progress_line(console: Console) -> Progress:
    """A progress line with the time left; redrawn twice a second, since it runs beside the participant's clock."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=2,
        transient=True,
    )


def show_plan(console: Console, plan: Plan, sets: RoundSets, manifest: str = "") -> None:
    """What will be run, before it is. ``manifest``: what the submission's aicrowd.json says of itself."""
    profile = plan.profile
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    table.add_row("submission", f"{plan.source.name} ({plan.source.digest[:12]})")
    if manifest:
        table.add_row("manifest", Text(manifest))
    table.add_row("profile", f"{profile.name} of {profile.round.name}: {profile.image_size} px, " + _counts(sets.counts()))
    forms = {name: split.note for name, split in sets.splits.items()}
    same = len(set(forms.values())) == 1
    table.add_row("labels.csv", Text(forms["training"] if same else "; ".join(f"{name}: {note}" for name, note in forms.items())))
    table.add_row("pairs", "; ".join(profile.describe(pair) for pair in plan.pairs))
    if profile.round.scores == "organiser":
        for number, pipeline in enumerate(plan.pipelines):
            before = plan.fitted_from(pipeline)
            trained = f"{pipeline.name}: {pipeline.architecture}, {pipeline.image_size} px, {pipeline.epochs} epochs, "
            trained += f"weights {pipeline.weights}, {plan.device}" + (f" ({before} brought to this profile)" if before else "")
            label = f"panel of {len(plan.pipelines)}" if plan.panel else "pipeline"
            table.add_row("" if number else label, Text(trained))
    else:
        table.add_row("pipeline", "none: the participant's own predictions are scored")
    table.add_row("seeds", f"{plan.seeds} (root {plan.root_seed}); scored on the {plan.score_split} split")
    table.add_row("isolation", plan.tier + (", the same user as you: judge your own code only" if plan.tier == "process" else ""))
    if plan.label_quality < 1:
        table.add_row("labels", f"{1 - plan.label_quality:.1%} of the entries that the market sells are wrong")
    console.print(table)


def show_warnings(warnings: Sequence[str]) -> None:
    """What a person should know before work starts, on stderr, so that it is seen where the table goes to a file."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def show_result(console: Console, summary: dict[str, Any]) -> None:
    """The table of scores, and what a reader must know beside it."""
    seeds = summary["seeds"]
    # ROUNDED would be prettier; a plain rule survives being pasted into a mail.
    table = Table(title=_title(summary), title_justify="left", box=None, pad_edge=False)
    table.add_column("pair")
    table.add_column("verdict")
    table.add_column("labels", justify="right")
    table.add_column("time", justify="right")
    for name in ("macro F1", "accuracy", "Hamming loss"):
        table.add_column(name, justify="right")
    for row in summary["pairs"]:
        bought, seconds = row["bought"], row["seconds"]
        metrics = row["metrics"] or {}
        table.add_row(
            row["pair"],
            verdicts(row["verdicts"]),
            f"{span(bought)} of {row['budget']}" if bought else "-",
            f"{max(seconds):.1f} of {row['seconds_allowed']:.4g} s" if seconds else "-",
            *(figure(metrics.get(m)) for m in ("macro_f1", "accuracy", "hamming_loss")),
        )
    score = summary["score"]
    table.add_section()
    style = "bold" if score else "bold red"
    figures = [figure(score[m]) for m in ("macro_f1", "accuracy", "hamming_loss")] if score else ["no score", "", ""]
    table.add_row("mean", summary["verdict"], "", "", *figures, style=style)
    console.print(table)
    if summary["panel"]:
        console.print(panel_table(summary))
    for note in notes(summary, seeds):
        console.print(Text("  " + note, style="dim"))
    show_failures(console, summary)


def show_failures(console: Console, summary: dict[str, Any]) -> None:
    """What went wrong, once for all pipelines of a panel that it befell alike."""
    said: dict[tuple[Any, ...], list[str]] = {}
    for cell in summary["cells"]:
        if cell["verdict"] != "OK" or cell["reason"]:
            key = (cell["pair"], cell["seed"], cell["verdict"], cell["reason"], cell["purchase"]["trace"])
            said.setdefault(key, []).append(cell["pipeline"])
    for (pair, seed, verdict, reason, trace), pipelines in said.items():
        some = f", {', '.join(pipelines)}" if summary["panel"] and len(pipelines) < len(summary["panel"]) else ""
        console.print(Text(f"{pair} seed {seed}{some}: {verdict}: {reason}", style="red"))
        if trace:
            console.print(Text(trace.rstrip(), style="dim"))


def notes(summary: dict[str, Any], seeds: int) -> list[str]:
    """How the figures came about, a line each."""
    scored = [c for c in summary["cells"] if c["scored"]]
    found = panel_notes(summary) if summary["panel"] else []
    if summary["fitted_from"]:
        found.append(fitted_note(summary["pipeline"]["name"], summary["fitted_from"], summary["pipeline"]))
    found += [
        f"mean over pairs and {seeds} seed{'s' if seeds > 1 else ''}"
        + ("; brackets: 95 % t-interval over seeds" if seeds > 1 else "; one seed decides nothing: --seeds 5 gives intervals")
        + f". Scored on the {summary['score_split']} split; F1 of a class that is never there and never predicted is 0."
    ]
    if scored:
        found.append(f"best constant answer on these images: macro F1 {scored[0]['metrics']['best_constant_macro_f1']:.3f}.")
    cached = sum(c["cached"] for c in summary["cells"])
    if cached:
        found.append(
            f"{cached} of {len(summary['cells'])} cells were finished before and taken from the store; --fresh repeats them."
        )
    reused = sum(c["reused"] and not c["cached"] for c in summary["cells"])
    if reused:
        found.append(f"{reused} cells were trained on purchases of an earlier run, nothing was bought again; --fresh buys anew.")
    if any(c["purchase"]["clock_was_read"] for c in scored):
        found.append("the submission reads its clock: what it buys may differ from run to run.")
    if summary["kept_time_limits"]:
        found.append(f"{summary['kept_time_limits']} cells met the time limit and were kept (--on-timeout keep).")
    for cell in summary["cells"]:
        place = f"{cell['pair']} seed {cell['seed']}"
        if cell["purchase"]["disagreement"]:
            found.append(f"{place}: {cell['purchase']['disagreement']}.")
        trained = place + (f", {cell['pipeline']}" if summary["panel"] else "")
        found += [f"{trained}: {note}" for note in (cell["training"] or {}).get("notes", ())]
    bad = [c for c in summary["cells"] if c["verdict"] == "OK" and not c["fit_to_submit"]]
    if bad:
        phase = bad[0]["phases"][-1]
        found.append(f"not fit to submit: prediction_phase ended with {phase['verdict']}: {phase['reason']}")
    return list(dict.fromkeys(found))


def _title(summary: dict[str, Any]) -> str:
    tier = summary["isolation"] + (f" (limits by {summary['limited_by']})" if summary["limited_by"] else "")
    trained = f"panel of {len(summary['panel'])}" if summary["panel"] else f"pipeline {summary['pipeline']['name']}"
    return f"{summary['submission']['name']}: {summary['round']}, profile {summary['profile']}, {trained}, isolation {tier}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items())
