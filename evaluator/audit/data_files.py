"""What ``audit suspects`` and ``audit votes`` write: tables for people and for the next step, and figures as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.suspects import Suspects
from evaluator.audit.trust import Share, Trust
from evaluator.audit.voters import VoterAgreement
from evaluator.audit.votes import NOBODY, Ballot, Decision, Labels, Rule, Voter
from evaluator.files import write_text
from evaluator.text import spreadsheet

SCHEMA = 1
"""Of the JSON files."""


def label_text(labels: Iterable[int]) -> str:
    """A set of labels as files have it: ``3``, ``3,5``, or ``-1`` for none."""
    return ",".join(map(str, sorted(labels))) or "-1"


def label_names(labels: Iterable[int], classes: Sequence[str]) -> str:
    """The same in words."""
    return ";".join(classes[label] for label in sorted(labels)) or "none"


def write_suspects(
    out: Path, benchmark: Benchmark, found: Suspects, probabilities: np.ndarray, repeats: np.ndarray | None = None
) -> list[Path]:
    """Write ``suspects.csv`` (every image, the most suspect first) and ``classes.csv`` (health by class, the worst first).

    Args:
        probabilities: (n, classes), that the suspects were found by.
        repeats: share of the repeats in which each image was flagged, (n,); None without repeats.
    """
    out.mkdir(parents=True, exist_ok=True)
    given = benchmark.given.lists()
    suggested = [tuple(np.flatnonzero(row).tolist()) for row in found.suggested]
    header = ["rank", "id", "flagged", "given", "given_name", "suggested", "suggested_name", "quality"]
    header += ["flagged_share"] if repeats is not None else []
    header += [] if benchmark.multi else ["p_given", "p_suggested"]
    rows: list[list[Any]] = []
    for rank, row in enumerate(found.order.tolist(), 1):
        names = [spreadsheet(label_names(labels, benchmark.classes)) for labels in (given[row], suggested[row])]
        cells: list[Any] = [rank, benchmark.ids[row], int(found.flagged[row])]
        cells += [label_text(given[row]), names[0], label_text(suggested[row]), names[1], f"{found.quality[row]:.6f}"]
        cells += [f"{repeats[row]:.3f}"] if repeats is not None else []
        if not benchmark.multi:
            cells += [f"{probabilities[row, labels[0]]:.6f}" for labels in (given[row], suggested[row])]
        rows.append(cells)
    health = [
        [spreadsheet(row.name), row.given, row.flagged, row.missing, f"{row.wrong:.4f}", f"{row.lost:.4f}"] for row in found.classes
    ]
    return [
        _csv(out / "suspects.csv", header, rows),
        _csv(out / "classes.csv", ["class", "given", "flagged", "suggested_elsewhere", "wrong", "lost"], health),
    ]


def suspects_as_dict(benchmark: Benchmark, found: Suspects, settings: dict[str, Any], trusted: Trust | None) -> dict[str, Any]:
    """The figures of the suspects."""
    return {
        "schema": SCHEMA,
        "revision": benchmark.revision,
        "images": len(benchmark),
        "flagged": found.count,
        "estimate": found.estimate,
        **settings,
        "classes": [asdict(row) for row in found.classes],
        "votes": None if trusted is None else trust_as_dict(trusted),
    }


def trust_as_dict(found: Trust) -> dict[str, Any]:
    """What votes say of the suspects."""
    counts = {name: getattr(found, name) for name in ("flagged", "voted", "kept", "wrong", "several", "undecided", "controls")}
    shares = {name: _share(getattr(found, name)) for name in ("precision", "of_voted", "missed")}
    return counts | shares | {"bounds": found.bounds, "unvoted": list(found.unvoted)}


def write_votes(out: Path, ballot: Ballot, decisions: Sequence[Decision], rows: Sequence[tuple[str, Labels, Labels]]) -> list[Path]:
    """Write what follows from votes.

    ``corrections.csv``: ``id,originalLabel,correction``; an image whose label the votes keep has an empty correction, so that
    the file says itself which images were looked at. ``undecided.csv``: images that the votes decide nothing of, and why.
    ``answers.csv``, where every vote has a voter: ``id,rater,label,answer``, whether the voter said of a label that it is right,
    for the labels that were shown and those that somebody named; an audit resamples voters from it.
    """
    out.mkdir(parents=True, exist_ok=True)
    kept = [(d.id, label_text(d.given), "") for d in decisions if d.labels is not None and d.keeps]
    corrected = [(name, label_text(given), label_text(labels)) for name, given, labels in rows]
    undecided = [
        (d.id, d.why, d.votes, d.unsure, " | ".join(f"{label_text(labels)}: {n}" for labels, n in d.tally))
        for d in decisions
        if d.labels is None
    ]
    written = [
        _csv(out / "corrections.csv", ["id", "originalLabel", "correction"], [*corrected, *kept]),
        _csv(out / "undecided.csv", ["id", "why", "votes", "unsure", "answers"], undecided),
    ]
    if not ballot.anonymous:
        written.append(_csv(out / "answers.csv", ["id", "rater", "label", "answer"], _answers(ballot)))
    return written


def _answers(ballot: Ballot) -> list[tuple[str, str, int, int]]:
    asked: dict[str, set[int]] = {name: set(given | ballot.suggested.get(name, Labels())) for name, given in ballot.given.items()}
    for vote in ballot.votes:
        asked[vote.id] |= vote.labels or Labels()
    return [
        (vote.id, vote.voter, label, int(label in vote.labels))
        for vote in ballot.votes
        if vote.labels is not None
        for label in sorted(asked[vote.id])
    ]


def votes_as_dict(
    ballot: Ballot,
    rule: Rule,
    decisions: Sequence[Decision],
    agreed: VoterAgreement,
    voters: Sequence[Voter],
    left_out: Sequence[str],
) -> dict[str, Any]:
    """The figures of the votes."""
    return {
        "schema": SCHEMA,
        "rule": str(rule),
        "votes": len(ballot.votes),
        "unsure": sum(vote.labels is None for vote in ballot.votes),
        "images": len(decisions),
        **outcomes(decisions),
        "neither_unknown": list(left_out),
        "agreement": asdict(agreed),
        "voters": [asdict(voter) for voter in voters if voter.name != NOBODY],
    }


def outcomes(decisions: Sequence[Decision]) -> dict[str, int]:
    """How many images the votes decide in which way."""
    decided = [d for d in decisions if d.labels is not None]
    changed = [d for d in decided if not d.keeps]
    why = [d.why for d in decisions if d.labels is None]
    return {
        "kept": len(decided) - len(changed),
        "another_label": sum(len(d.labels or ()) == 1 for d in changed),
        "several_labels": sum(len(d.labels or ()) > 1 for d in changed),
        "none_of_those_shown": sum(not d.labels for d in changed),
        "tie": why.count("tie"),
        "no_majority": why.count("no majority"),
        "too_few_votes": why.count("too few votes"),
    }


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return path


def _share(share: Share) -> dict[str, Any]:
    return {"hits": share.hits, "n": share.n, "value": share.value, "interval": share.interval}


def _csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    write_text(path, out.getvalue())
    return path
