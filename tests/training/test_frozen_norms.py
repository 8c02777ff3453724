"""Batch normalisation with frozen statistics, in the kit's own form, against torch's."""

import pytest
import torch
from torch import nn

from evaluator.training.cuda import norms
from evaluator.training.network import build_network


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_those_of_torch(layout, kind):
    torch.manual_seed(0)
    theirs = nn.BatchNorm2d(6)
    for _ in range(3):
        theirs(torch.randn(4, 6, 5, 5) * 2 + 1)
    nn.init.normal_(theirs.weight)
    theirs.eval()
    x = torch.randn(4, 6, 5, 5).to(kind).contiguous(memory_format=layout)
    above = torch.randn(4, 6, 5, 5).to(kind).contiguous(memory_format=layout)
    found = []
    for layer in (theirs, norms._taken_over(theirs)):
        theirs.zero_grad()
        given = x.clone().requires_grad_()
        y = layer(given)
        y.backward(above)
        found.append((y.detach(), given.grad, theirs.weight.grad, theirs.bias.grad))
    assert torch.equal(found[0][0], found[1][0])
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=1e-2 if kind == torch.bfloat16 else 1e-5, atol=1e-5)
    assert found[1][1].is_contiguous(memory_format=layout)


def test_a_network_keeps_its_names_its_tensors_and_what_it_gives():
    plain, mine = (build_network("efficientnet_b0", 3, seed=1) for _ in range(2))
    before = dict(mine.state_dict(keep_vars=True))
    norms.fitted(mine)
    assert sum(isinstance(module, norms.FrozenNorm) for module in mine.modules()) == 49
    after = mine.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    x = torch.randn(2, 3, 32, 32)
    for model in (plain, mine):
        model.eval()
    assert torch.equal(plain(x), mine(x))
    for model in (plain, mine):
        model.train()
        torch.manual_seed(3)
        model.out = model(x)
    assert torch.equal(plain.out, mine.out)
    assert torch.equal(plain.state_dict()["features.0.1.running_mean"], mine.state_dict()["features.0.1.running_mean"])
