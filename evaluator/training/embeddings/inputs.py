"""What the steps of a head learn from where its items are embeddings already."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from evaluator.training.network import head
from evaluator.training.predict import BATCH_SIZE, checked, evaluating


class HeadAlone(nn.Module):
    """The head of every network: one dropout and one linear layer, (n, d) to (n, k) logits. Starts at zero."""

    def __init__(self, width: int, n_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        # Without the layer's own initial values, which would move the global random state.
        linear = nn.utils.skip_init(nn.Linear, width, n_outputs)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        self.classifier = nn.Sequential(nn.Dropout(dropout), linear)

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.classifier(embeddings)


class Embedded:
    """Items as embeddings, float32 (n, d), on the device of ``model``; the numbers ``kept`` are trained on."""

    def __init__(self, model: nn.Module, embeddings: Tensor, kept: np.ndarray) -> None:
        self.model, self.embeddings, self.kept = model, embeddings, kept

    def training_mode(self) -> None:
        """Bring the head into the mode of its training steps."""
        self.model.train()

    def epoch(self, number: int, order: np.ndarray) -> tuple[Tensor, ...]:
        """What the steps of epoch ``number`` read: the embeddings of the items ``kept[order]``, the same in every epoch."""
        return (self.embeddings[torch.from_numpy(self.kept[order]).to(self.embeddings.device)],)

    def logits(self, embedded: Tensor) -> Tensor:
        """float32 (b, k) of b of the rows of ``epoch``."""
        return head(self.model, embedded)

    def probabilities(self, items: np.ndarray) -> np.ndarray:
        """float32 (len(items), k), by the head that the model has now."""
        rows = torch.from_numpy(items).to(self.embeddings.device)
        with evaluating(self.model), torch.inference_mode():
            return checked(torch.sigmoid(head(self.model, self.embeddings[rows])))


def head_probabilities(model: nn.Module, embeddings: Tensor) -> np.ndarray:
    """float32 (m, k) of embeddings (m, d), ``BATCH_SIZE`` at a time, so that the last bits do not follow the number of rows.

    Raises:
        TrainingError: values that are not finite.
    """
    with evaluating(model), torch.inference_mode():
        parts = [torch.sigmoid(head(model, part)) for part in embeddings.split(BATCH_SIZE)]
        return checked(torch.cat(parts))
