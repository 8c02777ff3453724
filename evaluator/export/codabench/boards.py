"""The leaderboards of a bundle, as the server's form for them takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluator.export.codabench.fields import (
    Problems,
    check_text,
    check_whole,
    check_yes_or_no,
    error,
    mappings,
    shown,
    warning,
    whole,
)

RULES = ("Add", "Add_And_Delete", "Add_And_Delete_Multiple", "Force_Last", "Force_Latest_Multiple", "Force_Best")
DEFAULT_PRECISION = 2


def check_leaderboards(content: Mapping[str, Any], file: str) -> Problems:
    """What is wrong with the leaderboards of a competition. ``file``: what messages call it."""
    place = f"{file}: leaderboards"
    if "leaderboards" not in content:
        near = " (there is a key leaderboard)" if "leaderboard" in content else ""
        yield error("leaderboards", place, f"there is no key leaderboards{near}; a list of one or more was expected. Write it")
        return
    boards, problems = mappings("leaderboards", place, content["leaderboards"], "leaderboards")
    yield from problems
    if not boards and not problems:
        yield error("leaderboards", place, "the list is empty; phases need a leaderboard. Write one")
    for at, board in boards:
        yield from _board(at, board)


def _board(at: str, board: Mapping[str, Any]) -> Problems:
    yield from check_text("leaderboard title", f"{at}.title", board.get("title"), 64)
    yield from check_text("leaderboard key", f"{at}.key", board.get("key"), 36)
    if "hidden" in board:
        yield from check_yes_or_no(f"{at}.hidden", board["hidden"])
    rule = board.get("submission_rule", "Add")
    if rule not in RULES:
        yield error("submission rule", f"{at}.submission_rule", f"it is {shown(rule)}; expected {', '.join(RULES)}. Write one")
    elif rule == "Force_Best":
        text = "it shows the luckiest of many attempts, so a board of noise climbs by itself. Write Force_Last"
        yield warning("force best", f"{at}.submission_rule", text)
    columns, problems = mappings("columns", f"{at}.columns", board.get("columns"), "columns")
    yield from problems
    if not columns and not problems:
        yield error("columns", f"{at}.columns", "the list is empty; a leaderboard has one column or more. Write one")
    indexes: list[int | None] = []
    keys: list[str] = []
    for column_at, column in columns:
        yield from _column(column_at, column)
        index, key = whole(column.get("index")), str(column.get("key"))
        if index is not None and index in indexes:
            yield error("column index twice", f"{column_at}.index", f"{index} is the index of another column. Give it its own")
        if "key" in column and key in keys:
            yield error("column key twice", f"{column_at}.key", f"{shown(key)} is the key of another column. Give it its own")
        indexes.append(index)
        keys.append(key)
    for column_at, column in columns:
        yield from _computed(column_at, column, indexes)
    primary = board.get("primary_index", 0)
    wrong = [*check_whole("primary index", f"{at}.primary_index", primary)]
    yield from wrong
    if columns and not wrong and whole(primary) not in indexes:
        text = f"there is no column of index {shown(primary)}; the board cannot be shown. Name the index of a column"
        yield error("primary index", f"{at}.primary_index", text)


def _column(at: str, column: Mapping[str, Any]) -> Problems:
    yield from check_text("column title", f"{at}.title", column.get("title"), 36)
    yield from check_text("column key", f"{at}.key", column.get("key"), 36)
    yield from check_whole("column index", f"{at}.index", column.get("index"))
    if column.get("sorting", "desc") not in ("asc", "desc"):
        yield error("sorting", f"{at}.sorting", f"it is {shown(column['sorting'])}; asc or desc was expected. Write one")
    if "hidden" in column:
        yield from check_yes_or_no(f"{at}.hidden", column["hidden"])
    if "precision" in column:
        yield from check_whole("precision", f"{at}.precision", column["precision"], least=None)
    else:
        text = f"there is none, so {DEFAULT_PRECISION} decimals are shown, and close scores look equal. Write precision: 4"
        yield warning("precision", f"{at}.precision", text)


def _computed(at: str, column: Mapping[str, Any], indexes: list[int | None]) -> Problems:
    """A column that the server computes from others."""
    of, how = column.get("computation_indexes"), column.get("computation")
    if "computation" in column and how not in ("avg", "sum", "min", "max", None, ""):
        yield error("computation", f"{at}.computation", f"it is {shown(how)}; expected avg, sum, min or max. Write one")
    if "computation" in column and "computation_indexes" not in column:
        yield error(
            "computation", f"{at}.computation_indexes", "there is none; a computed column names others. Write their indexes"
        )
    if not of:
        return
    if "computation" not in column:
        yield error("computation", f"{at}.computation", "there is none, and indexes are named. Write avg, sum, min or max")
    if not isinstance(of, (list, str)):
        yield error("computation", f"{at}.computation_indexes", f"it is {shown(of)}; a list of indexes was expected. Write one")
        return
    for index in of:
        if whole(index) is None or whole(index) not in indexes:
            yield error("computation", f"{at}.computation_indexes", f"there is no column of index {shown(index)}. Name others")
        elif whole(index) == whole(column.get("index")):
            yield error("computation", f"{at}.computation_indexes", f"{shown(index)} is the column itself. Name others")
