"""The fixed network's training in the form for a device, run on the CPU: the numbers of the other form, and bits when replayed."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evaluator.curation import on_device, training
from evaluator.curation.images import LabelledImages
from evaluator.curation.inputs import centred, resized
from evaluator.curation.network import build_network
from evaluator.curation.on_device import DeviceStepper, _largest, logits_of
from evaluator.curation.recipes import RECIPES
from evaluator.curation.steps import Stepper
from evaluator.training import step
from tests.recorded import recorded

CPU = torch.device("cpu")
SHORT = replace(RECIPES["fixed"], epochs=3)


def images(n: int, seed: int, kind: str = "i") -> LabelledImages:
    """Strokes whose direction is their label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    pixels = []
    for label in labels:
        image = rng.integers(180, 256, (40, 40), dtype=np.uint8)
        at = int(rng.integers(8, 32))
        if label == 0:
            image[at - 3 : at + 3] = 10
        elif label == 1:
            image[:, at - 3 : at + 3] = 10
        else:
            np.fill_diagonal(image, 10)
        pixels.append(image)
    return LabelledImages(tuple(f"{kind}{i}" for i in range(n)), tuple(pixels), labels.astype(np.int64))


@pytest.mark.parametrize("size", [(32, 32), (7, 5), (1, 1)])
def test_maxima_are_those_of_the_library(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found, gradients = [], []
    for of in (lambda x: F.max_pool2d(x, 3, 2, 1), _largest):
        x.grad = None
        made = of(x)
        (made * torch.arange(made.numel()).view_as(made)).sum().backward()
        found.append(made.detach())
        gradients.append(x.grad)
    assert torch.equal(*found)
    assert torch.equal(*gradients)


def test_the_network_is_the_plain_network():
    network = build_network(4, 0).eval()
    x = centred(resized(images(5, 1).pixels, 32))
    with torch.no_grad():
        assert logits_of(network, x).numpy() == pytest.approx(network(x).numpy(), abs=1e-5)


def test_first_steps_are_those_that_are_written_out():
    torch.set_num_threads(1)
    part = images(24, 0)
    x, y = resized(part.pixels, 32), torch.from_numpy(part.labels.copy())
    plain = Stepper(build_network(3, 0), 1e-4, "float32")
    device = DeviceStepper(build_network(3, 0), 1e-4, "float32", CPU, graphs=False)
    for start in range(0, 24, 8):
        a, b = plain.step(x[start : start + 8], y[start : start + 8]), device.step(x[start : start + 8], y[start : start + 8])
        assert float(b) == pytest.approx(a, rel=1e-3)
    assert device.logits(x).numpy() == pytest.approx(plain.logits(x).numpy(), abs=0.02)
    assert device.logits(x[:0]).shape == (0, 3)


def trained(monkeypatch, capture=None):
    """A training by the form for a device; ``capture`` makes graphs of its steps."""
    if capture is not None:
        steps = lambda of, where, graphs, acting=None: step.Replayed(of, capture) if graphs else step.Launched(of)  # noqa: E731
        monkeypatch.setattr(on_device, "steps_of", steps)
    monkeypatch.setattr(training, "_fit_network", lambda *given: training._fit_on(CPU, *given))
    return training.train_and_predict(images(27, 0), images(12, 1, "v"), {"test": images(9, 2, "t")}, SHORT, 3, 5)


def test_replayed_steps_give_the_bits_of_launched_ones(monkeypatch):
    launched = trained(monkeypatch)
    made = []

    def capture(work):
        made.append(recorded(work))
        return made[-1]

    replayed = trained(monkeypatch, capture)
    assert np.array_equal(launched.probabilities["test"], replayed.probabilities["test"])
    assert launched.training_loss == replayed.training_loss
    assert launched.validation_accuracy == replayed.validation_accuracy
    assert [graph.replays for graph in made] == [7, 2], "three batches of 8 and one of 3 in each of three epochs"


def test_each_training_captures_with_a_random_state_of_its_own(monkeypatch):
    """Torch marks the state that is current while it captures; one for all would be marked by several threads at once."""
    states, taken = [], []

    @contextmanager
    def random_state(where, seed):
        states.append((where, seed))
        yield states

    monkeypatch.setattr(training.devices, "random_state", random_state)
    plain = on_device.DeviceStepper
    monkeypatch.setattr(on_device, "DeviceStepper", lambda *given, acting, **more: taken.append(acting) or plain(*given, **more))
    trained(monkeypatch)
    assert [where for where, _ in states] == [CPU]
    assert taken == [states]


def test_where_no_step_can_be_captured_the_training_starts_anew_without(monkeypatch):
    launched = trained(monkeypatch)

    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    again = trained(monkeypatch, refuse)
    assert len(again.training_loss) == SHORT.epochs
    assert np.array_equal(launched.probabilities["test"], again.probabilities["test"])
    (note,) = again.notes
    assert note.startswith("the steps were launched one by one on cpu")
    assert "not permitted" in note
    assert launched.notes == ()


def test_where_graphs_take_too_much_memory_the_training_starts_anew_without(monkeypatch):
    launched = trained(monkeypatch)

    def short(work):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    again = trained(monkeypatch, short)
    assert np.array_equal(launched.probabilities["test"], again.probabilities["test"])
    assert "their memory ran out" in again.notes[0]
    # Beside others it may have room when it is alone: that is tried first, so nothing is given up here.
    monkeypatch.setattr(training.together, "sharing", lambda: True)
    with pytest.raises(torch.OutOfMemoryError):
        trained(monkeypatch, short)


def test_what_was_unusual_in_a_models_training_is_told_below_the_tables(monkeypatch, tmp_path, capsys):
    from evaluator.cli.main import main
    from evaluator.curation.track import CURATION

    plain = training.train_and_predict
    unusual = lambda *given, **named: replace(plain(*given, **named), notes=("the steps were launched one by one",))  # noqa: E731
    monkeypatch.setattr(training, "train_and_predict", unusual)
    out = tmp_path / "results"
    assert main(["curation", "evaluate", "--profile", "debug", "--recipe", "linear", "--workers", "1", "--out", str(out)]) == 0
    assert "as_given, seed 0, model 1: the steps were launched one by one." in capsys.readouterr().out
    (stored,) = (json.loads(path.read_text()) for path in (out / "cells").glob("*.json"))
    cell = stored | {"seed": 0}
    assert CURATION.notes([cell]) == ["seed 0, model 1: the steps were launched one by one"]
    assert CURATION.notes([cell | {"members": None}, {"seed": 1}]) == []


def test_a_loss_that_is_not_finite_is_an_error(monkeypatch):
    from evaluator.errors import TrainingError

    monkeypatch.setattr(DeviceStepper, "step", lambda self, x, y: torch.tensor(float("nan")))
    with pytest.raises(TrainingError, match="the loss of epoch 1 is nan"):
        trained(monkeypatch)


def test_a_cell_is_trained_on_its_device(monkeypatch):
    seen = []
    monkeypatch.setattr(training.devices, "resolve", lambda name: seen.append(name) or CPU)
    training.train_and_predict(images(9, 0), images(4, 1), {}, replace(SHORT, epochs=1), 3, 0, device="cuda")
    assert seen == ["cuda"]


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(tmp_path, capsys):
    from evaluator.cli.main import main

    assert main(["curation", "evaluate", "--device", "cuda:99", "--out", str(tmp_path / "out")]) == 2
    assert "CUDA devices; write auto" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("recipe", ["fixed", "fixed-bf16"])
def test_a_device_repeats_and_learns_what_the_cpu_learns(recipe):
    given = images(96, 0), images(48, 1, "v"), {"test": images(48, 2, "t")}, replace(RECIPES[recipe], epochs=10, learning_rate=1e-3)
    cpu = training.train_and_predict(*given, 3, 5)
    one, two = (training.train_and_predict(*given, 3, 5, device="cuda") for _ in range(2))
    with ThreadPoolExecutor(3) as pool:
        beside = list(pool.map(lambda _: training.train_and_predict(*given, 3, 5, device="cuda"), range(3)))
    for other in (two, *beside):
        assert other.notes == one.notes == ()
        assert np.array_equal(one.probabilities["test"], other.probabilities["test"])
        assert one.training_loss == other.training_loss
    assert one.training_loss[-1] == pytest.approx(cpu.training_loss[-1], abs=0.1)
