"""Specs and results of cells that were never run, for tests of what is stored, listed and compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conftest import TINY

from evaluator.errors import Verdict
from evaluator.purchase.result import PurchaseResult, without_score
from evaluator.purchase.rounds import Pair
from evaluator.purchase.spec import PurchaseSpec
from evaluator.training.recipes import PIPELINES

PAIRS = (Pair(621, 17), Pair(1321, 34))
VERSIONS = {
    "kit": "0.3.0",
    "python": "3.11.7",
    "machine": "x86_64",
    "processor": "A Processor",
    "numpy": "2.4.0",
    "torch": "2.15.0",
}
NEWER = VERSIONS | {"python": "3.13.1", "numpy": "2.5.0"}


def spec(name: str = "mine", pair: Pair = PAIRS[0], seed: int = 0, **changes: Any) -> PurchaseSpec:
    """What would be run."""
    settings = {
        "submission": name,
        "submission_digest": f"{name:0<8}digest",
        "profile": TINY,
        "pair": pair,
        "seed": seed,
        "root_seed": 1,
        "pipeline": PIPELINES["quick"],
        "weights": "sha256:0",
        "data": {"training": "a", "unlabelled": "b", "validation": "c"},
        "score_split": "validation",
        "tier": "process",
        "device": "cpu",
        "threads": 1,
    }
    return PurchaseSpec(**(settings | changes))


def result(described: PurchaseSpec, score: float | None, *, bought: int = 12, **changes: Any) -> PurchaseResult:
    """A cell with that score in every metric's own way, or a failed one where it is None."""
    empty = without_score(described, "")
    common = {
        "versions": VERSIONS,
        "fit_to_submit": score is not None,
        "purchase": replace(empty.purchase, bought=bought, seconds=3.0, clock_was_read=False),
    }
    found: dict[str, Any] = {"verdict": Verdict.RUNTIME_ERROR, "reason": "ZeroDivisionError: division by zero"}
    if score is not None:
        metrics = {"macro_f1": score, "accuracy": score / 2, "hamming_loss": 1 - score}
        found = {"verdict": Verdict.OK, "metrics": metrics | {"f1": {}, "n": 80, "best_constant_macro_f1": 0.1}}
    return replace(empty, **(common | found | changes))
