"""A round of the purchase track: public data, private data, public and hidden pairs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evaluator.bounded import read_toml
from evaluator.data.folders import Split, read_split
from evaluator.data.layout import DESCRIPTION, IMAGES, LABELS
from evaluator.data.make import DataSpec, make_dataset
from evaluator.data.painted import CLASSES
from evaluator.errors import ConfigurationError
from evaluator.plans import Step
from evaluator.purchase.pairs import choose_pairs
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import tables_besides
from evaluator.purchase.rule_files import chosen_profile, is_file
from evaluator.purchase.sets import needed_splits
from evaluator.rounds.draws import ROOT_SEED, data_seed, part_secret, round_seed
from evaluator.rounds.making import Made, Order
from evaluator.rounds.terms import DATA, JUDGE, PUBLIC, Folder
from evaluator.secret import Secret
from evaluator.text import one_line
from evaluator.words import counted

HIDDEN_SHIFT = {"public": "private", "private": "private", "rare": "rare-private", "rare-private": "rare-private"}
"""The production line of the private data, by that of the public data."""
PROFILE = "profile.toml"
_TO_FILES = {
    "round": "Write the keys of that file into a table [round] of this file, and leave the key round out",
    "like": "Write the keys of that file that hold for this profile into this file, and leave the key like out",
    "pipeline": "Name a pipeline of the kit",
}
"""Keys of a profile that may name another file, and what to do instead."""
PAIRS = 5
"""Hidden pairs, unless another number is asked for."""


def make(order: Order, secret: Secret, folder: Folder, step: Step) -> Made:
    """Write the data of a round.

    Raises:
        KitError: the profile, a pair or a folder is not what it should be.
    """
    profile = chosen_profile(order.profile)
    if is_file(order.profile):
        _require_whole(order.profile)
    hidden, words = order.hidden or PAIRS, order.tasks or ("profile",)
    if any(word.startswith("hidden") for word in words):
        raise ConfigurationError("--pairs: hidden pairs are drawn from the secret of the round; say how many with --hidden N")
    private, seed = part_secret(secret, "private"), round_seed(secret)
    public_pairs = choose_pairs(words, profile, None)
    pairs = choose_pairs([f"hidden:{hidden}"], profile, seed, private.root(ROOT_SEED))
    _write_data(order, profile, secret, folder, step)
    name = _profile_file(order.profile, profile, folder) if is_file(order.profile) else order.profile
    split = scored(profile, folder.keep / "private" / DATA)
    asked: dict[str, Any] = {"profile": name, "seeds": order.seeds}
    asked |= {"pipelines": list(order.pipelines)} if order.pipelines else {}
    digests = digests_of(folder.publish, asked)
    of_judge = asked | {"cache": "../cache"}
    return Made(
        public=of_judge | {"data": "../../publish/data", "pairs": list(words), "secret": "../public.secret"},
        private=of_judge
        | {
            "data": "../private/data",
            "pairs": [f"hidden:{hidden}"],
            "round-seed": seed,
            "score-split": [split],
            "secret": "../private.secret",
        },
        published=asked | {"data": DATA, "pairs": list(words)},
        hidden=tuple(named.pair.name for named in pairs),
        digests=digests,
        facts=[
            f"Data: `{DATA}/`, {', '.join(f'{split} ({count} images)' for split, count in _counts(folder, digests).items())}, with "
            "all labels. The public part is judged on them, so it is for learning; the private part decides.",
            f"Public pairs (labels:minutes, in the units of the round): {', '.join(n.pair.name for n in public_pairs)}; each "
            f"{counted(order.seeds, 'time')}.",
            f"Private part: {hidden} hidden pairs, from {profile.round.label_interval[0]:,} to "
            f"{profile.round.label_interval[1]:,} labels and {profile.round.minute_interval[0]:g} to "
            f"{profile.round.minute_interval[1]:g} minutes, on {_unseen(order, profile)}.",
        ],
        practise=[
            f"python -m evaluator validate MY_SUBMISSION --file {PUBLIC}",
            f"python -m evaluator sweep --file {PUBLIC} --submissions MY_SUBMISSION --out results",
        ],
    )


def _unseen(order: Order, profile: Profile) -> str:
    """What the private data are, for participants. Of an organiser's own data the kit knows nothing."""
    if order.private_data is not None:
        return "images that are not published"
    other = HIDDEN_SHIFT[profile.shift] != profile.shift
    return "images that nobody has seen" + (", of another production line" if other else "")


def scored(profile: Profile, private: Path) -> str:
    """The split of the private data that is scored: ``test`` where there is one."""
    return "test" if (private / "test").is_dir() else profile.round.score_split


def digests_of(publish: Path, options: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the splits that a participant reads, by the published options (``publish/public.toml``).

    Raises:
        KitError: the profile or a split is not what it should be.
    """
    name = str(options["profile"])
    profile = chosen_profile(str(publish / name) if is_file(name) else name)
    return {split: _read(publish / DATA, split, profile).digest for split in needed_splits(profile)}


def _counts(folder: Folder, digests: dict[str, str]) -> dict[str, int]:
    return {split: len(list((folder.publish / DATA / split / IMAGES).iterdir())) for split in digests}


def _write_data(order: Order, profile: Profile, secret: Secret, folder: Folder, step: Step) -> None:
    public, private = folder.publish / DATA, folder.keep / "private" / DATA
    if order.data is not None and order.private_data is not None:
        own = scored(profile, order.private_data)
        _copy(order.data, public, needed_splits(profile), profile, partial(step, "copying public data"))
        _copy(order.private_data, private, needed_splits(profile, own), profile, partial(step, "copying private data"))
        return
    if not set(profile.round.classes) <= set(CLASSES) or not profile.sizes:
        raise ConfigurationError(
            f"--profile {profile.name}: the kit cannot make data of the classes {', '.join(profile.round.classes)}, or does "
            "not know how many; name your own with --data DIR and --private-data DIR"
        )
    size, sizes, classes = profile.image_size, dict(profile.sizes), profile.round.classes
    spec = DataSpec(profile.data_seed, size, sizes, classes, profile.shift, shifted=dict(profile.shifted))
    other = DataSpec(data_seed(secret, "pool"), size, sizes, classes, HIDDEN_SHIFT[profile.shift], secret=True)
    make_dataset(public, spec, progress=partial(step, "making public data"))
    make_dataset(private, other, progress=partial(step, "making private data"))


def _read(data: Path, split: str, profile: Profile) -> Split:
    return read_split(data / split, profile.round.classes, besides=tables_besides(profile.round.classes))


def _copy(source: Path, target: Path, splits: Sequence[str], profile: Profile, step: Callable[[int, int], None]) -> None:
    """Copy what an evaluation reads, and nothing else that lies there."""
    for number, name in enumerate(splits):
        step(number, len(splits))
        split = _read(source, name, profile)
        (target / name / IMAGES).mkdir(parents=True)
        shutil.copyfile(source / name / LABELS, target / name / LABELS)
        for index, file in enumerate(split.files):
            shutil.copyfile(split.path(index), target / name / IMAGES / file)
    if (source / DESCRIPTION).is_file():
        shutil.copyfile(source / DESCRIPTION, target / DESCRIPTION)
    step(len(splits), len(splits))


def _require_whole(given: str) -> None:
    """Refuse a profile's file that names another file, before anything is made.

    Raises:
        ConfigurationError: naming the key, and what to do.
    """
    plain = read_toml(Path(given).expanduser())
    for key, advice in _TO_FILES.items():
        value = plain.get(key)
        if isinstance(value, str) and is_file(value):
            raise ConfigurationError(
                f"--profile {given}: its key {key} names the file {one_line(value, 200)!r}; expected one file that is whole alone, "
                f"because a round's folder holds no other. {advice}"
            )


def _profile_file(given: str, profile: Profile, folder: Folder) -> str:
    """Put a profile's file beside both parts' files, under one name; whoever has the folder then has the profile.

    Raises:
        ConfigurationError: it names other files, which would not be there.
    """
    for place in (folder.publish, folder.keep / JUDGE):
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(given).expanduser(), place / PROFILE)
    try:
        copied = chosen_profile(str(folder.publish / PROFILE))
    except ConfigurationError as error:
        told = str(error).replace(str(folder.publish / PROFILE), given)
        raise ConfigurationError(f"--profile {given}: it is not whole alone ({told}). Put all into this file") from None
    if copied != profile or copied.pipeline_file:
        raise ConfigurationError(f"--profile {given}: it names other files; expected a file that is whole alone. Put all into it")
    return PROFILE
