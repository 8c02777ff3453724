"""1 x 1 convolutions on the CPU as what they are: products of matrices.

Over a map that lies channels last, a 1 x 1 convolution multiplies a matrix (pixels, channels in) by its kernel. oneDNN has
two routes to that number: as a convolution it copies the kernel into blocks of its own in every call and its gradient into blocks
and back; as a matrix product it reads both where they lie. Batches of a few small images meet large kernels, so that the copies
cost as much as the arithmetic. MKL's product, which torch takes for matrices by itself, is the slowest of the three on an AMD EPYC.

Measured there on one core, least processor time in microseconds, convolution against product, forward and both gradients together:
272 to 1,632 channels and 64 pixels (B4's last stages, batches of 16 at 64 px) 1,623 and 941; 1,632 to 68 channels and 16 pixels
(squeeze and excitation) 442 and 156; 160 to 960 and 256 pixels 1,310 and 1,168; at 50,000 pixels nothing is gained.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

MOST_PIXELS = 32_768
"""Of a batch. Above, what a copy of the kernel costs is lost in the arithmetic, and the convolution is as fast or faster."""
TURNED_FROM = 512
"""Pixels from which the gradient of a kernel is made with the narrower side as its rows, and turned afterwards."""


class Pointwise(nn.Conv2d):
    """A 1 x 1 convolution of stride 1 without padding, in one group; with float32 on the CPU a product of matrices."""

    def forward(self, x: Tensor) -> Tensor:
        same = x.dtype == self.weight.dtype and not torch.is_autocast_enabled("cpu")
        if x.device.type != "cpu" or not same or x.ndim != 4 or x.shape[0] * x.shape[2] * x.shape[3] > MOST_PIXELS:
            return super().forward(x)
        return _Product.apply(x, self.weight, self.bias)


def is_pointwise(layer: nn.Conv2d) -> bool:
    """Whether ``Pointwise`` computes what ``layer`` computes."""
    shape = (layer.kernel_size, layer.stride, layer.padding, layer.groups)
    return shape == ((1, 1), (1, 1), (0, 0), 1) and layer.padding_mode == "zeros"


class _Product(torch.autograd.Function):
    """The convolution of ``x`` (n, in, h, w) with ``weight`` (out, in, 1, 1), plus ``bias`` (out,) or nothing.

    Turning maps into matrices and back happens in here, where the graph of gradients does not see it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _map(times_transposed(_matrix(x), weight.flatten(1), bias), x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        kernel, above = weight.flatten(1), _matrix(gradient)
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            for_x = _map(times_transposed(above, kernel.t()), x)
        if ctx.needs_input_grad[1]:
            below = _matrix(x)
            if len(below) >= TURNED_FROM and kernel.shape[0] > kernel.shape[1]:
                for_weight = times_transposed(below.t(), above.t()).t().reshape(weight.shape)
            else:
                for_weight = times_transposed(above.t(), below.t()).view(weight.shape)
        if ctx.needs_input_grad[2]:
            for_bias = above.sum(dim=0)
        return for_x, for_weight, for_bias


def _matrix(x: Tensor) -> Tensor:
    """(n, c, h, w) as (pixels, c); a view where the channels lie innermost."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _map(matrix: Tensor, like: Tensor) -> Tensor:
    """(pixels, c) as (n, c, h, w), with n, h and w of ``like``, around the same memory.

    A tensor of its own rather than a view: what a function of ours returns may then be changed in place by the layer behind it.
    """
    n, _, height, width = like.shape
    channels = matrix.shape[1]
    strides = (height * width * channels, 1, width * channels, channels)
    return matrix.new_empty(0).set_(matrix.untyped_storage(), matrix.storage_offset(), (n, channels, height, width), strides)


def times_transposed(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """``a`` (m, k) times the transpose of ``b`` (n, k), plus ``bias`` (n,)."""
    if a.dtype == torch.float32 and _ONEDNN is not None:
        return _ONEDNN(a, b, bias, "none", [], "")
    return F.linear(a, b, bias)


def _onednn_product() -> Any:
    """oneDNN's linear layer as torch's own compiler calls it; ``None`` where torch was built without it."""
    if not torch.backends.mkldnn.is_available():
        return None
    operator = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return None if operator is None else operator.default


_ONEDNN = _onednn_product()
