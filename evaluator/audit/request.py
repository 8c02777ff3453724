"""What a person asks of an audit, and the way from files to figures: everything is read and checked before anything is computed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evaluator.audit.answers import MAJORITY
from evaluator.audit.benchmark import Benchmark, doubles
from evaluator.audit.correction_files import read_corrections
from evaluator.audit.corrections import Source
from evaluator.audit.imagenet import NAME as IMAGENET
from evaluator.audit.imagenet import REAL, imagenet_benchmark, is_named, packaged_file, real_label_sets
from evaluator.audit.prediction_files import read_predictions
from evaluator.audit.predictions import THRESHOLD, Predictions
from evaluator.audit.rank import audit
from evaluator.audit.reading import Reading, read_benchmark, read_classes, read_ids
from evaluator.audit.results import Audit, Settings
from evaluator.audit.sources import INTERSECTION, UNION
from evaluator.audit.where import parse
from evaluator.errors import ConfigurationError
from evaluator.text import one_line

Named = tuple[str, Path]
"""A name, empty for that of the file, and the file."""


@dataclass(frozen=True)
class BenchmarkFiles:
    """The files of a benchmark, as ``audit`` takes them.

    Attributes:
        labels: as given, or ``imagenet``, those of the package; ``ids``: of arrays without ids; ``metadata``: further columns.
        stems: whether ids are paths of which only the file's name without its ending counts.
        classes: their number or the file of their names; empty to count them.
        multi: whether an image may have any number of labels; ``threshold``: of scores, where it may.
    """

    labels: Path
    ids: Path | None = None
    metadata: tuple[Path, ...] = ()
    stems: bool = False
    classes: str = ""
    multi: bool = False
    threshold: float = THRESHOLD
    revision: str = ""

    def read(self) -> tuple[Benchmark, Reading]:
        """The benchmark, and how further files of it are read.

        Raises:
            ConfigurationError: a file is not what it should be.
        """
        how = Reading(
            stems=self.stems or is_named(self.labels, IMAGENET),
            classes=read_classes(self.classes) if self.classes else None,
            multi=self.multi,
            threshold=self.threshold,
        )
        if self.ids is not None:
            how = replace(how, ids=read_ids(self.ids, how))
        if is_named(self.labels, IMAGENET):
            benchmark = imagenet_benchmark()
            return benchmark, replace(how, classes=benchmark.classes)
        benchmark = read_benchmark(self.labels, how, self.revision, self.metadata)
        return benchmark, replace(how, classes=benchmark.classes)


@dataclass(frozen=True)
class Request:
    """An audit of a ranking that a person asks for.

    Attributes:
        agree: of raw answers, the share of yes above which a label is right.
        where: conditions; ``duplicates``: a file with the ids of images that stand in the training set.
    """

    benchmark: BenchmarkFiles
    predictions: Sequence[Named]
    corrections: Sequence[Named] = ()
    agree: float = MAJORITY
    where: Sequence[str] = ()
    duplicates: Path | None = None
    settings: Settings = field(default_factory=Settings)

    def perform(self, said: Callable[[str], None] = lambda text: None) -> tuple[Audit, dict[str, str]]:
        """Read everything, check it, and compute the audit.

        Returns:
            The audit, and the SHA-256 of every file that was read, by its path.

        Raises:
            ConfigurationError: a file or an option is not what it should be; nothing was computed then.
        """
        conditions = [parse(text) for text in self.where]
        _check_names("--predictions", self.predictions)
        _check_names("--corrections", self.corrections, (INTERSECTION, UNION))
        if not 0 <= self.agree < 1:
            raise ConfigurationError(f"--agree is {self.agree}; expected 0 or more and below 1, e.g. 0.5 for more than half")
        digests = self._digests()
        if not math.isfinite(self.benchmark.threshold):
            raise ConfigurationError(f"--threshold is {self.benchmark.threshold}; expected a number, e.g. 0.5")
        benchmark, how = self.benchmark.read()
        sources = read_sources(self.corrections, benchmark, how, self.agree)
        leaks = None if self.duplicates is None else read_ids(self.duplicates, how)
        found = audit(
            benchmark,
            self._predictions(benchmark, how),
            len(self.predictions),
            sources,
            conditions=conditions,
            leaks=leaks,
            settings=self.settings,
            said=said,
        )
        return found, digests

    def _predictions(self, benchmark: Benchmark, how: Reading) -> Iterator[Predictions]:
        for name, path in self.predictions:
            yield read_predictions(path, benchmark, how, name)

    def _digests(self) -> dict[str, str]:
        single = [self.benchmark.labels, self.benchmark.ids, self.duplicates, *self.benchmark.metadata]
        files = [*single, *(path for _, path in (*self.predictions, *self.corrections))]
        return {str(path): digest_of(packaged_file(path) or path) for path in files if path is not None}


def read_sources(corrections: Sequence[Named], benchmark: Benchmark, how: Reading, agree: float = MAJORITY) -> list[Source]:
    """Sources of corrections in the order of a benchmark. ``real`` is what the package has of ImageNet; ``agree``: of ``Request``.

    Raises:
        ConfigurationError: a file is not what it should be, or does not fit the benchmark.
    """
    return [
        (real_label_sets(name) if is_named(path, REAL) else read_corrections(path, how, name, agree)).aligned(benchmark)
        for name, path in corrections
    ]


def digest_of(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        ConfigurationError: it is not there, or cannot be read.
    """
    try:
        if not path.is_file():
            raise ConfigurationError(f"{path}: there is no such file; expected one. Name another")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read ({error.strerror}); expected a file. Name another") from None


def _check_names(option: str, files: Sequence[Named], taken: Sequence[str] = ()) -> None:
    names = [name or path.stem for name, path in files]
    if twice := doubles(names):
        raise ConfigurationError(
            f"{option}: two files are called {one_line(twice[0], 60)!r}; expected a name for each. Write NAME=FILE for one of them"
        )
    if used := next((name for name in names if name in taken), None):
        raise ConfigurationError(f"{option}: {used!r} is what sources say together; expected another name. Write NAME=FILE")
