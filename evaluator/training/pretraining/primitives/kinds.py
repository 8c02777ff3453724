"""The table of the kinds of primitives, and the attributes with which an image is labelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from evaluator.training.pretraining.primitives import fields
from evaluator.training.pretraining.primitives.canvas import Canvas, Draws


@dataclass(frozen=True)
class Kind:
    """A kind of primitive.

    Attributes:
        name: the attribute that images with it have.
        field: computes its shape.
        most: largest number of instances in an image.
        faint, plain: smallest and largest amplitude, in units of full range.
        equal_luminance: whether it changes only the colour, not the luminance.
    """

    name: str
    field: Callable[[Canvas, Draws], Tensor]
    most: int = 3
    faint: float = 0.06
    plain: float = 0.6
    equal_luminance: bool = False


KINDS: tuple[Kind, ...] = (
    Kind("line_thin", fields.line_thin),
    Kind("line_thick", fields.line_thick, 2),
    Kind("line_dashed", fields.line_dashed, 2),
    Kind("line_double", fields.line_double, 2),
    Kind("curve_short", fields.curve_short),
    Kind("curve_long", fields.curve_long, 2),
    Kind("cross", fields.cross, 2),
    Kind("blob", fields.blob),
    Kind("disc", fields.disc),
    Kind("polygon", fields.polygon, 2),
    Kind("ring", fields.ring, 2),
    Kind("ripple", fields.ripple, 1),
    Kind("bump_small", fields.bump_small),
    Kind("bump_large", fields.bump_large, 2, 0.04, 0.4),
    Kind("pit", fields.pit, 2, 0.04, 0.4),
    Kind("crease", fields.crease, 2, 0.04, 0.4),
    Kind("grain", fields.grain),
    Kind("speckle", fields.speckle, 1),
    Kind("hue_patch", fields.patch, 2, 0.04, 0.3, equal_luminance=True),
    Kind("brightness_patch", fields.patch, 2, 0.04, 0.3),
    Kind("grating", fields.grating, 1, 0.03, 0.3),
    Kind("checker", fields.checker, 1, 0.03, 0.3),
    Kind("edge", fields.edge, 1),
    Kind("noise_patch", fields.noise_patch, 1, 0.05, 0.3),
)
COUNTED: tuple[str, ...] = ("line_thin", "curve_short", "blob", "disc", "bump_small", "grain")
"""Kinds with a second attribute: whether the image has several instances of the kind."""

ATTRIBUTES: tuple[str, ...] = tuple(kind.name for kind in KINDS) + tuple(f"several_{name}" for name in COUNTED)
