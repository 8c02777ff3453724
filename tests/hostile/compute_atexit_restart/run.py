"""Computes at the end of a worker that is to be restarted, in atexit and after a signal, and leaves the result to the next."""

import atexit
import os
import signal
import time

from aim import AIM, HOME, attempt, loot, spin

from run import ZEWDPCBaseRun

PLACES = [f"{place}/{AIM['mark']}-worked" for place in ("/dev/shm", "/tmp", "/var/tmp", HOME)]


def work(*_):
    started = time.monotonic()
    spin(1)
    for place in PLACES:
        attempt(write, place, f"{time.monotonic() - started:.1f}")


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


class Attack(ZEWDPCBaseRun):
    def pre_training_phase(self, training_dataset):
        atexit.register(work)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGIO):
            signal.signal(number, work)

    def purchase_phase(self, unlabelled_dataset):
        for place in PLACES:
            if os.path.exists(place):
                loot(f"the next worker finds {place}")

    def save_checkpoint(self, path):
        open(os.path.join(path, "saved"), "w").close()

    def load_checkpoint(self, path):
        pass
