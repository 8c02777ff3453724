"""What participants are told: README.md, round.json and aicrowd.json of the folder that goes out."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from evaluator import __version__
from evaluator.rounds.making import Made, Order
from evaluator.rounds.terms import FACTS, Terms, said
from evaluator.text import json_text, markdown
from evaluator.words import counted

SCHEMA = 1
ANSWERS = {
    "purchase": "a ledger of the labels that you bought",
    "cleaning": "rankings of the labels to check",
    "curation": "a table of edits with its images",
}
"""What may stand in the place of code, by the track."""


def dates_and_quotas(terms: Terms) -> str:
    """The lines of README that say what ``round.toml`` says. ``round check`` looks for them."""
    opens = f"from {said(terms.opens)}" if terms.opens else "as soon as the round is open"
    closes = f"until {said(terms.closes)}; what comes later is refused" if terms.closes else "until it is announced that it ends"
    return (
        f"- Submissions are taken {opens}, {closes}.\n"
        f"- At most {counted(terms.quota.a_day, 'submission')} a day (UTC) of each participant. Faults of the judge do not count.\n"
        f"- At the end each participant chooses up to {counted(terms.quota.chosen, 'submission')} for the private part; it decides."
    )


def readme(order: Order, made: Made) -> str:
    """README.md."""
    terms, track = order.terms, order.terms.track
    facts = "\n".join(f"- {line}" for line in made.facts)
    commands = "\n".join(made.practise)
    where = shlex.quote(order.submit_to or "WHERE")
    told = "" if order.submit_to else "\nWHERE is a folder, or `ssh://user@host/folder`: the organiser tells you your own.\n"
    return f"""# {markdown(terms.name)}

A round of the track **{track}**, profile `{terms.profile}`, judged with version {__version__} of the data-centric kit.

## When, and how often

{dates_and_quotas(terms)}

## Data and rules

{facts}
- {_handed_in(terms)}
- `{FACTS}` has the digests of the data. If yours are others, your copy is not whole.

## Practise

The commands are those of the kit, version {__version__}; its README says how to set it up. Say once where it lies, then run them
in the folder of this file:

```
export PYTHONPATH=FOLDER_OF_THE_KIT
. FOLDER_OF_THE_KIT/.venv/bin/activate
{commands}
```

## Send

Put `aicrowd.json` into the folder of your submission, with your name in it.

```
python -m evaluator package MY_SUBMISSION --track {track}
python -m evaluator submit MY_SUBMISSION --track {track} --to {where}
```
{told}
The answer comes into your folder of the outbox: a receipt at once, and a result when the submission was judged. The board shows for
each participant the submission that was best when it was sent; ranks that noise decides are ties. Choose for the private part by
a file `choice.json` in your folder of the inbox, `{{"submissions": [3, 7]}}` with numbers of receipts; if you choose nothing, it is
what stands for you on the board.
"""


def _handed_in(terms: Terms) -> str:
    answer = ANSWERS.get(terms.track, "the outcome in the place of code")
    if terms.answers:
        return f"You hand in code that is run, or {answer}."
    return f"You hand in code that is run. Answers in files ({answer}) are refused."


def facts(terms: Terms, made: Made, seeds: int) -> str:
    """round.json: the same for programs."""
    plain: dict[str, Any] = {
        "schema": SCHEMA,
        "name": terms.name,
        "track": terms.track,
        "profile": terms.profile,
        "kit": __version__,
        "seeds": seeds,
        "digests": dict(made.digests),
    }
    return json_text(plain, indent=1) + "\n"


def manifest(order: Order) -> str:
    """aicrowd.json for a submission's folder."""
    challenge = re.sub(r"[^a-z0-9]+", "-", order.terms.name.lower()).strip("-") or "round"
    plain: Mapping[str, Any] = {
        "challenge_id": challenge,
        "grader_id": challenge,
        "authors": ["your-name"],
        "description": "",
        "license": "MIT",
        "gpu": False,
    } | ({"submit_to": order.submit_to} if order.submit_to else {})
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
