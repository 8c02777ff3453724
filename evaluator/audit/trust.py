"""How far a count of suspects can be trusted: what people said of them, where they voted.

Flags are not errors. On CIFAR-10's test set, confident learning flagged 275 labels, and five voters each found that 22 of them were
wrong. So a count of suspects is shown with the share that voters confirm, with an interval, and with what nobody has voted on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evaluator.audit.votes import Decision
from evaluator.scoring.intervals import wilson_interval


@dataclass(frozen=True)
class Share:
    """A share of images with its 95 % Wilson interval; no figures where n is 0."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        """The share."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its bounds."""
        if not self.n:
            return None
        found = wilson_interval(self.hits, self.n)
        assert found.low is not None
        assert found.high is not None
        return found.low, found.high


@dataclass(frozen=True)
class Trust:
    """What votes say of the suspects.

    Attributes:
        flagged: number of suspects; ``voted``: of these, with a vote.
        unvoted: ids of the others, the most suspect first.
        kept, wrong, several, undecided: of the voted: the given label is right and alone; it is not right; it is right and others
            are, too; the votes decide nothing.
        controls: images with votes that are not flagged; ``missed``: of these that are decided, share whose label is not right.
    """

    flagged: int
    voted: int
    unvoted: tuple[str, ...]
    kept: int
    wrong: int
    several: int
    undecided: int
    controls: int
    missed: Share

    @property
    def precision(self) -> Share:
        """Share of the decided suspects whose given label is not right."""
        return Share(self.wrong, self.kept + self.wrong + self.several)

    @property
    def of_voted(self) -> Share:
        """The same as a share of all voted suspects: undecided counts as not confirmed."""
        return Share(self.wrong, self.voted)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The precision of all suspects, if none or all of those without a decision are wrong."""
        if not self.flagged:
            return None
        open_ = self.undecided + len(self.unvoted)
        return self.wrong / self.flagged, (self.wrong + open_) / self.flagged


def trust(ranked: Sequence[str], flagged: Collection[str], decisions: Sequence[Decision], *, multi: bool = False) -> Trust:
    """Hold suspects against votes.

    Args:
        ranked: ids of all images, the most suspect first; ``flagged``: those that are suspects.
        multi: whether an image may have any number of labels; then every decision for another set says that the given set is wrong.
    """
    by_id = {decision.id: decision for decision in decisions if decision.votes}
    suspects = set(flagged)
    found = [by_id[name] for name in suspects if name in by_id]
    others = [decision for name, decision in by_id.items() if name not in suspects]
    return Trust(
        flagged=len(suspects),
        voted=len(found),
        unvoted=tuple(name for name in ranked if name in suspects and name not in by_id),
        kept=sum(decision.keeps for decision in found),
        wrong=sum(_is_wrong(decision, multi) for decision in found),
        several=sum(_is_several(decision, multi) for decision in found),
        undecided=sum(decision.labels is None for decision in found),
        controls=len(others),
        missed=Share(sum(_is_wrong(d, multi) for d in others), sum(d.labels is not None for d in others)),
    )


def _is_wrong(decision: Decision, multi: bool) -> bool:
    if decision.labels is None or decision.keeps:
        return False
    return multi or not decision.given <= decision.labels


def _is_several(decision: Decision, multi: bool) -> bool:
    return not multi and decision.labels is not None and decision.given < decision.labels
