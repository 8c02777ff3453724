"""The store: whole files or none, damage is set aside, and a folder that cannot be written is refused before any work."""

import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SUBMISSIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import NEWER, VERSIONS, result, spec

from evaluator import files
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError, Verdict
from evaluator.files import hold
from evaluator.history.checksum import sealed
from evaluator.history.index import read_index
from evaluator.history.predictions import read_predictions
from evaluator.history.reading import read_cells
from evaluator.history.store import Store
from evaluator.purchase.cell import Scored, judge
from evaluator.purchase.purchased import buy
from evaluator.purchase.rounds import ROUND1
from evaluator.purchase.track import PURCHASE
from evaluator.records import AttemptRow
from evaluator.sandbox.process import ProcessSandbox
from evaluator.scoring.metrics import Metrics, score
from evaluator.track import CellInputs, Judged
from evaluator.training.predict import decide

ROOT = Path(__file__).resolve().parents[2]
RESULT = result(spec(), 0.5)
DIGEST = RESULT.spec.digest()
CELL = json.loads(json.dumps(RESULT.as_dict()))
PREDICTIONS = np.random.default_rng(0).random((80, 6), dtype=np.float32)


def leftovers(root: Path) -> list[str]:
    return sorted(p.name for p in root.rglob(".*") if p.is_file())


def test_a_cell_comes_back_as_it_was_stored(tmp_path):
    store = Store(tmp_path / "deep" / "results")
    assert store.read_cell(DIGEST) is None
    assert store.write_cell(Judged(RESULT)) == RESULT
    assert store.cell_path(DIGEST).is_file()
    assert store.read_cell(DIGEST) == CELL
    assert PURCHASE.result(store.read_cell(DIGEST)) == RESULT
    assert Store(tmp_path / "deep" / "results").read_cell(DIGEST) == CELL
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        json.dumps(CELL, sort_keys=True).encode()[:-5],
        b"[]",
        b"null",
        b'{"cell": "other", "verdict": "OK"}',
        json.dumps({"cell": DIGEST}).encode(),
        b"\xff\xfe\x00",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_damaged_cell_is_set_aside_with_a_warning_and_counts_as_none(tmp_path, capsys, content):
    store = Store(tmp_path)
    store.cell_path(DIGEST).write_bytes(content)
    assert store.read_cell(DIGEST) is None
    assert not store.cell_path(DIGEST).exists()
    assert store.cell_path(DIGEST).with_suffix(".damaged").read_bytes() == content
    warning = capsys.readouterr().err
    assert f"{DIGEST}.json" in warning
    assert f"{DIGEST}.damaged" in warning
    store.write_cell(Judged(RESULT))
    assert store.read_cell(DIGEST) == CELL


def test_a_failure_while_writing_leaves_the_old_file_whole(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write_cell(Judged(RESULT, PREDICTIONS))
    before = store.read_cell(DIGEST)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for judged in (Judged(replace(RESULT, reason="another")), Judged(replace(RESULT, reason="another"), 1 - PREDICTIONS)):
        with pytest.raises(ConfigurationError, match=r"No space left.*--out"):
            store.write_cell(judged)
        assert store.read_cell(DIGEST) == before
        assert np.array_equal(read_predictions(tmp_path, before), PREDICTIONS.astype(np.float16))
    assert leftovers(tmp_path) == []


def test_a_reader_keeps_the_file_that_it_opened_whole(tmp_path):
    store = Store(tmp_path)
    store.write_cell(Judged(replace(RESULT, reason="x" * 100_000)))
    with open(store.cell_path(DIGEST)) as reader:
        store.write_cell(Judged(RESULT))
        assert len(json.loads(reader.read())["reason"]) == 100_000
    assert store.read_cell(DIGEST) == CELL


def test_what_is_no_json_is_refused_before_any_file_is_touched(tmp_path):
    store = Store(tmp_path)
    store.write_cell(Judged(RESULT, PREDICTIONS))
    before = {path: path.read_bytes() for path in (tmp_path / "cells").iterdir()}
    wrong = replace(RESULT, metrics={"macro_f1": float("nan")}, versions=NEWER)
    with pytest.raises(ValueError, match="JSON"):
        store.write_cell(Judged(wrong, 1 - PREDICTIONS))
    assert {path: path.read_bytes() for path in (tmp_path / "cells").iterdir()} == before
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_reader_never_sees_half_a_file_whenever_the_writer_is_killed(tmp_path):
    code = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from dataclasses import replace
from pathlib import Path
import numpy as np
from specs import result, spec
from evaluator.history.store import Store
from evaluator.track import Judged
store = Store(Path({str(tmp_path)!r}))
long = replace(result(spec(), 0.5), reason="x" * 500_000)
print("ready", flush=True)
while True:
    store.write_cell(Judged(long, np.zeros((50_000, 6))))
"""
    store = Store(tmp_path)
    for delay in (0.3, 0.4, 0.5):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert select.select([writer.stdout], [], [], 120)[0]
        assert writer.stdout.readline() == b"ready\n"
        try:
            writer.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            writer.kill()
        assert writer.wait() < 0
        writer.stdout.close()
        path = store.cell_path(DIGEST)
        if path.exists():
            assert len(json.loads(path.read_text())["reason"]) == 500_000
        if path.with_suffix(".npy").exists():
            assert np.load(path.with_suffix(".npy")).shape == (50_000, 6)
    assert path.exists()


def test_a_cell_of_a_track_that_is_not_known_here_is_named(tmp_path):
    store = Store(tmp_path)
    store.write_cell(Judged(RESULT))
    assert [(path.name, why) for path, _, why in read_cells(tmp_path, TRACKS)] == [(f"{DIGEST}.json", "")]
    ((_, cell, why),) = read_cells(tmp_path, replace(TRACKS, known={}))
    assert cell is None
    assert why == "is of the track 'purchase', which is not known here"


# -- predictions


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_predictions_are_kept_beside_the_cell_and_come_back_as_float16(tmp_path, dtype):
    store = Store(tmp_path)
    stored = store.write_cell(Judged(RESULT, PREDICTIONS.astype(dtype)))
    cell = store.read_cell(DIGEST)
    assert cell["predictions"] == {"file": f"{DIGEST}.npy", "sha256": stored.predictions.sha256, "shape": [80, 6]}
    assert PURCHASE.result(cell) == stored == replace(RESULT, predictions=stored.predictions)
    found = read_predictions(tmp_path, cell)
    assert found.dtype == np.float16
    assert np.array_equal(found, PREDICTIONS.astype(np.float16))
    assert sorted(path.name for path in (tmp_path / "cells").iterdir()) == [f"{DIGEST}.json", f"{DIGEST}.npy"]
    assert leftovers(tmp_path) == []


def test_a_cell_that_keeps_no_predictions_has_none_and_leaves_none_of_an_earlier_one(tmp_path):
    store = Store(tmp_path)
    store.write_cell(Judged(RESULT, PREDICTIONS))
    store.write_cell(Judged(result(spec(), None)))
    assert store.read_cell(DIGEST)["predictions"] is None
    assert read_predictions(tmp_path, store.read_cell(DIGEST)) is None
    assert [path.name for path in (tmp_path / "cells").iterdir()] == [f"{DIGEST}.json"]


@pytest.mark.parametrize("damage", ["changed", "cut", "another's", "missing", "unreadable"])
def test_predictions_that_are_not_those_that_were_stored_are_named(tmp_path, damage):
    store = Store(tmp_path)
    store.write_cell(Judged(RESULT, PREDICTIONS))
    other = result(spec(seed=1), 0.5)
    store.write_cell(Judged(other, 1 - PREDICTIONS))
    path = store.cell_path(DIGEST).with_suffix(".npy")
    raw = path.read_bytes()
    if damage == "changed":
        path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    elif damage == "cut":
        path.write_bytes(raw[:-2])
    elif damage == "another's":
        path.write_bytes(store.cell_path(other.spec.digest()).with_suffix(".npy").read_bytes())
    else:
        path.unlink()
        if damage == "unreadable":
            path.mkdir()
    said = "cannot be read" if damage in ("missing", "unreadable") else "was changed after it was written"
    with pytest.raises(ConfigurationError, match=rf"{DIGEST}\.npy {said}.*--fresh"):
        read_predictions(tmp_path, store.read_cell(DIGEST))
    assert np.array_equal(read_predictions(tmp_path, store.read_cell(other.spec.digest())), (1 - PREDICTIONS).astype(np.float16))


def scored(probabilities: np.ndarray, thresholds: np.ndarray) -> Scored:
    return Scored(Metrics(0, {}, 0, 0, len(probabilities)), 0, probabilities, thresholds)


UNIT = st.floats(0, 1)
STEPS = st.integers(-3, 3)


@st.composite
def near(draw) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 3), float32 or float64, most of them next to their class's threshold, and the thresholds."""
    thresholds = np.array(draw(st.lists(UNIT, min_size=3, max_size=3)))
    dtype, rows = draw(st.sampled_from((np.float32, np.float64))), draw(st.integers(1, 8))
    probabilities = np.empty((rows, 3), dtype)
    for i in range(rows):
        for k, threshold in enumerate(thresholds):
            value, step = dtype(threshold), draw(STEPS)
            for _ in range(abs(step)):
                value = np.nextafter(value, dtype(np.sign(step) * np.inf))
            probabilities[i, k] = value if draw(st.booleans()) else draw(UNIT)
    return np.clip(probabilities, 0, 1), thresholds


@settings(deadline=None, max_examples=300)
@given(near())
def test_what_is_kept_decides_as_the_probabilities_did_however_close_they_come_to_a_threshold(drawn):
    probabilities, thresholds = drawn
    kept = scored(probabilities, thresholds).kept()
    assert kept.dtype == np.float16
    # As a reader has them: the thresholds went through JSON.
    stored = np.array(json.loads(json.dumps([float(t) for t in thresholds])))
    assert np.array_equal(kept >= stored, decide(probabilities, thresholds).astype(bool))
    assert ((kept >= 0) & (kept <= 1)).all()
    # No value is further away than its neighbour on the other side would be.
    assert (np.abs(kept.astype(np.float64) - probabilities) <= np.spacing(np.maximum(kept, probabilities.astype(np.float16)))).all()
    right = (probabilities.astype(np.float16) >= stored) == (probabilities.astype(np.float64) >= stored)
    assert np.array_equal(kept[right], probabilities.astype(np.float16)[right]), "nothing else is moved"


def test_rounding_alone_would_cross_thresholds():
    thresholds = np.array([0.3, 0.3])
    probabilities = np.array([[0.3 - 1e-7, 0.3], [0.30004, 0.29996]])
    plain = decide(probabilities.astype(np.float16), thresholds)
    right = decide(probabilities, thresholds)
    assert not np.array_equal(plain, right)
    assert np.array_equal(decide(scored(probabilities, thresholds).kept(), thresholds), right)


@pytest.mark.parametrize("kind", ["trained", "the participant's own"])
def test_metrics_of_kept_predictions_and_stored_thresholds_are_the_stored_metrics(tmp_path, sets, cell_spec, strategy, tiny, kind):
    if kind == "trained":
        path = SUBMISSIONS / "random_buyer.py"
        described = cell_spec(path)
    else:
        path = strategy(
            "def prediction_phase(self, test_dataset):\n"
            "    return 0.5 + 1e-5 * np.random.default_rng(3).normal(size=(len(test_dataset), 6))"
        )
        own = replace(ROUND1, classes=tiny.round.classes, prediction_split="validation")
        described = cell_spec(path, profile=replace(tiny, name="own", round=own))
    bought = buy(described, CellInputs(path, sets, ProcessSandbox()))
    judged = judge(described, sets, bought)
    store = Store(tmp_path)
    store.write_cell(judged)
    cell = store.read_cell(described.digest())
    found = read_predictions(tmp_path, cell)
    assert found.shape == (80, 6)
    thresholds = np.array(cell["training"]["thresholds"]) if kind == "trained" else np.full(6, 0.5)
    truth, classes = sets.splits["validation"].labels, tiny.round.classes
    again = score(truth, (found >= thresholds).astype(np.uint8), classes)
    assert {name: cell["metrics"][name] for name in ("macro_f1", "f1", "accuracy", "hamming_loss", "n")} == vars(again)
    if kind != "trained":  # rounding alone gives another figure
        assert score(truth, (bought.session.predictions.astype(np.float16) >= 0.5).astype(np.uint8), classes) != again


# -- cells of other library versions


def replaced(root: Path) -> list[Path]:
    return sorted((root / "cells" / "replaced").glob("*"))


def test_a_cell_in_whose_place_one_of_other_library_versions_comes_is_set_aside(tmp_path):
    store = Store(tmp_path)
    store.write_cell(Judged(RESULT, PREDICTIONS))
    before = [store.cell_path(DIGEST).with_suffix(ending).read_bytes() for ending in (".json", ".npy")]
    other = result(spec(), 0.75, versions=NEWER)
    store.write_cell(Judged(other, 1 - PREDICTIONS))
    cell, predictions = replaced(tmp_path)
    assert [cell.read_bytes(), predictions.read_bytes()] == before
    assert cell.stem == predictions.stem
    assert cell.name.startswith(f"{DIGEST}-")
    assert store.read_cell(DIGEST)["metrics"] == other.metrics
    assert np.array_equal(read_predictions(tmp_path, store.read_cell(DIGEST)), (1 - PREDICTIONS).astype(np.float16))
    # What is set aside is in no list and no table.
    ((_, listed, _),) = read_cells(tmp_path, TRACKS)
    assert listed["versions"] == NEWER
    # And back: both are kept, each once.
    store.write_cell(Judged(RESULT))
    assert len(replaced(tmp_path)) == 4
    store.write_cell(Judged(other))
    store.write_cell(Judged(RESULT))
    assert len({path.stem for path in replaced(tmp_path)}) == len([p for p in replaced(tmp_path) if p.suffix == ".json"]) == 4
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (RESULT, replace(RESULT, reason="again")),
        (RESULT, replace(RESULT, versions=VERSIONS | {"processor": "Another", "kit": "9.9", "python": "3.11.9"})),
        (result(spec(), None), replace(RESULT, versions=NEWER)),
    ],
    ids=["same versions", "another machine", "of a cell that failed"],
)
def test_no_other_cell_is_set_aside(tmp_path, first, second):
    store = Store(tmp_path)
    store.write_cell(Judged(first))
    store.write_cell(Judged(second))
    assert replaced(tmp_path) == []
    before = [] if first.scored else [AttemptRow(verdict=Verdict.RUNTIME_ERROR, scored=False, count=1)]
    assert PURCHASE.result(store.read_cell(DIGEST)) == replace(second, attempts=before)


def test_a_result_that_replaces_others_counts_them(tmp_path):
    store, failed = Store(tmp_path), result(spec(), None)
    for written in (failed, failed, RESULT, RESULT, result(spec(), 0.75), failed, RESULT):
        store.write_cell(Judged(written))
    found = {(row.verdict, row.scored): row.count for row in PURCHASE.result(store.read_cell(DIGEST)).attempts}
    # The second RESULT gave the same score: it is no further try. The others are, also those with a score.
    assert found == {(Verdict.RUNTIME_ERROR, False): 3, (Verdict.OK, True): 2}
    assert read_index(tmp_path, TRACKS).cells[DIGEST]["attempts"] == 5
    store.write_cell(Judged(replace(result(spec(), 0.25), versions=NEWER)))  # other libraries: it had to be run again
    assert read_index(tmp_path, TRACKS).cells[DIGEST]["attempts"] == 5


def test_attempts_that_the_kit_did_not_write_are_refused_and_not_carried_on(tmp_path):
    store = Store(tmp_path)
    store.write_cell(Judged(RESULT))
    path = store.cell_path(DIGEST)
    for wrong in ([{"verdict": "FINE", "scored": True, "count": 1}], [{"verdict": "OK", "scored": True, "count": -1}], "many"):
        content = json.loads(path.read_text()) | {"attempts": wrong}
        del content["checksum"]
        path.write_text(sealed(content))
        assert "holds no usable attempts" in read_index(tmp_path, TRACKS).damaged[0]
        store.write_cell(Judged(result(spec(), 0.75)))
        assert PURCHASE.result(store.read_cell(DIGEST)).attempts == []


@pytest.mark.parametrize("root", ["a file", "below a file", "/proc/results"])
def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, root):
    (tmp_path / "file").write_text("mine")
    path = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "results"}.get(root, Path(root))
    with pytest.raises(ConfigurationError, match="--out") as caught:
        Store(path)
    assert str(path) in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_every_run_has_a_folder_of_its_own(tmp_path):
    store = Store(tmp_path)
    runs = [store.new_run("my submission/../x") for _ in range(5)]
    assert len(set(runs)) == 5
    assert all(run.parent == tmp_path and (run / "logs").is_dir() for run in runs)
    assert store.new_run("...").name.endswith("-run")


def test_purchases_are_a_table(tmp_path):
    store = Store(tmp_path)
    rows = [["621:17", 'a,"b".png'], ["621:51", "c.png"]]
    path = store.write_table(store.new_run("x"), "purchases.csv", ["pair", "file"], rows)
    assert path.name == "purchases.csv"
    assert path.read_text() == 'pair,file\n621:17,"a,""b"".png"\n621:51,c.png\n'


@pytest.mark.parametrize("name", ["", "answers"])
def test_a_folder_that_somebody_has_locked_is_named_and_not_waited_for_in_silence(tmp_path, monkeypatch, capsys, name):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "TOLD_AFTER", 0)
    monkeypatch.setattr(files.time, "sleep", interrupted)
    store = Store(tmp_path)
    reader = hold(tmp_path / name)
    try:
        with pytest.raises(KeyboardInterrupt), store.answers_held() if name else store.running("sweep"):
            pytest.fail("it is locked")
    finally:
        os.close(reader)
    assert f"waiting: {tmp_path / name} is locked by" in capsys.readouterr().err
