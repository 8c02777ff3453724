"""The training: transforms, batches, splits, repetition to the bit, and that it learns what can be learnt and nothing else."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import LINEAR, SMALL, TURNS, same, toy, weights

from evaluator.errors import ConfigurationError, DataError, TrainingError
from evaluator.scoring.metrics import best_constant, score
from evaluator.seeds import generator
from evaluator.training import augment
from evaluator.training.average import Average
from evaluator.training.loop import train
from evaluator.training.optimiser import portions, rate_factor
from evaluator.training.pipeline import IMAGENET_MEAN, IMAGENET_STD, Augmentation
from evaluator.training.predict import decide, predict
from evaluator.training.split import stratified_share

# -- transforms


def test_training_and_evaluation_differ_in_augmentation_alone():
    images = torch.from_numpy(toy(6, side=64)[0])
    draws = augment.draw(generator(0, "draws"), 6)
    for size in (64, 48, 32):
        plain = replace(SMALL, image_size=size, augmentation=Augmentation())
        evaluation = augment.transform(images, plain)
        assert torch.equal(augment.transform(images, plain, draws), evaluation)
        assert torch.equal(augment.transform(images, replace(plain, augmentation=TURNS)), evaluation)
        assert not torch.equal(augment.transform(images, replace(plain, augmentation=TURNS), draws), evaluation)


def test_the_one_transform_sizes_and_normalises_as_the_pipeline_says():
    image = np.full((1, 64, 64, 3), (255, 0, 51), dtype=np.uint8)
    for draws in (None, augment.draw(generator(0, "draws"), 1)):
        x = augment.transform(torch.from_numpy(image), SMALL, draws)
        assert x.shape == (1, 3, 32, 32)
        expected = (np.array([1.0, 0.0, 0.2]) - IMAGENET_MEAN) / IMAGENET_STD
        assert x.mean(dim=(0, 2, 3)).numpy() == pytest.approx(expected, abs=1e-5)


def test_shrinking_by_a_whole_number_is_the_mean_over_blocks():
    images = toy(3, side=64)[0]
    blocks = images.reshape(3, 8, 8, 8, 8, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2) / 255
    assert augment.sized(torch.from_numpy(images), 8).numpy() == pytest.approx(blocks, abs=1e-5)


def test_turns_reach_all_eight_and_only_permute_pixels():
    unit = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)).repeat(400, 1, 1, 1)
    out = augment.augmented(unit, TURNS, torch.from_numpy(augment.draw(generator(0, "turns"), 400)))
    assert len({x.numpy().tobytes() for x in out}) == 8
    assert torch.equal(out.flatten(2).sort().values, unit.flatten(2).sort().values)


@pytest.mark.parametrize(
    "rules",
    [
        {"shift": 0.3},
        {"zoom": 0.3},
        {"brightness": 0.5},
        {"contrast": 0.5},
        {"colour": 0.5},
        {"blur": 1.0},
        {"horizontal_flip": True},
    ],
    ids=lambda r: next(iter(r)),
)
def test_every_change_is_drawn_per_image_stays_in_range_and_leaves_other_images_alone(rules):
    unit = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).repeat(12, 1, 1, 1)
    draws = torch.from_numpy(augment.draw(generator(0, "per image"), 12))
    out = augment.augmented(unit, Augmentation(**rules), draws)
    assert out.shape == unit.shape
    assert 0 <= out.min() <= out.max() <= 1
    assert len({x.numpy().tobytes() for x in out}) > 1
    assert torch.allclose(augment.augmented(unit[:5], Augmentation(**rules), draws[:5]), out[:5])


def test_a_shift_moves_by_whole_pixels_and_mirrors_the_border():
    unit = torch.arange(5.0).div(10).view(1, 1, 1, 5).repeat(1, 3, 5, 1)
    draws = torch.full((1, 12), 0.5)
    draws[:, augment._COLUMN["shift_x"]] = 0.999  # the largest step of 0.4 * 5 = 2 pixels
    out = augment.augmented(unit, Augmentation(shift=0.4), draws)
    assert out[0, 0, 0].tolist() == pytest.approx([0.2, 0.3, 0.4, 0.3, 0.2])


# -- order, schedule, split


@given(st.integers(2, 300), st.integers(2, 40))
def test_batches_hold_every_item_once_and_never_one_alone(n, batch_size):
    cut = [np.arange(n)[start:stop] for start, stop in portions(n, batch_size)]
    assert np.concatenate(cut).tolist() == list(range(n))
    sizes = [len(b) for b in cut]
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(batch_size, 3)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_schedules_rise_to_their_peak_and_end_as_they_should(schedule):
    rates = [rate_factor(step, 100, schedule, 0.3) for step in range(100)]
    assert rates[:30] == sorted(rates[:30])
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[-1] == (1.0 if schedule == "constant" else pytest.approx(0, abs=0.001))
    assert all(0 < rate <= 1 for rate in rates)


@given(st.integers(2, 80), st.floats(0.05, 0.5), st.integers(0, 9))
def test_the_share_is_of_its_size_and_holds_each_item_once(n, share, seed):
    labels = (generator(seed, "labels").random((n, 4)) < [0.5, 0.3, 0.1, 0.02]).astype(int)
    kept, held = stratified_share(labels, share, generator(seed, "split"))
    assert sorted([*kept, *held]) == list(range(n))
    assert len(held) == min(max(round(share * n), 1), n - 1)


def test_the_share_is_stratified_seeded_and_optional():
    labels = (generator(0, "labels").random((200, 4)) < [0.5, 0.3, 0.1, 0.05]).astype(int)
    held = stratified_share(labels, 0.2, generator(1, "split"))[1]
    assert np.abs(labels[held].sum(axis=0) - 0.2 * labels.sum(axis=0)).max() <= 1.5
    assert np.array_equal(held, stratified_share(labels, 0.2, generator(1, "split"))[1])
    assert not np.array_equal(held, stratified_share(labels, 0.2, generator(2, "split"))[1])
    assert [len(part) for part in stratified_share(labels, 0.0, generator(1, "split"))] == [200, 0]


# -- training


def test_it_learns_what_can_be_learnt_and_shuffled_labels_teach_nothing():
    images, labels = toy(120)
    unseen, truth = toy(200, seed=1)
    linear = replace(LINEAR, batch_size=16)

    def reached(given):
        trained = train(linear, images, given, seed=1, threads=1)
        return score(truth, decide(predict(trained, unseen), trained.thresholds), ["bright", "red"]).macro_f1

    assert reached(labels) > 0.9
    # One shuffle of so plain a toy agrees with the truth, or with its opposite, by chance; the mean of many does neither.
    shuffled = [reached(labels[generator(0, "shuffle", i).permutation(len(labels))]) for i in range(12)]
    assert np.mean(shuffled) < best_constant(truth)


@pytest.mark.slow
def test_a_network_learns_the_toy():
    images, labels = toy(96)
    unseen, truth = toy(100, seed=1)
    recipe = replace(SMALL, epochs=6, learning_rate=3e-3, augmentation=Augmentation(horizontal_flip=False), threshold="base_rate")
    trained = train(recipe, images, labels, seed=3, threads=1)
    assert score(truth, decide(predict(trained, unseen), trained.thresholds), ["bright", "red"]).macro_f1 > 0.85
    assert trained.history[-1]["loss"] < 0.7 * trained.history[0]["loss"]


@pytest.mark.parametrize("recipe", [replace(SMALL, dropout=0.3, stochastic_depth=0.2), LINEAR], ids=["network", "linear"])
def test_repeats_to_the_bit_and_leaves_the_global_generators_alone(recipe):
    images, labels = toy(20)
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = train(recipe, images, labels, seed=7, threads=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]
    torch.manual_seed(99)
    again = train(recipe, images.copy(), labels.astype(bool), seed=7, threads=1)
    assert same(first, again)
    assert first.history == again.history
    assert np.array_equal(first.thresholds, again.thresholds)
    assert predict(first, images).tobytes() == predict(again, images).tobytes()


@pytest.mark.parametrize(
    "change", [{"dropout": 0.5}, {"augmentation": Augmentation()}, {"averaging": 0.0}, {"label_smoothing": 0.2}]
)
def test_every_part_of_a_recipe_reaches_the_weights(change):
    images, labels = toy(16)
    assert not same(*(train(p, images, labels, seed=7, threads=1) for p in (SMALL, replace(SMALL, **change))))


def test_another_seed_gives_another_model():
    images, labels = toy(12)
    assert not same(*(train(SMALL, images, labels, seed=seed, threads=1) for seed in (1, 2)))


def test_training_the_head_leaves_features_and_their_statistics(monkeypatch):
    images, labels = toy(12)
    monkeypatch.setattr("evaluator.training.loop.load_starting_weights", lambda *given: "test")
    start = train(replace(SMALL, trains="head", weights="procedural", epochs=1, averaging=0.0), images, labels, seed=1, threads=1)
    more = train(replace(SMALL, trains="head", weights="procedural", epochs=2, averaging=0.0), images, labels, seed=1, threads=1)
    changed = {name for name, value in weights(start).items() if not torch.equal(value, weights(more)[name])}
    assert changed == {"classifier.1.weight", "classifier.1.bias"}
    assert start.weights_identity == "test"


def test_frozen_batch_norm_keeps_its_statistics_and_trains_the_rest():
    images, labels = toy(12)
    trained = train(replace(SMALL, freeze_batch_norm=True, averaging=0.0), images, labels, seed=1, threads=1)
    means = [value for name, value in weights(trained).items() if name.endswith("running_mean")]
    assert means
    assert all(not value.any() for value in means)
    assert trained.history[0]["gradient_norm"] > 0


def test_the_record_says_what_was_trained():
    images, labels = toy(30)
    shares = []
    recipe = replace(SMALL, epochs=2, validation_share=0.3, threshold="validation")
    threads = torch.get_num_threads()
    trained = train(recipe, images, labels, seed=2**127, threads=2, progress=shares.append)
    assert torch.get_num_threads() == threads
    assert (trained.n_items, trained.n_train, trained.n_validation) == (30, 21, 9)
    assert (trained.device, trained.threads, trained.weights_identity) == ("cpu", 2, "none")
    assert [entry["epoch"] for entry in trained.history] == [1, 2]
    assert all(np.isfinite(entry["validation_loss"]) for entry in trained.history)
    assert trained.thresholds.shape == (2,)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) == 2 * 3


@pytest.mark.parametrize("n", [2, 3, 9])
def test_small_sets_and_a_rest_of_one_train(n):
    images, labels = toy(n)
    trained = train(replace(SMALL, epochs=1, batch_size=8), images, labels, seed=1, threads=1)
    assert np.isfinite(predict(trained, images)).all()


def test_predictions_are_probabilities_whatever_the_batch():
    images, labels = toy(12)
    trained = train(LINEAR, images, labels, seed=1, threads=1)
    whole, parts = predict(trained, images), predict(trained, images, batch_size=5)
    assert whole.dtype == np.float32
    assert whole.shape == (12, 2)
    assert 0 <= whole.min() <= whole.max() <= 1
    assert whole == pytest.approx(parts, abs=1e-6)


def test_read_only_images_are_taken_and_left_as_they_are():
    images, labels = toy(12)
    before = images.copy()
    images.flags.writeable = labels.flags.writeable = False
    predict(train(LINEAR, images, labels, seed=1, threads=1), images)
    assert np.array_equal(images, before)


def test_averaging_weights_and_thresholds_belong_to_the_averaged_model():
    images, labels = toy(24)
    recipe = replace(LINEAR, averaging=0.9, threshold="base_rate")
    trained = train(recipe, images, labels, seed=1, threads=1)
    assert decide(predict(trained, images), trained.thresholds).sum(axis=0).tolist() == labels.sum(axis=0).tolist()


def test_the_validation_loss_is_that_of_the_weights_that_would_be_kept():
    images, labels = toy(40)
    recipe = replace(LINEAR, averaging=0.95, validation_share=0.3)
    trained = train(recipe, images, labels, seed=1, threads=1)
    _, held = stratified_share(labels, 0.3, generator(1, "validation split"))
    found, given = predict(trained, images[held]).astype(float), labels[held]
    entropy = -np.mean(given * np.log(found) + (1 - given) * np.log(1 - found))
    assert trained.history[-1]["validation_loss"] == pytest.approx(entropy, rel=1e-5)
    plain = train(replace(recipe, averaging=0.0), images, labels, seed=1, threads=1)
    assert plain.history[-1]["validation_loss"] != pytest.approx(entropy, rel=1e-3)


def test_the_average_is_that_of_the_formula():
    rng = torch.Generator().manual_seed(0)
    weight, counter = torch.rand(3, 2, generator=rng), torch.tensor(0)
    average, expected = Average([weight, counter], 0.9), None
    for _ in range(5):
        weight += torch.rand(3, 2, generator=rng)
        counter += 10
        average.update()
        expected = weight.clone() if expected is None else 0.9 * expected + 0.1 * weight
    assert torch.allclose(average.values[0], expected)
    now = weight.clone()
    with average.in_place():
        assert torch.allclose(weight, expected)
    assert torch.equal(weight, now)
    average.finish()
    assert torch.allclose(weight, expected)
    assert counter < 50


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((0, 2), int), "at least one"),
        (np.zeros((4, 8, 8, 3), np.float32), np.zeros((4, 2), int), "uint8"),
        (np.zeros((4, 3, 8, 8), np.uint8), np.zeros((4, 2), int), "channels last"),
        (np.zeros((4, 8, 9, 3), np.uint8), np.zeros((4, 2), int), "square"),
        ([[1]], np.zeros((1, 2), int), "uint8"),
        (np.zeros((4, 8, 8, 3), np.uint8), np.zeros((3, 2), int), "4 images and 3"),
        (np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, int), r"\(n, k\)"),
        (np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 2)), "float64"),
        (np.zeros((4, 8, 8, 3), np.uint8), np.array([[0, 1], [0, 0], [2, 0], [0, 0]]), "item 2, class 0 is 2"),
        (np.zeros((4, 8, 8, 3), np.uint8), np.full((4, 2), -1), "-1"),
        (np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 2), int), "at least 2"),
    ],
)
def test_refuses_bad_data_before_work_starts(images, labels, says):
    with pytest.raises(DataError, match=says):
        train(LINEAR, images, labels, seed=1)


def test_refuses_devices_and_threads_that_are_not_there():
    images, labels = toy(4)
    with pytest.raises(ConfigurationError, match="tpu"):
        train(LINEAR, images, labels, seed=1, device="tpu")
    with pytest.raises(ConfigurationError, match="CUDA devices"):
        train(LINEAR, images, labels, seed=1, device="cuda:99")
    with pytest.raises(ConfigurationError, match="threads"):
        train(LINEAR, images, labels, seed=1, threads=0)


def test_a_loss_that_is_not_finite_stops_with_epoch_and_step():
    images, labels = toy(24)
    wild = replace(SMALL, optimiser="sgd", learning_rate=100.0, gradient_clip=0.0, schedule="constant", warmup=0.0, epochs=4)
    with pytest.raises(TrainingError, match=r"epoch \d, step \d of 3"):
        train(wild, images, labels, seed=1, threads=1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_repeats_and_agrees_with_the_cpu():
    images, labels = toy(60)
    on_cpu = predict(train(LINEAR, images, labels, seed=1, threads=1), images)
    on_gpu, again = (predict(train(LINEAR, images, labels, seed=1, device="cuda"), images) for _ in range(2))
    assert np.array_equal(on_gpu, again)
    assert on_gpu == pytest.approx(on_cpu, abs=0.05)
