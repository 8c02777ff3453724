"""The plain loop is the same training as ours: the yardstick of ``benchmarks.training``, held against what it measures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from benchmarks.training.plain_inputs import Files, augmentations, transforms_of
from benchmarks.training.plain_loop import predict_plainly, train_plainly
from evaluator.data.folders import read_split
from evaluator.data.make import DataSpec, make_dataset
from evaluator.data.painted import CLASSES
from evaluator.training.augment import _UNIFORMS, augmented, transform
from evaluator.training.loop import train
from evaluator.training.pipeline import Augmentation, Pipeline
from evaluator.training.predict import predict

SMALL = Pipeline(name="small", architecture="efficientnet_b0", weights="none", image_size=32, batch_size=8, epochs=1)
LINEAR = Pipeline(name="linear", architecture="linear", weights="none", image_size=16, batch_size=8, epochs=4, learning_rate=0.02)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painted") / "sheets"
    make_dataset(folder, DataSpec(3, 32, {"training": 24}), workers=1)
    return read_split(folder / "training", CLASSES)


@pytest.fixture(scope="module")
def images(split):
    return np.stack([np.asarray(Image.open(split.path(i)).convert("RGB")) for i in range(len(split))])


def test_the_first_step_of_both_routes_has_the_same_loss(split, images):
    """Same weights, same batch, same loss: the rest is the machine's business."""
    items = np.arange(8)
    plain = train_plainly(SMALL, split, items, seed=1, threads=1)
    ours = train(SMALL, images[items], split.labels[items], seed=1, threads=1)
    assert len(plain.losses) == 1
    assert plain.losses[0] == pytest.approx(ours.history[0]["loss"], rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule": "cosine", "warmup": 0.2, "head_rate": 3.0},
        {"schedule": "constant", "warmup": 0.0, "optimiser": "sgd", "gradient_clip": 0.0},
        {"label_smoothing": 0.1, "positive_weight": 1.0, "weight_decay": 0.3},
        {"averaging": 0.8, "gradient_clip": 0.05},
        {"validation_share": 0.25, "threshold": "validation"},
        {"threshold": "prior", "threshold_value": 0.3},
    ],
    ids=str,
)
def test_every_part_of_the_recipe_is_obeyed(split, images, changes):
    """A model without rounding to speak of, trained for four epochs: both routes end at the same predictions and thresholds."""
    pipeline, items = replace(LINEAR, image_size=32, **changes), np.arange(len(split))
    plain = train_plainly(pipeline, split, items, seed=5, threads=1)
    ours = train(pipeline, images, split.labels, seed=5, threads=1)
    np.testing.assert_allclose(predict_plainly(plain, split, items), predict(ours, images), atol=2e-4)
    np.testing.assert_allclose(plain.thresholds, ours.thresholds, atol=2e-4)


def test_the_head_alone_trains_where_the_recipe_says_so(split, tmp_path):
    from benchmarks.training.plain_loop import starting_model
    from evaluator.training.weights import write_features

    path = tmp_path / "b0.safetensors"
    write_features(starting_model(SMALL, 6, 7), path, "random features")
    pipeline = replace(SMALL, trains="head", weights=str(path), learning_rate=0.1)
    before = starting_model(pipeline, 6, 0).state_dict()
    after = train_plainly(pipeline, split, np.arange(16), seed=2, threads=1, batch_size=5).model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"classifier.1.weight", "classifier.1.bias"}


def test_another_batch_size_makes_more_steps_and_a_limit_makes_fewer(split):
    pipeline, items = replace(LINEAR, image_size=32, epochs=2), np.arange(20)
    assert len(train_plainly(pipeline, split, items, seed=0, batch_size=5).losses) == 8
    shares = []
    cut = train_plainly(pipeline, split, items, seed=0, batch_size=5, most_steps=3, progress=shares.append)
    assert len(cut.losses) == 3
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])


def test_forced_mirrors_and_turns_are_ours(images):
    """All of them at once: mirrored both ways, then turned by three quarters. Exact, so equal to the bit."""
    rules = Augmentation(horizontal_flip=True, vertical_flip=True, quarter_turns=True)
    draws = torch.zeros(1, len(_UNIFORMS))
    draws[0, 2] = 0.99  # three quarter turns; a draw of 0 mirrors
    for image in images[:4]:
        plain = transforms.Compose(augmentations(rules, chance=1.0))(Image.fromarray(image))
        unit = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
        ours = (augmented(unit, rules, draws)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        assert (np.asarray(plain) == ours).all()


def test_a_forced_gaussian_is_ours(images):
    rules = Augmentation(gaussian=1.3)
    (blur,) = augmentations(rules)
    blur.sigma = (1.3, 1.3)
    draws = torch.ones(1, len(_UNIFORMS))
    unit = torch.from_numpy(images[0].copy()).permute(2, 0, 1)[None] / 255
    plain = transforms.ToTensor()(blur(Image.fromarray(images[0])))
    assert (plain - augmented(unit, rules, draws)[0]).abs().max() < 1.01 / 255, "Pillow's images hold whole numbers"


def test_mirrors_and_turns_reach_all_eight_positions_evenly(images):
    rules = Augmentation(horizontal_flip=True, vertical_flip=True, quarter_turns=True)
    change = transforms.Compose(augmentations(rules))
    seen: dict[bytes, int] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(800):
            found = np.asarray(change(Image.fromarray(images[0]))).tobytes()
            seen[found] = seen.get(found, 0) + 1
    assert len(seen) == 8
    assert min(seen.values()) > 60, "expected 100 each, standard deviation 9.4"


@pytest.mark.parametrize("field", ["shift", "zoom", "brightness", "contrast", "colour", "blur", "gaussian"])
def test_every_augmentation_changes_the_image_in_training_alone(split, field):
    pipeline = replace(SMALL, augmentation=Augmentation(**{field: 0.4}))
    image = Image.open(split.path(0)).convert("RGB")
    still = transforms_of(pipeline, training=False, stored=32)(image)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        changed = [transforms_of(pipeline, training=True, stored=32)(image) for _ in range(2)]
    assert not torch.allclose(changed[0], still)
    assert not torch.allclose(changed[0], changed[1])


def test_evaluation_sees_what_ours_sees(split, images):
    data = Files(split, np.arange(3), transforms_of(SMALL, training=False, stored=32))
    ours = transform(torch.from_numpy(images[:3]), SMALL)
    for i in range(3):
        torch.testing.assert_close(data[i][0], ours[i], atol=1e-6, rtol=1e-6)
        assert data[i][1].tolist() == split.labels[i].tolist()


def test_images_of_another_size_are_resized(split):
    data = Files(split, np.arange(1), transforms_of(LINEAR, training=True, stored=32))
    assert data[0][0].shape == (3, 16, 16)


def test_the_global_random_state_is_left_alone(split):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    train_plainly(replace(LINEAR, image_size=32), split, np.arange(6), seed=3)
    assert torch.equal(before, torch.get_rng_state())
