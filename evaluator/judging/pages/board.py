"""What the page with the boards shows, and the page with all submissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.judging.board import LEVEL, Line, Scored, data_scored, newest_version, not_yet
from evaluator.judging.pages.shown import (
    PAGES,
    anchor,
    data_text,
    ends_of,
    first_large,
    links,
    moment,
    page_name,
    score,
    seeds_text,
    sort_value,
    strip,
    versions_text,
)
from evaluator.tables import Metric
from evaluator.text import name as harmless
from evaluator.words import counted

NOTES = (
    "A participant is shown with the submission that was best when it was sent: a later submission takes its place only if it is "
    "better beyond the noise of the seeds (the Ladder of Blum and Hardt, 2015).",
    f"Rank: 1 + the number of participants who are better beyond noise ({LEVEL:.0%}, paired by seed; each comparison by itself, so "
    "of a hundred between equals about five are called by chance). Participants of equal rank are tied: these seeds do not tell "
    "them apart, whatever their order in the table.",
    f"In brackets and as a bar: the {LEVEL:.0%} interval of the mean over seeds (Student's t). With a single seed, and where all "
    "seeds gave the same figure, there is none: nothing is known of the noise.",
)


def board_page(
    title: str, parts: Mapping[str, Sequence[Scored]], lines: Mapping[str, Sequence[Line]], metric: Metric, now: float
) -> dict[str, Any]:
    """What ``board.html`` needs; the private part, which decides, stands first.

    Args:
        title: of the competition. ``parts``: judged submissions by part; ``lines``: the board of each part.
    """
    people = len({of.participant for found in parts.values() for of in found})
    judged = len({of.number for found in parts.values() for of in newest_version(found)})
    order = sorted(parts, key=lambda part: part == "public")
    ranks = {line.participant: line.rank for line in lines.get("public", ())} if len(parts) > 1 else {}
    better = "" if metric.higher_is_better else " Lower is better."
    return {
        "competition": title,
        "root": "",
        "here": "board",
        "lead": f"{counted(people, 'participant')}, {counted(judged, 'judged submission')}; ranked by {metric.label}.{better} "
        f"Written {moment(now)} UTC.",
        "parts": [_part(part, parts[part], lines[part], metric, ranks if part != "public" else {}) for part in order],
        "notes": NOTES,
    }


def _part(
    part: str, found: Sequence[Scored], lines: Sequence[Line], metric: Metric, public_ranks: Mapping[str, int]
) -> dict[str, Any]:
    newest = newest_version(found)
    ends = ends_of([line.shown.value for line in lines], metric)
    before = next((line.before.version for line in lines if line.before is not None), None)
    named = first_large(metric.label)
    heading = named if before is None else f"{named}, rules {newest[0].version}"
    return {
        "id": part,
        "heading": f"{first_large(part)} part",
        "score": heading,
        "before": "" if before is None else f"Rules {before}",
        "level": f"{LEVEL:.0%}",
        "ends": [metric.text(end) for end in ends],
        "public_ranks": bool(public_ranks),
        "links": any(links(line.shown) for line in lines),
        "lines": [
            _line(line, metric, ends, public_ranks, place == 0 or lines[place - 1].rank != line.rank)
            for place, line in enumerate(lines)
        ],
        "facts": _facts(newest, metric) if newest else [],
        "notes": _notes(found, newest, lines),
    }


def _line(line: Line, metric: Metric, ends: tuple[float, float], public_ranks: Mapping[str, int], first: bool) -> dict[str, Any]:
    of = line.shown
    old = None if line.before is None else line.before.value
    participant = harmless(line.participant)
    return {
        "rank": line.rank,
        "tie": line.ties > 1,
        "first": first,
        "name": participant.lower(),
        "participant": participant,
        "page": f"{PAGES}/{page_name(of.number)}",
        "value": sort_value(of.value),
        "score": score(of.value, metric, of.collapsed),
        "bar": strip(of.value, ends),
        "before": score(old, metric, 0 if line.before is None else line.before.collapsed),
        "before_value": sort_value(old),
        "public_rank": public_ranks.get(line.participant, ""),
        "seeds": len(of.scores),
        "submission": harmless(of.name),
        "links": links(of),
        "received": of.received,
        "sent": moment(of.received),
        "count": line.sent,
        "anchor": anchor(line.participant),
        "all": f"{counted(line.sent, 'submission')} of {participant}",
    }


def _facts(newest: Sequence[Scored], metric: Metric) -> list[tuple[str, str]]:
    seeds = {tuple(sorted(of.scores)) for of in newest if of.scores}
    shared = "the same for everybody" if len(seeds) == 1 else "not the same for everybody: two are compared on those that both have"
    return [
        ("Versions", versions_text(newest)),
        ("Seeds", f"{seeds_text(sorted({seed for of in seeds for seed in of}))}, {shared}" if seeds else "none"),
        ("Data (SHA-256)", data_text(newest)),
        *((("Metric", metric.explanation),) if metric.note else ()),
    ]


def _notes(found: Sequence[Scored], newest: Sequence[Scored], lines: Sequence[Line]) -> list[str]:
    several = {split: digests for split, digests in data_scored(newest).items() if len(digests) > 1}
    notes = [
        f"{split}: {len(digests)} different data sets were scored under these rules, so the figures are not to be compared."
        for split, digests in several.items()
    ]
    fell = [line.shown.collapsed for line in lines if line.shown.collapsed]
    if fell:
        notes.append(
            f"!: {counted(sum(fell), 'cell')} of {counted(len(fell), 'participant')} collapsed: a model learnt nothing, so its "
            "score is no better than that of an answer without any learning, and says nothing about what was handed in."
        )
    failed = len({of.participant for of in newest} - {line.participant for line in lines})
    if failed:
        notes.append(f"{counted(failed, 'participant')} without a scored submission: not on the board.")
    if left := not_yet(found):
        notes.append(
            f"{counted(left, 'submission')} judged under earlier rules and not yet under these: not on the board, where figures of "
            "two versions are never ranked together."
        )
    return notes


def submissions_page(title: str, parts: Mapping[str, Sequence[Scored]], metric: Metric) -> dict[str, Any]:
    """What ``submissions.html`` needs: a row for every judged submission, newest first, under the newest rules that it has."""
    of_part = {part: latest(found) for part, found in parts.items()}
    every = {number: of for found in of_part.values() for number, of in found.items()}
    first = of_part.get("public", {})
    rows = []
    for number in sorted(every, key=lambda number: (every[number].received, number), reverse=True):
        of = first.get(number, every[number])
        participant = harmless(of.participant)
        scored = [found.get(number) for found in of_part.values()]
        rows.append(
            {
                "number": number,
                "name": participant.lower(),
                "participant": participant,
                "page": f"{PAGES}/{page_name(number)}",
                "submission": harmless(of.name),
                "verdict": of.verdict,
                "scores": [
                    ("", None) if each is None else (sort_value(each.value), score(each.value, metric, each.collapsed))
                    for each in scored
                ],
                "received": of.received,
                "sent": moment(of.received),
            }
        )
    people = len({of.participant for of in every.values()})
    several = len(parts) > 1
    return {
        "competition": title,
        "root": "",
        "here": "submissions",
        "lead": f"{counted(len(every), 'submission')} of {counted(people, 'participant')}, newest first.",
        "scores": [first_large(f"{metric.label}, {part}" if several else metric.label) for part in parts],
        "rows": rows,
    }


def latest(found: Sequence[Scored]) -> dict[int, Scored]:
    """By number, every submission under the newest version of the rules under which it was judged."""
    return {of.number: of for of in sorted(found, key=lambda of: of.version)}
