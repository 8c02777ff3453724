"""A new round, whole or not at all: everything is written into a hidden folder, which gets its name at the end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError, DataError
from evaluator.files import temporary_folder, write_new, write_text
from evaluator.judging import place
from evaluator.plans import Step
from evaluator.rounds import told
from evaluator.rounds.draws import data_seed, part_secret, round_seed
from evaluator.rounds.making import Made, Order
from evaluator.rounds.terms import (
    FACTS,
    FILE,
    HIDDEN,
    PRIVATE,
    PUBLIC,
    README,
    SECRET,
    Folder,
    Terms,
    said,
    terms_text,
)
from evaluator.rounds.tracks import of_track
from evaluator.secret import BITS, Secret
from evaluator.text import json_text
from evaluator.toml_keys import toml_text

PARTS = ("public", "private")


def new_round(order: Order, root: Path, secret: Secret | None = None, step: Step = lambda what, done, total: None) -> Made:
    """Make a round in a folder that does not exist yet.

    Args:
        secret: that everything hidden follows from; None draws one.

    Raises:
        KitError: the folder exists, or the order cannot be met. Nothing is left behind.
        OSError: the folder cannot be written.
    """
    root = root.expanduser().absolute()
    if os.path.lexists(root):
        raise ConfigurationError(f"--folder: {root} exists; expected a new folder. Name another, or remove it")
    track = of_track(order.terms.track)
    secret = secret or Secret(secrets.randbits(BITS))
    root.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(root.parent, root.name) as partial:
        folder = Folder(partial)
        for place_, rights in ((folder.publish, 0o755), (folder.keep, 0o700), (folder.judge, 0o700), (folder.cache, 0o700)):
            place_.mkdir(mode=rights)
        for place_ in folder.exchange:
            place_.mkdir(mode=0o755)
            (folder.judge / place_.name).symlink_to(Path("..", "..", place_.name))
        write_secret(folder.keep / SECRET, secret)
        for part in PARTS:
            write_secret(folder.keep / f"{part}.secret", part_secret(secret, part))
        try:
            made = track.make(order, secret, folder, step)
        except (ConfigurationError, DataError) as error:  # the hidden folder has a name that a person has never seen
            raise type(error)(str(error).replace(str(partial), str(root))) from error
        terms = replace(order.terms, profile=str(made.public["profile"]))
        _write(folder, replace(order, terms=terms), made, secret)
        partial.chmod(0o755)
        try:
            os.rename(partial, root)
        except OSError:
            if not os.path.lexists(root):
                raise
            raise ConfigurationError(f"--folder: {root} was made meanwhile; expected a new folder. Name another") from None
    return made


def write_secret(path: Path, secret: Secret) -> None:
    """Write the file of a secret, that only this user reads."""
    write_new(path, f"{secret.number:0{BITS // 4}x} {secret.fingerprint}\n".encode(), permissions=0o600)


def _write(folder: Folder, order: Order, made: Made, secret: Secret) -> None:
    terms = order.terms
    for part, options in zip((PUBLIC, PRIVATE), (made.public, made.private), strict=True):
        write_text(folder.judge / part, _options(part, options))
    write_text(folder.judge / place.FILE, judge_text(terms))
    if made.published:
        write_text(folder.publish / PUBLIC, _options(PUBLIC, made.published))
    hidden = {
        "tasks": list(made.hidden),
        "data_seeds": {name: str(data_seed(secret, name)) for name in ("pool", *PARTS)},
        "round_seed": str(round_seed(secret)),
    }
    write_new(folder.keep / HIDDEN, (json_text(hidden, indent=1) + "\n").encode(), permissions=0o600)
    write_text(folder.publish / FACTS, told.facts(terms, made, order.seeds))
    write_text(folder.publish / README, told.readme(order, made))
    write_text(folder.publish / "aicrowd.json", told.manifest(order))
    write_text(folder.root / FILE, terms_text(terms))


def _options(part: str, options: Mapping[str, Any]) -> str:
    about = "The public part: what is judged at once." if part == PUBLIC else "The private part: what is judged at the end."
    return f"# {about} Options of `python -m evaluator sweep --file`.\n" + toml_text(options)


def judge_text(terms: Terms) -> str:
    """The text of ``judge.toml``."""
    lines = [
        f"name = {toml_text({'x': terms.name}).partition('= ')[2].strip()}",
        f'track = "{terms.track}"',
        f'public = "{PUBLIC}"',
        f'private = "{PRIVATE}"',
        f'sandbox = "{terms.sandbox}"',
        *(["answers = true"] if terms.answers else []),
        *([f"deadline = {said(terms.closes)}"] if terms.closes else []),
        "",
        "[quota]",
        f"a-day = {terms.quota.a_day}",
        f"chosen = {terms.quota.chosen}",
    ]
    return "\n".join(lines) + "\n"
