"""Four threads write parts of frames between each other's parts."""

import os
import threading
import time

from aim import channel, frame

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        descriptor = channel()._socket.fileno()
        whole = frame({"t": "progress", "fraction": 0.5})

        def send():
            for _ in range(200):
                for at in range(0, len(whole), 7):
                    os.write(descriptor, whole[at : at + 7])
                    time.sleep(0)

        for _ in range(4):
            threading.Thread(target=send, daemon=True).start()
        time.sleep(30)
