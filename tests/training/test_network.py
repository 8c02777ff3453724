"""The networks: their start depends on the seed alone, is shallow, and disturbs nobody's random state."""

import pytest
import torch
from torch import nn
from torchvision.models.efficientnet import MBConv

from evaluator.errors import ConfigurationError
from evaluator.training.cpu.convolutions import quicken
from evaluator.training.network import (
    PooledLinear,
    build_network,
    feature_state,
    features,
    head,
    head_parameters,
)
from evaluator.training.pipeline import ARCHITECTURES, Pipeline

TIMM = {
    "timm/resnet10t": (64, 512),
    "timm/convnext_atto.d2_in1k": (64, 320),
    "timm/vit_tiny_patch16_224": (64, 192),
    "timm/mobilenetv3_small_050": (32, 1024),
}
"""Small relatives of the panel's models, and one with a layer between pooling and classifier: image size, embedding."""


@pytest.fixture(scope="module")
def model():
    return build_network("efficientnet_b0", 6, seed=1)


def test_the_round_architecture_comes_first():
    assert ARCHITECTURES[0] == "efficientnet_b4"
    assert "efficientnet_b0" in ARCHITECTURES
    for architecture in ARCHITECTURES:
        assert Pipeline("x", architecture=architecture).architecture == architecture


def test_same_seed_same_weights_other_seed_others(model):
    again, other = (build_network("efficientnet_b0", 6, seed=seed) for seed in (1, 2))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(model.features[0][0].weight, other.features[0][0].weight)


def test_the_global_random_state_is_neither_read_nor_moved(model):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    built = build_network("efficientnet_b0", 6, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(built.features[0][0].weight, model.features[0][0].weight)


def test_residual_blocks_start_as_the_identity(model):
    blocks = [block for block in model.modules() if isinstance(block, MBConv) and block.use_res_connect]
    assert blocks
    for block in blocks:
        width = block.block[0][0].in_channels
        x = torch.randn(2, width, 4, 4, generator=torch.Generator().manual_seed(0))
        assert torch.equal(block(x), x)


def test_blocks_without_a_shortcut_let_the_signal_through(model):
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    embedded = features(model.eval(), x)
    model.train()
    assert embedded.shape == (4, 1280)
    assert embedded.std(dim=0).max() > 0


def test_the_first_prediction_is_one_half(model):
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(x), torch.zeros(2, 6))


def feature_parameters(model):
    return [parameter for name, parameter in model.named_parameters() if not name.startswith("classifier.")]


def test_head_and_features_share_out_all_parameters(model):
    head, body = head_parameters(model), feature_parameters(model)
    assert [tuple(p.shape) for p in head] == [(6, 1280), (6,)]
    assert sorted(map(id, head + body)) == sorted(map(id, model.parameters()))
    assert not any(name.startswith("classifier") for name in feature_state(model))
    assert sum(isinstance(layer, nn.Linear) for layer in model.modules()) == 1


def test_regularisation_arrives_in_the_network():
    built = build_network("efficientnet_b0", 6, seed=1, dropout=0.3, stochastic_depth=0.2)
    assert built.classifier[0].p == 0.3
    depths = [block.stochastic_depth.p for block in built.modules() if isinstance(block, MBConv)]
    assert depths[0] == 0.0
    assert 0.15 < depths[-1] <= 0.2


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (("resnet_900", 6, {}), "resnet_900"),
        (("timm/resnet5o", 6, {}), "did you mean timm/resnet50"),
        (("timm/qqqqqqqqq", 6, {}), r"timm\.list_models"),
        (("timm/resnet18.nobody", 6, {}), r"no weights 'nobody' of resnet18; it has: .*a1_in1k"),
        (("timm/vit_tiny_patch16_224", 6, {"image_size": 72}), "72 px are no multiple"),
        (("timm/deit_tiny_distilled_patch16_224", 6, {}), "not with one linear layer"),
        (("timm/vgg11", 6, {"stochastic_depth": 0.1}), "drop_path_rate=0.1"),
        (("efficientnet_b0", 0, {}), "n_outputs is 0"),
        (("efficientnet_b0", 6, {"dropout": 1.0}), "dropout is 1.0"),
        (("efficientnet_b0", 6, {"stochastic_depth": -0.1}), "stochastic_depth is -0.1"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, seen):
    architecture, outputs, options = arguments
    with pytest.raises(ConfigurationError, match=seen):
        build_network(architecture, outputs, seed=1, **options)


# -- timm's


@pytest.fixture(scope="module", params=TIMM)
def timm_model(request):
    size, _ = TIMM[request.param]
    return request.param, size, build_network(request.param, 6, seed=1, dropout=0.5, image_size=size)


def test_a_timm_model_depends_on_its_seed_alone(timm_model):
    architecture, size, built = timm_model
    torch.manual_seed(7)
    before = torch.get_rng_state()
    again, other = (build_network(architecture, 6, seed=seed, image_size=size) for seed in (1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in built.state_dict().items())
    assert any(not torch.equal(tensor, other.state_dict()[name]) for name, tensor in built.state_dict().items())


def test_a_timm_models_head_and_features_share_out_all_parameters(timm_model):
    architecture, _, built = timm_model
    own, body = head_parameters(built), feature_parameters(built)
    assert [tuple(p.shape) for p in own] == [(6, TIMM[architecture][1]), (6,)]
    assert not any(p.any() for p in own)
    assert sorted(map(id, own + body)) == sorted(map(id, built.parameters()))
    assert set(feature_state(built)) == {f"features.{name}" for name in built.features.state_dict()}


def test_embeddings_of_a_timm_model_are_what_its_classifier_would_see(timm_model):
    architecture, size, built = timm_model
    x = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    body = built.eval().features
    with torch.no_grad():
        embedded = features(built, x)
        assert torch.equal(embedded, body.forward_head(body.forward_features(x), pre_logits=True))
    assert embedded.shape == (3, TIMM[architecture][1])
    built.train()


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "timm/resnet10t", "timm/vit_tiny_patch16_224", "linear"])
@pytest.mark.parametrize("training", [True, False])
def test_the_head_of_the_features_is_the_model(architecture, training):
    made = {"linear": lambda: PooledLinear(32, 6)}
    built = made.get(architecture, lambda: build_network(architecture, 6, seed=1, dropout=0.5, image_size=32))()
    torch.nn.init.normal_(head_parameters(built)[0], generator=torch.Generator().manual_seed(0))
    built.train(training)
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = built(x)
        torch.manual_seed(0)
        assert torch.equal(head(built, features(built, x)), whole)
    assert whole.any()


def test_the_heads_dropout_is_no_part_of_the_embeddings():
    built = build_network("timm/resnet10t", 6, seed=1, dropout=0.9)
    for layer in built.features.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(features(built, x), features(built, x))


def test_a_timm_models_stochastic_depth_arrives():
    from timm.layers import DropPath

    built = build_network("timm/convnext_atto", 6, seed=1, stochastic_depth=0.2)
    assert max(layer.drop_prob for layer in built.modules() if isinstance(layer, DropPath)) == pytest.approx(0.2)


def test_timm_models_keep_their_own_convolutions_which_are_faster_there():
    built = build_network("timm/resnet10t", 6, seed=1)
    assert quicken(built) is built
    assert {type(layer) for layer in built.modules() if isinstance(layer, nn.Conv2d)} == {nn.Conv2d}
    torchvisions = quicken(build_network("efficientnet_b0", 6, seed=1))
    assert len({type(layer) for layer in torchvisions.modules() if isinstance(layer, nn.Conv2d)}) > 1
