"""A training that is advanced step by step, with a switch for each idea that made it faster or might.

The step is the loop's: rows of a uint8 array are transformed as a batch, sent forward and backward, clipped and stepped. Tests hold
it against the loop, and the settings' defaults against what the loop does on the CPU.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from evaluator.data.painted import CLASSES, Generator
from evaluator.seeds import generator
from evaluator.training import device as devices
from evaluator.training.augment import draw, transform
from evaluator.training.cpu.allocator import keep_memory
from evaluator.training.cpu.convolutions import quicken
from evaluator.training.cpu.pointwise import Pointwise
from evaluator.training.network import build_network
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import probabilities
from evaluator.training.weights import load_starting_weights

BATCHES = 4
"""Different batches of a training; they come round again."""


@dataclass(frozen=True)
class Settings:
    """The switches of a step; the defaults are what the loop does on the CPU.

    Attributes:
        cached: images are rows of a uint8 array; otherwise each is decoded from a PNG file whenever it is needed.
        whole_batch: a batch is transformed at once; otherwise image by image.
        quicken: convolutions in the forms of ``evaluator/training/cpu/convolutions.py``, on the CPU alone.
        fused: the optimiser's fused form; otherwise the one that torch takes by itself.
        kept_memory: the process keeps memory that it frees (glibc).
        bf16: forward passes in mixed precision, in bfloat16.
        compiled: the network goes through ``torch.compile``, its 1 x 1 convolutions as torch's own.
        graphed: the step is one CUDA graph.
        threads: per operator.
    """

    cached: bool = True
    whole_batch: bool = True
    quicken: bool = True
    channels_last: bool = True
    fused: bool = True
    kept_memory: bool = True
    bf16: bool = False
    compiled: bool = False
    graphed: bool = False
    threads: int = 1


class Step:
    """A training on painted sheets, ready for its first step. ``threads`` and ``kept_memory`` hold for the whole process."""

    def __init__(self, settings: Settings, pipeline: Pipeline, device: str, seed: int = 0) -> None:
        torch.set_num_threads(settings.threads)
        self.settings, self.pipeline, self.device = settings, pipeline, devices.resolve(device)
        if settings.kept_memory and self.device.type == "cpu":
            keep_memory()
        self.number_format = "bfloat16" if settings.bf16 else "float32"
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.model = self._network(seed)
        self.forward: Callable[[Tensor], Tensor] = torch.compile(self.model) if settings.compiled else self.model
        sheets, n = Generator(seed, pipeline.image_size), BATCHES * pipeline.batch_size
        images, labels = (np.stack(arrays) for arrays in zip(*(sheets.sample("training", i) for i in range(n)), strict=True))
        self.files = None if settings.cached else [_png(image) for image in images]
        self.images = torch.from_numpy(images).to(self.device)
        self.targets = torch.from_numpy(labels.astype(np.float32)).to(self.device)
        self.draws = torch.from_numpy(draw(generator(seed, "augmentation", 0), n)).to(self.device)
        options: dict[str, Any] = {"fused": True} if settings.fused else {}
        if settings.graphed:
            options["capturable"] = True
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4, **options)
        self.taken, self._replay = 0, None

    def __call__(self) -> Tensor:
        """One step; its loss, on the device."""
        size = self.pipeline.batch_size
        start = (self.taken % BATCHES) * size
        self.taken += 1
        x, targets = self._input(slice(start, start + size)), self.targets[start : start + size]
        return self._graph(x, targets) if self.settings.graphed else self._learn(x, targets)

    def evaluate(self, images: int, model: nn.Module | None = None) -> None:
        """Predict so many images as the kit does it, by ``model`` or by the one that is trained."""
        rows = torch.arange(images, device=self.device) % len(self.images)
        probabilities(self.model if model is None else model, self.images[rows], self.pipeline, self.number_format)

    def snapshot(self) -> nn.Module:
        """A copy of the model of this moment."""
        return copy.deepcopy(self.model)

    def side_stream(self) -> Any:
        """A context for work beside the training: a CUDA stream of its own; on the CPU nothing."""
        return torch.cuda.stream(torch.cuda.Stream(self.device)) if self.device.type == "cuda" else nullcontext()

    def _network(self, seed: int) -> nn.Module:
        model = build_network(self.pipeline.architecture, len(CLASSES), seed=seed, image_size=self.pipeline.image_size)
        load_starting_weights(model, self.pipeline.weights, self.pipeline.architecture)
        model = model.to(self.device, memory_format=self.layout)
        if self.settings.quicken and self.device.type == "cpu":
            quicken(model)
            if self.settings.compiled:
                _give_back_pointwise(model)
        model.train()
        if self.pipeline.freeze_batch_norm:
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return model

    def _input(self, rows: slice) -> Tensor:
        images, draws = self.images[rows], self.draws[rows]
        if self.files is not None:
            decoded = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in self.files[rows]]
            images = torch.from_numpy(np.stack(decoded)).to(self.device)
        if self.settings.whole_batch:
            x = transform(images, self.pipeline, draws)
        else:
            x = torch.cat([transform(images[i : i + 1], self.pipeline, draws[i : i + 1]) for i in range(len(images))])
        return x.contiguous(memory_format=self.layout)

    def _learn(self, x: Tensor, targets: Tensor) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        with devices.autocast(self.device, self.number_format):
            logits = self.forward(x).float()
        loss = F.binary_cross_entropy_with_logits(logits, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.pipeline.gradient_clip or torch.inf)
        self.optimiser.step()
        return loss.detach()

    def _graph(self, x: Tensor, targets: Tensor) -> Tensor:
        """The step as one CUDA graph: recorded once, after three steps on a stream of their own, then replayed."""
        if self._replay is None:
            self._x, self._targets = x.clone(memory_format=torch.preserve_format), targets.clone()
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    self._learn(self._x, self._targets)
            torch.cuda.current_stream().wait_stream(stream)
            self._replay = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._replay):
                self._loss = self._learn(self._x, self._targets)
        self._x.copy_(x)
        self._targets.copy_(targets)
        self._replay.replay()
        return self._loss


def _give_back_pointwise(model: nn.Module) -> None:
    """Make torch's own layers of the 1 x 1 convolutions again: torch's compiler does not accept their products of matrices."""
    for module in model.modules():
        if type(module) is Pointwise:
            module.__class__ = nn.Conv2d  # which it is but for its way through ``forward``


def _png(image: np.ndarray) -> bytes:
    """A uint8 (s, s, 3) image as the bytes of a PNG file, compressed as the kit compresses its own."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
