"""Sends the evaluator descriptors with its messages, as many as a message may carry, thousands of times."""

import os
import socket
import time

from aim import attempt, channel, frame, guard_line, most_files

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        most_files()
        ends = [end for _ in range(60) for end in os.pipe()]
        progress = frame({"t": "progress", "fraction": 0.5})
        lines = [channel()._socket, *(socket.socket(fileno=number) for number in guard_line())]
        end = time.monotonic() + 1
        while time.monotonic() < end:
            for line in lines:
                if attempt(socket.send_fds, line, [progress], ends) is None:
                    return
