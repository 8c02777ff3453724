"""Logistic regression on gray pixels: a cheap model that a data set must work for as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

STRONGEST, WEAKEST = 1.0, 1e-3
"""Penalties between which the recipe's are spaced, by equal factors."""
STEPS = 40
"""Of L-BFGS, for each penalty."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in gray (ITU-R BT.601)."""


def fit_linear(
    train: Tensor,
    labels: Tensor,
    validation: Tensor,
    scored: Mapping[str, Tensor],
    classes: int,
    penalties: int,
    judge: Callable[[Tensor, float], bool],
) -> dict[str, Tensor]:
    """Fit from the strongest penalty to the weakest, each from where the one before ended; keep what ``judge`` likes best.

    Args:
        train, validation, scored: images float32 (n, 1 or 3, size, size), 0 to 255 (``inputs.resized``).
        labels: int64 (n,).
        penalties: number of them.
        judge: called with the logits of validation (m, classes) and the loss in training; whether this fit is the best so far.

    Returns:
        Logits of every scored set under the best fit, float32.
    """
    rows = _rows(train)
    mean, spread = rows.mean(dim=0), rows.std().clamp(min=1e-6)
    rows = (rows - mean) / spread
    seen, asked = (_rows(validation) - mean) / spread, {name: (_rows(part) - mean) / spread for name, part in scored.items()}
    weight, bias = torch.zeros(classes, rows.shape[1], requires_grad=True), torch.zeros(classes, requires_grad=True)
    best: dict[str, Tensor] = {}
    for number in range(penalties):
        penalty = STRONGEST * (WEAKEST / STRONGEST) ** (number / max(1, penalties - 1))
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe")

        def loss(penalty: float = penalty, optimizer: torch.optim.LBFGS = optimizer) -> Tensor:
            optimizer.zero_grad()
            value = F.cross_entropy(F.linear(rows, weight, bias), labels) + penalty / 2 * weight.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        with torch.no_grad():
            reached = float(F.cross_entropy(F.linear(rows, weight, bias), labels))
            if judge(F.linear(seen, weight, bias), reached):
                best = {name: F.linear(part, weight, bias) for name, part in asked.items()}
    return best


def _rows(images: Tensor) -> Tensor:
    """Gray pixels, float32 (n, size * size)."""
    gray = images if images.shape[1] == 1 else (images * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1)
    return gray.flatten(1)
