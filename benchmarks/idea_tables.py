"""The ideas as a table on the terminal and as the part of a page, with what the measurements say of the training as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from benchmarks.idea_rows import NOT_MEASURED, Row
from benchmarks.ideas import Idea, ideas_for
from benchmarks.pages import Region

COMMAND = "python -m benchmarks.training --ideas --threads 1 --page docs/benchmarks.md"
MINUTES = 40
"""Of a whole run on two cores, as far as it is known."""


def region(kind: str) -> Region:
    """The part of the page for a kind of device, ``cpu`` or ``cuda``."""
    return Region(f"training ideas on {kind}", "benchmarks/training.py")


def listed(rows: Iterable[Row], kind: str) -> list[tuple[int, Idea, Row | None]]:
    """Every idea at every size that has a row, in order of size and of the list of ideas."""
    by_name = {(row.size, row.idea): row for row in rows}
    sizes = sorted({size for size, _ in by_name})
    return [(size, idea, by_name.get((size, idea.name))) for size in sizes for idea in ideas_for(kind)]


def verdict(row: Row | None) -> str:
    """What a row says: its verdict, why there is none, and after how many steps what is paid once is saved."""
    if row is None:
        return "not run yet"
    if row.trouble:
        return f"{NOT_MEASURED}: {row.trouble}"
    said = f"{row.verdict}; {_once(row)}" if row.once else row.verdict
    return f"{said}; **disturbed**: other programs had {row.others:.1f} cores" if row.disturbed else said


def _once(row: Row) -> str:
    times = ", ".join(f"{seconds:.0f} s with a {name} cache" for name, seconds in row.once.items())
    back = row.paid_back()
    if back is None:
        return f"the first step takes {times}, and no saving is shown that would pay it back"
    epochs = row.settings["epochs"]
    paid = [
        f"{steps:,.0f} steps ({epochs} epochs of {steps * row.settings['batch_size'] / epochs:,.0f} images) with a {name} one"
        for name, steps in back.items()
    ]
    return f"the first step takes {times}: paid back after {', '.join(paid)}"


def findings(rows: Iterable[Row], kind: str) -> dict[str, list[str]]:
    """Ideas that the training has or lacks against what was measured, by what is to be said of them."""
    there = [(f"{idea.name} ({size} px)", idea, row) for size, idea, row in listed(rows, kind) if row is not None and row.off]
    return {
        "On today, and measured slower": [name for name, idea, row in there if idea.state == "on" and row.verdict == "slower"],
        "On today, and not shown to be faster": [
            name for name, idea, row in there if idea.state == "on" and row.verdict in ("within noise", "one round")
        ],
        "Off today, and measured faster": [name for name, idea, row in there if idea.state == "off" and row.verdict == "faster"],
    }


def ideas_table(rows: Iterable[Row], kind: str) -> Table:
    """For a terminal."""
    table = Table(title="Ideas, off and on", title_justify="left")
    for name in ("px", "idea", "ms off", "ms on", "times faster", "processor", "n", "verdict", "today"):
        table.add_column(name, justify="left" if name in ("idea", "verdict", "today") else "right")
    for size, idea, row in listed(rows, kind):
        table.add_row(str(size), idea.name, *_figures(row), verdict(row), _today(idea))
    return table


def page_text(rows: Sequence[Row], kind: str) -> str:
    """The part of the page: how it was measured, what follows, and the table."""
    if not rows:
        command, time = f"{COMMAND} --device {kind}", ""
        if kind == "cpu":
            command, time = COMMAND, f", in some {MINUTES} minutes on two cores"
        return f"Not run yet. `{command}` measures it{time}.\n"
    said = [f"- {what}: {'; '.join(names) or 'nothing'}." for what, names in findings(rows, kind).items()]
    text = "\n".join([*_runs(rows), "", *said])
    heads = ("px", "idea", "ms per image, off", "on", "times faster", "processor time", "n", "verdict", "today")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for size, idea, row in listed(rows, kind):
        cells = (str(size), f"**{idea.name}**: {idea.off} → {idea.on}", *_figures(row), verdict(row), _today(idea))
        lines.append(f"| {' | '.join(cells)} |")
    return f"{text}\n\n" + "\n".join(lines) + "\n"


def _figures(row: Row | None) -> tuple[str, str, str, str, str]:
    if row is None or row.gain is None:
        return ("", "", "", "", "0")
    off, on = (f"{ms:.3g}" for ms in row.ms)
    return off, on, str(row.gain), f"{row.gain.cpu:.2f}", str(row.gain.n)


def _today(idea: Idea) -> str:
    return f"{idea.state}: {idea.today}" if idea.today else idea.state


def _runs(rows: Sequence[Row]) -> list[str]:
    """A line per command and machine: rows may have been measured in several runs."""
    runs: dict[str, list[Row]] = {}
    for row in (row for row in rows if row.off):
        where = row.machine
        versions = f"Python {where['python']}, torch {where['torch']}"
        hardware = f"{where['cores']} cores, {where.get('accelerator') or where['processor']}"
        runs.setdefault(f"`{where['command']}` on {hardware}; {versions}", []).append(row)
    lines = []
    for run, members in runs.items():
        loads = [row.machine["load"][0] for row in members]
        line = f"{run}; load average {_range(loads, '.1f')} at the end of a row"
        others = [row.others for row in members if row.others is not None]
        if others:
            line += f"; other programs had {_range(others, '.1f')} cores"
        if len(runs) > 1:
            line += f"; rows: {'; '.join(f'{row.idea} ({row.size} px)' for row in members)}"
        lines.append(f"{line}.")
    return lines


def _range(values: Sequence[float], digits: str) -> str:
    low, high = format(min(values), digits), format(max(values), digits)
    return low if low == high else f"{low} to {high}"
