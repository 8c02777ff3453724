"""The end of a round: who chooses, what is chosen for whom, and two versions of the rules side by side."""

import json
import os
import shutil
import time

import pytest

from evaluator.cli.main import main
from evaluator.judging.board import scored
from evaluator.judging.final import choose_defaults, without
from evaluator.judging.inbox import take_in
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue, Quota, Sent
from evaluator.judging.rescored import changes, settled, unsettled, versions
from evaluator.purchase.track import PURCHASE

F1 = PURCHASE.metric("macro_f1")
NOW = time.time()


@pytest.fixture
def place(tmp_path):
    root = tmp_path / "judge"
    root.mkdir()
    rules = 'name = "x"\nsandbox = "process"\nprivate = "private.toml"\n[quota]\na-day = 20\n[resources]\ndisk = 0\n'
    (root / "judge.toml").write_text(rules)
    for part in ("public", "private"):
        (root / f"{part}.toml").write_text("")
    return Place.of(root)


@pytest.fixture
def queue(place):
    made = Queue(place.queue, place.rules.quota)
    yield made
    made.close()


def result(*scores: float) -> dict:
    cells = [{"cell": "c", "pair": "10:5", "seed": seed, "score": score, "verdict": "OK"} for seed, score in enumerate(scores)]
    return {"metric": "macro_f1", "cells": cells, "data": {}, "known": ["10:5"]}


def send(queue, participant: str, *scores: float, version: int = 1) -> int:
    """A submission that was judged; without scores it failed."""
    count = queue.rows("SELECT count(*) AS n FROM submission")[0]["n"]
    number, _ = queue.receive(Sent(f"{count:064}", participant, "mine", "purchase", "d", NOW + count), version)
    job = queue.claim("w", NOW + 1e6, 60)
    queue.finish(job, NOW, "OK" if scores else "TIME_LIMIT", result(*scores))
    return number


def public(queue):
    return [scored(row, F1, "pair") for row in queue.results("public")]


def choose(place, queue, content, participant="fox"):
    (place.inbox / participant).mkdir(exist_ok=True)
    path = place.inbox / participant / "choice.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    os.utime(path, (1, 1))
    (taken,) = take_in(place, queue, time.time)
    return taken, json.loads((place.outbox / participant / "choice.json").read_text())


# -- choosing


def test_a_participant_chooses_by_a_file_and_the_last_choice_counts(place, queue):
    numbers = [send(queue, "fox", 0.5) for _ in range(4)]
    taken, told = choose(place, queue, {"submissions": numbers[:3]})
    assert "chosen for the private part: 1, 2, 3" in taken.said
    assert (told["accepted"], told["submissions"]) == (True, [1, 2, 3])
    choose(place, queue, {"submissions": [numbers[3]]})
    assert queue.chosen() == {"fox": [4]}
    assert [event["detail"]["why"] for event in queue.events() if event["what"] == "chosen"] == ["by the participant"] * 2
    assert list((place.inbox / "fox").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"submissions": [1, 2, 3, 4]}, "3 are allowed"),
        ({"submissions": [5]}, "is none of fox"),
        ({"submissions": []}, "Write it so"),
        ({"submissions": [True]}, "Write it so"),
        ({"submissions": "1"}, "Write it so"),
        ([1], "Write it so"),
        ("{", "choice.json"),
        ("x" * 100_000, "choice.json"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_and_the_old_stands(place, queue, content, said):
    for _ in range(4):
        send(queue, "fox", 0.5)
    send(queue, "owl", 0.5)
    choose(place, queue, {"submissions": [2]})
    taken, told = choose(place, queue, content)
    assert said in taken.refused
    assert (told["accepted"], told["submissions"], said in told["reason"]) == (False, [2], True)
    assert str(place.root) not in json.dumps(told)


@pytest.mark.parametrize("numbers", [[1], [99], [1, 2, 3, 4]])
def test_a_choice_names_no_other_participant(place, queue, numbers):
    send(queue, "fox", 0.5)
    send(queue, "owl", 0.5)
    for participant in ("eve", "owl"):  # without a submission, and with one of its own
        taken, told = choose(place, queue, {"submissions": numbers}, participant)
        assert not told["accepted"]
        assert "fox" not in json.dumps(told) + taken.refused


def test_nobody_chooses_when_the_private_part_has_begun(place, queue):
    send(queue, "fox", 0.5)
    send(queue, "fox", 0.6)
    choose(place, queue, {"submissions": [1]})
    queue.open_private(1, NOW)
    _, told = choose(place, queue, {"submissions": [2]})
    assert "has begun" in told["reason"]
    assert queue.chosen() == {"fox": [1]}
    queue.choose("fox", [2], NOW)  # an organiser still can
    assert queue.chosen() == {"fox": [2]}


def test_who_chose_nothing_gets_the_best_of_the_board(queue):
    send(queue, "fox", 0.50, 0.51, 0.49)
    send(queue, "fox", 0.70, 0.71, 0.69)
    send(queue, "fox", 0.71, 0.70, 0.70)  # within noise of the one before
    chosen = send(queue, "owl", 0.40, 0.41, 0.39)
    send(queue, "owl", 0.90, 0.91, 0.89)
    queue.choose("owl", [chosen], NOW)
    send(queue, "elk")
    assert choose_defaults(queue, public(queue), NOW) == 1
    assert queue.chosen() == {"fox": [2], "owl": [chosen]}
    assert without(queue, public(queue)) == ["elk"]
    assert choose_defaults(queue, public(queue), NOW) == 0, "once"
    assert queue.events()[-1]["detail"]["why"].startswith("nothing was chosen")


def test_finish_chooses_says_for_whom_and_adds_the_private_part_once(place, queue, capsys):
    send(queue, "fox", 0.5)
    send(queue, "owl", 0.4)
    send(queue, "elk")
    queue.choose("owl", [2], NOW)
    assert main(["judge", "finish", str(place.root)]) == 0
    shown = capsys.readouterr().out
    assert "fox chose nothing: submission 1, the best" in shown
    assert "elk chose nothing and has no score" in shown
    assert "2 jobs added" in shown
    assert main(["judge", "finish", str(place.root)]) == 0
    assert "0 jobs added" in capsys.readouterr().out
    assert sorted(queue.claim("w", NOW + 1e6, 60).part for _ in range(2)) == ["private", "private"]


def test_finish_warns_while_the_public_part_is_judged(place, queue, capsys):
    send(queue, "fox", 0.5)
    queue.receive(Sent("f" * 64, "fox", "mine", "purchase", "d", NOW), 1)
    assert main(["judge", "finish", str(place.root)]) == 0
    assert "1 job of the public part is not done" in capsys.readouterr().err


def test_finish_waits_for_the_deadline_and_for_the_end_of_the_round(place, queue, tmp_path, capsys):
    """It takes everybody's choice away, so a slip must not begin it."""
    send(queue, "fox", 0.5)
    rules = (place.root / "judge.toml").read_text()
    (place.root / "judge.toml").write_text("deadline = 2999-12-31T23:59:00Z\n" + rules)
    assert main(["judge", "finish", str(place.root)]) == 2
    said = capsys.readouterr().err
    assert "the deadline is 2999-12-31 23:59 UTC, which has not come" in said
    assert "--early" in said
    assert not queue.rows("SELECT id FROM job WHERE part = 'private'")
    (place.root / "judge.toml").write_text(rules)
    inside = tmp_path / "round" / "keep" / "judge"
    shutil.copytree(place.root, inside)
    terms = "name = 'x'\ntrack = 'purchase'\nprofile = 'debug'\nmade = 2026-01-01T00:00:00Z\nstate = 'STATE'\n"
    for state, status in (("open", 2), ("closed", 0)):
        (tmp_path / "round" / "round.toml").write_text(terms.replace("STATE", state))
        assert main(["judge", "finish", str(inside)]) == status
    assert "round.toml: the round is open" in capsys.readouterr().err
    (place.root / "judge.toml").write_text("deadline = 2999-12-31T23:59:00Z\n" + rules)
    assert main(["judge", "finish", str(place.root), "--early"]) == 0


def test_a_board_that_shows_the_private_part_goes_on_to_show_it(place, queue, tmp_path):
    send(queue, "fox", 0.5)
    assert main(["judge", "finish", str(place.root)]) == 0
    queue.finish(queue.claim("w", NOW + 1e6, 60), NOW, "OK", result(0.4))

    def parts():
        return {row.split(",")[0] for row in (place.root / "site" / "board.csv").read_text().splitlines()[1:]}

    assert main(["judge", "board", str(place.root)]) == 0
    assert parts() == {"public"}
    assert main(["judge", "board", str(place.root), "--private", "--out", str(tmp_path / "elsewhere")]) == 0
    assert not queue.shows_private
    assert main(["judge", "board", str(place.root), "--private"]) == 0
    assert parts() == {"public", "private"}
    assert main(["judge", "run", str(place.root), "--once"]) == 0
    assert parts() == {"public", "private"}
    assert main(["judge", "board", str(place.root)]) == 0
    assert parts() == {"public"}


# -- two versions


def again(queue, version: int, *of: tuple[float, ...]) -> None:
    """Judge everything under another version; the scores in the order of the numbers."""
    queue.rescore(version, NOW)
    jobs = sorted((queue.claim("w", NOW + 2e6, 60) for _ in of), key=lambda job: job.submission)
    for job, scores in zip(jobs, of, strict=True):
        queue.finish(job, NOW, "OK", result(*scores))


def test_a_rescore_shows_old_and_new_side_by_side(queue):
    send(queue, "fox", 0.50, 0.51, 0.52)
    send(queue, "owl", 0.60, 0.61, 0.62)
    send(queue, "elk", 0.70, 0.71, 0.72)
    again(queue, 2, (0.80, 0.81, 0.82), (0.60, 0.61, 0.62), ())
    rows = queue.results("public")
    found = {change.participant: change for change in changes([scored(row, F1, "pair") for row in rows], 1, 2)}
    assert list(found) == ["fox", "owl", "elk"], "the order of the new board, then who is not on it"
    assert (found["fox"].old.rank, found["fox"].new.rank, found["fox"].ranks) == (3, 1, 2)
    assert found["fox"].score == pytest.approx(0.3)
    assert (found["owl"].ranks, found["owl"].score) == (0, 0)
    assert (found["elk"].new, found["elk"].ranks, found["elk"].as_dict()["new"]) == (None, None, None)


def test_a_board_waits_until_everything_is_judged_anew(queue):
    send(queue, "fox", 0.5)
    send(queue, "owl", 0.6)
    queue.rescore(2, NOW)
    first = queue.claim("w", NOW + 1e6, 60)
    queue.finish(first, NOW, "OK", result(0.9))
    send_new = queue.receive(Sent("e" * 64, "elk", "mine", "purchase", "d", NOW), 2)[0]
    rows = queue.results("public")
    assert versions(rows) == [1, 2]
    assert unsettled(rows, 2) == {3 - first.submission}
    assert {row["version"] for row in settled(rows)} == {1}
    for _ in range(2):
        queue.finish(queue.claim("w", NOW + 1e6, 60), NOW, "OK", result(0.7))
    assert {row["version"] for row in settled(queue.results("public"))} == {1, 2}
    assert send_new in {row["submission"] for row in settled(queue.results("public"))}
    assert settled([]) == []


def test_a_submission_that_fails_by_our_fault_holds_no_board_up(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(a_day=9, attempts=1))
    send(queue, "fox", 0.5)
    queue.rescore(2, NOW)
    queue.give_back(queue.claim("w", NOW + 1e6, 60), NOW, "no space")
    assert unsettled(queue.results("public"), 2) == set()
    queue.close()


def test_the_verb_compares(place, queue, capsys):
    send(queue, "fox", 0.50, 0.51)
    assert main(["judge", "compare", str(place.root)]) == 2
    assert "Rescore first" in capsys.readouterr().err
    again(queue, 2, (0.60, 0.61))
    send(queue, "owl", 0.2, 0.21)
    assert main(["judge", "compare", str(place.root)]) == 0
    shown = capsys.readouterr().out
    assert "Versions 1 and 2 of the rules" in shown
    assert "+0.100" in shown
    assert main(["judge", "compare", str(place.root), "--json", "--versions", "1", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["participant"] for row in told["participants"]] == ["fox", "owl"]


def test_whoever_sent_nothing_is_told_who_did(place, queue, capsys):
    send(queue, "fox", 0.5)
    assert main(["judge", "choose", str(place.root), "foxx", "1"]) == 2
    assert "foxx has no submission that was judged; there are submissions of fox." in " ".join(capsys.readouterr().err.split())
