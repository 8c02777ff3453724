"""Landlock: a process gives up, for good, every file but those that it names. No privilege, no namespace and no library is needed.

Standard library only, because the guard imports it in the worker's first process. The rules hold for that process and for all that
it starts. Opening, listing, making, removing, renaming and truncating files is ruled; what the kernel leaves out is not: whether a
path exists, and modes, owners, times and locks of files. Descriptors that are open already stay as they are. From ABI 4 on no TCP
port can be bound or connected to; from ABI 6 on no process outside can be signalled, and no abstract socket of another be reached.
A ruled process can neither trace nor read the memory, environment or open files of a process that is not ruled likewise.

Source: landlock(7), and ``Documentation/userspace-api/landlock.rst`` of Linux 6.18.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

CREATE, ADD_RULE, RESTRICT = 444, 445, 446
"""Numbers of the system calls, the same on x86_64, aarch64 and every other machine that got them."""
MACHINES = ("x86_64", "aarch64")
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPBSET_DROP = 24
_CAPABILITIES_3 = 0x20080522

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
"""The rights that a rule about a single file may name."""
_FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights to files that a kernel of an ABI knows, by the first such ABI."""
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT, _SCOPE_SIGNAL = 1, 2

RIGHTS = {
    "list": _READ_DIR,
    "read": _READ_FILE | _READ_DIR | _EXECUTE,
    "device": _READ_FILE | _WRITE_FILE | _IOCTL_DEV,
    "write": (1 << 16) - 1,
}
"""What may be done below a path, by a word: ``list`` names alone, ``read`` and run files, use a ``device``, or ``write``."""


def abi() -> int:
    """The version of Landlock that this kernel offers; 0 where it has none, or has it switched off."""
    if not sys.platform.startswith("linux") or os.uname().machine not in MACHINES:
        return 0
    found = ctypes.CDLL(None, use_errno=True).syscall(CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(0, int(found))


def restrict(places: list[tuple[str, str]]) -> None:
    """Give up, in this process and all that it starts, everything but the given places; and the way to gain privileges.

    Args:
        places: pairs of a word of ``RIGHTS`` and a path. What is not there is left out.

    Raises:
        OSError: the kernel refuses a step; the caller must not go on.
    """
    version = abi()
    libc = ctypes.CDLL(None, use_errno=True)
    handled = _FILES_BY_ABI[max((known for known in _FILES_BY_ABI if known <= version), default=1)]
    network = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    scoped = _SCOPE_ABSTRACT | _SCOPE_SIGNAL if version >= 6 else 0
    attributes = struct.pack("QQQ", handled, network, scoped)
    attributes = attributes[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _called(libc, CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for word, path in places:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                rights = RIGHTS[word] & handled
                if not os.path.isdir(f"/proc/self/fd/{place}"):
                    rights &= _OF_A_FILE
                if rights:
                    # The structure is packed: 8 bytes of rights, 4 of a descriptor.
                    _called(libc, ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), ctypes.c_uint32(0))
            finally:
                os.close(place)
        _drop_capabilities(libc)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        _called(libc, RESTRICT, rules, ctypes.c_uint32(0))
    finally:
        os.close(rules)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Give up what root holds beside its number, also for the next program. Some of it (CAP_PERFMON) opens other processes."""
    for capability in range(64):  # unknown numbers fail
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    # The header names version 3 and this process; then follow the effective, permitted and inheritable sets, in two halves.
    if libc.capset(struct.pack("=Ii", _CAPABILITIES_3, 0), struct.pack("=6I", *[0] * 6)):
        raise OSError(ctypes.get_errno(), "capset")


def _called(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    found = libc.syscall(number, *arguments)
    if found < 0:
        name = {CREATE: "landlock_create_ruleset", ADD_RULE: "landlock_add_rule"}.get(number, "landlock_restrict_self")
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return int(found)
