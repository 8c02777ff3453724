"""Hands over a checkpoint with links to the organiser's folder, and members that are written through them."""

from aim import AIM, hand_over, member

from run import ZEWDPCBaseRun

LINK, HARD = b"2", b"1"


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        tar = member("checkpoint/out", type=LINK, linkname=AIM["victim"])
        tar += member("checkpoint/out/labels.csv", b"spoilt") + member("checkpoint/out/new.txt", b"spoilt")
        tar += member("checkpoint/hard", type=HARD, linkname=AIM["victim"] + "/results.json") + member("checkpoint/hard", b"spoilt")
        tar += member("checkpoint", type=LINK, linkname=AIM["results"])
        hand_over(tar + bytes(1024))

    def load_checkpoint(self, path):
        pass

    def purchase_phase(self, unlabelled_dataset):
        pass
