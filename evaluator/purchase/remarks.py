"""What a person is warned of after a purchase: labels that were not bought, what was returned, a score that says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
    constant = metrics.get("best_constant_macro_f1")
    if constant is not None and metrics["macro_f1"] < constant:
        yield Remark(
            "the score is below that of the best constant prediction",
            f"macro F1 {metrics['macro_f1']:.3f}, constant {constant:.3f}",
            "The same answer for every image would do better: the figures of such a run say little about the strategy.",
        )
