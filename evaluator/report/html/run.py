"""The report of a run: one page, made of stored files alone, so that it can be made again at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from evaluator.errors import INCOMPLETE, ConfigurationError, KitError
from evaluator.history.layout import REPORT
from evaluator.history.predictions import read_predictions
from evaluator.places import data_place
from evaluator.report.collapsed import summary_note
from evaluator.report.format import figure, not_run, not_run_note, verdicts
from evaluator.report.html.beside import beside
from evaluator.report.html.render import Page, Tabled, render
from evaluator.report.html.repeat import repeat
from evaluator.report.html.stored import StoredRun, read_run
from evaluator.report.page import write_page
from evaluator.secret import root_in_words
from evaluator.sections import Dots, Material, Section, Series, Value
from evaluator.tables import Block, Metric
from evaluator.text import say
from evaluator.track import Track, Tracks
from evaluator.words import counted

MOST_FAILURES = 40


def run_report(
    path: Path,
    tracks: Tracks,
    *,
    pictures: bool = True,
    data: Any = None,
    folder: Path | None = None,
    secret: Path | None = None,
    projection: str = "pca",
    places: Path | None = None,
    warn: Callable[[str], None] = lambda what: None,
) -> str:
    """The report of a run as HTML.

    Args:
        path: folder of the run, or its summary.
        pictures: whether single items may be shown.
        data, folder, secret, projection, places: see ``Material``.
        warn: called with a sentence for everything that the page lacks: cells, predictions, pictures.

    Raises:
        ConfigurationError: there is no run, or its summary is not understood.
    """
    run = read_run(path, tracks)

    def predictions(cell: Mapping[str, Any]) -> Any:
        return read_predictions(run.results, dict(cell))

    for what in run.lost:
        warn(what)
    material = Material(predictions, pictures, places or data_place(), run.results, folder, data, secret, projection, warn)
    try:
        return render(_page(run, tracks, material))
    except KitError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, msgspec.ValidationError) as error:
        raise ConfigurationError(
            f"{run.folder}: the files of the run were not understood ({type(error).__name__}: {str(error)[:200]}); repeat the "
            "command of the run, which writes them anew"
        ) from error


def write_run_report(folder: Path, tracks: Tracks, **how: Any) -> Path | None:
    """Write the report of a run into its folder. A failure is a warning, for a report must never cost a result.

    Args:
        how: keywords of ``run_report``.

    Returns:
        The file, or None if it could not be written.
    """
    try:
        warn = partial(_said, folder / REPORT)
        write_page(folder / REPORT, run_report(folder, tracks, warn=warn, **how))
    except Exception as error:  # whatever it is: the results are stored, and the report can be made again
        what = str(error) if isinstance(error, KitError) else f"{type(error).__name__}: {error}"
        say(f"warning: the report of {folder} was not written ({what}); the results are stored. Try `python -m evaluator report`")
        return None
    return folder / REPORT


def _said(page: Path, what: str) -> None:
    say(f"warning: {page}: {what}")


def _page(run: StoredRun, tracks: Tracks, material: Material) -> Page:
    summary, track = run.summary, run.track
    metric = track.metric(summary["primary_metric"])
    groups = _groups(run)
    sections: list[Section | Tabled | Any] = [_scores(summary, track, metric) if run.one else _sweep_scores(summary, track, metric)]
    if (failed := _failed(run)) is not None:  # the first thing that people ask then
        sections.append(failed)
    if groups:
        sections += track.report_sections(groups, material)
        # The page of a sweep of several submissions is a comparison already.
        first = next(iter(groups.values())) if len(groups) == 1 else []
        if (
            others := beside(run.results, tracks, track, [c for c in first if _condition(track, c) == _condition(track, first[0])])
        ) is not None:
            sections.append(others)
    sections.append(repeat(run, private=not material.pictures))
    return Page(_title(run), _lead(run), _figures(summary, track, metric) if run.one else (), _warnings(run), tuple(sections))


def _title(run: StoredRun) -> str:
    """``mine of The Team``, or how many submissions a sweep had."""
    rows = [run.summary["submission"]] if run.one else run.summary["submissions"]
    if len(rows) > 1:
        return f"Sweep of {counted(len(rows), 'submission')}"
    whose = f" of {rows[0]['owner']}" if rows[0].get("owner") else ""
    return f"{'' if run.one else 'Sweep of '}{rows[0].get('label') or rows[0]['name']}{whose}"


def _lead(run: StoredRun) -> str:
    summary = run.summary
    names = [row["name"] for row in summary["panel"] or ()] if run.one else [row["name"] for row in summary["pipelines"]]
    names = names or [summary["pipeline"]["name"]]
    trained = f"pipeline {names[0]}" if len(names) == 1 else f"{len(names)} pipelines"
    split = summary["score_split"] if run.one else ", ".join(summary["score_splits"])
    rows = [summary] if run.one else summary["rows"]
    said = list(dict.fromkeys(run.track.unusual(row) for row in rows))
    unusual = f", {said[0]}" if len(said) == 1 and said[0] else ""
    seeds = f"{counted(summary['seeds'], 'seed')} ({root_in_words(summary['root_seed'], summary['secret'])})"
    return (
        f"{summary['round']}, profile {summary['profile']}, {trained}{unusual}, scored on the {split} split; {seeds}; isolation "
        f"{summary['isolation']}; track {run.track.name}"
    )


def _figures(summary: Mapping[str, Any], track: Track, metric: Metric) -> tuple[tuple[str, str], ...]:
    score = summary["score"]
    if not score:
        return (("no score", f"{metric.label}: {verdicts([cell['verdict'] for cell in summary['cells']])}"),)
    word, seeds = track.task_word, summary["seeds"]
    over = f"mean over {counted(len(summary[f'{word}s']), word)} and {counted(seeds, 'seed')}"
    if seeds < 2:
        over += "; an interval needs two seeds"
    elif score[metric.name]["low"] is not None:
        over += ", with its 95 % t-interval"
    elif score[metric.name]["n"] < 2:
        over += "; the same answer from the same data on all seeds is one observation, which has no interval"
    else:
        over += "; all seeds gave the same score, so nothing says how sure it is"
    found = [(figure(score[metric.name], metric.decimals), f"{metric.label}{_direction(metric)}: {over}")]
    others = [m for m in track.metrics if m.name != metric.name and m.name in score]
    return (*found, *((figure(score[m.name], m.decimals), m.label + _direction(m)) for m in others))


def _direction(metric: Metric) -> str:
    return "" if metric.higher_is_better else " (lower is better)"


def _scores(summary: Mapping[str, Any], track: Track, metric: Metric) -> Tabled:
    """The score of every task, and the table of all metrics."""
    word = track.task_word
    rows = summary[f"{word}s"]
    seeds = summary["seeds"]
    shown = [(row[word], (row["metrics"] or {}).get(metric.name)) for row in rows]
    if len(rows) > 1 and summary["score"]:
        shown.append((f"mean of the {word}s", summary["score"].get(metric.name)))
    spread = (
        f"{counted(seeds, 'seed')}; lines and brackets: 95 % t-interval over the seeds."
        if seeds > 1
        else "One seed, so no interval."
    )
    chart = _dots(f"{metric.label} of each {word}{_direction(metric)}", spread, shown, metric)
    headers = (word, "verdict", *(c.title for c in track.columns), *(m.label for m in track.metrics))
    table = [
        (
            str(row[word]),
            verdicts(row["verdicts"]),
            *(column.text(row) for column in track.columns),
            *(figure((row["metrics"] or {}).get(m.name), m.decimals) for m in track.metrics),
        )
        for row in rows
    ]
    parts: list[Any] = [chart, Block(f"All metrics of each {word}", headers, tuple(table))]
    if summary["panel"]:
        parts.insert(
            1,
            _dots(
                f"{metric.label} of each pipeline of the panel",
                spread,
                [(row["name"], (row["score"] or {}).get(metric.name)) for row in summary["panel"]],
                metric,
            ),
        )
    explained = [f"{m.explanation}." for m in track.metrics if m.note]
    notes = [*summary_note(summary["cells"], track), *track.score_notes(summary["cells"])]
    notes += [*track.notes(summary["cells"]), *explained]
    return Tabled("Score", tuple(parts), tuple(f"{note[0].upper()}{note[1:]}" for note in notes if note))


def _dots(title: str, caption: str, rows: Sequence[tuple[str, Mapping[str, Any] | None]], metric: Metric) -> Dots:
    values = tuple(Value.of(interval) for _, interval in rows)
    texts = tuple(figure(dict(interval), metric.decimals) if interval else "no score" for _, interval in rows)
    return Dots(
        title, caption, tuple(str(name) for name, _ in rows), texts, (Series(metric.label, values),), decimals=metric.decimals
    )


def _sweep_scores(summary: Mapping[str, Any], track: Track, metric: Metric) -> Tabled:
    """The mean of every row of a sweep, best first, and the table of all metrics."""
    word = track.task_word
    rows = summary["rows"]

    def score(row: Mapping[str, Any]) -> float:
        return -metric.score(row["score"][metric.name]["mean"]) if row["score"] else float("inf")

    named = {id(row): _row_name(row, rows, track) for row in rows}
    best = sorted(rows, key=lambda row: (score(row), named[id(row)]))
    tasks = counted(len(summary[f"{word}s"]), word)
    seeds = summary["seeds"]
    spread = (
        f"; {counted(seeds, 'seed')}; lines and brackets: 95 % t-interval over the seeds."
        if seeds > 1
        else "; one seed, so no interval."
    )
    chart = _dots(
        f"{metric.label}, best first{_direction(metric)}",
        f"Mean over {tasks}{spread}",
        [(named[id(row)], (row["score"] or {}).get(metric.name)) for row in best],
        metric,
    )
    headers = ("submission", "scored", *(m.label for m in track.metrics))
    table = tuple(
        (
            named[id(row)],
            f"{row['scored']} of {row['cells']}",
            *(figure((row["score"] or {}).get(m.name), m.decimals) for m in track.metrics),
        )
        for row in best
    )
    notes = tuple(summary_note(summary["cells"], track))
    return Tabled("Scores", (chart, Block(f"All metrics, mean over {tasks}", headers, table)), notes)


def _row_name(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], track: Track) -> str:
    """The submission, and whatever else tells rows of one submission apart."""
    names = ("pipeline", *track.conditions, "score_split")
    differs = [name for name in names if len({str(other.get(name)) for other in rows}) > 1]
    own = [
        f"{name.replace('_', ' ')} {row[name]}" if name not in ("pipeline", "score_split") else str(row[name]) for name in differs
    ]
    return ", ".join([row["submission"], *own])


def _condition(track: Track, cell: Mapping[str, Any]) -> tuple[Any, ...]:
    spec = cell["spec"]
    return (
        spec["submission_digest"],
        spec["pipeline"]["name"],
        *(str(spec.get(name, 0)) for name in track.conditions),
        spec["score_split"],
    )


def _groups(run: StoredRun) -> dict[str, list[Mapping[str, Any]]]:
    """The stored cells by submission; where a sweep has several pipelines or conditions, by these as well."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    if run.one:
        cells = [cell for _, cell in run.rows()]
        return {run.summary["submission"]["name"]: list(cells)} if cells else {}
    for row, cell in run.rows():
        found.setdefault(_row_name(row, run.summary["rows"], run.track), []).append(cell)
    return found


def _warnings(run: StoredRun) -> tuple[str, ...]:
    summary = run.summary
    found = [*summary["warnings"], *summary.get("remarks", ())]
    if run.one and summary["verdict"] == INCOMPLETE:
        found.insert(0, f"It is not known yet whether it is fit to submit: {not_run_note(not_run(summary, run.track.task_word))}.")
    elif run.one and not summary["fit_to_submit"]:
        found.insert(0, "Not fit to submit: a cell failed, a phase ended badly, or a time limit was kept.")
    if summary["busy"] and not any(summary["busy"] in warning for warning in found):
        found.append(f"The machine was busy when this run began: {summary['busy']}.")
    return (*found, *run.lost, *([run.shown] if run.shown else []))


def _failed(run: StoredRun) -> Tabled | None:
    """Every cell without a score, and every phase that ended badly."""
    word, rows = run.track.task_word, []
    for row in run.summary["cells"]:
        verdict, reason = row["verdict"], row["reason"]
        bad = [phase for phase in row.get("phases") or () if phase["verdict"] != "OK"]
        if verdict is None:
            verdict, reason = "not run", ""
        elif verdict == "OK" and bad:
            verdict, reason = f"OK, but {bad[0]['verdict']} in {bad[0]['name']}", bad[0]["reason"]
        elif verdict == "OK":
            continue
        which = () if run.one else (str(row["submission"]),)
        rows.append((*which, str(row[word]), str(row["seed"]), str(verdict), str(reason)))
    if not rows:
        return None
    title = f"{counted(len(rows), 'cell')} with something else than a plain OK"
    headers = (*(() if run.one else ("submission",)), word, "seed", "verdict", "reason")
    notes = (f"The first {MOST_FAILURES} of {len(rows)} are shown.",) if len(rows) > MOST_FAILURES else ()
    return Tabled("What went wrong", (Block(title, headers, tuple(rows[:MOST_FAILURES])),), notes)
