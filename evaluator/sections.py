"""What a report shows: sections made of a few kinds of figures, without a word on how they are drawn.

A track hands in sections (``Tables.report_sections``); ``evaluator/report/html/`` draws them. Texts may hold anything, for they are
escaped when they are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Value:
    """A mean, and its interval where there is one."""

    mean: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, interval: Mapping[str, Any] | None) -> Value | None:
        """The same of a stored interval (``mean``, ``low``, ``high``); None without one.

        Where only some of the seeds collapsed, a spread around the mean would be that of no kind of model, so there is none.
        """
        if interval is None:
            return None
        if interval.get("without") is not None:
            return cls(interval["mean"])
        return cls(interval["mean"], interval["low"], interval["high"])


@dataclass(frozen=True)
class Bar:
    """A bar: what was used of a limit.

    Attributes:
        label: left of the figure in words; ``text``: the figure as text, with its unit.
        value, limit: lengths in one unit for all bars of a chart.
    """

    label: str
    text: str
    value: float
    limit: float


@dataclass(frozen=True)
class Bars:
    """Bars below each other, each on the track of its limit. ``title`` says what is seen, ``caption`` how it was measured."""

    title: str
    caption: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Series:
    """A set of values under one name, one for each row (or place) of a chart; None where there is none."""

    name: str
    values: tuple[Value | None, ...]


@dataclass(frozen=True)
class Dots:
    """Rows with a dot for every series, and a line for its interval.

    Attributes:
        rows: their names; ``texts``: what stands at the right end of each row.
        ends: of the scale; None for those of the values.
        mark: a value with a line through all rows, e.g. 0, and ``mark_label`` what it is; None without one.
        decimals: of the numbers below the scale.
    """

    title: str
    caption: str
    rows: tuple[str, ...]
    texts: tuple[str, ...]
    series: tuple[Series, ...]
    ends: tuple[float, float] | None = None
    mark: float | None = None
    mark_label: str = ""
    decimals: int = 2


@dataclass(frozen=True)
class Curve:
    """One curve: points (x, value), sorted by x."""

    name: str
    points: tuple[tuple[float, Value], ...]


@dataclass(frozen=True)
class Curves:
    """Curves over one axis. ``across``, ``up``: names of the axes, with units."""

    title: str
    caption: str
    across: str
    up: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Flow:
    """Ranks over several stages, a line for each row, so that it is seen which rows change places and where.

    Attributes:
        rows: their names, in the order of the first stage.
        stages: what each stage is, in words.
        ranks: of each row, one for each stage; 1 is drawn on top, and rows that share a rank meet there.
    """

    title: str
    caption: str
    rows: tuple[str, ...]
    stages: tuple[str, ...]
    ranks: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture.

    Attributes:
        pixels: uint8 (H, W, 3).
        lines: short texts below it; ``text``: what it is, for people who do not see it.
    """

    pixels: np.ndarray
    lines: tuple[str, ...]
    text: str


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures beside each other, in order. ``side``: of a picture on the page, in pixels."""

    title: str
    caption: str
    pictures: tuple[Picture, ...]
    side: int = 64


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of a plane: those of all items, and groups of them that stand out.

    Attributes:
        points: float (n, 2), of all items.
        groups: name and the numbers of its points, in an order that means something: it is drawn from light to dark.
        rest: what the points of no group are.
    """

    title: str
    caption: str
    points: np.ndarray
    groups: tuple[tuple[str, tuple[int, ...]], ...]
    rest: str


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading. ``notes``: sentences below its figures, e.g. why something is not shown."""

    title: str
    parts: tuple[Bars | Dots | Curves | Flow | Gallery | Cloud, ...] = ()
    notes: tuple[str, ...] = ()


Cells = Mapping[str, list[Mapping[str, Any]]]
"""Stored cells (JSON, current schema) by the name of their submission in the report, in the order of the run."""


@dataclass(frozen=True, eq=False)
class Material:
    """What a track may use for its sections, beside the cells.

    Attributes:
        predictions: gives the stored probabilities of a cell, float16 (images, classes); None where there are none. Raises a
            ``KitError`` where the file is damaged.
        pictures: whether single items may be shown. If not, nothing but the stored results is read.
        places: folder of the data sets and their cache; ``folder``: of the run's data set, where a person named it.
        data: the data sets, where a run has just read them (``Plan.data``).
        results: the folder of results; ``secret``: the file of the secret, where a person named it.
        projection: how many dimensions become two: ``pca`` or ``tsne``.
        warn: to be called with a sentence for everything that a page of these sections lacks since it cannot be read.
    """

    predictions: Callable[[Mapping[str, Any]], np.ndarray | None]
    pictures: bool
    places: Path
    results: Path
    folder: Path | None = None
    data: Any = None
    secret: Path | None = None
    projection: str = "pca"
    warn: Callable[[str], None] = lambda what: None
