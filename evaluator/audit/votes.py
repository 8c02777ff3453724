"""Votes of people on labels: read from files of several kinds, and decided by a majority whose rule the caller states.

An answer is a set of class numbers: those that the voter says fit the image. The empty set says that none of the labels shown fits.
A voter who is not sure gave no answer, and that is counted apart. Kinds of files:

- **CSV** of the checking sheet: columns ``id`` and ``answer``, and where there are, ``voter`` (else the file's name), ``given`` and
  ``suggested``. An answer is a word of ``WORDS`` or class names or numbers with commas between them.
- **Label Studio**: its JSON export; a voter is ``completed_by``.
- **Counts**: JSON of labelerrors.com (Northcutt et al. 2021), which has no voters, only how many gave each answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from evaluator.audit.voters import VoterAgreement, agreement
from evaluator.errors import ConfigurationError
from evaluator.scoring.intervals import wilson_interval
from evaluator.words import counted

Labels = frozenset[int]
Why = Literal["too few votes", "tie", "no majority"]
NOBODY = ""
"""The voter of a vote that nobody signed."""


@dataclass(frozen=True)
class Vote:
    """What a voter said of an image. ``labels``: that fit it, in the voter's eyes; empty: none of those shown. None: not sure."""

    id: str
    voter: str
    labels: Labels | None


@dataclass(frozen=True)
class Ballot:
    """All votes of all files.

    Attributes:
        votes: in the order of the files.
        given: the label that each image had when it was voted on, by id.
        suggested: the label that was shown beside it, by id; an image without one is missing.
    """

    votes: tuple[Vote, ...]
    given: Mapping[str, Labels]
    suggested: Mapping[str, Labels] = field(default_factory=dict)

    @property
    def anonymous(self) -> bool:
        """Whether a vote has no voter, so that nothing can be said of voters."""
        return any(vote.voter == NOBODY for vote in self.votes)


@dataclass(frozen=True)
class Rule:
    """When votes decide.

    Attributes:
        votes: so many equal votes decide; None: ``share``.
        share: more than this share of an image's votes decides.
        fewest: an image with fewer votes is not decided.
        by: ``answer``: equal answers are counted. ``label``: every label is decided by itself, so that several may be right.

    Raises:
        ConfigurationError: a number that no vote can reach, or that decides nothing.
    """

    votes: int | None = None
    share: float = 0.5
    fewest: int = 1
    by: Literal["answer", "label"] = "answer"

    def __post_init__(self) -> None:
        if self.votes is not None and self.votes < 1:
            raise ConfigurationError(f"--majority is {self.votes}; give the number of equal votes that decide, 1 or more")
        if not 0 <= self.share < 1:
            raise ConfigurationError(f"--majority is {self.share:g}; give a share from 0 to below 1, e.g. 0.5 for more than half")
        if self.fewest < 1:
            raise ConfigurationError(f"--fewest is {self.fewest}; an image needs 1 vote or more")

    @classmethod
    def parse(cls, text: str, fewest: int = 1, by: Literal["answer", "label"] = "answer") -> Rule:
        """The rule of ``--majority``: ``3`` is three votes, ``0.5`` more than half of them."""
        try:
            if text.strip().isdecimal():
                return cls(votes=int(text), fewest=fewest, by=by)
            return cls(share=float(text), fewest=fewest, by=by)
        except ValueError:
            raise ConfigurationError(f"--majority is {text!r}; give a number of votes (3) or a share of them (0.5)") from None

    def reached(self, votes: int, of: int) -> bool:
        """Whether so many of an image's votes decide."""
        return votes >= self.votes if self.votes is not None else votes > self.share * of

    def __str__(self) -> str:
        many = f"{counted(self.votes, 'vote')} or more" if self.votes is not None else f"more than {self.share:.0%} of its votes"
        what = "the same answer" if self.by == "answer" else "a label"
        return f"{what} with {many}, of images with {counted(self.fewest, 'vote')} or more"


@dataclass(frozen=True)
class Decision:
    """What the votes on an image say.

    Attributes:
        votes: that count; ``unsure``: voters without an answer.
        tally: answers and how many gave each, most first.
        labels: decided; None where they are not, and ``why`` says why.
    """

    id: str
    given: Labels
    votes: int
    unsure: int
    tally: tuple[tuple[Labels, int], ...]
    labels: Labels | None
    why: Why | None

    @property
    def keeps(self) -> bool:
        """Whether the votes decide for the label that the image had."""
        return self.labels == self.given


@dataclass(frozen=True)
class Voter:
    """How a voter voted beside the others.

    Attributes:
        votes: answers of the voter; ``compared``: of these, on images where the others have a majority.
        agrees: how many of those are the others' answer; ``low``, ``high``: Wilson interval of the share, None without any.
    """

    name: str
    votes: int
    compared: int
    agrees: int
    low: float | None
    high: float | None


def decide(ballot: Ballot, rule: Rule) -> tuple[Decision, ...]:
    """Decide every image that has a vote, in the order in which the images first came."""
    grouped: dict[str, list[Vote]] = defaultdict(list)
    for vote in ballot.votes:
        grouped[vote.id].append(vote)
    return tuple(_decided(name, ballot.given[name], votes, rule) for name, votes in grouped.items())


def _decided(name: str, given: Labels, votes: Sequence[Vote], rule: Rule) -> Decision:
    answers = [vote.labels for vote in votes if vote.labels is not None]
    tally = tuple(sorted(Counter(answers).items(), key=lambda pair: (-pair[1], sorted(pair[0]))))
    labels, why = _majority(tally, len(answers), rule)
    return Decision(name, given, len(answers), len(votes) - len(answers), tally, labels, why)


def _majority(tally: Sequence[tuple[Labels, int]], votes: int, rule: Rule) -> tuple[Labels | None, Why | None]:
    if votes < rule.fewest or not votes:
        return None, "too few votes"
    if rule.by == "label":
        support: Counter[int] = Counter()
        for labels, many in tally:
            support.update(dict.fromkeys(labels, many))
        found = frozenset(label for label, many in support.items() if rule.reached(many, votes))
        none = dict(tally).get(frozenset(), 0)
        return (found, None) if found or rule.reached(none, votes) else (None, "no majority")
    best, many = tally[0]
    if len(tally) > 1 and tally[1][1] == many:
        return None, "tie"
    return (best, None) if rule.reached(many, votes) else (None, "no majority")


def voters_agree(ballot: Ballot, seed: int = 0) -> VoterAgreement:
    """Agreement of all voters on whole answers: two sets of labels are the same answer or they are not."""
    ids = {name: row for row, name in enumerate(dict.fromkeys(vote.id for vote in ballot.votes))}
    # An answer is what it says of the labels shown, not their numbers: "the given label" is one category for all images, else
    # chance agreement would be that of guessing among all classes of the data set.
    kinds: dict[object, int] = {}
    cells = []
    for vote in ballot.votes:
        if vote.labels is not None:
            cells.append((ids[vote.id], kinds.setdefault(_category(ballot, vote.id, vote.labels), len(kinds))))
    counts = np.zeros((len(ids), max(len(kinds), 1)), np.int64)
    if cells:
        np.add.at(counts, tuple(np.array(cells).T), 1)
    return agreement(counts, seed)


def _category(ballot: Ballot, name: str, labels: Labels) -> object:
    given, suggested = ballot.given[name], ballot.suggested.get(name)
    if labels == given:
        return "given"
    if suggested is not None and labels == suggested:
        return "suggested"
    if suggested is not None and labels == given | suggested:
        return "both"
    return "neither" if not labels else tuple(sorted(labels))


def by_voter(ballot: Ballot, rule: Rule) -> tuple[Voter, ...]:
    """Every voter beside the majority of the others on the same images, the most votes first; nothing for unsigned votes."""
    grouped: dict[str, list[Vote]] = defaultdict(list)
    for vote in ballot.votes:
        if vote.labels is not None:
            grouped[vote.id].append(vote)
    votes, compared, agrees = Counter[str](), Counter[str](), Counter[str]()
    for found in grouped.values():
        tally = Counter(vote.labels for vote in found if vote.labels is not None)
        for vote in found:
            if vote.voter == NOBODY or vote.labels is None:
                continue
            votes[vote.voter] += 1
            others = Counter(tally)
            others[vote.labels] -= 1
            left = tuple(sorted(((labels, n) for labels, n in others.items() if n), key=lambda pair: -pair[1]))
            # The others are fewer than all, so no number of votes is asked of them: more than half decides.
            majority = _majority(left, len(found) - 1, Rule(by=rule.by))[0] if left else None
            if majority is not None:
                compared[vote.voter] += 1
                agrees[vote.voter] += majority == vote.labels
    found_voters = []
    for name, many in votes.items():
        share = wilson_interval(agrees[name], compared[name]) if compared[name] else None
        low, high = (None, None) if share is None else (share.low, share.high)
        found_voters.append(Voter(name, many, compared[name], agrees[name], low, high))
    return tuple(sorted(found_voters, key=lambda voter: (-voter.votes, voter.name)))


def correction_rows(
    decisions: Iterable[Decision], *, neither: Literal["none", "unknown"] = "none"
) -> tuple[list[tuple[str, Labels, Labels]], list[str]]:
    """What the votes change: (id, label as given, labels that fit) of every image whose decision is not its label.

    Args:
        neither: what a majority for "none of the labels shown" means: ``none``, no label fits (an empty set); or ``unknown``: the
            label is wrong and the right label was not shown, which a corrections file cannot say.

    Returns:
        The rows, and the ids that ``unknown`` leaves out.
    """
    rows, left_out = [], []
    for decision in decisions:
        if decision.labels is None or decision.keeps:
            continue
        if not decision.labels and neither == "unknown":
            left_out.append(decision.id)
        else:
            rows.append((decision.id, decision.given, decision.labels))
    return rows, left_out
