"""Starting weights: what is loaded is what was written, and what is wrong is refused with the ways out."""

import argparse
import hashlib
import json

import pytest
import safetensors
import safetensors.torch
import torch

from evaluator.errors import WeightsError
from evaluator.training import weights
from evaluator.training.network import build_network, feature_state
from evaluator.training.weights import PROCEDURAL_FILE, load_starting_weights, read_safetensors, write_features

B0 = "efficientnet_b0"


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
    assert name in refused(network(), name, "expected|does not exist")


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
    refused(network(), "procedural", "this copy of the kit has no procedural weights")


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
