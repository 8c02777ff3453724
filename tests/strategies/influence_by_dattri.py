"""Makes ``influence_by_dattri.json``: influences of training rows as dattri computes them, for ``test_valuation.py``.

    pip install --no-deps --target /tmp/dattri dattri==0.3.0
    PYTHONPATH=.:/tmp/dattri python tests/strategies/influence_by_dattri.py

dattri (https://github.com/TRAIS-Lab/dattri, MIT) is no requirement of the tests: its wheel puts packages called ``docs``,
``examples``, ``experiments`` and ``test`` at the top of an environment, where two of them are packages of this kit, and it needs
pretty_midi.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from evaluator.strategies.valuation import influence

FILE = Path(__file__).with_suffix(".json")
STRENGTH = 0.5
ROWS, ASKED, WIDTH = 24, 7, 3


def data(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows float32, labels: to value, and to validate on. Clouds that overlap, some labels of which are wrong."""
    rng = np.random.default_rng(classes)
    centres = 1.5 * rng.normal(size=(classes, WIDTH))
    y, w = np.arange(ROWS) % classes, np.arange(ASKED) % classes
    x = (centres[y] + rng.normal(size=(ROWS, WIDTH))).astype(np.float32)
    v = (centres[w] + rng.normal(size=(ASKED, WIDTH))).astype(np.float32)
    y[:4] = (y[:4] + 1) % classes
    return x, y, v, w


def by_dattri(classes: int) -> list[float]:
    """Influence of every row on the mean loss of the rows to validate on, with the Hessian made by automatic differentiation."""
    from dattri.algorithm.influence_function import IFAttributorExplicit
    from dattri.task import AttributionTask

    x, y, v, w = data(classes)
    own, asked = influence._projected(x, v, 100)
    weights = influence.fitted(own, y, STRENGTH, classes)
    model = nn.Linear(own.shape[1], weights.shape[1], bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(weights.T))
    binary = classes == 2

    def loss(params: dict[str, torch.Tensor], batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        rows, labels = batch
        scores = torch.func.functional_call(model, params, rows)
        if binary:
            return nn.functional.binary_cross_entropy_with_logits(scores[:, 0], labels.double(), reduction="sum")
        return nn.functional.cross_entropy(scores, labels, reduction="sum")

    task = AttributionTask(loss_func=loss, model=model, checkpoints=[model.state_dict()])
    train, test = (
        DataLoader(TensorDataset(torch.from_numpy(rows), torch.from_numpy(labels)), batch_size=len(rows), shuffle=False)
        for rows, labels in ((own, y), (asked, w))
    )
    attributor = IFAttributorExplicit(task=task, regularization=1 / STRENGTH)
    attributor.cache(train)
    found: list[float] = attributor.attribute(train, test).double().mean(dim=1).tolist()
    return found


if __name__ == "__main__":
    made = {
        "dattri": version("dattri"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "strength": STRENGTH,
        "influence": {str(classes): by_dattri(classes) for classes in (2, 3)},
    }
    FILE.write_text(json.dumps(made, indent=1) + "\n")
    print(f"wrote {FILE}")
