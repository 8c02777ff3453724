"""What goes back to a participant: what a person needs to mend a submission, and nothing that helps to learn hidden data by heart.

There is one form, made key by key of what is allowed. Of the public part go back the verdict of every cell, the reason and the own
traceback of a failure, and figures: scores with their intervals, and the share of the budget and of the time that was used. Of the
private part goes back nothing but that it was judged. Never go back: labels, indices, purchases, predictions, names of images,
hidden tasks, seeds and secrets, paths of the judge, and anything of another participant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evaluator.text import quoted

SCHEMA = 1
MOST = 4_000
"""Characters of a reason, a traceback or what was printed."""
FIGURES = ("mean", "low", "high", "n", "level")
"""Of an interval."""
OF_A_TASK = ("bought_share", "time_share", "bought", "budget", "seconds", "seconds_allowed")
"""Figures of a public task that say how much was used."""
_PATH = re.compile(r"(?<![\w.])/(?:[\w.@+-]+/)+[\w.@+-]*")


def receipt(name: str, sha256: str, received: float, refused: str, findings: list[str]) -> dict[str, Any]:
    """What is said when a package was taken in, or was not. ``findings``: errors and warnings of its files, a line each."""
    return {
        "schema": SCHEMA,
        "kind": "receipt",
        "package": name,
        "sha256": sha256,
        "received": received,
        "accepted": not refused,
        "reason": shown(refused),
        "findings": [shown(line) for line in findings[:100]],
    }


def public(summary: Mapping[str, Any], word: str, own: str, version: int) -> dict[str, Any]:
    """What goes back of a run of the public part.

    Args:
        summary: the content of ``sweep.json``; ``word``: what the track calls a task.
        own: the folder of the submission on the judge, which becomes ``.`` in texts.
        version: of the rules.
    """
    kinds = {row[word]: row["kind"] for row in summary[f"{word}s"]}
    known = {name for name, kind in kinds.items() if kind != "hidden"}
    return {
        "schema": SCHEMA,
        "kind": "public",
        "version": version,
        "metric": summary["primary_metric"],
        "rows": [
            {
                "pipeline": row["pipeline"],
                "score": _intervals(row["score"]),
                "tasks": [
                    {word: of[word], "score": _intervals(of["metrics"])} | {name: of[name] for name in OF_A_TASK if name in of}
                    for of in row[f"{word}s"]
                    if of[word] in known
                ],
            }
            for row in summary["rows"]
        ],
        "cells": [
            {word: cell[word], "seed": cell["seed"], "verdict": cell["verdict"], "score": cell["score"]}
            for cell in summary["cells"]
            if cell[word] in known
        ],
        "faults": [
            {
                "verdict": fault["verdict"],
                "reason": shown(fault["reason"], own),
                "traceback": shown(fault["trace"], own),
                "printed": shown("\n".join(fault["printed"]), own),
                "cells": fault["count"],
            }
            for fault in summary["faults"]
            if all(cell["task"] in known for cell in fault["cells"])
        ],
        "warnings": [shown(text, own) for text in summary["remarks"]],
    }


def private(version: int) -> dict[str, Any]:
    """What goes back of a run of the private part before the board is published."""
    return {"schema": SCHEMA, "kind": "private", "version": version, "judged": True}


def ours(version: int, tries: int) -> dict[str, Any]:
    """What goes back where the judge failed and the submission is not at fault."""
    text = f"The judge failed {tries} times; this is not your fault, and the submission does not count against your quota."
    return {"schema": SCHEMA, "kind": "failed", "version": version, "verdict": "INFRASTRUCTURE", "reason": text}


def shown(text: str, own: str = "") -> str:
    """A text of a run: bounded, harmless to show, without paths of the judge."""
    text = text.replace(own, ".") if own else text
    text = quoted(text[-MOST:], 200, 60) if "\n" in text else quoted(text[:MOST], 200, 60)
    return _PATH.sub(lambda found: "…/" + found[0].rstrip("/").rpartition("/")[2], text)


def _intervals(figures: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if figures is None:
        return None
    return {metric: {name: found[name] for name in FIGURES} for metric, found in figures.items() if found is not None}
