"""What things cost, measured. Each house is a package that runs: ``python -m benchmarks.<house> --help``.

``training``   our training against the plain loop: time, accuracy, memory
``scale``      how the cost of every part grows with images, pixels and labels
``harness``    what isolation, workers, sweeps and strategies cost beside the training
``stopwatch``  the clocks and the description of the machine that the others share; run by itself, it checks them on this machine

``pages.py`` writes files and Markdown for this package and for ``experiments``. Committed figures are in ``benchmarks/results/``;
``docs/benchmarks.md`` names the command that writes each file.
"""
