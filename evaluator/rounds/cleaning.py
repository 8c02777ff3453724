"""A round of the cleaning track: public tasks as files, and hidden tasks that are drawn from the secret; or tasks of one's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.cleaning.folder import read_task, task_names
from evaluator.cleaning.offline import Folders, write_tasks
from evaluator.cleaning.rules import CleaningProfile, profile_named
from evaluator.cleaning.sets import CleaningSets, parsed
from evaluator.cleaning.tasks import CleaningTask
from evaluator.errors import ConfigurationError
from evaluator.plans import Step
from evaluator.rounds.draws import ROOT_SEED, hidden_tasks, part_secret
from evaluator.rounds.making import Made, Order
from evaluator.rounds.terms import DATA, PUBLIC, Folder
from evaluator.secret import Secret
from evaluator.text import one_line
from evaluator.words import counted

LOOKED_UP = (
    "the digits are scikit-learn's, which everybody has: whoever looks a row up knows its true label. Use it to practise; for a "
    "round that counts take --profile painted, or data of your own (--profile dataperf)"
)


def make(order: Order, secret: Secret, folder: Folder, step: Step) -> Made:
    """Write the tasks of a round.

    Raises:
        KitError: the profile, a task or a folder is not what it should be.
    """
    profile = profile_named(order.profile)
    asked: dict[str, Any] = {"profile": profile.name, "seeds": order.seeds}
    asked |= {"pipelines": list(order.pipelines)} if order.pipelines else {}
    found = _drawn(order, profile, secret, folder, step) if profile.tasks else _own(order, profile, folder, step)
    names, hidden, of_public, of_private, of_participants, warnings = found
    of_judge = asked | {"cache": "../cache"}
    return Made(
        public=of_judge | {"secret": "../public.secret"} | of_public,
        private=of_judge | {"secret": "../private.secret"} | of_private,
        published=asked | of_participants,
        hidden=hidden,
        digests=digests_of(folder.publish, {}),
        facts=[
            f"Tasks: {', '.join(names)}, each {counted(order.seeds, 'time')}. `{DATA}/` holds them in DataPerf's layout, with all "
            "true labels, to learn on. A submission is judged on draws of its own.",
            f"Private part: {len(hidden)} hidden {'task' if len(hidden) == 1 else 'tasks'}, with other rates of wrong labels.",
        ],
        practise=[
            f"python -m evaluator validate MY_SUBMISSION --track cleaning --file {PUBLIC}",
            f"python -m evaluator sweep --track cleaning --file {PUBLIC} --submissions MY_SUBMISSION --out results",
            f"python -m evaluator cleaning create-baselines --folder {DATA}",
        ],
        warnings=warnings,
    )


_Parts = tuple[tuple[str, ...], tuple[str, ...], dict[str, Any], dict[str, Any], dict[str, Any], tuple[str, ...]]


def _drawn(order: Order, profile: CleaningProfile, secret: Secret, folder: Folder, step: Step) -> _Parts:
    """Tasks that the kit makes: names, hidden names, options of the three files, warnings."""
    if order.data is not None:
        raise ConfigurationError(f"--data: the profile {profile.name!r} has tasks of its own; for your data use --profile dataperf")
    names = order.tasks or profile.tasks
    for name in names:
        parsed(name)
    if len(set(names)) != len(names):
        raise ConfigurationError(f"--tasks: {', '.join(names)} were given; name each once")
    private = part_secret(secret, "private")
    hidden = hidden_tasks(private, names, order.hidden or len(names))
    for number, (root, tasks, place) in enumerate(
        ((ROOT_SEED, names, folder.publish / DATA), (private.root(ROOT_SEED), hidden, folder.keep / "private"))
    ):
        step("making tasks", number, 2)
        write_tasks(CleaningSets(profile, root, cache=folder.cache / ".cache"), tasks, Folders.below(place))
    step("making tasks", 2, 2)
    warnings = (LOOKED_UP,) if any(name.startswith("digits") for name in (*names, *hidden)) else ()
    return (
        tuple(names),
        hidden,
        {"tasks": list(names)},
        {"tasks": list(hidden)},
        {"tasks": list(names), "public-seeds": True},
        warnings,
    )


def _own(order: Order, profile: CleaningProfile, folder: Folder, step: Step) -> _Parts:
    """Tasks of an organiser's own: as ``_drawn``."""
    if profile.layout != "dataperf":
        raise ConfigurationError(
            f"--profile {profile.name}: its public and its hidden tasks would be drawn from the same images; a round takes "
            "painted, digits, debug or dataperf. Name one of them"
        )
    if order.data is None or order.private_data is None:
        raise ConfigurationError(f"--data: the profile {profile.name!r} reads {profile.layout_text}; name it, and --private-data")
    if order.tasks or order.hidden:
        raise ConfigurationError(
            "--tasks, --hidden: all tasks of --data are public, and all of --private-data are hidden. Leave both out"
        )
    found = []
    for number, (source, target) in enumerate(((order.data, folder.publish / DATA), (order.private_data, folder.keep / "private"))):
        step("copying tasks", number, 2)
        found.append(_copied(source, target))
    step("copying tasks", 2, 2)
    names, hidden = found
    if both := sorted(set(names) & set(hidden)):
        raise ConfigurationError(
            f"--private-data: the task {one_line(both[0], 60)!r} is in --data as well; expected another name. Rename its files"
        )
    return names, hidden, {"data": f"../../publish/{DATA}"}, {"data": "../private"}, {"data": DATA}, ()


def _copied(source: Path, target: Path) -> tuple[str, ...]:
    """Copy the files of all tasks, and nothing else that lies there. Each task is read first."""
    old, new = Folders.below(source), Folders.below(target)
    names = tuple(task_names(old.embeddings))
    for folder in (new.embeddings, new.groundtruth):
        folder.mkdir(parents=True)
    for name in names:
        read_task(name, old.embeddings, old.groundtruth)
        files = [
            path for path in old.embeddings.iterdir() if path.name.startswith((f"{name}_train_", f"{name}_val_", f"{name}_test_"))
        ]
        for path in [*files, old.groundtruth / f"dataset_{name}_train.csv"]:
            shutil.copyfile(path, (new.embeddings if path.parent == old.embeddings else new.groundtruth) / path.name)
    return names


def digests_of(publish: Path, options: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the published tasks, as a participant reads them.

    Raises:
        ConfigurationError: a table is missing or not what it should be.
    """
    folders = Folders.below(publish / DATA)
    return {name: read_task(name, folders.embeddings, folders.groundtruth).digest() for name in task_names(folders.embeddings)}


def drawn_tasks(sets: Any, names: Sequence[str], seeds: range) -> Iterator[tuple[str, CleaningTask]]:
    """The tasks that a judge will draw, with their names in words; those of a folder lie there as files."""
    if isinstance(sets, CleaningSets) and sets.embeddings is None:
        for name in names:
            for seed in seeds:
                yield f"{name}, seed {seed}", sets.task(name, seed)


def label_tables(task: CleaningTask) -> list[np.ndarray]:
    """What is hidden of a drawn task: true labels of the training rows, labels as given, labels of the test rows."""
    return [task.true, task.train.labels, task.test.labels]
