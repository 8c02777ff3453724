"""A round of the curation track: what is given is published; two hidden test sets stay here, one for each part."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.curation.curated import as_png
from evaluator.curation.folders import ORACLE, write_data
from evaluator.curation.images import LabelledImages, class_names, read_images
from evaluator.curation.rules import profile_named
from evaluator.curation.sets import BOOK_FOLDER, TEST_FOLDER, TRAIN, VAL, CurationSets
from evaluator.errors import ConfigurationError
from evaluator.files import remove_tree
from evaluator.plans import Step
from evaluator.rounds.draws import data_seed
from evaluator.rounds.making import Made, Order
from evaluator.rounds.terms import DATA, PUBLISH, Folder
from evaluator.secret import Secret
from evaluator.seeds import generator
from evaluator.words import counted

GIVEN = (TRAIN, VAL, BOOK_FOLDER)
"""What everybody is given, as folders of classes."""
PARTS = ("public", "private")


def make(order: Order, secret: Secret, folder: Folder, step: Step) -> Made:
    """Write the data of a round.

    Raises:
        KitError: the profile or a folder is not what it should be.
    """
    profile = profile_named(order.profile)
    if order.tasks or order.hidden:
        raise ConfigurationError("--tasks, --hidden: a round of curation has one data set and two hidden test sets. Leave them out")
    own = order.data is not None and order.private_data is not None
    if not own and not profile.data:
        raise ConfigurationError(
            f"--data: the profile {profile.name!r} reads a folder with train, val and label_book; name it, and the folder with the "
            "hidden test set: --private-data"
        )
    counts = _copied(order, secret, folder, step) if own else _drawn(profile.name, secret, folder, step)
    practice = profile.name if profile.data else "quick"
    asked: dict[str, Any] = {"profile": profile.name, "seeds": order.seeds}
    asked |= {"pipelines": list(order.pipelines)} if order.pipelines else {}
    of_judge = asked | {"cache": "../cache", "data": f"../../{PUBLISH}/{DATA}"}
    return Made(
        public=of_judge | {"test": f"../public/{TEST_FOLDER}", "secret": "../public.secret"},
        private=of_judge | {"test": f"../private/{TEST_FOLDER}", "secret": "../private.secret"},
        published={},  # a participant has no test set to run it on
        hidden=(),
        digests=digests_of(folder.publish, {}),
        facts=[
            f"Data: `{DATA}/`, {counts[TRAIN]:,} images to train on (`{TRAIN}`), {counts[VAL]:,} to choose the best epoch by "
            f"(`{VAL}`), {counts[BOOK_FOLDER]:,} of which the labels are right (`{BOOK_FOLDER}`). Labels of the first two may be "
            "wrong.",
            f"A fixed model is trained on what you hand in, {counted(order.seeds, 'time')}, and scored on hidden images: "
            f"{counts['public']:,} in the public part, {counts['private']:,} others in the private part.",
        ],
        practise=[
            f"python -m evaluator curation issues --data {DATA}",
            f"python -m evaluator validate MY_SUBMISSION --track curation --profile {profile.name} --data {DATA}",
            f"python -m evaluator curation evaluate MY_SUBMISSION --data {DATA} --test {DATA}/{BOOK_FOLDER} --out results"
            "     # the label book in the place of the hidden images",
            f"python -m evaluator sweep --track curation --submissions MY_SUBMISSION --profile {practice} --out results"
            "     # on images of the kit's own, with a test set",
        ],
    )


def _drawn(profile: str, secret: Secret, folder: Folder, step: Step) -> dict[str, int]:
    """Data that the kit makes: given data and public test set of one seed, the private test set of another."""
    counts: dict[str, int] = {}
    for number, part in enumerate(PARTS):
        step("drawing images", number, 2)
        scratch = folder.keep / f"all-{part}"
        data = CurationSets(profile_named(profile), data_seed(secret, part)).load()
        write_data(data, scratch)
        (folder.keep / part).mkdir(parents=True)
        os.rename(scratch / TEST_FOLDER, folder.keep / part / TEST_FOLDER)
        counts[part] = len(data.test)
        if part == "public":
            (folder.publish / DATA).mkdir(parents=True)
            for name in GIVEN:
                os.rename(scratch / name, folder.publish / DATA / name)
            os.rename(scratch / ORACLE, folder.keep / ORACLE)
            counts |= {TRAIN: len(data.train), VAL: len(data.validation), BOOK_FOLDER: len(data.book)}
        remove_tree(scratch)
    step("drawing images", 2, 2)
    return counts


def _copied(order: Order, secret: Secret, folder: Folder, step: Step) -> dict[str, int]:
    """Data of an organiser's own. Every image is decoded and written anew, so that nothing but its pixels is published."""
    assert order.data is not None
    assert order.private_data is not None
    source = order.private_data / TEST_FOLDER if (order.private_data / TEST_FOLDER).is_dir() else order.private_data
    classes = class_names(order.data / TRAIN)
    counts = {}
    for number, name in enumerate(GIVEN):
        step("copying images", number, 4)
        part = read_images(order.data / name, classes)
        _write(part, classes, folder.publish / DATA / name)
        counts[name] = len(part)
    step("copying images", 3, 4)
    test = read_images(source, classes)
    for part_name, rows in zip(PARTS, halves(test.labels, secret), strict=True):
        _write(test.take(rows), classes, folder.keep / part_name / TEST_FOLDER)
        counts[part_name] = len(rows)
    step("copying images", 4, 4)
    return counts


def halves(labels: np.ndarray, secret: Secret) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers int64 of the public and of the private half of a test set, ascending: drawn within each class, the odd image of a
    class to the private half.

    Args:
        labels: int64 (n,).

    Raises:
        ConfigurationError: a half would be empty.
    """
    public: list[int] = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = generator(secret.number, "round", "halves", int(label)).permutation(len(rows))
        public += rows[order[: len(rows) // 2]].tolist()
    first = np.array(sorted(public), np.int64)
    second = np.setdiff1d(np.arange(len(labels)), first)
    if not len(first) or not len(second):
        raise ConfigurationError(
            f"--private-data: {len(labels)} test images; expected two or more of a class, for a public and a private half. Add some"
        )
    return first, second


def digests_of(publish: Path, options: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the given images, as a participant reads them.

    Raises:
        KitError: a folder is not what it should be.
    """
    classes = class_names(publish / DATA / TRAIN)
    return {name: read_images(publish / DATA / name, classes, prefix=f"{name}/").digest() for name in GIVEN}


def _write(part: LabelledImages, classes: tuple[str, ...], folder: Path) -> None:
    for name in classes:
        (folder / name).mkdir(parents=True)
    for name, pixels, label in zip(part.ids, part.pixels, part.labels.tolist(), strict=True):
        stem, path, number = name.rpartition("/")[2].rpartition(".")[0], None, 1
        while path is None or path.exists():  # a.jpg and a.png may lie beside each other
            path = folder / classes[label] / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
            number += 1
        path.write_bytes(as_png(pixels))
