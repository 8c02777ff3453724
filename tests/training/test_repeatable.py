"""No operation in the step of a network of the kit is one that a device may compute in another order each time.

``torch.use_deterministic_algorithms`` names those operations. A test on a CPU can see which of them a step uses.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from toys import SMALL, toy

from evaluator.curation.network import build_network as curation_network
from evaluator.curation.on_device import logits_of
from evaluator.training import device as devices
from evaluator.training.loop import train
from evaluator.training.network import build_network
from evaluator.training.pipeline import LINEAR
from evaluator.training.recipes import PIPELINES

CUDA = torch.device("cuda")
NETWORKS = sorted({pipeline.architecture for pipeline in PIPELINES.values()} - {LINEAR})
VIT = PIPELINES["panel-vit-small"].architecture
LISTED = re.compile(
    r"""
    _scaled_dot_product_\w+                                            # fused attention, whose gradients are added up by atomics
    | (avg_pool3d | _adaptive_avg_pool[23]d | adaptive_max_pool[23]d | fractional_max_pool[23]d | max_pool3d_with_indices)_backward
    | max_unpool\w* | upsample_\w*(linear|cubic)\w*_backward | (reflection|replication)_pad\dd_backward | grid_sampler_\dd_backward
    | nll_loss2d\w* | _ctc_loss_backward | _?embedding\w*_backward | _embedding_bag\w*
    | put | histc | bincount | median | kthvalue | cumsum | scatter_add | scatter_reduce | index_add | index_reduce | index_copy
    """,
    re.VERBOSE,
)


class Seen(TorchDispatchMode):
    """Names of all operations, without their overload and the sign that they work in place."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__.rstrip("_")
        floating = not args or not isinstance(args[0], torch.Tensor) or args[0].is_floating_point()
        if name != "cumsum" or floating:  # of whole numbers it repeats
            self.names.add(name)
        if name == "index_put" and (args[3] if len(args) > 3 else False):
            self.names.add("scatter_add")  # the same for accumulate
        return func(*args, **(kwargs or {}))

    def listed(self) -> set[str]:
        return {name for name in self.names if LISTED.fullmatch(name)}


def step_of(architecture: str) -> Seen:
    """The operations of forward and backward of a network at a small size."""
    model = build_network(architecture, 6, seed=0, image_size=64).train()
    with Seen() as seen:
        loss = F.binary_cross_entropy_with_logits(model(torch.rand(2, 3, 64, 64)), torch.zeros(2, 6))
        loss.backward()
    return seen


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_step_of_a_network_uses_no_operation_that_may_not_repeat(architecture):
    with devices.repeatable(CUDA):
        seen = step_of(architecture)
    assert len(seen.names) > 20
    assert seen.listed() == set()


def test_the_names_are_found():
    seen = step_of(VIT)
    assert any(name.startswith("_scaled_dot_product_") for name in seen.listed()), "without the block attention is fused"
    with Seen() as others:
        x = torch.rand(1, 2, 6, 6, requires_grad=True)
        (F.interpolate(x, scale_factor=2, mode="bilinear").sum() + F.adaptive_avg_pool2d(x, 2).sum()).backward()
        torch.zeros(3).index_put_((torch.tensor([0, 0]),), torch.ones(2), accumulate=True)
        torch.zeros(3).index_add_(0, torch.tensor([0, 0]), torch.ones(2))
    assert others.listed() == {"upsample_bilinear2d_backward", "_adaptive_avg_pool2d_backward", "scatter_add", "index_add"}


def test_augmentation_and_optimiser_use_none_either():
    with devices.repeatable(CUDA), Seen() as seen:
        train(replace(SMALL, epochs=1, averaging=0.9), *toy(8), seed=1, threads=1)
    assert seen.listed() == set()


def test_the_fixed_model_of_curation_uses_none():
    with devices.repeatable(CUDA), Seen() as seen:
        model = curation_network(10, seed=1).train()
        logits_of(model, torch.rand(2, 3, 32, 32)).sum().backward()
    assert seen.listed() == set()


def test_attention_is_as_a_person_set_it_after_the_last_training():
    cuda = torch.backends.cuda
    cuda.enable_flash_sdp(False)
    try:
        with devices.repeatable(CUDA), devices.repeatable(CUDA):
            fused = cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled()
            assert (*fused, cuda.math_sdp_enabled()) == (False, False, False, True)
        assert not cuda.flash_sdp_enabled()
        assert cuda.mem_efficient_sdp_enabled()
        assert cuda.cudnn_sdp_enabled()
    finally:
        cuda.enable_flash_sdp(True)


def test_attention_gives_what_the_fused_form_gives():
    q, k, v = (torch.from_numpy(part).float() for part in np.random.default_rng(0).normal(size=(3, 2, 3, 17, 8)))
    fused = F.scaled_dot_product_attention(q, k, v)
    with devices.repeatable(CUDA):
        plain = F.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(fused, plain, atol=1e-6)
