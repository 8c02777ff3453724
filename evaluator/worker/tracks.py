"""The tracks that a worker can run: name in the order to load, and module whose ``TRACK`` is the track's ``Track``.

The table is fixed here, so that a worker never imports a module by a name that came from elsewhere.
"""

TRACKS: dict[str, str] = {"purchase": "evaluator.worker.purchase"}
