"""A purchase: what one submission bought at one pair and seed, and how that went. Made once, for any number of pipelines.

It is the half of a cell that does not repeat: what a strategy buys may depend on its clock. So it is a thing of its own, stored as
soon as the session has ended; a training that was interrupted, or another pipeline, goes on from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import Verdict
from evaluator.history.checksum import checksum
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.market import Market
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import PhaseReport, SessionResult, SessionSpec
from evaluator.purchase.sets import RoundSets
from evaluator.purchase.spec import CellSpec
from evaluator.sandbox.tier import Sandbox
from evaluator.seeds import derive, generator

Progress = Callable[[str, float], None]
"""Called with what is done and the share of it, 0 to 1."""


@dataclass(frozen=True, eq=False)
class CellInputs:
    """What a spec's hashes stand for, on this machine.

    ``sold`` replaces the labels that the market sells (canonical order); None sells those of the pool's split.
    """

    path: Path
    sets: RoundSets
    sandbox: Sandbox
    weights_dir: Path | None = None
    sold: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Purchased:
    """A session that has ended.

    Attributes:
        digest: hash over what decided it, ``CellSpec.purchase_digest``.
        spec: the same in full, ``CellSpec.purchase_dict``.
        session: what it left.
    """

    digest: str
    spec: dict[str, Any]
    session: SessionResult

    def scorable(self, on_timeout: str) -> bool:
        """Whether a pipeline may be trained on it: all went well, or the time ran out and what was bought by then is kept.

        A submission that could not even be imported in time has not begun: there is nothing to keep.
        """
        session = self.session
        kept = session.verdict is Verdict.TIME_LIMIT and on_timeout == "keep" and bool(session.phases)
        return session.verdict is Verdict.OK or kept

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: all but the predictions, which no pipeline needs. ``from_dict`` reads it back."""
        session = self.session
        return {
            "schema": self.spec["schema"],
            "purchase": self.digest,
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
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Purchased:
        """The inverse of ``as_dict``, without predictions."""
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
        return cls(content["purchase"], content["spec"], session)

    @property
    def checksum(self) -> str:
        """SHA-256 over its content: two purchases of one spec differ by it, if only by a microsecond of the clock."""
        return checksum(self.as_dict())


def buy(spec: CellSpec, inputs: CellInputs, progress: Progress = lambda what, share: None) -> Purchased:
    """Run the submission's phases: the untrusted half of a cell."""
    sets, profile = inputs.sets.drawn(spec.profile, spec.root_seed, spec.seed), spec.profile
    names = (spec.pair.name, spec.seed)
    order = generator(spec.root_seed, *names, "pool order").permutation(len(sets.splits["unlabelled"]))
    sold = inputs.sold if inputs.sold is not None else sold_labels(spec, sets)
    session = SessionSpec(
        submission=inputs.path,
        classes=profile.round.classes,
        training=sets.images["training"],
        training_labels=sets.splits["training"].labels,
        pool=sets.images["unlabelled"],
        order=order,
        prediction=sets.images[spec.prediction_split],
        market=Market(sold, order, profile.budget(spec.pair)),
        seconds=profile.seconds(spec.pair),
        prediction_seconds=profile.prediction_seconds,
        load_seconds=profile.load_seconds,
        seed=derive(spec.root_seed, *names, "participant") >> 96,
        threads=spec.worker_threads,
        weights=inputs.weights_dir,
        restart=spec.restart,
    )
    return Purchased(spec.purchase_digest(), spec.purchase_dict(), run_session(session, inputs.sandbox, progress))


def sold_labels(spec: CellSpec, sets: RoundSets) -> np.ndarray:
    """The pool's labels as the market sells them, uint8 (n, classes), canonical order; with mistakes where the quality says so."""
    truth = sets.splits["unlabelled"].labels
    if spec.label_quality == 1:
        return truth
    from evaluator.data.annotators import annotator_noise
    from evaluator.data.painted import size_pairs

    # The same mistakes in every cell of a seed: annotators do not change with the pair.
    seed = derive(spec.root_seed, spec.seed, "annotators")
    return annotator_noise(truth, 1 - spec.label_quality, seed, size_pairs(truth.shape[1]))
