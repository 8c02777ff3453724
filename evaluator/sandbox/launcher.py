"""The first process of a container: fetches its descriptors from the evaluator, then is the worker's guard.

Run as ``python -I -S -B launcher.py SOCKET``, standard library only, with ``guard.py`` beside it. Docker hands no descriptors into
a container, but a Unix socket can: the evaluator listens in a folder that is shown to this container alone, and sends the worker's
end of the channel, the guard's end of its line and the log's pipe, with the worker's command and environment in one line of JSON.
After that the socket is closed.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys

PR_SET_DUMPABLE = 4
OWN = ("PATH", "LD_LIBRARY_PATH")
"""Variables that describe the image, and are taken from it."""


def main() -> None:
    """Fetch, guard, and hold the container open until the evaluator has seen what its limits counted."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import guard

    with socket.socket(socket.AF_UNIX) as door:
        door.connect(sys.argv[1])
        text, descriptors, _, _ = socket.recv_fds(door, 1 << 16, 3)
        while not text.endswith(b"\n"):
            more = door.recv(1 << 16)
            if not more:
                return  # the evaluator is gone
            text += more
    channel, control, log = descriptors
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.set_inheritable(control, False)
    os.set_inheritable(channel, True)
    order = json.loads(text)
    os.chdir(order["folder"])
    environment = order["environment"] | {name: os.environ[name] for name in OWN if name in os.environ}
    os.environ.clear()
    os.environ.update(environment)
    # The worker is of the same user. As process 1 the guard takes no signal from it; undumpable, it can be neither traced nor
    # read nor have its descriptors reopened. The worker's own exec makes the worker an ordinary process again.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    command = [sys.executable if part == "python" else part.replace("{channel}", str(channel)) for part in order["command"]]
    sys.argv = ["guard.py", str(control), "--", *command]
    guard.main()
    while os.read(control, 64):
        pass  # a "kill" that came when nothing was left to kill; the end of the line is what counts


if __name__ == "__main__":
    main()
