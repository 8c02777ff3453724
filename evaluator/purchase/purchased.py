"""A purchase: what one submission bought at one pair and seed. It is made once, for any number of pipelines.

A second run may buy other labels, because a strategy may depend on its clock. So a purchase is stored in a file of its own as soon
as the session has ended; an interrupted training, or another pipeline, starts from the stored purchase.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from evaluator.errors import ConfigurationError, Verdict
from evaluator.fields import SCHEMA, count, doc, duration
from evaluator.machine import versions
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import PhaseReport, SessionResult, SessionSpec
from evaluator.purchase.sets import DrawnSets, RoundSets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import Answer, PhaseRow
from evaluator.seeds import derive, generator
from evaluator.specs import CellSpec, checksum
from evaluator.track import CellInputs, Progress
from evaluator.words import counted


@dataclass(frozen=True, eq=False)
class PurchaseInputs(CellInputs):
    """``CellInputs`` whose ``data`` are ``RoundSets``.

    Attributes:
        sold: uint8 (n, classes), the labels that the market sells, in canonical order of the pool; None: those of the data set.
    """

    sold: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Sold:
    """One label sold."""

    order: Annotated[int, count("number of the purchase; 0 is the first")]
    index: Annotated[int, count("the `idx` that the submission used, in this cell's shuffled order")]
    image: Annotated[
        int, count("number of the image in its split (in the seed's draw of it, if the profile draws), files sorted by name")
    ]
    seconds: Annotated[float, duration("time of the purchase on the shared clock")]
    label: Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=1)]], doc("the label as it was sold: a 0 or 1 per class")]


@dataclass(frozen=True, kw_only=True)
class PurchaseFile:
    """The file of an answer of this track. Another tool could write it, too: a pipeline needs only the verdict and the ledger."""

    schema: Annotated[int, doc(f"version of this format: {SCHEMA}")] = SCHEMA
    answer: Annotated[str, doc("hash of what decides the answer; the file's name")]
    spec: Annotated[dict[str, Any], doc("what decides the answer (`CellSpec.answer_dict`)")]
    verdict: Annotated[Verdict, doc("verdict of the session: `OK`, or `TIME_LIMIT` with `--on-timeout keep`")]
    reason: Annotated[str, doc("what happened, in words; empty for `OK`")]
    phases: Annotated[list[PhaseRow], doc("the phases that were started, in order")]
    seconds: Annotated[float, duration("time used on the clock that pre-training and purchase share")]
    disagreement: Annotated[
        str | None, doc("how the return value of `purchase_phase` contradicts the ledger, in words; else `null`")
    ]
    clock_was_read: Annotated[bool | None, doc("whether the submission asked for the time")]
    class_name: Annotated[str | None, doc("name of the participant's class")]
    guarded: Annotated[bool, doc("whether it is certain that every process of the submission ended")]
    limited_by: Annotated[str, doc("what limited memory and number of processes")]
    trace: Annotated[str, doc("the participant's traceback, e.g. of a prediction phase that failed")]
    ledger: Annotated[list[Sold], doc("every label that was bought, in order")]
    log: Annotated[str, doc("what the participant's code printed")]
    versions: Annotated[dict[str, str], doc("versions that the submission ran with: kit, Python, processor, libraries")]
    busy: Annotated[str, doc("other load on the machine when the session began, in words; empty without other load")]
    full_trace: Annotated[
        str, doc("the traceback with the frames of the worker, where `trace` leaves some out; left out where it is empty")
    ] = ""


@dataclass(frozen=True, eq=False)
class Purchased(Answer):
    """The answer of the purchase track: the outcome of a session.

    Attributes:
        digest: hash over what decided the purchase, ``CellSpec.answer_digest``.
        spec: what decided the purchase, ``CellSpec.answer_dict``.
        session: the outcome.
        versions: of Python and the libraries; ``busy``: other load on the machine when the session began, in words.
    """

    digest: str
    spec: dict[str, Any]
    session: SessionResult
    versions: dict[str, str] = field(default_factory=dict)
    busy: str = ""

    @property
    def log(self) -> str:
        """What the submission printed, and the traceback of its failure if there is one."""
        log, trace = self.session.log, self.session.trace
        if not trace:
            return log
        return (log.rstrip("\n") + "\n" if log else "") + trace

    @property
    def size(self) -> int:
        """Number of labels that were bought."""
        return len(self.session.ledger)

    def scorable(self, spec: CellSpec) -> bool:
        """Whether a pipeline may be trained on this purchase; see ``PurchaseSpec.takes``."""
        return spec.takes(str(self.session.verdict), len(self.session.phases))

    def fault(self, spec: CellSpec) -> str:
        """See ``Answer.fault``: the ledger is held against the rules of the market."""
        assert isinstance(spec, PurchaseSpec)
        ledger, budget, classes = self.session.ledger, spec.profile.budget(spec.pair), len(spec.profile.round.classes)
        if len(ledger) > budget:
            return f"holds a ledger of {counted(len(ledger), 'label')}; the budget is {budget}"
        if [sold.order for sold in ledger] != list(range(len(ledger))):
            return "holds a ledger whose orders are not 0, 1, 2, ..."
        if len({sold.image for sold in ledger}) < len(ledger) or len({sold.index for sold in ledger}) < len(ledger):
            return "holds a ledger in which an image was sold twice; a repeated purchase is free and stands in it once"
        for row, sold in enumerate(ledger):
            if len(sold.label) != classes or not set(sold.label) <= {0, 1}:
                return f"holds ledger[{row}].label {str(sold.label)[:80]}; expected {counted(classes, 'value')} of 0 and 1"
            if sold.image < 0 or sold.index < 0 or not 0 <= sold.seconds <= spec.seconds_allowed + 1:
                return f"holds ledger[{row}] with a number that is below 0, or a time beyond the clock"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; without the predictions, which no pipeline needs. ``from_dict`` reads it back."""
        session = self.session
        file = PurchaseFile(
            answer=self.digest,
            spec=self.spec,
            verdict=session.verdict,
            reason=session.reason,
            phases=phase_rows(session),
            seconds=round(session.seconds, 6),
            disagreement=session.disagreement,
            clock_was_read=session.clock_was_read,
            class_name=session.class_name,
            guarded=session.guarded,
            limited_by=session.limited_by,
            trace=session.trace,
            ledger=sold_rows(session.ledger),
            log=session.log,
            versions=self.versions,
            busy=self.busy,
            full_trace=session.full_trace,
        )
        plain = msgspec.to_builtins(file)
        if not session.full_trace:  # as in files of kits that had no such member: the checksum of an answer stays
            del plain["full_trace"]
        return plain

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Purchased:
        """The inverse of ``as_dict``; the result has no predictions.

        Raises:
            ConfigurationError: a member is missing or of the wrong type; the message names the place.
        """
        try:
            file = msgspec.convert(content, PurchaseFile)
            phases = tuple(PhaseReport(**asdict(row) | {"verdict": Verdict(row.verdict)}) for row in file.phases)
        except (msgspec.ValidationError, ValueError) as error:
            raise ConfigurationError(f"a stored purchase was not understood: {error}") from error
        session = SessionResult(
            verdict=file.verdict,
            reason=file.reason,
            ledger=Ledger([Purchase(s.order, s.index, s.image, s.seconds, tuple(s.label)) for s in file.ledger]),
            phases=phases,
            seconds=file.seconds,
            predictions=None,
            disagreement=file.disagreement,
            clock_was_read=file.clock_was_read,
            class_name=file.class_name,
            guarded=file.guarded,
            limited_by=file.limited_by,
            trace=file.trace,
            log=file.log,
            full_trace=file.full_trace,
        )
        return cls(file.answer, file.spec, session, file.versions, file.busy)

    @property
    def checksum(self) -> str:
        """SHA-256 over the content. Two purchases of the same spec have different checksums if anything differs, e.g. a time."""
        return checksum(self.as_dict())


def phase_rows(session: SessionResult) -> list[PhaseRow]:
    """The phases of a session, in the form in which they are stored."""
    return [
        PhaseRow(name=p.name, verdict=str(p.verdict), reason=p.reason, seconds=round(p.seconds, 6), allowed=p.allowed)
        for p in session.phases
    ]


def sold_rows(ledger: Ledger) -> list[Sold]:
    """A ledger, in the form in which it is stored."""
    return [Sold(order=p.order, index=p.index, image=p.image, seconds=round(p.seconds, 6), label=list(p.label)) for p in ledger]


def buy(spec: PurchaseSpec, inputs: CellInputs, progress: Progress = lambda what, share: None) -> Purchased:
    """The first half of a cell: run the phases of the submission."""
    given = inputs.sold if isinstance(inputs, PurchaseInputs) else None
    session = session_spec(spec, inputs.data, inputs.path, inputs.weights_dir, given)
    made = run_session(replace(session, printed=inputs.printed), inputs.sandbox, progress)
    return Purchased(spec.answer_digest(), spec.answer_dict(), made, versions(), inputs.busy)


def session_spec(
    spec: PurchaseSpec, data: RoundSets, path: Path, weights_dir: Path | None = None, given: np.ndarray | None = None
) -> SessionSpec:
    """The session of a cell: its draw of the data, the order of its pool, budget, clocks, seed.

    Args:
        path: of the submission; ``weights_dir``: folder of pretrained weights that it may read.
        given: the labels that the market sells; None for those of the data set.

    Raises:
        ConfigurationError: the cell is of another secret than the data.
    """
    sets, profile = data.of(spec), spec.profile
    names = (spec.pair.name, spec.seed)
    order = generator(sets.root, *names, "pool order").permutation(len(sets.splits["unlabelled"]))
    sold = sold_labels(spec, sets) if given is None else given
    return SessionSpec(
        submission=path,
        submission_digest=spec.submission_digest,
        classes=profile.round.classes,
        training=sets.images["training"],
        training_labels=sets.splits["training"].labels,
        pool=sets.images["unlabelled"],
        order=order,
        prediction=sets.images[spec.prediction_split],
        sold=sold,
        budget=profile.budget(spec.pair),
        seconds=profile.seconds(spec.pair),
        prediction_seconds=profile.prediction_seconds,
        load_seconds=profile.load_seconds,
        # One-way, and cut to 32 bits: what the participant is given says nothing of the root or of any other draw.
        seed=derive(sets.root, *names, "participant") >> 96,
        threads=spec.worker_threads,
        weights=weights_dir,
        restart=spec.restart,
    )


def sold_labels(spec: PurchaseSpec, sets: DrawnSets) -> np.ndarray:
    """The labels that the market sells, uint8 (n, classes), in canonical order; with mistakes if the quality is below 1."""
    truth = sets.splits["unlabelled"].labels
    if spec.label_quality == 1:
        return truth
    from evaluator.data.annotators import annotator_noise
    from evaluator.data.painted import size_pairs

    # All cells of a seed have the same mistakes: annotators do not depend on the pair.
    seed = derive(sets.root, spec.seed, "annotators")
    return annotator_noise(truth, 1 - spec.label_quality, seed, size_pairs(truth.shape[1]))
