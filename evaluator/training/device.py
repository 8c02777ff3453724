"""Where and how the arithmetic of training and prediction is done: device, number format, threads, random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from evaluator.errors import ConfigurationError


def resolve(name: str) -> torch.device:
    """``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"`` as a device.

    Raises:
        ConfigurationError: an unknown name, or CUDA where there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(f"the device {name!r} is not known; write auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"the device {name!r} is not supported; write auto, cpu or cuda")
    if device.type == "cuda":
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise ConfigurationError(f"the device is {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices; write auto")
        device = torch.device("cuda", device.index if device.index is not None else torch.cuda.current_device())
    return device


@contextmanager
def threads(count: int | None) -> Iterator[int]:
    """Use ``count`` threads per operator (``None``: as many as are set), and set back the former number afterwards.

    The last bit of a sum depends on how it is split over threads, so the number is part of what a result repeats with.

    Raises:
        ConfigurationError: fewer than one thread.
    """
    before = torch.get_num_threads()
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ConfigurationError(f"threads is {count!r}; it must be a whole number of 1 or more, or None")
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


@contextmanager
def random_state(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's generators (dropout reads nothing else) and give back their state afterwards, as if nothing had been drawn."""
    cuda = [device.index] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Only algorithms of cuDNN that repeat, chosen the same way every time; the CPU's repeat for a fixed number of threads."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True) if device.type == "cuda" else nullcontext():
        yield


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where a CUDA device computes in it natively, float32 everywhere else."""
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=native)
