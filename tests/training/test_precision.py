"""Number formats: chosen by the device, scaled where they need it, stored, and the same in prediction."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import LINEAR, SMALL, distance, same, toy, weights

from evaluator.errors import TrainingError
from evaluator.training import attempt, inputs, predict
from evaluator.training import device as devices
from evaluator.training.loop import train

RECIPE = replace(LINEAR, epochs=6, batch_size=8)
CPU = torch.device("cpu")


@pytest.fixture
def forced(monkeypatch):
    """Compute in a number format that the device would not have been given."""

    def force(name: str) -> None:
        monkeypatch.setattr(devices, "number_format", lambda device, precision: "float32" if precision == "float32" else name)

    return force


@pytest.fixture
def scale(monkeypatch):
    """Begin with another scale of the loss, and keep the scaler."""
    usual, made = torch.amp.GradScaler, []

    def start(value: float) -> list[torch.amp.GradScaler]:
        monkeypatch.setattr(
            torch.amp, "GradScaler", lambda *given, **options: made.append(usual(*given, init_scale=value, **options)) or made[-1]
        )
        return made

    return start


@pytest.mark.parametrize(
    ("device", "precision", "native", "expected"),
    [
        ("cpu", "auto", True, "float32"),
        ("cpu", "float32", True, "float32"),
        ("cuda", "auto", True, "bfloat16"),
        ("cuda", "auto", False, "float16"),
        ("cuda", "float32", True, "float32"),
    ],
)
def test_the_device_decides_unless_float32_is_asked_for(device, precision, native, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: asked.append(including_emulation) or native)
    monkeypatch.setattr(torch.cuda, "device", lambda device: torch.no_grad())  # any context will do
    assert devices.number_format(torch.device(device), precision) == expected
    assert asked in ([], [False])


def test_an_outer_autocast_does_not_reach_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16), devices.autocast(CPU, "float32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with devices.autocast(CPU, "bfloat16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
@pytest.mark.parametrize("recipe", [RECIPE, SMALL], ids=["linear", "network"])
@pytest.mark.endurance
def test_training_and_prediction_compute_in_the_format_and_come_out_near(name, recipe, forced, monkeypatch):
    images, labels = toy(32)
    plain = train(recipe, images, labels, seed=1, threads=1)
    assert plain.precision == "float32"
    expected = predict.predict(plain, images)
    forced(name)
    seen = []
    for module in (inputs.devices, predict.devices):
        usual = module.autocast
        monkeypatch.setattr(module, "autocast", lambda device, name, usual=usual: seen.append(name) or usual(device, name))
    trained = train(recipe, images, labels, seed=1, threads=1)
    found = predict.predict(trained, images)
    assert trained.precision == name
    assert set(seen) == {name}
    assert all(value.dtype != getattr(torch, name) for value in weights(trained).values())
    assert not same(plain, trained)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=0.1)


def test_float32_switches_it_off(forced):
    forced("float16")
    images, labels = toy(16)
    recipe = replace(RECIPE, precision="float32")
    trained = train(recipe, images, labels, seed=1, threads=1)
    assert trained.precision == "float32"
    assert same(trained, train(RECIPE, images, labels, seed=1, threads=1)) is False  # that one is in float16


def test_a_scaled_loss_takes_the_same_steps(forced, scale):
    """A scale is a power of two, so that in float32 it changes no bit: only float16's rounding is left."""
    images, labels = toy(32)
    forced("float16")
    one, many = (train(RECIPE, images, labels, seed=1, threads=1) for scale_of in (1.0, 2.0**7) if scale(scale_of) is not None)
    assert distance(one, many) < 2e-3
    for first, second in zip(one.history, many.history, strict=True):
        assert first["gradient_norm"] == pytest.approx(second["gradient_norm"], rel=0.02)
        assert first["loss"] == pytest.approx(second["loss"], rel=0.02)


def test_the_gradient_is_clipped_after_it_was_scaled_back(forced, scale):
    images, labels = toy(32)
    forced("float16")
    scale(2.0**7)
    recipe = replace(RECIPE, optimiser="sgd", epochs=1, learning_rate=0.5, schedule="constant", warmup=0.0, weight_decay=0.0)
    loose, tight = (
        train(replace(recipe, gradient_clip=clip, batch_size=64), images, labels, seed=1, threads=1) for clip in (0.0, 1e-3)
    )
    start = train(replace(recipe, learning_rate=1e-12, batch_size=64), images, labels, seed=1, threads=1)
    norm = loose.history[0]["gradient_norm"]
    assert norm > 1e-2
    # One step of SGD with Nesterov momentum from rest: 1.9 times rate and gradient.
    moved = float(torch.cat([(weights(tight)[n] - weights(start)[n]).flatten() for n in weights(tight)]).norm())
    assert moved == pytest.approx(1.9 * 0.5 * 1e-3, rel=0.01)
    assert distance(loose, start) > 10 * distance(tight, start)


def test_steps_that_the_scaler_leaves_out_are_counted_and_no_error(forced, scale):
    images, labels = toy(32)
    forced("float16")
    (made,) = [scale(2.0**24)]
    trained = train(replace(RECIPE, epochs=8, averaging=0.5), images, labels, seed=1, threads=1)
    skipped = [entry.get("skipped_steps", 0) for entry in trained.history]
    assert 0 < sum(skipped) < 20
    assert skipped[-1] == 0
    assert made[0].get_scale() == 2.0 ** (24 - sum(skipped))
    assert all(np.isfinite(entry["loss"]) and np.isfinite(entry["gradient_norm"]) for entry in trained.history)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert np.isfinite(predict.predict(trained, images)).all()


def test_many_skipped_steps_in_a_row_are_an_error_also_across_epochs(forced, scale):
    forced("float16")
    scale(2.0**100)
    with pytest.raises(TrainingError, match=rf"{attempt.MOST_SKIPPED_STEPS} steps in a row in epoch 5, step 4 of 4.*float32"):
        train(RECIPE, *toy(32), seed=1, threads=1)


def test_a_scaled_loss_that_is_not_finite_does_not_hide(forced):
    """A forward pass beyond float16 is left out like any other step, but not for ever."""
    forced("float16")
    recipe = replace(RECIPE, epochs=10, mean=(0, 0, 0), std=(1e-7, 1e-7, 1e-7), learning_rate=10.0)
    with pytest.raises(TrainingError, match="did not fit into float16"):
        train(recipe, *toy(32), seed=1, threads=1)


def test_the_head_behind_embeddings_is_trained_and_asked_in_float32(forced, monkeypatch):
    monkeypatch.setattr("evaluator.training.loop.load_starting_weights", lambda *given: "test")
    forced("float16")
    images, labels = toy(24)
    kinds = []
    recipe = replace(SMALL, trains="head", weights="procedural", embedding_views=1, validation_share=0.25)
    usual = torch.nn.Linear.forward

    def watched(self, x):
        out = usual(self, x)
        kinds.append(out.dtype)
        return out

    monkeypatch.setattr(torch.nn.Linear, "forward", watched)
    trained = train(recipe, images, labels, seed=1, threads=1)
    predict.predict(trained, images)
    assert trained.precision == "float16"
    assert set(kinds) == {torch.float32}
    assert all("skipped_steps" not in entry for entry in trained.history)
