"""Depthwise convolutions in Triton: forward, and the gradients for the input and for the kernel.

Maps lie with the channels innermost, (n, rows, columns, channels). A program takes some pixels of some channels, reads what each
entry of the kernel meets there, and adds up in float32. Nothing is added by several programs into one place: the kernel's gradient
is written in parts, which are added up afterwards in one order. So all of it repeats to the bit. Sides of maps are not compiled in:
a network has dozens of them.

With ``TRITON_INTERPRET=1`` the same functions run on the CPU, which is how they are tested where there is no device.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

PIXELS, CHANNELS = 32, 32
"""Of a program. Powers of two, as Triton's ranges must be."""
PROGRAMS = 2112
"""For a kernel's gradient, about: sixteen for each multiprocessor of a large device. The same number everywhere, since it decides
in which order is added up. A part has no fewer pixels than a program takes at once."""


@triton.jit(do_not_specialize=["pixels", "share", "height", "width", "rows", "columns"])
def _forward(
    x, w, y, pixels, height, width, rows, columns, channels,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, PADDING: tl.constexpr, P: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0) * P + tl.arange(0, P)
    c = tl.program_id(1) * C + tl.arange(0, C)
    of_map, of_kernel = p < pixels, c < channels
    column, row, image = p % columns, (p // columns) % rows, (p // (columns * rows)).to(tl.int64)
    found = tl.zeros((P, C), tl.float32)
    for i in tl.static_range(SIZE):
        for j in tl.static_range(SIZE):
            at_row, at_column = row * STRIDE + (i - PADDING), column * STRIDE + (j - PADDING)
            inside = of_map & (at_row >= 0) & (at_row < height) & (at_column >= 0) & (at_column < width)
            at = ((image * height + at_row) * width + at_column) * channels
            seen = tl.load(x + at[:, None] + c[None, :], mask=inside[:, None] & of_kernel[None, :], other=0.0)
            weight = tl.load(w + c * (SIZE * SIZE) + (i * SIZE + j), mask=of_kernel, other=0.0)
            found += seen.to(tl.float32) * weight.to(tl.float32)[None, :]
    place = y + (p.to(tl.int64) * channels)[:, None] + c[None, :]
    tl.store(place, found.to(y.dtype.element_ty), mask=of_map[:, None] & of_kernel[None, :])


@triton.jit(do_not_specialize=["pixels", "share", "height", "width", "rows", "columns"])
def _for_input(
    g, w, d, pixels, height, width, rows, columns, channels,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, PADDING: tl.constexpr, P: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0) * P + tl.arange(0, P)
    c = tl.program_id(1) * C + tl.arange(0, C)
    of_map, of_kernel = p < pixels, c < channels
    at_column, at_row, image = p % width, (p // width) % height, (p // (width * height)).to(tl.int64)
    found = tl.zeros((P, C), tl.float32)
    for i in tl.static_range(SIZE):
        for j in tl.static_range(SIZE):
            above, left = at_row + (PADDING - i), at_column + (PADDING - j)
            row, column = above // STRIDE, left // STRIDE
            met = (above >= 0) & (left >= 0) & (above % STRIDE == 0) & (left % STRIDE == 0) & (row < rows) & (column < columns)
            at = ((image * rows + row) * columns + column) * channels
            seen = tl.load(g + at[:, None] + c[None, :], mask=(of_map & met)[:, None] & of_kernel[None, :], other=0.0)
            weight = tl.load(w + c * (SIZE * SIZE) + (i * SIZE + j), mask=of_kernel, other=0.0)
            found += seen.to(tl.float32) * weight.to(tl.float32)[None, :]
    place = d + (p.to(tl.int64) * channels)[:, None] + c[None, :]
    tl.store(place, found.to(d.dtype.element_ty), mask=of_map[:, None] & of_kernel[None, :])


@triton.jit(do_not_specialize=["pixels", "share", "height", "width", "rows", "columns"])
def _for_kernel(
    x, g, d, pixels, share, height, width, rows, columns, channels,
    SIZE: tl.constexpr, STRIDE: tl.constexpr, PADDING: tl.constexpr, P: tl.constexpr, C: tl.constexpr, J: tl.constexpr,
):  # fmt: skip
    # One row of the kernel's entries at a time: what the output's gradient holds at a pixel is read once for all of them.
    part, i = tl.program_id(0), tl.program_id(1)
    c = tl.program_id(2) * C + tl.arange(0, C)
    j = tl.arange(0, J)
    of_kernel = c < channels
    found = tl.zeros((P, J, C), tl.float32)
    for start in range(0, share, P):
        within = start + tl.arange(0, P)
        p = part * share + within
        column, row, image = p % columns, (p // columns) % rows, (p // (columns * rows)).to(tl.int64)
        at_row, at_column = row * STRIDE + i - PADDING, column[:, None] * STRIDE + j[None, :] - PADDING
        of_map = (p < pixels) & (within < share) & (at_row >= 0) & (at_row < height)
        inside = of_map[:, None] & (j < SIZE)[None, :] & (at_column >= 0) & (at_column < width)
        at = ((image * height + at_row)[:, None] * width + at_column) * channels
        seen = tl.load(x + at[:, :, None] + c[None, None, :], mask=inside[:, :, None] & of_kernel[None, None, :], other=0.0)
        above = tl.load(g + (p.to(tl.int64) * channels)[:, None] + c[None, :], mask=of_map[:, None] & of_kernel[None, :], other=0.0)
        found += seen.to(tl.float32) * above.to(tl.float32)[:, None, :]
    place = d + part.to(tl.int64) * channels * (SIZE * SIZE) + c[None, :] * (SIZE * SIZE) + (i * SIZE + j)[:, None]
    tl.store(place, tl.sum(found, axis=0), mask=(j < SIZE)[:, None] & of_kernel[None, :])


def convolved(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """A depthwise convolution.

    Args:
        x: (n, channels, height, width), in memory with the channels innermost.
        weight: (channels, 1, size, size), contiguous, of any float dtype.

    Returns:
        (n, channels, rows, columns) of the dtype and the layout of ``x``.
    """
    n, channels, height, width = x.shape
    size = weight.shape[-1]
    rows, columns = ((side + 2 * padding - size) // stride + 1 for side in (height, width))
    y = torch.empty((n, channels, rows, columns), dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    pixels = n * rows * columns
    sides = height, width, rows, columns, channels
    how = {"SIZE": size, "STRIDE": stride, "PADDING": padding, "P": PIXELS, "C": CHANNELS}
    with _on(x):
        _forward[_grid(pixels, channels)](x, weight, y, pixels, *sides, **how)
    return y


def input_gradient(gradient: Tensor, weight: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """The gradient for an input of ``shape``, of the dtype and layout of the output's ``gradient``."""
    n, channels, height, width = shape
    rows, columns = gradient.shape[2:]
    found = torch.empty(shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last)
    pixels, size = n * height * width, weight.shape[-1]
    sides = height, width, rows, columns, channels
    how = {"SIZE": size, "STRIDE": stride, "PADDING": padding, "P": PIXELS, "C": CHANNELS}
    with _on(gradient):
        _for_input[_grid(pixels, channels)](gradient, weight, found, pixels, *sides, **how)
    return found


def kernel_gradient(x: Tensor, gradient: Tensor, size: int, stride: int, padding: int) -> Tensor:
    """The gradient for the kernel, float32 (channels, 1, size, size)."""
    n, channels, height, width = x.shape
    rows, columns = gradient.shape[2:]
    pixels = n * rows * columns
    blocks = triton.cdiv(channels, CHANNELS)
    parts = max(1, min(triton.cdiv(PROGRAMS, size * blocks), triton.cdiv(pixels, PIXELS)))
    found = torch.empty((parts, channels, 1, size, size), dtype=torch.float32, device=x.device)
    sides = height, width, rows, columns, channels
    how = {"SIZE": size, "STRIDE": stride, "PADDING": padding, "P": PIXELS, "C": CHANNELS, "J": triton.next_power_of_2(size)}
    with _on(x):
        _for_kernel[parts, size, blocks](x, gradient, found, pixels, triton.cdiv(pixels, parts), *sides, **how)
    return found.sum(dim=0)


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on the current device, whatever its arguments lie on."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def _grid(pixels: int, channels: int) -> tuple[int, int]:
    return triton.cdiv(pixels, PIXELS), triton.cdiv(channels, CHANNELS)
