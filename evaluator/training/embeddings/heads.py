"""The training of a head on embeddings that are there already: what ``loop.train`` gives for a proxy, without the network.

Order, dropout, start, schedule, averaging and thresholds are those of ``loop.train``: both are the same ``Attempt``. With the same
embeddings they give the same head to the bit. The embeddings themselves may differ in the last bits from those that ``train``
makes of the same images, because there the size of the last batch depends on how many images there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from evaluator.errors import DataError
from evaluator.seeds import short
from evaluator.training import device as devices
from evaluator.training import memory, together
from evaluator.training.attempt import Attempt
from evaluator.training.embeddings.inputs import HeadAlone, head_probabilities
from evaluator.training.inputs import Job
from evaluator.training.need import WORKSPACES
from evaluator.training.optimiser import portions
from evaluator.training.pipeline import Pipeline
from evaluator.training.split import validation_split
from evaluator.training.step import GraphError, without_graphs
from evaluator.training.trained import Trained


def train_head(
    pipeline: Pipeline,
    embeddings: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int,
    weights_identity: str,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trained:
    """Train the head of a proxy.

    Args:
        pipeline: with ``proxy`` true.
        embeddings: float32 (n, d), n of 2 or more, by the network and weights of the pipeline.
        labels: 0/1 (n, k), integers or booleans.
        seed, device, threads, progress: as in ``loop.train``.
        weights_identity: of the weights that made the embeddings.

    Returns:
        As ``loop.train``, but that the model is the head alone: ``predict_head`` predicts with it.

    Raises:
        ValueError: a pipeline that is no proxy.
        DataError: arrays that do not fit each other, or fewer than 2 items to train on.
        TrainingError: a loss that is not finite.
    """
    started = time.perf_counter()
    if not pipeline.proxy:
        raise ValueError(f"pipeline {pipeline.name!r} is no proxy: stored embeddings need a head alone, one view, no augmentation")
    if embeddings.ndim != 2 or embeddings.dtype != np.float32 or labels.ndim != 2 or len(labels) != len(embeddings):
        raise DataError(
            f"the embeddings are {embeddings.dtype} {embeddings.shape}, the labels {labels.shape}; give float32 (n, d) and (n, k)"
        )
    where = devices.resolve(device)
    kept, held_out = validation_split(labels, pipeline.validation_share, seed)
    number_format = devices.number_format(where, pipeline.precision)
    micro_batch = max(stop - start for start, stop in portions(len(kept), pipeline.batch_size))
    with (
        devices.threads(threads) as used,
        devices.answering(where, lambda: f"during the training of pipeline {pipeline.name!r}"),
        devices.repeatable(where),
        devices.own_stream(where),
    ):

        def attempted(graphs: bool) -> tuple[Attempt, np.ndarray]:
            job = Job(pipeline, torch.tensor(embeddings, device=where), labels, kept, held_out, seed, where, number_format)
            with devices.random_state(where, short(seed, "regularisation")) as acting:
                head = HeadAlone(embeddings.shape[1], labels.shape[1], pipeline.dropout).to(where)
                attempt = Attempt(job, head, micro_batch, progress or (lambda share: None), graphs=graphs, acting=acting)
                try:
                    return attempt, attempt.run(lambda attempt: None)
                except RuntimeError as error:
                    # Graphs keep memory of their own; where others take some too, the head is trained again when it is alone.
                    if not attempt.replays or not memory.is_shortage(error) or together.sharing():
                        raise
                    raise GraphError("their memory ran out") from error

        def trained() -> tuple[Attempt, np.ndarray, tuple[str, ...], int | None]:
            if not together.sharing():
                devices.start_of_peak(where)
            notes: tuple[str, ...] = ()
            try:
                attempt, thresholds = attempted(graphs=True)
            except GraphError as error:
                notes = (without_graphs(where, str(error)),)
            if notes:  # outside of the except clause, whose error holds on to the failed attempt
                memory.release()
                attempt, thresholds = attempted(graphs=False)
            return attempt, thresholds, notes, None if together.sharing() else devices.peak_memory(where)

        # Every epoch has a copy of the embeddings in its order.
        attempt, thresholds, notes, peak = memory.in_room(where, lambda: 4 * embeddings.nbytes + WORKSPACES, trained)
    return Trained(
        pipeline=pipeline,
        model=attempt.model.requires_grad_(False).eval(),
        thresholds=thresholds,
        history=tuple(attempt.history),
        seconds=time.perf_counter() - started,
        n_items=len(labels),
        n_train=len(kept),
        n_validation=len(held_out),
        weights_identity=weights_identity,
        device=str(where),
        threads=used,
        seed=seed,
        precision=number_format,
        micro_batch=micro_batch,
        peak_memory=peak,
        timings=attempt.timings,
        notes=notes,
    )


def predict_head(trained: Trained, embeddings: np.ndarray) -> np.ndarray:
    """Probabilities float32 (m, k) of embeddings (m, d), by a head of ``train_head``, where and as it was trained.

    Raises:
        TrainingError: values that are not finite.
    """
    where = devices.resolve(trained.device)
    doing = f"while predicting {len(embeddings)} images"
    with devices.threads(trained.threads), devices.answering(where, lambda: doing), devices.own_stream(where):
        return memory.in_room(
            where,
            lambda: 2 * embeddings.nbytes + WORKSPACES,
            lambda: head_probabilities(trained.model, torch.tensor(embeddings, device=where)),
        )
