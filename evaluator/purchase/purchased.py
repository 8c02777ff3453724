"""A purchase: what one submission bought at one pair and seed, and how that went. Made once, for any number of pipelines.

It is the half of a cell that does not repeat: what a strategy buys may depend on its clock. So it is a thing of its own, stored as
soon as the session has ended; a training that was interrupted, or another pipeline, goes on from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np

from evaluator.errors import ConfigurationError, Verdict
from evaluator.history.checksum import checksum
from evaluator.machine import versions
from evaluator.purchase.ledger import Ledger, Purchase
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import PhaseReport, SessionResult, SessionSpec
from evaluator.purchase.sets import RoundSets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import SCHEMA, Answer, CellSpec, PhaseRow, doc
from evaluator.seeds import derive, generator
from evaluator.track import CellInputs, Progress


@dataclass(frozen=True, eq=False)
class PurchaseInputs(CellInputs):
    """What a spec's hashes stand for; ``data`` are the ``RoundSets``.

    ``sold`` replaces the labels that the market sells (canonical order); None sells those of the pool's split.
    """

    sold: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Sold:
    """One label sold."""

    order: Annotated[int, doc("0 for the first purchase")]
    index: Annotated[int, doc("the `idx` it was bought by, in this cell's shuffled order")]
    image: Annotated[
        int, doc("number of the image in its split, files sorted by name; where the seed draws from the split, in its draw")
    ]
    seconds: Annotated[float, doc("on the shared clock")]
    label: Annotated[list[int], doc("as it was sold: one 0 or 1 per class")]


@dataclass(frozen=True, kw_only=True)
class PurchaseFile:
    """The file of an answer of this track. Another tool could write it: a verdict and a ledger are all that a pipeline needs."""

    schema: Annotated[int, doc("version of this format")] = SCHEMA
    answer: Annotated[str, doc("hash of the spec, and the file's name")]
    spec: Annotated[dict[str, Any], doc("all that decides the answer (`CellSpec.answer_dict`)")]
    verdict: Annotated[Verdict, doc("of the session: `OK`, or `TIME_LIMIT` where it was kept")]
    reason: Annotated[str, doc("in words")]
    phases: Annotated[list[PhaseRow], doc("those that were started")]
    seconds: Annotated[float, doc("used on the clock that pre-training and purchase share")]
    disagreement: Annotated[str | None, doc("where the return value of `purchase_phase` contradicts the ledger, in words")]
    clock_was_read: Annotated[bool | None, doc("whether the submission asked for the time")]
    class_name: Annotated[str | None, doc("name of the participant's class")]
    guarded: Annotated[bool, doc("whether the end of every process of the submission can be vouched for")]
    limited_by: Annotated[str, doc("what held memory and processes")]
    trace: Annotated[str, doc("the participant's traceback, e.g. of a prediction phase that failed")]
    ledger: Annotated[list[Sold], doc("every label that was bought, in order")]
    log: Annotated[str, doc("what the participant's code printed")]
    versions: Annotated[dict[str, str], doc("what the submission ran on: kit, Python, processor, libraries")]
    busy: Annotated[str, doc("other load on the machine when the session began, in words; empty where there was none")]


@dataclass(frozen=True, eq=False)
class Purchased(Answer):
    """A session that has ended.

    Attributes:
        digest: hash over what decided it, ``CellSpec.answer_digest``.
        spec: the same in full, ``CellSpec.answer_dict``.
        session: what it left.
        versions: what it was made with; ``busy``: other load on the machine when it began, in words.
    """

    digest: str
    spec: dict[str, Any]
    session: SessionResult
    versions: dict[str, str] = field(default_factory=dict)
    busy: str = ""

    @property
    def log(self) -> str:
        """What the submission printed."""
        return self.session.log

    def scorable(self, spec: CellSpec) -> bool:
        """Whether a pipeline may be trained on it: see ``PurchaseSpec.takes``."""
        return spec.takes(str(self.session.verdict), len(self.session.phases))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: all but the predictions, which no pipeline needs. ``from_dict`` reads it back."""
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
        )
        return msgspec.to_builtins(file)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Purchased:
        """The inverse of ``as_dict``, without predictions.

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
        )
        return cls(file.answer, file.spec, session, file.versions, file.busy)

    @property
    def checksum(self) -> str:
        """SHA-256 over its content: two purchases of one spec differ by it, if only by a microsecond of the clock."""
        return checksum(self.as_dict())


def phase_rows(session: SessionResult) -> list[PhaseRow]:
    """The phases of a session as they are stored."""
    return [
        PhaseRow(name=p.name, verdict=str(p.verdict), reason=p.reason, seconds=round(p.seconds, 6), allowed=p.allowed)
        for p in session.phases
    ]


def sold_rows(ledger: Ledger) -> list[Sold]:
    """A ledger as it is stored."""
    return [Sold(order=p.order, index=p.index, image=p.image, seconds=round(p.seconds, 6), label=list(p.label)) for p in ledger]


def buy(spec: PurchaseSpec, inputs: CellInputs, progress: Progress = lambda what, share: None) -> Purchased:
    """Run the submission's phases: the untrusted half of a cell."""
    sets, profile = inputs.data.drawn(spec.profile, spec.root_seed, spec.seed), spec.profile
    names = (spec.pair.name, spec.seed)
    order = generator(spec.root_seed, *names, "pool order").permutation(len(sets.splits["unlabelled"]))
    given = inputs.sold if isinstance(inputs, PurchaseInputs) else None
    sold = sold_labels(spec, sets) if given is None else given
    session = SessionSpec(
        submission=inputs.path,
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
        seed=derive(spec.root_seed, *names, "participant") >> 96,
        threads=spec.worker_threads,
        weights=inputs.weights_dir,
        restart=spec.restart,
    )
    made = run_session(session, inputs.sandbox, progress)
    return Purchased(spec.answer_digest(), spec.answer_dict(), made, versions(), inputs.busy)


def sold_labels(spec: PurchaseSpec, sets: RoundSets) -> np.ndarray:
    """The pool's labels as the market sells them, uint8 (n, classes), canonical order; with mistakes where the quality says so."""
    truth = sets.splits["unlabelled"].labels
    if spec.label_quality == 1:
        return truth
    from evaluator.data.annotators import annotator_noise
    from evaluator.data.painted import size_pairs

    # The same mistakes in every cell of a seed: annotators do not change with the pair.
    seed = derive(spec.root_seed, spec.seed, "annotators")
    return annotator_noise(truth, 1 - spec.label_quality, seed, size_pairs(truth.shape[1]))
