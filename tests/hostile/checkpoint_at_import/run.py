"""Looks for its checkpoint when a restarted worker imports it, before the clock runs again."""

import os

from aim import HOME, attempt, loot

from run import ZEWDPCBaseRun

for folder, _, files in os.walk(HOME):
    for name in files:
        loot(f"the checkpoint at import: {os.path.join(folder, name)}")


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        self.bought = attempt(unlabelled_dataset.purchase_labels, range(4))

    def save_checkpoint(self, path):
        with open(os.path.join(path, "labels"), "w") as file:
            file.write("labels that were bought")

    def load_checkpoint(self, path):
        if not os.path.exists(os.path.join(path, "labels")):
            raise RuntimeError("the checkpoint is not there")
