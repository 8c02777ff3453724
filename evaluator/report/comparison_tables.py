"""The tables of ``python -m evaluator compare``: for a terminal of 120 columns, and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluator.records import DATA_SET
from evaluator.report.agreement import coefficient, too_wide
from evaluator.report.console import hanging, label, line, titled
from evaluator.report.format import MARK, brief, figure, markdown_rows, signed
from evaluator.report.levels import THESE_IMAGES, level_blocks, level_notes
from evaluator.scoring.comparisons import Decider
from evaluator.scoring.gap import NOT_BOUNDED
from evaluator.scoring.paired import fewest_seeds
from evaluator.scoring.scores import OVER_PAIRS
from evaluator.secret import root_in_words
from evaluator.tables import Block, Metric
from evaluator.text import cells, one_line
from evaluator.text import markdown as escaped
from evaluator.track import Track, Tracks
from evaluator.words import counted

NOTE_WIDTH = 2_000
"""Largest width of a note; some name many strategies."""
ABREAST = 10
"""Largest number of columns of the matrix that are shown side by side."""
MATRIX = 12
"""Largest number of strategies in the matrix: those with the most wins."""
NAMES = 32
"""Room for a name beside the columns of a table, in cells of a terminal."""
NAMED = 12
"""Largest number of failed cells that are named below a table; the JSON names all."""
_SHORT = {"no seed in common": "no seed"}
"""Findings that would make their column too wide."""
_STYLES = {"better": "green", "worse": "red", "loses more": "red", "loses less": "green"}


def show_comparison(console: Console, report: dict[str, Any], tracks: Tracks) -> None:
    """Print all tables, each with its notes. A table that is wider than the terminal is shown in parts."""
    several = len({table["track"] for table in (*report["levels"], *report["tables"])}) > 1
    for table in report["levels"]:
        track = _track(tracks, table)
        hanging(console, heading(track, table, several), "bold yellow" if table["proxy"] else "bold")
        for block in level_blocks(table, track.metric(table["metric"]), report["wanted"]):
            for number, part in enumerate(parts(block, console.width)):
                titled(console, block.title if not number else f"{block.title} (continued)", _drawn(part))
                console.print()
        for note in level_notes(table, report["alpha"], report["family"]):
            hanging(console, f"  {note}", "dim")
        console.print()
    for table in report["tables"]:
        track = _track(tracks, table)
        hanging(console, heading(track, table, several), "bold yellow" if table["proxy"] else "bold")
        for mark in marks(table):
            hanging(console, mark, "yellow")
        for block in blocks(report, table, track, folders=True):
            for number, part in enumerate(parts(block, console.width)):
                titled(console, block.title if not number else f"{block.title} (continued)", _drawn(part))
                console.print()
        for heat in table["heat_maps"]:
            track.show_map(console, heat)
        for note in notes(report, table):
            hanging(console, f"  {note}", "dim")
        console.print()
    for reason in report["left_out"]:
        hanging(console, f"left out: {reason}", "dim")


def parts(block: Block, width: int) -> list[Block]:
    """A table in parts that fit a terminal of so many columns, each with the first column: no figure is broken into two lines.

    A column that is wider than the terminal by itself gets a part of its own.
    """
    wide = [max([min(cells(header), 60), *(cells(row[i]) for row in block.rows)]) for i, header in enumerate(block.headers)]
    longest = max((cells(word) for row in block.rows for word in row[0].split()), default=0)
    room = width - min(wide[0], max(longest, NAMES if width >= 2 * NAMES else width // 3)) - 1
    groups: list[list[int]] = [[]]
    for column in range(1, len(block.headers)):
        if groups[-1] and sum(wide[i] + 1 for i in (*groups[-1], column)) > room + 1:
            groups.append([])
        groups[-1].append(column)
    return [
        Block(block.title, *(_chosen(group, block.headers), tuple(_chosen(group, row) for row in block.rows))) for group in groups
    ]


def _chosen(columns: Sequence[int], row: tuple[str, ...]) -> tuple[str, ...]:
    return (row[0], *(row[i] for i in columns))


def _drawn(block: Block) -> Table:
    shown = Table(box=None, pad_edge=False)
    for i, name in enumerate(block.headers):
        shown.add_column(line(name, width=60), justify="right" if i and name != "finding" else "left", overflow="fold")
    for row in block.rows:
        texts = (line(cell, _STYLES.get(cell.removesuffix(f" {MARK}").removesuffix(" ?"), "")) for cell in row[1:])
        shown.add_row(label(row[0]), *texts)
    return shown


def markdown(report: dict[str, Any], tracks: Tracks) -> str:
    """All tables and notes as a page of Markdown."""
    lines = []
    several = len({table["track"] for table in (*report["levels"], *report["tables"])}) > 1
    for table in report["levels"]:
        track = _track(tracks, table)
        lines += [f"## {escaped(heading(track, table, several))}", ""]
        for block in level_blocks(table, track.metric(table["metric"]), report["wanted"]):
            lines += [f"### {escaped(block.title)}", "", *markdown_rows(block, escaped), ""]
        lines += [*(f"- {escaped(note, NOTE_WIDTH)}" for note in level_notes(table, report["alpha"], report["family"])), ""]
    for table in report["tables"]:
        track = _track(tracks, table)
        lines += [f"## {escaped(heading(track, table, several))}", ""]
        for mark in marks(table):
            lines += [f"**{escaped(mark)}**", ""]
        for block in blocks(report, table, track):
            lines += [f"### {escaped(block.title)}", "", *markdown_rows(block, escaped), ""]
        for block in (block for heat in table["heat_maps"] for block in track.map_blocks(heat)):
            lines += [f"### {escaped(block.title)}", "", *markdown_rows(block, escaped), ""]
        lines += [*(f"- {escaped(note, NOTE_WIDTH)}" for note in notes(report, table)), ""]
    if report["left_out"]:
        lines += ["## Left out", "", *(f"- {escaped(reason)}" for reason in report["left_out"]), ""]
    return "\n".join(lines)


def _track(tracks: Tracks, table: dict[str, Any]) -> Track:
    found = tracks.of(table)
    assert found is not None  # the report was made of cells of known tracks
    return found


def heading(track: Track, table: dict[str, Any], several: bool = False) -> str:
    """The heading of a table: its condition. ``several``: whether tables of several tracks are shown together."""
    own = track.heading({name: table[name] for name in track.conditions if name != DATA_SET})
    mark = "PROXY " if table["proxy"] else ""
    named = f"track {track.name}, " if several else ""
    parts = [f"{mark}{named}profile {table['profile']}", f"pipeline {table['pipeline']}", own, f"{table['score_split']} split"]
    parts += [f"data set {table[DATA_SET]}"] if table.get(DATA_SET) else []
    parts += [f"{len(table['data_sets'])} data sets"] if "data_sets" in table else []
    return ", ".join(part for part in parts if part)


def marks(table: dict[str, Any]) -> list[str]:
    """Lines above the figures of a proxy: that it is a proxy, and how well it correlates with full trainings. Else empty."""
    if not table["proxy"]:
        return []
    found = ["These are scores of a proxy (frozen embeddings and a linear head), not of a full training."]
    for row in table["stand_in"]:
        tau, over = (
            row["tau"],
            ", ".join(
                (
                    counted(len(row["strategies"]), "strategy", "strategies"),
                    counted(len(row["pairs"]), "pair"),
                    counted(len(row["seeds"]), "seed"),
                )
            ),
        )
        with_it = f"Rank correlation with {row['pipeline']}"
        if tau["value"] is None:
            seen = "" if tau["measured"] is None else f", tau-b of the mean scores {tau['measured']:.2f}"
            found.append(f"{with_it}: not measured ({tau['reason']}{seen}).")
            continue
        wide = "; an interval as wide as this cannot tell whether they agree" if too_wide(tau) else ""
        found.append(
            f"{with_it}: Kendall's tau-b {coefficient(tau)} without noise, {tau['measured']:.2f} as measured, over {over}{wide}."
        )
    if not table["stand_in"]:
        found.append("Rank correlation with a full training: not measured (no full training is stored under the same rules).")
    return found


def blocks(report: dict[str, Any], table: dict[str, Any], track: Track, *, folders: bool = False) -> Iterator[Block]:
    """The tables of one condition. ``folders``: with the folders of the submissions, which a page for others does not show."""
    metric = track.metric(table["metric"])
    if len(table["over_pairs"]) > 1:
        yield overall_block(table, metric)
    for row in table["pairs"]:
        figures = track.task_title({name: value for name, value in row.items() if name != "pair"})
        yield _scores(table, row["pair"], f"{metric.score_label} at {row['pair']}" + (f" ({figures})" if figures else ""), metric)
    yield from area_blocks(table, metric)
    yield from hidden_blocks(table, metric)
    yield from matrix_blocks(table)
    yield from plan_blocks(report, table, metric)
    yield from people_blocks(table, folders)


def people_blocks(table: dict[str, Any], folders: bool) -> Iterator[Block]:
    """Whose the strategies are, where they lay, and when they were evaluated last. Empty where none of it is stored."""
    shown = ("owner", "folder", "time") if folders else ("owner", "time")
    columns = [name for name in shown if any(row[name] for row in table["strategies"])]
    if columns:
        rows = tuple((row["name"], *(_end(row[name]) or "-" for name in columns)) for row in table["strategies"])
        yield Block("submissions", ("strategy", *columns), rows)


def _end(text: str) -> str:
    """A path or a name; of a long one the end."""
    return text if cells(text) <= 40 else "..." + text[-37:]


def overall_pair(table: dict[str, Any]) -> str:
    """The value of ``pair`` in rows over all pairs; if there is only one pair, its name."""
    return OVER_PAIRS if len(table["over_pairs"]) > 1 else table["over_pairs"][0]


def overall_block(table: dict[str, Any], metric: Metric) -> Block:
    """Mean over the pairs of every strategy, its difference to the reference, and its share of the gap."""
    over = table["over_pairs"]
    of = f"mean over {len(over)} pairs ({', '.join(over)})" if len(over) > 1 else f"at {over[0]}"
    return _scores(table, overall_pair(table), f"{metric.score_label}, {of}", metric)


def area_blocks(table: dict[str, Any], metric: Metric) -> Iterator[Block]:
    """A table for every curve of ``Track.curves``: the area under it."""
    for area in table["areas"]:
        others = {row["strategy"]: row for row in area["differences"]}
        rows = [
            (row["strategy"], figure(row["interval"], metric.decimals), *against(others.get(row["strategy"]), metric.decimals))
            for row in sorted(area["means"], key=_height)
        ]
        headers = ("strategy", "area", f"to {table['reference']}", "p corr.", "finding")
        yield Block(f"area under the curve: {area['curve']}", headers if others else headers[:2], _cut(rows, others))


def hidden_blocks(table: dict[str, Any], metric: Metric) -> Iterator[Block]:
    """What strategies lose on hidden pairs, smallest loss first. Empty without hidden or without public pairs."""
    found = table["public_minus_hidden"]
    if found is None:
        return
    others = {row["strategy"]: row for row in found["differences"]}
    rows = []
    for row in sorted(found["rows"], key=lambda row: (row["less"]["mean"] if row["less"] else float("inf"), row["strategy"])):
        means = (brief(row[kind], metric.decimals) for kind in ("public", "hidden"))
        n = str(row["less"]["n"] if row["less"] else 0)
        difference = against(others.get(row["strategy"]), metric.decimals)
        rows.append((row["strategy"], *means, signed(row["less"], metric.decimals), n, *difference))
    headers = ("strategy", "public", "hidden", "public - hidden", "n", f"to {table['reference']}", "p corr.", "finding")
    title = f"public minus hidden pairs ({', '.join(found['public'])} minus {', '.join(found['hidden'])})"
    yield Block(title, headers if others else headers[:5], tuple(row if others else row[:5] for row in rows))


def plan_blocks(report: dict[str, Any], table: dict[str, Any], metric: Metric) -> Iterator[Block]:
    """The smallest difference that these seeds can show, and the seeds that the wanted difference needs. Empty without a test."""
    plans = [row for row in table["differences"] if row["pair"] == overall_pair(table) and row["plan"]]
    unique = {row["strategy"]: row for row in plans}
    if unique:
        form = f"{{:.{metric.decimals + 1}f}}"
        headers = ("strategy", "seeds", "sd of difference", "smallest difference shown", f"seeds for {report['wanted']:g}")
        rows = tuple(
            (
                row["strategy"],
                str(row["difference"]["n"]),
                form.format(row["deviation"]),
                _bounded(row["plan"]["smallest"], form),
                _bounded(row["plan"]["seeds"], "{:.0f}"),
            )
            for row in unique.values()
        )
        yield Block(f"what these seeds can show against {table['reference']}, with a power of {report['power']:g}", headers, rows)


def notes(report: dict[str, Any], table: dict[str, Any], most: int = MATRIX) -> list[str]:
    """How the figures were computed, and what was left out; one line each. ``most``: as in ``matrix_blocks``."""
    level = f"{100 * (1 - report['alpha']):g} %"
    found = [
        f"{counted(len(table['seeds']), 'seed')} ({root_in_words(table['root_seed'], table['secret'])}), "
        f"training on {table['device']}. "
        f"Brackets: {level} t intervals over seeds; differences are paired by seed. {THESE_IMAGES}."
    ]
    if any(row["p_holm"] is not None for row in table["differences"]):
        found += _test_notes(report, table)
    elif table["reference"] is None:
        found.append("no differences: no cell of the reference is stored for this condition.")
    if table["public_minus_hidden"]:
        found.append(
            "public - hidden: mean over the public pairs minus mean over the hidden pairs, paired by seed. to "
            f"{table['reference']}: that difference minus the same difference of {table['reference']}, because hidden pairs may be "
            "harder for every strategy. These tests are one family."
        )
    found += _gap_notes(table) + _matrix_notes(table, most) + _hidden_notes(table) + _cell_notes(table)
    failed = table["failed"]
    if failed:
        by = Counter(row["strategy"] for row in failed)
        count = ", ".join(f"{name} {n}" for name, n in by.items())
        found.append(
            f"failed cells: {len(failed)} ({count}). Where a cell failed, a strategy has no mean, no finding and no rank: the "
            "seeds that it survived would show it better than it is. "
            + (
                "Differences count its failed cells as the worst and as the best score: the interval holds both, and so must a "
                "finding (--bounds):"
                if report.get("bounds")
                else "--bounds counts its failed cells as the worst and as the best score:"
            )
        )
        found += [
            f"  failed: {f['strategy']} at {f['pair']}, seed {f['seed']}: {f['verdict']}: {_brief(f)}" for f in failed[:NAMED]
        ]
        found += [f"  and {len(failed) - NAMED} more; --json names all."] if len(failed) > NAMED else []
    absent = [f"{row['name']} {row['absent']}" for row in table["strategies"] if row["absent"] and row["name"] != _whole(table)]
    found += [f"cells that were never run: {', '.join(absent)}; a mean needs every pair of a seed."] if absent else []
    found += table["notes"]
    return found + [f"left out: {reason}" for reason in table["left_out"]]


def _test_notes(report: dict[str, Any], table: dict[str, Any]) -> list[str]:
    """How differences are tested and corrected."""
    alpha = f"{report['alpha']:g}"
    fewest = fewest_seeds(report["alpha"])
    together = {
        "pair": "Holm's correction over the strategies of one pair; areas and the mean over pairs are separate families of tests",
        "table": "Holm's correction over all pairs and strategies; areas and the mean over pairs are separate families of tests",
        "report": "one correction over everything in all tables of this report but wins and losses: alpha is divided among "
        "strategies and conditions by the mean over pairs, and single pairs and areas of a strategy are tested only where its mean "
        "is shown (inheritance procedure, Goeman and Finos 2012). The chance of any false finding is below " + alpha,
    }[report["family"]]
    found = [
        f"p: the larger p of the paired t-test and of the t-test corrected for skewness (Johnson 1978); s: the second decided. "
        f"Then {together}. better, worse: the interval excludes 0, p < {alpha}, and the sign-flip test gives less than {alpha} "
        f"before correction, which takes {fewest} seeds or more; else within noise."
    ]
    if any(row["doubtful"] for row in table["differences"]):
        found.append("?: before correction, the three tests do not all lie on the same side of " + alpha + ".")
    if len({(t["profile"], t["pipeline"], t["score_split"]) for t in report["tables"]}) > len(
        {(t["profile"], t["pipeline"]) for t in report["tables"]}
    ):
        found.append("tables of two splits show the same trained models: a finding on both is no replication.")
    found += [
        "all of this holds for one look at a number of seeds that was planned. Whoever looks after every few seeds, and stops when "
        "something is shown, finds something false in 15 to 30 % of the cases; `sweep --until` looks often and holds its error.",
        "smallest difference shown: the smallest true difference that these seeds would show by the t-test alone, in the worst "
        "case of the correction; its bounds come from the interval of the measured deviation, for normal differences. The other "
        "two tests may need more.",
    ]
    return found


def _cell_notes(table: dict[str, Any]) -> list[str]:
    """What is to be known of cells that have a score: copies, time limits, earlier results."""
    found = []
    if any(row["interval"] and row["interval"]["n"] < row["seeds"] for row in table["means"]):
        found.append(
            "n: observations. In `1 of 7`, 7 seeds are one observation: the submission's answer is the same on all of them, and "
            "the data do not depend on the seed. Only the training was repeated, so there is no interval and no finding."
        )
    if any(row["finding"] == "no spread" for row in table["differences"]):
        found.append("no spread: the difference is the same on all seeds, to the last digit, so nothing says how sure it is: no p.")
    if late := [f"{row['name']} {row['late']}" for row in table["strategies"] if row["late"]]:
        found.append(f"late: cells that reached the time limit and were scored with what was there: {', '.join(late)}.")
    again = [
        f"{row['name']} {row['again']} (before: {', '.join(f'{verdict} {n}' for verdict, n in row['attempts'].items())})"
        for row in table["strategies"]
        if row["again"]
    ]
    if again:
        found.append(
            f"again: cells that had another result before the one that counts, e.g. with --fresh or in another tier: "
            f"{'; '.join(again)}. A submission that is run until it succeeds looks better than it is."
        )
    return found


def _scores(table: dict[str, Any], pair: str, title: str, metric: Metric) -> Block:
    """Mean, difference, finding and share of the gap of every strategy at a pair (or over the pairs), best first."""
    means = {row["strategy"]: row for row in table["means"] if row["pair"] == pair}
    others = {row["strategy"]: row for row in table["differences"] if row["pair"] == pair}
    gap = {row["strategy"]: row for row in table["shares"] if row["pair"] == pair}
    rows = []
    for row in sorted(means.values(), key=_height):
        name = row["strategy"]
        share = gap.get(name)
        rows.append(
            (
                name,
                figure(row["interval"], metric.decimals),
                _observed(row),
                *against(others.get(name), metric.decimals),
                "-" if share is None else _percent(share) + _mark(share),
            )
        )
    headers = ("strategy", "score", "n", f"to {table['reference']}", "p corr.", "finding", "share of gap")
    if not others:
        return Block(title, headers[:3], tuple(row[:3] for row in rows))
    if not any(row["value"] is not None for row in gap.values()):
        return Block(title, headers[:6], tuple(row[:6] for row in rows))
    return Block(title, headers, tuple(rows))


def against(row: dict[str, Any] | None, decimals: int = 3) -> tuple[str, str, str]:
    """The texts of a row of ``differences``: difference with its interval, corrected p, finding."""
    if row is None:
        return "-", "-", "-"
    found = _SHORT.get(row["finding"], row["finding"]) + (" ?" if row.get("doubtful") else "") + _mark(row["difference"])
    p = "-" if row["p_holm"] is None else "<0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}"
    p += " s" if row.get("decider") == Decider.SKEW else ""
    return signed(row["difference"], decimals), p, found


def _mark(of: dict[str, Any] | None) -> str:
    """A sign behind what rests on collapsed cells."""
    return f" {MARK}" if of and of.get("collapsed") else ""


def _observed(row: dict[str, Any]) -> str:
    """The number of observations behind a mean, and what is to be known of its cells: ``1 of 7``, ``10, 2 late``, ``3 failed``."""
    n = row["interval"]["n"] if row["interval"] else 0
    marks = [f"{row[name]} {name}" for name in ("failed", "late", "again") if row.get(name)]
    said = f"{n} of {row['seeds']}" if row["interval"] and n < row["seeds"] else str(n)
    return ", ".join([said, *marks] if n or not marks else marks)


def matrix_blocks(table: dict[str, Any], most: int = MATRIX) -> Iterator[Block]:
    """Tables of the wins, ties and losses of the best strategies, at most so many, against each other; empty if nobody wins."""
    matrix = table["matrix"]
    if matrix is None or not any(map(any, matrix["wins"])):
        return
    names = matrix["strategies"]
    place = sorted(range(len(names)), key=lambda i: (matrix["totals"][i][2] - matrix["totals"][i][0], i))[:most]
    place = place if len(names) > most else list(range(len(names)))
    for start in range(0, len(place), ABREAST):
        columns = place[start : start + ABREAST]
        rows = []
        for i in place:
            cells = ["" if i == j else f"{matrix['wins'][i][j]}-{matrix['ties'][i][j]}-{matrix['wins'][j][i]}" for j in columns]
            rows.append((f"{i + 1} {names[i]}", *cells, "-".join(map(str, matrix["totals"][i]))))
        title = "wins-ties-losses of the row against the column, over pairs"
        yield Block(title, ("", *(str(j + 1) for j in columns), "all"), tuple(rows))


def _matrix_notes(table: dict[str, Any], most: int) -> list[str]:
    """Why the matrix is not there, or not whole."""
    matrix = table["matrix"]
    if matrix is None:
        return []
    n = len(matrix["strategies"])
    if not any(map(any, matrix["wins"])) and not any(map(any, matrix["ties"])):
        return ["no table of wins and losses: no two strategies have the seeds that a test needs."]
    if not any(map(any, matrix["wins"])):
        return [f"no table of wins and losses: of {n} strategies none is better or worse than another at any {table['word']}."]
    if n > most:
        return [f"the table of wins and losses shows the best {most} of {n} strategies; --json has every row."]
    return []


def _hidden_notes(table: dict[str, Any]) -> list[str]:
    """How many submissions are not shown, and how to see them."""
    hidden, found = table["hidden"], []
    if n := hidden["editions"]:
        found.append(
            f"{counted(n, 'earlier edition')} {'is' if n == 1 else 'are'} not shown: of the same owner and label the latest "
            "content stands here (--all-editions shows all)."
        )
    if n := hidden["failed"]:
        tries = counted(n, "failed try", "failed tries")
        found.append(f"{tries} without any score {'is' if n == 1 else 'are'} not shown (--failed shows all).")
    return found


def _gap_notes(table: dict[str, Any]) -> list[str]:
    ceiling = table["ceiling"]
    if ceiling is None or table["reference"] is None:
        return ["share of the gap: not measured (no cell of the ceiling or of the reference is stored)."]
    name = ceiling["strategy"]
    if ceiling["everything"]:
        found = [
            f"{name} got everything it could get: its score is the ceiling of every pair, and it is in no test and no ranking."
        ]
    else:
        found = [f"{name} never got everything it could get: its score at each pair is used as the ceiling of that pair."]
    reasons = Counter(row["reason"] + _fell(row) for row in table["shares"] if row["reason"] and row["strategy"] == name)
    return found + [f"no share of the gap ({n} of the tables): {reason}." for reason, n in reasons.items()]


def _fell(share: dict[str, Any]) -> str:
    n = share["collapsed"]
    return f"; {n} of the seeds {'has' if n == 1 else 'have'} a collapsed cell, so this says nothing of the gap" if n else ""


def _whole(table: dict[str, Any]) -> str | None:
    return table["ceiling"]["strategy"] if table["ceiling"] and table["ceiling"]["everything"] else None


def _cut(rows: Sequence[tuple[str, ...]], others: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    return tuple(row if others else row[:2] for row in rows)


def _height(row: dict[str, Any]) -> tuple[float, str]:
    return (-row["interval"]["mean"] if row["interval"] else float("inf"), row["strategy"])


def _percent(share: dict[str, Any]) -> str:
    if share["value"] is None:
        return NOT_BOUNDED if share["reason"].endswith(NOT_BOUNDED) else "-"
    return f"{share['value']:.0%} [{share['low']:.0%}, {share['high']:.0%}]"


def _bounded(found: dict[str, Any], form: str) -> str:
    value, low, high = ("> 100000" if found[k] is None else form.format(found[k]) for k in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _brief(failed: dict[str, Any]) -> str:
    return one_line(failed["reason"].split("\n")[0], 90)
