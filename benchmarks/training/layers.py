"""What the depthwise layers of the network take on a CUDA device, in every form they could have: ``python -m
benchmarks.training.layers``.

All depthwise layers of EfficientNet-B4, forward and backward, each on a map of the size that it meets, as one graph: milliseconds
per image, and the largest relative error against float64. What turns a map into another layout or number format for the layer alone
is counted. Forms:

- ``library``: what torch chooses for 16 bits with the channels innermost (cuDNN);
- ``float16`` and ``float32``: the same in another number format;
- ``planes``: maps whose channels are the outermost; torch takes its own depthwise kernels for these;
- ``triton P x C``: the kit's (``training/cuda/kernels.py``), P pixels and C channels to a program.

Everything runs under the settings with which results repeat. The last column says whether two replays agree to the bit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.pages import write_json
from benchmarks.training.operations import machine
from evaluator.cli.parsing import Prose
from evaluator.training import device as devices
from evaluator.training.cpu.convolutions import is_depthwise, take_over
from evaluator.training.cuda import depthwise, kernels
from evaluator.training.network import build_network

Form = Callable[[nn.Conv2d, Tensor], Tensor]
TILES = ((16, 32), (32, 32), (16, 64), (32, 64), (64, 32), (128, 16))


def met(size: int) -> list[tuple[nn.Conv2d, tuple[int, ...]]]:
    """Every depthwise layer, and the shape (channels, rows, columns) of the map that it meets in an image of ``size`` pixels."""
    model = build_network("efficientnet_b4", 6, seed=0, image_size=size).eval()
    found: list[tuple[nn.Conv2d, tuple[int, ...]]] = []

    def see(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.Conv2d)
        found.append((layer, tuple(given[0].shape[1:])))

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and is_depthwise(layer):
            layer.register_forward_pre_hook(see)
    with torch.inference_mode():
        model(torch.zeros(1, 3, size, size))
    return found


def forms() -> dict[str, tuple[Form, Callable[[], Any]]]:
    """Forms by name: what computes a layer, and a context in which it runs."""

    def convolved(layer: nn.Conv2d, x: Tensor, dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
        x = x.to(dtype).contiguous(memory_format=layout)
        weight = layer.weight.to(dtype).contiguous(memory_format=layout)
        found = F.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)  # type: ignore[arg-type]
        return found.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)

    def kit(layer: nn.Conv2d, x: Tensor) -> Tensor:
        return depthwise.take_over(layer, depthwise.Depthwise)(x)  # type: ignore[no-any-return]

    inner, planes = torch.channels_last, torch.contiguous_format
    found: dict[str, tuple[Form, Callable[[], Any]]] = {
        "library": (partial(convolved, dtype=torch.bfloat16, layout=inner), _as_is),
        "float16": (partial(convolved, dtype=torch.float16, layout=inner), _as_is),
        "float32": (partial(convolved, dtype=torch.float32, layout=inner), _as_is),
        "planes": (partial(convolved, dtype=torch.bfloat16, layout=planes), _as_is),
    }
    for pixels, channels in TILES:
        found[f"triton {pixels} x {channels}"] = (kit, partial(_tile, pixels, channels))
    return found


@contextmanager
def _as_is() -> Iterator[None]:
    yield


@contextmanager
def _tile(pixels: int, channels: int) -> Iterator[None]:
    before = kernels.PIXELS, kernels.CHANNELS, depthwise.FORM
    kernels.PIXELS, kernels.CHANNELS, depthwise.FORM = pixels, channels, "triton"
    try:
        yield
    finally:
        kernels.PIXELS, kernels.CHANNELS, depthwise.FORM = before


def timed(
    form: str, layers: list[tuple[nn.Conv2d, tuple[int, ...]]], batch: int, repeats: int, where: torch.device, *, check: bool = True
) -> dict[str, Any]:
    """Milliseconds per image of the layers in every repeat, the largest relative error, and whether a replay repeats."""
    compute, context = forms()[form]
    torch.manual_seed(0)
    mine = [take_over(layer, nn.Conv2d).to(where) for layer, _ in layers]
    maps = [
        torch.randn(batch, *shape, device=where).to(torch.bfloat16).contiguous(memory_format=torch.channels_last).requires_grad_()
        for _, shape in layers
    ]
    above = [
        torch.randn_like(F.conv2d(x, layer.weight.bfloat16(), None, layer.stride, layer.padding, 1, layer.groups))  # type: ignore[arg-type]
        for layer, x in zip(mine, maps, strict=True)
    ]
    found: list[Tensor] = []

    def all_of_them() -> None:
        found.clear()
        for layer, x, gradient in zip(mine, maps, above, strict=True):
            y = compute(layer, x)
            found.extend([y, *torch.autograd.grad(y, [x, layer.weight], gradient)])

    with devices.repeatable(where), devices.own_stream(where), context():
        for _ in range(3):
            all_of_them()
        torch.cuda.synchronize(where)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream(where)):
            all_of_them()
        graph.replay()
        torch.cuda.synchronize(where)
        first = [tensor.clone() for tensor in found]
        times = []
        for _ in range(repeats):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(5):
                graph.replay()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 5 / batch)
        repeats_to_the_bit = all(torch.equal(a, b) for a, b in zip(first, found, strict=True))
    if not check:
        return {"form": form, "ms": times, "error": None, "repeats": repeats_to_the_bit}
    worst = 0.0
    for at, (layer, x, gradient) in enumerate(zip(mine, maps, above, strict=True)):
        x64, w64 = x.detach().double().contiguous().requires_grad_(), layer.weight.detach().double().requires_grad_()
        with torch.backends.cudnn.flags(enabled=False):  # torch's own kernels are the faster in this format
            y64 = F.conv2d(x64, w64, None, layer.stride, layer.padding, 1, layer.groups)  # type: ignore[arg-type]
            truth = [y64, *torch.autograd.grad(y64, [x64, w64], gradient.double().contiguous())]
        for got, right in zip(first[3 * at : 3 * at + 3], truth, strict=True):
            worst = max(worst, float(((got.double() - right).norm() / right.norm()).detach()))
    return {"form": form, "ms": times, "error": worst, "repeats": repeats_to_the_bit}


def _distinct(layers: list[tuple[nn.Conv2d, tuple[int, ...]]]) -> list[tuple[nn.Conv2d, tuple[int, ...]]]:
    """A layer of every kind: of equal channels, kernel, stride and map there is the first."""
    found = {(shape, layer.kernel_size, layer.stride): (layer, shape) for layer, shape in reversed(layers)}
    return list(reversed(found.values()))


def main(arguments: list[str] | None = None) -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.layers", description=__doc__, formatter_class=Prose)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="sides of the images in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--each", action="store_true", help="every layer by itself, without a look at its error")
    parser.add_argument("--forms", nargs="+", choices=list(forms()), default=list(forms()))
    parser.add_argument("--json", type=Path, default=Path("results/layers.json"), help="file of the figures")
    options = parser.parse_args(arguments)
    where = devices.resolve(options.device)
    console = Console(width=None if sys.stdout.isatty() else 170)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    table = Table(title=f"Depthwise layers of EfficientNet-B4, batch {options.batch}", title_justify="left")
    for name in ("image", "form", "ms per image", "range", "error", "repeats"):
        table.add_column(name, justify="left" if name in ("form", "repeats") else "right")
    if options.each:
        for name in ("channels", "map", "kernel", "stride"):
            table.add_column(name, justify="right")
        for size in options.sizes:
            for layer, shape in _distinct(met(size)):
                for form in options.forms:
                    about = {"channels": shape[0], "side": shape[1], "kernel": layer.kernel_size[0], "stride": layer.stride[0]}
                    told = [str(value) for value in about.values()]
                    try:
                        row = timed(form, [(layer, shape)], options.batch, options.repeats, where, check=False)
                    except (RuntimeError, ValueError) as error:
                        row = {"form": form, "failed": str(error).splitlines()[0][:200]}
                        table.add_row(f"{size} px", form, row["failed"], "", "", "", *told)
                    else:
                        table.add_row(f"{size} px", form, f"{statistics.median(row['ms']):.4f}", "", "", str(row["repeats"]), *told)
                    rows.append({"image_size": size, "batch_size": options.batch} | about | row)
                    write_json(options.json, {"machine": machine(str(where), 1), "rows": rows})
        console.print(table)
        return
    for size in options.sizes:
        layers = met(size)
        for form in options.forms:
            try:
                row = timed(form, layers, options.batch, options.repeats, where)
            except (RuntimeError, ValueError) as error:
                row = {"form": form, "failed": str(error).splitlines()[0][:200]}
                table.add_row(f"{size} px", form, row["failed"])
            else:
                of = row["ms"]
                told = f"{min(of):.3f} to {max(of):.3f}"
                table.add_row(f"{size} px", form, f"{statistics.median(of):.3f}", told, f"{row['error']:.1e}", str(row["repeats"]))
            rows.append({"image_size": size, "batch_size": options.batch} | row)
            write_json(options.json, {"machine": machine(str(where), 1), "rows": rows})
    console.print(table)


if __name__ == "__main__":
    main()
