"""A submission that cannot be read is a failed row of a sweep, and an error where it is the only submission."""

import json
import os
import shutil

import pytest
import toy_track
from conftest import SUBMISSIONS
from sweeps import cells, conducted

import evaluator.sweep.experiment
import local_evaluation
from evaluator.cli.main import main
from evaluator.cli.tracks import TRACKS
from evaluator.errors import SubmissionError
from evaluator.history.store import Store
from evaluator.purchase import profiles
from evaluator.runner.cells import run_cells
from evaluator.sweep.settings import read_settings


@pytest.fixture
def five(tmp_path):
    """Five submissions; the third holds a link to /proc."""
    folders = []
    for name in ("ada", "bo", "cy", "di", "eve"):
        folder = tmp_path / "inbox" / name
        folder.mkdir(parents=True)
        shutil.copy(SUBMISSIONS / "random_buyer.py", folder / "run.py")
        (folder / "name.txt").write_text(name)
        folders.append(folder)
    (folders[2] / "link").symlink_to("/proc")
    return folders


def test_one_bad_folder_is_one_failed_row_and_the_others_are_judged(ready, five):
    experiment = ready(*five, pairs=("621:17",))
    assert "cy/link: this link leads out of the submission" in experiment.warnings[0]
    _, summary, _ = conducted(experiment)
    rows = {row["submission"]: row for row in summary["rows"]}
    assert list(rows) == ["ada", "bo", "cy", "di", "eve"]
    assert rows["cy"]["scored"] == 0
    assert rows["cy"]["score"] is None
    assert rows["cy"]["verdicts"] == {"RUNTIME_ERROR": 1}
    assert all(row["verdicts"] == {"OK": 1} and row["score"] for name, row in rows.items() if name != "cy")
    failed = next(cell for cell in summary["cells"] if cell["submission"] == "cy")
    assert "leads out of the submission" in failed["reason"]
    assert failed["score"] is None


@pytest.mark.slow
@pytest.mark.endurance
def test_its_stored_cell_is_typed_and_is_tried_again_when_the_folder_is_mended(ready, five):
    experiment = ready(*five[1:3], pairs=("621:17",))
    conducted(experiment)
    stored = [cell for cell in cells(experiment.settings.out).values() if cell["spec"]["submission"] == "cy"]
    assert [cell["verdict"] for cell in stored] == ["RUNTIME_ERROR"]
    read = TRACKS.known["purchase"].result(stored[0])
    assert read.spec.submission_digest == experiment.sources[1].digest
    assert read.purchase.bought == 0
    (five[2] / "link").unlink()
    again = ready(*five[1:3], pairs=("621:17",))
    assert not any(source.fault for source in again.sources)
    _, summary, _ = conducted(again)
    assert [(cell["submission"], cell["verdict"], cell["cached"]) for cell in summary["cells"]] == [
        ("bo", "OK", True),
        ("cy", "OK", False),
    ]


@pytest.mark.slow
@pytest.mark.endurance
def test_a_bad_folder_that_is_mended_during_the_sweep_still_fails(ready, five):
    experiment = ready(*five[1:3], pairs=("621:17",))
    (five[2] / "link").unlink()
    _, summary, _ = conducted(experiment)
    assert [cell["verdict"] for cell in summary["cells"]] == ["OK", "RUNTIME_ERROR"]


@pytest.mark.slow
@pytest.mark.endurance
def test_a_folder_that_goes_bad_during_the_sweep_fails_its_cells(ready, five):
    experiment = ready(*five[:2], pairs=("621:17",))
    (five[1] / "run.py").unlink()
    os.mkfifo(five[1] / "run.py")
    _, summary, _ = conducted(experiment)
    assert [cell["verdict"] for cell in summary["cells"]] == ["OK", "INFRASTRUCTURE"]
    assert "changed during the evaluation" in summary["cells"][1]["reason"]
    assert "named pipe" in summary["cells"][1]["reason"]


@pytest.mark.slow
@pytest.mark.endurance
def test_several_bad_folders_of_one_name(ready, five, tmp_path):
    other = tmp_path / "second" / "cy"
    shutil.copytree(five[2], other, symlinks=True)
    _, summary, _ = conducted(ready(five[0], five[2], other, pairs=("621:17",)))
    assert [row["verdicts"] for row in summary["rows"]] == [{"OK": 1}, {"RUNTIME_ERROR": 1}, {"RUNTIME_ERROR": 1}]
    assert len({row["submission"] for row in summary["rows"]}) == 3


def test_where_no_submission_can_be_read_each_is_named(ready, five):
    (five[3] / "run.py").unlink()
    with pytest.raises(SubmissionError) as caught:
        ready(five[2], five[3])
    assert "cy/link" in str(caught.value)
    assert "di holds no .py file" in str(caught.value)


@pytest.mark.endurance
def test_the_command_shows_the_row_and_its_status_is_that_of_a_failed_cell(five, tmp_path, data_folder, tiny, monkeypatch, capsys):
    monkeypatch.setitem(profiles.PROFILES, "tiny", tiny)
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    given = ["--profile", "tiny", "--sandbox", "process", "--device", "cpu", "--data", str(data_folder), "--pairs", "621:17"]
    given += ["--pipelines", "milliseconds", "--out", str(tmp_path / "out"), "--submissions", *map(str, five)]
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["sweep", *given]) == 1
    out, err = capsys.readouterr()
    assert "cy/link: this link leads out of the submission" in err
    assert "0 of 1" in out
    assert out.count("1 of 1") == 4
    assert main(["compare", str(tmp_path / "out"), "--reference", "ada", "--json"]) == 0
    names = [strategy["name"] for strategy in json.loads(capsys.readouterr().out)["tables"][0]["strategies"]]
    assert {"ada", "bo", "di", "eve"} <= set(names)


def test_the_only_submission_of_a_run_is_one_error(five, tmp_path, data_folder, tiny, monkeypatch, capsys):
    monkeypatch.setitem(profiles.PROFILES, "tiny", tiny)
    given = ["--profile", "tiny", "--sandbox", "process", "--data", str(data_folder), "--out", str(tmp_path / "out")]
    assert local_evaluation.main(["--submission", str(five[2]), *given]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert "cy/link" in err
    assert "Traceback" not in out + err


def test_any_track_gets_a_failed_row(five, tmp_path):
    guess = toy_track.GUESS
    for folder in five:
        (folder / "run.py").write_text("GUESS = 0.5 \n")
    settings, _ = read_settings({"submissions": five, "sandbox": "process", "device": "cpu", "out": tmp_path / "out"}, guess)
    experiment = evaluator.sweep.experiment.prepare(guess, settings, folder=tmp_path)
    store = Store(tmp_path / "out")
    found = list(run_cells(guess, experiment.cells, experiment.inputs, store, store.new_run("x")))
    verdicts = {(cell.spec.submission, str(cell.result.verdict)) for cell in found}
    assert verdicts == {("cy", "RUNTIME_ERROR"), *((name, "OK") for name in ("ada", "bo", "di", "eve"))}
