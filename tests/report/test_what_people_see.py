"""Faults and tracebacks as people see them, and the signs of life of a run whose output is a file."""

import io
import re
import time
from dataclasses import replace
from functools import partial

import fabricated
import pytest
from PIL import Image
from rich.console import Console

from evaluator.cli.main import main as cli
from evaluator.errors import Verdict
from evaluator.places import ROOT
from evaluator.purchase.result import without_score
from evaluator.purchase.track import PURCHASE
from evaluator.report import live
from evaluator.report.faults import cells_of, show_faults
from evaluator.report.live import Live
from evaluator.report.traces import alike, own_frames
from evaluator.runner.cells import Finished
from evaluator.sandbox.conformance import check as conformance
from evaluator.sweep.faults import Faults, Remarks, last_words

TRACE = """Traceback (most recent call last):
  File "{kit}/evaluator/worker/service.py", line 118, in serve
    answer, payload = getattr(self, "on_" + order["t"])(order, blob)
                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/home/me/mine/run.py", line 7, in purchase_phase
    helper({n})
  File "/usr/lib/python3/site-packages/numpy/linalg.py", line 641, in inv
    check(a)
ValueError: no room for {n}
"""


@pytest.mark.parametrize("kit", [ROOT, "/kit"])
def test_frames_of_the_kit_are_left_out_and_nothing_else(kit):
    whole = TRACE.format(kit=kit, n=3)
    shown = own_frames(whole)
    assert [line for line in whole.split("\n") if line not in shown.split("\n")] == whole.split("\n")[1:4]
    assert shown.split("\n")[1] == '  File "/home/me/mine/run.py", line 7, in purchase_phase'


def test_a_traceback_of_the_kit_alone_is_shown_whole():
    whole = "\n".join(TRACE.format(kit="/kit", n=3).split("\n")[:4]) + "\nTypeError: x"
    assert own_frames(whole) == whole
    assert own_frames("no traceback at all") == "no traceback at all"


def test_numbers_do_not_make_two_faults_of_one_but_lines_do():
    first, second = (TRACE.format(kit="/kit", n=n) for n in (3, 14))
    assert alike(first, "limit 8.5 s") == alike(second, "limit 51 s")
    assert alike(first, "") != alike(first.replace("line 7", "line 8"), "")
    assert alike("", "an error of A") != alike("", "an error of B")


def failed(spec, number: int):
    result = without_score(
        spec, f"ValueError in purchase_phase: no room for {number}", TRACE.format(kit="/kit", n=number), Verdict.RUNTIME_ERROR
    )
    return Finished(spec, result, cached=False, reused=False)


def test_one_fault_of_many_cells_is_one_block_with_its_cells_and_last_lines(ready, tmp_path):
    experiment = ready(pairs=("621:17", "1321:34", "100:5"), seeds=2)
    faults = Faults(experiment)
    new = [faults.add(failed(spec, number)) for number, spec in enumerate(experiment.cells)]
    assert new == [True] + [False] * 5
    logs = tmp_path / "run" / "logs"
    logs.mkdir(parents=True)
    first = experiment.cells[0]
    printed = "".join(f"line {n}\n" for n in range(40))
    (logs / f"{experiment.log_name(first)}.log").write_text(printed + TRACE.format(kit="/kit", n=0))
    (row,) = faults.rows(tmp_path / "run")
    assert (row["count"], row["scored"], row["verdict"]) == (6, False, "RUNTIME_ERROR")
    assert cells_of(row, PURCHASE) == "3 pairs x 2 seeds"
    assert row["printed"] == [f"line {n}" for n in range(30, 40)]
    for width in (60, 80, 120):
        console = Console(width=width, file=io.StringIO())
        show_faults(console, [row], PURCHASE, root="results")
        said = console.file.getvalue()
        assert said.count("purchase_phase: no") == 1
        assert "/home/me/mine/run.py" in said
        assert "service.py" not in said
        assert "| line 39" in said
        assert max(map(len, said.split("\n"))) <= width
        assert "logs/" in said
    console = Console(width=120, file=io.StringIO())
    show_faults(console, [row], PURCHASE, full=True)
    assert "service.py" in console.file.getvalue()
    console = Console(width=120, file=io.StringIO())
    show_faults(console, [row | {"full_trace": "the whole of it"}], PURCHASE, full=True)
    assert "the whole of it" in console.file.getvalue()
    assert "service.py" not in console.file.getvalue(), "the complete traceback stands in place of the other"


def test_faults_are_red_and_not_dim(ready):
    experiment = ready(pairs=("621:17",))
    faults = Faults(experiment)
    faults.add(failed(experiment.cells[0], 1))
    console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="standard")
    show_faults(console, faults.rows(None), PURCHASE)
    for text in ("RUNTIME_ERROR (621:17 seed 0)", "/home/me/mine/run.py"):
        (line,) = [line for line in console.file.getvalue().split("\n") if text in line]
        assert line.startswith("\x1b[31m")


def test_a_log_that_is_gone_or_long_is_no_error(tmp_path):
    assert last_words(tmp_path / "none", "") == ([], "")
    (tmp_path / "long").write_bytes(b"\xff" * 1_000_000)
    (line,), _ = last_words(tmp_path / "long", "")
    assert len(line) == 500


# -- warnings about what a submission did


def scored(spec, **changes) -> Finished:
    cell = fabricated.scored(spec, "0" * 64, changes.pop("value", 0.5))
    for name, value in changes.items():
        object.__setattr__(cell.purchase, name, value)
    return Finished(spec, cell, cached=False, reused=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bought": 0}, "nothing was bought (621:17 seed 0: 0 of 12)"),
        ({"bought": 9}, "a part of the budget was not spent (621:17 seed 0: 9 of 12 labels)"),
        ({"bought": 12, "disagreement": "it returned 1 label that was not bought"}, "what was returned is not what was bought"),
        (
            {"bought": 12, "value": 0.05},
            "the score is no better than that of the best constant prediction (621:17 seed 0: macro F1 0.050, constant 0.100)",
        ),
    ],
)
def test_what_a_submission_did_is_warned_of(ready, changes, said):
    experiment = ready(pairs=("621:17",))
    remarks = Remarks(experiment)
    remarks.add(scored(experiment.cells[0], **changes))
    (line,) = remarks.said()
    assert said in line
    assert line.startswith("random_buyer: ")


def test_all_bought_and_a_good_score_give_no_warning_and_cells_share_a_line(ready):
    experiment = ready(pairs=("621:17",), seeds=3)
    remarks = Remarks(experiment)
    for spec in experiment.cells[:2]:
        remarks.add(scored(spec, bought=3))
    remarks.add(scored(experiment.cells[2], bought=12))
    (line,) = remarks.said()
    assert "(2 of 3 cells, first 621:17 seed 0: 3 of 12 labels)" in line
    (line,) = remarks.said(earlier=True)
    assert "(2 of the 3 cells that ran now, first 621:17 seed 0: 3 of 12 labels)" in line


def test_a_pool_that_is_smaller_than_the_budget_is_bought_whole_without_a_warning(ready):
    experiment = ready(pairs=("621:17",))
    remarks = Remarks(experiment)
    cell = scored(experiment.cells[0], bought=5)
    object.__setattr__(cell.result.data, "counts", {"unlabelled": 5})
    remarks.add(cell)
    assert remarks.said() == []


ONE = 'Traceback (most recent call last):\n  File "/s/run.py", line 3, in rank\n    raise ValueError("a\\nb")\nValueError: a\nb\n'
TWO = 'Traceback (most recent call last):\n  File "/s/run.py", line 1, in rank\n    1 / 0\nZeroDivisionError: division by zero\n'
BETWEEN = "\nDuring handling of the above exception, another exception occurred:\n\n"


@pytest.mark.parametrize(
    ("log", "reason", "printed", "trace"),
    [
        (f"first\n{ONE}", "ValueError in rank: a b", ["first"], ONE),
        (f"first\n{TWO}{BETWEEN}{ONE}", "ValueError in rank: a b", ["first"], TWO + BETWEEN + ONE),
        (f"{TWO}then\n{ONE}", "ValueError in rank: a b", [*TWO.splitlines(), "then"], ONE),
        (f"first\n{TWO}then\n", "rank took longer than 3 s", ["first", *TWO.splitlines(), "then"], ""),
        (f"it says: {ONE}", "ValueError in rank: a b", [f"it says: {ONE}".splitlines()[0], *ONE.splitlines()[1:]], ""),
        ("first\n", "ValueError in rank: a b", ["first"], ""),
    ],
)
def test_a_traceback_at_the_end_of_a_log_is_not_called_print(tmp_path, log, reason, printed, trace):
    (tmp_path / "log").write_text(log)
    assert last_words(tmp_path / "log", "", reason) == (printed, trace)


# -- signs of life


def test_a_log_file_gets_signs_of_life_with_what_is_being_done():
    console = Console(file=io.StringIO(), width=100)
    with Live(console, quiet=0.2) as line:
        task = line.add_task("decoding the pool", total=10)
        line.update(task, completed=3)
        end = time.monotonic() + 20
        while console.file.getvalue().count("\n") < 2 and time.monotonic() < end:
            time.sleep(0.02)
    lines = console.file.getvalue().splitlines()
    assert len(lines) >= 2
    assert all(said.startswith("... decoding the pool, 30 %, ") and said.endswith(" s so far") for said in lines)
    assert line._thread is not None
    assert not line._thread.is_alive()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["doctor", "--sandbox", "process"], "... "),
        (["data", "make", "--split", "debug=40", "--image-size", "32", "--out", "{made}", "--workers", "1"], "... rendering"),
        (["data", "check", "{data}/debug"], "... decoding debug"),
    ],
)
def test_commands_that_take_long_give_signs_of_life_in_a_log_file(command, said, tmp_path, data_folder, monkeypatch, capsys):
    def slow_checks(checks, sandbox):
        for made in checks[:2]:
            time.sleep(0.1)
            yield conformance.CheckResult(made.name, made.duty, "passed", 0.1, "")

    monkeypatch.setattr(conformance, "run_checks", slow_checks)
    opened = Image.open

    def slow_open(*given, **named):
        time.sleep(0.02)
        return opened(*given, **named)

    monkeypatch.setattr(Image, "open", slow_open)
    monkeypatch.setattr(live, "Live", partial(Live, quiet=0.01))
    assert cli([part.format(made=tmp_path / "made", data=data_folder) for part in command]) == 0
    out, err = capsys.readouterr()
    assert said in err
    assert "so far" not in out


def test_progress_is_drawn_in_one_place():
    """Progress lines of rich say nothing where the output is no terminal; ``Live`` does."""
    drawn = re.compile(r"^\s*from rich\.(progress import .*\bProgress\b|live import)|\bProgress\(", re.MULTILINE)
    using = [path.name for path in sorted((ROOT / "evaluator").rglob("*.py")) if drawn.search(path.read_text(encoding="utf-8"))]
    assert using == ["live.py"]


def test_lines_that_are_printed_put_the_sign_off():
    console = Console(file=io.StringIO(), width=100)
    with Live(console, quiet=30) as line:
        line.say("a phase begins")
        time.sleep(0.05)
    assert console.file.getvalue() == "a phase begins\n"


def test_a_terminal_gets_a_line_and_no_signs():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with Live(console, quiet=0.01) as line:
        line.add_task("x", total=1)
        time.sleep(0.1)
    assert line._thread is None
    assert "so far" not in console.file.getvalue()


def test_the_epoch_of_every_training_is_in_the_sign(ready):
    from evaluator.sweep.forecast import forecast
    from evaluator.sweep.progress import SweepLine

    experiment = ready(pairs=("621:17",), seeds=2)
    console = Console(file=io.StringIO(), width=200)
    with Live(console) as line:
        shown = SweepLine(line, experiment, forecast(experiment, experiment.index()))
        first, second = experiment.cells
        shown.moved(first, "purchase_phase", 0.25)
        assert "621:17 seed 0: purchase_phase, 25 %" in line.sign()
        epochs = first.pipeline.epochs
        for spec, share in ((first, 0.0), (second, 0.0), (first, 0.99)):
            shown.moved(spec, "training", share)
        said = line.sign()
        assert "purchase_phase" not in said
        assert f"621:17 seed 0: training, epoch {epochs} of {epochs}" in said
        assert f"621:17 seed 1: training, epoch 1 of {epochs}" in said
        shown.moved(first, "embedding", 0.36)
        assert "621:17 seed 0: embedding, 36 %" in line.sign(), "it has no epochs"
    lines = console.file.getvalue().splitlines()
    begun = ["seed 0: purchase_phase", "seed 0: training", "seed 1: training", "seed 0: embedding"]
    assert lines == [f"621:17 {what}" for what in begun]


def test_nodes_of_a_cluster_obtain_several_answers_at_a_time(ready):
    from evaluator.runner.cells import OBTAINED
    from evaluator.sweep.forecast import forecast
    from evaluator.sweep.progress import SweepLine

    experiment = ready(pairs=("621:17",), seeds=2)
    experiment = replace(experiment, settings=replace(experiment.settings, ray="auto", workers=None))
    console = Console(file=io.StringIO(), width=200)
    with Live(console) as line:
        shown = SweepLine(line, experiment, forecast(experiment, experiment.index()))
        first, second = experiment.cells
        for spec, share in ((first, 0.1), (second, 0.2), (first, 0.3)):
            shown.moved(spec, "purchase_phase", share)
        assert "621:17 seed 0: purchase_phase, 30 %; 621:17 seed 1: purchase_phase, 20 %" in line.sign()
        shown.moved(first, OBTAINED, 1.0)
        assert "seed 0" not in line.sign()
        assert "621:17 seed 1: purchase_phase, 20 %" in line.sign()
    assert console.file.getvalue().splitlines() == ["621:17 seed 0: purchase_phase", "621:17 seed 1: purchase_phase"]
