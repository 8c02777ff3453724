"""One training under way, from its initial weights to its last step, with batches worked through in parts of one size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluator.errors import TrainingError
from evaluator.seeds import generator
from evaluator.training import thresholds as rules
from evaluator.training.average import Average
from evaluator.training.checkpoint import State
from evaluator.training.device import Acting
from evaluator.training.embeddings.frozen import Embeddings
from evaluator.training.embeddings.inputs import Embedded
from evaluator.training.inputs import Job, Pictures
from evaluator.training.optimiser import freeze, make_optimiser, portions, positive_weights, rate_factor, start_bias
from evaluator.training.step import Replayed, Step, steps_of

MOST_SKIPPED_STEPS = 20
"""In a row, under a scaled loss: the scale has then been halved a million times over, so it is not the scale."""
EMBEDDING_SHARE = 0.9
"""Of the progress that is shown, where items are embedded first: the epochs after it are short."""


class Attempt:
    """A model, its data on the device, optimiser and moving average.

    Args:
        job: what is trained on what, where and how.
        model: before its first step, on the job's device.
        micro_batch: most items that go through the network at once; 2 or more.
        progress: called with the share of the work done, up to 1.
        graphs: whether steps are replayed as CUDA graphs, where the job's images are on a CUDA device.
        acting: of ``device.random_state``.
    """

    def __init__(
        self,
        job: Job,
        model: nn.Module,
        micro_batch: int,
        progress: Callable[[float], None],
        *,
        graphs: bool = True,
        acting: Acting = nullcontext,
    ) -> None:
        self.recipe, self.model, self.labels, self.where = job.recipe, model, job.labels, job.where
        self.kept, self.held_out, self.seed, self.micro_batch = job.kept, job.held_out, job.seed, micro_batch
        self.done, self.skipped_in_a_row = 0, 0
        self._acting = acting
        self.history: list[dict[str, float]] = []
        self.timings = {"embed": 0.0, "train": 0.0, "validate": 0.0}
        self.targets = torch.from_numpy(job.labels.astype(np.float32)).to(job.where)
        rates = self.targets[torch.from_numpy(job.kept).to(job.where)].mean(dim=0)
        self.positive_weight = positive_weights(rates, len(job.kept), job.recipe.positive_weight)
        start_bias(model, rates, len(job.kept), self.positive_weight)
        self.changing = freeze(model, job.recipe.trains)
        self.optimiser = make_optimiser(job.recipe, model)
        self.trained = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.average = Average(list(self.changing.values()), job.recipe.averaging) if job.recipe.averaging else None
        # Embeddings are made in mixed precision; the head behind them is too small to gain by it.
        scaled = job.number_format == "float16" and not job.recipe.embedding_views
        self.scaler = torch.amp.GradScaler(job.where.type, enabled=scaled)
        self.progress = progress
        self.inputs: Pictures | Embeddings | Embedded
        if job.images.ndim == 2:
            self.inputs = Embedded(model, job.images, job.kept)
        elif job.recipe.embedding_views:
            with self._timed("embed"):
                self.inputs = Embeddings(job, model, lambda share: progress(EMBEDDING_SHARE * share))
            self.progress = lambda share: progress(EMBEDDING_SHARE + (1 - EMBEDDING_SHARE) * share)
        else:
            self.inputs = Pictures(job, model)
        step = Step(
            logits=self.inputs.logits,
            positive_weight=self.positive_weight,
            optimiser=self.optimiser,
            trained=self.trained,
            scaler=self.scaler,
            average=self.average,
            clip=job.recipe.gradient_clip,
            micro_batch=micro_batch,
        )
        self._step = steps_of(step, job.where, graphs and job.images.device == job.where, acting)

    @property
    def replays(self) -> bool:
        """Whether steps are captured as graphs, or would be."""
        return isinstance(self._step, Replayed)

    def run(self, after_epoch: Callable[[Attempt], None]) -> np.ndarray:
        """Train the epochs that are left, leave the final weights in the model, and return the thresholds, float64 (k,).

        Raises:
            TrainingError: a loss that is not finite, or a scaled loss that never fits into float16.
        """
        while self.done < self.recipe.epochs:
            with self._timed("train"):
                entry = self._epoch(self.done)
            if len(self.held_out):
                with self._timed("validate"):
                    entry["validation_loss"] = self._validation_loss()
            self.history.append(entry)
            self.done += 1
            after_epoch(self)
        if self.average is not None:
            self.average.finish()
        with self._timed("validate"):
            return self._thresholds()

    def state(self, about: dict[str, Any]) -> State:
        """Everything that the rest of the training depends on, and what else is to be known ``about`` it."""
        tensors = {f"model/{name}": tensor for name, tensor in self.changing.items()}
        about = about | {"epoch": self.done, "history": self.history, "micro_batch": self.micro_batch, "timings": self.timings}
        about |= {"skipped": self.skipped_in_a_row, "scaler": self.scaler.state_dict()}
        if self.average is not None:
            tensors |= {f"average/{i}": tensor for i, tensor in enumerate(self.average.values)}
            about["averaged"] = self.average.updates
        for i, parameter in enumerate(self.trained):
            tensors |= {f"optimiser/{i}/{name}": value for name, value in self.optimiser.state[parameter].items()}
        with self._acting():
            if self.where.type == "cuda":
                tensors["random/cuda"] = torch.cuda.get_rng_state(self.where)
            else:
                tensors["random/cpu"] = torch.get_rng_state()
        return State({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, about)

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Go on from a state of the same training."""
        tensors, about = state.tensors, state.about
        for name, tensor in self.changing.items():
            tensor.copy_(tensors[f"model/{name}"])
        if self.average is not None:
            for i, tensor in enumerate(self.average.values):
                tensor.copy_(tensors[f"average/{i}"])
            self.average.updates = about["averaged"]
        for name, value in tensors.items():
            if name.startswith("optimiser/"):
                _, number, field = name.split("/")
                parameter = self.trained[int(number)]
                # In the parameter's own layout: the fused optimisers walk both through memory side by side.
                mine = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value, device=self.where)
                self.optimiser.state[parameter][field] = mine.copy_(value)
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(about["scaler"])
        with self._acting():
            if self.where.type == "cuda":
                torch.cuda.set_rng_state(tensors["random/cuda"], self.where)
            else:
                torch.set_rng_state(tensors["random/cpu"])
        self.done, self.history, self.skipped_in_a_row = about["epoch"], list(about["history"]), about["skipped"]
        for name, seconds in about["timings"].items():
            self.timings[name] += seconds

    def _epoch(self, number: int) -> dict[str, float]:
        """One pass over the items that are kept; its entry of the history."""
        recipe = self.recipe
        order = generator(self.seed, "order", number).permutation(len(self.kept))
        self.inputs.training_mode()
        rows = self.inputs.epoch(number, order)
        smoothing = recipe.label_smoothing
        targets = self.targets[torch.from_numpy(self.kept[order]).to(self.where)] * (1 - smoothing) + smoothing / 2
        cuts = portions(len(order), recipe.batch_size)
        steps, factor = len(cuts) * recipe.epochs, 0.0
        losses: list[Tensor] = []
        norms: list[Tensor] = []
        for start, stop in cuts:
            factor = rate_factor(number * len(cuts) + len(losses), steps, recipe.schedule, recipe.warmup)
            loss, norm = self._step([tensor[start:stop] for tensor in rows], targets[start:stop], factor)
            losses.append(loss)
            norms.append(norm)
            self.progress((number * len(cuts) + len(losses)) / steps)
        # Looked at once an epoch: asking after every step would make an accelerator wait for the answer.
        loss_values, norm_values = torch.stack([torch.stack(losses), torch.stack(norms)]).double().cpu().numpy()
        stepped = self._check(loss_values, norm_values, number)
        entry = {
            "epoch": number + 1,
            "loss": float(loss_values[np.isfinite(loss_values)].mean()),
            "learning_rate": recipe.learning_rate * factor,
            "gradient_norm": float(norm_values[stepped].mean()) if stepped.any() else 0.0,
        }
        if not stepped.all():
            entry["skipped_steps"] = int((~stepped).sum())
        return entry

    def _check(self, losses: np.ndarray, norms: np.ndarray, epoch: int) -> np.ndarray:
        """Which steps were taken: all, but for those that the scaler left out since float16 could not hold their gradient.

        Raises:
            TrainingError: a loss that is not finite, or a scaled loss that never fits into float16.
        """
        recipe = self.recipe
        at = f"in epoch {epoch + 1}, step {{}} of {len(losses)}, pipeline {recipe.name!r}"
        ways_out = f"Lower learning_rate ({recipe.learning_rate:g}) or gradient_clip ({recipe.gradient_clip:g})"
        if not self.scaler.is_enabled():
            if not np.isfinite(losses).all():
                step = int(np.argmin(np.isfinite(losses)))
                raise TrainingError(f"the loss is {losses[step]} {at.format(step + 1)}; expected a number. {ways_out}")
            return np.ones(len(losses), dtype=bool)
        stepped = np.isfinite(norms)
        for step, taken in enumerate(stepped):
            self.skipped_in_a_row = 0 if taken else self.skipped_in_a_row + 1
            # A loss beyond float16 is left out like a gradient, but where there was no other there is nothing to report.
            hopeless = not np.isfinite(losses).any() or (taken and not np.isfinite(losses[step]))
            if self.skipped_in_a_row >= MOST_SKIPPED_STEPS or hopeless:
                raise TrainingError(
                    f"the gradient did not fit into float16 in {self.skipped_in_a_row} steps in a row {at.format(step + 1)} (loss "
                    f"{losses[step]}); expected it to fit once the loss is scaled down. {ways_out}, or set precision to float32"
                )
        return stepped

    def _validation_loss(self) -> float:
        """Mean cross-entropy on the validation share, of the weights that would be kept if training ended here."""
        with nullcontext() if self.average is None else self.average.in_place():
            found = self.inputs.probabilities(self.held_out)
        given = torch.from_numpy(self.labels[self.held_out].astype(np.float64))
        return float(F.binary_cross_entropy(torch.from_numpy(found).double(), given))

    def _thresholds(self) -> np.ndarray:
        """float64 (k,), by the pipeline's rule."""
        recipe, labels = self.recipe, self.labels
        if recipe.threshold == "fixed":
            return np.full(labels.shape[1], recipe.threshold_value, dtype=np.float64)
        if recipe.threshold == "prior":
            return rules.prior(labels[self.kept], recipe.threshold_value)
        fitted = rules.base_rate(self.inputs.probabilities(self.kept), labels[self.kept], fallback=recipe.threshold_value)
        if recipe.threshold == "base_rate":
            return fitted
        return rules.validation(self.inputs.probabilities(self.held_out), labels[self.held_out], otherwise=fitted)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.timings[what] += time.perf_counter() - started
