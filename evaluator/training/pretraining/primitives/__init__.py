"""Procedural primitives: labelled images of lines, blobs, bumps, patches, gratings and the like, rendered a batch at a time.

They teach a network what edges, strokes, shading, texture and colour are before it sees a task; no primitive imitates a task's
classes. Every instance is an analytic field over the pixel grid (a distance field, a shaded height or a windowed wave), evaluated
for all instances of a kind in the batch at once and *added* to the image along a colour, so that the order of kinds is free.

What a batch shows depends on (seed, stream, batch index, batch size) alone and is drawn on the CPU, so that it is the same on every
device; noise pixels come from the device's own generator and differ between kinds of device, not between runs.

``canvas`` holds what is drawn on, ``fields`` the shapes, ``kinds`` the table of them, ``batch`` the front door.
"""

from evaluator.training.pretraining.primitives.batch import draw_batch
from evaluator.training.pretraining.primitives.kinds import ATTRIBUTES, COUNTED, KINDS, Kind

__all__ = ["ATTRIBUTES", "COUNTED", "KINDS", "Kind", "draw_batch"]
