"""What the track adds to a report: the accuracy with both of its intervals, by class and by model, and what was changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluator.scoring.intervals import mean_of_seeds, wilson_of_share
from evaluator.sections import Bar, Bars, Cells, Dots, Section, Series, Value
from evaluator.words import counted

CHANGES = ("kept", "relabelled", "moved", "dropped", "added")


def sections(cells: Cells) -> Iterator[Section]:
    """Sections per data set and judges, with means over seeds."""
    scored = {name: [cell for cell in own if cell.get("metrics") and cell.get("by_class")] for name, own in cells.items()}
    keys = dict.fromkeys((cell["spec"]["task"], cell["spec"]["pipeline"]["name"]) for own in scored.values() for cell in own)
    for task, pipeline in keys:
        shown = {
            name: here
            for name, own in scored.items()
            if (here := [c for c in own if (c["spec"]["task"], c["spec"]["pipeline"]["name"]) == (task, pipeline)])
        }
        yield Section(f"Curation of {task}, judged by {pipeline}", tuple(_parts(shown)))


def _parts(shown: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Dots | Bars]:
    names = tuple(shown)
    images = next(iter(shown.values()))[0]["test_images"]
    seeds = max(map(len, shown.values()))
    over_seeds = {name: mean_of_seeds([cell["metrics"]["accuracy"] for cell in own]) for name, own in shown.items()}
    over_images = {name: wilson_of_share(found.mean, images) for name, found in over_seeds.items()}
    yield Dots(
        "Accuracy on the hidden test set",
        f"two intervals of 95 %: over {counted(seeds, 'seed')} of the training (Student's t), and over the {images:,} test images "
        "(Wilson's); a difference must be beyond both",
        names,
        tuple(f"{over_seeds[name].mean:.3f}" for name in names),
        (
            Series("over seeds", tuple(_value(over_seeds[name]) for name in names)),
            Series("over test images", tuple(_value(over_images[name]) for name in names)),
        ),
        decimals=3,
    )
    labels = tuple(row["label"] for row in next(iter(shown.values()))[0]["by_class"])
    series = []
    for name, own in shown.items():
        columns = zip(*([row["right"] for row in cell["by_class"]] for cell in own), strict=True)
        series.append(Series(name, tuple(_value(mean_of_seeds(list(column))) for column in columns)))
    texts = tuple(f"{row['images']:,} images" for row in next(iter(shown.values()))[0]["by_class"])
    yield Dots(
        "By class", f"share classified right; mean over {counted(seeds, 'seed')}", labels, texts, tuple(series), ends=(0.0, 1.0)
    )
    for name, own in shown.items():
        changes = own[0].get("changes")
        if changes:
            most = max(1, *(changes[what] for what in CHANGES))
            bars = tuple(Bar(what, f"{changes[what]:,}", changes[what], most) for what in CHANGES)
            caption = f"{changes['train']:,} images in train, {changes['val']:,} in val; of the first seed"
            yield Bars(f"What {name} changed", caption, bars)
    members = {name: own for name, own in shown.items() if len(own[0].get("members") or ()) > 1}
    if members:
        rows = tuple(f"model {number + 1}" for number in range(len(next(iter(members.values()))[0]["members"])))
        found = []
        for name, own in members.items():
            columns = zip(*([row["accuracy"] for row in cell["members"]] for cell in own), strict=True)
            found.append(Series(name, tuple(_value(mean_of_seeds(list(column))) for column in columns)))
        caption = f"the models of the panel are not named; mean over {counted(seeds, 'seed')}"
        yield Dots("By model of the panel", caption, rows, ("",) * len(rows), tuple(found), decimals=3)


def _value(interval: Any) -> Value:
    return Value(interval.mean, interval.low, interval.high)
