"""Leaves System V and POSIX queues, semaphores and shared memory for its next cell."""

import ctypes

from aim import AIM, LIBC

from run import ZEWDPCBaseRun

CREATE = 0o1000 | 0o666


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        key, first = AIM["key"], "carry" in AIM
        name = b"/" + AIM["mark"].encode()
        if first:
            queue = LIBC.msgget(key, CREATE)
            text = AIM["carry"].encode()
            LIBC.msgsnd(queue, ctypes.create_string_buffer((1).to_bytes(8, "little") + text), len(text), 0o4000)
            LIBC.semget(key, 1, CREATE)
            LIBC.mq_open(name, 0o102, 0o666, None)
            return
        held = ctypes.create_string_buffer(4096)
        if LIBC.msgrcv(LIBC.msgget(key, 0), held, 4000, 0, 0o4000) > 0:
            print(held.raw[8:200].split(b"\0")[0].decode(), flush=True)
        if LIBC.semget(key, 1, 0) >= 0 or LIBC.mq_open(name, 0) >= 0:
            print("CARRIED" + AIM["mark"], flush=True)
        LIBC.msgctl(LIBC.msgget(key, 0), 0, None)
        LIBC.semctl(LIBC.semget(key, 1, 0), 0, 0)
        LIBC.mq_unlink(name)
