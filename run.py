"""The participant interface of the data purchasing track: three phases, called in order, each by keyword.

A phase is given only the keywords that its signature accepts, so leave out what you do not need. On offer, beside the data sets
named below:

- ``time_available``: seconds left on the phase's clock when it starts (also as ``compute_budget``)
- ``register_progress``: ``register_progress(fraction)`` with 0 to 1 moves the progress line of the evaluation
- ``seed``: an int drawn for this run; use it, and your results repeat

A data set is a sequence of ``{"idx": int, "image": uint8 array (H, W, 3), "label": int array (classes,)}`` (no label where it is
not known), with all images as ``.images``, all labels as ``.labels``, what the scored network makes of them as ``.embeddings``
(None where the profile gives none), ``.pil(i)`` for a PIL image, and
``DataLoader(dataset.torch(), ...)`` for torch. Importing your modules and making your object is free for 10 s; what takes longer,
everything inside a phase and the checkpoint hooks are charged to the clock.

Optional hooks: ``save_checkpoint(self, path)`` writes what a new process needs into the folder ``path``, ``load_checkpoint(self,
path)`` reads it back. They are called between the phases.

``practice`` gives the same data sets and a market in a notebook or a script.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).resolve().parent))

from evaluator.worker.cleaning import LabelledRows
from evaluator.worker.curation import CurationDataset
from evaluator.worker.datasets import ImageDataset
from evaluator.worker.purchase import MarketClosedError, OutOfBudgetError, PoolDataset

if TYPE_CHECKING:
    from evaluator.purchase.practice import Practice

__all__ = [
    "CleaningRun",
    "CurationDataset",
    "CurationRun",
    "ImageDataset",
    "LabelledRows",
    "MarketClosedError",
    "OutOfBudgetError",
    "PoolDataset",
    "ZEWDPCBaseRun",
    "practice",
]


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


class CleaningRun:
    """The base class of the cleaning track: subclass this and override ``rank``."""

    def rank(
        self,
        training_set: LabelledRows,
        validation_set: LabelledRows,
        time_available: float,
        register_progress: Callable[[float], None],
    ) -> Any:
        """Rank all training rows, the row whose label an expert should check first at the front.

        Args:
            training_set: ``rows`` float32 (n, width), ``labels`` int64 (n,) as given, some of them wrong; ``classes``: a number.
            validation_set: the same, with true labels.

        Returns:
            A permutation of 0 to n - 1: an array, a list or a tensor.
        """
        raise NotImplementedError("override rank: it returns the rows in the order in which their labels are to be checked")


class CurationRun:
    """The base class of the curation track: subclass this and override ``curate``."""

    def curate(
        self,
        dataset: CurationDataset,
        label_book: CurationDataset,
        time_available: float,
        register_progress: Callable[[float], None],
    ) -> Any:
        """Say what is changed in the data on which a fixed model will be trained.

        Args:
            dataset: train and val as given: a sequence of ``{"id", "image", "label", "split"}``; ``images``, ``labels``, ``ids``,
                ``splits``, ``classes``.
            label_book: a few images with right labels, the same way; training on them is refused.

        Returns:
            A list of edits, dicts with the keys ``id``, ``action`` (``drop``, ``relabel``, ``move`` or ``add``), ``label`` and
            ``split``; an ``add`` also has ``image``, a uint8 array (h, w) or (h, w, 3). An empty list changes nothing.
        """
        raise NotImplementedError("override curate: it returns a list of edits of the data")


def practice(profile: str = "quick", pair: str | None = None, seed: int = 0, **options: Any) -> Practice:
    """The data sets and a market of one run, to try things in a notebook or a script. It gives no score.

    ``training, pool, test = practice("debug", "621:17")``, or one object with these and ``run(strategy)``, which calls the phases
    of an object of yours. Same draws, budget and labels as ``python local_evaluation.py`` with these options; data that are missing
    are made in the same way. The clock counts, and ends nothing.

    Args:
        profile: ``quick``, ``debug``, ...
        pair: ``labels:minutes`` in the round's units; None for the profile's first.
        seed: number of the repetition, as ``--first-seed``.
        options: ``root_seed``, ``secret``, ``public_seeds``, ``label_quality``, ``data``, ``out`` as on the command line.

    Returns:
        ``training``: labelled images, ``images`` uint8 (n, H, W, 3) and ``labels`` int64 (n, classes); ``pool``: images without
        labels, and ``purchase_label(idx)``, ``purchase_labels(indices)``, ``remaining_budget``; ``test``: images without labels;
        ``budget``, ``seconds``, ``classes``; ``run``.

    Raises:
        KitError: an option makes no sense, or data are missing or wrong.
        RuntimeError: called in an evaluation, where the phases are given their data sets.
    """
    try:
        from evaluator.purchase.practice import practice as made
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("evaluator"):
            raise
        raise RuntimeError("practice() is for notebooks and scripts; in an evaluation, phases are given their data sets") from None
    return made(profile, pair, seed, **options)
