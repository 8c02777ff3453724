"""One pre-training: AdamW with warm-up and cosine decay, clipped gradients, bfloat16 on CUDA, and a moving average of the weights.

At the end, the batch-norm statistics of the exponential moving average are measured again (Izmailov et al., "Averaging weights
leads to wider optima", 2018, section 3.2). With a limit in minutes the learning-rate schedule follows the clock as well as the
number of images, so that it always reaches its end.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from evaluator.errors import TrainingError
from evaluator.training import device as devices
from evaluator.training.network import build_network
from evaluator.training.optimiser import rate_at
from evaluator.training.pipeline import IMAGENET_MEAN, IMAGENET_STD
from evaluator.training.pretraining import primitives
from evaluator.training.pretraining.spec import PretrainSpec


class Run:
    """One pre-training in progress: the network, its moving average, the optimiser and the stream of batches."""

    def __init__(self, spec: PretrainSpec, device: torch.device, compiled: bool, progress: Callable[[str], None]):
        self.spec, self.device, self.progress = spec, device, progress
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []
        model = build_network(spec.architecture, len(primitives.ATTRIBUTES), seed=spec.seed, image_size=spec.size)
        self.model = devices.placed(model, device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        decayed = [p for p in self.model.parameters() if p.ndim >= 2]
        plain = [p for p in self.model.parameters() if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), fused=device.type == "cuda")
        # ImageNet's normalisation, so that the pipelines normalise both kinds of weights alike.
        self.mean = torch.tensor(IMAGENET_MEAN, device=device).view(1, 3, 1, 1) * 255.0
        self.scale = 1.0 / (torch.tensor(IMAGENET_STD, device=device).view(1, 3, 1, 1) * 255.0)
        self.forward: nn.Module | Callable[[Tensor], Tensor] = self.model
        self.compiled = compiled and self._compile()
        if device.type == "cuda" and not self.compiled:
            self._rehearse()

    def train(self, deadline: float | None, *, until: int | None = None) -> None:
        """Train on ``spec.images`` images, or on as many as fit before ``deadline``.

        Args:
            deadline: on the clock of ``time.monotonic``; None for no limit.
            until: stop after that step without a change of the schedule, for measurements; None to train to the end.

        Raises:
            TrainingError: loss or parameters are no longer finite.
        """
        spec, total = self.spec, self.spec.images // self.spec.batch_size
        parameters: list[Tensor] = list(self.model.parameters())
        averages: list[Tensor] = list(self.average.parameters())
        self.model.train()
        begin = spoken = time.monotonic()
        with self._fast_convolutions():
            while self.step < (total if until is None else min(until, total)):
                now = time.monotonic()
                done = self.step / total
                if deadline is not None:
                    done = max(done, (now - begin) / max(deadline - begin, 1e-9))
                    if done >= 1.0 and self.step > 0:
                        break
                for group in self.optimizer.param_groups:
                    group["lr"] = spec.learning_rate * rate_at(min(done, 1.0), spec.warm_up)
                images, labels = self._batch(self.step)
                loss = self._loss(images, labels)
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, spec.clip)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                decay = min(spec.averaging, (1.0 + self.step) / (10.0 + self.step))
                with torch.no_grad():  # else the averages remember every step
                    torch._foreach_lerp_(averages, parameters, 1.0 - decay)
                self.step += 1
                if self.step % 25 == 0 and self.device.type == "cuda":
                    torch.cuda.synchronize(
                        self.device
                    )  # else kernels are queued far ahead of the device, and the measured time is too short
                if self.step in (1, 50) or time.monotonic() - spoken >= 20.0:
                    spoken = time.monotonic()
                    self._speak(float(loss.detach()), done, spoken - begin, evaluated=self.step > 50)
        self.seconds = time.monotonic() - begin
        if not all(torch.isfinite(p).all() for p in averages):
            raise TrainingError(f"the parameters are no longer finite after {self.step} steps; lower the learning rate")

    def refresh_statistics(self, batches: int = 40) -> None:
        """Measure the batch-norm statistics of the moving average on new images, as plain means over ``batches`` batches."""
        norms = [module for module in self.average.modules() if isinstance(module, nn.BatchNorm2d)]
        kept = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative mean
        self.average.train()
        with torch.no_grad(), self._fast_convolutions():
            for index in range(batches):
                images, _ = self._batch(index, stream="statistics", count=min(self.spec.batch_size, 512))
                with self._precision():
                    self.average(images)
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum
        self.average.eval()

    @torch.no_grad()
    def evaluate(self, model: nn.Module, count: int) -> tuple[float, dict[str, float], dict[str, float]]:
        """Evaluate ``model`` on ``count`` held-out images.

        Returns:
            Mean loss; average precision by attribute; share of images with the attribute, by attribute. Attributes that no held-out
            image has are missing.
        """
        was_training = model.training
        model.eval()
        logits, truths = [], []
        for index, start in enumerate(range(0, count, 512)):
            images, labels = self._batch(index, stream="held-out", count=min(512, count - start), plain=True)
            with self._precision():
                logits.append(model(images).float())
            truths.append(labels)
        model.train(was_training)
        scores, truth = torch.cat(logits), torch.cat(truths)
        loss = float(F.binary_cross_entropy_with_logits(scores, truth))
        values, present = scores.cpu().numpy(), truth.cpu().numpy()
        names = {name: i for i, name in enumerate(primitives.ATTRIBUTES) if present[:, i].any()}
        precision = {name: float(average_precision_score(present[:, i], values[:, i])) for name, i in names.items()}
        return loss, precision, {name: float(present[:, i].mean()) for name, i in names.items()}

    def _speak(self, loss: float, done: float, seconds: float, *, evaluated: bool) -> None:
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {self.step}; lower the learning rate")
        speed = self.step * self.spec.batch_size / max(seconds, 1e-9)
        images = self.step * self.spec.batch_size
        line = f"{100 * done:5.1f} %  step {self.step}  {images:,} images  {speed:,.0f} images/s  loss {loss:.4f}"
        if evaluated:
            _, precision, _ = self.evaluate(self.model, max(self.spec.held_out // 4, 8))
            score = float(np.mean(list(precision.values())))
            weakest = sorted(precision, key=precision.__getitem__)[:4]
            line += f"  held-out mAP {score:.3f}  weakest " + ", ".join(f"{name} {precision[name]:.2f}" for name in weakest)
            self.history.append({"seconds": round(seconds, 1), "images": images, "loss": loss, "map": score})
        self.progress(line)

    def _batch(self, index: int, *, stream: str = "train", count: int | None = None, plain: bool = False) -> tuple[Tensor, Tensor]:
        """A batch: normalised float32 images (n, 3, size, size), channels last in memory, and their labels (n, attributes)."""
        spec = self.spec
        large = not plain and (index * 0.618034) % 1.0 < spec.large_share  # large batches are spread evenly over the run
        size = spec.size * 3 // 2 if large else spec.size
        images, labels = primitives.draw_batch(count or spec.batch_size, size, spec.seed, index, device=self.device, stream=stream)
        return ((images - self.mean) * self.scale).contiguous(memory_format=torch.channels_last), labels

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        with self._precision():
            logits = self.forward(images)
        return F.binary_cross_entropy_with_logits(logits.float(), labels)

    def _precision(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda")

    @contextmanager
    def _fast_convolutions(self) -> Iterator[None]:
        """Let cuDNN measure its algorithms and choose the fastest; that pays because there are few different shapes."""
        kept = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = kept

    def _rehearse(self) -> None:
        """Let cuDNN choose its algorithms before the clock starts; in a run of minutes this would take the time of the warm-up."""
        kept = copy.deepcopy(self.model.state_dict())
        with self._fast_convolutions():
            self._loss(*self._batch(0)).backward()
        self.model.load_state_dict(kept)
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize(self.device)

    def _compile(self) -> bool:
        """Compile the network with a trial step. Returns whether it worked; if not, ``progress`` gets a line that says so."""
        began = time.monotonic()
        kept = copy.deepcopy(self.model.state_dict())
        try:
            self.forward = torch.compile(self.model)
            with self._fast_convolutions():
                self._loss(*self._batch(0)).backward()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        except Exception as error:  # compilers fail in many ways, and the result does not depend on them
            self.progress(
                f"the network cannot be compiled ({type(error).__name__}: {str(error)[:200]}); it is trained without compilation"
            )
            self.forward = self.model
            return False
        finally:
            self.model.load_state_dict(kept)
            self.optimizer.zero_grad(set_to_none=True)
        self.progress(f"compiled in {time.monotonic() - began:.0f} s")
        return True
