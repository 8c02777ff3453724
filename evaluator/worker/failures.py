"""How an exception of a submission is told to the evaluator: its name, its message, and a traceback of the submission's frames.

The frames of the worker around a hook, and of Python's import system, say nothing about a mistake in a submission, and stand before
the frames that do. They are left out, so that a traceback begins with the submission's own code. The traceback with all frames goes
along, where it says more.
"""

from __future__ import annotations

import importlib
import json
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .frames import HEADER_CAP

WORKER, IMPORTLIB = str(Path(__file__).resolve().parent), str(Path(importlib.__file__).parent)
MESSAGE_CAP = 2_000
HEAD_CAP, TAIL_CAP = 8_000, 8_000
"""Characters of a long traceback that are kept: the beginning shows the submission's frames, the end the error."""


def failure(error: BaseException) -> dict[str, Any]:
    """The message to the evaluator about an exception of a hook."""
    try:
        message, trace, full = str(error), own_traceback(error), full_traceback(error)
    except Exception as second:  # an exception whose own __str__ raises
        message, trace, full = f"(its message cannot be shown: {type(second).__name__})", "", ""
    told = {"t": "failed", "error": type(error).__name__[:200], "message": message[:MESSAGE_CAP], "trace": trace}
    more = told | {"full_trace": full}
    # Two long texts of signs that take twelve bytes each are more than a message holds.
    return told if full == trace or len(json.dumps(more)) > HEADER_CAP else more


def own_traceback(error: BaseException) -> str:
    """The traceback of an exception without frames of the worker. Empty where nothing is left that its message does not say."""
    told = traceback.TracebackException.from_exception(error)
    chain = list(_chain(told))
    kept = [[frame for frame in one.stack if not hidden(frame.filename)] for one in chain]
    if not any(kept) and not isinstance(error, SyntaxError):
        package = __package__ or ""
        if type(error).__module__.startswith(package):
            return ""  # the worker's own verdict on the submission
        kept = [list(one.stack) for one in chain]  # a fault of ours: all frames are wanted
    for one, frames in zip(chain, kept, strict=True):
        one.stack = traceback.StackSummary.from_list(frames)
    return _text(part for part in told.format() if any(kept) or not part.startswith("Traceback ("))


def full_traceback(error: BaseException) -> str:
    """The traceback of an exception with all frames, those of the worker, too."""
    return _text(traceback.TracebackException.from_exception(error).format())


def _text(parts: Iterable[str]) -> str:
    # As submissions know these names.
    text = "".join(parts)
    text = text.replace("_dck_worker.", "evaluator.worker.")
    if len(text) > HEAD_CAP + TAIL_CAP:
        left_out = len(text) - HEAD_CAP - TAIL_CAP
        text = f"{text[:HEAD_CAP]}\n[... {left_out} characters left out ...]\n{text[-TAIL_CAP:]}"
    return text


def _chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """An exception, those that it was raised from or during, and the members of groups."""
    waiting, seen = [told], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other is not None]


def hidden(file: str) -> bool:
    """Whether the frames of a file are the worker's or the import system's."""
    return file.startswith((WORKER, IMPORTLIB, "<frozen importlib"))
