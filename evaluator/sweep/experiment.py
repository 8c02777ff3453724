"""A sweep made ready: every choice checked, data read, every cell named. Nothing of it has run yet."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.history.index import Catalogue, Row, read_catalogue
from evaluator.purchase.label_quality import quality_warnings
from evaluator.purchase.pairs import NamedPair, choose_pairs
from evaluator.purchase.profiles import Profile, profile_named
from evaluator.purchase.purchased import CellInputs
from evaluator.purchase.sets import RoundSets, provide_data, read_sets
from evaluator.purchase.spec import CellSpec
from evaluator.runner.cells import counting, log_name, plain
from evaluator.sandbox.tier import Sandbox
from evaluator.submission.source import Source, read_source
from evaluator.sweep.plan import Plan, cores
from evaluator.sweep.settings import Settings
from evaluator.training import recipes

Step = Callable[[str, int, int], None]
"""Called with what is done, how far, and of how much."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """Every cell of a sweep, and what their hashes stand for.

    Attributes:
        labels: what a submission is called in tables, by its digest and name.
        plans: one per submission, label quality and split that is scored.
        sets: by that split.
        cells: seed by seed; within a seed those of one purchase one after the other.
        workers: trainings at a time; ``devices``: what the slots see, where there are several CUDA devices.
    """

    settings: Settings
    profile: Profile
    pairs: tuple[NamedPair, ...]
    labels: dict[tuple[str, str], str]
    plans: tuple[Plan, ...]
    sets: dict[str, RoundSets]
    sandbox: Sandbox
    cells: tuple[CellSpec, ...]
    workers: int
    devices: tuple[str, ...]

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What the person should know before work starts."""
        plan = self.plans[0]  # all plans have the same seeds, and all splits that are scored the same pool
        sets = next(iter(self.sets.values()))
        return quality_warnings(self.profile, sets, self.settings.label_quality, plan.root_seed, plan.seed_numbers)

    def inputs(self, spec: CellSpec) -> CellInputs:
        """What a cell's hashes stand for on this machine."""
        source = next(
            p.source for p in self.plans if p.source.digest == spec.submission_digest and p.source.name == spec.submission
        )
        return CellInputs(source.path, self.sets[spec.score_split], self.sandbox, self.plans[0].weights_dir)

    def label(self, spec: CellSpec) -> str:
        """What the submission of a cell is called."""
        return self.labels[spec.submission_digest, spec.submission]

    def log_name(self, spec: CellSpec) -> str:
        """Name of the log of a cell's purchase, unlike that of any other purchase of the sweep."""
        quality = f"-quality{spec.label_quality:g}" if len(self.settings.label_quality) > 1 else ""
        return f"{plain(self.label(spec))}-{log_name(spec)}{quality}"

    def finished(self, catalogue: Catalogue) -> dict[str, Row]:
        """Rows of the cells that are stored and count, by digest: exactly those that the runner would not run again."""
        if self.settings.fresh:
            return {}
        of: dict[str, list[str]] = {}
        for spec in self.cells:
            of.setdefault(spec.purchase_digest(), []).append(spec.digest())
        found: dict[str, Row] = {}
        for purchase, digests in of.items():
            rows = {d: catalogue.cells[d] for d in digests if d in catalogue.cells and catalogue.cells[d]["scored"]}
            checksums = {digest: row["purchase_checksum"] for digest, row in rows.items()}
            still = counting(checksums, len(digests), self.bought(purchase, catalogue))
            found |= {digest: row for digest, row in rows.items() if digest in still}
        return found

    def bought(self, purchase: str, catalogue: Catalogue) -> str | None:
        """Checksum of a stored purchase that trainings of this sweep would be done on; None where it must be made."""
        row = catalogue.purchases.get(purchase)
        if row is None or self.settings.fresh or self.profile.round.scores == "participant":
            return None
        kept = row["verdict"] == "TIME_LIMIT" and self.settings.on_timeout == "keep" and row["phases"]
        return row["checksum"] if row["verdict"] == "OK" or kept else None

    def catalogue(self) -> Catalogue:
        """What is stored now."""
        return read_catalogue(self.settings.out.absolute())


def prepare(settings: Settings, step: Step = lambda what, done, total: None, data: Path = Path("data")) -> Experiment:
    """Check every choice, read (and where it is generated: make) the data, and name every cell.

    Args:
        data: the folder below which profiles have their data, and the cache of decoded images lies.

    Raises:
        KitError: a choice, a submission, data or weights that are not there or make no sense.
    """
    from evaluator.sandbox.tiers import choose
    from evaluator.training.device import resolve

    profile = profile_named(settings.profile)
    pairs = choose_pairs(settings.pairs, profile, settings.round_seed)
    asked = [recipes.load_pipeline(name) for name in settings.pipelines or (profile.pipeline,)]
    weights = settings.starting_weights or profile.weights
    sources = [read_source(path) for path in settings.submissions]
    labels = _labels(sources)
    device = str(resolve(settings.device))
    sandbox = choose(settings.sandbox, gpu=device.startswith("cuda"))
    splits = settings.score_split or (profile.round.score_split,)
    plans = tuple(
        Plan(
            source=source,
            profile=profile,
            pairs=tuple(named.pair for named in pairs),
            seeds=settings.seeds,
            first_seed=settings.first_seed,
            root_seed=settings.root_seed,
            pipelines=tuple(recipes.fitted(pipeline, profile.image_size, weights) for pipeline in asked),
            tier=sandbox.name,
            device=device,
            threads=settings.threads,
            score_split=split,
            label_quality=quality,
            on_timeout=settings.on_timeout,
            restart=settings.restart_workers,
            weights_dir=None if settings.weights_dir is None else settings.weights_dir.resolve(),
            asked=tuple(pipeline.name for pipeline in asked),
        )
        for source in sources
        for quality in settings.label_quality
        for split in splits
    )
    folder = (settings.data or data / profile.data_folder).absolute()
    if settings.data is None:
        provide_data(profile, folder, step)
    sets = {split: read_sets(profile, folder, score_split=split, cache=data.absolute() / ".cache", step=step) for split in splits}
    workers, devices = _room(settings, device)
    return Experiment(settings, profile, pairs, labels, plans, sets, sandbox, _cells(plans, sets), workers, devices)


def _labels(sources: list[Source]) -> dict[tuple[str, str], str]:
    twice = [key for key, n in Counter((s.digest, s.name) for s in sources).items() if n > 1]
    if twice:
        raise ConfigurationError(f"the submission {twice[0][1]} is named twice, with the same files; name it once")
    names = Counter(source.name for source in sources)
    return {(s.digest, s.name): s.name if names[s.name] == 1 else f"{s.name} ({s.digest[:8]})" for s in sources}


def _cells(plans: tuple[Plan, ...], sets: dict[str, RoundSets]) -> tuple[CellSpec, ...]:
    weights = plans[0].starting_weights()  # all plans have the same pipelines
    cells = [spec for plan in plans for spec in plan.cells(sets[plan.score_split], weights)]
    # Purchases in the order of the plans; several splits of one purchase are of several plans, and of one model are neighbours.
    pipelines = [pipeline.name for pipeline in plans[0].pipelines]
    place: dict[str, int] = {}
    for spec in cells:
        place.setdefault(spec.purchase_digest(), len(place))
    return tuple(sorted(cells, key=lambda s: (s.seed, place[s.purchase_digest()], pipelines.index(s.pipeline.name))))


def _room(settings: Settings, device: str) -> tuple[int, tuple[str, ...]]:
    """Trainings at a time, and the devices that they are spread over."""
    if not device.startswith("cuda"):
        return settings.workers or max(1, cores() // settings.threads), ()
    if ":" in settings.device:  # that device, and no other
        return settings.workers or 1, ()
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    devices = tuple(visible[:count]) if len(visible) >= count > 1 else tuple(map(str, range(count)))
    return settings.workers or count, devices if count > 1 else ()
