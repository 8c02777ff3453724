"""The track in the house: sessions of hostile and sound submissions, a whole run, stored cells, the open division."""

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import local_evaluation
from evaluator.cleaning.embedded import Embedded
from evaluator.cleaning.session import SessionSpec, run_session
from evaluator.cleaning.track import CLEANING, RankingAnswer
from evaluator.cli import main as verbs
from evaluator.errors import Verdict
from evaluator.purchase.track import PURCHASE
from evaluator.sandbox.process import ProcessSandbox

ROOT = Path(__file__).resolve().parents[2]
TASK = "digits-4v9-uniform-0.2"
SUBMISSION = """
from evaluator.strategies.valuation.neighbours import knn_shapley
from run import CleaningRun

class Mine(CleaningRun):
    def rank(self, training_set, validation_set, time_available, register_progress, seed):
        register_progress(0.5)
        print(len(training_set), training_set[-1]["idx"], training_set.classes, seed)
        return knn_shapley(training_set.rows, training_set.labels, validation_set.rows, validation_set.labels).argsort()
"""


def written(tmp_path, body: str):
    path = tmp_path / "mine" / "run.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(body))
    return path.parent


@pytest.fixture
def session(tmp_path):
    task = Embedded.parse(TASK).drawn(1, 0, 40, 20, 30)

    def run(body: str, seconds: float = 20.0):
        spec = SessionSpec(written(tmp_path, body), task, seconds=seconds, load_seconds=40.0, seed=3)
        return run_session(spec, ProcessSandbox()), task

    return run


def test_a_ranking_comes_back_and_no_true_label_goes_out(session):
    found, _ = session(SUBMISSION)
    assert found.verdict is Verdict.OK, found.reason
    assert sorted(found.ranking.tolist()) == list(range(40))
    assert found.class_name == "Mine"
    assert "40 39 2 3" in found.log


WRONG = [
    ("return list(range(39))", "rank returned 39 rows; expected a permutation of all 40"),
    ("return [0] * 40", "the row 0 40 times, and the row 1 not at all"),
    ("return None", "rank returned nothing"),
    ("return [0.5] * 40", "cannot be read"),
    ("return list(range(1, 41))", "cannot be read (the index 40 is out of range"),
    ("return 'abc'", "cannot be read"),
    ("yield 1", "generator"),
]


@pytest.mark.parametrize(("line", "said"), WRONG)
def test_what_is_no_permutation_is_invalid_output(line, said, session):
    found, _ = session(f"class Mine:\n    def rank(self, training_set):\n        {line}\n")
    assert found.verdict is Verdict.INVALID_OUTPUT
    assert said in found.reason
    assert found.ranking is None


def test_an_array_that_is_changed_in_place_is_the_submissions_own(session):
    found, task = session(
        """
        import torch

        class Mine:
            def rank(self, training_set):
                torch.from_numpy(training_set.labels)[:] = 7
                return range(len(training_set))
        """
    )
    assert found.verdict is Verdict.OK, found.reason
    assert task.train.labels.max() == 1


def test_a_run_from_the_front_door_to_the_comparison(tmp_path, capsys):
    out = tmp_path / "results"
    options = ["--track", "cleaning", "--profile", "debug", "--out", str(out), "--sandbox", "process", "--public-seeds"]
    path = written(tmp_path, SUBMISSION)
    assert local_evaluation.main([*options, "--submission", str(path), "--seeds", "2", "--pipelines", "coarse"]) == 0
    (file,) = out.glob("*-mine/result.json")
    summary = json.loads(file.read_text())
    assert summary["verdict"] == "OK"
    assert {"fraction_fixed", "area", "discovery", "found_early"} <= set(summary["cells"][0]["metrics"])
    assert (file.parent / "curves.csv").read_text().startswith("task,seed,action,checks,accuracy\n")
    cells = [json.loads(cell.read_text()) for cell in (out / "cells").glob("*.json")]
    assert {cell["spec"]["seed"] for cell in cells} == {0, 1}
    schema = Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / "cleaning_cell.json").read_text()))
    for cell in cells:
        assert [error.message for error in schema.iter_errors(cell)] == []
        assert set(cell) <= set(schema.schema["properties"])
        assert CLEANING.fault(cell) == ""
        again = CLEANING.result(cell)
        assert again.curve[0].checks == 0
        assert len(again.hits) == len(set(again.hits)) > 0
        assert cell["metrics"]["fraction_fixed"] <= 1
    # The same again is read, not run.
    capsys.readouterr()
    assert local_evaluation.main([*options, "--submission", str(path), "--seeds", "2", "--pipelines", "coarse"]) == 0
    assert verbs.main(["results", "list", "--out", str(out)]) == 0
    assert verbs.main(["results", "show", cells[0]["cell"][:12], "--out", str(out)]) == 0
    assert "fraction fixed" in capsys.readouterr().out
    page = (file.parent / "report.html").read_text()
    assert "Wrong labels found" in page


def answer(content, verdict="OK"):
    return RankingAnswer(digest="0" * 32, spec={}, content=content, verdict=verdict)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"ranking": [1, 0]}, ""),
        ({"ranking": [0, 0]}, "the row 0 2 times"),
        ({"ranking": [0, 2]}, "the row 2, which there is not"),
        ({"ranking": [0, True]}, "no ranking"),
        ({"ranking": []}, "no ranking"),
        ({"ranking": [0, 10**30]}, "no ranking"),
        ({"ranking": None}, "no ranking"),
        ([], "no ranking"),
        ({"ranking": [0, 0], "as_original": True}, ""),
    ],
)
def test_a_stored_ranking_is_held_against_the_rules(content, said):
    found = answer(content).fault(None)
    assert said in found if said else found == ""


def test_the_four_steps_in_one_command(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pip install -r requirements-cleaning.txt")
    folder = tmp_path / "cleaning"
    common = ["--folder", str(folder), "--tasks", TASK]
    small = ["--methods", "random", "knn_shapley_1", "--seeds", "2", "--recipe", "coarse", "--processes", "1"]
    assert verbs.main(["cleaning", "run", *common, *small]) == 0
    (folder / "submissions" / f"{TASK}_bad.txt").write_text("0\n0\n")
    assert verbs.main(["cleaning", "evaluate", *common, "--scoring", "dataperf", "--processes", "1"]) == 0
    said = capsys.readouterr()
    assert "knn_shapley_1" in said.out
    content = json.loads((folder / "results" / f"{TASK}_evaluation.json").read_text())
    assert set(content) == {"before_acc", "submitted_evaluations", "auc_score"}
    assert set(content["auc_score"]) == {"random", "knn_shapley_1", "bad"}
    assert content["auc_score"]["bad"]["fraction_fixes"] == 0.0, "the hole of the original"
    assert len(content["submitted_evaluations"]) == 3 * 120
    assert verbs.main(["cleaning", "evaluate", *common, "--seeds", "1", "--recipe", "coarse", "--processes", "1"]) == 1
    said = capsys.readouterr()
    assert "row 0 stands in line 1 already" in said.err
    assert "knn_shapley_1" in said.out
    pictures = sorted(path.name for path in (folder / "results").glob("*.png"))
    assert pictures == [f"{TASK}_coarse.png", "score_and_time_coarse.png"]
    assert verbs.main(["cleaning", "plot", "--folder", str(folder)]) == 0
    assert (folder / "results" / f"{TASK}_dataperf.png").is_file()


def test_a_task_repeats_by_its_seed_and_has_the_share_of_mistakes_that_it_names():
    for name in ("digits-uniform-0.3", "digits-pairs-0.2", "digits-instances-0.2", "digits-3v8-instances-0.2"):
        parsed = Embedded.parse(name)
        first, again, other = (parsed.drawn(5, seed, 300, 100, 500) for seed in (0, 0, 1))
        assert first.digest() == again.digest() != other.digest()
        shares = [parsed.drawn(5, seed, 300, 10, 10).wrong.mean() for seed in range(30)]
        assert np.mean(shares) == pytest.approx(parsed.rate, abs=0.02)


@pytest.mark.parametrize(
    "name", ["digits", "digits-uniform-0.95", "digits-4v4-uniform-0.2", "digits-4v9-pairs-0.6", "letters-uniform-0.1"]
)
def test_a_name_of_no_task_is_refused(name):
    from evaluator.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="task"):
        Embedded.parse(name)


def test_validate_runs_it_on_a_few_rows(tmp_path):
    good = CLEANING.trial(written(tmp_path, SUBMISSION), ProcessSandbox())
    assert not good.found
    assert "40 rows to rank; labels of 0 and 1: rank OK" in good.said
    assert "several labels a row: rank OK" in good.said
    bad = CLEANING.trial(written(tmp_path, "class Mine:\n    def rank(self):\n        return [1]\n"), ProcessSandbox())
    (finding,) = bad.found
    assert (finding.kind, finding.place) == ("error", "rank")
    assert "INVALID_OUTPUT" in finding.text


def test_debug_shows_what_it_did_and_what_a_run_would_refuse(tmp_path, capfd):
    options = ["--track", "cleaning", "--profile", "debug", "--out", str(tmp_path / "out"), "--public-seeds", "--debug"]
    assert local_evaluation.main([*options, "--submission", str(written(tmp_path, SUBMISSION))]) == 0
    said = capfd.readouterr().out
    assert "a permutation of 60 rows" in said
    assert "This is not a score" in said
    body = "class Mine:\n    def rank(self, training_set):\n        raise KeyError('mine')\n"
    assert local_evaluation.main([*options, "--submission", str(written(tmp_path, body))]) == 1
    assert "KeyError" in capfd.readouterr().out


@pytest.mark.parametrize(("name", "at_once"), [("cleaning", (3, (), 1)), ("purchase", (3, ("0", "1"), 2))])
def test_only_trainings_on_a_device_share_a_process(monkeypatch, tmp_path, name, at_once):
    """Cells of this track are fitted on the CPU, also where there is a device: threads of one process would gain nothing."""
    import torch

    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.settings import read_settings
    from evaluator.training import device

    track = {"cleaning": CLEANING, "purchase": PURCHASE}[name]
    chosen = {"cleaning": {"tasks": [TASK]}, "purchase": {}}[name]
    monkeypatch.setattr(device, "resolve", lambda wanted: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    given = {"submissions": [written(tmp_path, SUBMISSION)], "out": tmp_path / "results", "workers": 3, "sandbox": "process"}
    settings, _ = read_settings(given | chosen | {"profile": "debug"}, track)
    found = prepare(track, settings, folder=tmp_path / "data", trains=False, sandbox=ProcessSandbox())
    assert (found.workers, found.devices, found.together) == at_once
