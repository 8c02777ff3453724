"""The one command for a device: parts run in order within their limits, none stops another, and all is written."""

import io
import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from benchmarks.training import device, steps
from benchmarks.training.device import Part
from evaluator.training.step import Launched


def program(text: str, name: str, most: float = 20.0, figures: str = "") -> Part:
    return Part(name, (sys.executable, "-c", text), most, figures)


def status_of(process: int) -> list[str]:
    """Lines about a process, none once it is gone."""
    file = Path(f"/proc/{process}/status")
    return file.read_text().splitlines() if file.exists() else []


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_parts_run_in_order_and_one_that_fails_stops_no_other(tmp_path):
    writes = program("open(r'{out}/b.json', 'w').write('{\"ms\": 2}'); print('two'); print()", "b", figures="b.json")
    chosen = (program("print('one'); raise SystemExit(3)", "a"), writes)
    found = device.run(chosen, tmp_path, 60, quiet())
    assert [(ran.name, ran.status, ran.last) for ran in found] == [("a", 3, "one"), ("b", 0, "two")]
    stored = json.loads((tmp_path / "device.json").read_text())["parts"]
    assert [part["ended"] for part in stored] == ["failed (3)", "done"]
    assert stored[1]["figures"] == {"ms": 2}
    assert (tmp_path / "a.log").read_text() == "one\n"


def test_figures_of_an_earlier_run_are_not_taken_for_those_of_a_part_that_fails(tmp_path):
    (tmp_path / "a.json").write_text('{"ms": 1}')
    found = device.run((program("raise SystemExit(2)", "a", figures="a.json"),), tmp_path, 60, quiet())
    assert [(ran.status, ran.figures) for ran in found] == [(2, None)]


def test_a_part_is_cut_off_at_its_limit_and_the_rest_has_no_time(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "SPARE", 0.0)
    monkeypatch.setattr(device, "GRACE", 0.1)
    text = "import subprocess, time; print('began', subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    slow = program(text, "slow", most=3.0)
    found = device.run((slow, program("print(1)", "next")), tmp_path, 3.5, quiet())
    assert [ran.ended for ran in found] == ["cut off", "no time"]
    assert found[0].seconds < 30
    child = int(found[0].last.removeprefix("began "))
    assert not any(line.startswith("State:") and "Z" not in line for line in status_of(child)), "what it started ended with it"
    out = io.StringIO()
    Console(file=out, width=100).print(device.table_of(found))
    assert "no time" in out.getvalue()


def test_the_command_ends_with_1_where_a_part_failed(tmp_path, monkeypatch, capsys):
    chosen = {"tests": "print('fine')", "steps": "raise SystemExit(1)"}
    monkeypatch.setattr(device, "parts", lambda where: tuple(program(text, name) for name, text in chosen.items()))
    assert device.main(["--out", str(tmp_path / "a"), "--parts", "tests"]) == 0
    assert device.main(["--out", str(tmp_path / "b")]) == 1
    said = capsys.readouterr().out
    assert "failed (1)" in said
    assert said.rstrip().endswith("device.json")


@pytest.mark.parametrize("asked", [False, True])
def test_the_parts_of_a_call_fit_into_nine_minutes(asked):
    assert sum(part.most for part in device.parts("cuda") if part.asked == asked) <= 9 * 60 - device.SPARE
    assert all("cuda" in " ".join(part.words) for part in device.parts("cuda"))


def test_parts_that_must_be_asked_for_run_only_then_and_in_the_order_of_the_call(tmp_path, monkeypatch):
    chosen = [replace(program("print(1)", "c"), asked=True), program("print(1)", "a"), program("print(1)", "b")]
    monkeypatch.setattr(device, "parts", lambda where: tuple(chosen))
    ran = []
    monkeypatch.setattr(device, "run", lambda chosen, *rest: ran.append([part.name for part in chosen]) or [])
    device.main(["--out", str(tmp_path)])
    device.main(["--out", str(tmp_path), "--parts", "b", "c"])
    assert ran == [["a", "b"], ["b", "c"]]


def test_every_test_for_a_device_of_trainings_is_in_a_file_that_the_tests_name():
    files = [*Path("tests/training").rglob("*.py"), *Path("tests/curation").rglob("*.py")]
    marked = {str(file) for file in files if "mark.cuda" in file.read_text()}
    assert marked == set(device.TESTS)


def test_a_part_has_the_time_that_those_after_it_leave(tmp_path):
    slow = program("import time; time.sleep(2); print('done')", "slow", most=1.0)
    assert [ran.ended for ran in device.run((slow,), tmp_path, 60, quiet())] == ["done"]


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["foreground", "background"])
def started(request):
    """How this command was started: a shell has what it starts in the background ignore interrupts."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_a_part_that_is_cut_off_may_say_how_far_it_came(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "SPARE", 0.0)
    monkeypatch.setattr(device, "GRACE", 3.0)
    text = """
        import json, time
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            open(r'{out}/told.json', 'w').write('{"rows": 3}')
            print('three of four', flush=True)
            time.sleep(LEFT)
    """
    for left, last in (("0", "three of four"), ("60", "three of four")):
        part = program(dedent(text).replace("LEFT", left), "told", 12.0, "told.json")
        (ran,) = device.run((part,), tmp_path, 12.0, quiet())
        assert (ran.ended, ran.last, ran.figures) == ("cut off", last, {"rows": 3})
        assert ran.seconds < 30


def test_what_an_earlier_run_left_in_a_folder_makes_no_program_skip_its_work(tmp_path):
    text = """
        from pathlib import Path
        cells = Path(r'{out}') / 'store' / 'cells'
        cells.mkdir(parents=True)
        (cells / 'a.json').write_text('{"seconds": 3, "other": 1}')
    """
    part = replace(program(dedent(text), "store", figures="store/cells/*.json"), keys=("seconds",))
    for _ in range(2):
        assert [(ran.status, ran.figures) for ran in device.run((part,), tmp_path, 60, quiet())] == [(0, [{"seconds": 3}])]


@pytest.mark.slow
def test_steps_are_timed_both_ways(tmp_path, monkeypatch):
    made = []

    def launched(*given):
        made.append(Launched(*given))
        return made[-1]

    monkeypatch.setattr(steps.step, "Launched", launched)
    words = ["--device", "cpu", "--threads", "1", "--sizes", "32", "--batches", "2", "--steps", "1", "--repeats", "1"]
    steps.main([*words, "--json", str(tmp_path / "steps.json")])
    rows = json.loads((tmp_path / "steps.json").read_text())["rows"]
    assert [(row["steps"], row["batch_size"], row["notes"]) for row in rows] == [(kind, 2, []) for kind in steps.KINDS]
    assert all(row["ms_per_image"] > 0 for row in rows)
    assert made


def test_steps_that_are_cut_off_leave_what_they_have_measured(tmp_path, monkeypatch):
    def timed(size, batch, count, kind, *where):
        if kind == steps.KINDS[2]:
            raise KeyboardInterrupt
        return {"ms": 1.0, "peak_bytes": None, "notes": []}

    monkeypatch.setattr(steps, "timed", timed)
    with pytest.raises(KeyboardInterrupt):
        steps.main(["--device", "cpu", "--sizes", "32", "--batches", "2", "--json", str(tmp_path / "steps.json")])
    stored = json.loads((tmp_path / "steps.json").read_text())
    assert stored["rows"] == []
    assert [len(timings) for timings in stored["partly"]["timings"].values()] == [1, 1, *(0 for _ in steps.KINDS[2:])]


@pytest.mark.slow
def test_several_and_pairs_run_where_there_is_no_device_and_say_what_they_did(tmp_path, capsys):
    from benchmarks.training import pairs, several

    words = ["--device", "cpu", "--sizes", "32", "--batch", "2", "--steps", "1", "--json", str(tmp_path / "several.json")]
    assert several.main([*words, "--counts", "1", "--repeats", "2"]) == 0
    stored = json.loads((tmp_path / "several.json").read_text())["rows"]
    assert [(row["at_a_time"], row["n"], row["as_alone"]) for row in stored] == [(1, 2, True)]
    with pytest.raises(SystemExit):
        several.main([*words, "--counts", "1", "2"])
    assert "take turns" in capsys.readouterr().err
    pairs.main(["--device", "cpu", "--size", "32", "--epochs", "1", "--most", "4", "--json", str(tmp_path / "pairs.json")])
    stored = json.loads((tmp_path / "pairs.json").read_text())
    assert [row["done"] for row in stored["trainings"]] == [1.0] * 5
    assert [row["images"] for row in stored["trainings"]] == [4] * 5
    assert stored["ms_per_image"] == pytest.approx(1e3 * stored["seconds"] / 20)


def test_pairs_keep_what_was_measured_where_a_training_fails_or_is_cut_off(tmp_path, monkeypatch, capsys):
    from benchmarks.training import pairs

    file, seen = tmp_path / "pairs.json", []

    def train(recipe, images, labels, progress, **options):
        if len(seen) == 1:
            seen.append(None)
            raise ValueError("no such network")
        progress(0.5)
        seen.append(json.loads(file.read_text()))
        return SimpleNamespace(seconds=1.5, timings={}, notes=("as alone",))

    monkeypatch.setattr(pairs, "EVERY", -1.0)
    monkeypatch.setattr(pairs, "train", train)
    words = ["--device", "cpu", "--size", "32", "--epochs", "1", "--most", "4", "--at-a-time", "1", "--json", str(file)]
    assert pairs.main(words) == 1
    assert [row["done"] for row in seen[0]["trainings"]] == [0.5, 0, 0, 0, 0], "written while it went on"
    stored = json.loads(file.read_text())["trainings"]
    assert stored[1]["failed"] == "ValueError: no such network"
    assert [row.get("seconds") for row in stored] == [1.5, None, 1.5, 1.5, 1.5]
    assert "no such network" in capsys.readouterr().out


def test_trainings_side_by_side_say_at_once_why_one_failed_and_the_next_are_measured(tmp_path, monkeypatch, capsys):
    from benchmarks.training import several

    began = threading.Event()

    def train(recipe, images, labels, progress, seed, **options):
        if recipe.image_size == 32 and began.is_set():
            raise ValueError("the true reason")
        began.set()
        for _ in range(several.WARM + 1):
            progress(0.5)
        return SimpleNamespace(model=torch.nn.Linear(1, 1), notes=())

    monkeypatch.setattr(several, "train", train)
    monkeypatch.setattr(several, "digest_of", lambda trained: "same")
    file = tmp_path / "several.json"
    options = SimpleNamespace(sizes=[32, 64], counts=[3], batch=2, steps=1, device="cpu", compiled=False, repeats=1, json=file)
    rows = several.run(options, quiet())
    assert [(row["image_size"], row["at_a_time"], row.get("failed"), row.get("as_alone")) for row in rows] == [
        (32, 1, None, True),
        (32, 3, "ValueError: the true reason", None),
        (64, 1, None, True),
        (64, 3, None, True),
    ]
    assert json.loads(file.read_text())["rows"] == rows
    out = io.StringIO()
    Console(file=out, width=150).print(several.table_of(rows))
    assert "the true reason" in out.getvalue()
