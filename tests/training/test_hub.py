"""Weights of timm's models: from the hub's cache or a file, without their head, at another size, and never by a silent fallback."""

import hashlib
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from evaluator.errors import ConfigurationError, WeightsError
from evaluator.training.network import build_network, feature_state, features
from evaluator.training.weights import (
    load_starting_weights,
    pretrained_file,
    read_safetensors,
    starting_weights_identity,
    write_features,
)

RESNET = "timm/resnet10t.c3_in1k"
VIT = "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"


def published(architecture: str, path: Path, **options) -> dict[str, torch.Tensor]:
    """Write random weights as timm publishes them, with a head of 1,000 classes, and return them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        state = timm.create_model(architecture.removeprefix("timm/"), pretrained=False, **options).state_dict()
    safetensors.torch.save_file(state, path)
    return state


def by_hand(cache: Path, architecture: str) -> Path:
    """Where docs/weights.md says that a file is put by hand."""
    return cache / f"models--timm--{architecture.removeprefix('timm/')}" / "snapshots" / "main" / "model.safetensors"


@pytest.fixture
def offline(monkeypatch):
    """No network, and a test that asks for it is told so."""

    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)


@pytest.mark.usefixtures("offline")
def test_a_file_put_into_the_cache_by_hand_is_found_and_named_by_its_hash(tmp_path):
    path = by_hand(tmp_path, RESNET)
    state = published(RESNET, path)
    identity = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert starting_weights_identity("imagenet", RESNET, hub_cache=tmp_path) == identity
    model = build_network(RESNET, 6, seed=1)
    assert load_starting_weights(model, "imagenet", RESNET, hub_cache=tmp_path) == identity
    for name, tensor in feature_state(model).items():
        assert torch.equal(tensor, state[name.removeprefix("features.")]), name
    assert (model.classifier[1].weight == 0).all()


@pytest.mark.usefixtures("offline")
def test_the_caches_own_layout_is_read_and_its_hash_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    plain = tmp_path / "plain"
    published(RESNET, plain)
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    home = tmp_path / f"models--timm--{RESNET.removeprefix('timm/')}"
    blob, link = home / "blobs" / digest, home / "snapshots" / ("0" * 40) / "model.safetensors"
    for folder in (blob.parent, link.parent, home / "refs"):
        folder.mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40)
    plain.rename(blob)
    link.symlink_to(blob)
    assert pretrained_file(RESNET) == link
    assert starting_weights_identity("imagenet", RESNET) == f"sha256:{digest}"
    blob.write_bytes(blob.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=f"expected {digest}: it is truncated"):
        starting_weights_identity("imagenet", RESNET)


@pytest.mark.usefixtures("offline")
def test_weights_out_of_reach_name_the_file_its_place_and_every_other_way_out(tmp_path):
    with pytest.raises(WeightsError, match="no route to host") as caught:
        starting_weights_identity("imagenet", RESNET, hub_cache=tmp_path)
    for part in ("https://huggingface.co/timm/resnet10t.c3_in1k", str(by_hand(tmp_path, RESNET)), ".safetensors`", "weights: none"):
        assert part in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_is_not_in_the_cache_is_fetched_through_the_hubs_own_client(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, **_: asked.append(url))

    def download(repo_id, filename, revision, cache_dir):
        path = by_hand(cache_dir, f"timm/{repo_id.removeprefix('timm/')}")
        published(RESNET, path)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert pretrained_file(RESNET, tmp_path) == by_hand(tmp_path, RESNET)
    assert "timm/resnet10t.c3_in1k" in asked[0]
    assert pretrained_file(RESNET, tmp_path) == by_hand(tmp_path, RESNET)
    assert len(asked) == 1


def test_a_fault_of_ours_is_not_called_a_missing_network(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise AttributeError("a renamed function")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", broken)
    with pytest.raises(AttributeError):
        pretrained_file(RESNET, tmp_path)


def test_unknown_models_and_models_without_weights_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="did you mean timm/resnet"):
        pretrained_file("timm/resnet5o", tmp_path)
    with pytest.raises(WeightsError, match=r"names no file model\.safetensors"):
        pretrained_file(f"timm/{_without_weights()}", tmp_path)


def _without_weights() -> str:
    """A model for which timm has no pretrained weights."""
    known = set(timm.list_models(pretrained=True))
    return next(name for name in timm.list_models("vit_*") if not any(tag.split(".")[0] == name for tag in known))


def test_a_local_file_of_timm_loses_its_head_and_fits_another_size(tmp_path):
    path = tmp_path / "vit.safetensors"
    state = published(VIT, path, num_classes=21)
    model = build_network(VIT, 6, seed=1, image_size=64)
    assert load_starting_weights(model, str(path), VIT) == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    loaded = model.features.state_dict()
    assert state["pos_embed"].shape == (1, 197, 192)
    assert loaded["pos_embed"].shape == (1, 17, 192)
    expected = timm.layers.resample_abs_pos_embed(state["pos_embed"], (4, 4), num_prefix_tokens=1)
    torch.testing.assert_close(loaded["pos_embed"], expected)
    assert all(torch.equal(loaded[name], state[name]) for name in loaded if name != "pos_embed")
    assert "head.weight" not in loaded


def test_weights_that_the_kit_wrote_come_back_also_at_another_size(tmp_path):
    source = build_network(VIT, 3, seed=8, image_size=96)
    path = tmp_path / "made.safetensors"
    digest = write_features(source, path, "in a test")
    assert all(name.startswith("features.") for name in read_safetensors(path))
    same, smaller = (build_network(VIT, 6, seed=1, image_size=size) for size in (96, 64))
    assert load_starting_weights(same, str(path), VIT) == f"sha256:{digest}"
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(features(same.eval(), x), features(source.eval(), x), rtol=0.02, atol=0.02)  # float16
    load_starting_weights(smaller, str(path), VIT)
    assert smaller.features.pos_embed.shape == (1, 17, 192)


@pytest.mark.parametrize("architecture", [RESNET, VIT])
def test_a_file_of_another_model_is_refused_and_changes_nothing(architecture, tmp_path):
    path = tmp_path / "other.safetensors"
    published("timm/resnet18" if architecture == VIT else "timm/resnet14t", path)
    model = build_network(architecture, 6, seed=1, image_size=64)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"missing|cannot make|shape"):
        load_starting_weights(model, str(path), architecture)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_kits_own_weights_are_not_those_of_a_model_of_timm():
    with pytest.raises(WeightsError, match="not for timm/resnet10t"):
        starting_weights_identity("procedural", RESNET)
