"""The sweep: a grid of cells of which only what is missing is run, trainings beside each other, purchases alone."""

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import fabricated
import pytest
import slot_works
import torch
from conftest import SUBMISSIONS, TINY, write_split
from documented import documented, paths
from sweeps import cells, conducted, lasting, run, serial

import evaluator.purchase.track
import evaluator.sweep.run
from evaluator.cli.main import main
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError
from evaluator.history import index
from evaluator.history.index import INDEX, SCHEMA, read_index
from evaluator.history.store import Store
from evaluator.purchase import profiles
from evaluator.purchase.rounds import Pair
from evaluator.purchase.track import PURCHASE
from evaluator.report.format import signed
from evaluator.report.sweep import show_sweep_result
from evaluator.runner.workers import Workers
from evaluator.sweep.forecast import STARTING_SECONDS, Forecast, Measured, forecast
from evaluator.sweep.progress import sweep_rows
from evaluator.sweep.table import summarise_sweep, table
from evaluator.track import Judged, row_of

ROOT = Path(__file__).resolve().parents[2]
RANDOM = SUBMISSIONS / "random_buyer.py"


@pytest.fixture
def bought(monkeypatch):
    """The purchases that were made: pair and seed, with begin and end. They are made without a worker, and buy nothing."""
    made = []

    def buy(spec, inputs, progress):
        began = time.monotonic()
        time.sleep(0.02)
        made.append((spec.pair.name, spec.seed, began, time.monotonic()))
        return fabricated.purchase(spec, labels=0)

    monkeypatch.setattr(evaluator.purchase.track, "buy", buy)
    return made


# -- the runner


@pytest.mark.slow
def test_workers_give_the_serial_results_to_the_bit(ready, tmp_path):
    alone = ready(RANDOM, seeds=2)
    assert [cell.result.verdict for cell in serial(alone, "serial")] == ["OK"] * 4
    beside = ready(RANDOM, seeds=2, out=tmp_path / "beside")
    shutil.copytree(alone.settings.out / "answers", beside.settings.out / "answers")
    _, summary, _ = conducted(beside)
    one, other = cells(alone.settings.out), cells(beside.settings.out)
    assert [cell["cell"] for cell in summary["cells"]] == [spec.digest() for spec in alone.cells]
    assert {cell["fingerprint"] for cell in one.values()} == {cell["fingerprint"] for cell in other.values()}
    assert len({cell["fingerprint"] for cell in one.values()}) == 4
    for digest, cell in one.items():
        assert lasting(other[digest]) == lasting(cell)
        assert other[digest]["answer"]["checksum"] == cell["answer"]["checksum"]


def test_a_lost_device_costs_its_process_and_no_cell(ready, bought, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(slot_works.PLACE, str(tmp_path))
    _, summary, _ = run(ready(seeds=2), slot_works.losing, 1)
    assert [cell["verdict"] for cell in summary["cells"]] == ["OK"] * 4
    assert len(list(tmp_path.glob("*.process"))) == 2, "the one that lost its device, and one for all the rest"
    assert "failed in process 0; it is tried again in a new process" in capsys.readouterr().err


def test_a_device_that_is_lost_twice_is_a_result_and_the_others_go_on(ready, bought, monkeypatch, tmp_path):
    monkeypatch.setenv(slot_works.PLACE, str(tmp_path))
    monkeypatch.setenv(slot_works.FAILING, "2")
    _, summary, _ = run(ready(pairs=("621:17",), seeds=3), slot_works.losing, 1)
    assert [cell["verdict"] for cell in summary["cells"]] == ["INFRASTRUCTURE", "OK", "OK"]
    assert summary["cells"][0]["reason"] == "the training failed: the device cuda:0 failed in process 1"
    assert len(list(tmp_path.glob("*.process"))) == 3


def test_a_device_lost_to_the_evaluator_itself_is_left_to_a_new_process(ready, bought, monkeypatch, capsys):
    """Torch's error is raised in the middle of a training of this process; the trainings of the new one are real."""
    experiment = ready(pairs=("621:17",), seeds=3)
    store, trained = Store(experiment.settings.out), []

    def step(self, *given):
        trained.append(self)
        raise torch.AcceleratorError("CUDA error: device-side assert triggered", -1)

    monkeypatch.setattr("evaluator.training.step.Launched.__call__", step)
    found = serial(experiment, "lost")
    assert [(cell.spec.seed, cell.result.verdict) for cell in found] == [(0, "OK"), (1, "OK"), (2, "OK")]
    assert len(trained) == 1, "this process did not touch the device again"
    assert all(store.read_cell(cell.spec.digest())["scored"] for cell in found)
    assert "failed or vanished after 0 of 10 epochs of the training of pipeline 'milliseconds'" in capsys.readouterr().err
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.endurance
def test_several_splits_are_scored_by_one_training_and_as_if_by_their_own(ready, bought, tmp_path, data_folder):
    data = shutil.copytree(data_folder, tmp_path / "both")
    write_split(data / "test", 30, 99)
    both = ready(pairs=("621:17",), seeds=2, score_split=("validation", "test"), data=data, workers=1)
    expected = forecast(both, both.index())
    assert (expected.trainings, expected.trainings_unknown) == (4, 2)
    conducted(both)
    found = cells(both.settings.out)
    alone = ready(pairs=("621:17",), seeds=2, score_split=("test",), data=data, out=tmp_path / "alone", workers=1)
    shutil.copytree(both.settings.out / "answers", alone.settings.out / "answers")
    conducted(alone)
    for digest, cell in cells(alone.settings.out).items():
        assert lasting(found[digest]) == lasting(cell)
        (twin,) = (c for c in found.values() if c["spec"]["seed"] == cell["spec"]["seed"] and c["cell"] != digest)
        assert twin["training"]["timings"] == found[digest]["training"]["timings"], "one training, of one duration"
        assert twin["training"]["timings"] != cell["training"]["timings"]
        assert (twin["metrics"]["n"], cell["metrics"]["n"]) == (80, 30)


def test_trainings_run_beside_each_other_and_never_beside_a_purchase(ready, bought, monkeypatch, tmp_path):
    monkeypatch.setenv(slot_works.PLACE, str(tmp_path))
    experiment = ready(seeds=2)
    _, summary, _ = run(experiment, slot_works.meeting)
    assert [cell["verdict"] for cell in summary["cells"]] == ["OK"] * 4
    trainings = [tuple(map(float, path.read_text().split())) for path in tmp_path.glob("*.training")]
    assert len(trainings) == len(bought) == 4
    for *_, began, ended in bought:
        assert all(end < began or start > ended for start, end in trainings)
    assert [(pair, seed) for pair, seed, *_ in bought] == [("621:17", 0), ("1321:34", 0), ("621:17", 1), ("1321:34", 1)]
    first = [spec.digest() for spec in experiment.cells if spec.seed == 0]
    until = max(float((tmp_path / f"{digest}.training").read_text().split()[1]) for digest in first)
    assert bought[2][2] > until, "results of a seed are there before the next seed is begun"


def test_a_killed_training_fails_its_cell_alone_and_is_run_again(ready, bought):
    experiment = ready(seeds=3)
    _, summary, _ = run(experiment, slot_works.dying)
    failed = [cell for cell in summary["cells"] if cell["score"] is None]
    assert [(cell["pair"], cell["seed"], cell["verdict"]) for cell in failed] == [("621:17", 0, "INFRASTRUCTURE")]
    assert "SIGKILL" in failed[0]["reason"]
    assert "--workers" in failed[0]["reason"]
    assert len(cells(experiment.settings.out)) == 6
    again = []
    _, summary, _ = run(experiment, finished=again.append)
    assert [(cell.spec.task, cell.spec.seed, cell.reused) for cell in again] == [("621:17", 0, True)]
    assert all(cell["verdict"] == "OK" for cell in summary["cells"])
    assert len(bought) == 6


def test_the_exit_of_a_training_process_is_said(ready, bought):
    _, summary, _ = run(ready(pairs=("621:17",)), slot_works.leaving, 1)
    assert "status 7" in summary["cells"][0]["reason"]


def test_a_fault_in_a_worker_is_a_row_with_its_trace(ready, bought):
    experiment = ready(seeds=2, pairs=("621:17",))
    folder, summary, _ = run(experiment, slot_works.faulty)
    assert [cell["verdict"] for cell in summary["cells"]] == ["INFRASTRUCTURE", "OK"]
    assert "ZeroDivisionError: a fault of ours" in summary["cells"][0]["reason"]
    assert "in faulty" in cells(experiment.settings.out)[experiment.cells[0].digest()]["purchase"]["trace"]
    assert any("ZeroDivisionError" in path.read_text() for path in (folder / "logs").iterdir())


def test_what_no_cell_can_do_without_ends_the_sweep_and_its_processes(ready, bought):
    experiment = ready(seeds=2)
    with pytest.raises(ConfigurationError, match="nothing can be done"):
        run(experiment, slot_works.refusing)
    assert [child for child in multiprocessing.active_children() if child.name == "training"] == []
    (summary,) = experiment.settings.out.glob("*-sweep/sweep.json")
    assert json.loads(summary.read_text())["rows"][0]["scored"] == 0


@pytest.mark.parametrize("place", ["the process", "the pipe", "the second process"])
def test_a_process_that_cannot_be_started_ends_the_sweep_with_the_cause(ready, bought, monkeypatch, place):
    experiment = ready(seeds=2)
    real, started = multiprocessing.process.BaseProcess.start, []

    def refuse(*_):
        started.append(1)
        if place == "the second process" and len(started) == 1:
            return real(*_)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    if place == "the pipe":
        monkeypatch.setattr(multiprocessing.context.BaseContext, "Pipe", refuse)
    else:
        monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
    with pytest.raises(ConfigurationError, match=r"cannot be started \(Resource temporarily unavailable\).*--workers"):
        run(experiment)
    monkeypatch.undo()
    assert [child for child in multiprocessing.active_children() if child.name == "training"] == []


def test_a_signal_without_a_name_is_told_by_its_number(ready, bought):
    """Real-time signals have none."""
    _, summary, _ = run(ready(pairs=("621:17",)), slot_works.signalled, 1)
    assert "was killed by signal 40" in summary["cells"][0]["reason"]


def test_ctrl_c_keeps_what_is_finished_and_the_next_run_does_the_rest(ready, bought):
    experiment = ready(seeds=3)

    def interrupt(cell):
        raise KeyboardInterrupt

    folder, summary, interrupted = run(experiment, count=1, finished=interrupt)
    assert interrupted
    assert [child for child in multiprocessing.active_children() if child.name == "training"] == []
    assert sum(cell["verdict"] is not None for cell in summary["cells"]) == 1
    assert json.loads((folder / "sweep.json").read_text()) == json.loads(json.dumps(summary))
    rest = []
    _, summary, interrupted = run(experiment, finished=rest.append)
    assert not interrupted
    assert len(rest) == 5
    assert sum(cell["cached"] for cell in summary["cells"]) == summary["cached"] == 1
    assert len(bought) == 6, "no purchase is made twice"
    again = []
    run(experiment, finished=again.append)
    assert again == []


def test_cleaning_beside_a_running_sweep_takes_nothing_that_it_needs(ready, bought, tmp_path, capsys):
    """Answers, cells and the folder of the run go only when the sweep has ended."""
    experiment = ready(seeds=2)

    def clean(cell=None) -> None:
        assert main(["results", "clean", "--older-than", "0", "--yes", "--out", str(tmp_path / "results")]) == 0

    folder, summary, _ = run(experiment, finished=clean)
    assert "in use" in capsys.readouterr().err
    assert [row["score"] is not None for row in summary["cells"]] == [True] * len(experiment.cells)
    assert (folder / "sweep.json").exists()
    assert list((folder / "logs").iterdir())
    assert len(cells(tmp_path / "results")) == len(experiment.cells)
    clean()
    assert "in use" not in capsys.readouterr().err
    assert not folder.exists()
    assert cells(tmp_path / "results") == {}


def test_a_killed_sweep_leaves_no_training_behind(tmp_path):
    code = f"""
        import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
        import slot_works
        from evaluator.runner.workers import Judging, Workers
        if __name__ == "__main__":
            workers = Workers(1, work=slot_works.endless)
            list(workers.train([Judging(None, slot_works.Nothing(), None, slot_works.Nothing(), None, False)]))
    """
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(code))
    place = tmp_path / "place"
    place.mkdir()
    process = subprocess.Popen([sys.executable, str(script)], env=os.environ | {slot_works.PLACE: str(place)})
    try:
        wait_for(lambda: list(place.iterdir()))
        (training,) = (int(path.name) for path in place.iterdir())
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not alive(training))


def wait_for(there, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_pipelines_conditions_and_splits_share_purchases_where_they_may(ready, bought, tmp_path):
    pipeline = (ROOT / "evaluator/training/pipelines/milliseconds.toml").read_text().replace('"milliseconds"', '"other"')
    (tmp_path / "other.toml").write_text(pipeline)
    pipelines = ("milliseconds", str(tmp_path / "other.toml"))
    experiment = ready(pairs=("621:17",), pipelines=pipelines, label_quality=(1.0, 0.9))
    folder, summary, _ = run(experiment)
    assert len(summary["cells"]) == 4
    assert len(bought) == 2, "one per label quality"
    assert [(row["pipeline"], row["label_quality"]) for row in summary["rows"]] == [
        ("milliseconds", 1.0),
        ("other", 1.0),
        ("milliseconds", 0.9),
        ("other", 0.9),
    ]
    logs = {path.name for path in (folder / "logs").iterdir()}
    assert logs == {"random_buyer-621x17-seed0-quality1.log", "random_buyer-621x17-seed0-quality0.9.log"}


def test_a_changed_purchase_makes_its_cells_missing_for_planner_and_runner_alike(ready, bought):
    experiment = ready()
    run(experiment)
    store = Store(experiment.settings.out)
    digest = experiment.cells[0].answer_digest()
    store.write_answer(PURCHASE.answer(store.read_answer(digest) | {"seconds": 1.25}))
    expected = forecast(experiment, experiment.index())
    assert (expected.cells, expected.finished, expected.answers) == (2, 1, 0)
    again = []
    run(experiment, finished=again.append)
    assert [cell.spec.digest() for cell in again] == [experiment.cells[0].digest()]
    assert [cell.cached for cell in serial(experiment, "serial")] == [True, True]


# -- what is to be done, and for how long


def test_of_two_sweeps_at_the_same_purchase_the_first_one_stored_counts_for_both(ready, monkeypatch, tmp_path):
    """While one buys, another is quicker, and has trained its cell already."""
    experiment = ready(pairs=("621:17",))
    store, (spec,) = Store(experiment.settings.out), experiment.cells
    quicker = fabricated.purchase(spec)
    slower = replace(quicker, session=replace(quicker.session, seconds=7.0))
    assert slower.checksum != quicker.checksum

    def buy(spec, inputs, progress):
        store.write_answer(quicker)
        store.write_cell(Judged(fabricated.scored(spec, quicker.checksum)))
        return slower

    monkeypatch.setattr(evaluator.purchase.track, "buy", buy)
    run(experiment)
    assert store.read_answer(spec.answer_digest())["seconds"] == quicker.session.seconds
    assert store.read_cell(spec.digest())["answer"]["checksum"] == quicker.checksum
    assert set(experiment.finished(experiment.index())) == {spec.digest()}
    run(ready(pairs=("621:17",), fresh=True))
    assert store.read_answer(spec.answer_digest())["seconds"] == 7.0, "asked to be made again"


def test_a_forecast_is_the_median_of_measured_cells_scaled_by_items(ready, bought):
    experiment = ready(seeds=2)
    rows = []
    for spec, seconds in zip(experiment.cells[:3], (10.0, 20.0, 90.0), strict=True):
        cell = replace(fabricated.scored(spec, spec.digest()), training=fabricated.training(seconds, 10))
        rows.append(row_of(PURCHASE, cell.as_dict()))
    measured = Measured(rows)
    spec, digest = experiment.cells[3], rows[0]["pipeline_digest"]
    assert measured.training(spec, 30, digest) == pytest.approx(60.0)
    assert measured.session(spec) == pytest.approx(1.75 + STARTING_SECONDS), "all phases, of this pair alone"
    assert measured.training(replace(spec, threads=2), 30, digest) is None
    assert measured.training(replace(spec, device="cuda:0"), 30, digest) is None
    assert measured.training(spec, 30, "another") is None
    assert measured.session(replace(spec, pair=Pair(1, 1))) is None
    assert measured.session(replace(spec, submission_digest="changed")) == pytest.approx(1.75 + STARTING_SECONDS)


def test_a_forecast_for_trainings_that_share_a_device_is_never_from_those_that_were_alone(ready, bought):
    experiment = ready(seeds=2)
    specs = [replace(spec, device="cuda:0") for spec in experiment.cells]

    def measured(*durations):
        rows = []
        for spec, (seconds, peak) in zip(specs, durations, strict=False):
            trained = replace(fabricated.training(seconds, 10), peak_memory_bytes=peak)
            rows.append(row_of(PURCHASE, replace(fabricated.scored(spec, spec.digest()), training=trained).as_dict()))
        found = Measured(rows)
        return [found.training(specs[3], 10, rows[0]["pipeline_digest"], together) for together in (1, 4)]

    assert measured((10.0, 2**30)) == [pytest.approx(10.0), pytest.approx(40.0)]  # as if sharing won nothing
    assert measured((10.0, 2**30), (25.0, None)) == [pytest.approx(10.0), pytest.approx(25.0)]
    assert measured((25.0, None)) == [pytest.approx(25.0), pytest.approx(25.0)]
    on_the_cpu = row_of(
        PURCHASE, replace(fabricated.scored(experiment.cells[0], ""), training=fabricated.training(1.0, 1)).as_dict()
    )
    assert on_the_cpu["beside_others"] is False


def test_what_is_not_measured_is_said_and_what_is_counts(ready, bought):
    experiment = ready(seeds=2)
    before = forecast(experiment, experiment.index())
    assert (before.trainings, before.answers, before.trainings_unknown, before.answers_unknown) == (4, 4, 4, 4)
    assert before.seconds is None
    assert before.answer_limit == pytest.approx(2 * (51 + 102))
    run(ready(seeds=1))
    after = forecast(experiment, experiment.index())
    assert (after.finished, after.trainings, after.answers) == (2, 2, 2)
    # 4 s for 20 items; 16 images of the training set and budgets of 12 and 26.
    assert after.training_seconds == pytest.approx(4 / 20 * (16 + 12 + 16 + 26))
    assert after.answer_seconds == pytest.approx(2 * (1.75 + STARTING_SECONDS))
    assert after.seconds == pytest.approx(after.answer_seconds + after.training_seconds / 2)
    assert isinstance(after, Forecast)


def test_no_submission_to_run_is_explained_where_cells_are_missing(ready, bought):
    experiment = ready()
    waiting = forecast(experiment, experiment.index())
    for changed, said in (
        (waiting, "2"),
        (replace(waiting, answers=0), "0: the stored answers of earlier runs are used"),
        (replace(waiting, answers=0, finished=waiting.cells), "0"),
    ):
        assert dict(sweep_rows(experiment, changed))["submissions to run"] == said


def test_the_progress_line_counts_by_time_and_ends_where_the_work_does(ready, bought, capsys):
    from rich.console import Console

    from evaluator.report.terminal import progress_line
    from evaluator.sweep.progress import SweepLine

    experiment = ready(seeds=2)
    expected = forecast(experiment, experiment.index())
    with progress_line(Console(stderr=True)) as line:
        shown = SweepLine(line, experiment, expected)
        seen = []

        def moved(*arguments):
            shown.moved(*arguments)
            seen.append(line.tasks[0].completed)

        run(experiment, slot_works.faulty, progress=moved, finished=shown.finished)
        task = line.tasks[0]
        assert seen == sorted(seen)
        assert 0 < seen[len(seen) // 2] < task.total
        assert task.completed == pytest.approx(task.total)
        assert "4/4, 2 failed" in task.description
    assert "a fault of ours" in capsys.readouterr().err


def test_the_time_left_follows_what_this_run_took_and_not_the_guesses(ready, bought, monkeypatch, capsys):
    """Nothing was measured before: an answer is expected to take its time limit, 51 s, and a training 30 s. Here 2.75 and 200 s."""
    from rich.console import Console

    from evaluator.report.terminal import progress_line
    from evaluator.runner.cells import OBTAINED, Finished
    from evaluator.sweep import progress

    experiment = ready(pairs=("621:17",), seeds=4)
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress_line(Console(stderr=True, width=200)) as line:
        shown = progress.SweepLine(line, experiment, forecast(experiment, experiment.index()))
        for spec in experiment.cells:
            shown.moved(spec, OBTAINED, 1.0)
        spec = experiment.cells[0]
        now[0] = 4 * (1.75 + STARTING_SECONDS) + 200 / experiment.workers
        cell = replace(fabricated.scored(spec, spec.digest()), training=fabricated.training(200.0, 10))
        shown.finished(Finished(spec, cell, cached=False, reused=False))
    assert f"about {progress.duration(600 / experiment.workers)} left" in capsys.readouterr().err


# -- the table


def rows_of(experiment, value):
    return {s.digest(): row_of(PURCHASE, fabricated.scored(s, s.digest(), value(s)).as_dict()) for s in experiment.cells}


def test_the_table_is_the_mean_over_pairs_with_the_interval_over_seeds(ready):
    experiment = ready(pairs=("621:17,100:5",), seeds=2)
    rows = rows_of(experiment, lambda s: 0.2 + 0.1 * s.seed + (0.4 if s.pair.labels == 100 else 0))
    (row,) = table(experiment, rows)
    assert row["score"]["macro_f1"]["mean"] == pytest.approx(0.45)
    assert row["score"]["macro_f1"]["n"] == 2
    # Two values 0.1 apart: half of it, times the t quantile 12.706.
    assert row["score"]["macro_f1"]["high"] == pytest.approx(0.45 + 0.05 * 12.7062, abs=1e-4)
    assert [pair["metrics"]["macro_f1"]["mean"] for pair in row["pairs"]] == pytest.approx([0.25, 0.65])
    del rows[experiment.cells[0].digest()]
    (row,) = table(experiment, rows)
    assert (row["scored"], row["cells"]) == (3, 4)
    none = {"collapsed": 0, "without": None}
    assert row["score"]["macro_f1"] == {"mean": pytest.approx(0.5), "low": None, "high": None, "n": 1, "level": 0.95} | none


def test_public_minus_hidden_is_paired_by_seed(ready):
    experiment = ready(pairs=("621:17", "1321:34", "hidden:2"), round_seed=3, seeds=2)
    kinds = {task.name: task.kind for task in experiment.plan.tasks}
    assert list(kinds.values()) == ["public", "public", "hidden", "hidden"]
    rows = rows_of(experiment, lambda s: 0.5 + 0.1 * s.seed - (0.05 * (1 + s.seed) if kinds[s.task] == "hidden" else 0))
    (row,) = table(experiment, rows)
    assert row["public_minus_hidden"]["macro_f1"]["mean"] == pytest.approx(0.075)
    assert row["public"]["macro_f1"]["mean"] == pytest.approx(0.55)
    assert row["hidden"]["macro_f1"]["mean"] == pytest.approx(0.475)
    (row,) = table(ready(), rows_of(ready(), lambda s: 0.5))
    assert row["public_minus_hidden"] is row["hidden"] is None


def summed_up(experiment, rows) -> dict:
    return summarise_sweep(experiment, rows, {}, forecast(experiment, experiment.index()), 1.0)


def printed(summary, width: int = 200) -> str:
    from rich.console import Console

    console = Console(width=width)
    with console.capture() as text:
        show_sweep_result(console, summary, PURCHASE)
    return text.get()


def test_the_table_holds_public_minus_hidden_with_its_interval_and_number_of_seeds(ready):
    experiment = ready(pairs=("621:17", "1321:34", "hidden:2"), round_seed=3, seeds=2)
    kinds = {task.name: task.kind for task in experiment.plan.tasks}
    rows = rows_of(experiment, lambda s: 0.5 + 0.1 * s.seed - (0.05 * (1 + s.seed) if kinds[s.task] == "hidden" else 0))
    header, row = (
        line for line in printed(summed_up(experiment, rows)).splitlines() if line.startswith(("submission", "random_b"))
    )
    assert header.endswith("public - hidden")
    # Differences of 0.05 and 0.1: half of their distance, times the t quantile 12.706.
    assert row.endswith("+0.075 [-0.243, +0.393], n 2")
    del rows[next(s for s in experiment.cells if s.seed == 1 and kinds[s.task] == "hidden").digest()]
    assert "+0.050, n 1" in printed(summed_up(experiment, rows))


GRID = "grid:500,1000x15,30"


def test_in_a_narrow_terminal_the_pairs_stand_below_the_means_and_no_figure_is_cut(ready):
    experiment = ready(RANDOM, pairs=("public", "hidden:5"), round_seed=3, seeds=2)
    summary = summed_up(experiment, rows_of(experiment, lambda s: 0.5 + 0.1 * s.seed + s.pair.labels / 1e5))
    wide, narrow = printed(summary), printed(summary, 80)
    assert "per pair" not in wide
    assert "\N{HORIZONTAL ELLIPSIS}" not in narrow
    assert "macro_f1 per pair" in narrow
    for row in summary["rows"]:
        assert signed(row["public_minus_hidden"]["macro_f1"]) in narrow
        assert narrow.count(f"{row['pairs'][0]['metrics']['macro_f1']['mean']:.3f}") >= len(summary["rows"])
    for pair in summary["pairs"]:
        assert pair["pair"] + ("*" if pair["kind"] == "hidden" else " ") in narrow


def test_a_sweep_has_a_heat_map_per_pipeline_of_the_grid_that_was_asked_for(ready, tmp_path):
    text = (ROOT / "evaluator/training/pipelines/milliseconds.toml").read_text().replace('"milliseconds"', '"other"')
    (tmp_path / "other.toml").write_text(text)
    (tmp_path / "random.py").write_text(RANDOM.read_text())
    pipelines = ("milliseconds", str(tmp_path / "other.toml"))
    experiment = ready(tmp_path / "random.py", RANDOM, pairs=("public", GRID), seeds=2, pipelines=pipelines)
    lead = {"random": 0.0, "random_buyer": 0.1}
    rows = rows_of(experiment, lambda s: 0.2 + s.pair.labels / 10_000 + 0.1 * s.seed + lead[s.submission])
    gone = [s for s in experiment.cells if (s.submission, s.pair, s.pipeline.name) == ("random_buyer", Pair(1000, 30), "other")]
    for spec in gone:
        del rows[spec.digest()]
    first, second = summed_up(experiment, rows)["heat_maps"]
    assert [heat["pipeline"] for heat in (first, second)] == ["milliseconds", "other"]
    for heat in (first, second):
        assert (heat["labels"], heat["budgets"], heat["minutes"], heat["seconds_allowed"]) == (
            [500, 1000],
            [10, 20],
            [15, 30],
            [45, 90],
        )
        assert [row["submission"] for row in heat["submissions"]] == ["random", "random_buyer"]
        assert heat["reference"] == "random"
    scores = [[cell["score"] and cell["score"]["mean"] for cell in row["cells"]] for row in second["submissions"]]
    assert scores[0] == pytest.approx([0.3, 0.3, 0.35, 0.35])
    assert scores[1] == [pytest.approx(0.4), pytest.approx(0.4), pytest.approx(0.45), None]
    cell = first["submissions"][1]["cells"][0]
    assert (cell["bought"], cell["bought_share"], cell["seconds"], cell["missing"]) == (4, 0.4, 1.5, 0)
    assert cell["seconds_share"] == pytest.approx(1.5 / 45, abs=1e-6)
    assert cell["minus_reference"]["mean"] == pytest.approx(0.1)
    assert second["submissions"][1]["cells"][3]["missing"] == 2


def test_the_maps_stand_below_the_table_where_a_grid_was_asked_for(ready):
    experiment = ready(pairs=("public", GRID))
    text = printed(summed_up(experiment, rows_of(experiment, lambda s: 0.5)))
    table, maps = text.split("profile tiny, pipeline milliseconds, clean labels, validation split")
    assert "621:17" in table
    assert "500:15" not in table, "it stands in the map"
    assert "500 (10)" in maps
    assert "labels 40%" in maps
    experiment = ready(pairs=("public",))
    assert "labels" not in printed(summed_up(experiment, rows_of(experiment, lambda s: 0.5))).replace("labels of", "")


def test_the_documented_keys_of_a_sweep_are_those_of_its_file(ready, bought, tmp_path):
    (tmp_path / "random.py").write_text(RANDOM.read_text())
    experiment = ready(tmp_path / "random.py", RANDOM, pairs=("621:17", "hidden:1", GRID), round_seed=3, seeds=2)
    folder, *_ = run(experiment)
    content = json.loads((folder / "sweep.json").read_text())
    found = paths(
        content,
        "",
        {"data", "pipelines[].pipeline", "rows[].verdicts", "heat_maps[].submissions[].cells[].failed"},
        list(TINY.round.classes),
    )
    # What is null at some places of a map and not at others.
    found = {path for path in found if not any(other.startswith(f"{path}.") for other in found)}
    assert content["looks"] == []  # test_looks.py has looks
    assert found - {"looks"} == {path for path in documented("A sweep") if not path.startswith("looks[]")}
    assert content["round_seed"] == 3


def test_cells_that_were_there_before_are_told_from_those_that_were_run(ready):
    experiment = ready(seeds=3)
    rows = rows_of(experiment, lambda s: 0.5)
    before = {experiment.cells[0].digest(): rows[experiment.cells[0].digest()]}
    summary = summarise_sweep(experiment, rows, before, forecast(experiment, experiment.index()), 1.0)
    assert [cell["cached"] for cell in summary["cells"]] == [True] + [False] * 5
    assert summary["rows"][0]["verdicts"] == {"OK": 6}


def test_submissions_of_one_name_are_told_apart_and_one_is_not_named_twice(ready, tmp_path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "mine.py").write_text(RANDOM.read_text() + f"\nNUMBER = {number}\n")
    experiment = ready(tmp_path / "1" / "mine.py", tmp_path / "2" / "mine.py")
    labels = list(experiment.labels.values())
    assert len(set(labels)) == 2
    assert all(label.startswith("mine (") for label in labels)
    assert {experiment.inputs(spec).path for spec in experiment.cells} == {tmp_path / n / "mine.py" for n in "12"}


def test_equal_submissions_of_two_people_are_two_rows_and_nothing_is_computed_twice(ready, bought, tmp_path):
    for place in ("ada/mine", "bob/mine", "eve/better"):
        (tmp_path / place).mkdir(parents=True)
        shutil.copy(RANDOM, tmp_path / place / "run.py")
        (tmp_path / place / "aicrowd.json").write_text(json.dumps({"authors": [place[:3]]}))
    paths = (tmp_path / "ada" / "mine", tmp_path / "bob" / "mine")
    experiment = ready(*paths)
    assert len(experiment.cells) == len(ready(paths[0]).cells)
    folder, *_ = run(experiment)
    content = json.loads((folder / "sweep.json").read_text())
    assert [(row["owner"], row["name"]) for row in content["submissions"]] == [("ada", "mine"), ("bob", "mine")]
    rows = {row["submission"]: row for row in content["rows"]}
    assert list(rows) == ["mine (ada)", "mine (bob)"]
    assert rows["mine (ada)"] | {"submission": 0} == rows["mine (bob)"] | {"submission": 0}
    assert rows["mine (ada)"]["cells"] == len(experiment.cells)
    # A third person brings the same files under another name, on another day: every cell is there.
    later = ready(tmp_path / "eve" / "better")
    assert later.finished(later.index()).keys() == {cell["cell"] for cell in content["cells"]} != set()
    assert list(later.labels.values()) == ["better"]


def test_submissions_of_one_name_without_an_owner_are_told_apart_by_their_folders(ready, tmp_path):
    for name in ("ada", "bob"):
        (tmp_path / name).mkdir()
        shutil.copy(RANDOM, tmp_path / name / "mine.py")
    paths = (tmp_path / "ada" / "mine.py", tmp_path / "bob" / "mine.py")
    assert [entry.label for entry in ready(*paths).entries] == ["mine (ada)", "mine (bob)"]
    assert [entry.label for entry in ready(*paths, label=("a", "b")).entries] == ["a", "b"]
    for label, said in ((("a",), "1 label for 2 submissions"), (("a", "a"), "more than once"), (("a", "\x1b[2J"), "in one line")):
        with pytest.raises(ConfigurationError, match=re.escape(said)):
            ready(*paths, label=label)


def test_requirements_and_a_broken_manifest_are_warnings_of_a_sweep(ready, tmp_path):
    (tmp_path / "mine.py").write_text(RANDOM.read_text())
    (tmp_path / "requirements.txt").write_text("a-package-that-nobody-has>=1\n")
    (tmp_path / "aicrowd.json").write_text('{"authors": "\\u001b[2J"}')
    said = "\n".join(ready(tmp_path / "mine.py").warnings)
    assert "line 1: a-package-that-nobody-has>=1 is asked for, and not installed" in said
    assert "authors is" in said
    assert "has no owner in tables" in said


def test_a_proxys_scores_are_marked(ready, capsys, tmp_path):
    from rich.console import Console

    text = (ROOT / "evaluator/training/pipelines/milliseconds.toml").read_text().replace('"milliseconds"', '"other"')
    (tmp_path / "other.toml").write_text(text)
    experiment = ready(pipelines=("milliseconds", str(tmp_path / "other.toml")))
    rows = rows_of(experiment, lambda s: 0.5)
    summary = summarise_sweep(experiment, rows, {}, forecast(experiment, experiment.index()), 1.0)
    assert [pipeline["proxy"] for pipeline in summary["pipelines"]] == [False, False]

    def shown(*proxies: bool) -> list[str]:
        pipelines = [known | {"proxy": proxy} for known, proxy in zip(summary["pipelines"], proxies, strict=True)]
        show_sweep_result(Console(width=200), summary | {"pipelines": pipelines}, PURCHASE)
        title, _, *lines = capsys.readouterr().out.splitlines()
        return [line for line in (title, *lines[:2]) if "PROXY" in line]

    assert shown(False, False) == []
    (marked,) = shown(False, True)
    assert "other (PROXY)" in marked
    assert shown(True, True)[0].startswith("PROXY macro_f1")


# -- the index


def stored(root: Path, experiment) -> Store:
    store = Store(root)
    for spec in experiment.cells:
        store.write_cell(Judged(fabricated.scored(spec, spec.digest(), 0.25)))
    return store


def test_the_index_is_only_a_copy(ready, tmp_path, monkeypatch):
    experiment = ready()
    store = stored(tmp_path / "r", experiment)
    first, second = (spec.digest() for spec in experiment.cells)
    fresh = read_index(store.root, TRACKS)
    assert set(fresh.cells) == {first, second}
    assert (store.root / INDEX).exists()
    read = []
    whole = index.read_bytes
    monkeypatch.setattr(index, "read_bytes", lambda path, most: read.append(path.name) or whole(path, most))
    assert read_index(store.root, TRACKS).cells == fresh.cells
    assert read == [INDEX]
    # Changed in place, to a file of the same length.
    store.write_cell(Judged(fabricated.scored(experiment.cells[0], first, 0.75)))
    assert read_index(store.root, TRACKS).cells[first]["metrics"]["macro_f1"] == 0.75
    store.cell_path(second).unlink()
    assert set(read_index(store.root, TRACKS).cells) == {first}
    (store.root / INDEX).write_text("{")
    assert set(read_index(store.root, TRACKS).cells) == {first}
    (store.root / INDEX).unlink()
    assert set(read_index(store.root, TRACKS).cells) == {first}


def test_a_changed_index_is_said_and_no_row_of_it_counts(ready, tmp_path, capsys):
    store = stored(tmp_path / "r", ready())
    fresh, index = read_index(store.root, TRACKS), store.root / INDEX
    raw = index.read_text()
    row = json.dumps(next(iter(json.loads(raw)["cells"].values())))
    for changed in (
        raw.replace('"macro_f1":0.25', '"macro_f1":0.95', 1),
        raw[: len(raw) // 2],
        json.dumps({"schema": SCHEMA, "cells": [row], "answers": 5}),
        "[]",
        "",
    ):
        assert changed != raw
        index.write_text(changed)
        assert read_index(store.root, TRACKS).cells == fresh.cells
        assert f"{index} is damaged" in capsys.readouterr().err
        assert index.read_text() == raw
    # That of an older kit is no damage.
    index.write_text(json.dumps({"schema": 1, "cells": {}, "purchases": {}}))
    assert read_index(store.root, TRACKS).cells == fresh.cells
    assert (capsys.readouterr().err, index.read_text()) == ("", raw)


def test_cells_and_answers_of_an_older_layout_have_the_same_rows(ready, tmp_path):
    experiment = ready()
    store = stored(tmp_path / "r", experiment)
    made = fabricated.purchase(experiment.cells[0])
    store.write_answer(made)
    new = read_index(store.root, TRACKS)
    assert new.answers[made.digest]["checksum"] == made.checksum
    (store.root / INDEX).unlink()
    for path in store.root.glob("*/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    old = read_index(store.root, TRACKS)
    assert (old.cells, old.answers, old.damaged) == (new.cells, new.answers, ())


def test_damaged_cells_are_said_and_never_listed(ready, tmp_path):
    experiment = ready()
    store = stored(tmp_path / "r", experiment)
    path = store.cell_path(experiment.cells[0].digest())
    path.write_text(path.read_text().replace("0.25", "0.95"))
    for _ in range(2):
        found = read_index(store.root, TRACKS)
        assert set(found.cells) == {experiment.cells[1].digest()}
        assert found.damaged == (f"{path.name} was changed after it was written",)
    assert read_index(tmp_path / "nowhere", TRACKS).cells == {}
    assert not (tmp_path / "nowhere").exists()


# -- the command


@pytest.fixture
def sweep(monkeypatch, tmp_path, data_folder, capsys):
    """Run the verb on the tiny data: (exit status, stdout, stderr)."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")

    def call(*options):
        given = ["sweep", "--profile", "tiny", "--data", data_folder, "--sandbox", "process", "--device", "cpu", "--out", "results"]
        status = main([*map(str, given), *map(str, options)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def test_a_dry_run_says_what_would_run_and_leaves_nothing(sweep, tmp_path):
    status, out, _ = sweep("--submissions", RANDOM, "--dry-run", "--seeds", 3)
    assert status == 0
    assert "6: 0 finished before, 6 to run" in out
    assert re.search(r"^submissions to run +6 *$", out, re.MULTILINE)
    assert "not measured" in out
    assert not (tmp_path / "results").exists()
    _, out, _ = sweep("--submissions", RANDOM, "--dry-run", "--json")
    assert json.loads(out)["trainings"] == 2


def test_a_dry_run_says_which_files_are_damaged(sweep, tmp_path):
    cell = tmp_path / "results" / "cells" / f"{'0' * 32}.json"
    cell.parent.mkdir(parents=True)
    cell.write_text("{")
    status, _, err = sweep("--submissions", RANDOM, "--dry-run")
    assert status == 0
    assert f"warning: {cell.name} is damaged; it is not used" in err
    assert cell.read_text() == "{", "a dry run moves nothing"


@pytest.mark.slow
def test_a_sweep_from_the_command_line_with_a_submission_that_fails(sweep, strategy, tmp_path):
    broken = strategy("def purchase_phase(self):\n    raise ValueError('mine')")
    (tmp_path / "README.md").write_text("none")
    options = ("--submissions", RANDOM, broken, tmp_path / "R*.md", "--pairs", "621:17", "hidden:1", "--round-seed", 5)
    status, out, _ = sweep(*options, "--workers", 1)
    assert status == 1
    assert out.count("README.md") == 1
    assert "RUNTIME_ERROR" in out
    assert "ValueError in purchase_phase: mine" in out
    assert "public - hidden" in out
    assert "2 of 2" in out
    assert "0 of 2" in out
    status, out, _ = sweep(*options, "--json")
    summary = json.loads(out)
    assert status == 1
    assert summary["cached"] == 2, "the scored ones; a failed one is tried again"
    assert {cell["verdict"] for cell in summary["cells"]} == {"OK", "RUNTIME_ERROR"}
    assert [pair["kind"] for pair in summary["pairs"]] == ["public", "hidden"]


@pytest.mark.endurance
def test_a_sweep_says_which_submission_is_not_fit_to_submit_and_why(sweep, strategy, monkeypatch):
    """Both were scored and looked alike, and the status was 0."""
    buys = "def purchase_phase(self, unlabelled_dataset, budget):\n    unlabelled_dataset.purchase_labels(range(budget))\n"
    broken = strategy(buys + "def prediction_phase(self):\n    raise ValueError('never trained')")
    options = ("--submissions", RANDOM, broken, "--pairs", "621:17", "--seeds", 2, "--pipelines", "milliseconds")
    monkeypatch.setattr(evaluator.sweep.run, "places", lambda experiment: Workers(2, work=slot_works.anew))
    for times in (1, 2):
        status, out, _ = sweep(*options)
        assert status == 1, "also where all cells were finished before"
        assert re.search(r"^random_buyer +2 of 2 +yes ", out, re.MULTILINE)
        assert re.search(rf"^{broken.name} +2 of 2 +no ", out, re.MULTILINE)
        assert (
            f"{broken.name}: scored, but not fit to submit: RUNTIME_ERROR (1 pair x 2 seeds): ValueError in prediction_phase" in out
        )
        assert out.count("raise ValueError('never trained')") == 1
        assert [line for line in out.split("\n") if line.startswith(f"not fit to submit: {broken.name}")]
        assert out.count("finished before and read from the store") == times - 1
    summary = json.loads(sweep(*options, "--json")[1])
    assert [(row["submission"], row["fit"]) for row in summary["rows"]] == [("random_buyer", 2), (broken.name, 0)]
    assert [cell["fit_to_submit"] for cell in summary["cells"] if cell["submission"] == broken.name] == [False, False]
    assert [fault["count"] for fault in summary["faults"]] == [2]


def test_a_process_that_trains_says_how_far_it_is(ready, bought):
    experiment = ready(pairs=("621:17",), seeds=1)
    seen = []
    run(experiment, slot_works.telling, progress=lambda spec, what, share: seen.append((what, share)))
    assert ("training", 0.0) in seen
    assert ("halfway", 0.5) in seen


def test_mistakes_are_said_before_anything_is_run(sweep, tmp_path):
    for options, part in (
        ((), "--submissions: no submission was given"),
        (("--submissions", "nothing/*"), "nothing/*"),
        (("--submissions", RANDOM, "--pairs", "hidden:5"), "--round-seed"),
        (("--submissions", RANDOM, "--score-split", "training"), "score-split"),
        (("--submissions", RANDOM, "--pipelines", "nothing"), "nothing"),
        (("--submissions", RANDOM, "--label-quality", "0.2"), "0.2"),
        (("--submissions", RANDOM, "--workers", "0"), "--workers"),
        (("--file", tmp_path / "none.toml"), "none.toml"),
        (("--submissions", RANDOM, "--pairs", GRID, "--heat-map", "map.gif"), "map.gif"),
        (("--submissions", RANDOM, "--pairs", GRID, "--heat-map", "nowhere/map.svg"), "nowhere"),
        (("--submissions", RANDOM, "--pairs", "621:17", "1321:34", "--heat-map", "map.svg"), "form no grid"),
    ):
        status, _, err = sweep(*options)
        assert (status, part in err) == (2, True), err
    assert not list(tmp_path.glob("results/*-sweep"))
    assert not list(tmp_path.glob("*map*"))


@pytest.mark.slow
@pytest.mark.endurance
def test_a_sweep_of_a_grid_draws_its_picture(sweep, strategy, tmp_path):
    picky = strategy("def purchase_phase(self, budget):\n    assert budget < 20, 'too many'")
    options = ("--submissions", RANDOM, picky, "--pairs", GRID, "--heat-map", "map.svg", "--workers", 1)
    status, out, _ = sweep(*options)
    assert status == 1, "a cell failed; the picture is drawn all the same"
    assert "heat map: map.svg" in out
    assert "labels 100%" in out
    assert "1 RUNTIME_ERROR" in out
    assert (tmp_path / "map.svg").read_text().count("1 RUNTIME_ERROR -->") == 2 * 3
    _, out, err = sweep(*options, "--json")
    assert len(json.loads(out)["heat_maps"]) == 1
    assert "heat map: map.svg" in err
