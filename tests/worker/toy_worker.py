"""A worker for a track that exists in the tests alone: a submission guesses a number, and may ask whether it is lower.

Started as ``python toy_worker.py DESCRIPTOR KIT_ROOT``.
"""

import sys
from types import MappingProxyType

sys.path.insert(0, sys.argv[2])

from evaluator.worker.channel import WorkerChannel
from evaluator.worker.service import Service, Track


class Toy(Track):
    """Two phases: prepare and guess."""

    hooks = ("prepare", "guess")
    marker = "guess"
    interface = "toys"
    base = "Guesser"
    aliases = MappingProxyType({"is_lower": ("is_lower", "lower")})

    def prepare(self, order, arrays):
        self.service.call("prepare", order)
        return {"t": "done"}, b""

    def guess(self, order, arrays):
        def is_lower(number):
            answer, blob = self.service.channel.request({"t": "compare", "number": number}, b"abc")
            assert blob == b"cba"
            return answer["lower"]

        value = self.service.call("guess", order, is_lower=is_lower, candidates=arrays["candidates"])
        return {"t": "done", "guess": value, "clock": self.service.clock_was_read}, b""


TRACK = Toy

if __name__ == "__main__":
    Service(WorkerChannel(int(sys.argv[1])), {"toy": "__main__"}).serve()
