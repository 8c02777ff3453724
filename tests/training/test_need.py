"""How much memory a training needs on a device, computed from shapes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from toys import SMALL

from evaluator.training import need
from evaluator.training.pipeline import LINEAR
from evaluator.training.recipes import PIPELINES


@pytest.mark.slow
@pytest.mark.endurance
def test_memory_grows_with_what_is_trained():
    whole = need.need_of(replace(SMALL, averaging=0.0))
    averaged = need.need_of(replace(SMALL, averaging=0.9))
    frozen = need.need_of(replace(SMALL, trains="head", weights="x.safetensors", embedding_views=1))
    larger = need.need_of(replace(SMALL, averaging=0.0, image_size=64))
    assert frozen.fixed < whole.fixed < averaged.fixed
    assert 3.5 < larger.per_image / whole.per_image < 4.5
    assert whole.total == whole.fixed + SMALL.batch_size * whole.per_image
    assert whole.largest_batch(whole.fixed + 10.5 * whole.per_image) == 10
    assert whole.largest_batch(0) == 0


@pytest.mark.slow
@pytest.mark.endurance
@pytest.mark.parametrize("name", [name for name, recipe in PIPELINES.items() if recipe.architecture != LINEAR])
def test_every_pipeline_fits_into_the_memory_of_the_rounds_device(name):
    """A T4 has 14.7 GiB for a program."""
    from benchmarks.training.memory import DEVICES, RESERVE

    found = need.need_of(PIPELINES[name])
    assert found.total + RESERVE <= DEVICES["T4"] == 14.7 * 2**30
    assert found.total > 0


def test_saved_activations_of_a_network_counted_by_hand():
    """Two layers with a ReLU between: the input, and the ReLU's output that it shares with the second layer."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 10), torch.nn.ReLU(), torch.nn.Linear(10, 2))
    pipeline = replace(SMALL, precision="float32")
    pipeline = replace(pipeline, image_size=32)
    model[1] = torch.nn.Linear(3 * 32 * 32, 10)
    small, large = (need._saved(model, pipeline, n) for n in (2, 4))
    assert large - small == 2 * 4 * (3 * 32 * 32 + 10)


@pytest.mark.slow
@pytest.mark.endurance
def test_a_training_that_predicts_on_its_way_needs_room_for_that_and_asking_moves_no_random_state():
    before = torch.get_rng_state()
    plain = need.beside_others(SMALL, 1000)
    predicting = need.beside_others(replace(SMALL, threshold="base_rate"), 1000)
    assert predicting - plain == need.of_predictions(SMALL, 0) - need.WORKSPACES
    assert plain > need.need_of(SMALL).total + 1000
    need.need_of(replace(SMALL, architecture="linear", weights="none", augmentation=type(SMALL.augmentation)()))
    assert torch.equal(torch.get_rng_state(), before)


def test_trainings_that_begin_together_compute_what_they_need_once(monkeypatch):
    built = []
    begun = threading.Barrier(4)

    def network_of(pipeline, n_outputs=6):
        built.append(pipeline.name)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, n_outputs))

    def ask(_):
        begun.wait(10)
        return need.beside_others(pipeline, 1000), need.of_predictions(pipeline, 1000)

    monkeypatch.setattr(need, "network_of", network_of)
    pipeline = replace(SMALL, name="asked by four", image_size=32, threshold="base_rate", precision="float32")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert found == found[:1] * 4
    assert built == ["asked by four"] * 2, "for the training and for its widest pass"
    need.need_of.cache_clear()
    need._widest_pass.cache_clear()
