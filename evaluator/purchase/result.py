"""The result of a cell in the purchase track: the common record, a summary of the purchase, and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypedDict

import msgspec

from evaluator.errors import Verdict
from evaluator.fields import count, doc, duration, share
from evaluator.purchase.purchased import Purchased, Sold
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import CellResult, TrainingRow
from evaluator.specs import digest_of

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class MetricsRow(TypedDict):
    """The scores of a set of predictions."""

    macro_f1: Annotated[float, share("mean of F1 over the classes")]
    f1: Annotated[dict[str, Share], doc("F1 per class; 0 for a class that no image has and none is predicted to have")]
    accuracy: Annotated[float, share("share of images with every class right (exact match)")]
    hamming_loss: Annotated[float, share("share of wrong label entries")]
    n: Annotated[int, count("number of images scored")]
    best_constant_macro_f1: Annotated[float, share("macro F1 of the best answer that is the same for every image")]


@dataclass(frozen=True, kw_only=True)
class PurchaseTraining(TrainingRow):
    """How a pipeline was trained on the training set and the bought labels."""

    n_training_set: Annotated[int, count("items from the training set")]
    n_bought: Annotated[int, count("items from the ledger")]


@dataclass(frozen=True, kw_only=True)
class PurchaseRow:
    """Summary of the purchase."""

    budget: Annotated[int, count("number of labels that could be bought")]
    bought: Annotated[int, count("number of labels that were bought")] = 0
    seconds: Annotated[float, duration("time used on the clock that pre-training and purchase share")] = 0.0
    seconds_allowed: Annotated[float, duration("limit of that clock")]
    disagreement: Annotated[
        str | None, doc("how the return value of `purchase_phase` contradicts the ledger, in words; else `null`")
    ] = None
    clock_was_read: Annotated[
        bool | None, doc("whether the submission asked for the time; what it buys may then differ from run to run")
    ] = None
    class_name: Annotated[str | None, doc("name of the participant's class")] = None
    trace: Annotated[
        str,
        doc(
            "the participant's traceback, beginning with the submission's own code; after a time limit or a crash, where its"
            " threads were; the evaluator's traceback for `INFRASTRUCTURE`; else empty"
        ),
    ] = ""
    full_trace: Annotated[str, doc("the traceback with the frames of the worker, where `trace` leaves some out; else empty")] = ""
    last_lines: Annotated[str, doc("the last lines that the submission printed, if one of its phases failed; else empty")] = ""
    content: Annotated[
        str | None,
        doc(
            "hash over what was bought: the images and their labels, without order and times; equal for equal purchases. `null` "
            "without a purchase, and in cells of older kits"
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PurchaseResult(CellResult):
    """The result of a cell; see ``CellResult``."""

    bulk: ClassVar[frozenset[str]] = frozenset({"spec", "ledger"})

    spec: PurchaseSpec
    metrics: Annotated[MetricsRow | None, doc("the scores; `null` without a score")] = None  # type: ignore[assignment]
    training: Annotated[
        PurchaseTraining | None, doc("how the pipeline was trained; `null` if nothing was trained, as in round 1")
    ] = None
    purchase: PurchaseRow
    ledger: Annotated[list[Sold], doc("every label that was bought, in order")] = field(default_factory=list)


def without_score(spec: PurchaseSpec, reason: str, trace: str = "", verdict: Verdict = Verdict.INFRASTRUCTURE) -> PurchaseResult:
    """The result of a cell that failed before there was an answer: by default by a fault of the evaluator."""
    return PurchaseResult.of(spec, None, verdict, reason=reason, purchase=purchase_row(spec, None, trace))


def purchase_row(spec: PurchaseSpec, purchased: Purchased | None, trace: str = "") -> PurchaseRow:
    """Summary of a purchase at the cell's pair; without a purchase nothing was bought."""
    budget, allowed = spec.profile.budget(spec.pair), spec.profile.seconds(spec.pair)
    if purchased is None:
        return PurchaseRow(budget=budget, seconds_allowed=allowed, trace=trace)
    session = purchased.session
    return PurchaseRow(
        budget=budget,
        seconds_allowed=allowed,
        bought=len(session.ledger),
        seconds=round(session.seconds, 6),
        disagreement=session.disagreement,
        clock_was_read=session.clock_was_read,
        class_name=session.class_name,
        trace=session.trace,
        full_trace=session.full_trace,
        last_lines=session.last_lines,
        content=digest_of({"bought": sorted([sold.image, *map(int, sold.label)] for sold in session.ledger)}),
    )


def observed(cell: Mapping[str, Any]) -> str | None:
    """What a stored cell is an observation of: see ``Track.observation``.

    It is what was bought; with the seed where the profile draws training set or pool by seed, because the inputs then differ. Of
    cells of older kits, which do not store it, only those with the same predictions, to the bit, are known to be the same.
    """
    content = cell["purchase"].get("content")
    if content is None:
        found = cell.get("fingerprint")
        return None if found is None else str(found)
    drawn = any((cell["spec"]["profile"].get("drawn") or {}).values())
    return f"{content} {cell['spec']['seed']}" if drawn else str(content)


def upgraded(stored: dict[str, Any]) -> dict[str, Any]:
    """A cell of schema 1 (kit 0.1 and 0.2), or some of its members, converted to the current schema.

    Its spec has no version of the judging code, which was 1. The version of the kit stays in ``versions``.
    """
    new = dict(stored)
    if "spec" in new:
        spec = {name: value for name, value in new["spec"].items() if name not in ("kit", "schema", "pair")}
        new["spec"] = spec | {"schema": 1, "version": 1, "task": new["spec"]["pair"]}
    if "purchase" in new:
        row = dict(new["purchase"])
        new["answer"] = {"file": row.pop("file"), "checksum": row.pop("checksum", None)}
        new["purchase"] = {"clock_was_read": None} | row | {"class_name": row.pop("class", None)}
        new["purchase"].pop("class", None)
    return new | {"schema": 1}
