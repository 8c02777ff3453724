"""The notes below the tables of a condition: how the figures were computed and tested, and what was left out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from evaluator.report.comparison.blocks import MATRIX
from evaluator.report.levels import these_items
from evaluator.scoring.paired import fewest_seeds
from evaluator.secret import root_in_words
from evaluator.text import one_line
from evaluator.words import counted

NAMED = 12
"""Largest number of failed cells that are named below a table; the JSON names all."""


def notes(report: dict[str, Any], table: dict[str, Any], most: int = MATRIX) -> list[str]:
    """How the figures were computed, and what was left out; one line each. ``most``: as in ``matrix_blocks``."""
    level, word = f"{100 * (1 - report['alpha']):g} %", table["word"]
    found = [
        f"{counted(len(table['seeds']), 'seed')} ({root_in_words(table['root_seed'], table['secret'])}), "
        f"training on {table['device']}. "
        f"Brackets: {level} t intervals over seeds; differences are paired by seed. {these_items(table['item'])}."
    ]
    if any(row["p_holm"] is not None for row in table["differences"]):
        found += _test_notes(report, table)
    elif table["reference"] is None:
        found.append("no differences: no cell of the reference is stored for this condition.")
    if table["public_minus_hidden"]:
        found.append(
            f"public - hidden: mean over the public {word}s minus mean over the hidden {word}s, paired by seed. to "
            f"{table['reference']}: that difference minus the same difference of {table['reference']}, because hidden {word}s may "
            "be harder for every strategy. These tests are one family."
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
    found += [f"cells that were never run: {', '.join(absent)}; a mean needs every {word} of a seed."] if absent else []
    found += table["notes"]
    return found + [f"left out: {reason}" for reason in table["left_out"]]


def _test_notes(report: dict[str, Any], table: dict[str, Any]) -> list[str]:
    """How differences are tested and corrected."""
    alpha, word = f"{report['alpha']:g}", table["word"]
    fewest = fewest_seeds(report["alpha"])
    together = {
        "pair": f"Holm's correction over the strategies of one {word}; areas and the mean over {word}s are separate families of "
        "tests",
        "table": f"Holm's correction over all {word}s and strategies; areas and the mean over {word}s are separate families of "
        "tests",
        "report": "one correction over everything in all tables of this report but wins and losses: alpha is divided among "
        f"strategies and conditions by the mean over {word}s, and single {word}s and areas of a strategy are tested only where its "
        "mean is shown (inheritance procedure, Goeman and Finos 2012). The chance of any false finding is below " + alpha,
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


def _gap_notes(table: dict[str, Any]) -> list[str]:
    ceiling = table["ceiling"]
    if ceiling is None or table["reference"] is None:
        return ["share of the gap: not measured (no cell of the ceiling or of the reference is stored)."]
    name, word = ceiling["strategy"], table["word"]
    if ceiling["everything"]:
        found = [
            f"{name} got everything it could get: its score is the ceiling of every {word}, and it is in no test and no ranking."
        ]
    else:
        found = [f"{name} never got everything it could get: its score at each {word} is used as the ceiling of that {word}."]
    reasons = Counter(row["reason"] + _fell(row) for row in table["shares"] if row["reason"] and row["strategy"] == name)
    return found + [f"no share of the gap ({n} of the tables): {reason}." for reason, n in reasons.items()]


def _fell(share: dict[str, Any]) -> str:
    n = share["collapsed"]
    return f"; {n} of the seeds {'has' if n == 1 else 'have'} a collapsed cell, so this says nothing of the gap" if n else ""


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
            f"again: cells that had an earlier result than the one that counts, e.g. with --fresh or in another tier: "
            f"{'; '.join(again)}. A submission that is run until it succeeds looks better than it is."
        )
    return found


def _whole(table: dict[str, Any]) -> str | None:
    return table["ceiling"]["strategy"] if table["ceiling"] and table["ceiling"]["everything"] else None


def _brief(failed: dict[str, Any]) -> str:
    return one_line(failed["reason"].split("\n")[0], 90)
