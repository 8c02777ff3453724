"""Clocks that the benchmarks share, and what they were read on.

``processor``  processor time of short work, and of the whole machine
``timing``     time per image pass, warm-up left out, and how many times faster one training is than another
``turns``      contestants that take turns, each side in a process of its own
``machine``    hardware, versions, load and command, as they stand beside every figure

``python -m benchmarks.stopwatch`` checks on this machine that the clocks tell what they promise, and whether it is quiet.
"""
