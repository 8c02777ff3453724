"""Views of a benchmark: which images count, and what is right for them, under one source of corrections.

Every view is stored as what it changes: the images on which it differs from ``all`` and the value of each model there. Nine of ten
labels of a benchmark are right, so that statistics of ten views cost little more than those of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Source
from evaluator.audit.kinds import Kind
from evaluator.audit.predictions import Predictions
from evaluator.audit.sets import LabelSets


class Name(StrEnum):
    """The views that need no condition of a person's."""

    ALL = "all"
    WITHOUT_MISLABELLED = "without-mislabelled"
    CLEAN = "clean"
    CORRECTED = "corrected"
    REAL = "real"
    TOP_K = "top-k"
    WITHOUT_LEAKS = "without-leaks"


TITLES = {
    Name.ALL: "all images, labels as given",
    Name.WITHOUT_MISLABELLED: "without (1) mislabelled images",
    Name.CLEAN: "without (1), (2) and (3)",
    Name.CORRECTED: "corrected labels",
    Name.REAL: "ReaL: any valid label is right",
    Name.TOP_K: "top-k, k = number of valid labels",
    Name.WITHOUT_LEAKS: "without images of the training set",
}


@dataclass(frozen=True, eq=False)
class View:
    """A view of n images and m models.

    Attributes:
        name: of the view; ``title``: in words; ``source``: whose corrections decide it, empty where none does.
        kept: bool (n,), the images that count.
        touched: int64 (t,), the images on which the view differs from ``all``.
        values: float32 (t, m), how right each model is there, 0 to 1; 0 where the image does not count.
        relabels: whether labels change, and not only which images count.
        shares: whether a value may lie between 0 and 1.
    """

    name: str
    title: str
    source: str
    kept: np.ndarray
    touched: np.ndarray
    values: np.ndarray
    relabels: bool = False
    shares: bool = False

    @property
    def n(self) -> int:
        """How many images count."""
        return int(self.kept.sum())

    def change(self, right: np.ndarray) -> np.ndarray:
        """float32 (t, m), by how much the value of each touched image differs from ``right``, bool (n, m), that of ``all``."""
        return self.values - right[self.touched]

    def column(self, right: np.ndarray, model: int) -> np.ndarray:
        """float32 (n,), the values of one model on all images; 0 where an image does not count."""
        found = right[:, model].astype(np.float32)
        found[self.touched] = self.values[:, model]
        return found


def right_by(sets: LabelSets, top: np.ndarray, rule: str) -> np.ndarray:
    """How right a model is on each of n images: float32 (n,).

    Args:
        sets: the labels that are right; ``top``: of ``Predictions``.
        rule: ``exact``: the predicted class is the only valid label; of sets, both are equal. ``any``: the predicted class is a
            valid label; of sets, at least one label is predicted and all that are predicted are valid. ``top-k``: the share of the
            valid labels among as many likeliest classes (with one valid label, whether it is the likeliest).
    """
    if top.dtype == bool:
        predicted = LabelSets.where(top)
        if rule == "exact":
            return predicted.equal(sets).astype(np.float32)
        return (predicted.subset(sets) & (predicted.sizes > 0)).astype(np.float32)
    if rule == "exact":
        return (sets.single_label == top[:, 0]).astype(np.float32)
    if rule == "any":
        return sets.contains(top[:, 0]).astype(np.float32)
    rows, ranks = np.nonzero(np.arange(min(top.shape[1], int(sets.sizes.max(initial=1)))) < sets.sizes[:, None])
    hits = sets.take(rows).contains(top[rows, ranks])
    return (np.bincount(rows, hits, minlength=len(sets)) / np.maximum(sets.sizes, 1)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Flags:
    """What views ask a source, or several at once: bool (n,) each, and the valid labels."""

    name: str
    mislabelled: np.ndarray
    flagged: np.ndarray
    sets: LabelSets

    @classmethod
    def of(cls, source: Source) -> Flags:
        """Of one source."""
        return cls(source.name, source.kinds == Kind.MISLABELLED, source.flagged, source.sets)


def one_label(given: LabelSets, sets: LabelSets) -> np.ndarray:
    """int64 (n,), the corrected label of each image: the given label where it is valid, else the only valid label, else -1: where
    no
    label fits, or several that were not given, no single label is right."""
    kept = sets.contains(given.single_label)
    return np.where(kept, given.single_label, sets.single_label)


@dataclass(frozen=True, eq=False)
class Plan:
    """A view before models are known.

    Attributes:
        kept: bool (n,); ``touched``: int64 (t,), as of ``View``.
        sets: the labels that are right for the touched images; None where they only do not count. ``rule``: of ``right_by``.
    """

    name: str
    title: str
    source: str
    kept: np.ndarray
    touched: np.ndarray
    sets: LabelSets | None = None
    rule: str = ""

    @property
    def depth(self) -> int:
        """How many likeliest classes of a model it asks for."""
        return int(self.sets.sizes.max(initial=1)) if self.sets is not None and self.rule == "top-k" else 1

    def values(self, predictions: Predictions) -> np.ndarray:
        """The values of a model on the touched images: float32 (t,)."""
        if self.sets is None:
            return np.zeros(len(self.touched), np.float32)
        return right_by(self.sets, predictions.top[self.touched], self.rule) * self.kept[self.touched]

    def view(self, values: np.ndarray) -> View:
        """The view with the values of all models."""
        return View(
            self.name, self.title, self.source, self.kept, self.touched, values, self.sets is not None, self.rule == "top-k"
        )


def leaving_out(name: str, title: str, source: str, out: np.ndarray) -> Plan:
    """A view without some images, bool (n,)."""
    return Plan(name, title, source, ~out, np.flatnonzero(out))


def plans_of(benchmark: Benchmark, flags: Flags) -> list[Plan]:
    """The views under one source, or several that were made one."""
    source, given = flags.name, benchmark.given
    # Of several sources together an image may keep its label by the flags and still have other valid labels.
    changed = np.flatnonzero(~given.equal(flags.sets))
    sets = flags.sets.take(changed)
    full = np.full(len(benchmark), True)
    real = full.copy()
    real[changed] = sets.sizes > 0
    found = [
        leaving_out(Name.WITHOUT_MISLABELLED, TITLES[Name.WITHOUT_MISLABELLED], source, flags.mislabelled),
        leaving_out(Name.CLEAN, TITLES[Name.CLEAN], source, flags.flagged),
    ]
    if benchmark.multi:
        real = flags.sets.sizes > 0
        found.append(Plan(Name.CORRECTED, TITLES[Name.CORRECTED], source, full, changed, sets, "exact"))
        # A prediction that is valid need not be complete, so that this view differs from ``all`` on every image.
        found.append(Plan(Name.REAL, TITLES[Name.REAL], source, real, np.arange(len(benchmark)), flags.sets, "any"))
        return found
    label = one_label(given.take(changed), sets)
    kept = full.copy()
    kept[changed] = label >= 0
    table = LabelSets(np.concatenate([[0], np.cumsum(label >= 0)]), label[label >= 0])
    found.append(Plan(Name.CORRECTED, TITLES[Name.CORRECTED], source, kept, changed, table, "exact"))
    found.append(Plan(Name.REAL, TITLES[Name.REAL], source, real, changed, sets, "any"))
    found.append(Plan(Name.TOP_K, TITLES[Name.TOP_K], source, real, changed, sets, "top-k"))
    return found


@dataclass(eq=False)
class Table:
    """Collects the values of models, one model after the other, so that no more than one model's predictions are held.

    Attributes:
        plans: the views; ``models``: names of those that were added.
        right: bool (n, m), whether a model gives the label (of sets: all and only the labels) as given.
        first: int32 (n, m), the likeliest class of each model; -1 in tasks of sets.
        depths: how many likeliest classes each model gives.
        values: of each plan float32 (t, m).
    """

    benchmark: Benchmark
    plans: Sequence[Plan]
    models: list[str]
    right: np.ndarray
    first: np.ndarray
    depths: list[int]
    values: list[np.ndarray]

    @classmethod
    def planned(cls, benchmark: Benchmark, plans: Sequence[Plan], models: int) -> Table:
        """An empty table for so many models."""
        n = len(benchmark)
        values = [np.zeros((len(plan.touched), models), np.float32) for plan in plans]
        return cls(benchmark, plans, [], np.zeros((n, models), bool), np.full((n, models), -1, np.int32), [], values)

    def add(self, predictions: Predictions) -> None:
        """Add the next model, aligned with the benchmark."""
        place = len(self.models)
        self.right[:, place] = right_by(self.benchmark.given, predictions.top, "exact") > 0
        if not predictions.multi:
            self.first[:, place] = predictions.top[:, 0]
        for plan, values in zip(self.plans, self.values, strict=True):
            values[:, place] = plan.values(predictions)
        self.depths.append(predictions.top.shape[1])
        self.models.append(predictions.model)

    def views(self) -> tuple[list[View], list[str]]:
        """The views of all models that were added, and why others are not there.

        A view without an image has no accuracy; one that needs more likeliest classes than a model gives would count it wrong.
        """
        found, why = [], []
        for plan, values in zip(self.plans, self.values, strict=True):
            view = plan.view(values)
            by = f"{plan.title}, {plan.source}" if plan.source else plan.title
            need = min(plan.depth, len(self.benchmark.classes))
            short = [model for model, depth in zip(self.models, self.depths, strict=True) if depth < need]
            if not view.n:
                why.append(f"{by}: no image is left")
            elif short:
                few = min(self.depths)
                why.append(
                    f"{by}: it needs the {need} likeliest classes of each image, and {len(short)} of {len(self.models)} "
                    f"models give "
                    f"fewer (as few as {few})"
                )
            else:
                found.append(view)
        return found, why
