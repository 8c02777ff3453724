"""The page of an audit: the flow of ranks, all tables, and the images behind each pair that changes places."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from evaluator.audit.corrections import said
from evaluator.audit.results import Audit, Reversal, ViewResult
from evaluator.audit.shown import (
    accuracy_block,
    agreement_block,
    asked_block,
    by,
    confusion_blocks,
    notes,
    p_text,
    rank_block,
    sources_block,
    sources_of,
    swaps_block,
    views_blocks,
    views_of,
)
from evaluator.audit.verdict import verdict_of
from evaluator.bounded import read_bytes
from evaluator.data.decoding import decode
from evaluator.data.layout import MAX_IMAGE_BYTES
from evaluator.errors import ConfigurationError, KitError
from evaluator.report.html.render import Page, Tabled, render
from evaluator.sections import Dots, Flow, Gallery, Picture, Series, Value
from evaluator.text import name as shown_name
from evaluator.text import one_line
from evaluator.words import counted

MOST_ROWS = 40
"""Models in a chart; the tables hold all."""
MOST_SWAPS, MOST_PICTURES = 12, 12
"""Pairs with a gallery, and images in each."""
MOST_LISTED = 200
"""Pairs that change places in the page's table."""
MOST_FILES = 2_000_000
SIDE = 96
SUFFIXES = (".png", ".jpg", ".jpeg")


def audit_page(audit: Audit, images: Path | None = None, further: Sequence[Tabled] = ()) -> str:
    """An audit as one HTML file.

    Args:
        images: a folder, in which an image is found by its id: a file of that name, with or without an ending, in any folder below.
        further: sections that stand below the verdict.

    Raises:
        ConfigurationError: there is no such folder.
    """
    found = None if images is None else find_images(images, audit)
    verdict = verdict_of(audit)
    sections = [Tabled("Verdict", (), (verdict.headline, *verdict.sentences)), *further]
    sections += [section for source in sources_of(audit) if (section := _source(audit, source)) is not None]
    if len(audit.models) > 1 and len(audit.views) > 1:
        swaps = (swaps_block(audit, MOST_LISTED),) if any(view.swaps for view in audit.views) else ()
        sections.append(Tabled("The ranking in every view", (*views_blocks(audit), *swaps)))
    sections += _galleries(audit, found, images)
    if audit.sources:
        agreement = (agreement_block(audit), *confusion_blocks(audit)) if audit.agreements else ()
        sections.append(Tabled("Sources of corrections", (sources_block(audit), *agreement)))
    sections.append(Tabled("How the figures were obtained", (), tuple(notes(audit))))
    revision = f", revision {shown_name(audit.benchmark.revision)}" if audit.benchmark.revision else ""
    lead = f"{counted(len(audit.benchmark), 'image')}{revision}, {counted(len(audit.models), 'model')}, "
    lead += f"{counted(len(audit.sources), 'source')} of corrections"
    return render(Page("Audit of a ranking", lead, tuple(_scores(audit)), sections=tuple(sections)))


def _scores(audit: Audit) -> Iterator[tuple[str, str]]:
    turned = {(swap.ahead, swap.behind) for view in audit.views for swap in view.swaps}
    shown = {(swap.ahead, swap.behind) for view in audit.views for swap in view.swaps if swap.shown}
    if len(audit.models) > 1 and len(audit.views) > 1:
        yield f"{len(shown)}", "pairs change places beyond noise"
        yield f"{len(turned)}", "pairs change places at all"
        taus = [view.tau for view in audit.views[1:] if view.tau is not None]
        if taus:
            yield f"{min(taus):.3f}", "lowest tau-b of a view"
    for source in audit.sources:
        flagged = source.reviewed - source.kinds["kept"]
        yield f"{flagged:,}", f"of {source.reviewed:,} labels are flagged by {shown_name(source.name)}"


def _source(audit: Audit, source: str) -> Tabled | None:
    """The views of a source: the flow of ranks, the accuracies as a chart, and both tables."""
    views = views_of(audit, source)
    if len(views) < 2 and len(audit.views) > 1:
        return None
    first = views[0]
    order = sorted(range(len(audit.models)), key=lambda m: (first.rows[m].rank, audit.models[m]))
    shown = order[:MOST_ROWS]
    cut = f"; the first {MOST_ROWS} of {len(order)} models, the tables have all" if len(order) > MOST_ROWS else ""
    parts: list[Flow | Dots] = []
    if len(order) > 1 and len(views) > 1:
        parts.append(
            Flow(
                f"ranks before and after{by(source)}",
                f"from all images with labels as given to each view; pale lines keep their rank{cut}",
                tuple(audit.models[m] for m in shown),
                tuple(f"{view.name}, n={view.n:,}" for view in views),
                tuple(tuple(view.rows[m].rank for view in views) for m in shown),
            )
        )
    parts.append(
        Dots(
            f"accuracy{by(source)}",
            f"with {100 * audit.settings.level:g} % interval{cut}",
            tuple(audit.models[m] for m in shown),
            tuple(f"{100 * first.rows[m].accuracy:.2f} %" for m in shown),
            tuple(Series(view.name, tuple(_value(view, m) for m in shown)) for view in views),
        )
    )
    asked = asked_block(audit, source)
    tables = (accuracy_block(audit, source), rank_block(audit, source), *((asked,) if asked is not None else ()))
    title = f"By {shown_name(source)}" if source else "By conditions" if len(views) > 1 else "Accuracy"
    return Tabled(title, (*parts, *tables))


def _value(view: ViewResult, model: int) -> Value:
    row = view.rows[model]
    return Value(row.accuracy, row.low, row.high)


def find_images(folder: Path, audit: Audit) -> Mapping[str, Path]:
    """The files of the images behind swaps, by id; an image that is not there, or twice, has none.

    Raises:
        ConfigurationError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"--images {folder}: there is no such folder; expected the images in it. Name another")
    wanted = {id_ for _, swap in _swaps(audit) for id_ in swap.images[: 4 * MOST_PICTURES]}
    by_name = {PurePosixPath(id_).name: id_ for id_ in wanted} | {PurePosixPath(id_).stem: id_ for id_ in wanted}
    found: dict[str, list[Path]] = {}
    looked = 0
    for place, folders, files in os.walk(folder):
        folders.sort()
        for file in files:
            looked += 1
            if looked > MOST_FILES:
                raise ConfigurationError(
                    f"--images {folder}: it holds more than {MOST_FILES:,} files; name a folder of the images alone"
                )
            stem, ending = os.path.splitext(file)
            id_ = by_name.get(file, by_name.get(stem))
            if id_ is not None and ending.lower() in SUFFIXES:
                found.setdefault(id_, []).append(Path(place) / file)
    return {id_: paths[0] for id_, paths in found.items() if len(paths) == 1}


def _swaps(audit: Audit) -> list[tuple[ViewResult, Reversal]]:
    """The pairs that have a gallery: those beyond noise first."""
    every = [(view, swap) for view in audit.views for swap in view.swaps]
    return sorted(every, key=lambda each: (not each[1].shown, each[1].p))[:MOST_SWAPS]


def _galleries(audit: Audit, found: Mapping[str, Path] | None, folder: Path | None) -> list[Tabled]:
    if found is None or not any(view.swaps for view in audit.views):
        return []
    parts, absent, broken = [], 0, 0
    for view, swap in _swaps(audit):
        pictures: list[Picture] = []
        for id_ in swap.images:
            if len(pictures) == MOST_PICTURES:
                break
            if id_ not in found:
                absent += 1
                continue
            try:
                pixels, _ = decode(read_bytes(found[id_], MAX_IMAGE_BYTES), str(found[id_]), 2 * SIDE, "pad")
            except (KitError, OSError):
                broken += 1
                continue
            lines = tuple(_lines(audit, view, swap, id_))
            pictures.append(Picture(pixels, lines, f"{id_}: {'; '.join(lines[1:])}"))
        title = f"{shown_name(swap.ahead)} and {shown_name(swap.behind)} in {view.name}{by(view.source)}"
        state = f"beyond noise, p {p_text(swap.p)}" if swap.shown else "within noise"
        caption = f"{state}; {len(swap.images):,} images move the difference, {swap.against:,} the other way; the first of them"
        parts.append(Gallery(title, caption, tuple(pictures), SIDE))
    left = []
    if absent:
        left.append(
            f"{counted(absent, 'image')} was not found in {one_line(folder, 200)}, or found twice."
            if absent == 1
            else f"{absent:,} images were not found in {one_line(folder, 200)}, or found twice."
        )
    if broken:
        left.append(f"{counted(broken, 'image')} could not be read as PNG or JPEG.")
    return [Tabled("The images behind each pair that changes places", tuple(parts), tuple(left))]


def _lines(audit: Audit, view: ViewResult, swap: Reversal, id_: str) -> Iterator[str]:
    """What stands below a picture: id, labels, and what either model predicts."""
    place, classes = audit.benchmark.index[id_], audit.benchmark.classes
    yield shown_name(id_, 60)
    yield f"given: {_classes(audit.benchmark.given[place], classes)}"
    source = audit.by_source.get(view.source)
    if source is not None:
        yield f"valid: {_classes(source.sets[place], classes)}"
    if not audit.benchmark.multi:
        for model in (swap.ahead, swap.behind):
            yield f"{shown_name(model, 40)}: {_classes((int(audit.first[place, audit.models.index(model)]),), classes)}"


def _classes(labels: Sequence[int], classes: Sequence[str]) -> str:
    if not labels:
        return "none"
    named = [classes[label] if classes[label] != str(label) else said((label,)) for label in labels[:6]]
    return one_line(", ".join(named) + (", ..." if len(labels) > 6 else ""), 80)
