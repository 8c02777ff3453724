"""An experiment: a sweep whose choices are checked, whose data are read, and whose cells have specs. Nothing has run yet."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evaluator.errors import ConfigurationError, SubmissionError
from evaluator.history.index import Index, Row, read_index, secret_of
from evaluator.history.store import lacks_predictions
from evaluator.machine import Load, computed_by, cores, load, versions
from evaluator.places import data_also, data_place
from evaluator.plans import Choices, Plan, Step, in_order
from evaluator.records import CellSpec
from evaluator.runner.cells import counting, log_name, plain
from evaluator.sandbox.tier import Sandbox
from evaluator.secret import Secret, read_secret
from evaluator.submission.source import Source, looked_at
from evaluator.sweep.settings import Settings
from evaluator.track import CellInputs, Track, Tracks


@dataclass(frozen=True, eq=False)
class Experiment:
    """Every cell of a sweep, and the files and objects behind their specs.

    Attributes:
        sources: the submissions. Those that cannot be read are among them; their cells fail, and the others run.
        labels: names of the submissions in tables, by digest and name.
        device: of the trainings, e.g. ``cpu``.
        cells: sorted by seed, then by answer.
        workers: trainings at a time; ``devices``: CUDA devices of the workers, empty unless there are several.
        load: of the machine, before anything runs.
    """

    track: Track
    settings: Settings
    plan: Plan
    sources: tuple[Source, ...]
    labels: dict[tuple[str, str], str]
    sandbox: Sandbox
    device: str
    cells: tuple[CellSpec, ...]
    workers: int
    devices: tuple[str, ...]
    load: Load

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences to print before the run."""
        busy = self.load.busy()
        advice = "; submissions and trainings will be slower than on a quiet machine, and a submission may miss its time limit"
        faults = [f"{source.fault}; all its cells fail with {source.verdict}." for source in self.sources if source.fault]
        from evaluator.sandbox.tiers import passed_over

        weaker = passed_over(self.sandbox.name, gpu=self.device.startswith("cuda")) if self.settings.sandbox == "auto" else ""
        return (*faults, *([weaker] if weaker else []), *self.plan.warnings, *([f"busy machine: {busy}{advice}."] if busy else []))

    @property
    def secret(self) -> str:
        """Fingerprint of the secret that every draw follows from; empty for public seeds."""
        return self.cells[0].secret if self.cells else ""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are scored."""
        return tuple(self.plan.data)

    def inputs(self, spec: CellSpec) -> CellInputs:
        """The files and objects behind a spec on this machine.

        Raises:
            SubmissionError: the submission could not be read.
        """
        source = self.source(spec)
        if source.fault:
            raise SubmissionError(source.fault, source.verdict)
        weights = self.settings.weights_dir
        data = self.plan.data[spec.score_split]
        return CellInputs(source.path, data, self.sandbox, None if weights is None else weights.resolve(), self.load.busy())

    def source(self, spec: CellSpec) -> Source:
        """The submission of a cell."""
        return next(s for s in self.sources if s.digest == spec.submission_digest and s.name == spec.submission)

    def label(self, spec: CellSpec) -> str:
        """The name of a cell's submission in tables."""
        return self.labels[spec.submission_digest, spec.submission]

    def log_name(self, spec: CellSpec) -> str:
        """Name of the log of a cell's answer; every answer of the sweep has another."""
        parts = [plain(self.label(spec)), log_name(spec)]
        several = {name for name, values in self.plan.conditions.items() if len(values) > 1}
        for name, value in spec.condition.items():
            if name in several:
                parts.append(plain(name.rpartition("_")[2] + self.track.condition_text(name, value)))
        return "-".join(parts)

    def finished(self, index: Index) -> dict[str, Row]:
        """Rows of the finished cells, by digest: exactly the cells that the runner would not run again."""
        if self.settings.fresh:
            return {}
        of: dict[str, list[CellSpec]] = {}
        for spec in self.cells:
            of.setdefault(spec.answer_digest(), []).append(spec)
        found: dict[str, Row] = {}
        for specs in of.values():
            rows = {s.digest(): index.cells[s.digest()] for s in specs if s.digest() in index.cells}
            rows = {
                digest: row for digest, row in rows.items() if row["scored"] and self._counts(row) and not self._lacks(digest, row)
            }
            checksums = {digest: row["answer_checksum"] for digest, row in rows.items()}
            still = counting(checksums, len(specs), self.answered(specs[0], index))
            found |= {digest: row for digest, row in rows.items() if digest in still}
        return found

    def answered(self, spec: CellSpec, index: Index) -> str | None:
        """Checksum of the stored answer that the cell would be judged on; None if the answer must be obtained."""
        row = index.answers.get(spec.answer_digest())
        if row is None or self.settings.fresh or not spec.trains or not self._counts(row):
            return None
        return row["checksum"] if spec.takes(row["verdict"], row["phases"]) else None

    def _lacks(self, digest: str, row: Row) -> bool:
        return lacks_predictions(self.settings.out, digest, row["predictions"])

    def _counts(self, row: Row) -> bool:
        return self.settings.mixed_versions or row["versions"] == self._versions

    @cached_property
    def _versions(self) -> dict[str, str]:
        return computed_by(versions())

    def index(self) -> Index:
        """The index of the results folder, read now."""
        return read_index(self.settings.out.absolute(), Tracks({self.track.name: self.track}))


def prepare(
    track: Track,
    settings: Settings,
    step: Step = lambda what, done, total: None,
    folder: Path | None = None,
    *,
    keep_secret: bool = True,
    sandbox: Sandbox | None = None,
) -> Experiment:
    """Check every choice, read the data (generated data are made if they are missing), and make the spec of every cell.

    Args:
        folder: folder of the profiles' data sets and of the cache of decoded images; None for that of ``--cache``.
        keep_secret: if the results folder has no secret yet, write the secret that is made into it. False for a dry run.
        sandbox: where submissions run; None for that of the settings.

    A submission that cannot be read does not end a sweep: its cells fail.

    Raises:
        KitError: a choice makes no sense, data, weights or the secret are missing or wrong, or no submission can be read.
    """
    from evaluator.sandbox.tiers import choose
    from evaluator.training.device import resolve

    sources = tuple(looked_at(path) for path in settings.submissions)
    if all(source.fault for source in sources):
        raise SubmissionError("\n".join(source.fault for source in sources), sources[0].verdict)
    labels = _labels(sources)
    device = str(resolve(settings.device))
    sandbox = sandbox or choose(settings.sandbox, gpu=device.startswith("cuda"))
    place = folder or data_place(settings.cache)
    choices = Choices(
        submissions=sources,
        profile=settings.profile,
        pipelines=settings.pipelines,
        seeds=settings.seed_numbers,
        root_seed=settings.root_seed,
        secret=_secret(track, settings, keep_secret),
        starting_weights=settings.starting_weights,
        score_splits=settings.score_split,
        tier=sandbox.name,
        device=device,
        threads=settings.threads,
        data=settings.data,
        folder=place,
        also=data_also(place) if folder is None else (),
        weights_dir=None if settings.weights_dir is None else settings.weights_dir.resolve(),
        options=settings.options,
    )
    plan = track.plan(choices, step)
    cells = in_order(plan.cells, [pipeline.name for pipeline in plan.pipelines])
    workers, devices = _room(settings, device)
    return Experiment(track, settings, plan, sources, labels, sandbox, device, cells, workers, devices, load())


def _secret(track: Track, settings: Settings, keep: bool) -> Secret | None:
    """The secret of ``--secret``, or that of the results folder; None for public seeds."""
    if settings.public_seeds:
        return None
    if settings.secret is not None:
        return read_secret(settings.secret)
    return secret_of(settings.out.absolute(), track, keep)


def _labels(sources: tuple[Source, ...]) -> dict[tuple[str, str], str]:
    twice = [key for key, n in Counter((s.digest, s.name) for s in sources).items() if n > 1]
    if twice:
        raise ConfigurationError(f"--submissions: {twice[0][1]} is given twice, with the same files; name it once")
    names = Counter(source.name for source in sources)
    return {(s.digest, s.name): s.name if names[s.name] == 1 else f"{s.name} ({s.digest[:8]})" for s in sources}


def _room(settings: Settings, device: str) -> tuple[int, tuple[str, ...]]:
    """The number of trainings at a time, and the CUDA devices that they are distributed over."""
    if not device.startswith("cuda"):
        return settings.workers or max(1, cores() // settings.threads), ()
    if ":" in settings.device:  # a device with a number: only this device
        return settings.workers or 1, ()
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    devices = tuple(visible[:count]) if len(visible) >= count > 1 else tuple(map(str, range(count)))
    return settings.workers or count, devices if count > 1 else ()
