"""What goes back to a participant: what a person needs to mend a submission, and nothing that helps to learn hidden data by heart.

There is one form, made key by key of what is allowed; whatever else a run stores stays. Of the public part go back the verdict of
every cell, the reason and the own traceback of a failure, and figures: scores with their intervals, and how much of the budget
and of the time was used. Of the private part goes back nothing but that it was judged. Never go back: labels, indices, purchases,
predictions, names of images, hidden tasks, secrets and the seeds that draws follow from, paths of the judge, and anything of
another participant. A number is taken only where a number belongs, a text only where a text does, and a name (of a metric, a
task, a pipeline) only if the track or the rules of the public part know it.

A task is shown if it belongs to the rules (``SHOWN``). One that was drawn, or that an organiser named beside the rules, is
hidden: of it neither name nor figure nor failure goes back, and no mean that it is part of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from evaluator.errors import Verdict
from evaluator.text import one_line, quoted, without_logins

SCHEMA = 1
MOST = 4_000
"""Characters of a reason, a traceback or what was printed."""
SHOWN = frozenset({"public", "profile", "grid"})
"""Kinds of tasks that participants know."""
FIGURES = ("mean", "low", "high", "n", "level")
"""Of an interval."""
OF_A_TASK = (
    *("bought_share", "time_share", "bought", "budget", "seconds", "seconds_allowed"),
    *("train", "val", "dropped", "relabelled", "moved", "added"),
)
"""Figures of a shown task that say what the submission did and used."""
KEYS = {
    "receipt": ("schema", "kind", "package", "sha256", "received", "submission", "accepted", "reason", "findings"),
    "choice": ("schema", "kind", "received", "submissions", "accepted", "reason"),
    "public": ("schema", "kind", "version", "verdict", "metric", "rows", "cells", "faults", "warnings"),
    "private": ("schema", "kind", "version", "judged"),
    "failed": ("schema", "kind", "version", "verdict", "reason"),
    "rows": ("pipeline", "score", "tasks"),
    "cells": ("{task}", "seed", "verdict", "score", "collapsed"),
    "faults": ("verdict", "reason", "traceback", "printed", "cells"),
    "tasks": ("{task}", "score", *OF_A_TASK),
    "score": FIGURES,
}
"""Every key that a form may have, by the kind of the form or the list that its objects stand in; ``{task}``: the track's word."""
_PATH = re.compile(r"(?<![\w.])~?/(?:[\w.@+-]+/)+[\w.@+-]*")
_VERDICTS = frozenset(map(str, Verdict))


def receipt(name: str, sha256: str, received: float, refused: str, findings: Sequence[str], submission: int = 0) -> dict[str, Any]:
    """What is said when a package was taken in, or was not.

    Args:
        findings: errors and warnings of its files, a line each. ``submission``: its number, by which it can be chosen.
    """
    return {
        "schema": SCHEMA,
        "kind": "receipt",
        "package": name,
        "sha256": sha256,
        "received": received,
        "submission": submission,
        "accepted": not refused,
        "reason": shown(refused),
        "findings": [shown(line) for line in findings[:100]],
    }


def choice(submissions: Sequence[int], received: float, refused: str) -> dict[str, Any]:
    """What is said to a choice of submissions for the private part: those that are chosen now."""
    told = {"received": received, "submissions": list(submissions), "accepted": not refused, "reason": shown(refused)}
    return {"schema": SCHEMA, "kind": "choice"} | told


def public(summary: Mapping[str, Any], word: str, own: str, version: int, metrics: Collection[str] = ()) -> dict[str, Any]:
    """What goes back of a run of the public part.

    Args:
        summary: the content of ``sweep.json``; ``word``: what the track calls a task.
        own: the folder of the submission on the judge, which becomes ``.`` in texts.
        version: of the rules. ``metrics``: names of the track's metrics; the metric that ranks goes back in any case.
    """
    known, hidden = tasks(summary, word)
    named = {str(summary["primary_metric"]), *metrics}
    return {
        "schema": SCHEMA,
        "kind": "public",
        "version": version,
        "verdict": _verdict(verdict_shown(summary["cells"], word, known)),
        "metric": shown(summary["primary_metric"], own),
        "rows": [
            {
                "pipeline": shown(row["pipeline"], own),
                "score": _intervals(row.get("public") if hidden else row["score"], named),
                "tasks": [_task(of, word, named) for of in row[f"{word}s"] if of[word] in known],
            }
            for row in summary["rows"]
        ],
        "cells": [
            {
                word: cell[word],
                "seed": _number(cell["seed"]),
                "verdict": _verdict(cell["verdict"]),
                "score": _number(cell["score"]),
                "collapsed": cell.get("collapsed") is True,
            }
            for cell in summary["cells"]
            if cell[word] in known
        ],
        "faults": [_fault(fault, own, known) for fault in summary["faults"] if _first_known(fault, known)],
        "warnings": [shown(text, own) for text in summary["remarks"] if not _speaks_of(text, hidden)],
    }


def unbuilt(version: int, verdict: str, reason: str, log: str, hidden: Collection[str]) -> dict[str, Any]:
    """What goes back where the image of a submission could not be built by the fault of its lists: nothing ran.

    Args:
        verdict, reason: of the build. ``log``: what it said, the participant's own; its end goes back.
        hidden: names of the judge that a build may say: where packages come from, the base image, the machine.
    """
    cut = _without(log, hidden)
    fault = {"verdict": _verdict(verdict), "reason": shown(_without(reason, hidden)), "traceback": "", "printed": shown(cut)}
    none: dict[str, Any] = {"metric": "", "rows": [], "cells": [], "faults": [fault | {"cells": 0}], "warnings": []}
    return {"schema": SCHEMA, "kind": "public", "version": version, "verdict": _verdict(verdict)} | none


def _without(text: str, hidden: Collection[str]) -> str:
    """A build's text without names of the judge, and without users and passwords in addresses."""
    text = without_logins(text)
    for name in sorted(filter(None, hidden), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?![\w-])", "…", text, flags=re.IGNORECASE)
    return text


def verdict_shown(cells: Sequence[Mapping[str, Any]], word: str, known: Collection[str]) -> str:
    """``OK``, or the first other verdict of a cell that is shown; of all cells where none is.

    A submission sees its budget and its time, and may fail where it likes: a verdict that spoke of hidden tasks would answer it
    questions about them.
    """
    counted = [cell for cell in cells if cell[word] in known] or cells
    return str(next((cell["verdict"] for cell in counted if cell["verdict"] != Verdict.OK), Verdict.OK))


def tasks(summary: Mapping[str, Any], word: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the tasks of a run that are shown, and of those that are hidden."""
    kinds = {str(row[word]): row["kind"] for row in summary[f"{word}s"]}
    known = frozenset(name for name, kind in kinds.items() if kind in SHOWN)
    return known, frozenset(kinds) - known


def for_pages(result: Mapping[str, Any], word: str) -> dict[str, Any]:
    """A stored result as pages may show it: tasks that are hidden have numbers in the place of names.

    Args:
        result: of ``Queue.results``; results of kits that did not store which tasks are known stay as they are.
    """
    if "known" not in result:
        return dict(result)
    hidden = sorted({str(cell[word]) for cell in result["cells"]} - set(result["known"]))
    names = {name: f"hidden {number}" for number, name in enumerate(hidden, 1)}
    return {**result, "cells": [cell | {word: names.get(str(cell[word]), cell[word])} for cell in result["cells"]]}


def _task(of: Mapping[str, Any], word: str, metrics: Collection[str]) -> dict[str, Any]:
    figures = {name: _number(of[name]) for name in OF_A_TASK if name in of}
    return {word: of[word], "score": _intervals(of["metrics"], metrics)} | figures


def _first_known(fault: Mapping[str, Any], known: Collection[str]) -> bool:
    """Whether texts of a fault are those of a task that is shown: they are of the first cell that it met."""
    return bool(fault["cells"]) and fault["cells"][0]["task"] in known


def _fault(fault: Mapping[str, Any], own: str, known: Collection[str]) -> dict[str, Any]:
    return {
        "verdict": _verdict(fault["verdict"]),
        "reason": shown(fault["reason"], own),
        "traceback": shown(fault["trace"], own),
        "printed": shown("\n".join(map(str, fault["printed"])), own),
        "cells": sum(cell["task"] in known for cell in fault["cells"]),
    }


def _speaks_of(text: object, hidden: Collection[str]) -> bool:
    return any(name in str(text) for name in hidden)


def private(version: int) -> dict[str, Any]:
    """What goes back of a run of the private part before the board is published."""
    return {"schema": SCHEMA, "kind": "private", "version": version, "judged": True}


def ours(version: int, tries: int) -> dict[str, Any]:
    """What goes back where the judge failed and the submission is not at fault."""
    text = (
        f"The judge failed {tries} times; this is not your fault, and the submission does not count against your quota. Tell the "
        "organiser, and send the same package again"
    )
    return {"schema": SCHEMA, "kind": "failed", "version": version, "verdict": "INFRASTRUCTURE", "reason": text}


def shown(text: object, own: str = "") -> str:
    """A text of a run: bounded, harmless to show, without paths of the judge."""
    text = text if isinstance(text, str) else ""
    text = text.replace(own, ".") if own else text
    # Before it is cut, so that no half of a path stays at the end.
    text = _PATH.sub(lambda found: "…/" + found[0].rstrip("/").rpartition("/")[2], text)
    return quoted(text[-MOST:], 200, 60) if "\n" in text else one_line(text, MOST)


def _intervals(figures: Mapping[str, Any] | None, metrics: Collection[str]) -> dict[str, Any] | None:
    if figures is None:
        return None
    return {
        metric: {name: _number(found[name]) for name in FIGURES}
        for metric, found in figures.items()
        if found is not None and metric in metrics
    }


def _number(value: Any) -> float | int | None:
    """A finite number; anything else is left out."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if good else None


def _verdict(value: Any) -> str:
    return str(value) if str(value) in _VERDICTS else str(Verdict.INFRASTRUCTURE)
