"""The Gaussian blur of training images: torchvision's, image by image, and nothing where it is off."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from evaluator.training.augment import augmented, draw, transform
from evaluator.training.pipeline import Augmentation, Pipeline

LARGEST = 1.8


@pytest.fixture(scope="module")
def images():
    return torch.rand(5, 3, 24, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def draws():
    return draw(np.random.default_rng(3), 5)


def test_every_image_is_blurred_as_torchvision_blurs_it_with_its_own_deviation(images, draws):
    sigmas = LARGEST * draws[:, -1]
    assert np.ptp(sigmas) > 0.5
    found = augmented(images, Augmentation(gaussian=LARGEST), torch.from_numpy(draws))
    for image, sigma, blurred in zip(images, sigmas, found, strict=True):
        torch.testing.assert_close(blurred, gaussian_blur(image, [13, 13], [float(sigma)] * 2), rtol=0, atol=1e-5)


def test_no_deviation_is_no_change(images, draws):
    still = draws.copy()
    still[:, -1] = 0
    assert torch.equal(augmented(images, Augmentation(gaussian=LARGEST), torch.from_numpy(still)), images)


def test_a_blur_that_reaches_over_a_small_image_stays_in_range(draws):
    tiny = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = augmented(tiny, Augmentation(gaussian=10.0), torch.from_numpy(draws))
    assert torch.isfinite(found).all()
    assert found.amin() >= tiny.amin()
    assert found.amax() <= tiny.amax()


def test_the_blur_has_a_draw_of_its_own_behind_those_of_older_pipelines(draws):
    rng = np.random.default_rng(3)
    older = np.stack([rng.random(5, dtype=np.float32) for _ in range(12)], axis=1)
    assert np.array_equal(draws[:, :12], older)
    assert draws.shape == (5, 13)


def test_evaluation_never_sees_the_blur():
    pipeline = Pipeline(name="x", image_size=32, augmentation=Augmentation(gaussian=2.0))
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8))
    plain = replace(pipeline, augmentation=Augmentation())
    assert torch.equal(transform(pictures, pipeline), transform(pictures, plain))
    assert not torch.equal(transform(pictures, pipeline, draw(np.random.default_rng(0), 2)), transform(pictures, plain))
