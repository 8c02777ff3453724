"""The participant interface of the data purchasing track: three phases, called in order, each by keyword.

A phase is given only the keywords that its signature accepts, so leave out what you do not need. On offer, beside the data sets
named below:

=====================  =======================================================================================
``time_available``     seconds left on the phase's clock when it starts (also as ``compute_budget``)
``register_progress``  ``register_progress(fraction)`` with 0 to 1 moves the progress line of the evaluation
``seed``               an int drawn for this run; use it, and your results repeat
=====================  =======================================================================================

A data set is a sequence of ``{"idx": int, "image": uint8 array (H, W, 3), "label": int array (classes,)}`` (no label where it is
not known), with all images as ``.images``, all labels as ``.labels``, what the scored network makes of them as ``.embeddings``
(None where the profile gives none), ``.pil(i)`` for a PIL image, and
``DataLoader(dataset.torch(), ...)`` for torch. Importing your modules and making your object is free for 10 s; what takes longer,
everything inside a phase and the checkpoint hooks are charged to the clock.

Optional hooks: ``save_checkpoint(self, path)`` writes what a new process needs into the folder ``path``, ``load_checkpoint(self,
path)`` reads it back. They are called between the phases.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent))

from evaluator.worker.datasets import ImageDataset
from evaluator.worker.purchase import MarketClosedError, OutOfBudgetError, PoolDataset

__all__ = ["ImageDataset", "MarketClosedError", "OutOfBudgetError", "PoolDataset", "ZEWDPCBaseRun"]


class ZEWDPCBaseRun:
    """Subclass this, override ``purchase_phase``, and the evaluator finds your class by itself."""

    def pre_training_phase(
        self, training_dataset: ImageDataset, time_available: float, register_progress: Callable[[float], None]
    ) -> None:
        """Train on the labelled images, if your strategy wants a model. Shares its clock with ``purchase_phase``."""

    def purchase_phase(
        self,
        unlabelled_dataset: PoolDataset,
        training_dataset: ImageDataset,
        budget: int,
        time_available: float,
        register_progress: Callable[[float], None],
    ) -> Any:
        """Buy labels: ``unlabelled_dataset.purchase_label(idx)`` or ``.purchase_labels(indices)``.

        Args:
            budget: labels that can be bought (also as ``purchase_budget``).

        Returns:
            Anything. It is compared with the evaluator's ledger, and the ledger counts.
        """
        raise NotImplementedError("override purchase_phase: this is where labels are bought")

    def prediction_phase(self, test_dataset: ImageDataset, register_progress: Callable[[float], None]) -> Any:
        """Predict labels for images: an array (images, classes) of 0/1 or of probabilities (1 from 0.5 on).

        Scored in round 1. Not scored in round 2, where the organiser's model is; there it must merely run.
        """
        import numpy as np

        return np.zeros((len(test_dataset), len(test_dataset.classes)), int)
