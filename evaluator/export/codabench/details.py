"""The page of one submission, made of the redacted form of what may go back (``judging/feedback``) and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.text import html
from evaluator.words import counted

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { padding: .2rem .8rem; text-align: left; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent) }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
"""


def details(told: Mapping[str, Any], word: str, failed: bool, tier: str) -> str:
    """The page as HTML, without scripts and without anything that is loaded.

    Args:
        told: of ``feedback.public`` or ``feedback.private``; ``word``: what the track calls a task.
        failed: whether the row on the board is the floor; ``tier``: in which isolation it ran, empty of an answer.
    """
    ran = f"It ran in the isolation tier {html(tier)}." if tier else "It is an answer, of which nothing runs."
    parts = ["<h1>How this submission was judged</h1>", f"<p>{ran}</p>"]
    if failed:
        parts.append(
            "<p>It was judged, and a cell of it failed, so the board shows the lowest score. It counts as a submission.</p>"
        )
    if told["kind"] != "public":
        parts.append("<p>It was judged on the private part. Nothing more is told of that.</p>")
        return _page(parts)
    for row in told["rows"]:
        parts += [f"<h2>{html(row['pipeline'])}</h2>", _scores(row["score"])]
        tasks = [[of[word], *_mean(of["score"], told["metric"])] for of in row["tasks"]]
        parts.append(_table([word, str(told["metric"]), "low", "high"], tasks))
    marks = {True: "!", False: ""}
    cells = [
        [cell[word], cell["seed"], cell["verdict"], _number(cell["score"]) + marks[cell["collapsed"]]] for cell in told["cells"]
    ]
    parts += ["<h2>Cells</h2>", _table([word, "seed", "verdict", "score"], cells)]
    if fell := sum(cell["collapsed"] for cell in told["cells"]):
        parts.append(
            f"<p>!: {counted(fell, 'cell')} of {len(cells)} collapsed: the score is no better than that of the best constant "
            "answer (the same prediction for all images), so it says nothing about what was trained on.</p>"
        )
    for fault in told["faults"]:
        parts.append(f"<h2>{html(fault['verdict'])}, {html(fault['cells'])} of the cells</h2>")
        parts += [f"<pre>{_lines(fault[name])}</pre>" for name in ("reason", "traceback", "printed") if fault[name]]
    parts += [f"<p>Warning: {_lines(text)}</p>" for text in told["warnings"]]
    return _page(parts)


def _scores(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "<p>No score: a cell failed.</p>"
    rows = [[name, *_mean(score, name), of["n"]] for name, of in score.items()]
    return _table(["metric", "mean", "low", "high", "observations"], rows)


def _mean(score: Mapping[str, Any] | None, metric: str) -> list[str]:
    of = (score or {}).get(metric)
    return ["", "", ""] if of is None else [_number(of[end]) for end in ("mean", "low", "high")]


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{html(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _lines(text: str) -> str:
    return "\n".join(html(line, 400) for line in text.splitlines()[:200])


def _page(parts: Sequence[str]) -> str:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Submission</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>\n'
