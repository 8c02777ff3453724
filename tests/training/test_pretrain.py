"""Pre-training: weights that load, figures beside them, a schedule that follows the clock, and failures that say so."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evaluator.cli import weights as verb
from evaluator.errors import ConfigurationError, TrainingError
from evaluator.training.network import build_network, feature_state
from evaluator.training.optimiser import rate_at
from evaluator.training.pretraining import run as pretrain_run
from evaluator.training.pretraining.make import pretrain
from evaluator.training.pretraining.run import Run
from evaluator.training.pretraining.spec import PretrainSpec
from evaluator.training.weights import load_starting_weights

B0 = "efficientnet_b0"
TINY = PretrainSpec(B0, size=32, images=64, batch_size=8, seed=3, held_out=64)


def test_pretraining_writes_weights_that_load_and_its_figures(tmp_path):
    out, lines = tmp_path / "made.safetensors", []
    result = pretrain(TINY, out, progress=lines.append)
    assert (result.steps, result.images) == (8, 64)
    assert load_starting_weights(build_network(B0, 6, seed=1), str(out), B0) == f"sha256:{result.sha256}"
    stored = json.loads((tmp_path / "made.json").read_text())
    assert stored["sha256"] == result.sha256
    assert stored["spec"]["seed"] == 3
    assert stored["mean_average_precision"] == pytest.approx(result.mean_average_precision)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["made.json", "made.safetensors"]
    assert lines[-1].startswith(str(out))


@pytest.mark.parametrize("architecture", ["timm/resnet10t", "timm/vit_tiny_patch16_224"])
@pytest.mark.endurance
def test_weights_for_a_model_of_timm_start_it_at_another_size_too(tmp_path, architecture):
    out = tmp_path / "made.safetensors"
    result = pretrain(replace(TINY, architecture=architecture, images=32), out, progress=lambda line: None)
    model = build_network(architecture, 6, seed=1, image_size=64)
    before = {name: tensor.clone() for name, tensor in feature_state(model).items() if tensor.is_floating_point()}
    assert load_starting_weights(model, str(out), architecture) == f"sha256:{result.sha256}"
    assert [name for name, tensor in before.items() if torch.equal(tensor, feature_state(model)[name])] == []
    assert torch.isfinite(model(torch.zeros(2, 3, 64, 64))).all()


@pytest.mark.endurance
def test_pretraining_repeats_to_the_bit_on_one_cpu(tmp_path):
    first, second = (pretrain(TINY, tmp_path / f"{name}.safetensors", progress=lambda line: None) for name in "ab")
    assert first.sha256 == second.sha256
    assert first.loss == second.loss


def test_the_averages_remember_no_step():
    """A graph of all steps so far would grow by some hundred nodes with each."""
    run = Run(PretrainSpec(B0, size=32, images=8, batch_size=4, seed=3, held_out=8), torch.device("cpu"), False, lambda line: None)
    run.train(None)
    assert run.step == 2
    assert not any(parameter.requires_grad for parameter in run.average.parameters())


@pytest.mark.slow
@pytest.mark.endurance
def test_pretraining_lowers_the_loss():
    run = Run(
        PretrainSpec(B0, size=32, images=1600, batch_size=32, seed=3, held_out=64), torch.device("cpu"), False, lambda line: None
    )
    before, _, _ = run.evaluate(run.model, 64)
    run.train(None)
    run.refresh_statistics()
    after, precision, prevalence = run.evaluate(run.average, 64)
    assert before == pytest.approx(0.6931, abs=1e-3)
    assert after < 0.6
    assert set(precision) == set(prevalence)


@pytest.mark.endurance
def test_a_limit_in_minutes_ends_the_run_and_the_schedule_with_it(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(pretrain_run.time, "monotonic", lambda: float(next(clock)))
    run = Run(PretrainSpec(B0, size=32, images=8_000_000, batch_size=8, held_out=8), torch.device("cpu"), False, lambda line: None)
    rates = []
    monkeypatch.setattr(run.optimizer, "step", lambda: rates.append(run.optimizer.param_groups[0]["lr"]))
    monkeypatch.setattr(run, "_speak", lambda *_, **__: None)
    run.train(deadline=100.0)
    assert 3 <= run.step < 100
    assert max(rates) > 0.9 * run.spec.learning_rate
    assert rates[-1] < 0.05 * run.spec.learning_rate


def test_the_rate_rises_then_falls_to_nothing():
    assert rate_at(0.0, 0.1) < 0.01
    assert rate_at(0.1, 0.1) == pytest.approx(1.0)
    assert rate_at(1.0, 0.1) == pytest.approx(0.0)
    falling = [rate_at(0.1 + 0.009 * step, 0.1) for step in range(101)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.endurance
def test_a_network_that_cannot_be_compiled_is_trained_as_it_is(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", broken)
    lines = []
    run = Run(TINY, torch.device("cpu"), True, lines.append)
    assert not run.compiled
    assert "no compiler here" in lines[0]
    run.train(None)
    assert run.step == 8


def test_a_diverging_run_is_an_error_and_writes_nothing(tmp_path):
    spec = PretrainSpec(B0, size=32, images=64, batch_size=8, learning_rate=1e30, held_out=8)
    with pytest.raises(TrainingError, match="learning rate"):
        pretrain(spec, tmp_path / "w.safetensors", progress=lambda line: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "lenet"},
        {"size": 8},
        {"batch_size": 1},
        {"images": 4},
        {"seed": -1},
        {"learning_rate": 0.0},
        {"warm_up": 1.0},
        {"large_share": 0.5, "architecture": "timm/resnet10t"},
    ],
)
def test_a_spec_checks_itself(change):
    with pytest.raises(ConfigurationError, match=str(next(iter(change.values())))):
        PretrainSpec(**change)


@pytest.mark.endurance
def test_the_verb_hands_its_options_on(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    verb.register(parser.add_subparsers())
    out = tmp_path / "w.safetensors"
    options = ["--architecture", B0, "--size", "32", "--images", "16", "--batch-size", "8", "--held-out", "16", "--seed", "7"]
    args = parser.parse_args(["weights", "make", *options, "--out", str(out)])
    assert verb.main(args) == 0
    assert json.loads(out.with_suffix(".json").read_text())["spec"]["seed"] == 7
    assert str(out) in capsys.readouterr().out
    args = parser.parse_args(["weights", "make", *options, "--out", str(Path("w.bin"))])
    with pytest.raises(ConfigurationError, match="safetensors"):
        verb.main(args)
