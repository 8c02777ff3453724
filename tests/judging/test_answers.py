"""An answer in the place of code: packed, validated, taken in by a judge and scored as code is; and hostile answers are refused."""

import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from evaluator.cleaning.given import ranking_file
from evaluator.cleaning.track import CLEANING
from evaluator.cli.main import main
from evaluator.curation.curated import as_png
from evaluator.curation.rules import PROFILES as OF_CURATION
from evaluator.curation.sets import sets_of
from evaluator.curation.track import CURATION
from evaluator.errors import ConfigurationError, SubmissionError
from evaluator.history.store import Store
from evaluator.judging import work
from evaluator.judging.inbox import take_in
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.purchase import profiles
from evaluator.purchase.given import read_ledger
from evaluator.purchase.track import PURCHASE
from evaluator.submission.package import FILE, read_package, unpacked, write_package
from evaluator.sweep import run as sweep_run
from evaluator.sweep.given import Here
from evaluator.sweep.run import run, stored_cells

TASK = "digits-4v9-uniform-0.2"
TRACKS = {"purchase": PURCHASE, "cleaning": CLEANING, "curation": CURATION}


def ledger_text(pairs=("621:17", "1321:34"), images=range(12), head="pair,seed,file") -> str:
    return "\n".join([head, *(f"{pair},,{image:04d}.png" for pair in pairs for image in images)]) + "\n"


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Trainings in this process: others take longer to start than these models to train."""
    monkeypatch.setattr(sweep_run, "Workers", lambda count, devices, together: Here())


@pytest.fixture
def tiny_known(monkeypatch, tiny):
    monkeypatch.setitem(profiles.PROFILES, "tiny", tiny)


@pytest.fixture
def answers(tmp_path, data_folder, tiny_known):
    """By track: an answer on disk, and the options of the tasks that it is for."""
    home = tmp_path / "home"
    (home / "fresh").mkdir(parents=True)
    (home / "aicrowd.json").write_text('{"team": "Foxes"}')
    (home / "bought.csv").write_text(ledger_text())
    (home / "ranked").mkdir()
    (home / "ranked" / f"{TASK}.txt").write_text("".join(f"{row}\n" for row in range(60)))
    (home / "ranked" / "README.md").write_text("notes")
    items = sets_of(OF_CURATION["debug"], 2022, None, None, None).load().items
    (home / "fresh" / "new.png").write_bytes(as_png(np.arange(144, dtype=np.uint8).reshape(12, 12)))
    (home / "other.png").write_bytes(b"not named in the table")
    lines = ["id,action,label,split,file", f"{items[0].id},drop,,,", f"{items[1].id},move,,val,"]
    lines.append(f"mine/new.png,add,{items[0].label},train,fresh/new.png")
    (home / "edits.csv").write_text("\n".join(lines) + "\n")
    return {
        "purchase": (home / "bought.csv", {"profile": "tiny", "data": str(data_folder), "pipelines": ["milliseconds"]}),
        "cleaning": (home / "ranked", {"profile": "debug", "pipelines": ["coarse"]}),
        "curation": (home / "edits.csv", {"profile": "debug"}),
    }


def judge_of(tmp_path: Path, track: str, options: dict, more: str = "answers = true") -> Place:
    root = tmp_path / f"judge-{track}"
    root.mkdir()
    (root / "judge.toml").write_text(f'name = "Round"\ntrack = "{track}"\nsandbox = "process"\n{more}\n')
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    (root / "public.toml").write_text("\n".join([*lines, "public-seeds = true", "workers = 1"]) + "\n")
    (root / "inbox" / "foxes").mkdir(parents=True)
    return Place.of(root)


def sent(place: Place, archive: Path) -> str:
    """Put a package into the inbox and have it taken in. Returns why it was refused, or nothing."""
    target = place.inbox / "foxes" / archive.name
    target.write_bytes(archive.read_bytes())
    os.utime(target, (time.time() - 60,) * 2)
    queue = Queue(place.queue, place.rules.quota)
    try:
        (row,) = take_in(place, queue, time.time, TRACKS[place.rules.track])
    finally:
        queue.close()
    return row.refused


@pytest.mark.parametrize("track", sorted(TRACKS))
def test_an_answer_goes_from_a_package_to_a_score(track, answers, tmp_path, capsys):
    path, options = answers[track]
    archive = tmp_path / "packed.zip"
    assert main(["package", str(path), "--track", track, "--out", str(archive)]) == 0
    assert f"an answer for {track}" in capsys.readouterr().out
    package = read_package(archive)
    assert (package.kind, package.entry, package.track, package.owner) == ("answer", None, track, "Foxes")
    inside = {member.path for member in package.files}
    assert (
        inside
        == {
            "purchase": {"aicrowd.json", "bought/bought.csv"},
            "cleaning": {f"ranked/{TASK}.txt", "aicrowd.json"},
            "curation": {"aicrowd.json", "edits/edits.csv", "edits/fresh/new.png"},
        }[track]
    )
    with unpacked(archive) as (_, folder):
        assert TRACKS[track].source(folder).digest == package.digest == TRACKS[track].source(path).digest
        write_package(folder, track, tmp_path / "again.zip", TRACKS[track].given(folder))
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes(), "equal files give an equal archive"
    held = [word for name in ("profile", "data") if name in options for word in (f"--{name}", options[name])]
    assert main(["validate", str(archive), *held, "--public-seeds", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fit_to_submit"]
    assert "held against" in found["run"]

    place = judge_of(tmp_path, track, options)
    assert sent(place, archive) == ""
    queue = Queue(place.queue, place.rules.quota)
    job = queue.claim("a", time.time(), 600)
    queue.close()
    command = work.sweep_command(place, job, place.submissions / job.sha256 / package.name)
    assert main(command[3:]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert {cell["verdict"] for cell in summary["cells"]} == {"OK"}
    assert all(cell["score"] is not None and cell["fit_to_submit"] for cell in summary["cells"])
    stored = [json.loads(file.read_text()) for file in (place.results("public") / "cells").glob("*.json")]
    assert {cell["spec"]["tier"] for cell in stored} == {"file"}, "no sandbox had a part in it"
    assert not any(cell["phases"] for cell in stored)


def test_a_ledger_buys_what_a_strategy_bought(ready, tmp_path):
    """The same images in the same order are the same purchase: equal labels, equal model, equal score to the bit."""

    def cells(experiment):
        store = Store(experiment.settings.out)
        found = []
        run(experiment, store, "test", lambda outcome: found.extend(stored_cells(experiment, store, outcome)))
        return {cell.spec.task: cell.result for cell in found}

    bought = cells(ready(out=tmp_path / "code"))
    files = ready().plan.data["validation"].splits["unlabelled"].files
    lines = ["pair,seed,order,index,file,seconds"]
    for pair, result in bought.items():
        lines += [f"{pair},0,{sold.order},{sold.index},{files[sold.image]},1.5" for sold in result.ledger]
    (tmp_path / "purchases.csv").write_text("\n".join(lines) + "\n")
    again = cells(ready(tmp_path / "purchases.csv", out=tmp_path / "file"))
    assert again.keys() == bought.keys()
    for pair, result in bought.items():
        assert [(s.image, s.label) for s in again[pair].ledger] == [(s.image, s.label) for s in result.ledger]
        assert [s.index for s in again[pair].ledger] == [s.index for s in result.ledger], "as a strategy of this cell names them"
        assert again[pair].fingerprint == result.fingerprint
        assert again[pair].metrics == result.metrics


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ledger_text(images=range(13)), "bought.csv, line 14: label number 13 for 621:17; the budget is 12 labels"),
        (ledger_text(images=[3, 80]), "bought.csv, line 3: 0080.png is not in the pool; expected one of its 80 images"),
        ("pair,file\n621:17,../../secret\n", "line 2: ../../secret is not in the pool"),
        (ledger_text(pairs=["621:17"]), "no line is for the pair 1321:34 and the seed 0; it has 621:17"),
    ],
)
def test_a_ledger_is_held_against_budget_and_pool(ready, tmp_path, capsys, data_folder, text, said):
    path = tmp_path / "bought.csv"
    path.write_text(text)
    experiment = ready(path)
    faults = [PURCHASE.obtain(spec, experiment.inputs(spec), lambda what, share: None).as_dict() for spec in experiment.cells]
    wrong = [row for row in faults if row["verdict"] != "OK"]
    assert {row["verdict"] for row in wrong} == {"INVALID_OUTPUT"}
    assert any(said in row["reason"] for row in wrong)
    assert not any(row["ledger"] for row in wrong)
    assert str(tmp_path) not in json.dumps([row["reason"] for row in wrong])
    assert main(["validate", str(path), "--profile", "tiny", "--data", str(data_folder), "--public-seeds"]) == 1
    assert said.partition(": ")[2][:30] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "line 1: pair is not among the columns"),
        (b"pair,fil\n", "file is not among the columns; did you mean 'fil'?"),
        (b"pair,pair,file\n", "pair is twice"),
        (b"pair,file\n", "it holds no purchase"),
        (b"pair,file\n621-17,a.png\n", "line 2: pair is '621-17'; expected LABELS:MINUTES"),
        (b"pair,file\n621:17,\n", "line 2: file is empty"),
        (b"pair,seed,file\n621:17,-1,a.png\n", "line 2: seed is '-1'"),
        (b"pair,file\n621:17,a.png\n621:17,b.png\n621:17,a.png\n", "line 4: a.png is bought for 621:17 in line 2 already"),
        (b"pair,file\n621:17,a.png,3\n", "line 2: 3 cells; expected 2"),
        (b"pair,file\n621:17," + b"a" * 1_001 + b"\n", "of at most 1,000 characters"),
        (b'pair,file\n621:17,"a\n', "it is no CSV"),
        (b"pair,file\n621:17,\xff\n", "is not UTF-8"),
        (b"\x00\x00\x00", "is not among the columns"),
        (b"pair,file\n621:17,\x1b[31mred\x07\n621:17,\x1b[31mred\x07\n", r"\x1b[31mred\x07 is bought"),
    ],
)
def test_a_file_that_is_no_ledger_is_named_by_line_and_value(tmp_path, text, said):
    (tmp_path / "bought.csv").write_bytes(text)
    with pytest.raises(ConfigurationError) as error:
        read_ledger(tmp_path / "bought.csv")
    assert said in str(error.value)
    (finding,) = PURCHASE.examined(tmp_path / "bought.csv").errors
    assert finding.line == str(error.value).replace(f"{tmp_path}/", "")


def test_lines_of_a_seed_go_before_those_of_every_seed(tmp_path, tiny):
    (tmp_path / "b.csv").write_text("\ufeffseed,file,pair\n,a.png, 621:17\n3,'-b.png,621:17\n")
    ledger = read_ledger(tmp_path / "b.csv")
    assert [wish.file for wish in ledger.of(tiny.pairs[0], 3)] == ["-b.png"]
    assert [wish.file for wish in ledger.of(tiny.pairs[0], 4)] == ["a.png"]
    assert ledger.of(tiny.pairs[1], 4) == ()
    (tmp_path / "c.csv").write_text("\ufeffseed;file;pair\r\n;a, b.png; 621:17\r\n")
    assert [wish.file for wish in read_ledger(tmp_path / "c.csv").of(tiny.pairs[0], 3)] == ["a, b.png"]


@pytest.mark.parametrize(
    ("files", "task", "seed", "name"),
    [
        ("a.txt a_seed1.txt", "a", 1, "a_seed1.txt"),
        ("a.txt a_seed1.txt", "a", 2, "a.txt"),
        ("a_mine.txt time_a_mine.txt a_seed3.txt", "a", 1, "a_mine.txt"),
        ("a_mine.txt a_yours.txt", "a", 1, "2 rankings of it are there"),
        ("b.txt", "a", 1, "a.txt: it is not there"),
        ("digit.txt", "digits", 1, "did you mean 'digit.txt'?"),
    ],
)
def test_the_ranking_of_a_task_is_found_by_its_name(tmp_path, files, task, seed, name):
    for file in files.split():
        (tmp_path / file).write_text("0\n")
    if not name.endswith(".txt") or ":" in name:
        with pytest.raises(ConfigurationError, match=name.replace("?", r"\?")):
            ranking_file(tmp_path, task, seed)
    else:
        assert ranking_file(tmp_path, task, seed).name == name


def test_a_ranking_that_does_not_fit_the_task_is_invalid_output(answers, capsys):
    folder, _ = answers["cleaning"]
    (folder / f"{TASK}.txt").write_text("".join(f"{row}\n" for row in range(59)))
    assert CLEANING.examined(folder).fit(), "how many rows the task has is known where it is read"
    assert main(["validate", str(folder), "--track", "cleaning", "--profile", "debug"]) == 1
    assert "59 lines for 60 training rows, and row 59 is not among them" in " ".join(capsys.readouterr().out.split())
    (folder / f"{TASK}.txt").write_text("0\n1\n1\n")
    (error,) = CLEANING.examined(folder).errors
    assert error.line.startswith(f"{TASK}.txt, line 3: row 1 stands in line 2 already")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x.png,add,i,train,../../etc/passwd", "edits.csv, line 2: file is '../../etc/passwd'"),
        ("x.png,add,i,train,id_rsa", "the name of an image was expected"),
        ("x.png,add,i,train,.ssh/a.png", "not hidden and no secret"),
        ("x.png,add,i,train,gone.png", "edits.csv, line 2: file is 'gone.png'; there is no such file beside the table"),
        ("x.png,add,i,train,out.png", "leads out of the submission"),
        ("x.png,paint,i,train,", "line 2: action is 'paint'"),
    ],
)
def test_a_table_takes_nothing_along_but_its_images(tmp_path, row, said):
    (tmp_path / "secret.png").write_bytes(b"x")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "a.png").write_bytes(b"x")
    (home / "id_rsa").write_bytes(b"x")
    (home / "out.png").symlink_to("../secret.png")
    (home / "edits.csv").write_text(f"id,action,label,split,file\n{row}\n")
    found = CURATION.examined(home / "edits.csv")
    assert any(said in finding.line for finding in found.errors)
    assert found.files == 1
    assert main(["package", str(home / "edits.csv"), "--track", "curation", "--out", str(tmp_path / "x.zip")]) == 1
    assert not (tmp_path / "x.zip").exists()


def forged(archive: Path, target: Path, change=lambda manifest: None, files: dict | None = None) -> Path:
    """A package with another manifest, and further files."""
    import hashlib

    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        manifest = json.loads(old.read(FILE))
        for path, content in (files or {}).items():
            manifest["files"].append({"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        change(manifest)
        new.writestr(FILE, json.dumps(manifest))
        for name in old.namelist():
            if name != FILE:
                new.writestr(name, old.read(name))
        for path, content in (files or {}).items():
            new.writestr(path, content)
    return target


def test_hostile_packages_are_refused(answers, tmp_path, submission):
    path, options = answers["purchase"]
    good = tmp_path / "good.zip"
    write_package(path, "purchase", good, PURCHASE.given(path))
    code = submission("from run import ZEWDPCBaseRun\nclass Mine(ZEWDPCBaseRun):\n    def purchase_phase(self):\n        pass\n")
    write_package(code, "purchase", tmp_path / "code.zip")
    place = judge_of(tmp_path, "purchase", options)
    run_py = {"bought/run.py": b"import os"}

    def as_code(manifest):
        manifest |= {"kind": "code", "entry": "run.py"}

    hostile = [
        (forged(good, tmp_path / "a.zip", files=run_py), "the manifest says that the package is an answer, and this is code"),
        (forged(good, tmp_path / "b.zip", as_code), "the manifest names it as the main file, and it is not there"),
        (forged(good, tmp_path / "c.zip", as_code, {"bought/run.pyc": b"x"}), "main file"),
        (
            forged(good, tmp_path / "d.zip", lambda m: m.update(entry="bought.csv")),
            "entry is not null",
        ),
        (forged(good, tmp_path / "e.zip", lambda m: m.update(kind="oracle", entry="x")), "kind is 'oracle'"),
        (forged(tmp_path / "code.zip", tmp_path / "f.zip", lambda m: m.update(kind="answer", entry=None)), "this is code"),
        (forged(good, tmp_path / "g.zip", files={"bought/other.csv": b"pair,file\n"}), "one ledger was expected"),
        (forged(good, tmp_path / "h.zip", files={"bought/sub/x.bin": b"x"}), "it has no place in an answer"),
    ]
    for archive, said in hostile:
        assert said in sent(place, archive), archive.name
    closed = judge_of(tmp_path / "home", "purchase", options, "")
    assert "this round judges code" in sent(closed, good)
    assert sent(place, tmp_path / "code.zip") == "", "where answers are judged, code is, too"


def test_code_is_never_taken_for_an_answer(tmp_path, submission):
    code = submission("x = 1\n", ledger__csv="pair,file\n621:17,a.png\n", ranking__txt="0\n")
    assert [track.given(code) for track in TRACKS.values()] == [None] * 3
    (tmp_path / "empty").mkdir()
    assert [track.given(tmp_path / "empty") for track in TRACKS.values()] == [None] * 3
    assert PURCHASE.given(tmp_path / "gone.csv") is None
    assert PURCHASE.examined(tmp_path / "gone.csv").unread


def test_a_link_out_of_an_answer_is_refused(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (tmp_path / "elsewhere.csv").write_text("pair,file\n621:17,a.png\n")
    (folder / "a.csv").symlink_to("../elsewhere.csv")
    with pytest.raises(SubmissionError, match="leads out of the submission"):
        PURCHASE.given(folder)
    assert PURCHASE.source(folder).fault
    assert "leads out" in PURCHASE.examined(folder).errors[0].line


def test_an_answer_is_sent_to_a_judge_and_not_by_git(answers, tmp_path, capsys):
    path, _ = answers["cleaning"]
    (tmp_path / "inbox").mkdir()
    assert main(["submit", str(path), "--track", "cleaning", "--to", str(tmp_path / "inbox")]) == 0
    (archive,) = (tmp_path / "inbox").iterdir()
    assert read_package(archive).kind == "answer"
    assert main(["submit", str(path), "--track", "cleaning", "--to", "git"]) == 2
    assert "by git goes code" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--data", "x"], ["--seeds", "2"], ["--public-seeds"]])
def test_options_of_tasks_are_refused_for_code(submission, capsys, option):
    code = submission("class Mine:\n    def purchase_phase(self):\n        pass\n")
    assert main(["validate", str(code), *option]) == 2
    assert f"{option[0]}: the submission is code, which is run on a few made-up images" in capsys.readouterr().err
