"""The open division: what lies in a folder of submissions, as cells; one method is one competitor over tasks and seeds."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from evaluator.cleaning.cells import EDITS
from evaluator.cleaning.offline import Folders, create_baselines, write_tasks
from evaluator.cleaning.open_division import Asked, method_digests, opened
from evaluator.cleaning.rankings import listed
from evaluator.cleaning.report import sections
from evaluator.cleaning.rules import DIGITS
from evaluator.cleaning.sets import CleaningSets
from evaluator.cleaning.track import CLEANING
from evaluator.cli import main as verbs
from evaluator.errors import ConfigurationError
from evaluator.history.groups import Wanted, conditions
from evaluator.history.reading import read_cells
from evaluator.report.html.run import run_report
from evaluator.track import Tracks

TWO, TEN = "digits-4v9-uniform-0.2", "digits-pairs-0.2"
SIZES = (24, 12, 20)
TRACKS = Tracks({CLEANING.name: CLEANING})


@pytest.fixture
def folders(tmp_path):
    made = Folders.below(tmp_path / "cleaning")
    tasks_written(made, TWO, TEN)
    made.submissions.mkdir()
    for task in (TWO, TEN):
        hand_in(made, task, "forward", range(24))
        hand_in(made, task, "backward", range(23, -1, -1))
    return made


def tasks_written(folders, *names):
    train, validation, test = SIZES
    write_tasks(CleaningSets(replace(DIGITS, train=train, validation=validation, test=test), 7), names, folders)


def hand_in(folders, task, method, rows):
    (folders.submissions / f"{task}_{method}.txt").write_text("".join(f"{row}\n" for row in rows))


def edits(folders, task, method, lines):
    text = "id,action,label,split\n" + "".join(f"{task}-{row:06d},{rest}\n" for row, rest in lines)
    (folders.submissions / f"{task}_{method}.csv").write_text(text)


def strict(**given):
    return Asked.of("strict", 3, **given)


def evaluate(folders, *options):
    return verbs.main(["cleaning", "evaluate", "--folder", str(folders.results.parent), "--processes", "1", *options])


def test_all_files_of_a_method_are_one_competitor_whatever_tasks_are_asked_for(folders):
    whole, part = opened(folders, strict()), opened(folders, strict(tasks=[TEN]))
    of = {source.name: source.digest for source in whole.sources}
    assert set(of) == {"forward", "backward"}
    assert len(set(of.values())) == 2
    assert of == {source.name: source.digest for source in part.sources}
    assert {(cell.submission, cell.submission_digest) for cell in whole.plan.cells} == set(of.items())
    assert {cell.seed for cell in whole.plan.cells} == set(range(5))
    hand_in(folders, TWO, "forward", [1, 0, *range(2, 24)])
    again = {source.name: source.digest for source in opened(folders, strict()).sources}
    assert again["forward"] != of["forward"]
    assert again["backward"] == of["backward"]


def test_a_time_does_not_make_another_competitor(folders):
    before = method_digests(listed(folders.submissions, [TWO, TEN]))
    (folders.submissions / f"time_{TWO}_forward.txt").write_text("3\n")
    assert method_digests(listed(folders.submissions, [TWO, TEN])) == before


def test_what_is_bad_or_missing_never_sinks_the_others(folders):
    hand_in(folders, TWO, "bad", [0, 0])
    hand_in(folders, TEN, "bad", range(24))
    (folders.submissions / f"{TEN}_forward.txt").unlink()
    (folders.submissions / "digits-pairs-0.3_lost.txt").write_text("0\n")
    tasks_written(folders, "digits-uniform-0.3", "digits-3v8-pairs-0.1")
    (folders.groundtruth / "dataset_digits-3v8-pairs-0.1_train.csv").unlink()
    found = opened(folders, strict(seeds=1))
    why = [refused.why for refused in found.refused]
    assert len(why) == 4
    assert sum("dataset_digits-3v8-pairs-0.1_train.csv: the file is missing" in line for line in why) == 1
    assert sum("it holds no file digits-uniform-0.3_METHOD.txt" in line for line in why) == 1
    assert sum("_bad.txt, line 2: row 0 stands in line 1 already" in line for line in why) == 1
    assert sum("Did you mean digits-pairs-0.2_lost.txt?" in line for line in why) == 1
    assert found.missing == (f"{TEN}: no file of forward; a method that lacks a task has no mean",)
    assert {(cell.data_id, cell.submission) for cell in found.plan.cells} == {
        (task, method) for task in (TWO, TEN) for method in ("bad", "forward", "backward")
    }, "a missing ranking is a cell that fails, and no task that is left out of a mean"


def test_two_tables_of_one_task_are_no_fault_of_the_others(folders):
    shutil.copy(folders.embeddings / f"{TEN}_train_0.2_24.npz", folders.embeddings / f"{TEN}_train_0.2_25.npz")
    found = opened(folders, strict(seeds=1))
    assert [task.name for task in found.plan.tasks] == [TWO]
    assert "expected one table" in found.refused[0].why


@pytest.mark.parametrize("other", [f"{TEN}_train_0.3_99.npz", f"{TEN}_val_9.npz", f"{TEN}_train_0.2_24.parquet"])
def test_a_task_is_not_written_beside_other_tables_of_its_name(other, folders):
    (folders.embeddings / other).touch()
    tasks_written(folders, TWO)
    with pytest.raises(ConfigurationError, match=f"{other}: another table of the task {TEN}; expected none beside the new ones"):
        tasks_written(folders, TEN)


def test_a_pipe_is_not_waited_for(folders):
    os.mkfifo(folders.submissions / f"{TWO}_pipe.txt")
    assert "is not a regular file" in opened(folders, strict(seeds=1)).track.faults[TWO, "pipe", False]


@pytest.mark.parametrize("text", ["", "soon", "nan", "-1"])
def test_a_time_that_is_none_is_said(text, folders):
    (folders.submissions / f"time_{TWO}_forward.txt").write_text(text)
    (folders.submissions / f"time_{TWO}_backward.txt").write_text("0.5")
    (said,) = opened(folders, strict(seeds=1)).missing
    assert said.endswith("forward.txt: it does not begin with a number of seconds, 0 or more; the time of forward is not shown")


def test_the_originals_scoring_advises_no_seeds_which_it_refuses(folders, capsys):
    assert evaluate(folders, "--scoring", "dataperf", "--tasks", TWO) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the original has one start of the model" in said
    assert "--seeds" not in said


@pytest.mark.parametrize("step", ["download", "create-baselines", "evaluate"])
def test_a_folder_that_cannot_be_written_is_named(step, folders, tmp_path, capsys):
    (tmp_path / "file").touch()
    place = {"download": "embeddings", "create-baselines": "submissions", "evaluate": "results"}[step]
    words = ["cleaning", step, "--folder", str(folders.results.parent), f"--{place}", str(tmp_path / "file" / "x")]
    assert verbs.main(words) == 2
    said = capsys.readouterr().err
    assert "file/x: it cannot be read or written (Not a directory); expected a place to write to" in said


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_seconds_that_are_none_are_refused(seconds, folders, capsys):
    words = ["cleaning", "create-baselines", "--folder", str(folders.results.parent), "--methods", "random"]
    assert verbs.main([*words, f"--seconds={seconds}"]) == 2
    assert f"--seconds is {seconds}; expected a number above 0" in capsys.readouterr().err


def test_a_plot_of_nothing_says_what_to_run(folders, capsys):
    pytest.importorskip("matplotlib")
    assert verbs.main(["cleaning", "plot", "--folder", str(folders.results.parent)]) == 2
    assert "it holds no scored ranking; run `cleaning evaluate` first" in capsys.readouterr().err


def test_a_profile_with_tasks_of_its_own_takes_no_data(folders, tmp_path, capsys):
    words = ["cleaning", "download", "--folder", str(tmp_path / "new"), "--data", str(folders.results.parent)]
    assert verbs.main(words) == 2
    assert "--data: the profile 'digits' has tasks of its own" in capsys.readouterr().err


def test_dataperf_names_the_task_that_is_not_binary_and_goes_on(folders):
    found = opened(folders, Asked.of("dataperf", 0))
    assert [task.name for task in found.plan.tasks] == [TWO]
    assert [refused.why for refused in found.refused] == [
        f"{TEN}: its labels are multiclass; --scoring dataperf takes binary labels. Use --scoring strict for it"
    ]
    with pytest.raises(ConfigurationError, match=r"nothing can be judged:\ndigits-pairs-0.2: its labels are multiclass"):
        opened(folders, Asked.of("dataperf", 0, tasks=[TEN]))
    with pytest.raises(ConfigurationError, match=r"there is no task 'digits-pairs-0.3'; did you mean 'digits-pairs-0.2'"):
        opened(folders, strict(tasks=["digits-pairs-0.3"]))


def test_a_table_counts_as_a_ranking_by_its_order_in_dataperf(folders):
    edits(folders, TWO, "mine", [(5, "drop,,"), (2, "relabel,0,train")])
    edits(folders, TWO, "forward", [(0, "drop,,")])
    found = opened(folders, Asked.of("dataperf", 0, tasks=[TWO]))
    assert found.track.rankings[TWO, "mine"] == (5, 2)
    assert found.track.rankings[TWO, "forward"] == tuple(range(24))
    assert "a ranking of the same method is there" in found.refused[0].why
    kinds = {(cell.submission, cell.action) for cell in opened(folders, strict(tasks=[TWO])).plan.cells}
    assert kinds == {("mine", EDITS), ("forward", EDITS), ("forward", "fix"), ("backward", "fix")}


OPTIONS = [
    ("dataperf", {"seeds": 3}, "--seeds: --scoring dataperf has one start of the model"),
    ("dataperf", {"recipes": ["coarse"]}, "--pipelines: --scoring dataperf has one recipe"),
    ("dataperf", {"actions": ["fix"]}, "--action: --scoring dataperf has an expert who corrects labels"),
    ("strict", {"exact": True}, "--exact: it belongs to --scoring dataperf. Leave it out, or name --pipelines exact"),
    ("strict", {"seeds": 0}, "--seeds is 0"),
    ("strict", {"recipes": ["corse"]}, "did you mean 'coarse'"),
    ("strict", {"recipes": ["coarse", "coarse"]}, "name each once"),
]


@pytest.mark.parametrize(("scoring", "given", "said"), OPTIONS)
def test_an_option_of_the_other_scoring_is_refused(scoring, given, said):
    with pytest.raises(ConfigurationError) as caught:
        Asked.of(scoring, 0, **given)
    assert said in str(caught.value)


def test_a_method_that_fails_does_not_stop_the_other_baselines(folders, monkeypatch):
    from evaluator.cleaning import offline

    def broken(*given):
        raise ZeroDivisionError("no rows of class 3")

    monkeypatch.setattr(offline, "METHODS", {"broken": broken, "random": offline.METHODS["random"]})
    (folders.groundtruth / f"dataset_{TEN}_train.csv").unlink()
    written, failed = create_baselines(folders, [], [], 3, 1.0)
    assert written == 1
    assert next(refused.why.split(": ", 1)[-1] for refused in failed) == "broken failed: ZeroDivisionError: no rows of class 3"
    assert "the file is missing" in failed[1].why
    with pytest.raises(ConfigurationError, match="there is no task"):
        create_baselines(folders, ["digits"], [], 3, 1.0)


def test_an_evaluation_from_the_command_line_to_comparison_report_and_pictures(folders, capsys):
    """Two conditions of rankings, tables of edits, a bad file: each is named, and none is mixed with another."""
    hand_in(folders, TWO, "bad", [0, 0])
    edits(folders, TWO, "mine", [(5, "drop,,"), (2, "relabel,0,train")])
    options = ["--seeds", "2", "--recipe", "coarse", "--action", "fix", "remove"]
    assert evaluate(folders, *options) == 1
    said = capsys.readouterr()
    for title in ("wrong labels are corrected", "rows with a wrong label are removed", "edited as the table says"):
        assert f"{TWO}: {title}" in said.out
    assert "line 2: row 0 stands in line 1 already" in said.err
    assert f"{TEN}: no file of bad" in said.err
    cells = [cell for _, cell, _ in read_cells(folders.results, TRACKS)]
    assert len(cells) == 2 * (2 * 2 * 3 + 2 * 1), "seeds x (tasks x actions x methods, and both tasks of a table)"
    assert all(CLEANING.fault(cell) == "" for cell in cells)
    assert {cell["verdict"] for cell in cells if cell["spec"]["submission"] == "bad"} == {"INVALID_OUTPUT"}
    # One competitor over tasks and seeds, in a table for each action.
    found, left_out = conditions(folders.results, TRACKS, Wanted())
    assert not left_out
    assert {condition.rules["action"]: condition.strategies for condition in found} == {
        "fix": ("backward", "bad", "forward"),
        "remove": ("backward", "bad", "forward"),
        EDITS: ("mine",),
    }
    for condition in found[:1]:
        assert condition.tasks == (TWO, TEN)
        assert condition.seeds == (0, 1)
    assert verbs.main(["compare", str(folders.results), "--reference", "forward"]) == 0
    said = capsys.readouterr().out
    assert "pipeline coarse, rows with a wrong label are removed" in said
    assert "share fixed turned round, because in comparisons higher" in " ".join(said.split())
    assert "image" not in said
    assert " pair" not in said.replace("paired", "")
    assert verbs.main(["results", "list", "--out", str(folders.results)]) == 0
    assert "removed" in " ".join(capsys.readouterr().out.split())
    # The report is made of stored files alone, with the command that the cells are made by.
    (run,) = folders.results.glob("*-cleaning")
    page = run_report(run, TRACKS, pictures=False)
    assert f"Cleaning {TWO}: rows with a wrong label are removed" in page
    assert "cleaning evaluate" in page
    assert "sweep --submissions" not in page
    # The same again computes nothing.
    assert evaluate(folders, *options) == 1
    latest = max(folders.results.glob("*-cleaning*/sweep.json"), key=lambda path: path.stat().st_mtime_ns)
    assert all(cell["cached"] for cell in json.loads(latest.read_text())["cells"] if cell["score"] is not None)


def test_pictures_hold_one_action_and_one_recipe_each(folders):
    pytest.importorskip("matplotlib", reason="pip install -r requirements-cleaning.txt")
    common = ["--seeds", "1", "--tasks", TWO]
    edits(folders, TWO, "mine", [(5, "drop,,")])
    assert evaluate(folders, *common, "--pipelines", "coarse", "--action", "remove") == 0
    assert evaluate(folders, "--tasks", TWO, "--scoring", "dataperf") == 0
    folder = ["--folder", str(folders.results.parent)]
    assert verbs.main(["cleaning", "plot", *folder, "--tasks", TWO]) == 0
    pictures = {path.name for path in folders.results.glob("*.png")}
    assert pictures == {f"{TWO}_coarse_remove.png", f"{TWO}_coarse_edits.png", f"{TWO}_dataperf.png"}
    assert verbs.main(["cleaning", "plot", *folder, "--tasks", TEN]) == 2


def test_a_target_that_is_reached_before_any_check_is_told_once_for_the_task():
    from evaluator.cleaning.track import CLEANING

    cell = {
        "spec": {"pipeline": {"name": "linear"}},
        "metrics": {"fraction_fixed": 0.0},
        "target": 0.8,
        "reached": True,
    }
    (remark,) = CLEANING.remarks(cell)
    assert remark.of_task
    assert list(CLEANING.remarks(cell | {"spec": {"pipeline": {"name": "dataperf"}}})) == []


def test_one_ranking_read_by_two_rules_is_two_answers(folders):
    asked = [opened(folders, Asked.of("dataperf", 0, tasks=[TWO])), opened(folders, strict(tasks=[TWO], seeds=1))]
    digests = {cell.answer_digest() for found in asked for cell in found.plan.cells}
    assert len(digests) == 4, "two methods, by two rules"
    fixes = opened(folders, strict(tasks=[TWO], seeds=1, actions=["fix", "remove"]))
    assert len({cell.answer_digest() for cell in fixes.plan.cells}) == 2, "what the expert does is no part of the answer"
    assert np.all([cell.tier == "file" for cell in fixes.plan.cells])


def test_many_curves_are_thinned_and_the_same_submissions_are_drawn_for_every_task():
    from evaluator.cleaning.report import FEW_POINTS, MOST, sections

    def cell(task, score):
        spec = {"task": task, "action": "fix", "pipeline": {"name": "linear"}}
        curve = [{"checks": n, "accuracy": 0.5 + n / 1_000} for n in range(101)]
        return {"spec": spec, "curve": curve, "hits": [1, 2], "wrong": 4, "rows": 100, "target": 0.55, "metrics": score}

    cells = {f"m{n}": [cell(task, {"fraction_fixed": n / 20}) for task in ("a", "b", "a")] for n in range(12)}
    for found in sections(cells):
        accuracy, share = found.parts
        assert [curve.name for curve in accuracy.curves] == [*(f"m{n}" for n in range(MOST - 1)), "m11"]
        assert all(len(curve.points) == FEW_POINTS for curve in accuracy.curves)
        assert all(value.low is None for _, value in accuracy.curves[0].points)
        assert share.curves[0].points[-1][1].mean == 0.5, "two of four wrong labels were found"
    few = next(iter(sections({name: cells[name] for name in ("m0", "m1")})))
    assert few.parts[0].curves[0].points[3][1].low is not None


def test_a_warning_about_a_task_is_one_line_for_all_methods():
    from types import SimpleNamespace

    from evaluator.sweep.faults import Remarks

    plan = SimpleNamespace(pipelines=["linear"])
    found = Remarks(SimpleNamespace(track=CLEANING, label=lambda spec: spec.submission, plan=plan))
    for method, score in (("a", 0.0), ("b", 0.0), ("c", 1.0)):
        cell = {"spec": {"pipeline": {"name": "linear"}}, "metrics": {"fraction_fixed": score}, "target": 0.8, "reached": score < 1}
        spec = SimpleNamespace(submission=method, task="t", seed=0, pipeline=SimpleNamespace(name="linear"))
        found.add(SimpleNamespace(spec=spec, result=SimpleNamespace(as_dict=lambda cell=cell: cell)))
    early, never = found.said()
    assert early.startswith("t: the target is reached before a label is checked (2 of 3 cells, first t seed 0: ")
    assert never.startswith("c: the target is never reached (t seed 0: ")


def test_a_chart_that_leaves_submissions_out_says_so():
    spec = {"task": TWO, "action": "fix", "pipeline": {"name": "linear"}}
    curve = [{"checks": 0, "accuracy": 0.5}, {"checks": 9, "accuracy": 1.0}]
    same = {"spec": spec, "curve": curve, "rows": 9, "hits": [1], "target": 0.9}
    cells = {f"method{n}": [same | {"metrics": {"fraction_fixed": n / 10}}] for n in range(10)}
    (section,) = sections(cells)
    chart = section.parts[0]
    assert chart.caption == "one seed of 8 of 10 submissions, the best and the worst; the target is 0.900"
    assert [curve.name for curve in chart.curves] == [*(f"method{n}" for n in range(7)), "method9"]
    (section,) = sections({name: cells[name] for name in list(cells)[:8]})
    assert section.parts[0].caption == "one seed; the target is 0.900"
