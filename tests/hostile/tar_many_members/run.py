"""Hands over a checkpoint of thirty thousand empty files in few bytes each."""

from aim import hand_over, member

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        hand_over(b"".join(member(f"checkpoint/{number}") for number in range(30_000)) + bytes(1024))

    def load_checkpoint(self, path):
        pass

    def purchase_phase(self, unlabelled_dataset):
        pass
