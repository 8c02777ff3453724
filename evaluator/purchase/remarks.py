"""What a person is warned of after a cell: labels that were not bought, what was returned, a training that taught nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaluator.purchase.metrics import collapsed
from evaluator.tables import Remark
from evaluator.words import counted


def spending(bought: int, possible: int, disagreement: str | None) -> Iterator[Remark]:
    """The remarks on what was bought and returned, for a run, ``validate`` and ``--debug`` alike.

    Args:
        bought: labels; ``possible``: that could be bought, which is the budget or the pool.
        disagreement: how the return value contradicts what was bought, in words; else None.
    """
    if bought == 0 and possible > 0:
        yield Remark(
            "nothing was bought",
            f"0 of {possible}",
            "Call purchase_label or purchase_labels in purchase_phase; what is returned alone buys nothing.",
        )
    elif bought < possible:
        advice = "Labels that are left over are worth nothing: buy until remaining_budget is 0."
        yield Remark("a part of the budget was not spent", f"{bought} of {counted(possible, 'label')}", advice)
    if disagreement:
        yield Remark("what was returned is not what was bought", disagreement, "Return what you bought, or nothing.")


def remarks(cell: Mapping[str, Any]) -> Iterator[Remark]:
    """The remarks on a cell that has a score. ``cell``: as stored."""
    metrics, row = cell["metrics"], cell["purchase"]
    if not metrics:
        return
    pool = (cell.get("data") or {}).get("counts", {}).get("unlabelled", row["budget"])
    yield from spending(row["bought"], min(row["budget"], pool), row["disagreement"])
    if collapsed(metrics):
        constant = metrics.get("best_constant_macro_f1")
        yield Remark(
            "the score is no better than that of the best constant prediction",
            f"macro F1 {metrics['macro_f1']:.3f}" + ("" if constant is None else f", constant {constant:.3f}"),
            "The same answer for every image would do as well: the figures of such a run say little about the strategy.",
        )
    yield from _diverged(cell.get("training") or {})


def _diverged(training: Mapping[str, Any]) -> Iterator[Remark]:
    """A training whose loss ends above that of its first epoch has lost what it began with."""
    losses = [epoch["loss"] for epoch in training.get("history") or ()]
    if len(losses) > 1 and losses[-1] > losses[0]:
        yield Remark(
            "the training diverged",
            f"loss {losses[0]:.3f} in epoch 1, {min(losses):.3f} at best, {losses[-1]:.3f} at the end",
            "The recipe is too fast for these items, so the score says nothing of them: try a pipeline with a lower learning_rate.",
        )
