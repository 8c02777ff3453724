"""Hands over bytes that are no checkpoint: noise, half a header, a header that names itself for ever."""

import os

from aim import hand_over, member

from run import ZEWDPCBaseRun

LONG_NAME = b"L"


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        tar = member("././@LongLink", b"checkpoint/" + b"n" * 100_000, type=LONG_NAME) * 20
        hand_over(tar + member("x")[:300] + os.urandom(100_000))

    def load_checkpoint(self, path):
        pass

    def purchase_phase(self, unlabelled_dataset):
        pass
