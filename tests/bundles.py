"""Bundles for Codabench, made in a test: one that is good, and ways to spoil it."""

import copy
import zipfile

import numpy as np
import yaml

from evaluator.data.png import stored_png

LOGO = stored_png(np.zeros((4, 4), np.uint8))
FILES = {
    "logo.png": LOGO,
    "terms.md": b"Be kind.",
    "pages/overview.md": b"# Overview",
    "scoring/metadata.yaml": b"command: python score.py",
    "scoring/score.py": b"print()",
    "reference/labels.csv": b"1,2",
}
GOOD = {
    "version": 2,
    "title": "Labels",
    "image": "logo.png",
    "docker_image": "someone/kit:1",
    "terms": "terms.md",
    "pages": [{"title": "Overview", "file": "pages/overview.md"}],
    "tasks": [{"index": 0, "name": "Task", "scoring_program": "scoring", "reference_data": "reference"}],
    "phases": [
        {"name": "One", "start": "2026-12-01 00:00:00", "end": "2026-12-31 23:59:00", "tasks": [0], "execution_time_limit": 600},
        {"index": 1, "name": "Two", "start": "2027-01-01 00:00:00", "tasks": [0], "execution_time_limit": 600},
    ],
    "leaderboards": [
        {
            "title": "Results",
            "key": "results",
            "columns": [
                {"title": "Score", "key": "score", "index": 0, "precision": 4},
                {"title": "Low", "key": "low", "index": 1, "precision": 4},
            ],
        }
    ],
}


def packed(path, files, content=None):
    with zipfile.ZipFile(path, "w") as archive:
        if content is not None:
            archive.writestr("competition.yaml", content if isinstance(content, (str, bytes)) else yaml.safe_dump(content))
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def at(content, place, value):
    """The content with a value at a place such as ``phases.0.name``; ``DEL`` removes it."""
    made = copy.deepcopy(content)
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner = made
    for part in way:
        inner = inner[part]
    if value is DEL:
        del inner[last]
    else:
        inner[last] = value
    return made


class DEL:
    """Marks a key that is taken away."""
