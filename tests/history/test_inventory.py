"""`results`: what is stored is listed, shown and exported whole, and nothing is removed that was not named and previewed."""

import csv
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
from evaluator.history.inventory import Choice, amount, inventory, remove

OLD = Path(__file__).with_name("version_0_2")
DAY = 86_400


@pytest.fixture
def results(tmp_path) -> Path:
    """Stored results of an older kit, with a partial training, a damaged, a replaced, a foreign file, and a link to elsewhere."""
    root = Path(shutil.copytree(OLD / "results", tmp_path / "results"))
    (root / "partial").mkdir()
    (root / "partial" / "0.2.0-abc-def.pt").write_bytes(b"x" * 3_000_000)
    (root / "cells" / "abc.damaged").write_text("{")
    (root / "cells" / "replaced").mkdir()
    (root / "cells" / "replaced" / "abc-12345678.json").write_text("{}")
    (root / "notes.txt").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.txt").write_text("mine")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    return root


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
        "answers of an older kit": 1,
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
    chosen = [thing for thing in things if Choice(older_than=30).takes(thing, time.time())]
    assert sorted(thing.path for thing in chosen) == cells
    assert remove(chosen) == []
    assert not any(path.exists() or path.with_suffix(".npy").exists() for path in cells)
    assert len(list((results / "cells").glob("*.json"))) == 35


def test_a_link_in_the_place_of_a_run_is_unlinked_and_its_target_stays(results, tmp_path):
    run = next(results.glob("*-random"))
    shutil.move(run, tmp_path / "moved")
    run.symlink_to(tmp_path / "moved")
    os.utime(run, (0, 0), follow_symlinks=False)
    things, _ = inventory(results, TRACKS)
    linked = [thing for thing in things if thing.path == run]
    assert [thing.kind for thing in linked] == ["other"]
    assert remove(linked) == []
    assert (tmp_path / "moved" / "result.json").exists()


def test_what_cannot_be_removed_is_named_and_the_rest_goes(results, monkeypatch, capsys):
    unlink = Path.unlink

    def refuses(self, missing_ok=False):
        if self.suffix == ".pt":
            raise PermissionError(1, "Operation not permitted", str(self))
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuses)
    assert main(["results", "clean", "--partial", "--damaged", "--yes", "--out", str(results)]) == 1
    said = capsys.readouterr()
    assert "abc-def.pt cannot be removed (Operation not permitted)" in said.err
    assert "1 file removed" in said.out


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
    (results / "partial" / "\x1b[2J.pt").write_text("x")
    assert main(["results", "clean", "--partial", "--out", str(results)]) == 0
    said = capsys.readouterr().out
    assert "\x1b[2J" not in said
    assert "\\x1b[2J" in said


def test_the_table_holds_every_cell_with_all_its_metrics(results, tmp_path, capsys):
    file = tmp_path / "cells.csv"
    assert main(["results", "export", str(file), "--out", str(results)]) == 0
    assert "38 cells" in capsys.readouterr().out
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
