"""General rooms do not speak of one track: its words and its metrics stand in none of their names, texts, comments, docstrings."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WORDS = ("purchase", "bought", "buy", "sold", "sell", "market", "ledger", "budget")
"""Words of the purchase track, as parts of longer words too: budgets, buyer, marketplace."""
METRICS = ("macro_f1", "macro F1", "hamming", "F1 is 0")
"""What names one of its metrics. A table takes its metrics from the track of its cells; ``scoring/metrics.py`` computes them."""

GENERAL = (
    *(f"evaluator/{room}" for room in ("sandbox", "worker", "runner", "history", "sweep", "scoring", "report")),
    *(
        f"evaluator/{module}.py"
        for module in ("fields", "specs", "records", "sections", "plans", "tables", "track", "files", "machine", "places")
    ),
)
"""Rooms that every track uses."""

OF_THE_TRACK = (
    "evaluator/worker/purchase.py",
    "evaluator/worker/cleaning.py",
    "evaluator/worker/curation.py",
    "evaluator/worker/tracks.py",
)
"""Files in them that are a track's own: the hooks of each in the worker, and the table that names them."""


def spoken(path: Path, words: tuple[str, ...] = WORDS) -> list[str]:
    """Where a file uses one of ``words``: ``file:line: the line``."""
    pattern = re.compile("|".join(words), re.IGNORECASE)
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    return [f"{path.relative_to(ROOT)}:{number}: {line.strip()}" for number, line in lines if pattern.search(line)]


@pytest.mark.parametrize("room", GENERAL)
def test_a_general_room_does_not_know_the_words_of_one_track(room):
    found = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    files = [path for path in found if path.relative_to(ROOT).as_posix() not in OF_THE_TRACK]
    assert files
    assert [line for path in files for line in spoken(path)] == []
    named = [path for path in files if path.relative_to(ROOT).as_posix() != "evaluator/scoring/metrics.py"]
    assert [line for path in named for line in spoken(path, METRICS)] == []


@pytest.mark.parametrize("file", OF_THE_TRACK)
def test_a_file_that_is_excepted_needs_it(file):
    assert spoken(ROOT / file)
