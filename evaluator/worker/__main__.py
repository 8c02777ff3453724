"""The worker process. Started as ``python -s -P .../evaluator/worker/__main__.py DESCRIPTOR``; with ``attached`` behind it, in the
foreground for debugging, and with ``full`` behind that, with complete tracebacks.

Nothing of the kit is imported at the top: processes that multiprocessing starts run this file again, as ``__mp_main__``.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from typing import Any


def main() -> None:
    """Serve on the descriptor named on the command line."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "importable"))
    faulthandler.enable(file=2)  # a crash leaves the stacks of all threads in the log
    from _dck_worker.channel import ChannelClosed, WorkerChannel
    from _dck_worker.service import Service

    channel = WorkerChannel(int(sys.argv[1]))
    try:
        if sys.argv[2:3] == ["attached"]:
            from _dck_worker.attached import show

            full = sys.argv[3:] == ["full"]
            Service(channel, failed=lambda error: show(error, full)).serve()
        else:
            Service(channel).serve()
    except ChannelClosed:
        # The evaluator has ended this run; whatever is left to say has no listener.
        os._exit(0)


def __getattr__(name: str) -> Any:
    """A name of the submission's entry: a pickle that ``python run.py`` wrote looks for its classes in ``__main__``."""
    loader = sys.modules.get("_dck_worker.loader")
    if loader is None or loader.loaded is None or name.startswith("__"):
        raise AttributeError(f"module '__main__' has no attribute {name!r}")
    return getattr(loader.loaded, name)


if __name__ == "__main__":
    main()
