"""Proves, as far as a program can, that nothing hidden is in what goes out, and that what goes out and the judge work.

Every row of the check says what was compared and how much of it. A row is ``found`` where something is wrong: such a round does not
open. A ``warning`` is for a person to decide.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.bounded import read_json, read_toml
from evaluator.errors import ConfigurationError, KitError
from evaluator.judging import place
from evaluator.plans import Plan, Step
from evaluator.rounds import cleaning, told
from evaluator.rounds.contents import Blob, Opaque, blobs
from evaluator.rounds.draws import ROOT_SEED, data_seed, part_secret, round_seed
from evaluator.rounds.manifest import differences
from evaluator.rounds.parts import plan_of
from evaluator.rounds.purchase import PROFILE
from evaluator.rounds.terms import FACTS, HIDDEN, PRIVATE, PUBLIC, README, SECRET, Folder, Terms
from evaluator.rounds.traces import Needles, Stretches, Traces, Word, number_needles
from evaluator.rounds.tracks import of_track
from evaluator.secret import Secret, read_secret
from evaluator.text import as_command, one_line
from evaluator.track import Track
from evaluator.words import counted

PARTS = ("public", "private")
LISTED = 5
"""Findings of a row that are listed; further findings are counted."""
_WORKING = ("inbox", "outbox", "packages", "submissions", "results", "runs", "site")
"""Folders that the judge makes: nothing of them was made with the round."""


@dataclass(frozen=True)
class Row:
    """One check.

    Attributes:
        name: what is checked; ``compared``: with what, and how much of it.
        found: what is wrong, a sentence each; empty if nothing is. ``more``: how many findings are not listed.
        warning: what is wrong does not keep the round from opening.
    """

    name: str
    compared: str
    found: tuple[str, ...] = ()
    warning: bool = False
    more: int = 0

    @classmethod
    def listing(cls, name: str, compared: str, found: Iterable[str]) -> Row:
        """A row of findings that may be many: each once, of which some are listed."""
        shown = [one_line(line, 300) for line in dict.fromkeys(found)]
        return cls(name, compared, tuple(shown[:LISTED]), more=len(shown[LISTED:]))

    @property
    def count(self) -> int:
        """Number of findings."""
        return len(self.found) + self.more

    @property
    def state(self) -> str:
        """``good``, ``warning`` or ``found``."""
        return "good" if not self.found else "warning" if self.warning else "found"


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check found. ``plans``: of both parts, by name, for a forecast; of a part that cannot be planned there is none."""

    terms: Terms
    rows: tuple[Row, ...]
    plans: Mapping[str, Plan] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether the round may be opened."""
        return all(row.state != "found" for row in self.rows)


def check(folder: Folder, track: Track, step: Step = lambda what, done, total: None) -> Checked:
    """Check a round.

    Raises:
        ConfigurationError: there is no round, its terms cannot be read, or its secret is gone.
    """
    terms = folder.terms()
    secret = read_secret(folder.keep / SECRET)
    plans: dict[str, Plan] = {}
    rows = [_rights(folder), _links(folder), _secrets(folder, secret)]
    rows += [_part(folder, track, terms, name, plans, step) for name in PARTS]
    rows += [_repetitions(plans), _rules(folder, terms)]
    rows += _leaks(folder, secret, plans, step)
    rows += [_told(folder, terms), _usable(folder, track, terms, plans, step)]
    if terms.state == "new":
        rows.append(_fresh(folder))
    else:
        rows.append(_unchanged(folder))
    return Checked(terms, tuple(rows), plans)


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder, in order; links and special files too, folders not."""
    for here, folders, files in os.walk(root):
        folders.sort()
        for name in [*sorted(files), *(name for name in folders if os.path.islink(os.path.join(here, name)))]:
            yield Path(here) / name


def hidden_files(folder: Folder) -> Iterator[Path]:
    """Files of ``keep`` that nobody may see, without caches, and without what the judge wrote while it worked."""
    for path in files_below(folder.keep):
        parts = path.relative_to(folder.keep).parts
        if parts[0] == "cache" or (parts[0] == "judge" and (len(parts) > 2 or parts[1].startswith("queue.db"))):
            continue
        yield path


# -- files and rights


def _rights(folder: Folder) -> Row:
    found, count = [], 0
    for path, most in ((folder.keep, 0o700), *((path, 0o600) for path in sorted(folder.keep.glob("*.secret")))):
        count += 1
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & ~most:
            mend = as_command("chmod", f"{most:o}", path)
            found.append(f"{_name(folder, path)} has the rights {mode:o}; expected {most:o}. Run {mend}")
    hidden = folder.keep / HIDDEN
    if stat.S_IMODE(hidden.stat().st_mode) & ~0o600 if hidden.exists() else True:
        found.append(f"keep/{HIDDEN} is missing or has other rights than 600. Put it back, and run chmod 600")
    return Row("rights", f"keep/, and {counted(count, 'file')} that only you may read", tuple(found))


def _links(folder: Folder) -> Row:
    """No link, no special file, and no file that is one of ``keep`` under another name."""
    kept = {(status.st_dev, status.st_ino) for path in files_below(folder.keep) for status in [path.lstat()]}
    found, count = [], 0
    for path in files_below(folder.publish):
        count += 1
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            found.append(f"{_name(folder, path)} is no regular file; it may lead to what is hidden. Replace it by the file")
        elif (status.st_dev, status.st_ino) in kept:
            found.append(f"{_name(folder, path)} is a file of keep/ under another name. Remove it")
        elif path.name.startswith(".") and path.name.endswith(".tmp"):
            found.append(f"{_name(folder, path)} is the rest of an interrupted command. Remove it")
    return Row("files that go out", f"{counted(count, 'file')}: no links, none shared with keep/", tuple(found))


def _secrets(folder: Folder, secret: Secret) -> Row:
    found = []
    for part in PARTS:
        try:
            if read_secret(folder.keep / f"{part}.secret") != part_secret(secret, part):
                found.append(f"keep/{part}.secret does not follow from keep/{SECRET}. Put both back from your copy")
        except ConfigurationError as error:
            found.append(str(error))
    return Row("secrets", f"of both parts against keep/{SECRET}, fingerprint {secret.fingerprint}", tuple(found))


# -- the judge


def _part(folder: Folder, track: Track, terms: Terms, name: str, plans: dict[str, Plan], step: Step) -> Row:
    file = folder.judge / (PUBLIC if name == "public" else PRIVATE)
    try:
        plan = plan_of(folder, track, file, terms.sandbox, step)
    except KitError as error:
        return Row(f"{name} part", f"keep/judge/{file.name} as the judge reads it", (str(error),))
    plans[name] = plan
    found = []
    wanted = part_secret(read_secret(folder.keep / SECRET), name).fingerprint
    if any(spec.secret != wanted for spec in plan.cells):
        found.append(f"keep/judge/{file.name} names another secret than keep/{name}.secret. Name ../{name}.secret")
    tasks = counted(len(plan.tasks), track.task_word)
    seeds = len({spec.seed for spec in plan.cells})
    return Row(f"{name} part", f"planned as the judge does: {tasks}, {counted(seeds, 'seed')}, data read", tuple(found))


def _repetitions(plans: Mapping[str, Plan]) -> Row:
    seeds = {name: len({spec.seed for spec in plan.cells}) for name, plan in plans.items()}
    found = [
        f"{name} part: 1 seed; expected 2 or more, because a score of a single seed has no interval, and its place on the board "
        "may be chance. Make the round with --seeds 3"
        for name, many in seeds.items()
        if many < 2
    ]
    told = ", ".join(f"{counted(many, 'seed')} in the {name} part" for name, many in seeds.items()) or "no part can be planned"
    return Row("repetitions", told, tuple(found), warning=True)


def _rules(folder: Folder, terms: Terms) -> Row:
    """``judge.toml`` is read as the judge reads it, and says what ``round.toml`` says."""
    about = "keep/judge/judge.toml against round.toml: name, track, tier, answers, deadline, quotas"
    try:
        rules = place.Place.of(folder.judge).rules
    except KitError as error:
        return Row("judge's rules", about, (str(error),))
    deadline = None if terms.closes is None else terms.closes.timestamp()
    pairs: tuple[tuple[str, Any, Any], ...] = (
        ("name", rules.name, terms.name),
        ("track", rules.track, terms.track),
        ("sandbox", rules.sandbox, terms.sandbox),
        ("answers", rules.answers, terms.answers),
        ("quota.a-day", rules.quota.a_day, terms.quota.a_day),
        ("quota.chosen", rules.quota.chosen, terms.quota.chosen),
        ("private", rules.private, PRIVATE),
        *([("deadline", rules.deadline, deadline)] if terms.state != "closed" else []),
    )
    found = [
        f"judge.toml has {key} = {seen!r}, round.toml {wanted!r}. Write the same" for key, seen, wanted in pairs if seen != wanted
    ]
    return Row("judge's rules", about, tuple(found))


def _fresh(folder: Folder) -> Row:
    """Before it opens, no package was judged: what a rehearsal left would stand on the board."""
    taken = sum(path.is_file() for path in (folder.judge / "packages").glob("*"))
    found = (
        [f"{counted(taken, 'package')} of a rehearsal; expected none. Remove {', '.join(_WORKING)} and queue.db* in keep/judge"]
        if taken
        else []
    )
    return Row("judge's folder", "packages that were taken in before the round is open", tuple(found))


# -- what must not go out


def _leaks(folder: Folder, secret: Secret, plans: Mapping[str, Plan], step: Step) -> list[Row]:
    hidden, public, stretches = Traces(), Traces(), Stretches()
    kept = list(hidden_files(folder))
    exempt = {folder.judge / PROFILE}  # the rules of a profile of one's own are public
    for number, path in enumerate(kept):
        step("reading what stays", number, len(kept))
        if path in exempt:
            continue
        for blob in blobs(path, _name(folder, path)):
            if isinstance(blob, Blob):
                hidden.add(blob)
                stretches.take(blob)
    _drawn(hidden, plans)
    needles = _needles(secret)
    hidden_names = _hidden_tasks(folder, plans)
    words = {f"the hidden task {name}": Word.of(name) for name in hidden_names}
    out = list(files_below(folder.publish))
    within: list[str] = []
    told_of: dict[str, list[str]] = {"secret": [], "task": []}
    opaque: list[str] = []
    looked = size = 0
    for number, path in enumerate(out):
        step("reading what goes out", number, len(out))
        if path.is_symlink() or not path.is_file():
            continue
        found_name = Blob(f"the name of {_name(folder, path)}", _name(folder, path).encode("utf-8", "surrogateescape"), False)
        for blob in (found_name, *blobs(path, _name(folder, path))):
            if isinstance(blob, Opaque):
                opaque.append(f"{blob.where}: {blob.why}")
                continue
            looked, size = looked + 1, size + len(blob.content)
            if blob is not found_name:
                public.add(blob)
                within += [f"{blob.where} holds a part of {where}" for where in stretches.found(blob.content)]
            told_of["secret"] += [f"{blob.where} holds {what}" for what in needles.found(blob.content)]
            told_of["task"] += [f"{blob.where} holds {what}" for what, word in words.items() if word.stands_in(blob.content)]
    step("reading what goes out", len(out), len(out))
    stretched = [line for line in within if line not in {f"{b} holds a part of {a}" for a, b in hidden.both("files", public)}]
    read = f"{looked:,} parts of {counted(len(out), 'public file')}, {size / 2**20:,.1f} MiB"
    digits = any(name.startswith("digits") for name in hidden_names)
    return [
        _equal("files", hidden, public, "hidden files", "files"),
        Row.listing("parts of files", f"stretches of {counted(stretches.count, 'hidden file')} in {read}", stretched),
        _equal("images", hidden, public, "hidden images, decoded", "pixels"),
        _rows(hidden, public, digits),
        _equal("labels", hidden, public, "columns of hidden labels", "labels"),
        Row.listing("secrets and seeds", f"{needles.count} ways of writing them, in {read}", told_of["secret"]),
        Row.listing("hidden tasks", f"{counted(len(words), 'name')} in {read}", told_of["task"]),
        Row.listing("looked into", "archives, compressed texts and tables of what goes out", opaque),
    ]


def _equal(name: str, hidden: Traces, public: Traces, what: str, kind: str) -> Row:
    found = [f"{theirs} is equal to {mine}" for mine, theirs in hidden.both(kind, public)]
    numbers = f"{len(hidden.seen[kind]):,} {what} against {len(public.seen[kind]):,} public"
    return Row.listing(name, numbers, found)


def _rows(hidden: Traces, public: Traces, digits: bool) -> Row:
    found = [f"{theirs} has a row of {mine}" for mine, theirs in dict.fromkeys(hidden.both("rows", public))]
    about = f"{len(hidden.seen['rows']):,} hidden rows of numbers against {len(public.seen['rows']):,} public"
    if digits:
        return Row(
            "rows of numbers", about, (f"{counted(len(hidden.both('rows', public)), 'row')} shared: {cleaning.LOOKED_UP}",), True
        )
    return Row.listing("rows of numbers", about, found)


def _drawn(hidden: Traces, plans: Mapping[str, Plan]) -> None:
    """Take up what lies in no file, because the judge draws it from the secret."""
    for part, plan in plans.items():
        seeds = sorted({spec.seed for spec in plan.cells})
        names = [task.name for task in plan.tasks]
        for sets in plan.data.values():
            for where, task in cleaning.drawn_tasks(sets, names, range(seeds[0], seeds[-1] + 1)):
                for what, own in (("train", task.train), ("validation", task.validation), ("test", task.test)):
                    hidden.rows(own.rows, f"{part} part, {where}, {what}")
                for labels in cleaning.label_tables(task):
                    hidden.labels(labels, f"{part} part, {where}")


def _needles(secret: Secret) -> Needles:
    numbers = {f"the secret of the {part} part": part_secret(secret, part).number for part in PARTS}
    numbers |= {f"the seed of the draws of the {part} part": part_secret(secret, part).root(ROOT_SEED) for part in PARTS}
    numbers |= {f"the seed of the {name} data": data_seed(secret, name) for name in ("pool", *PARTS)}
    numbers |= {"the secret of the round": secret.number}
    found = {f"{what} {how}": needle for what, number in numbers.items() for how, needle in number_needles(number).items()}
    found |= {f"the seed of the hidden tasks {how}": needle for how, needle in number_needles(round_seed(secret), 64).items()}
    return Needles(found)


def _hidden_tasks(folder: Folder, plans: Mapping[str, Plan]) -> list[str]:
    """Names of tasks that only the private part has: as they were drawn, and as the judge plans them."""
    named = read_json(folder.keep / HIDDEN).get("tasks", []) if (folder.keep / HIDDEN).is_file() else []
    public = {task.name for task in plans["public"].tasks} if "public" in plans else set()
    planned = [task.name for task in plans["private"].tasks] if "private" in plans else []
    return [name for name in dict.fromkeys([*map(str, named), *planned]) if name not in public]


# -- what participants get


def _told(folder: Folder, terms: Terms) -> Row:
    file = folder.publish / README
    text = file.read_text("utf-8", "replace") if file.is_file() else ""
    lines = told.dates_and_quotas(terms).splitlines()
    found = [f"publish/{README} lacks the line {line!r}. Put it there, or correct round.toml" for line in lines if line not in text]
    return Row("what is told", f"dates and quotas of publish/{README} against round.toml", tuple(found))


def _usable(folder: Folder, track: Track, terms: Terms, plans: Mapping[str, Plan], step: Step) -> Row:
    """The published data are those that ``round.json`` names and those that the judge reads, and the published options work."""
    try:
        facts = read_json(folder.publish / FACTS)
        options = read_toml(folder.publish / PUBLIC) if (folder.publish / PUBLIC).is_file() else {}
        seen = of_track(terms.track).digests(folder.publish, options)
        published = plan_of(folder, track, folder.publish / PUBLIC, terms.sandbox, step) if options else None
    except (KitError, OSError, KeyError, ValueError) as error:
        return Row("participant's use", "the published data and options", (one_line(str(error), 500),))
    wanted = facts.get("digests") if isinstance(facts, dict) else None
    found = [
        f"publish/data: {name} has the digest {str(seen.get(name))[:16]}, {FACTS} says {str((wanted or {}).get(name))[:16]}. "
        "Copy the data anew, or make the round anew"
        for name in sorted({*seen, *(wanted or {})})
        if seen.get(name) != (wanted or {}).get(name)
    ]
    if published is not None and "public" in plans and published.digests != plans["public"].digests:
        found.append("publish/public.toml leads to other data than keep/judge/public.toml. Correct the option data in both")
    for key, value in options.items():
        if isinstance(value, str) and (value.startswith(("/", "~")) or ".." in Path(value).parts):
            found.append(f"publish/{PUBLIC}: {key} is {value!r}, which leads out of publish/. Name a place in it")
        if key in ("secret", "root-seed", "root_seed", "round-seed", "round_seed"):
            found.append(f"publish/{PUBLIC}: {key} stands there; expected no secret and no seed. Remove it")
    return Row("participant's use", f"digests of {counted(len(seen), 'part')} of the data, and the published options", tuple(found))


def _unchanged(folder: Folder) -> Row:
    lines, count = differences(folder.publish)
    return Row.listing("published files", f"{counted(count, 'file')} against publish/SHA256SUMS of the opening", lines)


def _name(folder: Folder, path: Path) -> str:
    return path.relative_to(folder.root).as_posix()


def as_json(checked: Checked) -> str:
    """The rows as JSON."""
    rows = [
        {"name": row.name, "state": row.state, "compared": row.compared, "count": row.count, "found": list(row.found)}
        for row in checked.rows
    ]
    return json.dumps({"good": checked.good, "rows": rows}, indent=1, ensure_ascii=False)
