"""Says itself that the purchase phase is done, reads the order of the last phase with its images, and then wants to buy."""

import numpy as np
from aim import channel, loot

from run import ZEWDPCBaseRun


class Attack(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset):
        line = channel()
        line.send({"t": "done", "claim": "none", "clock": False})
        order, _ = line.receive()
        print("next:", order["t"], order.get("name"), flush=True)
        answer, _ = line.request({"t": "buy"}, np.arange(4).tobytes())
        if answer["t"] == "sold":
            loot("labels after the images of the last phase were seen")
        blob = np.zeros((16, len(unlabelled_dataset.classes)))
        line.send({"t": "done", "shape": list(blob.shape)}, blob.tobytes())
