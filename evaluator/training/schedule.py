"""In which portions an epoch goes, and at which learning rate every step."""

from __future__ import annotations

import math


def portions(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Cut ``n`` items in a row into batches of at most ``batch_size`` whose sizes differ by one at most: (start, stop) of each.

    A short last batch would weigh its few items more than all others, and one of a single item cannot be batch-normalised. Batches
    of one do not occur: an odd rest at ``batch_size`` 2 makes one batch of three.
    """
    count = max(1, min(math.ceil(n / batch_size), n // 2))
    size, larger = divmod(n, count)
    ends = [(i + 1) * size + min(i + 1, larger) for i in range(count)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def rate_factor(step: int, steps: int, schedule: str, warmup: float) -> float:
    """The learning rate of a step (from 0) as a share of the peak."""
    rising = warmup * steps
    if schedule == "constant" and step >= rising:
        return 1.0
    if step < rising:
        done = (step + 1) / (rising + 1)
        return 0.04 + 0.96 * (1 - math.cos(math.pi * done)) / 2 if schedule == "one_cycle" else done
    return (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1))) / 2
