"""Labelled images: what a set refuses, and what a folder of classes becomes."""

import io

import numpy as np
import pytest
from PIL import Image

from evaluator.curation.images import LabelledImages, class_names, joined, read_image, read_images
from evaluator.errors import ConfigurationError, DataError


def some(n=4, start=0):
    rng = np.random.default_rng(n + start)
    pixels = tuple(rng.integers(0, 256, (5 + row, 7), dtype=np.uint8) for row in range(n))
    return LabelledImages(tuple(f"image{start + row}" for row in range(n)), pixels, np.arange(n) % 3)


def write(folder, name, pixels):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)


def test_rows_are_taken_by_number_and_by_mask():
    images = some(5)
    assert images.take([3, 0]).ids == ("image3", "image0")
    assert images.take(images.labels == 1).ids == ("image1", "image4")
    assert images.take(np.array([3, 0])).labels.tolist() == [0, 0]
    assert images.take([]).ids == ()
    with pytest.raises(IndexError):
        images.take([5])
    assert joined([images.take([1, 2]), images.take([0])]).digest() == images.take([1, 2, 0]).digest()


def test_a_set_cannot_be_changed_through_itself():
    images = some()
    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        images.pixels[0][0, 0] = 1


@pytest.mark.parametrize("change", ["id", "label", "pixel", "shape", "order"])
def test_the_digest_sees(change):
    images = some()
    ids, pixels, labels = list(images.ids), [image.copy() for image in images.pixels], images.labels.copy()
    if change == "id":
        ids[2] = "other"
    elif change == "label":
        labels[2] = 0
    elif change == "pixel":
        pixels[2][1, 1] ^= 1
    elif change == "shape":
        pixels[2] = pixels[2].T.copy()
    else:
        ids[0], ids[3] = ids[3], ids[0]
        pixels[0], pixels[3] = pixels[3], pixels[0]
    assert LabelledImages(tuple(ids), tuple(pixels), labels).digest() != images.digest()


@pytest.mark.parametrize(
    ("ids", "pixels", "labels", "said"),
    [
        (("a", "b"), np.zeros((2, 3, 3), np.uint8), np.zeros(1, np.int64), "2 ids, 2 images"),
        (("a", "a"), np.zeros((2, 3, 3), np.uint8), np.zeros(2, np.int64), "the id a is there twice"),
        (("a",), np.zeros((1, 3, 3), np.float32), np.zeros(1, np.int64), "float32"),
        (("a",), np.zeros((1, 3, 3, 4), np.uint8), np.zeros(1, np.int64), r"\(3, 3, 4\)"),
        (("a",), np.zeros((1, 0, 3), np.uint8), np.zeros(1, np.int64), r"\(0, 3\)"),
        (("a",), np.zeros((1, 3, 3), np.uint8), np.zeros(1, np.int32), "int32"),
        (("a",), np.zeros((1, 3, 3), np.uint8), np.full(1, -1), "the lowest -1"),
    ],
)
def test_what_no_set_is(ids, pixels, labels, said):
    with pytest.raises(DataError, match=said):
        LabelledImages(ids, tuple(pixels), labels)


def test_a_folder_becomes_images_with_the_order_of_numerals(tmp_path):
    gray, colour = np.arange(24, dtype=np.uint8).reshape(4, 6), np.arange(36, dtype=np.uint8).reshape(4, 3, 3)
    for name, pixels in (("x/b.png", gray), ("x/a.png", gray.T), ("v/a.png", colour), ("ix/a.png", np.dstack([gray] * 3))):
        write(tmp_path, name, pixels)
    (tmp_path / "v" / "notes.txt").write_text("not an image")
    (tmp_path / "v" / ".hidden.png").write_text("neither")
    assert class_names(tmp_path) == ("v", "ix", "x")
    found = read_images(tmp_path, prefix="train/")
    assert found.ids == ("train/v/a.png", "train/ix/a.png", "train/x/a.png", "train/x/b.png")
    assert found.labels.tolist() == [0, 1, 2, 2]
    assert np.array_equal(found.pixels[0], colour)
    assert np.array_equal(found.pixels[1], gray), "three equal channels are gray"
    assert [image.shape for image in found.pixels] == [(4, 3, 3), (4, 6), (6, 4), (4, 6)]
    given = read_images(tmp_path, ("x", "ix", "viii", "v"))
    assert given.labels.tolist() == [0, 0, 1, 3]


def test_other_classes_are_sorted(tmp_path):
    for name in ("dog", "cat", "i"):
        write(tmp_path, f"{name}/a.png", np.zeros((3, 3), np.uint8))
    assert class_names(tmp_path) == ("cat", "dog", "i")


def test_a_wrong_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="missing cannot be read"):
        read_images(tmp_path / "missing")
    with pytest.raises(DataError, match="holds 0 folders"):
        read_images(tmp_path)
    write(tmp_path, "cat/a.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match="holds the folder cat; expected folders of the classes dog"):
        read_images(tmp_path, ("dog",))
    with pytest.raises(ConfigurationError, match="each once"):
        read_images(tmp_path, ("cat", "cat"))


def test_a_file_that_is_no_image_is_named(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(whole, "PNG")
    for name, content in (("cut", whole.getvalue()[:-6]), ("text", b"hello"), ("empty", b"")):
        path = tmp_path / "i" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{name}.png"):
            read_images(tmp_path)
        path.unlink()
    (tmp_path / "i" / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png"):
        read_images(tmp_path)


def test_sizes_are_bounded(tmp_path, monkeypatch):
    write(tmp_path, "i/a.png", np.zeros((40, 40), np.uint8))
    write(tmp_path, "i/b.png", np.zeros((40, 40), np.uint8))
    for limit, value in (("MOST_BYTES", 20), ("MOST_PIXELS", 3_000), ("MOST_IMAGES", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(f"evaluator.curation.images.{limit}", value)
            with pytest.raises(DataError, match=r"i/a.png|i/b.png|more than 1 images"):
                read_images(tmp_path)
    assert len(read_images(tmp_path)) == 2


def test_transparency_is_dropped_and_16_bits_keep_the_high_byte(tmp_path):
    pixels = np.zeros((3, 3, 4), np.uint8)
    pixels[..., 0] = 200
    write(tmp_path, "a.png", pixels)
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [200, 0, 0]
    write(tmp_path, "b.png", np.full((3, 3), 0x1234, np.uint16))
    assert read_image(tmp_path / "b.png").tolist() == [[0x12] * 3] * 3
