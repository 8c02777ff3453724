"""The track in the house: sessions of sound and hostile submissions, a whole run, stored cells, the verb."""

import json
import pickle
import textwrap
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import local_evaluation
from evaluator.cli import main as verbs
from evaluator.curation import trial
from evaluator.curation.judge import EmptyClassError
from evaluator.curation.records import DataAnswer
from evaluator.curation.session import SessionSpec, run_session
from evaluator.curation.track import CURATION
from evaluator.curation.trial import made_up
from evaluator.errors import Verdict
from evaluator.sandbox.process import ProcessSandbox

ROOT = Path(__file__).resolve().parents[2]
SUBMISSION = """
from run import CurationRun

class Mine(CurationRun):
    def curate(self, dataset, label_book, time_available, register_progress, seed):
        register_progress(0.5)
        print(len(dataset), dataset[-1]["id"], dataset.splits[0], len(label_book), label_book[0]["label"], dataset.resized(8).shape)
        first = dataset[0]
        return [
            {"id": first["id"], "action": "drop"},
            {"id": "train/ii/new.png", "action": "add", "label": "ii", "split": "train", "image": first["image"] + 5},
            {"id": dataset.ids[5], "action": "relabel", "label": "x", "split": ""},
        ]
"""


def written(tmp_path, body: str):
    path = tmp_path / "mine" / "run.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(body))
    return path.parent


@pytest.fixture(scope="module")
def data():
    return made_up()


@pytest.fixture
def session(tmp_path, data):
    def run(body: str, seconds: float = 20.0):
        return run_session(
            SessionSpec(written(tmp_path, body), data, seconds=seconds, load_seconds=40.0, seed=3, most_side=64), ProcessSandbox()
        )

    return run


def test_edits_and_added_images_come_back_and_nothing_hidden_goes_out(session, data):
    found = session(SUBMISSION)
    assert found.verdict is Verdict.OK, found.reason
    assert "60 val/x/1.png train 10 i (60, 8, 8)" in found.log
    rows = {row.id: row for row in found.curated.rows}
    assert "train/i/0.png" not in rows
    assert rows["train/ii/1.png"].label == "x"
    assert rows["train/ii/new.png"].source in found.curated.new
    (pixels,) = found.curated.pixels(64).values()
    assert np.array_equal(pixels, data.train.pixels[0] + 5)
    assert len(rows) == 60


ADD = '{"id": "train/i/n.png", "action": "add", "label": "i", "split": "train", "image": %s}'
WRONG = [
    ("return None", "curate returned nothing"),
    ("return 'drop'", "curate returned a str"),
    ("return [1]", "row 1 of what curate returned is an int"),
    ("return ({'id': 'a', 'action': 'drop'} for _ in range(3))", "generator"),
    ("return map(str, [])", "map"),
    ("yield {}", "generator"),
    ("return [{'id': 'train/i/9.png', 'action': 'drop'}]", "there is no item 'train/i/9.png'"),
    ("return [{'id': 'train/i/0.png', 'action': 'relabel', 'label': 'xi'}]", "the label 'xi' is none of the classes"),
    (
        "return [{'id': 'train/i/0.png', 'action': 'relabel', 'label': 3}]",
        "label of row 1 is an int; a text was expected. Write dataset.classes[label]",
    ),
    ("return [{'id': 'train/i/0.png', 'action': 'move', 'split': 'test'}]", "the split 'test' is unknown"),
    ("return [{'id': 'train/i/0.png', 'action': 'drop'}] * 2", "stands"),
    (
        "return [{'id': '../../x.png', 'action': 'add', 'label': 'i', 'split': 'train', 'image': dataset.image(0)}]",
        "leaves the folder",
    ),
    ("return [{'id': 'train/i/n.png', 'action': 'add', 'label': 'i', 'split': 'train'}]", "an add without an image"),
    (f"return [{ADD % 'dataset.image(0) / 255'}]", "is float64 of shape"),
    (f"return [{ADD % 'np.zeros((2, 3, 4), np.uint8)'}]", "is uint8 of shape (2, 3, 4)"),
    (f"return [{ADD % 'np.zeros((0, 3), np.uint8)'}]", "is uint8 of shape (0, 3)"),
    (f"return [{ADD % 'np.zeros((65, 3), np.uint8)'}]", "an image of 3 x 65 pixels; at most 64"),
    (f"return [{ADD % 'np.broadcast_to(np.uint8(7), (60000, 60000))'}]", "has 3,600,000,000 bytes of pixels"),
    ("return [{'id': str(n), 'action': 'drop'} for n in range(20001)]", "more than 20,000 rows"),
]


@pytest.mark.parametrize(("line", "said"), WRONG)
def test_what_is_no_list_of_edits_is_invalid_output(line, said):
    """The worker's half and the evaluator's half, without a process between them."""
    from evaluator.curation.session import SCHEMA, Stopped, curated_in
    from evaluator.sandbox.channel import BASE
    from evaluator.worker.curation import packed
    from evaluator.worker.phases import InvalidOutput, NotRun, check_runs

    data = made_up()
    space: dict = {"np": np}
    exec(f"def curate(dataset):\n    {line}", space)

    def run():
        check_runs("curate", space["curate"])
        returned = space["curate"](Seen(data))
        check_runs("curate", returned)
        rows, added, blob = packed(returned)
        curated_in((BASE | SCHEMA).check({"t": "done", "rows": rows, "added": added}, blob), data, 64)

    with pytest.raises((InvalidOutput, NotRun, Stopped)) as caught:
        run()
    assert said in str(caught.value)
    assert getattr(caught.value, "verdict", Verdict.INVALID_OUTPUT) is Verdict.INVALID_OUTPUT


class Seen:
    def __init__(self, data):
        self.image = lambda number: data.train.pixels[number]


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (b"", "came without its rows"),
        (b"\xff\xff\xff\xff[]", "announces 4294967295 bytes"),
        (b"\0\0\0\x02[]", "is no list of as many rows"),
        (b"\0\0\0\x03{]}", "not JSON"),
        (b"\0\0\0\x06[[[]]]", "deep"),
        (b'\0\0\0\x13[["a","drop","",7]]', "has a row that is none"),
        (b'\0\0\0\x1d[["a","add","i","train",1,1]]', "has a row that is none"),
        (b'\0\0\0\x1f[["a","add","i","train",9,9,1]]', "fewer bytes of pixels"),
        (b'\0\0\0\x1f[["a","add","i","train",1,1,2]]', "an image of 2 channels"),
        (b'\0\0\0\x1f[["a","add","i","train",1,1,1]]\0\0', "has 2 bytes of pixels; its rows say 1"),
    ],
)
def test_bytes_that_a_forged_worker_sends_are_a_protocol_error(blob, said):
    from evaluator.curation.session import Stopped, curated_in
    from evaluator.sandbox.channel import Message

    with pytest.raises(Stopped) as caught:
        curated_in(Message("done", {"rows": 1, "added": 1}, blob), made_up(), 64)
    assert caught.value.verdict is Verdict.PROTOCOL_ERROR
    assert said in str(caught.value)


def test_a_hostile_class_changes_its_own_memory_and_finds_no_hidden_image(session, data):
    hidden = data.test.pixels[3].tobytes()
    found = session(
        f"""
        import gc, os, torch, numpy as np

        class Mine:
            def curate(self, dataset, label_book):
                torch.from_numpy(dataset.image(0))[:] = 7
                dataset.labels[:] = 0
                needle = bytes.fromhex("{hidden[:64].hex()}")
                for number in os.listdir("/proc/self/fd"):
                    try:
                        seen = os.pread(int(number), 1 << 24, 0)
                    except OSError:
                        continue
                    assert needle not in seen, number
                for thing in gc.get_objects():
                    assert not (isinstance(thing, (bytes, np.ndarray)) and needle in bytes(thing)), type(thing)
                return []
        """
    )
    assert found.verdict is Verdict.OK, found.reason
    assert not found.curated.new
    assert [row.label for row in found.curated.rows[:4]] == ["i"] * 4
    assert found.curated.rows[0].source == data.digests[data.train.ids[0]]


def test_a_run_from_the_front_door_to_the_comparison(tmp_path, capsys):
    out = tmp_path / "results"
    options = ["--track", "curation", "--profile", "debug", "--out", str(out), "--sandbox", "process", "--public-seeds"]
    body = "class Mine:\n    def curate(self, dataset):\n        return [{'id': dataset.ids[0], 'action': 'drop'}]\n"
    path = written(tmp_path, body)
    assert local_evaluation.main([*options, "--submission", str(path), "--seeds", "2", "--workers", "1"]) == 0
    (file,) = out.glob("*-mine/result.json")
    summary = json.loads(file.read_text())
    assert summary["verdict"] == "OK"
    metrics = {"accuracy", "macro_f1", "book_accuracy", "validation_accuracy"}
    assert set(summary["cells"][0]["metrics"]) == metrics | {"best_constant_accuracy"}
    assert not CURATION.collapsed(summary["cells"][0]["metrics"])
    assert CURATION.collapsed(dict.fromkeys(metrics, 0.1) | {"best_constant_accuracy": 0.1})
    assert (file.parent / "classes.csv").read_text().count("\n") == 21
    cells = [json.loads(cell.read_text()) for cell in (out / "cells").glob("*.json")]
    assert {cell["spec"]["seed"] for cell in cells} == {0, 1}
    schema = Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / "curation_cell.json").read_text()))
    data_schema = Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / "curation_data.json").read_text()))
    (stored, _) = [json.loads(path.read_text()) for path in (out / "answers").glob("*.json")]
    assert [error.message for error in data_schema.iter_errors(stored["content"]["data"])] == []
    for cell in cells:
        assert [error.message for error in schema.iter_errors(cell)] == []
        assert set(cell) <= set(schema.schema["properties"])
        assert CURATION.fault(cell) == ""
        again = CURATION.result(cell)
        assert again.changes.dropped == 1
        assert again.accuracy_low < cell["metrics"]["accuracy"] <= again.accuracy_high
        assert np.load(out / "cells" / cell["predictions"]["file"]).shape == (again.test_images, 10)
    capsys.readouterr()
    assert verbs.main(["results", "show", cells[0]["cell"][:12], "--out", str(out)]) == 0
    assert "macro f1" in capsys.readouterr().out.lower()
    page = (file.parent / "report.html").read_text()
    assert "By class" in page
    # The given data, with the judge's models undisclosed, in the same store.
    panel = ["--panel", "linear", str(model(tmp_path)), "--panel-rank", "worst"]
    common = ["--profile", "debug", "--seeds", "2", "--workers", "1", "--out", str(out)]
    assert verbs.main(["curation", "evaluate", *common]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "over test images" in said
    assert "as_given" in said
    assert verbs.main(["compare", str(out)]) == 0
    assert "as_given" in capsys.readouterr().out
    assert verbs.main(["curation", "evaluate", "--references", "oracle", *common, *panel]) == 0
    assert "panel of 2, worst" in capsys.readouterr().out
    cells = [json.loads(cell.read_text()) for cell in (out / "cells").glob("*.json")]
    judged = [cell for cell in cells if cell["spec"]["pipeline"]["rank"] == "worst"]
    for cell in judged:
        assert cell["metrics"]["accuracy"] == min(member["accuracy"] for member in cell["members"])


def model(tmp_path):
    path = tmp_path / "secret.toml"
    path.write_text('network = "linear"\nimage_size = 8\nepochs = 2\nbatch_size = 4096\n')
    return path


def answer(content, verdict="OK"):
    return DataAnswer(digest="0" * 32, spec={}, content=content, verdict=verdict)


ROW = ["train/i/0.png", "a" * 64, "i", "train"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"data": {"images": [ROW], "new": {}}}, ""),
        ({"data": {"images": [ROW, ROW], "new": {}}}, "an id twice"),
        ({"data": {"images": [[*ROW[:3], "test"]]}}, "expected train or val"),
        ({"data": {"images": [["../x.png", *ROW[1:]]]}}, "leaves the folder"),
        ({"data": {"images": [[ROW[0], "a", "i", "train"]]}}, "SHA-256"),
        ({"data": {"images": [ROW[:3]]}}, "no list of four texts"),
        ({"data": {"images": [[1, *ROW[1:]]]}}, "no list of four texts"),
        ({"data": {"images": [ROW] * 20_001}}, "more than 20,000"),
        ({"data": {"images": [], "new": {"b" * 64: "!"}}}, "not base64"),
        ({"data": {"images": [], "new": {"b": ""}}}, "no image under the digest"),
        ({"data": None}, "no object"),
        ([], "no object"),
    ],
)
def test_a_stored_data_set_is_held_against_the_rules(content, said):
    found = answer(content).fault(None)
    assert said in found if said else found == ""


def test_validate_runs_it_on_a_few_images(tmp_path):
    good = CURATION.trial(written(tmp_path, SUBMISSION), ProcessSandbox())
    assert not good.found
    said = "60 images of 10 classes curated, 40 in train, 20 in val: 58 kept, 1 dropped, 1 relabelled, 0 moved, 1 added"
    assert said in good.said
    bad = CURATION.trial(written(tmp_path, "class Mine:\n    def curate(self):\n        return 3\n"), ProcessSandbox())
    (finding,) = bad.found
    assert (finding.kind, finding.place) == ("error", "curate")
    assert "INVALID_OUTPUT" in finding.text


RULES = {
    "every image is dropped": (
        "return [{'id': i, 'action': 'drop'} for i in dataset.ids]",
        "error",
        "train: the class i has no images (0 images in all)",
    ),
    "a class is dropped": (
        "return [{'id': i, 'action': 'drop'} for i in dataset.ids if i.startswith('val/ii/')]",
        "warning",
        "val: the class ii has no images (18 images in all); expected one or more of every class in train and in val. Move or add "
        "some (the small run has 2 images a class in val, so a run with more may keep some)",
    ),
    "an image of the label book is added": (
        "return [{'id': 'x.png', 'action': 'add', 'label': 'i', 'split': 'train', 'image': label_book[0]['image']}]",
        "error",
        "1 image with the same pixels as an image of the label book; nobody may train on those. Remove x.png",
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_validate_holds_what_comes_of_it_against_the_rules_of_the_judge(tmp_path, case):
    line, kind, said = RULES[case]
    text = f"class Mine:\n    def curate(self, dataset, label_book):\n        {line}\n"
    (finding,) = CURATION.trial(written(tmp_path, text), ProcessSandbox()).found
    assert (finding.kind, finding.place) == (kind, "curate")
    assert finding.text == f"INVALID_OUTPUT in the small run: {said}" or f"in the small run: {said}" in finding.text


def test_validate_says_that_a_run_without_an_end_shows_nothing_of_its_edits(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    text = "class Mine:\n    def curate(self):\n        import time\n\n        time.sleep(60)\n"
    (finding,) = CURATION.trial(written(tmp_path, text), ProcessSandbox()).found
    assert finding.kind == "warning"
    assert "TIME_LIMIT" in finding.text
    assert "So no edits were looked at" in finding.text


def test_debug_names_what_the_judge_would_refuse(tmp_path, capfd):
    path = written(tmp_path, f"class Mine:\n    def curate(self, dataset):\n        {RULES['every image is dropped'][0]}\n")
    options = ["--track", "curation", "--profile", "debug", "--out", str(tmp_path / "out"), "--public-seeds", "--debug"]
    assert local_evaluation.main([*options, "--submission", str(path)]) == 1
    assert "train: the class i has no images (0 images in all)" in " ".join(capfd.readouterr().out.split())


def test_a_refusal_for_an_empty_class_travels_between_processes():
    there = pickle.loads(pickle.dumps(EmptyClassError("val", "ii", 3)))
    assert (str(there), there.split, there.held) == (str(EmptyClassError("val", "ii", 3)), "val", 3)


def test_validate_has_the_classes_and_the_rules_of_a_round(tmp_path):
    for name in ("oak", "ash", "yew"):
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
    text = (
        "class Mine:\n    def curate(self, dataset, label_book):\n"
        "        assert sorted(dataset.classes) == ['ash', 'oak', 'yew']\n"
        "        first = dataset.ids[0]\n        return [{'id': first, 'action': 'relabel', 'label': 'yew'}]\n"
    )
    found = CURATION.trial(written(tmp_path, text), ProcessSandbox(), None, {"data": tmp_path / "data"})
    assert found.found == ()
    assert "18 images of 3 classes curated" in found.said
    assert CURATION.trial(written(tmp_path, text), ProcessSandbox()).found[0].kind == "error"
    both = (
        "class Mine:\n    def curate(self, dataset, label_book):\n        return [{'id': 'x.png', 'action': 'add', 'label': 'i', "
        "'split': 'val', 'image': dataset[0]['image']}]\n"
    )
    assert CURATION.trial(written(tmp_path, both), ProcessSandbox()).found == ()
    (refused,) = CURATION.trial(written(tmp_path, both), ProcessSandbox(), None, {"duplicates": "refuse"}).found
    assert "1 image of val with the same pixels as an image of train" in refused.text
