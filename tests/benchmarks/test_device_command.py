"""The one command for a device: parts run in order within their limits, none stops another, and all is written."""

import io
import json
import sys
from pathlib import Path

import pytest
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


def test_all_parts_fit_into_the_time_that_is_lent():
    assert sum(part.most for part in device.parts("cuda")) <= 9 * 60
    assert all("cuda" in " ".join(part.words) for part in device.parts("cuda"))


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
    assert [row["images"] for row in stored["trainings"]] == [4] * 5
    assert stored["ms_per_image"] == pytest.approx(1e3 * stored["seconds"] / 20)
