"""Training steps and predictions of the fixed network on the CPU, written out: the same numbers but for rounding.

A step of 8 images is so little arithmetic (0.7 GFLOP) that automatic differentiation spends more time on deciding what to compute
than on computing. So forward and backward pass are written out here, on matrices (pixels, channels):

- A 1 x 1 convolution is a matrix product; the 3 x 3 and the 7 x 7 are the library's on maps with the channels innermost.
- Maxima are taken before the rectifier, which leaves them the same and has a quarter of the values to rectify.
- A convolution's bias in front of a batch normalisation changes nothing but the running mean, and its gradient is zero; what
  automatic differentiation finds there is rounding. So biases stay zero and are not computed.
- All weights are one vector, for which Adam is one call.
- To predict, normalisations are folded into the products.

In ``bfloat16`` products, activations and their gradients are in that format; weights, statistics, the optimizer's sums and the
loss are in float32. ``network.py`` is the plain form; ``tests/curation/test_steps.py`` holds the two together, value by value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adam import adam

from evaluator.curation.inputs import centred
from evaluator.curation.network import EPSILON, MOMENTUM, WIDE, Block, FixedNetwork, Unit
from evaluator.curation.recipes import Precision
from evaluator.training.cpu.pointwise import TURNED_FROM, times_transposed

AT_ONCE = 32
"""Images of a prediction."""
POOLING = ([3, 3], [2, 2], [1, 1])
"""Side, stride and padding of the maxima behind the stem."""
ADAM_EPSILON = 1e-7
"""As Keras sets it."""


@dataclass(frozen=True, eq=False)
class State:
    """A copy of everything that predicts: ``weights`` and ``running`` statistics, float32 vectors."""

    weights: Tensor
    running: Tensor


@dataclass(eq=False)
class _Saved:
    """What the backward pass of a unit needs: input and product as matrices (pixels, channels), mean and inverse deviation."""

    given: Tensor
    product: Tensor
    mean: Tensor
    inverse: Tensor


class _Unit:
    """A convolution and its batch normalisation. All tensors are views of the stepper's vectors.

    Kernels lie as (out, side, side, channels), which is a map's order with the channels innermost; ``acting`` is the kernel in the
    format of the products.
    """

    def __init__(self, conv: nn.Conv2d, vector: Tensor, gradient: Tensor, running: Tensor, low: Tensor | None) -> None:
        self.out, self.channels, self.side = conv.out_channels, conv.in_channels, conv.kernel_size[0]
        self.stride, self.padding = [conv.stride[0]] * 2, [conv.kernel_size[0] // 2] * 2
        shape = (self.out, self.side, self.side, self.channels)
        sizes = [conv.weight.numel(), self.out, self.out]
        weight, self.gamma, self.beta = vector.split(sizes)
        changed, self.gamma_gradient, self.beta_gradient = gradient.split(sizes)
        self.weight, self.gradient = weight.view(shape), changed.view(shape)
        self.acting = self.weight if low is None else low.split(sizes)[0].view(shape)
        self.mean, self.variance = running.split(self.out)

    def forward(self, x: Tensor, n: int) -> tuple[Tensor, _Saved]:
        """Maps of n images, (pixels, channels), to the normalised output (pixels, out)."""
        product = self._convolved(x, self.acting, None, n)
        made, mean, inverse = torch.native_batch_norm(
            product, self.gamma, self.beta, self.mean, self.variance, True, MOMENTUM, EPSILON
        )
        return made, _Saved(x, product, mean, inverse)

    def backward(self, above: Tensor, saved: _Saved, n: int, further: bool = True) -> Tensor:
        """The gradient of the normalised output (pixels, out) to that of the input, if it goes ``further``; keeps the weights'."""
        below, gamma, beta = torch.ops.aten.native_batch_norm_backward(
            above, saved.product, self.gamma, self.mean, self.variance, saved.mean, saved.inverse, True, EPSILON, [True] * 3
        )
        self.gamma_gradient.copy_(gamma)
        self.beta_gradient.copy_(beta)
        if self.side == 1:
            _kernel_gradient(below, saved.given, self.gradient.view(self.out, self.channels))
            return _through(below, self.acting.view(self.out, self.channels))
        maps = _map(below, n), _map(saved.given, n)
        found, kernel, _ = torch.ops.aten.convolution_backward(
            *maps,
            self.acting.permute(0, 3, 1, 2),
            None,
            self.stride,
            self.padding,
            [1, 1],
            False,
            [0, 0],
            1,
            [further, True, False],
        )
        self.gradient.copy_(kernel.permute(0, 2, 3, 1))
        return _matrix(found) if further else below

    def folded(self, like: torch.dtype) -> tuple[Tensor, Tensor]:
        """The kernel and the bias (out,) that do what both do in prediction."""
        scale = self.gamma * torch.rsqrt(self.variance + EPSILON)
        return (self.weight * scale.view(-1, 1, 1, 1)).to(like), (self.beta - self.mean * scale).to(like)

    def predict(self, x: Tensor, folded: tuple[Tensor, Tensor], n: int) -> Tensor:
        """``forward`` with running statistics."""
        return self._convolved(x, folded[0], folded[1], n)

    def _convolved(self, x: Tensor, kernel: Tensor, bias: Tensor | None, n: int) -> Tensor:
        if self.side == 1:
            return _times(x, kernel.view(self.out, self.channels), bias)
        return _matrix(F.conv2d(_map(x, n), kernel.permute(0, 3, 1, 2), bias, self.stride, self.padding))


class Stepper:
    """The fixed network and its optimizer.

    Args:
        network: whose weights it starts from; it is copied.
        rate: of Adam. ``precision``: of products and activations.
    """

    def __init__(self, network: FixedNetwork, rate: float, precision: Precision) -> None:
        layers = _layers(network)
        self._classes = network.dense.out_features
        sizes = [conv.weight.numel() + 2 * conv.out_channels for conv, _ in layers]
        dense = [self._classes * WIDE, self._classes]
        total = sum(sizes) + sum(dense)
        self._weights, self._changes = torch.zeros(total), torch.zeros(total)
        self._running = torch.zeros(2 * sum(conv.out_channels for conv, _ in layers))
        self._format = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self._low = torch.zeros(total, dtype=self._format) if precision == "bfloat16" else None
        parts = self._weights.split([*sizes, *dense]), self._changes.split([*sizes, *dense])
        running = self._running.split([2 * conv.out_channels for conv, _ in layers])
        low = None if self._low is None else self._low.split([*sizes, *dense])
        self._units = [
            _Unit(conv, parts[0][i], parts[1][i], running[i], None if low is None else low[i]) for i, (conv, _) in enumerate(layers)
        ]
        self._dense, self._bias = parts[0][-2].view(self._classes, WIDE), parts[0][-1]
        self._dense_gradient, self._bias_gradient = parts[1][-2].view(self._classes, WIDE), parts[1][-1]
        self._read(network)
        self._rate, self._count = rate, torch.tensor(0.0)
        self._momentum, self._squares = torch.zeros(total), torch.zeros(total)

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor) -> float:
        """One step on images float32 (b, 1 or 3, s, s) of 0 to 255 and labels int64 (b,); the loss before it."""
        if self._low is not None:
            self._low.copy_(self._weights)
        n = len(images)
        normed, stem = self._units[0].forward(_matrix(self._centred(images)), n)
        mapped = _map(normed, n)
        pooled, places = torch.ops.aten.max_pool2d_with_indices(mapped, *POOLING)
        largest = _matrix(pooled)
        x, kept = torch.relu(largest), []
        for first in _BLOCKS:
            made, saved = self._block(first, x, n)
            kept.append((made, saved))
            x = made
        means = x.view(n, -1, WIDE).mean(dim=1, dtype=torch.float32)
        logarithms = F.log_softmax(torch.addmm(self._bias, means, self._dense.t()), dim=1)
        loss = F.nll_loss(logarithms, labels)
        above = logarithms.exp_()
        above[torch.arange(n), labels] -= 1
        above /= n
        torch.mm(above.t(), means, out=self._dense_gradient)
        torch.sum(above, dim=0, out=self._bias_gradient)
        pixels = len(x) // n
        below = (above @ self._dense).div_(pixels).to(self._format)[:, None, :].expand(n, pixels, WIDE).reshape(-1, WIDE)
        for first, (made, saved) in zip(reversed(_BLOCKS), reversed(kept), strict=True):
            below = self._block_backward(first, _rectified(below, made), saved, n)
        spread = torch.ops.aten.max_pool2d_with_indices_backward(
            _map(_rectified(below, largest), n), mapped, *POOLING, [1, 1], False, places
        )
        self._units[0].backward(_matrix(spread), stem, n, further=False)
        self._adam()
        return float(loss)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Of images float32 (n, 1 or 3, s, s), with running statistics: float32 (n, classes)."""
        folded = [unit.folded(self._format) for unit in self._units]
        found = torch.empty(len(images), self._classes)
        for start in range(0, len(images), AT_ONCE):
            part = images[start : start + AT_ONCE]
            x = self._features(part, folded)
            means = x.view(len(part), -1, WIDE).mean(dim=1, dtype=torch.float32)
            torch.addmm(self._bias, means, self._dense.t(), out=found[start : start + AT_ONCE])
        return found

    def state(self) -> State:
        """A copy of the weights and running statistics."""
        return State(self._weights.detach().clone(), self._running.clone())

    def restore(self, state: State) -> None:
        """Set weights and running statistics back; what the optimizer remembers stays."""
        self._weights.copy_(state.weights)
        self._running.copy_(state.running)

    @torch.no_grad()
    def network(self) -> FixedNetwork:
        """A network with these weights, in evaluation mode."""
        made = FixedNetwork(self._classes)
        for unit, (conv, norm) in zip(self._units, _layers(made), strict=True):
            conv.weight.copy_(unit.weight.permute(0, 3, 1, 2))
            assert conv.bias is not None
            conv.bias.zero_()
            for own, value in zip(_norm_tensors(norm), (unit.gamma, unit.beta, unit.mean, unit.variance), strict=True):
                own.copy_(value)
        made.dense.weight.copy_(self._dense)
        made.dense.bias.copy_(self._bias)
        return made.eval()

    @torch.no_grad()
    def _read(self, network: FixedNetwork) -> None:
        for unit, (conv, norm) in zip(self._units, _layers(network), strict=True):
            unit.weight.copy_(conv.weight.permute(0, 2, 3, 1))
            for own, value in zip((unit.gamma, unit.beta, unit.mean, unit.variance), _norm_tensors(norm), strict=True):
                own.copy_(value)
            if conv.bias is not None:  # which the running mean of what follows would hold
                unit.mean.sub_(conv.bias)
        self._dense.copy_(network.dense.weight)
        self._bias.copy_(network.dense.bias)

    def _adam(self) -> None:
        """One step of the optimizer, by the function behind ``torch.optim.Adam``; the class costs as much again in Python."""
        constants: dict[str, Any] = {"beta1": 0.9, "beta2": 0.999, "lr": self._rate, "eps": ADAM_EPSILON, "weight_decay": 0.0}
        adam(
            [self._weights],
            [self._changes],
            [self._momentum],
            [self._squares],
            [],
            [self._count],
            **constants,
            fused=True,
            foreach=False,
            amsgrad=False,
            maximize=False,
        )

    def _centred(self, images: Tensor) -> Tensor:
        return centred(images).to(self._format)

    def _block(self, first: int, x: Tensor, n: int) -> tuple[Tensor, list[_Saved]]:
        """A bottleneck: (pixels, channels) to (pixels, 256)."""
        one, two, three = self._units[first : first + 3]
        inner, saved_one = one.forward(x, n)
        middle, saved_two = two.forward(inner.relu_(), n)
        made, saved_three = three.forward(middle.relu_(), n)
        saved = [saved_one, saved_two, saved_three]
        if first == _BLOCKS[0]:
            x, saved_around = self._units[first + 3].forward(x, n)
            saved.append(saved_around)
        return made.add_(x).relu_(), saved

    def _block_backward(self, first: int, above: Tensor, saved: list[_Saved], n: int) -> Tensor:
        """The gradient in front of the last rectifier (pixels, 256) to that of the input (pixels, channels)."""
        one, two, three = self._units[first : first + 3]
        below = _rectified(three.backward(above, saved[2], n), saved[2].given)
        below = _rectified(two.backward(below, saved[1], n), saved[1].given)
        below = one.backward(below, saved[0], n)
        return below.add_(self._units[first + 3].backward(above, saved[3], n) if len(saved) == 4 else above)

    def _features(self, images: Tensor, folded: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The last map, (pixels, 256)."""
        n, units = len(images), self._units
        x = _matrix(F.max_pool2d(_map(units[0].predict(_matrix(self._centred(images)), folded[0], n), n), *POOLING)).relu()
        for first in _BLOCKS:
            inner = x
            for place in range(first, first + 3):
                inner = units[place].predict(inner if place == first else inner.relu_(), folded[place], n)
            if first == _BLOCKS[0]:
                x = units[first + 3].predict(x, folded[first + 3], n)
            x = inner.add_(x).relu_()
        return x


_BLOCKS = (1, 5, 8)
"""Where each bottleneck's units begin: 1 x 1, 3 x 3, 1 x 1; behind the first bottleneck's stands the one around it."""


def _layers(network: FixedNetwork) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    found = [(network.stem, network.norm)]
    for block in cast("Iterable[Block]", network.blocks):
        units = [*cast("Iterable[Unit]", block.units), *([] if block.around is None else [block.around])]
        found += [(unit.conv, unit.norm) for unit in units]
    return found


def _norm_tensors(norm: nn.BatchNorm2d) -> tuple[Tensor, ...]:
    return norm.weight, norm.bias, norm.running_mean, norm.running_var  # type: ignore[return-value]


def _rectified(above: Tensor, made: Tensor) -> Tensor:
    """The gradient in front of a rectifier, whose output or input is ``made``; it takes the place of ``above``."""
    return torch.ops.aten.threshold_backward.grad_input(above, made, 0, grad_input=above)


def _map(x: Tensor, n: int) -> Tensor:
    """(pixels, channels) as (n, channels, side, side), channels last in memory; a view."""
    side = math.isqrt(len(x) // n)
    return x.view(n, side, side, x.shape[1]).permute(0, 3, 1, 2)


def _matrix(x: Tensor) -> Tensor:
    """(n, channels, h, w) as (pixels, channels)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _times(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x`` (pixels, fan in) times the transpose of ``weight`` (out, fan in), plus ``bias``."""
    if x.dtype != torch.float32 or not _mkl_is_fast():
        return times_transposed(x, weight, bias)
    return torch.mm(x, weight.t()) if bias is None else torch.addmm(bias, x, weight.t())


def _through(above: Tensor, weight: Tensor) -> Tensor:
    """``above`` (pixels, out) times ``weight`` (out, fan in)."""
    if above.dtype != torch.float32 or not _mkl_is_fast():
        return times_transposed(above, weight.t())
    return torch.mm(above, weight)


def _kernel_gradient(above: Tensor, laid: Tensor, out: Tensor) -> None:
    """The transpose of ``above`` (pixels, out) times ``laid`` (pixels, fan in), into ``out`` (out, fan in)."""
    if above.dtype == torch.float32 and _mkl_is_fast():
        torch.mm(above.t(), laid, out=out)
    elif above.dtype != torch.float32:
        out.copy_(torch.mm(above.t(), laid))
    elif len(laid) >= TURNED_FROM and out.shape[0] > out.shape[1]:
        out.copy_(times_transposed(laid.t(), above.t()).t())
    else:
        out.copy_(times_transposed(above.t(), laid.t()))


@cache
def _mkl_is_fast() -> bool:
    """Whether torch's own float32 products, which are MKL's, are the fastest: on Intel's processors. On AMD's oneDNN's are."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")[:4096]
    except OSError:
        return False
