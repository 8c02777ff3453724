"""The depthwise layers of a network on a CUDA device, in a form of the kit's own where the library's is slow.

In 16 bits with the channels innermost cuDNN works group by group through a layer whose kernel is larger than its map: of the
47.7 ms of device time of a step of EfficientNet-B4 (16 images at 64 px, H200) 39.7 ms were 11,425 launches of one kernel for seven
layers of 5 x 5 on maps of 2 x 2. ``kernels`` computes such a layer in one launch: 19 us forward and backward in place of 859. On
maps of more than ``SMALL`` pixels the library was as fast or faster (``python -m benchmarks.training.layers --each``), so there a
layer is what it was.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from evaluator.errors import ConfigurationError
from evaluator.text import one_line
from evaluator.training import memory, together
from evaluator.training.cpu.convolutions import is_depthwise, take_over

FORM: Literal["fastest", "library", "triton"] = "fastest"
"""Which form trainings take: the library's, the kit's, or the faster by the size of the map."""
SMALL = 4
"""Pixels of an output's map, at most, where the kit's form is the faster."""
REASON = 200
"""Characters of what Triton says."""


def form() -> str:
    """Which form layers have in this process: ``FORM``, and the library's where Triton cannot be used."""
    return FORM if FORM != "fastest" or not missing() else "library"


_FOUND: list[str] = []


def missing() -> str:
    """Why Triton cannot be used; empty if it can. Found out once per process.

    Raises:
        OutOfMemoryError, AcceleratorError: of torch, where the device has no memory left or fails. That says nothing of Triton, so
            nothing is kept, and the next call tries again.
    """
    with together.process:  # trying waits for the device, and so it would break the capture of a graph by another thread
        if not _FOUND:
            _FOUND.append(_tried())
        return _FOUND[0]


def _tried() -> str:
    try:
        import triton  # noqa: F401

        if torch.cuda.is_available():
            # Triton makes the driver of its kernels at the first launch, by a compiler for C and with Python's headers; where one
            # of them is missing it can be imported and is of no use.
            from evaluator.training.cuda import kernels

            small = torch.ones(1, 1, 2, 2, device="cuda").contiguous(memory_format=torch.channels_last)
            kernels.convolved(small, torch.ones(1, 1, 3, 3, device="cuda"), 1, 1)
            torch.cuda.synchronize()
    except Exception as error:
        if memory.is_shortage(error) or isinstance(error, torch.AcceleratorError):
            raise
        return one_line(f"{type(error).__name__}: {error}", REASON)
    return ""


def note_for(model: nn.Module) -> str:
    """What is to be said of a training of ``model`` whose layers cannot have the kit's form; empty where nothing is."""
    if form() == FORM or not any(type(layer) is nn.Conv2d and is_depthwise(layer) for layer in model.modules()):
        return ""
    return (
        f"depthwise layers had the library's form, which is far slower on maps of few pixels: Triton cannot be used ({missing()}). "
        "It needs a compiler for C (Debian: gcc) and Python's headers (python3-dev)"
    )


def fitted(model: nn.Module) -> nn.Module:
    """Replace the depthwise layers of ``model``, in place, if ``FORM`` says so; parameters, names and hooks stay the same.

    Raises:
        ConfigurationError: Triton cannot be used, and the form is not ``fastest``, which then is the library's.
    """
    if FORM == "library":
        return model
    if why := missing():
        if FORM == "fastest":
            return model
        raise ConfigurationError(
            f"the form triton of depthwise layers needs the package triton, which cannot be used ({why}); torch's builds for CUDA "
            "bring it, and it needs a compiler for C. Install what is missing, or take the form library"
        )
    for name, child in list(model.named_children()):
        if type(child) is nn.Conv2d and is_depthwise(child):
            setattr(model, name, take_over(child, Depthwise))
        else:
            fitted(child)
    return model


class Depthwise(nn.Conv2d):
    """A depthwise convolution of a square kernel, padded with zeros. Under autocast it computes in the format of that, and adds up
    in float32; the kernel is read as it is, and not rounded to 16 bits."""

    def forward(self, x: Tensor) -> Tensor:
        stride, padding = self.stride[0], int(self.padding[0])
        if FORM == "fastest" and math.prod(_sides(x, self.weight, stride, padding)) > SMALL:
            return super().forward(x)
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            x = x.to(torch.get_autocast_dtype(kind))
        x = x.contiguous(memory_format=torch.channels_last)
        return _convolved(x, self.weight, stride, padding)


def _sides(x: Tensor, weight: Tensor, stride: int, padding: int) -> list[int]:
    """Rows and columns of the output."""
    return [(side + 2 * padding - weight.shape[-1]) // stride + 1 for side in x.shape[2:]]


# Operators of torch's own kind: a compiler takes each as a whole, and gets shapes and layout from the functions after them.
@torch.library.custom_op("data_centric_kit::depthwise", mutates_args=())
def _convolved(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    from evaluator.training.cuda import kernels

    return kernels.convolved(x.contiguous(memory_format=torch.channels_last), weight.contiguous(), stride, padding)


@torch.library.custom_op("data_centric_kit::depthwise_input", mutates_args=())
def _for_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    from evaluator.training.cuda import kernels

    gradient = gradient.contiguous(memory_format=torch.channels_last)
    return kernels.input_gradient(gradient, weight.contiguous(), x.shape, stride, padding)


@torch.library.custom_op("data_centric_kit::depthwise_kernel", mutates_args=())
def _for_kernel(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    from evaluator.training.cuda import kernels

    x, gradient = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, gradient))
    return kernels.kernel_gradient(x, gradient, weight.shape[-1], stride, padding).to(weight.dtype)


@_convolved.register_fake
def _(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return x.new_empty((*x.shape[:2], *_sides(x, weight, stride, padding))).contiguous(memory_format=torch.channels_last)


@_for_input.register_fake
def _(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return gradient.new_empty(x.shape).contiguous(memory_format=torch.channels_last)


@_for_kernel.register_fake
def _(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    return torch.empty_like(weight, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, ctx.stride, ctx.padding = inputs
    ctx.save_for_backward(x, weight)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    x, weight = ctx.saved_tensors
    given = gradient, x, weight, ctx.stride, ctx.padding
    of_x, of_weight = ctx.needs_input_grad[:2]
    return _for_input(*given) if of_x else None, _for_kernel(*given) if of_weight else None, None, None


_convolved.register_autograd(_gradients, setup_context=_keep)
