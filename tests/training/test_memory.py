"""Memory that runs out: half the batch, the same step, said so; and a device that vanishes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models import EfficientNet
from toys import LINEAR, SMALL, distance, same, toy

from evaluator.errors import ConfigurationError, DeviceError, TrainingError
from evaluator.training import memory
from evaluator.training.attempt import Attempt
from evaluator.training.device import answering
from evaluator.training.loop import train
from evaluator.training.network import PooledLinear
from evaluator.training.predict import predict
from evaluator.training.together import Room

CPU = torch.device("cpu")
RECIPE = replace(LINEAR, epochs=3, batch_size=16)
NETWORK = replace(SMALL, dropout=0.3, stochastic_depth=0.2)


@pytest.fixture
def small_device(monkeypatch):
    """Let networks run out of memory above a number of images at a time, after so many calls that went well."""

    def make(limit: int, *, training: bool | None = None, after: int = 0):
        sizes = []
        for kind in (PooledLinear, EfficientNet):
            forward = kind.forward

            def checked(self, x, forward=forward):
                counts = training is None or self.training is training
                if counts and len(x) > limit and len(sizes) >= after:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
                sizes.append(len(x))
                return forward(self, x)

            monkeypatch.setattr(kind, "forward", checked)
        return sizes

    return make


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        # What torch raises where no algorithm of cuDNN gets memory to work in, with and without its own search for the fastest.
        "GET was unable to find an engine to execute this computation",
        "FIND was unable to find an engine to execute this computation",
    ],
)
def test_every_way_of_saying_that_memory_ran_out_is_known(said):
    assert memory.is_shortage(RuntimeError(said))
    assert memory.shortage_in(ValueError("other")) is None


def test_work_that_runs_out_of_memory_by_itself_says_what_to_do(monkeypatch):
    where = torch.device("cuda", 0)
    monkeypatch.setattr(memory, "room_of", lambda where: Room(lambda: 100))
    monkeypatch.setattr(memory, "describe", lambda where: "the device cuda:0 (a card, 0.1 of 14.7 GiB free)")

    def work():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")

    with pytest.raises(
        TrainingError, match=r"memory ran out on the device cuda:0 \(a card.*Tried to allocate 2.00 GiB\); end other"
    ):
        memory.in_room(where, lambda: 10, work)


def test_gradients_added_up_over_parts_are_those_of_the_batch():
    images, labels = toy(50)
    whole = train(RECIPE, images, labels, seed=1, threads=1)
    parts = train(RECIPE, images, labels, seed=1, threads=1, micro_batch=3)
    assert (whole.micro_batch, parts.micro_batch) == (13, 3)
    assert not same(whole, parts)
    assert distance(whole, parts) < 1e-5
    for one, other in zip(whole.history, parts.history, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_uneven_parts_weigh_by_their_items():
    images, labels = toy(5)
    recipe = replace(RECIPE, optimiser="sgd", epochs=1, gradient_clip=0.0)
    whole, parts = (train(recipe, images, labels, seed=1, threads=1, micro_batch=m) for m in (None, 3))  # 3 + 2
    assert distance(whole, parts) < 1e-6


@pytest.mark.parametrize("recipe", [RECIPE, NETWORK], ids=["linear", "network"])
@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.endurance
def test_a_batch_that_does_not_fit_is_halved_whenever_memory_runs_out(recipe, after, small_device):
    images, labels = toy(16)
    by_hand = train(recipe, images, labels, seed=1, threads=1, micro_batch=4)
    small_device(5, training=True, after=after)
    halved = train(recipe, images, labels, seed=1, threads=1)
    assert halved.micro_batch == 4
    assert same(halved, by_hand)
    assert halved.history == by_hand.history
    (note,) = halved.notes
    assert f"batches of {recipe.batch_size} worked through 4 items at a time" in note
    assert "batch normalisation" in note
    assert by_hand.notes == ()


def test_the_first_half_is_of_the_batches_that_there_are(small_device):
    images, labels = toy(10)
    sizes = small_device(9, training=True)
    assert train(replace(RECIPE, batch_size=4096), images, labels, seed=1, threads=1).micro_batch == 5
    assert max(sizes[:-1]) == 5


def test_where_not_even_two_items_fit_the_error_says_what_to_do(small_device):
    images, labels = toy(16)
    small_device(0)
    with pytest.raises(TrainingError, match=r"the device cpu with 2 images at a time.*'milliseconds'.*2.00 GiB.*image_size"):
        train(RECIPE, images, labels, seed=1, threads=1)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def broken(self, x):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(PooledLinear, "forward", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        train(RECIPE, *toy(16), seed=1, threads=1)


@pytest.mark.parametrize("micro_batch", [1, 0, -4, 2.0, True, "8"])
def test_a_micro_batch_that_makes_no_sense_is_refused(micro_batch):
    with pytest.raises(ConfigurationError, match="micro_batch"):
        train(RECIPE, *toy(8), seed=1, micro_batch=micro_batch)


def test_prediction_halves_its_batch_and_the_training_stays_as_it_is(small_device):
    images, labels = toy(60)
    recipe = replace(RECIPE, validation_share=0.4)
    usual = train(recipe, images, labels, seed=1, threads=1)
    expected = predict(usual, images)
    sizes = small_device(16, training=False)
    again = train(recipe, images, labels, seed=1, threads=1)
    assert same(again, usual)
    assert again.notes == ()
    sizes.clear()
    assert predict(again, images) == pytest.approx(expected, abs=1e-5)
    assert max(sizes) == 16
    small_device(0)
    with pytest.raises(TrainingError, match="a single image does not fit"):
        predict(again, images)


def test_halving_begins_again_and_ends_at_one():
    tried = []

    def attempt(size):
        tried.append(size)
        if size > 2:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        return size

    assert memory.halving(attempt, 11) == 2
    assert tried == [11, 6, 3, 2]


def test_images_that_leave_no_room_stay_in_the_computers_memory(monkeypatch):
    images = toy(8)[0]
    device = torch.device("meta")
    for room, kind in ((None, "meta"), (images.nbytes * 2, "meta"), (images.nbytes * 2 - 1, "cpu")):
        monkeypatch.setattr(memory, "free_memory", lambda _, room=room: room)
        placed = memory.place(images, device)
        assert placed.device.type == kind
        assert placed.shape == images.shape


def test_nothing_is_measured_where_torch_does_not_count():
    trained = train(RECIPE, *toy(8), seed=1, threads=1)
    assert trained.peak_memory is None
    assert set(trained.timings) == {"embed", "train", "validate"}
    assert trained.timings["embed"] == 0 < trained.timings["train"] < trained.seconds


# -- a device that vanishes


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA"),
        RuntimeError("CUDA error: the launch timed out and was terminated"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
    ids=["accelerator", "runtime", "cudnn"],
)
def test_a_device_that_vanishes_is_named_with_the_epoch(error, monkeypatch):
    epoch = Attempt._epoch

    def lost(self, number):
        if number == 1:
            self._step = failing
        return epoch(self, number)

    def failing(*given):
        raise error

    monkeypatch.setattr(Attempt, "_epoch", lost)
    with pytest.raises(DeviceError, match=r"the device cpu .* after 1 of 3 epochs .*'milliseconds'.*nvidia-smi") as caught:
        train(RECIPE, *toy(16), seed=1, threads=1)
    assert str(error).split("\n")[0] in str(caught.value)
    assert "TORCH_USE" not in str(caught.value)
    assert isinstance(caught.value, TrainingError)
    assert caught.value.__cause__ is error


def test_a_device_that_vanishes_under_a_prediction(monkeypatch):
    images, labels = toy(16)
    trained = train(RECIPE, images, labels, seed=1, threads=1)

    def lost(self, x):
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(PooledLinear, "forward", lost)
    with pytest.raises(DeviceError, match="while predicting 16 images"):
        predict(trained, images)


def test_a_device_that_another_thread_lost_is_named_whatever_this_one_met(monkeypatch):
    """After a failure every call fails, and not each says why."""
    where, asked = torch.device("cuda", 0), []

    def lost(device):
        asked.append(device)
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", lost)
    with (
        pytest.raises(DeviceError, match=r"cuda:0 failed or vanished in epoch 2 \(Offset increment"),
        answering(where, lambda: "in epoch 2"),
    ):
        raise RuntimeError("Offset increment outside graph capture encountered unexpectedly.")
    with pytest.raises(RuntimeError, match="do not fit") as caught, answering(CPU, lambda: "in epoch 2"):
        raise RuntimeError("shapes do not fit")
    assert asked == [where]
    monkeypatch.setattr(torch.cuda, "synchronize", asked.append)
    with pytest.raises(RuntimeError, match="do not fit") as also, answering(where, lambda: "in epoch 2"):
        raise RuntimeError("shapes do not fit")
    assert asked == [where, where]
    assert not isinstance(caught.value, DeviceError)
    assert not isinstance(also.value, DeviceError)


def test_a_lack_of_memory_is_not_a_lost_device(monkeypatch):
    """The driver's own word for it: other programs hold the device's memory."""
    monkeypatch.setattr(
        PooledLinear, "forward", lambda self, x: (_ for _ in ()).throw(torch.AcceleratorError("CUDA error: out of memory"))
    )
    with pytest.raises(TrainingError, match="memory ran out") as caught:
        train(RECIPE, *toy(16), seed=1, threads=1)
    assert not isinstance(caught.value, DeviceError)


def test_the_threads_and_the_random_state_come_back_from_a_failed_training(small_device):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    small_device(0)
    with pytest.raises(TrainingError):
        train(NETWORK, *toy(4), seed=1, threads=2 if threads == 1 else 1, micro_batch=2)
    assert torch.get_num_threads() == threads
    assert np.array_equal(torch.get_rng_state().numpy(), state.numpy())
