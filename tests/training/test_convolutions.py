"""Faster forms of a network: the same values and gradients as torch's own, for training and for prediction alone."""

import copy

import pytest
import torch
from torch import nn

from evaluator.training.cpu import convolutions, pointwise
from evaluator.training.cpu.convolutions import Depthwise, Mean, quicken
from evaluator.training.cpu.folding import forward_only
from evaluator.training.cpu.pointwise import MOST_PIXELS, TURNED_FROM, Pointwise
from evaluator.training.network import PooledLinear, build_network, features


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def lively(architecture, side):
    """A network in which every layer counts, and whose normalisations have statistics of their own."""
    model = PooledLinear(side, 3) if architecture == "linear" else build_network(architecture, 3, seed=0, image_size=side)
    for i, layer in enumerate(model.modules()):
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data = 1 + 0.2 * numbers(layer.num_features, seed=3 * i)
            layer.bias.data = 0.2 * numbers(layer.num_features, seed=3 * i + 1)
            layer.momentum = 1.0
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.1, generator=torch.Generator().manual_seed(i))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        model(numbers(8, 3, side, side, seed=5))
    return model.to(memory_format=torch.channels_last)


def quick_and_plain(layer):
    """A depthwise layer within a quickened model, and its plain original."""
    quick = quicken(nn.Sequential(nn.Conv2d(**layer)))[0]
    plain = nn.Conv2d(**layer)
    plain.load_state_dict(quick.state_dict())
    return quick, plain


def gradients(model, x):
    x = x.clone().requires_grad_()
    out = model(x)
    out.mul(numbers(*out.shape, seed=9, dtype=out.dtype)).sum().backward()
    return out.detach(), x.grad, *(p.grad for p in model.parameters())


def near(found, expected, tolerance, nothing=0.0):
    """Largest difference as a share of the largest value; ``nothing`` is what rounding leaves of a zero."""
    assert found.shape == expected.shape
    assert float((found - expected).detach().abs().max()) <= tolerance * float(expected.detach().abs().max()) + nothing


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (7, 5), (8, 8), (16, 16), (9, 1), (2, 40)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["channels last", "channels first"])
def test_depthwise_layers_give_the_librarys_values_and_gradients(kernel, stride, size, layout):
    quick, plain = quick_and_plain(
        {"in_channels": 6, "out_channels": 6, "kernel_size": kernel, "stride": stride, "padding": kernel // 2, "groups": 6}
        | {"bias": False}
    )
    assert type(quick) is Depthwise
    x = numbers(3, 6, *size).contiguous(memory_format=layout)
    for found, expected in zip(gradients(quick, x), gradients(plain, x), strict=True):
        near(found, expected, 1e-5)


def test_layers_of_other_kinds_are_the_librarys_in_all_but_name():
    for change in ({"padding": 0}, {"kernel_size": 1, "padding": 0}, {"stride": 3}):
        quick, plain = quick_and_plain(
            {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1, "groups": 4, "bias": False} | change
        )
        for found, expected in zip(gradients(quick, numbers(2, 4, 13, 11)), gradients(plain, numbers(2, 4, 13, 11)), strict=True):
            near(found, expected, 1e-5)
    kept = {"bias": {"bias": True}, "dilation": {"dilation": 2}, "groups": {"groups": 2}, "mode": {"padding_mode": "reflect"}}
    for change in kept.values():
        layer = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1, "groups": 4, "bias": False} | change
        assert type(quicken(nn.Sequential(nn.Conv2d(**layer)))[0]) is nn.Conv2d


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (5, 2)])
@pytest.mark.parametrize("size", [(5, 6), (1, 3), (10, 9)], ids=str)
def test_the_own_gradients_are_those_of_finite_differences(kernel, stride, size):
    x, weight = numbers(2, 3, *size, dtype=torch.float64), numbers(3, 1, kernel, kernel, seed=1, dtype=torch.float64)
    assert torch.autograd.gradcheck(convolutions._Centred.apply, (x.requires_grad_(), weight.requires_grad_(), stride))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (5, 2)])
def test_the_own_gradients_lie_channels_last_for_the_layers_before(kernel, stride):
    x = numbers(2, 4, 8, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    convolutions._Centred.apply(x, numbers(4, 1, kernel, kernel, seed=1), stride).square().sum().backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kernel", [3, 5])
def test_only_the_gradients_that_are_asked_for_are_computed(kernel):
    for wanted in ((True, False), (False, True)):
        x, weight = numbers(2, 4, 8, 8).requires_grad_(wanted[0]), numbers(4, 1, kernel, kernel).requires_grad_(wanted[1])
        convolutions._Centred.apply(x, weight, 1).sum().backward()
        assert (x.grad is not None, weight.grad is not None) == wanted


# -- 1 x 1

MAPS = {"one pixel": (3, 1, 1), "few": (2, 3, 5), "so many that a gradient is turned": (2, 20, 15), "too many": (1, 200, 170)}


def pointwise_and_plain(channels, bias):
    quick = quicken(nn.Sequential(nn.Conv2d(*channels, 1, bias=bias)))[0]
    plain = nn.Conv2d(*channels, 1, bias=bias)
    plain.load_state_dict(quick.state_dict())
    return quick, plain


@pytest.mark.parametrize("map", MAPS)
@pytest.mark.parametrize("channels", [(12, 40), (40, 12)], ids=str)
@pytest.mark.parametrize("bias", [False, True], ids=["bare", "biased"])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=["channels last", "channels first"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-14)], ids=["float32", "float64"])
def test_pointwise_layers_give_the_librarys_values_and_gradients(dtype, tolerance, layout, bias, channels, map):
    n, *sides = MAPS[map]
    assert (n * sides[0] * sides[1] >= TURNED_FROM) == map.startswith(("so", "too"))
    assert (n * sides[0] * sides[1] > MOST_PIXELS) == map.startswith("too")
    quick, plain = pointwise_and_plain(channels, bias)
    assert type(quick) is Pointwise
    x = numbers(n, channels[0], *sides, dtype=dtype).contiguous(memory_format=layout)
    for found, expected in zip(gradients(quick.to(dtype), x), gradients(plain.to(dtype), x), strict=True):
        near(found, expected, tolerance)
    with torch.inference_mode():
        near(quick(x), plain(x), tolerance)


def test_the_product_is_used_where_it_is_there_and_torchs_own_where_it_is_not(monkeypatch):
    quick, plain = pointwise_and_plain((8, 24), True)
    x, calls = numbers(2, 8, 3, 3), []

    def counted(*arguments):
        calls.append(arguments[0].shape)
        return own(*arguments)

    own = pointwise._ONEDNN
    if own is not None:
        monkeypatch.setattr(pointwise, "_ONEDNN", counted)
        gradients(quick, x)
        assert calls == [(18, 8), (18, 24), (24, 18)], "forward, and one product for each gradient"
    monkeypatch.setattr(pointwise, "_ONEDNN", None)
    quick.zero_grad()
    for found, expected in zip(gradients(quick, x), gradients(plain, x), strict=True):
        near(found, expected, 1e-5)


def product_inputs(pixels, dtype):
    """A map, a kernel and a bias."""
    return [numbers(*shape, seed=i, dtype=dtype) for i, shape in enumerate([(1, 2, pixels, 1), (3, 2, 1, 1), (3,)])]


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_only_the_gradients_of_a_product_that_are_asked_for_are_computed(wanted):
    inputs = [one.requires_grad_(asked) for one, asked in zip(product_inputs(6, torch.float32), wanted, strict=True)]
    pointwise._Product.apply(*inputs).sum().backward()
    assert tuple(one.grad is not None for one in inputs) == wanted


@pytest.mark.parametrize("pixels", [3, TURNED_FROM])
def test_the_gradients_of_a_product_are_those_of_finite_differences(pixels):
    inputs = product_inputs(pixels, torch.float64)
    assert torch.autograd.gradcheck(pointwise._Product.apply, [one.requires_grad_() for one in inputs])


def test_what_a_product_gives_may_be_changed_in_place_and_lies_channels_last():
    quick, plain = pointwise_and_plain((4, 6), True)
    x = numbers(2, 4, 3, 5)
    given = quick(x)
    assert given.is_contiguous(memory_format=torch.channels_last)
    activated = [nn.Sequential(layer, nn.SiLU(inplace=True)) for layer in (quick, plain)]
    for found, expected in zip(gradients(activated[0], x), gradients(activated[1], x), strict=True):
        near(found, expected, 1e-5)


def test_layers_that_are_no_product_stay_convolutions():
    for change in ({"kernel_size": 3}, {"stride": 2}, {"padding": 1}, {"groups": 2}):
        layer = {"in_channels": 4, "out_channels": 6, "kernel_size": 1} | change
        assert type(quicken(nn.Sequential(nn.Conv2d(**layer)))[0]) is nn.Conv2d


def test_mixed_precision_is_left_to_the_library():
    quick, plain = pointwise_and_plain((8, 16), False)
    x = numbers(2, 8, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = quick(x), plain(x)
    assert found.dtype == expected.dtype == torch.bfloat16
    assert torch.equal(found, expected)


def test_the_mean_over_a_map_keeps_the_layout_of_its_gradient():
    x = numbers(4, 8, 6, 5).contiguous(memory_format=torch.channels_last)
    found, expected = gradients(Mean(1), x), gradients(nn.AdaptiveAvgPool2d(1), x)
    for one, other in zip(found, expected, strict=True):
        near(one, other, 1e-6)
    seen = []
    y = 2 * x.clone().requires_grad_()
    y.register_hook(seen.append)
    Mean(1)(y).square().sum().backward()
    assert seen[0].stride(1) == 1, "channels innermost"


@pytest.mark.parametrize("side", [32, 64, *(pytest.param(side, marks=pytest.mark.endurance) for side in (75, 160))])
def test_a_quickened_network_computes_what_the_plain_one_computes(side):
    plain, quick = lively("efficientnet_b0", side), build_network("efficientnet_b0", 3, seed=0)
    quick.load_state_dict(plain.state_dict())
    names = list(quick.state_dict())
    quicken(quick.to(memory_format=torch.channels_last))
    assert {type(layer) for layer in quick.modules()} >= {Depthwise, Pointwise, Mean}
    assert list(quick.state_dict()) == names == list(plain.state_dict())
    # In float64, since a batch of few pixels multiplies what rounding does to float32.
    x = numbers(4, 3, side, side, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    found, expected = (gradients(model.double(), x) for model in (quick, plain))
    for one, other in zip(found, expected, strict=True):
        near(one, other, 1e-8, nothing=1e-10)  # a normalisation takes out what a scale or an offset before it did


@pytest.mark.parametrize("side", [64, 160])
def test_a_quickened_step_repeats_to_the_bit(side):
    results = []
    for _ in range(2):
        model = quicken(lively("efficientnet_b0", side)).eval()
        results.append(gradients(model, numbers(2, 3, side, side).contiguous(memory_format=torch.channels_last)))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


# -- prediction alone

NETWORKS = {"efficientnet_b4": 64, "efficientnet_b0": 80, "linear": 16, "timm/resnet10t": 64}


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("quickened", [False, True], ids=["plain", "quickened"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        pytest.param(torch.float32, 1e-4, id="float32", marks=pytest.mark.endurance),
        pytest.param(torch.float64, 1e-12, id="float64"),
    ],
)
@pytest.mark.endurance
def test_a_twin_for_prediction_gives_the_models_values(architecture, quickened, dtype, tolerance):
    """Held against the model in float64. The model's own rounding in ``dtype`` depends on the processor; the twin's is never larger
    than the tolerance, or than the model's own."""
    side = NETWORKS[architecture]
    model = lively(architecture, side).to(dtype)
    if quickened:
        quicken(model)
    x = numbers(4, 3, side, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    exact = copy.deepcopy(model).double().eval()
    twin = forward_only(model.train())
    with torch.inference_mode():
        expected, expected_features = exact(x.double()), features(exact, x.double())
        model.eval()
        for twins, own, wanted in (
            (twin(x), model(x), expected),
            (features(twin, x), features(model, x), expected_features),
        ):
            near(own, wanted, 10 * tolerance)
            rounding = float((own - wanted).abs().max() / wanted.abs().max())
            near(twins, wanted, max(tolerance, rounding))
    assert expected.abs().max() > 0


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "timm/resnet10t"])
def test_a_twin_leaves_its_model_as_it_is(architecture):
    model = quicken(lively(architecture, 32)).train()
    model.features.eval()
    modes = [module.training for module in model.modules()]
    kinds = [(name, type(module)) for name, module in model.named_modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    twin = forward_only(model)
    with torch.inference_mode():
        twin(numbers(2, 3, 32, 32))
    assert not any(module.training for module in twin.modules())
    assert [module.training for module in model.modules()] == modes
    assert [(name, type(module)) for name, module in model.named_modules()] == kinds
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_normalisations_are_folded_where_the_order_is_certain():
    def norms(model):
        return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())

    network = quicken(lively("efficientnet_b0", 32))
    assert norms(network) == 49
    assert norms(forward_only(network)) == 0
    untold = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    between = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    bare = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False))

    class Backwards(nn.Sequential):
        def forward(self, x):
            return self[0](self[1](x))

    backwards = Backwards(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    for model, left in ((untold, 1), (between, 1), (backwards, 1), (bare, 0)):
        twin, x = forward_only(model), numbers(2, 3, 4, 4)
        assert norms(twin) == left
        near(twin(x), model.eval()(x), 1e-5)


def test_a_twin_is_of_the_weights_of_its_moment():
    model = lively("efficientnet_b0", 32).eval()
    x = numbers(2, 3, 32, 32)
    with torch.no_grad():
        early = forward_only(model)(x)
        model.features[-1][1].weight.mul_(1.5)
        near(forward_only(model)(x), model(x), 1e-4)
        assert not torch.allclose(early, model(x), rtol=1e-3)
