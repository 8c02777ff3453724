"""The table at the end of a sweep: a row per submission, pipeline and condition."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from evaluator.report.collapsed import summary_note
from evaluator.report.comparison.headings import heading
from evaluator.report.console import hanging, label, line, titled
from evaluator.report.faults import show_faults
from evaluator.report.findings import show_remarks
from evaluator.report.format import brief, figure, not_run_note, signed
from evaluator.report.levels import these_items
from evaluator.specs import DATA_SET
from evaluator.text import name as shown_name
from evaluator.track import Track
from evaluator.words import counted, was

_PAIR_WIDTH = 11
"""Largest width of a pair's column, in characters: ``1321:34.5*``, and a space."""


def show_sweep_result(console: Console, summary: dict[str, Any], track: Track, *, full: bool = False, root: str = "") -> None:
    """Print the table of a sweep; maps, if a grid of tasks was asked for; then faults, warnings and notes.

    Args:
        full: tracebacks with the frames of the kit, too.
        root: the folder of results, for the paths of logs.
    """
    maps = titled_maps(summary, track) if any(pair["kind"] == "grid" for pair in summary[f"{track.task_word}s"]) else []
    shown = [i for i, pair in enumerate(summary[f"{track.task_word}s"]) if not maps or pair["kind"] != "grid"]
    metric = track.metric(summary["primary_metric"])
    hidden = any(row["hidden"] for row in summary["rows"]) and any(row["public"] for row in summary["rows"])
    several = [
        name for name in ("pipeline", *track.conditions, "score_split") if len({row.get(name) for row in summary["rows"]}) > 1
    ]
    mark = "PROXY " if all(pipeline["proxy"] for pipeline in summary["pipelines"]) else ""
    ranked = metric.name if metric.higher_is_better else f"{metric.name} (lower is better)"
    same = {name: value for name, value in summary["rows"][0].items() if name not in several} if summary["rows"] else {}
    unusual = track.unusual(same)
    title = f"{mark}{ranked}: {summary['round']}, profile {summary['profile']}, isolation {summary['isolation']}"
    title += f", {unusual}" if unusual else ""
    whole = _table(summary, track, several, shown, hidden)
    if not shown or _width(console, whole) <= console.width:
        titled(console, title, whole)
    else:  # too wide for the terminal: the pairs follow in further tables, as many per table as fit
        titled(console, title, _table(summary, track, several, [], hidden))
        names = _width(console, _table(summary, track, several, [], None))
        beside = max(1, (console.width - names) // _PAIR_WIDTH)
        for first in range(0, len(shown), beside):
            console.print()
            part = _table(summary, track, several, shown[first : first + beside], None)
            titled(console, f"{mark}{ranked} per {track.task_word}", part)
    for title, heat in maps:
        console.print()
        track.show_map(console, heat, title)
    show_faults(
        console, summary.get("faults", ()), track, full=full, named=len(summary["pipelines"]) > 1, file="sweep.json", root=root
    )
    warnings = [*summary["warnings"], *summary.get("remarks", ())]
    show_remarks(console, warnings)
    for note in _notes(summary, track, hidden):
        hanging(console, f"  {note}", "dim")
    _verdict(console, summary, len(warnings))


def _verdict(console: Console, summary: dict[str, Any], warnings: int) -> None:
    """Print the last line of a sweep: which submissions are not fit to submit, and how many warnings there are."""
    unfit = list(dict.fromkeys(row["submission"] for row in summary["rows"] if row["fit"] < sum(row["verdicts"].values())))
    parts = [f"not fit to submit: {', '.join(map(shown_name, unfit))}"] if unfit else []
    parts += [f"{counted(n, 'cell')} collapsed"] if (n := sum(bool(cell.get("collapsed")) for cell in summary["cells"])) else []
    parts += [counted(warnings, "warning")] if warnings else []
    if parts:
        hanging(console, "; ".join(parts), "bold red" if unfit else "yellow")


def _table(summary: dict[str, Any], track: Track, several: list[str], shown: list[int], hidden: bool | None) -> Table:
    """A row per submission and condition.

    Args:
        several: the fields in which conditions differ; each gets a column.
        shown: indices of the pairs that get a column.
        hidden: whether the difference public minus hidden gets a column. None: no column for the mean and the scored cells, either.
    """
    metric = track.metric(summary["primary_metric"])
    table = Table(box=None, pad_edge=False)
    owners = {row["label"]: row.get("owner", "") for row in summary.get("submissions", ())}
    owned = len(set(owners.values())) > 1 and hidden is not None  # where all have the same owner, a column says nothing
    table.add_column("submission")
    if owned:
        table.add_column("owner")
    for name in several:
        table.add_column(name.replace("_", " "))
    unfit = hidden is not None and any(row["fit"] < sum(row["verdicts"].values()) for row in summary["rows"])
    if hidden is not None:
        table.add_column("scored", justify="right")
    if unfit:
        table.add_column("fit to submit")
    for pair in (summary[f"{track.task_word}s"][i] for i in shown):
        table.add_column(line(pair[track.task_word] + ("*" if pair["kind"] == "hidden" else "")), justify="right")
    if hidden is not None:
        table.add_column("mean", justify="right")
    if hidden:
        table.add_column("public - hidden", justify="right")
    proxies = {pipeline["name"] for pipeline in summary["pipelines"] if pipeline["proxy"]}
    for row in summary["rows"]:
        row = row | {"pipeline": row["pipeline"] + (" (PROXY)" if row["pipeline"] in proxies else "")}
        marks = "".join(f", {row[name]} {name}" for name in ("late", "again") if row.get(name))
        scored = [f"{row['scored']} of {row['cells']}{marks}"] if hidden is not None else []
        fit, ran = row["fit"], sum(row["verdicts"].values())
        scored += ["-" if not ran else "yes" if fit == ran else "no" if not fit else f"no, {fit} of {ran}"] if unfit else []
        per_pair = [
            brief(p["metrics"][metric.name], metric.decimals) if p["metrics"] else "-"
            for p in (row[f"{track.task_word}s"][i] for i in shown)
        ]
        score = figure(row["score"][metric.name], metric.decimals) if row["score"] else "no score"
        mean = [score] if hidden is not None else []
        more = [_with_n((row["public_minus_hidden"] or {}).get(metric.name), metric.decimals)] if hidden else []
        style = "red" if row["scored"] < row["cells"] else "yellow" if fit < ran or row.get("collapsed") else None
        whose = [label(owners.get(row["submission"]) or "-")] if owned else []
        named = (label(row["submission"]), *whose, *(label(row[name]) for name in several))
        table.add_row(*named, *scored, *per_pair, *mean, *more, style=style)
    return table


def _width(console: Console, table: Table) -> int:
    """The width of a table without line breaks, in characters, whatever the width of the terminal."""
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum


def titled_maps(summary: dict[str, Any], track: Track) -> list[tuple[str, dict[str, Any]]]:
    """The maps of a sweep's grid, each with its condition as heading."""
    proxies = {pipeline["name"]: pipeline["proxy"] for pipeline in summary["pipelines"]}
    return [
        (heading(track, heat | {"profile": summary["profile"], "proxy": proxies[heat["pipeline"]]}), heat)
        for heat in summary["heat_maps"]
    ]


def _with_n(difference: dict[str, Any] | None, decimals: int) -> str:
    return "-" if difference is None else f"{signed(difference, decimals)}, n {difference['n']}"


def _notes(summary: dict[str, Any], track: Track, hidden: bool) -> list[str]:
    seeds, word = summary["seeds"], f"{track.task_word}s"
    interval = f"brackets: 95 % t-interval over seeds. {these_items(track.item_word)}" if seeds > 1 else track.one_seed_text
    found = [
        f"mean over {counted(len(summary[word]), track.task_word)}, then over {counted(seeds, 'seed')}; {interval}. A seed that "
        f"lacks a cell is not counted, and where a cell failed there is no mean. Scored on {', '.join(summary['score_splits'])}; "
        f"pipelines {_listed(summary['pipelines'])}."
    ]
    found += summary_note(summary["cells"], track)
    proxies = [pipeline["name"] for pipeline in summary["pipelines"] if pipeline["proxy"]]
    if proxies:
        found.append(
            f"scores of {', '.join(proxies)} are those of a proxy, not of a full training; `python -m evaluator compare` shows how "
            "well its order of the strategies agrees with that of full trainings."
        )
    if hidden:
        found.append(f"public - hidden: mean over the public {word} minus mean over the hidden {word} (*), paired by seed.")
    if summary["cached"]:
        every = counted(len(summary["cells"]), "cell")
        found.append(f"{summary['cached']} of {every} {was(summary['cached'])} finished before and read from the store.")
    clocked = [row["submission"] for row in summary["rows"] if row["clock_was_read"]]
    if clocked:
        names = ", ".join(dict.fromkeys(clocked))
        found.append(f"these submissions read their clock, so their answers may differ from run to run: {names}.")
    if any(row.get("late") for row in summary["rows"]):
        found.append("late: cells that reached the time limit and were scored with what was there.")
    if any(row.get("again") for row in summary["rows"]):
        found.append("again: cells that had an earlier result, which this result replaced.")
    if copied := dict.fromkeys(row["submission"] for row in summary["rows"] if row.get("copies")):
        found.append(
            f"one observation: {', '.join(copied)} gave the same answer from the same data on several seeds. These seeds are "
            "repetitions of the training alone and count once; a single observation has no interval."
        )
    found += _look_notes(summary)
    last = summary["looks"][-1]["seeds"] if summary.get("looks") else None
    missing = sum(cell["verdict"] is None for cell in summary["cells"] if last is None or cell["seed"] < last)
    if missing:
        found.append(f"{not_run_note(missing)}.")
    return found


def _look_notes(summary: dict[str, Any]) -> list[str]:
    """What the looks of ``--until`` found, and when the run ended."""
    looks = summary.get("looks") or []
    if not looks:
        return []
    levels = ", ".join(f"{look['seeds']} seeds p < {look['level']:.2g}" for look in looks)
    found = [
        f"looked after every {summary['until']} of at most {summary['seeds']} seeds (Lan and DeMets' spending of alpha, O'Brien "
        f"and Fleming's form, in equal parts to {counted(len(looks[-1]['comparisons']), 'comparison')}): {levels}. The chance of "
        "any false finding is below 0.05; further seeds after this run would make it larger."
    ]
    for row in looks[-1]["comparisons"]:
        hidden = ("submission", "difference", "p", "finding", *(() if row.get(DATA_SET) else (DATA_SET,)))
        own = [str(value) for name, value in row.items() if name not in hidden]
        p = "" if row["p"] is None else f", p {row['p']:.2g}"
        gap = "" if row["difference"] is None else f" ({row['difference']:+.3f}{p})"
        found.append(f"  {row['submission']}, {', '.join(own)}: {row['finding']}{gap}")
    return found


def _listed(pipelines: list[dict[str, Any]]) -> str:
    return ", ".join(p["name"] + (f" (not {p['fitted_from']})" if p["fitted_from"] else "") for p in pipelines)
