"""Stored files of any content end no command: what is not as it should be is named, set aside and run again."""

import json
import os
import shutil
from pathlib import Path

import pytest
from fabricated import scored
from specs import spec

from evaluator.cli.main import main
from evaluator.cli.tracks import TRACKS
from evaluator.history.checksum import sealed
from evaluator.history.index import read_index
from evaluator.history.reading import read_cells
from evaluator.history.store import Store
from evaluator.specs import digest_of
from evaluator.track import Judged

OLD = Path(__file__).with_name("version_0_2")


def changed(cell: dict, path: str, value: object) -> dict:
    """The cell with one member set; its checksum is made anew by ``sealed``."""
    new = json.loads(json.dumps({name: member for name, member in cell.items() if name != "checksum"}))
    *above, last = path.split(".")
    place = new
    for name in above:
        place = place[name]
    place[last] = value
    return new


BAD = {
    "metrics.macro_f1": "high",
    "metrics.accuracy": 10**400,
    "metrics": None,
    "versions": [1],
    "versions.torch": {"a": 1},
    "verdict": "GREAT",
    "reason": 3,
    "scored": "yes",
    "phases": [{"seconds": "long"}],
    "answer": {"file": 1},
    "spec": [],
    "spec.seed": 5,
    "spec.profile": {},
    "spec.pipeline": "quick",
    "schema": 99,
    "predictions": {"file": "x.npy", "sha256": "0", "shape": [2, "6"]},
    "purchase": {},
}


@pytest.fixture
def results(tmp_path):
    """One good cell in a folder of results: (folder, path of the cell, its content)."""
    store = Store(tmp_path / "results")
    good = spec("random")
    store.write_cell(Judged(scored(good, "0" * 64, 0.5)))
    path = store.cell_path(good.digest())
    return tmp_path / "results", path, json.loads(path.read_text())


@pytest.mark.parametrize("member", BAD)
def test_a_member_that_is_not_usable_is_named_by_every_reader(results, member, capsys):
    root, path, cell = results
    path.write_text(sealed(changed(cell, member, BAD[member])))
    ((_, read, why),) = read_cells(root, TRACKS)
    assert read is None
    assert why
    assert len(read_index(root, TRACKS).damaged) == 1
    assert main(["compare", str(root)]) == (0 if member in ("phases", "predictions") else 2), "compare reads neither of the two"
    assert main(["panel", str(root)]) == 2
    assert main(["replay", str(path)]) == 2
    assert main(["results", "list", "--out", str(root)]) == 0
    assert main(["results", "export", str(root / "x.csv"), "--out", str(root)]) == 0
    assert "Traceback" not in capsys.readouterr().err
    store = Store(root)
    if member != "purchase":  # its type is the track's, which the store does not know
        assert store.read_cell(path.stem) is None
        assert path.with_suffix(".damaged").exists()


def test_the_good_cell_is_read(results):
    root, path, cell = results
    ((_, read, why),) = read_cells(root, TRACKS)
    assert why == ""
    assert read == {name: value for name, value in cell.items() if name != "checksum"}
    assert digest_of(cell["spec"]) == path.stem


def test_what_is_no_regular_file_is_named_and_stops_nobody(results, capsys):
    root, path, _ = results
    (root / "cells" / "a.json").mkdir()
    (root / "cells" / "b.json").symlink_to("nowhere")
    os.mkfifo(root / "cells" / "c.json")
    shutil.copy(path, root / "cells" / "d.json")
    index = read_index(root, TRACKS)
    assert sorted(index.damaged) == [
        "a.json is not a regular file",
        "b.json is not a regular file",
        "c.json is not a regular file",
        "d.json does not hold this cell",
    ]
    assert list(index.cells) == [path.stem]
    assert main(["compare", str(root)]) == 0
    assert main(["results", "list", "--out", str(root)]) == 0
    assert main(["results", "export", str(root / "x.csv"), "--out", str(root)]) == 0


def test_a_ledger_that_was_changed_is_not_replayed(tmp_path, capsys):
    cell = sorted((OLD / "results" / "cells").glob("*.json"))[0]
    copy = tmp_path / cell.name
    content = json.loads(cell.read_text())
    content["ledger"][0]["label"] = [1 - value for value in content["ledger"][0]["label"]]
    copy.write_text(json.dumps(content))
    assert main(["replay", str(copy)]) == 2
    assert "was changed after it was written" in capsys.readouterr().err


def test_a_stored_text_steers_no_terminal(results, capsys):
    root, path, cell = results
    failed = changed(cell, "reason", "\x1b[31mred\x1b]0;title\x07\ud800") | {
        "scored": False,
        "metrics": None,
        "verdict": "RUNTIME_ERROR",
    }
    path.write_text(sealed(failed), errors="surrogatepass")
    main(["compare", str(root)])
    main(["results", "show", path.stem, "--out", str(root)])
    said = "".join(capsys.readouterr())
    assert "\x1b" not in said
    assert "\\x1b[31mred" in said
