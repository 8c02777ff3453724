"""EfficientNet's training steps on the CPU, computed faster: the same numbers but for rounding.

The library has no fast path for the gradient of a 5 x 5 depthwise kernel; and at 64 px most of B4's layers work on maps of 4 x 4,
2 x 2 or 1 x 1, where it spends its time on setting up rather than on arithmetic. So a depthwise convolution of a tiny map becomes
one small matrix per channel that takes the map's pixels to the output's, a larger one has gradients of its own (``_Centred``), and
a 1 x 1 convolution is a matrix product (``pointwise``). Measured on one core of an AMD EPYC, B4, channels last, milliseconds of
processor time per image and step (medians, all ways in turn). The depthwise forms: batches of 16 at 64 px 16.5 instead of 21.2,
batches of 32 15.7 instead of 19.2. Products, and kernel gradients with fewer copies, on top of these: 1.17 times as fast with
batches of 16, 1.18 with 32, 1.19 with 5, 1.04 with 16 at 224 px.

What only predicts gains by ``folding`` instead.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evaluator.training.cpu.pointwise import Pointwise, is_pointwise
from evaluator.training.network import TimmNetwork

LARGEST_PRODUCT = 64
"""Depthwise layers whose input pixels times output pixels are no more than this go the way of one matrix per channel."""
MOST_RING_PIXELS = 64
"""Of an output map, where the gradient of a 5 x 5 kernel is put together from its centre and the entries around it."""


def quicken(model: nn.Module) -> nn.Module:
    """Replace the layers of ``model`` that have a faster form, in place; parameters, their names and hooks stay the same.

    timm's models are left as they are: with these forms a step of ResNet-50 took 25 % longer (64 px, one thread, batches of 16 and
    of 32), ConvNeXt has none of the layers that are replaced, and ViT has one convolution.
    """
    if isinstance(model, TimmNetwork):
        return model
    for name, child in list(model.named_children()):
        if type(child) is nn.Conv2d and is_depthwise(child):
            setattr(model, name, take_over(child, Depthwise))
        elif type(child) is nn.Conv2d and is_pointwise(child):
            setattr(model, name, take_over(child, Pointwise))
        elif type(child) is nn.AdaptiveAvgPool2d and child.output_size in (1, (1, 1)):
            setattr(model, name, Mean(1).train(child.training))
        else:
            quicken(child)
    return model


class Depthwise(nn.Conv2d):
    """A depthwise convolution of a square kernel, padded with zeros; faster on the CPU where gradients are asked for."""

    def forward(self, x: Tensor) -> Tensor:
        # All of this is for the sake of the gradients. For the forward pass alone, the library's own form is faster at every size.
        learning = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        if x.device.type != "cpu" or not learning or self.bias is not None:
            return super().forward(x)
        height, width = x.shape[2:]
        padding = self.padding[0]
        if isinstance(padding, str):
            return super().forward(x)
        rows, columns = (_outputs(side, self.kernel_size[0], self.stride[0], padding) for side in (height, width))
        if height * width * rows * columns <= LARGEST_PRODUCT:
            return self._as_matrices(x, rows, columns)
        size, stride = self.kernel_size[0], self.stride[0]
        centred = size in (3, 5) and self.padding[0] == size // 2
        gains = stride == 1 or (stride == 2 and size == 5 and rows * columns <= MOST_RING_PIXELS)
        if centred and gains and x.dtype == self.weight.dtype and not torch.is_autocast_enabled("cpu"):
            return _Centred.apply(x, self.weight, stride)
        return super().forward(x)

    def _as_matrices(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """One matrix (in pixels, out pixels) per channel."""
        n, channels, height, width = x.shape
        spread = _spread(height, width, self.kernel_size[0], self.stride[0], self.padding[0])
        matrices = spread.to(x.dtype) @ self.weight.flatten(1).t()  # (in * out, channels)
        pixels = x.permute(0, 2, 3, 1).reshape(n, height * width, 1, channels)
        # Multiply and add with the channels innermost: a batch of 1,632 products of 4 x 4 matrices is slower than its arithmetic.
        out = (pixels * matrices.view(1, height * width, rows * columns, channels)).sum(dim=1)
        return out.view(n, rows, columns, channels).permute(0, 3, 1, 2)


class Mean(nn.AdaptiveAvgPool2d):
    """The mean over a map. The library's lays its gradient out channels first, and every layer before it pays for turning it."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        return x.sum(dim=(2, 3), keepdim=True) * (1 / (x.shape[2] * x.shape[3]))


class _Centred(torch.autograd.Function):
    """A depthwise convolution of 3 x 3 or 5 x 5, padded by half its kernel: the library's, with faster gradients.

    At stride 1 the gradient for the input is the convolution of the output's gradient with the kernel turned by 180 degrees, which
    the library computes about twice as fast as what it calls the gradient. That for the kernel is ``_kernel_gradient``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        channels, reach = weight.shape[0], weight.shape[-1] // 2
        for_x = for_weight = None
        if ctx.needs_input_grad[0] and ctx.stride == 1:
            for_x = F.conv2d(gradient, weight.flip(2, 3), padding=reach, groups=channels)
        elif ctx.needs_input_grad[0]:
            for_x = _librarys(gradient, x, weight, ctx.stride, reach, (True, False))[0]
        if ctx.needs_input_grad[1]:
            for_weight = _kernel_gradient(x, gradient, weight.shape[-1], ctx.stride)
        return for_x, for_weight, None


def _kernel_gradient(x: Tensor, gradient: Tensor, size: int, stride: int) -> Tensor:
    """(channels, 1, size, size), put together from the gradients of 3 x 3 kernels, for which the library has a fast path.

    An entry of a kernel's gradient depends only on the pixels that this entry meets, so every 3 x 3 part of a larger kernel has the
    gradient of a 3 x 3 convolution of the map moved by its offset. Over a large map four such parts cover a kernel of 5 x 5, each
    with a copy of the map. Over a small one most of such a copy is padding: there the centre is such a part, which needs no copy,
    and each entry of the ring around it is the sum of the products that it stands for.
    """
    if size == 3:
        return _three_by_three(x, gradient, stride, 1)
    channels, (height, width) = x.shape[1], gradient.shape[2:]
    if height * width <= MOST_RING_PIXELS:
        return _with_ring(x, gradient, stride)
    padded = F.pad(x, (size // 2,) * 4)
    found = x.new_empty(channels, 1, size, size)
    for row, column in product(range(0, size - 2, 2), repeat=2):
        seen = padded[:, :, row : row + height + 2, column : column + width + 2].contiguous(memory_format=torch.channels_last)
        found[:, :, row : row + 3, column : column + 3] = _three_by_three(seen, gradient, 1, 0)
    return found


def _three_by_three(x: Tensor, gradient: Tensor, stride: int, padding: int) -> Tensor:
    """The gradient of a 3 x 3 kernel, (channels, 1, 3, 3)."""
    shape = x.new_empty(x.shape[1], 1, 3, 3)  # of which torch takes nothing but the shape
    return _librarys(gradient, x, shape, stride, padding, (False, True))[1]


def _librarys(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """The library's gradients for the input and for the kernel; what is not wanted is undefined."""
    sizes = ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], x.shape[1])
    return torch.ops.aten.convolution_backward(gradient, x, weight, None, *sizes, [*wanted, False])[:2]


def _with_ring(x: Tensor, gradient: Tensor, stride: int) -> Tensor:
    """``_kernel_gradient`` of 5 x 5 over a small map."""
    below, above = x.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)
    found = x.new_zeros(5, 5, x.shape[1])
    for row, column in product(range(5), repeat=2):
        if row in (0, 4) or column in (0, 4):
            rows, seen_rows = _meeting(row - 2, x.shape[2], gradient.shape[2], stride)
            columns, seen_columns = _meeting(column - 2, x.shape[3], gradient.shape[3], stride)
            torch.sum(above[:, rows, columns] * below[:, seen_rows, seen_columns], (0, 1, 2), out=found[row, column])
    kernels = found.permute(2, 0, 1).unsqueeze(1).contiguous()
    kernels[:, :, 1:4, 1:4] = _three_by_three(x, gradient, stride, 1)
    return kernels


def _meeting(offset: int, side: int, outputs: int, stride: int) -> tuple[slice, slice]:
    """Which outputs meet a pixel of the map rather than padding, ``offset`` from their middle; and the pixels that they meet."""
    first = max(0, -(offset // stride))
    stop = max(first, min(outputs, (side - 1 - offset) // stride + 1))
    return slice(first, stop), slice(first * stride + offset, stop * stride + offset, stride)


def is_depthwise(layer: nn.Conv2d) -> bool:
    """A kernel per channel: square, padded with zeros, without bias and without gaps."""
    square = all(len(set(pair)) == 1 for pair in (layer.kernel_size, layer.stride, layer.padding))
    plain = layer.dilation == (1, 1) and layer.padding_mode == "zeros" and layer.bias is None
    return square and plain and layer.groups == layer.in_channels == layer.out_channels


def take_over(layer: nn.Conv2d, kind: type[nn.Conv2d]) -> nn.Conv2d:
    """A layer of another class around the very parameters of ``layer``."""
    with torch.device("meta"):
        taken = kind(
            layer.in_channels,
            layer.out_channels,
            cast("tuple[int, int]", layer.kernel_size),
            stride=cast("tuple[int, int]", layer.stride),
            padding=cast("tuple[int, int]", layer.padding),
            dilation=cast("tuple[int, int]", layer.dilation),
            groups=layer.groups,
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
        )
    taken.weight, taken.bias = layer.weight, layer.bias
    return taken.train(layer.training)


def _outputs(side: int, kernel: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - kernel) // stride + 1


@lru_cache
def _spread(height: int, width: int, kernel: int, stride: int, padding: int) -> Tensor:
    """0/1 matrix (in pixels * out pixels, kernel²) that lays a kernel out as the matrix from input to output."""
    rows, columns = (_outputs(side, kernel, stride, padding) for side in (height, width))
    spread = torch.zeros(height, width, rows, columns, kernel, kernel)
    for r, c, y, x in product(range(rows), range(columns), range(kernel), range(kernel)):
        at_y, at_x = r * stride + y - padding, c * stride + x - padding
        if 0 <= at_y < height and 0 <= at_x < width:
            spread[at_y, at_x, r, c, y, x] = 1
    return spread.view(-1, kernel * kernel)
