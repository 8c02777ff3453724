"""Label Studio: images with labels and predictions as tasks, and what people annotated as a table of edits.

The JSON is that of Label Studio's own import and export (https://labelstud.io/guide/tasks and /guide/export), written here: its
software development kit has 71 packages, and is used by the tests alone, where it is installed.

A task's prediction is the pre-label that a person sees. It is the given label, or with ``predictions`` the model's; both stand
beside the image as a text. The action ``drop`` is a choice of its own, which nobody presses by mistake.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image

from evaluator.bounded import BoundsError, Limits, read_json
from evaluator.curation.curated import pixel_digest
from evaluator.curation.issues import LabelIssues
from evaluator.curation.toolset import ToolSet
from evaluator.data.edits import Edit, EditTable
from evaluator.errors import ConfigurationError, DataError
from evaluator.files import write_text
from evaluator.text import name as shown
from evaluator.text import one_line

LABEL, ACTION, IMAGE = "label", "action", "image"
DROP = "drop this image"
EXPORT = Limits(size=512 * 2**20, depth=40, digits=60, values=20_000_000)
MOST_SIDE = 512
"""Pixels: larger images are made smaller in the tasks. The data set itself stays as it is."""
CONFIG = "labeling.xml"


def labelling_config(classes: Sequence[str]) -> str:
    """The labelling interface: the image, one choice among the classes (keys 1 to 9 and 0), and a choice that drops it."""
    rows = []
    for place, name in enumerate(classes):
        key = f' hotkey="{(place + 1) % 10}"' if place < 10 else ""
        rows.append(f"    <Choice value={quoteattr(name)}{key}/>")
    return "\n".join(
        [
            "<View>",
            '  <Text name="said" value="$said"/>',
            f'  <Image name="{IMAGE}" value="$image"/>',
            f'  <Choices name="{LABEL}" toName="{IMAGE}" choice="single" showInLine="true">',
            *rows,
            "  </Choices>",
            f'  <Choices name="{ACTION}" toName="{IMAGE}" choice="multiple" showInLine="true">',
            f'    <Choice value="{DROP}" hotkey="d"/>',
            "  </Choices>",
            "</View>",
            "",
        ]
    )


def tasks(
    data: ToolSet, chosen: np.ndarray, issues: LabelIssues | None = None, *, predictions: bool = False
) -> list[dict[str, Any]]:
    """Tasks of images, each with its pre-label.

    Args:
        chosen: numbers of the images, in this order.
        issues: of all images; needed for ``predictions``: the model's label is the pre-label, and not the given one.

    Raises:
        ConfigurationError: predictions are asked for, and there are no issues.
    """
    if predictions and issues is None:
        raise ConfigurationError("--pre-label predicted: there are no predictions; expected a data set that was predicted")
    found = []
    for i in np.asarray(chosen).tolist():
        given = data.classes[data.labels[i]]
        meta: dict[str, Any] = {"id": data.images.ids[i], "label": given, "split": data.splits[i]}
        meta["pixels"] = pixel_digest(data.images.pixels[i])
        label, score, version, said = given, 1.0, "given", f"given {given}"
        if issues is not None:
            best = int(issues.probabilities[i].argmax())
            guess, chance = data.classes[best], float(issues.probabilities[i, best])
            meta |= {"predicted": guess, "quality": round(float(issues.quality[i]), 6)}
            said = f"given {given}, predicted {guess} ({chance:.2f})"
            if predictions:
                label, score, version = guess, round(chance, 6), "predicted"
        result = {"from_name": LABEL, "to_name": IMAGE, "type": "choices", "value": {"choices": [label]}}
        # Label Studio shows every field of ``data``; ``meta`` comes back in its export as it went in.
        found.append(
            {
                "data": {"image": _uri(data.images.pixels[i]), "said": said} | meta,
                "predictions": [{"model_version": version, "score": score, "result": [result]}],
            }
        )
    return found


def write_tasks(made: Sequence[Mapping[str, Any]], classes: Sequence[str], path: Path) -> Path:
    """Write tasks as JSON, and the labelling interface beside them.

    Returns:
        The file of the labelling interface.

    Raises:
        OSError: a file cannot be written.
    """
    config = path.with_name(CONFIG)
    write_text(config, labelling_config(classes))
    write_text(path, json.dumps(list(made), ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return config


@dataclass(frozen=True)
class Annotated:
    """What was annotated.

    Attributes:
        edits: drops and relabels; labels that stay need none.
        looked_at: images with an annotation. ``open``: images without; ``disagreed``: images on which several people said different
            things: nothing is edited there.
    """

    edits: EditTable
    looked_at: int
    open: int
    disagreed: tuple[str, ...]


def read_annotations(path: Path, data: ToolSet) -> Annotated:
    """Read an export of Label Studio (JSON, not JSON-MIN).

    Several annotations of an image must agree, in one task or in several; those that their author skipped do not count.

    Raises:
        DataError: it is no such export, names an image or a class that there is not, or was made of other images.
    """
    try:
        content = read_json(path, EXPORT)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected an export of Label Studio (JSON)") from error
    except BoundsError as error:
        raise DataError(str(error)) from error
    if not isinstance(content, list) or not all(isinstance(task, dict) for task in content):
        raise DataError(f"{path}: it is no list of tasks; expected an export of Label Studio in its format JSON")
    place = {name: i for i, name in enumerate(data.images.ids)}
    edits: list[Edit] = []
    disagreed: list[str] = []
    looked_at = unlooked = 0
    by_image: dict[str, set[tuple[str, bool]]] = {}
    for number, task in enumerate(content):
        at = f"{path}, task {number + 1}"
        fields = task.get("data")
        if not isinstance(fields, dict):
            raise DataError(f"{at}: it has no object named data; expected an export in the format JSON, not JSON-MIN")
        name = fields.get("id")
        if not isinstance(name, str) or name not in place:
            raise DataError(
                f"{at}: its data.id is {shown(name)!r}; expected an image of the data set. Export the tasks of this one"
            )
        _same_image(fields, data.images.pixels[place[name]], at)
        # An image that was imported twice is two tasks of one image: what was said of either counts together.
        by_image.setdefault(name, set()).update(_said(annotation, at, data.classes) for annotation in _annotations(task, at))
    for name, said in by_image.items():
        if not said:
            unlooked += 1
            continue
        looked_at += 1
        if len(said) > 1:
            disagreed.append(name)
            continue
        label, dropped = said.pop()
        if dropped:
            edits.append(Edit(name, "drop"))
        elif label and label != data.classes[data.labels[place[name]]]:
            edits.append(Edit(name, "relabel", label))
    return Annotated(EditTable(tuple(edits), str(path)), looked_at, unlooked, tuple(disagreed))


def _annotations(task: Mapping[str, Any], at: str) -> list[Mapping[str, Any]]:
    found = task.get("annotations", task.get("completions", []))
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{at}: its annotations are no list of objects; expected an export in the format JSON, not JSON-MIN")
    return [one for one in found if not one.get("was_cancelled")]


def _said(annotation: Mapping[str, Any], at: str, classes: Sequence[str]) -> tuple[str, bool]:
    """The label that an annotation chooses (empty: none), and whether it drops the image."""
    label, dropped = "", False
    result = annotation.get("result")
    if not isinstance(result, list):
        raise DataError(f"{at}: an annotation has no list named result; expected an export in the format JSON")
    for part in result:
        value = part.get("value") if isinstance(part, dict) else None
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
            continue  # a region or a comment of a changed interface
        if part.get("from_name") == ACTION:
            dropped = dropped or DROP in choices
        elif part.get("from_name") == LABEL and choices:
            if len(choices) > 1 or choices[0] not in classes:
                raise DataError(f"{at}: it chooses {one_line(', '.join(choices))!r}; expected one of {', '.join(classes)}")
            label = choices[0]
    return ("" if dropped else label), dropped  # whoever drops an image says nothing of its label


def _same_image(fields: Mapping[str, Any], pixels: np.ndarray, at: str) -> None:
    """Refuse a task whose image is another than the data set's of that name: two data sets of the kit use the same names.

    Tasks without a digest (older exports, or written by other tools) are taken by their name.
    """
    digest = fields.get("pixels")
    if digest is not None and digest != pixel_digest(pixels):
        raise DataError(
            f"{at}: {shown(fields['id'])} of the export has other pixels than that of the data set; expected the same image. "
            "Name with --data the folder that the tasks were made of"
        )


def _uri(pixels: np.ndarray) -> str:
    image = Image.fromarray(pixels)
    if max(image.size) > MOST_SIDE:
        image.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
