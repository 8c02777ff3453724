"""The judge's training: the competition's model to the last parameter, the same bits for the same seed, the first best epoch."""

import numpy as np
import pytest
import torch

from evaluator.curation.images import LabelledImages
from evaluator.curation.inputs import MEANS, centred, resized
from evaluator.curation.network import build_network, parameter_counts
from evaluator.curation.recipes import RECIPES, CurationRecipe, recipe_named
from evaluator.curation.training import _Course, train_and_predict
from evaluator.errors import ConfigurationError, DataError, TrainingError

SHORT = CurationRecipe("short", image_size=16, epochs=10, batch_size=3, learning_rate=1e-3)


def bars(n, seed=0, classes=3):
    """Images of one bright bar, whose place is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    pixels = []
    for label in labels:
        image = rng.integers(0, 60, (30, 26), dtype=np.uint8)
        image[4 + 8 * label : 8 + 8 * label] += 150
        pixels.append(image)
    return LabelledImages(tuple(f"{seed}-{row}" for row in range(n)), tuple(pixels), labels)


def test_the_network_has_the_competitions_parameters():
    network = build_network(10, 0)
    assert parameter_counts(network) == (232_330, 229_386)
    assert sum(module.bias is not None for module in network.modules() if isinstance(module, torch.nn.Conv2d)) == 11
    assert {module.eps for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {1.001e-5}
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    maps = []
    network.blocks[2].register_forward_hook(lambda module, given, made: maps.append(made.shape))
    network(torch.zeros(2, 3, 32, 32))
    assert maps == [(2, 256, 8, 8)]


def test_initial_weights_are_keras_and_of_the_seed():
    network, again, other = build_network(10, 5), build_network(10, 5), build_network(10, 6)
    for (name, one), two, three in zip(network.named_parameters(), again.parameters(), other.parameters(), strict=True):
        one = one.detach()
        assert torch.equal(one, two)
        if one.ndim > 1:
            assert not torch.equal(one, three)
            area = one[0, 0].numel()
            limit = (6 / (area * (one.shape[0] + one.shape[1]))) ** 0.5
            assert 0.9 * limit < one.abs().max() <= limit, name
            assert one.std() == pytest.approx(limit / 3**0.5, rel=0.05)
        else:
            expected = float("norm" in name and name.endswith("weight"))
            assert (one == expected).all(), name


def test_images_are_sampled_as_tensorflow_does():
    """tf.image.resize(image, (2, 2)), bilinear: no average over what lies between the samples; upwards, edges are held."""
    image = np.arange(36, dtype=np.uint8).reshape(6, 6)
    assert resized([image], 2)[0, 0].tolist() == [[7.0, 10.0], [25.0, 28.0]]
    wide = np.array([[0, 100]], np.uint8)
    assert resized([wide], 4)[0, 0].tolist() == [[0.0, 25.0, 75.0, 100.0]] * 4
    assert resized([image, np.dstack([image, image, image])], 2).shape == (2, 3, 2, 2)


def test_colours_are_turned_and_centred():
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = 10, 20, 30
    found = centred(resized([image], 4))[0, :, 0, 0]
    assert torch.allclose(found, torch.tensor([30.0, 20.0, 10.0]) - torch.tensor(MEANS))
    gray = centred(resized([image[..., 0]], 4))[0, :, 0, 0]
    assert torch.allclose(gray, 10 - torch.tensor(MEANS))


@pytest.mark.parametrize("network", ["resnet50_stage1", "linear"])
def test_a_training_repeats_to_the_bit_and_learns(network):
    recipe = SHORT if network != "linear" else RECIPES["linear"]
    train, validation, test = bars(60, 1), bars(15, 2), bars(30, 3)
    torch.manual_seed(9)
    before, shares = torch.get_rng_state(), []
    one = train_and_predict(train, validation, {"test": test, "none": test.take([])}, recipe, 4, 11, shares.append)
    two = train_and_predict(train, validation, {"test": test}, recipe, 4, 11)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(one.probabilities["test"], two.probabilities["test"])
    assert one.training_loss == two.training_loss
    assert one.probabilities["test"].shape == (30, 4)
    assert one.probabilities["none"].shape == (0, 4)
    assert one.probabilities["test"].dtype == np.float32
    assert np.allclose(one.probabilities["test"].sum(axis=1), 1, atol=1e-5)
    assert (one.probabilities["test"].argmax(axis=1) == test.labels).mean() > 0.9
    assert len(one.validation_accuracy) == recipe.epochs
    assert one.best_epoch == int(np.argmax(one.validation_accuracy)) + 1
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    if network != "linear":
        assert train_and_predict(train, validation, {}, recipe, 4, 12).training_loss != one.training_loss


def test_labels_of_scored_images_are_not_looked_at():
    train, validation, test = bars(20, 1), bars(9, 2), bars(9, 3)
    hidden = LabelledImages(test.ids, test.pixels, np.full(9, 7))
    recipe = CurationRecipe("one", network="linear", epochs=2)
    seen, unseen = (train_and_predict(train, validation, {"t": part}, recipe, 3, 0).probabilities["t"] for part in (test, hidden))
    assert np.array_equal(seen, unseen)


def test_the_first_of_equally_good_epochs_is_kept():
    course = _Course(torch.tensor([0, 1]), SHORT, lambda share: None)
    right, half = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert [course.judge(logits, 1.0) for logits in (half, right, right)] == [True, True, False]
    assert course.best == 1
    with pytest.raises(TrainingError, match="loss of epoch 4 is nan"):
        course.judge(right, float("nan"))


def test_what_cannot_be_trained_on_is_refused():
    train, validation = bars(20, 1), bars(9, 2)
    for wrong in ((train.take([0]), validation), (train, validation.take([]))):
        with pytest.raises(DataError, match="expected"):
            train_and_predict(*wrong, {}, SHORT, 3, 0)
    with pytest.raises(DataError, match=r"image 1-\d+ has the label 2; expected 0 to 1"):
        train_and_predict(train, validation, {}, SHORT, 2, 0)


def test_recipes_go_to_and_from_json_and_are_found_by_name():
    for name, recipe in RECIPES.items():
        assert recipe_named(name) is recipe
        assert CurationRecipe.from_dict(recipe.as_dict()) == recipe
        assert recipe.said
    assert (RECIPES["fixed"].epochs, RECIPES["fixed"].batch_size, RECIPES["fixed"].learning_rate) == (100, 8, 1e-4)
    with pytest.raises(ConfigurationError, match="did you mean 'fixed'"):
        recipe_named("fixd")


@pytest.mark.parametrize("field", [{"epochs": 0}, {"batch_size": True}, {"learning_rate": 0}, {"precision": "float16"}])
def test_a_recipe_checks_itself(field):
    with pytest.raises(ConfigurationError, match=next(iter(field))):
        CurationRecipe("own", **field)
