"""What the study runs: every baseline on every data set and seed, as cells of the kit.

The rankings are made in this process, by the functions that the submissions in ``baselines/cleaning`` call, with the draws that a
sweep would give them. No sandbox is started, because starting a worker takes longer than most rankings; a sweep gives the same
rankings (``tests/experiments/test_cleaning_study.py``). Two things differ, so that a busy machine changes no figure: no clock ends
a ranking (of the methods ``tmc_shapley`` alone looks at it), and seconds are those of the processor. Judging, storing and resuming
are the kit's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.cleaning.rules import profile_named
from evaluator.cleaning.track import CLEANING, CleaningSpec, CleaningTrack, RankingAnswer
from evaluator.errors import ConfigurationError
from evaluator.history.store import Store
from evaluator.places import ROOT
from evaluator.plans import Choices, Plan
from evaluator.records import PhaseRow
from evaluator.runner.cells import run_cells
from evaluator.seeds import derive
from evaluator.strategies.valuation.methods import METHODS
from evaluator.submission.source import read_source
from evaluator.track import CellInputs, Progress
from evaluator.training.device import threads

TIER = "in process"
"""Stands in the place of an isolation tier."""
ROOT_SEED = 2022
SEEDS = 10
BASELINES = ROOT / "baselines" / "cleaning"


@dataclass(frozen=True)
class DataSet:
    """Tasks of a profile.

    Attributes:
        name: on the page; ``profile``: of the kit; ``tasks``: of the profile, empty for all of them.
        real: folder below that of real data, empty for data that need none; ``recipe``: empty for the track's own choice.
    """

    name: str
    profile: str
    tasks: tuple[str, ...] = ()
    real: str = ""
    recipe: str = "coarse"


DATA_SETS = (
    DataSet("digits", "digits"),
    DataSet("painted sheets", "painted", ("painted-annotator-0.08",)),
    DataSet("roman numerals", "roman-numerals", real="roman-numerals"),
    DataSet("CIFAR-10 votes", "cifar10-votes", real="cifar10-label-errors", recipe=""),
)


class StudyTrack(CleaningTrack):
    """The track, whose rankings are made in this process."""

    def obtain(self, spec: CleaningSpec, inputs: CellInputs, progress: Progress) -> RankingAnswer:
        """Rank by the method that the baseline of this name calls."""
        task = inputs.data.task(spec.data_id, spec.seed)
        given = task.train.rows, task.train.labels, task.validation.rows, task.validation.labels
        seed = derive(inputs.data.root, spec.seed, "participant") % 2**31
        began = time.process_time()
        with threads(1):
            ranking = METHODS[spec.submission](*given, seed, float("inf"))
        seconds = time.process_time() - began
        return RankingAnswer(
            digest=spec.answer_digest(),
            spec=spec.answer_dict(),
            content={"ranking": ranking.tolist(), "guarded": False, "limited_by": ""},
            phases=(PhaseRow(name="rank", verdict="OK", reason="", seconds=round(seconds, 6), allowed=spec.profile.seconds),),
        )


STUDY = StudyTrack()


def missing(data_set: DataSet, real: Path) -> str:
    """Why a data set cannot be run, in words; empty if it can."""
    place = real / data_set.real
    return f"{place} is not here" if data_set.real and not place.is_dir() else ""


def planned(data_set: DataSet, real: Path, cache: Path, seeds: range) -> Plan:
    """The cells of a data set.

    Raises:
        KitError: its data are not there or not good.
    """
    asked: dict[str, Any] = {"tasks": data_set.tasks or None, "action": ("fix",)}
    return CLEANING.plan(
        Choices(
            submissions=tuple(read_source(_baseline(name)) for name in METHODS),
            profile=profile_named(data_set.profile).name,
            pipelines=(data_set.recipe,) if data_set.recipe else (),
            seeds=seeds,
            root_seed=ROOT_SEED,
            secret=None,
            starting_weights=None,
            score_splits=(),
            tier=TIER,
            device="cpu",
            threads=1,
            data=real / data_set.real if data_set.real else None,
            folder=cache,
            weights_dir=None,
            options=asked,
        )
    )


def run(
    out: Path,
    real: Path,
    cache: Path,
    seeds: int = SEEDS,
    data_sets: Sequence[DataSet] = DATA_SETS,
    said: Callable[[str], None] = print,
) -> Iterator[str]:
    """Run what is missing, seed by seed, so that an interrupted run has whole seeds. Yields the hash of every cell.

    Args:
        out: folder of results; ``real``: of real data; ``cache``: of embeddings.
        seeds: how many.

    Raises:
        KitError: data are not good, or a folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    store = Store(out)
    for data_set in data_sets:
        if why := missing(data_set, real):
            said(f"{data_set.name} is left out: {why}")
    for seed in range(seeds):
        for data_set in data_sets:
            if missing(data_set, real):
                continue
            began, new = time.monotonic(), 0
            plan = planned(data_set, real, cache, range(seed, seed + 1))
            # Cells of one task follow each other: they share their fits.
            cells = sorted(plan.cells, key=lambda spec: spec.task)

            def inputs(spec: Any, plan: Plan = plan) -> CellInputs:
                return CellInputs(Path(spec.submission), plan.data_of(spec), None)  # type: ignore[arg-type]  # nothing is run in it

            for found in run_cells(STUDY, cells, inputs, store, store.new_run("cleaning-study")):
                new += not found.cached
                yield found.spec.digest()
            said(f"seed {seed}, {data_set.name}: {new} of {len(cells)} cells run, {time.monotonic() - began:.0f} s")


def _baseline(name: str) -> Path:
    for path in (BASELINES / name, BASELINES / f"{name}.py"):
        if path.exists():
            return path
    raise ConfigurationError(f"{BASELINES / name}: the baseline of this method is missing; expected it. Restore it")
