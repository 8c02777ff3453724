"""Time per image pass, and how many times faster one training is than another: the median over rounds and its spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch

from evaluator.training import device as devices

WARM_UP = 2
"""Steps that are not counted. The optimiser makes its state at the end of the first step, so the second step is the first that
needs all the memory of a step. Its 30,000 to 47,000 new pages (64 px) cost 40 to 75 ms of the system's time, and 400 ms in one
case, where a step takes 230 ms. A training pays that once; it must not weigh as a third or a fifth of the counted steps."""


def wait_for(device: torch.device) -> None:
    """Wait until a CUDA device has finished what it was given; on the CPU there is nothing to wait for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Timing:
    """Seconds for a number of image passes.

    Attributes:
        images: image passes; not a whole number where a pass is shared (an embedding that serves ten epochs).
        seconds: by the clock.
        cpu_seconds: of all threads of this process; other programs lengthen it less.
        peak_bytes: most memory that tensors took on a CUDA device; ``None`` on the CPU.
    """

    images: float
    seconds: float
    cpu_seconds: float
    peak_bytes: int | None = None

    @property
    def ms(self) -> float:
        """Milliseconds per image pass."""
        return 1e3 * self.seconds / self.images

    @property
    def cpu_ms(self) -> float:
        """Processor milliseconds per image pass."""
        return 1e3 * self.cpu_seconds / self.images


class Stamps:
    """A ``progress`` callback: starts the clock after ``warm_up`` steps, and stops it after the last step."""

    def __init__(self, device: str, on_first: Callable[[], None] = lambda: None, warm_up: int = WARM_UP) -> None:
        self.device, self.on_first, self.steps, self.warm_up = devices.resolve(device), on_first, 0, warm_up
        self.first: tuple[float, float, float] | None = None
        self.last: tuple[float, float, float] | None = None

    def __call__(self, share: float) -> None:
        self.steps += 1
        if self.steps == self.warm_up or share >= 1.0:
            wait_for(self.device)
            if self.first is None:
                self.on_first()
                self.first = (share, time.perf_counter(), time.process_time())
            else:
                self.last = (share, time.perf_counter(), time.process_time())

    def timing(self, passes: float) -> Timing:
        """The timing of a training of ``passes`` image passes.

        Raises:
            ValueError: no step came after the warm-up, so there is nothing to time.
        """
        if self.first is None or self.last is None:
            raise ValueError(f"a training of {self.steps} steps has nothing but its warm-up of {self.warm_up}; give it more images")
        share, clock, cpu = (b - a for a, b in zip(self.first, self.last, strict=True))
        return Timing(share * passes, clock, cpu, peak_of(self.device))


def peak_of(device: torch.device) -> int | None:
    """Most bytes of tensors on a CUDA device since the last reset; ``None`` on the CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def reset_peak(device: str) -> None:
    """Start measuring the peak anew."""
    if devices.resolve(device).type == "cuda":
        torch.cuda.init()  # before it the counters are not there
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(devices.resolve(device))


@dataclass(frozen=True)
class Ratio:
    """How many times faster: the median over rounds, with the lowest and highest round; and the median of processor time."""

    median: float
    low: float
    high: float
    cpu_median: float
    n: int

    @classmethod
    def between(cls, slow: Sequence[Timing], fast: Sequence[Timing]) -> Ratio:
        """``slow`` over ``fast``, round by round.

        Raises:
            ValueError: the two have different numbers of rounds, or none.
        """
        if len(slow) != len(fast) or not slow:
            raise ValueError(f"a ratio needs the same rounds of both sides, at least one; got {len(slow)} and {len(fast)}")
        both = list(zip(slow, fast, strict=True))
        ratios, cpu = [a.ms / b.ms for a, b in both], [a.cpu_ms / b.cpu_ms for a, b in both]
        return cls(statistics.median(ratios), min(ratios), max(ratios), statistics.median(cpu), len(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f}" + (f" ({self.low:.2f} to {self.high:.2f})" if self.n > 1 else "")

    def as_dict(self) -> dict[str, float]:
        """Plain JSON values."""
        return asdict(self)
