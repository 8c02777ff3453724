"""The depthwise layers of a network on a CUDA device, in a form of the kit's own.

In 16 bits with the channels innermost cuDNN works through them group by group: of the 47.7 ms of device time of a step of
EfficientNet-B4 (16 images at 64 px, H200) 39.7 ms were 11,425 launches of one kernel. ``kernels`` computes a layer in one launch.

``FORM`` says which form trainings take. It is ``library`` until the other is measured on a device: ``python -m
benchmarks.training.steps`` times both.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evaluator.errors import ConfigurationError
from evaluator.training.cpu.convolutions import is_depthwise, take_over

FORM: Literal["library", "triton"] = "library"


def fitted(model: nn.Module) -> nn.Module:
    """Replace the depthwise layers of ``model``, in place, if ``FORM`` says so; parameters, names and hooks stay the same.

    Raises:
        ConfigurationError: Triton is missing.
    """
    if FORM == "library":
        return model
    try:
        import triton  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"the form triton of depthwise layers needs the package triton, which cannot be imported ({error}); torch's builds for "
            "CUDA bring it. Install one of these, or take the form library"
        ) from error
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
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            x = x.to(torch.get_autocast_dtype(kind))
        return _Convolved.apply(x, self.weight, self.stride[0], self.padding[0])


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        from evaluator.training.cuda import kernels

        x, kernel = x.contiguous(memory_format=torch.channels_last), weight.contiguous()
        ctx.save_for_backward(x, kernel)
        ctx.stride, ctx.padding = stride, padding
        return kernels.convolved(x, kernel, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        from evaluator.training.cuda import kernels

        x, kernel = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for_x = for_kernel = None
        if ctx.needs_input_grad[0]:
            for_x = kernels.input_gradient(gradient, kernel, x.shape, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            for_kernel = kernels.kernel_gradient(x, gradient, kernel.shape[-1], ctx.stride, ctx.padding).to(kernel.dtype)
        return for_x, for_kernel, None, None
