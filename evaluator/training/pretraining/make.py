"""Pre-training on procedural primitives: how the kit makes its own starting weights.

The task is a multi-label classification of the primitives in an image. Images are rendered on the training device when they are
needed, and each is used once. ``spec.py`` has the settings, ``run.py`` trains, and this module writes weights and figures.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torchvision

import evaluator
from evaluator.errors import ConfigurationError
from evaluator.files import write_text
from evaluator.training.pretraining.run import Run
from evaluator.training.pretraining.spec import PretrainResult, PretrainSpec
from evaluator.training.weights import write_features


def pretrain(
    spec: PretrainSpec,
    out: Path,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[str], None] = print,
    minutes: float | None = None,
    compiled: bool | None = None,
) -> PretrainResult:
    """Train, write the feature layers to ``out`` (.safetensors) and the figures beside it (.json), and return the figures.

    Args:
        progress: called with lines of text on the progress.
        minutes: end the run within about this wall-clock time, compilation and writing included; the learning-rate schedule is
            shortened to fit. None: no limit.
        compiled: whether to use ``torch.compile``; None: only on CUDA. A network that cannot be compiled is trained without it.

    Raises:
        ConfigurationError: ``out`` has another ending, or ``minutes`` is not above 0.
        TrainingError: loss or parameters are no longer finite.
    """
    if out.suffix != ".safetensors":
        raise ConfigurationError(f"--out is {out.name!r}; expected a name that ends in .safetensors")
    if minutes is not None and not minutes > 0:
        raise ConfigurationError(f"--minutes is {minutes}; it must be more than 0")
    begin = time.monotonic()
    device = torch.device(device)
    run = Run(spec, device, device.type == "cuda" if compiled is None else compiled, progress)
    deadline = None
    if minutes is not None:
        # The steps after training (statistics, figures, writing) take some seconds; compilation has ended already.
        deadline = begin + 60.0 * minutes * 0.97 - min(10.0, 6.0 * minutes)
    run.train(deadline)
    run.refresh_statistics()
    loss, precision, prevalence = run.evaluate(run.average, spec.held_out)
    mean_precision = float(np.mean(list(precision.values())))
    result = PretrainResult(
        spec=spec,
        steps=run.step,
        images=run.step * spec.batch_size,
        seconds=round(time.monotonic() - begin, 1),
        images_per_second=round(run.step * spec.batch_size / max(run.seconds, 1e-9), 1),
        loss=loss,
        mean_average_precision=mean_precision,
        average_precision=precision,
        prevalence=prevalence,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine() or "cpu",
        compiled=run.compiled,
        versions={
            "kit": evaluator.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
        minutes_limit=minutes,
        history=tuple(run.history),
    )
    described = asdict(result)
    made = {name: described[name] for name in ("spec", "steps", "images", "mean_average_precision", "versions", "device")}
    result = PretrainResult(**{**described, "spec": spec, "sha256": write_features(run.average, out, json.dumps(made))})
    write_text(out.with_suffix(".json"), json.dumps(asdict(result), indent=1) + "\n")
    progress(f"{out}: {out.stat().st_size / 1e6:.1f} MB, sha256 {result.sha256}, mean average precision {mean_precision:.4f}")
    return result
