"""The data sets of an evaluation. They are read, checked and decoded once, and all cells share them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluator.data.cache import CachedImages, cache_images
from evaluator.data.folders import Split, read_split
from evaluator.errors import DataError
from evaluator.plans import Step
from evaluator.purchase.profiles import PROFILES, Profile
from evaluator.purchase.rounds import ROUND2, tables_besides
from evaluator.secret import Secret, root_of
from evaluator.seeds import derive, generator, short
from evaluator.specs import DATA_SET

if TYPE_CHECKING:
    from evaluator.purchase.spec import PurchaseSpec


SECONDS_PER_PIXEL, BYTES_PER_PIXEL = 2.5e-6, 7.7
"""Of making, and of the files with the cache of decoded images: measured on the profile ``rare``, one core of a 2026 server."""


@dataclass(frozen=True, eq=False)
class _Sets:
    folder: Path
    splits: dict[str, Split]
    images: dict[str, CachedImages]

    def digests(self) -> dict[str, str]:
        """Content hash per split."""
        return {name: split.digest for name, split in self.splits.items()}

    def counts(self) -> dict[str, int]:
        """Images per split."""
        return {name: len(split) for name, split in self.splits.items()}


@dataclass(frozen=True, eq=False)
class DrawnSets(_Sets):
    """The splits that the cells of one seed work on.

    Attributes:
        folder: the data folder; ``splits``, ``images``: by the name of the split.
        whole: the sets that the seed drew from.
        chosen: for every split that was drawn, the numbers of its images in the whole split, int64 (n,), ascending. Other splits
            are used whole.
        root: the number that every draw of the cells is split from.
    """

    whole: RoundSets
    chosen: dict[str, np.ndarray]
    root: int = field(repr=False)


@dataclass(frozen=True, eq=False)
class RoundSets(_Sets):
    """Splits by name, with their decoded images. ``folder``: the data folder.

    They carry the secret of the run: like the labels, it is for the trusted side only, and all cells share it.
    """

    secret: Secret | None = None

    def drawn(self, profile: Profile, root: int, seed: int) -> DrawnSets:
        """The sets of one seed: if the profile says so, training set and pool are drawn for the seed.

        Args:
            root: the number that every draw is split from.
        """
        splits, images, chosen = dict(self.splits), dict(self.images), {}
        for name, count in profile.drawn.items():
            # The draw does not depend on the pair, so that the cells of a seed differ only in budget and time.
            rows = np.sort(generator(root, seed, "drawn", name).permutation(len(splits[name]))[:count])
            split = splits[name]
            splits[name] = replace(split, files=tuple(split.files[row] for row in rows), labels=split.labels[rows])
            images[name] = replace(images[name], rows=images[name].rows[rows])
            chosen[name] = rows
        return DrawnSets(self.folder, splits, images, self, chosen, root)

    def of(self, spec: PurchaseSpec) -> DrawnSets:
        """The sets that a cell works on.

        Raises:
            ConfigurationError: the cell is of another secret.
        """
        return self.drawn(spec.profile, draw_root(self.secret, spec), spec.seed)


def draw_root(secret: Secret | None, spec: PurchaseSpec) -> int:
    """The number that every draw of a cell is split from; another for every data set, so that a seed shares no draw between them.

    Raises:
        ConfigurationError: the cell is of another secret.
    """
    root = root_of(secret, spec.root_seed, spec.secret)
    return derive(root, DATA_SET, spec.data_set) if spec.data_set else root


def numbered(profile: Profile, number: int) -> Profile:
    """The profile on its data set of a number: 0 is its own, and every other is made of a seed that follows from the number."""
    if not number:
        return profile
    seed, folder = short(profile.data_seed, DATA_SET, number), f"{profile.data_folder}-set-{number}"
    return replace(profile, data_seed=seed, data_folder=folder, data_place="")


def cost_of(profile: Profile) -> tuple[float, float]:
    """About how long making a data set of the profile takes, in seconds on one core, and its bytes with the decoded images."""
    pixels = sum(profile.sizes.values()) * profile.image_size**2
    return pixels * SECONDS_PER_PIXEL, pixels * BYTES_PER_PIXEL


def provide_data(profile: Profile, folder: Path, step: Step = lambda what, done, total: None) -> None:
    """Make the profile's public data in ``folder``, if the profile has generated data and the folder does not exist.

    Raises:
        DataError: the folder holds what another version of the generator made.
    """
    if not profile.generated:
        return
    from evaluator.data.make import DataSpec, make_dataset, refuse_older

    if folder.exists():
        refuse_older(folder)
        return
    spec = DataSpec(
        profile.data_seed,
        profile.image_size,
        dict(profile.sizes),
        profile.round.classes,
        profile.shift,
        shifted=dict(profile.shifted),
    )
    make_dataset(folder, spec, progress=lambda done, total: step("making data", done, total))


def needed_splits(profile: Profile, score_split: str | None = None) -> tuple[str, ...]:
    """The splits that an evaluation of ``profile`` reads, each once."""
    rules = profile.round
    return tuple(dict.fromkeys(("training", "unlabelled", score_split or rules.score_split, rules.prediction_split)))


def read_sets(
    profile: Profile,
    folder: Path,
    *,
    score_split: str | None = None,
    cache: Path,
    step: Step = lambda what, done, total: None,
    secret: Secret | None = None,
) -> RoundSets:
    """Read every split that the profile needs from ``folder``, and decode the images that are not in the cache yet.

    Args:
        cache: folder of decoded images, named by their content, so that data sets may share it.
        secret: of the run; None for public seeds.

    Raises:
        DataError: a split is missing or wrong.
    """
    if not folder.is_dir():
        raise DataError(
            f"the data folder {folder} does not exist; {_way(profile)}import the official archives with `python -m evaluator data "
            "import ARCHIVE`, or name another with --data"
        )
    besides = tables_besides(profile.round.classes)
    splits, images = {}, {}
    for name in needed_splits(profile, score_split):
        step(f"reading {name}", 0, 1)
        splits[name] = read_split(folder / name, profile.round.classes, stat_cache=cache / "hashes.json", besides=besides)
        images[name] = cache_images(
            splits[name],
            profile.image_size,
            cache,
            progress=partial(step, f"decoding {name}"),
            # A disk fault, or a submission in a weak tier, may have changed pixels since the last run. Checking takes a second per
            # gigabyte.
            verify=True,
            resize=profile.resize,
        )
        if profile.embeddings:
            from evaluator.training.embeddings.shown import shown_embeddings

            images[name] = shown_embeddings(
                splits[name].digest,
                images[name],
                profile.weights,
                profile.embeddings_by,
                progress=partial(_in_percent, step, f"embedding {name}"),
            )
    return RoundSets(folder, splits, images, secret)


def _way(profile: Profile) -> str:
    """How a data folder that is not there can be made; empty for classes that the generator does not know."""
    name = profile.name if profile.name in PROFILES else "FILE"
    painted = set(profile.round.classes) <= set(ROUND2.classes)
    return f"make it with `python -m evaluator data make --profile {name}`, " if painted else ""


def _in_percent(step: Step, what: str, share: float) -> None:
    step(what, round(100 * share), 100)
