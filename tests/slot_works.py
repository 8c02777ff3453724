"""What workers do in tests instead of training. A module of its own: the processes import it, and nothing of pytest."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from fabricated import scored

from evaluator.errors import ConfigurationError, DeviceError
from evaluator.runner import workers
from evaluator.runner.workers import Judging
from evaluator.track import Judged

PLACE = "SLOT_WORKS"
"""Variable that names the folder where works leave what they saw."""


FAILING = "SLOT_WORKS_FAILING"
"""Variable that says how many processes lose their device."""


class Nothing:
    """In the place of a spec and an answer, for a work that looks at neither."""

    checksum = ""

    def model_digest(self) -> str:
        return ""


def instant(task: Judging) -> Judged:
    return Judged(scored(task.spec, task.answer.checksum))


def anew(task: Judging) -> Judged:
    """The work of a run, which takes nothing over from the cell before it in this process."""
    return task.track.judge(task.spec, task.data, task.answer, lambda what, share: None, checkpoint=task.checkpoint)


def telling(task: Judging) -> Judged:
    """Says once that it is halfway."""
    workers.TELL("halfway", 0.5)
    return instant(task)


def telling_slowly(task: Judging) -> Judged:
    """Says that it is halfway, a second after it began and long enough before its end to be heard."""
    time.sleep(1.1)
    workers.TELL("halfway", 0.5)
    time.sleep(0.5)
    return instant(task)


def dying(task: Judging) -> Judged:
    """Seed 0 of the first pair is killed as the system kills where memory runs out; once the others are done, at that."""
    if (task.spec.seed, task.spec.pair.labels) == (0, 621):
        os.kill(os.getpid(), signal.SIGKILL)
    return instant(task)


def leaving(task: Judging) -> Judged:
    os._exit(7)


def signalled(task: Judging) -> Judged:
    os.kill(os.getpid(), 40)
    raise AssertionError("a real-time signal ends a process")


def faulty(task: Judging) -> Judged:
    if task.spec.seed == 0:
        raise ZeroDivisionError("a fault of ours")
    return instant(task)


def faulty_first(task: Judging) -> Judged:
    if task.spec.pair.labels == 621:
        raise ZeroDivisionError("a fault of ours")
    return instant(task)


def losing(task: Judging, kept: list[int] = []) -> Judged:  # noqa: B006 - of the process, as a lost device is
    """The device of the first so many processes fails, and stays lost to them."""
    seen = Path(os.environ[PLACE])
    if not kept:
        kept.append(len(list(seen.glob("*.process"))))
        (seen / f"{os.getpid()}.process").touch()
    if kept[0] < int(os.environ.get(FAILING, "1")):
        raise DeviceError(f"the device cuda:0 failed in process {kept[0]}")
    return instant(task)


def refusing(task: Judging) -> Judged:
    raise ConfigurationError("nothing can be done here")


def meeting(task: Judging) -> Judged:
    """Ends when another training is under way at the same time, and leaves when it began and ended."""
    folder, began = Path(os.environ[PLACE]), time.monotonic()
    (folder / f"{task.spec.digest()}.here").touch()
    while len(list(folder.glob("*.here"))) < 2:
        if time.monotonic() - began > 60:
            raise TimeoutError("no other training came")
        time.sleep(0.005)
    (folder / f"{task.spec.digest()}.training").write_text(f"{began} {time.monotonic()}")
    return instant(task)


def endless(task: Judging) -> Judged:
    """Never ends; says that it is there."""
    (Path(os.environ[PLACE]) / str(os.getpid())).touch()
    while True:
        time.sleep(1)


GONE = "gone"
"""File that holds the name of the node that died: it lets the works of `held` end, on the other nodes."""


def held(task: Judging) -> Judged:
    """Leaves a file that names its cell and its node whenever it is begun, and ends only once another node is gone."""
    import ray

    place, began, node = Path(os.environ[PLACE]), time.monotonic(), ray.get_runtime_context().get_node_id()
    (place / f"{task.spec.digest()}.{node}.{time.monotonic_ns()}").touch()
    gone = place / GONE
    while not gone.exists() or gone.read_text() in ("", node):  # a process outlives its node for a moment
        if time.monotonic() - began > 120:
            raise TimeoutError("no node died")
        time.sleep(0.02)
    return instant(task)


def seen(task: Judging) -> Judged:
    """Leaves what a list of processes shows of this process, which has the secret."""
    for name in ("cmdline", "environ"):
        Path(os.environ[PLACE], f"{os.getpid()}-{name}").write_bytes(Path(f"/proc/self/{name}").read_bytes())
    assert task.data.secret is not None
    return instant(task)


def thread_of(task: Judging) -> str:
    """Ends once two tasks are under way in this process; says who worked on it."""
    began = time.monotonic()
    place = Path(os.environ[PLACE])
    (place / f"{os.getpid()}-{threading.get_ident()}.thread").touch()
    while len(list(place.glob(f"{os.getpid()}-*.thread"))) < 2:
        if time.monotonic() - began > 60:
            raise TimeoutError("no other task came")
        time.sleep(0.005)
    workers.TELL(f"of {task.data}", 0.5)
    return f"{task.data} {os.getpid()} {threading.get_ident()}"


def fatal_beside(task: Judging) -> str:
    """Task 1 kills its process, in which others are under way; each start leaves a mark."""
    place = Path(os.environ[PLACE])
    (place / f"{task.data}.{time.monotonic_ns()}.{os.getpid()}").touch()
    if task.data == 1:
        time.sleep(0.3)  # others have begun
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1.0)
    return f"{task.data}"


def losing_beside(task: Judging) -> str:
    """The device of the first process fails under one task while others are under way."""
    place = Path(os.environ[PLACE])
    (place / f"{os.getpid()}.process").touch()
    if len(list(place.glob("*.process"))) == 1:
        time.sleep(0.3 if task.data == 1 else 60)
        raise DeviceError("the device cuda:0 failed")
    return f"{task.data}"


def leaving_beside(task: Judging) -> str:
    """Task 1 leaves its thread in a way that no except clause takes; task 2 gives what cannot be sent."""
    time.sleep(0.2)
    if task.data == 1:
        raise SystemExit(3)
    return (lambda: None) if task.data == 2 else f"{task.data}"  # type: ignore[return-value]


def killing_beside(task: Judging) -> str:
    """Tasks 1 and 3 kill their process."""
    time.sleep(0.2)
    if task.data in (1, 3):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    return f"{task.data}"
