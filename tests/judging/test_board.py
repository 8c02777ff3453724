"""A board is not climbed by noise, ties are ties, and versions are not mixed."""

from itertools import pairwise

import numpy as np
import pytest

from evaluator.judging.board import Scored, beats, board, ladder, newest_version, not_yet, scored, version_before
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


def test_equal_figures_of_several_seeds_have_no_interval_and_prove_nothing():
    found = scored(row(cells({("a", 0): 0.5, ("a", 1): 0.5, ("a", 2): 0.5})), F1, "pair")
    assert (found.value.mean, found.value.low, found.value.high) == (0.5, None, None)
    least = scored(row(cells({("a", 0): 0.503, ("a", 1): 0.503, ("a", 2): 0.503})), F1, "pair")
    assert not beats(least, found), "less than the fixed step, and no spread to hold it against"


def test_cells_whose_model_learnt_nothing_are_counted():
    every = cells({("a", 0): 0.5, ("a", 1): 0.3, ("a", 2): 0.4})
    every[1]["collapsed"] = every[2]["collapsed"] = True
    assert scored(row(every), F1, "pair").collapsed == 2


def test_a_hidden_task_is_no_part_of_a_public_score():
    """Whoever knows the scores of the public tasks could tell that of the hidden one from the mean over all."""
    of = row(cells({("a", 0): 0.4, ("b", 0): 0.8, ("a", 1): 0.6, ("b", 1): None}))
    of["result"]["known"] = ["a"]
    assert scored(of, F1, "pair").scores == {0: 0.4, 1: 0.6}
    assert scored(of, F1, "pair", whole=True).scores == {}
    of["result"]["known"] = []
    assert scored(of, F1, "pair").scores == {}, "where every task is hidden, all of them count"


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


def test_the_old_score_stands_beside_the_new_of_the_same_submission():
    old = [sent([0.9, 0.9], "a", 1), sent([0.4, 0.5], "b", 2), sent([0.3, 0.3], "c", 3, version=2)]
    new = [sent([0.5, 0.6], "b", 2, version=3), sent([0.2, 0.3], "c", 3, version=3), sent([0.9, 0.8], "d", 4, version=3)]
    lines = {line.participant: line for line in board([*old, *new])}
    assert lines.keys() == {"b", "c", "d"}, "a was not judged under the newest rules yet"
    assert not_yet([*old, *new]) == 1
    assert version_before([*old, *new]).keys() == {3}, "the version before, and none of those before that"
    assert (lines["c"].before, lines["b"].before, lines["d"].before) == (old[2], None, None)
    assert version_before(new) == {}
