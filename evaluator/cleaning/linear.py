"""The fixed model of the cleaning track, and its training: two linear layers without an activation between them.

The model, its loss, its optimizer and its schedule are those of DataPerf's training-set cleaning benchmark for vision
(https://github.com/DS3Lab/dataperf-vision-debugging): ``Linear(width, 128)``, ``Linear(128, outputs)``, binary cross-entropy with
logits, AdamW with learning rate 0.01 and weight decay 0.9, 20 epochs, batches of 64 rows in the order of the file.

There are two ways to the same weights. ``fit_exactly`` keeps the order of operations of automatic differentiation. ``Training``
uses that without an activation the gradient of the first layer is a product of two thin matrices (``outputs`` columns): it is
written out, and no batch ever passes through the hidden layer. The two differ by rounding alone, which AdamW enlarges where a
gradient is near zero; ``docs/cleaning.md`` says how often that shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from evaluator.cleaning.rules import SEED
from evaluator.cleaning.tasks import Kind

HIDDEN = 128
EPOCHS, BATCH = 20, 64
RATE, DECAY, BETAS, EPS = 0.01, 0.9, (0.9, 0.999), 1e-8
LINE = 16
"""Numbers in a line of the cache; rows of a whole number of lines are read faster."""


@dataclass(frozen=True, eq=False)
class Start:
    """The weights before the training: the same for every fit of a task and seed.

    Attributes:
        flat: float32, all weights one after the other: first layer (hidden, width), its bias, second layer (outputs, hidden), bias.
        width: of an embedding; ``outputs``: 1 for binary labels, else the number of classes.
    """

    flat: torch.Tensor
    width: int
    outputs: int

    @classmethod
    def drawn(cls, width: int, outputs: int, seed: int = SEED) -> Start:
        """Draw as ``torch.manual_seed(seed)`` before the two layers would, by a generator of its own: other threads may be drawing
        from that of the process."""
        draws = torch.Generator().manual_seed(seed)
        parts = []
        for given, made in ((width, HIDDEN), (HIDDEN, outputs)):
            weight, bias = torch.empty(made, given), torch.empty(made)
            # As ``nn.Linear.reset_parameters``.
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=draws)
            nn.init.uniform_(bias, -1 / math.sqrt(given), 1 / math.sqrt(given), generator=draws)
            parts += [weight.reshape(-1), bias]
        return cls(torch.cat(parts), width, outputs)

    def parts(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Views of the two layers and their biases in a vector like ``flat``."""
        sizes = [HIDDEN * self.width, HIDDEN, self.outputs * HIDDEN, self.outputs]
        first, first_bias, second, second_bias = torch.split(flat, sizes)
        return first.view(HIDDEN, self.width), first_bias, second.view(self.outputs, HIDDEN), second_bias


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained model, as the one affine map that two linear layers are.

    Attributes:
        weight: float32 (outputs, width); ``bias``: float32 (outputs,).
    """

    weight: torch.Tensor
    bias: torch.Tensor
    kind: Kind

    def probabilities(self, rows: torch.Tensor) -> np.ndarray:
        """Of every row and output, float32 (rows, outputs); of multiclass labels they sum to 1 in each row."""
        scores = torch.addmm(self.bias, rows, self.weight.T)
        return (torch.softmax(scores, 1) if self.kind == "multiclass" else torch.sigmoid(scores)).numpy()


class Training:
    """Trainings on the same rows from the same start, one after the other; by the gradient written out.

    The optimizer touches every weight in every step, and that is half of the cost. After each such pass over megabytes a call finds
    its own code gone from the cache, so the rest is kept to few calls. The biases are columns of the layers: every row ends in a 1,
    and the first layer has one more output, not trained, that hands this 1 on. So every product, forward and back, is one call.

    Args:
        rows: float32 (n, width), in the order of the file.
        kind: of the labels.
        start: the weights before every training.
    """

    def __init__(self, rows: torch.Tensor, kind: Kind, start: Start) -> None:
        self._kind, self._width = kind, start.width
        breadth = (start.width + LINE) // LINE * LINE  # the columns, one of 1, and some of 0, whose weights stay 0
        with torch.inference_mode():
            wide = torch.zeros(len(rows), breadth)
            wide[:, : start.width], wide[:, start.width] = rows, 1
            first, first_bias, second, second_bias = start.parts(start.flat)
            self._first = torch.zeros(HIDDEN + 1, breadth)
            self._first[:HIDDEN, : start.width], self._first[:HIDDEN, start.width] = first, first_bias
            self._first[HIDDEN, start.width] = 1
            self._second = torch.cat([second, second_bias.unsqueeze(1)], 1)
            self._layers = self._first.clone(), self._second.clone()
            self._gradients, self._means, self._squares = (
                [torch.zeros(HIDDEN, breadth), torch.zeros_like(self._second)] for _ in range(3)
            )
            self._whole, self._thin = (torch.empty(start.outputs, breadth) for _ in range(2))
            self._batches = [_Batch.of(part, start.outputs, 1 / (len(part) * _terms(kind, start))) for part in wide.split(BATCH)]

    @torch.inference_mode()
    def fit(self, labels: torch.Tensor) -> Fitted:
        """Train on labels, float32 (n, outputs), as ``targets`` makes them. A training before this leaves no trace."""
        first, second = self._layers
        first.copy_(self._first)
        second.copy_(self._second)
        for moment in (*self._means, *self._squares):
            moment.zero_()
        trained, (to_first, to_second) = [first[:HIDDEN], second], self._gradients
        whole, thin = self._whole, self._thin
        # Views are made once: the loop below makes no object that it can do without.
        whole_turned, first_turned, spread = whole.T, first.T, second[:, :HIDDEN].T
        step = torch.zeros(())
        steps, taken = [step, step], step.numpy()
        goals = [goal.numpy() for goal in labels.split(BATCH)]
        several = self._kind == "multiclass"
        torch.mm(second, first, out=whole)
        for _ in range(EPOCHS):
            for batch, goal in zip(self._batches, goals, strict=True):
                # All of this from the weights before the step. ``pull``, the gradient of the scores but for ``share``, is what is
                # guessed less the goal. On so few numbers numpy's calls are lighter than torch's.
                torch.mm(batch.rows, whole_turned, out=batch.scores)
                if several:
                    torch.softmax(batch.scores, 1, out=batch.pull)
                else:
                    expit(batch.scores_array, batch.pull_array)
                np.subtract(batch.pull_array, goal, batch.pull_array)
                thin.addmm_(batch.pull_turned, batch.rows, beta=0, alpha=batch.share)
                torch.mm(thin, first_turned, out=to_second)
                torch.mm(spread, thin, out=to_first)
                np.add(taken, 1, taken)
                # The kernel of ``torch.optim.AdamW(fused=True)``, which by itself spends as long on its checks.
                torch._fused_adamw_(
                    trained, self._gradients, self._means, self._squares, [], steps,
                    lr=RATE, beta1=BETAS[0], beta2=BETAS[1], weight_decay=DECAY, eps=EPS, amsgrad=False, maximize=False,
                )  # fmt: skip
                torch.mm(second, first, out=whole)
        return Fitted(whole[:, : self._width].clone(), whole[:, self._width].clone(), self._kind)


class _Batch(NamedTuple):
    """Rows of a batch, and places for what is computed of them; ``_turned`` is transposed, ``_array`` the same memory in numpy."""

    rows: torch.Tensor
    scores: torch.Tensor
    scores_array: np.ndarray
    pull: torch.Tensor
    pull_array: np.ndarray
    pull_turned: torch.Tensor
    share: float

    @classmethod
    def of(cls, rows: torch.Tensor, outputs: int, share: float) -> _Batch:
        scores, pull = (torch.empty(len(rows), outputs) for _ in range(2))
        return cls(rows, scores, scores.numpy(), pull, pull.numpy(), pull.T, share)


@torch.no_grad()
def fit_exactly(rows: torch.Tensor, labels: torch.Tensor, kind: Kind, start: Start) -> nn.Sequential:
    """Train on rows and their labels in the order of operations of automatic differentiation and of ``torch.optim.AdamW``.

    It is the same calls on the same numbers, so that the weights are equal to the last bit. What is saved is memory that is taken
    and given back in every step, and the way through the graph.

    Args:
        rows, labels: float32 (n, width) and (n, outputs), in the order of the file; ``targets`` makes the labels.
        kind: of the labels; ``start``: the weights before the training.

    Returns:
        The two layers; ``exact_probabilities`` reads them.
    """
    flat = start.flat.clone()
    gradient, mean, square, spare = (torch.zeros_like(flat) for _ in range(4))
    first, first_bias, second, second_bias = start.parts(flat)
    to_first, to_first_bias, to_second, to_second_bias = start.parts(gradient)
    blocks = [*zip(*(_blocks(array, start) for array in (flat, gradient, mean, square, spare)), strict=True)]
    batches = [*zip(rows.split(BATCH), labels.split(BATCH), strict=True)]
    for step in range(EPOCHS * len(batches)):
        part, goal = batches[step % len(batches)]
        hidden = torch.addmm(first_bias, part, first.T)
        pull = _pull(torch.addmm(second_bias, hidden, second.T), goal, kind)
        back = torch.mm(pull, second)
        torch.mm(pull.T, hidden, out=to_second)
        torch.sum(pull, 0, out=to_second_bias)
        torch.mm(back.T, part, out=to_first)
        torch.sum(back, 0, out=to_first_bias)
        _adamw(blocks, step + 1)
    model = nn.Sequential(*(nn.utils.skip_init(nn.Linear, *size) for size in ((start.width, HIDDEN), (HIDDEN, start.outputs))))
    for own, trained in zip(model.parameters(), start.parts(flat), strict=True):
        own.copy_(trained)
    return model


def exact_probabilities(model: nn.Sequential, rows: torch.Tensor, kind: Kind) -> np.ndarray:
    """As ``Fitted.probabilities``, of the layers that ``fit_exactly`` returns."""
    with torch.no_grad():
        scores = model(rows)
        return (torch.softmax(scores, 1) if kind == "multiclass" else torch.sigmoid(scores)).numpy()


def targets(labels: np.ndarray, kind: Kind, classes: int) -> torch.Tensor:
    """Labels as a training reads them: float32 (n, outputs).

    Args:
        labels: int (n,), or (n, classes) of 0 and 1 for multilabel.
        classes: number of classes; 2 for binary.
    """
    given = torch.from_numpy(np.ascontiguousarray(labels))
    if kind == "multiclass":
        return nn.functional.one_hot(given.long(), classes).float()
    return given.float().reshape(len(given), -1)


def outputs_of(kind: Kind, classes: int) -> int:
    """The number of outputs of the model."""
    return 1 if kind == "binary" else classes


def _terms(kind: Kind, start: Start) -> int:
    """Over how many terms a row the loss takes its mean."""
    return 1 if kind == "multiclass" else start.outputs


def _pull(scores: torch.Tensor, goal: torch.Tensor, kind: Kind) -> torch.Tensor:
    """The gradient of the mean loss by the scores, as automatic differentiation gives it: (rows, outputs)."""
    if kind != "multiclass":
        return torch.sigmoid(scores).sub_(goal).div_(scores.numel())
    with torch.enable_grad():
        asked = scores.requires_grad_()
        return torch.autograd.grad(nn.functional.cross_entropy(asked, goal), asked)[0]


def _blocks(flat: torch.Tensor, start: Start) -> list[torch.Tensor]:
    """A vector like ``Start.flat`` in two pieces: the last bias, and all before it.

    These are a multiple of 32 numbers: so many take vector instructions at a time, and what is left over rounds otherwise.
    """
    return [flat[: -start.outputs], flat[-start.outputs :]]


def _adamw(blocks: Sequence[tuple[torch.Tensor, ...]], step: int) -> None:
    """Take a step, counted from 1, as ``torch.optim.AdamW(foreach=False)`` does.

    Args:
        blocks: weights, their gradients, the two moments, and a place for what is computed on the way; all alike in shape.
    """
    rate, root = RATE / (1 - BETAS[0] ** step), (1 - BETAS[1] ** step) ** 0.5
    for weights, gradient, mean, square, spare in blocks:
        weights.mul_(1 - RATE * DECAY)
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        torch.sqrt(square, out=spare).div_(root).add_(EPS)
        weights.addcdiv_(mean, spare, value=-rate)
