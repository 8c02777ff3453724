"""The judge's training: a training set, a validation set and a recipe give probabilities for the images that are scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from evaluator.curation.images import LabelledImages
from evaluator.curation.inputs import resized
from evaluator.curation.linear import fit_linear
from evaluator.curation.network import build_network
from evaluator.curation.recipes import CurationRecipe
from evaluator.curation.steps import Stepper
from evaluator.errors import DataError, TrainingError
from evaluator.seeds import generator, short
from evaluator.training import device as devices
from evaluator.training import memory, together
from evaluator.training.cpu.allocator import kept_memory

if TYPE_CHECKING:
    from evaluator.curation.on_device import DeviceStepper

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training leaves.

    Attributes:
        probabilities: for every scored set, float32 (n, classes), rows sum to 1; of the weights of the best epoch.
        validation_accuracy: after every epoch. ``training_loss``: mean of every epoch, while the weights moved.
        best_epoch: counted from 1; the first of those with the highest validation accuracy, as Keras's checkpoint keeps it.
        seconds: that it took.
        notes: what is to be known about how it ran.
    """

    probabilities: Mapping[str, np.ndarray]
    validation_accuracy: tuple[float, ...]
    training_loss: tuple[float, ...]
    best_epoch: int
    seconds: float
    notes: tuple[str, ...] = ()


def train_and_predict(
    train: LabelledImages,
    validation: LabelledImages,
    scored: Mapping[str, LabelledImages],
    recipe: CurationRecipe,
    classes: int,
    seed: int,
    progress: Progress | None = None,
    *,
    device: str = "cpu",
) -> Trained:
    """Train the recipe's model from weights of the seed, and predict with those of its best validation epoch.

    Initial weights and the order of every epoch follow from ``seed`` alone. One thread; the same images, recipe and seed give the
    same bits on one machine and one version of torch. Global random states are neither read nor moved. On a CUDA device the steps
    are replayed as graphs (``on_device``); the recipe ``linear`` is fitted on the CPU in any case.

    Args:
        train: 2 images or more. ``validation``: 1 or more; it chooses the epoch. ``scored``: their labels are not looked at.
        classes: outputs; labels are below it.
        seed: 0 or more.
        progress: called with the share of the work that is done, rising to 1.0.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        DataError: too few images, or a label that is no class.
        ConfigurationError: no such device.
        TrainingError: a loss that is not finite, or a device that fails (``DeviceError``).
    """
    started = time.perf_counter()
    _check(train, validation, classes)
    progress = progress or (lambda share: None)
    where = devices.resolve(device)
    with kept_memory(), devices.threads(1):
        course = _Course(torch.from_numpy(validation.labels.copy()), recipe, progress)
        size = recipe.image_size
        rows, seen = resized(train.pixels, size), resized(validation.pixels, size)
        asked = {name: resized(part.pixels, size) for name, part in scored.items()}
        labels = torch.from_numpy(train.labels.copy())
        fit = _fit_linear if recipe.network == "linear" else _fit_network if where.type == "cpu" else partial(_fit_on, where)
        logits = fit(rows, labels, seen, asked, recipe, classes, seed, course)
        found = {name: torch.softmax(part.float(), dim=1).numpy() for name, part in logits.items()}
    progress(1.0)
    seconds = round(time.perf_counter() - started, 3)
    return Trained(found, tuple(course.accuracies), tuple(course.losses), course.best + 1, seconds, tuple(course.notes))


NEED = 2 * 2**30
"""Bytes that a training of the fixed network takes from a device which it shares, beside its images: predictions take most."""


@dataclass
class _Course:
    """What was seen epoch by epoch, and which was the best."""

    labels: Tensor
    recipe: CurationRecipe
    progress: Progress
    accuracies: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best: int = 0
    notes: list[str] = field(default_factory=list)

    def again(self) -> None:
        """Forget the epochs so far: the training starts anew."""
        self.accuracies.clear()
        self.losses.clear()
        self.notes.clear()
        self.best = 0

    def judge(self, logits: Tensor, loss: float) -> bool:
        """Note an epoch's logits of validation and its loss; whether it is better than all before.

        Raises:
            TrainingError: the loss is not finite.
        """
        epoch = len(self.losses) + 1
        if not np.isfinite(loss):
            raise TrainingError(
                f"recipe {self.recipe.name!r}: the loss of epoch {epoch} is {loss}; expected a finite number. Lower the rate"
            )
        self.losses.append(round(loss, 6))
        self.accuracies.append(float((logits.argmax(dim=1) == self.labels).double().mean()))
        better = self.accuracies[-1] > max(self.accuracies[:-1], default=-1.0)
        self.best = len(self.losses) - 1 if better else self.best
        self.progress(epoch / self.recipe.epochs * 0.99)
        return better


def _fit_linear(
    rows: Tensor,
    labels: Tensor,
    seen: Tensor,
    asked: Mapping[str, Tensor],
    recipe: CurationRecipe,
    classes: int,
    seed: int,
    course: _Course,
) -> dict[str, Tensor]:
    return fit_linear(rows, labels, seen, asked, classes, recipe.epochs, course.judge)


def _fit_network(
    rows: Tensor,
    labels: Tensor,
    seen: Tensor,
    asked: Mapping[str, Tensor],
    recipe: CurationRecipe,
    classes: int,
    seed: int,
    course: _Course,
) -> dict[str, Tensor]:
    stepper = Stepper(build_network(classes, seed), recipe.learning_rate, recipe.precision)
    return _epochs(stepper, rows, labels, seen, asked, recipe, seed, course)


def _fit_on(
    where: torch.device,
    rows: Tensor,
    labels: Tensor,
    seen: Tensor,
    asked: Mapping[str, Tensor],
    recipe: CurationRecipe,
    classes: int,
    seed: int,
    course: _Course,
) -> dict[str, Tensor]:
    from evaluator.curation.on_device import DeviceStepper
    from evaluator.training.step import GraphError, without_graphs

    def fitted(graphs: bool) -> dict[str, Tensor]:
        network = build_network(classes, seed)
        with devices.random_state(where, short(seed, "device")) as acting:
            stepper = DeviceStepper(network, recipe.learning_rate, recipe.precision, where, graphs=graphs, acting=acting)
            return _epochs(stepper, rows.to(where), labels.to(where), seen.to(where), asked, recipe, seed, course)

    def either_way() -> dict[str, Tensor]:
        course.again()
        try:
            return fitted(graphs=True)
        except GraphError as error:
            refused = str(error)
        except RuntimeError as error:
            # Graphs keep memory of their own; where others take some too, this is done again when it is alone.
            if not memory.is_shortage(error) or together.sharing():
                raise
            refused = "their memory ran out"
        # Outside of the clause, whose error holds on to the failed attempt.
        memory.release()
        course.again()
        course.notes.append(without_graphs(where, refused))
        return fitted(graphs=False)

    doing = f"during the training of recipe {recipe.name!r}"
    with devices.answering(where, lambda: doing), devices.repeatable(where), devices.own_stream(where):
        return memory.in_room(where, lambda: NEED + 8 * (rows.nbytes + seen.nbytes), either_way)


def _epochs(
    stepper: Stepper | DeviceStepper,
    rows: Tensor,
    labels: Tensor,
    seen: Tensor,
    asked: Mapping[str, Tensor],
    recipe: CurationRecipe,
    seed: int,
    course: _Course,
) -> dict[str, Tensor]:
    kept: Any = stepper.state()
    for epoch in range(recipe.epochs):
        order = torch.from_numpy(generator(seed, "order", epoch).permutation(len(rows))).to(rows.device)
        total: float | Tensor = 0.0
        for part in order.split(recipe.batch_size):
            total += stepper.step(rows[part], labels[part]) * len(part)
        # Asked for once an epoch: a device would wait after every step.
        if course.judge(stepper.logits(seen), float(total) / len(rows)):
            kept = stepper.state()
    stepper.restore(kept)
    return {name: stepper.logits(part) for name, part in asked.items()}


def _check(train: LabelledImages, validation: LabelledImages, classes: int) -> None:
    for name, part, least in (("training", train, 2), ("validation", validation, 1)):
        if len(part) < least:
            raise DataError(f"the {name} set has {len(part)} images; expected {least} or more. Add some")
        if part.classes > classes:
            where = int(part.labels.argmax())
            raise DataError(
                f"the {name} set: image {part.ids[where]} has the label {part.labels[where]}; expected 0 to {classes - 1}"
            )
