"""Rankings in the place of a method: which rows of every task are checked first, as files that another program made.

A file ``TASK.txt`` holds every row of the task once, the number of a row a line, the most suspect first; ``TASK_seedN.txt`` is that
of the repetition N, where tasks are drawn anew for each. ``TASK_METHOD.txt``, as in DataPerf's layout, counts as well, if it is the
only file of its task. Files ``time_...`` say how long a method took and decide nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from evaluator.bounded import read_bytes
from evaluator.cleaning.cells import CleaningSpec, RankingAnswer
from evaluator.cleaning.rankings import MOST_BYTES, RANKING, TABLE, TIME, read_ranking
from evaluator.errors import ConfigurationError, Verdict
from evaluator.submission.answers import AnswerFiles, candidate, strangers
from evaluator.submission.findings import Finding
from evaluator.text import name as harmless
from evaluator.track import CellInputs
from evaluator.words import counted, meant

_SEED = re.compile(r"(?P<task>.+)_seed(?P<seed>[0-9]{1,19})")


def given(path: Path) -> AnswerFiles | None:
    """The rankings at ``path``, if they are that by what lies there; None for code.

    Raises:
        SubmissionError: a file may not travel.
    """
    there = candidate(path, (RANKING,))
    if there is None:
        return None
    names = there.names()
    rankings = [name for name in names if name.endswith(RANKING) and "/" not in name]
    advice = "rankings TASK.txt at the top were expected. Remove it"
    if any(name.endswith(TABLE) for name in names):
        advice += "; a table of edits is judged by python -m evaluator cleaning evaluate"
    found = list(strangers([name for name in names if name not in rankings], advice))
    own = [name for name in rankings if not name.startswith(TIME)]
    for name in own:
        file = there.root / name
        try:
            # How many rows the task has is known where it is read: here as many as there are lines.
            read_ranking(file, max(1, read_bytes(file, MOST_BYTES).strip().count(b"\n") + 1), strict=True)
        except (ConfigurationError, OSError) as error:
            place, _, text = str(error).partition(": ")
            found.append(Finding("error", place.replace(f"{there.root}/", ""), text or str(error)))
    if not own:
        found.append(Finding("error", "the rankings", "only times are there; a file TASK.txt for every task was expected. Add it"))
    return there.answer(names, counted(len(own), "ranking"), found)


def ranking_file(path: Path, task: str, seed: int) -> Path:
    """The file with the ranking of a task and seed.

    Raises:
        ConfigurationError: there is none, or more than one; the message names what is there.
    """
    folder = path.parent if path.is_file() else path
    names = [path.name] if path.is_file() else sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    names = [name for name in names if name.endswith(RANKING) and not name.startswith(TIME)]
    for wanted in (f"{task}_seed{seed}{RANKING}", f"{task}{RANKING}"):
        if wanted in names:
            return folder / wanted
    methods = [name for name in names if name.startswith(f"{task}_") and not _SEED.fullmatch(name.removesuffix(RANKING))]
    if len(methods) == 1:
        return folder / methods[0]
    if methods:
        seen = ", ".join(map(harmless, methods[:4]))
        raise ConfigurationError(f"{task}: {counted(len(methods), 'ranking')} of it are there ({seen}); one was expected. Keep one")
    near = meant(f"{task}{RANKING}", names) or (f"; there are {', '.join(map(harmless, names[:5]))}" if names else "")
    raise ConfigurationError(
        f"{task}{RANKING}: it is not there{near}; a ranking of every task was expected, or {task}_seed{seed}{RANKING} for this "
        "repetition. Add it, or correct the name"
    )


def answer_given(spec: CleaningSpec, inputs: CellInputs) -> RankingAnswer:
    """The first half of a cell whose ranking is given. Its faults are the answer's verdict."""
    content: dict[str, Any] = {"ranking": None, "guarded": True, "limited_by": ""}
    named: dict[str, Any] = {"digest": spec.answer_digest(), "spec": spec.answer_dict()}
    task = inputs.data.task(spec.data_id, spec.seed)
    try:
        file = ranking_file(inputs.path, spec.data_id, spec.seed)
        ranking = read_ranking(file, len(task.train), strict=True)
    except ConfigurationError as error:  # of the machine's folders nobody learns by a verdict
        folder = inputs.path.parent if inputs.path.is_file() else inputs.path
        why = str(error).replace(f"{folder}/", "")
        return RankingAnswer(**named, content=content, verdict=str(Verdict.INVALID_OUTPUT), reason=why)
    except OSError as error:
        why = f"a ranking cannot be read ({error.strerror})"
        return RankingAnswer(**named, content=content, verdict=str(Verdict.INFRASTRUCTURE), reason=why)
    return RankingAnswer(**named, content=content | {"ranking": list(ranking)})
