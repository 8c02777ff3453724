"""The class of a submission and its hooks, judged by the text of the sources: names, signatures, kinds. Nothing is imported.

The rule by which the worker finds the class stands in ``evaluator.worker.loader``. A text does not say everything: where a name may
be made by running code, nothing is said about it here, and the run decides. What is said as an error is certain.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from evaluator.submission.findings import Finding
from evaluator.submission.outlines import Class, Method, Outline
from evaluator.worker.service import ALWAYS, track_named
from evaluator.worker.tracks import TRACKS

CHECKPOINTS = ("save_checkpoint", "load_checkpoint")
NO_STRATEGY = frozenset({"Protocol", "typing.Protocol", "typing_extensions.Protocol"})
HARMLESS = frozenset({"object", "ABC", "abc.ABC", "Generic", "typing.Generic"})
"""Bases that have no hooks."""
TRANSPARENT = frozenset({"override", "typing.override", "torch.no_grad", "torch.inference_mode", "no_grad", "inference_mode"})
"""Decorators behind which a hook has the signature that is written."""
PROPERTIES = frozenset({"property", "cached_property", "functools.cached_property"})
"""Decorators that make a value of a method."""
ALIKE = 0.8
"""How alike two names must be to be taken for a slip of the hand (``difflib``)."""
DEPTH = 16
"""How far bases and imports are followed."""


@dataclass(frozen=True)
class Interface:
    """What a track asks of a submission's class.

    Attributes:
        hooks: the phases; ``marker``: the hook by which the class is found.
        base: name of the kit's base class, in ``module``.
        offers: per hook, every name under which it may ask for something; a hook that is not listed is not checked.
    """

    hooks: tuple[str, ...]
    marker: str
    base: str
    module: str
    offers: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, track: str) -> Interface | None:
        """The interface of a track, by its name; None if the worker's table does not have it, or has hooks of the kit's there."""
        try:
            there = track_named(track)
        except ValueError:
            return None
        if not there.submitted:
            return None
        offers = {
            hook: frozenset(alias for name in (*given, *ALWAYS) for alias in there.aliases.get(name, (name,)))
            for hook, given in there.offers.items()
        }
        return cls(tuple(there.hooks), there.marker, there.base, there.interface, offers)


class OutOfTime(Exception):
    """What is asked of the sources takes longer than it may."""


@dataclass(frozen=True)
class Place:
    """A class, and the file that it is written in."""

    file: str
    found: Class

    @property
    def key(self) -> tuple[str, str]:
        """By which two places of the same class are equal."""
        return self.file, self.found.name


@dataclass(frozen=True)
class Sources:
    """The outlines of a submission, and how its modules are named.

    Attributes:
        entry: the file in which the class is looked for.
        of: by file.
        end: of the time that checks have, by ``time.monotonic``. A judge waits for them in the thread that keeps the leases of all
            jobs, so every question (``tick``) ends with ``OutOfTime`` after it.
    """

    entry: str
    of: Mapping[str, Outline]
    end: float = math.inf

    def tick(self) -> None:
        """Called wherever the work grows with what a stranger wrote.

        Raises:
            OutOfTime: the time is over.
        """
        if time.monotonic() > self.end:
            raise OutOfTime

    @cached_property
    def used(self) -> frozenset[str]:
        """Names of attributes, and strings that name one, in all sources."""
        return frozenset(name for outline in self.of.values() for name in outline.used)

    @cached_property
    def folders(self) -> frozenset[str]:
        """Names of the folders at the top that hold a source."""
        return frozenset(file.partition("/")[0] for file in self.of if "/" in file)

    @cached_property
    def _classes(self) -> dict[str, dict[str, Place]]:
        """The classes of every file by name; of several of a name the last, as Python takes it."""
        return {file: {found.name: Place(file, found) for found in outline.classes} for file, outline in self.of.items()}

    def module(self, name: str, level: int, asking: str) -> str | None:
        """The file of a module that ``asking`` imports; None if it is not of the submission."""
        self.tick()
        folder = asking.split("/")[:-1]
        base = folder[: len(folder) - (level - 1)] if level else []
        path = "/".join([*base, *filter(None, name.split("."))])
        return next((file for file in (f"{path}.py", f"{path}/__init__.py".lstrip("/")) if file in self.of), None)

    def reached(self) -> dict[str, bool]:
        """The files that importing the entry imports, and whether it surely does (not only under a condition or later)."""
        found: dict[str, bool] = {}
        waiting = [(self.entry, True)]
        while waiting:
            file, sure = waiting.pop()
            if found.get(file, False) >= sure and file in found:
                continue
            found[file] = sure
            for module, level, _, when in self.of[file].imports if file in self.of else ():
                surely = sure and when == "start"
                parts = module.split(".")
                for n in range(len(parts)):
                    if (inner := self.module(".".join(parts[: n + 1]), level, file)) is not None:
                        waiting.append((inner, surely))
            for module, level, name in self.of[file].bound.values() if file in self.of else ():
                if (inner := self.module(f"{module}.{name}" if module else name, level, file)) is not None:
                    waiting.append((inner, False))
        return found

    def named(self, file: str, name: str, depth: int = DEPTH) -> Place | None:
        """The class that a name stands for in a file; None if it is not one of the submission's, as far as the text says."""
        outline = self.of.get(file)
        if outline is None or not depth:
            return None
        self.tick()
        if (place := self._classes[file].get(name)) is not None:
            return place
        first, _, rest = name.partition(".")
        if first in outline.bound:
            module, level, original = outline.bound[first]
            if rest:
                inner = self.module(f"{module}.{original}" if module else original, level, file)
                return None if inner is None else self.named(inner, rest, depth - 1)
            source = self.module(module, level, file)
            return None if source is None else self.named(source, original, depth - 1)
        return None


class Candidates:
    """The classes that the entry holds."""

    def __init__(self, sources: Sources, interface: Interface) -> None:
        self.sources, self.interface = sources, interface
        self._chains: dict[tuple[str, str], tuple[Place, ...]] = {}
        self._known: dict[tuple[str, str], tuple[tuple[Place, ...], bool, bool]] = {}
        entry = sources.of[sources.entry]
        names = [found.name for found in entry.classes] + list(entry.bound)
        visible = {place.key: place for name in names if (place := sources.named(sources.entry, name))}
        self.visible = [place for place in visible.values() if not NO_STRATEGY.intersection(place.found.bases)]
        self.certain = not entry.dynamic and all(self._certain(place) for place in self.visible)

    def chain(self, place: Place) -> tuple[Place, ...]:
        """The class and what it builds on in the submission, nearest first."""
        if (known := self._chains.get(place.key)) is not None:
            return known
        found, waiting = {place.key: place}, deque([place])
        while waiting and len(found) < DEPTH:
            for base in self._bases(waiting.popleft())[0]:
                if base.key not in found and len(found) < DEPTH:
                    found[base.key] = base
                    waiting.append(base)
        self._chains[place.key] = tuple(found.values())
        return self._chains[place.key]

    def _bases(self, place: Place) -> tuple[tuple[Place, ...], bool, bool]:
        """The bases of a class that are of the submission, each once; and of those that are not and may have hooks, whether any is
        the kit's, and whether all are."""
        if (known := self._known.get(place.key)) is not None:
            return known
        own: dict[tuple[str, str], Place] = {}
        kits = []
        for name in dict.fromkeys(place.found.bases):
            base = self.sources.named(place.file, name)
            if base is not None:
                own[base.key] = base
            elif name not in HARMLESS:
                kits.append(self._is_kits(name))
        self._known[place.key] = tuple(own.values()), any(kits), all(kits)
        return self._known[place.key]

    def _certain(self, place: Place) -> bool:
        chain = self.chain(place)
        return all(self._bases(at)[2] for at in chain) and not any(at.found.odd or at.found.assigns("?") for at in chain)

    def _is_kits(self, name: str) -> bool:
        return name.rpartition(".")[2] == self.interface.base

    def own(self, place: Place, hook: str) -> Method | None:
        """The hook as the submission writes it; None if it does not."""
        return next((method for at in self.chain(place) if (method := at.found.method(hook))), None)

    def marked(self, place: Place) -> bool:
        """Whether the class has the marker, as far as the text says: its own, that of a base, or one that is assigned."""
        marker = self.interface.marker
        return bool(
            self.own(place, marker)
            or any(at.found.assigns(marker) for at in self.chain(place))
            or any(self._bases(at)[1] for at in self.chain(place))
        )

    def leaves(self) -> list[Place]:
        """The candidates on which no other builds."""
        marked = [place for place in self.visible if self.marked(place)]
        below = {at.key for place in marked for at in self.chain(place)[1:]}
        return [place for place in marked if place.key not in below]


def track_of(sources: Sources, interface: Interface) -> str:
    """The track that a submission was surely written for, where it is another than that of ``interface``; else empty.

    Its class has the marker of that track, or the kit's base class of it, and not the marker of this one.
    """
    own = Candidates(sources, interface)
    if any(own.own(place, interface.marker) for place in own.leaves()):
        return ""
    for name in TRACKS:
        other = Interface.of(name)
        if other is not None and other.marker != interface.marker:
            candidates = Candidates(sources, other)
            if candidates.certain and candidates.leaves():
                return name
    return ""


def check_class(sources: Sources, interface: Interface) -> tuple[list[Finding], str]:
    """What is wrong with the class of a submission, and its name (empty where the text does not decide it)."""
    candidates = Candidates(sources, interface)
    if name := track_of(sources, interface):
        other = Interface.of(name)
        assert other is not None
        text = f"it is written for the track {name} (a class with {other.marker}); expected a class with {interface.marker}. "
        return [Finding("error", sources.entry, f"{text}Did you mean --track {name}?")], ""
    leaves, marker, entry = candidates.leaves(), interface.marker, sources.entry
    if len(leaves) == 1:
        place = leaves[0]
        found = [*_misspelt(candidates, place), *_hooks(candidates, place), *_constructor(candidates, place)]
        inherits = not candidates.own(place, marker) and not any(at.found.assigns(marker) for at in candidates.chain(place))
        if inherits and candidates.certain and not any(finding.kind == "error" for finding in found):
            text = f"the class {place.found.name} has no {marker} of its own; it needs one. Write {marker}"
            found.append(Finding("error", f"{place.file}, line {place.found.line}", text))
        return found, place.found.name if candidates.certain else ""
    if not candidates.certain:
        return [], ""
    if leaves:
        names = ", ".join(sorted(place.found.name for place in leaves))
        return [
            Finding("error", entry, f"holds {len(leaves)} classes with a {marker} ({names}); expected one. Leave one in it")
        ], ""
    slips = [finding for place in candidates.visible for finding in _misspelt(candidates, place)]
    if slips:
        return slips, ""
    advice = f"Write a class that subclasses {interface.base} (from {interface.module} import {interface.base})"
    held = ", ".join(place.found.name for place in candidates.visible[:5]) or "no class"
    return [Finding("error", entry, f"holds {held}; expected a class with a {marker}. {advice}")], ""


def _misspelt(candidates: Candidates, place: Place) -> list[Finding]:
    """Methods that nothing calls and whose names are almost those of hooks that the class does not have."""
    interface = candidates.interface
    wanted = [hook for hook in (*interface.hooks, *CHECKPOINTS) if candidates.own(place, hook) is None]
    used = candidates.sources.used
    found = []
    for at in candidates.chain(place):
        for method in at.found.methods:
            candidates.sources.tick()
            name = method.name
            if name in (*interface.hooks, *CHECKPOINTS) or name.startswith("__") or name in used:
                continue
            if near := get_close_matches(name.lower(), wanted, 1, ALIKE):
                text = f"the class {at.found.name} has a method {name}, which nothing calls; did you mean {near[0]}? Rename it"
                kind = "error" if near[0] in interface.hooks else "warning"
                found.append(Finding(kind, f"{at.file}, line {method.line}", text))  # type: ignore[arg-type]
    return found


def _hooks(candidates: Candidates, place: Place) -> Iterator[Finding]:
    """What is wrong with the hooks that the submission writes."""
    for hook in candidates.interface.hooks:
        at = next((at for at in candidates.chain(place) if at.found.method(hook) or hook in at.found.values), None)
        method = None if at is None else at.found.method(hook)
        if at is not None and (other := _no_method(at, hook)) is not None:
            what, line = other
            yield Finding("error", f"{at.file}, line {line}", f"{hook} is {what}; expected a method. Write def {hook}(self, ...)")
            continue
        if at is None or method is None or not TRANSPARENT.issuperset(method.decorators):
            continue  # behind a decorator anything may stand
        where = f"{at.file}, line {method.line}"
        if method.kind:
            word = "yield" if "generator" in method.kind else "async"
            text = f"{hook} is {method.kind}, so calling it runs nothing; expected a plain method. Remove {word} from it"
            yield Finding("error", where, text)
        offered = candidates.interface.offers.get(hook)
        if offered is not None:
            yield from _signature(hook, method, offered, where)


def _no_method(at: Place, hook: str) -> tuple[str, int] | None:
    """What stands in place of a hook, in words, and its line; None if it is a method, or may be."""
    method, value = at.found.method(hook), at.found.values.get(hook)
    if value is not None and (method is None or value[1] > method.line):
        return value
    return ("a property", method.line) if method is not None and PROPERTIES.intersection(method.decorators) else None


def _signature(hook: str, method: Method, offered: frozenset[str], where: str) -> Iterator[Finding]:
    known = f"on offer are {', '.join(sorted(offered))}"
    if not method.parameters and not method.many:
        yield Finding("error", where, f"{hook} takes no self; expected a method. Write def {hook}(self, ...)")
        return
    for name, kind, default in method.parameters[1:]:
        near = get_close_matches(name, sorted(offered), 1, 0.7)
        hint = f"Did you mean {near[0]}?" if near else "Rename it, or give it a default"
        if kind == "positional" and not default:
            text = f"{hook} takes {name} by position only; arguments are passed by name. Remove the / from its signature"
            yield Finding("error", where, text)
        elif name not in offered and not default:
            yield Finding("error", where, f"{hook} asks for {name!r}; {known}. {hint}")
        elif name not in offered and near:
            yield Finding("warning", where, f"{hook} takes {name!r}, which is never passed; {known}. Did you mean {near[0]}?")


def _constructor(candidates: Candidates, place: Place) -> list[Finding]:
    at = next((at for at in candidates.chain(place) if at.found.method("__init__")), None)
    method = None if at is None else at.found.method("__init__")
    if at is None or method is None or method.decorators:
        return []
    needed = [name for name, _, default in method.parameters[1:] if not default]
    if not needed:
        return []
    text = f"__init__ asks for {', '.join(needed)}; your object is made without arguments. Give defaults"
    return [Finding("error", f"{at.file}, line {method.line}", text)]
