"""`results`: what is stored is listed, shown and exported whole, and nothing is removed that was not named and previewed."""

import csv
import errno
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from evaluator.cli.main import main
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError
from evaluator.history.export import rows, write_table
from evaluator.history.inventory import Choice, amount, inventory, remove, select
from evaluator.history.store import Store

OLD = Path(__file__).with_name("version_0_2")
DAY = 86_400
HASH = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def results(tmp_path) -> Path:
    """Stored results of an older kit, with a partial training, a damaged, a replaced, a foreign file, and a link to elsewhere."""
    root = Path(shutil.copytree(OLD / "results", tmp_path / "results"))
    (root / "partial").mkdir()
    (root / "partial" / f"0.2.0-{HASH}-{HASH[:16]}.pt").write_bytes(b"x" * 3_000_000)
    (root / "cells" / f"{HASH}.damaged").write_text("{")
    (root / "cells" / "replaced").mkdir()
    (root / "cells" / "replaced" / f"{HASH}-12345678.json").write_text("{}")
    (root / "notes.txt").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.txt").write_text("mine")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    return root


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def age_all(folder: Path, days: float = 90) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - days * DAY,) * 2, follow_symlinks=False)


def clean(root: Path, *options: str) -> int:
    return main(["results", "clean", *options, "--yes", "--out", str(root)])


def kinds(root: Path) -> dict[str, int]:
    things, _ = inventory(root, TRACKS)
    return {kind: sum(thing.kind == kind for thing in things) for kind in {thing.kind for thing in things}}


def test_everything_is_listed_by_what_it_is(results):
    assert kinds(results) == {
        "cell": 38,
        "partial training": 1,
        "run": 3,
        "damaged": 1,
        "replaced": 1,
        "answers of an older kit": 14,
        "index": 1,
        "other": 2,
    }
    things, _ = inventory(results, TRACKS)
    partial = next(thing for thing in things if thing.kind == "partial training")
    assert partial.size == 3_000_000
    link = next(thing for thing in things if thing.path.name == "link")
    assert link.size < 1_000, "a link is not followed"


def test_the_list_names_submissions_sizes_and_failures(results, capsys):
    assert main(["results", "list", "--out", str(results)]) == 0
    said = capsys.readouterr().out
    for part in ("random (ed0c8ca0)", "broken (33306898)", "partial training", "3.0 MB", "answers of an older kit"):
        assert part in said


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--partial"], {"partial training"}),
        (["--damaged", "--replaced"], {"damaged", "replaced"}),
        (["--failed"], set()),
        (["--older-than", "400"], set()),
    ],
)
def test_clean_is_a_preview_until_it_is_confirmed(results, capsys, options, gone):
    before = kinds(results)
    assert main(["results", "clean", *options, "--out", str(results)]) == 0
    assert "nothing was" in capsys.readouterr().out
    assert kinds(results) == before
    assert main(["results", "clean", *options, "--yes", "--out", str(results)]) == 0
    after = kinds(results)
    assert gone.isdisjoint(after)
    assert after.get("cell") == (26 if "--failed" in options else 38)
    assert after["other"] == 2, "what the kit does not know is never removed"


def test_only_what_is_old_goes_and_a_cell_takes_its_predictions_along(results):
    cells = sorted((results / "cells").glob("*.json"))[:3]
    for path in cells:
        path.with_suffix(".npy").write_bytes(b"p" * 100)
        os.utime(path, (time.time() - 40 * DAY,) * 2)
    things, _ = inventory(results, TRACKS)
    chosen = select(things, Choice(older_than=30), time.time(), idle=True).chosen
    assert sorted(thing.path for thing in chosen) == cells
    assert remove(results, chosen).failed == []
    assert not any(path.exists() or path.with_suffix(".npy").exists() for path in cells)
    assert len(list((results / "cells").glob("*.json"))) == 35


def test_a_run_goes_with_every_file_that_the_kit_writes_into_it(results, capsys):
    runs = [path for path in results.iterdir() if path.name.startswith("2")]
    assert runs
    for run in runs:
        (run / "report.html").write_text("<p>")
    assert kinds(results)["run"] == len(runs)
    age_all(results)
    assert clean(results, "--older-than", "1") == 0
    assert "cannot be removed" not in capsys.readouterr().err
    assert not any(run.exists() for run in runs)


def test_a_folder_that_is_no_folder_of_results_is_refused_whole(tmp_path, capsys):
    """A home folder with subfolders that are named like ours lost what was in them."""
    home = tmp_path / "home"
    for name in (
        *("project/thesis.txt", "project/logs/a", "purchases/2024/invoice.pdf", "partial/my-novel.docx", "answers/exam.json"),
        *(
            "answers/x.damaged",
            "cells/replaced/battery.txt",
            f"cells/{HASH}.json",
            "20240101-120000-photos/result.json",
            "store.json",
        ),
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("[]")
    (home / "index.json").mkdir()
    age_all(home)
    before = everything(home)
    assert clean(home, "--older-than", "30", "--partial", "--damaged", "--replaced") == 2
    said = capsys.readouterr().err
    assert f"--out: {home} is not a folder of results" in said
    assert "nothing was removed" in said
    assert everything(home) == before


def test_in_a_folder_of_results_only_what_the_kit_made_goes(results, capsys):
    foreign = {
        *("project/thesis.txt", "project/logs/a", "partial/my-novel.docx", "answers/exam.json", "answers/x.damaged"),
        *("cells/replaced/battery.txt", "purchases/invoice.pdf", "partial/0.2.0-abc-def.pt", f"cells/{HASH}.txt", "store.json"),
        *(
            f"{HASH}.damaged",
            "20240101-120000-photos/photo.png",
            "20240101-120001-sweep/logs/photo.png",
            "20240101-120002/sweep.json",
        ),
    }
    for name in foreign:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("{}")
    with_a_note = next(results.glob("*-random"))
    (with_a_note / "note.txt").write_text("mine")
    age_all(results)
    assert clean(results, "--older-than", "30") == 0
    left = {path for path in everything(results) if not (results / path).is_dir()}
    assert left == foreign | {"notes.txt", "index.json"} | {
        f"{with_a_note.name}/{name}" for name in ("note.txt", "result.json", "purchases.csv", "logs/621x17-seed0.log")
    }
    assert (results / "link").is_symlink()
    assert "15 files and folders in it were not made by the kit" in capsys.readouterr().out.replace("\n", " ")


def test_a_new_folder_of_results_is_recognised_before_anything_is_in_it(tmp_path):
    root = tmp_path / "results"
    Store(root)
    assert clean(root, "--older-than", "0") == 0
    assert everything(root) == ["answers", "cells", "partial", "store.json"]
    run = Store(root).new_run("killed")
    (run / "logs" / "621x17-seed0.log").write_text("a run that was killed has no summary")
    age_all(root)
    assert clean(root, "--older-than", "30") == 0
    assert everything(root) == ["answers", "cells", "partial", "store.json"]


@pytest.mark.parametrize(
    "place", ["partial", "cells", "answers", "purchases", "cells/replaced", "20240101-120000-sweep", "run/logs"]
)
def test_nothing_is_removed_through_a_link(results, tmp_path, place):
    """The link itself stays, too: the kit makes none."""
    victim = tmp_path / "victim"
    (victim / "logs").mkdir(parents=True)
    for name in (f"{HASH}.json", f"{HASH}.damaged", f"0.2.0-{HASH}-{HASH[:16]}.pt", f"{HASH}-12345678.json", "a.log", "logs/a.log"):
        (victim / name).write_text("{}")
    shutil.copy(next(results.glob("*-sweep")) / "sweep.json", victim)
    shutil.copy(next((results / "cells").glob("*.json")), victim)
    before = everything(victim)
    place = place.replace("run", next(results.glob("*-random")).name)
    if (results / place).is_dir():
        shutil.rmtree(results / place)
    (results / place).symlink_to(victim)
    age_all(results)
    age_all(victim)
    clean(results, "--older-than", "30", "--partial", "--damaged", "--replaced")
    assert everything(victim) == before
    assert (results / place).is_symlink()


def test_a_folder_that_becomes_a_link_after_the_preview_is_not_followed(results, tmp_path):
    things, _ = inventory(results, TRACKS)
    chosen = select(things, Choice(partial=True, older_than=0), time.time() + 1, idle=True).chosen
    run = next(results.glob("*-random"))
    moved = [Path(shutil.move(folder, tmp_path / folder.name)) for folder in (results / "partial", run)]
    for folder in moved:
        (results / folder.name).symlink_to(folder)
    before = [everything(folder) for folder in moved]
    failed = remove(results, chosen).failed
    assert [everything(folder) for folder in moved] == before
    assert len(failed) == 2


def test_what_lies_on_another_file_system_stays(results, monkeypatch):
    inode, real = (results / "partial").stat().st_ino, os.fstat
    things, _ = inventory(results, TRACKS)

    def elsewhere(descriptor):
        found = real(descriptor)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if found.st_ino == inode else found

    monkeypatch.setattr(os, "fstat", elsewhere)
    failed = remove(results, select(things, Choice(partial=True, damaged=True), time.time(), idle=True).chosen).failed
    monkeypatch.undo()
    assert len(failed) == 1
    assert "another file system" in failed[0]
    assert [kinds(results).get(kind) for kind in ("partial training", "damaged")] == [1, None]


def test_what_a_running_evaluation_needs_stays_and_is_named(results, capsys):
    """Its own run and whatever it may read stay; finished runs, damaged and replaced files go."""
    with Store(results).running("sweep") as run:
        (run / "logs" / "a.log").write_text("x")
        age_all(results)
        (run / "logs" / "b.log").write_text("x")
        assert main(["results", "clean", "--older-than", "30", "--out", str(results)]) == 0
        assert "40 more files and runs are in use" in capsys.readouterr().err
        assert clean(results, "--older-than", "30") == 0
        assert "40 more files and runs are in use: an evaluation is running" in capsys.readouterr().err
        assert everything(run) == ["logs", "logs/a.log", "logs/b.log"]
        found = kinds(results)
        assert {kind: found.get(kind) for kind in ("cell", "partial training", "run", "damaged", "replaced")} == {
            **{"cell": 38, "partial training": 1, "run": 1},
            **{"damaged": None, "replaced": None},
        }
    assert clean(results, "--older-than", "0") == 0
    assert "in use" not in capsys.readouterr().err
    assert set(kinds(results)) == {"index", "other"}


def test_what_cannot_be_removed_is_named_and_the_rest_goes(results, monkeypatch, capsys):
    unlink = os.unlink

    def refuses(path, *, dir_fd=None):
        if str(path).endswith(".pt"):
            raise PermissionError(errno.EPERM, "Operation not permitted", path)
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuses)
    assert main(["results", "clean", "--partial", "--damaged", "--yes", "--out", str(results)]) == 1
    said = capsys.readouterr()
    assert f"{HASH[:16]}.pt cannot be removed (Operation not permitted)" in said.err
    assert "1 file removed" in said.out
    assert "1 could not be" in said.out


def test_what_was_removed_is_counted_and_not_what_was_planned(results):
    things, _ = inventory(results, TRACKS)
    chosen = select(things, Choice(older_than=0), time.time() + 10, idle=True).chosen
    gone = next(thing for thing in chosen if thing.kind == "partial training")
    gone.path.unlink()  # by somebody else
    removed = remove(results, chosen)
    assert removed.failed == []
    assert removed.things == len(chosen) - 1
    assert removed.size == sum(thing.size for thing in chosen if thing is not gone)


def test_nothing_named_is_refused(results, capsys):
    assert main(["results", "clean", "--out", str(results)]) == 2
    assert "--partial" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="0 days or more"):
        Choice(older_than=-1)
    assert main(["results", "list", "--out", str(results / "nowhere")]) == 2


def test_a_cell_is_shown_by_the_beginning_of_its_name(results, capsys):
    stored = {path.stem: json.loads(path.read_text()) for path in (results / "cells").glob("*.json")}
    name, cell = next((name, cell) for name, cell in stored.items() if cell["scored"])
    assert main(["results", "show", name[:12], "--out", str(results)]) == 0
    said = capsys.readouterr().out
    assert f"{cell['metrics']['macro_f1']:.6g}" in said
    assert cell["spec"]["pair"] in said
    assert main(["results", "show", "", "--out", str(results)]) == 2
    assert "38 cells in" in capsys.readouterr().err


def test_names_from_outside_steer_no_terminal(results, capsys):
    (results / "cells" / "\x1b[2J.json").write_text("x")
    assert main(["results", "list", "--out", str(results)]) == 0
    said = capsys.readouterr().out
    assert "\x1b[2J" not in said
    assert "\\x1b[2J" in said


def test_the_table_holds_every_cell_with_all_its_metrics(results, tmp_path, capsys):
    file = tmp_path / "cells.csv"
    assert main(["results", "export", str(file), "--out", str(results)]) == 0
    assert "38 rows" in capsys.readouterr().out
    with open(file, newline="") as opened:
        table = {row["cell"]: row for row in csv.DictReader(opened)}
    assert len(table) == 38
    for path in (results / "cells").glob("*.json"):
        cell, row = json.loads(path.read_text()), table[path.stem]
        assert (row["task"], row["seed"]) == (cell["spec"]["pair"], str(cell["spec"]["seed"]))
        assert row["purchase_bought"] == str(cell["purchase"]["bought"])
        if cell["scored"]:
            for name, value in cell["metrics"].items():
                if name != "f1":
                    assert float(row[name]) == value
            assert {name: float(row[f"f1_{name}"]) for name in cell["metrics"]["f1"]} == cell["metrics"]["f1"]
        else:
            assert row["macro_f1"] == ""


def test_a_parquet_table_holds_the_same(results, tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    table, damaged = rows(results, TRACKS)
    assert damaged == []
    assert write_table(tmp_path / "cells.parquet", table) == 38
    back = pyarrow.read_table(tmp_path / "cells.parquet").to_pylist()
    assert [row["macro_f1"] for row in back] == [row.get("macro_f1") for row in table]


def test_a_number_beyond_64_bits_is_text_in_parquet(results, tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    table, _ = rows(results, TRACKS)
    large = 2**128 + 1
    write_table(tmp_path / "cells.parquet", [table[0] | {"root_seed": large}, *table[1:]])
    back = pyarrow.read_table(tmp_path / "cells.parquet").to_pylist()
    assert [row["root_seed"] for row in back] == [str(large), *(str(row["root_seed"]) for row in table[1:])]
    assert [row["seed"] for row in back] == [row["seed"] for row in table]


@pytest.mark.parametrize(
    "command",
    [
        ("results", "list", "--out"),
        ("results", "show", "aa", "--out"),
        ("results", "export", "x.csv", "--out"),
        ("results", "clean", "--partial", "--out"),
        ("compare",),
        ("panel",),
    ],
    ids=" ".join,
)
def test_every_verb_says_the_same_of_a_folder_without_results(tmp_path, capsys, command):
    assert main([*command, str(tmp_path / "absent")]) == 2
    assert f"the results folder {tmp_path / 'absent'} does not exist; name the folder that --out named" in capsys.readouterr().err
    if "clean" not in command:  # it has its own rule for what is a folder of results
        assert main([*command, str(tmp_path)]) == 2
        assert f"the folder {tmp_path} holds no results (no folder cells/)" in capsys.readouterr().err


def test_another_ending_is_refused(results, tmp_path, capsys):
    assert main(["results", "export", str(tmp_path / "cells.xls"), "--out", str(results)]) == 2
    assert ".csv or .parquet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (202_000_000, "202 MB"), (3 * 10**12, "3.0 TB")]
)
def test_sizes_in_words(size, words):
    assert amount(size) == words
