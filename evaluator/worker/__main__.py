"""The worker process: waits for orders on its channel, runs the participant's hooks, and answers.

Started as ``python -s -P .../evaluator/worker/__main__.py DESCRIPTOR KIT_ROOT``. Orders: ``load``, ``phase``, ``save``,
``load_state``, ``exit``.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])

import os
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.worker import compat, phases
from evaluator.worker.channel import ChannelClosed, WorkerChannel
from evaluator.worker.datasets import ImageDataset, PoolDataset
from evaluator.worker.images import map_rows
from evaluator.worker.loader import find_class, load_entry
from evaluator.worker.market import MarketClient

HOOKS = ("pre_training_phase", "purchase_phase", "prediction_phase")
MESSAGE_CAP = 2_000
TRACEBACK_CAP = 16_000


class Worker:
    """One participant's object and the orders it is given."""

    def __init__(self, channel: WorkerChannel) -> None:
        self.channel = channel
        self.participant: Any = None
        self.training: ImageDataset | None = None
        self.clock_was_read = False

    def serve(self) -> None:
        """Answer orders until ``exit``."""
        self.channel.send({"t": "hello", "pid": os.getpid(), "numpy": np.__version__, "python": sys.version.split()[0]})
        while True:
            order, blob = self.channel.receive()
            if order["t"] == "exit":
                return
            try:
                answer, payload = getattr(self, "on_" + order["t"])(order, blob)
            except ChannelClosed:
                raise
            except BaseException as error:  # SystemExit and KeyboardInterrupt of a participant are results too
                answer, payload = _failure(error), b""
            if os.getpid() != self.channel.pid:
                # A forked child that came back from the participant's code; the channel is its parent's.
                os._exit(0)
            sys.stdout.flush()
            sys.stderr.flush()
            self.channel.send(answer, payload)

    def on_load(self, order: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
        """Import the submission and make the participant's object."""
        path = Path(order["submission"])
        module = load_entry(path)
        chosen = find_class(module, path if path.is_dir() else path.parent)
        self.participant = chosen()
        missing = [hook for hook in HOOKS if not callable(getattr(self.participant, hook, None))]
        if missing:
            raise TypeError(f"{chosen.__name__} has no {', '.join(missing)}; the three phases are {', '.join(HOOKS)}")
        return {
            "t": "done",
            "class": chosen.__name__,
            "saves": callable(getattr(self.participant, "save_checkpoint", None)),
            "loads": callable(getattr(self.participant, "load_checkpoint", None)),
        }, b""

    def on_phase(self, order: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        """Run one of the three phases."""
        return getattr(self, "_" + order["name"])(order, _arrays(order["arrays"], blob))

    def _pre_training_phase(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], bytes]:
        self._call("pre_training_phase", order, training_dataset=self._training(order, arrays))
        return {"t": "done"}, b""

    def _purchase_phase(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], bytes]:
        classes = order["classes"]
        rows = map_rows(order["pool_rows"])
        market = MarketClient(self.channel, len(rows), len(classes), order["budget"], order["seconds"])
        pool = PoolDataset(order["pool"], rows, classes, market, embeddings=order.get("pool_embeddings"))
        try:
            returned = self._call(
                "purchase_phase",
                order,
                unlabelled_dataset=pool,
                training_dataset=self._training(order, arrays),
                budget=order["budget"],
            )
        finally:
            market.close()
        clock = self.clock_was_read or market.clock_was_read
        claim = phases.purchase_claim(returned, len(classes))
        if claim is None or len(claim[0]) > len(rows):
            return {"t": "done", "claim": "none", "clock": clock}, b""
        indices, labels = claim
        payload = indices.tobytes() + (b"" if labels is None else labels.tobytes())
        kind = "indices" if labels is None else "labels"
        return {"t": "done", "claim": kind, "n": len(indices), "clock": clock}, payload

    def _prediction_phase(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], bytes]:
        dataset = ImageDataset(order["images"], arrays["rows"], None, order["classes"], embeddings=order.get("embeddings"))
        returned = self._call("prediction_phase", order, test_dataset=dataset)
        values = phases.prediction_array(returned, dataset)
        # A wrong shape is named by the evaluator; its values are not worth sending.
        right = values.shape == (len(dataset), len(dataset.classes))
        return {"t": "done", "shape": list(values.shape)[:8]}, values.tobytes() if right else b""

    def on_save(self, order: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
        """Let the participant write a checkpoint."""
        _with_path(self.participant.save_checkpoint, order["path"])
        return {"t": "done"}, b""

    def on_load_state(self, order: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
        """Let the participant read its checkpoint back."""
        _with_path(self.participant.load_checkpoint, order["path"])
        return {"t": "done"}, b""

    def _training(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> ImageDataset:
        if self.training is None:
            classes = order["classes"]
            labels = arrays["training_labels"].reshape(-1, len(classes)).astype(np.int64)
            self.training = ImageDataset(
                order["training"], arrays["training_rows"], labels, classes, embeddings=order.get("training_embeddings")
            )
        return self.training

    def _call(self, hook: str, order: dict[str, Any], **offered: Any) -> Any:
        offered |= {"time_available": order["seconds"], "register_progress": self._progress, "seed": order["seed"]}
        bound = getattr(self.participant, hook)
        chosen = phases.keywords_for(bound, offered)
        # The kit's own empty hooks take the time as well, and do nothing with it.
        if getattr(bound, "__module__", None) != "run":
            self.clock_was_read |= any(name in chosen for name in phases.ALIASES["time_available"])
        return bound(**chosen)

    def _progress(self, fraction: float = 0.0, *_: Any, **__: Any) -> None:
        """Tell the evaluator how much of the phase is done, 0 to 1. Never raises, whatever it is given."""
        try:
            value = float(fraction)
        except Exception:  # a progress line is not worth a phase
            return
        if os.getpid() == self.channel.pid and value == value:
            self.channel.send({"t": "progress", "fraction": min(1.0, max(0.0, value))})


def _with_path(hook: Any, folder: str) -> None:
    # Submissions differ in whether the path is a folder or a file; a hook that opens the folder as a file gets a file in it.
    try:
        hook(folder)
    except IsADirectoryError:
        hook(str(Path(folder) / "checkpoint"))
    except (RuntimeError, OSError) as error:
        if "is a directory" not in str(error).lower() and not isinstance(error, PermissionError):
            raise
        hook(str(Path(folder) / "checkpoint"))


def _arrays(layout: list[list[Any]], blob: bytes) -> dict[str, np.ndarray]:
    arrays, offset = {}, 0
    for name, dtype, count in layout:
        arrays[name] = np.frombuffer(blob, dtype, count=count, offset=offset)
        offset += arrays[name].nbytes
    return arrays


def _failure(error: BaseException) -> dict[str, Any]:
    try:
        message = str(error)
        trace = "".join(traceback.format_exception(error))
    except Exception as second:  # an exception whose own __str__ raises
        message, trace = f"(its message cannot be shown: {type(second).__name__})", ""
    return {"t": "failed", "error": type(error).__name__[:200], "message": message[:MESSAGE_CAP], "trace": trace[-TRACEBACK_CAP:]}


def main() -> None:
    """Serve on the descriptor named on the command line."""
    channel = WorkerChannel(int(sys.argv[1]))
    compat.install()
    import run  # noqa: F401  (so that ``from run import ZEWDPCBaseRun`` means the kit's, also in a submission's own run.py)

    try:
        Worker(channel).serve()
    except ChannelClosed:
        # The evaluator has ended this run; whatever is left to say has no listener.
        os._exit(0)


if __name__ == "__main__":
    main()
