"""Checks of the system calls: what no strategy needs is closed, whatever the arguments."""

from __future__ import annotations

import os

from evaluator.sandbox.conformance.check import Check, check
from evaluator.sandbox.conformance.stage import Stage, Unseen, need

CHECKS: list[Check] = []

NUMBERS = {
    "x86_64": {
        "add_key": 248, "request_key": 249, "keyctl": 250, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
        "userfaultfd": 323, "bpf": 321, "perf_event_open": 298, "unshare": 272, "setns": 308, "mount": 165,
        "open_by_handle_at": 304, "name_to_handle_at": 303, "shmget": 29, "msgget": 68, "mq_open": 240, "vmsplice": 278,
        "io_setup": 206,
    },
    "aarch64": {
        "add_key": 217, "request_key": 218, "keyctl": 219, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271,
        "userfaultfd": 282, "bpf": 280, "perf_event_open": 241, "unshare": 97, "setns": 268, "mount": 40,
        "open_by_handle_at": 265, "name_to_handle_at": 264, "shmget": 194, "msgget": 186, "mq_open": 180, "vmsplice": 75,
        "io_setup": 0,
    },
}  # fmt: skip
"""Numbers of calls by machine; newer calls have the same number on all of them."""
NEWER = {"io_uring_setup": 425, "open_tree": 428, "fsopen": 430, "pidfd_getfd": 438, "clone3": 435, "process_madvise": 440}


@check(CHECKS, "calls")
def calls_that_no_strategy_needs_are_closed(stage: Stage) -> str:
    """Keys, tracing, io_uring, bpf, performance counters, mounts, namespaces, handles, System V memory: each call is refused."""
    machine = os.uname().machine
    if machine not in NUMBERS:
        raise Unseen(f"the numbers of the calls are not known for {machine}")
    code = f"""
    libc = ctypes.CDLL(None, use_errno=True)
    def call(number):
        ctypes.set_errno(0)
        return "done" if libc.syscall(number, 0, 0, 0, 0, 0, 0) >= 0 else ctypes.get_errno()
    tell({{name: call(number) for name, number in {NUMBERS[machine] | NEWER!r}.items()}})
    """
    seen = stage.play(code).only()
    # Without a permission (1), or as on a kernel that does not know the call (38); another error comes from the call itself.
    wrong = {name: result for name, result in seen.items() if result not in (1, 38)}
    need(not wrong, f"these calls reach the kernel: {wrong}")
    return f"{len(seen)} calls"


@check(CHECKS, "calls")
def odd_families_of_sockets_are_closed(stage: Stage) -> None:
    """Unix, IP and the list of interfaces are all the sockets that there are: no vsock, no cryptography, no packets."""
    code = """
    import socket
    def made(family, kind, protocol=0):
        with socket.socket(family, kind, protocol):
            return True
    odd = [(40, 1), (38, 5), (17, 3), (31, 3), (29, 3), (21, 5), (44, 2), (16, 3, 12), (16, 3, 15), (2, 3, 1)]
    plain = [(1, 1), (2, 1), (2, 2, 17), (10, 1), (16, 3)]
    tell([[f for f in odd if attempt(lambda: made(*f)) is True], [f for f in plain if attempt(lambda: made(*f)) is not True]])
    tell([s.fileno() > 0 for s in socket.socketpair()])
    """
    told = stage.play(code).told
    need(len(told) == 2 and told[1] == [True, True], f"a pair of unix sockets cannot be made: {told}")
    need(told[0][0] == [], f"these sockets can be made: {told[0][0]}")
    need([f for f in told[0][1] if f[0] != 10] == [], f"these sockets cannot be made: {told[0][1]}")


@check(CHECKS, "calls")
def what_lies_in_the_page_cache_is_not_told(stage: Stage) -> None:
    """A read that would say whether a page of a shared file is in memory is refused."""
    code = """
    file = int(os.path.basename(IMAGES))
    tell(attempt(lambda: os.preadv(file, [bytearray(1)], 0, getattr(os, "RWF_NOWAIT", 8))))
    tell(attempt(lambda: os.preadv(file, [bytearray(1)], 0)))
    """
    told = stage.play(code).told
    need(len(told) == 2 and told[1] == 1, f"a plain read fails: {told}")
    need(isinstance(told[0], str), "the kernel answered")


@check(CHECKS, "calls")
def keys_of_the_machine_are_not_listed(stage: Stage) -> None:
    """The list of the kernel's keys cannot be read, or is empty."""
    seen = stage.play("tell(attempt(lambda: open('/proc/keys').read()))").only()
    need(not seen or "Error" in seen, f"the list holds {seen[:200]!r}")
