"""What one cell costs: its start, its memory, its purchases, and its result."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fabricated
from benchmarks.scale.bench import Bench
from benchmarks.scale.growth import FLAT
from benchmarks.scale.synthetic import CLASSES
from benchmarks.stopwatch.processor import PROCESSOR
from evaluator.data.cache import CachedImages
from evaluator.data.folders import Split
from evaluator.errors import Verdict
from evaluator.history.store import Store
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.profiles import DEBUG
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionSpec
from evaluator.purchase.spec import PurchaseSpec
from evaluator.sandbox.guarded import GuardedWorker
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tier import WorkerSpec
from evaluator.seeds import generator
from evaluator.training.recipes import load_pipeline

MIB = 1 << 20
FEW = 100
"""Images of the training set and of the prediction phase: few, so that the pool is what is measured."""

CELL: dict[str, dict[str, Any]] = {
    "draw the order, open the market": {},
    "worker greets": {"limit": FLAT},
    "first line of the submission": {"limit": FLAT},
    "purchase phase has its data set": {"limit": FLAT, "note": "the three rows count from before the order is drawn"},
    "one purchase": {"limit": FLAT, "note": "mean of 100"},
}
MEMORY: dict[str, dict[str, Any]] = {
    "worker at the purchase phase": {"unit": "MiB", "limit": FLAT},
    "worker when it has read the pool": {"unit": "MiB"},
    "of that its own, not the mapped pool": {"unit": "MiB", "limit": FLAT},
    "evaluator, peak added by a session": {"unit": "MiB", "note": "as allocated"},
}
PURCHASE: dict[str, dict[str, Any]] = {
    "buy one by one": {},
    "buy in one batch": {},
    "ledger into canonical order": {"note": PROCESSOR},
    "gather the bought images": {"note": PROCESSOR},
    "write the result file": {"note": "with the wait for the disk"},
    "read it back for a replay": {"note": PROCESSOR},
}
SIZE: dict[str, dict[str, Any]] = {
    "start of a cell": {"limit": FLAT},
    "gather all images": {"note": PROCESSOR},
}

PROBE = """
import json, time
IMPORTED = time.monotonic()
from run import ZEWDPCBaseRun
def memory():
    with open("/proc/self/smaps_rollup") as file:
        found = dict(line.split()[:2] for line in file if line.startswith("Pss"))
    return {name: 1024 * int(found[key]) for name, key in (("all", "Pss:"), ("own", "Pss_Anon:"))}
class Probe(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        n = len(unlabelled_dataset)
        figures = {"imported": IMPORTED, "seen": time.monotonic()}
        figures["start"] = memory()
        step = max(1, n // budget)
        wanted = list(range(0, n, step))[:budget]
        started = time.perf_counter()
        if BATCH:
            unlabelled_dataset.purchase_labels(wanted)
        else:
            for index in wanted:
                unlabelled_dataset.purchase_label(index)
        figures["bought"], figures["count"] = time.perf_counter() - started, len(wanted)
        if READ:
            for item in unlabelled_dataset:
                item["image"].max()
            figures["read"] = memory()
        print("FIGURES " + json.dumps(figures))
"""


class Noting(ProcessSandbox):
    """The sandbox ``process``, which also notes when its worker greets."""

    def __init__(self) -> None:
        super().__init__()
        self.greeted = 0.0

    def start(self, spec: WorkerSpec) -> GuardedWorker:
        """See ``Sandbox.start``."""
        worker = super().start(spec)
        receive = worker.channel.receive

        def noting(deadline: float) -> Any:
            message = receive(deadline)
            self.greeted = self.greeted or time.monotonic()
            return message

        worker.channel.receive = noting  # type: ignore[method-assign]
        return worker


def run_probe(
    folder: Path, split: Split, images: CachedImages, budget: int, *, batch: bool = False, read: bool = False
) -> tuple[dict[str, Any], Ledger]:
    """A session of the probe: its figures, with the moments ``order``, ``drawn`` and ``greeted`` added, and its ledger.

    Raises:
        RuntimeError: the session failed.
    """
    submission = folder / f"probe-{int(batch)}{int(read)}.py"
    submission.write_text(f"BATCH, READ = {batch}, {read}\n{PROBE}")
    few = CachedImages(images.path, images.rows[:FEW], images.size)
    sandbox = Noting()
    began = time.monotonic()
    order = generator(1, "benchmark", "pool order").permutation(len(split))
    drawn = time.monotonic()
    session = SessionSpec(
        submission=submission,
        classes=CLASSES,
        training=few,
        training_labels=split.labels[:FEW],
        pool=images,
        order=order,
        prediction=few,
        sold=split.labels,
        budget=budget,
        seconds=600,
        prediction_seconds=60,
        load_seconds=120,
        seed=1,
    )
    result = run_session(session, sandbox)
    line = next((line for line in result.log.splitlines() if line.startswith("FIGURES ")), None)
    if result.verdict is not Verdict.OK or line is None:
        raise RuntimeError(f"the probe failed: {result.verdict} {result.reason}\n{result.trace}")
    return json.loads(line[8:]) | {"order": began, "drawn": drawn, "greeted": sandbox.greeted}, result.ledger


def pools(bench: Bench, given: dict[int, tuple[Split, CachedImages]]) -> None:
    """Start, one purchase and memory, by images in the pool."""
    for turn in range(bench.plan.turns + 1):
        for n, (split, images) in given.items():
            figures, _ = run_probe(bench.folder, split, images, bench.plan.bought)
            if not turn:
                continue
            bench.keep("cell: draw the order, open the market", n, figures["drawn"] - figures["order"])
            bench.keep("cell: worker greets", n, figures["greeted"] - figures["order"])
            bench.keep("cell: first line of the submission", n, figures["imported"] - figures["order"])
            bench.keep("cell: purchase phase has its data set", n, figures["seen"] - figures["order"])
            bench.keep("cell: one purchase", n, figures["bought"] / figures["count"])
            bench.keep("memory: worker at the purchase phase", n, figures["start"]["all"] / MIB)
    for _ in range(bench.plan.long_turns):
        for n, (split, images) in given.items():
            figures, _ = run_probe(bench.folder, split, images, bench.plan.bought, read=True)
            bench.keep("memory: worker when it has read the pool", n, figures["read"]["all"] / MIB)
            bench.keep("memory: of that its own, not the mapped pool", n, figures["read"]["own"] / MIB)
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
            run_probe(bench.folder, split, images, bench.plan.bought)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            bench.keep("memory: evaluator, peak added by a session", n, (peak - before) / MIB)


def labels(bench: Bench, split: Split, images: CachedImages) -> None:
    """Purchases, ledger and result, by labels bought."""
    store = Store(bench.folder / "results")
    for turn in range(bench.plan.turns + 1):
        for k in bench.plan.labels:
            single, ledger = run_probe(bench.folder, split, images, k)
            batch, _ = run_probe(bench.folder, split, images, k, batch=True)
            if not turn:
                continue
            bench.keep("purchase: buy one by one", k, single["bought"])
            bench.keep("purchase: buy in one batch", k, batch["bought"])
            wanted, _ = bench.processor("purchase: ledger into canonical order", k, ledger.canonical, len(CLASSES))
            bench.processor("purchase: gather the bought images", k, images.gather, wanted)
            spec = _spec(k)
            judged = fabricated.judged(spec, fabricated.purchase(spec, ledger))
            bench.timed("purchase: write the result file", k, store.write_cell, judged)
            bench.processor("purchase: read it back for a replay", k, _replayed, store, spec.digest(), len(ledger))


def _spec(seed: int) -> PurchaseSpec:
    """The spec of a cell that nobody ran."""
    return PurchaseSpec(
        submission="probe",
        submission_digest="",
        profile=DEBUG,
        pair=DEBUG.pairs[0],
        seed=seed,
        root_seed=1,
        pipeline=load_pipeline(DEBUG.pipeline),
        weights="none",
        data={},
        score_split="validation",
        tier=ProcessSandbox.name,
        device="cpu",
        threads=1,
    )


def _replayed(store: Store, digest: str, n: int) -> None:
    stored = store.read_cell(digest)
    if stored is None or len(Ledger.from_rows(stored["ledger"])) != n:
        raise RuntimeError(f"the ledger of {n} purchases was not read back")


def sides(bench: Bench, given: dict[int, tuple[Split, CachedImages]]) -> None:
    """Start of a cell and gathering of its images, by image size."""
    for turn in range(bench.plan.turns + 1):
        for pixels, (split, images) in given.items():
            figures, _ = run_probe(bench.folder, split, images, bench.plan.bought)
            everything = np.arange(len(images))
            if turn:
                bench.keep("size: start of a cell", pixels, figures["seen"] - figures["order"])
                bench.processor("size: gather all images", pixels, images.gather, everything)
