"""Rank agreement of pipelines over submissions: as JSON, and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata

from evaluator.history.comparable import Gathered
from evaluator.report.console import hanging, label, titled
from evaluator.report.format import MARK
from evaluator.scoring.agreement import WIDE, agreement
from evaluator.secret import root_in_words
from evaluator.tables import Metric
from evaluator.words import counted


def agreement_report(gathered: Gathered, seed: int) -> dict[str, Any]:
    """The figures of the agreement, JSON-able; ``docs/results-format.md`` lists them. ``seed``: root of the draws."""
    found = agreement(gathered.scores, seed=seed)
    means = gathered.scores.mean(axis=2)
    return {
        "profile": gathered.rules["profile"]["name"],
        "versions": gathered.rules["versions"],
        "root_seed": gathered.rules["root_seed"],
        "secret": gathered.rules["secret"],
        "metric": gathered.metric,
        "pairs": list(gathered.tasks),
        "seeds": list(gathered.seeds),
        "submissions": list(gathered.submissions),
        "pipelines": [
            {
                "name": name,
                "scores": scores.tolist(),
                "ranks": rankdata(-scores.round(12)).tolist(),
                "collapsed": fell.sum(axis=1).tolist(),
            }
            for name, scores, fell in zip(gathered.pipelines, means, gathered.collapsed, strict=True)
        ],
        "tau": [[asdict(cell) for cell in row] for row in found.tau],
        "mean_tau": asdict(found.mean_tau),
        "w": asdict(found.w),
        "draws": found.draws,
        "draws_seed": seed,
        "repeated": list(gathered.repeated),
        "left_out": list(gathered.left_out),
    }


def show_agreement(console: Console, report: dict[str, Any], metric: Metric, word: str = "task") -> None:
    """Print the rankings, the matrix of tau, and notes on how reliable they are.

    Args:
        metric: of the scores in ``report``; ``word``: what its track calls a task.
    """
    names = [row["name"] for row in report["pipelines"]]
    tasks, seeds = counted(len(report["pairs"]), word), counted(len(report["seeds"]), "seed")
    grid = f"profile {report['profile']}, {tasks}, {seeds} ({root_in_words(report['root_seed'], report['secret'])})"
    scored = metric.name if metric.higher_is_better else metric.score_label
    ranking = Table(box=None, pad_edge=False)
    for name in ("submission", *names, "mean rank"):
        ranking.add_column(label(name), justify="left" if name == "submission" else "right", overflow="fold")
    ranks = [row["ranks"] for row in report["pipelines"]]
    mean = [sum(column) / len(column) for column in zip(*ranks, strict=True)]
    for i in sorted(range(len(mean)), key=lambda i: mean[i]):
        marks = (MARK if row["collapsed"][i] else "" for row in report["pipelines"])
        cells = [
            f"{row['ranks'][i]:g}  {metric.text(row['scores'][i])}{mark}"
            for row, mark in zip(report["pipelines"], marks, strict=True)
        ]
        ranking.add_row(label(report["submissions"][i]), *cells, f"{mean[i]:.1f}")
    titled(console, f"rank and {scored} by pipeline: {grid}", ranking)
    matrix = Table(box=None, pad_edge=False)
    for name in ("", *names):
        matrix.add_column(label(name), justify="right" if name else "left", overflow="fold")
    for i, row in enumerate(report["tau"]):
        matrix.add_row(label(names[i]), *("" if i == j else coefficient(cell) for j, cell in enumerate(row)))
    titled(console, "Kendall's tau-b between pipelines, corrected for noise", matrix)
    console.print(f"mean tau {coefficient(report['mean_tau'])}; Kendall's W {coefficient(report['w'])}", markup=False)
    for note in [*([f"{metric.turned}."] if metric.turned else []), *notes(report)]:
        hanging(console, f"  {note}", "dim")


def notes(report: dict[str, Any]) -> list[str]:
    """How the figures were computed, what they tell, and what was left out; one line each."""
    n, seeds = counted(len(report["submissions"]), "submission"), counted(len(report["seeds"]), "seed")
    cells = [cell for i, row in enumerate(report["tau"]) for cell in row[i + 1 :]]
    found = [f"no coefficient without noise: {reason}." for reason in dict.fromkeys(c["reason"] for c in cells if c["reason"])]
    if measured := [cell["measured"] for cell in cells if cell["measured"] is not None]:
        low, high = (f"{value:.2f}" for value in (min(measured), max(measured)))
        between = low if low == high else f"{low} to {high}"
        found.append(f"tau-b of the mean scores as they are: {between}. Noise makes orders look less alike than they are.")
    if any(cell["value"] is not None for cell in cells):
        found.append(
            f"brackets: 95 % interval of the agreement without noise, over {n} and {seeds}, for normal scores "
            f"({report['draws']} draws, seed {report['draws_seed']})."
        )
    if wide := sum(too_wide(cell) for cell in cells):
        found.append(
            f"{wide} of {counted(len(cells), 'interval')} wider than {WIDE:g}, half of the range of tau: "
            f"{n} and {seeds} cannot tell whether these pipelines agree. More submissions narrow it most."
        )
    fell = {row["name"]: sum(row["collapsed"]) for row in report["pipelines"] if any(row["collapsed"])}
    if fell:
        of = len(report["submissions"]) * len(report["seeds"])
        named = ", ".join(f"{name} {count} of {of}" for name, count in fell.items())
        found.append(
            f"{MARK}: means that hold a collapsed cell, whose score is no better than without any learning (submissions x seeds: "
            f"{named}); their ranks rest on it."
        )
    if report["repeated"]:
        found.append(
            f"one observation: {', '.join(report['repeated'])} gave the same answer from the same data on several seeds, "
            "which repeat the training alone. The intervals are too narrow for other answers and other data."
        )
    return found + [f"left out: {reason}" for reason in report["left_out"]]


def too_wide(cell: Mapping[str, Any]) -> bool:
    """Whether an interval, as JSON, tells next to nothing (``Agreement.wide``)."""
    return cell["low"] is not None and cell["high"] - cell["low"] > WIDE


def coefficient(cell: Mapping[str, Any]) -> str:
    """A coefficient without noise and its interval, as JSON, in words; without a value, the coefficient as measured."""
    if cell["value"] is None:
        return "-" if cell["measured"] is None else f"measured {cell['measured']:.2f}"
    return f"{cell['value']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}]"
