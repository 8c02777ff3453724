"""The training on a CUDA device: agrees with the CPU, repeats, measures its memory, and lives with too little of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import LINEAR, SMALL, distance, same, toy

from evaluator.errors import TrainingError
from evaluator.training import attempt, checkpoint, loop, memory
from evaluator.training import device as devices
from evaluator.training.cuda import depthwise
from evaluator.training.loop import train
from evaluator.training.pipeline import Augmentation
from evaluator.training.predict import predict
from evaluator.training.recipes import PIPELINES
from evaluator.training.step import Launched, Replayed

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
NETWORK = replace(SMALL, epochs=3, dropout=0.2, validation_share=0.25, threshold="base_rate")
STEADY = replace(SMALL, precision="float32", averaging=0.0, epochs=2, optimiser="sgd", learning_rate=0.01)
"""No random layers, and an optimiser that does not blow rounding up: the CPU and the device can be held against each other."""


@pytest.fixture
def scarce():
    """Let this process take no more than so many bytes of the device."""

    def limit(size: int) -> None:
        torch.cuda.empty_cache()
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + size) / total))

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_float32_agrees_with_the_cpu():
    images, labels = toy(32)
    on_cpu = train(STEADY, images, labels, seed=1, threads=1)
    on_cuda = train(STEADY, images, labels, seed=1, device="cuda")
    assert on_cuda.device.startswith("cuda:")
    assert (on_cuda.precision, on_cpu.precision) == ("float32", "float32")
    assert on_cuda.history[0]["loss"] == pytest.approx(on_cpu.history[0]["loss"], rel=1e-2)
    assert predict(on_cuda, images) == pytest.approx(predict(on_cpu, images), abs=0.02)


@pytest.mark.parametrize("recipe", [NETWORK, LINEAR], ids=["network", "linear"])
def test_it_learns_what_the_cpu_learns_in_the_devices_own_format(recipe):
    images, labels = toy(64)
    recipe = replace(recipe, epochs=6, validation_share=0.0)
    on_cpu = train(recipe, images, labels, seed=1, threads=1)
    on_cuda = train(recipe, images, labels, seed=1, device="cuda")
    assert on_cuda.precision in ("bfloat16", "float16")
    assert on_cuda.history[-1]["loss"] == pytest.approx(on_cpu.history[-1]["loss"], abs=0.1)
    assert np.isfinite(predict(on_cuda, images)).all()


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "recipe",
    [NETWORK, LINEAR, replace(NETWORK, freeze_batch_norm=True), replace(NETWORK, optimiser="sgd", learning_rate=0.01)],
    ids=["network", "linear", "frozen statistics", "sgd"],
)
def test_replayed_steps_give_the_bits_of_launched_ones_and_repeat(name, recipe, monkeypatch):
    if name == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this device has no bfloat16 of its own")
    monkeypatch.setattr(devices, "number_format", lambda device, precision: name)
    images, labels = toy(43)  # two sizes of batches
    made = []
    graphs = attempt.steps_of

    def steps_of(*given):
        made.append(graphs(*given))
        return made[-1]

    monkeypatch.setattr(attempt, "steps_of", steps_of)
    replayed, again = (train(recipe, images, labels, seed=1, device="cuda") for _ in range(2))
    assert replayed.notes == ()
    assert all(isinstance(steps, Replayed) and steps._graphs for steps in made)
    assert same(replayed, again)
    monkeypatch.setattr(attempt, "steps_of", lambda step, where, wanted, acting: Launched(step, acting))
    launched = train(recipe, images, labels, seed=1, device="cuda")
    assert same(replayed, launched)
    assert replayed.history == launched.history


@pytest.mark.parametrize("name", ["panel-resnet50", "panel-convnext-tiny", "panel-vit-small"])
def test_networks_of_the_panel_are_replayed_and_repeat(name, monkeypatch):
    images, labels = toy(43, side=64)
    recipe = replace(PIPELINES[name], weights="none", from_scratch={}, image_size=64, batch_size=16, epochs=2)
    replayed, again = (train(recipe, images, labels, seed=1, device="cuda") for _ in range(2))
    assert replayed.notes == ()
    assert same(replayed, again)
    monkeypatch.setattr(attempt, "steps_of", lambda step, where, wanted, acting: Launched(step, acting))
    assert same(replayed, train(recipe, images, labels, seed=1, device="cuda"))


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_the_kits_depthwise_layers_repeat_and_learn_what_the_librarys_learn(name, monkeypatch):
    if name == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this device has no bfloat16 of its own")
    monkeypatch.setattr(devices, "number_format", lambda device, precision: name)
    images, labels = toy(64)
    recipe = replace(NETWORK, epochs=6, dropout=0.0)
    theirs = train(recipe, images, labels, seed=1, device="cuda")
    monkeypatch.setattr(depthwise, "FORM", "triton")
    ours, again = (train(recipe, images, labels, seed=1, device="cuda") for _ in range(2))
    assert ours.notes == ()
    assert any(isinstance(module, depthwise.Depthwise) for module in ours.model.modules())
    assert same(ours, again)
    assert ours.history[0]["loss"] == pytest.approx(theirs.history[0]["loss"], rel=0.05)
    assert ours.history[-1]["loss"] == pytest.approx(theirs.history[-1]["loss"], abs=0.1)


def test_a_step_that_reads_a_value_back_is_launched_and_leaves_nothing_behind(monkeypatch):
    """With random layers: a generator that still believes in a capture would end the training at its first draw."""
    images, labels = toy(43)
    plain = attempt.Pictures.logits

    def reads(self, rows, draws):
        found = plain(self, rows, draws)
        return found + 0 * found.mean().item()

    monkeypatch.setattr(attempt.Pictures, "logits", reads)
    train(LINEAR, images, labels, seed=1, device="cuda")
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    refused = train(NETWORK, images, labels, seed=1, device="cuda")
    assert "could not be captured as CUDA graphs" in refused.notes[0]
    monkeypatch.setattr(attempt, "steps_of", lambda step, where, wanted, acting: Launched(step, acting))
    launched = train(NETWORK, images, labels, seed=1, device="cuda")
    assert same(refused, launched)
    del refused, launched
    memory.release()
    assert torch.cuda.memory_reserved() <= before + 32 * 2**20


def test_gradients_are_added_up_within_a_graph(monkeypatch):
    images, labels = toy(43)
    replayed = train(NETWORK, images, labels, seed=1, device="cuda", micro_batch=3)
    assert replayed.notes == ()
    monkeypatch.setattr(attempt, "steps_of", lambda step, where, wanted, acting: Launched(step, acting))
    assert same(replayed, train(NETWORK, images, labels, seed=1, device="cuda", micro_batch=3))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_both_formats_train(name, monkeypatch):
    if name == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this device has no bfloat16 of its own")
    monkeypatch.setattr(devices, "number_format", lambda device, precision: name)
    images, labels = toy(48)
    trained = train(replace(NETWORK, epochs=6), images, labels, seed=1, device="cuda")
    assert trained.precision == name
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert sum(entry.get("skipped_steps", 0) for entry in trained.history) < 20
    assert all(np.isfinite(list(entry.values())).all() for entry in trained.history)
    assert np.isfinite(predict(trained, images)).all()


def test_the_peak_of_memory_is_measured_and_grows_with_the_batch():
    images, labels = toy(64, side=64)
    small, large = (
        train(replace(NETWORK, image_size=64, epochs=1, batch_size=size), images, labels, seed=1, device="cuda").peak_memory
        for size in (4, 48)
    )
    parameters = 4_000_000 * 4
    assert parameters < small < large
    split = train(replace(NETWORK, image_size=64, epochs=1, batch_size=48), images, labels, seed=1, device="cuda", micro_batch=4)
    assert split.peak_memory < (small + large) / 2


def test_memory_that_runs_out_halves_the_batch(scarce):
    images, labels = toy(64, side=128)
    recipe = replace(NETWORK, image_size=128, epochs=1, batch_size=64, validation_share=0.0, threshold="fixed")
    free = train(recipe, images, labels, seed=1, device="cuda")
    assert (free.micro_batch, free.notes) == (64, ())
    scarce(int(0.6 * free.peak_memory))
    halved = train(recipe, images, labels, seed=1, device="cuda")
    assert halved.micro_batch < 64
    assert "memory ran out on cuda" in halved.notes[-1]
    torch.cuda.set_per_process_memory_fraction(1.0)
    by_hand = train(recipe, images, labels, seed=1, device="cuda", micro_batch=halved.micro_batch)
    assert distance(halved, by_hand) < 1e-2


def test_far_too_little_memory_is_an_error_that_names_the_device(scarce):
    images, labels = toy(16)
    scarce(4 * 2**20)
    with pytest.raises(TrainingError, match=r"memory ran out on the device cuda:0 \(.* GiB free\)"):
        train(NETWORK, images, labels, seed=1, device="cuda")
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert train(LINEAR, images, labels, seed=1, device="cuda").notes == ()


def test_images_that_stay_in_the_computers_memory_change_nothing_but_the_notes(monkeypatch):
    images, labels = toy(40)
    near = train(LINEAR, images, labels, seed=1, device="cuda")
    expected = predict(near, images)
    monkeypatch.setattr(memory, "LARGEST_SHARE", 0.0)
    far = train(LINEAR, images, labels, seed=1, device="cuda")
    assert same(near, far)
    assert np.array_equal(predict(far, images), expected)
    assert "computer's memory" in far.notes[0]
    assert near.notes == ()


@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
def test_frozen_features_are_embedded_once_on_the_device_too(far, monkeypatch):
    monkeypatch.setattr("evaluator.training.loop.load_starting_weights", lambda *given: "test")
    if far:
        monkeypatch.setattr(memory, "LARGEST_SHARE", 0.0)
    images, labels = toy(40)
    recipe = replace(NETWORK, trains="head", weights="procedural", dropout=0.0, precision="float32", augmentation=Augmentation())
    anew = train(recipe, images, labels, seed=1, device="cuda")
    once = train(replace(recipe, embedding_views=1), images, labels, seed=1, device="cuda")
    assert once.timings["embed"] > 0
    assert distance(anew, once) < 1e-2
    assert predict(once, images) == pytest.approx(predict(anew, images), abs=1e-2)


def test_an_interrupted_training_goes_on_with_the_devices_random_state(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHORTEST", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", float("inf"))
    images, labels = toy(40)
    recipe = replace(LINEAR, epochs=4, batch_size=16, averaging=0.8)

    def stop(share):
        if share > 0.6:
            raise KeyboardInterrupt

    whole = train(recipe, images, labels, seed=1, device="cuda")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, images, labels, seed=1, device="cuda", checkpoint=tmp_path / "training", progress=stop)
    again = train(recipe, images, labels, seed=1, device="cuda", checkpoint=tmp_path / "training")
    assert "went on" in again.notes[0]
    assert distance(again, whole) < 1e-6


def test_the_random_state_of_the_device_is_left_alone():
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    train(NETWORK, *toy(16), seed=1, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_trainings_side_by_side_in_one_process_give_the_bits_of_trainings_alone(tmp_path, monkeypatch):
    """With dropout, stochastic depth, batch statistics and two sizes of batches; one of them goes on from a checkpoint."""
    monkeypatch.setattr(checkpoint, "SHORTEST", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", float("inf"))
    images, labels = toy(43)
    recipe = replace(NETWORK, epochs=4, stochastic_depth=0.2, averaging=0.9)
    alone = [train(recipe, images, labels, seed=seed, device="cuda") for seed in range(3)]

    def stop(share):
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, images, labels, seed=2, device="cuda", checkpoint=tmp_path / "training", progress=stop)
    met = threading.Barrier(4, timeout=60)
    begun = threading.local()

    def one(number):
        def meet(share):
            if not getattr(begun, "yes", False):
                begun.yes = True
                met.wait()

        at = tmp_path / "training" if number == 2 else None
        return train(recipe, images, labels, seed=number % 3, device="cuda", progress=meet, checkpoint=at)

    before = torch.cuda.get_rng_state(), torch.backends.cudnn.deterministic
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(one, range(4)))
    assert torch.equal(torch.cuda.get_rng_state(), before[0])
    assert torch.backends.cudnn.deterministic == before[1]
    assert "went on" in together[2].notes[0]
    for number, training in enumerate(together):
        assert not any("one by one" in note for note in training.notes)
        assert same(training, alone[number % 3])
        assert training.peak_memory is None
        assert np.array_equal(predict(training, images), predict(alone[number % 3], images))


def test_a_training_that_runs_out_of_memory_beside_another_is_as_it_is_alone(monkeypatch):
    images, labels = toy(43)
    alone = train(NETWORK, images, labels, seed=1, device="cuda")
    there, failed = threading.Event(), []
    plain = attempt.Pictures.logits

    def scarce(self, rows, draws):
        if threading.current_thread().name == "second" and not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return plain(self, rows, draws)

    monkeypatch.setattr(attempt.Pictures, "logits", scarce)
    found = {}

    def first(share):
        there.set()
        while len(found) == 0 and not failed and second.is_alive():
            time.sleep(0.01)

    def train_second():
        there.wait(60)
        found["second"] = train(NETWORK, images, labels, seed=1, device="cuda")

    second = threading.Thread(target=train_second, name="second")
    second.start()
    train(NETWORK, images, labels, seed=2, device="cuda", progress=first)
    second.join(120)
    assert failed
    assert same(found["second"], alone)
    assert found["second"].micro_batch == alone.micro_batch
    assert found["second"].notes == (loop.BESIDE,)
