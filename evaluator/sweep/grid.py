"""The grid of cells that an evaluation runs, made complete before the first one starts."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.purchase.cell import CellSpec
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import NODE, Pair
from evaluator.purchase.sets import RoundSets
from evaluator.submission.source import Source
from evaluator.training.pipeline import Pipeline


@dataclass(frozen=True)
class Plan:
    """What the person asked for, resolved: every choice that ends up in a cell's spec.

    Attributes:
        pairs: in the round's units; ``seeds``: number of repetitions, 1 or more.
        threads: of the training on the CPU; part of the spec because the last bit depends on it.
    """

    source: Source
    profile: Profile
    pairs: tuple[Pair, ...]
    seeds: int
    root_seed: int
    pipeline: Pipeline
    tier: str
    device: str
    threads: int
    score_split: str
    label_quality: float = 1.0
    on_timeout: str = "fail"
    restart: bool = False
    weights_dir: Path | None = None

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ConfigurationError("no pair was named; leave the option out for the profile's own pairs")
        if len(set(self.pairs)) != len(self.pairs):
            raise ConfigurationError(f"a pair was named twice among {', '.join(p.name for p in self.pairs)}; use --seeds to repeat")
        if self.seeds < 1:
            raise ConfigurationError(f"--seeds is {self.seeds}; it must be 1 or more")
        if self.threads < 1:
            raise ConfigurationError(f"--threads is {self.threads}; it must be 1 or more")
        # A spec checks its choices; better now than when all data are read.
        self._spec(self.pairs[0], 0, "", {}, "")

    def cells(self, sets: RoundSets) -> list[CellSpec]:
        """One spec per pair and seed; all pairs of a seed before the next seed, so that a run that is cut short has whole seeds."""
        weights = self._starting_weights()
        participant = "" if self.weights_dir is None else f"{self.weights_dir.name}:{_listing(self.weights_dir)}"
        digests = sets.digests()
        return [self._spec(pair, seed, weights, digests, participant) for seed in range(self.seeds) for pair in self.pairs]

    def _starting_weights(self) -> str:
        """Identity of the pipeline's starting weights: changed weights make other cells, and missing ones are said at once.

        Raises:
            WeightsError: they cannot be had.
        """
        if self.pipeline.architecture == "linear" or self.profile.round.scores == "participant":
            return "none"
        from evaluator.training.weights import starting_weights_identity

        return starting_weights_identity(self.pipeline.weights, self.pipeline.architecture)

    def _spec(self, pair: Pair, seed: int, weights: str, data: dict[str, str], participant: str) -> CellSpec:
        return CellSpec(
            submission=self.source.name,
            submission_digest=self.source.digest,
            profile=self.profile,
            pair=pair,
            seed=seed,
            root_seed=self.root_seed,
            pipeline=self.pipeline,
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
        )


def node_threads() -> int:
    """Threads of the round's node, as far as this machine has them."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(NODE["cpus"]), available)


def _listing(folder: Path) -> str:
    # Names and sizes only: weights are gigabytes, and their content is the participant's own business.
    rows = sorted(f"{p.relative_to(folder)}:{p.stat().st_size}" for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
