"""Recipes through torch's compiler: what they are called, where they apply, and what a compiled network gives."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toys import LINEAR, SMALL, same, toy

from evaluator.errors import ConfigurationError
from evaluator.training import inputs
from evaluator.training.loop import train
from evaluator.training.pipeline import Pipeline
from evaluator.training.recipes import PIPELINES, fitted, load_pipeline

ROOT = Path(__file__).resolve().parents[2]

COMPARED = """
import torch
from torch import nn
from evaluator.training.cuda.compiled import compiled
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(128, 2))
x = torch.randn(4, 3, 4, 4)
found = []
for forward in (model, compiled(model)):
    model.zero_grad()
    torch.manual_seed(1)  # the same items are dropped
    y = forward(x)
    y.square().sum().backward()
    found.append((y.detach(), *(p.grad.clone() for p in model.parameters())))
for a, b in zip(*found, strict=True):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
print("compared")
"""


def test_a_pipeline_is_compiled_by_its_name_and_is_another_one():
    plain, found = PIPELINES["round2"], load_pipeline("round2+compiled")
    assert found == replace(plain, name="round2+compiled", compiled=True)
    assert found.digest() != replace(plain, name=found.name).digest()
    assert load_pipeline("round2+compiled+compiled") == found
    assert fitted(found, 64, "procedural").name == "round2+compiled@64px-procedural"
    assert Pipeline.from_dict(found.as_dict()) == found
    with pytest.raises(ConfigurationError, match="'round3' is not known"):
        load_pipeline("round3+compiled")


def test_a_pipeline_that_is_not_compiled_keeps_the_digest_that_it_had():
    assert "compiled" not in PIPELINES["quick"].as_dict()


@pytest.mark.parametrize(("name", "value"), [("trains", "head"), ("architecture", "linear")])
def test_what_the_compiler_gains_nothing_for_is_refused(name, value):
    changes = {name: value} | ({"weights": "none"} if value == "linear" else {})
    with pytest.raises(ConfigurationError, match="compiled needs a network of which all layers train"):
        replace(PIPELINES["quick"], compiled=True, **changes)
    with pytest.raises(ConfigurationError, match="it must be True or False"):
        replace(LINEAR, compiled=1)


def test_on_the_cpu_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(inputs, "compiled", lambda model: pytest.fail("compiled"))
    images, labels = toy(16)
    assert same(
        train(SMALL, images, labels, seed=1, threads=1), train(replace(SMALL, compiled=True), images, labels, seed=1, threads=1)
    )


@pytest.mark.slow
@pytest.mark.endurance
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++ on the CPU")
def test_a_compiled_network_gives_what_it_gives_otherwise_and_keeps_it_in_the_kits_folder(tmp_path):
    given = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHINDUCTOR", "TRITON"))}
    given |= {"DCK_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", COMPARED], env=given, capture_output=True, text=True, timeout=300, check=False)
    assert "compared" in done.stdout, done.stderr[-3000:]
    assert any(path.is_file() for path in (tmp_path / ".cache" / "compiled").rglob("*"))


def test_where_torch_cannot_compile_the_error_names_what_is_missing(monkeypatch):
    import torch

    from evaluator.training.cuda.compiled import compiled

    def fails(error):
        def call(x):
            raise error

        monkeypatch.setattr(torch, "compile", lambda *given, **named: call)
        return compiled(torch.nn.Linear(2, 2))

    refused = torch._dynamo.exc.BackendCompilerFailed(fails, RuntimeError("Failed to find C compiler"), None)
    with pytest.raises(ConfigurationError, match=r"Failed to find C compiler.*Debian: gcc.*without \+compiled"):
        fails(refused)(torch.ones(1, 2))
    short = torch._dynamo.exc.BackendCompilerFailed(fails, RuntimeError("of"), None)
    short.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError):
        fails(short)(torch.ones(1, 2))
    other = RuntimeError("a fault of the network's own")
    with pytest.raises(RuntimeError, match="own"):
        fails(other)(torch.ones(1, 2))
