"""Checkpoints: the state of a training after an epoch, in one file that is whole or not there.

A file holds 32 bytes of SHA-256 over the rest, and the rest in safetensors' format: tensors, which cannot execute code, and a
tensor of bytes that holds JSON. It is bound by a digest to everything that decides the training; the file of another training, or
a damaged file, is never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from evaluator import __version__
from evaluator.errors import ConfigurationError
from evaluator.files import replaced

SHORTEST = 2.0
"""Seconds of training that are worth a checkpoint."""
LARGEST_SHARE = 0.05
"""Of the time, that may go into writing: a slow disk means fewer checkpoints, not a slower training."""
_ABOUT = "about"


@dataclass(frozen=True, eq=False)
class State:
    """What a training goes on from: tensors on the CPU by name, and plain JSON values by name."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]


class Checkpoint:
    """The file of one training.

    Args:
        path: where it lies; its folder is made.
        digest: from ``training_digest``.

    Raises:
        ConfigurationError: the folder cannot be made.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self.digest = Path(path), digest
        self.trouble = ""
        self._cost, self._last = 0.0, time.monotonic()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the folder {self.path.parent} for a checkpoint cannot be made ({error.strerror}); give another path"
            ) from error

    def read(self) -> State | None:
        """The state to go on from. A file that does not fit is removed, with a warning, and counts as none."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._distrust(f"cannot be read ({error.strerror})")
            return None
        body = memoryview(content)[32:]
        if hashlib.sha256(body).digest() != content[:32]:
            self._distrust("is damaged")
            return None
        tensors = safetensors.torch.load(bytes(body))
        about = json.loads(tensors.pop(_ABOUT).numpy().tobytes())
        if about.pop("digest") != self.digest:
            self._distrust("belongs to another training (other data, seed, pipeline, device, threads or versions)")
            return None
        return State(tensors, about)

    def due(self) -> bool:
        """Whether enough time has passed since the last checkpoint."""
        return time.monotonic() - self._last >= max(SHORTEST, self._cost / LARGEST_SHARE)

    def write(self, made: Callable[[], State]) -> None:
        """Put the state that ``made()`` gives in the place of the former state.

        A disk that does not take it is a warning, not the end of the training.
        """
        started = time.monotonic()
        state = made()
        about = np.frombuffer(json.dumps(state.about | {"digest": self.digest}).encode(), dtype=np.uint8)
        body = safetensors.torch.save({**state.tensors, _ABOUT: torch.from_numpy(about.copy())})
        try:
            with replaced(self.path, "wb") as file:
                file.write(hashlib.sha256(body).digest())
                file.write(body)
        except OSError as error:
            if not self.trouble:
                self.trouble = f"the checkpoint {self.path} could not be written ({error.strerror})"
                warnings.warn(f"{self.trouble}; the training goes on, and starts anew if it is interrupted", stacklevel=2)
        self._last = time.monotonic()
        self._cost = self._last - started

    def remove(self) -> None:
        """The training has ended, or starts anew."""
        with contextlib.suppress(OSError):  # a file that stays is of no harm: it is bound to this training and equally good later
            self.path.unlink(missing_ok=True)

    def _distrust(self, why: str) -> None:
        warnings.warn(f"the checkpoint {self.path} {why}; it is removed, and the training starts anew", stacklevel=3)
        self.remove()


def training_digest(images: np.ndarray, labels: np.ndarray, **decisive: Any) -> str:
    """SHA-256 (hex) over everything that decides the bits of a training.

    Args:
        decisive: plain JSON values; versions and the kind of processor are added.
    """
    machine = {"processor": platform.machine(), "capability": torch.backends.cpu.get_cpu_capability()}
    facts = {"kit": __version__, "torch": torch.__version__, "numpy": np.__version__, **machine, **decisive}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in (images, labels.astype(np.uint8)):
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
