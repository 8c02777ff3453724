"""A machine that is busy before the first clock starts is said in words, and stored with everything that was run on it."""

import json
from pathlib import Path

import pytest
from conftest import SUBMISSIONS, TINY

import evaluator.sweep.experiment
import local_evaluation
from evaluator.machine import Load
from evaluator.purchase import profiles
from evaluator.sweep.summary import RunSummary

BUSY = Load(running=1.8, free_memory=8 << 30, cores=2)
QUIET = Load(running=0.0, free_memory=8 << 30, cores=2)


@pytest.fixture
def evaluate(monkeypatch, tmp_path, data_folder, capsys):
    """Evaluate a submission on a machine with that load: (what it printed on stderr, result.json)."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")

    def run(load: Load, *more: str) -> tuple[str, dict]:
        monkeypatch.setattr(evaluator.sweep.experiment, "load", lambda: load)
        options = ["--profile", "tiny", "--data", str(data_folder), "--out", str(tmp_path / "results"), "--pair", "621:17"]
        options += ["--submission", str(SUBMISSIONS / "random_buyer.py"), "--sandbox", "process", "--device", "cpu", *more]
        assert local_evaluation.main([*options, "--json"]) == 0
        said = capsys.readouterr()
        return said.err, json.loads(said.out)

    return run


def stored(tmp_path: Path, folder: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in (tmp_path / "results" / folder).glob("*.json")]


@pytest.mark.endurance
def test_a_busy_machine_is_warned_of_and_stands_in_every_file(evaluate, tmp_path):
    said, summary = evaluate(BUSY)
    assert "warning: busy machine: 1.8 of 2 cores are busy with other programs" in said
    assert summary["busy"] == BUSY.busy() != ""
    assert RunSummary.from_dict(summary, "pair").as_dict("pair") == summary
    assert any("busy machine" in warning for warning in summary["warnings"])
    for folder in ("cells", "answers"):
        assert [content["busy"] for content in stored(tmp_path, folder)] == [BUSY.busy()]


def test_a_quiet_machine_is_not(evaluate, tmp_path):
    said, summary = evaluate(QUIET, "--pipeline", "milliseconds")
    assert "busy" not in said
    assert (summary["busy"], summary["warnings"]) == ("", [])
    assert [content["busy"] for content in stored(tmp_path, "cells")] == [""]


@pytest.mark.endurance
def test_a_stored_answer_keeps_what_was_so_when_the_submission_ran(evaluate, tmp_path):
    evaluate(BUSY)
    for path in (tmp_path / "results" / "cells").glob("*.json"):
        path.unlink()
    _, summary = evaluate(QUIET)
    assert summary["busy"] == ""
    assert summary["cells"][0]["reused"]
    assert summary["cells"][0]["busy"] == BUSY.busy(), "the clock ran on a busy machine, whenever the training was"
