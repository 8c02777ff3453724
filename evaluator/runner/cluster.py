"""Runs cells on a Ray cluster (extra: ``requirements-ray.txt``).

Ray starts tasks, watches them, and starts them again if a node dies. ``runner.cells`` does everything else: it finds the missing
cells, stores results and handles failures. Only the driver writes results, so a cell that ran twice because a node died is stored
once.

- A **submission** runs against a clock that is part of the rules. It gets a whole node: all its CPUs, and no second submission.
  While submissions run, no training of this sweep runs.
- A **training** takes as many CPUs as it has threads, and one GPU if it uses a GPU. Ray places trainings on nodes.

What a node is doing comes back over a **board**, an actor that keeps the newest word on every task. If it is lost, nothing but
progress is.

All nodes see the same files under the same paths (a shared file system): the checkout, the data with its cache, submissions,
results. A node that misses a file or has another version of the kit refuses the task before any work, and its error names the node.
"""

from __future__ import annotations

import hashlib
import os
import socket
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from evaluator import __version__
from evaluator.errors import ConfigurationError, KitError, SubmissionError
from evaluator.machine import load
from evaluator.records import Answer
from evaluator.runner.workers import TELL, Failure, Judging, Moved, Outcome, Telling, Work, judged, model_of
from evaluator.specs import CellSpec
from evaluator.submission.source import GIVEN
from evaluator.track import CellInputs, Track

BREAKPOINT = "PYTHONBREAKPOINT"
"""What ``breakpoint()`` calls, as the environment says it."""
RETRIES = 3
"""How many more times a task is tried whose node or process died."""
SECONDS_BETWEEN_LOOKS = 5.0
"""Between two looks at the board."""
BOARD_SECONDS = 10.0
"""Within which the board must answer; its news are shown later or never."""
KIT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Order:
    """A submission that is sent to a node. The node makes the sandbox."""

    track: Track
    spec: CellSpec
    path: Path
    weights_dir: Path | None


class Board:
    """The newest word on every task that moved since the last look. It runs as a Ray actor; nodes put, the driver takes."""

    def __init__(self) -> None:
        self._news: dict[str, Moved] = {}

    def put(self, task: str, moved: Moved) -> None:
        """Replace the word on a task. ``task``: the hash of its cell, or of its answer."""
        self._news[task] = moved

    def take(self) -> dict[str, Moved]:
        """Every new word, by task; each is given once."""
        found, self._news = self._news, {}
        return found


class ClusterWorkers:
    """Workers on a Ray cluster, with the same methods as ``workers.Workers``. A context manager that leaves nothing running.

    Args:
        address: ``auto`` for the cluster that runs on this machine, ``HOST:PORT`` or ``ray://HOST:PORT`` for another cluster,
            ``local`` to start a cluster of this machine's cores.
        threads: CPUs of one training; ``gpu``: whether a training takes a GPU.
        work: the function that is called with each task.

    Attributes:
        moved: called with a task and what its node says of its progress; ``obtaining``: the same for answers, with their spec.

    Raises:
        ConfigurationError: Ray is not installed, or no cluster runs at the address.
    """

    def __init__(self, address: str, threads: int = 1, gpu: bool = False, work: Work = judged) -> None:
        self._ray = _ray()
        self._connected = not self._ray.is_initialized()
        if self._connected:
            _connect(self._ray, address)
        self._options = {"num_cpus": threads, "num_gpus": int(gpu), "max_retries": RETRIES}
        self._work = work
        self._shared: dict[int, tuple[Any, Any]] = {}  # references: while the object lives, no other has its id
        self._under_way: set[Any] = set()
        self.moved: Callable[[Judging, Moved], None] = lambda task, moved: None
        self.obtaining: Callable[[CellSpec, Moved], None] = lambda spec, moved: None
        # It computes nothing, so that it takes no CPU from a training; it starts again where its node dies.
        self._board = self._ray.remote(Board).options(num_cpus=0, max_restarts=-1).remote()

    @property
    def count(self) -> int:
        """How many trainings can run at a time on the cluster as it is now."""
        room = self._ray.cluster_resources()
        each = "GPU" if self._options["num_gpus"] else "CPU"
        return max(1, int(room.get(each, 1) // (self._options["num_gpus"] or self._options["num_cpus"])))

    def __enter__(self) -> ClusterWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all running tasks, and disconnect from the cluster if this object connected to it. May be called again."""
        if not self._ray.is_initialized():
            return
        for reference in self._under_way:
            self._ray.cancel(reference, force=True)
        self._under_way.clear()
        self._shared.clear()
        with suppress(self._ray.exceptions.RayError):  # it died before
            self._ray.kill(self._board)
        if self._connected:
            self._ray.shutdown()

    def train(
        self, tasks: Iterable[Judging], started: Callable[[Judging], None] = lambda task: None
    ) -> Iterator[tuple[Judging, Outcome]]:
        """Do all tasks, and yield each with its outcome when it ends. A task whose node dies is tried again.

        Args:
            started: called with each task when its node says that it has begun.

        Raises:
            KitError: an error that every other task would meet, too; the other tasks are ended.
        """
        remote = self._ray.remote(_train).options(**self._options)
        pending: dict[Any, list[Judging]] = {}
        for _, neighbours in groupby(tasks, model_of):
            group = list(neighbours)
            # The first task trains the model; the other tasks only score it on other splits.
            sets = [self._reference(task.data) for task in group if task.data is not None]
            light = [replace(task, data=None) for task in group]
            pending[remote.remote(self._work, light, fingerprint(), self._board, *sets)] = group
        yield from self._results(pending, started)

    def obtain(self, track: Track, wanted: Iterable[tuple[CellSpec, CellInputs]]) -> Iterator[tuple[CellSpec, Answer | Failure]]:
        """Obtain answers, each on a node of its own. If the node dies, the answer is obtained again on another node.

        Raises:
            KitError: as ``train``.
        """
        waiting = deque((spec, inputs, 0) for spec, inputs in wanted)
        busy: dict[Any, tuple[str, CellSpec, CellInputs, int]] = {}
        while waiting or busy:
            taken = {node for node, *_ in busy.values()}
            for node, cpus in _nodes(self._ray).items():
                if waiting and node not in taken:
                    spec, inputs, tries = waiting.popleft()
                    order = Order(track, spec, inputs.path, inputs.weights_dir)
                    strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
                    # This loop tries again, not Ray: Ray would wait for the node that died.
                    remote = self._ray.remote(_obtain).options(num_cpus=cpus, max_retries=0, scheduling_strategy=strategy)
                    reference = remote.remote(order, self._reference(inputs.data), fingerprint(), self._board)
                    busy[reference] = (node, spec, inputs, tries)
                    self._under_way.add(reference)
            if not busy:
                raise ConfigurationError(
                    "the Ray cluster has no node left; start a node, and run the sweep again: finished cells are kept"
                )
            ready, _ = self._ray.wait(list(busy), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS)
            under_way = {spec.answer_digest(): spec for _, spec, *_ in busy.values()}
            for digest, moved in self._news().items():
                if digest in under_way:
                    self.obtaining(under_way[digest], moved)
            for reference in ready:
                _, spec, inputs, tries = busy.pop(reference)
                self._under_way.discard(reference)
                outcome, died = self._outcome(reference)
                if died and tries < RETRIES:
                    waiting.append((spec, inputs, tries + 1))
                else:
                    yield spec, outcome

    def _results(self, pending: dict[Any, list[Judging]], started: Callable[[Judging], None]) -> Iterator[tuple[Judging, Outcome]]:
        self._under_way |= set(pending)
        tasks = {task.spec.digest(): task for group in pending.values() for task in group}
        begun: set[str] = set()
        try:
            while pending:
                ready, _ = self._ray.wait(list(pending), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS)
                for digest, moved in self._news().items():
                    if digest not in begun:
                        begun.add(digest)
                        started(tasks[digest])
                    self.moved(tasks[digest], moved)
                for reference in ready:
                    self._under_way.discard(reference)
                    group, outcome = pending.pop(reference), self._outcome(reference)[0]
                    for number, task in enumerate(group):
                        yield task, outcome if isinstance(outcome, Failure) else self._checked(outcome[number])
        finally:
            for reference in pending:
                self._ray.cancel(reference, force=True)
                self._under_way.discard(reference)

    def _news(self) -> dict[str, Moved]:
        """What the nodes said since the last look; nothing if the board is lost or slow, for it only shows progress."""
        try:
            found: dict[str, Moved] = self._ray.get(self._board.take.remote(), timeout=BOARD_SECONDS)
            return found
        except (self._ray.exceptions.RayError, TimeoutError):
            return {}

    def _outcome(self, reference: Any) -> tuple[Any, bool]:
        """The outcome of a task, and whether it was lost with its node or process.

        Raises:
            KitError: the task raised it.
        """
        exceptions = self._ray.exceptions
        try:
            outcome = self._ray.get(reference)
        except (exceptions.RayTaskError, exceptions.TaskCancelledError) as error:
            return Failure(f"the evaluator failed on the cluster: {error}", ""), False
        except exceptions.RayError as error:  # its worker or node died, or its data were lost
            reason = f"the task was lost {RETRIES + 1} times with its node or process ({type(error).__name__}): {error}"
            return Failure(reason, ""), True
        return self._checked(outcome), False

    @staticmethod
    def _checked(outcome: Any) -> Any:
        if isinstance(outcome, KitError):
            raise outcome
        return outcome

    def _reference(self, data: Any) -> Any:
        """A Ray reference to ``data`` (labels, and paths of the images), so that each node gets it once."""
        if id(data) not in self._shared:
            self._shared[id(data)] = data, self._ray.put(data)
        return self._shared[id(data)][1]


def fingerprint() -> str:
    """The version of the kit, and a hash over its source. Driver and nodes must have the same."""
    return _fingerprint()


@lru_cache(maxsize=1)
def _fingerprint() -> str:
    files = sorted(path for path in KIT.rglob("*") if path.suffix in (".py", ".toml"))
    rows = [f"{path.relative_to(KIT)}:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return f"{__version__} {hashlib.sha256(chr(10).join(rows).encode()).hexdigest()[:16]}"


def _train(work: Work, tasks: list[Judging], expected: str, board: Any, *data: Any) -> list[Any]:
    """Runs on a node: the trainings of one model, one after the other."""
    found = []
    for light, own in zip(tasks, data, strict=True):
        task = replace(light, data=own)
        TELL.send = send = partial(board.put.remote, task.spec.digest())
        send(Moved("training", 0.0))
        found.append(_guarded(partial(work, task), [*task.track.places(task.data), task.checkpoint.parent.parent], expected))
    return found


def _obtain(order: Order, data: Any, expected: str, board: Any) -> Any:
    """Runs on a node: obtains an answer."""
    tell = Telling(partial(board.put.remote, order.spec.answer_digest()))

    def make() -> Answer:
        from evaluator.sandbox.tiers import choose

        found = order.track.source(order.path).digest
        if found != order.spec.submission_digest:
            raise ConfigurationError(
                f"{order.path}: the node {socket.gethostname()} has other files than the driver; let both use one shared folder"
            )
        tier = "auto" if order.spec.tier == GIVEN else order.spec.tier
        sandbox = choose(tier, gpu=order.spec.device.startswith("cuda"))
        inputs = CellInputs(order.path, data, sandbox, order.weights_dir, load().busy())
        return order.track.obtain(order.spec, inputs, tell)

    given = [order.path, *([order.weights_dir] if order.weights_dir else [])]
    return _guarded(make, [*order.track.places(data), *given], expected)


def _guarded(work: Callable[[], Any], places: list[Path], expected: str) -> Any:
    """The result of ``work``, after a check that the node has the same kit and sees ``places``.

    Nothing is raised: a ``KitError`` is returned, and any other exception is returned as a ``Failure``.
    """
    try:
        if fingerprint() != expected:
            raise ConfigurationError(
                f"the node {socket.gethostname()} has the kit {fingerprint()} in {KIT}, the driver has {expected}; "
                "let both use one checkout on the shared file system"
            )
        for place in places:
            if not place.exists():
                raise ConfigurationError(
                    f"the node {socket.gethostname()} does not see {place}; a cluster needs the checkout, data, submissions and "
                    "results under the same paths on every node"
                )
        return work()
    except SubmissionError as error:  # of this submission alone; every other error of the kit would meet all tasks
        return Failure(str(error), "", verdict=error.verdict)
    except KitError as error:
        return error
    except Exception as error:  # a fault of the evaluator in one cell must not end the others
        return Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())


def _nodes(ray: Any) -> dict[str, float]:
    """By node id, the number of CPUs of every running node that has any."""
    return {
        node["NodeID"]: node["Resources"]["CPU"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    }


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ImportError:
        raise ConfigurationError("--ray needs Ray, which is not installed; run `pip install -r requirements-ray.txt`") from None
    return ray


def _connect(ray: Any, address: str) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "WARNING"}
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        try:  # Ray itself would try for minutes and then end the process
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, ValueError) as error:
            raise _nowhere(address, error) from None
    if address == "local":
        settings |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    before = os.environ.get(BREAKPOINT)
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _nowhere(address, error) from None
    finally:  # it takes breakpoint() for a debugger of its own, for good
        if before is None:
            os.environ.pop(BREAKPOINT, None)
        else:
            os.environ[BREAKPOINT] = before


def _nowhere(address: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"there is no Ray cluster at {address!r} ({error}); start one with `ray start --head`, or write --ray local"
    )
