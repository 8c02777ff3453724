"""Output of a run in the terminal: what will be run, a progress line, the table with its notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluator.errors import INCOMPLETE
from evaluator.machine import computed_by
from evaluator.report.collapsed import summary_note
from evaluator.report.console import hanging, label, line, titled
from evaluator.report.faults import show_faults
from evaluator.report.findings import show_remarks
from evaluator.report.format import figure, not_run, not_run_note, verdicts
from evaluator.report.live import Live
from evaluator.report.panel import fitted_note, panel_notes, panel_table, panel_title
from evaluator.text import say
from evaluator.track import Track
from evaluator.words import counted, was

"""What stands beside the scores of every run."""

ROW_WIDTH = 2_000
"""Largest width of a line that describes a run, in cells; a sweep names its submissions in one."""


def progress_line(console: Console) -> Live:
    """A progress line with the time left; lines and signs of life where the console is no terminal."""
    return Live(console)


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


def show_result(console: Console, summary: dict[str, Any], track: Track, *, full: bool = False, root: str = "") -> None:
    """Print the table of scores, then faults, warnings and notes, and whether the submission is fit to submit.

    Args:
        full: tracebacks with the frames of the kit, too.
        root: the folder of results, for the paths of logs.
    """
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
    titled(console, _title(summary, track), table)
    if summary["panel"]:
        titled(console, panel_title(summary, track), panel_table(summary, track))
    show_faults(console, summary.get("faults", ()), track, full=full, named=bool(summary["panel"]), root=root)
    warnings = [*summary["warnings"], *summary.get("remarks", ())]
    show_remarks(console, warnings)
    for note in notes(summary, track):
        hanging(console, f"  {note}", "dim")
    show_verdict(console, summary, word, len(warnings))


def show_verdict(console: Console, summary: Mapping[str, Any], word: str, warnings: int) -> None:
    """Print the last line of a run: its verdict, whether it is fit to submit, and how many warnings there are."""
    fit = summary["fit_to_submit"]
    failed = sum(not cell["scored"] for cell in summary["cells"])
    missing = not_run(summary, word)
    parts = [not_run_note(missing)] if missing else []
    parts += [counted(failed, "cell") + " failed"] if failed else []
    kept = summary["kept_time_limits"]
    parts += [f"{counted(kept, 'cell')} reached the time limit"] if kept else []
    parts += [f"{counted(n, 'cell')} collapsed"] if (n := summary.get("collapsed", 0)) else []
    parts += [counted(warnings, "warning")] if warnings else []
    unknown = summary["verdict"] == INCOMPLETE
    said = "not known yet whether it is fit to submit" if unknown else "fit to submit" if fit else "not fit to submit"
    said = f"verdict {summary['verdict']}, {said}"
    said += f": {', '.join(parts)}" if parts else ""
    hanging(
        console,
        said,
        "yellow" if unknown or (fit and (warnings or summary.get("collapsed"))) else "green" if fit else "bold red",
    )


def notes(summary: dict[str, Any], track: Track) -> list[str]:
    """How the figures were obtained, one line each."""
    word, seeds = track.task_word, summary["seeds"]
    found = panel_notes(summary, track) if summary["panel"] else []
    if summary["fitted_from"]:
        found.append(fitted_note(summary["pipeline"]["name"], summary["fitted_from"], summary["pipeline"], track))
    if summary["score"]:
        mean = f"mean over {counted(len(summary[f'{word}s']), word)} and {counted(seeds, 'seed')}; "
        mean += (
            f"brackets: 95 % t-interval over seeds, for these {track.item_word}s only. "
            if seeds > 1
            else "an interval needs 2 seeds or more: use --seeds 6. "
        )
    else:
        mean = "brackets: 95 % t-interval over the seeds that were scored. " if seeds > 1 else ""
    if any(cell["metrics"] for cell in summary["cells"]):
        split = f"scored on the {summary['score_split']} split"
        explained = "".join(f"; {metric.note}" for metric in track.metrics if metric.note)
        found.append(f"{mean}{split if not mean else split.capitalize()}{explained}.")
    found += track.score_notes(summary["cells"]) + summary_note(summary["cells"], track)
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
    found += track.notes(summary["cells"])
    if again := sum(bool(cell.get("attempts")) for cell in summary["cells"]):
        found.append(f"{counted(again, 'cell')} had an earlier result, which this result replaced (attempts in result.json).")
    if summary["score"] and (n := min(row["n"] for row in summary["score"].values())) < seeds:
        found.append(
            f"{counted(n, 'observation')} of {seeds} seeds: on several seeds the answer and the data are the same, so that only "
            "the training was repeated; these seeds count once, and a single observation has no interval."
        )
    for cell in summary["cells"]:
        trained = f"{cell[word]} seed {cell['seed']}" + (f", {cell['pipeline']}" if summary["panel"] else "")
        found += [f"{trained}: {note}" for note in (cell["training"] or {}).get("notes", ())]
    return list(dict.fromkeys(found))


def _longest(rows: Sequence[dict[str, Any]]) -> int:
    """Characters of the longest word among the verdicts of a table."""
    return max((len(word) for row in rows for word in verdicts(row["verdicts"]).split()), default=0)


def _title(summary: dict[str, Any], track: Track) -> str:
    tier = summary["isolation"] + (f" (limits by {summary['limited_by']})" if summary["limited_by"] else "")
    trained = f"panel of {len(summary['panel'])}" if summary["panel"] else f"pipeline {summary['pipeline']['name']}"
    submission = summary["submission"]
    name = submission.get("label") or submission["name"]
    whose = f" of {submission['owner']}" if submission.get("owner") else ""
    unusual = f", {said}" if (said := track.unusual(summary)) else ""
    return f"{name}{whose}: {summary['round']}, profile {summary['profile']}, {trained}{unusual}, isolation {tier}"
