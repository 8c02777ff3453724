"""The table of a panel: a row per pipeline, their mean, and a column per task."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from evaluator.report.console import label, line
from evaluator.report.format import figure, verdicts

PANEL_TITLE = "macro F1 by pipeline, on the same answers"


def panel_table(summary: dict[str, Any], word: str) -> Table:
    """A row per pipeline of the panel, all judged on the same answers: macro F1 per task, and the score over the tasks."""
    table = Table(box=None, pad_edge=False)
    table.add_column("pipeline")
    table.add_column("verdict")
    for row in summary[f"{word}s"]:
        table.add_column(line(row[word]), justify="right")
    table.add_column("mean", justify="right")
    table.add_column("training", justify="right")
    for row in summary["panel"]:
        per_pair = [_mean(pair["metrics"]) for pair in row[f"{word}s"]]
        score = figure(row["score"]["macro_f1"]) if row["score"] else "no score"
        style = None if row["score"] else "red"
        table.add_row(label(row["name"]), line(verdicts(row["verdicts"])), *per_pair, score, f"{row['seconds']:.1f} s", style=style)
    table.add_section()
    score = summary["score"]
    whole = f"mean of the {_number(len(summary['panel']))}"
    figures = [_mean(row["metrics"]) for row in summary[f"{word}s"]]
    last = figure(score["macro_f1"]) if score else "no score"
    table.add_row(whole, line(summary["verdict"]), *figures, last, "", style="bold" if score else "bold red")
    return table


def panel_notes(summary: dict[str, Any]) -> list[str]:
    """Notes on the pipelines below the table, one line each."""
    names = len(summary["panel"])
    found = [
        f"the submission ran once per task and seed, and {names} pipelines were trained on its answer; the score is their mean."
    ]
    fitted = [row for row in summary["panel"] if row["fitted_from"]]
    found += [fitted_note(row["name"], row["fitted_from"], row["pipeline"]) for row in fitted]
    return found


def fitted_note(name: str, before: str, pipeline: dict[str, Any]) -> str:
    """Note that a pipeline was adapted to the profile, and so differs from the pipeline of the plain name."""
    weights = {"procedural": "the kit's own starting weights", "none": "no starting weights"}.get(
        pipeline["weights"], f"weights {pipeline['weights']}"
    )
    adapted = f"{name} is {before} adapted to this profile: {pipeline['image_size']} px, {weights}"
    return f"{adapted}; its figures are not those of {before}."


def _mean(metrics: dict[str, Any] | None) -> str:
    return f"{metrics['macro_f1']['mean']:.3f}" if metrics else "-"


def _number(n: int) -> str:
    return {2: "two", 3: "three", 4: "four", 5: "five"}.get(n, str(n))
