"""Checks of an isolation tier that need a whole session: whenever the worker dies, the evaluator has a verdict and a ledger.

``python -m evaluator doctor --sandbox TIER`` runs them after those of ``evaluator.sandbox.conformance``, which need no market.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.data.cache import CachedImages
from evaluator.errors import Verdict
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionResult, SessionSpec
from evaluator.sandbox.conformance.check import Check, check
from evaluator.sandbox.conformance.stage import PATIENCE, Stage, need
from evaluator.sandbox.limits import Limits

SESSION_CHECKS: list[Check] = []
N_POOL, BUDGET = 200, 50
HEAD = "import ctypes, json, os, signal, sys, threading, time\nimport numpy as np\nfrom run import ZEWDPCBaseRun\n"
BUYS = "def purchase_phase(self, unlabelled_dataset):\n    unlabelled_dataset.purchase_labels(list(range(10)))\n"


def _session(stage: Stage, methods: str, top: str = "", **changes: Any) -> SessionResult:
    """Run a submission whose class has ``methods``, on images and labels made here. ``changes``: fields of the ``SessionSpec``."""
    folder = Path(stage.folder, "session")
    folder.mkdir(exist_ok=True)
    body = textwrap.indent(textwrap.dedent(methods), "    ")
    if "def purchase_phase" not in methods:
        body += textwrap.indent(BUYS, "    ")
    submission = folder / "submission"
    submission.mkdir(exist_ok=True)
    (submission / "run.py").write_text(f"{HEAD}{textwrap.dedent(top)}\nclass Play(ZEWDPCBaseRun):\n{body}")
    path = folder / "images.npy"
    if not path.exists():
        np.save(path, np.zeros((N_POOL, 8, 8, 3), np.uint8))
    labels = (np.arange(N_POOL * 6).reshape(N_POOL, 6) % 5 == 0).astype(np.uint8)
    pool, few = CachedImages(path, np.arange(N_POOL), 8), CachedImages(path, np.arange(20), 8)
    order = np.arange(N_POOL)[::-1].copy()
    spec = SessionSpec(
        submission=submission,
        classes=tuple("abcdef"),
        training=few,
        training_labels=labels[:20],
        pool=pool,
        order=order,
        prediction=few,
        sold=labels,
        budget=BUDGET,
        seconds=PATIENCE,
        prediction_seconds=PATIENCE,
        load_seconds=PATIENCE,
        seed=1,
        limits=Limits(memory=2 << 30),
    )
    return run_session(replace(spec, **changes), stage.sandbox)


def _verdict(result: SessionResult, verdict: Verdict, *words: str, reason: str | None = None) -> None:
    reason = result.reason if reason is None else reason
    need(result.verdict is verdict, f"{result.verdict} instead of {verdict}: {result.reason} {result.log[-300:]!r}")
    need(all(word in reason for word in words), f"the reason does not name {words}: {reason!r}")


@check(SESSION_CHECKS)
def a_session_goes_through(stage: Stage) -> str:
    """A submission that buys and predicts: it gets the labels of the pool, its predictions arrive, and its prints are logged."""
    result = _session(
        stage,
        """
        def purchase_phase(self, unlabelled_dataset):
            self.bought = unlabelled_dataset.purchase_labels([3, 1, 2])
            print("PRINTED", self.bought.sum())
        def prediction_phase(self, test_dataset):
            return np.full((len(test_dataset), 6), 0.25)
        """,
    )
    _verdict(result, Verdict.OK)
    expected = (np.arange(N_POOL * 6).reshape(N_POOL, 6) % 5 == 0)[[N_POOL - 4, N_POOL - 2, N_POOL - 3]]
    need([p.index for p in result.ledger.purchases] == [3, 1, 2], "the ledger does not contain the labels that were bought")
    need(f"PRINTED {expected.sum()}" in result.log, "the labels that were sold are not those of the pool")
    need(result.predictions is not None and (result.predictions == 0.25).all(), "the predictions differ")
    need(result.limited_by, "the session does not say what enforces its limits")
    return f"limits by {result.limited_by}"


@check(SESSION_CHECKS)
def death_during_the_import_is_survived(stage: Stage) -> None:
    """A worker that is killed while it imports the submission: RUNTIME_ERROR, with the signal and the place."""
    _verdict(_session(stage, "", top="os.kill(os.getpid(), 9)"), Verdict.RUNTIME_ERROR, "SIGKILL", "importing")


@check(SESSION_CHECKS)
def death_during_pre_training_is_survived(stage: Stage) -> None:
    """A worker that is killed in the first phase: RUNTIME_ERROR, with the signal and the phase; nothing is bought."""
    result = _session(stage, "def pre_training_phase(self):\n    os.kill(os.getpid(), 9)\n")
    _verdict(result, Verdict.RUNTIME_ERROR, "SIGKILL", "pre_training_phase")
    need(len(result.ledger) == 0, "something was bought")


@check(SESSION_CHECKS)
def death_after_purchases_keeps_the_ledger(stage: Stage) -> None:
    """A worker that crashes in the purchase phase: RUNTIME_ERROR, and the ledger has the labels that were bought before."""
    methods = BUYS + "    ctypes.string_at(0)\n"
    result = _session(stage, methods)
    _verdict(result, Verdict.RUNTIME_ERROR, "SIGSEGV", "purchase_phase")
    need(len(result.ledger) == 10, f"the ledger holds {len(result.ledger)} of 10 purchases")


@check(SESSION_CHECKS)
def death_during_a_purchase_is_survived(stage: Stage) -> None:
    """A worker that is killed while one of its threads buys: RUNTIME_ERROR, and a ledger within the budget."""
    methods = """
    def purchase_phase(self, unlabelled_dataset):
        def buy():
            for number in range(49):
                unlabelled_dataset.purchase_label(number)
        threading.Thread(target=buy).start()
        time.sleep(0.01)
        os.kill(os.getpid(), 9)
    """
    result = _session(stage, methods)
    _verdict(result, Verdict.RUNTIME_ERROR, "SIGKILL")
    need(len(result.ledger) <= 49, f"the ledger holds {len(result.ledger)} purchases")


CHANNEL = """
def channel():
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.readlink("/proc/self/fd/" + name).startswith("socket"):
                return int(name)
        except OSError:
            pass
"""


@check(SESSION_CHECKS)
def death_in_the_middle_of_a_frame_is_survived(stage: Stage) -> None:
    """A worker that dies after half of a purchase's frame: RUNTIME_ERROR, and nothing is bought."""
    methods = """
    def purchase_phase(self):
        header = b'{"t":"buy"}'
        frame = len(header).to_bytes(4, "big") + (80).to_bytes(4, "big") + header + bytes(80)
        os.write(channel(), frame[:40])
        os._exit(5)
    """
    result = _session(stage, methods, top=CHANNEL)
    _verdict(result, Verdict.RUNTIME_ERROR, "status 5")
    need(len(result.ledger) == 0, "half a frame was served")


@check(SESSION_CHECKS)
def death_right_after_a_purchase_was_asked_for_is_survived(stage: Stage) -> None:
    """A worker that asks for labels and dies before they are sent: RUNTIME_ERROR; the evaluator goes on."""
    methods = """
    def purchase_phase(self):
        header = b'{"t":"buy"}'
        frame = len(header).to_bytes(4, "big") + (8).to_bytes(4, "big") + header + bytes(8)
        os.write(channel(), frame * 5000)
        os.kill(os.getpid(), 9)
    """
    _verdict(_session(stage, methods, top=CHANNEL), Verdict.RUNTIME_ERROR, "SIGKILL")


@check(SESSION_CHECKS)
def death_during_the_prediction_keeps_the_purchases(stage: Stage) -> None:
    """A worker that is killed in the prediction phase: the run keeps its purchases, the phase has its own verdict."""
    result = _session(stage, "def prediction_phase(self, test_dataset):\n    os.kill(os.getpid(), 9)\n")
    _verdict(result, Verdict.OK)
    last = result.phases[-1]
    need(last.name == "prediction_phase" and last.verdict is Verdict.RUNTIME_ERROR, f"the last phase is {last}")
    need("SIGKILL" in last.reason and len(result.ledger) == 10, f"{last.reason}; {len(result.ledger)} of 10 purchases")


@check(SESSION_CHECKS)
def leaving_with_zero_is_no_success(stage: Stage) -> None:
    """A worker that exits with status 0 in the middle of a phase: RUNTIME_ERROR."""
    _verdict(_session(stage, BUYS + "    os._exit(0)\n"), Verdict.RUNTIME_ERROR, "status 0")


@check(SESSION_CHECKS)
def a_closed_channel_is_an_error_of_the_submission(stage: Stage) -> None:
    """A worker that closes its channel in the middle of a phase and goes on: RUNTIME_ERROR, and the reason says so."""
    methods = "def purchase_phase(self):\n    os.close(channel())\n    time.sleep(600)\n"
    _verdict(_session(stage, methods, top=CHANNEL), Verdict.RUNTIME_ERROR, "closed its channel")


@check(SESSION_CHECKS)
def a_late_worker_is_a_time_limit(stage: Stage) -> str:
    """A worker that sleeps past its limit: TIME_LIMIT, and what it bought before stays in the ledger."""
    result = _session(stage, BUYS + "    time.sleep(600)\n", seconds=1.0)
    _verdict(result, Verdict.TIME_LIMIT)
    need(len(result.ledger) == 10, f"the ledger holds {len(result.ledger)} of 10 purchases")
    return f"ended {result.seconds - 1.0:.3f} s after the limit"


@check(SESSION_CHECKS)
def a_forged_frame_is_a_protocol_error(stage: Stage) -> None:
    """A worker that writes bytes to the channel that are not a frame: PROTOCOL_ERROR."""
    methods = "def purchase_phase(self):\n    os.write(channel(), b'\\xff' * 64)\n    time.sleep(600)\n"
    _verdict(_session(stage, methods, top=CHANNEL), Verdict.PROTOCOL_ERROR)


@check(SESSION_CHECKS)
def too_much_memory_is_a_memory_limit(stage: Stage) -> str:
    """A worker that uses too much memory: MEMORY_LIMIT, with the memory used and the memory allowed."""
    methods = BUYS + "    kept = []\n    for _ in range(160):\n        kept.append(b'x' * (8 << 20))\n        time.sleep(0.005)\n"
    result = _session(stage, methods, limits=Limits(memory=512 << 20))
    _verdict(result, Verdict.MEMORY_LIMIT, "memory:", "0.50 GiB allowed")
    need(len(result.ledger) == 10, f"the ledger holds {len(result.ledger)} of 10 purchases")
    return result.reason


@check(SESSION_CHECKS)
def a_checkpoint_survives_a_fresh_worker(stage: Stage) -> None:
    """A fresh worker per phase: load_checkpoint reads what save_checkpoint wrote in the worker before, and nothing else is kept."""
    methods = """
    def pre_training_phase(self):
        self.state = os.getpid()
    def save_checkpoint(self, path):
        with open(os.path.join(path, "state.json"), "w") as file:
            json.dump(self.state, file)
    def load_checkpoint(self, path):
        with open(os.path.join(path, "state.json")) as file:
            self.state = json.load(file)
    def purchase_phase(self, unlabelled_dataset):
        assert isinstance(self.state, int)
        self.state = [self.state, len(unlabelled_dataset.purchase_labels([0, 1]))]
    def prediction_phase(self, test_dataset):
        assert self.state[1] == 2
        return np.ones((len(test_dataset), 6))
    """
    result = _session(stage, methods, restart=True)
    _verdict(result, Verdict.OK)
    failed = [phase for phase in result.phases if phase.verdict is not Verdict.OK]
    need(len(result.phases) == 3 and not failed, f"{failed or result.phases}")
