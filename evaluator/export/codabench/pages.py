"""The pages of a bundle, in Markdown: what to do, how it is judged, and what this platform cannot do."""

from __future__ import annotations

from collections.abc import Sequence

from evaluator.export.codabench.contest import Contest, Phase
from evaluator.export.codabench.order import Order
from evaluator.text import markdown

TERMS = """# Terms

- The organiser runs your submission on machines of the organiser's choice, and keeps it as long as the competition needs.
- A submission does not look for hidden data, does not reach beyond the sandbox that it runs in, and does not send data away.
- The last submission of each participant stands on the board.
"""
"""Where the organiser gives no terms."""
_ISOLATION = {
    "bubblewrap": "in a room of its own, without network, in which nothing of the judge can be seen",
    "landlock": "under rules of the kernel's (Landlock), by which it can open no file but those that it is given, and reaches no"
    " network. It is of the judge's own user: it can see names of files and processes, and change modes and times of files that it"
    " cannot open",
    "process": "in a process of its own, **which hides nothing**: it is for people whom the organiser trusts",
}


def overview(contest: Contest, order: Order) -> str:
    """What the competition is, and how to take part."""
    track = order.track
    answers = "code, or an answer" if order.answers else "code; answers are refused"
    return f"""# {markdown(contest.title)}

{markdown(contest.description or contest.title, 2_000)}

## How to take part

1. Get the kit, and make a submission of the track `{track}` ({answers}: `docs/participants.md` of the kit).
2. `python -m evaluator validate PATH --track {track}` says whether it is fit to submit.
3. `python -m evaluator package PATH --track {track}` makes one file of it. Upload that file on *My Submissions*.

A zip file with the files of the submission at its top is taken as well. No file at the top may be named `metadata` or
`metadata.yaml`: the platform takes these names for orders of its own, and does not pass the submission on.
"""


def evaluation(order: Order, phases: Sequence[Phase]) -> str:
    """How a submission is judged, and what counts."""
    columns = "\n".join(f"- `{column.key}`: {markdown(column.title)}" for column in order.columns)
    limits = "; ".join(f"{markdown(phase.name)}: {phase.seconds:,} seconds" for phase in phases)
    return f"""# Evaluation

The judge runs the submission on every {order.word} and seed of the phase, and trains and scores what comes of it. The board shows

{columns}

The interval is over seeds, at 95 %. Two rows whose intervals overlap may differ by chance alone. Where a submission gives the same
answer on the same data for every seed, there is one observation and no interval: both ends stay empty.

| what happens | on the board | counts against the quota |
|---|---|---|
| every cell is scored | the scores | yes |
| a cell fails by the submission (an exception, its clock, its memory, no answer) | the lowest score | yes |
| it is refused before it runs (nothing arrived, no class, a package that is damaged) | the row before stays | no |
| the judge fails | the row before stays | no |

A failure counts, because each run of a submission tells something of the data; a run that counts for nothing could be repeated
without end. How many cells failed stands on the board. The page of a submission has its verdicts and figures{_texts(order)}.

Time of a whole submission, at most: {limits}. The judge's own clocks, which are shorter, decide before that.
"""


def _texts(order: Order) -> str:
    if order.texts:
        return ", your own traceback, and the last lines that it printed"
    return ", and nothing that it wrote itself: it could write labels there. Run it on public data to see its traceback"


def platform(order: Order) -> str:
    """What the platform does otherwise than the kit's own judge."""
    tiers = {
        "bubblewrap": "in `bubblewrap` only",
        "landlock": "in `bubblewrap` where the compute worker can make it, else in `landlock`",
        "process": "in the strongest of `bubblewrap`, `landlock` and `process` that the compute worker can make",
    }
    return f"""# On this platform

The kit's own judge can do more than this platform lets it:

- **No Ladder.** A scoring program has no memory from one submission to the next, so the board cannot hold back improvements that
  are within the noise. It shows the *last* submission and both ends of its interval, and never the best of many: that climbs by
  chance alone.
- **No limit of memory and processes around the judge.** Containers here have none. Around the submission the judge keeps its own,
  by looking every 50 ms; a bomb can exceed them for a moment.
- **Isolation depends on the compute worker.** Submissions run {tiers[order.sandbox]}; where that does not work, the run fails
  by the judge's fault and counts for nothing. A submission runs {_ISOLATION[order.sandbox]}.
- **A command in `metadata.yaml` runs before the judge**, in the prediction step. There are no data there, and what it writes is the
  submission that is judged. It counts for no clock; but what it could compute, it could as well have brought along.
- **Two steps of equal length.** The platform has one time limit for both; the prediction step here does nothing.
- **Scores cannot be made anew** for everybody when the judge is mended; the organiser re-runs submissions by hand.
"""
