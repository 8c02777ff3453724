"""Procedural primitives: labelled images of lines, blobs, bumps, patches, gratings and similar shapes, rendered in batches.

A network learns edges, strokes, shading, texture and colour from them before it is trained for a task; no primitive imitates the
classes of a task. Every instance is an analytic field over the pixel grid: a distance field, a shaded height, or a wave in a
window. The fields of all instances of a kind in the batch are computed together and *added* to the images in a colour, so that the
order of kinds does not matter.

The content of a batch depends only on (seed, stream, batch index, batch size). It is drawn on the CPU, so it is the same on every
device. Noise pixels come from the device's own generator: they differ between kinds of device, but not between runs.

``batch`` has the function to call, ``kinds`` the table of primitives, ``fields`` their shapes, ``canvas`` the pixel grid.
"""

from evaluator.training.pretraining.primitives.batch import draw_batch
from evaluator.training.pretraining.primitives.kinds import ATTRIBUTES, COUNTED, KINDS, Kind

__all__ = ["ATTRIBUTES", "COUNTED", "KINDS", "Kind", "draw_batch"]
