"""Names its libraries and modules like those that the evaluator imports, in every folder that a process might start in."""

import os

from aim import AIM, HOME, attempt

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        here = os.path.dirname(os.path.abspath(__file__))
        for place in (HOME, f"{HOME}/checkpoint", here, os.getcwd(), "/"):
            for name in ("numpy.py", "json.py", "sitecustomize.py", "usercustomize.py", "readonly.py", "socket.py", "_trap.pth"):
                if "carry" in AIM:
                    attempt(self.trap, os.path.join(place, name))

    def trap(self, path):
        if os.path.exists(path):
            return
        with open(path, "w") as file:
            file.write(f"print({AIM['carry']!r}, flush=True)\n")
