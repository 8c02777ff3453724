"""Tracebacks of submissions for people: their own frames and those of libraries; frames of the kit are left out."""

from __future__ import annotations

import re

from evaluator.places import ROOT

KITS_PLACES = (f"{ROOT}/evaluator/worker/", "/kit/evaluator/worker/")
"""Where the worker's own modules lie: in the tier ``process``, and in a room."""
_FRAME = re.compile(r'^  File "(.*)", line [0-9]+(?:, in .*)?$')
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?")


def own_frames(trace: str) -> str:
    """A traceback without the frames of the kit's worker, and without the frozen parts of Python's import.

    The rest is unchanged and in order, so the submission's own frames come first. A traceback of which nothing would be left, or
    one that is no traceback, is given whole.
    """
    kept: list[str] = []
    dropped = False
    frames = 0
    for line in trace.split("\n"):
        frame = _FRAME.match(line)
        if frame:
            dropped = frame[1].startswith((*KITS_PLACES, "<frozen importlib"))
            frames += not dropped
        elif not line.startswith("    "):
            dropped = False
        if not dropped:
            kept.append(line)
    return "\n".join(kept) if frames else trace


def alike(trace: str, reason: str) -> str:
    """A key: equal for two failures of one cause. Numbers in messages may differ; files and lines may not."""
    frames = [line for line in trace.split("\n") if _FRAME.match(line)]
    last = trace.rstrip("\n").rpartition("\n")[2]
    return "\n".join([*frames, _NUMBERS.sub("#", last), _NUMBERS.sub("#", reason)])
