"""The stacks of a worker's threads, as Python's ``faulthandler`` writes them into what the worker prints.

A worker has them written when a signal ends it, and just before the time limit of an order passes (``evaluator.worker.stacks``). A
submission may print the same. The text is shown to people, and decides nothing.
"""

from __future__ import annotations

import re

CAP = 16_000
"""Characters of stacks that are kept."""
CRASH, TIMEOUT = "Fatal Python error: ", "Timeout ("
"""How ``faulthandler`` begins."""
_HEAD = re.compile(r"^(?:Current thread|Thread) 0x[0-9a-f]+.*$", re.MULTILINE)
_WRITER = re.compile(r"^Current thread 0x[0-9a-f]+[^\n]*\n(?:  [^\n]*\n)*\n?", re.MULTILINE)
"""The thread that wrote the stacks before a limit. Where Python's watchdog wrote them, there is none."""
_END = re.compile(r"^Extension modules: ", re.MULTILINE)
_OF_THE_WORKER = re.compile(r'^  File "[^"\n]*/evaluator/worker/[^"\n]*", line .*\n?', re.MULTILINE)


def split_stacks(log: str, beginning: str) -> tuple[str, str]:
    """A log without the stacks at its end, and these stacks; empty where there are none.

    Args:
        beginning: ``CRASH`` or ``TIMEOUT``.
    """
    before, _, after = log.rpartition(beginning)
    if beginning == TIMEOUT:
        after = _WRITER.sub("", after)
    first = _HEAD.search(after)
    if not log.count(beginning) or first is None:
        return log, ""
    end = _END.search(after, first.start())
    return before, after[first.start() : end and end.start()][:CAP].strip("\n") + "\n"


def own_stacks(stacks: str) -> str:
    """Stacks without the frames of the worker itself."""
    return _OF_THE_WORKER.sub("", stacks)
