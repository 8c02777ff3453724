"""Write a data set of painted sheets in the folder layout of the original challenge.

``<folder>/<split>/images/<name>.png``, ``<folder>/<split>/labels.csv`` (``filename``, then one 0/1 column per class) and
``<folder>/dataset.json``, which says how it was made. Images are numbered in the order of their index, which no label depends on.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from evaluator.bounded import BoundsError, read_json
from evaluator.data.layout import DESCRIPTION, IMAGES, LABELS
from evaluator.data.painted import CLASSES, Generator
from evaluator.data.png import stored_png
from evaluator.data.processes import Processes
from evaluator.errors import ConfigurationError, DataError
from evaluator.files import temporary_folder
from evaluator.machine import cores
from evaluator.text import one_line

SCHEMA = "painted-sheets/1"
GENERATOR_VERSION = 2
"""Raised whenever the same spec would give other pixels, labels or bytes of a file. With version 1, one value of one image in 200
depended on the processor."""

_CHUNK = 64  # images per unit of work: small enough for a smooth progress line, large enough to hide the hand-over
_SERIAL_BELOW = 4 * _CHUNK  # starting processes costs more than it saves below this
_SHORTEST_SECRET = 96  # bits; of true 128-bit seeds fewer than one in 2**32 is shorter


@dataclass(frozen=True)
class DataSpec:
    """What a data set is made of.

    Attributes:
        seed: root seed of the generator, 0 or more, of any length. A short seed is fine for public data. A private seed needs 128
            random bits or more (``secrets.randbits(128)``): images can be recognised by their content, so whoever can guess the
            seed has the labels.
        image_size: pixels per side, 32..512.
        sizes: images per split; split names are folder names.
        classes: names of the damages, in the order of the columns.
        shift: name in ``painted.SHIFTS``.
        format: of the images; only ``png``.
        shifted: splits of another distribution than ``shift``, by name.
        secret: keep ``seed`` out of ``dataset.json``, which then holds a salted hash of it.

    Raises:
        ConfigurationError: a value outside what is said above, or a secret seed that could be found by trying.
    """

    seed: int
    image_size: int
    sizes: dict[str, int]
    classes: tuple[str, ...] = CLASSES
    shift: str = "public"
    format: str = "png"
    secret: bool = False
    shifted: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.generator()  # refuses a bad seed, size, shift or class
        for split in self.shifted:
            if split not in self.sizes:
                raise ConfigurationError(f"the split {split!r} is shifted, but is not among the splits {', '.join(self.sizes)}")
            self.generator(split)
        if self.format != "png":
            raise ConfigurationError(f"the image format is {self.format!r}; only 'png' is written")
        if not self.sizes:
            raise ConfigurationError("no split was asked for; give at least one name and size")
        for split, size in self.sizes.items():
            if not split.replace("_", "").replace("-", "").isalnum() or not split.isascii():
                raise ConfigurationError(f"the split name {split!r} is not a plain folder name; use letters, digits, '-' and '_'")
            if size < 1:
                raise ConfigurationError(f"split {split!r} has {size} images; it needs 1 or more")
        if self.secret and self.seed.bit_length() < _SHORTEST_SECRET:
            raise ConfigurationError(
                f"the secret seed has only {self.seed.bit_length()} bits and could be found by trial; use secrets.randbits(128)"
            )

    def generator(self, split: str = "") -> Generator:
        """The source of a split's images."""
        return Generator(self.seed, self.image_size, tuple(self.classes), self.shifted.get(split, self.shift))

    def description(self, salt: str) -> dict[str, Any]:
        """What ``dataset.json`` says; ``salt`` (hexadecimal) is used where the seed is secret."""
        fields = asdict(self)
        fields["classes"] = list(self.classes)
        if not self.shifted:
            del fields["shifted"]
        if self.secret:
            del fields["seed"]
            fields["seed_salt"] = salt
            fields["seed_sha256"] = hashlib.sha256(f"{salt}:{self.seed}".encode()).hexdigest()
        return {"schema": SCHEMA, "generated": True, "generator_version": GENERATOR_VERSION, **fields}

    def names(self, split: str) -> list[str]:
        """File names of a split, by index."""
        digits = max(5, len(str(self.sizes[split] - 1)))
        return [f"{index:0{digits}d}.{self.format}" for index in range(self.sizes[split])]


def make_dataset(
    folder: Path, spec: DataSpec, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> None:
    """Make the data set ``spec`` in ``folder``, whole or not at all.

    Everything is written to a hidden temporary folder beside ``folder`` and renamed at the end. A folder that already holds
    exactly this data set is left as it is, and nothing is rendered.

    Args:
        folder: where the data set goes; absent, empty, or already this data set.
        spec: what to make.
        workers: processes; by default one per core that this process may use; a small data set is made in this process.
        progress: called as ``progress(done, total)`` with numbers of images, also once at the start and at the end.

    Raises:
        DataError: ``folder`` holds something else, or this data set with files missing; or a worker process died.
        ConfigurationError: ``workers`` below 1.
    """
    folder = Path(folder)
    if workers is not None and workers < 1:
        raise ConfigurationError(f"{workers} workers were asked for; give 1 or more")
    total = sum(spec.sizes.values())
    if _present(folder, spec):
        if progress:
            progress(total, total)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder.parent, folder.name) as partial:
        _render(partial, spec, workers, progress)
        for split in spec.sizes:
            _write_labels(partial / split / LABELS, spec, split)
        # The salt is no draw of the generator: somebody who knows the rest of the spec must not know it.
        text = json.dumps(spec.description(secrets.token_hex(16)), indent=2) + "\n"
        (partial / DESCRIPTION).write_text(text, encoding="utf-8")
        try:
            partial.rename(folder)
        except OSError:
            # Somebody else may have made the same data set in the meantime; anything else in the way is refused by name.
            if not _present(folder, spec):
                raise


def refuse_older(folder: Path) -> None:
    """Refuse a data set that another version of the generator made; what the generator did not make passes.

    Raises:
        DataError: with both versions, and what to do.
    """
    try:
        found = read_json(folder / DESCRIPTION)
    except (OSError, BoundsError):
        return  # imported data have no description, and one that cannot be read decides nothing here
    if not isinstance(found, dict) or not found.get("generated"):
        return
    if (version := found.get("generator_version")) != GENERATOR_VERSION:
        raise DataError(
            f"{folder}: version {one_line(str(version), 40)} of the generator made it; this kit has version {GENERATOR_VERSION}, "
            "which makes other images. Rename the folder to keep it (a replay of older results needs it, with --data), or remove "
            "it; the data are then made anew"
        )


def _present(folder: Path, spec: DataSpec) -> bool:
    """Whether ``folder`` already is this data set. Raises DataError for anything that must not be overwritten."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    described = folder / DESCRIPTION
    if not described.is_file():
        raise DataError(
            f"{folder} is not empty and holds no {DESCRIPTION}, so it is not a data set of this kit; choose another folder"
        )
    try:
        found = read_json(described)
    except BoundsError as error:
        raise DataError(f"{error}: remove {folder} or choose another folder") from error
    salt = found.get("seed_salt") if isinstance(found, dict) else None
    wanted = spec.description(salt if isinstance(salt, str) else "")
    if found != wanted:
        refuse_older(folder)
        keys = sorted(set(found) | set(wanted)) if isinstance(found, dict) else []
        differing = ", ".join(key for key in keys if found.get(key) != wanted.get(key)) or "its whole content"
        raise DataError(f"{folder} holds another data set (it differs in: {differing}); remove it or choose another folder")
    for split in spec.sizes:
        missing = _missing(folder / split, spec, split)
        if missing:
            raise DataError(f"{folder} lacks {missing}; the data set is damaged: remove the folder and make it again")
    return True


def _missing(folder: Path, spec: DataSpec, split: str) -> str:
    """The first file that a split lacks, or the empty string."""
    images = folder / IMAGES
    there = {entry.name for entry in os.scandir(images)} if images.is_dir() else set()
    for name in spec.names(split):
        if name not in there:
            return f"{split}/images/{name}"
    return "" if (folder / LABELS).is_file() else f"{split}/labels.csv"


def _render(folder: Path, spec: DataSpec, workers: int | None, progress: Callable[[int, int], None] | None) -> None:
    jobs = []
    for split, size in spec.sizes.items():
        (folder / split / IMAGES).mkdir(parents=True)
        jobs += [(folder, spec, split, start, min(start + _CHUNK, size)) for start in range(0, size, _CHUNK)]
    total, done = sum(spec.sizes.values()), 0
    report = progress or (lambda done, total: None)
    report(0, total)
    processes = workers or (1 if total < _SERIAL_BELOW else cores())
    processes = min(processes, len(jobs))
    if processes == 1:
        for job in jobs:
            done += _render_chunk(*job)
            report(done, total)
        return
    with Processes(processes) as pool:
        futures = [pool.submit(_render_chunk, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                done += future.result()
                report(done, total)
        except BrokenProcessPool as error:
            raise DataError(
                "a process that renders images ended without a message (out of memory?); ask for 1 worker to see why"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _render_chunk(folder: Path, spec: DataSpec, split: str, start: int, stop: int) -> int:
    """Render and write the images ``start`` to ``stop`` of a split; returns their number."""
    generator, names = spec.generator(split), spec.names(split)
    # One thread per process: the matrices are small, and the processes already use every core.
    with threadpool_limits(1):
        for index in range(start, stop):
            image, _ = generator.sample(split, index)
            (folder / split / IMAGES / names[index]).write_bytes(stored_png(image))
    return stop - start


def _write_labels(path: Path, spec: DataSpec, split: str) -> None:
    generator = spec.generator(split)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["filename", *spec.classes])
        for index, name in enumerate(spec.names(split)):
            rows.writerow([name, *generator.label(split, index).tolist()])
