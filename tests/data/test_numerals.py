"""Drawn numerals: the same on every machine, with wrong labels, junk and copies in the promised shares, and readable."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluator.data.numerals import NUMERALS, Collection
from evaluator.data.numerals.collection import JUNK, MISTAKEN, WRONG
from evaluator.data.numerals.junk import KINDS
from evaluator.data.numerals.page import LEAST, MARKER, MOST, PAPER, PENCIL, Page, scanned
from evaluator.data.numerals.strokes import Hand, written
from evaluator.data.numerals.writers import Writer
from evaluator.data.painted.exact import Draws
from evaluator.data.png import stored_png
from evaluator.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
SIZES = {"train": 200, "val": 100, "label_book": 20, "test": 60}
PUBLISHED = "a10b7fa96755c34a792cd139058eeb032a7deed08c7fde54de62b78a5035b398"
"""Over the first images of every split at seed 0, on any machine. It changes only where ``collection.VERSION`` does."""
PLAIN = Hand(False, 0.3, 1.0, 0.7, 0.35, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, 0.0, 0.05, 0.0)
PAGE = Page(100, 140, 0.6, (0.5, 0.5), MARKER, 0.0, "none", 0.0, 0.0, 0.0)
DIGEST = """
import hashlib
from evaluator.data.numerals import Collection
made, sizes = hashlib.sha256(), {"train": 200, "val": 100, "label_book": 20, "test": 60}
for split in sizes:
    for number in range(20):
        image = Collection(0, sizes).image(split, number)
        made.update(f"{split} {number} {image.label} {image.true} {image.kind} {image.of} {image.pixels.shape}".encode())
        made.update(image.pixels.tobytes())
print(made.hexdigest())
"""


@pytest.fixture(scope="module")
def splits():
    collection = Collection(0, SIZES)
    return {split: list(collection.split(split)) for split in SIZES}


def test_images_are_those_that_were_published(splits):
    made = hashlib.sha256()
    for split in SIZES:
        for image in splits[split][:20]:
            about = f"{split} {image.number} {image.label} {image.true} {image.kind} {image.of} {image.pixels.shape}"
            made.update(about.encode())
            made.update(image.pixels.tobytes())
    assert made.hexdigest() == PUBLISHED


def test_a_processor_without_wide_instructions_draws_the_same():
    plain = {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX2 FMA3", "OPENBLAS_CORETYPE": "Prescott"}
    command = [sys.executable, "-W", "ignore", "-c", DIGEST]
    found = subprocess.run(command, cwd=ROOT, env=os.environ | plain, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == PUBLISHED


def test_an_image_depends_on_its_own_number_alone(splits):
    collection = Collection(0, SIZES)
    for split, number in (("val", 31), ("train", 7)):
        again = collection.image(split, number)
        assert np.array_equal(again.pixels, splits[split][number].pixels)
        assert again.label == splits[split][number].label
    other = Collection(1, SIZES).image("train", 7)
    assert other.pixels.shape != again.pixels.shape or not np.array_equal(other.pixels, again.pixels)


def test_shares_of_wrong_labels_junk_and_copies_are_the_promised(splits):
    for split, copies in (("train", 0), ("val", 6)):
        size, kinds = SIZES[split], Counter(image.kind for image in splits[split])
        assert kinds["wrong"] == round(WRONG * size)
        assert kinds["wrong"] + kinds["junk"] == round((WRONG + JUNK) * size)
        assert kinds["copy"] == copies
    for split in ("label_book", "test"):
        assert {(image.kind, image.label == image.true) for image in splits[split]} == {("right", True)}
        assert set(Counter(image.label for image in splits[split]).values()) == {SIZES[split] // 10}


def test_other_shares_are_drawn_and_impossible_ones_refused():
    kinds = Counter(image.kind for image in Collection(0, SIZES, 0.3, 0.1).split("val"))
    assert (kinds["wrong"], kinds["junk"]) == (30, 10)
    for wrong, junk in ((-0.1, 0.1), (0.3, 0.2), (float("nan"), 0.1)):
        with pytest.raises(ConfigurationError, match="together less than"):
            Collection(0, SIZES, wrong, junk)


def test_what_is_true_of_an_image_fits_its_kind(splits):
    for image in (image for split in splits.values() for image in split):
        assert (image.true == -1) == (image.kind == "junk" or image.true < 0)
        assert (image.label != image.true) == (image.kind in ("wrong", "junk"))
        assert (image.of >= 0) == (image.kind == "copy")
        if image.kind == "copy":
            parent = splits["train"][image.of]
            assert parent.kind == "right"
            assert np.array_equal(parent.pixels, image.pixels)
            assert parent.label == image.label


def test_copies_have_different_parents(splits):
    parents = [image.of for image in splits["val"] if image.kind == "copy"]
    assert len(set(parents)) == len(parents)


def test_images_look_like_scans(splits):
    shapes, values = set(), set()
    for image in splits["train"]:
        assert image.pixels.dtype == np.uint8
        assert LEAST <= min(image.pixels.shape) <= max(image.pixels.shape) <= MOST
        values |= set(np.unique(image.pixels).tolist())
        shapes.add(image.pixels.shape)
        if image.kind != "junk":
            assert 0.002 < (image.pixels < PAPER).mean() < 0.5
    assert values == {MARKER, PENCIL, PAPER}
    assert len(shapes) > 100


@pytest.mark.parametrize("numeral", NUMERALS)
def test_a_plain_hand_writes_what_is_asked_for(numeral):
    """Along a row through the upper third lie as many lines as the letters have there: one of an i, two of v and x."""
    image = scanned(written(numeral, PLAIN, Draws(3)), PAGE, Draws(4))
    row = image[38] < PAPER
    lines = int((np.diff(np.concatenate([[False], row, [False]]).astype(int)) == 1).sum())
    assert lines == numeral.count("i") + 2 * numeral.count("v") + 2 * numeral.count("x")


def test_small_letters_have_dots_and_bars_lie_above_and_below():
    import dataclasses

    small = scanned(written("i", dataclasses.replace(PLAIN, small=True), Draws(3)), PAGE, Draws(4))
    rows = (small < PAPER).any(axis=1)
    assert int((np.diff(np.concatenate([[False], rows, [False]]).astype(int)) == 1).sum()) == 2, "a dot and a line"
    barred = scanned(written("iii", dataclasses.replace(PLAIN, serif=0.2, joined=True), Draws(3)), PAGE, Draws(4))
    widths = (barred < PAPER).sum(axis=1)
    assert widths[21] > 0.8 * widths.max() > 2 * widths[50]
    assert widths[79] > 0.8 * widths.max()


def test_what_is_too_wide_is_made_smaller():
    image = scanned(written("viii", PLAIN, Draws(3)), Page(100, 60, 0.9, (0.5, 0.5), MARKER, 0.0, "none", 0.0, 0.0, 0.0), Draws(4))
    columns = np.flatnonzero((image < PAPER).any(axis=0))
    assert image.shape == (100, 60)
    assert 50 <= columns[-1] - columns[0] <= 60


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_junk_is_drawn(kind):
    hand, page = Writer.drawn(Draws(8)).varied(Draws(9))
    image = KINDS[kind][1](hand, page, Draws(10))
    assert image.shape == (page.rows, page.columns)
    assert (image < PAPER).any()
    assert sum(share for share, _ in KINDS.values()) == pytest.approx(1)


def test_mistakes_are_other_classes():
    assert set(MISTAKEN) == set(NUMERALS)
    assert all(taken in NUMERALS and taken != numeral for numeral, takes in MISTAKEN.items() for taken in takes)


def test_a_gray_png_is_read_back(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 250), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(stored_png(pixels))
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("wrong", [{"train": 9}, {"train": True}, {"other": 20}])
def test_sizes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong)) if "train" in wrong else "expected train, val"):
        Collection(0, SIZES | wrong)
    with pytest.raises(ConfigurationError, match="the seed is -1"):
        Collection(-1, SIZES)
    with pytest.raises(IndexError, match="there is no image 60 in test"):
        Collection(0, SIZES).image("test", 60)
