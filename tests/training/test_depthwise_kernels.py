"""The depthwise convolutions in Triton against torch's own, run by Triton's interpreter on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]

COMPARED = """
import sys
import torch
import torch.nn.functional as F
from torch import nn
from evaluator.training.cuda import depthwise, kernels
depthwise.FORM = "triton"
kernels.PIXELS, kernels.CHANNELS, kernels.PROGRAMS = 8, 4, 18  # several programs and parts, with rests
torch.manual_seed(0)
seen = 0
for size in (3, 5):
    for stride in (1, 2):
        for n, channels, height, width in ((2, 6, 7, 5), (1, 4, 2, 2), (3, 5, 1, 1), (1, 3, 4, 9)):
            layer = nn.Conv2d(channels, channels, size, stride=stride, padding=size // 2, groups=channels, bias=False)
            mine = depthwise.take_over(layer, depthwise.Depthwise)
            assert mine.weight is layer.weight
            x = torch.randn(n, channels, height, width)
            found = []
            for of in (layer, mine):
                layer.weight.grad = None
                given = x.clone().requires_grad_()
                made = of(given)
                (made * torch.cos(torch.arange(made.numel()).view_as(made))).sum().backward()
                found.append((made.detach(), given.grad, layer.weight.grad))
            for name, a, b in zip(("output", "input", "kernel"), *found, strict=True):
                assert a.shape == b.shape, name
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, msg=lambda m: f"{name} {size} {stride} {x.shape}: {m}")
            assert mine(x).is_contiguous(memory_format=torch.channels_last)
            seen += 1
layer = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
mine = depthwise.take_over(layer, depthwise.Depthwise)
x = torch.randn(2, 6, 5, 5, requires_grad=True)
with torch.autocast("cpu", dtype=torch.bfloat16):
    made = mine(x)
made.float().sum().backward()
assert made.dtype == torch.bfloat16 and layer.weight.grad.dtype == torch.float32 and x.grad.dtype == torch.float32
torch.testing.assert_close(made.float(), layer(x), rtol=2e-2, atol=2e-2)
print("compared", seen)
"""

FITTED = """
import torch
from evaluator.training.cuda import depthwise
from evaluator.training.network import build_network
depthwise.FORM = "triton"
depthwise.fitted(build_network("efficientnet_b0", 3, seed=1))
plain, mine = build_network("efficientnet_b0", 3, seed=1), depthwise.fitted(build_network("efficientnet_b0", 3, seed=1))
own = [m for m in mine.modules() if isinstance(m, depthwise.Depthwise)]
assert len(own) == 16, len(own)
assert list(mine.state_dict()) == list(plain.state_dict())
x = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
torch.testing.assert_close(mine.eval()(x), plain.eval()(x), rtol=1e-4, atol=1e-4)
depthwise.FORM = "fastest"
quick = depthwise.fitted(build_network("efficientnet_b0", 3, seed=1)).eval()
called = []
launch = depthwise.Depthwise.forward.__globals__["_convolved"]
depthwise._convolved = lambda x, *given: called.append(x.shape[2:]) or launch(x, *given)
torch.testing.assert_close(quick(x), plain(x), rtol=1e-4, atol=1e-4)
assert called and all(h * w <= 16 for h, w in called) and len(called) < 16, called  # small maps alone
depthwise.FORM = "library"
left = depthwise.fitted(build_network("efficientnet_b0", 3, seed=1))
assert not [m for m in left.modules() if isinstance(m, depthwise.Depthwise)]
print("fitted")
"""


def interpreted(program: str) -> str:
    """What a program says whose Triton functions are interpreted; the variable is read where they are defined."""
    pytest.importorskip("triton")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    given = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env=given, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.endurance
def test_values_and_gradients_are_those_of_torch():
    assert "compared 16" in interpreted(COMPARED)


@pytest.mark.slow
@pytest.mark.endurance
def test_a_network_with_these_layers_predicts_the_same_and_keeps_its_names():
    assert "fitted" in interpreted(FITTED)


def test_where_triton_is_missing_the_form_is_refused_before_a_step(monkeypatch):
    from evaluator.errors import ConfigurationError
    from evaluator.training.cuda import depthwise
    from evaluator.training.network import build_network

    monkeypatch.setattr(depthwise, "FORM", "triton")
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setattr(depthwise, "_FOUND", [])
    with pytest.raises(ConfigurationError, match="package triton, which cannot be used"):
        depthwise.fitted(build_network("efficientnet_b0", 3, seed=1))


def test_where_triton_cannot_compile_layers_stay_the_librarys_and_the_notes_say_so(monkeypatch):
    """It is imported without a compiler for C, and fails at its first launch, that is in the first step of a training."""
    from torch import nn

    from evaluator.training.cuda import depthwise, kernels

    launched = []

    def convolved(x, weight, stride, padding):
        launched.append(1)
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.")

    plain_ones = torch.ones
    monkeypatch.setitem(sys.modules, "triton", sys)
    monkeypatch.setattr(depthwise, "_FOUND", [])
    monkeypatch.setattr(kernels, "convolved", convolved)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", lambda *shape, device=None: plain_ones(*shape))
    layers = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.Flatten())
    assert depthwise.form() == "library"
    assert type(depthwise.fitted(layers)[0]) is nn.Conv2d
    note = depthwise.note_for(layers)
    assert "Failed to find C compiler" in note
    assert "Debian: gcc" in note
    assert launched == [1]  # once per process
    assert depthwise.note_for(nn.Sequential(nn.Linear(2, 2))) == ""


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), torch.AcceleratorError("an illegal memory access", 700)]
)
def test_a_device_that_is_full_or_fails_says_nothing_of_triton(monkeypatch, error):
    from evaluator.training.cuda import depthwise, kernels

    failures = [error]

    def convolved(x, weight, stride, padding):
        if failures:
            raise failures.pop()

    plain_ones = torch.ones
    monkeypatch.setattr(depthwise, "_FOUND", [])
    monkeypatch.setitem(sys.modules, "triton", sys)
    monkeypatch.setattr(kernels, "convolved", convolved)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch, "ones", lambda *shape, device=None: plain_ones(*shape))
    with pytest.raises(type(error)):
        depthwise.form()
    assert depthwise.form() == "fastest"
