"""The fixed model of the cleaning track, and its training: two linear layers without an activation between them.

The model, its loss, its optimizer and its schedule are those of DataPerf's training-set cleaning benchmark for vision
(https://github.com/DS3Lab/dataperf-vision-debugging): ``Linear(width, 128)``, ``Linear(128, outputs)``, binary cross-entropy with
logits, AdamW with learning rate 0.01 and weight decay 0.9, 20 epochs, batches of 64 rows in the order of the file.

There are two ways to the same weights. ``fit_exactly`` keeps the order of operations of automatic differentiation. ``fit`` uses
that without an activation the gradient of the first layer is a product of two thin matrices (``outputs`` columns): it is written
out, and no batch ever passes through the hidden layer. The two differ by rounding alone, which AdamW enlarges where a gradient
is near zero; ``docs/cleaning.md`` says how often that shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from evaluator.cleaning.rules import SEED
from evaluator.cleaning.tasks import Kind

HIDDEN = 128
EPOCHS, BATCH = 20, 64
RATE, DECAY, BETAS, EPS = 0.01, 0.9, (0.9, 0.999), 1e-8


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
        """Draw as ``torch.manual_seed(seed)`` before the two layers would; the random state of the process stays as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, outputs)
        return cls(
            torch.cat([part.detach().reshape(-1) for layer in layers for part in (layer.weight, layer.bias)]), width, outputs
        )

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


def fit(rows: torch.Tensor, labels: torch.Tensor, kind: Kind, start: Start) -> Fitted:
    """Train on the rows and their labels; by the gradient written out.

    Args:
        rows: float32 (n, width), in the order of the file.
        labels: float32 (n, outputs), as ``targets`` makes them.
        kind: of the labels.
    """
    flat = start.flat.clone()
    gradient, mean, square = torch.empty_like(flat), torch.zeros_like(flat), torch.zeros_like(flat)
    first, first_bias, second, second_bias = start.parts(flat)
    to_first, to_first_bias, to_second, to_second_bias = start.parts(gradient)
    batches = [
        (part, goal, 1 / (len(part) * _terms(kind, start)))
        for part, goal in zip(rows.split(BATCH), labels.split(BATCH), strict=True)
    ]
    steps = [torch.zeros(())]
    single = start.outputs == 1
    with torch.no_grad():
        for _ in range(EPOCHS):
            for part, goal, share in batches:
                # All of this from the weights before the step; ``pull`` is the gradient of the scores, (rows, outputs).
                whole = second @ first
                scores = torch.addmm(torch.addmv(second_bias, second, first_bias), part, whole.T)
                guess = torch.softmax(scores, 1) if kind == "multiclass" else torch.sigmoid_(scores)
                pull = guess.sub_(goal).mul_(share)
                thin = pull.T @ part
                torch.sum(pull, 0, out=to_second_bias)
                if single:
                    torch.mul(second[0].unsqueeze(1), thin, out=to_first)
                else:
                    torch.mm(second.T, thin, out=to_first)
                torch.mv(second.T, to_second_bias, out=to_first_bias)
                torch.mm(thin, first.T, out=to_second)
                to_second.addr_(to_second_bias, first_bias)
                _adamw(flat, gradient, mean, square, steps)
        return Fitted(second @ first, torch.addmv(second_bias, second, first_bias), kind)


def fit_exactly(rows: torch.Tensor, labels: torch.Tensor, kind: Kind, start: Start) -> nn.Sequential:
    """Train on the rows and their labels, by automatic differentiation and in its order of operations.

    Args: as of ``fit``. Returns the two layers; ``exact_probabilities`` reads them.
    """
    model = nn.Sequential(nn.Linear(start.width, HIDDEN), nn.Linear(HIDDEN, start.outputs))
    with torch.no_grad():
        for own, drawn in zip(model.parameters(), start.parts(start.flat), strict=True):
            own.copy_(drawn)
    loss_of = nn.BCEWithLogitsLoss() if kind != "multiclass" else nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, betas=BETAS, eps=EPS, foreach=False)
    for _ in range(EPOCHS):
        for part, goal in zip(rows.split(BATCH), labels.split(BATCH), strict=True):
            optimizer.zero_grad()
            loss_of(model(part), goal).backward()
            optimizer.step()
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


def _adamw(flat: torch.Tensor, gradient: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, steps: list[torch.Tensor]) -> None:
    """One step of all weights in one pass: the kernel of ``torch.optim.AdamW(fused=True)``, which spends as long on its checks."""
    steps[0] += 1
    torch._fused_adamw_(
        [flat], [gradient], [mean], [square], [], steps,
        lr=RATE, beta1=BETAS[0], beta2=BETAS[1], weight_decay=DECAY, eps=EPS, amsgrad=False, maximize=False,
    )  # fmt: skip
