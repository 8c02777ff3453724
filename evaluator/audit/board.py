"""This kit's own board under audit: kept predictions of a folder of results, and annotators' mistakes planted in the scored labels.

The scored images of painted sheets have true labels. What would the board look like if people had labelled them? An annotator of a
named quality makes mistakes in them (``data/annotators.py``), the stored models are scored again on these labels, and the audit is
held against the board by true labels. Nothing is trained, and no stored file changes.

An image may show any number of damages, so a model is right on an image where all its classes are right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Corrections
from evaluator.audit.kinds import kinds_of
from evaluator.audit.planted import Planted
from evaluator.audit.predictions import Predictions
from evaluator.audit.sets import LabelSets
from evaluator.data.annotators import annotator_noise
from evaluator.data.folders import read_split
from evaluator.data.painted.shift import size_pairs
from evaluator.errors import ConfigurationError, DataError
from evaluator.history.predictions import read_predictions
from evaluator.history.reading import read_cells
from evaluator.places import data_set_place
from evaluator.purchase.rounds import tables_besides
from evaluator.purchase.sets import numbered
from evaluator.purchase.spec import PurchaseSpec
from evaluator.seeds import derive
from evaluator.text import one_line
from evaluator.track import Tracks
from evaluator.words import counted

FEWEST_MODELS = 2
READ = ("cell", "spec", "scored", "predictions", "training")
"""Members of a cell that are read."""


@dataclass(frozen=True, eq=False)
class Board:
    """Models that were scored on the same images.

    Attributes:
        models: names of the submissions.
        probabilities: float16 (models, images, classes); ``thresholds``: (models, classes), from which on a class is predicted.
        files: of the images; ``labels``: true, uint8 (images, classes); ``classes``: their names.
        title: which board it is, in words; ``folder``: of its images.
        left_out: what is not on it and why, a line each.
    """

    models: tuple[str, ...]
    probabilities: np.ndarray
    thresholds: np.ndarray
    files: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    title: str
    folder: Path
    left_out: tuple[str, ...]


def read_board(
    results: Path, tracks: Tracks, *, task: str | None, seed: int | None, place: Path, data: Path | None = None
) -> Board:
    """The board of one task and seed: of those that most submissions have kept predictions of, the first, unless named.

    Args:
        results: folder of results; ``place``: of data sets and caches; ``data``: the data set, where it lies elsewhere.

    Raises:
        ConfigurationError: fewer than two submissions have kept predictions of one task and seed.
        DataError: the data set is not there, or is another one than the cells were scored on.
    """
    cells, left_out = _kept(results, tracks)
    boards: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = defaultdict(dict)
    for spec, cell in cells:
        digest = spec.data.get(spec.score_split, "")
        key = (spec.task, spec.seed, spec.score_split, digest, spec.pipeline.name, spec.root_seed, spec.label_quality)
        if (task is None or task == spec.task) and (seed is None or seed == spec.seed):
            boards[key][_named(spec, boards[key])] = {"spec": spec, "cell": cell}
    if not boards or max(map(len, boards.values())) < FEWEST_MODELS:
        asked = "" if task is None and seed is None else f" of the task {task or 'any'} and seed {'any' if seed is None else seed}"
        seen = Counter(f"{spec.task}, seed {spec.seed}" for spec, _ in cells)
        there = "; ".join(f"{name}: {counted(many, 'submission')}" for name, many in sorted(seen.items())[:8]) or "none"
        raise ConfigurationError(
            f"{results}: no {counted(FEWEST_MODELS, 'submission')} with kept predictions{asked}; there are {there}. Run more "
            "submissions into it with `python -m evaluator sweep`, or name another --task or --run-seed"
        )
    key, chosen = min(boards.items(), key=lambda item: (-len(item[1]), str(item[0])))
    names = sorted(chosen)
    spec = chosen[names[0]]["spec"]
    folder = (data or data_set_place(numbered(spec.profile, spec.data_set).data_folder, place)) / spec.score_split
    classes = tuple(spec.profile.round.classes)
    split = read_split(folder, classes, stat_cache=place / ".cache" / "hashes.json", besides=tables_besides(classes))
    if split.digest != spec.data.get(spec.score_split):
        raise DataError(
            f"{folder}: it is not what these cells were scored on; expected the same images and labels. Name it with --data"
        )
    found = [_predictions(results, chosen[name]["cell"], split.labels.shape) for name in names]
    others = len(cells) - len(names)
    notes = [*left_out, f"{counted(others, 'cell')} of other tasks, seeds or rules"] if others else list(left_out)
    return Board(
        models=tuple(names),
        probabilities=np.stack([probabilities for probabilities, _ in found]),
        thresholds=np.stack([thresholds for _, thresholds in found]),
        files=split.files,
        labels=split.labels,
        classes=classes,
        title=f"{spec.profile.name}, {spec.task}, seed {spec.seed}, {spec.pipeline.name}",
        folder=split.folder,
        left_out=tuple(notes),
    )


def plant_on(board: Board, rate: float, root: int) -> Planted:
    """Let an annotator label the scored images.

    Args:
        rate: expected share of wrong entries, 0..0.5 (``data.annotators.QUALITIES`` has names for some); ``root``: seed.

    Raises:
        ConfigurationError: a rate out of range.
    """
    truth = board.labels
    given = annotator_noise(truth, rate, derive(root, "audit", "board"), size_pairs(truth.shape[1]))
    benchmark = Benchmark(board.files, given.astype(bool), board.classes, f"{board.title}; {rate:.0%} wrong")
    valid = LabelSets.where(truth.astype(bool))
    decided = board.probabilities.astype(np.float64) >= board.thresholds[:, None, :]
    return Planted(
        benchmark,
        Corrections("truth", board.files, valid, whole=True),
        kinds_of(benchmark.given, valid, multi=True),
        tuple(Predictions(name, board.files, row) for name, row in zip(board.models, decided, strict=True)),
        (decided == truth.astype(bool)).all(axis=2).mean(axis=1),
    )


def suspicion(board: Board, planted: Planted) -> np.ndarray:
    """The images in the order in which somebody would check them, the most suspect first: int64 (n,).

    The models have not seen the scored labels, so the mean of their probabilities is out of sample.

    Raises:
        ConfigurationError: cleanlab is not installed.
    """
    from evaluator.audit.suspects import find_suspects

    mean = board.probabilities.astype(np.float64).mean(axis=0)
    return find_suspects(planted.benchmark.labels.astype(np.int64), mean, board.classes).order


def _kept(results: Path, tracks: Tracks) -> tuple[list[tuple[PurchaseSpec, dict[str, Any]]], list[str]]:
    """The scored cells with kept predictions, and what was left out."""
    cells: list[tuple[PurchaseSpec, dict[str, Any]]] = []
    why: Counter[str] = Counter()
    for _, cell, fault in read_cells(results, tracks, READ):
        if cell is None:
            why[f"a damaged or unknown file ({one_line(fault, 80)})"] += 1
        elif cell["spec"].get("track") != PurchaseSpec.track:
            why["of another track"] += 1
        elif not cell["scored"]:
            why["without a score"] += 1
        elif cell["predictions"] is None:
            why["without kept predictions"] += 1
        else:
            cells.append((PurchaseSpec.from_dict(cell["spec"]), cell))
    return cells, [f"{counted(many, 'cell')} {reason}" for reason, many in why.items()]


def _named(spec: PurchaseSpec, taken: Mapping[str, Any]) -> str:
    """The name of a submission; with its digest where another submission has the same name."""
    name = one_line(spec.submission, 60)
    if name in taken and taken[name]["spec"].submission_digest != spec.submission_digest:
        return f"{name} ({spec.submission_digest[:8]})"
    return name


def _predictions(results: Path, cell: dict[str, Any], shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    found = read_predictions(results, cell)
    if found is None or found.shape != tuple(shape):
        seen = "none" if found is None else found.shape
        raise DataError(f"{results}: the predictions of a cell are {seen}; expected {tuple(shape)}. Run it again with --fresh")
    thresholds = (cell.get("training") or {}).get("thresholds") or [0.5] * found.shape[1]
    return found, np.asarray(thresholds, np.float64)
