"""What ``audit suspects`` and ``audit votes`` print."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from evaluator.audit.data_files import outcomes
from evaluator.audit.suspects import Suspects
from evaluator.audit.trust import Share, Trust
from evaluator.audit.voters import Coefficient, VoterAgreement
from evaluator.audit.votes import Decision, Rule, Voter
from evaluator.report.console import hanging, label, titled
from evaluator.text import one_line
from evaluator.words import counted

ROWS = 12
"""Classes, and voters, that are printed; files have all."""
NAMED = 12
"""Ids that are printed."""


def show_suspects(console: Console, found: Suspects, images: int, trusted: Trust | None, counts: Sequence[int] = ()) -> None:
    """Print how many labels are suspect, of which classes, and what votes say of it.

    Args:
        counts: suspects in each repeat of the cross-validation.
    """
    hanging(console, f"{found.count:,} of {images:,} labels are suspect ({found.count / images:.2%}).", "bold")
    hanging(
        console,
        f"The estimated joint distribution of given and true labels has {found.estimate:,} wrong labels. Both figures come "
        "from a model and not from people.",
    )
    if len(counts) > 1:
        hanging(
            console,
            f"Probabilities are the mean of {len(counts)} cross-validations; each alone gives {min(counts):,} to {max(counts):,}.",
        )
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for name in ("images", "suspect", "suggested elsewhere", "wrong", "lost"):
        table.add_column(name, justify="right")
    for row in found.classes[:ROWS]:
        cells = (f"{row.given:,}", f"{row.flagged:,}", f"{row.missing:,}", f"{row.wrong:.1%}", f"{row.lost:.1%}")
        table.add_row(label(row.name), *cells)
    more = f", the worst {ROWS} of {len(found.classes):,}" if len(found.classes) > ROWS else ""
    titled(console, f"health of the classes{more}", table)
    hanging(
        console,
        "wrong: estimated share of the images with this label that show another class. lost: estimated share of the images of this "
        "class that have another label.",
    )
    if trusted is None:
        hanging(console, "Nobody has voted on them: a suspect is a question and no error. `audit sheet` makes a sheet for voters.")
    else:
        _show_trust(console, trusted)


def _show_trust(console: Console, found: Trust) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("what voters say of the suspects", "images", "share"):
        table.add_column(name, justify="left" if name.startswith("what") else "right")
    rows = (
        ("voted on", found.voted, found.flagged),
        ("  the given label is wrong", found.wrong, found.voted),
        ("  the given label is right, and others are", found.several, found.voted),
        ("  the given label is right", found.kept, found.voted),
        ("  no decision", found.undecided, found.voted),
        ("not voted on", len(found.unvoted), found.flagged),
    )
    for name, many, of in rows:
        table.add_row(name, f"{many:,}", f"{many / of:.1%}" if of else "-")
    titled(console, "votes", table)
    if found.precision.n:
        assert found.bounds is not None
        hanging(
            console,
            f"Precision: {_share(found.precision)} of the decided suspects are wrong; {_share(found.of_voted)} of all that were "
            f"voted on. Of all {found.flagged:,} suspects it lies between {found.bounds[0]:.1%} and {found.bounds[1]:.1%}, if none "
            "or all of those without a decision are wrong.",
        )
    if found.unvoted:
        names = ", ".join(one_line(name, 60) for name in found.unvoted[:NAMED])
        hanging(console, f"Not voted on: {names}{', ...' if len(found.unvoted) > NAMED else ''} (all in suspects.json).")
    if found.controls:
        hanging(
            console,
            f"Of {counted(found.controls, 'image')} with votes that are not suspect, {_share(found.missed)} of the decided are "
            "wrong. Where they were drawn at random, this is the share of wrong labels that the suspects miss.",
        )


def show_votes(
    console: Console,
    rule: Rule,
    decisions: Sequence[Decision],
    agreed: VoterAgreement,
    voters: Sequence[Voter],
    left_out: Sequence[str],
) -> None:
    """Print what the votes decide, how far voters agree, and which images are left open."""
    found = outcomes(decisions)
    table = Table(box=None, pad_edge=False)
    for name in ("what the votes decide", "images", "share"):
        table.add_column(name, justify="left" if name.startswith("what") else "right")
    for key, many in found.items():
        table.add_row(key.replace("_", " "), f"{many:,}", f"{many / len(decisions):.1%}")
    titled(console, f"votes on {counted(len(decisions), 'image')}", table)
    hanging(console, f"Decided: {rule}.")
    hanging(
        console,
        f"Two voters of an image give the same answer in {_coefficient(agreed.pairwise, percent=True)} of the cases; "
        f"Krippendorff's alpha {_coefficient(agreed.alpha)}, Fleiss' kappa {_coefficient(agreed.kappa)}; "
        f"{counted(agreed.images, 'image')} with two votes or more. 0 is what chance gives, 1 is perfect.",
    )
    if voters:
        _show_voters(console, voters)
    for why in ("too few votes", "tie", "no majority"):
        names = [decision.id for decision in decisions if decision.why == why]
        if names:
            shown = ", ".join(one_line(name, 60) for name in names[:NAMED])
            hanging(console, f"{why.capitalize()} ({len(names):,}): {shown}{', ...' if len(names) > NAMED else ''}")
    if left_out:
        hanging(console, f"Wrong by the votes, and the right label was not shown ({len(left_out):,}): they are in no correction.")


def _show_voters(console: Console, voters: Sequence[Voter]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("voter")
    for name in ("answers", "compared", "agrees", "95 % interval"):
        table.add_column(name, justify="right")
    for voter in voters[:ROWS]:
        share = f"{voter.agrees / voter.compared:.1%}" if voter.compared else "-"
        between = f"{voter.low:.1%} to {voter.high:.1%}" if voter.low is not None and voter.high is not None else "-"
        table.add_row(label(voter.name), f"{voter.votes:,}", f"{voter.compared:,}", share, between)
    more = f", {ROWS} of {len(voters):,}" if len(voters) > ROWS else ""
    titled(console, f"voters beside the majority of the others{more}", table)


def _share(share: Share) -> str:
    if share.value is None or share.interval is None:
        return "none"
    low, high = share.interval
    return f"{share.value:.1%} ({share.hits:,} of {share.n:,}; {low:.1%} to {high:.1%})"


def _coefficient(found: Coefficient, *, percent: bool = False) -> str:
    if found.value is None:
        return "is not defined"
    style = ".1%" if percent else ".2f"
    between = "" if found.low is None or found.high is None else f" ({found.low:{style}} to {found.high:{style}})"
    return f"{found.value:{style}}{between}"
