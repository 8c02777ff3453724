"""The embedded data: what is shown, what is hidden, and the truth of every image."""

import numpy as np
import pytest

from evaluator.curation.embedded import CLASSES, SIZES, made
from evaluator.curation.images import NUMERALS
from evaluator.errors import ConfigurationError


@pytest.fixture(scope="module")
def data():
    return made("debug", 3)


def parts(data):
    return {"train": data.train, "val": data.validation, "label_book": data.label_book, "test": data.test}


def test_sizes_ids_and_truth_fit(data):
    assert CLASSES == NUMERALS
    for name, part in parts(data).items():
        assert len(part) == SIZES["debug"][name]
        for image, label in zip(part.ids, part.labels, strict=True):
            split, given, file = image.split("/")
            assert (split, CLASSES.index(given), file[-4:]) == (name, label, ".png")
    assert set(data.truth) == {name for part in parts(data).values() for name in part.ids}


def test_truth_is_apart_from_what_is_given(data):
    for part in (data.label_book, data.test):
        assert all(data.truth[name].label == label for name, label in zip(part.ids, part.labels, strict=True))
    kinds = {"right": 0, "wrong": 0, "junk": 0, "copy": 0}
    for name, label in zip(data.train.ids, data.train.labels, strict=True):
        kinds[data.truth[name].kind] += 1
        assert (data.truth[name].label == label) == (data.truth[name].kind == "right")
    assert kinds["wrong"] > 0 < kinds["junk"]
    places = {name: row for row, name in enumerate(data.train.ids)}
    copies = [name for name in data.validation.ids if data.truth[name].kind == "copy"]
    assert copies
    for name in copies:
        row = data.validation.ids.index(name)
        assert np.array_equal(data.validation.pixels[row], data.train.pixels[places[data.truth[name].copy_of]])


def test_a_number_in_an_id_does_not_tell_junk(data):
    numbers = {kind: [] for kind in ("right", "junk", "wrong")}
    for name in data.train.ids:
        numbers[data.truth[name].kind].append(int(name.split("/")[2][:-4]))
    assert min(numbers["junk"]) < np.median(numbers["right"]) < max(numbers["junk"])


def test_data_repeat_and_seeds_differ(data):
    again, other = made("debug", 3), made("debug", 4)
    assert all(parts(data)[name].digest() == parts(again)[name].digest() for name in parts(data))
    assert again.truth == data.truth
    assert other.train.digest() != data.train.digest()


def test_progress_is_told_and_another_profile_is_refused():
    told = []
    made("debug", 0, lambda done, total: told.append((done, total)))
    assert told[-1] == (sum(SIZES["debug"].values()),) * 2
    with pytest.raises(ConfigurationError, match="did you mean 'quick'"):
        made("quik", 0)
