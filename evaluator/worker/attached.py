"""The worker in the foreground, for debugging: ``breakpoint()`` has the terminal, and an exception is shown where it happens.

Started like ``__main__``, with the evaluator's own stdin, stdout and stderr in place of a log. It serves the same orders; only what
fails is shown at once, and where somebody sits at a terminal, in the debugger.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])

import bdb
import os
import traceback
from pathlib import Path
from types import TracebackType

from evaluator.worker.channel import ChannelClosed, WorkerChannel
from evaluator.worker.service import Service

HERE = str(Path(__file__).resolve().parent)


def main() -> None:
    """Serve on the descriptor named on the command line."""
    channel = WorkerChannel(int(sys.argv[1]))
    import run  # noqa: F401  (as in ``__main__``)

    try:
        Service(channel, failed=show).serve()
    except ChannelClosed:
        os._exit(0)


def show(error: BaseException) -> None:
    """Print the traceback of the participant's code; where stdin is a terminal, open the debugger at the place of the error.

    Whoever left the debugger with ``q`` has seen it already. Never raises.
    """
    if isinstance(error, bdb.BdbQuit):
        return
    own = own_frames(error.__traceback__)
    try:
        print("".join(traceback.format_exception(type(error), error, own)), file=sys.stderr, flush=True)
        if own is None or isinstance(error, SystemExit) or not sys.stdin.isatty():
            return
        import pdb

        print("The debugger shows the place of the error: p NAME prints, u and d move, q goes on.", file=sys.stderr, flush=True)
        pdb.post_mortem(own)
    except (Exception, KeyboardInterrupt) as second:  # an exception that cannot be shown, a stdin that was replaced
        print(f"the error cannot be looked at here: {type(second).__name__}", file=sys.__stderr__, flush=True)


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback from the first frame on that is neither the worker's nor the import system's; None without one."""
    while trace is not None and _ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def _ours(file: str) -> bool:
    return file.startswith("<frozen importlib") or os.path.dirname(os.path.abspath(file)) == HERE


if __name__ == "__main__":
    main()
