"""The table of a panel: a row per pipeline, their mean, and a column per task; figures of the primary metric."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from evaluator.report.console import label, line
from evaluator.report.format import brief, figure, verdicts
from evaluator.tables import Metric
from evaluator.track import Track


def panel_title(summary: dict[str, Any], track: Track) -> str:
    """The title of the table of a panel."""
    return f"{track.metric(summary['primary_metric']).label} by pipeline, on the same answers"


def panel_table(summary: dict[str, Any], track: Track) -> Table:
    """A row per pipeline of the panel, all judged on the same answers: the primary metric per task, and over the tasks."""
    word, metric = track.task_word, track.metric(summary["primary_metric"])
    table = Table(box=None, pad_edge=False)
    table.add_column("pipeline")
    table.add_column("verdict")
    for row in summary[f"{word}s"]:
        table.add_column(line(row[word]), justify="right")
    table.add_column("mean", justify="right")
    table.add_column("training", justify="right")
    for row in summary["panel"]:
        per_pair = [_mean(pair["metrics"], metric) for pair in row[f"{word}s"]]
        score = figure(row["score"][metric.name], metric.decimals) if row["score"] else "no score"
        style = None if row["score"] else "red"
        table.add_row(label(row["name"]), line(verdicts(row["verdicts"])), *per_pair, score, f"{row['seconds']:.1f} s", style=style)
    table.add_section()
    score = summary["score"]
    whole = f"mean of the {_number(len(summary['panel']))}"
    figures = [_mean(row["metrics"], metric) for row in summary[f"{word}s"]]
    last = figure(score[metric.name], metric.decimals) if score else "no score"
    table.add_row(whole, line(summary["verdict"]), *figures, last, "", style="bold" if score else "bold red")
    return table


def panel_notes(summary: dict[str, Any], track: Track) -> list[str]:
    """Notes on the pipelines below the table, one line each."""
    names = len(summary["panel"])
    scored = [cell for cell in summary["cells"] if cell["scored"]]
    judged = "were trained on" if not scored or any(cell["training"] for cell in scored) else "judged"
    found = [f"the submission ran once per task and seed, and {names} pipelines {judged} its answer; the score is their mean."]
    fitted = [row for row in summary["panel"] if row["fitted_from"]]
    found += [fitted_note(row["name"], row["fitted_from"], row["pipeline"], track) for row in fitted]
    return found


def fitted_note(name: str, before: str, pipeline: dict[str, Any], track: Track) -> str:
    """Note that a pipeline was adapted to the profile, and so differs from the pipeline of the plain name."""
    how = track.adapted_text(pipeline)
    adapted = f"{name} is {before} adapted to this profile" + (f": {how}" if how else "")
    return f"{adapted}; its figures are not those of {before}."


def _mean(metrics: dict[str, Any] | None, metric: Metric) -> str:
    return brief(metrics[metric.name], metric.decimals) if metrics else "-"


def _number(n: int) -> str:
    return {2: "two", 3: "three", 4: "four", 5: "five"}.get(n, str(n))
