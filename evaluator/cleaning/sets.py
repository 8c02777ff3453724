"""Where the tasks of a plan come from: embedded digits, painted sheets, DataPerf's layout, or images with real mistakes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from evaluator.cleaning.embedded import EXAMPLES as DIGITS
from evaluator.cleaning.embedded import NAME, Embedded, embedded_digest
from evaluator.cleaning.folder import read_task, task_names
from evaluator.cleaning.painted import EXAMPLES as SHEETS
from evaluator.cleaning.painted import Painted, painted_digest
from evaluator.cleaning.rules import CleaningProfile
from evaluator.cleaning.tasks import CleaningTask
from evaluator.errors import ConfigurationError

OF_ONE_TASK = {"roman-numerals": "roman-numerals", "votes": "cifar10-votes"}
"""The name of the task in the layouts that have one."""


MOST_HELD = 64
"""Tasks that a process keeps in memory, some megabytes each."""


@dataclass(frozen=True)
class CleaningSets:
    """The tasks of a profile.

    Attributes:
        root: that tasks are drawn from, where they are drawn.
        folder: of the tasks; None for those that need none. Its layout is the profile's.
        cache: folder of the kit's cache; None where no embeddings are computed.
        embeddings, groundtruth: folders of DataPerf's layout; None for those in ``folder``.
    """

    profile: CleaningProfile
    root: int
    embeddings: Path | None = None
    groundtruth: Path | None = None
    folder: Path | None = None
    cache: Path | None = None

    @classmethod
    def chosen(cls, profile: CleaningProfile, root: int, data: Path | None, cache: Path) -> CleaningSets:
        """The sets of a profile and the folder that a person named, if any.

        Raises:
            ConfigurationError: the profile needs a folder, and none was named; or it reads none, and one was.
        """
        if data is None:
            if profile.tasks:
                return cls(profile, root, cache=cache)
            raise ConfigurationError(f"--data: the profile {profile.name!r} reads {profile.layout_text}; name it with --data DIR")
        if profile.tasks:
            raise ConfigurationError(
                f"--data: the profile {profile.name!r} has tasks of its own and reads no folder. Leave the option out, or name the "
                "profile of the data, such as --profile dataperf"
            )
        place = data.absolute()
        if profile.layout == "dataperf":
            return cls(profile, root, place / "embeddings", place / "data")
        return cls(profile, root, folder=place)

    def names(self) -> tuple[str, ...]:
        """The tasks of the profile, or all of the folder.

        Raises:
            ConfigurationError: the folder holds none.
        """
        if self.folder is not None:
            return (OF_ONE_TASK[self.profile.layout],)
        return self.profile.tasks if self.embeddings is None else tuple(task_names(self.embeddings))

    def task(self, name: str, seed: int) -> CleaningTask:
        """A task at a seed; read or drawn once per process. Those in DataPerf's layout are the same for every seed."""
        return _task(self, name, seed if self.embeddings is None else 0)

    def hold(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Read or draw the tasks of these names and seeds, and keep them when the files are gone.

        Raises:
            ConfigurationError: there are more than a process keeps.
        """
        several = set(wanted)
        if len(several) > MOST_HELD:
            raise ConfigurationError(
                f"--seeds: {len(several)} tasks at their seeds; at most {MOST_HELD} are kept in memory. Ask for fewer"
            )
        for name, seed in sorted(several):
            self.task(name, seed)

    def digest(self, names: Sequence[str]) -> str:
        """What decides the tasks of these names, but for the seed and the secret: SHA-256 (hex) over the tables of the folder, or
        over what tasks are drawn from."""
        return _digest(self, tuple(sorted({name.split("-")[0] for name in names})))

    def places(self) -> list[Path]:
        """The folders that a task is read from, and where its embeddings are kept."""
        cache = [] if self.cache is None or not self.cache.is_dir() else [self.cache]
        return [place for place in (self.embeddings, self.groundtruth, self.folder) if place is not None] + cache

    @property
    def label(self) -> str:
        """Name of the folder in results; empty for tasks that need none."""
        if self.folder is not None:
            return self.folder.name
        return "" if self.embeddings is None else self.embeddings.parent.name


def parsed(name: str) -> Embedded | Painted:
    """A task without a folder, by its name.

    Raises:
        ConfigurationError: there is no such task.
    """
    if name.startswith("painted-"):
        return Painted.parse(name)
    if NAME.fullmatch(name) or name.startswith("digits-"):
        return Embedded.parse(name)
    known = ", ".join((*DIGITS, *SHEETS))
    raise ConfigurationError(f"there is no task {name!r}; expected a name like {known}. Name such a task")


@lru_cache(maxsize=4)
def _digest(sets: CleaningSets, kinds: tuple[str, ...]) -> str:
    if sets.folder is not None:
        if sets.profile.layout == "votes":
            from evaluator.cleaning.votes import read_votes

            return read_votes(sets.folder).digest
        from evaluator.cleaning.numerals import read_numerals

        return read_numerals(sets.folder).task_digest()
    if sets.embeddings is None or sets.groundtruth is None:
        found = [painted_digest() if kind == "painted" else embedded_digest() for kind in kinds]
        return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()
    made = hashlib.sha256()
    for folder in (sets.embeddings, sets.groundtruth):
        for path in sorted(path for path in folder.iterdir() if path.suffix in (".parquet", ".npz", ".csv") and path.is_file()):
            with open(path, "rb") as file:
                made.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return made.hexdigest()


@lru_cache(maxsize=MOST_HELD)
def _task(sets: CleaningSets, name: str, seed: int) -> CleaningTask:
    profile = sets.profile
    sizes = profile.train, profile.validation, profile.test
    if sets.embeddings is not None and sets.groundtruth is not None:
        return read_task(name, sets.embeddings, sets.groundtruth)
    if sets.folder is not None and name != OF_ONE_TASK[profile.layout]:
        known = OF_ONE_TASK[profile.layout]
        raise ConfigurationError(
            f"--tasks: the profile {profile.name!r} has no task {name!r}; expected {known}. Leave the option out"
        )
    if sets.folder is not None and profile.layout == "votes":
        from evaluator.cleaning.votes import read_votes

        return read_votes(sets.folder).drawn(sets.root, seed, profile.train, profile.validation)
    if sets.folder is not None:
        from evaluator.cleaning.numerals import read_numerals

        return read_numerals(sets.folder).drawn(sets.root, seed, *sizes)
    found = parsed(name)
    if isinstance(found, Embedded):
        return found.drawn(sets.root, seed, *sizes)
    if sets.cache is None:
        raise ConfigurationError(
            f"{name}: its embeddings are computed, and there is no folder to keep them in. Name one with --cache"
        )
    return found.drawn(sets.root, seed, *sizes, sets.cache)
