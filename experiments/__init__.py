"""The experiments behind ``docs/results.md``, and one-off studies. Run as ``python -m experiments --help``.

``sweeps/*.toml``   what is run; ``cells/*.json`` the cells that were stored, ``columns`` their format
``grids``           which stored cells belong to a sweep
``page``, ``summary``, ``tables``, ``pictures``   the page and its pictures, from the cells alone
``check``           whether committed pages and pictures are what their committed figures give
``studies``         questions that were asked once: recipes, labels, starting weights, the proxy, the panel
"""
