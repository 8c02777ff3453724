"""Starts threads with stacks of 64 MiB, and uses the stacks."""

import ctypes
import threading
import time

from aim import MIB, loot

from run import ZEWDPCBaseRun

THREADS, STACK = 24, 64 * MIB


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        threading.stack_size(STACK)
        done = []

        def use():
            room = ctypes.create_string_buffer(1)
            # From here down lies the thread's own stack.
            name = threading.get_native_id()
            with open("/proc/self/maps") as file:
                spans = [line.split()[0].split("-") for line in file]
            sizes = [(int(last, 16) - int(first, 16), int(first, 16)) for first, last in spans]
            for size, first in sizes:
                if size == STACK and first not in done:
                    done.append(first)
                    ctypes.memset(first, 1, STACK - 256 * 1024)
                    break
            time.sleep(8)
            return room, name

        for _ in range(THREADS):
            threading.Thread(target=use, daemon=True).start()
            time.sleep(0.1)
        time.sleep(1.2)
        loot(f"{len(done) * 64} MiB of stacks")
