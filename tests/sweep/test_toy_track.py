"""A track that no room of the kit knows runs through runner, history, sweep and compare: the protocol is enough."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from toy_track import GUESS, Named

from evaluator.history.checksum import sealed
from evaluator.history.comparable import gather
from evaluator.history.groups import conditions
from evaluator.history.index import read_index
from evaluator.history.store import Store
from evaluator.report.agreement import agreement_report
from evaluator.report.comparison.asked import Asked
from evaluator.report.comparison.figures import comparison_report
from evaluator.report.comparison.markdown import markdown
from evaluator.report.comparison.terminal import show_comparison
from evaluator.report.sweep import show_sweep_result
from evaluator.report.terminal import show_result
from evaluator.runner.workers import Workers
from evaluator.scoring.scores import OVER_PAIRS
from evaluator.sweep.experiment import prepare
from evaluator.sweep.forecast import forecast
from evaluator.sweep.run import run, stored_cells
from evaluator.sweep.settings import read_settings
from evaluator.sweep.summary import summarise
from evaluator.sweep.table import summarise_sweep
from evaluator.track import Tracks

TRACKS = Tracks({"guess": GUESS})


@pytest.fixture
def guesses(tmp_path):
    """Submissions that guess well, badly, and as `random`."""

    def write(name: str, offset: float) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.py").write_text(f"GUESS = {offset} # added to the number\n")
        return folder

    return write("good", 0.0), write("bad", 2.0), write("random", 1.0)


def ready(guesses, out: Path, **given):
    options = {"submissions": list(guesses), "profile": "any", "sandbox": "process", "device": "cpu", "out": out, "seeds": 4}
    settings, _ = read_settings(options | given, GUESS)
    return prepare(GUESS, settings)


def swept(experiment, workers=None):
    """Run what is missing: (outcome, content of sweep.json)."""
    store, summary = Store(experiment.settings.out), {}
    expected = forecast(experiment, experiment.index())

    def finish(outcome):
        summary.update(summarise_sweep(experiment, outcome.rows, outcome.before, expected, outcome.seconds))
        store.write_run(outcome.folder, summary, "sweep")

    return run(experiment, store, "sweep", finish, workers=workers), summary


def test_it_is_swept_stored_listed_and_not_run_again(guesses, tmp_path):
    experiment = ready(guesses, tmp_path / "results", pipelines=["near", "strict"])
    outcome, summary = swept(experiment)
    assert len(outcome.ran) == 3 * 4 * 2 * 2
    assert summary["track"] == "guess"
    assert [task["task"] for task in summary["tasks"]] == ["guess-3", "guess-5"]
    best = max(summary["rows"], key=lambda row: row["score"]["closeness"]["mean"])
    assert (best["submission"], best["score"]["closeness"]["n"]) == ("good", 4)
    index = read_index(tmp_path / "results", TRACKS)
    assert len(index.cells) == 48
    assert len(index.answers) == 24, "two pipelines judge one answer"
    again, _ = swept(ready(guesses, tmp_path / "results", pipelines=["near", "strict"]))
    assert again.ran == ()
    assert len(again.before) == 48
    show_sweep_result(Console(quiet=True), summary, GUESS)


def test_a_stored_score_beyond_its_bounds_is_set_aside_and_the_cell_run_again(guesses, tmp_path, capsys):
    """A plain track stores its metrics as any numbers: what it declares of them holds for what is read, too."""
    out = tmp_path / "results"
    swept(ready(guesses[:1], out))
    path = sorted((out / "cells").glob("*.json"))[0]
    content = json.loads(path.read_text())
    del content["checksum"]
    right, content["metrics"]["closeness"] = content["metrics"]["closeness"], 1.5
    path.write_text(sealed(content))
    again, _ = swept(ready(guesses[:1], out))
    assert again.ran == (path.stem,)
    assert "the metric closeness is 1.5; expected 0 to 1" in capsys.readouterr().err
    assert json.loads(path.read_text())["metrics"]["closeness"] == right
    # An index that an older kit wrote, or a person: its rows are held to the same bounds.
    index = json.loads((out / "index.json").read_text())
    del index["checksum"]
    index["cells"][path.stem][1]["metrics"]["closeness"] = 1.5
    (out / "index.json").write_text(sealed(index))
    assert read_index(out, TRACKS).cells[path.stem]["metrics"]["closeness"] == right


def test_workers_side_by_side_give_the_same_cells(guesses, tmp_path):
    def figures(out: Path) -> dict[str, object]:
        return {path.name: json.loads(path.read_text())["metrics"] for path in (out / "cells").glob("*.json")}

    secret = tmp_path / "round.secret"
    secret.write_text("0123456789abcdef" * 2)
    swept(ready(guesses, tmp_path / "beside", secret=secret), Workers(2))
    swept(ready(guesses, tmp_path / "serial", secret=secret), Workers(1))
    assert figures(tmp_path / "beside") == figures(tmp_path / "serial") != {}


def test_it_is_compared_and_its_ranks_agree(guesses, tmp_path):
    out = tmp_path / "results"
    swept(ready(guesses, out, pipelines=["near", "strict"], seeds=6))
    found, left_out = conditions(out, TRACKS)
    report = comparison_report(found, left_out, Asked())
    assert [table["pipeline"] for table in report["tables"]] == ["near", "strict"]
    overall = {row["strategy"]: row for row in report["tables"][0]["differences"] if row["pair"] == OVER_PAIRS}
    assert (overall["good"]["finding"], overall["bad"]["finding"]) == ("better", "worse")
    assert "hint 0" in markdown(report, TRACKS)
    show_comparison(Console(quiet=True), report, TRACKS)
    assert agreement_report(gather(out, TRACKS), 1)["mean_tau"]["value"] == 1


def test_a_run_of_one_submission_has_a_table_of_its_own(guesses, tmp_path):
    experiment = ready(guesses[:1], tmp_path / "results")
    store = Store(experiment.settings.out)
    summaries = []
    run(experiment, store, "good", lambda o: summaries.append(summarise(experiment, stored_cells(experiment, store, o), o.seconds)))
    assert summaries[0]["verdict"] == "OK"
    assert summaries[0]["fit_to_submit"]
    console = Console(width=100)
    with console.capture() as shown:
        show_result(console, summaries[0], GUESS)
    assert "guess-3" in shown.get()


def test_a_fault_of_the_judge_is_a_broken_cell_of_the_same_type(guesses, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("the judge is ill")

    monkeypatch.setattr(type(GUESS), "judge", fails)
    experiment = ready(guesses[:1], tmp_path / "results")
    from evaluator.runner.cells import run_cells

    store = Store(tmp_path / "results")
    done = list(run_cells(GUESS, experiment.cells, experiment.inputs, store, store.new_run("x")))
    assert {str(cell.result.verdict) for cell in done} == {"INFRASTRUCTURE"}
    stored = GUESS.result(store.read_cell(done[0].spec.digest()))
    assert stored == done[0].result
    assert stored.spec.profile == Named("any")
