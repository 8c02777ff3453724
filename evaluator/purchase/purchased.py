"""A purchase: what one submission bought at one pair and seed, and how that went. Made once, for any number of pipelines.

It is the half of a cell that does not repeat: what a strategy buys may depend on its clock. So it is a thing of its own, stored as
soon as the session has ended; a training that was interrupted, or another pipeline, goes on from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError, Verdict
from evaluator.history.checksum import checksum
from evaluator.machine import versions
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import PhaseReport, SessionResult, SessionSpec
from evaluator.purchase.sets import RoundSets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import Answer, CellSpec
from evaluator.seeds import derive, generator
from evaluator.track import CellInputs, Progress


@dataclass(frozen=True, eq=False)
class PurchaseInputs(CellInputs):
    """What a spec's hashes stand for; ``data`` are the ``RoundSets``.

    ``sold`` replaces the labels that the market sells (canonical order); None sells those of the pool's split.
    """

    sold: np.ndarray | None = None


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
        return {
            "schema": self.spec["schema"],
            "answer": self.digest,
            "spec": self.spec,
            "verdict": str(session.verdict),
            "reason": session.reason,
            "phases": [asdict(phase) | {"seconds": round(phase.seconds, 6)} for phase in session.phases],
            "seconds": round(session.seconds, 6),
            "disagreement": session.disagreement,
            "clock_was_read": session.clock_was_read,
            "class": session.class_name,
            "guarded": session.guarded,
            "limited_by": session.limited_by,
            "trace": session.trace,
            "ledger": session.ledger.as_rows(),
            "log": session.log,
            "versions": self.versions,
            "busy": self.busy,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Purchased:
        """The inverse of ``as_dict``, without predictions.

        Raises:
            ConfigurationError: a member is missing or makes no sense.
        """
        try:
            session = SessionResult(
                verdict=Verdict(content["verdict"]),
                reason=content["reason"],
                ledger=Ledger.from_rows(content["ledger"]),
                phases=tuple(PhaseReport(**phase | {"verdict": Verdict(phase["verdict"])}) for phase in content["phases"]),
                seconds=content["seconds"],
                predictions=None,
                disagreement=content["disagreement"],
                clock_was_read=content["clock_was_read"],
                class_name=content["class"],
                guarded=content["guarded"],
                limited_by=content["limited_by"],
                trace=content["trace"],
                log=content["log"],
            )
            return cls(content["answer"], content["spec"], session, content["versions"], content["busy"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"a stored purchase was not understood: {error!r}") from error

    @property
    def checksum(self) -> str:
        """SHA-256 over its content: two purchases of one spec differ by it, if only by a microsecond of the clock."""
        return checksum(self.as_dict())


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
