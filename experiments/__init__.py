"""The experiments behind ``docs/results.md``, and one-off studies. Run as ``python -m experiments --help``.

``sweeps/*.toml``   what is run; ``cells/*.json`` the cells that were stored, ``columns`` their format
``grids``           which stored cells belong to a sweep
``page``, ``summary``, ``tables``, ``levels``, ``tried``, ``pictures``   the page and its pictures, from the cells alone
``tuning``          seeds that are for trying things, and that the page never shows
``forecast``        how long the sweeps take
``rederive``        a command that derives every figure of the page again, without the kit
``check``           whether committed pages and pictures are what their committed figures give
``cleaning``        the same of the cleaning track: ``docs/cleaning-results.md``
``studies``         questions that were asked once: recipes, labels, starting weights, the proxy, the panel
"""
