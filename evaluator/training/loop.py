"""The post-purchase training: a pipeline, a set of labelled images and a seed make a model.

The images stay one uint8 array on the device; every step takes its rows and transforms the whole batch at once.
Initial weights, split, order and augmentation each have a stream of their own under the seed, so that two strategies that are
compared at one seed start from the same weights. On the CPU the same arrays, seed and number of threads give the same weights to
the bit; nothing here reads or moves the global random state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import nn

from evaluator.errors import ConfigurationError, DataError
from evaluator.seeds import derive, short
from evaluator.training import device as devices
from evaluator.training import memory, together
from evaluator.training.attempt import Attempt
from evaluator.training.checkpoint import Checkpoint, State, training_digest
from evaluator.training.cpu.allocator import kept_memory
from evaluator.training.cpu.convolutions import quicken
from evaluator.training.cuda import depthwise, norms
from evaluator.training.inputs import Job
from evaluator.training.need import beside_others
from evaluator.training.network import PooledLinear, build_network
from evaluator.training.optimiser import portions
from evaluator.training.pipeline import LINEAR, Pipeline
from evaluator.training.predict import check_images
from evaluator.training.split import validation_split
from evaluator.training.step import GraphError, without_graphs
from evaluator.training.trained import Trained
from evaluator.training.weights import load_starting_weights, starting_weights_identity
from evaluator.words import counted

SMALLEST_MICRO_BATCH = 2
"""Batch normalisation needs two items to normalise by."""
BESIDE = (
    "beside other trainings there was too little memory, so this training began again by itself; should cuDNN have changed to "
    "other algorithms then, last bits differ from those of a new process"
)
"""Note: see the limit that ``together`` names."""
_RAN_OUT, _WENT_ON, _STAYED = "memory ran out", "went on from a checkpoint", "the images stayed in the computer's memory"


def train(
    pipeline: Pipeline,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
    micro_batch: int | None = None,
    checkpoint: Path | None = None,
) -> Trained:
    """Train a model as the pipeline says.

    Where memory runs out, the training starts again with half as many items at a time; gradients are added up to the same batch.
    Several threads of a process may train at a time: on a CUDA device side by side, as far as its memory goes; on the CPU they take
    turns.

    Args:
        pipeline: the recipe.
        images: uint8 (n, S, S, 3), n of 2 or more. Left as they are.
        labels: 0/1 (n, k), integers or booleans.
        seed: the root of every random draw, 0 or more.
        device: ``cpu``, ``cuda`` or ``auto`` (CUDA where there is one).
        threads: per operator on the CPU; ``None`` leaves torch's setting, which is what it was again afterwards in any case.
        progress: called with the share of the work done, rising to 1.0.
        micro_batch: most items that go through the network at once, 2 or more; ``None`` begins with whole batches.
        checkpoint: a file to go on from, where it is of this very training, and to keep the state after an epoch in, where that
            costs little of the time. Removed at the end.

    Raises:
        DataError: images or labels of another shape, dtype or range; fewer than 2 items to train on.
        ConfigurationError: no such device, a micro-batch below 2, a checkpoint's folder that cannot be made.
        WeightsError: the starting weights cannot be had.
        TrainingError: a loss that is not finite, or not even 2 items fit into memory.
        DeviceError: the device failed or vanished.
    """
    _check(images, labels, micro_batch)
    where = devices.resolve(device)
    task = _Task(pipeline, images, labels, seed, where, progress or (lambda share: None))
    keeping = kept_memory() if where.type == "cpu" else nullcontext()
    with (
        keeping,
        devices.answering(where, task.doing),
        task.room.taken(lambda: beside_others(pipeline, images.nbytes)) as task.entry,
        devices.threads(threads) as used,  # torch has one number for the process, and on the CPU trainings take turns
        devices.repeatable(where),
        devices.own_stream(where),
    ):
        task.begun()
        if not task.beside:
            devices.start_of_peak(where)
        file = None if checkpoint is None else Checkpoint(checkpoint, task.digest(used, micro_batch))
        attempt, thresholds, identity = task.finish(micro_batch, file)
        # The counter is the process's.
        peak = None if task.beside else devices.peak_memory(where)
    model = attempt.model
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    if file is not None:
        file.remove()
        task.notes += [file.trouble] if file.trouble else []
    return Trained(
        pipeline=pipeline,
        model=model.eval(),
        thresholds=thresholds,
        history=tuple(attempt.history),
        seconds=task.seconds,
        n_items=len(labels),
        n_train=len(task.kept),
        n_validation=len(task.held_out),
        weights_identity=identity,
        device=str(where),
        threads=used,
        seed=seed,
        precision=task.number_format,
        micro_batch=attempt.micro_batch,
        peak_memory=peak,
        timings=attempt.timings,
        notes=tuple(task.notes),
    )


class _Task:
    """What is to be trained, and the attempts at it: one, unless memory runs out."""

    def __init__(
        self,
        recipe: Pipeline,
        images: np.ndarray,
        labels: np.ndarray,
        seed: int,
        where: torch.device,
        progress: Callable[[float], None],
    ) -> None:
        self.recipe, self.images, self.labels, self.seed, self.where = recipe, images, labels, seed, where
        self.kept, self.held_out = validation_split(labels, recipe.validation_share, seed)
        self.progress = progress
        self.number_format = devices.number_format(where, recipe.precision)
        self.notes: list[str] = []
        self.graphs = True
        """Whether steps may be replayed as CUDA graphs."""
        self.earlier = 0.0
        """Seconds of training before an interruption."""
        self.room = memory.room_of(where)
        self.entry: together.Entry
        self._attempt: Attempt | None = None
        self._started = time.perf_counter()

    def begun(self) -> None:
        """Note that the work begins now: what was before, a wait for others or an attempt beside them, is not counted."""
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Of the work, with those before an interruption."""
        return self.earlier + time.perf_counter() - self._started

    @property
    def beside(self) -> bool:
        """Whether memory that others take counts as this training's."""
        return self.entry.shared or self.entry.within

    def doing(self) -> str:
        """What is under way, for a message."""
        under_way = (
            "before" if self._attempt is None else f"after {self._attempt.done} of {counted(self.recipe.epochs, 'epoch')} of"
        )
        return f"{under_way} the training of pipeline {self.recipe.name!r}"

    def digest(self, threads: int, micro_batch: int | None) -> str:
        """Of everything that decides the bits of this training."""
        cuda = self.where.type == "cuda"
        return training_digest(
            self.images,
            self.labels,
            pipeline=self.recipe.as_dict(),
            weights="none" if self.recipe.architecture == LINEAR else _identity(self.recipe),
            seed=self.seed,
            device=f"{torch.cuda.get_device_name(self.where)}, {depthwise.form()}, norms" if cuda else "cpu",
            number_format=self.number_format,
            threads=threads,
            micro_batch=micro_batch,
        )

    def finish(self, micro_batch: int | None, file: Checkpoint | None) -> tuple[Attempt, np.ndarray, str]:
        """The attempt that came to its end, its thresholds, and the identity of the starting weights."""
        state = None if file is None else file.read()
        largest = max(stop - start for start, stop in portions(len(self.kept), self.recipe.batch_size))
        micro_batch = min(micro_batch or largest, largest) if state is None else state.about["micro_batch"]
        job = self._job()
        while True:
            beside = False
            try:
                with devices.random_state(self.where, short(self.seed, "regularisation")) as acting:
                    return self._attempted(job, micro_batch, file, state, acting)
            except GraphError as error:
                refused = str(error)
            except RuntimeError as error:
                refused = ""
                if not memory.is_shortage(error):
                    raise
                if self.entry.shared:
                    beside = True  # it may fit where it is alone
                elif self._attempt is not None and self._attempt.replays:
                    # Graphs keep memory of their own; what fits without them is trained as it would be without them.
                    refused = "their memory ran out"
                elif micro_batch <= SMALLEST_MICRO_BATCH:
                    raise memory.too_small(self.where, self.recipe.name, micro_batch, error) from error
            # Outside of the except clause, whose error holds on to every tensor of the failed attempt.
            self._attempt = None
            if beside:
                del job  # others may wait for the memory of its images
                memory.release()
                self.room.alone(self.entry)
                self.begun()
                devices.start_of_peak(self.where)
                job = self._job()  # by itself it may have room for what it had none for beside others
                if BESIDE not in self.notes:
                    self.notes.append(BESIDE)
                continue
            memory.release()
            if refused:
                self.graphs = False
                self.notes.append(without_graphs(self.where, refused))
                continue
            state = None
            micro_batch = max(SMALLEST_MICRO_BATCH, -(-micro_batch // 2))
            self._note_shortage(micro_batch)
            if file is not None:
                file.remove()

    def _job(self) -> Job:
        """What is to be trained on, with its images on the device if there is room for them."""
        images = memory.place(self.images, self.where)
        self.notes = [note for note in self.notes if not note.startswith(_STAYED)]
        if images.device != self.where:
            self.notes.append(
                f"{_STAYED}: they leave too little room on {self.where}, so the steps were launched one by one, which is slower"
            )
        return Job(self.recipe, images, self.labels, self.kept, self.held_out, self.seed, self.where, self.number_format)

    def _attempted(
        self, job: Job, micro_batch: int, file: Checkpoint | None, state: State | None, acting: devices.Acting
    ) -> tuple[Attempt, np.ndarray, str]:
        model, identity = _starting_model(self.recipe, self.labels.shape[1], derive(self.seed, "initial weights"))
        model = devices.placed(model, self.where)
        if self.where.type == "cpu":
            quicken(model)
        else:
            self.notes += [note for note in [depthwise.note_for(model)] if note and note not in self.notes]
            depthwise.fitted(model)
            if self.recipe.freeze_batch_norm and not self.recipe.compiled:  # a compiler makes these gradients by itself
                norms.fitted(model)
        self._attempt = attempt = Attempt(job, model, micro_batch, self.progress, graphs=self.graphs, acting=acting)
        if state is not None:
            attempt.restore(state)
            self.earlier = state.about["seconds"]
            went_on = f"{_WENT_ON} after epoch {attempt.done} of {self.recipe.epochs}"
            self.notes = [*dict.fromkeys([*self.notes, *state.about["notes"], went_on])]

        def keep(attempt: Attempt) -> None:
            if file is not None and attempt.done < self.recipe.epochs and file.due():
                seconds = self.seconds
                file.write(lambda: attempt.state({"seconds": seconds, "notes": self.notes}))

        return attempt, attempt.run(keep), identity

    def _note_shortage(self, micro_batch: int) -> None:
        """It replaces what was said of the attempts before."""
        note = (
            f"{_RAN_OUT} on {self.where}: the training started again with batches of {self.recipe.batch_size} worked through "
            f"{micro_batch} items at a time, their gradients added up; batch normalisation saw the smaller batches"
        )
        self.notes = [*(n for n in self.notes if not n.startswith((_RAN_OUT, _WENT_ON))), note]


def _starting_model(pipeline: Pipeline, n_outputs: int, seed: int) -> tuple[nn.Module, str]:
    """The network before its first step, on the CPU, and the identity of its weights."""
    if pipeline.architecture == LINEAR:
        return PooledLinear(pipeline.image_size, n_outputs), "none"
    model = build_network(
        pipeline.architecture,
        n_outputs,
        seed=seed,
        dropout=pipeline.dropout,
        stochastic_depth=pipeline.stochastic_depth,
        image_size=pipeline.image_size,
    )
    return model, load_starting_weights(model, pipeline.weights, pipeline.architecture)


def _identity(pipeline: Pipeline) -> str:
    return starting_weights_identity(pipeline.weights, pipeline.architecture)


def _check(images: np.ndarray, labels: np.ndarray, micro_batch: int | None) -> None:
    check_images(images)
    if not isinstance(labels, np.ndarray) or labels.ndim != 2 or labels.shape[1] < 1:
        raise DataError(f"the labels are {getattr(labels, 'shape', type(labels).__name__)}; give an array (n, k), k >= 1")
    if labels.dtype.kind not in "biu":
        raise DataError(f"the labels are of dtype {labels.dtype}; give integers or booleans")
    if len(labels) != len(images):
        raise DataError(f"there are {len(images)} images and {len(labels)} labels; give one row of labels per image")
    bad = np.argwhere((labels != 0) & (labels != 1))
    if len(bad):
        row, column = bad[0]
        raise DataError(f"the label of item {row}, class {column} is {labels[row, column]}; it must be 0 or 1")
    whole = isinstance(micro_batch, int) and not isinstance(micro_batch, bool)
    if micro_batch is not None and (not whole or micro_batch < SMALLEST_MICRO_BATCH):
        raise ConfigurationError(f"micro_batch is {micro_batch!r}; it must be a whole number of {SMALLEST_MICRO_BATCH} or more")
