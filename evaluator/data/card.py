"""The data set card: what a data set holds, counted and shown, written as a page with its pictures in ``card/`` beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.bounded import BoundsError, Limits, read_json
from evaluator.data.decoding import decode
from evaluator.data.folders import Split, read_split
from evaluator.data.layout import DESCRIPTION, IMAGES, LABELS, SPLITS
from evaluator.data.pictures import class_picture, small_png
from evaluator.errors import DataError
from evaluator.files import write_bytes
from evaluator.text import json_text, markdown, one_line

DESCRIBED = Limits(size=2**20, depth=8, values=10_000)
"""Of dataset.json."""
_SAMPLE = 500
"""Images per split that channel statistics are taken from, evenly spaced over the canonical order."""


@dataclass(frozen=True)
class Channels:
    """Mean and standard deviation of red, green and blue over all pixels of ``count`` images, on 0..1."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    count: int
    side: int


def splits_in(folder: Path) -> list[Path]:
    """The folders of splits in a data folder: the known ones in their order, then others by name.

    Raises:
        DataError: the folder does not exist or holds no split.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist or is not a folder; expected a data set. Make or import it first")
    # What a killed import or rendering left has a leading dot.
    visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    found = [path for path in visible if (path / IMAGES).is_dir() or (path / LABELS).is_file()]
    if not found:
        raise DataError(f"{folder} holds no split; expected folders such as training/ with {IMAGES}/ and {LABELS}")
    return sorted(found, key=lambda path: (SPLITS.index(path.name) if path.name in SPLITS else len(SPLITS), path.name))


def description(folder: Path) -> dict:
    """What ``dataset.json`` says of a generated data set; empty where there is none.

    Raises:
        DataError: the file is not a JSON object.
    """
    path = folder / DESCRIPTION
    try:
        content = read_json(path, DESCRIBED)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); remove it, or make the data set again") from error
    except BoundsError as error:
        raise DataError(f"{error}, or make the data set again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, expected an object; remove it, or make the data set again")
    return content


def channels(split: Split, resize: str = "") -> Channels:
    """Channel statistics of a split at the size its images are stored with.

    Raises:
        DataError: an image cannot be decoded.
    """
    chosen = np.unique(np.linspace(0, len(split) - 1, min(_SAMPLE, len(split))).round().astype(int))
    side = 0
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    for index in chosen:
        image, (stored, _) = decode(split.path(index).read_bytes(), str(split.path(index)), None, resize)
        side = side or stored
        flat = image.reshape(-1, 3) / 255.0
        total += flat.sum(0)
        squares += (flat**2).sum(0)
        pixels += len(flat)
    mean = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return Channels(tuple(mean.tolist()), tuple(deviation.tolist()), len(chosen), side)


def write_card(
    data_folder: Path,
    classes: Sequence[str],
    out: Path,
    *,
    besides: Sequence[tuple[str, ...]] = (),
    resize: str = "",
    guide: bool = False,
) -> None:
    """Write the card of the data set in ``data_folder`` to ``out``, and one contact sheet per class to ``card/`` beside it.

    Sheets of data that the kit's generator made, and whose seed is known, show each damage alone from plain to barely visible; of
    other data they show images that have the class.

    Args:
        data_folder: holds the splits.
        classes: the classes to read, in order.
        out: the Markdown file; replaced in one step.
        besides: as in ``read_table``.
        resize: how images that are not square become square; see ``decode``.
        guide: whether the page begins with how data sets are laid out, imported and made, as the page of the kit's own folder does.

    Raises:
        DataError: the data cannot be read; or it is secret and ``out`` lies outside it (a card shows images with their labels).
    """
    data_folder, out = Path(data_folder), Path(out)
    about = description(data_folder)
    if about.get("secret") and not out.resolve().is_relative_to(data_folder.resolve()):
        raise DataError(
            f"{data_folder} is secret, and a card shows images with their labels; write it inside: {data_folder / 'README.md'}"
        )
    splits = [read_split(path, tuple(classes), besides=besides) for path in splits_in(data_folder)]
    pictures = {name: picture for name in classes if (picture := class_picture(name, splits, about, resize)) is not None}
    files = {name: f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)}.png" for name in pictures}
    text = _text(data_folder.resolve().name, splits, about, files, resize)
    text = f"{WRITTEN}\n{_GUIDE}\n#{text}" if guide else f"{WRITTEN}\n{text}"
    for name, file in files.items():
        _write(out.parent / "card" / file, small_png(pictures[name]))
    _write(out, text.encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _text(name: str, splits: list[Split], about: dict, shown: dict[str, str], resize: str = "") -> str:
    classes = tuple(map(markdown, splits[0].classes))
    shown = {markdown(name): file for name, file in shown.items()}
    counts = _table(
        ["split", "images", *classes, "no damage", "damages per image"],
        [
            [
                markdown(s.name),
                len(s),
                *map(_percent, s.labels.mean(0)),
                _percent((s.labels.sum(1) == 0).mean()),
                f"{s.labels.sum(1).mean():.2f}",
            ]
            for s in splits
        ],
    )
    labels = np.concatenate([split.labels for split in splits]).astype(np.int64)
    together = labels.T @ labels
    pairs = _table(
        ["of the images with", "images", *classes],
        [
            [
                row,
                together[i, i],
                *("-" if i == j or not together[i, i] else _percent(together[i, j] / together[i, i]) for j in range(len(classes))),
            ]
            for i, row in enumerate(classes)
        ],
    )
    everywhere = ", ".join(f"{c} {_percent(share)}" for c, share in zip(classes, labels.mean(0), strict=True))
    statistics = [(markdown(split.name), channels(split, resize)) for split in splits]
    colours = _table(
        ["split", "mean R, G, B", "deviation R, G, B", "images measured", "side in px"],
        [
            [n, ", ".join(f"{v:.3f}" for v in c.mean), ", ".join(f"{v:.3f}" for v in c.deviation), c.count, c.side]
            for n, c in statistics
        ],
    )
    read = [[markdown(s.name), markdown(s.note), f"`{s.digest[:16]}…`"] for s in splits]
    digests = _table(["split", "labels.csv was read as", "SHA-256 of the content"], read)
    sheets = "\n\n".join(f"### {c}\n\n" + (f"![{c}](card/{shown[c]})" if c in shown else "No image has it.") for c in classes)
    how = (
        "Made by the kit's generator. Every picture below shows the same sheets: clean in the first row, then with this damage "
        "alone, from plain to barely visible."
        if about.get("generated") and "seed" in about
        else "Every picture below shows images that have the class; most have others as well."
    )
    title = one_line(name).replace("`", "'")
    return f"""# The card of `{title}`

{_provenance(about)}

### Images and damages per split

{counts}

All splits together: {everywhere}.

### Which damages come together

{pairs}

### Colour

{colours}

On a scale of 0 to 1, over all pixels of at most {_SAMPLE} images per split, spaced evenly over the file names.

### Content

{digests}

## What the damages look like

{how}

{sheets}
"""


def _provenance(about: dict) -> str:
    if not about:
        return "No `dataset.json` lies beside it: the data set was imported, or made by other means."
    keys = [
        key
        for key in ("schema", "generator_version", "seed", "seed_sha256", "image_size", "sizes", "shift", "secret")
        if key in about
    ]
    said = {key: one_line(json_text(about[key])).replace("`", "'") for key in keys}
    return "From its `dataset.json`:\n\n" + "\n".join(f"- {key}: `{text}`" for key, text in said.items())


WRITTEN = "<!-- Written by `python -m evaluator data card`. Edit evaluator/data/card.py, not this file. -->"
"""The first line of every card: a page without it was written by somebody else."""
_GUIDE = """# Data

Data sets lie in this folder, one folder each; git keeps only this page and its pictures.

```
data/<data set>/
  dataset.json            how it was made (generated data only)
  <split>/labels.csv      file name first, then one 0/1 column per class
  <split>/images/*.png    or .jpg; square, all of one size, unless a round says how they become square
```

The splits are `training` (labelled, for the participant), `unlabelled` (the pool; its labels are what the market sells),
`validation`, `test` and `debug`. Other ways of writing `labels.csv` are read as well, and `data check` says which variant it found:
`;` or tabs between the cells, `0.0`/`1.0` or `true`/`false`, class columns in any order and spelling, names without extension or
with `images/` before them, an unnamed index column, or one column `labels` that lists the classes of an image. What is missing,
double or unknown is refused with its file, row and value.

## Import an official archive

```
python -m evaluator data import training-v0.2-rc4.tar.gz     # into data/official, where the profile `official` looks
python -m evaluator data check data/official
```

The folder inside the archive says which split it is, or else the archive's name. Archives are not trusted: paths that leave the
folder, links, devices, bombs and damaged files are refused, and so are splits with a mistake. An archive is imported whole or not
at all. An existing split is replaced only with `--replace`.

## Make data

```
python -m evaluator data make --profile quick            # public: the same files on every machine
python -m evaluator data make --profile official --shift private \\
    --seed-file private.seed --out data/private                   # private: a secret seed, another distribution
```

**Only private data protects an organiser.** The order of the pool is shuffled for every run, but an image can be recognised by
its content: a person who has the images and labels of a public data set can look up every label, whatever its index is. Private
data therefore needs a seed that nobody can guess or try out: 128 random bits or more. `--seed-file` draws a seed and keeps it in a
file that only you can read (keep that file away from the machine that judges); `--seed random128` draws a seed and forgets it.
Neither writes the seed into `dataset.json`. The card of a secret data set can only be written inside that data set.

A seed gives the same labels, pixels and bytes of every file on every machine, whatever its processor and libraries: the generator
uses only operations that have one result (`evaluator/data/painted/exact.py`), and images are stored without compression. What it
gives changes with `generator_version` in `dataset.json`, and only then; a data set of another version is refused where today's is
wanted. Keep its folder: results that were computed on it are replayed with `--data`, and only the kit of then can make it again.

## Look at data

```
python -m evaluator data check data/quick     # read and decode everything, name what is wrong
python -m evaluator data card data/quick      # write this page
```
"""
