"""Where and how the arithmetic of training and prediction is done: device, number format, threads, random state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from evaluator.errors import ConfigurationError, DeviceError
from evaluator.training import together


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
    if device.type == "cpu" and device.index is not None:
        raise ConfigurationError(f"the device is {name!r}, but there is one CPU for torch; write cpu, and --threads for its cores")
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"the device {name!r} is not supported; write auto, cpu or cuda")
    if device.type == "cuda":
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise ConfigurationError(f"the device is {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices; write auto")
        device = torch.device("cuda", device.index if device.index is not None else torch.cuda.current_device())
    return device


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on the device, its kernels in the order of channels-last images, which is the faster one for convolutions."""
    return model.to(device).to(memory_format=torch.channels_last)


def images_at_once(kind: str, side: int) -> int:
    """Images of ``side`` pixels in a forward pass without gradients, on the ``kind`` of device ``cpu`` or ``cuda``.

    On a large CUDA device such a pass takes as long with 64 images of 64 pixels as with 1,024: its launches take the time.
    """
    return 64 if kind == "cpu" else max(256, 65536 // side)


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


Acting = Callable[[], AbstractContextManager[Any]]
"""Makes a context in which a training draws its random numbers and may use what the process has once."""


@contextmanager
def random_state(device: torch.device, seed: int) -> Iterator[Acting]:
    """A random state for a training (dropout reads nothing else); the state before is given back, as if nothing had been drawn.

    On the CPU torch's generator is seeded for the whole block, and other threads that draw from it wait. On a CUDA device the
    training has a state of its own, which takes the place of the default generator's while it acts: other trainings of this process
    draw from theirs, and a graph that is captured meanwhile draws from it in every replay.

    Yields:
        The context in which steps are launched and captured, and in which the state is read or set.
    """
    if device.type != "cuda":
        with together.drawing, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield nullcontext
        return
    mine = torch.Generator(device=device)
    mine.manual_seed(seed)
    yield lambda: _acting(device, mine)


@contextmanager
def _acting(device: torch.device, mine: torch.Generator) -> Iterator[None]:
    with together.process:
        default = torch.cuda.default_generators[device.index]
        before = default.graphsafe_get_state()
        default.graphsafe_set_state(mine)
        try:
            yield
        finally:
            default.graphsafe_set_state(before)


_OWN = threading.local()


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """A stream of this thread's own on a CUDA device: work can be captured there, which it cannot on the default one.

    It begins after what the current stream was given before, and the current stream waits for its end. It is the same one for all
    trainings of a thread, because libraries keep memory for every stream that they have seen.
    """
    if device.type != "cuda":
        yield
        return
    streams: dict[torch.device, torch.cuda.Stream] = _OWN.__dict__.setdefault("streams", {})
    stream = streams.get(device) or streams.setdefault(device, torch.cuda.Stream(device))
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


_REPEATABLE: list[ExitStack] = []
"""What sets the process back, once for each block that asks for results that repeat; only the first entry does something."""


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Only algorithms that repeat to the bit, chosen the same way every time; the CPU's repeat for a fixed number of threads.

    They are cuDNN's own for that, and attention as matrix products: the gradients of its fused kernels are added up in any order,
    unless torch refuses every other operation of which it does not know that it repeats. Of those the kit's networks use none
    (``tests/training/test_repeatable.py``).

    The setting is the process's. It is set back when the last of the threads that asked for it leaves.
    """
    if device.type != "cuda":
        yield
        return
    with together.process:
        setting = ExitStack()
        if not _REPEATABLE:
            setting.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True))
            setting.enter_context(_unfused_attention())
        _REPEATABLE.append(setting)
    try:
        yield
    finally:
        with together.process:
            first = _REPEATABLE[0]
            _REPEATABLE.pop()
            if not _REPEATABLE:
                first.close()


@contextmanager
def _unfused_attention() -> Iterator[None]:
    cuda = torch.backends.cuda
    switches = (
        (cuda.flash_sdp_enabled(), False, cuda.enable_flash_sdp),
        (cuda.mem_efficient_sdp_enabled(), False, cuda.enable_mem_efficient_sdp),
        (cuda.cudnn_sdp_enabled(), False, cuda.enable_cudnn_sdp),
        (cuda.math_sdp_enabled(), True, cuda.enable_math_sdp),
    )
    for _, wanted, switch in switches:
        switch(wanted)
    try:
        yield
    finally:
        for before, _, switch in switches:
            switch(before)


def number_format(device: torch.device, precision: str) -> str:
    """What forward passes are computed in: ``"bfloat16"``, ``"float16"`` or ``"float32"``.

    Under ``precision="auto"`` bfloat16 where a CUDA device computes in it natively (compute capability 8.0 on) and float16 on older
    ones, whose training needs a scaled loss. The CPU computes in float32: emulated bfloat16 was slower there.
    """
    if precision == "float32" or device.type != "cuda":
        return "float32"
    with torch.cuda.device(device):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def autocast(device: torch.device, number_format: str) -> torch.autocast:
    """Mixed precision in that format; float32 switches it off, inside an outer one too."""
    if number_format == "float32":
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, dtype=getattr(torch, number_format))


_LOST = ("CUDA error", "CUDA driver error", "CUDNN_STATUS_EXECUTION_FAILED", "CUBLAS_STATUS_EXECUTION_FAILED")


@contextmanager
def answering(device: torch.device, doing: Callable[[], str]) -> Iterator[None]:
    """Turn what torch raises when a device fails or vanishes into an error that says what to do.

    An error of the device poisons its context: every later call in the same process fails, also one that only cleans up. So this
    encloses everything else that touches the device.

    Raises:
        DeviceError: with what ``doing()`` says was under way.
    """
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, torch.AcceleratorError) or any(mark in str(error) for mark in _LOST)
        if isinstance(error, torch.OutOfMemoryError) or not (lost or _dead(device)):
            raise
        first_line = str(error).strip().split("\n")[0]
        raise DeviceError(
            f"the device {device} failed or vanished {doing()} ({first_line}); expected it to answer. This process can compute "
            f"nothing more on it: look at `nvidia-smi` and the system's log, then start the same command again in a new process "
            f"(a training with a checkpoint goes on from there), or with the device cpu"
        ) from error


def _dead(device: torch.device) -> bool:
    """Whether a CUDA device answers nothing any more: other threads may have met its failure before this one did."""
    if device.type != "cuda":
        return False
    try:
        with together.process:
            torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False


def start_of_peak(device: torch.device) -> None:
    """Forget the largest use of memory so far, so that ``peak_memory`` speaks of what follows."""
    if device.type == "cuda":
        torch.cuda.init()  # the counters are there from then on
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Largest number of bytes in tensors on a CUDA device since ``start_of_peak``; None on the CPU, where torch does not count."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
