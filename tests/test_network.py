"""The networks: their start depends on the seed alone, is shallow, and disturbs nobody's random state."""

import pytest
import torch
from torch import nn
from torchvision.models.efficientnet import MBConv

from evaluator.errors import ConfigurationError
from evaluator.training.network import ARCHITECTURES, build_network, feature_parameters, feature_state, features, head_parameters


@pytest.fixture(scope="module")
def model():
    return build_network("efficientnet_b0", 6, seed=1)


def test_the_round_architecture_comes_first():
    assert ARCHITECTURES[0] == "efficientnet_b4"
    assert "efficientnet_b0" in ARCHITECTURES


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
        (("efficientnet_b0", 0, {}), "n_outputs is 0"),
        (("efficientnet_b0", 6, {"dropout": 1.0}), "dropout is 1.0"),
        (("efficientnet_b0", 6, {"stochastic_depth": -0.1}), "stochastic_depth is -0.1"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, seen):
    architecture, outputs, options = arguments
    with pytest.raises(ConfigurationError, match=seen):
        build_network(architecture, outputs, seed=1, **options)
