"""Fills /dev/shm with files, up to 1.2 GiB."""

from aim import AIM, attempt, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        total = 0
        path = f"/dev/shm/{AIM['mark']}"

        def fill():
            nonlocal total
            with open(path, "wb") as file:
                for _ in range(38):
                    file.write(b"\1" * (32 << 20))
                    total += 32

        attempt(fill)
        if total > 1100:
            loot(f"{total} MiB")
