"""A cell's outcome in the purchase track: the common record, what was bought, and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypedDict

import msgspec

from evaluator.errors import ConfigurationError, Verdict
from evaluator.machine import versions
from evaluator.purchase.purchased import Purchased, Sold
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import AnswerRef, CellResult, IsolationRow, TrainingRow, doc


class MetricsRow(TypedDict):
    """What a set of predictions scored."""

    macro_f1: Annotated[float, doc("mean of F1 over the classes")]
    f1: Annotated[dict[str, float], doc("per class; 0 where no image has it and none is predicted to have it")]
    accuracy: Annotated[float, doc("share of images with every class right (exact match)")]
    hamming_loss: Annotated[float, doc("share of wrong label entries")]
    n: Annotated[int, doc("images scored")]
    best_constant_macro_f1: Annotated[float, doc("macro F1 of the best answer that is the same for every image")]


@dataclass(frozen=True, kw_only=True)
class PurchaseTraining(TrainingRow):
    """How a pipeline was trained on the training set and what was bought."""

    n_training_set: Annotated[int, doc("items from the training set")]
    n_bought: Annotated[int, doc("items from the ledger")]


@dataclass(frozen=True, kw_only=True)
class PurchaseRow:
    """What was bought, and how that went."""

    budget: Annotated[int, doc("labels that could be bought")]
    bought: Annotated[int, doc("labels that were bought")] = 0
    seconds: Annotated[float, doc("used on the clock that pre-training and purchase share")] = 0.0
    seconds_allowed: Annotated[float, doc("limit of that clock")]
    disagreement: Annotated[str | None, doc("where the return value of `purchase_phase` contradicts the ledger, in words")] = None
    clock_was_read: Annotated[
        bool | None, doc("whether the submission asked for the time, so that what it buys may differ from run to run")
    ] = None
    class_name: Annotated[str | None, doc("name of the participant's class")] = None
    trace: Annotated[str, doc("the participant's traceback, or the evaluator's own for `INFRASTRUCTURE`; empty without one")] = ""


@dataclass(frozen=True, kw_only=True)
class PurchaseResult(CellResult):
    """A cell's outcome; see ``CellResult``."""

    bulk: ClassVar[frozenset[str]] = frozenset({"spec", "ledger"})

    spec: PurchaseSpec
    metrics: Annotated[MetricsRow | None, doc("`null` without a score")] = None  # type: ignore[assignment]
    training: Annotated[PurchaseTraining | None, doc("`null` where nothing was trained, as in round 1")] = None
    purchase: PurchaseRow
    ledger: Annotated[list[Sold], doc("every label that was bought, in order")] = field(default_factory=list)

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> PurchaseResult:
        """The result that ``as_dict`` gave.

        Raises:
            ConfigurationError: a value is missing or of the wrong type; the message names the place.
        """
        try:
            return cls.from_dict(stored, PurchaseSpec.from_dict(stored["spec"]))
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise ConfigurationError(f"a stored cell was not understood: {error}") from error


def without_score(spec: PurchaseSpec, reason: str, trace: str = "") -> PurchaseResult:
    """The result of a cell that the evaluator itself failed at."""
    return PurchaseResult(
        spec=spec,
        verdict=Verdict.INFRASTRUCTURE,
        reason=reason,
        answer=AnswerRef(file=spec.answer_digest(), checksum=None),
        isolation=IsolationRow(tier=spec.tier),
        purchase=purchase_row(spec, None, trace),
        versions=versions(),
    )


def purchase_row(spec: PurchaseSpec, purchased: Purchased | None, trace: str = "") -> PurchaseRow:
    """What was bought at the cell's pair; nothing where there is no purchase."""
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
    )


def upgraded(stored: dict[str, Any]) -> dict[str, Any]:
    """A cell of schema 1 (kit 0.1 and 0.2), whole or some of its members, in the form of today.

    Its spec has no version of the judging code: that is 1. The version of the kit stays among ``versions``.
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
