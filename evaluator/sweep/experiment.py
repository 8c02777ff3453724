"""An experiment: a sweep whose choices are checked, whose data are read, and whose cells have specs. Nothing has run yet."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from evaluator.errors import ConfigurationError, SubmissionError
from evaluator.history.entries import LABEL_WIDTH, OWNER_WIDTH, Entry, moment, place_text
from evaluator.history.index import Index, Row, read_index, secret_of
from evaluator.history.people import shown_names
from evaluator.history.predictions import lacks_predictions
from evaluator.machine import Load, computed_by, cores, load, versions
from evaluator.places import data_also, data_place
from evaluator.plans import Choices, Plan, Step, in_order
from evaluator.runner.cells import counting, log_name, plain
from evaluator.runner.workers import TOGETHER
from evaluator.sandbox.tier import Sandbox
from evaluator.secret import Secret, read_secret
from evaluator.specs import CellSpec
from evaluator.submission.environment import read_requirements
from evaluator.submission.environment import warning as lacking
from evaluator.submission.manifest import read_manifest
from evaluator.submission.source import Source
from evaluator.sweep.settings import Settings
from evaluator.text import one_line
from evaluator.track import CellInputs, Track, Tracks
from evaluator.words import counted


@dataclass(frozen=True, eq=False)
class Experiment:
    """Every cell of a sweep, and the files and objects behind their specs.

    Attributes:
        sources: the submissions. Those that cannot be read are among them; their cells fail, and the others run.
        labels: names of the submissions in tables, by their paths, different for all. Submissions of equal files share their cells.
        entries: whose they are and where they lie, in the order of ``sources``.
        device: of the trainings, e.g. ``cpu``.
        cells: sorted by seed, then by answer.
        workers: trainings at a time; ``devices``: CUDA devices of the workers, empty unless there are several; ``together``: how
            many trainings share a process.
        load: of the machine, before anything runs.
        remarks: what was noticed about manifests and requirements of the submissions, one sentence each.
    """

    track: Track
    settings: Settings
    plan: Plan
    sources: tuple[Source, ...]
    labels: dict[Path, str]
    entries: tuple[Entry, ...]
    sandbox: Sandbox
    device: str
    cells: tuple[CellSpec, ...]
    workers: int
    devices: tuple[str, ...]
    together: int
    load: Load
    remarks: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences to print before the run."""
        busy = self.load.busy()
        advice = "; submissions and trainings will be slower than on a quiet machine, and a submission may miss its time limit"
        faults = [f"{source.fault}; all its cells fail with {source.verdict}." for source in self.sources if source.fault]
        from evaluator.sandbox.tiers import exposed, passed_over

        weaker = passed_over(self.sandbox.name, gpu=self.device.startswith("cuda")) if self.settings.sandbox == "auto" else ""
        lower = [said for said in (weaker, exposed(self.sandbox)) if said]
        return (*faults, *self.remarks, *lower, *self.plan.warnings, *([f"busy machine: {busy}{advice}."] if busy else []))

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
        data = self.plan.data_of(spec)
        return CellInputs(source.path, data, self.sandbox, None if weights is None else weights.resolve(), self.load.busy())

    def source(self, spec: CellSpec) -> Source:
        """The submission of a cell; of several with equal files the first."""
        return next(s for s in self.sources if s.digest == spec.submission_digest)

    def label(self, spec: CellSpec) -> str:
        """The names, in tables, of all submissions that a cell belongs to."""
        return ", ".join(self.rows_of(spec))

    def rows_of(self, spec: CellSpec) -> list[str]:
        """The name, in tables, of every submission that a cell belongs to: several if their files are equal."""
        return [self.labels[s.path] for s in self.sources if s.digest == spec.submission_digest]

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
    trains: bool = True,
    sandbox: Sandbox | None = None,
) -> Experiment:
    """Check every choice, read the data (generated data are made if they are missing), and make the spec of every cell.

    Args:
        folder: folder of the profiles' data sets and of the cache of decoded images; None for that of ``--cache``.
        keep_secret: if the results folder has no secret yet, write the secret that is made into it; and make the data sets of
            ``--data-sets``. False for a dry run.
        trains: False where cells are only looked at: then the weights that a training starts from need not be there.
        sandbox: where submissions run; None for that of the settings.

    A submission that cannot be read does not end a sweep: its cells fail.

    Raises:
        KitError: a choice makes no sense, data, weights or the secret are missing or wrong, or no submission can be read.
    """
    from evaluator.sandbox.tiers import choose
    from evaluator.training.device import resolve

    sources = tuple(track.source(path) for path in settings.submissions)
    if all(source.fault for source in sources):
        raise SubmissionError("\n".join(source.fault for source in sources), sources[0].verdict)
    # What an image holds, nobody can tell from here.
    entries, remarks = described(sources, settings.label, here=settings.sandbox != "docker")
    shown = shown_names([(entry.label, entry.owner, entry.digest) for entry in entries])
    labels = {source.path: name for source, name in zip(sources, shown, strict=True)}
    if settings.data_sets and not track.several_data_sets:
        raise ConfigurationError(f"--data-sets: the track {track.name} makes no data sets of a profile. Leave the option out")
    device = str(resolve(settings.device))
    sandbox = sandbox or choose(settings.sandbox, gpu=device.startswith("cuda"))
    place = folder or data_place(settings.cache)
    choices = Choices(
        submissions=_planned(sources, settings.out.absolute(), track),
        profile=settings.profile,
        pipelines=settings.pipelines,
        seeds=settings.seed_numbers,
        data_sets=settings.data_set_numbers,
        make_data=keep_secret,
        trains=trains,
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
    room = _room(settings, device if track.trains_on_device else "cpu")
    return Experiment(track, settings, plan, sources, labels, entries, sandbox, device, cells, *room, load(), remarks)


def _secret(track: Track, settings: Settings, keep: bool) -> Secret | None:
    """The secret of ``--secret``, or that of the results folder; None for public seeds."""
    if settings.public_seeds:
        return None
    if settings.secret is not None:
        return read_secret(settings.secret)
    return secret_of(settings.out.absolute(), track, keep)


def _planned(sources: tuple[Source, ...], folder: Path, track: Track) -> tuple[Source, ...]:
    """The submissions that cells are made of: one for each content.

    The name in a spec is that under which stored cells of the same files stand already, so that nothing is computed again because
    it has another name or another owner.
    """
    stored: dict[str, set[str]] = {}
    for row in read_index(folder, Tracks({track.name: track})).cells.values():
        stored.setdefault(row["submission_digest"], set()).add(row["submission"])
    unique = {source.digest: source for source in reversed(sources)}
    of_first = [source for source in sources if unique[source.digest] is source]
    return tuple(replace(s, name=_name(s.name, stored.get(s.digest, set()))) for s in of_first)


def _name(own: str, stored: set[str]) -> str:
    return own if own in stored or not stored else min(stored)


def described(
    sources: tuple[Source, ...], labels: tuple[str, ...], *, here: bool = True
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Whose the submissions are and where they lie, and what is worth a warning, one sentence each.

    Args:
        labels: in the order of ``sources``; empty for the names of their folders. Of two names that are equal, of one owner, each
            gets the folder around it, so that no submission of a sweep counts as an edition of another.
        here: whether submissions run with the packages of this environment.

    Raises:
        ConfigurationError: another number of labels, or a label is empty or given twice.
    """
    if labels and len(labels) != len(sources):
        raise ConfigurationError(
            f"--label: {counted(len(labels), 'label')} for {counted(len(sources), 'submission')}; give one for each, in their order"
        )
    for text in labels:
        if not text.strip() or one_line(text, LABEL_WIDTH) != text:
            bounds = f"expected a text of at most {LABEL_WIDTH} characters in one line"
            raise ConfigurationError(f"--label is {one_line(text, LABEL_WIDTH)!r}; {bounds}. Give a shorter or plainer label")
    now, remarks, owners = moment(), [], []
    for source in sources:
        owner, why = _owner(source.path)
        owners.append(owner)
        remarks += [why] if why else []
    given = [labels[i] if labels else source.name for i, source in enumerate(sources)]
    if twice := [key for key, n in Counter(zip(owners, given, strict=True)).items() if n > 1 and labels]:
        raise ConfigurationError(f"--label: {twice[0][1]!r} is given more than once; give each submission a label of its own")
    called = _apart(sources, owners, given)
    entries = [
        Entry(
            owner=owner,
            label=label,
            name=source.name,
            digest=source.digest,
            folder=place_text(source.path),
            first=now,
            last=now,
        ).bounded()
        for source, owner, label in zip(sources, owners, called, strict=True)
    ]
    for source, entry in zip(sources, entries, strict=True):
        said = "" if source.fault or source.answer or not here else lacking(entry.label, read_requirements(source.path))
        remarks += [said] if said else []
    return tuple(entries), tuple(remarks)


def _apart(sources: tuple[Source, ...], owners: list[str], given: list[str]) -> list[str]:
    """Labels that are different for the submissions of each owner."""
    called = list(given)
    for mark in (lambda i: sources[i].path.parent.name or "/", lambda i: str(i + 1)):
        counts = Counter(zip(owners, called, strict=True))
        called = [f"{label} ({mark(i)})" if counts[owners[i], label] > 1 else label for i, label in enumerate(called)]
    return called


def _owner(path: Path) -> tuple[str, str]:
    """Whose a submission is, as its manifest says, and ``""``; or nobody, and why the manifest was not read."""
    try:
        manifest = read_manifest(path)
    except ConfigurationError as error:
        return "", f"{error}. Its submission has no owner in tables"
    return ("" if manifest is None else one_line(manifest.owner, OWNER_WIDTH)), ""


def _room(settings: Settings, device: str) -> tuple[int, tuple[str, ...], int]:
    """The number of trainings at a time, the CUDA devices that they are distributed over, and how many share a process."""
    if not device.startswith("cuda"):
        return settings.workers or max(1, cores() // settings.threads), (), 1
    if ":" in settings.device:  # a device with a number: only this device
        workers = settings.workers or TOGETHER
        return workers, (), workers
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    devices = tuple(visible[:count]) if len(visible) >= count > 1 else tuple(map(str, range(count)))
    workers = settings.workers or TOGETHER * count
    return workers, devices if count > 1 else (), -(-workers // count)
