"""Data-centric AI competition kit and evaluator.

Importing this package is free on purpose: the untrusted worker imports ``evaluator.worker`` through it, and must start without
torch, scikit-learn or anything of the trusted side.
"""

__version__ = "0.3.0"
