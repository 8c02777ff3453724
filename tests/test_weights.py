"""Starting weights: what is loaded is what was written, what is wrong is refused with the ways out, and the kit makes its own."""

import argparse
import hashlib
import json
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from evaluator.cli import weights as verb
from evaluator.errors import ConfigurationError, TrainingError, WeightsError
from evaluator.training import pretrain as pretraining
from evaluator.training import weights
from evaluator.training.network import build_network, feature_state
from evaluator.training.pretrain import PretrainSpec, Run, pretrain, rate
from evaluator.training.weights import PROCEDURAL_FILE, load_starting_weights, read_safetensors, write_features

B0 = "efficientnet_b0"
TINY = PretrainSpec(B0, size=32, images=64, batch_size=8, seed=3, held_out=64)


def network(seed=1, outputs=6):
    return build_network(B0, outputs, seed=seed)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Path and state of the weights of a network whose batch-norm statistics are not the default ones."""
    source = network(seed=8, outputs=3)
    with torch.no_grad():
        for name, tensor in feature_state(source).items():
            if name.endswith("running_var"):
                tensor.fill_(1e6)  # beyond float16
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    digest = write_features(source, path, "in a test")
    return path, digest, source


def test_none_leaves_the_network_alone():
    model, untouched = network(), network()
    assert load_starting_weights(model, "none", B0) == "none"
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), untouched.state_dict().values(), strict=True))


def test_a_file_comes_back_in_half_precision_and_the_head_stays(written):
    path, digest, source = written
    model = network()
    with torch.no_grad():
        model.classifier[1].weight.fill_(0.5)
    assert load_starting_weights(model, str(path), B0) == f"sha256:{digest}"
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    given = feature_state(source)
    for name, tensor in feature_state(model).items():
        assert tensor.dtype == given[name].dtype
        expected = given[name].half().float() if tensor.ndim >= 2 else given[name]
        assert torch.equal(tensor, expected), name
    assert (model.classifier[1].weight == 0.5).all()


def test_a_file_holds_features_alone_with_its_metadata(written):
    path, _, source = written
    state = read_safetensors(path)
    assert set(state) == set(feature_state(source))
    assert state["features.0.0.weight"].dtype == torch.float16
    with safetensors.safe_open(path, "pt") as stream:
        assert stream.metadata() == {"made": "in a test"}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_values_that_are_not_finite_are_not_written(tmp_path):
    model = network()
    with torch.no_grad():
        model.features[0][0].weight[0, 0, 0, 0] = 1e6  # infinite in float16
    with pytest.raises(WeightsError, match=r"features\.0\.0\.weight"):
        write_features(model, tmp_path / "w.safetensors", "")
    assert not list(tmp_path.iterdir())


def refused(model, name, match, architecture=B0, **options):
    """Loading raises WeightsError and leaves the model as it was."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=match) as caught:
        load_starting_weights(model, str(name), architecture, **options)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert "weights: none" in str(caught.value) or "expected" in str(caught.value)
    return str(caught.value)


def test_truncated_and_foreign_files_are_refused(written, tmp_path):
    content = written[0].read_bytes()
    for name, part in (("cut", content[: len(content) // 2]), ("header", content[:40]), ("empty", b""), ("text", b"x" * 1000)):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(part)
        refused(network(), path, "cannot be read as safetensors")


def test_missing_unknown_misshapen_and_infinite_layers_are_refused(written, tmp_path):
    whole = read_safetensors(written[0])
    first = "features.0.0.weight"
    path = tmp_path / "w.safetensors"
    for change, match in (
        ({key: value for key, value in whole.items() if key != first}, f"1 missing .first: {first}"),
        (whole | {"features.99.weight": torch.zeros(1)}, r"1 unknown .first: features\.99\.weight"),
        (whole | {first: torch.zeros(32, 3, 5, 5)}, r"\(32, 3, 5, 5\), expected \(32, 3, 3, 3\)"),
        (whole | {first: torch.full((32, 3, 3, 3), torch.nan)}, "not finite"),
    ):
        safetensors.torch.save_file(change, path)
        refused(network(), path, match)


def test_weights_of_another_architecture_are_refused(written):
    refused(build_network("efficientnet_b1", 6, seed=1), written[0], "missing", architecture="efficientnet_b1")


@pytest.mark.parametrize("name", ["imagnet", "weights.pth", "absent.safetensors"])
def test_unknown_names_and_absent_files_are_refused(name):
    assert name in refused(network(), name, "expected|not there")


def test_imagenet_out_of_reach_names_every_way_out(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    message = refused(network(), "imagenet", "no route to host", torch_home=tmp_path)
    name = "efficientnet_b0_rwightman-7f5810bc.pth"
    for part in (name, "7f5810bc", str(tmp_path / "hub" / "checkpoints"), "weights: procedural", "weights: none"):
        assert part in message


def test_imagenet_is_taken_from_the_cache_without_a_network(tmp_path, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(torch.hub, "download_url_to_file", forbidden)
    source = build_network(B0, 1000, seed=5)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    plain = folder / "plain"
    torch.save(source.state_dict(), plain)
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    url = f"https://example.org/models/efficientnet_b0-{digest[:8]}.pth"
    plain.rename(folder / url.rsplit("/", 1)[1])
    known = {"IMAGENET1K_V1": argparse.Namespace(url=url)}
    monkeypatch.setattr("torchvision.models.get_model_weights", lambda architecture: known)
    model = network()
    assert load_starting_weights(model, "imagenet", B0, torch_home=tmp_path) == f"sha256:{digest}"
    assert torch.equal(model.features[0][0].weight, source.features[0][0].weight)
    assert (model.classifier[1].weight == 0).all()


def test_a_broken_cache_is_refused_by_its_hash(tmp_path):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "efficientnet_b0_rwightman-7f5810bc.pth").write_bytes(b"half a file")
    assert "truncated" in refused(network(), "imagenet", "expected 7f5810bc", torch_home=tmp_path)


def test_procedural_weights_exist_for_one_architecture():
    assert "efficientnet_b4" in refused(network(), "procedural", "not for efficientnet_b0")


def test_procedural_weights_that_are_not_shipped_say_so(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "PROCEDURAL_ARCHITECTURE", B0)
    monkeypatch.setattr(weights, "PROCEDURAL_FILE", tmp_path / "absent.safetensors")
    refused(network(), "procedural", "not shipped")


def test_procedural_weights_are_checked_by_their_hash(monkeypatch, written):
    monkeypatch.setattr(weights, "PROCEDURAL_ARCHITECTURE", B0)
    monkeypatch.setattr(weights, "PROCEDURAL_FILE", written[0])
    refused(network(), "procedural", f"has the SHA-256 {written[1]}")
    monkeypatch.setattr(weights, "PROCEDURAL_SHA256", written[1])
    assert load_starting_weights(network(), "procedural", B0) == f"sha256:{written[1]}"


@pytest.mark.skipif(not PROCEDURAL_FILE.is_file(), reason="the procedural weights are not shipped with this copy")
def test_the_committed_file_loads_and_says_how_it_was_made():
    model = build_network("efficientnet_b4", 6, seed=1)
    assert load_starting_weights(model, "procedural", "efficientnet_b4") == f"sha256:{weights.PROCEDURAL_SHA256}"
    assert PROCEDURAL_FILE.stat().st_size < 40e6
    with safetensors.safe_open(PROCEDURAL_FILE, "pt") as stream:
        spec = json.loads(stream.metadata()["made"])["spec"]
    assert spec["architecture"] == "efficientnet_b4"
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(model.eval().features(x)).all()


def test_pretraining_writes_weights_that_load_and_its_figures(tmp_path):
    out, lines = tmp_path / "made.safetensors", []
    result = pretrain(TINY, out, progress=lines.append)
    assert (result.steps, result.images) == (8, 64)
    assert load_starting_weights(network(), str(out), B0) == f"sha256:{result.sha256}"
    stored = json.loads((tmp_path / "made.json").read_text())
    assert stored["sha256"] == result.sha256
    assert stored["spec"]["seed"] == 3
    assert stored["mean_average_precision"] == pytest.approx(result.mean_average_precision)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["made.json", "made.safetensors"]
    assert lines[-1].startswith(str(out))


def test_pretraining_repeats_to_the_bit_on_one_cpu(tmp_path):
    first, second = (pretrain(TINY, tmp_path / f"{name}.safetensors", progress=lambda line: None) for name in "ab")
    assert first.sha256 == second.sha256
    assert first.loss == second.loss


@pytest.mark.slow
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


def test_a_limit_in_minutes_ends_the_run_and_the_schedule_with_it(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(pretraining.time, "monotonic", lambda: float(next(clock)))
    run = Run(PretrainSpec(B0, size=32, images=8_000_000, batch_size=8, held_out=8), torch.device("cpu"), False, lambda line: None)
    rates = []
    monkeypatch.setattr(run.optimizer, "step", lambda: rates.append(run.optimizer.param_groups[0]["lr"]))
    monkeypatch.setattr(run, "_speak", lambda *_, **__: None)
    run.train(deadline=100.0)
    assert 3 <= run.step < 100
    assert max(rates) > 0.9 * run.spec.learning_rate
    assert rates[-1] < 0.05 * run.spec.learning_rate


def test_the_rate_rises_then_falls_to_nothing():
    assert rate(0.0, 0.1) < 0.01
    assert rate(0.1, 0.1) == pytest.approx(1.0)
    assert rate(1.0, 0.1) == pytest.approx(0.0)
    falling = [rate(0.1 + 0.009 * step, 0.1) for step in range(101)]
    assert falling == sorted(falling, reverse=True)


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
    ],
)
def test_a_spec_checks_itself(change):
    with pytest.raises(ConfigurationError, match=str(next(iter(change.values())))):
        PretrainSpec(**change)


def test_the_verb_hands_its_options_on(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    verb.register(parser.add_subparsers())
    out = tmp_path / "w.safetensors"
    options = ["--architecture", B0, "--size", "32", "--images", "16", "--batch-size", "8", "--held-out", "16", "--seed", "7"]
    args = parser.parse_args(["weights", "make", *options, "--out", str(out)])
    assert args.run(args) == 0
    assert json.loads(out.with_suffix(".json").read_text())["spec"]["seed"] == 7
    assert str(out) in capsys.readouterr().out
    args = parser.parse_args(["weights", "make", *options, "--out", str(Path("w.bin"))])
    with pytest.raises(ConfigurationError, match="safetensors"):
        args.run(args)
