"""The front door: options in, table and files out, and every mistake named before any work is done."""

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import slot_works
from conftest import SUBMISSIONS, TINY

import evaluator.purchase.track
import evaluator.sweep.run
import local_evaluation
from evaluator.history.predictions import NPY_HEADER
from evaluator.purchase import profiles
from evaluator.purchase.rounds import Pair
from evaluator.purchase.track import PurchaseTrack
from evaluator.runner.cells import log_name
from evaluator.runner.workers import Workers
from evaluator.training.recipes import PIPELINES

ROOT = Path(__file__).resolve().parents[2]
RANDOM = SUBMISSIONS / "random_buyer.py"


class Lent(Workers):
    """Workers that outlive the run that they are lent to, since starting a process takes seconds."""

    def close(self) -> None:
        """Leave the processes to their owner."""


@pytest.fixture(scope="module")
def lent():
    """A process that trains, for all tests of this file, each cell as if it were its first."""
    workers = Lent(1, work=slot_works.anew)
    yield workers
    Workers.close(workers)


@pytest.fixture
def evaluate(monkeypatch, tmp_path, data_folder, capsys, lent):
    """Run the front door on the tiny data set: (exit status, what it printed, what it said on stderr)."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    monkeypatch.setattr(local_evaluation, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(evaluator.sweep.run, "places", lambda experiment: lent)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*options: object, submission: Path | None = RANDOM, data: Path | None = data_folder, profile: str = "tiny"):
        given = ["--profile", profile, "--device", "cpu", "--sandbox", "process"]
        given += ["--submission", str(submission)] if submission else []
        given += ["--data", str(data)] if data else []
        try:
            status = local_evaluation.main([*given, *map(str, options)])
        except SystemExit as refusal:  # argparse
            status = refusal.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    run.results = tmp_path / "results"
    return run


@pytest.fixture
def ran(monkeypatch):
    """The cells that were run, not taken from the store: those given to a worker, and those judged in this process."""
    cells = []
    judge, train = PurchaseTrack.judge, Workers.train

    def here(self, spec, *arguments, **options):
        cells.append((spec.task, spec.seed))
        return judge(self, spec, *arguments, **options)

    def there(self, tasks, started):
        def spy(task):
            started(task)
            cells.append((task.spec.task, task.spec.seed))

        return train(self, tasks, spy)

    monkeypatch.setattr(PurchaseTrack, "judge", here)
    monkeypatch.setattr(Workers, "train", there)
    return cells


@pytest.fixture
def bought(monkeypatch):
    """The submissions that were run: pair and seed."""
    made = []
    buy = evaluator.purchase.track.buy

    def spy(spec, *arguments):
        made.append((spec.task, spec.seed))
        return buy(spec, *arguments)

    monkeypatch.setattr(evaluator.purchase.track, "buy", spy)
    return made


def summary_of(out: str) -> dict:
    return json.loads(out)


def last_run(root: Path) -> Path:
    return max((p for p in root.iterdir() if (p / "result.json").exists()), key=lambda p: (p.stat().st_mtime_ns, p.name))


# -- what a run gives


def test_a_run_prints_a_table_and_keeps_every_figure(evaluate):
    status, out, _ = evaluate()
    assert status == 0
    for part in (
        "621:17",
        "1321:34",
        "OK",
        "macro F1",
        "accuracy",
        "Hamming loss",
        "mean",
        "12 of 12",
        "validation",
        "milliseconds",
    ):
        assert part in out
    assert "isolation" in out
    assert "621:17 = 12 labels" in out
    run = last_run(evaluate.results)
    summary = json.loads((run / "result.json").read_text())
    assert summary["verdict"] == "OK"
    assert summary["fit_to_submit"] is True
    assert [row["pair"] for row in summary["pairs"]] == ["621:17", "1321:34"]
    f1 = [cell["metrics"]["macro_f1"] for cell in summary["cells"]]
    assert summary["score"]["macro_f1"]["mean"] == pytest.approx(sum(f1) / 2)
    assert f"{sum(f1) / 2:.3f}" in out
    assert len(list((evaluate.results / "cells").glob("*.json"))) == 2
    assert sorted(p.name for p in (run / "logs").iterdir()) == ["1321x34-seed0.log", "621x17-seed0.log"]


def test_every_purchase_is_listed_with_file_time_and_label(evaluate, sets):
    evaluate("--pair", "621:17", "--seeds", 2)
    with open(last_run(evaluate.results) / "purchases.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert [row["seed"] for row in rows] == ["0"] * 12 + ["1"] * 12
    assert [int(row["order"]) for row in rows] == [*range(12)] * 2
    split = sets.splits["unlabelled"]
    for row in rows:
        label = split.labels[split.files.index(row["file"])]
        assert [int(row[name]) for name in split.classes] == label.tolist()
        assert 0 <= float(row["seconds"]) < 51


def test_json_is_all_that_is_printed_then(evaluate):
    status, out, _ = evaluate("--json", "--pair", "621:17")
    summary = summary_of(out)
    assert status == 0
    assert summary["pairs"][0]["budget"] == 12
    assert summary == json.loads((last_run(evaluate.results) / "result.json").read_text())


def test_pairs_are_given_in_the_rounds_units(evaluate, ran):
    status, out, _ = evaluate("--json", "--pair", "621:17", "--pair", "100:2.5")
    summary = summary_of(out)
    assert status == 0
    assert ran == [("621:17", 0), ("100:2.5", 0)]
    assert [(row["budget"], row["seconds_allowed"]) for row in summary["pairs"]] == [(12, 51), (2, 7.5)]


def test_a_warning_names_the_option_that_was_given(evaluate):
    _, out, err = evaluate("--json", "--pair", "5000:17")
    assert "--pair 5000:17: lies outside of what" in " ".join(err.split())
    assert "--pair 5000:17: lies outside of what" in " ".join(summary_of(out)["warnings"])
    assert "--pairs" not in err


def test_public_pairs_are_the_rounds_whatever_the_profile_runs_by_itself(evaluate, ran):
    status, _, _ = evaluate("--json", "--pairs", "public")
    assert status == 0
    # The longest trainings come first.
    assert ran == [(pair.name, 0) for pair in sorted(TINY.round.pairs, key=lambda pair: -pair.labels)]
    assert len(ran) > len(TINY.pairs)
    status, _, err = evaluate("--pairs", "public", "--pair", "621:17")
    assert status == 2
    assert "--pairs" in err


def test_the_form_of_the_labels_that_were_read_is_said_and_kept(evaluate):
    _, out, _ = evaluate("--pair", "621:17")
    assert "columns: " in out
    cell = json.loads(next((evaluate.results / "cells").glob("*.json")).read_text())
    assert set(cell["data"]["notes"]) == set(cell["data"]["counts"])
    assert all(note.startswith("columns: ") for note in cell["data"]["notes"].values())


def test_seeds_give_intervals_and_the_table_says_so(evaluate, ran):
    status, out, _ = evaluate("--pair", "621:17", "--seeds", 3)
    assert status == 0
    assert ran == [("621:17", seed) for seed in range(3)]
    assert "95 % t-interval over seeds" in out
    assert "[" in out
    _, out, _ = evaluate("--pair", "621:17", "--json", "--seeds", 3)
    score = summary_of(out)["score"]["macro_f1"]
    assert score["low"] < score["mean"] < score["high"]
    assert score["n"] == 3


def test_the_log_of_a_cell_is_kept(evaluate, strategy):
    evaluate("--pair", "621:17", submission=strategy("def pre_training_phase(self):\n    print('hello log')"))
    assert "hello log" in (last_run(evaluate.results) / "logs" / "621x17-seed0.log").read_text()


# -- the store


def test_finished_cells_are_not_run_again_unless_asked_to(evaluate, ran):
    first = summary_of(evaluate("--json", "--pair", "621:17")[1])
    status, out, _ = evaluate("--json")
    second = summary_of(out)
    assert status == 0
    assert ran == [("621:17", 0), ("1321:34", 0)]
    assert [cell["cached"] for cell in second["cells"]] == [True, False]
    assert second["cells"][0]["metrics"] == first["cells"][0]["metrics"]
    assert "1 of 1 cell was finished before" in evaluate("--pair", "621:17")[1]
    ran.clear()
    assert [cell["cached"] for cell in summary_of(evaluate("--json", "--fresh")[1])["cells"]] == [False, False]
    assert len(ran) == 2


def test_a_changed_submission_is_another_cell(evaluate, ran, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(RANDOM, mine / "run.py")
    for _ in range(2):
        evaluate("--pair", "621:17", submission=mine)
    assert len(ran) == 1
    (mine / "run.py").write_text((mine / "run.py").read_text() + "\n# changed\n")
    evaluate("--pair", "621:17", submission=mine)
    assert len(ran) == 2


def test_a_damaged_cell_is_run_again(evaluate, ran):
    evaluate("--pair", "621:17")
    (cell,) = (evaluate.results / "cells").glob("*.json")
    whole = cell.read_text()
    for damage in (whole[: len(whole) // 2], json.dumps({"cell": cell.stem, "verdict": "OK"})):
        cell.write_text(damage)
        status, _, err = evaluate("--pair", "621:17")
        assert status == 0
        assert "moved" in err
        assert json.loads(cell.read_text())["metrics"] == json.loads(whole)["metrics"]
    assert len(ran) == 3


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_cell_whose_predictions_are_gone_is_run_again_and_what_was_bought_stays(evaluate, ran, bought, damage):
    evaluate("--pair", "621:17")
    (kept,) = (evaluate.results / "cells").glob("*.npy")
    whole = kept.read_bytes()
    assert len(whole) == NPY_HEADER + 2 * 80 * 6
    kept.write_bytes(whole[:-2])
    if damage == "missing":
        kept.unlink()
    status, _, err = evaluate("--pair", "621:17")
    assert status == 0
    assert f"{kept} is missing or was cut short" in err
    assert kept.read_bytes() == whole
    assert len(ran) == 2
    assert len(bought) == 1
    assert "cut short" not in evaluate("--pair", "621:17")[2]
    assert len(ran) == 2


def test_a_cell_that_failed_is_tried_again(evaluate, ran, tmp_path, submission):
    path = submission(f"""
        import os
        from run import ZEWDPCBaseRun
        class Mine(ZEWDPCBaseRun):
            def purchase_phase(self):
                assert os.path.exists({str(tmp_path / "mended")!r}), "not yet"
    """)
    assert evaluate("--pair", "621:17", submission=path)[0] == 1
    (tmp_path / "mended").touch()
    assert evaluate("--pair", "621:17", submission=path)[0] == 0
    assert len(ran) == 2


# -- failures


def test_a_failed_pair_never_erases_the_others(evaluate, strategy):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset, budget):
            unlabelled_dataset.purchase_labels(range(budget))
            if budget > 20:
                os._exit(0)
    """)
    status, out, _ = evaluate("--json", submission=path)
    summary = summary_of(out)
    assert status == 1
    assert summary["verdict"] == "FAILED"
    assert summary["score"] is None
    assert summary["fit_to_submit"] is False
    good, bad = summary["pairs"]
    assert good["verdicts"] == ["OK"]
    assert good["metrics"]["macro_f1"]["mean"] > 0
    assert (bad["verdicts"], bad["metrics"]) == (["RUNTIME_ERROR"], None)
    status, out, _ = evaluate(submission=path)
    assert status == 1
    assert "no score" in out
    assert "during purchase_phase" in out
    assert f"{good['metrics']['macro_f1']['mean']:.3f}" in out


@pytest.mark.parametrize("half", ["session", "training"])
@pytest.mark.endurance
def test_a_fault_of_our_own_is_one_failed_cell_and_no_more(evaluate, monkeypatch, half):
    if half == "session":
        buy = evaluator.purchase.track.buy

        def faulty(spec, *arguments):
            if spec.pair == Pair(621, 17):
                raise ZeroDivisionError("a fault of ours")
            return buy(spec, *arguments)

        monkeypatch.setattr(evaluator.purchase.track, "buy", faulty)
    else:
        monkeypatch.setattr(evaluator.sweep.run, "places", lambda experiment: Workers(1, work=slot_works.faulty_first))
    status, out, _ = evaluate("--json")
    summary = summary_of(out)
    assert status == 1
    assert [row["verdicts"] for row in summary["pairs"]] == [["INFRASTRUCTURE"], ["OK"]]
    failed = next(cell for cell in summary["cells"] if cell["pair"] == "621:17")
    assert "a fault of ours" in failed["reason"]
    assert evaluate()[0] == 1  # the table can show it


def test_an_interrupted_run_keeps_what_is_finished(evaluate, monkeypatch, ran, bought):
    train = Workers.train

    def interrupted(self, tasks, started):
        def key(task):
            if task.spec.pair != Pair(1321, 34):
                raise KeyboardInterrupt
            started(task)

        return train(self, tasks, key)

    with monkeypatch.context() as patch:
        patch.setattr(Workers, "train", interrupted)
        status, out, err = evaluate()
    assert status == 130
    assert "interrupted" in err
    summary = json.loads((last_run(evaluate.results) / "result.json").read_text())
    assert (summary["verdict"], summary["score"], len(summary["cells"])) == ("INCOMPLETE", None, 1)
    assert not summary["fit_to_submit"]
    words = " ".join(out.split())
    assert (
        "verdict INCOMPLETE, not known yet whether it is fit to submit: 1 cell has not run yet; the same command continues" in words
    )
    page = (last_run(evaluate.results) / "report.html").read_text()
    assert "It is not known yet whether it is fit to submit: 1 cell has not run yet; the same command continues." in page
    assert evaluate()[0] == 0
    assert bought == [("621:17", 0), ("1321:34", 0)]
    assert ran == [("1321:34", 0), ("621:17", 0)]


def test_a_run_that_is_interrupted_in_a_session_keeps_what_was_bought_before(evaluate, monkeypatch, ran, bought):
    spied = evaluator.purchase.track.buy

    def interrupted(spec, *arguments):
        if spec.pair != Pair(621, 17):
            raise KeyboardInterrupt
        return spied(spec, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(evaluator.purchase.track, "buy", interrupted)
        status, _, err = evaluate()
    assert status == 130
    assert "interrupted" in err
    summary = json.loads((last_run(evaluate.results) / "result.json").read_text())
    assert (summary["verdict"], summary["score"]) == ("INCOMPLETE", None)
    assert evaluate()[0] == 0
    assert bought == [("621:17", 0), ("1321:34", 0)]
    assert ran == [("1321:34", 0), ("621:17", 0)]


LATE = "def purchase_phase(self, unlabelled_dataset):\n    unlabelled_dataset.purchase_labels([1, 2])\n    time.sleep(600)\n"


@pytest.mark.parametrize("choice", ["fail", "keep"])
def test_a_time_limit_fails_the_run_unless_it_is_to_be_kept(evaluate, strategy, monkeypatch, choice):
    monkeypatch.setitem(profiles.PROFILES, "tiny", replace(TINY, seconds_per_minute=0.05, pairs=TINY.pairs[:1]))
    path = strategy(LATE)
    status, out, _ = evaluate("--on-timeout", choice, submission=path)
    assert "TIME_LIMIT" in out
    run = json.loads((last_run(evaluate.results) / "result.json").read_text())
    assert run["fit_to_submit"] is False
    if choice == "fail":
        assert status == 1
        assert run["score"] is None
    else:
        assert status == 1, "scored, and not fit to submit"
        assert run["score"]["macro_f1"]["mean"] >= 0
        assert run["kept_time_limits"] == 1
        assert "scored with the 2 labels bought before the limit" in " ".join(out.split())
        assert "--on-timeout keep" in out


def test_what_is_not_fit_to_submit_is_said(evaluate, strategy):
    status, out, _ = evaluate("--pair", "621:17", submission=strategy("def prediction_phase(self):\n    return None"))
    assert status == 1
    assert "scored, but not fit to submit: INVALID_OUTPUT (621:17 seed 0)" in out
    assert "verdict OK, not fit to submit" in out
    assert "prediction_phase returned nothing (None)" in out


def test_the_traceback_of_a_failed_prediction_is_shown_once_and_logged(evaluate, strategy):
    path = strategy("def prediction_phase(self):\n    print('before')\n    return nothing_of_the_kind")
    _, out, _ = evaluate(submission=path)
    assert out.count("return nothing_of_the_kind") == 1, "two cells, one fault"
    said = " ".join(out.split())
    assert said.count("not fit to submit: RUNTIME_ERROR (2 pairs x 1 seed): NameError in prediction_phase") == 1
    assert f'File "{path}/run.py"' in out
    assert "evaluator/worker/service.py" not in out, "frames of the kit stay behind --full-traceback"
    assert "the last lines that it printed: | before" in said
    assert "621x17-seed0.log" in out.split("the last lines")[1]
    (fault,) = json.loads((last_run(evaluate.results) / "result.json").read_text())["faults"]
    assert (fault["verdict"], fault["scored"], fault["count"]) == ("RUNTIME_ERROR", True, 2)
    first = min(p for p in evaluate.results.iterdir() if (p / "result.json").exists())
    log = (first / "logs" / "621x17-seed0.log").read_text()
    assert log.startswith("before\nTraceback")
    assert "run.py" in log
    assert "return nothing_of_the_kind" in log


def test_the_traceback_of_a_failure_is_in_the_log(evaluate, strategy):
    evaluate("--pair", "621:17", submission=strategy("def purchase_phase(self):\n    raise ValueError('mine')"))
    assert "raise ValueError('mine')" in (last_run(evaluate.results) / "logs" / "621x17-seed0.log").read_text()


def test_below_no_score_stands_no_sentence_about_the_mean(evaluate, strategy):
    _, out, _ = evaluate("--seeds", 2, submission=strategy("def purchase_phase(self):\n    raise ValueError('mine')"))
    assert "no score" in out
    assert "mean over" not in out
    assert "brackets" not in out
    assert "mean over 1 pair and 1 seed" in evaluate("--pair", "621:17")[1]


def test_a_verdict_is_never_cut_short(evaluate, strategy, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    path = strategy("def purchase_phase(self, seed):\n    assert seed % 2\n")
    _, out, _ = evaluate("--seeds", 4, submission=path)
    assert "RUNTIME_ERROR" in out.split("mean")[0]


def test_every_cell_that_ends_is_a_line_where_there_is_no_terminal(evaluate):
    _, out, _ = evaluate("--seeds", 2, "--pair", "621:17")
    lines = out.split("\n")
    assert "621:17 seed 0: purchase_phase" in lines
    assert "621:17 seed 1: training" in lines
    (first,) = (line for line in lines if line.startswith("[1/2] "))
    assert re.fullmatch(
        r"\[1/2\] 621:17 seed 0 OK 12 of 12, [0-9.]+ of 51 s, macro F1 [01]\.[0-9]{3}, about [0-9]+ (s|min) left", first
    )
    assert any(line.startswith("[2/2] 621:17 seed 1 OK") and "left" not in line for line in lines)
    assert any(line.startswith("logs: ") and line.endswith("/logs") for line in lines)


def test_what_has_no_effect_is_said(evaluate):
    _, _, err = evaluate("--pair", "1:17", "--starting-weights", "imagenet")
    assert "--pair 1:17: the profile tiny scales the label budget to 0, so nothing can be bought" in err
    assert "--starting-weights imagenet has no effect on the pipeline milliseconds, which starts from random weights" in err
    _, _, err = evaluate("--pair", "621:17", "--starting-weights", "none")
    assert "no effect" not in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pipeline", ""), "pipeline '' is not known"),
        (("--pair", "-5:17"), "the pair -5:17 is not possible"),
        (("--pair", "621:0"), "the pair 621:0 is not possible"),
    ],
)
def test_an_empty_or_negative_value_reaches_its_own_message(evaluate, options, said):
    status, _, err = evaluate(*options)
    assert status == 2
    assert said in err


def test_a_disagreement_with_the_ledger_is_said(evaluate, strategy):
    path = strategy("def purchase_phase(self, unlabelled_dataset):\n    unlabelled_dataset.purchase_label(1)\n    return [2]")
    out = " ".join(evaluate("--pair", "621:17", submission=path)[1].split())
    assert "warning: submission1: what was returned is not what was bought" in out
    assert "training uses the ledger" in out
    assert "warning: submission1: a part of the budget was not spent (621:17 seed 0: 1 of 12 labels)" in out
    assert out.index("warning: submission1") < out.index("mean over 1 pair"), "warnings come before notes"


def test_a_participants_markup_is_shown_as_it_is(evaluate, strategy):
    path = strategy("def purchase_phase(self):\n    raise ValueError('[bold]x[/red] [link=http://x]y\\x1b[2J')")
    status, out, _ = evaluate("--pair", "621:17", submission=path)
    assert status == 1
    assert "[bold]x[/red] [link=http://x]y" in out
    assert "\x1b[2J" not in out


# -- other options


def test_restarted_workers_and_weights_reach_the_submission(evaluate, strategy, tmp_path):
    (tmp_path / "weights").mkdir()
    path = strategy("""
        def purchase_phase(self):
            print(self.x, os.environ["TORCH_HOME"])
        def pre_training_phase(self):
            self.x = "remembered"
        def save_checkpoint(self, path):
            open(path + "/x", "w").write(self.x)
        def load_checkpoint(self, path):
            self.x = "restored " + open(path + "/x").read()
    """)
    options = ("--pair", "621:17", "--restart-workers", "--weights-dir", tmp_path / "weights")
    assert evaluate(*options, submission=path)[0] == 0
    log = (last_run(evaluate.results) / "logs" / "621x17-seed0.log").read_text()
    assert f"restored remembered {tmp_path / 'weights'}" in log


def test_labels_of_lower_quality_are_announced(evaluate):
    status, out, _ = evaluate("--pair", "621:17", "--label-quality", "0.9")
    assert status == 0
    assert "10.0% of the label entries that the market sells are wrong" in out


# -- mistakes

MISTAKES = {
    "profile": ({"profile": "tinny"}, (), "there is no profile 'tinny'; did you mean 'tiny'?"),
    "profile unlike any": ({"profile": "zzz"}, (), "'zzz'; choose one of quick"),
    "round": ({}, ("--round", "rund2"), "--round: there is no round 'rund2'; did you mean 'round2'?"),
    "pipeline": ({}, ("--pipeline", "fast"), "'fast' is not known; choose one of "),
    "pair": ({}, ("--pair", "621x17"), "'621x17' was not understood; write LABELS:MINUTES"),
    "pair twice": ({}, ("--pair", "621:17", "--pair", "621:17.0"), "--pair: a pair is given more than once: 621:17, 621:17"),
    "pair without time": ({}, ("--pair", "621:0"), "more than 0 minutes"),
    "seeds": ({}, ("--seeds", "0"), "--seeds is 0"),
    "threads": ({}, ("--threads", "0"), "--threads is 0"),
    "root seed": ({}, ("--root-seed", "-1"), "-1"),
    "label quality": ({}, ("--label-quality", "1.5"), "1.5"),
    "submission": ({"submission": Path("/nowhere/mine")}, (), "/nowhere/mine"),
    "submission's type": ({"submission": ROOT / "pyproject.toml"}, (), "no Python file"),
    "data": ({"data": Path("/nowhere/data")}, (), "/nowhere/data does not exist"),
    "weights": ({}, ("--weights-dir", "/nowhere/weights"), "/nowhere/weights is not a folder"),
    "output": ({}, ("--out", "/proc/nothing"), "/proc/nothing cannot be written"),
    "output that is a link to nothing": ({}, ("--out", "{dangling}"), "is a link to /nowhere/results, which does not exist"),
    "device": ({}, ("--device", "abacus"), "abacus"),
    "device's number": ({}, ("--device", "cpu:7"), "one CPU for torch; write cpu"),
    "a device file": ({"submission": Path("/dev/null")}, (), "/dev/null: it is a device; give a .py file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_a_way_out_and_nothing_is_run(evaluate, ran, tmp_path, name):
    settings, options, said = MISTAKES[name]
    (tmp_path / "dangling").symlink_to("/nowhere/results")
    options = [option.format(dangling=tmp_path / "dangling") for option in options]
    status, out, err = evaluate(*options, **settings)
    assert status == 2
    assert said in err
    assert "Traceback" not in err
    assert out.strip() == ""
    assert ran == []
    assert not evaluate.results.exists() or list(evaluate.results.glob("*/result.json")) == []


@pytest.mark.parametrize(
    "options", [("--seeds", "many"), ("--on-timeout", "maybe"), ("--score-split", "training"), ("--nonsense",)], ids=" ".join
)
def test_an_option_that_the_parser_refuses_exits_alike(evaluate, options):
    status, _, err = evaluate(*options)
    assert status == 2
    assert options[-1] in err


@pytest.mark.parametrize("option", ["--submission", "--out", "--data", "--weights-dir"])
def test_an_empty_path_is_not_the_working_folder(evaluate, ran, option):
    status, _, err = evaluate(option, "")
    assert status == 2
    assert f"{option}: the path is empty" in err
    assert ran == []


def test_a_missing_split_is_named(evaluate, data_folder, tmp_path):
    shutil.copytree(data_folder, tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "validation")
    status, _, err = evaluate(data=tmp_path / "part")
    assert status == 2
    assert "validation" in err


def test_a_profile_whose_data_cannot_be_made_says_where_it_comes_from(evaluate):
    status, _, err = evaluate(data=None)
    assert status == 2
    assert "data import" in err
    assert "data make" in err


def test_weights_that_cannot_be_had_are_said_before_anything_is_bought(evaluate, ran, monkeypatch, tmp_path):
    monkeypatch.setitem(profiles.PROFILES, "tiny", replace(TINY, image_size=32))
    pipeline = replace(PIPELINES["debug"], weights=str(tmp_path / "mine.safetensors"))
    monkeypatch.setitem(PIPELINES, "debug", pipeline)
    status, _, err = evaluate("--pipeline", "debug", "--pair", "621:17")
    assert status == 2
    assert "mine.safetensors does not exist" in err
    assert ran == []


def test_help_is_short_and_grouped():
    done = subprocess.run([sys.executable, "local_evaluation.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for option in ("--submission", "--profile", "--pair", "--seeds", "--data", "--out", "--json", "--on-timeout", "--weights-dir"):
        assert option in done.stdout
    assert "files and output" in done.stdout
    assert len(done.stdout.splitlines()) < 60
    assert done.stderr == ""


def test_the_front_door_exits_with_its_status():
    done = subprocess.run(
        [sys.executable, "local_evaluation.py", "--profile", "none"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --profile: there is no profile 'none'")


def test_logs_are_named_after_their_cells(cell_spec):
    names = {log_name(cell_spec(RANDOM, seed=s, pair=p)) for s in (0, 1) for p in (Pair(621, 17), Pair(621, 1.7))}
    assert len(names) == 4
    assert not any("/" in name or ":" in name for name in names)
