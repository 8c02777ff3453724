"""The sections that the purchase track adds to a report: what was bought, at which cost, and what the trained models get wrong.

Figures come from the stored cells. Pictures, the map and the frequencies in the pool need the data set as well. Some of them show
labels that no submission bought, so a report without pictures has none of them and reads no data set.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluator.purchase.metrics import collapsed
from evaluator.purchase.report_map import pool_map
from evaluator.purchase.report_mistakes import mistakes
from evaluator.purchase.report_sets import ShownSets, shown_sets
from evaluator.purchase.result import observed
from evaluator.report.format import percent
from evaluator.scoring.intervals import mean_of_seeds
from evaluator.sections import Bar, Bars, Cells, Curve, Curves, Dots, Gallery, Material, Picture, Section, Series, Value
from evaluator.words import counted, number

MOST_THUMBNAILS = 100
"""Purchases that are shown as pictures, over all pairs of a report."""
MOST_GALLERIES = 8
"""Pairs whose purchases are shown as pictures."""
SHORT_NAME = 10
"""Characters of a class's name that fit below a small picture."""
SUBMISSIONS = 6
"""Submissions whose figures per class are shown side by side."""

Cell = Mapping[str, Any]


def purchase_sections(
    cells: Cells, material: Material, groups: Sequence[tuple[str, tuple[str, ...], list[float]]]
) -> Iterator[Section]:
    """The sections of a report; figures for up to ``SUBMISSIONS`` submissions, pictures for one.

    Args:
        groups: of the pairs of the cells, as ``Track.curves`` gives them.
    """
    scored, lacking = _scored(cells)
    lacking += _collapsed_note(scored)
    yield Section(
        "What each pair cost, and what it gave", (*_used(cells), *_by_labels(scored, groups)), (*_shown_note(cells), *lacking)
    )
    own = next(iter(cells.values())) if len(cells) == 1 else []
    if not any("ledger" in cell for cell in own):  # several submissions, or cells of a comparison: no single items
        if scored:
            yield Section("Which classes the models recognise", _per_class(scored), (*_shown_note(scored), *lacking))
        return
    sets, why = shown_sets(own, material)
    if why and material.pictures:
        material.warn(why)
    ledgers = _once([cell for cell in own if cell["ledger"]])
    parts = (*(_classes(ledgers, sets) if ledgers else ()), *_per_class(scored))
    yield Section("Classes: what was bought, and what the models recognise", parts, ((why,) if why else ()) + lacking)
    if sets is None:
        return
    if ledgers:
        yield _purchases(ledgers, sets)
    if scored:
        yield mistakes(next(iter(scored.values())), sets, material)
    if ledgers:
        yield pool_map(ledgers, sets, material.projection)


def _scored(cells: Cells) -> tuple[Cells, tuple[str, ...]]:
    """The scored cells by submission, and a note for every submission of which a cell has no score.

    Where several are side by side, such a submission has no means: over what it survived it would look better than it is.
    """
    found, lacking = {}, []
    for name, of in cells.items():
        scored = [cell for cell in of if cell["scored"]]
        if len(scored) < len(of):
            then = "so it has no means here" if len(cells) > 1 else "and the means of this section are over these alone"
            lacking.append(f"{name}: {len(scored)} of {counted(len(of), 'cell')} were scored, {then}.")
        if scored and (len(scored) == len(of) or len(cells) == 1):
            found[name] = scored
    return found, tuple(lacking)


def _collapsed_note(scored: Cells) -> tuple[str, ...]:
    """A note where the means and curves hold cells that collapsed."""
    by = {name: sum(map(collapsed, (cell["metrics"] for cell in of))) for name, of in scored.items()}
    named = ", ".join(f"{name} {n}" for name, n in by.items() if n)
    if not named:
        return ()
    every = counted(sum(map(len, scored.values())), "scored cell")
    return (
        f"Collapsed, so no better than the best constant answer: {named}, of {every}. "
        "Means and curves of this section hold these cells as well.",
    )


def _shown_note(cells: Cells) -> tuple[str, ...]:
    return (f"The first {SUBMISSIONS} of {len(cells)} submissions are shown.",) if len(cells) > SUBMISSIONS else ()


def _used(cells: Cells) -> Iterator[Bars]:
    """Label budget and time of every pair, and what of them was used; means over the seeds."""
    labels, times = [], []
    for name, of in list(cells.items())[:SUBMISSIONS]:
        for task in dict.fromkeys(cell["spec"]["task"] for cell in of):
            rows = [cell["purchase"] for cell in _once([cell for cell in of if cell["spec"]["task"] == task])]
            label = task if len(cells) == 1 else f"{task}  {name}"
            mean = sum(row["bought"] for row in rows) / len(rows)
            budget = rows[0].get("budget") or 0
            labels.append(Bar(label, f"{number(mean, 4)} of {counted(budget, 'label')}", mean, budget))
            used, allowed = sum(row.get("seconds") or 0.0 for row in rows) / len(rows), rows[0].get("seconds_allowed")
            if allowed:
                times.append(Bar(label, f"{_seconds(used)} of {_limit(allowed)}", used, allowed))
    n = max(len({cell["spec"]["seed"] for cell in of}) for of in cells.values())
    over = f"Mean over {counted(n, 'seed')}." if n > 1 else "One seed."
    yield Bars("Labels bought, of each pair's budget", over, tuple(labels))
    if times:
        yield Bars("Time used, of each pair's clock", f"{over} Pre-training and purchase share the clock.", tuple(times))


def _by_labels(scored: Cells, groups: Sequence[tuple[str, tuple[str, ...], list[float]]]) -> Iterator[Curves]:
    """Macro F1 by the number of labels bought: a curve per time for one submission, a chart per time for several."""
    found: list[tuple[str, list[Curve]]] = []
    for label, tasks, _ in groups:
        of_label = [Curve(name, points) for name, of in scored.items() if len(points := _points(of, tasks)) > 1]
        # Where as many labels were bought in all of them (none, say) nothing is seen.
        if any(len({labels for labels, _ in curve.points}) > 1 for curve in of_label):
            found.append((label, of_label))
    if not found:
        return
    n = max(len({cell["spec"]["seed"] for cell in of}) for of in scored.values())
    spread = f"Mean over {counted(n, 'seed')}; lines: 95 % t-interval." if n > 1 else "One seed, so no interval."
    axes = ("labels bought (mean over the seeds)", "macro F1")
    if len(scored) == 1:
        curves = tuple(Curve(label, of[0].points) for label, of in found)
        yield Curves("Macro F1 by number of labels bought", spread, *axes, curves)
    else:
        for label, of_label in found:
            yield Curves(f"Macro F1 by number of labels bought, {label}", spread, *axes, tuple(of_label))


def _points(cells: Sequence[Cell], tasks: Sequence[str]) -> tuple[tuple[float, Value], ...]:
    points = []
    for task in tasks:
        of = [cell for cell in cells if cell["spec"]["task"] == task]
        if of:
            labels = sum(cell["purchase"]["bought"] for cell in of) / len(of)
            points.append((labels, _mean([(cell["metrics"]["macro_f1"], key) for cell, key in zip(of, _keys(of), strict=True)])))
    return tuple(sorted(points, key=lambda point: point[0]))


def _keys(cells: Sequence[Cell]) -> list[Hashable]:
    """What the seed of each cell is an observation of: equal for seeds on which every task got the same labels of the same data."""
    of: dict[int, list[tuple[str, str | None]]] = {}
    for cell in cells:
        of.setdefault(cell["spec"]["seed"], []).append((cell["spec"]["task"], observed(cell)))
    known = {seed: None not in [what for _, what in parts] for seed, parts in of.items()}
    keys = {seed: tuple(sorted(parts, key=str)) if known[seed] else seed for seed, parts in of.items()}
    return [keys[cell["spec"]["seed"]] for cell in cells]


def _mean(values: Sequence[tuple[float, Hashable]]) -> Value:
    """The mean over observations of (value, observation), and its t-interval; several values of one are averaged first."""
    of: dict[Hashable, list[float]] = {}
    for value, key in values:
        of.setdefault(key, []).append(value)
    found = mean_of_seeds([sum(x) / len(x) for x in of.values()])
    return Value(found.mean, found.low, found.high)


def _classes(ledgers: Sequence[Cell], sets: ShownSets | None) -> tuple[Dots]:
    """The classes of what was bought, beside those of the pool where it may be shown."""
    classes = ledgers[0]["spec"]["profile"]["round"]["classes"]
    labels = np.concatenate([[sold["label"] for sold in cell["ledger"]] for cell in ledgers])
    shares = labels.mean(axis=0)
    named = "bought" if ledgers[0]["spec"].get("label_quality", 1.0) == 1 else "bought (labels as sold, some of them wrong)"
    series, texts = [Series(named, tuple(Value(float(x)) for x in shares))], [percent(x) for x in shares]
    if sets is not None:
        of_pool = sets.pool_labels(ledgers[0]).mean(axis=0)
        series.append(Series("pool", tuple(Value(float(x)) for x in of_pool)))
        texts = [f"{percent(x)} bought, {percent(y)} in the pool" for x, y in zip(shares, of_pool, strict=True)]
    beside = " and of all images of the pool" if sets is not None else ""
    caption = f"Share of {counted(len(labels), 'bought label')}{beside} that have each class; an image may have several or none."
    top = max(value.mean for one in series for value in one.values if value is not None)
    title = "Classes bought, against the pool" if sets is not None else "Classes bought"
    return (Dots(title, caption, tuple(classes), tuple(texts), tuple(series), (0.0, max(1.1 * top, 0.1))),)


def _purchases(ledgers: Sequence[Cell], sets: ShownSets) -> Section:
    """The first purchases of every pair as pictures, in order; of its first seed."""
    classes = ledgers[0]["spec"]["profile"]["round"]["classes"]
    codes, key = _codes(classes)
    firsts = list({cell["spec"]["task"]: cell for cell in reversed(ledgers)}.values())[::-1]
    galleries = []
    for cell in firsts[:MOST_GALLERIES]:
        most = max(12, MOST_THUMBNAILS // min(len(firsts), MOST_GALLERIES))
        shown = sorted(cell["ledger"], key=lambda sold: sold["order"])[:most]
        pixels, files = sets.pool_images(cell, [sold["image"] for sold in shown])
        pictures = []
        for sold, image, file in zip(shown, pixels, files, strict=True):
            has = [place for place, there in enumerate(sold["label"]) if there]
            said = f"purchase {sold['order'] + 1}, after {_seconds(sold['seconds'])}: "
            said += f"{', '.join(classes[place] for place in has) or 'no class'} ({file})"
            pictures.append(Picture(image, (str(sold["order"] + 1), " ".join(codes[place] for place in has) or "none"), said))
        of = len(cell["ledger"])
        first = f"all {of}" if of <= most else f"the first {most} of {of}"
        caption = f"Seed {cell['spec']['seed']}. Below each: its number, and the classes of its label as it was sold{key}."
        galleries.append(Gallery(f"{cell['spec']['task']}: {first} purchases, in order", caption, tuple(pictures), 60))
    more = len(firsts) - len(galleries)
    return Section("What was bought, in order", tuple(galleries), (f"{counted(more, 'further pair')} not shown.",) if more else ())


def _codes(classes: Sequence[str]) -> tuple[list[str], str]:
    """What stands for each class below a small picture: its name where all are short, else a letter; and the key to letters."""
    if max(map(len, classes)) <= SHORT_NAME:
        return list(classes), ""
    letters = [chr(ord("A") + place % 26) + (str(place // 26) if place >= 26 else "") for place in range(len(classes))]
    return letters, ": " + ", ".join(f"{letter} {name}" for letter, name in zip(letters, classes, strict=True))


def _per_class(scored: Cells) -> tuple[Dots, ...]:
    """F1 of every class; nothing where no cell has any."""
    some = {name: of for name, of in list(scored.items())[:SUBMISSIONS] if any(cell["metrics"].get("f1") for cell in of)}
    if not some:
        return ()
    classes = next(iter(some.values()))[0]["spec"]["profile"]["round"]["classes"]

    def value(of: Sequence[Cell], name: str) -> Value | None:
        both = zip(of, _keys(of), strict=True)
        known = [(cell["metrics"]["f1"][name], key) for cell, key in both if name in cell["metrics"].get("f1", {})]
        return _mean(known) if known else None

    series = tuple(Series(name, tuple(value(of, c) for c in classes)) for name, of in some.items())
    texts = tuple(_texts([s.values[row] for s in series]) for row in range(len(classes)))
    n = next(iter(some.values()))[0]["metrics"]["n"]
    seeds = max(len({cell["spec"]["seed"] for cell in of}) for of in some.values())
    spread = f"; lines: 95 % t-interval over {seeds} seeds" if seeds > 1 else ""
    caption = f"Mean over the pairs; {counted(n, 'scored image')}{spread}. Macro F1 is the mean of the classes."
    return (Dots("F1 of each class, 0 to 1", caption, tuple(classes), texts, series, (0.0, 1.0)),)


def _texts(values: Sequence[Value | None]) -> str:
    if len(values) > 1:
        return ""
    value = values[0]
    if value is None:
        return "-"
    spread = "" if value.low is None or value.high is None else f" [{max(value.low, 0):.2f}, {min(value.high, 1):.2f}]"
    return f"{value.mean:.3f}{spread}"


def _once(cells: Sequence[Cell]) -> list[Cell]:
    """One cell for every pair and seed: pipelines of a panel share the purchase."""
    return list({(cell["spec"]["task"], cell["spec"]["seed"]): cell for cell in reversed(cells)}.values())[::-1]


def _limit(allowed: float) -> str:
    return f"{number(allowed / 60, 4)} min" if allowed >= 600 else f"{number(allowed, 4)} s"


def _seconds(used: float) -> str:
    if used >= 600:
        return f"{used / 60:.1f} min"
    return f"{used:.0f} s" if used >= 100 else f"{used:.1f} s"
