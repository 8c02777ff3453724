"""The private part at the end: which submissions of a participant are judged on it, and by whom they were chosen.

A participant chooses by a file in the own folder of the inbox, as often as it pleases until the private part begins; the last
choice counts. An organiser can choose for a participant at any time. Whoever chose nothing gets what stands for the participant
on the public board, which is the best submission that was better beyond noise when it was sent (``board.ladder``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evaluator.bounded import SMALL, parse_json
from evaluator.errors import ConfigurationError
from evaluator.judging.board import Scored, ladder, newest_version
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.text import one_line

FILE = "choice.json"
"""Name of the file by which a participant chooses: ``{"submissions": [3, 7]}``."""
DEFAULT = "nothing was chosen: the best of the public part"


def choose_by_file(place: Place, queue: Queue, participant: str, path: Path, now: float) -> tuple[list[int], str]:
    """Take a participant's choice.

    Returns:
        The numbers of the submissions that are chosen now, and why the choice was refused, or empty.
    """
    try:
        numbers = _read(path)
        if queue.private_opened:
            raise ConfigurationError("the private part has begun; what was chosen before stands")
        if place.rules.deadline is not None and now > place.rules.deadline + CHOICE_AFTER:
            raise ConfigurationError("it came too long after the deadline; what was chosen before stands")
        queue.choose(participant, numbers, now, why="by the participant")
    except (ConfigurationError, OSError) as error:
        return queue.chosen().get(participant, []), one_line(str(error).replace(str(path), path.name), 500)
    return sorted(set(numbers)), ""


CHOICE_AFTER = 7 * 86_400.0
"""Seconds after the deadline in which a participant may still choose: the last results come after it."""


def _read(path: Path) -> list[int]:
    # Whoever may write there may put a link in its place meanwhile.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        content = parse_json(file.read(SMALL.size + 1), path.name, SMALL)
    numbers = content.get("submissions") if isinstance(content, dict) else None
    if not isinstance(numbers, list) or not numbers or not all(type(number) is int for number in numbers):
        raise ConfigurationError(f'{path.name}: it is not {{"submissions": [3, 7]}} with the numbers of your receipts. Write it so')
    return numbers


def choose_defaults(
    queue: Queue, public: Sequence[Scored], now: float, told: Callable[[str, int], None] = lambda participant, number: None
) -> int:
    """Choose for every participant who chose nothing what stands for it on the public board.

    Args:
        public: every judged submission of the public part.

    Returns:
        For how many participants something was chosen.
    """
    chosen = queue.chosen()
    sent: dict[str, list[Scored]] = {}
    for of in newest_version(public):
        sent.setdefault(of.participant, []).append(of)
    count = 0
    for participant, own in sorted(sent.items()):
        if participant in chosen:
            continue
        best = ladder(own)
        if best is not None:
            queue.choose(participant, [best.number], now, why=DEFAULT)
            told(participant, best.number)
            count += 1
    return count


def without(queue: Queue, public: Sequence[Scored]) -> list[str]:
    """Participants who have no submission in the private part: they chose none, and none of theirs has a score."""
    chosen: Mapping[str, list[int]] = queue.chosen()
    return sorted({of.participant for of in public} - set(chosen))
