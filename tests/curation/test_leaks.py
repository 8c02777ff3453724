"""Images in two places: equal pixels, the perceptual hash, its calibration; and what the judge refuses and reports of them."""

import numpy as np
import pytest
from PIL import Image

from evaluator.curation.curated import as_png, collected, decoded, pixel_digest
from evaluator.curation.embedded import made
from evaluator.curation.judge import checked
from evaluator.curation.leaks import PLANTS, calibrate, near_pairs, perceptual_hashes, planted
from evaluator.curation.rules import PROFILES, ruled
from evaluator.curation.sets import CurationData
from evaluator.curation.trial import made_up
from evaluator.errors import DataError
from evaluator.worker.pictures import without_colour

DEBUG = PROFILES["debug"]


@pytest.fixture(scope="module")
def numerals():
    return made("debug", 5)


@pytest.fixture
def data():
    return made_up()


def rows_of(data: CurationData):
    return [(item.id, data.digests[item.id], item.label, item.split) for item in data.items]


def test_the_hash_is_that_of_its_definition(numerals):
    """Against the transform of scipy, image by image, as imagehash computes ``phash(image, 16)``."""
    fft = pytest.importorskip("scipy.fft")
    images = numerals.train.pixels[:20]
    for image, bits in zip(images, perceptual_hashes(images), strict=True):
        pixels = np.asarray(Image.fromarray(image).convert("L").resize((64, 64), Image.Resampling.LANCZOS))
        low = fft.dct(fft.dct(pixels.astype(float), axis=0), axis=1)[:16, :16]
        assert np.array_equal(bits, (low > np.median(low)).ravel())


def test_pairs_within_a_distance_are_those_of_a_plain_count():
    draws = np.random.default_rng(0)
    left, right = draws.random((40, 256)) < 0.5, draws.random((30, 256)) < 0.5
    right[3] = left[7]
    right[4] = left[8] ^ (np.arange(256) < 5)
    plain = [(a, b, int((x != y).sum())) for a, x in enumerate(left) for b, y in enumerate(right) if (x != y).sum() <= 110]
    assert sorted(map(tuple, near_pairs(left, right, 110).tolist())) == plain
    own = near_pairs(np.concatenate([left, right]), None, 5).tolist()
    assert sorted(map(tuple, own)) == [(7, 43, 0), (8, 44, 5)]


def test_a_calibration_finds_planted_copies_and_takes_no_two_numerals_for_one(numerals):
    found = calibrate(numerals.train.pixels, numerals.train.labels, 0, most=60)
    assert 8 <= found.distance <= 32
    assert found.unrelated[found.distance] <= 1
    at = {kind: found.found[kind][found.distance] for kind in PLANTS}
    assert at["crop 1 px"] > 0.9
    assert at["turn 1 degree"] > 0.9
    assert at["brighter"] > 0.9
    assert at["noise"] > 0.9
    assert at["crop 5 %"] < 0.9, "a hash cannot see what is cropped so far; if it could, the page should say so"


def test_equal_pixels_have_one_digest_whatever_their_file(tmp_path):
    gray = np.arange(60, dtype=np.uint8).reshape(6, 10)
    colour = np.stack([gray] * 3, axis=2)
    assert pixel_digest(without_colour(colour)) == pixel_digest(gray)
    assert pixel_digest(gray.reshape(10, 6)) != pixel_digest(gray)
    for name, image in (
        ("a.png", Image.fromarray(gray)),
        ("b.png", Image.fromarray(colour)),
        ("c.png", Image.fromarray(gray).convert("P")),
    ):
        image.save(tmp_path / name, optimize=True)
        assert pixel_digest(decoded((tmp_path / name).read_bytes(), name, 64)) == pixel_digest(gray)


@pytest.mark.parametrize(("part", "name"), [("test", "hidden test set"), ("book", "label book")])
def test_an_image_of_the_judge_is_refused_by_the_name_that_the_submission_gave_it(data, part, name):
    hidden = getattr(data, part)
    rows = [*rows_of(data), ("train/i/mine.png", hidden.pixels[4], "v", "train")]
    with pytest.raises(DataError) as caught:
        checked(collected(rows, set(data.digests.values())), data, DEBUG)
    assert "1 image with the same pixels as an image of the " + name in str(caught.value)
    assert "Remove train/i/mine.png" in str(caught.value)
    assert hidden.ids[4] not in str(caught.value)


def test_a_turned_image_of_the_judge_is_reported_and_not_refused(data):
    turned = planted(data.test.pixels[4], "brighter", np.random.default_rng(0))
    rows = [*rows_of(data), ("train/i/mine.png", turned, "v", "train")]
    ready = checked(collected(rows, set(data.digests.values())), data, DEBUG)
    (row,) = [row for row in ready.near if row.between == "train, hidden test set"]
    assert (row.equal, row.near, row.examples) == (0, 1, [])
    again = [*rows_of(data), ("train/i/mine.png", planted(data.book.pixels[4], "brighter", np.random.default_rng(0)), "v", "train")]
    (row,) = [
        r for r in checked(collected(again, set(data.digests.values())), data, DEBUG).near if r.between == "train, label book"
    ]
    assert row.near == 1
    assert row.examples[0].startswith("train/i/mine.png ~ label_book/v/0.png")


def test_copies_in_train_and_val_are_reported_or_refused_as_the_rules_say(data):
    first = data.items[0]
    rows = [*rows_of(data), ("val/i/copy.png", data.digests[first.id], first.label, "val")]
    curated = collected(rows, set(data.digests.values()))
    ready = checked(curated, data, DEBUG)
    assert (ready.near[0].between, ready.near[0].equal) == ("train, val", 1)
    assert ready.near[0].examples[0] == f"{first.id} = val/i/copy.png"
    assert ready.changes.added == 1
    with pytest.raises(DataError, match=r"Remove val/i/copy\.png"):
        checked(curated, data, ruled(DEBUG, None, "refuse", None))


def test_given_images_of_the_judge_are_left_out_for_everybody(data):
    """The organiser's own leak is nobody's fault: it is taken out, and said."""
    held = CurationData("leaky", data.classes, data.train, data.validation, data.book, data.test.take([0]), {})
    leaky = CurationData("leaky", data.classes, data.train, data.validation, data.train.take([1]), held.test)
    assert leaky.left_out == {data.train.ids[1]: "label book"}
    kept = [row for row in rows_of(leaky) if row[0] not in leaky.left_out]
    ready = checked(collected(kept, set(leaky.digests.values())), leaky, DEBUG)
    assert ready.changes.left_out == 1
    assert ready.changes.dropped == 0
    with pytest.raises(DataError, match="label book"):
        checked(collected(rows_of(leaky), set(leaky.digests.values())), leaky, DEBUG)


def test_limits_count_images_or_batches_as_the_original_did():
    images, batches = PROFILES["numerals"], ruled(PROFILES["numerals"], "batches", None, None)
    assert images.too_many(5_001, 4_999) == ""
    assert "at most 10,000" in images.too_many(5_001, 5_000)
    assert "1,251 batches of 8" in batches.too_many(5_001, 4_999)
    assert batches.too_many(5_000, 5_000) == ""


def test_a_class_or_a_split_without_images_is_refused(data):
    rows = [row for row in rows_of(data) if not (row[2] == "iv" and row[3] == "val")]
    with pytest.raises(DataError, match="val: the class iv has no images"):
        checked(collected(rows, set(data.digests.values())), data, DEBUG)
    with pytest.raises(DataError, match=r"val: the class i has no images \(0 images in all\)"):
        checked(collected([row for row in rows_of(data) if row[3] == "train"], set(data.digests.values())), data, DEBUG)


def test_a_stored_answer_with_other_pixels_than_its_digest_is_refused(data):
    curated = collected([*rows_of(data), ("train/i/n.png", np.full((9, 9), 7, np.uint8), "i", "train")], set(data.digests.values()))
    ((digest, _),) = curated.new.items()
    forged = type(curated)(curated.rows, {digest: as_png(np.full((9, 9), 8, np.uint8))})
    with pytest.raises(DataError, match="other pixels than its digest says"):
        checked(forged, data, DEBUG)
    with pytest.raises(DataError, match="neither an image of the given data nor a new image"):
        checked(type(curated)(curated.rows, {}), data, DEBUG)
