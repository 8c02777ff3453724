"""Quality checks of images: planted faults are found, ordinary images are not."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from evaluator.data.image_checks import EXPLAINED, beyond, check_images, first_copies


@pytest.fixture(scope="module")
def written():
    """200 sheets with a few strokes each, of nearly one size."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(200):
        image = np.full((80 + rng.integers(0, 8), 78 + rng.integers(0, 8)), rng.integers(225, 245), np.uint8)
        for _ in range(rng.integers(2, 5)):
            x = rng.integers(10, 65)
            image[10:70, x : x + rng.integers(3, 6)] = rng.integers(10, 60)
        images.append(image)
    return images


def planted(images, fault):
    image = images[0]
    made = {
        "dark": lambda: image // 4,
        "blurred": lambda: np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(6))),
        "odd size": lambda: np.tile(image, (1, 4)),
        "empty": lambda: np.full_like(image, 250),
        "little information": lambda: np.full_like(image, 230),
        "duplicate": lambda: np.repeat(images[5][..., None], 3, axis=2),
    }
    return made[fault]()


@pytest.mark.parametrize("fault", sorted(EXPLAINED))
def test_a_planted_fault_is_found(written, fault):
    found = check_images([*written, planted(written, fault)])
    assert fault in found.flags[-1]
    assert sum(fault in flags for flags in found.flags[:-1]) == (fault == "duplicate")


def test_ordinary_images_have_no_flag(written):
    found = check_images(written)
    assert sum(bool(flags) for flags in found.flags) <= 4
    assert np.array_equal(found.copies, np.arange(200))


def test_sizes_of_the_files_count_where_images_were_resized(written):
    sizes = [(80, 80)] * 199 + [(800, 80)]
    assert [i for i, flags in enumerate(check_images(written, sizes).flags) if "odd size" in flags] == [199]


def test_copies_name_the_first():
    a, b = np.zeros((3, 3), np.uint8), np.ones((3, 3), np.uint8)
    assert first_copies([a, b, a, np.repeat(b[..., None], 3, 2), np.zeros((1, 9), np.uint8)]).tolist() == [0, 1, 0, 1, 4]


def test_fences_of_equal_values_call_nothing_far_out():
    assert not beyond(np.full(10, 3.0)).any()
    assert beyond(np.array([3.0] * 10 + [4.0])).tolist() == [False] * 10 + [True]
    assert beyond(np.array([1.0, 2, 3, 4, 100]), upper=False).sum() == 0
    assert len(beyond(np.zeros(0))) == 0
    assert check_images([]).flags == ()
