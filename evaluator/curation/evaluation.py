"""Data sets and classes that are named on a command line, as cells of the house: stored, typed, compared like any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.curation.folders import oracle_edits
from evaluator.curation.records import TIER, CurationResult, CurationSpec
from evaluator.curation.rules import Judges
from evaluator.curation.sets import CurationSets
from evaluator.curation.submitted import kind_of, needs_worker, source_of
from evaluator.curation.track import CURATION
from evaluator.data.edits import EditTable
from evaluator.history.store import Store
from evaluator.machine import cores
from evaluator.runner.cells import log_name, plain, run_cells
from evaluator.runner.workers import Workers
from evaluator.sandbox.foreign import ForeignFiles
from evaluator.sandbox.tier import Sandbox
from evaluator.secret import Secret
from evaluator.specs import CellSpec
from evaluator.submission.source import Source, read_source
from evaluator.track import CellInputs

REFERENCES = ("as_given", "oracle")
"""Data sets that are made here: the given data, and the given data with true labels."""


@dataclass(frozen=True)
class Evaluated:
    """The results of a submission, one per seed, in order."""

    name: str
    results: tuple[CurationResult, ...]


def write_references(names: Sequence[str], sets: CurationSets, folder: Path) -> list[Path]:
    """Write reference data sets as tables of edits into a folder.

    Raises:
        ConfigurationError: the true labels are not known.
    """
    tables = {"as_given": lambda: EditTable(()), "oracle": lambda: oracle_edits(sets.load())}
    paths = []
    for name in names:
        tables[name]().write(folder / f"{name}.csv")
        paths.append(folder / f"{name}.csv")
    return paths


def evaluate(
    paths: Sequence[Path],
    sets: CurationSets,
    judges: Judges,
    *,
    seeds: range,
    root_seed: int,
    secret: Secret | None = None,
    out: Path,
    sandbox: Callable[[], Sandbox],
    workers: int,
    finished: Callable[[str], None] = lambda text: None,
    moved: Callable[[str, float], None] = lambda what, share: None,
    weights: Path | None = None,
    device: str = "cpu",
) -> list[Evaluated]:
    """Judge submissions of all three kinds, and write their cells into ``out``.

    Args:
        seeds: of the training; ``root_seed``, ``secret``: that all draws follow from, as ``sets.root`` does.
        sandbox: makes what a class runs in, and files are decoded in; it is not called where there is neither.
        workers: trainings at a time.
        finished: called with a line for every cell that is finished; ``moved``: with what is done now, and the share of all work
            that is done.
        device: of the trainings.

    Raises:
        KitError: a submission cannot be read, or the data are not what was expected.
    """
    room = sandbox() if any(map(needs_worker, paths)) else None
    sources: list[tuple[Source, bool]] = []
    with ForeignFiles(lambda: room or sandbox()) as foreign:
        for path in paths:
            files = kind_of(path) != "class"
            sources.append((source_of(path, foreign) if files else read_source(path), files))
    data = sets.load()
    cells = [
        CurationSpec(
            submission=source.name,
            submission_digest=source.digest,
            profile=sets.profile,
            seed=seed,
            root_seed=root_seed,
            secret="" if secret is None else secret.fingerprint,
            pipeline=judges,
            weights="none",
            data={"data": data.digest},
            score_split="test",
            tier=TIER if files or room is None else room.name,
            worker_threads=min(3, cores()),
            device=device,
            threads=1,
            data_id=sets.name,
        )
        for seed in seeds
        for source, files in sources
    ]
    by_digest = {source.digest: source for source, _ in sources}
    store = Store(out.absolute())

    def inputs(spec: Any) -> CellInputs:
        return CellInputs(by_digest[spec.submission_digest].path, sets, room, weights)  # type: ignore[arg-type]

    shares: dict[str, float] = {}

    def part(spec: CellSpec, what: str, share: float) -> None:
        # Before the training there is little: a folder is read, or a class runs for a while.
        shares[spec.digest()] = 0.1 + 0.9 * share if what == "training" else 0.1 * share
        moved(f"{spec.submission}, seed {spec.seed}: {what}", sum(shares.values()) / len(cells))

    found: dict[str, list[CurationResult]] = {digest: [] for digest in by_digest}
    together = workers if device.startswith("cuda") else 1
    with store.running("curation") as run, Workers(workers, together=together) as there:
        for cell in run_cells(
            CURATION,
            cells,
            inputs,
            store,
            run,
            progress=part,
            workers=there if workers > 1 else None,
            log=lambda spec: f"{plain(spec.submission)}-{log_name(spec)}",
        ):
            assert isinstance(cell.result, CurationResult)
            found[cell.spec.submission_digest].append(cell.result)
            shares[cell.spec.digest()] = 1.0
            finished(f"{cell.spec.submission}, seed {cell.spec.seed}: {_said(cell.result)}")
            moved("judged", sum(shares.values()) / len(cells))
    return [Evaluated(by_digest[d].name, tuple(sorted(own, key=lambda r: r.spec.seed))) for d, own in found.items()]


def _said(result: CurationResult) -> str:
    return f"accuracy {result.metrics['accuracy']:.3f}" if result.metrics is not None else f"{result.verdict}: {result.reason}"
