"""The data sets and the market of one run in a notebook or a script: ``from run import practice``.

Everything is the product's own: the draw of the data, the market and its ledger, the data sets that a worker makes, the checks of
what a phase returns. Only the channel between the two halves is missing, since both are in one process here. So it is for a
participant's own code on a participant's own machine, and gives no score.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError, Verdict
from evaluator.history.index import secret_of
from evaluator.places import RESULTS, ROOT, data_place, data_set_place
from evaluator.purchase.debug import checks, noticed
from evaluator.purchase.messages import SCHEMA
from evaluator.purchase.plan import node_threads
from evaluator.purchase.purchased import session_spec
from evaluator.purchase.rounds import Pair
from evaluator.purchase.rule_files import chosen_profile, with_sizes
from evaluator.purchase.session import Session
from evaluator.purchase.session_spec import PhaseReport, SessionSpec
from evaluator.purchase.sets import provide_data, read_sets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.purchase.track import PURCHASE
from evaluator.sandbox.channel import BASE, Message
from evaluator.sandbox.clock import ShownClock
from evaluator.sandbox.conversation import ANSWERS, Order, Stopped
from evaluator.sandbox.readonly import Content, sealed
from evaluator.secret import read_secret
from evaluator.text import say
from evaluator.training.recipes import load_pipeline
from evaluator.words import counted, number
from evaluator.worker.channel import WorkerChannel, path_of
from evaluator.worker.datasets import ImageDataset
from evaluator.worker.plain import kind_of
from evaluator.worker.purchase import PoolDataset, PurchaseTrack
from evaluator.worker.service import Service, arrays_in, check_method

PHASES = ("pre_training_phase", "purchase_phase", "prediction_phase")


def practice(
    profile: str | Path | None = None,
    pair: str | None = None,
    seed: int = 0,
    *,
    root_seed: int = 2022,
    secret: str | Path | None = None,
    public_seeds: bool = False,
    label_quality: float = 1.0,
    data: str | Path | None = None,
    out: str | Path = RESULTS,
    round: str | Path | None = None,
    cache: str | Path | None = None,
) -> Practice:
    """What ``local_evaluation.py`` gives a submission at one pair and seed; the options mean the same as there.

    ``profile`` is ``quick`` by default; with ``round`` it is the round at full scale, or as its file says.

    Raises:
        KitError: an option makes no sense, or data or the secret are missing or wrong.
    """
    _check_options(pair, seed, root_seed, label_quality)
    paths = {"profile": profile, "secret": secret, "data": data, "out": out, "round": round, "cache": cache}
    for option, given in paths.items():
        if not (given is None or isinstance(given, (str, Path))):
            raise ConfigurationError(f"{option} is {given!r:.80}, {kind_of(given)}; expected a name or a path, as a text or a Path")
    name = "quick" if profile is None and round is None else str(profile or "")
    rules = chosen_profile(name, None if round is None else str(round))
    kept = data_place(None if cache is None else Path(cache))
    chosen = rules.pairs[0] if pair is None else Pair.parse(pair)
    if secret is not None and public_seeds:
        raise ConfigurationError("secret and public_seeds were both given; public seeds are those without a secret. Leave one out")
    known = None if public_seeds else read_secret(Path(secret)) if secret else secret_of(Path(out).absolute(), PURCHASE)
    place = Path(data) if data is not None else Path(rules.data_place or data_set_place(rules.data_folder, kept))
    folder = place.expanduser().absolute()
    rules = with_sizes(rules, folder)
    told: set[str] = set()

    def step(what: str, done: int, total: int) -> None:
        if what not in told and not what.startswith("reading"):
            told.add(what)
            say(f"practice: {what}")

    if data is None:
        provide_data(rules, folder, step)
    sets = read_sets(rules, folder, cache=kept / ".cache", step=step, secret=known)
    # The spec of a cell that is never judged: what decides the judging stays empty.
    spec = PurchaseSpec(
        submission="practice",
        submission_digest="",
        profile=rules,
        pair=chosen,
        seed=int(seed),
        root_seed=int(root_seed),
        secret="" if known is None else known.fingerprint,
        pipeline=load_pipeline(rules.pipeline_file or rules.pipeline),
        weights="",
        data=sets.digests(),
        score_split=rules.round.score_split,
        label_quality=label_quality,
        tier="none",
        device="cpu",
        threads=1,
        worker_threads=node_threads(),
    )
    session = session_spec(spec, sets, ROOT)
    for warning in _warnings(chosen, session):
        say(f"practice: warning: {warning}")
    return Practice(spec, session)


def _check_options(pair: Any, seed: Any, root_seed: Any, label_quality: Any) -> None:
    """Refuse what is no pair, seed or quality, before data are read."""
    if not (pair is None or isinstance(pair, str)):
        raise ConfigurationError(
            f"pair is {pair!r:.80}, {kind_of(pair)}; expected labels and minutes as a text. Write e.g. '621:17'"
        )
    for option, given in (("seed", seed), ("root_seed", root_seed)):
        if isinstance(given, bool) or not isinstance(given, Integral) or given < 0:
            raise ConfigurationError(f"{option} is {given!r:.80}; expected a whole number of 0 or more. Write e.g. {option}=3")
    if isinstance(label_quality, bool) or not isinstance(label_quality, Real) or not 0.5 <= float(label_quality) <= 1:
        raise ConfigurationError(f"label_quality is {label_quality!r:.80}; expected a number from 0.5 to 1. Leave it out for 1")


def _warnings(pair: Pair, session: SessionSpec) -> Iterator[str]:
    """What is odd about the budget of a session, in sentences."""
    if session.budget > len(session.order):
        pool = counted(len(session.order), "image")
        yield f"the pair {pair.name} gives {counted(session.budget, 'label')}, and the pool has {pool}: all of it can be bought"
    elif session.budget == 0:
        yield f"the pair {pair.name} gives 0 labels here, so nothing can be bought; name a pair of more labels"


class Practice:
    """One pair and seed to try things on: ``training, pool, test = practice()``, or by name.

    The clock begins when the object is made. It counts, and ends nothing: ``pool.remaining_time()`` comes to 0, and labels are sold
    all the same. For a clock and a budget that begin anew, call ``practice`` again, or ``run``.

    Attributes:
        training: ``ImageDataset`` with labels: ``.images`` uint8 (n, H, W, 3), ``.labels`` int64 (n, classes) of 0 and 1.
        pool: ``PoolDataset`` without labels, which sells them: ``purchase_label(idx)`` gives int64 (classes,),
            ``purchase_labels(indices)`` int64 (m, classes); ``remaining_budget``, ``purchased``. The rules are those of a run.
        test: ``ImageDataset`` without labels: what ``prediction_phase`` is given.
        profile, pair: names; ``seed``: number of the repetition; ``classes``: names of the classes.
        budget: labels that can be bought; ``seconds``: of the clock that pre-training and purchase share.
        participant_seed: the int that the phases are given as ``seed``.
    """

    def __init__(self, spec: PurchaseSpec, session: SessionSpec) -> None:
        self.profile, self.pair, self.seed = spec.profile.name, spec.pair.name, spec.seed
        self.classes, self.budget, self.seconds = session.classes, session.budget, session.seconds
        self.participant_seed = session.seed
        self._spec = session
        here = _Here(Session(session, ShownClock))
        self._clock = ExitStack()
        self._clock.enter_context(here.session.clock.running())
        _, order, arrays = here.ordered("pre_training_phase")
        self.training: ImageDataset = here.track.training_set(order, arrays)
        _, order, _ = here.ordered("purchase_phase")
        self.pool: PoolDataset
        self.pool, _ = here.track.pool(order)
        _, order, arrays = here.ordered("prediction_phase")
        self.test: ImageDataset = here.track.test_set(order, arrays)
        here.close()

    def __iter__(self) -> Iterator[Any]:
        return iter((self.training, self.pool, self.test))

    def __repr__(self) -> str:
        return (
            f"<practice: profile {self.profile}, pair {self.pair}, seed {self.seed}: {len(self.training)} training images, "
            f"{len(self.pool)} in the pool, {len(self.test)} to predict; {self.budget} labels, {number(self.seconds)} s>"
        )

    def run(self, strategy: Any, *phases: str) -> PracticeRun:
        """Call phases of an object, with a market, a budget and a clock of their own: what ``pool`` bought does not count.

        Args:
            strategy: an object of your class; what a phase stores in it is there in the next call.
            phases: names of the phases, e.g. ``"purchase_phase"``; none for all three in order.

        Raises:
            ValueError: there is no phase of a name.
            TypeError: ``strategy`` is no object with these phases.
            Exception: whatever the phase raises.
        """
        unknown = [name for name in phases if not isinstance(name, str) or name not in PHASES]
        if unknown:
            raise ValueError(f"{unknown[0]!r:.80} is no phase; the phases are {', '.join(PHASES)}. Give their names")
        if isinstance(strategy, type):
            name = strategy.__name__
            raise TypeError(f"strategy is the class {name}; an object of it was expected. Write run({name}())")
        for name in phases or PHASES:
            check_method(type(strategy), strategy, name)
        missing = [name for name in phases or PHASES if getattr(strategy, name, None) is None]
        if missing:
            raise TypeError(
                f"strategy is {kind_of(strategy)} without {', '.join(missing)}; expected an object of your class. "
                "Subclass ZEWDPCBaseRun, or name the phases that it has"
            )
        here = _Here(Session(self._spec, ShownClock), strategy)
        reports = []
        with here:
            for name in phases or PHASES:
                reports.append(here.run(name))
        session = here.session
        bought = [sold.index for sold in session.market.ledger]
        labels = np.array([sold.label for sold in session.market.ledger], np.int64).reshape(len(bought), len(self.classes))
        rows, faults = checks(self._spec, session.market.ledger, reports, session.disagreement, session.predicted)
        remarks = noticed(self._spec, session.market.ledger, reports, session.disagreement)
        return PracticeRun(type(strategy).__name__, np.array(bought, np.int64), labels, session.predicted, rows, faults, remarks)


@dataclass(frozen=True, eq=False)
class PracticeRun:
    """What phases did. It holds no score: only an evaluation gives it.

    Attributes:
        name: of the strategy's class.
        bought: int64 (m,), the ``idx`` of the bought images in order of purchase; ``labels``: int64 (m, classes), as sold.
        predictions: float64 (images, classes), from 0 to 1; None where there are none, or none that may be submitted.
        rows: what it did, as label and text.
        faults: what would make a run fail or unfit to submit, in sentences; ``remarks``: what a run would warn of.
    """

    name: str
    bought: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray | None
    rows: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        width = max((len(label) for label, _ in self.rows), default=0)
        lines = [f"{self.name} in practice, not a score"]
        lines += [f"  {label:{width}}  {text}" for label, text in self.rows]
        lines += [f"  warning: {remark}" for remark in self.remarks]
        return "\n".join([*lines, *(f"  would fail: {fault}" for fault in self.faults)])


class _Here(WorkerChannel):
    """Both halves of a session in one process: the channel's calls go straight to the session's handlers."""

    def __init__(self, session: Session, participant: Any = None) -> None:
        self.pid = os.getpid()
        self.session = session
        service = Service(self)
        service.participant, service.track = participant, PurchaseTrack(service)
        self.track = service.track
        self._phases = {phase.name: phase for phase in session.phases()}
        self._files = ExitStack()

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that orders named. What is mapped stays."""
        self._files.close()

    def send(self, message: dict[str, Any], blob: bytes | memoryview = b"") -> None:
        """Progress, which nobody is shown here."""

    def request(self, message: dict[str, Any], blob: bytes | memoryview = b"") -> Order:
        """Have the market answer at once."""
        return self.session.sell(Message(message["t"], {}, bytes(blob)), "purchase_phase")

    def ordered(self, name: str) -> tuple[Any, dict[str, Any], dict[str, np.ndarray]]:
        """A phase, its order with paths in place of files, and the arrays that came with it."""
        phase = self._phases[name]
        order, blob = phase.order
        order = {key: self._path(value) for key, value in order.items()} | {"seconds": phase.clock.remaining}
        return phase, order, arrays_in(order, blob)

    def run(self, name: str) -> PhaseReport:
        """Run one phase, and check what it returned."""
        phase, order, arrays = self.ordered(name)
        verdict, reason = Verdict.OK, ""
        with phase.clock.running():
            before = phase.clock.used
            answer, payload = self.track.run(name, order, arrays)
            seconds = phase.clock.used - before
        try:
            phase.take((BASE | ANSWERS | SCHEMA).check(answer, payload))
        except Stopped as stop:
            verdict, reason = stop.verdict, stop.reason
        return PhaseReport(name, verdict, reason, seconds, phase.clock.limit)

    def _path(self, value: Any) -> Any:
        if not isinstance(value, Content):
            return str(value) if isinstance(value, Path) else value
        descriptor = sealed(value.data)
        self._files.callback(os.close, descriptor)
        return path_of(descriptor)
