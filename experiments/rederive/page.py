"""A page of results, read as a person reads it: every table and paragraph is held against the cells."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from experiments.rederive.cells import load
from experiments.rederive.conditions import Conditions
from experiments.rederive.found import Found
from experiments.rederive.headline import Headline
from experiments.rederive.tables_one_data_set import OneDataSet
from experiments.rederive.tables_over_data_sets import OverDataSets
from experiments.rederive.tables_rank_agreement import RankAgreement


def sections(text: str) -> Iterator[tuple[str, str, str, list[list[str]]]]:
    """(part, heading of the condition, title, rows with the header first) of every table of the page; a note is one row."""
    part = heading = title = ""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip().replace("&lt;", "<") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
            continue
        if rows:
            yield part, heading, title, [rows[0], *rows[2:]]
            rows = []
        if line.startswith("## "):
            part, heading, title = line[3:], "", ""
        elif line.startswith("### "):
            heading, title = line, ""
        elif line.startswith("- "):
            yield part, heading, "note", [[line[2:]]]
        elif found := re.match(r"\*\*(.+?)\.\*\*", line):
            title = found[1]
            if mark := re.search(r"\*Proxy; (tau-b with .*)\.\*$", line):
                yield part, heading, "mark", [[mark[1]]]


def check(text: str, conditions: Conditions, stored: Mapping[str, tuple[int, int]]) -> Found:
    """Hold every table and paragraph against what is derived. ``stored``: by experiment the cells asked for, and those stored."""
    found = Found()
    ranks = RankAgreement(conditions, found)
    one, several = OneDataSet(conditions, found, ranks), OverDataSets(conditions, found, ranks)
    for part, heading, title, rows in sections(text):
        proxy = part.startswith("The proxy")
        if part == "What was run":
            what_was_run(rows, stored, found)
        elif "over data sets" in part:
            several.check(proxy, heading, title, rows)
        elif part in ("Full training", "The proxy"):
            one.check(proxy, heading, title, rows)
    Headline(text, conditions, found).check()
    return found


def what_was_run(rows: list[list[str]], stored: Mapping[str, tuple[int, int]], found: Found) -> None:
    """Hold the table of experiments against the numbers of their cells. ``stored``: as of ``check``."""
    for row in rows[1:]:
        asked, there = stored.get(row[0], (0, 0))
        found.words("cells stored", row[0], row[-1], f"{there:,} of {asked:,}")


def rederive(page: str, files: Sequence[Path]) -> Found:
    """Hold a page against files of cells."""
    stored = {}
    for content in (json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()):
        there = Counter(content["columns"]["experiment"])
        for place, experiment in enumerate(content["experiments"]):
            stored[experiment["name"]] = (experiment["cells"], there[place])
    return check(page, Conditions(load(files)), stored)
