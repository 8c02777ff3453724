"""The tracks that a worker can run: name in the order to load, and module whose ``TRACK`` is the track's ``Track``.

The table is fixed here, so that a worker never imports a module by a name that came from elsewhere. A name that begins with a dot
is a module of this package, by whatever name the package itself was imported.
"""

TRACKS: dict[str, str] = {"purchase": ".purchase", "cleaning": ".cleaning", "curation": ".curation", "foreign": ".foreign"}
