"""Replay: train again on the ledger of a stored cell, with the profile, round and pipeline that the cell stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evaluator.bounded import RECORD, NotJsonError, parse_json, read_bytes
from evaluator.errors import ConfigurationError, DataError, TrainingError
from evaluator.history.reading import sound
from evaluator.history.validity import fault
from evaluator.places import data_place, data_set_place
from evaluator.purchase.cell import train_and_score
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.result import PurchaseResult, upgraded
from evaluator.purchase.sets import RoundSets, numbered, read_sets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.secret import cell_secret
from evaluator.track import Progress
from evaluator.training.pipeline import Pipeline
from evaluator.training.recipes import fitted, load_pipeline


@dataclass(frozen=True, eq=False)
class Replay:
    """What is needed to train on a stored cell again.

    Attributes:
        spec, ledger: of the cell; ``sets``: the data that it was run on.
        fingerprint: of the stored result, to compare with; None if the cell has no score.
    """

    spec: PurchaseSpec
    ledger: Ledger
    sets: RoundSets
    fingerprint: str | None

    def pipelines(self, names: Sequence[str]) -> list[Pipeline]:
        """Pipelines by name or file, adapted to the cell's profile; without names, the cell's own pipeline as it was stored.

        Raises:
            ConfigurationError: a pipeline does not exist or cannot be adapted.
        """
        profile = self.spec.profile
        return [fitted(load_pipeline(name), profile.image_size, profile.weights) for name in names] or [self.spec.pipeline]

    def run(self, pipeline: Pipeline, progress: Progress = lambda what, share: None) -> dict[str, Any]:
        """Train and score.

        Args:
            progress: called with a word for the work and the share of it that is done, 0 to 1.

        Returns:
            JSON-able: ``pipeline`` (name), ``metrics``, ``fingerprint``, ``own`` (whether it is the cell's own pipeline), ``same``
            (whether the result equals the stored result to the bit) and ``failed`` (why the training failed, or empty).
        """
        own = pipeline == self.spec.pipeline
        try:
            scored = train_and_score(replace(self.spec, pipeline=pipeline), self.sets.of(self.spec), self.ledger, progress)
        # As in a cell: torch raises a RuntimeError if a device is out of memory.
        except (TrainingError, MemoryError, RuntimeError) as error:
            return {
                "pipeline": pipeline.name,
                "metrics": None,
                "fingerprint": None,
                "own": own,
                "same": False,
                "failed": str(error),
            }
        same = scored.fingerprint == self.fingerprint
        found = {"pipeline": pipeline.name, "metrics": asdict(scored.metrics), "fingerprint": scored.fingerprint}
        return found | {"own": own, "same": same, "failed": ""}

    def line(self, row: dict[str, Any]) -> str:
        """A row of ``run`` for the terminal."""
        if row["failed"]:
            return f"{row['pipeline']}: the training failed: {row['failed']}"
        m = row["metrics"]
        text = f"{row['pipeline']}: macro F1 {m['macro_f1']:.4f}, accuracy {m['accuracy']:.4f}, "
        text += f"Hamming loss {m['hamming_loss']:.4f} (n={m['n']})"
        if row["own"]:
            same = "the stored result, to the bit"
            other = "not the stored result to the bit; the machine or the versions of libraries may differ"
            text += "\n" + (same if row["same"] else other)
        return text


def _name_of(raw: bytes) -> str:
    """The hash that a stored cell calls itself by.

    Raises:
        ConfigurationError: it is not JSON within the bounds of a record, or JSON of something else.
    """
    try:
        content = parse_json(raw, "the file")
    except NotJsonError:
        raise ConfigurationError("the file is no JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("cell"), str):
        raise ConfigurationError("the file is JSON, but not of a cell")
    return content["cell"]


def read_replay(
    cell: Path, data: Path | None = None, device: str | None = None, secret: Path | None = None, cache: Path | None = None
) -> Replay:
    """Read a stored cell and its data for a replay; cells of older schemas are read, too.

    Args:
        cell: a file of ``results/cells/``.
        data: folder of the splits; None for that of the stored profile, below the kit's data folder.
        device: None for the device that the cell was trained on.
        secret: file of the cell's secret; None for that of the results folder that the cell lies in.
        cache: folder of data sets and caches; None for the default (``places.data_place``).

    Raises:
        ConfigurationError: the file is not a stored cell, its round trains nothing, or its secret is missing or another.
        DataError: the data are not those that the cell was run on.
    """
    try:
        raw = read_bytes(cell, RECORD.size)
        name = _name_of(raw)
        found, why = sound(raw, "cell", name)
        if found is None:
            raise ConfigurationError(f"the file {why}")
        stored = upgraded(found) if found["schema"] == 1 else found
        if why := fault(stored, name):
            raise ConfigurationError(f"the file {why}")
        if why := PurchaseResult.fault(stored):
            raise ConfigurationError(f"the file {why}")
        spec = PurchaseSpec.from_dict(stored["spec"])
        ledger, fingerprint = Ledger.from_rows(stored["ledger"]), stored["fingerprint"]
        _check(ledger, stored, spec)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, ConfigurationError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"{cell} is not a stored cell ({why}); name a file of results/cells/") from None
    spec = replace(spec, device=device or spec.device)
    if not spec.trains:
        raise ConfigurationError(
            f"{cell}: {spec.profile.round.name} scores the participant's own predictions; a replay needs a trained pipeline"
        )
    own = cell_secret(cell, spec.secret, secret)
    folder = data or data_set_place(numbered(spec.profile, spec.data_set).data_folder, cache)
    sets = read_sets(spec.profile, folder, score_split=spec.score_split, cache=data_place(cache) / ".cache", secret=own)
    changed = [split for split, digest in spec.data.items() if sets.digests().get(split) != digest]
    if changed:
        raise DataError(
            f"the data in {sets.folder} is not what the cell was run on ({', '.join(changed)} differ); name its folder with --data"
        )
    return Replay(spec, ledger, sets, fingerprint)


def _check(ledger: Ledger, stored: dict[str, Any], spec: PurchaseSpec) -> None:
    """Check what a training would only meet deep within: the ledger against the round, and the folder of the data.

    Raises:
        ConfigurationError: with the field.
    """
    classes, folder = len(spec.profile.round.classes), spec.profile.data_folder
    if (bought := stored["purchase"]["bought"]) != len(ledger):
        raise ConfigurationError(f"purchase.bought is {bought}, and ledger has {len(ledger)} members; expected as many")
    if len({sold.image for sold in ledger}) != len(ledger):
        raise ConfigurationError("ledger names an image twice; every label is sold once")
    pool = spec.profile.drawn.get("unlabelled", spec.profile.sizes.get("unlabelled", 0))
    for row, sold in enumerate(ledger):
        if len(sold.label) != classes:
            raise ConfigurationError(f"ledger[{row}].label has {len(sold.label)} members; the round has {classes} classes")
        if sold.image >= pool:
            raise ConfigurationError(f"ledger[{row}].image is {sold.image}; the pool has {pool} images")
    if Path(folder).name != folder:
        raise ConfigurationError(f"spec.profile.data_folder is {folder[:80]!r}; expected a plain name of a folder")
