"""Output of a run in the terminal: what will be run, a progress line, the table with its notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from evaluator.machine import computed_by
from evaluator.report.console import hanging, label, line, show_failure, titled
from evaluator.report.format import figure, verdicts
from evaluator.report.panel import fitted_note, panel_notes, panel_table, panel_title
from evaluator.text import quoted, say
from evaluator.track import Track
from evaluator.words import counted, was

"""What stands beside the scores of every run."""

ROW_WIDTH = 2_000
"""Largest width of a line that describes a run, in cells; a sweep names its submissions in one."""


def progress_line(console: Console) -> Progress:
    """A progress line with the time left; redrawn twice a second, since it runs beside the participant's clock."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=2,
        transient=True,
    )


def show_rows(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Print lines that describe the run before it starts. ``rows``: label and text of each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for title, text in rows:
        table.add_row(label(title), line(text, width=ROW_WIDTH))
    console.print(table)


def show_warnings(warnings: Sequence[str]) -> None:
    """Print warnings on stderr, so that they are seen even if the table goes to a file."""
    for warning in warnings:
        say(f"warning: {warning}")


def show_result(console: Console, summary: dict[str, Any], track: Track) -> None:
    """Print the table of scores, its notes and the failures."""
    word = track.task_word
    # A table without a frame can be pasted into a mail.
    table = Table(box=None, pad_edge=False)
    table.add_column(word)
    # Other columns are broken into lines before a verdict is cut short.
    table.add_column("verdict", min_width=_longest(summary[f"{word}s"]))
    for column in track.columns:
        table.add_column(column.title, justify="right")
    for metric in track.metrics:
        table.add_column(metric.label, justify="right")
    for row in summary[f"{word}s"]:
        metrics = row["metrics"] or {}
        own = [column.text(row) for column in track.columns]
        texts = (verdicts(row["verdicts"]), *own, *(figure(metrics.get(m.name), m.decimals) for m in track.metrics))
        table.add_row(label(row[word]), *map(line, texts))
    score = summary["score"]
    table.add_section()
    style = "bold" if score else "bold red"
    figures = ["no score", *("" for _ in track.metrics[1:])]
    if score:
        figures = [figure(score.get(metric.name), metric.decimals) for metric in track.metrics]
    table.add_row("mean", line(summary["verdict"]), *("" for _ in track.columns), *figures, style=style)
    titled(console, _title(summary), table)
    if summary["panel"]:
        titled(console, panel_title(summary, track), panel_table(summary, track))
    for note in notes(summary, track):
        hanging(console, f"  {note}", "dim")
    show_failures(console, summary, track)


def show_failures(console: Console, summary: dict[str, Any], track: Track) -> None:
    """Print what went wrong, also in a phase that does not decide.

    A fault that several pipelines of a panel share is printed once, and so is a traceback that several cells share.
    """
    said: dict[tuple[Any, ...], list[str]] = {}
    for cell in summary["cells"]:
        verdict, reason = cell["verdict"], cell["reason"]
        if verdict == "OK" and not reason:
            last = cell["phases"][-1] if cell["phases"] else {"verdict": "OK"}
            if last["verdict"] == "OK":
                continue
            verdict, reason = f"scored, but not fit to submit: {last['verdict']}", last["reason"]
        trace = (cell.get(track.name) or {}).get("trace", "")
        key = (cell[track.task_word], cell["seed"], verdict, reason, trace)
        said.setdefault(key, []).append(cell["pipeline"])
    shown: set[str] = set()
    for (task, seed, verdict, reason, trace), pipelines in said.items():
        some = f", {', '.join(pipelines)}" if summary["panel"] and len(pipelines) < len(summary["panel"]) else ""
        show_failure(console, f"{task} seed {seed}{some}: {verdict}", reason)
        if trace and trace not in shown:  # most faults are the same in every cell
            shown.add(trace)
            console.print(Text(quoted(trace, console.width), style="dim"))


def notes(summary: dict[str, Any], track: Track) -> list[str]:
    """How the figures were obtained, one line each."""
    word, seeds = track.task_word, summary["seeds"]
    found = panel_notes(summary, track) if summary["panel"] else []
    if summary["fitted_from"]:
        found.append(fitted_note(summary["pipeline"]["name"], summary["fitted_from"], summary["pipeline"], track))
    if summary["score"]:
        mean = f"mean over {counted(len(summary[f'{word}s']), word)} and {counted(seeds, 'seed')}; "
        mean += "brackets: 95 % t-interval over seeds. " if seeds > 1 else "an interval needs 2 seeds or more: use --seeds 5. "
    else:
        mean = "brackets: 95 % t-interval over the seeds that were scored. " if seeds > 1 else ""
    if any(cell["metrics"] for cell in summary["cells"]):
        split = f"scored on the {summary['score_split']} split"
        explained = "".join(f"; {metric.note}" for metric in track.metrics if metric.note)
        found.append(f"{mean}{split if not mean else split.capitalize()}{explained}.")
    found += track.score_notes(summary["cells"])
    cached = sum(c["cached"] for c in summary["cells"])
    if cached:
        found.append(
            f"{cached} of {counted(len(summary['cells']), 'cell')} {was(cached)} finished before and read from the store; --fresh "
            f"runs {'it' if cached == 1 else 'them'} again."
        )
    reused = sum(c["reused"] and not c["cached"] for c in summary["cells"])
    if reused:
        found.append(
            f"{counted(reused, 'cell')} {was(reused)} judged on answers of an earlier run, so the submission did not run again; "
            "--fresh runs it again."
        )
    kept = summary["kept_time_limits"]
    if kept:
        found.append(f"{counted(kept, 'cell')} reached the time limit and {was(kept)} scored all the same (--on-timeout keep).")
    computed = {tuple(sorted(computed_by(versions).items())) for versions in summary["versions"]}
    if len(computed) > 1:
        found.append(f"the cells were computed by {len(computed)} different sets of library versions (--mixed-versions).")
    if summary["busy"]:
        found.append(f"the machine was busy when this run began: {summary['busy']}.")
    found += track.notes(summary["cells"])
    for cell in summary["cells"]:
        trained = f"{cell[word]} seed {cell['seed']}" + (f", {cell['pipeline']}" if summary["panel"] else "")
        found += [f"{trained}: {note}" for note in (cell["training"] or {}).get("notes", ())]
    bad = [c for c in summary["cells"] if c["verdict"] == "OK" and not c["fit_to_submit"]]
    if bad and not bad[0]["phases"]:
        found.append("not fit to submit.")
    elif bad:
        phase = bad[0]["phases"][-1]
        found.append(f"not fit to submit: {phase['name']} ended with {phase['verdict']}: {phase['reason']}")
    return list(dict.fromkeys(found))


def _longest(rows: Sequence[dict[str, Any]]) -> int:
    """Characters of the longest word among the verdicts of a table."""
    return max((len(word) for row in rows for word in verdicts(row["verdicts"]).split()), default=0)


def _title(summary: dict[str, Any]) -> str:
    tier = summary["isolation"] + (f" (limits by {summary['limited_by']})" if summary["limited_by"] else "")
    trained = f"panel of {len(summary['panel'])}" if summary["panel"] else f"pipeline {summary['pipeline']['name']}"
    submission = summary["submission"]
    name = submission.get("label") or submission["name"]
    whose = f" of {submission['owner']}" if submission.get("owner") else ""
    return f"{name}{whose}: {summary['round']}, profile {summary['profile']}, {trained}, isolation {tier}"
