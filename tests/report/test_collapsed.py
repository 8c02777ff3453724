"""A cell whose model learnt nothing is marked wherever its score stands, and no mean hides it."""

import csv
import io
import json
from dataclasses import replace

import fabricated
import numpy as np
import pytest
from rich.console import Console
from specs import PAIRS, result, spec
from stored_run import Page

from evaluator.cli.main import main as cli
from evaluator.cli.tracks import TRACKS
from evaluator.history.checksum import sealed
from evaluator.history.comparable import Gathered
from evaluator.history.groups import conditions
from evaluator.history.store import Store
from evaluator.purchase.heat import Axes, heat_map
from evaluator.purchase.heat_tables import heat_blocks, heat_notes
from evaluator.purchase.metrics import METRICS, collapsed
from evaluator.purchase.remarks import remarks
from evaluator.purchase.track import PURCHASE
from evaluator.records import Epoch
from evaluator.report.agreement import agreement_report, show_agreement
from evaluator.report.collapsed import summary_note
from evaluator.report.comparison.asked import Asked
from evaluator.report.comparison.figures import comparison_report
from evaluator.report.comparison.markdown import markdown
from evaluator.report.format import brief, figure, signed
from evaluator.report.html.comparison import comparison_html
from evaluator.report.html.run import run_report
from evaluator.report.sweep import show_sweep_result
from evaluator.report.terminal import show_result
from evaluator.runner.cells import Finished
from evaluator.scoring.collapse import over_seeds
from evaluator.scoring.metrics import best_constant, score
from evaluator.scoring.scores import OVER_PAIRS
from evaluator.sections import Value
from evaluator.seeds import generator
from evaluator.specs import digest_of
from evaluator.sweep.forecast import Forecast
from evaluator.sweep.summary import summarise
from evaluator.sweep.table import summarise_sweep
from evaluator.tables import Run
from evaluator.track import Judged, row_of
from evaluator.training.recipes import FOLDER

FALLEN, HEALTHY = 0.02, 0.5
"""Scores below and above the best constant answer of fabricated cells, 0.1."""


# -- which cells


@pytest.mark.parametrize(
    ("metrics", "found"),
    [
        ({"macro_f1": 0.0, "best_constant_macro_f1": 0.1}, True),
        ({"macro_f1": 0.1, "best_constant_macro_f1": 0.1}, True),
        ({"macro_f1": 0.101, "best_constant_macro_f1": 0.1}, False),
        ({"macro_f1": 0.0}, True),  # of a file without that figure: it recognised nothing
        ({"macro_f1": 0.01}, False),
        ({"accuracy": 0.0}, False),
    ],
)
def test_a_score_at_or_below_the_best_constant_answer_is_a_collapse(metrics, found):
    assert collapsed(metrics) is found


def test_whatever_constant_a_model_predicts_it_has_collapsed_and_one_right_image_more_is_none():
    rng = generator(0, "truth")
    truth = (rng.random((50, 3)) < 0.2).astype(np.uint8)
    classes = ("a", "b", "c")
    for constant in np.ndindex(2, 2, 2):
        predicted = np.broadcast_to(np.array(constant, np.uint8), truth.shape)
        found = score(truth, predicted, classes).macro_f1
        assert collapsed({"macro_f1": found, "best_constant_macro_f1": best_constant(truth)})
    better = np.ones_like(truth)
    better[np.flatnonzero(truth[:, 0] == 0)[0], 0] = 0
    assert not collapsed({"macro_f1": score(truth, better, classes).macro_f1, "best_constant_macro_f1": best_constant(truth)})


# -- how a mean is written


def test_a_mean_over_two_kinds_of_models_says_so_and_has_no_interval():
    found = over_seeds([(0.0, True)] * 3 + [(0.5, False)] * 7)
    assert (found["n"], found["collapsed"], found["without"]) == (10, 3, 0.5)
    assert figure(found) == "0.350! (3 of 10 collapsed; 0.500 without)"
    assert brief(found) == "0.350!"
    assert signed(found) == "+0.350! (3 of 10 with a collapse; +0.500 without)"
    assert Value.of(found) == Value(0.35), "and no line in a chart"


def test_one_seed_and_all_seeds_that_collapsed_have_no_mean_of_others():
    assert figure(over_seeds([(0.05, True)])) == "0.050! (collapsed)"
    assert figure(over_seeds([(0.05, True), (0.07, True)])) == "0.060! (all 2 collapsed)"


def test_a_mean_without_collapses_is_written_as_ever():
    found = over_seeds([(0.4, False), (0.6, False)])
    assert (found["collapsed"], found["without"]) == (0, None)
    assert figure(found).startswith("0.500 [")
    assert "!" not in brief(found) + signed(found)
    assert over_seeds([]) is None


# -- the run of one submission, and a sweep


def finished(experiment, fallen=(0,)):
    """Every cell, fabricated; the seeds of ``fallen`` collapsed at the first pair."""
    first = experiment.cells[0].task
    return [
        Finished(s, fabricated.scored(s, "0" * 64, FALLEN if s.seed in fallen and s.task == first else HEALTHY), False, False)
        for s in experiment.cells
    ]


def shown(show, *args) -> str:
    console = Console(width=200, file=io.StringIO())
    show(console, *args)
    return console.file.getvalue()


def test_the_table_of_a_run_marks_pair_and_mean_and_counts_cells(ready):
    experiment = ready(pairs=("621:17", "1321:34"), seeds=3)
    summary = summarise(experiment, finished(experiment), 1.0)
    assert summary["collapsed"] == 1
    assert [cell["collapsed"] for cell in summary["cells"]].count(True) == 1
    said = shown(show_result, summary, PURCHASE)
    lines = {line.split()[0]: line for line in reversed(said.split("\n")) if line.strip()}
    assert "0.340! (1 of 3 collapsed; 0.500 without)" in lines["621:17"]
    assert " 0.500 " in lines["1321:34"]
    assert "[" not in lines["1321:34"], "equal scores have no interval"
    assert "0.420! (1 of 3 collapsed; 0.500 without)" in lines["mean"]
    assert "!: 1 of 6 scored cells collapsed: the score is no better than that of the best constant answer" in said
    assert "1 cell collapsed" in said.strip().split("\n")[-1]


def test_a_run_without_collapses_says_nothing_of_them(ready):
    experiment = ready(pairs=("621:17",), seeds=2)
    said = shown(show_result, summarise(experiment, finished(experiment, ()), 1.0), PURCHASE)
    assert "collapsed" not in said
    assert " 0.500 " in said


def test_a_summary_of_an_older_kit_counts_them_by_its_metrics(ready):
    experiment = ready(pairs=("621:17",), seeds=2)
    summary = summarise(experiment, finished(experiment), 1.0)
    for cell in summary["cells"]:
        del cell["collapsed"]
    (note,) = summary_note(summary["cells"], PURCHASE)
    assert note.startswith("!: 1 of 2 scored cells collapsed")


def test_the_table_of_a_panel_marks_the_pipeline(ready, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text((FOLDER / "milliseconds.toml").read_text().replace('"milliseconds"', '"other"'))
    experiment = ready(pairs=("621:17",), seeds=2, pipelines=("milliseconds", str(other)))
    cells = [
        replace(f, result=fabricated.scored(f.spec, "0" * 64, FALLEN if f.spec.pipeline.name == "milliseconds" else HEALTHY))
        for f in finished(experiment, ())
    ]
    said = shown(show_result, summarise(experiment, cells, 1.0), PURCHASE)
    (row,) = [line for line in said.split("\n") if line.startswith("milliseconds") and "!" in line]
    assert "0.020!" in row
    assert "all 2 collapsed" in row


def test_the_table_of_a_sweep_marks_pair_and_mean_and_the_json_says_which(ready):
    experiment = ready(pairs=("621:17", "1321:34"), seeds=4)
    cells = finished(experiment, (1, 2))
    rows = {f.spec.digest(): row_of(PURCHASE, json.loads(json.dumps(f.result.as_dict()))) for f in cells}
    nothing = Forecast.__new__(Forecast)
    object.__setattr__(nothing, "finished", 0)
    summary = json.loads(json.dumps(summarise_sweep(experiment, rows, {}, nothing, 1.0)))
    (row,) = summary["rows"]
    assert (row["collapsed"], row["score"]["macro_f1"]["collapsed"]) == (2, 2)
    assert {(c["pair"], c["seed"]) for c in summary["cells"] if c["collapsed"]} == {("621:17", 1), ("621:17", 2)}
    said = shown(show_sweep_result, summary, PURCHASE)
    assert "0.260!" in said
    assert "0.380! (2 of 4 collapsed; 0.500 without)" in said
    assert "2 of 8 scored cells collapsed" in said
    assert said.strip().split("\n")[-1].startswith("2 cells collapsed")


def test_a_heat_map_marks_its_places():
    runs = [
        Run("a", "100:10", seed, "OK", FALLEN if seed else HEALTHY, {"bought": 5, "seconds": 1.0}, bool(seed)) for seed in (0, 1)
    ]
    heat = heat_map(runs, Axes((100,), (10.0,)), ["a"], scale=(1.0, 60.0), metric="macro_f1", seeds=2)
    (block,) = heat_blocks(heat)
    assert block.rows[0][1] == "0.260!; labels 5%; time 0%; 1 of 2 collapsed; 0.500 without"
    assert "!: 1 cell collapsed" in heat_notes(heat)[0]


# -- comparisons of what is stored


@pytest.fixture
def results(tmp_path):
    """Ten seeds of four strategies at one pair: the ceiling collapsed on three of them, ``fragile`` on two, others on none."""
    root = tmp_path / "results"
    Store(root)
    plan = {"random": (0.4, ()), "fragile": (0.5, (4, 5)), "steady": (0.5, ()), "full_pool": (0.6, (0, 1, 7))}
    for name, (height, fallen) in plan.items():
        for seed in range(10):
            value = 0.0 if seed in fallen else height + 0.01 * generator(0, name, seed).normal()
            whole = {"bought": 40, "data": replace(fabricated_data(), counts={"unlabelled": 40})} if name == "full_pool" else {}
            content = json.loads(json.dumps(result(spec(name, PAIRS[0], seed), value, **whole).as_dict()))
            content["cell"] = digest_of(content["spec"])
            (root / "cells" / f"{content['cell']}.json").write_text(sealed(content))
    return root


def fabricated_data():
    from evaluator.records import DataRow

    return DataRow(counts={})


def test_a_comparison_marks_means_differences_findings_and_shares(results):
    found, left_out = conditions(results, TRACKS)
    report = comparison_report(found, left_out, Asked())
    (table,) = report["tables"]
    assert {row["name"]: row["collapsed"] for row in table["strategies"]} == {
        "fragile": 2,
        "full_pool": 3,
        "random": 0,
        "steady": 0,
    }
    means = {row["strategy"]: row["interval"] for row in table["means"] if row["pair"] == PAIRS[0].name}
    assert (means["full_pool"]["collapsed"], means["fragile"]["collapsed"], means["steady"]["collapsed"]) == (3, 2, 0)
    assert means["full_pool"]["without"] == pytest.approx(0.6, abs=0.02)
    differences = {row["strategy"]: row["difference"] for row in table["differences"]}
    assert (differences["fragile"]["collapsed"], differences["steady"]["collapsed"]) == (2, 0)
    assert all(row["collapsed"] >= 3 for row in table["shares"]), "every share rests on the ceiling"
    text = markdown(report, TRACKS)
    (line,) = [line for line in text.split("\n") if line.startswith("| full")]
    assert "(3 of 10 collapsed; 0.6" in line
    (line,) = [line for line in text.split("\n") if line.startswith("| fragile") and "with a collapse" in line]
    assert "within noise" in line
    assert "!" in line.split("|")[6]
    (line,) = [line for line in text.split("\n") if line.startswith("| steady") and "better" in line]
    assert "!" not in line.split("|")[6]
    assert "5 of 40 scored cells collapsed" in text
    assert "collapsed cells: fragile 2, full_pool 3" in text.replace("\\", "")
    page = Page(comparison_html(report, found, TRACKS, "results", []))
    assert "(3 of 10 collapsed" in page.said
    assert "within noise (2 of 10 seeds with a collapse)" in page.said


def test_over_pairs_a_seed_counts_where_one_of_its_cells_collapsed(results):
    for name, height in (("random", 0.4), ("steady", 0.5)):
        for seed in range(10):
            value = 0.0 if (name, seed) == ("steady", 9) else height
            content = json.loads(json.dumps(result(spec(name, PAIRS[1], seed), value).as_dict()))
            content["cell"] = digest_of(content["spec"])
            (results / "cells" / f"{content['cell']}.json").write_text(sealed(content))
    found, left_out = conditions(results, TRACKS)
    (table,) = comparison_report(found, left_out, Asked())["tables"]
    at = {(row["strategy"], row["pair"]): row["interval"] for row in table["means"]}
    assert OVER_PAIRS not in {pair for _, pair in at} or at["steady", OVER_PAIRS]["collapsed"] == 1
    assert at["steady", PAIRS[0].name]["collapsed"] == 0
    assert at["steady", PAIRS[1].name]["collapsed"] == 1


def test_stored_results_are_listed_shown_and_exported_with_their_collapses(results, tmp_path, capsys):
    assert cli(["results", "list", "--out", str(results)]) == 0
    said = capsys.readouterr().out
    assert "collapsed" in said
    (line,) = [line for line in said.split("\n") if line.startswith("full_pool")]
    assert line.split().count("3") == 1
    file = tmp_path / "cells.csv"
    assert cli(["results", "export", str(file), "--out", str(results)]) == 0
    capsys.readouterr()
    with open(file, newline="") as opened:
        table = list(csv.DictReader(opened))
    assert {(row["submission"], row["seed"]) for row in table if row["collapsed"] == "True"} == {
        *(("full_pool", seed) for seed in "017"),
        *(("fragile", seed) for seed in "45"),
    }
    fallen = next(row["cell"] for row in table if row["collapsed"] == "True")
    assert cli(["results", "show", fallen, "--out", str(results)]) == 0
    assert "the score is no better than that of the best constant answer" in " ".join(capsys.readouterr().out.split())


def test_the_agreement_of_a_panel_marks_means_that_hold_a_collapse():
    scores = generator(0, "panel").random((2, 4, 3))
    fell = np.zeros(scores.shape, bool)
    fell[1, 2, :2] = True
    rules = {"profile": {"name": "tiny"}, "versions": {}, "root_seed": 1, "secret": "", "track": "purchase"}
    gathered = Gathered(("whole", "frozen"), ("a", "b", "c", "d"), ("621:17",), (0, 1, 2), "macro_f1", scores, fell, rules, ())
    report = agreement_report(gathered, 1)
    assert [row["collapsed"] for row in report["pipelines"]] == [[0, 0, 0, 0], [0, 0, 2, 0]]
    said = shown(show_agreement, report, METRICS[0])
    assert said.count(f"{scores[1, 2].mean():.3f}!") == 1
    assert "frozen 2 of 12" in said


def test_the_page_of_a_run_marks_them(ready, tmp_path):
    experiment = ready(pairs=("621:17",), seeds=2)
    store = Store(experiment.settings.out)
    cells = [Finished(f.spec, store.write_cell(Judged(f.result)), cached=False, reused=False) for f in finished(experiment)]
    folder = store.new_run("mine")
    store.write_run(folder, summarise(experiment, cells, 1.0))
    page = Page(run_report(folder, TRACKS, pictures=False, places=tmp_path))
    assert "0.260! (1 of 2 collapsed; 0.500 without)" in page.said
    assert "1 of 2 scored cells collapsed" in page.said


# -- what a training says


def trained(losses) -> dict:
    cell = fabricated.scored(spec(), "0" * 64, HEALTHY)
    history = [Epoch(epoch=n + 1, loss=loss, learning_rate=1e-3, gradient_norm=1.0) for n, loss in enumerate(losses)]
    return json.loads(json.dumps(replace(cell, training=replace(cell.training, history=history)).as_dict()))


def test_a_loss_that_ends_above_its_beginning_is_a_remark():
    found = [remark for remark in remarks(trained([0.53, 0.484, 0.588, 0.576])) if "diverged" in remark.what]
    assert [remark.detail for remark in found] == ["loss 0.530 in epoch 1, 0.484 at best, 0.576 at the end"]


@pytest.mark.parametrize("losses", [[], [0.6], [0.5, 0.52, 0.3]])
def test_a_loss_that_falls_or_has_one_epoch_is_none(losses):
    assert not [remark for remark in remarks(trained(losses)) if "diverged" in remark.what]
