"""How cost grows with the pool, with image size and with labels, part by part. Run as ``python -m benchmarks.scale``.

``bench``      what is measured how often, and where figures are collected
``folders``    what an evaluation does once: read, check, decode
``cell``       what a cell does: its start, its memory, its purchases, its result
``steps``      training, from single steps
``growth``     the fitted power, its limits, the table and the picture
``page``       the part of ``docs/benchmarks.md`` that is written by the command
``synthetic``  splits of any size
"""
