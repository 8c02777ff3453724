"""What slots do in tests instead of training. A module of its own: the processes import it, and nothing of pytest."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError, DeviceError
from evaluator.runner.cells import broken_cell
from evaluator.runner.workers import Failure, Training

PLACE = "SLOT_WORKS"
"""Variable that names the folder where works leave what they saw."""


FAILING = "SLOT_WORKS_FAILING"
"""Variable that says how many processes lose their device."""


class Nothing:
    """In the place of a spec and a purchase, for a work that looks at neither."""

    checksum = ""

    def training_digest(self) -> str:
        return ""


def scored(spec, checksum: str, value: float | None = None) -> dict[str, Any]:
    """A scored cell that was never trained."""
    value = (int(spec.digest()[:8], 16) % 1000) / 1000 if value is None else value
    result = broken_cell(spec, Failure("", ""))
    metrics = {"macro_f1": value, "accuracy": value / 2, "hamming_loss": 1 - value, "f1": {}, "n": 8, "best_constant_macro_f1": 0.1}
    return result | {
        "verdict": "OK",
        "scored": True,
        "metrics": metrics,
        "fingerprint": "f" * 64,
        "training": {"seconds": 4.0, "n_items": 20},
        "purchase": result["purchase"] | {"checksum": checksum, "bought": 4, "seconds": 1.5},
        "phases": [{"seconds": 1.0}, {"seconds": 0.5}, {"seconds": 0.25}],
    }


def instant(task: Training) -> dict[str, Any]:
    return scored(task.spec, task.purchased.checksum)


def dying(task: Training) -> dict[str, Any]:
    """Seed 0 of the first pair is killed as the system kills where memory runs out; once the others are done, at that."""
    if (task.spec.seed, task.spec.pair.labels) == (0, 621):
        os.kill(os.getpid(), signal.SIGKILL)
    return instant(task)


def leaving(task: Training) -> dict[str, Any]:
    os._exit(7)


def faulty(task: Training) -> dict[str, Any]:
    if task.spec.seed == 0:
        raise ZeroDivisionError("a fault of ours")
    return instant(task)


def losing(task: Training, kept: list[int] = []) -> dict[str, Any]:  # noqa: B006 - of the process, as a lost device is
    """The device of the first so many processes fails, and stays lost to them."""
    seen = Path(os.environ[PLACE])
    if not kept:
        kept.append(len(list(seen.glob("*.process"))))
        (seen / f"{os.getpid()}.process").touch()
    if kept[0] < int(os.environ.get(FAILING, "1")):
        raise DeviceError(f"the device cuda:0 failed in process {kept[0]}")
    return instant(task)


def refusing(task: Training) -> dict[str, Any]:
    raise ConfigurationError("nothing can be done here")


def meeting(task: Training) -> dict[str, Any]:
    """Ends when another training is under way at the same time, and leaves when it began and ended."""
    folder, began = Path(os.environ[PLACE]), time.monotonic()
    (folder / f"{task.spec.digest()}.here").touch()
    while len(list(folder.glob("*.here"))) < 2:
        if time.monotonic() - began > 60:
            raise TimeoutError("no other training came")
        time.sleep(0.005)
    (folder / f"{task.spec.digest()}.training").write_text(f"{began} {time.monotonic()}")
    return instant(task)


def endless(task: Training) -> dict[str, Any]:
    """Never ends; says that it is there."""
    (Path(os.environ[PLACE]) / str(os.getpid())).touch()
    while True:
        time.sleep(1)


def slow(task: Training) -> dict[str, Any]:
    """Leaves a file for every time that it is begun, and takes a while."""
    place = Path(os.environ[PLACE])
    (place / f"{task.spec.digest()}.{os.getpid()}.{time.monotonic_ns()}").touch()
    time.sleep(3)
    return instant(task)
