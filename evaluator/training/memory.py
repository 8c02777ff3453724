"""What fits on the device: where the images lie, and what happens when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from evaluator.errors import TrainingError
from evaluator.training import together
from evaluator.words import counted

LARGEST_SHARE = 0.5
"""Images are laid on the device where they take no more than this share of its free memory; the rest is for the training."""

_SHORTAGES = (
    *("out of memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory"),
    # Where no algorithm of cuDNN gets memory to work in, torch tries them all and says nothing of memory.
    "unable to find an engine to execute this computation",
)

Made = TypeVar("Made")


def is_shortage(error: BaseException) -> bool:
    """Whether torch, a CUDA library or the allocator of the CPU says by this error that memory ran out."""
    said = isinstance(error, RuntimeError) and any(mark in str(error) for mark in _SHORTAGES)
    return said or isinstance(error, torch.OutOfMemoryError)


def shortage_in(error: BaseException | None) -> BaseException | None:
    """The shortage of memory among an error and those that it arose from."""
    while error is not None:
        if is_shortage(error):
            return error
        error = error.__cause__ or error.__context__
    return None


def release() -> None:
    """Free the memory of a failed attempt. To be called outside of the ``except`` clause, which keeps its frames alive."""
    gc.collect()  # a model, its optimiser and their hooks refer to each other
    _return_unused()


def _return_unused() -> None:
    if torch.cuda.is_initialized():
        with together.process:  # it waits for the device, which breaks the capture of a graph by another thread
            torch.cuda.empty_cache()


def halving(attempt: Callable[[int], Made], batch_size: int) -> Made:
    """``attempt(batch_size)``, from its beginning again with half the batch for as long as memory runs out.

    From the beginning, so that what comes out depends on the last batch size alone, not on the moment when memory ran out.

    Raises:
        TrainingError: a single item does not fit.
    """
    while True:
        try:
            return attempt(batch_size)
        except RuntimeError as error:
            # Beside others it may fit where it is alone, with the batch that it has alone.
            if not is_shortage(error) or together.sharing():
                raise
            if batch_size == 1:
                raise TrainingError(f"a single image does not fit into memory ({_first_line(error)}); {WAYS_OUT}") from error
        batch_size = -(-batch_size // 2)
        _return_unused()


def in_room(where: torch.device, need: Callable[[], int], work: Callable[[], Made]) -> Made:
    """``work()``, which takes ``need()`` bytes of a device that this process shares; from its beginning again, and by itself, where
    memory ran out beside others. On the CPU nobody waits.

    Raises:
        TrainingError: memory ran out by itself, too.
    """
    if where.type == "cpu":
        return work()
    room = room_of(where)
    with room.taken(need) as entry:
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not is_shortage(error):
                    raise
                if not entry.shared:
                    raise TrainingError(f"memory ran out on {describe(where)} ({_first_line(error)}); {WAYS_OUT}") from error
            release()
            room.alone(entry)


def room_of(where: torch.device) -> together.Room:
    """The room of a device. The CPU has no counter of its memory: there trainings take turns."""
    return together.room_of(where, lambda: free_memory(where) or 0)


WAYS_OUT = "end other programs on the device, take a device with more memory or the cpu, or a pipeline of a smaller image_size"


def too_small(device: torch.device, pipeline: str, micro_batch: int, error: BaseException) -> TrainingError:
    """The error for a training whose smallest batch does not fit."""
    return TrainingError(
        f"memory ran out on {describe(device)} with {counted(micro_batch, 'image')} at a time, the fewest that pipeline "
        f"{pipeline!r} can be trained with ({_first_line(error)}); {WAYS_OUT}"
    )


def describe(device: torch.device) -> str:
    """The device and, of a CUDA device, its memory, for a message."""
    if device.type != "cuda":
        return f"the device {device}"
    free, total = torch.cuda.mem_get_info(device)
    return f"the device {device} ({torch.cuda.get_device_name(device)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free)"


def place(images: np.ndarray, device: torch.device) -> Tensor:
    """The images as a tensor on the device, or in the computer's own memory where the device has no room for them.

    Which of the two changes nothing but speed. Read-only arrays are copied, since torch cannot promise not to write.
    """
    plain = np.ascontiguousarray(images)
    host = torch.from_numpy(plain if plain.flags.writeable else plain.copy())
    room = free_memory(device)
    if room is None:
        return host.to(device)
    if plain.nbytes <= LARGEST_SHARE * room:
        try:
            return host.to(device)
        except RuntimeError as error:
            if not is_shortage(error):
                raise
        release()
    return host


def free_memory(device: torch.device) -> int | None:
    """Bytes that a CUDA device could still take, with those that torch keeps unused; None on the CPU, which has no such counter."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
