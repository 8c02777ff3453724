"""A board is not climbed by noise, ties are ties, versions are not mixed, and its pages are whole, small and harmless."""

import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from evaluator.judging.board import Scored, beats, board, ladder, newest_version, scored
from evaluator.judging.site import BOARD, write_site
from evaluator.purchase.track import PURCHASE
from evaluator.scoring.intervals import t_interval
from evaluator.seeds import generator
from evaluator.tables import Metric

F1 = PURCHASE.metric("macro_f1")
LOSS = Metric("loss", "loss", higher_is_better=False, low=0, high=1)


def sent(values, participant="fox", number=1, received=None, verdict="OK", version=1, name="mine", detail=None) -> Scored:
    values = list(values)
    return Scored(
        number=number,
        participant=participant,
        name=name,
        received=float(number if received is None else received),
        scores=dict(enumerate(values)),
        value=t_interval(values) if values else None,
        verdict=verdict,
        version=version,
        data={"validation": "d" * 64},
        detail=detail or {},
    )


def test_a_submission_takes_the_place_only_beyond_noise():
    first = sent([0.50, 0.52, 0.48, 0.51])
    luck = sent([0.53, 0.49, 0.50, 0.52], number=2)  # a higher mean, within noise
    better = sent([0.56, 0.57, 0.54, 0.56], number=3)
    assert luck.mean > first.mean
    assert ladder([first, luck]) is first
    assert ladder([better, luck, first]) is better, "in the order in which they were sent"
    assert ladder([first, sent([], number=2, verdict="TIME_LIMIT")]) is first
    assert ladder([sent([], verdict="TIME_LIMIT")]) is None


@pytest.mark.parametrize(("new", "shown"), [(0.504, False), (0.506, True)])
def test_with_one_seed_a_step_decides(new, shown):
    assert beats(sent([new], number=2), sent([0.5])) is shown


def test_noise_alone_hardly_climbs():
    """Two hundred submissions of one strategy: the highest of their means is far up, and the Ladder stays near the truth."""
    draw = generator(3, "noise")
    every = [sent(0.5 + 0.02 * draw.normal(size=8), number=n) for n in range(1, 201)]
    highest = max(of.mean for of in every) - 0.5
    standing = ladder(every).mean - 0.5
    assert highest > 0.015
    assert standing < highest
    steps = sum(beats(new, old) for old, new in pairwise(every))
    assert steps / 199 < 0.10, "one-sided at 95 %"


def test_ranks_are_shared_where_noise_decides():
    common = np.array([0.0, 0.02, -0.01, 0.01])
    lines = board(
        [
            sent(0.70 + common, "a", 1),
            sent(0.60 + common + [0.001, -0.002, 0.002, 0], "b", 2),
            sent(0.601 + common + [-0.002, 0.002, 0, 0.001], "c", 3),
            sent(0.40 + common, "d", 4),
            sent([], "e", 5, verdict="RUNTIME_ERROR"),
        ]
    )
    assert [(line.participant, line.rank, line.ties) for line in lines] == [("a", 1, 1), ("c", 2, 2), ("b", 2, 2), ("d", 4, 1)]


def test_a_line_never_has_a_better_rank_than_the_line_above():
    draw = generator(5, "ranks")
    lines = board([sent(draw.normal(size=4), f"p{n}", n) for n in range(1, 60)])
    ranks = [line.rank for line in lines]
    assert ranks == sorted(ranks)
    means = [line.shown.mean for line in lines]
    assert means == sorted(means, reverse=True)


def test_the_two_ways_of_comparing_agree():
    draw = generator(6, "ways")
    every = [sent(draw.normal(size=5), f"p{n}", n) for n in range(1, 25)]
    at_once = [(line.participant, line.rank) for line in board(every)]
    extra = sent([*list(every[0].scores.values()), 0.0], "last", 99)  # other seeds: one by one
    one_by_one = [(line.participant, line.rank) for line in board([*every, extra]) if line.participant != "last"]
    moved = sum(a != b for a, b in zip(at_once, one_by_one, strict=True))
    assert moved <= len(at_once)
    assert [name for name, _ in at_once] == [name for name, _ in one_by_one]
    below = next((i for i, line in enumerate(board([*every, extra])) if line.participant == "last"))
    assert at_once[:below] == one_by_one[:below]


def row(cells, verdict="OK", version=1, number=1):
    result = {"metric": "macro_f1", "cells": cells, "data": {}}
    head = {"submission": number, "participant": "fox", "name": "mine", "received": 1.0, "verdict": verdict, "version": version}
    return head | {"result": result}


def cells(scores) -> list[dict]:
    return [
        {"pair": pair, "seed": seed, "score": score, "verdict": "OK" if score is not None else "TIME_LIMIT"}
        for (pair, seed), score in scores.items()
    ]


def test_a_score_is_the_mean_of_a_seed_over_everything_or_there_is_none():
    found = scored(row(cells({("a", 0): 0.4, ("b", 0): 0.6, ("a", 1): 0.6, ("b", 1): 0.6})), F1, "pair")
    assert found.scores == {0: pytest.approx(0.5), 1: pytest.approx(0.6)}
    failed = scored(row(cells({("a", 0): 0.9, ("b", 0): None})), F1, "pair")
    assert (failed.scores, failed.value) == ({}, None)
    loss = scored(row(cells({("a", 0): 0.25})), LOSS, "pair")
    assert (loss.scores, loss.value.mean) == ({0: 0.75}, 0.25), "ranked as a score, shown as it is"


def test_the_data_are_told_whichever_way_a_sweep_stores_their_digests():
    plain, nested = row(cells({("a", 0): 0.5})), row(cells({("a", 0): 0.5}))
    plain["result"]["data"] = {"test": "abc"}
    nested["result"]["data"] = {"validation": {"training": "abc", "validation": "def"}}
    assert scored(plain, F1, "pair").data == {"test": "abc"}
    assert scored(nested, F1, "pair").data == {"training": "abc", "validation": "def"}


def test_figures_of_two_versions_are_never_on_one_board():
    old, new = sent([0.9, 0.9], "a", 1), sent([0.5, 0.5], "b", 2, version=2)
    assert [line.participant for line in board([old, new])] == ["b"]
    assert newest_version([old, new]) == [new]


# -- the site


class Links(HTMLParser):
    """Collects links, and what a page would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        if tag == "a":
            self.links.append(held["href"])
        if (
            tag in ("script", "iframe", "object")
            or "://" in str(held.get("src", ""))
            or any(name.startswith("on") for name in held)
        ):
            self.loads.append(tag)


def write(folder: Path, parts, **more) -> str:
    write_site(folder, "Labels 2026", parts, F1, "pair", 1_800_000_000.0, **more)
    return (folder / BOARD).read_text()


def test_every_link_leads_to_a_page_and_nothing_is_loaded(tmp_path):
    detail = {"cells": cells({("10:5", 0): 0.4, ("20:5", 0): None})}
    found = [sent([0.5, 0.6], "fox", 1, detail=detail), sent([0.4, 0.5], "owl", 2, detail=detail)]
    text = write(tmp_path, {"public": found, "private": found[:1]})
    pages = {path: Links(path.read_text()) for path in tmp_path.rglob("*.html")}
    assert len(pages) == 4
    for path, page in pages.items():
        assert page.loads == []
        for link in page.links:
            assert (path.parent / link).resolve() in {other.resolve() for other in pages}, link
    assert "0.550 [" in text
    assert "20:5" in (tmp_path / "submissions" / "public-1-v1.html").read_text()
    private = (tmp_path / "submissions" / "private-1-v1.html").read_text()
    assert "20:5" not in private, "hidden tasks are not named"
    assert "pair 1" in private


def test_names_of_strangers_are_texts(tmp_path):
    bad = '<script>alert(1)</script>"onload=x'
    text = write(tmp_path, {"public": [sent([0.5, 0.6], bad, 1, name=bad + "\x1b[31m")]})
    for path in tmp_path.rglob("*.html"):
        assert "<script" not in path.read_text()
        assert "\x1b" not in path.read_text()
    assert "&lt;script&gt;" in text


def test_an_empty_board_says_so(tmp_path):
    assert "No submission has a score yet." in write(tmp_path, {"public": []})
    assert "1 participant without a scored submission" in write(
        tmp_path, {"public": [sent([0.5], "a", 1), sent([], "b", 2, verdict="TIME_LIMIT")]}
    )


def test_an_old_board_stays_until_the_new_is_whole(tmp_path, monkeypatch):
    before = write(tmp_path, {"public": [sent([0.5, 0.6])]})
    monkeypatch.setattr("evaluator.judging.site.board", lambda found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path, {"public": [sent([0.9, 0.9])]})
    assert (tmp_path / BOARD).read_text() == before


def test_a_thousand_submissions_of_a_hundred_people_have_a_page_each(tmp_path):
    draw = generator(8, "many")
    detail = {"cells": cells({(f"{n}:5", seed): 0.5 for n in range(5) for seed in range(5)})}
    found = [sent(draw.normal(size=5) * 0.01 + 0.5, f"team {n % 100}", n, detail=detail) for n in range(1, 1001)]
    start = time.process_time()
    write(tmp_path, {"public": found})
    print(f"1,000 submissions: {time.process_time() - start:.1f} s of processor time")
    assert len(list((tmp_path / "submissions").iterdir())) == 1000
    assert len(re.findall(r"<tr>", (tmp_path / BOARD).read_text())) == 101
