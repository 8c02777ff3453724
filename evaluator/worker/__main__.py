"""The worker process. Started as ``python -s -P .../evaluator/worker/__main__.py DESCRIPTOR KIT_ROOT``."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])

import os

from evaluator.worker.channel import ChannelClosed, WorkerChannel
from evaluator.worker.service import Service


def main() -> None:
    """Serve on the descriptor named on the command line."""
    channel = WorkerChannel(int(sys.argv[1]))
    import run  # noqa: F401  (so that ``import run`` means the kit's interface, also in a submission's own run.py)

    try:
        Service(channel).serve()
    except ChannelClosed:
        # The evaluator has ended this run; whatever is left to say has no listener.
        os._exit(0)


if __name__ == "__main__":
    main()
