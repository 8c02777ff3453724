"""The steps that are written out, against automatic differentiation of the plain network: values, gradients, first steps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evaluator.curation import steps
from evaluator.curation.inputs import centred
from evaluator.curation.network import FixedNetwork, build_network
from evaluator.curation.steps import Stepper, _layers


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["MKL", "oneDNN"])
def products(request, monkeypatch):
    """Both libraries that float32 products can come from."""
    monkeypatch.setattr(steps, "_mkl_is_fast", lambda: request.param == "MKL")


def some(n=6, channels=3, size=32, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, channels, size, size)).astype(np.float32)
    return torch.from_numpy(images), torch.from_numpy(rng.integers(0, 10, n))


def moved(seed=0) -> FixedNetwork:
    """A network whose scales, shifts and statistics are not those that it starts with."""
    network = build_network(10, seed)
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=stream)
                module.bias.uniform_(-0.5, 0.5, generator=stream)
                module.running_mean.uniform_(-1, 1, generator=stream)
                module.running_var.uniform_(0.5, 2, generator=stream)
    return network


def plain_gradients(network, images, labels):
    network.train()
    loss = F.cross_entropy(network(centred(images)), labels)
    loss.backward()
    return loss.item()


def gradients(stepper):
    """The stepper's gradients under the names and in the shapes of the network's parameters."""
    found = {}
    for unit, (conv, norm) in zip(stepper._units, _layers(stepper._named), strict=True):
        found |= {conv.weight: unit.gradient.permute(0, 3, 1, 2), norm.weight: unit.gamma_gradient, norm.bias: unit.beta_gradient}
    return found | {stepper._named.dense.weight: stepper._dense_gradient, stepper._named.dense.bias: stepper._bias_gradient}


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 32), (1, 24), (1, 21)])
def test_loss_gradients_and_statistics_are_those_of_the_plain_form(products, channels, size):
    images, labels = some(5, channels, size)
    network = moved(1)
    stepper = Stepper(network, 1e-4, "float32")
    stepper._named = network
    loss = stepper.step(images, labels)
    assert loss == pytest.approx(plain_gradients(network, images, labels), rel=1e-5)
    found = gradients(stepper)
    for name, parameter in network.named_parameters():
        if parameter not in found:
            assert name.endswith("conv.bias") or name == "stem.bias"
            assert parameter.grad.abs().max() < 1e-5, "a bias before a normalisation has no gradient but rounding"
            continue
        scale = parameter.grad.abs().max()
        assert (found[parameter] - parameter.grad).abs().max() < 2e-4 * scale, name
    for (name, own), (_, plain) in zip(stepper.network().named_buffers(), network.named_buffers(), strict=True):
        if name.endswith(("running_mean", "running_var")):
            assert torch.allclose(own, plain, rtol=1e-4, atol=1e-4), name


def test_predictions_are_those_of_the_plain_form(products):
    images, _ = some(37)
    network = moved(2)
    stepper = Stepper(network, 1e-4, "float32")
    with torch.no_grad():
        expected = network.eval()(centred(images))
        assert torch.allclose(stepper.logits(images), expected, rtol=1e-3, atol=1e-3)
        assert torch.allclose(stepper.network()(centred(images)), expected, rtol=1e-3, atol=1e-3)


def test_biases_of_a_network_are_kept_in_the_means():
    images, _ = some(4)
    network = moved(3)
    with torch.no_grad():
        for conv, _norm in _layers(network):
            conv.bias.uniform_(-1, 1)
        expected = network.eval()(centred(images))
        assert torch.allclose(Stepper(network, 1e-4, "float32").logits(images), expected, rtol=1e-3, atol=1e-3)


def test_the_first_steps_take_the_plain_course():
    images, labels = some(40, 1)
    network = build_network(10, 4)
    stepper = Stepper(network, 1e-4, "float32")
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, eps=1e-7)
    network.train()
    for part in torch.arange(40).split(8):
        loss = stepper.step(images[part], labels[part])
        optimizer.zero_grad()
        plain = F.cross_entropy(network(centred(images[part])), labels[part])
        plain.backward()
        optimizer.step()
        assert loss == pytest.approx(plain.item(), rel=2e-3)
    with torch.no_grad():
        both = stepper.logits(images), network.eval()(centred(images))
    assert torch.allclose(*both, rtol=0.02, atol=0.02)


def test_bfloat16_is_near_and_learns_alike():
    images, labels = some(8, 1)
    low, high = (Stepper(build_network(10, 5), 1e-3, precision) for precision in ("bfloat16", "float32"))
    losses = [(low.step(images, labels), high.step(images, labels)) for _ in range(12)]
    assert losses[0][0] == pytest.approx(losses[0][1], rel=0.03)
    assert losses[-1][0] < 0.2 * losses[0][0]
    assert losses[-1][1] < 0.2 * losses[0][1]
    changed = low._weights - Stepper(build_network(10, 5), 1e-3, "float32")._weights
    assert changed.dtype == torch.float32
    assert len(changed.unique()) > 50_000, "weights move in float32"


def test_bfloat16_gradients_point_where_float32s_do():
    images, labels = some(8)
    low, high = (Stepper(moved(6), 1e-4, precision) for precision in ("bfloat16", "float32"))
    low.step(images, labels)
    high.step(images, labels)
    assert F.cosine_similarity(low._changes, high._changes, dim=0) > 0.97
    assert torch.allclose(low.logits(images), high.logits(images), atol=0.15)


def test_a_state_is_a_copy_that_predicts_the_same():
    images, labels = some(8, 1)
    stepper = Stepper(build_network(10, 7), 1e-3, "float32")
    stepper.step(images, labels)
    kept, before = stepper.state(), stepper.logits(images)
    stepper.step(images, labels)
    assert not torch.equal(stepper.logits(images), before)
    stepper.restore(kept)
    assert torch.equal(stepper.logits(images), before)


def test_a_last_batch_of_one_image_is_a_step():
    images, labels = some(1, 1)
    assert np.isfinite(Stepper(build_network(10, 8), 1e-4, "float32").step(images, labels))
