"""What a worker in the foreground does with a failure, for debugging: it is shown where it happens, and where somebody sits at a
terminal, in the debugger.
"""

from __future__ import annotations

import bdb
import sys
from types import TracebackType

from .failures import full_traceback, hidden, own_traceback


def show(error: BaseException, full: bool = False) -> None:
    """Print the traceback of the participant's code; where stdin is a terminal, open the debugger at the place of the error.

    Whoever left the debugger with ``q`` has seen it already. Never raises.

    Args:
        full: with the frames of the worker, too.
    """
    if isinstance(error, bdb.BdbQuit):
        return
    own = own_frames(error.__traceback__)
    try:
        text = full_traceback(error) if full else own_traceback(error)
        print(text or f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        if own is None or isinstance(error, SystemExit) or not sys.stdin.isatty():
            return
        import pdb

        print("The debugger shows the place of the error: p NAME prints, u and d move, q goes on.", file=sys.stderr, flush=True)
        pdb.post_mortem(own)
    except (Exception, KeyboardInterrupt) as second:  # an exception that cannot be shown, a stdin that was replaced
        print(f"the error cannot be looked at here: {type(second).__name__}", file=sys.__stderr__, flush=True)


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback from the first frame on that is neither the worker's nor the import system's; None without one."""
    while trace is not None and hidden(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace
