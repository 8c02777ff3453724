"""The step that a CUDA graph can replay: what it gives, and that everything in it that changes lies in tensors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import LINEAR, SMALL, TURNS, same, toy

from evaluator.errors import DeviceError, TrainingError
from evaluator.training import attempt, step
from evaluator.training.loop import train
from evaluator.training.network import PooledLinear
from evaluator.training.optimiser import make_optimiser, set_rates
from tests.recorded import ReadsAValueError, recorded

WHOLE = replace(
    SMALL, epochs=3, batch_size=8, dropout=0.3, stochastic_depth=0.2, averaging=0.9, gradient_clip=1.0, augmentation=TURNS
)


@pytest.fixture
def replaying(monkeypatch):
    """Trainings on the CPU replay their steps; the list of what was recorded."""
    made = []

    def capture(work):
        made.append(recorded(work))
        return made[-1]

    capturing(monkeypatch, capture)
    return made


def capturing(monkeypatch, capture):
    """Let trainings on the CPU replay what ``capture`` makes of their steps."""
    monkeypatch.setattr(
        attempt,
        "steps_of",
        lambda of, where, graphs, acting: step.Replayed(of, capture, acting) if graphs else step.Launched(of, acting),
    )


RECIPES = [
    pytest.param(WHOLE, id="network"),
    pytest.param(replace(WHOLE, averaging=0.0), id="no average", marks=pytest.mark.endurance),
    pytest.param(replace(WHOLE, optimiser="sgd", learning_rate=0.01), id="sgd", marks=pytest.mark.endurance),
    pytest.param(replace(WHOLE, freeze_batch_norm=True), id="frozen statistics", marks=pytest.mark.endurance),
    pytest.param(replace(LINEAR, epochs=3, batch_size=8), id="linear"),
]


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.detach().numpy(),
        lambda x: np.asarray(x),
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.add_(torch.tensor([1.0, 2.0])),
        lambda x: x.add_(torch.from_numpy(np.ones(2, np.float32))),
        lambda x: x[x > 0],
    ],
)
def test_the_stand_in_for_a_graph_sees_every_way_to_read_a_value_back(read):
    with pytest.raises(ReadsAValueError):
        recorded(lambda: read(torch.ones(2).add(1)))


def test_a_scaled_loss_is_replayed(monkeypatch, request):
    """As on a T4, which computes in float16: how the scale changes lies in tensors, too."""
    from evaluator.training import device

    monkeypatch.setattr(device, "number_format", lambda where, precision: "float16")
    recipe, (images, labels) = replace(LINEAR, epochs=3, batch_size=8), toy(27)
    launched = train(recipe, images, labels, seed=1, threads=1)
    made = request.getfixturevalue("replaying")
    replayed = train(recipe, images, labels, seed=1, threads=1)
    assert replayed.precision == "float16"
    assert replayed.notes == ()
    assert made
    assert same(launched, replayed)
    assert launched.history == replayed.history


@pytest.mark.parametrize("recipe", RECIPES)
def test_replayed_steps_give_the_bits_of_launched_ones(recipe, request):
    images, labels = toy(27)  # three batches of 7 and one of 6 in an epoch: two graphs
    launched = train(recipe, images, labels, seed=1, threads=1)
    made = request.getfixturevalue("replaying")
    replayed = train(recipe, images, labels, seed=1, threads=1)
    assert replayed.notes == ()
    assert same(launched, replayed)
    assert launched.history == replayed.history
    steps = 3 * 4
    assert len(made) == 2
    assert sum(graph.replays for graph in made) == steps - step.WARM_UP - 1
    assert min(graph.replays for graph in made) > 1


@pytest.mark.endurance
def test_gradients_are_added_up_within_a_graph(request):
    images, labels = toy(27)
    launched = train(WHOLE, images, labels, seed=1, threads=1, micro_batch=3)
    made = request.getfixturevalue("replaying")
    assert same(launched, train(WHOLE, images, labels, seed=1, threads=1, micro_batch=3))
    assert made


@pytest.mark.endurance
def test_a_training_goes_on_from_a_checkpoint_with_graphs(tmp_path, monkeypatch, request):
    from evaluator.training import checkpoint

    monkeypatch.setattr(checkpoint, "SHORTEST", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", float("inf"))
    images, labels = toy(27)
    launched = train(WHOLE, images, labels, seed=1, threads=1)
    request.getfixturevalue("replaying")

    def stop(share):
        if share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(WHOLE, images, labels, seed=1, threads=1, checkpoint=tmp_path / "training", progress=stop)
    again = train(WHOLE, images, labels, seed=1, threads=1, checkpoint=tmp_path / "training")
    assert "went on" in again.notes[0]
    assert same(launched, again)


def test_a_step_that_cannot_be_captured_is_launched_and_the_notes_say_so(monkeypatch):
    images, labels = toy(27)
    launched = train(WHOLE, images, labels, seed=1, threads=1)

    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might be reported later")

    capturing(monkeypatch, refuse)
    without = train(WHOLE, images, labels, seed=1, threads=1)
    assert same(launched, without)
    assert "launched one by one on cpu" in without.notes[0]
    assert "operation not permitted when stream is capturing)" in without.notes[0]


def test_memory_that_runs_out_while_a_step_is_captured_is_not_taken_for_too_large_a_batch(monkeypatch):
    """Graphs keep memory of their own: what fits without them keeps its batches, and so its results."""
    images, labels = toy(27)
    launched = train(WHOLE, images, labels, seed=1, threads=1)

    def scarce(work):
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        except torch.OutOfMemoryError:  # the end of the capture raises an error of its own
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture") from None

    capturing(monkeypatch, scarce)
    without = train(WHOLE, images, labels, seed=1, threads=1)
    assert same(without, launched)
    assert without.micro_batch == launched.micro_batch
    assert "launched one by one" in without.notes[0]
    assert "their memory ran out" in without.notes[0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("operation not permitted when stream is capturing"), "not permitted"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "their memory ran out"),
    ],
)
def test_a_head_whose_steps_cannot_be_captured_is_trained_without_graphs_and_says_so(error, said, monkeypatch):
    from evaluator.training import together
    from evaluator.training.embeddings.heads import train_head
    from evaluator.training.recipes import PIPELINES

    recipe = replace(PIPELINES["proxy"], dropout=0.4, epochs=4)
    rng = np.random.default_rng(0)
    given = rng.normal(size=(40, 8)).astype(np.float32), rng.integers(0, 2, (40, 3))
    launched = train_head(recipe, *given, seed=1, weights_identity="none", threads=1)

    def refuse(work):
        raise error

    capturing(monkeypatch, refuse)
    again = train_head(recipe, *given, seed=1, weights_identity="none", threads=1)
    assert same(launched, again)
    assert launched.notes == ()
    assert said in again.notes[0]
    assert "one by one" in again.notes[0]
    if isinstance(error, torch.OutOfMemoryError):  # beside others it is trained again by itself, before graphs are given up
        monkeypatch.setattr(together, "sharing", lambda: True)
        with pytest.raises(torch.OutOfMemoryError):
            train_head(recipe, *given, seed=1, weights_identity="none", threads=1)


def test_a_device_that_fails_while_a_step_is_captured_is_no_fault_of_the_capture(monkeypatch):
    def lost(work):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered", -1)

    capturing(monkeypatch, lost)
    with pytest.raises(DeviceError, match="illegal memory access"):
        train(replace(LINEAR, epochs=3, batch_size=8), *toy(27), seed=1, threads=1)


@pytest.mark.parametrize("kind", ["item", "mask"])
def test_a_value_that_is_read_back_within_a_step_is_found(kind, monkeypatch, replaying):
    """The stand-in refuses what a capture refuses: else the tests above would show less than they say."""
    plain = attempt.Pictures.logits

    def reads(self, rows, draws):
        found = plain(self, rows, draws)
        return found * found.mean().item() if kind == "item" else found + found[found > 0].sum()

    monkeypatch.setattr(attempt.Pictures, "logits", reads)
    images, labels = toy(27)
    trained = train(replace(LINEAR, epochs=3, batch_size=8), images, labels, seed=1, threads=1)
    assert "reads a value back" in trained.notes[0]
    assert issubclass(ReadsAValueError, RuntimeError)


@pytest.mark.parametrize(
    ("said", "kind"), [("", step.Replayed), ("yes", step.Replayed), ("no", step.Launched), ("0", step.Launched)]
)
def test_graphs_can_be_switched_off(said, kind, monkeypatch):
    monkeypatch.setattr(step, "captured", lambda where: recorded)
    monkeypatch.setenv("DATA_CENTRIC_KIT_GRAPHS", said)
    assert isinstance(step.steps_of(None, torch.device("cuda", 0), graphs=True), kind)
    assert isinstance(step.steps_of(None, torch.device("cuda", 0), graphs=False), step.Launched)
    assert isinstance(step.steps_of(None, torch.device("cpu"), graphs=True), step.Launched)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_rates_in_tensors_give_the_bits_of_rates_in_numbers(optimiser):
    recipe = replace(LINEAR, optimiser=optimiser, weight_decay=0.01)
    found = []
    for as_tensors in (False, True):
        model = PooledLinear(recipe.image_size, 3)
        optimiser_ = make_optimiser(recipe, model)
        if not as_tensors:
            for group in optimiser_.param_groups:
                group["lr"] = 0.0
        for number in range(20):
            factor = (number + 1) / 21
            if as_tensors:
                set_rates(optimiser_, factor)
            else:
                for group in optimiser_.param_groups:
                    group["lr"] = group["peak"] * factor
            for i, parameter in enumerate(model.parameters()):
                parameter.grad = torch.sin(torch.arange(parameter.numel()) + i + number).reshape(parameter.shape)
            optimiser_.step()
        found.append(np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]))
    assert np.abs(found[0]).max() > 0
    assert np.array_equal(*found)


def test_a_loss_that_is_not_finite_is_found_behind_graphs(replaying):
    images, labels = toy(27)
    wild = replace(SMALL, optimiser="sgd", learning_rate=100.0, gradient_clip=0.0, schedule="constant", warmup=0.0, epochs=4)
    with pytest.raises(TrainingError, match=r"epoch \d, step \d of"):
        train(wild, images, labels, seed=1, threads=1)
    assert replaying
