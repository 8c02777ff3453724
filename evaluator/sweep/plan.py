"""The grid of cells that an evaluation runs, made complete before the first one starts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import ConfigurationError, WeightsError
from evaluator.purchase.label_quality import quality_warnings
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import NODE, Pair
from evaluator.purchase.sets import RoundSets
from evaluator.purchase.spec import CellSpec
from evaluator.submission.source import Source
from evaluator.training.pipeline import Pipeline


@dataclass(frozen=True)
class Plan:
    """What the person asked for, resolved: every choice that ends up in a cell's spec.

    Attributes:
        pairs: in the round's units.
        seeds: number of repetitions, 1 or more; ``first_seed``: number of the first of them.
        pipelines: what is trained on every purchase: one, or a panel of several.
        asked: how the pipelines were called before they were brought to the profile; empty where as they are.
        threads: of the training on the CPU; part of the spec because the last bit depends on it.
    """

    source: Source
    profile: Profile
    pairs: tuple[Pair, ...]
    seeds: int
    root_seed: int
    pipelines: tuple[Pipeline, ...]
    tier: str
    device: str
    threads: int
    score_split: str
    label_quality: float = 1.0
    on_timeout: str = "fail"
    restart: bool = False
    weights_dir: Path | None = None
    asked: tuple[str, ...] = ()
    first_seed: int = 0

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ConfigurationError("no pair was named; leave the option out for the profile's own pairs")
        if len(set(self.pairs)) != len(self.pairs):
            raise ConfigurationError(f"a pair was named twice among {', '.join(p.name for p in self.pairs)}; use --seeds to repeat")
        if self.seeds < 1:
            raise ConfigurationError(f"--seeds is {self.seeds}; it must be 1 or more")
        if self.first_seed < 0:
            raise ConfigurationError(f"--first-seed is {self.first_seed}; it must be 0 or more")
        if self.threads < 1:
            raise ConfigurationError(f"--threads is {self.threads}; it must be 1 or more")
        names = [pipeline.name for pipeline in self.pipelines]
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(f"the pipelines are {', '.join(names) or 'none'}; name each once")
        if self.panel and self.profile.round.scores == "participant":
            raise ConfigurationError(
                f"{self.profile.round.name} scores the participant's own predictions and trains no pipeline; leave --panel out"
            )
        # A spec checks its choices; better now than when all data are read.
        self._spec(self.pairs[0], 0, self.pipelines[0], "", {}, "")

    @property
    def seed_numbers(self) -> range:
        """The numbers of the repetitions."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def panel(self) -> bool:
        """Whether several pipelines judge."""
        return len(self.pipelines) > 1

    def fitted_from(self, pipeline: Pipeline) -> str | None:
        """The name of the pipeline that ``pipeline`` was brought to the profile from; None where it is as it was asked for."""
        before = dict(zip((p.name for p in self.pipelines), self.asked, strict=False)).get(pipeline.name, pipeline.name)
        return None if before == pipeline.name else before

    def warnings(self, sets: RoundSets) -> tuple[str, ...]:
        """What the person should know before work starts."""
        return quality_warnings(self.profile, sets, (self.label_quality,), self.root_seed, self.seed_numbers)

    def starting_weights(self) -> list[str]:
        """Identity of every pipeline's starting weights. It reads them whole, so plans of the same pipelines share it.

        Raises:
            WeightsError: they cannot be had.
        """
        return [self._starting_weights(pipeline) for pipeline in self.pipelines]

    def cells(self, sets: RoundSets, weights: Sequence[str] | None = None) -> list[CellSpec]:
        """One spec per pair, seed and pipeline. ``weights``: from ``starting_weights``, where it was called already.

        All pairs of a seed come before the next seed, so that a run that is cut short has whole seeds, and all pipelines of a pair
        and seed one after the other, since they share a purchase.
        """
        weights = self.starting_weights() if weights is None else weights
        participant = "" if self.weights_dir is None else f"{self.weights_dir.name}:{_listing(self.weights_dir)}"
        digests = sets.digests()
        return [
            self._spec(pair, seed, pipeline, start, digests, participant)
            for seed in self.seed_numbers
            for pair in self.pairs
            for pipeline, start in zip(self.pipelines, weights, strict=True)
        ]

    def _starting_weights(self, pipeline: Pipeline) -> str:
        """Identity of a pipeline's starting weights: changed weights make other cells, and missing ones are said at once.

        Raises:
            WeightsError: they cannot be had.
        """
        if pipeline.architecture == "linear" or self.profile.round.scores == "participant":
            return "none"
        from evaluator.training.weights import starting_weights_identity

        try:
            return starting_weights_identity(pipeline.weights, pipeline.architecture)
        except WeightsError as error:
            raise WeightsError(f"pipeline {pipeline.name!r}: {error}") from error

    def _spec(self, pair: Pair, seed: int, pipeline: Pipeline, weights: str, data: dict[str, str], participant: str) -> CellSpec:
        return CellSpec(
            submission=self.source.name,
            submission_digest=self.source.digest,
            profile=self.profile,
            pair=pair,
            seed=seed,
            root_seed=self.root_seed,
            pipeline=pipeline,
            weights=weights,
            data=data,
            score_split=self.score_split,
            tier=self.tier,
            device=self.device,
            threads=self.threads,
            label_quality=self.label_quality,
            on_timeout=self.on_timeout,  # type: ignore[arg-type]
            restart=self.restart,
            participant_weights=participant,
            worker_threads=node_threads(),
        )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def node_threads() -> int:
    """Threads of the round's node, as far as this machine has them."""
    return min(int(NODE["cpus"]), cores())


def _listing(folder: Path) -> str:
    # Names and sizes only: weights are gigabytes, and their content is the participant's own business.
    rows = sorted(f"{p.relative_to(folder)}:{p.stat().st_size}" for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
