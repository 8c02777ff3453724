"""Label Studio: tasks that it takes, an export that becomes edits, and its own validators where they are installed."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from evaluator.curation.images import LabelledImages
from evaluator.curation.issues import LabelIssues
from evaluator.curation.label_studio import ACTION, DROP, LABEL, labelling_config, read_annotations, tasks, write_tasks
from evaluator.curation.toolset import ToolSet
from evaluator.errors import ConfigurationError, DataError

CLASSES = ("i", 'two "ii" & <more>', "iii")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (20, 30) if i % 2 else (600, 20, 3), dtype=np.uint8) for i in range(6)]
    ids = tuple(f"{'val' if i > 3 else 'train'}/{i % 3}/{i}.png" for i in range(6))
    return ToolSet(CLASSES, LabelledImages(ids, tuple(pixels), np.arange(6) % 3), np.arange(6) > 3)


@pytest.fixture
def issues(data):
    p = np.full((6, 3), 0.1)
    p[np.arange(6), (np.arange(6) + 1) % 3] = 0.8
    n = len(data.images)
    return LabelIssues(data.images.ids, CLASSES, data.labels, p, np.full(n, 0.1), np.ones(n, bool), (), (), 0.5)


def chosen(label=None, *, drop=False, **more):
    """An annotation as Label Studio exports it."""
    result = [] if label is None else [{"from_name": LABEL, "to_name": "image", "type": "choices", "value": {"choices": [label]}}]
    if drop:
        result.append({"from_name": ACTION, "to_name": "image", "type": "choices", "value": {"choices": [DROP]}})
    return {"id": 1, "completed_by": 1, "was_cancelled": False, "result": result} | more


def exported(path, made, annotations):
    """An export: the tasks as they were imported, with fields of Label Studio's own and the annotations."""
    done = [task | {"id": n, "annotations": annotations.get(n, []), "project": 1, "meta": {}} for n, task in enumerate(made)]
    path.write_text(json.dumps(done))
    return path


def test_annotations_come_back_as_edits(data, issues, tmp_path):
    made = tasks(data, np.array([5, 0, 1, 2, 3, 4]), issues)
    path = exported(
        tmp_path / "export.json",
        made,
        {
            0: [chosen(CLASSES[0])],
            1: [chosen(CLASSES[0])],
            2: [chosen(CLASSES[2], drop=True)],
            3: [chosen(CLASSES[1]), chosen(CLASSES[0])],
            4: [chosen(CLASSES[1], was_cancelled=True)],
            5: [chosen(CLASSES[2]), chosen(CLASSES[2])],
        },
    )
    found = read_annotations(path, data)
    assert [(e.id, e.action, e.label) for e in found.edits] == [
        (data.images.ids[5], "relabel", CLASSES[0]),
        (data.images.ids[1], "drop", ""),
        (data.images.ids[4], "relabel", CLASSES[2]),
    ], "image 0 was confirmed, 2 is disputed, 3 was skipped"
    assert (found.looked_at, found.open, found.disagreed) == (5, 1, (data.images.ids[2],))
    assert (
        found.edits.apply([(name, CLASSES[k], "train") for name, k in zip(data.images.ids, data.labels, strict=True)]).changed[
            "drop"
        ]
        == 1
    )


def test_pre_labels_are_the_given_or_the_predicted(data, issues):
    for predictions, label in ((False, CLASSES[0]), (True, CLASSES[1])):
        (task,) = tasks(data, np.array([0]), issues, predictions=predictions)
        (prediction,) = task["predictions"]
        assert prediction["result"][0]["value"]["choices"] == [label]
        assert task["data"]["id"] == data.images.ids[0]
        assert task["data"]["image"].startswith("data:image/png;base64,")
    with pytest.raises(ConfigurationError, match="no predictions"):
        tasks(data, np.array([0]), predictions=True)


def test_the_interface_names_every_class_exactly():
    root = ElementTree.fromstring(labelling_config(CLASSES))
    choices = {node.get("name"): [choice.get("value") for choice in node] for node in root.findall("Choices")}
    assert choices == {LABEL: list(CLASSES), ACTION: [DROP]}
    assert root.find("Image").get("value") == "$image"
    keys = [choice.get("hotkey") for choice in ElementTree.fromstring(labelling_config([str(i) for i in range(12)])).iter("Choice")]
    assert keys == [*"1234567890", None, None, "d"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: {"not": "a list"}, "no list of tasks"),
        (lambda t: [t[0] | {"data": {"id": "elsewhere.png"}}], "its data.id is 'elsewhere.png'"),
        (lambda t: [t[0] | {"annotations": [chosen("iv")]}], "it chooses 'iv'"),
        (lambda t: [t[0] | {"annotations": [{"result": None}]}], "no list named result"),
        (lambda t: [t[0] | {"annotations": "i"}], "not JSON-MIN"),
    ],
)
def test_a_file_that_is_no_export_is_refused(data, tmp_path, change, said):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(change(tasks(data, np.arange(1)))))
    with pytest.raises(DataError, match=said):
        read_annotations(path, data)


def test_what_a_changed_interface_adds_is_left_alone(data, tmp_path):
    box = {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": {"x": 1}}
    annotation = chosen(CLASSES[1]) | {"result": [box, *chosen(CLASSES[1])["result"], "a text"]}
    made = tasks(data, np.arange(1))
    assert len(read_annotations(exported(tmp_path / "e.json", made, {0: [annotation]}), data).edits) == 1


def test_tasks_lie_beside_their_interface(data, tmp_path):
    config = write_tasks(tasks(data, np.arange(6)), CLASSES, tmp_path / "tasks.json")
    assert config.read_text() == labelling_config(CLASSES)
    assert len(json.loads((tmp_path / "tasks.json").read_text())) == 6


def test_label_studios_own_validators_take_it(data, issues):
    """Its SDK has 71 packages, so that no requirements of the kit name it: ``pip install label-studio-sdk`` runs this."""
    interfaces = pytest.importorskip("label_studio_sdk.label_interface", reason="label-studio-sdk is not installed")
    interface = interfaces.LabelInterface(labelling_config(CLASSES))
    interface.validate()
    for predictions in (False, True):
        for task in tasks(data, np.arange(6), issues, predictions=predictions):
            assert interface.validate_prediction(task["predictions"][0], return_errors=True) == []
            # A task without annotations: those of version 2.1.2 fail on annotated tasks.
            assert interface.validate_task({"data": task["data"]})
    assert interface.validate_annotation(chosen(CLASSES[1], drop=True))
    assert not interface.validate_annotation(chosen("another class"))


def test_people_who_drop_an_image_agree_whatever_label_they_leave(data, tmp_path):
    path = exported(
        tmp_path / "e.json", tasks(data, np.arange(1)), {0: [chosen(CLASSES[0], drop=True), chosen(CLASSES[1], drop=True)]}
    )
    found = read_annotations(path, data)
    assert [(edit.id, edit.action) for edit in found.edits.edits] == [(data.images.ids[0], "drop")]
    assert found.disagreed == ()


@pytest.mark.parametrize(("second", "edits", "disagreed"), [(1, 1, 0), (2, 0, 1)])
def test_an_image_that_was_imported_twice_counts_once(data, tmp_path, second, edits, disagreed):
    made = tasks(data, np.array([0, 0, 0]))
    path = exported(tmp_path / "e.json", made, {0: [chosen(CLASSES[1])], 1: [chosen(CLASSES[second])]})
    found = read_annotations(path, data)
    assert (found.looked_at, found.open, len(found.edits), len(found.disagreed)) == (1, 0, edits, disagreed)


def test_the_export_of_other_images_with_the_same_names_is_refused(data, tmp_path):
    made = tasks(data, np.arange(2))
    path = exported(tmp_path / "e.json", made, {0: [chosen(CLASSES[1])]})
    pixels = (data.images.pixels[0], 255 - data.images.pixels[1], *data.images.pixels[2:])
    other = ToolSet(CLASSES, LabelledImages(data.images.ids, pixels, data.labels), data.validation)
    with pytest.raises(DataError, match=r"task 2: .*train/1/1.png.* other pixels"):
        read_annotations(path, other)
    for task in made:
        del task["data"]["pixels"]  # an export of tasks that were made before they held a digest
    assert len(read_annotations(exported(path, made, {0: [chosen(CLASSES[1])]}), other).edits) == 1
